/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dynptrs, iterators, sections: what lies in a frame that only helpers and kernel functions
 * may touch. Each byte of a frame says whether it belongs to one (struct checked_frame);
 * what the 16 or 8 bytes hold is the checker's own.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "checker.h"
#include "kfuncs.h"
#include "vm/kfunc_proto.h"

struct made_dynptr {
	uint16_t obj; /* of its memory */
	uint8_t null, rdonly;
	uint32_t off, size;
	uint16_t kind; /* enum dynptr_kind */
	uint16_t ref;  /* of a record: its clones have the same */
};

struct made_iter {
	uint16_t item; /* the object that next() gives; 0: none is left */
	uint16_t pad;
	int16_t cur, end;
};

_Static_assert(sizeof(struct made_dynptr) == 16 && sizeof(struct made_iter) == 8,
	       "as large as a program's");

static uint8_t *marks_of(struct checker *c, const struct thing *o)
{
	return c->f[o - c->obj - 1].made;
}

bool checker_frame_touch(struct checker *c, struct thing *o, int64_t off, uint32_t size, bool write)
{
	uint8_t *made = marks_of(c, o);
	struct made_dynptr d;

	for (int64_t i = off; i < off + size; i++) {
		int64_t head = i;

		if (!made[i])
			continue;
		if (!write)
			return checker_fails(c, "a byte of %s is read",
					     made[i] & MADE_ITER ? "an iterator" : "a dynptr");
		if (made[i] & MADE_ITER)
			return checker_fails(c, "an iterator is written over");
		while (!(made[head] & MADE_HEAD))
			head--;
		memcpy(&d, o->mem + head, sizeof(d));
		if (d.kind == DYNPTR_RINGBUF)
			return checker_fails(c, "a dynptr of a record is written over");
		memset(made + head, 0, sizeof(d));
	}
	return true;
}

/* Where the bytes at addr are, of a frame. */
static struct thing *place(struct checker *c, uint64_t addr, uint32_t size, int64_t *off)
{
	struct thing *o = checker_object(c, addr, off);

	if (!o || o->kind != OBJ_FRAME || *off < o->lo || *off + size > o->size || *off % 8) {
		checker_fails(c, "%#" PRIx64 " is no place of a frame", addr);
		return NULL;
	}
	return o;
}

/* A thing comes to stand at addr. */
static bool make(struct checker *c, uint64_t addr, const void *what, uint32_t size, uint8_t mark)
{
	int64_t off;
	struct thing *o = place(c, addr, size, &off);

	if (!o || !checker_frame_touch(c, o, off, size, true))
		return false;
	memcpy(o->mem + off, what, size);
	memset(marks_of(c, o) + off, mark, size);
	marks_of(c, o)[off] |= MADE_HEAD;
	memset(c->f[o - c->obj - 1].taint_stack + off, 0, size);
	return true;
}

/* The bytes of the one that is there. */
static void *made_at(struct checker *c, uint64_t addr, uint32_t size, uint8_t mark)
{
	int64_t off;
	struct thing *o = place(c, addr, size, &off);
	const uint8_t *made;

	if (!o)
		return NULL;
	made = marks_of(c, o) + off;
	for (uint32_t i = 0; i < size; i++)
		if (made[i] != (mark | (i ? 0 : MADE_HEAD))) {
			checker_fails(c, "no %s is at %#" PRIx64,
				      mark == MADE_ITER ? "iterator" : "dynptr", addr);
			return NULL;
		}
	return o->mem + off;
}

static void unmake(struct checker *c, const void *what, uint32_t size)
{
	const uint32_t frame = ((const uint8_t *)what - c->stack[0]) / VER_MAX_STACK;

	memset(c->f[frame].made + ((const uint8_t *)what - c->stack[frame]), 0, size);
}

/* An object of a part of another's memory: 0: there are too many. */
static uint32_t part(struct checker *c, enum thing_kind kind, const struct thing *of, uint8_t *mem,
		     uint32_t size)
{
	for (uint32_t i = 0; i < PARTS; i++) {
		struct thing *o = &c->obj[c->first_part + (c->next_part + i) % PARTS];

		if (o->kind != OBJ_NONE && !o->dead)
			continue;
		c->next_part = (c->next_part + i + 1) % PARTS;
		*o = (struct thing){.kind = kind,
				    .mem = mem,
				    .size = size,
				    .part_of = of ? of - c->obj : 0,
				    .lock_off = -1};
		return o - c->obj;
	}
	return 0;
}

void checker_part_end(struct checker *c, const struct thing *of)
{
	for (uint32_t i = 0; i < PARTS; i++) {
		struct thing *o = &c->obj[c->first_part + i];

		if (o->kind != OBJ_NONE && o->part_of == of - c->obj)
			o->dead = true;
	}
}

void checker_packet_moves(struct checker *c)
{
	struct thing *old = &c->obj[c->packet], *new;

	if (c->packet + 1 >= c->first_packet + PACKETS)
		return;
	c->packet++;
	new = &c->obj[c->packet];
	*new = *old;
	new->dead = false;
	new->kind = OBJ_PACKET;
	new->size = c->meta_len + c->pkt_len;
	old->dead = true;
	checker_part_end(c, old);
}

/* ---- dynptrs ---- */

static bool make_dynptr(struct checker *c, uint64_t at, struct made_dynptr d)
{
	return make(c, at, &d, sizeof(d), MADE_DYNPTR);
}

static struct made_dynptr *dynptr_at(struct checker *c, uint64_t at)
{
	return made_at(c, at, sizeof(struct made_dynptr), MADE_DYNPTR);
}

/* Its bytes [off, off + size), or NULL: there are none. */
static uint8_t *dynptr_bytes(struct checker *c, const struct made_dynptr *d, uint64_t off,
			     uint64_t size)
{
	const struct thing *o = &c->obj[d->obj];
	uint64_t from, end;

	if (d->null || (uint32_t)size > d->size || (uint32_t)off > d->size - (uint32_t)size)
		return NULL;
	if (d->kind == DYNPTR_SKB || d->kind == DYNPTR_XDP)
		o = &c->obj[c->packet];
	from = (d->kind == DYNPTR_SKB || d->kind == DYNPTR_XDP ? c->meta_len : 0) + d->off +
	       (uint32_t)off;
	end = from + (uint32_t)size;
	return end <= o->size ? o->mem + from : NULL;
}

static uint64_t slice(struct checker *c, const struct made_dynptr *d, uint64_t off, uint64_t size,
		      bool rdonly)
{
	const bool packet = d->kind == DYNPTR_SKB || d->kind == DYNPTR_XDP;
	uint8_t *mem = dynptr_bytes(c, d, off, size);
	struct thing *of = &c->obj[packet ? c->packet : d->obj];
	uint32_t i = mem ? part(c, OBJ_SLICE, of, mem, (uint32_t)size) : 0;

	if (!i)
		return 0;
	c->obj[i].no_write = rdonly;
	return OBJ_ADDR(i, 0);
}

static bool from_memory(struct checker *c, const uint64_t *r)
{
	struct made_dynptr d = {.kind = DYNPTR_LOCAL};
	int64_t off = 0;
	struct thing *o;

	if (r[2] && (!checker_mem(c, r[1], r[2], false) || !checker_mem(c, r[1], r[2], true)))
		return false;
	o = checker_object(c, r[1], &off);
	if (!o || o->kind != OBJ_VALUE)
		return checker_fails(c, "a dynptr of what is no map value");
	d.obj = o - c->obj;
	d.off = (uint32_t)off;
	d.size = (uint32_t)r[2];
	d.null = r[3] != 0;
	return make_dynptr(c, r[4], d);
}

static bool reserve(struct checker *c, const uint64_t *r, uint64_t *r0)
{
	struct made_dynptr d = {
		.kind = DYNPTR_RINGBUF, .null = true, .size = (uint32_t)r[2], .ref = ++c->next_ref};
	const uint64_t record = r[3] ? 0 : checker_reserve(c, (uint32_t)r[2]);
	int64_t off;

	if (record) {
		d.obj = checker_object(c, record, &off) - c->obj;
		d.null = false;
	} else {
		c->held++; /* to be given back all the same */
	}
	*r0 = record ? 0 : (uint64_t)-EINVAL;
	return make_dynptr(c, r[4], d);
}

/* The dynptr goes, with its clones. */
static bool give_back(struct checker *c, uint64_t at)
{
	struct made_dynptr *d = dynptr_at(c, at), gone;

	if (!d)
		return false;
	gone = *d;
	if (gone.kind != DYNPTR_RINGBUF)
		return checker_fails(c, "no dynptr of a record is given back");
	c->held--;
	unmake(c, d, sizeof(*d));
	if (!gone.null) {
		c->obj[gone.obj].dead = true;
		checker_part_end(c, &c->obj[gone.obj]);
	}
	for (uint32_t f = 0; f <= c->depth; f++)
		for (uint32_t i = 0; i + sizeof(gone) <= VER_MAX_STACK; i += 8) {
			struct made_dynptr other;

			memcpy(&other, c->stack[f] + i, sizeof(other));
			if (c->f[f].made[i] == (MADE_DYNPTR | MADE_HEAD) &&
			    other.kind == DYNPTR_RINGBUF && other.ref == gone.ref)
				memset(c->f[f].made + i, 0, sizeof(other));
		}
	return true;
}

static bool dynptr_read(struct checker *c, const uint64_t *r)
{
	const struct made_dynptr *d = dynptr_at(c, r[3]);
	uint8_t *to = r[2] && d ? checker_mem(c, r[1], r[2], true) : NULL, *from;

	if (!d || (r[2] && !to))
		return false;
	d = dynptr_at(c, r[3]); /* it may have been written over */
	if (!d)
		return false;
	from = dynptr_bytes(c, d, r[4], r[2]);
	if (from && to)
		memmove(to, from, r[2]);
	return true;
}

static bool dynptr_write(struct checker *c, const uint64_t *r)
{
	const struct made_dynptr *d = dynptr_at(c, r[1]);
	const uint8_t *from = r[4] && d ? checker_mem(c, r[3], r[4], false) : NULL;
	uint8_t *to;

	if (!d || (r[4] && !from))
		return false;
	to = d->rdonly ? NULL : dynptr_bytes(c, d, r[2], r[4]);
	if (to && from)
		memmove(to, from, r[4]);
	if (d->kind == DYNPTR_SKB)
		checker_packet_moves(c);
	return true;
}

bool checker_dynptr_helper(struct checker *c, uint32_t id, const uint64_t *r, uint64_t *r0)
{
	const struct made_dynptr *d;

	switch (id) {
	case BPF_FUNC_dynptr_from_mem:
		return from_memory(c, r);
	case BPF_FUNC_dynptr_read:
		return dynptr_read(c, r);
	case BPF_FUNC_dynptr_write:
		return dynptr_write(c, r);
	case BPF_FUNC_dynptr_data:
		d = dynptr_at(c, r[1]);
		*r0 = d && !d->rdonly && d->kind != DYNPTR_SKB && d->kind != DYNPTR_XDP
			      ? slice(c, d, r[2], r[3], false)
			      : 0;
		return d;
	case BPF_FUNC_ringbuf_reserve_dynptr:
		return reserve(c, r, r0);
	case BPF_FUNC_ringbuf_submit_dynptr:
	case BPF_FUNC_ringbuf_discard_dynptr:
		return give_back(c, r[1]);
	}
	return false;
}

/* ---- kernel functions ---- */

/* Which of the generator's it is; K_CNT: none. */
static int which(uint32_t kfunc)
{
	static uint8_t known[128]; /* + 1 */
	const struct kfunc_proto *p = kfunc ? kfunc_proto_at(kfunc - 1) : NULL;

	if (!p || kfunc >= sizeof(known))
		return K_CNT;
	if (!known[kfunc]) {
		known[kfunc] = K_CNT + 1;
		for (uint32_t i = 0; i < K_CNT; i++)
			if (!strcmp(progen_kfunc_names[i], p->name))
				known[kfunc] = i + 1;
	}
	return known[kfunc] - 1;
}

/* Of a packet that is not in one piece the bytes come by way of the buffer, if there is one. */
static bool packet_slice(struct checker *c, const uint64_t *r, bool rdonly, uint64_t *r0)
{
	const struct made_dynptr *d = dynptr_at(c, r[1]);
	const bool packet = d && (d->kind == DYNPTR_SKB || d->kind == DYNPTR_XDP);
	uint8_t *from, *to = NULL;
	struct thing *of;
	int64_t off = 0;
	uint32_t i;

	if (!d)
		return false;
	if (r[3] && r[4]) {
		if (!checker_mem(c, r[3], r[4], false))
			return false;
		to = checker_mem(c, r[3], r[4], true);
		if (!to)
			return false;
		d = dynptr_at(c, r[1]);
		if (!d)
			return false;
	}
	*r0 = 0;
	if (d->rdonly && !rdonly)
		return true;
	if (!packet || !to || checker_rnd(c, 2)) {
		*r0 = slice(c, d, r[2], r[4], rdonly);
		return true;
	}
	from = dynptr_bytes(c, d, r[2], r[4]);
	if (!from)
		return true;
	memmove(to, from, r[4]);
	of = checker_object(c, r[3], &off);
	/* what becomes of the buffer becomes of it: not of the packet */
	i = part(c, OBJ_SLICE, of->part_of ? &c->obj[of->part_of] : of, to, (uint32_t)r[4]);
	if (!i)
		return true;
	c->obj[i].no_write = rdonly;
	*r0 = OBJ_ADDR(i, 0);
	return true;
}

static bool adjust(struct checker *c, const uint64_t *r)
{
	struct made_dynptr *d = dynptr_at(c, r[1]);
	const uint32_t from = (uint32_t)r[2], end = (uint32_t)r[3];

	if (d && !d->null && from <= end && end <= d->size) {
		d->off += from;
		d->size = end - from;
	}
	return d;
}

static bool clone(struct checker *c, const uint64_t *r)
{
	const struct made_dynptr *d = dynptr_at(c, r[1]);

	return d && make_dynptr(c, r[2], *d);
}

static bool num_new(struct checker *c, const uint64_t *r)
{
	const int32_t from = (int32_t)r[2], end = (int32_t)r[3];
	struct made_iter it = {0};

	/* no more rounds than a test has time for */
	if (from <= end && (int64_t)end - from < 8 && from > -1000 && from < 1000) {
		it.item = part(c, OBJ_ITEM, NULL, c->items[c->next_item++ % PARTS], 4);
		it.cur = from - 1;
		it.end = end;
	}
	if (it.item)
		c->obj[it.item].no_write = true;
	c->held++;
	return make(c, r[1], &it, sizeof(it), MADE_ITER);
}

static bool num_next(struct checker *c, const uint64_t *r, uint64_t *r0)
{
	struct made_iter *it = made_at(c, r[1], sizeof(*it), MADE_ITER);
	int32_t value;

	if (!it)
		return false;
	*r0 = 0;
	if (!it->item || it->cur + 1 >= it->end)
		return true;
	value = ++it->cur;
	memcpy(c->obj[it->item].mem, &value, sizeof(value));
	*r0 = OBJ_ADDR(it->item, 0);
	return true;
}

static bool num_destroy(struct checker *c, const uint64_t *r)
{
	struct made_iter *it = made_at(c, r[1], sizeof(*it), MADE_ITER);

	if (!it)
		return false;
	if (it->item)
		c->obj[it->item].dead = true;
	unmake(c, it, sizeof(*it));
	c->held--;
	return true;
}

static bool section(struct checker *c, uint32_t *depth, int by, uint32_t max)
{
	*depth += by;
	return *depth <= max
		       ? true
		       : checker_fails(c, "a section is %s that %s", by > 0 ? "entered" : "left",
				       by > 0 ? "was entered" : "was not entered");
}

static bool from_packet(struct checker *c, const uint64_t *r, enum dynptr_kind kind)
{
	const uint32_t type = c->prog->type;
	struct made_dynptr d = {.kind = kind, .size = c->pkt_len, .null = r[2] != 0};

	d.rdonly = type == BPF_PROG_TYPE_SOCKET_FILTER;
	if (r[1] != OBJ_ADDR(0, 0))
		return checker_fails(c, "R1 is not the context");
	return make_dynptr(c, r[3], d);
}

bool checker_kfunc(struct checker *c, uint32_t kfunc, uint64_t *r0)
{
	const uint64_t *r = c->f[c->depth].r;
	const struct made_dynptr *d;
	uint8_t *mem;

	*r0 = checker_rnd(c, 3) ? 0 : c->seed;
	switch (which(kfunc)) {
	case K_RCU_LOCK:
		return section(c, &c->rcu, 1, 1);
	case K_RCU_UNLOCK:
		return section(c, &c->rcu, -1, 1);
	case K_PREEMPT_OFF:
		return section(c, &c->preempt, 1, 1000);
	case K_PREEMPT_ON:
		return section(c, &c->preempt, -1, 1000);
	case K_FROM_SKB:
		return from_packet(c, r, DYNPTR_SKB);
	case K_FROM_XDP:
		return from_packet(c, r, DYNPTR_XDP);
	case K_SLICE:
		return packet_slice(c, r, true, r0);
	case K_SLICE_RDWR:
		return packet_slice(c, r, false, r0);
	case K_ADJUST:
		return adjust(c, r);
	case K_SIZE:
		d = dynptr_at(c, r[1]);
		*r0 = d ? d->size : 0;
		return d;
	case K_CLONE:
		return clone(c, r);
	case K_MEMSET:
		d = dynptr_at(c, r[1]);
		mem = d && !d->rdonly ? dynptr_bytes(c, d, r[2], r[3]) : NULL;
		if (mem)
			memset(mem, (int)r[4], (uint32_t)r[3]);
		return d;
	case K_NUM_NEW:
		return num_new(c, r);
	case K_NUM_NEXT:
		return num_next(c, r, r0);
	case K_NUM_DESTROY:
		return num_destroy(c, r);
	}
	return false;
}
