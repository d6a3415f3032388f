/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tristate numbers: what is known of each bit of a 64-bit value.
 *
 * A bit is 0 or 1 as in `value` where `mask` has 0, and unknown where `mask`
 * has 1; there `value` has 0. The set that (v, m) stands for is
 * { x : (x & ~m) == v }.
 */
#ifndef SHMAP_VM_VERIFIER_TNUM_H
#define SHMAP_VM_VERIFIER_TNUM_H

#include <stdbool.h>
#include <stdint.h>

struct tnum {
	uint64_t value;
	uint64_t mask;
};

static inline struct tnum tnum_const(uint64_t v)
{
	return (struct tnum){v, 0};
}

static inline struct tnum tnum_unknown(void)
{
	return (struct tnum){0, UINT64_MAX};
}

static inline bool tnum_is_const(struct tnum a)
{
	return !a.mask;
}

/* Every value of b is one of a's. */
static inline bool tnum_in(struct tnum a, struct tnum b)
{
	return !(b.mask & ~a.mask) && (b.value & ~a.mask) == a.value;
}

static inline struct tnum tnum_low32(struct tnum a)
{
	return (struct tnum){(uint32_t)a.value, (uint32_t)a.mask};
}

static inline bool tnum_low32_is_const(struct tnum a)
{
	return !(uint32_t)a.mask;
}

struct tnum tnum_range(uint64_t min, uint64_t max);
struct tnum tnum_add(struct tnum a, struct tnum b);
struct tnum tnum_sub(struct tnum a, struct tnum b);
struct tnum tnum_and(struct tnum a, struct tnum b);
struct tnum tnum_or(struct tnum a, struct tnum b);
struct tnum tnum_xor(struct tnum a, struct tnum b);
struct tnum tnum_mul(struct tnum a, struct tnum b);
struct tnum tnum_lsh(struct tnum a, unsigned int n);
struct tnum tnum_rsh(struct tnum a, unsigned int n);
/* Arithmetic right shift of the low `bits` (32 or 64) bits. */
struct tnum tnum_arsh(struct tnum a, unsigned int n, unsigned int bits);
/* Values that both allow; the caller knows that there is one. */
struct tnum tnum_intersect(struct tnum a, struct tnum b);
/* The low `size` bytes, zero above. */
struct tnum tnum_cast(struct tnum a, unsigned int size);
/* a's upper half with low's lower half. */
struct tnum tnum_with_low32(struct tnum a, struct tnum low);
/* Reverses the bytes of the low `bits` bits, zero above. */
struct tnum tnum_bswap(struct tnum a, unsigned int bits);

#endif
