/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_BASE_BITS_H
#define SHMAP_BASE_BITS_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define CACHE_LINE 64
#define SHMAP_PAGE 4096UL

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Fetches a cache line to be written to. The compiler's own form is a fetch for reading
 * unless it may assume a CPU of 2014 or later; older ones take the instruction for a nop. */
static inline void prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

static inline uint64_t round_up_u64(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* The smallest power of two that is at least n; n must be 1..2^63. */
static inline uint64_t pow2_at_least(uint64_t n)
{
	return n <= 1 ? 1 : 1ULL << (64 - __builtin_clzll(n - 1));
}

#endif
