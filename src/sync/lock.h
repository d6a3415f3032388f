/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The robust lock word: four bytes that survive the death of their holder.
 *
 * Before the compare-and-swap that takes the lock, the thread stores the
 * word's address (less futex_offset) in list_op_pending of its robust list
 * head; it clears it after the unlock. When the thread dies, the kernel
 * (exit_robust_list, futex(2)) finds the pending word, and if the TID in it is
 * the dying thread's, sets FUTEX_OWNER_DIED and wakes a waiter. The next
 * owner is told, repairs what the word protects and goes on.
 *
 *   word = 0                        free
 *        = tid                      held
 *        | FUTEX_WAITERS            held, somebody sleeps
 *        = FUTEX_OWNER_DIED | ...   the holder died
 *
 * Every instruction is covered: a death before the CAS finds a pending word
 * that does not hold our TID (the kernel ignores it, but for word == 0, when
 * it wakes one waiter: this is the case of a death between the unlocking
 * exchange and the wake); a death after the CAS finds our TID.
 *
 * Rules:
 *  - one robust lock per thread at a time (there is one pending word);
 *  - the file stays mapped while a lock in it is held;
 *  - pthread robust mutexes use the same pending word: take none while
 *    holding a lock;
 *  - a signal handler that enters while its thread holds a lock gets -EBUSY.
 *
 * TIDs are those of the PID namespace; processes in different PID namespaces
 * must not share a map for writing (docs/compat.md).
 */
#ifndef SHMAP_SYNC_LOCK_H
#define SHMAP_SYNC_LOCK_H

#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "sync/thread.h"

#define LOCK_OWNER_DIED 1

/*
 * Takes the lock: 0; LOCK_OWNER_DIED when it was taken from a dead holder (the
 * caller repairs, then goes on as the owner); -EBUSY when this thread is
 * already inside a lock (a signal handler), or when the holder has not moved
 * for LOCK_WAIT_SECONDS (a stopped process, or a damaged word).
 */
#define LOCK_WAIT_SECONDS 10
int lock_acquire_first(uint32_t *word);	    /* the thread is new, or already inside a lock */
int lock_acquire_contended(uint32_t *word); /* the CAS failed; pending is set */
void lock_wake(uint32_t *word);

/* gcc 12 with ASan and UBSan takes thread_self's address for null where these are inlined into
 * larger functions; as functions of their own they are clean. */
#ifdef __SANITIZE_ADDRESS__
#define LOCK_INLINE static __attribute__((noinline, unused))
#else
#define LOCK_INLINE static inline __attribute__((always_inline))
#endif

LOCK_INLINE int lock_acquire(uint32_t *word)
{
	struct thread *t = &thread_self;
	uint32_t free_word = 0;

	if (unlikely(!thread_known() || t->in_lock))
		return lock_acquire_first(word);
	t->in_lock = 1;
	/* A signal handler must not find the word pending and the flag unset. */
	fence_compiler();
	/* Both before the CAS, and in this order for the kernel that looks at
	 * them when we die: a compiler fence is enough. */
	store_relaxed(&t->robust->list_op_pending,
		      (struct robust_list *)((char *)word - t->futex_offset));
	fence_compiler();
	if (likely(cas_acquire(word, &free_word, t->tid)))
		return 0;
	return lock_acquire_contended(word);
}

LOCK_INLINE void lock_release(uint32_t *word)
{
	struct thread *t = &thread_self;

	/* Both pair with the acquire CAS of the next owner. A plain store lets the holder's
	 * other stores wait for their cache lines after it has gone on, and who gives up
	 * spinning between the load and the store is not woken: it looks again by itself
	 * (LOCK_SLEEP_FIRST_NS). */
	if (likely(!(load_relaxed(word) & FUTEX_WAITERS)))
		store_release(word, 0);
	else if (exchange_release(word, 0) & FUTEX_WAITERS)
		lock_wake(word);
	fence_compiler();
	store_relaxed(&t->robust->list_op_pending, (struct robust_list *)0);
	fence_compiler();
	t->in_lock = 0;
}

/* True when the word says that its holder died and nobody has taken it over. */
static inline int lock_owner_died(const uint32_t *word)
{
	return !!(load_relaxed(word) & FUTEX_OWNER_DIED);
}

#endif
