/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/claim.h"

#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "sync/lock.h"

static struct robust_list *claim_entry(struct robust_claim *c)
{
	return (struct robust_list *)&c->list_next;
}

static bool try_take(struct thread *t, struct robust_claim *c, uint32_t old,
		     struct claim_held *held)
{
	/* As line_take() of lease.c: pending, then on the list, with an overlap. */
	t->in_lock = 1;
	fence_compiler();
	robust_pending(t, claim_entry(c));
	/* Acquire: the body that a dead owner left, or that the last one cleared. */
	if (!cas_acquire(&c->word, &old, t->tid)) {
		robust_pending(t, NULL);
		t->in_lock = 0;
		return false;
	}
	held->claim = c;
	held->next = robust_push(t, claim_entry(c));
	robust_pending(t, NULL);
	fence_compiler();
	t->in_lock = 0;
	return true;
}

bool claim_any_died(const struct robust_claim *claims, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (load_relaxed(&claims[i].word) & FUTEX_OWNER_DIED)
			return true;
	return false;
}

static int64_t seconds(void)
{
	struct timespec now;

	raw_clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int claim_wait(unsigned int round, int64_t *until)
{
	struct timespec nap = {.tv_nsec = 200000};

	if (round < 20) {
		raw_sched_yield();
		return 0;
	}
	if (!*until)
		*until = seconds() + LOCK_WAIT_SECONDS;
	else if (seconds() > *until)
		return -EBUSY;
	raw_nanosleep(&nap, NULL);
	return 0;
}

int claim_try(struct robust_claim *claims, unsigned int n, struct claim_held *held)
{
	struct thread *t = &thread_self;
	unsigned int i;

	if (unlikely(!thread_known()) && thread_init())
		return -EBUSY;
	if (unlikely(t->in_lock))
		return -EBUSY;
	for (i = 0; i < n; i++) {
		uint32_t old = load_relaxed(&claims[i].word);

		if (unlikely(old & FUTEX_OWNER_DIED) && try_take(t, &claims[i], old, held))
			return CLAIM_OWNER_DIED;
	}
	/* Each thread begins elsewhere. */
	for (i = 0; i < n; i++) {
		struct robust_claim *c = &claims[(t->tid + i) % n];

		if (!load_relaxed(&c->word) && try_take(t, c, 0, held))
			return 0;
	}
	return -EBUSY;
}

int claim_take(struct robust_claim *claims, unsigned int n, struct claim_held *held)
{
	unsigned int round;
	int64_t until = 0;
	int ret;

	for (round = 0;; round++) {
		ret = claim_try(claims, n, held);
		if (ret >= 0 || thread_self.in_lock || claim_wait(round, &until))
			return ret;
	}
}

void claim_drop(struct claim_held *held)
{
	struct thread *t = &thread_self;
	struct robust_claim *c = held->claim;

	t->in_lock = 1;
	fence_compiler();
	robust_pending(t, claim_entry(c));
	robust_remove(t, claim_entry(c), held->next);
	fence_compiler();
	/* Pairs with the acquire in try_take(). */
	store_release(&c->word, 0);
	fence_compiler();
	robust_pending(t, NULL);
	t->in_lock = 0;
}
