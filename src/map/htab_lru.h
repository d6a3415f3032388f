/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the LRU types add to the hash table of htab.h: the order in which a stripe's
 * elements give way, and the eviction that makes room in a full map.
 *
 *   lru_off  | struct lru_order [stripes]       one line each: two lists, counters
 *            | struct lru_node  [elems]         the links of the lists
 *
 * The order is the kernel's scheme, stripe by stripe: a new element enters the
 * inactive list; what is found referenced when it comes to that list's end moves to
 * the active list, whose oldest come back while the inactive list is the shorter
 * one. The victim is the oldest inactive element that has not been referenced. The
 * reference bit is elem.stamp while the element is in the table: programs set it
 * when they look the element up, bpf(2) only by updating it.
 *
 * Owner: everything but the bit belongs to the holder of the stripe's
 * lock. Death: the lists follow the buckets, not the other way round. Whoever
 * takes the lock of a dead owner builds them anew from the stripe's buckets
 * (htab_lru_rebuild()); the recency of that stripe is lost then, nothing else.
 * Distrust: every link is checked against its neighbour before it is followed; lists
 * that make no sense are built anew.
 *
 * Full (G6). A stripe that has used its quota evicts from itself only when the map is
 * full, and asks the head's word for that (gift.h). What an eviction makes free is for
 * the one who evicts, and not announced there; a death in between is.
 *
 * Reuse (G2). What a run evicts it may use again at once, as what it deletes, and for
 * that it passes by what it has looked up itself: each thread remembers the last
 * LRU_HELD of its run. Where it has looked up more, or everything else has gone, the
 * evicted element waits for the run's end like those that others have evicted.
 *
 * The bit and the stamp share a word: a program that is late may want to set the bit
 * of an element that has left the table. It does so by compare-and-swap from 0, and
 * 0 in limbo is the stamp 0 or none: 1 instead waits longer, never shorter.
 */
#ifndef SHMAP_MAP_HTAB_LRU_H
#define SHMAP_MAP_HTAB_LRU_H

#include "map/gate.h"
#include "map/htab.h"

#define LRU_STRIPE_MIN 64  /* elements per stripe, or there are fewer stripes */
#define LRU_SPARES_SHIFT 4 /* one element in 16 more, for those that wait in limbo */
#define LRU_SCAN 128	   /* referenced elements that one eviction passes by */
#define LRU_HELD 16
#define LRU_NODE_ACTIVE (1U << 31)

enum lru_list_id { LRU_INACTIVE, LRU_ACTIVE, LRU_LISTS };

struct lru_list {
	uint32_t newest; /* element + 1, or 0 */
	uint32_t oldest;
	uint32_t count;
};

struct lru_order {
	struct lru_list list[LRU_LISTS];
	uint32_t next;	      /* a guess: the next victim, element + 1 ... */
	uint32_t next_bucket; /* ... and where it is */
	uint64_t evictions;
	uint64_t pad[3];
};

struct lru_node {
	uint32_t newer; /* element + 1, LRU_NODE_ACTIVE; the newest: 0 */
	uint32_t older;
};

_Static_assert(sizeof(struct lru_order) == CACHE_LINE, "stripes do not share lines");

static inline struct lru_order *htab_lru_order(const struct map *m, uint32_t stripe)
{
	return (struct lru_order *)(m->obj.base + m->htab.lru_off) + stripe;
}

static inline struct lru_node *htab_lru_node(const struct map *m, uint32_t index)
{
	return (struct lru_node *)htab_lru_order(m, m->htab.stripes) + index;
}

/* Is this a map that evicts? */
static inline bool htab_lru(const struct map *m)
{
	return m->htab.lru_off != 0;
}

/* A program has looked the element up, or somebody has updated it in place. */
static inline void htab_lru_touch(const struct map *m, struct elem *e)
{
	uint32_t none = 0;

	if (htab_lru(m) && !load_relaxed(&e->stamp) && m->writable)
		cas_relaxed(&e->stamp, &none, 1);
}

/* The calling thread's run has a pointer to the element. */
void htab_lru_hold(struct map *m, uint32_t index);

static inline void htab_lru_looked_up(struct map *m, const struct htab_hit *hit)
{
	if (!htab_lru(m))
		return;
	htab_lru_touch(m, hit->e);
	htab_lru_hold(m, hit->index);
}

/* Where the order stands in a file whose other parts end at `end`; the new end. */
uint64_t htab_lru_layout(struct map *m, uint64_t end);
int htab_lru_format(struct map *m);
/* Pages for the nodes of n elements. */
int htab_lru_populate(struct map *m, uint64_t first, uint32_t n);

/* The rest is called under the stripe's lock, but where it is said. */

/* An update replaces this element: what its order needs is fetched. (Before the lock: a hint,
 * while others store.) */
static inline void htab_lru_fetch(const struct map *m, uint32_t index)
{
	const struct lru_node *node = htab_lru_node(m, index);
	uint32_t newer1 = load_relaxed(&node->newer) & ~LRU_NODE_ACTIVE;
	uint32_t older1 = load_relaxed(&node->older);

	if (likely(newer1 - 1 < m->htab.elems))
		prefetch_write(htab_lru_node(m, newer1 - 1));
	if (likely(older1 - 1 < m->htab.elems))
		prefetch_write(htab_lru_node(m, older1 - 1));
}

/* A change is committed: new1 came into the table and old1 left it (element + 1; 0: none,
 * or one that was evicted). */
void htab_lru_changed(struct map *m, uint32_t stripe, uint32_t new1, uint32_t old1);
/* Builds the order anew after a death. */
void htab_lru_rebuild(struct map *m, uint32_t stripe);

/* htab_lru_full(), as long as it says 0 at once. */
static inline bool htab_lru_may_evict(const struct map *m, uint32_t stripe)
{
	const struct lru_order *o = htab_lru_order(m, stripe);

	return gift_full(htab_room(m)) &&
	       (o->list[LRU_INACTIVE].oldest || o->list[LRU_ACTIVE].oldest);
}

/*
 * The stripe has used its quota and needs room for one element. 0: the caller is to call
 * htab_lru_evict() once it has memory for the new one; the lock is still held. 1: the lock
 * was released, the caller begins again. < 0: released, -ENOMEM (nothing to evict), -EIO.
 * *looked: 0 at first.
 */
int htab_lru_full(struct map *m, uint32_t stripe, uint32_t *looked);
/* Evicts one element for the one that `a` is for (or NULL); *bucket: it was in this one.
 * 0, -ENOMEM, -EIO. With a->from INTENT_LIMBO the caller chooses again. */
int htab_lru_evict(struct map *m, uint32_t stripe, struct htab_alloc *a, uint32_t *bucket);

/* A commit wants room: chooses n elements of the stripe that give way, without its lock. 0 or
 * -errno. */
int htab_lru_choose(struct map *m, uint32_t stripe, uint32_t n, struct gate_plan *plan);

#endif
