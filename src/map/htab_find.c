/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding and reading elements of a hash table without a lock; see htab.h. */
#include "map/htab.h"

#include <string.h>
#include <time.h>

#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/htab_key.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"
#include "map/objref.h"
#include "map/storage.h"

uint64_t htab_hash(const struct map *m, const void *key)
{
	return XXH3_64bits_withSeed(key, m->attr.key_size, m->htab.seed);
}

uint64_t htab_tag(uint64_t hash)
{
	return htab_key_tag(hash);
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
static inline __attribute__((always_inline)) int
search_of(struct map *m, const void *key, uint64_t hash, struct htab_hit *hit, uint32_t key_size)
{
	struct bucket *b = htab_bucket(m, (uint32_t)hash & (m->htab.buckets - 1));
	uint64_t tag = htab_key_tag(hash), link;
	uint32_t restarts, steps;
	enum htab_follow f;
	unsigned int found;

	if (unlikely(!htab_bucket_there(m, htab_key_bucket(m, hash))))
		return 0;
	for (restarts = 0; restarts < HTAB_RESTARTS; restarts++) {
		for (found = htab_slots_tagged(b, tag); found; found &= found - 1) {
			link = load_acquire(&b->slot[__builtin_ctz(found)]);
			f = htab_follow(m, link, hit);
			/* Another link by now: another element, or none. */
			if (unlikely((link ^ tag) & LINK_TAG_MASK))
				goto restart;
			if (f != FOLLOW_ELEM)
				goto astray;
			if (likely(htab_key_same_of(m, hit->e->key, key, key_size)))
				return 1;
			if (!htab_hit_valid(hit))
				goto restart;
		}
		link = load_acquire(&b->chain);
		for (steps = 0; unlikely(link); steps++) {
			f = htab_follow(m, link, hit);
			if (f != FOLLOW_ELEM)
				goto astray;
			if (!((link ^ tag) & LINK_TAG_MASK) &&
			    htab_key_same_of(m, hit->e->key, key, key_size))
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

static inline __attribute__((always_inline)) int search(struct map *m, const void *key,
							uint64_t hash, struct htab_hit *hit)
{
	return search_of(m, key, hash, hit, m->attr.key_size);
}

int htab_search(struct map *m, const void *key, uint64_t hash, struct htab_hit *hit)
{
	return search(m, key, hash, hit);
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
	uint32_t cpu;
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
	if (err || load_acquire(&in->op) != INTENT_PLACE || load_relaxed(&in->elem1) != index + 1)
		return err;
	cpu = load_relaxed(&in->where);
	if (cpu < m->attr.possible_cpus)
		err = uaccess_copy(uaccess_at(user, (size_t)cpu * m->elem_size),
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

int htab_found_out(struct map *m, uint32_t stripe, const struct htab_hit *hit, void *value,
		   uint64_t flags)
{
	if (m->attr.spin_lock_off >= 0)
		return flags & BPF_F_LOCK ? htab_read_locked(m, hit->index, hit->gen, value)
					  : locked_value_out(m, hit->index, hit->gen, value);
	if (m->ops->per_cpu)
		return percpu_value_out(m, stripe, hit->index, value);
	return htab_value_out(m, hit->index, value);
}

/* A large value that is replaced faster than it can be copied: under the lock. */
static int read_excluding(struct map *m, const void *key, uint64_t hash, void *value)
{
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct htab_place p;
	int ret = htab_lock(m, stripe);

	if (ret)
		return ret;
	ret = htab_find_locked(m, key, hash, &p);
	if (!ret)
		ret = p.link ? htab_value_out(m, link_index1(p.link) - 1, value) : -ENOENT;
	htab_unlock(m, stripe);
	return ret;
}

int htab_read_any(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint64_t hash = htab_key_hash(m, key);
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct htab_hit hit;
	uint32_t tries;
	int ret;

	for (tries = 0; tries < HTAB_RESTARTS; tries++) {
		ret = search(m, key, hash, &hit);
		if (ret <= 0)
			return ret ? ret : -ENOENT;
		if (likely(m->attr.spin_lock_off < 0 && !m->ops->per_cpu))
			ret = uaccess_copy(value, htab_plain_value(m, hit.e), m->attr.value_size);
		else
			ret = htab_found_out(m, stripe, &hit, value, flags);
		if (unlikely(ret))
			return ret;
		if (likely(htab_hit_valid(&hit)))
			return 0;
		if (tries == HTAB_READ_TRIES && m->writable && !(flags & BPF_F_LOCK))
			return read_excluding(m, key, hash, value);
	}
	return -EBUSY;
}

/* Lookup for common shapes. value_size 8: without a call for it. */
static inline __attribute__((always_inline)) int quick_read(struct map *m, const void *user_key,
							    void *user_value, uint32_t key_size,
							    uint32_t value_size)
{
	struct htab_hit hit;
	uint64_t key[HTAB_KEY_WORDS], value;
	int ret;

	if (unlikely(!htab_key_get(key, user_key, key_size)))
		return -EFAULT;
	ret = search_of(m, key, htab_key_hash_of(m, key, key_size), &hit, key_size);
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	if (value_size == 8) {
		value = load_relaxed((const uint64_t *)htab_plain_value(m, hit.e));
		if (unlikely(!htab_hit_valid(&hit)))
			return htab_read_any(m, key, user_value, 0);
		return likely(uaccess_put8(user_value, value)) ? 0 : -EFAULT;
	}
	if (unlikely(uaccess_copy(user_value, htab_plain_value(m, hit.e), value_size)))
		return -EFAULT;
	return likely(htab_hit_valid(&hit)) ? 0 : htab_read_any(m, key, user_value, 0);
}

/* The same for the values of all CPUs, where they are small. */
static inline __attribute__((always_inline)) int
quick_read_percpu(struct map *m, const void *user_key, void *user_value, uint32_t key_size)
{
	uint32_t words = m->elem_size / 8, n = 0, cpu, i;
	uint64_t key[HTAB_KEY_WORDS], value[HTAB_WORDS_MAX / 8], hash;
	struct htab_hit hit;
	const uint64_t *from;
	int ret;

	if (unlikely(!htab_key_get(key, user_key, key_size)))
		return -EFAULT;
	hash = htab_key_hash_of(m, key, key_size);
	ret = search_of(m, key, hash, &hit, key_size);
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	i = htab_key_bucket(m, hash) & (m->htab.stripes - 1);
	/* percpu_value_out() says why */
	if (unlikely(lock_owner_died(&htab_stripe(m, i)->lock)))
		return htab_read_any(m, key, user_value, 0);
	from = (const uint64_t *)(m->obj.base + m->htab.percpu_off +
				  (uint64_t)hit.index * m->elem_size);
	for (cpu = 0; cpu < m->attr.possible_cpus; cpu++) {
		for (i = 0; i < words; i++)
			value[n++] = load_relaxed(&from[i]);
		from = (const uint64_t *)((const uint8_t *)from + m->htab.percpu_stride);
	}
	if (unlikely(!htab_hit_valid(&hit)))
		return htab_read_any(m, key, user_value, 0);
	for (i = 0; i < n; i++) {
		if (unlikely(!uaccess_put8(uaccess_at(user_value, (size_t)i * 8), value[i])))
			return -EFAULT;
	}
	return 0;
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
	if (at > HTAB_SLOTS + HTAB_CHAIN_MAX)
		return LINK_DAMAGED;
	for (restarts = 0; restarts < HTAB_RESTARTS; restarts++) {
		link = load_acquire(&b->chain);
		for (i = HTAB_SLOTS; link && i < at; i++) {
			enum htab_follow f = htab_follow(m, link, &hit);

			if (f == FOLLOW_DAMAGED)
				return LINK_DAMAGED;
			if (f == FOLLOW_STALE)
				break;
			link = load_acquire(&hit.e->next);
			if (!htab_hit_valid(&hit)) {
				link = LINK_DAMAGED; /* 0 would say that the chain ends here */
				break;
			}
		}
		if (!link || i >= at)
			return link;
	}
	return LINK_DAMAGED;
}

/* A walk over the table: what comes next is in slot `slot`, or is `link` in the chain. */
struct cursor {
	uint32_t bucket, slot;
	uint64_t link;
};

/* Puts the cursor behind the key: 1, 0 when it is not there, -EIO. */
static inline __attribute__((always_inline)) int cursor_find(struct map *m, const void *key,
							     struct cursor *c, uint32_t key_size)
{
	uint64_t hash = htab_key_hash_of(m, key, key_size), link;
	struct bucket *b;
	struct htab_hit hit;
	uint32_t tries, steps;
	unsigned int i, found;
	int ret;

	c->bucket = htab_key_bucket(m, hash);
	if (unlikely(!htab_bucket_there(m, c->bucket)))
		return 0;
	b = htab_bucket(m, c->bucket);
	/* Where it mostly is. A miss here means nothing. */
	for (found = htab_slots_tagged(b, htab_key_tag(hash)); found; found &= found - 1) {
		i = (unsigned int)__builtin_ctz(found);
		if (htab_follow(m, load_acquire(&b->slot[i]), &hit) == FOLLOW_ELEM &&
		    likely(htab_key_same_of(m, hit.e->key, key, key_size)) &&
		    likely(htab_hit_valid(&hit))) {
			c->slot = i + 1;
			c->link = c->slot < HTAB_SLOTS ? 0 : load_acquire(&b->chain);
			return 1;
		}
	}
	for (tries = 0; tries < HTAB_RESTARTS; tries++) {
		ret = htab_search(m, key, hash, &hit);
		if (ret <= 0)
			return ret;
		for (i = 0; i < HTAB_SLOTS; i++) {
			link = load_acquire(&b->slot[i]);
			if (link_index1(link) == hit.index + 1 && link_fits(link, hit.gen)) {
				c->slot = i + 1;
				c->link = c->slot < HTAB_SLOTS ? 0 : load_acquire(&b->chain);
				return 1;
			}
		}
		link = load_acquire(&b->chain);
		for (steps = 0; link && steps <= m->htab.elems; steps++) {
			bool here = link_index1(link) == hit.index + 1;
			struct htab_hit at;

			if (htab_follow(m, link, &at) != FOLLOW_ELEM)
				break;
			link = load_acquire(&at.e->next);
			if (!htab_hit_valid(&at))
				break;
			if (here) {
				c->slot = HTAB_SLOTS;
				c->link = link;
				return 1;
			}
		}
		/* It left the table between the two looks, or moved on by one life. */
	}
	return -EIO;
}

/* The element at the cursor, which moves behind it: 1, 0 at the end, -EAGAIN when a
 * change in the chain has taken the ground away, -EIO. */
static inline __attribute__((always_inline)) int cursor_next(struct map *m, struct cursor *c,
							     struct htab_hit *hit, uint32_t *steps)
{
	enum htab_follow f;
	uint64_t link;

	while (c->bucket < m->htab.buckets) {
		struct bucket *b = htab_bucket(m, c->bucket);
		bool in_chain = c->slot >= HTAB_SLOTS;

		if (!c->slot && unlikely(!htab_bucket_there(m, c->bucket))) {
			c->bucket = htab_next_page(c->bucket);
			continue;
		}

		link = in_chain ? c->link : load_acquire(&b->slot[c->slot]);
		if (!link) {
			if (in_chain) {
				c->bucket++;
				c->slot = 0;
			} else if (++c->slot == HTAB_SLOTS) {
				c->link = load_acquire(&b->chain);
			}
			continue;
		}
		f = htab_follow(m, link, hit);
		if (f == FOLLOW_DAMAGED || ++*steps > m->htab.elems + HTAB_RESTARTS)
			return -EIO;
		if (f == FOLLOW_STALE && in_chain)
			return -EAGAIN;
		if (f == FOLLOW_STALE)
			continue; /* the slot holds another by now */
		if (in_chain) {
			c->link = load_acquire(&hit->e->next);
			if (!htab_hit_valid(hit))
				return -EAGAIN;
		} else if (++c->slot == HTAB_SLOTS) {
			c->link = load_acquire(&b->chain);
		}
		return 1;
	}
	return 0;
}

int htab_next_key_any(struct map *m, const void *key, void *next)
{
	struct cursor c = {0};
	struct htab_hit hit;
	uint32_t steps = 0;
	int ret;

	do {
		c = (struct cursor){0};
		/* A key that is gone restarts from the first, as in the kernel. */
		ret = key ? cursor_find(m, key, &c, m->attr.key_size) : 0;
		if (!ret)
			c = (struct cursor){0};
		while (ret >= 0 && (ret = cursor_next(m, &c, &hit, &steps)) > 0) {
			uint8_t copy[64], *to = m->attr.key_size <= sizeof(copy) ? copy : next;

			/* `next` may be `key`, which a new start needs. */
			uaccess_copy(to, hit.e->key, m->attr.key_size);
			if (!htab_hit_valid(&hit)) {
				ret = -EAGAIN;
				break;
			}
			if (to != next)
				uaccess_copy(next, to, m->attr.key_size);
			return 0;
		}
	} while (ret == -EAGAIN);
	if (ret < 0)
		htab_damaged(m);
	return ret ? ret : -ENOENT;
}

/* The elements of the bucket will be asked for soon, one after the other. */
static inline void fetch_elems(struct map *m, uint32_t bucket)
{
	const struct bucket *b;
	unsigned int taken;

	if (unlikely(bucket >= m->htab.buckets || !htab_bucket_there(m, bucket)))
		return;
	b = htab_bucket(m, bucket);
	/* wherever they lead: a fetch harms nobody */
	for (taken = htab_slots_taken(b); taken; taken &= taken - 1)
		__builtin_prefetch(htab_elem(
			m, link_index1(load_relaxed(&b->slot[__builtin_ctz(taken)])) - 1));
}

/* get_next_key for common shapes, where no chain is in the way; else htab_next_key_any(). */
static inline __attribute__((always_inline)) int quick_next(struct map *m, const void *user_key,
							    void *user_next, uint32_t key_size)
{
	uint64_t key[HTAB_KEY_WORDS], next[2];
	struct htab_hit hit;
	struct bucket *b;
	uint32_t bucket = 0;
	unsigned int found, taken;
	uint64_t hash;
	int ret;

	if (!user_key) {
		ret = htab_next_key_any(m, NULL, next);
		goto out;
	}
	if (unlikely(!htab_key_get(key, user_key, key_size)))
		return -EFAULT;
	hash = htab_key_hash_of(m, key, key_size);
	bucket = htab_key_bucket(m, hash);
	if (unlikely(!htab_bucket_there(m, bucket)))
		goto general;
	b = htab_bucket(m, bucket);
	for (found = htab_slots_tagged(b, htab_key_tag(hash)); found; found &= found - 1) {
		if (likely(htab_follow(m, load_acquire(&b->slot[__builtin_ctz(found)]), &hit) ==
				   FOLLOW_ELEM &&
			   htab_key_same_of(m, hit.e->key, key, key_size) && htab_hit_valid(&hit)))
			break;
	}
	if (unlikely(!found))
		goto general;
	taken = htab_slots_taken(b) & ~((2U << __builtin_ctz(found)) - 1);
	while (!taken) {
		if (unlikely(load_acquire(&b->chain)))
			goto general;
		if (unlikely(++bucket >= m->htab.buckets))
			return -ENOENT;
		if (unlikely(!htab_bucket_there(m, bucket)))
			goto general;
		b = htab_bucket(m, bucket);
		taken = htab_slots_taken(b);
		fetch_elems(m, bucket + 1);
	}
	if (unlikely(htab_follow(m, load_acquire(&b->slot[__builtin_ctz(taken)]), &hit) !=
		     FOLLOW_ELEM))
		goto general;
	next[0] = key_size == 4 ? load_relaxed((const uint32_t *)hit.e->key)
				: load_relaxed((const uint64_t *)hit.e->key);
	next[1] = key_size == 16 ? load_relaxed((const uint64_t *)hit.e->key + 1) : 0;
	if (likely(htab_hit_valid(&hit)))
		goto put;
general:
	ret = htab_next_key_any(m, key, next);
out:
	if (unlikely(ret))
		return ret;
put:
	if (key_size == 4)
		return uaccess_put4(user_next, (uint32_t)next[0]) ? 0 : -EFAULT;
	return uaccess_put8(user_next, next[0]) &&
			       (key_size == 8 || uaccess_put8(uaccess_at(user_next, 8), next[1]))
		       ? 0
		       : -EFAULT;
}

#define QUICK_READ(key)                                                                            \
	static int read_##key##_8(struct map *m, const void *k, void *v)                           \
	{                                                                                          \
		return quick_read(m, k, v, key, 8);                                                \
	}                                                                                          \
	static int read_##key(struct map *m, const void *k, void *v)                               \
	{                                                                                          \
		return quick_read(m, k, v, key, m->attr.value_size);                               \
	}                                                                                          \
	static int read_##key##_percpu(struct map *m, const void *k, void *v)                      \
	{                                                                                          \
		return quick_read_percpu(m, k, v, key);                                            \
	}                                                                                          \
	static int next_##key(struct map *m, const void *k, void *next)                            \
	{                                                                                          \
		return quick_next(m, k, next, key);                                                \
	}

QUICK_READ(4)
QUICK_READ(8)
QUICK_READ(16)

static int read_24_8(struct map *m, const void *k, void *v)
{
	return quick_read(m, k, v, 24, 8);
}

static int read_24(struct map *m, const void *k, void *v)
{
	return quick_read(m, k, v, 24, m->attr.value_size);
}

#define QUICK_OF(key)                                                                              \
	m->quick.next_key = next_##key;                                                            \
	if (plain)                                                                                 \
		m->quick.read = m->attr.value_size == 8 ? read_##key##_8 : read_##key;             \
	else if (percpu)                                                                           \
	m->quick.read = read_##key##_percpu

void htab_quick_read(struct map *m)
{
	bool plain = !m->ops->per_cpu && m->attr.spin_lock_off < 0;
	bool percpu = m->ops->per_cpu && m->user_value_size <= HTAB_WORDS_MAX;

	switch (m->attr.key_size) {
	case 4:
		QUICK_OF(4);
		break;
	case 8:
		QUICK_OF(8);
		break;
	case 16:
		QUICK_OF(16);
		break;
	case 24:
		if (plain)
			m->quick.read = m->attr.value_size == 8 ? read_24_8 : read_24;
		break;
	}
}

int htab_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	return m->quick.read && !flags ? m->quick.read(m, key, value)
				       : htab_read_any(m, key, value, flags);
}

int htab_next_key(struct map *m, const void *key, void *next)
{
	return m->quick.next_key ? m->quick.next_key(m, key, next)
				 : htab_next_key_any(m, key, next);
}

/* ---- program side: the caller has a lease ---- */

#define COME_SPINS 1000
#define COME_NAPS 20000 /* of 50 us: who holds a lock for longer stands still */

/* Waits until the lock has been seen free, or somebody else's. */
static void seen_free(const uint32_t *lock)
{
	uint32_t first = load_acquire(lock) & FUTEX_TID_MASK, now = first, tries;
	struct timespec nap = {.tv_nsec = 50000};

	for (tries = 0; now && now == first && now != thread_self.tid && !lock_owner_died(lock) &&
			tries < COME_SPINS + COME_NAPS;
	     tries++) {
		if (tries < COME_SPINS)
			cpu_relax();
		else
			raw_nanosleep(&nap, NULL);
		now = load_acquire(lock) & FUTEX_TID_MASK;
	}
}

/* htab.h, "In place". A process that may not write to the file cannot say it; and whom it does
 * not wait for any longer has stood still, as with leases. */
__attribute__((cold)) void htab_programs_come(struct map *m)
{
	uint32_t i;

	if (m->writable) {
		for (i = 0; i < m->htab.stripes; i++)
			if (!load_relaxed(&htab_stripe(m, i)->intent.programs))
				store_relaxed(&htab_stripe(m, i)->intent.programs, 1);
		fence_seq_cst(); /* partner: the compare-and-swap before htab_in_place() */
		for (i = 0; i < m->htab.stripes; i++)
			seen_free(&htab_stripe(m, i)->lock);
	}
	store_relaxed(&m->htab.programs, true);
}

/*
 * A program stores through the pointer that it gets. What a dead writer had staged
 * for the place must get there before that, not after. Rare, and one load to know.
 */
static void finish_for_dead(struct map *m, uint32_t bucket, uint32_t index)
{
	uint32_t stripe = bucket & (m->htab.stripes - 1);

	if (!m->writable)
		return;
	if (m->attr.spin_lock_off >= 0) {
		if (unlikely(htab_writer_died(m, index)))
			htab_settle(m, index);
	} else if (m->ops->per_cpu && unlikely(lock_owner_died(&htab_stripe(m, stripe)->lock))) {
		if (!htab_lock(m, stripe))
			htab_unlock(m, stripe);
	}
}

static void *lookup_value(struct map *m, const void *key, uint32_t cpu)
{
	uint64_t hash = htab_key_hash(m, key);
	struct htab_hit hit;

	htab_programs(m);
	if (search(m, key, hash, &hit) <= 0)
		return NULL;
	finish_for_dead(m, (uint32_t)hash & (m->htab.buckets - 1), hit.index);
	htab_lru_looked_up(m, &hit);
	/* Not given to another key while the caller's lease goes on. */
	return htab_value(m, hit.index, cpu);
}

void *htab_lookup(struct map *m, const void *key)
{
	int cpu = m->ops->per_cpu ? lease_cpu() : 0;

	return cpu < 0 ? NULL : lookup_value(m, key, (uint32_t)cpu);
}

void *htab_lookup_at(struct map *m, const void *key, struct htab_at *at)
{
	uint64_t hash = htab_key_hash(m, key);
	const struct bucket *b = htab_bucket(m, htab_key_bucket(m, hash));
	struct htab_hit hit;
	unsigned int found;

	at->where = NULL;
	htab_programs(m);
	if (search(m, key, hash, &hit) <= 0)
		return NULL;
	/* With a lock in the value each lookup has to look whether its holder died. */
	if (unlikely(m->attr.spin_lock_off >= 0)) {
		finish_for_dead(m, htab_key_bucket(m, hash), hit.index);
		return htab_plain_value(m, hit.e);
	}
	for (found = htab_slots_tagged(b, htab_key_tag(hash)); found; found &= found - 1) {
		const uint64_t *where = &b->slot[__builtin_ctz(found)];

		at->link = load_acquire(where);
		if (likely(link_index1(at->link) == hit.index + 1 && link_fits(at->link, hit.gen)))
			at->where = where;
	}
	return htab_plain_value(m, hit.e);
}

/* htab_lookup() by key size and kind of map: what is the same for all of a map's lookups is
 * not asked at each. */
enum lookup_kind { LOOKUP_PLAIN, LOOKUP_PERCPU, LOOKUP_LRU, LOOKUP_LRU_PERCPU, LOOKUP_OBJECT };

static inline __attribute__((always_inline)) void *
lookup_sized(struct map *m, const void *key, uint32_t key_size, enum lookup_kind kind)
{
	const bool percpu = kind == LOOKUP_PERCPU || kind == LOOKUP_LRU_PERCPU;
	uint64_t hash = htab_key_hash_of(m, key, key_size);
	const uint64_t *slot;
	struct htab_hit hit;
	int cpu;

	if (!percpu)
		htab_programs(m);
	if (unlikely(search_of(m, key, hash, &hit, key_size) <= 0))
		return NULL;
	if (kind == LOOKUP_LRU || kind == LOOKUP_LRU_PERCPU)
		htab_lru_looked_up(m, &hit);
	if (percpu) {
		uint32_t stripe = htab_key_bucket(m, hash) & (m->htab.stripes - 1);

		cpu = lease_cpu();
		if (unlikely(cpu < 0))
			return NULL;
		if (unlikely(lock_owner_died(&htab_stripe(m, stripe)->lock)))
			finish_for_dead(m, htab_key_bucket(m, hash), hit.index);
		return m->obj.base + m->htab.percpu_off + (uint32_t)cpu * m->htab.percpu_stride +
		       (uint64_t)hit.index * m->elem_size;
	}
	slot = (const uint64_t *)htab_plain_value(m, hit.e);
	if (kind != LOOKUP_OBJECT)
		return (void *)slot;
	return objref_hash_lookup(m, slot);
}

#define LOOKUP_SIZED(name, size, kind)                                                             \
	static void *name##_##size(struct map *m, const void *key)                                 \
	{                                                                                          \
		return lookup_sized(m, key, size, kind);                                           \
	}
#define LOOKUP_SIZES(name, kind)                                                                   \
	LOOKUP_SIZED(name, 4, kind)                                                                \
	LOOKUP_SIZED(name, 8, kind)                                                                \
	LOOKUP_SIZED(name, 16, kind)
LOOKUP_SIZES(lookup, LOOKUP_PLAIN)
LOOKUP_SIZES(lookup_percpu, LOOKUP_PERCPU)
LOOKUP_SIZES(lookup_lru, LOOKUP_LRU)
LOOKUP_SIZES(lookup_lru_percpu, LOOKUP_LRU_PERCPU)
LOOKUP_SIZES(lookup_object, LOOKUP_OBJECT)

void htab_inlined(const struct map *m, struct map_inline *in)
{
	static void *(*const lookups[][3])(struct map *, const void *) = {
		[LOOKUP_PLAIN] = {lookup_4, lookup_8, lookup_16},
		[LOOKUP_PERCPU] = {lookup_percpu_4, lookup_percpu_8, lookup_percpu_16},
		[LOOKUP_LRU] = {lookup_lru_4, lookup_lru_8, lookup_lru_16},
		[LOOKUP_LRU_PERCPU] = {lookup_lru_percpu_4, lookup_lru_percpu_8,
				       lookup_lru_percpu_16},
		[LOOKUP_OBJECT] = {lookup_object_4, lookup_object_8, lookup_object_16},
	};
	enum lookup_kind kind = m->ops->objref	  ? LOOKUP_OBJECT
				: !m->ops->evicts ? m->ops->per_cpu ? LOOKUP_PERCPU : LOOKUP_PLAIN
				: m->ops->per_cpu ? LOOKUP_LRU_PERCPU
						  : LOOKUP_LRU;
	uint32_t size = m->attr.key_size;

	if (m->attr.spin_lock_off >= 0)
		return;
	if (size == 4 || size == 8 || size == 16)
		in->lookup = lookups[kind][size / 8];
}

void *htab_lookup_percpu(struct map *m, const void *key, uint32_t cpu)
{
	return cpu < m->attr.possible_cpus ? lookup_value(m, key, cpu) : NULL;
}

/* In a chain: has what followed the visited element come to its place? Not so when the
 * element was only replaced. */
static bool moved_up(struct map *m, uint32_t bucket, uint32_t at, uint64_t link, const void *key)
{
	uint32_t tries;

	for (tries = 0; tries < HTAB_RESTARTS; tries++) {
		uint64_t now = htab_place_link(m, bucket, at);
		struct htab_hit hit;
		bool same;

		if (now == link)
			return false;
		if (!now || now == LINK_DAMAGED)
			return true;
		if (htab_follow(m, now, &hit) != FOLLOW_ELEM)
			continue;
		same = htab_key_equal(m, hit.e->key, key);
		if (htab_hit_valid(&hit))
			return !same;
	}
	return true;
}

long htab_for_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *), void *arg)
{
	int cpu = lease_cpu() < 0 ? 0 : lease_cpu();
	long visited = 0;
	uint32_t bucket, at, steps = 0;

	htab_programs(m);
	for (bucket = 0; bucket < m->htab.buckets; bucket++) {
		if (unlikely(!htab_bucket_there(m, bucket))) {
			bucket = htab_next_page(bucket) - 1;
			continue;
		}
		for (at = 0; at <= HTAB_SLOTS + m->htab.elems; at++) {
			uint64_t link = htab_place_link(m, bucket, at);
			struct htab_hit hit;

			if (!link && at >= HTAB_SLOTS)
				break;
			if (unlikely(link == LINK_DAMAGED)) {
				htab_damaged(m);
				return visited;
			}
			if (!link)
				continue;
			/* A callback that puts back what it deletes, or damage. */
			if (unlikely(++steps > 2 * m->htab.elems + HTAB_RESTARTS))
				return visited;
			switch (htab_follow(m, link, &hit)) {
			case FOLLOW_ELEM:
				break;
			case FOLLOW_STALE: /* replaced since: its place has another */
				at--;
				continue;
			default:
				htab_damaged(m);
				return visited;
			}
			visited++;
			finish_for_dead(m, bucket, hit.index);
			if (htab_lru(m))
				htab_lru_hold(m, hit.index);
			if (fn(arg, m, hit.e->key, htab_value(m, hit.index, (uint32_t)cpu)))
				return visited;
			/* In the chain the callback may have deleted this very
			 * element: then the next one has its place. */
			if (at >= HTAB_SLOTS && moved_up(m, bucket, at, link, hit.e->key))
				at--;
		}
	}
	return visited;
}
