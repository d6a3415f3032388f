/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing a hash table: update, delete, lookup and delete; see htab.h. */
#include "map/htab.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/uaccess.h"
#include "map/gate.h"
#include "map/htab_commit.h"
#include "map/htab_key.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"

#define VALUE_ON_STACK 512

__attribute__((cold)) void htab_owner_died(struct map *m, uint32_t stripe)
{
	/* What the dead one took out may not have been counted: a look may have passed it. */
	gift_room_comes(htab_room(m));
	htab_recover_stripe(m, stripe);
	if (htab_lru(m))
		htab_lru_rebuild(m, stripe);
}

__attribute__((cold)) int htab_gate_wait(struct map *m, uint32_t stripe)
{
	uint32_t *lock = &htab_stripe(m, stripe)->lock;
	int ret;

	do {
		lock_release(lock);
		ret = map_gate_wait(m);
		if (!ret)
			ret = lock_acquire(lock);
		if (ret == LOCK_OWNER_DIED) {
			htab_owner_died(m, stripe);
			ret = 0;
		}
	} while (!ret && map_gate_shut(m));
	return ret;
}

static inline int stripe_lock(struct map *m, uint32_t stripe)
{
	int ret = lock_acquire(&htab_stripe(m, stripe)->lock);

	if (unlikely(ret == LOCK_OWNER_DIED)) {
		htab_owner_died(m, stripe);
		ret = 0;
	}
	if (unlikely(map_gate_shut(m)) && !ret)
		ret = htab_gate_wait(m, stripe);
	return ret;
}

int htab_lock(struct map *m, uint32_t stripe)
{
	return stripe_lock(m, stripe);
}

static inline void stripe_unlock(struct map *m, uint32_t stripe)
{
	lock_release(&htab_stripe(m, stripe)->lock);
}

void htab_unlock(struct map *m, uint32_t stripe)
{
	stripe_unlock(m, stripe);
}

/*
 * Finds the key under its stripe's lock. When it is not there, p->where is
 * the word that a new link goes to: an empty slot, or the end of the chain.
 */
static inline __attribute__((always_inline)) int find_locked(struct map *m,
							     const struct htab_shape s,
							     const void *key, uint64_t hash,
							     struct htab_place *p)
{
	struct bucket *b;
	uint64_t *word;
	uint32_t steps;
	struct htab_hit hit;
	unsigned int i, found;

	p->bucket = htab_key_bucket(m, hash);
	p->stripe = p->bucket & (m->htab.stripes - 1);
	p->tag = htab_key_tag(hash);
	p->evicted = p->held = false;
	b = htab_bucket(m, p->bucket);
	for (found = htab_slots_tagged(b, p->tag); found; found &= found - 1) {
		word = &b->slot[__builtin_ctz(found)];
		p->link = load_relaxed(word);
		if (unlikely(htab_follow(m, p->link, &hit) != FOLLOW_ELEM))
			goto damaged;
		if (likely(htab_key_same_of(m, hit.e->key, key, s.key_size))) {
			p->where = word;
			return 0;
		}
	}
	word = &b->chain;
	for (steps = 0; unlikely(load_relaxed(word)); steps++) {
		uint64_t link = load_relaxed(word);

		if (htab_follow(m, link, &hit) != FOLLOW_ELEM || steps > m->htab.elems)
			goto damaged;
		if (!((link ^ p->tag) & LINK_TAG_MASK) &&
		    htab_key_same_of(m, hit.e->key, key, s.key_size)) {
			p->where = word;
			p->link = link;
			return 0;
		}
		word = &hit.e->next;
	}
	/* No link has the tag 0. */
	found = htab_slots_tagged(b, 0);
	i = (unsigned int)__builtin_ctz(found | 1U << HTAB_SLOTS);
	p->where = i < HTAB_SLOTS ? &b->slot[i] : word;
	if (unlikely(i < HTAB_SLOTS && load_relaxed(p->where)))
		goto damaged;
	p->link = 0;
	return 0;

damaged:
	htab_damaged(m);
	return -EIO;
}

int htab_find_locked(struct map *m, const void *key, uint64_t hash, struct htab_place *p)
{
	return find_locked(m, htab_shape_of(m), key, hash, p);
}

/* The number of the place's word in an intent. */
static uint32_t place_where(const struct map *m, const struct htab_place *p)
{
	const uint64_t *words = htab_bucket(m, 0)->slot;
	uint64_t off = (uint64_t)((uint8_t *)p->where - (m->obj.base + m->htab.elem_off));

	if ((uint8_t *)p->where < m->obj.base + m->htab.elem_off)
		return (uint32_t)(p->where - words);
	return WHERE_ELEM | (uint32_t)(off / m->htab.elem_stride);
}

/* new_elem comes in, followed by next, or (NULL) next is what the place gets; what was
 * there goes. */
static inline __attribute__((always_inline)) void
place_commit(struct map *m, const struct htab_shape s, struct htab_place *p,
	     const struct htab_alloc *new_elem, uint64_t next, int live_delta)
{
	struct stripe *st = htab_stripe(m, p->stripe);
	struct elem *e = new_elem ? htab_elem(m, new_elem->index) : NULL;
	struct intent in = {
		.link = e ? link_make(new_elem->index, e->gen + 1, p->tag) : next,
		.where = place_where(m, p),
		.elem1 = link_index1(p->link),
		.rest1 = new_elem ? new_elem->rest1 : 0,
		.after = st->live + (uint32_t)live_delta,
		.op = INTENT_CHANGE | (new_elem ? new_elem->from : 0),
	};

	if (live_delta < 0 && !(s.lru && p->evicted))
		gift_room_comes(htab_room(m));
	htab_commit(m, s.lru, st, p->stripe, &in, p->where, e, next, htab_elem_at(m, in.elem1),
		    !p->held);
	/* What gives way to an insert is no change of its own. */
	if (!(s.lru && p->evicted))
		htab_count(st);
	if (s.lru)
		htab_lru_changed(m, p->stripe, new_elem ? new_elem->index + 1 : 0,
				 p->evicted ? 0 : in.elem1);
}

int htab_place(struct map *m, uint32_t stripe, uint32_t index, uint32_t cpu, const void *value)
{
	struct stripe *st = htab_stripe(m, stripe);
	struct intent *in = &st->intent;
	uint32_t size = m->attr.value_size;
	int err;

	if (size == 8 || size == 4 || size == 2 || size == 1) {
		uaccess_copy(htab_value(m, index, cpu), value, size); /* one store */
		return 0;
	}
	if (unlikely(!st->staged)) {
		err = object_populate(&m->obj, m->htab.claim_off + (uint64_t)stripe * m->elem_size,
				      m->elem_size);
		if (err)
			return err;
		st->staged = 1;
	}
	if (value != htab_staged(m, stripe))
		uaccess_copy(htab_staged(m, stripe), value, size);
	in->elem1 = index + 1;
	in->where = cpu;
	fence_compiler();
	store_relaxed(&in->op, INTENT_PLACE); /* it has happened: who comes after us ends it */
	fence_compiler();
	uaccess_copy(htab_value(m, index, cpu), htab_staged(m, stripe), size);
	fence_compiler();
	store_relaxed(&in->op, INTENT_NONE);
	return 0;
}

/* A dead owner's htab_place(): again. */
void htab_place_again(struct map *m, uint32_t stripe)
{
	struct intent *in = &htab_stripe(m, stripe)->intent;

	if (m->ops->per_cpu && in->elem1 && in->elem1 <= m->htab.elems &&
	    in->where < m->attr.possible_cpus)
		htab_place(m, stripe, in->elem1 - 1, in->where, htab_staged(m, stripe));
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
		if (ret > 0)
			htab_count_unlocked(m, hash);
		if (ret)
			return ret;
	}
}

/* The stripe, locked, has used its quota. 0: one element is to give way, the lock is held;
 * 1: released, begin again; < 0: released. */
static inline int stripe_full(struct map *m, const struct htab_shape s, uint32_t stripe,
			      uint32_t *looked)
{
	int ret;

	/* What is to give way to a commit has been deleted by now. */
	if (s.lru && !map_gate_own(m))
		return htab_lru_full(m, stripe, looked);
	ret = gift_full(htab_room(m)) ? -E2BIG : 0;
	htab_unlock(m, stripe);
	if (!ret)
		ret = htab_steal(m, stripe, true);
	return ret ? ret : 1;
}

/* LRU: one element gives way to the one that `a` is for, or, without memory for one, also
 * gives its memory. */
static __attribute__((noinline)) int make_room(struct map *m, const void *key, uint64_t hash,
					       struct htab_place *p, struct htab_alloc *a,
					       bool allocated, bool force, uint32_t *stamp)
{
	uint32_t bucket;
	int ret = htab_lru_evict(m, p->stripe, allocated ? a : NULL, &bucket);

	/* Its place may have been in the way to the new one's. */
	if (!ret && bucket == p->bucket)
		ret = htab_find_locked(m, key, hash, p);
	if (!ret && (!allocated || a->from == INTENT_LIMBO)) {
		/* Limbo's head is the victim, which we may stamp: it was unlinked before
		 * this fence. */
		fence_seq_cst();
		ret = htab_alloc(m, p->stripe, force, a, stamp);
	}
	return ret;
}

/*
 * The lines that a change is about to write lie far apart in memory, and may be in another
 * CPU's cache: all of them are asked for before the lock's compare-and-swap, which nothing
 * overtakes. Guesses: they may be others by then.
 */
static inline __attribute__((always_inline)) void
fetch_place(struct map *m, const struct htab_shape s, uint32_t stripe, uint64_t hash, bool fill)
{
	struct bucket *b = htab_bucket(m, htab_key_bucket(m, hash));
	struct stripe *st = htab_stripe(m, stripe);
	uint32_t index1, cpu;
	unsigned int found;

	prefetch_write(b);
	prefetch_write(st);
	if (s.lru)
		prefetch_write(htab_lru_order(m, stripe));
	found = htab_slots_tagged(b, htab_key_tag(hash));
	index1 = link_index1(load_relaxed(&b->slot[__builtin_ctz(found | 1U << 7) & 7]));
	/* wherever it leads: a fetch harms nobody */
	prefetch_write(htab_elem(m, index1 - 1));
	if (s.lru)
		prefetch_write(htab_lru_node(m, index1 - 1));
	if (!fill)
		return;
	index1 = heads_free(load_relaxed(&st->heads));
	if (likely(index1 && index1 <= m->htab.elems)) {
		prefetch_write(htab_elem(m, index1 - 1));
		for (cpu = 0; s.per_cpu && cpu < m->attr.possible_cpus && cpu < 4; cpu++)
			prefetch_write(htab_value(m, index1 - 1, cpu));
	}
}

/* What htab_alloc() would do first. */
static inline __attribute__((always_inline)) bool
alloc_free(struct map *m, const struct htab_shape s, const struct stripe *st, struct htab_alloc *a)
{
	uint32_t free1 = heads_free(st->heads);
	struct elem *e = htab_elem_at(m, free1);

	if (unlikely(!e || e->gen & 1 || s.has_lock))
		return false;
	a->index = free1 - 1;
	a->from = INTENT_FREE;
	a->rest1 = (uint32_t)e->next;
	return true;
}

/*
 * only_cpu: -1, or the CPU whose value a program gives (PERCPU_HASH). swap: the
 * value is the 8 bytes that an element has room for; it learns what it replaces.
 */
static inline __attribute__((always_inline)) int change(struct map *m, const struct htab_shape s,
							const void *key, uint64_t hash,
							const void *value, uint64_t flags,
							int only_cpu, const struct htab_swap *swap)
{
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct stripe *st = htab_stripe(m, stripe);
	struct htab_alloc a;
	struct htab_place p;
	uint32_t stamp = 0, tries = 0, looked = 0;
	bool force = false, evict;
	int ret;

	if (unlikely((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	if (unlikely(flags & BPF_F_LOCK)) {
		if (!s.has_lock)
			return -EINVAL;
		ret = update_in_place(m, key, hash, value, flags);
		if (ret)
			return ret < 0 ? ret : 0;
	}

	if (unlikely(!htab_bucket_there(m, htab_key_bucket(m, hash)))) {
		if (flags & BPF_EXIST)
			return -ENOENT;
		ret = htab_bucket_populate(m, htab_key_bucket(m, hash));
		if (ret)
			return htab_refused(m, stripe, ret);
	}

again:
	evict = false;
	fetch_place(m, s, stripe, hash, true);
	ret = stripe_lock(m, stripe);
	if (unlikely(ret))
		return ret;
	ret = find_locked(m, s, key, hash, &p);
	if (unlikely(ret))
		goto out;
	if (likely(p.link)) {
		if (s.lru)
			htab_lru_fetch(m, link_index1(p.link) - 1);
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
		if (swap) {
			uint64_t *word = (uint64_t *)htab_value(m, link_index1(p.link) - 1, 0);

			swap->before(swap->arg, load_relaxed(word));
			/* In place, as the kernel does: one word. */
			exchange_seq_cst(word, *(const uint64_t *)value);
			htab_count(st);
			goto out;
		}
		if (htab_in_place(s, st)) {
			htab_store(htab_plain_value(m, htab_elem(m, link_index1(p.link) - 1)),
				   value, s.value_size);
			if (s.lru)
				store_relaxed(&htab_elem(m, link_index1(p.link) - 1)->stamp, 1);
			htab_count(st);
			goto out;
		}
		if (only_cpu >= 0) {
			/* The CPU is ours: its slot changes in place, and the others'
			 * stay as they are. */
			ret = htab_place(m, stripe, link_index1(p.link) - 1, (uint32_t)only_cpu,
					 value);
			if (s.lru)
				htab_lru_touch(m, htab_elem(m, link_index1(p.link) - 1));
			if (likely(!ret))
				htab_count(st);
			goto out;
		}
	} else {
		if (flags & BPF_EXIST) {
			ret = -ENOENT;
			goto out;
		}
		evict = st->live >= st->quota;
		if (evict) {
			ret = stripe_full(m, s, stripe, &looked);
			if (ret < 0)
				return htab_refused(m, stripe, ret);
			if (ret)
				goto again;
		}
	}
	ret = alloc_free(m, s, st, &a) ? 0 : htab_alloc(m, stripe, force, &a, &stamp);
	/* LRU: now that there is memory for the new one; or when there is none. */
	if (unlikely(evict) ? !ret || ret == -ENOMEM
			    : unlikely(ret == -ENOMEM) && s.lru && !p.link && !map_gate_own(m))
		ret = make_room(m, key, hash, &p, &a, !ret, force, &stamp);
	if (unlikely(ret)) {
		htab_unlock(m, stripe);
		if (ret != -EAGAIN)
			return htab_refused(m, stripe, ret);
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
	htab_elem_fill(m, s, htab_elem(m, a.index), a.index, key, value, only_cpu);
	if (swap) {
		store_relaxed((uint64_t *)htab_value(m, a.index, 0), *(const uint64_t *)value);
		swap->before(swap->arg, 0);
	}
	/* In a chain it takes over what followed the old one; at a new place nothing
	 * follows. */
	place_commit(m, s, &p, &a,
		     p.link ? load_relaxed(&htab_elem(m, link_index1(p.link) - 1)->next) : 0,
		     p.link ? 0 : 1);
out:
	stripe_unlock(m, stripe);
	return ret;
}

/* For any shape. */
static __attribute__((noinline)) int change_any(struct map *m, const void *key, uint64_t hash,
						const void *value, uint64_t flags, int only_cpu,
						const struct htab_swap *swap)
{
	return change(m, htab_shape_of(m), key, hash, value, flags, only_cpu, swap);
}

int htab_write_hashed(struct map *m, const void *key, uint64_t hash, const void *value,
		      uint64_t flags)
{
	return change_any(m, key, hash, value, flags, -1, NULL);
}

int htab_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	if (m->quick.write && flags <= BPF_EXIST && m->writable)
		return m->quick.write(m, key, value, flags);
	return change_any(m, key, htab_key_hash(m, key), value, flags, -1, NULL);
}

int htab_swap_in(struct map *m, const void *key, uint64_t word, uint64_t flags,
		 const struct htab_swap *swap)
{
	return change_any(m, key, htab_key_hash(m, key), &word, flags, -1, swap);
}

long htab_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	if (!m->ops->per_cpu)
		return htab_write(m, key, value, flags);
	return change_any(m, key, htab_key_hash(m, key), value, flags, lease_cpu(), NULL);
}

/* Takes a found element out. */
static inline __attribute__((always_inline)) void
delete_locked(struct map *m, const struct htab_shape s, struct htab_place *p)
{
	struct elem *e = htab_elem(m, link_index1(p->link) - 1);
	struct bucket *b = htab_bucket(m, p->bucket);
	bool in_slot = p->where >= b->slot && p->where < b->slot + HTAB_SLOTS;

	place_commit(m, s, p, NULL, in_slot ? 0 : load_relaxed(&e->next), -1);
}

int htab_delete_locked(struct map *m, struct htab_place *p)
{
	delete_locked(m, htab_shape_of(m), p);
	return 0;
}

static inline __attribute__((always_inline)) int take_out(struct map *m, const struct htab_shape s,
							  const void *key, void *copy,
							  uint64_t flags,
							  const struct htab_swap *swap)
{
	uint64_t hash = htab_key_hash_of(m, key, s.key_size);
	uint32_t stripe = (uint32_t)hash & (m->htab.buckets - 1) & (m->htab.stripes - 1);
	struct htab_place p;
	uint64_t until = 0;
	int ret;

	if (unlikely(!m->writable))
		return -EPERM;
	if (unlikely(!htab_bucket_there(m, htab_key_bucket(m, hash))))
		return -ENOENT;
again:
	fetch_place(m, s, stripe, hash, false);
	ret = stripe_lock(m, stripe);
	if (unlikely(ret))
		return ret;
	ret = find_locked(m, s, key, hash, &p);
	if (!ret && !p.link)
		ret = -ENOENT;
	if (!ret && copy)
		ret = htab_take_copy(m, link_index1(p.link) - 1, copy, flags);
	if (!ret && swap)
		swap->before(swap->arg,
			     load_relaxed((uint64_t *)htab_value(m, link_index1(p.link) - 1, 0)));
	if (likely(!ret))
		delete_locked(m, s, &p);
	stripe_unlock(m, stripe);
	if (unlikely(ret == -EAGAIN)) {
		ret = htab_wait_unheld(m, link_index1(p.link) - 1, &until);
		if (!ret)
			goto again;
	}
	return ret;
}

static __attribute__((noinline)) int take_any(struct map *m, const void *key, void *copy,
					      uint64_t flags, const struct htab_swap *swap)
{
	return take_out(m, htab_shape_of(m), key, copy, flags, swap);
}

int htab_take(struct map *m, const void *key, void *copy, uint64_t flags,
	      const struct htab_swap *swap)
{
	return take_any(m, key, copy, flags, swap);
}

bool htab_shows(struct map *m, uint64_t word)
{
	uint32_t i;

	/* What a dead owner of a stripe's lock left is settled first, also when the
	 * kernel has not yet marked the word. */
	for (i = 0; i < m->htab.stripes; i++) {
		if (!load_relaxed(&htab_stripe(m, i)->lock) || htab_lock(m, i))
			continue;
		htab_unlock(m, i);
	}
	for (i = 0; i < m->htab.elems; i++)
		if (load_acquire(&htab_elem(m, i)->gen) & 1 &&
		    load_relaxed((uint64_t *)htab_value(m, i, 0)) == word)
			return true;
	return false;
}

int htab_erase_any(struct map *m, const void *key)
{
	return take_any(m, key, NULL, 0, NULL);
}

int htab_erase(struct map *m, const void *key)
{
	return m->quick.erase && m->writable ? m->quick.erase(m, key) : htab_erase_any(m, key);
}

int htab_swap_out(struct map *m, const void *key, const struct htab_swap *swap)
{
	return take_any(m, key, NULL, 0, swap);
}

long htab_delete(struct map *m, const void *key)
{
	return htab_erase(m, key);
}

/* As the kernel: the element is gone also when the value cannot be delivered. */
int htab_pop(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint8_t on_stack[VALUE_ON_STACK] __attribute__((aligned(8))), *copy = on_stack;
	size_t size = (size_t)m->user_value_size * (flags & BPF_F_LOCK ? 2 : 1);
	int ret;

	if (size > sizeof(on_stack)) {
		copy = malloc(size);
		if (!copy)
			return -ENOMEM;
	}
	if (m->htab.take && !flags && m->writable)
		ret = m->htab.take(m, key, (uint64_t *)copy);
	else
		ret = take_any(m, key, copy, flags, NULL);
	if (!ret)
		ret = uaccess_copy(value, copy, m->user_value_size);
	if (copy != on_stack)
		free(copy);
	return ret;
}
