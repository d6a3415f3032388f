/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capacity that moves between the parts of a map, each under a lock of its own, while every
 * part's share of max_entries is exact at every moment: the search for some. What a gift is
 * made of is the part's own business (htab_pool.c, lpm_pool.c).
 *
 * A part's gift word is 0, or holds what the part gives away, with the number of the part
 * that has claimed it, plus one, in some bits.
 *
 * Full is remembered, where a map has a word for it (`room`), so that who finds a part full
 * does not look at all of them each time. A look marks the word before it begins, and makes
 * the mark GIFT_FULL if it has found nothing and the mark still stands. Whoever is about to
 * make room in a part, or to bring some there, has the part's lock by then, and wipes the
 * word clean first (gift_room_comes()). Proof that GIFT_FULL is true when it is read:
 *  - The look has seen each part full, at a moment when its lock was free or had another
 *    owner than after the mark was made. So whoever has made room in a part since that
 *    moment took the lock after the mark. The compare-and-swap of the lock is a full fence:
 *    he has seen the mark, or GIFT_FULL, and wiped it off before he did what he did.
 *  - Room moves from part to part by the gift words only, which the look has seen empty: what
 *    a part had given before it was looked at has been brought to another since, or was
 *    there when that one was looked at.
 * A death after the wiping leaves the word clean: the next one looks. A holder of a lock
 * who stands still keeps the word from becoming GIFT_FULL, and nobody waiting.
 */
#ifndef SHMAP_MAP_GIFT_H
#define SHMAP_MAP_GIFT_H

#include "base/atomic.h"
#include "map/map.h"

/* The sequence number of the last look above, the state below. */
enum { GIFT_ROOM, GIFT_FULL, GIFT_LOOKING, GIFT_STATE = 3, GIFT_LOOK = 4 };

/* Is there room in no part? As of now, for a caller with a full part's lock. */
static inline bool gift_full(const uint32_t *room)
{
	return (load_relaxed(room) & GIFT_STATE) == GIFT_FULL;
}

/* With a part's lock, before room is made there. */
static inline void gift_room_comes(uint32_t *room)
{
	fence_after_rmw();
	/* The number stays: two marks are never the same. */
	if (unlikely(load_relaxed(room) & GIFT_STATE))
		fetch_and_seq_cst(room, ~(uint32_t)GIFT_STATE);
}

/* What is looked at without the lock. */
struct gift_part {
	const uint64_t *gift;
	const uint32_t *lock, *live, *quota;
	const uint32_t *arrivals; /* grows when capacity comes, before the quota does */
	bool changing;		  /* its lock's holder is inside a change */
};

struct gift_ops {
	uint32_t taker_shift, taker_mask;
	struct gift_part (*part)(const struct map *m, uint32_t i);
	int (*lock)(struct map *m, uint32_t i); /* repairs what a dead holder left */
	void (*unlock)(struct map *m, uint32_t i);
	/* With the lock: puts a gift into the word, if there is something to give. *stamp
	 * gets GIFT_WAIT | stamp when all that there is waits for a grace period; force
	 * leaves out the caller's own lease. 0 or -errno. */
	int (*make)(struct map *m, uint32_t i, bool force, uint64_t *stamp);
	/* With i's lock: claims the gift of `from`. False: it is not there any more. */
	bool (*take)(struct map *m, uint32_t i, uint32_t from);
	/* With i's lock: pages for so many more elements. 0 or -ENOMEM. */
	int (*back)(struct map *m, uint32_t i, uint32_t n);
	/* The word above. NULL: the map has none. */
	uint32_t *(*room)(const struct map *m);
};

#define GIFT_WAIT (1ULL << 32)
#define GIFT_TRIES 20000U /* of who waits: ten seconds and more */

static inline uint32_t gift_taker1(const struct gift_ops *ops, uint64_t gift)
{
	return (uint32_t)(gift >> ops->taker_shift) & ops->taker_mask;
}

/*
 * Finds room for part i of n, which has less than it wants. 0: look again, there is more; -ENOSPC:
 * there is none anywhere; -EBUSY: somebody has stood still for long, or not found in so many tries;
 * or what lock() and make() say. wait: for grace periods.
 */
int gift_search(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i, uint32_t want,
		unsigned int tries, bool wait);

/* What a transaction is about to do in a part; behind the map's gate. */
struct gift_sum {
	uint32_t puts, inserts, deletes; /* inserts: puts of what is not there */
};

/* Has a part less room than its sum wants? A hint, before the writers are done. */
bool gift_tight(const struct map *m, const struct gift_ops *ops, uint32_t n,
		const struct gift_sum *sums);
/* By how many elements all sums are more than the map's `max` allows: what it lacks. */
uint64_t gift_lack(const struct map *m, const struct gift_ops *ops, uint32_t n,
		   const struct gift_sum *sums, uint64_t max);
/* Each part has the room that its sum wants, or will find it when all deletes have been done: 0;
 * -E2BIG, -ENOMEM, -EBUSY. */
int gift_reserve(struct map *m, const struct gift_ops *ops, uint32_t n,
		 const struct gift_sum *sums);

#endif
