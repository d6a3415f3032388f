/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Iterators in a frame: new() makes one, next() gives something or NULL, destroy() ends
 * it; it is a reference between. Its slots hold a REG_ITER each, the first of which
 * (of the lowest address) has the reference.
 *
 * A call of next() goes two ways: there is one more, or there is not. A loop around it
 * ends although the verifier does not know after how many rounds, because the iterator
 * itself counts. So the path on which there is one more may end where it comes round to a
 * call that it has been at before with the same iterator, if all that it holds lies
 * within what was held then: whatever is done after this was looked at from there. To
 * come to such a state soon, what changed from one round to the next and decided nothing
 * is taken to be anything (state_widen()).
 */
#include "vm/verifier_int.h"

static const struct {
	const char *name;
	uint32_t slots;
} kinds[] = {
	[ITER_NUM] = {"num", 1},
	[ITER_BITS] = {"bits", 2},
};

const char *iter_name(enum iter_kind kind)
{
	return kinds[kind].name;
}

/* The slot of the lowest address, -EINVAL where none can be, or -ERANGE: not in the frame. */
static int place_of(struct verifier *v, int regno, enum iter_kind kind)
{
	const struct reg *r = &cur_regs(v)[regno];
	int64_t off;

	if (!tnum_is_const(r->var_off)) {
		verbose(v, "iter has to be at a constant offset\n");
		return -EINVAL;
	}
	off = (int64_t)r->var_off.value + r->off;
	if (off % VER_SLOT) {
		verbose(v, "cannot pass in iter at an offset=%lld\n", (long long)off);
		return -EINVAL;
	}
	if (off < -VER_MAX_STACK || -off < kinds[kind].slots * VER_SLOT)
		return -ERANGE;
	return -off / VER_SLOT - 1;
}

static int check_on_stack(struct verifier *v, int regno)
{
	if (cur_regs(v)[regno].kind == REG_STACK)
		return 0;
	verbose(v, "arg#%d expected pointer to an iterator on stack\n", regno - 1);
	return -EINVAL;
}

static uint64_t slot_mask(int top, enum iter_kind kind)
{
	return ((1ULL << kinds[kind].slots) - 1) << (top - (int)kinds[kind].slots + 1);
}

int iter_check_new(struct verifier *v, int regno, enum iter_kind kind)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct frame *f;
	bool taken;
	int top, err = check_on_stack(v, regno);

	if (err)
		return err;
	f = v->cur->frames[r->frame];
	top = place_of(v, regno, kind);
	taken = top == -EINVAL;
	for (int i = top; i >= 0 && i > top - (int)kinds[kind].slots; i--)
		for (int b = 0; i < (int)f->slot_cnt && b < VER_SLOT; b++)
			taken |= f->slots[i].kind[b] == SLOT_ITER;
	if (taken) {
		verbose(v, "expected uninitialized iter_%s as arg #%d\n", kinds[kind].name,
			regno - 1);
		return -EINVAL;
	}
	for (uint32_t i = 0; top < 0 && i < kinds[kind].slots; i++) {
		err = stack_check_bounds(v, r, regno, i * VER_SLOT, VER_SLOT, "write to");
		if (err)
			return err;
	}
	return stack_helper_access(v, regno, kinds[kind].slots * VER_SLOT, true, true);
}

void iter_make(struct verifier *v, int regno, enum iter_kind kind, uint32_t ref_id)
{
	const uint32_t frame = cur_regs(v)[regno].frame;
	struct frame *f = v->cur->frames[frame];
	int top = place_of(v, regno, kind);

	slices_leave_bytes(v, frame, -VER_SLOT * (top + 1),
			   VER_SLOT * ((int)kinds[kind].slots - (top + 1)));
	for (int i = top; i > top - (int)kinds[kind].slots; i--) {
		struct slot *s = &f->slots[i];

		reg_mark_pointer(&s->spilled, REG_ITER);
		s->spilled.sub = kind;
		s->spilled.ref_id = i == top ? ref_id : 0;
		s->spilled.range = 0;
		s->spilled.drained = false;
		for (int b = 0; b < VER_SLOT; b++)
			s->kind[b] = SLOT_ITER;
	}
}

/* What `r` points to, which is known to be one. */
static struct reg *iter_at(struct state *s, const struct reg *r)
{
	const int64_t off = (int64_t)r->var_off.value + r->off;

	return &s->frames[r->frame]->slots[-off / VER_SLOT - 1].spilled;
}

int iter_check(struct verifier *v, int regno, enum iter_kind kind, uint32_t *ref_id)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct frame *f;
	bool whole;
	int top, err = check_on_stack(v, regno);

	if (err)
		return err;
	f = v->cur->frames[r->frame];
	top = place_of(v, regno, kind);
	whole = top >= 0;
	for (int i = top; i >= 0 && i > top - (int)kinds[kind].slots; i--) {
		const struct slot *s = i < (int)f->slot_cnt ? &f->slots[i] : NULL;

		whole &= s && s->kind[0] == SLOT_ITER && s->spilled.sub == kind &&
			 !s->spilled.ref_id == (i != top);
		for (int b = 1; whole && b < VER_SLOT; b++)
			whole = s->kind[b] == SLOT_ITER;
	}
	if (!whole) {
		verbose(v, "expected an initialized iter_%s as arg #%d\n", kinds[kind].name,
			regno - 1);
		return -EINVAL;
	}
	flow_read_slots(v, r->frame, slot_mask(top, kind));
	*ref_id = f->slots[top].spilled.ref_id;
	return 0;
}

void iter_drop(struct verifier *v, int regno, enum iter_kind kind)
{
	struct frame *f = v->cur->frames[cur_regs(v)[regno].frame];
	int top = place_of(v, regno, kind);

	for (int i = top; i > top - (int)kinds[kind].slots; i--)
		for (int b = 0; b < VER_SLOT; b++)
			f->slots[i].kind[b] = SLOT_INVALID;
}

/* The state in which this call of next() was come to a round before. */
static const struct state *last_round(const struct verifier *v, uint32_t ref_id)
{
	for (const struct state *s = v->cur->parent; s; s = s->parent) {
		bool has = false;

		if (s->insn != v->insn || s->cur != v->cur->cur)
			continue;
		for (uint32_t f = 0; f <= s->cur && !has; f++)
			for (uint32_t i = 0; i < s->frames[f]->slot_cnt && !has; i++)
				has = s->frames[f]->slots[i].kind[0] == SLOT_ITER &&
				      s->frames[f]->slots[i].spilled.ref_id == ref_id;
		/* the checkpoint of this very call is the youngest: the round before is wanted */
		if (has && s != v->cur->parent)
			return s;
	}
	return NULL;
}

int iter_next(struct verifier *v, const struct reg *where)
{
	struct reg *it = iter_at(v->cur, where);

	if (!it->drained) {
		const struct state *before = last_round(v, it->ref_id);
		struct state *more = push_path(v, v->insn + 1, v->insn);

		if (!more)
			return v->path_cnt > VER_MAX_PATHS ? -E2BIG : -ENOMEM;
		iter_at(more, where)->range++;
		if (before)
			state_widen(v, before, more, v->insn, false);
	}
	it->drained = true;
	return 0;
}

static bool is_active(const struct slot *s)
{
	return s->kind[0] == SLOT_ITER && s->spilled.ref_id && !s->spilled.drained;
}

static const struct slot *slot_of(const struct state *s, uint32_t f, uint32_t i)
{
	return i < s->frames[f]->slot_cnt ? &s->frames[f]->slots[i] : NULL;
}

bool iter_same(const struct state *a, const struct state *b)
{
	for (uint32_t f = 0; f <= a->cur; f++)
		for (uint32_t i = 0; i < a->frames[f]->slot_cnt; i++) {
			const struct slot *x = &a->frames[f]->slots[i], *y = slot_of(b, f, i);

			if (is_active(x) && (!y || y->kind[0] != SLOT_ITER ||
					     y->spilled.ref_id != x->spilled.ref_id))
				return false;
		}
	return true;
}

bool iter_goes_on(const struct state *a, const struct state *b)
{
	const struct reg *x = &state_frame(a)->regs[1], *y = &state_frame(b)->regs[1];
	const struct slot *s, *t;
	int64_t off;

	if (x->kind != REG_STACK || y->kind != REG_STACK || x->frame != y->frame ||
	    !tnum_is_const(x->var_off) || !tnum_is_const(y->var_off))
		return false;
	off = (int64_t)x->var_off.value + x->off;
	if (off != (int64_t)y->var_off.value + y->off || off >= 0 || off < -VER_MAX_STACK)
		return false;
	s = slot_of(a, x->frame, -off / VER_SLOT - 1);
	t = slot_of(b, y->frame, -off / VER_SLOT - 1);
	return s && t && is_active(s) && is_active(t) && s->spilled.ref_id == t->spilled.ref_id &&
	       s->spilled.range < t->spilled.range;
}
