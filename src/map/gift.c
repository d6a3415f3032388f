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

static bool has_room(const struct gift_part *part, uint32_t want)
{
	return (uint64_t)load_relaxed(part->live) + want <= load_relaxed(part->quota);
}

/* Takes the first gift it can. */
static bool pass_over(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i,
		      uint32_t want, unsigned int tries, struct pass *pass)
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
		if (!gift && from == i && has_room(&other, 1)) {
			if (has_room(&other, want))
				return true;
			/* Not enough, which is nobody's to give, and not nothing either. */
			pass->held = true;
			continue;
		}
		if (!gift && !has_room(&other, 1) && !lock_owner_died(other.lock)) {
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
		taken = has_room(&own, want) || ops->take(m, i, from);
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
int gift_search(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i, uint32_t want,
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
		if (pass_over(m, ops, n, i, want, t, &pass))
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

bool gift_tight(const struct map *m, const struct gift_ops *ops, uint32_t n,
		const struct gift_sum *sums)
{
	for (uint32_t i = 0; i < n; i++) {
		struct gift_part part = ops->part(m, i);

		if ((uint64_t)load_relaxed(part.live) + sums[i].inserts >
		    (uint64_t)load_relaxed(part.quota) + sums[i].deletes)
			return true;
	}
	return false;
}

uint64_t gift_lack(const struct map *m, const struct gift_ops *ops, uint32_t n,
		   const struct gift_sum *sums, uint64_t max)
{
	uint64_t want = 0;

	for (uint32_t i = 0; i < n; i++) {
		want += load_relaxed(ops->part(m, i).live) + (uint64_t)sums[i].inserts;
		max += sums[i].deletes;
	}
	return want > max ? want - max : 0;
}

/* others: there are deletes, which are done first and may bring the rest. */
static int reserve_part(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i,
			const struct gift_sum *sum, bool others)
{
	struct gift_part part;
	uint32_t looks;
	bool fits;
	int ret;

	for (looks = 0; looks <= m->attr.max_entries; looks++) {
		ret = ops->lock(m, i);
		if (ret)
			return ret;
		part = ops->part(m, i);
		fits = (uint64_t)load_relaxed(part.live) + sum->inserts <=
		       (uint64_t)load_relaxed(part.quota) + sum->deletes;
		ret = fits ? ops->back(m, i, sum->puts) : 0;
		ops->unlock(m, i);
		if (ret || fits)
			return ret;
		ret = gift_search(m, ops, n, i, sum->inserts - sum->deletes, GIFT_TRIES, true);
		if (ret == -ENOSPC)
			return others ? 0 : -E2BIG;
		if (ret)
			return ret;
	}
	return -E2BIG;
}

int gift_reserve(struct map *m, const struct gift_ops *ops, uint32_t n, const struct gift_sum *sums)
{
	bool others = false;
	int err = 0;

	for (uint32_t i = 0; i < n; i++)
		others = others || sums[i].deletes;
	for (uint32_t i = 0; !err && i < n; i++)
		if (sums[i].puts)
			err = reserve_part(m, ops, n, i, &sums[i], others);
	return err;
}
