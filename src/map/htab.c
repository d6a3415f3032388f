/* SPDX-License-Identifier: BSD-2-Clause */
/* HASH: see htab.h. percpu_htab.c shares everything but the values' place. */
#include "map/htab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/uaccess.h"
#include "map/generic_batch.h"
#include "map/htab_ops.h"
#include "map/redo.h"

/* Reads that race with writers on purpose: what they saw is checked by the
 * element's generation before it is believed. */
#define RACY __attribute__((no_sanitize("thread")))

#define KEY_ON_STACK 512

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

int htab_lock(struct map *m, uint32_t stripe)
{
	int ret = lock_acquire(&htab_stripe(m, stripe)->lock);

	if (ret == LOCK_OWNER_DIED) {
		htab_recover_stripe(m, stripe);
		ret = 0;
	}
	return ret;
}

void htab_unlock(struct map *m, uint32_t stripe)
{
	lock_release(&htab_stripe(m, stripe)->lock);
}

/*
 * Without a lock: 1 with the element, 0 when the key is not there, -EIO when
 * the links make no sense (somebody has damaged the file). The bound on starting
 * over is for damage too: in a sound table each start needs another's progress.
 */
static int htab_search(struct map *m, const void *key, uint64_t hash, struct htab_hit *hit)
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

/* ---- bpf(2) side: reads ---- */

static void *staged_value(struct map *m, uint32_t stripe)
{
	return m->obj.base + m->htab.claim_off + (uint64_t)stripe * m->elem_size;
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
		err = uaccess_zero((uint8_t *)user + lock, 4);
	if (!err)
		err = uaccess_copy((uint8_t *)user + lock + 4, from + lock + 4,
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
			err = uaccess_copy((uint8_t *)user + (size_t)cpu * m->elem_size,
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
		err = uaccess_copy((uint8_t *)user + in->where * m->elem_size,
				   staged_value(m, stripe), m->attr.value_size);
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

/* ---- writers ---- */

/*
 * Finds the key under its stripe's lock. When it is not there, p->where is
 * the word that a new link goes to: an empty slot, or the end of the chain.
 */
int htab_find_locked(struct map *m, const void *key, uint64_t hash, struct htab_place *p)
{
	struct bucket *b;
	uint64_t *word, *empty = NULL;
	uint32_t steps;
	struct htab_hit hit;
	unsigned int i;

	p->bucket = (uint32_t)hash & (m->htab.buckets - 1);
	p->stripe = p->bucket & (m->htab.stripes - 1);
	p->tag = htab_tag(hash);
	b = htab_bucket(m, p->bucket);
	for (i = 0; i < HTAB_SLOTS; i++) {
		uint64_t link = load_relaxed(&b->slot[i]);

		if (!link && !empty)
			empty = &b->slot[i];
		if ((link ^ p->tag) & LINK_TAG_MASK)
			continue;
		if (htab_follow(m, link, &hit) != FOLLOW_ELEM)
			goto damaged;
		if (htab_key_equal(m, hit.e->key, key)) {
			p->where = &b->slot[i];
			p->link = link;
			return 0;
		}
	}
	word = &b->chain;
	for (steps = 0; load_relaxed(word); steps++) {
		uint64_t link = load_relaxed(word);

		if (htab_follow(m, link, &hit) != FOLLOW_ELEM || steps > m->htab.elems)
			goto damaged;
		if (!((link ^ p->tag) & LINK_TAG_MASK) && htab_key_equal(m, hit.e->key, key)) {
			p->where = word;
			p->link = link;
			return 0;
		}
		word = &hit.e->next;
	}
	p->where = empty ? empty : word;
	p->link = 0;
	return 0;

damaged:
	htab_damaged(m);
	return -EIO;
}

/*
 * Commits `link` at the place and brings pool and counters up to date. The
 * intent is complete before its op is stored, and the op before the commit; a
 * compiler fence is enough, as only our own death separates them and what a
 * dead thread has executed is visible to who takes its lock.
 */
static void change_commit(struct map *m, struct htab_place *p, uint64_t link, uint32_t new_elem,
			  uint64_t new_next, uint64_t heads_after, uint32_t fresh_after,
			  int live_delta)
{
	struct stripe *st = htab_stripe(m, p->stripe);
	struct intent *in = &st->intent;
	uint32_t old1 = link_index1(p->link), freed_cpu;

	in->where = (uint64_t)((uint8_t *)p->where - m->obj.base);
	in->link = link;
	in->live_after = st->live + (uint32_t)live_delta;
	in->fresh_after = fresh_after;
	in->new_elem = new_elem;
	in->old_elem = old1;
	if (old1) {
		/* The old element becomes the top of limbo. */
		freed_cpu = (uint32_t)(lease_cpu() + 1);
		in->old_next = heads_after >> 32 | (uint64_t)freed_cpu << 32;
		heads_after = (uint32_t)heads_after | (uint64_t)old1 << 32;
	}
	in->heads_after = heads_after;
	fence_compiler();
	in->op = INTENT_CHANGE;
	fence_compiler();
	if (new_elem) {
		struct elem *e = htab_elem(m, new_elem - 1);

		/* From here the new element is still the head of its list, but its
		 * link there is gone: the intent knows it. */
		store_relaxed(&e->next, new_next);
		store_release(&e->gen, e->gen + 1); /* odd: in the table, as soon as linked */
	}
	/* The commit. seq_cst: lease_stamp() needs a full fence after an unlink. */
	exchange_seq_cst(p->where, link);
	htab_recover_stripe(m, p->stripe);
}

void htab_place(struct map *m, uint32_t stripe, uint32_t index, uint32_t cpu, const void *value)
{
	struct intent *in = &htab_stripe(m, stripe)->intent;
	uint32_t size = m->attr.value_size;

	if (size == 8 || size == 4 || size == 2 || size == 1) {
		uaccess_copy(htab_value(m, index, cpu), value, size); /* one store */
		return;
	}
	if (value != staged_value(m, stripe))
		uaccess_copy(staged_value(m, stripe), value, size);
	in->new_elem = index + 1;
	in->where = cpu;
	fence_compiler();
	in->op = INTENT_PLACE; /* it has happened: who comes after us does the rest */
	fence_compiler();
	uaccess_copy(htab_value(m, index, cpu), staged_value(m, stripe), size);
	fence_compiler();
	in->op = INTENT_NONE;
}

/* A dead owner's htab_place(): again. */
void htab_place_again(struct map *m, uint32_t stripe)
{
	struct intent *in = &htab_stripe(m, stripe)->intent;

	if (m->ops->per_cpu && in->new_elem && in->new_elem <= m->htab.elems &&
	    in->where < m->attr.possible_cpus)
		htab_place(m, stripe, in->new_elem - 1, (uint32_t)in->where,
			   staged_value(m, stripe));
	else
		htab_damaged(m);
}

/* Copies a value in: never the lock, which stays as it is. */
void htab_value_in(struct map *m, uint8_t *to, const uint8_t *from)
{
	int32_t lock = m->attr.spin_lock_off;

	/* by uaccess_copy(): whole words, and no function that TSan follows */
	if (likely(lock < 0)) {
		uaccess_copy(to, from, m->attr.value_size);
		return;
	}
	uaccess_copy(to, from, (size_t)lock);
	uaccess_copy(to + lock + 4, from + lock + 4, m->attr.value_size - (uint32_t)lock - 4);
}

static void elem_fill(struct map *m, uint32_t index, const void *key, const uint8_t *value,
		      int only_cpu)
{
	struct elem *e = htab_elem(m, index);
	uint32_t cpu;

	/* Readers of its last life must see its generation change before any
	 * of this: partner of fence_acquire() in htab_hit_valid(). */
	fence_release();
	uaccess_copy(e->key, key, m->attr.key_size);
	if (!m->ops->per_cpu) {
		htab_value_in(m, htab_value(m, index, 0), value);
		return;
	}
	for (cpu = 0; cpu < m->attr.possible_cpus; cpu++) {
		if (only_cpu < 0)
			uaccess_copy(htab_value(m, index, cpu), value + (size_t)cpu * m->elem_size,
				     m->elem_size);
		else
			uaccess_zero(htab_value(m, index, cpu), m->elem_size);
	}
	if (only_cpu >= 0)
		uaccess_copy(htab_value(m, index, (uint32_t)only_cpu), value, m->attr.value_size);
}

/* BPF_F_LOCK on an element that exists: in place, under its own lock. 1 done,
 * 0 not there, or -errno. */
static int update_in_place(struct map *m, const void *key, uint64_t hash, const void *value,
			   uint64_t flags)
{
	struct htab_hit hit;
	int ret;

	for (;;) {
		ret = htab_search(m, key, hash, &hit);
		if (ret < 0)
			return ret;
		if (!ret)
			return flags & BPF_EXIST ? -ENOENT : 0;
		if (flags & BPF_NOEXIST)
			return -EEXIST;
		ret = htab_write_locked(m, hit.index, hit.gen, value);
		if (ret)
			return ret;
	}
}

/* only_cpu: -1, or the CPU whose value a program gives (PERCPU_HASH). */
static int change(struct map *m, const void *key, const void *value, uint64_t flags, int only_cpu)
{
	uint64_t hash = htab_hash(m, key);
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct stripe *st = htab_stripe(m, stripe);
	struct htab_alloc a;
	struct htab_place p;
	uint32_t stamp = 0, tries = 0;
	bool force = false;
	int ret;

	if (unlikely((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	if (unlikely(flags & BPF_F_LOCK)) {
		if (m->attr.spin_lock_off < 0)
			return -EINVAL;
		ret = update_in_place(m, key, hash, value, flags);
		if (ret)
			return ret < 0 ? ret : 0;
	}

again:
	ret = htab_lock(m, stripe);
	if (unlikely(ret))
		return ret;
	ret = htab_find_locked(m, key, hash, &p);
	if (unlikely(ret))
		goto out;
	if (p.link) {
		if (flags & BPF_NOEXIST) {
			ret = -EEXIST;
			goto out;
		}
		if (unlikely(flags & BPF_F_LOCK)) {
			/* came into being since: in place after all */
			htab_unlock(m, stripe);
			ret = update_in_place(m, key, hash, value, flags);
			if (ret)
				return ret < 0 ? ret : 0;
			goto again;
		}
		if (only_cpu >= 0) {
			/* The CPU is ours: its slot changes in place, and the others'
			 * stay as they are. */
			htab_place(m, stripe, link_index1(p.link) - 1, (uint32_t)only_cpu, value);
			goto out;
		}
	} else {
		if (flags & BPF_EXIST) {
			ret = -ENOENT;
			goto out;
		}
		if (st->live >= st->quota) {
			htab_unlock(m, stripe);
			ret = htab_steal(m, stripe);
			if (ret)
				return ret;
			goto again;
		}
	}
	ret = htab_alloc(m, stripe, force, &a, &stamp);
	if (unlikely(ret)) {
		htab_unlock(m, stripe);
		if (ret != -EAGAIN)
			return ret;
		lease_wait(stamp, lease_cpu());
		/* The second time round what lease_wait() gave up on is taken. More
		 * times: a writer under BPF_F_LOCK stands still on the last element. */
		force = true;
		if (++tries > 20) {
			struct timespec nap = {0, 500000};

			nanosleep(&nap, NULL);
		}
		if (tries > 20000)
			return -EBUSY;
		goto again;
	}
	elem_fill(m, a.index, key, value, only_cpu);
	/* In a chain it takes over what followed the old one; at a new place nothing
	 * follows. */
	change_commit(m, &p, link_make(a.index, htab_elem(m, a.index)->gen + 1, p.tag), a.index + 1,
		      p.link ? load_relaxed(&htab_elem(m, link_index1(p.link) - 1)->next) : 0,
		      a.heads_after, a.fresh_after, p.link ? 0 : 1);
out:
	htab_unlock(m, stripe);
	return ret;
}

int htab_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return change(m, key, value, flags, -1);
}

long htab_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return change(m, key, value, flags, m->ops->per_cpu ? lease_cpu() : -1);
}

/* Takes a found element out. */
int htab_delete_locked(struct map *m, struct htab_place *p)
{
	struct stripe *st = htab_stripe(m, p->stripe);
	struct elem *e = htab_elem(m, link_index1(p->link) - 1);
	struct bucket *b = htab_bucket(m, p->bucket);
	bool in_slot = p->where >= b->slot && p->where < b->slot + HTAB_SLOTS;

	change_commit(m, p, in_slot ? 0 : load_relaxed(&e->next), 0, 0, st->heads, st->fresh, -1);
	return 0;
}

static int take_out(struct map *m, const void *key, void *copy)
{
	uint64_t hash = htab_hash(m, key);
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct htab_place p;
	int ret;

	if (unlikely(!m->writable))
		return -EPERM;
	ret = htab_lock(m, stripe);
	if (unlikely(ret))
		return ret;
	ret = htab_find_locked(m, key, hash, &p);
	if (!ret && !p.link)
		ret = -ENOENT;
	if (!ret && copy)
		ret = htab_value_out(m, link_index1(p.link) - 1, copy);
	if (!ret)
		ret = htab_delete_locked(m, &p);
	htab_unlock(m, stripe);
	return ret;
}

int htab_erase(struct map *m, const void *key)
{
	return take_out(m, key, NULL);
}

long htab_delete(struct map *m, const void *key)
{
	return take_out(m, key, NULL);
}

/* As the kernel: the element is gone also when the value cannot be delivered. */
int htab_pop(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint8_t on_stack[KEY_ON_STACK], *copy = on_stack;
	int ret;

	if (m->user_value_size > sizeof(on_stack)) {
		copy = malloc(m->user_value_size);
		if (!copy)
			return -ENOMEM;
	}
	ret = take_out(m, key, copy);
	if (!ret)
		ret = uaccess_copy(value, copy, m->user_value_size);
	if (copy != on_stack)
		free(copy);
	return ret;
}

/* ---- program side ---- */

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

/* ---- creation ---- */

#define HTAB_FLAGS                                                                                 \
	(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_ZERO_SEED |     \
	 BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
#define HTAB_KEY_VALUE_MAX (4194304 - 48) /* KMALLOC_MAX_SIZE less the kernel's header */
#define HTAB_BUCKETS_MAX (1U << 27)
#define PERCPU_VALUE_MAX 32768

int htab_alloc_check(const struct map_attr *attr)
{
	bool percpu = attr->map_type == BPF_MAP_TYPE_PERCPU_HASH;

	if (attr->map_flags & ~(uint32_t)HTAB_FLAGS || !map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	/* the flag is allowed, a node is not */
	if (percpu && (attr->map_flags & BPF_F_NUMA_NODE) && attr->numa_node != (uint32_t)-1)
		return -EINVAL;
	if (!attr->max_entries || !attr->key_size || !attr->value_size)
		return -EINVAL;
	if ((uint64_t)attr->key_size + attr->value_size >= HTAB_KEY_VALUE_MAX)
		return -E2BIG;
	if (percpu && round_up_u64(attr->value_size, 8) > PERCPU_VALUE_MAX)
		return -E2BIG;
	return 0;
}

int htab_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint64_t max = m->attr.max_entries, stripes, buckets, elems, key, stride, end;
	uint64_t value = m->elem_size;

	if (max > HTAB_BUCKETS_MAX)
		return -E2BIG;
	stripes = pow2_at_least((uint64_t)m->attr.possible_cpus * 16);
	if (stripes > HTAB_STRIPES_MAX)
		stripes = HTAB_STRIPES_MAX;
	while (stripes > 1 && stripes * 8 > max)
		stripes /= 2;
	buckets = pow2_at_least((max + 3) / 4);
	if (buckets < stripes)
		buckets = stripes;

	m->htab.stripes = (uint32_t)stripes;
	m->htab.buckets = (uint32_t)buckets;
	m->htab.per_stripe = (uint32_t)((max + stripes - 1) / stripes) + HTAB_SPARES;
	elems = stripes * m->htab.per_stripe;
	m->htab.elems = (uint32_t)elems;

	key = round_up_u64(m->attr.key_size, 8);
	m->htab.value_off = (uint32_t)(sizeof(struct elem) + key);
	stride = m->htab.value_off + (m->ops->per_cpu ? 0 : value);
	/* small elements do not straddle cache lines */
	if (stride <= 32)
		stride = 32;
	else if (stride <= CACHE_LINE)
		stride = CACHE_LINE;
	m->htab.elem_stride = (uint32_t)stride;

	m->htab.stripe_off = 0;
	m->htab.bucket_off = stripes * sizeof(struct stripe);
	m->htab.elem_off =
		round_up_u64(m->htab.bucket_off + buckets * sizeof(struct bucket), SHMAP_PAGE);
	end = m->htab.elem_off + elems * stride;
	m->htab.percpu_off = round_up_u64(end, SHMAP_PAGE);
	m->htab.percpu_stride = round_up_u64(elems * value, CACHE_LINE);
	if (m->ops->per_cpu)
		end = m->htab.percpu_off + m->htab.percpu_stride * m->attr.possible_cpus;
	m->htab.claim_off = round_up_u64(end, SHMAP_PAGE);
	if (m->attr.spin_lock_off >= 0)
		end = m->htab.claim_off + HTAB_CLAIMS * redo_record_size(m->attr.value_size);
	else if (m->ops->per_cpu)
		end = m->htab.claim_off + stripes * value;
	m->htab.extra = end > m->htab.claim_off ? end - m->htab.claim_off : 0;
	*data_size = round_up_u64(end, SHMAP_PAGE);
	/* Buckets always; elements too unless they are to come one by one. */
	*prealloc = m->attr.map_flags & BPF_F_NO_PREALLOC ? m->htab.elem_off : *data_size;
	m->htab.seed = m->attr.hash_seed;
	return 0;
}

int htab_format(struct map *m)
{
	struct map_header *h = (struct map_header *)m->obj.trailer->body;

	/* Another seed per map, so that nobody can choose keys that collide. */
	if (!(m->attr.map_flags & BPF_F_ZERO_SEED) &&
	    getrandom(&m->attr.hash_seed, sizeof(m->attr.hash_seed), 0) !=
		    sizeof(m->attr.hash_seed))
		return -EAGAIN;
	h->attr.hash_seed = m->attr.hash_seed;
	m->htab.seed = m->attr.hash_seed;
	htab_pool_format(m);
	/* What stands behind the elements, which NO_PREALLOC leaves a hole. */
	return object_populate(&m->obj, m->htab.claim_off, m->htab.extra);
}

/* The kernel's figure (its element header of 48 bytes, its 16-byte buckets), so
 * that what a tool shows means the same here and there. */
uint64_t htab_memlock(const struct map *m)
{
	uint64_t buckets = pow2_at_least(m->attr.max_entries), entries = m->attr.max_entries;
	uint64_t elem = 48 + round_up_u64(m->attr.key_size, 8);
	uint64_t cpus = m->attr.possible_cpus, usage;
	bool percpu = m->ops->per_cpu, prealloc = !(m->attr.map_flags & BPF_F_NO_PREALLOC);
	uint32_t i;

	elem += percpu ? 8 : round_up_u64(m->attr.value_size, 8);
	usage = HTAB_KERNEL_STRUCT + 16 * buckets;
	if (prealloc) {
		if (!percpu)
			entries += cpus;
		usage += elem * entries;
		if (percpu)
			usage += m->elem_size * cpus * entries;
		else
			usage += 8 * cpus;
		return usage;
	}
	for (entries = 0, i = 0; i < m->htab.stripes; i++)
		entries += load_relaxed(&htab_stripe(m, i)->live);
	/* its allocator's link before each piece, and the pointer to the per-CPU one */
	usage += (elem + 8) * entries;
	if (percpu)
		usage += (16 + (uint64_t)m->elem_size * cpus) * entries;
	return usage;
}

int htab_recover(struct map *m)
{
	uint32_t i;
	int err;

	if (!m->writable)
		return -EPERM;
	for (i = 0; i < m->htab.stripes; i++) {
		if (!lock_owner_died(&htab_stripe(m, i)->lock))
			continue;
		err = htab_lock(m, i);
		if (err)
			return err;
		htab_unlock(m, i);
	}
	return 0;
}

const struct map_ops htab_map_ops = {
	.type = BPF_MAP_TYPE_HASH,
	.name = "hash",
	.alloc_check = htab_alloc_check,
	.layout = htab_layout,
	.format = htab_format,
	.read = htab_read,
	.write = htab_write,
	.erase = htab_erase,
	.next_key = htab_next_key,
	.pop = htab_pop,
	.lookup = htab_lookup,
	.update = htab_update,
	.delete = htab_delete,
	.for_each = htab_for_each,
	.lock_died = htab_lock_died,
	.lookup_batch = htab_lookup_batch,
	.lookup_and_delete_batch = htab_lookup_and_delete_batch,
	.update_batch = generic_update_batch,
	.delete_batch = generic_delete_batch,
	.memlock = htab_memlock,
	.recover = htab_recover,
	.validate = htab_validate,
	.lock_allowed = true,
	.inner_allowed = true,
};
