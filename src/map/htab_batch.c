/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup and lookup-and-delete batches of the hash tables: bucket by bucket.
 *
 * Claim: of a key that is in the table all the time, a walk from the first token to
 * -ENOENT delivers just one element, whatever others insert and delete meanwhile; and no
 * call fails because a bucket holds more than there is room for.
 *
 * A key stays in its bucket, and each bucket is visited once. What a visit delivers
 * is what the bucket held at one instant: it is read without a lock, and again if its links
 * have changed in between; where they change too often, its keys are written down under
 * the lock and then looked up one by one. A bucket that does not fit is delivered by
 * ascending hash, which no change of other keys can disturb, and the token says from where
 * to go on:
 *
 *   31               r r-1        3 2    0
 *   | bucket          | hash       | rank |      r = 31 - log2(buckets)
 *
 * (the hash's first r - 3 bits). Keys that are alike in these bits come in one call;
 * only when there is no room for them does rank count those that have been
 * delivered. That is the one case where the claim wants the others to keep still, and for
 * it the caller's room has to be smaller than a bucket.
 */
#include <stdlib.h>
#include <string.h>

#include "base/uaccess.h"
#include "map/htab.h"
#include "map/htab_key.h"
#include "map/htab_ops.h"
#include "map/objref.h"

#define RANK_BITS 3
#define RANK_MAX ((1U << RANK_BITS) - 1)
#define SEEN_MAX 64 /* elements of a bucket that are read without a list */
#define LIST_FIRST 16
#define VISIT_TRIES 16 /* reads of a bucket that changed meanwhile */
#define STAGED 64      /* elements that go to the caller together ... */
#define STAGED_KEY 16  /* ... if they are not larger than this */
#define STAGED_VALUE 64
#define GROUP 8		       /* buckets that are visited together */
#define AHEAD 4		       /* buckets whose elements are fetched beforehand */
#define FETCH_BYTES (1U << 20) /* in smaller tables nothing needs to be */

/* A bucket at one instant. */
struct seen {
	uint64_t word[HTAB_SLOTS + 1];
	struct htab_hit hit[SEEN_MAX];
	uint32_t n, slots; /* of n, so many stand in slots; the others follow in the chain */
};

/* A key of a bucket that is delivered by ascending hash. */
struct listed {
	uint64_t hash;
	const uint8_t *key;
};

struct walk {
	struct map *m;
	struct map_batch *b;
	bool erase, stage, fetch;
	unsigned int shift;   /* r */
	uint32_t bucket;      /* what is visited next ... */
	uint32_t slice, rank; /* ... and from where on */
	uint32_t room, done;
	uint32_t flushed;    /* of done, so many are in the caller's memory */
	struct listed *list; /* and behind it the keys; malloc */
	uint32_t list_room;
	uint8_t *copy; /* erase: a value, private; malloc */
	uint8_t staged_keys[STAGED * STAGED_KEY] __attribute__((aligned(8)));
	uint8_t staged_values[STAGED * STAGED_VALUE] __attribute__((aligned(8)));
};

static void *key_out(const struct walk *w, uint32_t i)
{
	return uaccess_at(w->b->keys, (size_t)i * w->m->attr.key_size);
}

static void *value_out(const struct walk *w, uint32_t i)
{
	return uaccess_at(w->b->values, (size_t)i * w->m->user_value_size);
}

static int flush(struct walk *w)
{
	uint32_t n = w->done - w->flushed;

	if (!n || !w->stage)
		return 0;
	if (uaccess_copy(key_out(w, w->flushed), w->staged_keys, (size_t)n * w->m->attr.key_size) ||
	    uaccess_copy(value_out(w, w->flushed), w->staged_values,
			 (size_t)n * w->m->user_value_size))
		return -EFAULT;
	w->flushed = w->done;
	return 0;
}

/* From an element, at an 8-byte boundary, to private memory. The caller checks the hit. */
static inline RACY void words_out(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint64_t v;
	uint32_t half;

	for (; n >= 8; n -= 8, to += 8, from += 8) {
		v = load_relaxed((const uint64_t *)from);
		memcpy(to, &v, 8);
	}
	if (n & 4) {
		half = load_relaxed((const uint32_t *)from);
		memcpy(to, &half, 4);
		to += 4, from += 4;
	}
	for (n &= 3; n; n--)
		*to++ = load_relaxed(from++);
}

/* An element to the stage, at `at`; the caller looks whether it has been the same. */
static inline __attribute__((always_inline)) void stage_element(struct walk *w, uint32_t at,
								const struct htab_hit *hit)
{
	uint32_t key_size = w->m->attr.key_size, value_size = w->m->attr.value_size, cpu;
	uint64_t *values = (uint64_t *)w->staged_values;

	if (key_size == 4)
		((uint32_t *)w->staged_keys)[at] = load_relaxed((uint32_t *)hit->e->key);
	else
		words_out(w->staged_keys + at * key_size, hit->e->key, key_size);
	if (w->m->ops->per_cpu) {
		for (cpu = 0; cpu < w->m->attr.possible_cpus; cpu++)
			values[at * w->m->attr.possible_cpus + cpu] =
				load_relaxed((uint64_t *)htab_value(w->m, hit->index, cpu));
	} else if (value_size == 8) {
		values[at] = load_relaxed((uint64_t *)htab_plain_value(w->m, hit->e));
	} else {
		words_out(w->staged_values + at * value_size, htab_plain_value(w->m, hit->e),
			  value_size);
	}
}

/* Per-CPU values: those that are stored at once, so that a dead program's need no repair. */
static bool may_stage(const struct map *m)
{
	uint32_t size = m->attr.value_size;

	if (m->attr.spin_lock_off >= 0 || m->attr.key_size > STAGED_KEY ||
	    m->user_value_size > STAGED_VALUE)
		return false;
	return !m->ops->per_cpu || (size <= 8 && !(size & (size - 1)));
}

/* 0; -EAGAIN: it is changing; -E2BIG: more than SEEN_MAX; -EIO. */
static inline int bucket_see(struct map *m, uint32_t bucket, struct seen *s)
{
	struct bucket *b = htab_bucket(m, bucket);
	uint64_t link;
	uint32_t i;

	s->n = 0;
	for (i = 0; i < HTAB_SLOTS; i++) {
		link = s->word[i] = load_acquire(&b->slot[i]);
		if (!link)
			continue;
		switch (htab_follow(m, link, &s->hit[s->n])) {
		case FOLLOW_ELEM:
			s->n++;
			break;
		case FOLLOW_STALE:
			return -EAGAIN;
		default:
			return -EIO;
		}
	}
	s->slots = s->n;
	link = s->word[HTAB_SLOTS] = load_acquire(&b->chain);
	while (unlikely(link)) {
		struct htab_hit *hit = &s->hit[s->n];

		if (s->n == SEEN_MAX)
			return -E2BIG;
		switch (htab_follow(m, link, hit)) {
		case FOLLOW_ELEM:
			break;
		case FOLLOW_STALE:
			return -EAGAIN;
		default:
			return -EIO;
		}
		link = load_acquire(&hit->e->next);
		if (!htab_hit_valid(hit))
			return -EAGAIN;
		s->n++;
	}
	return 0;
}

/* Has it been the same from bucket_see() to now? A link is never used twice. */
static inline bool bucket_same(struct map *m, uint32_t bucket, const struct seen *s)
{
	struct bucket *b = htab_bucket(m, bucket);
	uint64_t differ = 0, link;
	uint32_t i;

	fence_acquire();
#pragma GCC unroll 8
	for (i = 0; i < HTAB_SLOTS; i++)
		differ |= load_acquire(&b->slot[i]) ^ s->word[i];
	link = load_acquire(&b->chain);
	if (differ || link != s->word[HTAB_SLOTS])
		return false;
	for (i = s->slots; unlikely(i < s->n); i++) {
		const struct htab_hit *hit = &s->hit[i];

		if (link_index1(link) != hit->index + 1 || !link_fits(link, hit->gen))
			return false;
		link = load_acquire(&hit->e->next);
		if (!htab_hit_valid(hit))
			return false;
	}
	return s->slots == s->n || !link;
}

/*
 * The whole bucket, without a lock. 0 delivered; 1 there is not enough room, or it is
 * too long; -EAGAIN it has changed, nothing is delivered; -EFAULT, -EIO ...
 */
static inline int visit(struct walk *w)
{
	uint32_t begin = w->done, flushed = w->flushed, i;
	uint32_t key_size = w->m->attr.key_size;
	struct map *m = w->m;
	struct seen s;
	int err = bucket_see(m, w->bucket, &s);

	if (unlikely(err))
		return err == -E2BIG ? 1 : err;
	if (!s.n)
		return 0;
	if (unlikely(s.n > w->room - w->done))
		return 1;
	if (w->stage && s.n > STAGED - (w->done - w->flushed)) {
		err = flush(w);
		if (err)
			return err;
		flushed = w->flushed;
	}
	for (i = 0; i < s.n; i++, w->done++) {
		const struct htab_hit *hit = &s.hit[i];

		if (likely(w->stage)) {
			stage_element(w, w->done - w->flushed, hit);
			continue;
		}
		err = uaccess_copy(key_out(w, w->done), hit->e->key, key_size);
		if (!err)
			err = htab_found_out(m, w->bucket & (m->htab.stripes - 1), hit,
					     value_out(w, w->done), w->b->elem_flags);
		if (err)
			goto back;
	}
	if (likely(bucket_same(m, w->bucket, &s)))
		return 0;
	err = -EAGAIN;
back:
	w->done = begin;
	w->flushed = flushed;
	return err;
}

/*
 * As visit(), several buckets at a time, for small elements: first all links, then all
 * elements, then another look at the links. How many elements a bucket has is no branch
 * here, as it could not be predicted, and while one is copied the others are on their way.
 * 1: to be visited one by one (a chain, little room, a change).
 */
static inline int visit_group(struct walk *w)
{
	uint32_t buckets, n = 0, g, i, at, cpu;
	uint32_t cpus = w->m->ops->per_cpu ? w->m->attr.possible_cpus : 0;
	uint64_t word[GROUP][HTAB_SLOTS], link[GROUP * HTAB_SLOTS], differ = 0;
	struct map *m = w->m;
	struct bucket *b = htab_bucket(m, w->bucket);
	struct htab_hit hit;
	int err;

	buckets = m->htab.buckets - w->bucket;
	if (buckets > HTAB_PAGE_BUCKETS - w->bucket % HTAB_PAGE_BUCKETS)
		buckets = HTAB_PAGE_BUCKETS - w->bucket % HTAB_PAGE_BUCKETS;
	if (buckets > GROUP)
		buckets = GROUP;
	for (g = 0; g < buckets && !load_acquire(&b[g].chain); g++) {
#pragma GCC unroll 7
		for (i = 0; i < HTAB_SLOTS; i++) {
			link[n] = word[g][i] = load_acquire(&b[g].slot[i]);
			n += !!word[g][i];
		}
		__builtin_prefetch(&b[g + GROUP]);
	}
	buckets = g;
	if (!buckets || n > w->room - w->done)
		return 1;
	for (i = 0; i < n; i++) {
		__builtin_prefetch(htab_elem(m, link_index1(link[i]) - 1));
		for (cpu = 0; cpu < cpus; cpu++)
			__builtin_prefetch(htab_value(m, link_index1(link[i]) - 1, cpu));
	}
	if (n > STAGED - (w->done - w->flushed)) {
		err = flush(w);
		if (err)
			return err;
	}
	at = w->done - w->flushed;
	for (i = 0; i < n; i++, at++) {
		if (htab_follow(m, link[i], &hit) != FOLLOW_ELEM)
			return 1;
		stage_element(w, at, &hit);
	}
	fence_acquire();
	for (g = 0; g < buckets; g++) {
#pragma GCC unroll 7
		for (i = 0; i < HTAB_SLOTS; i++)
			differ |= load_acquire(&b[g].slot[i]) ^ word[g][i];
		differ |= load_acquire(&b[g].chain);
	}
	if (differ)
		return 1;
	w->done += n;
	w->bucket += buckets;
	return 0;
}

/* Writes the bucket's keys down. The number, or -EAGAIN, -E2BIG (list_room), -EIO. */
static int list_keys(struct walk *w)
{
	struct map *m = w->m;
	uint8_t *keys = (uint8_t *)(w->list + w->list_room);
	struct bucket *b = htab_bucket(m, w->bucket);
	uint32_t n = 0, at = 0;
	uint64_t *word;

	for (word = b->slot; word; at++) {
		uint64_t link = load_acquire(word), *next = NULL;
		uint8_t *key = keys + (size_t)n * m->attr.key_size;
		struct htab_hit hit;

		if (at < HTAB_SLOTS)
			next = at + 1 < HTAB_SLOTS ? word + 1 : &b->chain;
		if (link) {
			if (n == w->list_room)
				return -E2BIG;
			switch (htab_follow(m, link, &hit)) {
			case FOLLOW_ELEM:
				break;
			case FOLLOW_STALE:
				return -EAGAIN;
			default:
				return -EIO;
			}
			uaccess_copy(key, hit.e->key, m->attr.key_size);
			if (at >= HTAB_SLOTS)
				next = &hit.e->next;
			if (!htab_hit_valid(&hit))
				return -EAGAIN;
			if (n > HTAB_CHAIN_MAX)
				return -EIO;
			w->list[n++] = (struct listed){htab_key_hash(m, key), key};
		}
		word = next;
	}
	return (int)n;
}

/* As list_keys(), of one instant. */
static int list_bucket(struct walk *w)
{
	uint32_t stripe = w->bucket & (w->m->htab.stripes - 1), room;
	struct listed *list;
	int ret;

	for (;;) {
		/* A file that is mapped read-only has no lock to take: it needs luck. */
		if (w->m->writable) {
			ret = htab_lock(w->m, stripe);
			if (ret)
				return ret;
			ret = list_keys(w);
			htab_unlock(w->m, stripe);
			if (ret == -EAGAIN)
				ret = -EIO; /* a stale link, and nobody is at work */
		} else {
			struct seen s;
			uint32_t tries;

			ret = -EAGAIN;
			for (tries = 0; ret == -EAGAIN && tries < HTAB_RESTARTS; tries++) {
				ret = bucket_see(w->m, w->bucket, &s);
				if (ret && ret != -E2BIG)
					continue;
				/* longer than that: not compared */
				if (!ret) {
					ret = list_keys(w);
					if (ret >= 0 && !bucket_same(w->m, w->bucket, &s))
						ret = -EAGAIN;
				} else {
					ret = list_keys(w);
				}
			}
			if (ret == -EAGAIN)
				ret = -EBUSY;
		}
		if (ret != -E2BIG)
			return ret;
		room = w->list_room ? 4 * w->list_room : LIST_FIRST;
		list = malloc((size_t)room * (sizeof(*list) + w->m->attr.key_size));
		if (!list)
			return -ENOMEM;
		free(w->list);
		w->list = list;
		w->list_room = room;
	}
}

static int listed_compare(const void *a, const void *b, void *size)
{
	const struct listed *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return memcmp(x->key, y->key, *(const uint32_t *)size);
}

static uint32_t slice_of(const struct walk *w, uint64_t hash)
{
	return (uint32_t)(hash >> (64 - (w->shift - RANK_BITS)));
}

static void note_old(void *claim, uint64_t old)
{
	CLAIM_OLD((struct robust_claim *)claim) = old;
	fence_compiler();
}

/* Takes an element out, to w->copy. */
static int take(struct walk *w, const uint8_t *key)
{
	struct claim_held held;
	struct htab_swap swap = {.before = note_old};
	int err;

	if (likely(!w->m->ops->objref))
		return htab_take(w->m, key, w->copy, w->b->elem_flags, NULL);
	/* Its value is a reference to another object, which goes with it. */
	err = objref_take_begin(w->m, &held);
	if (err)
		return err;
	swap.arg = held.claim;
	err = htab_take(w->m, key, w->copy, w->b->elem_flags, &swap);
	objref_take_end(w->m, &held);
	return err;
}

/* One listed key's element to the caller: 1, 0 when it has gone since, or -errno. */
static int deliver(struct walk *w, const uint8_t *key)
{
	struct map *m = w->m;
	int err;

	if (w->erase)
		err = take(w, key);
	else
		err = m->ops->read(m, key, value_out(w, w->done), w->b->elem_flags);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* As in the kernel: what cannot be delivered is gone all the same. */
	if (uaccess_copy(key_out(w, w->done), key, m->attr.key_size) ||
	    (w->erase && uaccess_copy(value_out(w, w->done), w->copy, m->user_value_size)))
		return -EFAULT;
	w->done++;
	w->flushed = w->done;
	return 1;
}

/* The bucket by ascending hash, as much of it as there is room for. 0: the whole;
 * 1: the walk stands where to go on, with -EBUSY too; -errno. */
static int visit_listed(struct walk *w)
{
	uint32_t slice, group = 0, group_done, i, rank;
	int n, ret = flush(w);

	if (ret)
		return ret;
	n = list_bucket(w);
	if (n <= 0)
		return n;
	qsort_r(w->list, (size_t)n, sizeof(*w->list), listed_compare, &w->m->attr.key_size);
	group_done = w->done;
	for (i = 0; i < (uint32_t)n; i++) {
		slice = slice_of(w, w->list[i].hash);
		if (!i || slice != slice_of(w, w->list[i - 1].hash)) {
			group = i;
			group_done = w->done;
		}
		if (slice < w->slice || (slice == w->slice && i - group < w->rank))
			continue;
		ret = 1;
		if (w->done < w->room) {
			ret = deliver(w, w->list[i].key);
			if (ret < 0 && ret != -EBUSY)
				return ret;
			if (ret >= 0)
				continue;
		}
		/* What has been taken out is not met again; what has been read is given
		 * back, to come with the rest of its group, unless that is all there is. */
		rank = i - group;
		if (w->erase) {
			rank = 0;
		} else if (rank && group_done && !(slice == w->slice && w->rank)) {
			w->done = w->flushed = group_done;
			rank = 0;
		}
		if (rank > RANK_MAX)
			return -ENOSPC;
		w->slice = slice;
		w->rank = rank;
		return ret;
	}
	return 0;
}

/* The buckets follow each other; what they link to does not. */
static void fetch_ahead(struct map *m, uint32_t bucket)
{
	const struct bucket *b;
	uint32_t i, index1, cpu;

	if (bucket >= m->htab.buckets || !htab_bucket_there(m, bucket))
		return;
	b = htab_bucket(m, bucket);
	for (i = 0; i < HTAB_SLOTS; i++) {
		index1 = link_index1(load_relaxed(&b->slot[i]));
		if (!index1 || index1 > m->htab.elems)
			continue;
		__builtin_prefetch(htab_elem(m, index1 - 1));
		for (cpu = 0; m->ops->per_cpu && cpu < m->attr.possible_cpus && cpu < 4; cpu++)
			__builtin_prefetch(htab_value(m, index1 - 1, cpu));
	}
}

static bool bucket_empty(struct map *m, uint32_t bucket)
{
	const struct bucket *b = htab_bucket(m, bucket);
	uint64_t any = load_acquire(&b->chain);
	uint32_t i;

	for (i = 0; i < HTAB_SLOTS; i++)
		any |= load_acquire(&b->slot[i]);
	return !any;
}

/* 0: more is to come; -ENOENT: that was all; -errno. */
static int walk(struct walk *w)
{
	struct map *m = w->m;
	uint32_t tries = 0;
	int ret;

	while (w->bucket < m->htab.buckets) {
		if (unlikely(!htab_bucket_there(m, w->bucket))) {
			w->bucket = htab_next_page(w->bucket);
			w->slice = w->rank = 0;
			continue;
		}
		if (unlikely(w->done == w->room)) {
			if (w->slice || w->rank || !bucket_empty(m, w->bucket))
				return 0;
			w->bucket++;
			continue;
		}
		if (w->stage && !w->slice && !w->rank && !tries) {
			ret = visit_group(w);
			if (!ret)
				continue;
			if (ret < 0)
				return ret;
		}
		if (w->erase && bucket_empty(m, w->bucket)) {
			ret = 0;
		} else if (!w->erase && !w->slice && !w->rank && tries < VISIT_TRIES) {
			if (w->fetch)
				fetch_ahead(m, w->bucket + AHEAD);
			ret = visit(w);
			if (unlikely(ret == -EAGAIN)) {
				tries++;
				cpu_relax();
				continue;
			}
			if (unlikely(ret > 0))
				ret = visit_listed(w);
		} else {
			ret = visit_listed(w);
		}
		if (ret < 0)
			return ret;
		if (ret)
			return 0;
		tries = 0;
		w->bucket++;
		w->slice = w->rank = 0;
	}
	return -ENOENT;
}

static int batch(struct map *m, struct map_batch *b, bool erase)
{
	struct walk w;
	uint32_t token = 0;
	int ret;

	if ((b->elem_flags & ~(uint64_t)BPF_F_LOCK) ||
	    ((b->elem_flags & BPF_F_LOCK) && m->attr.spin_lock_off < 0))
		return -EINVAL;
	if (b->flags)
		return -EINVAL;
	if (!b->count)
		return 0;
	if (erase && !m->writable)
		return -EPERM;
	w.m = m;
	w.b = b;
	w.erase = erase;
	w.room = b->count;
	w.done = w.flushed = w.list_room = 0;
	w.list = NULL;
	w.copy = NULL;
	w.shift = 31 - (unsigned int)__builtin_ctz(m->htab.buckets);
	w.stage = !erase && may_stage(m);
	w.fetch = (uint64_t)m->htab.elems * m->htab.elem_stride > FETCH_BYTES;
	b->count = 0;
	if (b->in_batch && uaccess_copy(&token, b->in_batch, sizeof(token)))
		return -EFAULT;
	w.bucket = token >> w.shift;
	w.slice = token >> RANK_BITS & ((1U << (w.shift - RANK_BITS)) - 1);
	w.rank = token & RANK_MAX;
	if (w.bucket >= m->htab.buckets)
		return -ENOENT;
	if (erase) {
		w.copy = malloc(2 * (size_t)m->user_value_size);
		if (!w.copy)
			return -ENOMEM;
	}
	ret = walk(&w);
	free(w.copy);
	free(w.list);
	if (ret == -EIO)
		htab_damaged(m);
	if (ret < 0 && ret != -EBUSY && ret != -ENOENT)
		return ret;
	if (flush(&w))
		return -EFAULT;
	token = w.bucket << w.shift | w.slice << RANK_BITS | w.rank;
	if (w.bucket >= m->htab.buckets)
		token = m->htab.buckets << w.shift;
	if (uaccess_copy(b->out_batch, &token, sizeof(token)))
		return -EFAULT;
	b->count = w.done;
	return ret;
}

int htab_lookup_batch(struct map *m, struct map_batch *b)
{
	return batch(m, b, false);
}

int htab_lookup_and_delete_batch(struct map *m, struct map_batch *b)
{
	return batch(m, b, true);
}
