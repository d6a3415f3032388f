/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For BPF programs: atomics of 1 and 2 bytes, which the instruction set does not have, and
 * ordered loads and stores. The same object runs on the kernel and on shmap; nothing in it
 * is shmap's. Include <bpf/bpf_helpers.h> first; compile with -mcpu=v3 or later.
 *
 *	struct value { __u32 id; __u8 state, users; __u16 errors; };
 *
 *	shmap_fetch_add8(SHMAP_AT(v, users), 1);
 *	shmap_cmpxchg8(SHMAP_AT(v, state), IDLE, BUSY);
 *	shmap_fetch_or8(bytes, i, 0x80);		byte i of a map value
 *
 * A byte is named by a pointer that is a multiple of 4 (a map's value is) and an offset
 * from it: the verifier lets no program round a pointer down. The offset may be a
 * variable whose range the verifier knows; the value must reach to the end of the 4
 * bytes that the offset is in. An offset of 2 bytes must be even.
 *
 * Each function works on these 4 bytes by BPF's own atomics, so that neighbours keep what they
 * have and are seen by nobody as anything else. or, and, xor are one instruction. The others
 * compare and exchange until nobody has come between: eight times in a row, then in a
 * bpf_loop() (Linux 5.17), within which some other process succeeds each time that we do not.
 *
 * Order: those that return an old value are fully ordered, as the kernel's are: what comes
 * before in the program is seen by others before what comes after. (A shmap_cmpxchg that does
 * not find what it expects orders nothing.) The value is the old one, 0 to 255 or 65535; -1,
 * after 2^23 failures in a row, does not happen.
 */
#ifndef SHMAP_HELPERS_H
#define SHMAP_HELPERS_H

#include <linux/types.h>

#define SHMAP_HELPER static inline __attribute__((always_inline, unused))

/* A member, for the first two parameters of the functions below. */
#define SHMAP_AT(ptr, member) (ptr), __builtin_offsetof(__typeof__(*(ptr)), member)

#define SHMAP_TRIES 8
#define SHMAP_TRIES_MORE (1 << 23)

enum shmap_op { SHMAP_ADD, SHMAP_XCHG, SHMAP_CMPXCHG };

/* What is done to which bits of a word. */
struct shmap_rmw {
	__u32 *word;
	__u32 shift, mask; /* the mask, not shifted */
	__u32 operand, expected;
	__u32 op;
	__s32 old; /* the result; -1: not yet */
};

/* One try: true when it is over. */
SHMAP_HELPER int shmap_try(struct shmap_rmw *r)
{
	__u32 word = *(volatile __u32 *)r->word, old = word >> r->shift & r->mask, new, seen;

	if (r->op == SHMAP_CMPXCHG && old != r->expected) {
		r->old = old;
		return 1;
	}
	new = r->op == SHMAP_ADD ? old + r->operand : r->operand;
	new = (word & ~(r->mask << r->shift)) | (new & r->mask) << r->shift;
	seen = __sync_val_compare_and_swap(r->word, word, new);
	if (seen != word)
		return 0;
	r->old = old;
	return 1;
}

static __attribute__((noinline, unused)) long shmap_try_again(__u32 i, struct shmap_rmw *r)
{
	return shmap_try(r);
}

SHMAP_HELPER __u32 *shmap_word(void *base, __u64 off)
{
	__u64 index = off >> 2;

	/* not to be made an AND: of (off >> 2) * 4 the verifier knows the largest value */
	asm volatile("" : "+r"(index));
	return (__u32 *)base + index;
}

SHMAP_HELPER __u32 shmap_shift(__u64 off, __u32 bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (off & 3 & ~(bytes - 1)) * 8;
#else
	return (4 - bytes - (off & 3 & ~(bytes - 1))) * 8;
#endif
}

SHMAP_HELPER __s32 shmap_rmw(void *base, __u64 off, __u32 bytes, enum shmap_op op, __u32 operand,
			     __u32 expected)
{
	struct shmap_rmw r = {
		.word = shmap_word(base, off),
		.shift = shmap_shift(off, bytes),
		.mask = bytes == 1 ? 0xff : 0xffff,
		.operand = operand,
		.expected = expected & (bytes == 1 ? 0xff : 0xffff),
		.op = op,
		.old = -1,
	};

#pragma clang loop unroll(disable)
	for (int i = 0; i < SHMAP_TRIES; i++)
		if (shmap_try(&r))
			return r.old;
	bpf_loop(SHMAP_TRIES_MORE, shmap_try_again, &r, 0);
	return r.old;
}

/* The old value must be wanted, or the compiler takes the instruction without order. */
#define SHMAP_BITS(name, builtin, operand_of)                                                      \
	SHMAP_HELPER __s32 shmap_bits_##name(void *base, __u64 off, __u32 bytes, __u32 operand)    \
	{                                                                                          \
		__u32 shift = shmap_shift(off, bytes), mask = bytes == 1 ? 0xff : 0xffff;          \
		__u32 old = builtin(shmap_word(base, off), operand_of);                            \
                                                                                                   \
		asm volatile("" : "+r"(old));                                                      \
		return old >> shift & mask;                                                        \
	}

SHMAP_BITS(or, __sync_fetch_and_or, (operand & mask) << shift)
SHMAP_BITS(xor, __sync_fetch_and_xor, (operand & mask) << shift)
SHMAP_BITS(and, __sync_fetch_and_and, ~((~operand & mask) << shift))

#define SHMAP_SIZED(bits)                                                                          \
	SHMAP_HELPER __s32 shmap_fetch_add##bits(void *base, __u64 off, __u##bits v)               \
	{                                                                                          \
		return shmap_rmw(base, off, bits / 8, SHMAP_ADD, v, 0);                            \
	}                                                                                          \
	SHMAP_HELPER __s32 shmap_fetch_sub##bits(void *base, __u64 off, __u##bits v)               \
	{                                                                                          \
		return shmap_rmw(base, off, bits / 8, SHMAP_ADD, -(__u32)v, 0);                    \
	}                                                                                          \
	SHMAP_HELPER __s32 shmap_xchg##bits(void *base, __u64 off, __u##bits v)                    \
	{                                                                                          \
		return shmap_rmw(base, off, bits / 8, SHMAP_XCHG, v, 0);                           \
	}                                                                                          \
	/* stores v if `expected` is there */                                                      \
	SHMAP_HELPER __s32 shmap_cmpxchg##bits(void *base, __u64 off, __u##bits expected,          \
					       __u##bits v)                                        \
	{                                                                                          \
		return shmap_rmw(base, off, bits / 8, SHMAP_CMPXCHG, v, expected);                 \
	}                                                                                          \
	SHMAP_HELPER __s32 shmap_fetch_or##bits(void *base, __u64 off, __u##bits v)                \
	{                                                                                          \
		return shmap_bits_or(base, off, bits / 8, v);                                      \
	}                                                                                          \
	SHMAP_HELPER __s32 shmap_fetch_xor##bits(void *base, __u64 off, __u##bits v)               \
	{                                                                                          \
		return shmap_bits_xor(base, off, bits / 8, v);                                     \
	}                                                                                          \
	SHMAP_HELPER __s32 shmap_fetch_and##bits(void *base, __u64 off, __u##bits v)               \
	{                                                                                          \
		return shmap_bits_and(base, off, bits / 8, v);                                     \
	}

SHMAP_SIZED(8)
SHMAP_SIZED(16)

/*
 * Load-acquire: what follows in the program comes after it. Store-release: what precedes
 * comes before it. By the instructions for that where the compiler has them (clang 20 with
 * -mcpu=v4; Linux 6.15); else by fully ordered atomics, which take a map that programs may
 * write to.
 */
#ifdef __BPF_FEATURE_LOAD_ACQ_STORE_REL

#define SHMAP_ORDERED(bits)                                                                        \
	SHMAP_HELPER __u##bits shmap_load_acquire##bits(void *base, __u64 off)                     \
	{                                                                                          \
		return __atomic_load_n((__u##bits *)(base + off), __ATOMIC_ACQUIRE);               \
	}                                                                                          \
	SHMAP_HELPER void shmap_store_release##bits(void *base, __u64 off, __u##bits v)            \
	{                                                                                          \
		__atomic_store_n((__u##bits *)(base + off), v, __ATOMIC_RELEASE);                  \
	}

SHMAP_ORDERED(8)
SHMAP_ORDERED(16)
SHMAP_ORDERED(32)
SHMAP_ORDERED(64)

#else

#define SHMAP_ORDERED_SMALL(bits)                                                                  \
	SHMAP_HELPER __u##bits shmap_load_acquire##bits(void *base, __u64 off)                     \
	{                                                                                          \
		return shmap_fetch_or##bits(base, off, 0);                                         \
	}                                                                                          \
	SHMAP_HELPER void shmap_store_release##bits(void *base, __u64 off, __u##bits v)            \
	{                                                                                          \
		shmap_xchg##bits(base, off, v);                                                    \
	}

#define SHMAP_ORDERED_LARGE(bits)                                                                  \
	SHMAP_HELPER __u##bits shmap_load_acquire##bits(void *base, __u64 off)                     \
	{                                                                                          \
		__u##bits old = __sync_fetch_and_or((__u##bits *)(base + off), 0);                 \
                                                                                                   \
		asm volatile("" : "+r"(old));                                                      \
		return old;                                                                        \
	}                                                                                          \
	SHMAP_HELPER void shmap_store_release##bits(void *base, __u64 off, __u##bits v)            \
	{                                                                                          \
		__u##bits old = __sync_lock_test_and_set((__u##bits *)(base + off), v);            \
                                                                                                   \
		asm volatile("" : "+r"(old));                                                      \
	}

SHMAP_ORDERED_SMALL(8)
SHMAP_ORDERED_SMALL(16)
SHMAP_ORDERED_LARGE(32)
SHMAP_ORDERED_LARGE(64)

#endif

#endif
