/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conditional jumps: which way they go when that is certain, and what either
 * way tells about the operands.
 */
#include "vm/verifier_int.h"

static uint8_t op_inverse(uint8_t op)
{
	switch (op) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JNE:
		return BPF_JEQ;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JLE:
		return BPF_JGT;
	case BPF_JGE:
		return BPF_JLT;
	case BPF_JLT:
		return BPF_JGE;
	case BPF_JSGT:
		return BPF_JSLE;
	case BPF_JSLE:
		return BPF_JSGT;
	case BPF_JSGE:
		return BPF_JSLT;
	case BPF_JSLT:
		return BPF_JSGE;
	case BPF_JSET:
		return 0xff; /* "no common bit": has no opcode */
	default:
		return BPF_JSET;
	}
}

#define JNSET 0xff

/* a op b with the operands exchanged: b op' a. */
static uint8_t op_mirror(uint8_t op)
{
	switch (op) {
	case BPF_JGT:
		return BPF_JLT;
	case BPF_JGE:
		return BPF_JLE;
	case BPF_JLT:
		return BPF_JGT;
	case BPF_JLE:
		return BPF_JGE;
	case BPF_JSGT:
		return BPF_JSLT;
	case BPF_JSGE:
		return BPF_JSLE;
	case BPF_JSLT:
		return BPF_JSGT;
	case BPF_JSLE:
		return BPF_JSGE;
	}
	return op;
}

/* Comparison of the ranges [amin, amax] and [bmin, bmax]. */
#define RANGES(amin, amax, bmin, bmax, op, gt, ge, lt, le)                                         \
	do {                                                                                       \
		if ((op) == (gt))                                                                  \
			return (amin) > (bmax) ? 1 : (amax) <= (bmin) ? 0 : -1;                    \
		if ((op) == (ge))                                                                  \
			return (amin) >= (bmax) ? 1 : (amax) < (bmin) ? 0 : -1;                    \
		if ((op) == (lt))                                                                  \
			return (amax) < (bmin) ? 1 : (amin) >= (bmax) ? 0 : -1;                    \
		if ((op) == (le))                                                                  \
			return (amax) <= (bmin) ? 1 : (amin) > (bmax) ? 0 : -1;                    \
	} while (0)

static int equal_taken(const struct reg *a, const struct reg *b, bool is32)
{
	const struct tnum x = is32 ? tnum_low32(a->var_off) : a->var_off;
	const struct tnum y = is32 ? tnum_low32(b->var_off) : b->var_off;
	const uint64_t known = ~x.mask & ~y.mask;

	if (tnum_is_const(x) && tnum_is_const(y))
		return x.value == y.value;
	if ((x.value & known) != (y.value & known))
		return 0;
	if (a->u32_max < b->u32_min || b->u32_max < a->u32_min || a->s32_max < b->s32_min ||
	    b->s32_max < a->s32_min)
		return 0;
	if (!is32 &&
	    (a->umax < b->umin || b->umax < a->umin || a->smax < b->smin || b->smax < a->smin))
		return 0;
	return -1;
}

static int set_taken(const struct reg *a, const struct reg *b, bool is32)
{
	const struct tnum x = is32 ? tnum_low32(a->var_off) : a->var_off;
	const struct tnum y = is32 ? tnum_low32(b->var_off) : b->var_off;

	if (!tnum_is_const(x) && !tnum_is_const(y)) /* the kernel looks no further */
		return -1;
	if (x.value & y.value)
		return 1;
	return (x.value | x.mask) & (y.value | y.mask) ? -1 : 0;
}

int branch_taken(const struct reg *a, const struct reg *b, uint8_t op, bool is32)
{
	int taken;

	switch (op) {
	case BPF_JEQ:
		return equal_taken(a, b, is32);
	case BPF_JNE:
		taken = equal_taken(a, b, is32);
		return taken < 0 ? taken : !taken;
	case BPF_JSET:
		return set_taken(a, b, is32);
	}
	if (is32) {
		RANGES(a->u32_min, a->u32_max, b->u32_min, b->u32_max, op, BPF_JGT, BPF_JGE,
		       BPF_JLT, BPF_JLE);
		RANGES(a->s32_min, a->s32_max, b->s32_min, b->s32_max, op, BPF_JSGT, BPF_JSGE,
		       BPF_JSLT, BPF_JSLE);
	} else {
		RANGES(a->umin, a->umax, b->umin, b->umax, op, BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE);
		RANGES(a->smin, a->smax, b->smin, b->smax, op, BPF_JSGT, BPF_JSGE, BPF_JSLT,
		       BPF_JSLE);
	}
	return -1;
}

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

/* a < b (strict) or a <= b on one pair of views; false when impossible. */
#define REFINE_LESS(a, b, min, max, lowest, highest, strict)                                       \
	do {                                                                                       \
		if (strict) {                                                                      \
			if ((b)->max == (lowest) || (a)->min == (highest))                         \
				return false;                                                      \
			(a)->max = MIN_OF((a)->max, (b)->max - 1);                                 \
			(b)->min = MAX_OF((b)->min, (a)->min + 1);                                 \
		} else {                                                                           \
			(a)->max = MIN_OF((a)->max, (b)->max);                                     \
			(b)->min = MAX_OF((b)->min, (a)->min);                                     \
		}                                                                                  \
	} while (0)

static bool refine_less(struct reg *a, struct reg *b, bool is_signed, bool strict, bool is32)
{
	if (is32 && is_signed)
		REFINE_LESS(a, b, s32_min, s32_max, INT32_MIN, INT32_MAX, strict);
	else if (is32)
		REFINE_LESS(a, b, u32_min, u32_max, 0, UINT32_MAX, strict);
	else if (is_signed)
		REFINE_LESS(a, b, smin, smax, INT64_MIN, INT64_MAX, strict);
	else
		REFINE_LESS(a, b, umin, umax, 0, UINT64_MAX, strict);
	return true;
}

static void refine_equal(struct reg *a, struct reg *b, bool is32)
{
	struct tnum t;

	a->u32_min = b->u32_min = MAX_OF(a->u32_min, b->u32_min);
	a->u32_max = b->u32_max = MIN_OF(a->u32_max, b->u32_max);
	a->s32_min = b->s32_min = MAX_OF(a->s32_min, b->s32_min);
	a->s32_max = b->s32_max = MIN_OF(a->s32_max, b->s32_max);
	if (is32) {
		t = tnum_intersect(tnum_low32(a->var_off), tnum_low32(b->var_off));
		a->var_off = tnum_with_low32(a->var_off, t);
		b->var_off = tnum_with_low32(b->var_off, t);
		return;
	}
	a->umin = b->umin = MAX_OF(a->umin, b->umin);
	a->umax = b->umax = MIN_OF(a->umax, b->umax);
	a->smin = b->smin = MAX_OF(a->smin, b->smin);
	a->smax = b->smax = MIN_OF(a->smax, b->smax);
	a->var_off = b->var_off = tnum_intersect(a->var_off, b->var_off);
}

/* a != the constant c: shaves an end that equals it. */
static void refine_differs(struct reg *a, const struct reg *c, bool is32)
{
	if (is32) {
		if (!tnum_low32_is_const(c->var_off))
			return;
		const uint32_t u = (uint32_t)c->var_off.value;

		if (a->u32_min == u && u != UINT32_MAX)
			a->u32_min++;
		else if (a->u32_max == u && u)
			a->u32_max--;
		if (a->s32_min == (int32_t)u && a->s32_min != INT32_MAX)
			a->s32_min++;
		else if (a->s32_max == (int32_t)u && a->s32_max != INT32_MIN)
			a->s32_max--;
		return;
	}
	if (!tnum_is_const(c->var_off))
		return;
	const uint64_t u = c->var_off.value;

	if (a->umin == u && u != UINT64_MAX)
		a->umin++;
	else if (a->umax == u && u)
		a->umax--;
	if (a->smin == (int64_t)u && a->smin != INT64_MAX)
		a->smin++;
	else if (a->smax == (int64_t)u && a->smax != INT64_MIN)
		a->smax--;
}

/* The bits of the constant c: one of them is set in a (only useful if it is
 * the only one), or none is. */
static void refine_bits(struct reg *a, const struct reg *c, bool none, bool is32)
{
	const struct tnum t = is32 ? tnum_low32(c->var_off) : c->var_off;

	if (!tnum_is_const(t))
		return;
	if (none) {
		/* as in the kernel, the ranges are forgotten: dead branches come here too */
		const struct tnum bits = a->var_off;

		reg_var_unknown(a);
		a->var_off = bits;
		a->var_off.value &= ~t.value;
		a->var_off.mask &= ~t.value;
	} else if (t.value && !(t.value & (t.value - 1))) {
		a->var_off.value |= t.value;
		a->var_off.mask &= ~t.value;
	}
}

bool branch_refine(struct reg *a, struct reg *b, uint8_t op, bool is32)
{
	bool possible = true;

	switch (op) {
	case BPF_JEQ:
		refine_equal(a, b, is32);
		break;
	case BPF_JNE:
		refine_differs(a, b, is32);
		refine_differs(b, a, is32);
		break;
	case BPF_JSET:
	case JNSET:
		refine_bits(a, b, op == JNSET, is32);
		refine_bits(b, a, op == JNSET, is32);
		break;
	case BPF_JLT:
	case BPF_JLE:
	case BPF_JSLT:
	case BPF_JSLE:
		possible = refine_less(a, b, op == BPF_JSLT || op == BPF_JSLE,
				       op == BPF_JLT || op == BPF_JSLT, is32);
		break;
	default:
		op = op_mirror(op);
		possible = refine_less(b, a, op == BPF_JSLT || op == BPF_JSLE,
				       op == BPF_JLT || op == BPF_JSLT, is32);
		break;
	}
	if (!possible)
		return false;
	reg_sync(a);
	reg_sync(b);
	return a->umin <= a->umax && a->smin <= a->smax && a->u32_min <= a->u32_max &&
	       a->s32_min <= a->s32_max && b->umin <= b->umax && b->smin <= b->smax &&
	       b->u32_min <= b->u32_max && b->s32_min <= b->s32_max;
}

/*
 * After a packet pointer was compared with the end: `pkt` <= end (or < end, or
 * the other way round, as said by the caller) holds in s. Every pointer with
 * its base learns how many bytes are there.
 */
static void packet_range(struct state *s, const struct reg *pkt, bool strict)
{
	const uint32_t id = pkt->id;
	const uint8_t kind = pkt->kind;
	int64_t range = pkt->off;
	struct reg *r;

	/* (before the end, at offset 0, says that there is one byte; the kernel does
	 * not take it) */
	if (pkt->off <= 0)
		return;
	if (pkt->umax > VER_MAX_PACKET_OFF || pkt->umax + pkt->off > VER_MAX_PACKET_OFF)
		return;
	if (strict)
		range++;
	for_each_reg(s, r) if (r->kind == kind && r->id == id && r->range < range) r->range = range;
}

static bool pkt_order(const struct reg *a, const struct reg *b)
{
	return (a->kind == REG_PKT && b->kind == REG_PKT_END) ||
	       (a->kind == REG_PKT_META && b->kind == REG_PKT && !b->off &&
		tnum_is_const(b->var_off) && !b->var_off.value);
}

/* The pointer is behind the end or, for all that is known, at it. */
static void packet_end(struct state *s, int regno, int32_t range)
{
	struct reg *r = &state_frame(s)->regs[regno];

	if (r->kind == REG_PKT)
		r->range = range;
}

/* A packet pointer that was found to be at the end or behind it, compared with it again. */
static int packet_taken(const struct reg *dst, const struct reg *src, uint8_t op)
{
	const struct reg *pkt = dst;

	if (dst->kind == REG_PKT_END) {
		pkt = src;
		op = op_mirror(op);
	} else if (src->kind != REG_PKT_END) {
		return -1;
	}
	if (pkt->kind != REG_PKT || pkt->range >= 0)
		return -1;
	switch (op) {
	case BPF_JLE:
	case BPF_JGT:
		return pkt->range == RANGE_BEYOND_END ? op == BPF_JGT : -1;
	case BPF_JLT:
	case BPF_JGE:
		return op == BPF_JGE;
	}
	return -1;
}

/* What the comparison of a packet pointer with the packet's end tells, if it is one. */
static void packet_branch(const struct bpf_insn *insn, const struct reg *dst,
			  const struct reg *src, struct state *yes, struct state *no)
{
	uint8_t op = INSN_OP(insn->code);
	const struct reg *pkt = dst;
	int regno = insn->dst_reg;

	if (!pkt_order(dst, src)) {
		if (!pkt_order(src, dst))
			return;
		pkt = src;
		regno = insn->src_reg;
		op = op_mirror(op);
	}
	const struct reg copy = *pkt;

	switch (op) { /* pkt op end */
	case BPF_JGT:
		packet_range(no, &copy, false);
		packet_end(yes, regno, RANGE_BEYOND_END);
		break;
	case BPF_JLT:
		packet_range(yes, &copy, true);
		packet_end(no, regno, RANGE_AT_END);
		break;
	case BPF_JGE:
		packet_range(no, &copy, true);
		packet_end(yes, regno, RANGE_AT_END);
		break;
	case BPF_JLE:
		packet_range(yes, &copy, false);
		packet_end(no, regno, RANGE_BEYOND_END);
		break;
	}
}

static void set_not_null(struct verifier *v, struct reg *r)
{
	r->or_null = false;
	/* what a map of maps holds */
	if (r->kind == REG_MAP_VALUE && ver_map(v, r->map)->inner) {
		r->kind = REG_MAP_PTR;
		r->map |= VER_MAP_INNER;
	}
	/* the id goes on to name a value with a lock, and a reference */
	if (!(r->kind == REG_MAP_VALUE && ver_map(v, r->map)->attr.spin_lock_off >= 0))
		r->id = 0;
}

/* All registers that share id learn whether they are NULL. */
static void settle_null(struct verifier *v, struct state *s, uint32_t id, bool null)
{
	uint32_t ref = 0;
	struct reg *r;

	for_each_reg(s, r)
	{
		if (!r->or_null || r->id != id)
			continue;
		if (null) {
			if (r->ref_id == id) /* not a dynptr's memory */
				ref = r->ref_id;
			reg_mark_const(r, 0);
			continue;
		}
		set_not_null(v, r);
	}
	if (ref)
		for (uint32_t i = 0; i < s->ref_cnt; i++)
			if (s->refs[i].id == ref) {
				s->refs[i] = s->refs[--s->ref_cnt];
				break;
			}
}

/* *r is *known plus the difference of what was added to the two. */
static void follow_linked(struct reg *r, const struct reg *known)
{
	const int32_t off = r->off;
	const uint8_t added = r->added;
	struct reg delta;

	if (added == known->added && off == known->off) {
		*r = *known;
		return;
	}
	/* the sum in 32 bits and the one in 64 tell nothing of each other; nor does the
	 * former of what it was made from, unless that has no upper half */
	if (added && known->added && added != known->added)
		return;
	if (known->added == 32 && !added && r->umax > UINT32_MAX)
		return;
	*r = *known;
	reg_mark_const(&delta, (uint64_t)((int64_t)off - known->off));
	scalar_alu(r, &delta, BPF_ADD, added == 32 || known->added == 32, false);
	r->id = known->id;
	r->off = off;
	r->added = added;
}

/* Copies what was learnt about r to the scalars that hold the same value. */
static void spread_linked(struct verifier *v, struct state *s, const struct reg *from)
{
	const struct reg known = *from;
	struct reg *r;

	if (!known.id || known.kind != REG_SCALAR)
		return;
	for_each_reg(s, r) if (r->kind == REG_SCALAR && r->id == known.id) follow_linked(r, &known);
}

static void note_linked(struct verifier *v, const struct state *s, uint32_t id)
{
	uint16_t regs[VER_MAX_FRAMES] = {0};
	uint64_t slots[VER_MAX_FRAMES] = {0};
	uint32_t frames = 0, n = 0;

	if (!id)
		return;
	for (uint32_t f = 0; f <= s->cur; f++) {
		const struct frame *fr = s->frames[f];

		for (int i = 0; i < VER_REGS; i++)
			if (fr->regs[i].kind == REG_SCALAR && fr->regs[i].id == id)
				regs[f] |= 1 << i, n++;
		for (uint32_t i = 0; i < fr->slot_cnt; i++)
			if (fr->slots[i].kind[0] == SLOT_SPILL &&
			    fr->slots[i].spilled.kind == REG_SCALAR &&
			    fr->slots[i].spilled.id == id)
				slots[f] |= 1ULL << i, n++;
		frames += regs[f] || slots[f];
	}
	if (n < 2)
		return;
	if (frames == 1 && (regs[s->cur] || slots[s->cur])) {
		flow_add_linked(v, regs[s->cur], slots[s->cur]);
		return;
	}
	/* across frames the flow does not follow: all of them matter */
	for (uint32_t f = 0; f <= s->cur; f++) {
		for (int i = 0; i < VER_REGS; i++)
			if (regs[f] & 1 << i)
				flow_need_reg(v, f, i);
		if (slots[f])
			flow_need_slots(v, f, slots[f]);
	}
}

static void refine_both(struct verifier *v, struct state *s, struct reg *a, struct reg *b,
			uint8_t op, bool is32)
{
	struct reg was_a = *a, was_b = *b;

	/* An outcome that the views together exclude, though branch_taken() did
	 * not see it: nothing runs here. Walking on with what was known before
	 * is sound; a contradiction must not be carried on. */
	if (!branch_refine(a, b, op, is32)) {
		*a = was_a;
		*b = was_b;
		return;
	}
	spread_linked(v, s, a);
	spread_linked(v, s, b);
}

static bool never_null(const struct reg *r)
{
	if (r->or_null)
		return false;
	return r->kind == REG_MAP_VALUE || r->kind == REG_MAP_KEY || r->kind == REG_MEM ||
	       r->kind == REG_MAP_PTR;
}

int check_cond_jmp(struct verifier *v, const struct bpf_insn *insn, uint32_t *next)
{
	const bool is32 = INSN_CLASS(insn->code) == BPF_JMP32, x = INSN_SRC(insn->code);
	const uint8_t op = INSN_OP(insn->code);
	struct reg *dst, *src, imm;
	const uint32_t here = v->insn, target = here + 1 + insn->off;
	struct state *other;
	int taken = -1, err;

	err = check_reg_read(v, insn->dst_reg);
	if (!err && x)
		err = check_reg_read(v, insn->src_reg);
	if (err)
		return err;
	dst = &cur_regs(v)[insn->dst_reg];
	if (x) {
		src = &cur_regs(v)[insn->src_reg];
	} else {
		reg_mark_const(&imm, (uint64_t)(int64_t)insn->imm);
		src = &imm;
	}
	if (dst->kind == REG_SCALAR && src->kind == REG_SCALAR) {
		taken = branch_taken(dst, src, op, is32);
	} else if (!is32 && reg_is_zero(src) && never_null(dst) &&
		   (op == BPF_JEQ || op == BPF_JNE)) {
		taken = op == BPF_JNE;
		if (x)
			flow_need_reg(v, v->cur->cur, insn->src_reg);
	}
	if (x && !is32 && taken < 0)
		taken = packet_taken(dst, src, op);
	if (taken >= 0) {
		if (dst->kind == REG_SCALAR) {
			flow_need_reg(v, v->cur->cur, insn->dst_reg);
			if (x)
				flow_need_reg(v, v->cur->cur, insn->src_reg);
		}
		*next = taken ? target : here + 1;
		return 0;
	}
	if (dst->kind == REG_SCALAR && dst != src)
		note_linked(v, v->cur, dst->id);
	if (x && src->kind == REG_SCALAR && dst != src)
		note_linked(v, v->cur, src->id);

	/* `other` takes the jump, the current state falls through */
	other = push_path(v, target, here);
	if (!other)
		return v->path_cnt > VER_MAX_PATHS ? -E2BIG : -ENOMEM;
	*next = here + 1;

	struct reg *jdst = &state_frame(other)->regs[insn->dst_reg];
	struct reg jimm = *src, *jsrc = x ? &state_frame(other)->regs[insn->src_reg] : &jimm;

	if (dst->kind == REG_SCALAR && src->kind == REG_SCALAR && dst != src) {
		refine_both(v, other, jdst, jsrc, op, is32);
		refine_both(v, v->cur, dst, src, op_inverse(op), is32);
		return 0;
	}
	if (!is32 && dst->or_null && !x && !insn->imm && (op == BPF_JEQ || op == BPF_JNE)) {
		uint32_t id = dst->id;

		settle_null(v, other, id, op == BPF_JEQ);
		settle_null(v, v->cur, id, op == BPF_JNE);
		return 0;
	}
	/* equal to a pointer that is not null: not null either, this register (the kernel does
	 * not look for copies) */
	if (x && !is32 && (op == BPF_JEQ || op == BPF_JNE) && dst->or_null != src->or_null &&
	    dst->kind != REG_SCALAR && src->kind != REG_SCALAR && dst->kind != REG_BTF_ID &&
	    src->kind != REG_BTF_ID) {
		struct state *equal = op == BPF_JEQ ? other : v->cur;

		set_not_null(
			v, &state_frame(equal)->regs[dst->or_null ? insn->dst_reg : insn->src_reg]);
		return 0;
	}
	if (x && !is32)
		packet_branch(insn, dst, src, other, v->cur);
	return 0;
}
