/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dynptrs in a frame: 16 bytes that only helpers read and write. Their two slots hold a
 * REG_DYNPTR each, the one of the lower address with mem_size 1. Every dynptr has an
 * id, which the memory that it gave (slices) keeps: when the dynptr goes, so do they.
 * One of a ring buffer's record is a reference besides, which its clones share, and
 * whoever gets it must submit or discard it.
 *
 * A callback of bpf_user_ringbuf_drain() is given a dynptr that is not in
 * the frame: REG_DYNPTR, which is no reference and cannot be kept.
 */
#include "vm/verifier_int.h"

#define DYNPTR_SIZE 16
#define DYNPTR_SLOTS (DYNPTR_SIZE / VER_SLOT)

static int wrong(struct verifier *v, int regno)
{
	verbose(v, "R%d type=%s expected=fp, dynptr_ptr\n", regno,
		reg_kind_name(&cur_regs(v)[regno]));
	return -EACCES;
}

/* The slot of the dynptr's lower address, or -EINVAL. */
static int place_of(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];
	int64_t off;

	if (!tnum_is_const(r->var_off)) {
		verbose(v, "dynptr has to be at a constant offset\n");
		return -EINVAL;
	}
	off = (int64_t)r->var_off.value + r->off;
	if (off % VER_SLOT || off > -DYNPTR_SIZE) {
		verbose(v, "cannot pass in dynptr at an offset=%lld\n", (long long)off);
		return -EINVAL;
	}
	if (off < -VER_MAX_STACK) {
		verbose(v, "cannot pass in dynptr at an offset=%lld\n", (long long)off);
		return -EACCES;
	}
	return -off / VER_SLOT - 1;
}

static bool is_dynptr(const struct frame *f, uint32_t slot)
{
	return slot < f->slot_cnt && f->slots[slot].kind[0] == SLOT_DYNPTR;
}

/* What a dynptr gave is gone with it. */
static void drop_slices(struct verifier *v, uint32_t id)
{
	struct reg *r;

	for_each_reg(v->cur, r) if (r->dynptr_id == id) reg_mark_unknown(r);
}

static void invalidate(struct slot *s)
{
	for (int b = 0; b < VER_SLOT; b++)
		s->kind[b] = SLOT_INVALID;
}

int dynptr_overwrite(struct verifier *v, struct frame *f, uint32_t slot)
{
	uint32_t low, id;

	if (!is_dynptr(f, slot))
		return 0;
	low = f->slots[slot].spilled.mem_size ? slot : slot + 1;
	id = f->slots[low].spilled.id;
	if (f->slots[low].spilled.ref_id) {
		verbose(v, "cannot overwrite referenced dynptr\n");
		return -EINVAL;
	}
	invalidate(&f->slots[low]);
	invalidate(&f->slots[low - 1]);
	drop_slices(v, id);
	return 0;
}

int dynptr_check_place(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];
	struct frame *f;
	int top, err;

	if (r->kind != REG_STACK && r->kind != REG_DYNPTR)
		return wrong(v, regno);
	if (r->kind == REG_DYNPTR) {
		verbose(v, "Dynptr has to be an uninitialized dynptr\n");
		return -EINVAL;
	}
	top = place_of(v, regno);
	if (top < 0)
		return top;
	f = v->cur->frames[r->frame];
	for (int i = top; i > top - DYNPTR_SLOTS; i--) {
		err = dynptr_overwrite(v, f, i);
		if (err)
			return err;
	}
	/* the helper writes all of it */
	return stack_helper_access(v, regno, DYNPTR_SIZE, true, true);
}

void dynptr_make(struct verifier *v, int regno, enum dynptr_kind kind, uint32_t ref_id)
{
	const struct reg p = cur_regs(v)[regno];
	struct frame *f = v->cur->frames[p.frame];
	const uint32_t id = ++v->id_gen;
	int top = place_of(v, regno);

	slices_leave_bytes(v, p.frame, -VER_SLOT * (top + 1), -VER_SLOT * (top + 1) + DYNPTR_SIZE);
	for (int i = top; i > top - DYNPTR_SLOTS; i--) {
		struct slot *s = &f->slots[i];

		reg_mark_pointer(&s->spilled, REG_DYNPTR);
		s->spilled.sub = kind;
		s->spilled.id = id;
		s->spilled.ref_id = ref_id;
		s->spilled.mem_size = i == top; /* the lower half */
		for (int b = 0; b < VER_SLOT; b++)
			s->kind[b] = SLOT_DYNPTR;
	}
}

int dynptr_check(struct verifier *v, int regno, struct dynptr_use *use)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct frame *f;
	int top;

	*use = (struct dynptr_use){0};
	if (r->kind == REG_DYNPTR) {
		*use = (struct dynptr_use){r->sub, r->id, 0};
		return 0;
	}
	if (r->kind != REG_STACK)
		return wrong(v, regno);
	top = place_of(v, regno);
	f = v->cur->frames[r->frame];
	if (top < 1 || !is_dynptr(f, top) || !f->slots[top].spilled.mem_size) {
		verbose(v, "Expected an initialized dynptr as arg #%d\n", regno - 1);
		return -EINVAL;
	}
	flow_read_slots(v, r->frame, 3ULL << (top - 1));
	r = &f->slots[top].spilled;
	*use = (struct dynptr_use){r->sub, r->id, r->ref_id};
	return 0;
}

void dynptr_drop(struct verifier *v, uint32_t ref_id)
{
	for (uint32_t f = 0; f <= v->cur->cur; f++)
		for (uint32_t i = 0; i < v->cur->frames[f]->slot_cnt; i++) {
			struct slot *s = &v->cur->frames[f]->slots[i];

			if (s->kind[0] != SLOT_DYNPTR || s->spilled.ref_id != ref_id)
				continue;
			drop_slices(v, s->spilled.id);
			invalidate(s);
		}
}

void slices_leave_frame(struct verifier *v, uint32_t frame)
{
	struct reg *r;

	for_each_reg(v->cur, r) if (r->kind == REG_MEM && r->frame == frame + 1)
		reg_mark_unknown(r);
}

void slices_leave_bytes(struct verifier *v, uint32_t frame, int64_t from, int64_t end)
{
	struct reg *r;

	for_each_reg(v->cur, r) if (r->kind == REG_MEM && r->frame == frame + 1 && !r->rdonly &&
				    r->buf < end && r->buf_end > from) reg_mark_unknown(r);
}
