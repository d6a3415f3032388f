/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Update and delete for maps of common shapes, where nothing is in the way: the key is
 * in a slot of its bucket, or is new and there is a slot for it. Everything else is
 * htab_change.c's, whose steps these are, with sizes that the compiler knows.
 *
 * The lock comes first, and what is waited for after it: a compare-and-swap lets no later load
 * pass, so what stood before it would be waited for by every operation in turn, while
 * what follows it goes on together with the beginning of the next operation. Before it the
 * lines are asked for whose place the hash alone says.
 */
#include "map/gate.h"
#include "map/htab.h"
#include "map/htab_commit.h"
#include "map/htab_key.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"

#define INLINE static inline __attribute__((always_inline))

/* A key's place. */
struct spot {
	struct stripe *st;
	struct bucket *b;
	uint64_t *where;
	uint64_t link, tag;
	struct elem *e;
	uint32_t bucket, stripe;
};

/* False: the bucket has no page yet. */
INLINE bool spot_begin(struct map *m, const struct htab_shape s, uint64_t hash, struct spot *at)
{
	at->bucket = htab_key_bucket(m, hash);
	at->stripe = at->bucket & (m->htab.stripes - 1);
	at->tag = htab_key_tag(hash);
	at->b = htab_bucket(m, at->bucket);
	at->st = htab_stripe(m, at->stripe);
	if (unlikely(!htab_bucket_there(m, at->bucket)))
		return false;
	prefetch_write(at->b);
	prefetch_write(at->st);
	if (s.lru)
		prefetch_write(htab_lru_order(m, at->stripe));
	return true;
}

INLINE int spot_lock(struct map *m, const struct spot *at)
{
	int ret = lock_acquire(&at->st->lock);

	if (unlikely(ret == LOCK_OWNER_DIED)) {
		htab_owner_died(m, at->stripe);
		ret = 0;
	}
	if (unlikely(map_gate_shut(m)) && !ret)
		ret = htab_gate_wait(m, at->stripe);
	return ret;
}

enum spot_is { SPOT_HELD, SPOT_FREE, SPOT_UNKNOWN };

/* Under the lock: the key's slot; or, when it is nowhere in the bucket, that it is not. */
INLINE enum spot_is spot_find(struct map *m, const struct htab_shape s, const void *key,
			      struct spot *at)
{
	struct htab_hit hit;
	unsigned int found;

	for (found = htab_slots_tagged(at->b, at->tag); found; found &= found - 1) {
		at->where = &at->b->slot[__builtin_ctz(found)];
		at->link = load_relaxed(at->where);
		if (unlikely(htab_follow(m, at->link, &hit) != FOLLOW_ELEM))
			return SPOT_UNKNOWN;
		at->e = hit.e;
		if (likely(htab_key_same_of(m, hit.e->key, key, s.key_size)))
			return SPOT_HELD;
	}
	at->link = 0;
	at->e = NULL;
	return likely(!load_relaxed(&at->b->chain)) ? SPOT_FREE : SPOT_UNKNOWN;
}

/* Which slot would it get? */
INLINE bool spot_slot(struct spot *at)
{
	unsigned int slot = (unsigned int)__builtin_ctz(~htab_slots_taken(at->b));

	at->where = &at->b->slot[slot];
	return likely(slot < HTAB_SLOTS && !load_relaxed(at->where));
}

INLINE void spot_commit(struct map *m, const struct htab_shape s, const struct spot *at,
			const struct htab_alloc *a, struct elem *e, int live_delta)
{
	struct intent in = {
		.link = e ? link_make(a->index, e->gen + 1, at->tag) : 0,
		.where = at->bucket * 8 + (uint32_t)(at->where - at->b->slot),
		.elem1 = link_index1(at->link),
		.rest1 = e ? a->rest1 : 0,
		.after = at->st->live + (uint32_t)live_delta,
		.op = INTENT_CHANGE | (e ? a->from : 0),
	};

	if (!e)
		gift_room_comes(htab_room(m));
	/* A new element in a replaced one's place is followed by what the old one was: in a
	 * slot nothing. */
	htab_commit(m, s.lru, at->st, at->stripe, &in, at->where, e, 0, at->e, true);
	htab_count(at->st);
	if (s.lru)
		htab_lru_changed(m, at->stripe, e ? a->index + 1 : 0, in.elem1);
}

/* Fills and commits: in place of at->e, or at a new place. */
INLINE void spot_fill(struct map *m, const struct htab_shape s, const struct spot *at,
		      const struct htab_alloc *a, const void *key, const void *value, bool held)
{
	struct elem *e = htab_elem(m, a->index);

	htab_elem_fill(m, s, e, a->index, key, value, -1);
	spot_commit(m, s, at, a, e, held ? 0 : 1);
}

/* The head of the free list, if there is one. */
INLINE bool quick_free(struct map *m, const struct spot *at, struct htab_alloc *a)
{
	uint32_t free1 = heads_free(at->st->heads);
	struct elem *e = htab_elem_at(m, free1);

	if (unlikely(!e || e->gen & 1))
		return false;
	a->index = free1 - 1;
	a->from = INTENT_FREE;
	a->rest1 = (uint32_t)e->next;
	return true;
}

/* Takes the head of the free list, or what htab_alloc() gives. */
INLINE bool quick_alloc(struct map *m, const struct spot *at, struct htab_alloc *a)
{
	uint32_t stamp = 0;

	return likely(quick_free(m, at, a)) || !htab_alloc(m, at->stripe, false, a, &stamp);
}

/* hash, key and value: private memory. */
INLINE int quick_change(struct map *m, const struct htab_shape s, const void *key, uint64_t hash,
			const void *value, uint64_t flags)
{
	struct htab_alloc a;
	struct spot at;
	uint32_t free1, cpu, victims;
	enum spot_is is;
	bool evict;
	int ret;

	if (unlikely(flags > BPF_EXIST || !spot_begin(m, s, hash, &at)))
		goto general;
	free1 = heads_free(load_relaxed(&at.st->heads));
	/* wherever it leads: a fetch harms nobody */
	prefetch_write(htab_elem(m, free1 - 1));
	for (cpu = 0; s.per_cpu && cpu < m->attr.possible_cpus && cpu < 4; cpu++)
		prefetch_write(htab_value(m, free1 - 1, cpu));

	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	is = spot_find(m, s, key, &at);
	if (likely(is == SPOT_HELD)) {
		ret = -EEXIST;
		if (unlikely(flags & BPF_NOEXIST))
			goto unlock;
		ret = 0;
		if (htab_in_place(s, at.st)) {
			htab_store(htab_plain_value(m, at.e), value, s.value_size);
			if (s.lru)
				store_relaxed(&at.e->stamp, 1);
			htab_count(at.st);
		} else {
			if (s.lru)
				htab_lru_fetch(m, link_index1(at.link) - 1);
			if (likely(quick_free(m, &at, &a)))
				spot_fill(m, s, &at, &a, key, value, true);
			else if (quick_alloc(m, &at, &a))
				spot_fill(m, s, &at, &a, key, value, true);
			else
				goto unlock;
		}
		ret = 1;
		goto unlock;
	}
	ret = 0;
	if (unlikely(is == SPOT_UNKNOWN || flags & BPF_EXIST || !spot_slot(&at)))
		goto unlock;
	evict = at.st->live >= at.st->quota;
	if (unlikely(evict && (!s.lru || map_gate_own(m)))) {
		ret = gift_full(htab_room(m)) ? htab_refused(m, at.stripe, -E2BIG) : 0;
		goto unlock;
	}
	if (unlikely(evict && !htab_lru_may_evict(m, at.stripe)))
		goto unlock;
	if (unlikely(!quick_alloc(m, &at, &a)))
		goto unlock;
	/* Into limbo, in front of what a.from LIMBO would take. A slot that it makes free in
	 * this very bucket may be passed by. */
	if (s.lru && evict &&
	    (a.from == INTENT_LIMBO || htab_lru_evict(m, at.stripe, &a, &victims)))
		goto unlock;
	spot_fill(m, s, &at, &a, key, value, false);
	ret = 1;
unlock:
	lock_release(&at.st->lock);
	if (likely(ret))
		return likely(ret > 0) ? 0 : ret;
general:
	return htab_write_hashed(m, key, hash, value, flags);
}

INLINE int quick_write(struct map *m, const struct htab_shape s, const void *user_key,
		       const void *user_value, uint64_t flags)
{
	uint64_t key[HTAB_KEY_WORDS], value[HTAB_WORDS_MAX / 8];

	if (unlikely(!htab_key_get(key, user_key, s.key_size)))
		return -EFAULT;
	if (!s.per_cpu && s.value_size == 8) {
		if (unlikely(!uaccess_get8(value, user_value)))
			return -EFAULT;
	} else if (unlikely(uaccess_copy(value, user_value, m->user_value_size))) {
		return -EFAULT;
	}
	return quick_change(m, s, key, htab_key_hash_of(m, key, s.key_size), value, flags);
}

INLINE int quick_erase(struct map *m, const struct htab_shape s, const void *user_key)
{
	struct spot at;
	uint64_t key[HTAB_KEY_WORDS];
	enum spot_is is;
	int ret;

	if (unlikely(!htab_key_get(key, user_key, s.key_size)))
		return -EFAULT;
	if (unlikely(!spot_begin(m, s, htab_key_hash_of(m, key, s.key_size), &at)))
		return -ENOENT;
	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	is = spot_find(m, s, key, &at);
	if (likely(is == SPOT_HELD))
		spot_commit(m, s, &at, NULL, NULL, -1);
	lock_release(&at.st->lock);
	if (likely(is == SPOT_HELD))
		return 0;
	return is == SPOT_FREE ? -ENOENT : htab_erase_any(m, key);
}

/* key: private memory; copy: room for the value. */
INLINE int quick_take(struct map *m, const struct htab_shape s, const void *key, uint64_t *copy)
{
	struct spot at;
	enum spot_is is;
	uint32_t i, cpu;
	int ret;

	if (unlikely(!spot_begin(m, s, htab_key_hash_of(m, key, s.key_size), &at)))
		return -ENOENT;
	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	is = spot_find(m, s, key, &at);
	if (likely(is == SPOT_HELD)) {
		if (!s.per_cpu) {
			const uint64_t *from = (const uint64_t *)htab_plain_value(m, at.e);

			for (i = 0; i < (s.value_size + 7) / 8; i++)
				copy[i] = load_relaxed(&from[i]);
		} else {
			for (cpu = 0; cpu < m->attr.possible_cpus; cpu++)
				uaccess_copy(copy + cpu * m->elem_size / 8,
					     htab_value(m, link_index1(at.link) - 1, cpu),
					     m->elem_size);
		}
		spot_commit(m, s, &at, NULL, NULL, -1);
	}
	lock_release(&at.st->lock);
	if (likely(is == SPOT_HELD))
		return 0;
	return is == SPOT_FREE ? -ENOENT : htab_take(m, key, copy, 0, NULL);
}

/* ---- many keys at once ---- */

/* Where the key is, without a lock: a guess, which costs no waiting for the lock's line. */
INLINE void many_guess(struct map *m, const struct htab_shape s, struct htab_many *w, uint32_t i)
{
	const uint8_t *key = w->keys + i * s.key_size;
	struct bucket *b = w->bucket[i];
	struct htab_hit hit;
	unsigned int found;

	w->elem[i] = NULL;
	for (found = b ? htab_slots_tagged(b, htab_key_tag(w->hash[i])) : 0; found;
	     found &= found - 1) {
		uint64_t *where = &b->slot[__builtin_ctz(found)], link = load_acquire(where);

		if (likely(htab_follow(m, link, &hit) == FOLLOW_ELEM &&
			   htab_key_same_of(m, hit.e->key, key, s.key_size))) {
			w->where[i] = where;
			w->link[i] = link;
			w->elem[i] = hit.e;
			w->gen[i] = hit.gen;
			return;
		}
	}
}

/* Under the lock: not in place. */
INLINE bool many_replace(struct map *m, const struct htab_shape s, struct htab_many *w, uint32_t i,
			 struct stripe *st)
{
	struct spot at = {.st = st,
			  .b = w->bucket[i],
			  .where = w->where[i],
			  .link = w->link[i],
			  .tag = htab_key_tag(w->hash[i]),
			  .e = w->elem[i],
			  .bucket = htab_key_bucket(m, w->hash[i])};
	struct htab_alloc a;

	at.stripe = at.bucket & (m->htab.stripes - 1);
	if (unlikely(load_relaxed(at.where) != at.link))
		return false;
	if (s.lru)
		htab_lru_fetch(m, link_index1(at.link) - 1);
	if (likely(quick_free(m, &at, &a)))
		spot_fill(m, s, &at, &a, w->keys + i * s.key_size,
			  w->values + i * m->user_value_size, true);
	else if (quick_alloc(m, &at, &a))
		spot_fill(m, s, &at, &a, w->keys + i * s.key_size,
			  w->values + i * m->user_value_size, true);
	else
		return false;
	return true;
}

/*
 * Updates w's keys in their order, *done of them. Where they are is found out for all before
 * the first lock is taken: no load passes a lock's compare-and-swap, so finding and
 * changing them one by one would wait for each one's cache lines.
 */
INLINE int many_change(struct map *m, const struct htab_shape s, struct htab_many *w,
		       uint32_t *done)
{
	uint32_t i, n = w->n, bucket;
	struct stripe *st;
	struct elem *e;
	int ret = 0, ok;

	for (i = 0; i < n; i++) {
		w->hash[i] = htab_key_hash_of(m, w->keys + i * s.key_size, s.key_size);
		bucket = htab_key_bucket(m, w->hash[i]);
		w->bucket[i] = likely(htab_bucket_there(m, bucket)) ? htab_bucket(m, bucket) : NULL;
		prefetch_write(w->bucket[i]);
	}
	for (i = 0; w->fetch && i < n; i++) {
		const struct bucket *b = w->bucket[i];
		unsigned int found = 1U << (HTAB_SLOTS - 1);

		if (unlikely(!b))
			continue;
		found |= htab_slots_tagged(b, htab_key_tag(w->hash[i]));
		/* wherever it leads: a fetch harms nobody */
		prefetch_write(htab_elem(
			m, link_index1(load_relaxed(&b->slot[__builtin_ctz(found)])) - 1));
	}
	for (i = 0; i < n; i++)
		many_guess(m, s, w, i);
	for (i = 0; i < n; i++) {
		e = w->elem[i];
		ok = 0;
		if (likely(e)) {
			st = htab_stripe(m, (uint32_t)w->hash[i] & (m->htab.buckets - 1) &
						    (m->htab.stripes - 1));
			ret = spot_lock(
				m, &(struct spot){.st = st,
						  .stripe = (uint32_t)(st - htab_stripe(m, 0))});
			if (unlikely(ret))
				break;
			/* The element was compared after its generation had been read, and
			 * is in the same life: it has its key for as long. */
			if (likely(load_relaxed(&e->gen) == w->gen[i])) {
				if (htab_in_place(s, st)) {
					htab_store(htab_plain_value(m, e),
						   w->values + i * m->user_value_size,
						   s.value_size);
					if (s.lru)
						store_relaxed(&e->stamp, 1);
					htab_count(st);
					ok = 1;
				} else {
					ok = many_replace(m, s, w, i, st);
				}
			}
			lock_release(&st->lock);
		}
		if (unlikely(!ok)) {
			ret = htab_write_hashed(m, w->keys + i * s.key_size, w->hash[i],
						w->values + i * m->user_value_size, BPF_ANY);
			if (ret)
				break;
		}
	}
	*done += i;
	return ret;
}

#define QUICK(name, ...)                                                                           \
	static int name##_write(struct map *m, const void *key, const void *value, uint64_t flags) \
	{                                                                                          \
		return quick_write(m, (struct htab_shape){__VA_ARGS__}, key, value, flags);        \
	}                                                                                          \
	static int name##_many(struct map *m, struct htab_many *w, uint32_t *done)                 \
	{                                                                                          \
		return many_change(m, (struct htab_shape){__VA_ARGS__}, w, done);                  \
	}                                                                                          \
	static int name##_take(struct map *m, const void *key, uint64_t *copy)                     \
	{                                                                                          \
		return quick_take(m, (struct htab_shape){__VA_ARGS__}, key, copy);                 \
	}                                                                                          \
	static int name##_erase(struct map *m, const void *key)                                    \
	{                                                                                          \
		return quick_erase(m, (struct htab_shape){__VA_ARGS__}, key);                      \
	}

/* key, value, per CPU, evicting, with a lock */
QUICK(hash_4_8, 4, 8, false, false, false)
QUICK(hash_8_8, 8, 8, false, false, false)
QUICK(hash_16_8, 16, 8, false, false, false)
QUICK(hash_4, 4, m->attr.value_size, false, false, false)
QUICK(hash_8, 8, m->attr.value_size, false, false, false)
QUICK(hash_16, 16, m->attr.value_size, false, false, false)
QUICK(hash_24_8, 24, 8, false, false, false)
QUICK(hash_24, 24, m->attr.value_size, false, false, false)
QUICK(percpu_4, 4, m->attr.value_size, true, false, false)
QUICK(percpu_8, 8, m->attr.value_size, true, false, false)
QUICK(percpu_16, 16, m->attr.value_size, true, false, false)
QUICK(lru_4, 4, m->attr.value_size, false, true, false)
QUICK(lru_8, 8, m->attr.value_size, false, true, false)
QUICK(lru_16, 16, m->attr.value_size, false, true, false)
QUICK(lru_percpu_4, 4, m->attr.value_size, true, true, false)
QUICK(lru_percpu_8, 8, m->attr.value_size, true, true, false)
QUICK(lru_percpu_16, 16, m->attr.value_size, true, true, false)

struct quick_change {
	int (*write)(struct map *m, const void *key, const void *value, uint64_t flags);
	int (*erase)(struct map *m, const void *key);
	int (*take)(struct map *m, const void *key, uint64_t *copy);
	int (*many)(struct map *m, struct htab_many *w, uint32_t *done);
};

#define QUICK_OF(name)                                                                             \
	{                                                                                          \
		name##_write, name##_erase, name##_take, name##_many                               \
	}

void htab_quick_change(struct map *m)
{
	static const struct quick_change quick[5][4] = {
		{QUICK_OF(hash_4_8), QUICK_OF(hash_8_8), QUICK_OF(hash_16_8), QUICK_OF(hash_24_8)},
		{QUICK_OF(hash_4), QUICK_OF(hash_8), QUICK_OF(hash_16), QUICK_OF(hash_24)},
		{QUICK_OF(percpu_4), QUICK_OF(percpu_8), QUICK_OF(percpu_16)},
		{QUICK_OF(lru_4), QUICK_OF(lru_8), QUICK_OF(lru_16)},
		{QUICK_OF(lru_percpu_4), QUICK_OF(lru_percpu_8), QUICK_OF(lru_percpu_16)},
	};
	unsigned int kind = m->attr.value_size == 8 ? 0 : 1, key;

	if (m->ops->evicts)
		kind = m->ops->per_cpu ? 4 : 3;
	else if (m->ops->per_cpu)
		kind = 2;
	if (m->user_value_size > HTAB_WORDS_MAX || m->attr.spin_lock_off >= 0)
		return;
	switch (m->attr.key_size) {
	case 4:
		key = 0;
		break;
	case 8:
		key = 1;
		break;
	case 16:
		key = 2;
		break;
	case 24:
		if (kind > 1)
			return;
		key = 3;
		break;
	default:
		return;
	}
	m->quick.write = quick[kind][key].write;
	m->quick.erase = quick[kind][key].erase;
	m->htab.take = quick[kind][key].take;
	m->htab.many = quick[kind][key].many;
}
