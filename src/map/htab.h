/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hash table below BPF_MAP_TYPE_HASH and PERCPU_HASH.
 *
 * File:
 *
 *   0           | struct htab_head               one line: is there room anywhere?
 *   stripe_off  | struct stripe [stripes]        locks, pools, intents
 *   page_off    | a bit per page of buckets      large maps only: it may be used
 *   bucket_off  | struct bucket [buckets]        one cache line each
 *   elem_off    | struct elem   [elems]          header, key, value
 *   percpu_off  | per CPU: values [elems]        PERCPU_HASH only
 *   claim_off   | redo records [HTAB_CLAIMS]     values with a bpf_spin_lock only
 *               | one staged value per stripe    PERCPU_HASH only
 *
 * A bucket holds links to its elements: seven slots, then a chain through
 * elem.next. A link is one 64-bit word:
 *
 *   63        52 51              28 27             0
 *   | tag (hash) | generation       | element + 1    |
 *
 * and 0 is no link. Storing one link commits a change: insert, replace (the new
 * element takes the old one's place in slot or chain) or delete.
 *
 * elem.gen is odd while the element is in the table, even otherwise; it grows
 * by one at each change, and a link carries its low bits. A reader that has
 * come to an element by a link and finds another generation before or after
 * it has looked at the element starts over: so it never takes an element of
 * another life, another key or another bucket for what it wanted, and a value
 * that it has copied out was written by one update (G1). It takes no lock and
 * waits for nobody: an element that a stopped writer is filling is in no
 * bucket.
 *
 * Why a miss is right: an element that stays in the table keeps its place (its
 * slot, or its order in the chain), also through replacement. So a reader that
 * passed all places without meeting the key did so because at some moment in
 * between it was not there. In the chain: a node that the reader stands on may
 * be unlinked, but then its next was right when that happened, which was
 * after the reader had come there.
 *
 * Writers hold the stripe's robust lock (stripe = bucket modulo stripes), which
 * also covers the stripe's pool of elements and its counters, so that one
 * lock, of which a thread may hold one, covers a whole operation. Before the
 * commit the stripe's intent says what is about to happen; after it the pool and
 * the counters are brought up to date from the intent. Whoever takes the lock of
 * a dead owner does the same: if the slot holds the new link the change
 * happened and is completed, otherwise nothing did.
 *
 * Capacity (G6). max_entries is split into the stripes' quotas; live <= quota.
 * A stripe that has none left takes quota, with as many elements, from
 * another as a gift: the giver, under its own lock, moves both into its gift
 * word; the taker, under its own lock, claims the word by compare-and-swap.
 * At each instant each element and each unit of quota stands in exactly one
 * place that survivors can read. When there is none anywhere the head's word says so,
 * for as long as it is true (gift.h).
 *
 * Reuse (G2). An element that leaves the table goes to the stripe's limbo, and is used
 * again when no program run that may have looked it up goes on. The later holder
 * of the lock who asks stamps the top (sync/lease.h): what lies below left the
 * table before it. Each stripe has up to HTAB_SPARES elements beyond its quota for this.
 *
 * In place. As long as no program has looked anything up in the map, nobody holds pointers, and
 * a value of 1, 2, 4 or 8 bytes may be replaced by one store under the stripe's lock: whole for
 * every reader, and nothing for a death to leave behind. A program's side
 * (htab_programs_come()) first sets `programs` in every stripe and then, after a full fence,
 * waits until it has seen each lock free, or of somebody else than before. Who takes a lock
 * after that sees the mark, as the compare-and-swap is a full fence too: no value changes
 * beneath a pointer that was looked up afterwards (G2). The mark stays for ever.
 *
 * Pages come when they are first used, so that a map costs what is in it: those of
 * elements under the stripe's lock (htab_pool.c), a page of buckets before its first
 * element. A page of a hole is never touched before object_populate(): to read it
 * would allocate it too, or be a SIGBUS in a full tmpfs. So a bit, set after the page has
 * been made, tells readers that there is one; without it the bucket is empty, and was
 * so when the bit was read, as every link is stored after its page's bit. When tmpfs is full,
 * the update fails with -ENOMEM.
 */
#ifndef SHMAP_MAP_HTAB_H
#define SHMAP_MAP_HTAB_H

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/tags.h"
#include "map/gift.h"
#include "map/map.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define HTAB_SLOTS 7
#define HTAB_SPARES 8
#define HTAB_STRIPES_MAX 256
#define HTAB_STRIPES_PER_CPU 32
#define HTAB_BUCKETS_EAGER 256 /* up to so many all have pages from the beginning */
#define HTAB_PAGE_BUCKETS (SHMAP_PAGE / CACHE_LINE)
#define HTAB_LIMBO_BATCH 16
#define HTAB_GIFT_MAX 64
#define HTAB_STEAL_TRIES 4 /* of who does not wait */
#ifndef HTAB_RESTARTS	   /* the fuzz build makes it small: more inputs in the time */
#define HTAB_RESTARTS (1U << 14)
#endif
#define HTAB_CLAIMS 16
#define HTAB_WORDS_MAX 64   /* bytes of keys and values that are copied word by word */
#define HTAB_READ_TRIES 64  /* copies that a writer overtook, before the lock is taken */
#define HTAB_CHAIN_MAX 8192 /* a longer chain is damage to a walk over the whole table */

#define LINK_INDEX_BITS 28
#define LINK_GEN_BITS 24
#define LINK_INDEX_MASK ((1ULL << LINK_INDEX_BITS) - 1)
#define LINK_GEN_MASK ((1ULL << LINK_GEN_BITS) - 1)
#define LINK_TAG_SHIFT (LINK_INDEX_BITS + LINK_GEN_BITS)
#define LINK_TAG_MASK (~0ULL << LINK_TAG_SHIFT)

struct htab_head {
	uint32_t room; /* gift.h */
	uint32_t pad[15];
};

struct bucket {
	uint64_t slot[HTAB_SLOTS];
	uint64_t chain;
};

struct elem {
	uint32_t gen;	/* odd: in the table */
	uint32_t stamp; /* in limbo, if next says so: lease_stamp(); LRU, in the table: 1: used */
	/* in a chain: the next link. In a pool: next element + 1 in the low half;
	 * in limbo also ELEM_STAMPED and the deleting program's CPU + 1. */
	uint64_t next;
	uint8_t key[];
};

#define ELEM_STAMPED (1ULL << 63)
#define ELEM_CPU_SHIFT 32

static inline uint32_t elem_freed_cpu1(const struct elem *e)
{
	return (e->next >> ELEM_CPU_SHIFT) & 0xffff;
}

enum intent_op {
	INTENT_NONE,
	INTENT_CHANGE, /* store `link` in the word `where` */
	INTENT_GIVE,   /* store `link` in the gift word */
	INTENT_TAKE,   /* claim stripe `where`'s gift word, now `link` */
	INTENT_PLACE,  /* copy what is staged to elem1's value of CPU `where` */
};

/* With the operation, in intent.op. */
#define INTENT_OP 0xffU
/* `link` leads to a new element (CHANGE), or the gift begins with one (GIVE), that was ... */
#define INTENT_FREE 0x100U  /* ... the head of the free list, followed by rest1 */
#define INTENT_LIMBO 0x200U /* ... the head of limbo, followed by rest1 */
#define INTENT_FRESH 0x400U /* ... the first fresh one */
#define INTENT_NEW (INTENT_FREE | INTENT_LIMBO | INTENT_FRESH)

/* The words that a CHANGE may store to: this bit and an element (its next), or without
 * it the number of a bucket's word. */
#define WHERE_ELEM (1U << 31)

/*
 * Written before the commit, read by the next owner when we die. What the stripe's
 * heads and fresh become follows from it, whether they have become so already or not:
 * that is why so little is enough, and the stripe's hot half is one cache line.
 */
struct intent {
	uint64_t link;
	uint32_t where;	   /* CHANGE: see above; TAKE: stripe; PLACE: CPU */
	uint32_t elem1;	   /* CHANGE: what leaves the table; PLACE */
	uint32_t rest1;	   /* CHANGE, GIVE: what followed the element in its list */
	uint32_t after;	   /* CHANGE: live; GIVE, TAKE: quota, when it is done */
	uint32_t op;	   /* enum intent_op and INTENT_*; stored last */
	uint32_t programs; /* no part of it: see "In place" above */
};

struct stripe {
	/* the first line: all that an ordinary operation touches */
	uint32_t lock;
	uint32_t live;	/* elements in the buckets of this stripe */
	uint32_t quota; /* how many there may be */
	uint32_t fresh; /* elements of this stripe's region never used: fresh..per_stripe */
	/* Pools, in one word so that they change by one store: element + 1 of the
	 * free list's head (low half) and of limbo's (high half). */
	uint64_t heads;
	uint32_t arrivals;  /* times that capacity came to this stripe */
	uint16_t limbo_len; /* a hint */
	uint16_t count_low; /* of the changes: htab_count() */
	struct intent intent;
	/* the second */
	uint64_t gift;	 /* see htab_pool.c */
	uint32_t backed; /* elements of the region that have pages */
	uint32_t failed; /* updates refused for want of room */
	uint32_t staged; /* its staged value has pages */
	uint32_t pad0;
	uint64_t count_high;
	uint64_t count_unlocked; /* changes that were made without this stripe's lock */
	uint64_t pad[3];
};

_Static_assert(sizeof(struct htab_head) == CACHE_LINE, "the head has its own line");
_Static_assert(sizeof(struct bucket) == CACHE_LINE, "a bucket is one cache line");
_Static_assert(offsetof(struct stripe, gift) == CACHE_LINE, "the hot half is one line");
_Static_assert(sizeof(struct stripe) == 2 * CACHE_LINE, "stripes do not share lines");

static inline uint32_t *htab_room(const struct map *m)
{
	return &((struct htab_head *)m->obj.base)->room;
}

static inline struct stripe *htab_stripe(const struct map *m, uint32_t i)
{
	return (struct stripe *)(m->obj.base + m->htab.stripe_off) + i;
}

static inline struct bucket *htab_bucket(const struct map *m, uint32_t i)
{
	return (struct bucket *)(m->obj.base + m->htab.bucket_off) + i;
}

/* count_high is in these. Its lower two bits and the upper two of count_low are the same. */
#define HTAB_COUNT_STEP (1U << 14)

/* Where count_high ought to be: it may be a step or two behind. */
static inline uint64_t htab_count_steps(uint64_t high, uint16_t low)
{
	return high + ((low / HTAB_COUNT_STEP - high) & 3);
}

/*
 * Under the stripe's lock: one more update or delete, in the line that is being written anyway.
 * Who is killed between the two stores leaves nothing wrong: readers see that high is behind, and
 * the next step makes up for it.
 */
static inline __attribute__((always_inline)) void htab_count(struct stripe *st)
{
	uint16_t low = (uint16_t)(load_relaxed(&st->count_low) + 1);

	store_relaxed(&st->count_low, low);
	if (unlikely(!(low % HTAB_COUNT_STEP)))
		store_release(&st->count_high, htab_count_steps(st->count_high, low));
}

/* The same for who changes a value under its own lock. */
static inline void htab_count_unlocked(struct map *m, uint64_t hash)
{
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);

	fetch_add_relaxed(&htab_stripe(m, stripe)->count_unlocked, 1ULL);
}

/* May the bucket be looked at? */
static inline bool htab_bucket_there(const struct map *m, uint32_t bucket)
{
	uint32_t page = bucket / HTAB_PAGE_BUCKETS;
	const uint32_t *bits;

	if (!m->htab.page_off)
		return true;
	bits = (const uint32_t *)(m->obj.base + m->htab.page_off);
	/* Pairs with htab_bucket_populate(). */
	return load_acquire(&bits[page / 32]) >> page % 32 & 1;
}

/* The first bucket of the page behind this bucket's. */
static inline uint32_t htab_next_page(uint32_t bucket)
{
	return (bucket | (HTAB_PAGE_BUCKETS - 1)) + 1;
}

/* PERCPU_HASH: where a stripe stages a value that goes into place. */
static inline void *htab_staged(const struct map *m, uint32_t stripe)
{
	return m->obj.base + m->htab.claim_off + (uint64_t)stripe * m->elem_size;
}

static inline struct elem *htab_elem(const struct map *m, uint32_t i)
{
	return (struct elem *)(m->obj.base + m->htab.elem_off + (uint64_t)i * m->htab.elem_stride);
}

/* The value, or for PERCPU_HASH the value of `cpu`. */
static inline uint8_t *htab_value(const struct map *m, uint32_t i, uint32_t cpu)
{
	if (m->ops->per_cpu)
		return m->obj.base + m->htab.percpu_off + cpu * m->htab.percpu_stride +
		       (uint64_t)i * m->elem_size;
	return (uint8_t *)htab_elem(m, i) + m->htab.value_off;
}

/* HASH: the value of an element. */
static inline uint8_t *htab_plain_value(const struct map *m, struct elem *e)
{
	return (uint8_t *)e + m->htab.value_off;
}

static inline uint64_t link_make(uint32_t index, uint32_t gen, uint64_t tag)
{
	return tag | ((uint64_t)(gen >> 1) & LINK_GEN_MASK) << LINK_INDEX_BITS | (index + 1);
}

/* element + 1 as read from shared memory: the element, or NULL when it cannot be. */
static inline struct elem *htab_elem_at(const struct map *m, uint32_t index1)
{
	return likely(index1 && index1 <= m->htab.elems) ? htab_elem(m, index1 - 1) : NULL;
}

static inline uint64_t heads_make(uint32_t free1, uint32_t limbo1)
{
	return free1 | (uint64_t)limbo1 << 32;
}

static inline uint32_t heads_free(uint64_t heads)
{
	return (uint32_t)heads;
}

static inline uint32_t heads_limbo(uint64_t heads)
{
	return (uint32_t)(heads >> 32);
}

/* element + 1, unchecked */
static inline uint32_t link_index1(uint64_t link)
{
	return (uint32_t)(link & LINK_INDEX_MASK);
}

/* Is an element of this generation, in the table, what the link means? */
static inline bool link_fits(uint64_t link, uint32_t gen)
{
	return (gen & 1) &&
	       ((link >> LINK_INDEX_BITS) & LINK_GEN_MASK) == ((gen >> 1) & LINK_GEN_MASK);
}

/* An element of a certain life, found without a lock. */
struct htab_hit {
	struct elem *e;
	uint32_t index;
	uint32_t gen;
};

enum htab_follow { FOLLOW_ELEM, FOLLOW_STALE, FOLLOW_DAMAGED };

/* From a link to its element, of just that life. */
static inline enum htab_follow htab_follow(struct map *m, uint64_t link, struct htab_hit *hit)
{
	uint32_t index1 = link_index1(link);

	if (unlikely(!index1 || index1 > m->htab.elems))
		return FOLLOW_DAMAGED;
	hit->index = index1 - 1;
	hit->e = htab_elem(m, hit->index);
	hit->gen = load_acquire(&hit->e->gen);
	return likely(link_fits(link, hit->gen)) ? FOLLOW_ELEM : FOLLOW_STALE;
}

/* Was everything read from the element since htab_follow() of that life? */
static inline bool htab_hit_valid(const struct htab_hit *hit)
{
	fence_acquire();
	return load_relaxed(&hit->e->gen) == hit->gen;
}

/* Which slots of the bucket carry the tag: a bit each. */
static inline unsigned int htab_slots_tagged(const struct bucket *b, uint64_t tag)
{
	return tags_match8(b->slot, tag) & ((1U << HTAB_SLOTS) - 1);
}

/* Which hold a link: no link has the tag 0. */
static inline unsigned int htab_slots_taken(const struct bucket *b)
{
	return ~tags_match8(b->slot, 0) & ((1U << HTAB_SLOTS) - 1);
}

/*
 * What the code for one shape of map takes as constants (htab_quick.h): elsewhere it comes
 * from the map itself.
 */
struct htab_shape {
	uint32_t key_size, value_size;
	bool per_cpu, lru, has_lock;
};

static inline __attribute__((always_inline)) struct htab_shape htab_shape_of(const struct map *m)
{
	return (struct htab_shape){m->attr.key_size, m->attr.value_size, m->ops->per_cpu,
				   m->ops->evicts, m->attr.spin_lock_off >= 0};
}

/* Under the stripe's lock: may the value of an element be replaced in place? */
static inline __attribute__((always_inline)) bool htab_in_place(const struct htab_shape s,
								const struct stripe *st)
{
	if (s.per_cpu || s.has_lock || s.value_size > 8 || s.value_size & (s.value_size - 1))
		return false;
	fence_after_rmw(); /* partner: the fence in htab_programs_come() */
	return likely(!load_relaxed(&st->intent.programs));
}

/* Then does it. Release: as a commit. A caller's value may be anywhere. */
static inline __attribute__((always_inline)) void htab_store(uint8_t *to, const void *value,
							     uint32_t size)
{
	uint64_t v = 0;

	memcpy(&v, value, size == 8 ? 8 : size == 4 ? 4 : size == 2 ? 2 : 1);
	if (likely(size == 8))
		store_release((uint64_t *)to, v);
	else if (size == 4)
		store_release((uint32_t *)to, (uint32_t)v);
	else if (size == 2)
		store_release((uint16_t *)to, (uint16_t)v);
	else
		store_release(to, (uint8_t)v);
}

/* What the caller of a writer found out about the key's place. */
struct htab_place {
	uint64_t *where; /* the word that holds the link, or that a new one goes to */
	uint64_t link;	 /* 0: not found */
	uint32_t bucket;
	uint32_t stripe;
	uint64_t tag;
	/* What is taken out there: was evicted, not deleted; is not for the run that took it
	 * out, which may hold it. */
	bool evicted, held;
};

/* One allocation in the making; nothing has changed yet. */
struct htab_alloc {
	uint32_t index;
	uint32_t from;	/* INTENT_FREE, INTENT_LIMBO or INTENT_FRESH */
	uint32_t rest1; /* what follows it there */
};

/* htab_find.c */
/* Without a lock: 1 with the element, 0 when the key is not there, -EIO. */
int htab_search(struct map *m, const void *key, uint64_t hash, struct htab_hit *hit);
uint64_t htab_hash(const struct map *m, const void *key);
uint64_t htab_tag(uint64_t hash);
void htab_damaged(struct map *m);
int htab_lock(struct map *m, uint32_t stripe);
void htab_unlock(struct map *m, uint32_t stripe);
int htab_find_locked(struct map *m, const void *key, uint64_t hash, struct htab_place *p);
/* Lookup and delete. copy: room for the user's value, with BPF_F_LOCK twice. */
struct htab_swap;
int htab_take(struct map *m, const void *key, void *copy, uint64_t flags,
	      const struct htab_swap *swap);
int htab_delete_locked(struct map *m, struct htab_place *p);
/* The link at a place of a bucket, without a lock: 0..HTAB_SLOTS-1 are the slots, then
 * the chain. 0: nothing there; LINK_DAMAGED. */
#define LINK_DAMAGED (~0ULL)
uint64_t htab_place_link(struct map *m, uint32_t bucket, uint32_t at);
bool htab_key_equal(const struct map *m, const void *a, const void *b);
/* The value of a found element, without a lock; the caller checks the hit afterwards. */
int htab_found_out(struct map *m, uint32_t stripe, const struct htab_hit *hit, void *value,
		   uint64_t flags);
/* All CPUs of it, as it stands in place. */
int htab_value_out(struct map *m, uint32_t index, void *user_value);

/* One CPU's value, in place, under the stripe's lock: all or nothing (G5). */
int htab_place(struct map *m, uint32_t stripe, uint32_t index, uint32_t cpu, const void *value);
void htab_place_again(struct map *m, uint32_t stripe);

/* htab_locked.c: BPF_F_LOCK */
int htab_read_locked(struct map *m, uint32_t index, uint32_t gen, void *value);
/* 1: written; 0: the element has left the table; -EBUSY. */
int htab_write_locked(struct map *m, uint32_t index, uint32_t gen, const void *value);
/* Takes and gives back the element's lock, for what a dead holder left. 0 or -EBUSY. */
int htab_settle(struct map *m, uint32_t index);
/* Under the stripe's lock, so that the element's cannot be taken as well: the value, with
 * BPF_F_LOCK one that no holder wrote to meanwhile; copy: twice the user's value size.
 * -EAGAIN: the lock is held, or its holder has died. */
int htab_take_copy(struct map *m, uint32_t index, uint8_t *copy, uint64_t flags);
/* After that, without a lock: waits for the holder. *until: 0 at first. 0 or -EBUSY. */
int htab_wait_unheld(struct map *m, uint32_t index, uint64_t *until);
int htab_section_begin(struct map *m, void *value, uint32_t start, void **kept);
void htab_reclaim(struct map *m);
bool htab_elem_busy(struct map *m, uint32_t index);
bool htab_writer_died(const struct map *m, uint32_t index);
void htab_value_in(struct map *m, uint8_t *to, const uint8_t *from);
int htab_copy_out(struct map *m, const uint8_t *from, void *user);

/* A program looks something up in the map, for the first time in this process. */
void htab_programs_come(struct map *m);
static inline void htab_programs(struct map *m)
{
	if (unlikely(!load_relaxed(&m->htab.programs)))
		htab_programs_come(m);
}

/* htab_pool.c */
/* Chooses an element for the stripe, locked. -EAGAIN: wait for *stamp, then
 * call with force, which takes what was unlinked up to *stamp all the same.
 * -ENOMEM: tmpfs is full. */
int htab_alloc(struct map *m, uint32_t stripe, bool force, struct htab_alloc *a, uint32_t *stamp);
/* Counts an update of the stripe that there was no room for; returns err. */
int htab_refused(struct map *m, uint32_t stripe, int err);
/* Finds quota for the stripe, unlocked: 0 (try again), -E2BIG, -EBUSY, -ENOMEM. wait: also
 * for what others have begun and for grace periods; else -EBUSY soon. */
int htab_steal(struct map *m, uint32_t stripe, bool wait);
/* Completes or undoes what a dead owner of the stripe's lock began. */
void htab_recover_stripe(struct map *m, uint32_t stripe);
void htab_pool_format(struct map *m);
/* Gives the bucket its page. 0 or -ENOMEM. */
int htab_bucket_populate(struct map *m, uint32_t bucket);

/* htab_quick.c, for batches: some keys and their new values. */
#define HTAB_MANY 128
#define HTAB_MANY_KEY 16
#define HTAB_MANY_VALUES 4096 /* bytes of them */
struct htab_many {
	uint32_t n;
	bool fetch; /* the table is larger than the cache */
	uint64_t hash[HTAB_MANY], link[HTAB_MANY];
	struct bucket *bucket[HTAB_MANY]; /* NULL: it has no page */
	uint64_t *where[HTAB_MANY];
	struct elem *elem[HTAB_MANY];
	uint32_t gen[HTAB_MANY];
	uint8_t keys[HTAB_MANY * HTAB_MANY_KEY] __attribute__((aligned(8)));
	uint8_t values[HTAB_MANY_VALUES] __attribute__((aligned(8)));
};

/* htab_change.c, for batches: htab_write() of a key whose hash is known. */
int htab_write_hashed(struct map *m, const void *key, uint64_t hash, const void *value,
		      uint64_t flags);
/* Repairs what a dead owner of the stripe's lock, which is ours now, left. */
void htab_owner_died(struct map *m, uint32_t stripe);
/* The stripe's lock is ours and the gate shut: waits without the lock, and takes it again. */
int htab_gate_wait(struct map *m, uint32_t stripe);

/* htab_quick.c, htab_find.c: fill m->quick, for maps of common shapes. */
void htab_quick_change(struct map *m);
void htab_quick_read(struct map *m);
/* What these and the operations come to otherwise. */
int htab_read_any(struct map *m, const void *key, void *value, uint64_t flags);
int htab_next_key_any(struct map *m, const void *key, void *next);
int htab_erase_any(struct map *m, const void *key);

/* htab_batch_change.c */
int htab_update_batch(struct map *m, struct map_batch *b);
int htab_delete_batch(struct map *m, struct map_batch *b);

/* htab_batch.c */
int htab_lookup_batch(struct map *m, struct map_batch *b);
int htab_lookup_and_delete_batch(struct map *m, struct map_batch *b);

/* htab_gate.c */
extern const struct gate_ops htab_gate_ops, htab_lru_gate_ops;

/* htab_locked.c: the lock in an element's value, which the caller gives back; what a dead
 * holder began is done. 0 or -EBUSY. */
int htab_settle_locked(struct map *m, uint32_t index);
int htab_modify(struct map *m, const void *key, void *copy, int (*fn)(void *, void *), void *arg);
/* Gives the stripe's next n new elements pages. 0 or -ENOMEM. */
int htab_pool_reserve(struct map *m, uint32_t stripe, uint32_t n);
extern const struct gift_ops htab_gifts;

/* htab_validate.c */
int htab_validate(struct map *m, char *why, size_t size);

#endif
