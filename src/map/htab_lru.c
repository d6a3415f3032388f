/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of the LRU hash tables, and eviction: see htab_lru.h. */
#include "map/htab_lru.h"

#include <stdio.h>
#include <stdlib.h>

#include "map/htab_key.h"
#include "map/htab_ops.h"
#include "map/lru_ops.h"

#define LRU_ELSEWHERE_TRIES 64

uint64_t htab_lru_layout(struct map *m, uint64_t end)
{
	m->htab.lru_off = round_up_u64(end, CACHE_LINE);
	return m->htab.lru_off + (uint64_t)m->htab.stripes * CACHE_LINE +
	       (uint64_t)m->htab.elems * sizeof(struct lru_node);
}

int htab_lru_format(struct map *m)
{
	return object_populate(&m->obj, m->htab.lru_off, (uint64_t)m->htab.stripes * CACHE_LINE);
}

int htab_lru_populate(struct map *m, uint64_t first, uint32_t n)
{
	return object_populate(&m->obj,
			       (uint64_t)((uint8_t *)htab_lru_node(m, 0) - m->obj.base) +
				       first * sizeof(struct lru_node),
			       n * sizeof(struct lru_node));
}

/* ---- the lists ---- */

/* Takes the element off its list: false when the links around it make no sense. */
static bool order_unlink(struct map *m, struct lru_order *o, uint32_t index1)
{
	struct lru_node *node = htab_lru_node(m, index1 - 1);
	uint32_t word = load_relaxed(&node->newer), older1 = load_relaxed(&node->older);
	uint32_t bit = word & LRU_NODE_ACTIVE, newer1 = word & ~LRU_NODE_ACTIVE;
	struct lru_list *list = &o->list[bit ? LRU_ACTIVE : LRU_INACTIVE];
	struct lru_node *newer = NULL, *older = NULL;

	if (newer1 > m->htab.elems || older1 > m->htab.elems || !list->count)
		return false;
	if (newer1)
		newer = htab_lru_node(m, newer1 - 1);
	if (older1)
		older = htab_lru_node(m, older1 - 1);
	if ((newer ? newer->older : list->newest) != index1 ||
	    (older ? older->newer & ~LRU_NODE_ACTIVE : list->oldest) != index1)
		return false;
	if (newer)
		store_relaxed(&newer->older, older1);
	else
		list->newest = older1;
	if (older)
		store_relaxed(&older->newer, newer1 | bit);
	else
		list->oldest = newer1;
	list->count--;
	return true;
}

static bool order_push(struct map *m, struct lru_order *o, enum lru_list_id id, uint32_t index1)
{
	uint32_t bit = id == LRU_ACTIVE ? LRU_NODE_ACTIVE : 0;
	struct lru_list *list = &o->list[id];
	struct lru_node *node = htab_lru_node(m, index1 - 1);
	uint32_t newest1 = load_relaxed(&list->newest);

	if (newest1 > m->htab.elems || newest1 == index1)
		return false;
	store_relaxed(&node->newer, bit);
	store_relaxed(&node->older, newest1);
	if (newest1)
		store_relaxed(&htab_lru_node(m, newest1 - 1)->newer, index1 | bit);
	else
		list->oldest = index1;
	list->newest = index1;
	list->count++;
	return true;
}

/*
 * What is in the stripe's buckets, each element once: a second link to one, which damage
 * could have made, is found by the count of elements that there can be.
 */
void htab_lru_rebuild(struct map *m, uint32_t stripe)
{
	struct lru_order *o = htab_lru_order(m, stripe);
	uint32_t bucket, place, steps, n = 0;
	struct htab_hit hit;
	uint64_t link;

	o->list[LRU_INACTIVE] = o->list[LRU_ACTIVE] = (struct lru_list){0};
	for (bucket = stripe; bucket < m->htab.buckets; bucket += m->htab.stripes) {
		struct bucket *b = htab_bucket(m, bucket);

		if (!htab_bucket_there(m, bucket))
			continue;
		for (place = 0, link = 0, steps = 0; place < HTAB_SLOTS || link; place++) {
			if (place < HTAB_SLOTS)
				link = load_relaxed(&b->slot[place]);
			if (link) {
				if (htab_follow(m, link, &hit) != FOLLOW_ELEM ||
				    ++n > m->htab.elems || ++steps > m->htab.elems)
					goto damaged;
				order_push(m, o,
					   load_relaxed(&hit.e->stamp) == 1 ? LRU_ACTIVE
									    : LRU_INACTIVE,
					   hit.index + 1);
			}
			if (place >= HTAB_SLOTS)
				link = load_relaxed(&hit.e->next);
			else if (place == HTAB_SLOTS - 1)
				link = load_relaxed(&b->chain);
		}
	}
	return;

damaged:
	o->list[LRU_INACTIVE] = o->list[LRU_ACTIVE] = (struct lru_list){0};
	htab_damaged(m);
}

void htab_lru_changed(struct map *m, uint32_t stripe, uint32_t new1, uint32_t old1)
{
	struct lru_order *o = htab_lru_order(m, stripe);

	if (unlikely((old1 && !order_unlink(m, o, old1)) ||
		     (new1 && !order_push(m, o, LRU_INACTIVE, new1))))
		htab_lru_rebuild(m, stripe);
}

/* ---- eviction ---- */

/* What the run has looked up, in all maps; n counts all of it. */
static __thread struct {
	uint32_t run, n;
	struct {
		uint32_t map_id, index;
	} at[LRU_HELD];
} held __attribute__((tls_model("initial-exec")));

void htab_lru_hold(struct map *m, uint32_t index)
{
	uint32_t run = lease_tenancy(), last = (held.n - 1) % LRU_HELD;

	if (held.run != run) {
		held.run = run;
		held.n = 0;
	} else if (held.n && held.at[last].index == index && held.at[last].map_id == m->obj.id) {
		return;
	}
	held.at[held.n % LRU_HELD].map_id = m->obj.id;
	held.at[held.n % LRU_HELD].index = index;
	/* A signal handler has no lease of its own, and looks nothing up. */
	held.n = held.n < 2 * LRU_HELD ? held.n + 1 : held.n - LRU_HELD + 1;
}

/* How many are remembered of the thread's present run. */
static uint32_t held_now(void)
{
	uint32_t run = held.n ? lease_tenancy() : LEASE_NO_TENANCY;

	if (likely(run == LEASE_NO_TENANCY || run != held.run))
		return 0;
	return held.n < LRU_HELD ? held.n : LRU_HELD;
}

static bool is_held(const struct map *m, uint32_t index1, uint32_t n)
{
	while (n--) {
		if (held.at[n].index + 1 == index1 && held.at[n].map_id == m->obj.id)
			return true;
	}
	return false;
}

/* The element's reference bit, which is cleared. */
static bool referenced(struct map *m, uint32_t index1)
{
	struct elem *e = htab_elem(m, index1 - 1);

	if (!load_relaxed(&e->stamp))
		return false;
	store_relaxed(&e->stamp, 0);
	return true;
}

/* Takes the oldest of a list out, where that makes sense. */
static inline bool order_pop(struct map *m, struct lru_list *list, uint32_t index1)
{
	uint32_t newer1 = load_relaxed(&htab_lru_node(m, index1 - 1)->newer) & ~LRU_NODE_ACTIVE;

	if (unlikely(newer1 > m->htab.elems || !list->count || list->oldest != index1))
		return false;
	list->oldest = newer1;
	list->count--;
	if (likely(newer1))
		store_relaxed(&htab_lru_node(m, newer1 - 1)->older, 0);
	else
		list->newest = 0;
	return true;
}

/* Takes a victim off its list. A death from here on has the lists built anew. */
static inline bool order_take(struct map *m, struct lru_order *o, uint32_t index1)
{
	if (likely(o->list[LRU_INACTIVE].oldest == index1))
		return order_pop(m, &o->list[LRU_INACTIVE], index1);
	return order_unlink(m, o, index1);
}

/* From the end of one list to the beginning of one. */
static bool order_move(struct map *m, struct lru_order *o, uint32_t index1, enum lru_list_id to)
{
	return order_unlink(m, o, index1) && order_push(m, o, to, index1);
}

/* The oldest active ones come back while the inactive list is the shorter one. False: the lists
 * make no sense. */
static bool order_age(struct map *m, struct lru_order *o)
{
	struct lru_list *inactive = &o->list[LRU_INACTIVE], *active = &o->list[LRU_ACTIVE];
	uint32_t scan, v;

	for (scan = 0; scan < LRU_SCAN && inactive->count < active->count; scan++) {
		v = load_relaxed(&active->oldest);
		if (!v || v > m->htab.elems ||
		    !order_move(m, o, v, referenced(m, v) ? LRU_ACTIVE : LRU_INACTIVE))
			return false;
	}
	return true;
}

/* *index1 gets the element that gives way, or 0 when there is none; false: the lists
 * make no sense. */
static bool order_victim(struct map *m, struct lru_order *o, uint32_t *index1)
{
	struct lru_list *inactive = &o->list[LRU_INACTIVE], *active = &o->list[LRU_ACTIVE];
	uint32_t scan, v, ours = held_now();

	if (!order_age(m, o))
		return false;
	for (scan = 0; scan < LRU_SCAN; scan++) {
		v = load_relaxed(&inactive->oldest);
		if (!v)
			break;
		if (v > m->htab.elems)
			return false;
		*index1 = v;
		if (!referenced(m, v) && likely(!ours || !is_held(m, v, ours)))
			return true;
		if (!order_move(m, o, v, LRU_ACTIVE))
			return false;
	}
	/* All that was looked at is in use: the oldest goes all the same, but rather one
	 * that this run has not in its hands. */
	v = load_relaxed(&inactive->oldest);
	if (!v)
		v = load_relaxed(&active->oldest);
	*index1 = v;
	for (scan = 0; v && v <= m->htab.elems && scan <= ours; scan++) {
		if (!is_held(m, v, ours)) {
			*index1 = v;
			break;
		}
		v = load_relaxed(&htab_lru_node(m, v - 1)->newer) & ~LRU_NODE_ACTIVE;
	}
	return *index1 <= m->htab.elems;
}

/* Is the element in one of the bucket's slots? Without a branch per slot. */
static inline bool slot_of(struct map *m, uint32_t bucket, uint32_t index1, struct htab_place *p)
{
	struct bucket *b = htab_bucket(m, bucket);
	unsigned int i, found = 0;

#pragma GCC unroll 7
	for (i = 0; i < HTAB_SLOTS; i++)
		found |= (unsigned int)(link_index1(load_relaxed(&b->slot[i])) == index1) << i;
	if (!found)
		return false;
	p->bucket = bucket;
	p->where = &b->slot[__builtin_ctz(found)];
	p->link = load_relaxed(p->where);
	return link_fits(p->link, htab_elem(m, index1 - 1)->gen);
}

/* The place of an element that is in the table, by its own key. */
static int victim_place(struct map *m, uint32_t index1, struct htab_place *p)
{
	const struct lru_order *o = htab_lru_order(m, p->stripe);
	struct elem *e = htab_elem(m, index1 - 1);
	uint32_t bucket = load_relaxed(&o->next_bucket), steps, mask = m->htab.stripes - 1;
	struct htab_hit hit;
	uint64_t *word;

	if (likely(o->next == index1 && bucket < m->htab.buckets && (bucket & mask) == p->stripe &&
		   htab_bucket_there(m, bucket)) &&
	    likely(slot_of(m, bucket, index1, p)))
		return 0;
	bucket = htab_key_bucket(m, htab_key_hash(m, e->key));
	if ((bucket & mask) != p->stripe || !htab_bucket_there(m, bucket))
		return -EIO;
	if (slot_of(m, bucket, index1, p))
		return 0;
	word = &htab_bucket(m, bucket)->chain;
	for (steps = 0; load_relaxed(word) && steps <= m->htab.elems; steps++) {
		if (htab_follow(m, load_relaxed(word), &hit) != FOLLOW_ELEM)
			return -EIO;
		if (hit.index + 1 == index1) {
			p->bucket = bucket;
			p->where = word;
			p->link = load_relaxed(word);
			return 0;
		}
		word = &hit.e->next;
	}
	return -EIO;
}

/*
 * The stripe's next victims stand far apart in memory, and the next eviction is some
 * operations away: time to find and fetch the next one's bucket, and to fetch the element
 * after it, whose turn for that comes then.
 */
static inline void prefetch_next(struct map *m, struct lru_order *o)
{
	uint32_t v = load_relaxed(&o->list[LRU_INACTIVE].oldest), bucket, after;

	if (unlikely(!v || v > m->htab.elems))
		return;
	bucket = htab_key_bucket(m, htab_key_hash(m, htab_elem(m, v - 1)->key));
	prefetch_write(htab_bucket(m, bucket));
	o->next = v;
	o->next_bucket = bucket;
	after = load_relaxed(&htab_lru_node(m, v - 1)->newer) & ~LRU_NODE_ACTIVE;
	if (likely(after && after <= m->htab.elems)) {
		prefetch_write(htab_elem(m, after - 1));
		prefetch_write(htab_lru_node(m, after - 1));
	}
}

int htab_lru_evict(struct map *m, uint32_t stripe, struct htab_alloc *a, uint32_t *bucket)
{
	struct lru_order *o = htab_lru_order(m, stripe);
	struct htab_place p = {.stripe = stripe, .evicted = true};
	uint32_t v = 0, tries, ours;

	for (tries = 0; tries < 2; tries++) {
		if (likely(order_victim(m, o, &v))) {
			if (!v)
				return -ENOMEM;
			if (likely(!victim_place(m, v, &p) && order_take(m, o, v)))
				break;
		}
		/* Not what a sound order says. */
		htab_lru_rebuild(m, stripe);
	}
	if (tries == 2) {
		htab_damaged(m);
		return -EIO;
	}
	ours = held_now();
	p.held = ours && (held.n > LRU_HELD || is_held(m, v, ours));
	if (unlikely(p.held && a && a->from == INTENT_LIMBO)) {
		struct stripe *st = htab_stripe(m, stripe);

		/* The victim becomes limbo's head, in the way to what `a` chose, and must not
		 * be used itself: so limbo, which has waited for all others, becomes
		 * the free list before that. */
		store_relaxed(&st->heads, heads_make(heads_limbo(st->heads), 0));
		st->limbo_len = 0;
		a->from = INTENT_FREE;
	}
	htab_delete_locked(m, &p);
	store_relaxed(&o->evictions, o->evictions + 1);
	prefetch_next(m, o);
	*bucket = p.bucket;
	return 0;
}

/* Nothing to evict here: all of the quota is elsewhere. Without a lock. */
static int evict_elsewhere(struct map *m, uint32_t stripe)
{
	uint32_t n = m->htab.stripes, i, bucket;
	int err, none = -ENOMEM;

	for (i = 1; i < n; i++) {
		uint32_t from = (stripe + i) % n;

		if (!load_relaxed(&htab_stripe(m, from)->live))
			continue;
		err = htab_lock(m, from);
		if (err) {
			none = err;
			continue;
		}
		gift_room_comes(htab_room(m));
		err = htab_lru_evict(m, from, NULL, &bucket);
		htab_unlock(m, from);
		if (!err)
			return 0;
		none = err;
	}
	return none;
}

int htab_lru_full(struct map *m, uint32_t stripe, uint32_t *looked)
{
	struct lru_order *o = htab_lru_order(m, stripe);
	int err;

	if (!*looked && !gift_full(htab_room(m))) {
		htab_unlock(m, stripe);
		err = htab_steal(m, stripe, false);
		/* Whoever gets here more than once has lost races: it evicts. */
		*looked = 1;
		return err == -EIO ? err : 1;
	}
	if (likely(o->list[LRU_INACTIVE].oldest || o->list[LRU_ACTIVE].oldest))
		return 0;
	htab_unlock(m, stripe);
	/* Others may take what is made free there: some tries. */
	if (++*looked > LRU_ELSEWHERE_TRIES)
		return -ENOMEM;
	err = evict_elsewhere(m, stripe);
	if (!err)
		htab_steal(m, stripe, false);
	return err ? err : 1;
}

/* ---- what gives way to a commit ---- */

/* Those of a list, from the oldest on, that are referenced or not, and not in `taken` (a bit for
 * each place in the list). */
static int list_choose(struct map *m, const struct lru_list *list, bool used, uint8_t *taken,
		       uint32_t n, struct gate_plan *plan)
{
	uint32_t v = list->oldest, at = 0, chosen = 0;
	int err;

	for (; v && chosen < n; v = load_relaxed(&htab_lru_node(m, v - 1)->newer), at++) {
		struct elem *e;

		v &= ~LRU_NODE_ACTIVE;
		if (!v)
			break;
		if (v > m->htab.elems || at >= list->count)
			return -EIO;
		e = htab_elem(m, v - 1);
		/* a program may have looked it up since the last time */
		if (taken[at / 8] >> at % 8 & 1 || (!used && load_relaxed(&e->stamp)) ||
		    plan->mine(plan, e->key))
			continue;
		err = plan->evict(plan, e->key);
		if (err)
			return err;
		taken[at / 8] |= (uint8_t)(1U << at % 8);
		chosen++;
	}
	return (int)chosen;
}

/*
 * Nothing leaves the table here, and the order stays: whether it happens is decided later, and
 * the lists of a stripe whose lock's owner lives have all that is in it.
 */
int htab_lru_choose(struct map *m, uint32_t stripe, uint32_t n, struct gate_plan *plan)
{
	struct lru_order *o = htab_lru_order(m, stripe);
	uint32_t chosen = 0, pass, longest;
	uint8_t *taken;
	int ret = htab_lock(m, stripe);

	if (ret)
		return ret;
	if (!order_age(m, o))
		htab_lru_rebuild(m, stripe);
	longest = o->list[LRU_INACTIVE].count > o->list[LRU_ACTIVE].count
			  ? o->list[LRU_INACTIVE].count
			  : o->list[LRU_ACTIVE].count;
	taken = longest <= m->htab.elems ? calloc(1, longest / 8 + 1) : NULL;
	ret = taken ? 0 : -ENOMEM;
	for (pass = 0; ret >= 0 && chosen < n && pass < 3; pass++) {
		if (pass == 2)
			memset(taken, 0, longest / 8 + 1);
		ret = list_choose(m, &o->list[pass == 2 ? LRU_ACTIVE : LRU_INACTIVE], pass > 0,
				  taken, n - chosen, plan);
		if (ret > 0)
			chosen += (uint32_t)ret;
	}
	htab_unlock(m, stripe);
	free(taken);
	/* As many are there: the caller has counted them. */
	return ret < 0 ? ret : chosen < n ? -EIO : 0;
}

/* ---- the table of operations: what LRU_HASH and LRU_PERCPU_HASH share ---- */

int lru_stats(struct map *m, struct map_stats *stats)
{
	int err = htab_stats(m, stats);
	uint32_t i;

	for (i = 0; i < m->htab.stripes; i++)
		stats->evictions += load_relaxed(&htab_lru_order(m, i)->evictions);
	return err;
}

/* One list of a quiet stripe: its length, or -1 with a message. */
static long audit_list(struct map *m, uint32_t stripe, enum lru_list_id id, char *why, size_t size)
{
	const struct lru_list *list = &htab_lru_order(m, stripe)->list[id];
	uint32_t at, newer = 0, n = 0;

	for (at = list->newest; at; newer = at, at = htab_lru_node(m, at - 1)->older, n++) {
		const struct lru_node *node;
		const struct elem *e;

		if (at > m->htab.elems || n >= list->count) {
			snprintf(why, size, "stripe %u, order %d: element %u, number %u of %u",
				 stripe, id, at, n, list->count);
			return -1;
		}
		node = htab_lru_node(m, at - 1);
		e = htab_elem(m, at - 1);
		if ((node->newer & ~LRU_NODE_ACTIVE) != newer ||
		    !!(node->newer & LRU_NODE_ACTIVE) != (id == LRU_ACTIVE) || !(e->gen & 1) ||
		    (htab_hash(m, e->key) & (m->htab.stripes - 1)) != stripe) {
			snprintf(why, size, "stripe %u, order %d: element %u is out of place",
				 stripe, id, at - 1);
			return -1;
		}
	}
	if (n != list->count || newer != list->oldest) {
		snprintf(why, size, "stripe %u, order %d: %u elements of %u, the oldest %u not %u",
			 stripe, id, n, list->count, newer, list->oldest);
		return -1;
	}
	return n;
}

int lru_validate(struct map *m, char *why, size_t size)
{
	uint32_t i;
	int err = htab_validate(m, why, size);

	for (i = 0; !err && i < m->htab.stripes; i++) {
		long inactive = audit_list(m, i, LRU_INACTIVE, why, size);
		long active = inactive < 0 ? -1 : audit_list(m, i, LRU_ACTIVE, why, size);

		if (active < 0)
			return -EINVAL;
		if (inactive + active != htab_stripe(m, i)->live) {
			snprintf(why, size, "stripe %u: %ld elements in order of %u", i,
				 inactive + active, htab_stripe(m, i)->live);
			return -EINVAL;
		}
	}
	return err;
}
