/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_LPM_TRIE: longest prefix match.
 *
 * File:
 *
 *   part_off   | struct lpm_part [parts]      roots, locks, pools, intents
 *   node_off   | struct lpm_node [elems]      12 bytes each
 *   elem_off   | element [elems]              value, meta word, key data
 *
 * The prefixes stand in binary tries without chains: a node exists only where
 * two prefixes part, so n prefixes have n - 1 nodes. A node's rank says where:
 *
 *   2 * pos       END   one prefix ends at bit pos (child[0], an element); the
 *                       rest of the subtree continues it (child[1])
 *   2 * pos + 1   BIT   child[b] has the prefixes whose bit pos is b
 *
 * All prefixes below a node share their first pos bits, and ranks rise on every
 * way down: that bounds each walk, also in a damaged file. The bits that a
 * way skips are compared once, at an element: all that ended on the way are
 * prefixes of what it is compared with. The kernel's order of iteration
 * (longer prefixes first) is child[0] before child[1] in a BIT, child[1] before
 * child[0] in an END.
 *
 * A link is 0, a node's number + 1, or LPM_ELEM | an element's number + 1. Storing one
 * link commits a change: an insert puts a new node (END or BIT), with the new
 * element and the old subtree as children, in the subtree's place; a delete
 * puts the other subtree in the node's place; a replacement stores the new
 * element's link.
 *
 * The index. A large part also has tables of links, by the first k bits of a prefix, for k =
 * fine, fine - 2, fine - 6, fine - 10 ... (lpm_index.c): a slot has the link to all prefixes of k
 * bits and more that begin so, LPM_NONE when there are none, or 0: look elsewhere. A search begins
 * there, with the finest table, and goes on to the next only for what is shorter than k bits.
 * A table says nothing that the trie does not: while a change is under way its slots are 0.
 *
 * Parts. The first LPM_PART_BITS bits choose one of 16 tries, each with a lock,
 * a pool of elements and nodes, and a share of max_entries (its quota), so that writers of
 * different parts do not meet; one more has the prefixes that are shorter. A small map
 * has one part. The lock is robust, and one is enough for any operation. A part without quota
 * takes some, with as many elements and nodes, from another as a gift (lpm_pool.c):
 * capacity is exact (G6).
 *
 * Readers take no lock. part->seq is counted up before each commit and again
 * after it, before anything that the commit unlinked is touched:
 *
 *   writer   fill free memory; seq++; store the link; seq++; put away what is unlinked
 *   reader   s = seq; walk; s == seq?
 *
 * So what a reader has seen between two equal looks at seq was the trie as it was,
 * with the one link as it was before or after: its answer is that of one instant, and every
 * element that it came to was in the trie then. An odd seq means nothing: a
 * writer that stands still in the middle keeps nobody waiting. What is copied out
 * of an element afterwards is believed when the element's meta word has not changed:
 * it counts the element's lives (G1), up to 2^19: a copy would have to stand still for a multiple
 * of that many lives of its element, and go on in one of the same prefix length, to be wrong.
 *
 * Death (G5). Before anything changes the part's intent says what is about to
 * happen. Whoever takes the lock over looks whether the link was stored: then
 * the rest is done (the same function that always does it), else the head of
 * the free lists, whose links were overwritten, is put right.
 *
 * Reuse (G2). An element that leaves a trie goes to its part's limbo and is used
 * again when no program run that may have looked it up goes on (sync/lease.h). Nodes
 * are used again at once: only seq-checked walks look at them.
 */
#ifndef SHMAP_MAP_LPM_H
#define SHMAP_MAP_LPM_H

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "map/map.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define LPM_DATA_MAX 256
#define LPM_KERNEL_NODE 24 /* the kernel's struct lpm_trie_node, for memlock */
#define LPM_KEY_MIN 5
#define LPM_KEY_MAX (4 + LPM_DATA_MAX)
#define LPM_PART_BITS 4
#define LPM_LONG_PARTS (1U << LPM_PART_BITS)
#define LPM_SHORT_PART LPM_LONG_PARTS
#define LPM_PARTS_MAX (LPM_LONG_PARTS + 1)
#define LPM_PARTS_FROM 32 /* max_entries of a map with more than one part */
#define LPM_SPARES 8	  /* elements of a part beyond its quota */
#define LPM_ELEMS_MAX (1U << 30)
#define LPM_LIMBO_BATCH 16
#define LPM_GIFT_MAX 64
#define LPM_READ_TRIES 64 /* that a writer overtook, before the lock is taken */
#ifndef LPM_RESTARTS	  /* the fuzz build makes it small */
#define LPM_RESTARTS (1U << 16)
#endif

#define LPM_LEVEL_MIN 8U /* bits that a table of the index is by */
#define LPM_LEVEL_MAX 24U
#define LPM_LEVELS 5 /* 24, 22, 18, 14, 10; or 22, 20, 16, 12, 8 */

#define LPM_ELEM (1U << 31)
#define LPM_NONE LPM_ELEM /* in the index: there is nothing */
#define LPM_INDEX_MASK (LPM_ELEM - 1)

struct lpm_node {
	uint32_t rank;
	uint32_t child[2]; /* child[0]: also the next free node's number + 1 */
};

#define LPM_RANK_END(pos) (2 * (pos))
#define LPM_RANK_BIT(pos) (2 * (pos) + 1)

/* The meta word of an element: prefix length, LIVE while it is in a trie, and above that
 * the number of its lives. */
#define LPM_PLEN_MASK 0xfffU
#define LPM_LIVE 0x1000U
#define LPM_LIFE 0x2000U

enum lpm_intent_op {
	LPM_INTENT_NONE,
	LPM_INTENT_CHANGE, /* store `link` in the word at `where` */
	LPM_INTENT_GIVE,   /* store `link` in the gift word */
	LPM_INTENT_TAKE,   /* claim part `where`'s gift word, now `link` */
};

/* Written before the commit, read by the next owner when we die. *_after is what the
 * part's field becomes once the commit is done. */
struct lpm_intent {
	uint32_t op;
	uint32_t live_after;
	uint64_t where; /* file offset of the word (CHANGE); part (TAKE) */
	uint64_t link;
	uint64_t heads_after;
	uint32_t node_free_after;
	uint32_t fresh_after, node_fresh_after;
	uint32_t new_elem, new_node; /* number + 1, or 0 */
	uint32_t old_elem, old_node;
	uint32_t old_meta; /* what the old element's meta word becomes */
	uint32_t old_next; /* what follows it in limbo */
	uint32_t new_next; /* what followed the new element in its list */
	uint32_t new_node_next;
	uint32_t quota_after;
	/* the index's slots of the prefix: which, and what they hold before and after */
	uint32_t stem, fine;
	uint32_t slot_old[LPM_LEVELS], slot_new[LPM_LEVELS];
};

struct lpm_part {
	/* what readers look at */
	uint64_t seq;
	uint32_t root;
	uint32_t fine; /* bits of the finest table in use; 0: none */
	uint32_t pad0[12];

	uint32_t lock;
	uint32_t live;	   /* elements in the trie */
	uint32_t quota;	   /* how many there may be */
	uint32_t arrivals; /* times that capacity came to this part */
	/* In one word so that they change by one store: the free list's head (low
	 * half) and limbo's (high half), numbers + 1. */
	uint64_t heads;
	uint64_t gift;	     /* see lpm_pool.c */
	uint32_t gift_node;  /* the first of the nodes that go with it */
	uint32_t node_free;  /* the free nodes' head, number + 1 */
	uint32_t fresh;	     /* elements of this part's region never used: fresh..per_part */
	uint32_t node_fresh; /* nodes of it */
	uint32_t backed, node_backed; /* of the region, that have pages */
	uint32_t limbo_top;	      /* what limbo_stamp was taken for */
	uint32_t limbo_stamp;

	uint64_t failed;    /* updates refused for want of room */
	uint32_t limbo_len; /* a hint */
	uint32_t grow_at;   /* elements from which a finer table is worth while; 0: not known */
	uint64_t changes;   /* updates and deletes */
	uint32_t pad1[10];
	struct lpm_intent intent;
};

_Static_assert(offsetof(struct lpm_part, lock) == CACHE_LINE, "readers have their own line");
_Static_assert(offsetof(struct lpm_part, failed) == 2 * CACHE_LINE, "the second line is full");
_Static_assert(sizeof(struct lpm_intent) == 2 * CACHE_LINE, "intents have their own lines");
_Static_assert(sizeof(struct lpm_part) % CACHE_LINE == 0, "parts do not share lines");
_Static_assert(sizeof(struct lpm_node) == 12, "nodes are dense");

static inline struct lpm_part *lpm_part(const struct map *m, uint32_t i)
{
	return (struct lpm_part *)(m->obj.base + m->lpm.part_off) + i;
}

static inline struct lpm_node *lpm_node(const struct map *m, uint32_t i)
{
	return (struct lpm_node *)(m->obj.base + m->lpm.node_off) + i;
}

/* An element begins with its value. */
static inline uint8_t *lpm_elem(const struct map *m, uint32_t i)
{
	return m->obj.base + m->lpm.elem_off + (uint64_t)i * m->lpm.stride;
}

static inline uint32_t *lpm_meta(const struct map *m, uint32_t i)
{
	return (uint32_t *)(lpm_elem(m, i) + m->lpm.meta_off);
}

static inline uint8_t *lpm_data(const struct map *m, uint32_t i)
{
	return lpm_elem(m, i) + m->lpm.meta_off + 4;
}

/* In a pool, where the data would be: the next element's number + 1. */
static inline uint32_t *lpm_next(const struct map *m, uint32_t i)
{
	return (uint32_t *)lpm_data(m, i);
}

static inline bool lpm_link_is_elem(uint32_t link)
{
	return link & LPM_ELEM;
}

/* The number in a link, checked: UINT32_MAX when there is no such node or element. */
static inline uint32_t lpm_link_index(const struct map *m, uint32_t link)
{
	uint32_t i = (link & LPM_INDEX_MASK) - 1;

	return likely(i < m->lpm.elems) ? i : UINT32_MAX;
}

static inline unsigned int lpm_bit(const uint8_t *data, uint32_t pos)
{
	return data[pos >> 3] >> (7 - (pos & 7)) & 1;
}

/* The first 32 bits, as a number. */
static inline uint32_t lpm_stem(const struct map *m, const uint8_t *data)
{
	uint32_t i, stem = 0;

	if (likely(m->lpm.data_size >= 4)) {
		memcpy(&stem, data, 4);
		return __builtin_bswap32(stem);
	}
	for (i = 0; i < m->lpm.data_size; i++)
		stem |= (uint32_t)data[i] << (24 - 8 * i);
	return stem;
}

/* The slot of a table; level is even, LPM_LEVEL_MIN to m->lpm.level_max. */
static inline uint32_t *lpm_slot(const struct map *m, uint32_t level, uint32_t stem)
{
	uint64_t before = ((1U << level) - (1U << LPM_LEVEL_MIN)) / 3;

	return (uint32_t *)(m->obj.base + m->lpm.index_off) + before + (stem >> (32 - level));
}

/* The next coarser level that a part of this finest one uses. */
static inline uint32_t lpm_level_below(uint32_t level, uint32_t fine)
{
	return level - (level == fine ? 2 : 4);
}

static inline bool lpm_level_ok(const struct map *m, uint32_t level)
{
	return level >= LPM_LEVEL_MIN && level <= m->lpm.level_max && !(level & 1);
}

/* A key, taken apart; data is the caller's private memory. */
struct lpm_key {
	const uint8_t *data;
	uint32_t plen;
	uint32_t stem;
};

static inline struct lpm_key lpm_key(const struct map *m, const void *key)
{
	struct lpm_key k = {.data = (const uint8_t *)key + 4};

	memcpy(&k.plen, key, 4);
	k.stem = lpm_stem(m, k.data);
	return k;
}

static inline uint32_t lpm_part_of(const struct map *m, const struct lpm_key *k)
{
	if (m->lpm.parts == 1)
		return 0;
	return k->plen < LPM_PART_BITS ? LPM_SHORT_PART : k->stem >> (32 - LPM_PART_BITS);
}

/* How many of the first `limit` bits are equal. a may be shared. */
uint32_t lpm_common(const uint8_t *a, const uint8_t *b, uint32_t limit);

/* An element in a certain life. */
struct lpm_hit {
	uint32_t index;
	uint32_t meta;
};

/* The element of a link that must be one: 1, or -EIO. */
static inline int lpm_link_elem(struct map *m, uint32_t link, struct lpm_hit *hit)
{
	if (unlikely(!lpm_link_is_elem(link)))
		return -EIO;
	hit->index = lpm_link_index(m, link);
	if (unlikely(hit->index == UINT32_MAX))
		return -EIO;
	hit->meta = load_acquire(lpm_meta(m, hit->index));
	return likely((hit->meta & LPM_PLEN_MASK) <= m->lpm.max_plen) ? 1 : -EIO;
}

/* Was everything read from the element since hit->meta was? */
static inline bool lpm_hit_valid(const struct map *m, const struct lpm_hit *hit)
{
	fence_acquire();
	return load_relaxed(lpm_meta(m, hit->index)) == hit->meta;
}

/* Where a key is, or would be; found under the part's lock. */
struct lpm_place {
	uint32_t part;
	uint32_t *word; /* holds the link that the change replaces */
	uint32_t link;	/* what it holds */
	uint32_t elem;	/* of this very prefix: number + 1; 0: there is none */
	/* to delete: the node above the element (number + 1; 0: none), and the word that
	 * leads to it */
	uint32_t *above;
	uint32_t node;
	/* to insert: the new node's rank, and which of its children the element will be */
	uint32_t rank;
	unsigned int side;
};

/* An allocation in the making; nothing has changed yet. */
struct lpm_alloc {
	uint32_t elem, next; /* numbers, and what follows in the free list (number + 1) */
	uint64_t heads_after;
	uint32_t fresh_after;
	uint32_t node, node_next;
	uint32_t node_free_after, node_fresh_after;
};

/* lpm_find.c */
void lpm_damaged(struct map *m);
int lpm_read(struct map *m, const void *key, void *value, uint64_t flags);
/* The same, and the prefix that it found, as a key: private memory. */
int lpm_read_found(struct map *m, const void *key, void *found, void *value);
/* Fills m->quick. */
void lpm_quick(struct map *m);
void *lpm_lookup(struct map *m, const void *key);
int lpm_next_key(struct map *m, const void *key, void *next);
/* Under the part's lock; p->part is set. 0 or -EIO. */
int lpm_find_locked(struct map *m, const struct lpm_key *k, struct lpm_place *p, bool to_delete);

/* What comes after k, which is the last of its part or, in the part of the short ones, any
 * (-ENOENT: it is gone): 1, 0, -errno. */
int lpm_next_part(struct map *m, const struct lpm_key *k, uint8_t *found);

/* lpm_batch.c */
int lpm_lookup_batch(struct map *m, struct map_batch *b);

/* lpm_change.c */
int lpm_lock(struct map *m, uint32_t part);
void lpm_unlock(struct map *m, uint32_t part);
int lpm_write(struct map *m, const void *key, const void *value, uint64_t flags);
int lpm_erase(struct map *m, const void *key);
long lpm_update(struct map *m, const void *key, const void *value, uint64_t flags);
long lpm_delete(struct map *m, const void *key);
/* Completes or undoes what the owner of the part's lock began. */
void lpm_recover_part(struct map *m, uint32_t part);

/* lpm_index.c */
uint64_t lpm_index_layout(struct map *m, uint64_t off);
/* What a change does to the slots of a prefix: into the part's intent. new_link: at the place
 * of old_link; pos: of the node that comes or goes, UINT32_MAX: none does. */
void lpm_index_plan(struct map *m, uint32_t part, const struct lpm_key *k, uint32_t old_link,
		    uint32_t new_link, uint32_t pos, uint32_t alone);
void lpm_index_clear(struct map *m, const struct lpm_intent *in);
void lpm_index_store(struct map *m, const struct lpm_intent *in, bool committed);
/* Under the part's lock, no change under way: a finer table, if it is time. */
void lpm_index_grow(struct map *m, uint32_t part);

/* lpm_pool.c */
void lpm_pool_format(struct map *m);
/* Chooses an element, and a node if with_node, of the part, locked. -EAGAIN: wait for *stamp,
 * then call with force, which takes what was unlinked up to *stamp all the same.
 * -ENOMEM: tmpfs is full. */
int lpm_alloc(struct map *m, uint32_t part, bool with_node, bool force, struct lpm_alloc *a,
	      uint32_t *stamp);
extern const struct gift_ops lpm_gifts;
/* Finds quota for the part, unlocked: 0 (try again), -ENOSPC, -EBUSY. */
int lpm_steal(struct map *m, uint32_t part);
void lpm_give_complete(struct map *m, uint32_t part);
void lpm_take_again(struct map *m, uint32_t part);

/* lpm_gate.c */
extern const struct gate_ops lpm_gate_ops;

/* lpm_validate.c */
int lpm_validate(struct map *m, char *why, size_t size);

#endif
