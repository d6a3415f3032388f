/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/verifier_tnum.h"

struct tnum tnum_range(uint64_t min, uint64_t max)
{
	uint64_t differs = min ^ max, low;

	if (!differs)
		return tnum_const(min);
	/* from the highest bit in which the ends differ downwards, all is open */
	low = UINT64_MAX >> __builtin_clzll(differs);
	return (struct tnum){min & ~low, low};
}

struct tnum tnum_add(struct tnum a, struct tnum b)
{
	/* The carries of the smallest and the largest sum: a bit is known where
	 * both operands' bits are and the carry into it is the same in both. */
	uint64_t least = a.value + b.value;
	uint64_t most = least + (a.mask + b.mask);
	uint64_t open = (least ^ most) | a.mask | b.mask;

	return (struct tnum){least & ~open, open};
}

struct tnum tnum_sub(struct tnum a, struct tnum b)
{
	uint64_t d = a.value - b.value;
	uint64_t open = ((d + a.mask) ^ (d - b.mask)) | a.mask | b.mask;

	return (struct tnum){d & ~open, open};
}

struct tnum tnum_and(struct tnum a, struct tnum b)
{
	uint64_t ones = a.value & b.value;
	uint64_t maybe = (a.value | a.mask) & (b.value | b.mask);

	return (struct tnum){ones, maybe & ~ones};
}

struct tnum tnum_or(struct tnum a, struct tnum b)
{
	uint64_t ones = a.value | b.value;

	return (struct tnum){ones, (a.mask | b.mask) & ~ones};
}

struct tnum tnum_xor(struct tnum a, struct tnum b)
{
	uint64_t open = a.mask | b.mask;

	return (struct tnum){(a.value ^ b.value) & ~open, open};
}

struct tnum tnum_mul(struct tnum a, struct tnum b)
{
	/* Long multiplication: the known product, plus per bit of a the part of
	 * b that it leaves open. */
	struct tnum sum = tnum_const(a.value * b.value);

	for (; a.value | a.mask; a.value >>= 1, a.mask >>= 1) {
		if (a.value & 1)
			sum = tnum_add(sum, (struct tnum){0, b.mask});
		else if (a.mask & 1)
			sum = tnum_add(sum, (struct tnum){0, b.value | b.mask});
		b.value <<= 1;
		b.mask <<= 1;
	}
	return sum;
}

struct tnum tnum_lsh(struct tnum a, unsigned int n)
{
	return (struct tnum){a.value << n, a.mask << n};
}

struct tnum tnum_rsh(struct tnum a, unsigned int n)
{
	return (struct tnum){a.value >> n, a.mask >> n};
}

struct tnum tnum_arsh(struct tnum a, unsigned int n, unsigned int bits)
{
	/* an unknown sign bit is copied as unknown: shift both alike */
	if (bits == 32)
		return (struct tnum){(uint32_t)((int32_t)a.value >> n),
				     (uint32_t)((int32_t)a.mask >> n)};
	return (struct tnum){(int64_t)a.value >> n, (int64_t)a.mask >> n};
}

struct tnum tnum_intersect(struct tnum a, struct tnum b)
{
	uint64_t open = a.mask & b.mask;

	return (struct tnum){(a.value | b.value) & ~open, open};
}

struct tnum tnum_cast(struct tnum a, unsigned int size)
{
	uint64_t keep = size >= 8 ? UINT64_MAX : (1ULL << (size * 8)) - 1;

	return (struct tnum){a.value & keep, a.mask & keep};
}

struct tnum tnum_with_low32(struct tnum a, struct tnum low)
{
	const uint64_t high = ~(uint64_t)UINT32_MAX;

	return (struct tnum){(a.value & high) | (uint32_t)low.value,
			     (a.mask & high) | (uint32_t)low.mask};
}

struct tnum tnum_bswap(struct tnum a, unsigned int bits)
{
	unsigned int n = 64 - bits;

	return (struct tnum){__builtin_bswap64(a.value) >> n, __builtin_bswap64(a.mask) >> n};
}
