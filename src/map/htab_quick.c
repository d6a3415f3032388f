/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Update and delete for maps of common shapes, where nothing is in the way: the key is
 * in a slot of its bucket, or is new and there is a slot for it. Everything else is
 * htab_change.c's, whose steps these are, with sizes that the compiler knows.
 *
 * The key is looked for before the lock is taken, so that its lines come while others are
 * being waited for. The lock's holder then has to compare the slot's word only: it names
 * the element and its life, and an element keeps its key for its life.
 */
#include "map/gate.h"
#include "map/htab.h"
#include "map/htab_commit.h"
#include "map/htab_key.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"

#define INLINE static inline __attribute__((always_inline))

/* A key's place. link 0: it was in no slot. */
struct spot {
	struct stripe *st;
	struct bucket *b;
	uint64_t *where;
	uint64_t link, tag;
	struct elem *e;
	uint32_t bucket, stripe, gen;
};

/* Without the lock: a guess. False: the bucket has no page yet. */
INLINE bool spot_guess(struct map *m, const struct htab_shape s, const void *key, uint64_t hash,
		       struct spot *at)
{
	struct htab_hit hit;
	unsigned int found;

	at->bucket = htab_key_bucket(m, hash);
	at->stripe = at->bucket & (m->htab.stripes - 1);
	at->tag = htab_key_tag(hash);
	at->b = htab_bucket(m, at->bucket);
	at->st = htab_stripe(m, at->stripe);
	at->link = 0;
	at->e = NULL;
	at->where = at->b->slot;
	if (unlikely(!htab_bucket_there(m, at->bucket)))
		return false;
	prefetch_write(at->b);
	prefetch_write(at->st);
	for (found = htab_slots_tagged(at->b, at->tag); found; found &= found - 1) {
		at->where = &at->b->slot[__builtin_ctz(found)];
		at->link = load_acquire(at->where);
		if (unlikely(htab_follow(m, at->link, &hit) != FOLLOW_ELEM))
			return false;
		prefetch_write(hit.e);
		at->e = hit.e;
		at->gen = hit.gen;
		if (likely(htab_key_same_of(m, hit.e->key, key, s.key_size)))
			return true;
		at->link = 0;
		at->e = NULL;
	}
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

/* Under the lock: is the key there still? The element was compared after its generation
 * had been read, and is in the same life. */
INLINE bool spot_holds(const struct spot *at)
{
	return likely(load_relaxed(at->where) == at->link && load_relaxed(&at->e->gen) == at->gen);
}

/* Under the lock: is the key nowhere in the bucket, and which slot would it get? */
INLINE bool spot_free(struct spot *at)
{
	unsigned int taken = htab_slots_taken(at->b), slot;

	if (unlikely(htab_slots_tagged(at->b, at->tag) || load_relaxed(&at->b->chain)))
		return false;
	slot = (unsigned int)__builtin_ctz(~taken);
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

	/* A new element in a replaced one's place is followed by what the old one was: in a
	 * slot nothing. */
	htab_commit(m, s.lru, at->st, at->stripe, &in, at->where, e, 0, at->e, true);
	if (s.lru)
		htab_lru_changed(m, at->stripe, e ? a->index + 1 : 0, in.elem1, live_delta < 0);
}

/* Takes the head of the free list, or what htab_alloc() gives. */
INLINE struct elem *quick_alloc(struct map *m, const struct spot *at, struct htab_alloc *a)
{
	uint32_t free1 = heads_free(at->st->heads), stamp = 0;
	struct elem *e = htab_elem_at(m, free1);

	if (likely(e && !(e->gen & 1))) {
		a->index = free1 - 1;
		a->from = INTENT_FREE;
		a->rest1 = (uint32_t)e->next;
		return e;
	}
	return htab_alloc(m, at->stripe, false, a, &stamp) ? NULL : htab_elem(m, a->index);
}

/* hash, key and value: private memory. */
INLINE int quick_change(struct map *m, const struct htab_shape s, const void *key, uint64_t hash,
			const void *value, uint64_t flags)
{
	struct htab_alloc a;
	struct spot at;
	struct elem *e;
	uint32_t free1, cpu, victims;
	bool evict;
	int ret;

	if (unlikely(flags > BPF_EXIST || !spot_guess(m, s, key, hash, &at)))
		goto general;
	free1 = heads_free(load_relaxed(&at.st->heads));
	e = htab_elem_at(m, free1);
	if (likely(e)) {
		prefetch_write(e);
		for (cpu = 0; s.per_cpu && cpu < m->attr.possible_cpus && cpu < 4; cpu++)
			prefetch_write(htab_value(m, free1 - 1, cpu));
	}
	if (s.lru) {
		prefetch_write(htab_lru_order(m, at.stripe));
		if (at.link)
			htab_lru_fetch(m, link_index1(at.link) - 1);
	}

	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	evict = false;
	if (at.link) {
		if (!spot_holds(&at))
			goto unlock;
		ret = -EEXIST;
		if (unlikely(flags & BPF_NOEXIST))
			goto unlock;
	} else {
		ret = 0;
		if (unlikely(!spot_free(&at) || flags & BPF_EXIST))
			goto unlock;
		evict = at.st->live >= at.st->quota;
		if (unlikely(evict && !(s.lru && htab_lru_may_evict(m, at.stripe))))
			goto unlock;
	}
	ret = 0;
	e = quick_alloc(m, &at, &a);
	if (unlikely(!e))
		goto unlock;
	/* Into limbo, in front of what a.from LIMBO would take. A slot that it makes free in
	 * this very bucket may be passed by. */
	if (s.lru && evict &&
	    (a.from == INTENT_LIMBO || htab_lru_evict(m, at.stripe, &a, &victims)))
		goto unlock;
	htab_elem_fill(m, s, e, a.index, key, value, -1);
	spot_commit(m, s, &at, &a, e, at.link ? 0 : 1);
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
	uint64_t key[2], value[HTAB_WORDS_MAX / 8];

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

/* Where a key is that is to go, and what its order needs; false: not in plain sight. */
INLINE bool spot_of(struct map *m, const struct htab_shape s, const void *key, struct spot *at)
{
	if (!spot_guess(m, s, key, htab_key_hash_of(m, key, s.key_size), at) || !at->link)
		return false;
	if (s.lru) {
		prefetch_write(htab_lru_order(m, at->stripe));
		htab_lru_fetch(m, link_index1(at->link) - 1);
	}
	return true;
}

INLINE int quick_erase(struct map *m, const struct htab_shape s, const void *user_key)
{
	struct spot at;
	uint64_t key[2];
	int ret;

	if (unlikely(!htab_key_get(key, user_key, s.key_size)))
		return -EFAULT;
	if (!spot_of(m, s, key, &at))
		return htab_erase_any(m, key);
	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	ret = spot_holds(&at);
	if (likely(ret))
		spot_commit(m, s, &at, NULL, NULL, -1);
	lock_release(&at.st->lock);
	return likely(ret) ? 0 : htab_erase_any(m, key);
}

/* key: private memory; copy: room for the value. */
INLINE int quick_take(struct map *m, const struct htab_shape s, const void *key, uint64_t *copy)
{
	struct spot at;
	uint32_t i, cpu;
	int ret;

	if (!spot_of(m, s, key, &at))
		return htab_take(m, key, copy, 0, NULL);
	ret = spot_lock(m, &at);
	if (unlikely(ret))
		return ret;
	ret = spot_holds(&at);
	if (likely(ret)) {
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
	return likely(ret) ? 0 : htab_take(m, key, copy, 0, NULL);
}

#define QUICK(name, ...)                                                                           \
	static int name##_write(struct map *m, const void *key, const void *value, uint64_t flags) \
	{                                                                                          \
		return quick_write(m, (struct htab_shape){__VA_ARGS__}, key, value, flags);        \
	}                                                                                          \
	static int name##_hashed(struct map *m, const void *key, uint64_t hash, const void *value) \
	{                                                                                          \
		return quick_change(m, (struct htab_shape){__VA_ARGS__}, key, hash, value,         \
				    BPF_ANY);                                                      \
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
	int (*hashed)(struct map *m, const void *key, uint64_t hash, const void *value);
	int (*take)(struct map *m, const void *key, uint64_t *copy);
};

#define QUICK_OF(name)                                                                             \
	{                                                                                          \
		name##_write, name##_erase, name##_hashed, name##_take                             \
	}

void htab_quick_change(struct map *m)
{
	static const struct quick_change quick[5][3] = {
		{QUICK_OF(hash_4_8), QUICK_OF(hash_8_8), QUICK_OF(hash_16_8)},
		{QUICK_OF(hash_4), QUICK_OF(hash_8), QUICK_OF(hash_16)},
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
	default:
		return;
	}
	m->quick.write = quick[kind][key].write;
	m->quick.erase = quick[kind][key].erase;
	m->htab.hashed = quick[kind][key].hashed;
	m->htab.take = quick[kind][key].take;
}
