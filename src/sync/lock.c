/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/lock.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/errors.h"

#define LOCK_SPINS 200
#define LOCK_SLEEP_NS 50000000L

static long futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, (long)op, (long)val, timeout, NULL, 0L);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int lock_acquire_first(uint32_t *word)
{
	struct thread *t = &thread_self;
	int err;

	if (t->in_lock)
		return -EBUSY;
	err = thread_init();
	if (err)
		return err;
	return lock_acquire(word);
}

/*
 * A holder that the kernel did not mark: a word that somebody damaged, or an
 * owner whose robust list the kernel never walked. Asked only after a sleep
 * that nobody ended.
 */
static bool owner_gone(uint32_t tid)
{
	int saved = errno;
	bool gone = tid && syscall(SYS_kill, (long)tid, 0L) < 0 && errno == ESRCH;

	errno = saved;
	return gone;
}

int lock_acquire_contended(uint32_t *word)
{
	struct thread *t = &thread_self;
	static const struct timespec sleep = {0, LOCK_SLEEP_NS};
	uint64_t deadline = 0;
	uint32_t old, mine = t->tid;
	unsigned int spins;
	int saved = errno;

	for (spins = 0; spins < LOCK_SPINS; spins++) {
		old = load_relaxed(word);
		if (!old && cas_acquire(word, &old, mine))
			return 0;
		if (old & FUTEX_OWNER_DIED)
			break;
		cpu_relax();
	}

	for (;;) {
		bool timed_out;

		old = load_relaxed(word);
		if (!old) {
			/* Once we have slept others may sleep too: `mine` then
			 * carries FUTEX_WAITERS, so that our unlock wakes one. */
			if (cas_acquire(word, &old, mine)) {
				errno = saved;
				return 0;
			}
			continue;
		}
		/* The second case: this thread holds no lock, so its TID in the
		 * word is that of a dead thread whose number it has, or damage. */
		if ((old & FUTEX_OWNER_DIED) || (old & FUTEX_TID_MASK) == t->tid) {
			if (!cas_acquire(word, &old, mine | (old & FUTEX_WAITERS)))
				continue;
			errno = saved;
			return LOCK_OWNER_DIED;
		}
		if (!(old & FUTEX_WAITERS) && !cas_relaxed(word, &old, old | FUTEX_WAITERS))
			continue;
		old |= FUTEX_WAITERS;
		mine = t->tid | FUTEX_WAITERS;
		/* Shared futex: the word lies in a file that others map. If we
		 * die after the wake that was meant for us, the kernel finds the
		 * pending word free and passes the wake on. */
		timed_out = futex(word, FUTEX_WAIT, old, &sleep) < 0 && errno == ETIMEDOUT;
		if (!timed_out)
			continue;
		if (owner_gone(old & FUTEX_TID_MASK)) {
			if (cas_acquire(word, &old, mine)) {
				errno = saved;
				return LOCK_OWNER_DIED;
			}
			continue;
		}
		if (!deadline)
			deadline = now_ns() + LOCK_WAIT_SECONDS * 1000000000ull;
		if (now_ns() > deadline) {
			store_relaxed(&t->robust->list_op_pending, (struct robust_list *)0);
			fence_compiler();
			t->in_lock = 0;
			errno = saved;
			return -EBUSY;
		}
	}
}

void lock_wake(uint32_t *word)
{
	int saved = errno;

	futex(word, FUTEX_WAKE, 1, NULL);
	errno = saved;
}
