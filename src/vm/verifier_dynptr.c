/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dynptrs of ring buffers: 16 bytes of the frame that helpers fill and use, and
 * that the program may neither read nor write until it has given the record back.
 * Each is a reference: what bpf_dynptr_data() gave goes with it.
 *
 * A callback of bpf_user_ringbuf_drain() gets a pointer to one that lies outside
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

int dynptr_check_place(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct frame *f;
	int top;

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
	for (int i = top; i > top - DYNPTR_SLOTS; i--)
		if (i < (int)f->slot_cnt && f->slots[i].kind[0] == SLOT_DYNPTR) {
			verbose(v, "Dynptr has to be an uninitialized dynptr\n");
			return -EINVAL;
		}
	/* the helper writes all of it */
	return stack_helper_access(v, regno, DYNPTR_SIZE, true, true);
}

void dynptr_make(struct verifier *v, int regno, uint32_t ref_id)
{
	const struct reg p = cur_regs(v)[regno];
	struct frame *f = v->cur->frames[p.frame];
	int top = place_of(v, regno);

	for (int i = top; i > top - DYNPTR_SLOTS; i--) {
		struct slot *s = &f->slots[i];

		reg_mark_pointer(&s->spilled, REG_DYNPTR);
		s->spilled.ref_id = ref_id;
		s->spilled.mem_size = i == top; /* the lower half */
		for (int b = 0; b < VER_SLOT; b++)
			s->kind[b] = SLOT_DYNPTR;
	}
}

int dynptr_check(struct verifier *v, int regno, uint32_t *ref_id)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct slot *s = NULL;
	int top;

	*ref_id = 0;
	if (r->kind == REG_DYNPTR)
		return 0;
	if (r->kind != REG_STACK)
		return wrong(v, regno);
	top = place_of(v, regno);
	if (top < 0)
		return top;
	if (top < (int)v->cur->frames[r->frame]->slot_cnt)
		s = &v->cur->frames[r->frame]->slots[top];
	if (!s || s->kind[0] != SLOT_DYNPTR || !s->spilled.mem_size) {
		verbose(v, "Expected an initialized dynptr as arg #%d\n", regno - 1);
		return -EINVAL;
	}
	flow_read_slots(v, r->frame, 3ULL << (top - 1));
	*ref_id = s->spilled.ref_id;
	return 0;
}

void dynptr_drop(struct verifier *v, uint32_t ref_id)
{
	for (uint32_t f = 0; f <= v->cur->cur; f++)
		for (uint32_t i = 0; i < v->cur->frames[f]->slot_cnt; i++) {
			struct slot *s = &v->cur->frames[f]->slots[i];

			if (s->kind[0] != SLOT_DYNPTR || s->spilled.ref_id != ref_id)
				continue;
			for (int b = 0; b < VER_SLOT; b++)
				s->kind[b] = SLOT_INVALID;
		}
}
