/* SPDX-License-Identifier: BSD-2-Clause */
#include "map/gift.h"

#include <sched.h>
#include <time.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define HELD_SPINS 64

/* One look at every part, and what there was to see. */
struct pass {
	uint64_t arrivals; /* their sum: the pass's fingerprint */
	uint64_t stamp;
	bool again; /* something was under way */
	bool held;  /* some lock has had the same owner all the time */
	int err;
};

/* Does the lock stay in the hands that it is in? A holder inside a change is gone soon. */
static bool lock_stays(const uint32_t *lock)
{
	uint32_t owner = load_acquire(lock) & FUTEX_TID_MASK;

	for (int spins = 0; unlikely(owner); spins++) {
		if ((load_acquire(lock) & FUTEX_TID_MASK) != owner)
			return false;
		if (spins == HELD_SPINS)
			return true;
		cpu_relax();
	}
	return false;
}

static uint32_t room_mark(uint32_t *room)
{
	uint32_t old = load_relaxed(room), mark;

	do {
		mark = ((old & ~(uint32_t)GIFT_STATE) + GIFT_LOOK) | GIFT_LOOKING;
	} while (!cas_seq_cst(room, &old, mark));
	fence_after_rmw();
	return mark;
}

static bool room_is_none(uint32_t *room, uint32_t mark)
{
	return cas_seq_cst(room, &mark, (mark & ~(uint32_t)GIFT_STATE) | GIFT_FULL);
}

/* Takes the first gift it can. */
static bool pass_over(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i,
		      unsigned int tries, struct pass *pass)
{
	*pass = (struct pass){0};
	for (uint32_t j = 0; j < n; j++) {
		uint32_t from = (i + j) % n, taker1;
		struct gift_part other = ops->part(m, from), own;
		uint64_t gift;
		bool taken;

		/* Before all that is read of the part. */
		if (ops->room && !pass->held)
			pass->held = lock_stays(other.lock);
		pass->arrivals += load_acquire(other.arrivals);
		gift = load_acquire(other.gift);
		if (!gift && load_relaxed(other.live) >= load_relaxed(other.quota) &&
		    !lock_owner_died(other.lock)) {
			/* A delete may have committed without having counted yet. A stopped
			 * one is not waited for. */
			pass->again |= tries < 64 && other.changing;
			continue;
		}
		taker1 = gift_taker1(ops, gift);
		if (taker1 && !lock_owner_died(other.lock)) {
			/* In other hands. If these are dead ones, free them. */
			pass->again = true;
			if (taker1 > n || !lock_owner_died(ops->part(m, taker1 - 1).lock))
				continue;
			from = taker1 - 1;
			other = ops->part(m, from);
		}
		pass->err = ops->lock(m, from);
		if (pass->err)
			return false;
		/* The word belongs to its takers too, who do not have this lock. */
		if (!load_acquire(other.gift))
			pass->err = ops->make(m, from, tries > 0, &pass->stamp);
		gift = load_acquire(other.gift);
		ops->unlock(m, from);
		if (pass->err)
			return false;
		/* It has quota, but its elements wait for a grace period; or what it had is
		 * gone: in both cases look again. */
		pass->again = true;
		if (!gift || gift_taker1(ops, gift))
			continue;
		pass->err = ops->lock(m, i);
		if (pass->err)
			return false;
		own = ops->part(m, i);
		taken = load_relaxed(own.live) < load_relaxed(own.quota) || ops->take(m, i, from);
		ops->unlock(m, i);
		if (taken)
			return true;
	}
	return false;
}

/*
 * Full is an answer about an instant. Two passes that find nothing, with no arrival
 * anywhere between the first's look at a part and the second's, prove that at the
 * moment between the passes no part had anything. So does one whose mark still stands
 * (gift.h).
 */
int gift_search(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i,
		unsigned int tries, bool wait)
{
	uint32_t *room = ops->room ? ops->room(m) : NULL, mark = 0;
	struct timespec nap = {0, 500000};
	bool have_before = false;
	uint64_t before = 0;

	for (unsigned int t = 0; t < tries; t++) {
		struct pass pass;

		if (room)
			mark = room_mark(room);
		if (pass_over(m, ops, n, i, t, &pass))
			return 0;
		if (pass.err)
			return pass.err;
		if (pass.stamp && wait)
			lease_wait((uint32_t)pass.stamp, lease_cpu());
		if (!pass.again) {
			if (room && !pass.held && room_is_none(room, mark))
				return -ENOSPC;
			if (have_before && pass.arrivals == before)
				return -ENOSPC;
			before = pass.arrivals;
			have_before = true;
			continue;
		}
		have_before = false;
		if (t > 100)
			nanosleep(&nap, NULL);
		else if (t > 10)
			sched_yield();
	}
	return -EBUSY;
}
