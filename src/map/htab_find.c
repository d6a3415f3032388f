/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding and reading elements of a hash table without a lock; see htab.h. */
#include "map/htab.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/uaccess.h"
#include "map/htab_ops.h"

/* Reads that race with writers on purpose: what they saw is checked by the
 * element's generation before it is believed. */
#define RACY __attribute__((no_sanitize("thread")))

uint64_t htab_hash(const struct map *m, const void *key)
{
	switch (m->attr.key_size) {
	case 4:
		return XXH3_64bits_withSeed(key, 4, m->htab.seed);
	case 8:
		return XXH3_64bits_withSeed(key, 8, m->htab.seed);
	case 16:
		return XXH3_64bits_withSeed(key, 16, m->htab.seed);
	default:
		return XXH3_64bits_withSeed(key, m->attr.key_size, m->htab.seed);
	}
}

/* 1..4095, so that no tag matches an empty slot. */
uint64_t htab_tag(uint64_t hash)
{
	uint64_t tag = hash & LINK_TAG_MASK;

	return tag ? tag : 1ULL << LINK_TAG_SHIFT;
}

RACY bool htab_key_equal(const struct map *m, const void *a, const void *b)
{
	const uint8_t *x = a, *y = b;
	uint64_t p, q;
	uint32_t n = m->attr.key_size, i;

	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&p, x + i, 8);
		memcpy(&q, y + i, 8);
		if (p != q)
			return false;
	}
	if (n & 4) {
		uint32_t r, s;

		memcpy(&r, x + i, 4);
		memcpy(&s, y + i, 4);
		if (r != s)
			return false;
		i += 4;
	}
	for (; i < n; i++) {
		if (x[i] != y[i])
			return false;
	}
	return true;
}

void htab_damaged(struct map *m)
{
	if (m->writable)
		store_relaxed(&m->shared->damaged, 1);
}

/*
 * Without a lock: 1 with the element, 0 when the key is not there, -EIO when
 * the links make no sense (somebody has damaged the file). The bound on starting
 * over is for damage too: in a sound table each start needs another's progress.
 */
int htab_search(struct map *m, const void *key, uint64_t hash, struct htab_hit *hit)
{
	struct bucket *b = htab_bucket(m, (uint32_t)hash & (m->htab.buckets - 1));
	uint64_t tag = htab_tag(hash), link;
	uint32_t restarts, steps;
	enum htab_follow f;
	unsigned int i;

	for (restarts = 0; restarts < HTAB_RESTARTS; restarts++) {
		for (i = 0; i < HTAB_SLOTS; i++) {
			link = load_acquire(&b->slot[i]);
			if (likely((link ^ tag) & LINK_TAG_MASK))
				continue;
			f = htab_follow(m, link, hit);
			if (f != FOLLOW_ELEM)
				goto astray;
			if (htab_key_equal(m, hit->e->key, key))
				return 1;
			if (!htab_hit_valid(hit))
				goto restart;
		}
		link = load_acquire(&b->chain);
		for (steps = 0; unlikely(link); steps++) {
			f = htab_follow(m, link, hit);
			if (f != FOLLOW_ELEM)
				goto astray;
			if (!((link ^ tag) & LINK_TAG_MASK) && htab_key_equal(m, hit->e->key, key))
				return 1;
			link = load_acquire(&hit->e->next);
			if (!htab_hit_valid(hit))
				goto restart;
			if (unlikely(steps > m->htab.elems)) {
				f = FOLLOW_DAMAGED;
				goto astray;
			}
		}
		return 0;
	astray:
		if (f == FOLLOW_DAMAGED)
			break;
	restart:
		cpu_relax();
	}
	htab_damaged(m);
	return -EIO;
}

/* One value to user memory. The lock is never copied out: it reads as 0. */
int htab_copy_out(struct map *m, const uint8_t *from, void *user)
{
	uint32_t size = m->attr.value_size;
	int32_t lock = m->attr.spin_lock_off;
	int err;

	if (likely(lock < 0))
		return uaccess_copy(user, from, size);
	err = uaccess_copy(user, from, (size_t)lock);
	if (!err)
		err = uaccess_zero(uaccess_at(user, lock), 4);
	if (!err)
		err = uaccess_copy(uaccess_at(user, lock + 4), from + lock + 4,
				   size - (uint32_t)lock - 4);
	return err;
}

/* Copies the value of a found element to user memory, all CPUs of it. */
int htab_value_out(struct map *m, uint32_t index, void *user)
{
	uint32_t cpu;
	int err = 0;

	if (m->ops->per_cpu) {
		for (cpu = 0; !err && cpu < m->attr.possible_cpus; cpu++)
			err = uaccess_copy(uaccess_at(user, (size_t)cpu * m->elem_size),
					   htab_value(m, index, cpu), m->elem_size);
		return err;
	}
	return htab_copy_out(m, htab_value(m, index, 0), user);
}

/*
 * PERCPU_HASH: did a writer die while it copied a CPU's value into place? Then the
 * value is finished first; or, where the file is mapped read-only, read from
 * where it was staged.
 */
static int percpu_value_out(struct map *m, uint32_t stripe, uint32_t index, void *user)
{
	struct stripe *st = htab_stripe(m, stripe);
	const struct intent *in = &st->intent;
	int err;

	if (likely(!lock_owner_died(&st->lock)))
		return htab_value_out(m, index, user);
	if (m->writable) {
		err = htab_lock(m, stripe);
		if (err)
			return err;
		htab_unlock(m, stripe);
		return htab_value_out(m, index, user);
	}
	err = htab_value_out(m, index, user);
	if (!err && load_acquire(&in->op) == INTENT_PLACE && in->new_elem == index + 1 &&
	    in->where < m->attr.possible_cpus)
		err = uaccess_copy(uaccess_at(user, in->where * m->elem_size),
				   htab_staged(m, stripe), m->attr.value_size);
	return err;
}

/*
 * A value with a lock in it, read without BPF_F_LOCK: the same for a writer under
 * BPF_F_LOCK that died.
 */
static int locked_value_out(struct map *m, uint32_t index, uint32_t gen, void *user)
{
	if (unlikely(htab_writer_died(m, index)))
		return htab_read_locked(m, index, gen, user);
	return htab_value_out(m, index, user);
}

int htab_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint64_t hash = htab_hash(m, key);
	struct htab_hit hit;
	uint32_t restarts;
	int ret;

	for (restarts = 0; restarts < HTAB_RESTARTS; restarts++) {
		ret = htab_search(m, key, hash, &hit);
		if (ret <= 0)
			return ret ? ret : -ENOENT;
		if (unlikely(flags & BPF_F_LOCK) && m->attr.spin_lock_off >= 0)
			ret = htab_read_locked(m, hit.index, hit.gen, value);
		else if (m->attr.spin_lock_off >= 0)
			ret = locked_value_out(m, hit.index, hit.gen, value);
		else if (m->ops->per_cpu)
			ret = percpu_value_out(
				m, (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1),
				hit.index, value);
		else
			ret = htab_value_out(m, hit.index, value);
		if (ret)
			return ret;
		if (likely(htab_hit_valid(&hit)))
			return 0;
	}
	return -EBUSY;
}

/*
 * The place after (bucket, at) that holds an element: at < HTAB_SLOTS is a slot,
 * at >= HTAB_SLOTS the n-th of the chain. Reads the link only.
 */
uint64_t htab_place_link(struct map *m, uint32_t bucket, uint32_t at)
{
	struct bucket *b = htab_bucket(m, bucket);
	struct htab_hit hit;
	uint64_t link;
	uint32_t restarts, i;

	if (at < HTAB_SLOTS)
		return load_acquire(&b->slot[at]);
	for (restarts = 0; restarts < HTAB_RESTARTS; restarts++) {
		link = load_acquire(&b->chain);
		for (i = HTAB_SLOTS; link && i < at; i++) {
			enum htab_follow f = htab_follow(m, link, &hit);

			if (f == FOLLOW_DAMAGED)
				return 0;
			if (f == FOLLOW_STALE)
				break;
			link = load_acquire(&hit.e->next);
			if (!htab_hit_valid(&hit))
				break;
		}
		if (!link || i >= at)
			return link;
	}
	return 0;
}

/* Where the key is now: its place, or false. */
static bool place_find(struct map *m, const void *key, uint32_t *bucket, uint32_t *at)
{
	uint64_t hash = htab_hash(m, key);
	uint32_t i, stale = 0;

	*bucket = (uint32_t)hash & (m->htab.buckets - 1);
	for (i = 0; i <= HTAB_SLOTS + m->htab.elems; i++) {
		uint64_t link = htab_place_link(m, *bucket, i);
		struct htab_hit hit;
		enum htab_follow f;

		if (!link) {
			if (i < HTAB_SLOTS)
				continue;
			return false;
		}
		f = htab_follow(m, link, &hit);
		if (f == FOLLOW_ELEM) {
			bool equal = htab_key_equal(m, hit.e->key, key);

			if (htab_hit_valid(&hit)) {
				if (equal) {
					*at = i;
					return true;
				}
				continue;
			}
		}
		if (f == FOLLOW_DAMAGED || ++stale > HTAB_RESTARTS)
			return false;
		i--; /* the place changed under us: look again */
	}
	return false;
}

int htab_next_key(struct map *m, const void *key, void *next)
{
	uint32_t bucket = 0, at = 0, stale = 0, steps = 0;

	/* A key that is gone restarts from the first, as in the kernel. */
	if (key && place_find(m, key, &bucket, &at))
		at++;
	else
		bucket = at = 0;
	while (bucket < m->htab.buckets) {
		uint64_t link = htab_place_link(m, bucket, at);
		struct htab_hit hit;
		enum htab_follow f;

		if (!link) {
			if (at < HTAB_SLOTS) {
				at++;
			} else {
				bucket++;
				at = steps = 0;
			}
			continue;
		}
		f = htab_follow(m, link, &hit);
		if (f == FOLLOW_ELEM) {
			uaccess_copy(next, hit.e->key, m->attr.key_size);
			if (htab_hit_valid(&hit))
				return 0;
		}
		if (f == FOLLOW_DAMAGED || ++stale > HTAB_RESTARTS ||
		    ++steps > m->htab.elems + 64) {
			htab_damaged(m);
			return -EIO;
		}
	}
	return -ENOENT;
}

/* ---- program side: the caller has a lease ---- */

void *htab_lookup(struct map *m, const void *key)
{
	struct htab_hit hit;
	int cpu = 0;

	if (htab_search(m, key, htab_hash(m, key), &hit) <= 0)
		return NULL;
	if (m->ops->per_cpu && (cpu = lease_cpu()) < 0)
		return NULL;
	/* Not given to another key while the caller's lease goes on. */
	return htab_value(m, hit.index, (uint32_t)cpu);
}

void *htab_lookup_percpu(struct map *m, const void *key, uint32_t cpu)
{
	struct htab_hit hit;

	if (cpu >= m->attr.possible_cpus || htab_search(m, key, htab_hash(m, key), &hit) <= 0)
		return NULL;
	return htab_value(m, hit.index, cpu);
}

long htab_for_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *), void *arg)
{
	int cpu = lease_cpu() < 0 ? 0 : lease_cpu();
	long visited = 0;
	uint32_t bucket, at;

	for (bucket = 0; bucket < m->htab.buckets; bucket++) {
		for (at = 0; at <= HTAB_SLOTS + m->htab.elems; at++) {
			uint64_t link = htab_place_link(m, bucket, at);
			struct htab_hit hit;

			if (!link && at >= HTAB_SLOTS)
				break;
			if (!link || htab_follow(m, link, &hit) != FOLLOW_ELEM)
				continue;
			visited++;
			if (fn(arg, m, hit.e->key, htab_value(m, hit.index, (uint32_t)cpu)))
				return visited;
			/* In the chain the callback may have deleted this very
			 * element: then the next one has its place. */
			if (at >= HTAB_SLOTS && htab_place_link(m, bucket, at) != link)
				at--;
		}
	}
	return visited;
}
