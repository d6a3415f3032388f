/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/lock.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/rawsys.h"

#define LOCK_SPINS 200
#define LOCK_SLEEP_NS 50000000L
/* The first sleep of who sets FUTEX_WAITERS, each further one twice as long. The holder
 * that is letting go at that moment may not see the bit (lock_release()): then this is
 * how long the sleeper, who wakes the others when its turn is over, sleeps too long. */
#define LOCK_SLEEP_FIRST_NS 500000L

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int lock_acquire_first(uint32_t *word)
{
	struct thread *t = &thread_self;
	int err;

	err = thread_init();
	if (err)
		return err;
	/* No mark: no memory for it. */
	return t->in_lock || !thread_known() ? -EBUSY : lock_acquire(word);
}

/*
 * A holder that the kernel did not mark: a word that somebody damaged, or an
 * owner whose robust list the kernel never walked. Asked only when the word has
 * not changed for a while.
 */
static bool owner_gone(uint32_t tid)
{
	return !tid || raw_syscall2(SYS_kill, tid, 0) == -ESRCH;
}

/* Not inlined: with it inlined, a gcc 12 build with ASan and UBSan reported the caller's
 * `t` as null after the wait. Why was not found out; as a call of its own it is clean. */
static __attribute__((noinline)) long lock_sleep(uint32_t *word, uint32_t old,
						 const struct timespec *sleep)
{
	return raw_futex(word, FUTEX_WAIT, old, sleep, NULL, 0);
}

int lock_acquire_contended(uint32_t *word)
{
	struct thread *t = &thread_self;
	struct timespec sleep = {0, LOCK_SLEEP_FIRST_NS};
	uint64_t since = 0, asked = 0, now;
	uint32_t old, mine = t->tid;
	unsigned int spins;
	long ret;

	for (spins = 0; spins < LOCK_SPINS; spins++) {
		old = load_relaxed(word);
		if (!old && cas_acquire(word, &old, mine))
			return 0;
		if (old & FUTEX_OWNER_DIED)
			break;
		cpu_relax();
	}

	for (;;) {
		old = load_relaxed(word);
		if (!old) {
			/* Once we have slept others may sleep too: `mine` then
			 * carries FUTEX_WAITERS, so that our unlock wakes one. */
			if (cas_acquire(word, &old, mine))
				return 0;
			continue;
		}
		/* The second case: this thread holds no lock, so its TID in the
		 * word is that of a dead thread whose number it has, or damage. */
		if ((old & FUTEX_OWNER_DIED) || (old & FUTEX_TID_MASK) == t->tid) {
			if (!cas_acquire(word, &old, mine | (old & FUTEX_WAITERS)))
				continue;
			return LOCK_OWNER_DIED;
		}
		if (!(old & FUTEX_WAITERS)) {
			if (!cas_relaxed(word, &old, old | FUTEX_WAITERS))
				continue;
			sleep.tv_nsec = LOCK_SLEEP_FIRST_NS;
		}
		old |= FUTEX_WAITERS;
		mine = t->tid | FUTEX_WAITERS;
		/* Shared futex: the word lies in a file that others map. If we
		 * die after the wake that was meant for us, the kernel finds the
		 * pending word free and passes the wake on. */
		if (!since)
			since = asked = now_ns();
		ret = lock_sleep(word, old, &sleep);
		if (!ret || ret == -EAGAIN) {
			since = 0; /* woken, or it has changed: there is motion */
			continue;
		}
		if (sleep.tv_nsec < LOCK_SLEEP_NS)
			sleep.tv_nsec = sleep.tv_nsec < LOCK_SLEEP_NS / 2 ? 2 * sleep.tv_nsec
									  : LOCK_SLEEP_NS;
		/* ETIMEDOUT; or a signal, and these may come faster than any timeout. */
		now = now_ns();
		if (now - asked < LOCK_SLEEP_NS)
			continue;
		asked = now;
		if (owner_gone(old & FUTEX_TID_MASK)) {
			if (cas_acquire(word, &old, mine))
				return LOCK_OWNER_DIED;
			continue;
		}
		if (now - since > LOCK_WAIT_SECONDS * 1000000000ull) {
			store_relaxed(&t->robust->list_op_pending, (struct robust_list *)0);
			fence_compiler();
			t->in_lock = 0;
			return -EBUSY;
		}
	}
}

void lock_wake(uint32_t *word)
{
	raw_futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
