/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arithmetic on what is known of a value: five views of it (bits; signed and
 * unsigned range; the same of the low half), each an over-approximation, each
 * narrowed by the others in reg_sync(). Every function here must return a
 * register that admits all results of all operands that the inputs admit;
 * tests/vm/verifier/scalar-ranges-are-sound draws samples of that.
 */
#include "vm/verifier_int.h"

#include <string.h>

void reg_var_unknown(struct reg *r)
{
	r->var_off = tnum_unknown();
	r->smin = INT64_MIN, r->smax = INT64_MAX;
	r->umin = 0, r->umax = UINT64_MAX;
	r->s32_min = INT32_MIN, r->s32_max = INT32_MAX;
	r->u32_min = 0, r->u32_max = UINT32_MAX;
}

static void var_const(struct reg *r, uint64_t value)
{
	r->var_off = tnum_const(value);
	r->smin = r->smax = (int64_t)value;
	r->umin = r->umax = value;
	r->s32_min = r->s32_max = (int32_t)value;
	r->u32_min = r->u32_max = (uint32_t)value;
}

void reg_var_zero(struct reg *r)
{
	var_const(r, 0);
}

void reg_mark_not_init(struct reg *r)
{
	memset(r, 0, sizeof(*r));
	reg_var_unknown(r);
}

void reg_mark_unknown(struct reg *r)
{
	reg_mark_not_init(r);
	r->kind = REG_SCALAR;
}

void reg_mark_const(struct reg *r, uint64_t value)
{
	memset(r, 0, sizeof(*r));
	r->kind = REG_SCALAR;
	var_const(r, value);
}

void reg_mark_pointer(struct reg *r, enum reg_kind kind)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	reg_var_zero(r);
}

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define RAISE(field, to) (r->field = MAX_OF(r->field, (to)))
#define LOWER(field, to) (r->field = MIN_OF(r->field, (to)))

static void bounds_from_bits(struct reg *r)
{
	const struct tnum t = r->var_off, l = tnum_low32(t);

	RAISE(umin, t.value);
	LOWER(umax, t.value | t.mask);
	RAISE(smin, (int64_t)(t.value | (t.mask & (uint64_t)INT64_MIN)));
	LOWER(smax, (int64_t)(t.value | (t.mask & INT64_MAX)));
	RAISE(u32_min, (uint32_t)l.value);
	LOWER(u32_max, (uint32_t)(l.value | l.mask));
	RAISE(s32_min, (int32_t)(l.value | (l.mask & 0x80000000)));
	LOWER(s32_max, (int32_t)(l.value | (l.mask & 0x7fffffff)));
}

/* Signed and unsigned order agree within each half of the number circle. */
static void bounds_across_signs(struct reg *r)
{
	if ((int64_t)r->umin <= (int64_t)r->umax) {
		RAISE(smin, (int64_t)r->umin);
		LOWER(smax, (int64_t)r->umax);
	}
	if ((uint64_t)r->smin <= (uint64_t)r->smax) {
		RAISE(umin, (uint64_t)r->smin);
		LOWER(umax, (uint64_t)r->smax);
	}
	if ((int32_t)r->u32_min <= (int32_t)r->u32_max) {
		RAISE(s32_min, (int32_t)r->u32_min);
		LOWER(s32_max, (int32_t)r->u32_max);
	}
	if ((uint32_t)r->s32_min <= (uint32_t)r->s32_max) {
		RAISE(u32_min, (uint32_t)r->s32_min);
		LOWER(u32_max, (uint32_t)r->s32_max);
	}
}

static void low_half_from(struct reg *r, uint64_t min, uint64_t max)
{
	/* within one 2^32 block the low halves are ordered like the wholes */
	if (min >> 32 == max >> 32) {
		RAISE(u32_min, (uint32_t)min);
		LOWER(u32_max, (uint32_t)max);
	}
	/* and over a span that does not pass the low half's sign wrap */
	if (max - min < (1ULL << 31) && (int32_t)min <= (int32_t)max) {
		RAISE(s32_min, (int32_t)min);
		LOWER(s32_max, (int32_t)max);
	}
}

static void bounds_across_widths(struct reg *r)
{
	const uint64_t high = ~(uint64_t)UINT32_MAX;

	if (r->umin <= r->umax)
		low_half_from(r, r->umin, r->umax);
	if (r->smin <= r->smax)
		low_half_from(r, (uint64_t)r->smin, (uint64_t)r->smax);
	/* the high half of the bound with the low half's own bound */
	RAISE(umin, (r->umin & high) | r->u32_min);
	LOWER(umax, (r->umax & high) | r->u32_max);
	RAISE(smin, (int64_t)(((uint64_t)r->smin & high) | r->u32_min));
	LOWER(smax, (int64_t)(((uint64_t)r->smax & high) | r->u32_max));
	/* a value that fits in an int is its low half, sign-extended */
	if (r->smin >= INT32_MIN && r->smax <= INT32_MAX) {
		RAISE(smin, (int64_t)r->s32_min);
		LOWER(smax, (int64_t)r->s32_max);
	}
}

static bool bounds_broken(const struct reg *r)
{
	return r->umin > r->umax || r->smin > r->smax || r->u32_min > r->u32_max ||
	       r->s32_min > r->s32_max;
}

void reg_sync(struct reg *r)
{
	struct tnum low;

	bounds_from_bits(r);
	for (int i = 0; i < 3; i++) {
		bounds_across_signs(r);
		bounds_across_widths(r);
	}
	if (bounds_broken(r))
		return; /* nothing can have this value; the caller decides */
	r->var_off = tnum_intersect(r->var_off, tnum_range(r->umin, r->umax));
	low = tnum_intersect(tnum_low32(r->var_off), tnum_range(r->u32_min, r->u32_max));
	r->var_off = tnum_with_low32(r->var_off, low);
	bounds_from_bits(r);
}

static void sync_or_forget(struct reg *r)
{
	reg_sync(r);
	if (bounds_broken(r))
		reg_var_unknown(r);
}

static void forget64(struct reg *r)
{
	r->smin = INT64_MIN, r->smax = INT64_MAX;
	r->umin = 0, r->umax = UINT64_MAX;
}

static void forget32(struct reg *r)
{
	r->s32_min = INT32_MIN, r->s32_max = INT32_MAX;
	r->u32_min = 0, r->u32_max = UINT32_MAX;
}

void reg_zext32(struct reg *r)
{
	r->var_off = tnum_low32(r->var_off);
	r->umin = r->u32_min;
	r->umax = r->u32_max;
	r->smin = r->u32_min;
	r->smax = r->u32_max;
	sync_or_forget(r);
}

void reg_cast(struct reg *r, unsigned int size)
{
	const uint64_t keep = size >= 8 ? UINT64_MAX : (1ULL << (size * 8)) - 1;

	if (size >= 8)
		return;
	r->var_off = tnum_cast(r->var_off, size);
	if (size == 4) {
		reg_zext32(r);
		return;
	}
	if ((r->umin & ~keep) == (r->umax & ~keep)) {
		r->umin &= keep;
		r->umax &= keep;
	} else {
		r->umin = 0;
		r->umax = keep;
	}
	r->smin = r->umin;
	r->smax = r->umax;
	forget32(r);
	sync_or_forget(r);
}

static int64_t sign_extend(int64_t value, unsigned int size)
{
	const unsigned int n = 64 - size * 8;

	return (int64_t)((uint64_t)value << n) >> n;
}

void reg_cast_sx(struct reg *r, unsigned int size, bool is32)
{
	const unsigned int bits = size * 8;
	int64_t min = r->smin, max = r->smax;

	if (size >= 8)
		return;
	if (is32)
		min = r->s32_min, max = r->s32_max;
	if (tnum_is_const(r->var_off)) {
		var_const(r, sign_extend(r->var_off.value, size));
	} else if (min >> bits == max >> bits &&
		   (sign_extend(min, size) < 0) == (sign_extend(max, size) < 0)) {
		/* one run of values, before and after */
		const int64_t a = sign_extend(min, size), b = sign_extend(max, size);

		reg_var_unknown(r);
		r->smin = r->s32_min = MIN_OF(a, b);
		r->smax = r->s32_max = MAX_OF(a, b);
		r->var_off = tnum_range(r->smin, r->smax);
		sync_or_forget(r);
	} else {
		/* as in the kernel, what was known of the bits is forgotten */
		reg_var_unknown(r);
		r->smin = r->s32_min = -(1LL << (bits - 1));
		r->smax = r->s32_max = (1LL << (bits - 1)) - 1;
	}
	if (is32)
		reg_zext32(r);
}

bool reg_within(const struct reg *old, const struct reg *cur)
{
	return tnum_in(old->var_off, cur->var_off) && old->smin <= cur->smin &&
	       old->smax >= cur->smax && old->umin <= cur->umin && old->umax >= cur->umax &&
	       old->s32_min <= cur->s32_min && old->s32_max >= cur->s32_max &&
	       old->u32_min <= cur->u32_min && old->u32_max >= cur->u32_max;
}

static void scalar_add(struct reg *d, const struct reg *s)
{
	if (__builtin_add_overflow(d->smin, s->smin, &d->smin) |
	    __builtin_add_overflow(d->smax, s->smax, &d->smax))
		d->smin = INT64_MIN, d->smax = INT64_MAX;
	if (__builtin_add_overflow(d->umin, s->umin, &d->umin) |
	    __builtin_add_overflow(d->umax, s->umax, &d->umax))
		d->umin = 0, d->umax = UINT64_MAX;
	if (__builtin_add_overflow(d->s32_min, s->s32_min, &d->s32_min) |
	    __builtin_add_overflow(d->s32_max, s->s32_max, &d->s32_max))
		d->s32_min = INT32_MIN, d->s32_max = INT32_MAX;
	if (__builtin_add_overflow(d->u32_min, s->u32_min, &d->u32_min) |
	    __builtin_add_overflow(d->u32_max, s->u32_max, &d->u32_max))
		d->u32_min = 0, d->u32_max = UINT32_MAX;
	d->var_off = tnum_add(d->var_off, s->var_off);
}

static void scalar_sub(struct reg *d, const struct reg *s)
{
	const struct reg o = *d;

	if (__builtin_sub_overflow(o.smin, s->smax, &d->smin) |
	    __builtin_sub_overflow(o.smax, s->smin, &d->smax))
		d->smin = INT64_MIN, d->smax = INT64_MAX;
	if (__builtin_sub_overflow(o.umin, s->umax, &d->umin) |
	    __builtin_sub_overflow(o.umax, s->umin, &d->umax))
		d->umin = 0, d->umax = UINT64_MAX;
	if (__builtin_sub_overflow(o.s32_min, s->s32_max, &d->s32_min) |
	    __builtin_sub_overflow(o.s32_max, s->s32_min, &d->s32_max))
		d->s32_min = INT32_MIN, d->s32_max = INT32_MAX;
	if (__builtin_sub_overflow(o.u32_min, s->u32_max, &d->u32_min) |
	    __builtin_sub_overflow(o.u32_max, s->u32_min, &d->u32_max))
		d->u32_min = 0, d->u32_max = UINT32_MAX;
	d->var_off = tnum_sub(d->var_off, s->var_off);
}

static void scalar_mul(struct reg *d, const struct reg *s)
{
	/* without a wrap the products of the ends are the ends; the signed view
	 * follows where the result stays positive (reg_sync) */
	if (__builtin_mul_overflow(d->umin, s->umin, &d->umin) |
	    __builtin_mul_overflow(d->umax, s->umax, &d->umax))
		d->umin = 0, d->umax = UINT64_MAX;
	if (__builtin_mul_overflow(d->u32_min, s->u32_min, &d->u32_min) |
	    __builtin_mul_overflow(d->u32_max, s->u32_max, &d->u32_max))
		d->u32_min = 0, d->u32_max = UINT32_MAX;
	d->smin = INT64_MIN, d->smax = INT64_MAX;
	d->s32_min = INT32_MIN, d->s32_max = INT32_MAX;
	d->var_off = tnum_mul(d->var_off, s->var_off);
}

/* AND, OR, XOR: bit by bit from the tnums; the ranges add what they can. */
static void scalar_bitwise(struct reg *d, const struct reg *s, uint8_t op)
{
	const uint64_t umin = MAX_OF(d->umin, s->umin), umax = MIN_OF(d->umax, s->umax);
	const uint32_t u32_min = MAX_OF(d->u32_min, s->u32_min);
	const uint32_t u32_max = MIN_OF(d->u32_max, s->u32_max);

	forget64(d);
	forget32(d);
	switch (op) {
	case BPF_AND:
		d->var_off = tnum_and(d->var_off, s->var_off);
		d->umax = umax;
		d->u32_max = u32_max;
		break;
	case BPF_OR:
		d->var_off = tnum_or(d->var_off, s->var_off);
		d->umin = umin;
		d->u32_min = u32_min;
		break;
	default:
		d->var_off = tnum_xor(d->var_off, s->var_off);
		break;
	}
}

/* Shifts by a known amount. */
static void scalar_shift(struct reg *d, unsigned int n, uint8_t op, bool is32)
{
	if (is32) {
		const struct tnum low = tnum_low32(d->var_off);
		const int32_t smin = d->s32_min, smax = d->s32_max;
		const uint32_t umin = d->u32_min, umax = d->u32_max;

		forget64(d);
		forget32(d);
		switch (op) {
		case BPF_LSH:
			d->var_off = tnum_low32(tnum_lsh(low, n));
			if ((uint64_t)umax << n <= UINT32_MAX)
				d->u32_min = umin << n, d->u32_max = umax << n;
			break;
		case BPF_RSH:
			d->var_off = tnum_rsh(low, n);
			d->u32_min = umin >> n, d->u32_max = umax >> n;
			break;
		default:
			d->var_off = tnum_arsh(low, n, 32);
			d->s32_min = smin >> n, d->s32_max = smax >> n;
			break;
		}
		return;
	}
	const int64_t smin = d->smin, smax = d->smax;
	const uint64_t umin = d->umin, umax = d->umax;

	forget64(d);
	switch (op) {
	case BPF_LSH:
		/* (int) casts are a shift left and right by 32: keep the sign view */
		if (n == 32) {
			d->smin = (int64_t)((uint64_t)(int64_t)d->s32_min << 32);
			d->smax = (int64_t)((uint64_t)(int64_t)d->s32_max << 32);
		}
		d->var_off = tnum_lsh(d->var_off, n);
		if (umax <= UINT64_MAX >> n)
			d->umin = umin << n, d->umax = umax << n;
		break;
	case BPF_RSH:
		d->var_off = tnum_rsh(d->var_off, n);
		d->umin = umin >> n, d->umax = umax >> n;
		break;
	default:
		d->var_off = tnum_arsh(d->var_off, n, 64);
		d->smin = smin >> n, d->smax = smax >> n;
		break;
	}
	forget32(d);
}

void scalar_alu(struct reg *dst, const struct reg *src, uint8_t op, bool is32, bool is_signed)
{
	struct reg s = *src;
	const unsigned int bits = is32 ? 32 : 64;
	bool unfollowed = false;

	scalar_unlink(dst);
	if (is32) { /* the operands are their low halves */
		reg_zext32(dst);
		reg_zext32(&s);
	}
	switch (op) {
	case BPF_ADD:
		scalar_add(dst, &s);
		break;
	case BPF_SUB:
		scalar_sub(dst, &s);
		break;
	case BPF_MUL:
		scalar_mul(dst, &s);
		break;
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		scalar_bitwise(dst, &s, op);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		if (tnum_is_const(s.var_off) && s.var_off.value < bits)
			scalar_shift(dst, s.var_off.value, op, is32);
		else
			unfollowed = true;
		break;
	default: /* division: by zero is defined, ranges are not followed */
		unfollowed = true;
		break;
	}
	if (unfollowed) {
		/* the kernel forgets even that a 32-bit result has no upper half */
		reg_var_unknown(dst);
		return;
	}
	sync_or_forget(dst);
	if (is32)
		reg_zext32(dst);
}

void scalar_end(struct reg *dst, const struct bpf_insn *insn)
{
	const bool swap =
		INSN_CLASS(insn->code) == BPF_ALU64 ||
		(INSN_SRC(insn->code) == BPF_TO_BE) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
	struct tnum t = dst->var_off;

	t = swap ? tnum_bswap(t, insn->imm) : tnum_cast(t, insn->imm / 8);
	reg_mark_unknown(dst);
	dst->var_off = t;
	sync_or_forget(dst);
}
