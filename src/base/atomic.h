/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomics on plain integers in shared memory.
 *
 * Shared structures are laid out as bytes that several processes agree on, so
 * their fields are plain fixed-width integers, and every concurrent access
 * names its ordering here. This is the only file that uses the compiler's
 * atomic builtins.
 */
#ifndef SHMAP_BASE_ATOMIC_H
#define SHMAP_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define fetch_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define fetch_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define fetch_or_seq_cst(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define fetch_and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
#define fetch_and_seq_cst(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define fetch_xor_relaxed(p, v) __atomic_fetch_xor((p), (v), __ATOMIC_RELAXED)
#define fetch_xor_seq_cst(p, v) __atomic_fetch_xor((p), (v), __ATOMIC_SEQ_CST)
#define exchange_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define exchange_seq_cst(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* On failure *expected gets what was there; cas_seq_cst() then acquires it: it may be
 * another thread's pointer to something just made. */
#define cas_acquire(p, expected, v)                                                                \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define cas_relaxed(p, expected, v)                                                                \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define cas_seq_cst(p, expected, v)                                                                \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#define fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* A full fence after an atomic exchange or compare-and-swap. On x86 that is one
 * itself; on arm64 a pair of exclusives lets later loads pass its store. */
#if defined(__x86_64__) || defined(__i386__)
#define fence_after_rmw() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#else
#define fence_after_rmw() fence_seq_cst()
#endif

/* Orders a thread against its own death or its own signal handler only. */
#define fence_compiler() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
