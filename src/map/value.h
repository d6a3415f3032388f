/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of map values into shared memory that others read at the same time.
 *
 * Each naturally aligned piece (8, 4, 2, 1 bytes, widest first) is one relaxed
 * store, so that a counter or a pointer-sized field inside a larger value is
 * never torn. Nothing is ordered here: what orders a copy stands at its caller.
 */
#ifndef SHMAP_MAP_VALUE_H
#define SHMAP_MAP_VALUE_H

#include <stdint.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/uaccess.h"

#define VALUE_LOCK_SIZE 4U /* sizeof(struct bpf_spin_lock) */

/* dst: shared, any alignment; src: private, or shared and not changing. */
static inline void value_store(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	while (n) {
		if (n >= 8 && !((uintptr_t)d & 7)) {
			uint64_t v;

			memcpy(&v, s, 8);
			store_relaxed((uint64_t *)d, v);
			d += 8, s += 8, n -= 8;
		} else if (n >= 4 && !((uintptr_t)d & 3)) {
			uint32_t v;

			memcpy(&v, s, 4);
			store_relaxed((uint32_t *)d, v);
			d += 4, s += 4, n -= 4;
		} else if (n >= 2 && !((uintptr_t)d & 1)) {
			uint16_t v;

			memcpy(&v, s, 2);
			store_relaxed((uint16_t *)d, v);
			d += 2, s += 2, n -= 2;
		} else {
			store_relaxed(d, *s);
			d++, s++, n--;
		}
	}
}

/*
 * Stores n <= 8 bytes at the aligned 8 bytes at slot + off by one store: after
 * a death here they are all there or none. Sizes that no store has (3, 5, 6, 7)
 * go with their neighbours in the slot, which keep what they hold: hence the
 * compare-and-swap. Pairs with nothing: the value is the whole message.
 */
static inline void value_store_small(void *slot, size_t off, const void *src, size_t n)
{
	uint8_t *d = (uint8_t *)slot + off;
	uint64_t old, want;

	if (!((n - 1) & n) && !(off & (n - 1))) {
		value_store(d, src, n);
		return;
	}
	old = load_relaxed((uint64_t *)slot);
	do {
		want = old;
		memcpy((uint8_t *)&want + off, src, n);
	} while (!cas_relaxed((uint64_t *)slot, &old, want));
}

/* The same where another value than `seen` stays. False: of no such size. */
static inline bool value_store_over(void *place, const void *seen, const void *value, size_t size)
{
	uint64_t v8, s8;
	uint32_t v4, s4;
	uint16_t v2, s2;
	uint8_t s1;

	switch (size) {
	case 8:
		memcpy(&s8, seen, 8);
		memcpy(&v8, value, 8);
		cas_relaxed((uint64_t *)place, &s8, v8);
		return true;
	case 4:
		memcpy(&s4, seen, 4);
		memcpy(&v4, value, 4);
		cas_relaxed((uint32_t *)place, &s4, v4);
		return true;
	case 2:
		memcpy(&s2, seen, 2);
		memcpy(&v2, value, 2);
		cas_relaxed((uint16_t *)place, &s2, v2);
		return true;
	case 1:
		s1 = *(const uint8_t *)seen;
		cas_relaxed((uint8_t *)place, &s1, *(const uint8_t *)value);
		return true;
	default:
		return false;
	}
}

/* Stores a value of `size` bytes, but for the lock at lock_off (-1: none). */
static inline void value_store_unlocked(void *dst, const void *src, size_t size, int32_t lock_off)
{
	if (lock_off < 0) {
		value_store(dst, src, size);
		return;
	}
	value_store(dst, src, lock_off);
	value_store((uint8_t *)dst + lock_off + VALUE_LOCK_SIZE,
		    (const uint8_t *)src + lock_off + VALUE_LOCK_SIZE,
		    size - lock_off - VALUE_LOCK_SIZE);
}

/*
 * Copies a value out, to a user pointer too; the lock's bytes read as 0. The
 * piece after the lock begins at its own alignment, so that an aligned u64 in
 * the value is one load here as well. 0 or -EFAULT.
 */
static inline int value_copy_out(void *dst, const void *src, size_t size, int32_t lock_off)
{
	const uint8_t *s = src;
	size_t from, half;
	int err;

	if (lock_off < 0)
		return uaccess_copy(dst, src, size);
	from = lock_off + VALUE_LOCK_SIZE;
	half = from & 4;
	if (half > size - from)
		half = 0;
	err = uaccess_copy(dst, s, lock_off);
	if (!err)
		err = uaccess_zero(uaccess_at(dst, lock_off), VALUE_LOCK_SIZE);
	if (!err && half)
		err = uaccess_copy(uaccess_at(dst, from), s + from, half);
	if (!err)
		err = uaccess_copy(uaccess_at(dst, from + half), s + from + half,
				   size - from - half);
	return err;
}

#endif
