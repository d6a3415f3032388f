/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * States: copies, comparison, and the checkpoints at which a path may end
 * because an earlier one covers it.
 *
 * Every state with unfinished paths is an ancestor of the current path or of a
 * waiting one. A state whose paths are all finished (branches == 0) proves
 * that everything below it is safe; a new state at the same instruction that
 * it covers in all that matters (verifier_flow.c) needs no walk.
 */
#include "vm/verifier_int.h"

#include <stdlib.h>
#include <string.h>

const struct ver_watch *ver_watch;

struct state *state_new(void)
{
	return calloc(1, sizeof(struct state));
}

struct frame *frame_new(uint32_t subprog, uint32_t callsite, uint32_t frameno)
{
	struct frame *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	for (int i = 0; i < VER_REGS; i++)
		reg_mark_not_init(&f->regs[i]);
	reg_mark_pointer(&f->regs[VER_FP], REG_STACK);
	f->regs[VER_FP].frame = frameno;
	f->subprog = subprog;
	f->callsite = callsite;
	return f;
}

static void frame_free(struct frame *f)
{
	if (f)
		free(f->slots);
	free(f);
}

int frame_grow(struct frame *f, uint32_t slot_cnt)
{
	struct slot *slots;

	if (slot_cnt <= f->slot_cnt)
		return 0;
	slots = realloc(f->slots, slot_cnt * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + f->slot_cnt, 0, (slot_cnt - f->slot_cnt) * sizeof(*slots));
	f->slots = slots;
	f->slot_cnt = slot_cnt;
	return 0;
}

void state_free(struct state *s)
{
	if (!s)
		return;
	for (int i = 0; i < VER_MAX_FRAMES; i++)
		frame_free(s->frames[i]);
	free(s);
}

struct state *state_copy(const struct state *s)
{
	struct state *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	*c = *s;
	memset(c->frames, 0, sizeof(c->frames));
	for (uint32_t i = 0; i <= s->cur; i++) {
		struct frame *f = malloc(sizeof(*f));

		if (!f)
			goto fail;
		*f = *s->frames[i];
		c->frames[i] = f;
		f->slots = NULL;
		if (f->slot_cnt) {
			f->slots = malloc(f->slot_cnt * sizeof(struct slot));
			if (!f->slots)
				goto fail;
			memcpy(f->slots, s->frames[i]->slots, f->slot_cnt * sizeof(struct slot));
		}
	}
	return c;
fail:
	state_free(c);
	return NULL;
}

/* Pairs of ids that stand for each other in the two states. */
struct id_map {
	struct {
		uint32_t old, cur;
	} pair[VER_REGS * VER_MAX_FRAMES * 2 + VER_MAX_REFS];
	uint32_t cnt;
};

static bool ids_match(struct id_map *m, uint32_t old, uint32_t cur)
{
	if (!old != !cur)
		return false;
	if (!old)
		return true;
	for (uint32_t i = 0; i < m->cnt; i++) {
		if (m->pair[i].old == old)
			return m->pair[i].cur == cur;
		if (m->pair[i].cur == cur)
			return false;
	}
	if (m->cnt == ARRAY_SIZE(m->pair))
		return false;
	m->pair[m->cnt].old = old;
	m->pair[m->cnt++].cur = cur;
	return true;
}

static bool same_pointer(const struct reg *a, const struct reg *b)
{
	return a->or_null == b->or_null && a->rdonly == b->rdonly && a->trusted == b->trusted &&
	       a->rcu == b->rcu && a->walked == b->walked &&
	       a->ringbuf == b->ringbuf && a->frame == b->frame && a->off == b->off &&
	       a->sub == b->sub && a->drained == b->drained && a->pkt_slice == b->pkt_slice &&
	       a->buf == b->buf && a->buf_end == b->buf_end &&
	       a->map == b->map && a->btf_id == b->btf_id && a->mem_size == b->mem_size &&
	       a->subprog == b->subprog;
}

static bool reg_covers(const struct reg *old, const struct reg *cur, struct id_map *ids,
		       bool precise, enum state_match how)
{
	if (how == MATCH_SAME)
		return old->kind == cur->kind && same_pointer(old, cur) &&
		       old->range == cur->range && reg_within(old, cur) && reg_within(cur, old) &&
		       old->added == cur->added && ids_match(ids, old->id, cur->id) &&
		       ids_match(ids, old->ref_id, cur->ref_id) &&
		       ids_match(ids, old->dynptr_id, cur->dynptr_id);
	if (old->kind == REG_NOT_INIT)
		return true; /* nothing below read it */
	if (old->kind != cur->kind)
		return false;
	if (old->kind == REG_SCALAR) {
		if (!precise && how == MATCH_COVERED)
			return true;
		/* a link in old was relied on; one more in cur only narrows it */
		return reg_within(old, cur) &&
		       (!old->id || (old->added == cur->added && old->off == cur->off &&
				     ids_match(ids, old->id, cur->id)));
	}
	if (!same_pointer(old, cur) || !ids_match(ids, old->id, cur->id) ||
	    !ids_match(ids, old->ref_id, cur->ref_id) ||
	    !ids_match(ids, old->dynptr_id, cur->dynptr_id) || !reg_within(old, cur))
		return false;
	if (reg_is_pkt(old))
		return old->range < 0 || cur->range < 0 ? old->range == cur->range
							: old->range <= cur->range;
	/* a position in a frame or in the context is an identity, not a range */
	if (old->kind == REG_STACK || old->kind == REG_CTX)
		return reg_within(cur, old);
	return true;
}

/*
 * The slot as one scalar, when it can be seen so. Not when some of its bytes are
 * known to be zero and others are not: those zeroes were read as constants
 * (old), and "any number" would forget them.
 */
static const struct reg *slot_as_scalar(const struct slot *s, bool old, struct reg *tmp)
{
	bool misc = true, zero = true;

	if (s->kind[0] == SLOT_SPILL && s->kind[VER_SLOT - 1] == SLOT_SPILL)
		return s->spilled.kind == REG_SCALAR ? &s->spilled : NULL;
	for (int i = 0; i < VER_SLOT; i++) {
		misc &= s->kind[i] == SLOT_MISC ||
			(!old && (s->kind[i] == SLOT_ZERO || s->kind[i] == SLOT_INVALID));
		zero &= s->kind[i] == SLOT_ZERO;
	}
	if (zero)
		reg_mark_const(tmp, 0);
	else if (misc)
		reg_mark_unknown(tmp);
	else
		return NULL;
	return tmp;
}

static bool slot_covers(struct verifier *v, const struct slot *old, const struct slot *cur,
			struct id_map *ids, bool precise, enum state_match how)
{
	struct reg a, b;
	const struct reg *ra, *rb;
	const bool spilled = old->kind[0] == SLOT_SPILL;

	if (old->kind[0] == SLOT_DYNPTR || old->kind[0] == SLOT_ITER)
		return !memcmp(old->kind, cur->kind, VER_SLOT) &&
		       reg_covers(&old->spilled, &cur->spilled, ids, true, how);
	if (how == MATCH_SAME) {
		if (memcmp(old->kind, cur->kind, VER_SLOT))
			return false;
		return !spilled || reg_covers(&old->spilled, &cur->spilled, ids, true, how);
	}
	/* what is cut short here may read what was never written */
	for (int i = 0; i < VER_SLOT; i++)
		if (old->kind[i] != SLOT_INVALID && cur->kind[i] == SLOT_INVALID)
			v->zero_stack = true;
	ra = slot_as_scalar(old, true, &a);
	rb = slot_as_scalar(cur, false, &b);
	if (ra && rb) /* zero bytes are read as a constant without leave: always precise */
		return reg_covers(ra, rb, ids, precise || !spilled, how);
	for (int i = 0; i < VER_SLOT; i++) {
		const uint8_t o = old->kind[i], c = cur->kind[i];

		if (o == SLOT_INVALID ||
		    (o == SLOT_MISC && (c == SLOT_ZERO || c == SLOT_INVALID)) ||
		    (o == SLOT_MISC && c == SLOT_SPILL && cur->spilled.kind == REG_SCALAR))
			continue;
		if (o != c)
			return false;
	}
	return !spilled || reg_covers(&old->spilled, &cur->spilled, ids, precise, how);
}

static bool frame_covers(struct verifier *v, const struct state *old, const struct state *cur,
			 uint32_t f, uint32_t insn, struct id_map *ids, enum state_match how)
{
	static const struct slot nothing;
	const struct frame *a = old->frames[f], *b = cur->frames[f];
	const uint16_t live = how == MATCH_SAME ? UINT16_MAX : flow_live_regs(v, old, f, insn);
	const uint16_t precise = flow_precise_regs(v, old, f, insn);
	const uint64_t slots_precise = flow_precise_slots(v, old, f, insn);
	uint64_t slots_live = flow_live_slots(v, old, f, insn);
	uint32_t n = a->slot_cnt > b->slot_cnt ? a->slot_cnt : b->slot_cnt;

	if (how != MATCH_COVERED)
		slots_live = UINT64_MAX;
	for (int i = 0; i < VER_REGS; i++)
		if ((live & 1 << i) &&
		    !reg_covers(&a->regs[i], &b->regs[i], ids, precise & 1 << i, how))
			return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *x = i < a->slot_cnt ? &a->slots[i] : &nothing;
		const struct slot *y = i < b->slot_cnt ? &b->slots[i] : &nothing;

		if ((slots_live & 1ULL << i) &&
		    !slot_covers(v, x, y, ids, slots_precise & 1ULL << i, how))
			return false;
	}
	return true;
}

bool state_equal(struct verifier *v, const struct state *old, const struct state *cur,
		 uint32_t insn, enum state_match how)
{
	struct id_map ids = {.cnt = 0};

	if (old->cur != cur->cur || old->ref_cnt != cur->ref_cnt ||
	    old->rcu_locks != cur->rcu_locks || old->preempt_locks != cur->preempt_locks ||
	    old->locked != cur->locked || !ids_match(&ids, old->lock_id, cur->lock_id) ||
	    old->lock_map != cur->lock_map)
		return false;
	for (uint32_t i = 0; i < old->ref_cnt; i++)
		if (!ids_match(&ids, old->refs[i].id, cur->refs[i].id))
			return false;
	for (uint32_t f = 0; f <= old->cur; f++)
		if (old->frames[f]->callsite != cur->frames[f]->callsite ||
		    old->frames[f]->subprog != cur->frames[f]->subprog ||
		    old->frames[f]->callback != cur->frames[f]->callback ||
		    /* fewer rounds made: old had more of them before it */
		    old->frames[f]->callback_depth > cur->frames[f]->callback_depth ||
		    (how == MATCH_SAME &&
		     old->frames[f]->callback_depth != cur->frames[f]->callback_depth))
			return false;
	for (uint32_t f = 0; f <= old->cur; f++)
		if (!frame_covers(v, old, cur, f, insn, &ids, how))
			return false;
	return true;
}

/* An id that one scalar bears links nothing. */
static void drop_lonely_ids(struct state *s)
{
	struct reg *r, *q;

	for_each_reg(s, r)
	{
		uint32_t n = 0;

		if (r->kind != REG_SCALAR || !r->id)
			continue;
		const uint32_t id = r->id;
		struct reg *mine = r;

		for (uint32_t f = 0; f <= s->cur; f++)
			for (uint32_t i = 0; i < VER_REGS + s->frames[f]->slot_cnt; i++) {
				q = state_reg_at(s->frames[f], i);
				n += q && q->kind == REG_SCALAR && q->id == id;
			}
		if (n == 1)
			scalar_unlink(mine);
	}
}

/*
 * A callback comes round again: scalars of the callers that changed since last
 * time and decided nothing so far (or all of them) become unknown, so that the
 * rounds converge.
 */
void state_widen(struct verifier *v, const struct state *old, struct state *cur, uint32_t insn,
		 bool all)
{
	flow_settle(v);
	for (uint32_t f = 0; f <= cur->cur && f <= old->cur; f++) {
		const struct frame *a = old->frames[f];
		struct frame *b = cur->frames[f];
		const uint16_t precise = all ? 0 : flow_precise_regs(v, cur, f, insn);
		const uint64_t slots = all ? 0 : flow_precise_slots(v, cur, f, insn);

		for (int i = 0; i < VER_REGS; i++)
			if (a->regs[i].kind == REG_SCALAR && b->regs[i].kind == REG_SCALAR &&
			    !(precise & 1 << i) &&
			    !(reg_within(&a->regs[i], &b->regs[i]) &&
			      reg_within(&b->regs[i], &a->regs[i])))
				reg_mark_unknown(&b->regs[i]);
		for (uint32_t i = 0; i < b->slot_cnt && i < a->slot_cnt; i++) {
			struct slot *y = &b->slots[i];
			const struct slot *x = &a->slots[i];

			if (y->kind[0] != SLOT_SPILL || x->kind[0] != SLOT_SPILL ||
			    x->spilled.kind != REG_SCALAR || y->spilled.kind != REG_SCALAR ||
			    (slots & 1ULL << i) ||
			    (reg_within(&x->spilled, &y->spilled) &&
			     reg_within(&y->spilled, &x->spilled)))
				continue;
			reg_mark_unknown(&y->spilled);
		}
	}
}

/* The ancestors of the current path can no longer be compared by what matters:
 * some of their continuations are those of a state that is still being walked. */
static void taint_ancestors(struct verifier *v)
{
	/* (of one that is marked all ancestors are) */
	for (struct state *s = v->cur->parent; s && !s->loops; s = s->parent)
		s->loops = true;
}

void state_finished(struct verifier *v, struct state *s)
{
	struct state *up = s->parent;

	while (up) {
		struct state *next = up->parent;

		if (--up->branches)
			break;
		if (up->unlinked) {
			struct state **p = &v->dropped;

			while (*p != up)
				p = &(*p)->next;
			*p = up->next;
			v->states--;
			state_free(up);
		}
		up = next;
	}
}

static void drop_checkpoint(struct verifier *v, struct state **link)
{
	struct state *s = *link;

	*link = s->next;
	if (!s->branches) {
		v->states--;
		state_free(s);
		return;
	}
	s->unlinked = true;
	s->next = v->dropped;
	v->dropped = s;
}

static int add_checkpoint(struct verifier *v, uint32_t insn, uint32_t states)
{
	struct state *s;

	drop_lonely_ids(v->cur);
	s = state_copy(v->cur);
	if (!s)
		return -ENOMEM;
	s->branches = 1;
	s->insn = insn;
	s->loops = s->unlinked = false;
	s->miss = s->hit = 0;
	s->trace = VM_PC_NONE;
	s->next = v->info[insn].states;
	v->info[insn].states = s;
	v->cur->parent = s;
	v->total_states++;
	if (states > v->max_states)
		v->max_states = states;
	if (++v->states > v->peak_states)
		v->peak_states = v->states;
	v->prev_jumps = v->jumps_walked;
	v->prev_walked = v->walked;
	return 0;
}

/*
 * Are both in the same rounds of the same loops, those of the calls whose
 * callbacks they are in (and of this call)? Only such a loop is known to end
 * (the helper counts), so only there may a path end at a state whose own paths are
 * not finished, or lead back to one that was not. Otherwise a loop of jumps
 * around a call with a callback could pass for the callback's. The same goes for
 * iterators that are in use: each is another one.
 *
 * may_goto's loops end as well, wherever they are: a run has a budget of them. A path may
 * end at an unfinished state at one when it has passed some since; and, where that has
 * happened below, at a finished state when it has passed as many. So whoever goes round
 * for ever passes infinitely many.
 */
static bool same_loops(const struct state *a, const struct state *b, bool at_call)
{
	if (a->cur != b->cur)
		return false;
	for (uint32_t f = 0; f <= a->cur; f++)
		if ((f < a->cur ? a->frames[f + 1]->callback : at_call) &&
		    a->frames[f]->loop != b->frames[f]->loop)
			return false;
	return iter_same(a, b);
}

static int visit(struct verifier *v, uint32_t insn)
{
	struct state **link = &v->info[insn].states, *s;
	const bool force = v->info[insn].checkpoint;
	uint32_t states = 0;
	/* a checkpoint pays off only after some distance */
	bool add =
		force || (v->jumps_walked - v->prev_jumps >= 2 && v->walked - v->prev_walked >= 8);

	const bool called_back = state_frame(v->cur)->called_back;
	const bool at_may_goto = insn_form(v->insns[insn].code) == INSN_MAY_GOTO;

	if (v->info[insn].callback_call && !called_back)
		state_frame(v->cur)->loop = ++v->id_gen;
	flow_settle(v);
	while ((s = *link)) {
		states++;
		if (s->branches) {
			if ((called_back || (v->info[insn].iter_next && iter_goes_on(s, v->cur))) &&
			    same_loops(s, v->cur, called_back) &&
			    state_equal(v, s, v->cur, insn, MATCH_WITHIN)) {
				taint_ancestors(v);
				s->hit++;
				if (ver_watch)
					ver_watch->covered(v, s, MATCH_WITHIN);
				return 1;
			}
			if (at_may_goto && s->may_gotos != v->cur->may_gotos &&
			    state_equal(v, s, v->cur, insn, MATCH_WITHIN)) {
				taint_ancestors(v);
				s->hit++;
				if (ver_watch)
					ver_watch->covered(v, s, MATCH_WITHIN);
				return 1;
			}
			if (!called_back && s->rounds == v->cur->rounds &&
			    s->may_gotos == v->cur->may_gotos &&
			    state_equal(v, s, v->cur, insn, MATCH_SAME)) {
				verbose(v, "infinite loop detected at insn %u\n", insn);
				verbose(v, "cur state:");
				print_state(v, v->cur, v->cur->cur, 0, 0, true);
				verbose(v, "\nold state:");
				print_state(v, s, s->cur, 0, 0, true);
				verbose(v, "\n");
				return -EINVAL;
			}
			/* in a loop: every round a checkpoint would be too many */
			if (!force && v->jumps_walked - v->prev_jumps < 20 &&
			    v->walked - v->prev_walked < 100)
				add = false;
		} else if ((!s->loops ||
			    (s->may_gotos == v->cur->may_gotos &&
			     same_loops(s, v->cur, called_back || state_frame(s)->called_back))) &&
			   state_equal(v, s, v->cur, insn,
				       s->loops ? MATCH_WITHIN : MATCH_COVERED)) {
			s->hit++;
			if (s->loops)
				taint_ancestors(v);
			if (ver_watch)
				ver_watch->covered(v, s, s->loops ? MATCH_WITHIN : MATCH_COVERED);
			return 1;
		}
		if (add)
			s->miss++;
		if (s->miss >
		    s->hit * (force && s->branches ? 64 : 3) + (force && s->branches ? 64 : 3)) {
			drop_checkpoint(v, link);
			continue;
		}
		link = &s->next;
	}
	return add ? add_checkpoint(v, insn, states) : 0;
}

/* The checkpoint keeps whether it was come to from a callback; the path does not. */
int state_visited(struct verifier *v, uint32_t insn)
{
	int err = visit(v, insn);

	state_frame(v->cur)->called_back = false;
	return err;
}

void state_free_all(struct verifier *v)
{
	struct state *s;

	for (uint32_t i = 0; v->info && i < v->cnt; i++)
		while ((s = v->info[i].states)) {
			v->info[i].states = s->next;
			state_free(s);
		}
	while ((s = v->dropped)) {
		v->dropped = s->next;
		state_free(s);
	}
	while (v->paths) {
		struct pending *p = v->paths;

		v->paths = p->next;
		state_free(p->state);
		free(p);
	}
	state_free(v->cur);
	v->cur = NULL;
}
