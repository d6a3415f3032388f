/* SPDX-License-Identifier: BSD-2-Clause */
/* Values against what the verifier claimed of them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checker.h"

static bool in_range(const struct reg *r, uint64_t x)
{
	return (x & ~r->var_off.mask) == r->var_off.value && (int64_t)x >= r->smin &&
	       (int64_t)x <= r->smax && x >= r->umin && x <= r->umax && (int32_t)x >= r->s32_min &&
	       (int32_t)x <= r->s32_max && (uint32_t)x >= r->u32_min && (uint32_t)x <= r->u32_max;
}

static bool packet_holds(const struct checker *c, const struct reg *r, uint64_t value, int64_t off)
{
	const int64_t base = r->kind == REG_PKT ? c->meta_len : 0;
	const int64_t end = r->kind == REG_PKT ? c->meta_len + c->pkt_len : c->meta_len;

	if (!in_range(r, (uint64_t)(off - base - r->off)))
		return false;
	return r->range <= 0 || off - r->off + r->range <= end;
}

/* base: the frame of the run that is frame 0 of the walk */
bool claim_holds(struct checker *c, const struct reg *r, uint64_t value, uint32_t base)
{
	struct thing *o;
	int64_t off;

	if (r->kind == REG_NOT_INIT)
		return true;
	if (r->kind == REG_SCALAR)
		return in_range(r, value);
	if (r->or_null && !value)
		return true;
	/* far beyond what an object's address space has: no access is allowed, so let it be */
	if (r->smin <= -VER_MAX_VAR_OFF || r->smax >= VER_MAX_VAR_OFF)
		return true;
	o = checker_object(c, value, &off);
	if (!o)
		return false;
	switch (r->kind) {
	case REG_CTX:
		return o->kind == OBJ_CTX && in_range(r, off - r->off);
	case REG_MAP_PTR:
		return o->kind == OBJ_MAP && o->map == r->map && in_range(r, off - r->off);
	case REG_MAP_VALUE:
		return o->kind == OBJ_VALUE && o->map == r->map && in_range(r, off - r->off);
	case REG_MAP_KEY:
		return o->kind == OBJ_KEY && o->map == r->map && in_range(r, off - r->off);
	case REG_STACK:
		return o == &c->obj[1 + base + r->frame] &&
		       in_range(r, off - VER_MAX_STACK - r->off);
	case REG_PKT:
	case REG_PKT_META:
		return o == &c->obj[c->packet] && packet_holds(c, r, value, off);
	case REG_PKT_END:
		return o == &c->obj[c->packet] && off - r->off == c->meta_len + c->pkt_len;
	case REG_MEM:
		if (o->kind != OBJ_RECORD && o->kind != OBJ_SLICE && o->kind != OBJ_ITEM)
			return true; /* an argument: a part of anything */
		if (o->dead || r->mem_size > o->size || (o->no_write && !r->rdonly))
			return false;
		return in_range(r, off - r->off);
	case REG_FUNC:
		return o->kind == OBJ_FUNC && !off;
	case REG_SOCK_COMMON:
	case REG_SOCKET:
		return o->kind == OBJ_SOCK;
	}
	return false;
}

void claim_print(const struct reg *r, char *buf, size_t size)
{
	snprintf(buf, size,
		 "kind %u%s off %d id %u range %d map %u frame %u var (%#" PRIx64 "; %#" PRIx64
		 ") s [%" PRId64 ", %" PRId64 "] u [%" PRIu64 ", %" PRIu64
		 "] s32 [%d, %d] u32 [%u, %u]",
		 r->kind, r->or_null ? " or null" : "", r->off, r->id, r->range, r->map, r->frame,
		 r->var_off.value, r->var_off.mask, r->smin, r->smax, r->umin, r->umax, r->s32_min,
		 r->s32_max, r->u32_min, r->u32_max);
}

bool claims_check(struct checker *c)
{
	const struct trace_node *n = &c->trace->nodes[c->node];
	const struct trace_claim *claim = &c->trace->claims[n->claims];
	struct checked_frame *f = &c->f[c->depth];
	char text[300];

	for (uint32_t i = 0; i < n->claim_cnt; i++, claim++) {
		const uint16_t bit = 1 << claim->regno;

		/* (a tainted one stays so: it may differ from one that it was linked to) */
		if (claim_holds(c, &claim->reg, f->r[claim->regno], f->base))
			continue;
		if (!(n->live & bit) ||
		    (claim->reg.kind == REG_SCALAR && (c->loose || (f->taint & bit)))) {
			f->taint |= bit;
			continue;
		}
		claim_print(&claim->reg, text, sizeof(text));
		return checker_fails(c, "R%u is %#" PRIx64 ", claimed: %s", claim->regno,
				     f->r[claim->regno], text);
	}
	return true;
}

/* Scalars that an earlier path knew to be equal. */
struct linked {
	uint32_t id;
	uint8_t added;	/* the low 32 bits alone are so, when it is 32 */
	uint64_t value; /* without what was added */
	uint8_t *taint; /* a byte each of a stack slot, or NULL */
	uint16_t *regs, bit;
	uint32_t bytes;
};

static uint64_t link_off(const struct reg *r)
{
	return r->kind == REG_SCALAR && r->added ? (uint64_t)(int64_t)r->off : 0;
}

static bool differ(const struct linked *a, const struct linked *b)
{
	if (a->added == 32 || b->added == 32)
		return (uint32_t)a->value != (uint32_t)b->value;
	return a->value != b->value;
}

static void taint(const struct linked *l)
{
	if (l->regs)
		*l->regs |= l->bit;
	for (uint32_t i = 0; i < l->bytes; i++)
		l->taint[i] = 1;
}

static bool cross_reg(struct checker *c, const struct reg *r, struct checked_frame *f, int regno,
		      const struct trace_cover *cover, uint32_t fno)
{
	const uint16_t bit = 1 << regno;
	char text[300];

	if (claim_holds(c, r, f->r[regno], f->base))
		return true;
	if (!(cover->f[fno].live & bit) ||
	    (r->kind == REG_SCALAR &&
	     (!(cover->f[fno].precise & bit) || c->loose || (f->taint & bit)))) {
		f->taint |= bit;
		return true;
	}
	claim_print(r, text, sizeof(text));
	return checker_fails(
		c, "covered by a state in which R%d (frame %u), which is %#" PRIx64 ", is %s",
		regno, fno, f->r[regno], text);
}

static bool is_low_part(uint32_t bytes)
{
	return bytes == 1 || bytes == 2 || bytes == 4;
}

static bool cross_slot(struct checker *c, const struct slot *s, struct checked_frame *f, uint32_t i,
		       uint8_t *mem, const struct trace_cover *cover, uint32_t fno, uint64_t *value,
		       uint32_t *bytes)
{
	uint8_t *stained = &f->taint_stack[VER_MAX_STACK - 8 * (i + 1)];
	const bool live = cover->f[fno].slots_live & 1ULL << i;
	const bool precise = cover->f[fno].slots_precise & 1ULL << i;
	char text[300];

	*bytes = *value = 0;
	if (s->kind[0] == SLOT_SPILL) {
		while (*bytes < 8 && s->kind[*bytes] == SLOT_SPILL)
			++*bytes;
		memcpy(value, mem, *bytes);
		/* a whole register, or its low bytes; not what a later store left of them */
		struct reg low = s->spilled;

		if (*bytes < 8 && low.kind == REG_SCALAR)
			reg_cast(&low, *bytes);
		if ((*bytes == 8 || (is_low_part(*bytes) && s->spilled.kind == REG_SCALAR)) &&
		    !claim_holds(c, &low, *value, f->base)) {
			for (uint32_t b = 0; b < *bytes; b++)
				if (stained[b])
					goto stained;
			if (live && !c->loose && (s->spilled.kind != REG_SCALAR || precise)) {
				claim_print(&s->spilled, text, sizeof(text));
				return checker_fails(
					c,
					"covered by a state in which fp-%u (frame %u), "
					"which is %#" PRIx64 ", is %s",
					8 * (i + 1), fno, *value, text);
			}
		stained:
			memset(stained, 1, *bytes);
		}
	}
	for (int b = 0; b < 8; b++) {
		if (s->kind[b] != SLOT_ZERO || !mem[b])
			continue;
		if (live && !c->loose && !stained[b])
			return checker_fails(
				c,
				"covered by a state in which a byte of fp-%u (frame %u) is 0, not "
				"%#x",
				8 * (i + 1), fno, mem[b]);
		stained[b] = 1;
	}
	return true;
}

/* A dynptr or an iterator is there, if it matters. */
static bool cross_made(struct checker *c, const struct slot *s, const struct checked_frame *f,
		       uint32_t i, const struct trace_cover *cover, uint32_t fno)
{
	const uint8_t made = f->made[VER_MAX_STACK - 8 * (i + 1)] & (MADE_DYNPTR | MADE_ITER);

	if (!(cover->f[fno].slots_live & 1ULL << i) ||
	    made == (s->kind[0] == SLOT_ITER ? MADE_ITER : MADE_DYNPTR))
		return true;
	return checker_fails(c, "covered by a state in which fp-%u (frame %u) is %s", 8 * (i + 1),
			     fno, s->kind[0] == SLOT_ITER ? "an iterator" : "a dynptr");
}

bool claims_cross(struct checker *c, const struct trace_edge *e)
{
	const struct trace_cover *cover = &c->trace->covers[e->cover - 1];
	const struct state *s = c->trace->nodes[e->to].full;
	const uint32_t base = c->f[c->depth].base;
	struct linked links[VER_MAX_FRAMES * (VER_REGS + 8)];
	uint32_t n = 0;

	c->crossed++;
	if (base + s->cur != c->depth)
		return checker_fails(c, "covered by a state of %u frames", s->cur + 1);
	if (s->ref_cnt < c->held && !base) /* one that turns out to be NULL counts too */
		return checker_fails(c, "covered by a state of %u references, holding %u",
				     s->ref_cnt, c->held);
	if (!base && (s->rcu_locks != c->rcu || s->preempt_locks != c->preempt))
		return checker_fails(c, "covered by a state of other sections");
	if (s->locked != !!c->lock)
		return checker_fails(c, "covered by a state in which the lock is not the same");
	for (uint32_t k = 0; k <= s->cur; k++) {
		struct checked_frame *f = &c->f[base + k];

		for (int r = 0; r < VER_REGS; r++) {
			const struct reg *claim = &s->frames[k]->regs[r];

			if (k < s->cur && r < 6)
				continue;
			if (!cross_reg(c, claim, f, r, cover, k))
				return false;
			if (claim->kind == REG_SCALAR && claim->id && n < ARRAY_SIZE(links))
				links[n++] = (struct linked){.id = claim->id,
							     .added = claim->added,
							     .value = f->r[r] - link_off(claim),
							     .regs = &f->taint,
							     .bit = 1 << r};
		}
		for (uint32_t i = 0; i < s->frames[k]->slot_cnt && i < VER_SLOTS; i++) {
			const struct slot *slot = &s->frames[k]->slots[i];
			uint8_t *mem = &c->stack[base + k][VER_MAX_STACK - 8 * (i + 1)];
			struct linked l = {.taint = &f->taint_stack[VER_MAX_STACK - 8 * (i + 1)]};

			if (slot->kind[0] == SLOT_DYNPTR || slot->kind[0] == SLOT_ITER) {
				if (!cross_made(c, slot, f, i, cover, k))
					return false;
				continue;
			}
			if (!cross_slot(c, slot, f, i, mem, cover, k, &l.value, &l.bytes))
				return false;
			l.id = slot->spilled.id;
			l.added = slot->spilled.added;
			l.value -= link_off(&slot->spilled);
			if ((l.bytes == 8 || is_low_part(l.bytes)) &&
			    slot->spilled.kind == REG_SCALAR && l.id && n < ARRAY_SIZE(links))
				links[n++] = l;
		}
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (links[i].id == links[k].id && differ(&links[i], &links[k]))
				taint(&links[i]), taint(&links[k]);
	return true;
}
