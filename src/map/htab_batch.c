/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup and lookup-and-delete batches of the hash tables.
 *
 * The kernel's token is a bucket number, and a bucket that does not fit into the
 * room that is left is ENOSPC. Ours has the place within the bucket too, so any
 * room is enough:   31             7 6        0
 *                   | bucket        | place    |
 */
#include <stdlib.h>
#include <string.h>

#include "base/uaccess.h"
#include "map/htab.h"
#include "map/htab_ops.h"
#include "map/objref.h"

#define TOKEN_PLACE_BITS 7
#define TOKEN_PLACE_MAX ((1U << TOKEN_PLACE_BITS) - 1)

struct walk {
	struct map *m;
	struct map_batch *b;
	bool erase;
	uint8_t *copy; /* delete: key and value of one element, private */
	uint32_t bucket, place;
	uint32_t room, done;
};

static void *key_out(const struct walk *w)
{
	return uaccess_at(w->b->keys, (size_t)w->done * w->m->attr.key_size);
}

static void *value_out(const struct walk *w)
{
	return uaccess_at(w->b->values, (size_t)w->done * w->m->user_value_size);
}

/*
 * Lookup: the element of `link` straight to the caller's memory, without a lock.
 * 1 delivered; 0 it has left the place meanwhile (look again); -EFAULT, -EIO.
 */
static int walk_read(struct walk *w, uint64_t link)
{
	struct map *m = w->m;
	struct htab_hit hit;
	enum htab_follow f = htab_follow(m, link, &hit);
	int err;

	if (f == FOLLOW_DAMAGED) {
		htab_damaged(m);
		return -EIO;
	}
	if (f == FOLLOW_STALE)
		return 0;
	if (uaccess_copy(key_out(w), hit.e->key, m->attr.key_size))
		return -EFAULT;
	err = htab_found_out(m, w->bucket & (m->htab.stripes - 1), &hit, value_out(w),
			     w->b->elem_flags);
	if (err)
		return err;
	return htab_hit_valid(&hit);
}

/* The word that holds the link of the walk's place, whose stripe is locked. */
static uint64_t *walk_word(const struct walk *w)
{
	struct bucket *b = htab_bucket(w->m, w->bucket);
	uint64_t *word = &b->chain;
	uint32_t i;

	if (w->place < HTAB_SLOTS)
		return &b->slot[w->place];
	for (i = HTAB_SLOTS; load_relaxed(word) && i < w->place; i++) {
		struct htab_hit hit;

		if (htab_follow(w->m, load_relaxed(word), &hit) != FOLLOW_ELEM)
			return NULL;
		word = &hit.e->next;
	}
	return word;
}

/* Lookup and delete: under the lock of the stripe. As walk_read(). */
static int walk_take(struct walk *w)
{
	struct map *m = w->m;
	struct htab_place p = {.bucket = w->bucket, .stripe = w->bucket & (m->htab.stripes - 1)};
	uint8_t *value = w->copy + round_up_u64(m->attr.key_size, 8);
	struct htab_hit hit = {.index = 0};
	const bool objects = m->ops->objref;
	struct claim_held held;
	uint64_t until = 0;
	int ret;

again:
	if (objects) {
		ret = objref_take_begin(m, &held);
		if (ret)
			return ret;
	}
	ret = htab_lock(m, p.stripe);
	if (ret)
		goto unlocked;
	p.where = walk_word(w);
	p.link = p.where ? load_relaxed(p.where) : 0;
	if (!p.where || (p.link && htab_follow(m, p.link, &hit) != FOLLOW_ELEM)) {
		htab_damaged(m);
		ret = -EIO;
	} else if (p.link) {
		uaccess_copy(w->copy, hit.e->key, m->attr.key_size);
		ret = htab_take_copy(m, hit.index, value, w->b->elem_flags);
		if (!ret) {
			if (objects)
				CLAIM_OLD(held.claim) = *(uint64_t *)htab_value(m, hit.index, 0);
			fence_compiler();
			htab_delete_locked(m, &p);
			ret = 1;
		}
	}
	htab_unlock(m, p.stripe);
unlocked:
	if (objects)
		objref_take_end(m, &held);
	if (unlikely(ret == -EAGAIN)) {
		ret = htab_wait_unheld(m, hit.index, &until);
		if (!ret)
			goto again;
	}
	/* As in the kernel: what cannot be delivered is gone all the same. */
	if (ret > 0 && (uaccess_copy(key_out(w), w->copy, m->attr.key_size) ||
			uaccess_copy(value_out(w), value, m->user_value_size)))
		return -EFAULT;
	return ret;
}

/* Goes on to the next place that holds something: its link, or 0 at the end. */
static uint64_t walk_seek(struct walk *w)
{
	struct map *m = w->m;
	uint64_t link;

	while (w->bucket < m->htab.buckets) {
		if (!w->place && unlikely(!htab_bucket_there(m, w->bucket))) {
			w->bucket = htab_next_page(w->bucket);
			continue;
		}
		link = htab_place_link(m, w->bucket, w->place);
		if (link)
			return link;
		if (w->place < HTAB_SLOTS) {
			w->place++;
			continue;
		}
		w->bucket++;
		w->place = 0;
		/* The buckets follow each other; what they link to does not. */
		if (w->bucket + 1 < m->htab.buckets && htab_bucket_there(m, w->bucket + 1)) {
			const struct bucket *next = htab_bucket(m, w->bucket + 1);
			unsigned int i;

			for (i = 0; i < HTAB_SLOTS; i++) {
				uint32_t index1 = link_index1(load_relaxed(&next->slot[i]));

				if (index1 && index1 <= m->htab.elems)
					__builtin_prefetch(htab_elem(m, index1 - 1));
			}
		}
	}
	return 0;
}

static int batch(struct map *m, struct map_batch *b, bool erase)
{
	struct walk w = {.m = m, .b = b, .erase = erase, .room = b->count};
	uint32_t token = 0, stale = 0;
	int ret = 0;

	if ((b->elem_flags & ~(uint64_t)BPF_F_LOCK) ||
	    ((b->elem_flags & BPF_F_LOCK) && m->attr.spin_lock_off < 0))
		return -EINVAL;
	if (b->flags)
		return -EINVAL;
	if (!b->count)
		return 0;
	if (erase && !m->writable)
		return -EPERM;
	b->count = 0;
	if (b->in_batch && uaccess_copy(&token, b->in_batch, sizeof(token)))
		return -EFAULT;
	w.bucket = token >> TOKEN_PLACE_BITS;
	w.place = token & TOKEN_PLACE_MAX;
	if (w.bucket >= m->htab.buckets)
		return -ENOENT;
	if (erase) {
		w.copy = malloc(round_up_u64(m->attr.key_size, 8) + 2 * (size_t)m->user_value_size);
		if (!w.copy)
			return -ENOMEM;
	}

	while (w.done < w.room) {
		uint64_t link = walk_seek(&w);

		if (!link)
			break;
		ret = erase ? walk_take(&w) : walk_read(&w, link);
		if (ret < 0)
			break;
		if (!ret) {
			if (++stale > HTAB_RESTARTS) {
				ret = -EBUSY;
				break;
			}
			continue;
		}
		w.done++;
		/* What was deleted from a chain has left its place to the next. */
		if (!erase || w.place < HTAB_SLOTS)
			w.place++;
	}
	free(w.copy);
	if (ret < 0 && ret != -EBUSY)
		return ret;
	/* ENOENT also when the last element has just fitted. */
	if (ret >= 0) {
		ret = walk_seek(&w) ? 0 : -ENOENT;
		if (!ret && w.place > TOKEN_PLACE_MAX)
			ret = -ENOSPC;
	}
	token = w.bucket << TOKEN_PLACE_BITS | (w.place & TOKEN_PLACE_MAX);
	if (w.bucket >= m->htab.buckets)
		token = m->htab.buckets << TOKEN_PLACE_BITS;
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
