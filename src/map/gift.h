/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capacity that moves between the parts of a map, each under a lock of its own, while every
 * part's share of max_entries is exact at every moment: the search for some. What a gift is
 * made of is the part's own business (htab_pool.c, lpm_pool.c).
 *
 * A part's gift word is 0, or holds what the part gives away, with the number of the part
 * that has claimed it, plus one, in some bits.
 */
#ifndef SHMAP_MAP_GIFT_H
#define SHMAP_MAP_GIFT_H

#include "map/map.h"

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
};

#define GIFT_WAIT (1ULL << 32)

static inline uint32_t gift_taker1(const struct gift_ops *ops, uint64_t gift)
{
	return (uint32_t)(gift >> ops->taker_shift) & ops->taker_mask;
}

/*
 * Finds room for part i of n, which has none. 0: look again, there is some; -ENOSPC: there is
 * none anywhere; -EBUSY: somebody has stood still for long, or not found in so many tries;
 * or what lock() and make() say. wait: for grace periods.
 */
int gift_search(struct map *m, const struct gift_ops *ops, uint32_t n, uint32_t i,
		unsigned int tries, bool wait);

#endif
