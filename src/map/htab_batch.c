/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup and lookup-and-delete batches of the hash tables.
 *
 * The kernel's token is a bucket number, and a bucket that does not fit into the
 * room that is left is ENOSPC. Ours has the place within the bucket too, so any
 * room is enough:   31             7 6        0
 *                   | bucket        | place    |
 * Places of one bucket beyond the 127th are given out together.
 */
#include <stdlib.h>
#include <string.h>

#include "base/uaccess.h"
#include "map/htab.h"
#include "map/htab_ops.h"

#define TOKEN_PLACE_BITS 7
#define TOKEN_PLACE_MAX ((1U << TOKEN_PLACE_BITS) - 1)

struct walk {
	struct map *m;
	struct map_batch *b;
	bool delete;
	uint8_t *copy; /* key and value of one element, private */
	uint32_t bucket, place;
	uint32_t room, done;
};

/*
 * Reads the element at the walk's place, under the stripe's lock: the
 * bucket stands still while it is looked at. 1 read, 0 nothing there, -errno.
 */
static int walk_read(struct walk *w, bool *end)
{
	struct map *m = w->m;
	struct bucket *b = htab_bucket(m, w->bucket);
	struct htab_place p = {.bucket = w->bucket};
	uint64_t *word;
	struct elem *e;
	uint32_t i, index1;
	int ret;

	*end = false;
	if (w->place < HTAB_SLOTS) {
		word = &b->slot[w->place];
	} else {
		word = &b->chain;
		for (i = HTAB_SLOTS; load_relaxed(word) && i < w->place; i++) {
			index1 = link_index1(load_relaxed(word));
			if (!index1 || index1 > m->htab.elems)
				goto damaged;
			word = &htab_elem(m, index1 - 1)->next;
		}
	}
	p.link = load_relaxed(word);
	if (!p.link) {
		*end = w->place >= HTAB_SLOTS;
		return 0;
	}
	index1 = link_index1(p.link);
	if (!index1 || index1 > m->htab.elems)
		goto damaged;
	e = htab_elem(m, index1 - 1);
	if (!link_fits(p.link, e->gen))
		goto damaged;
	uaccess_copy(w->copy, e->key, m->attr.key_size);
	ret = htab_value_out(m, index1 - 1, w->copy + round_up_u64(m->attr.key_size, 8));
	if (ret)
		return ret;
	if (w->delete) {
		p.where = word;
		p.stripe = w->bucket & (m->htab.stripes - 1);
		htab_delete_locked(m, &p);
	}
	return 1;

damaged:
	htab_damaged(m);
	return -EIO;
}

static int walk_deliver(struct walk *w)
{
	const struct map *m = w->m;
	uint32_t key = m->attr.key_size, value = m->user_value_size;

	if (uaccess_copy((uint8_t *)w->b->keys + (size_t)w->done * key, w->copy, key) ||
	    uaccess_copy((uint8_t *)w->b->values + (size_t)w->done * value,
			 w->copy + round_up_u64(key, 8), value))
		return -EFAULT;
	w->done++;
	return 0;
}

/* Is there anything at or after the walk's place? Leaves it there. */
static int walk_seek(struct walk *w, bool take)
{
	struct map *m = w->m;
	uint32_t stripe;
	bool end, was = w->delete;
	int ret;

	while (w->bucket < m->htab.buckets) {
		stripe = w->bucket & (m->htab.stripes - 1);
		if (m->writable) {
			ret = htab_lock(m, stripe);
			if (ret)
				return ret;
		}
		w->delete = was && take;
		ret = walk_read(w, &end);
		w->delete = was;
		if (m->writable)
			htab_unlock(m, stripe);
		if (ret)
			return ret;
		if (end) {
			w->bucket++;
			w->place = 0;
		} else {
			w->place++;
		}
	}
	return 0;
}

static int batch(struct map *m, struct map_batch *b, bool delete)
{
	struct walk w = {.m = m, .b = b, .delete = delete, .room = b->count};
	uint32_t token = 0;
	int ret = 0;

	if ((b->elem_flags & ~(uint64_t)BPF_F_LOCK) ||
	    ((b->elem_flags & BPF_F_LOCK) && m->attr.spin_lock_off < 0))
		return -EINVAL;
	if (b->flags)
		return -EINVAL;
	if (!b->count)
		return 0;
	if (delete &&!m->writable)
		return -EPERM;
	b->count = 0;
	if (b->in_batch && uaccess_copy(&token, b->in_batch, sizeof(token)))
		return -EFAULT;
	w.bucket = token >> TOKEN_PLACE_BITS;
	w.place = token & TOKEN_PLACE_MAX;
	if (w.bucket >= m->htab.buckets)
		return -ENOENT;
	w.copy = malloc(round_up_u64(m->attr.key_size, 8) + m->user_value_size);
	if (!w.copy)
		return -ENOMEM;

	while (w.done < w.room) {
		ret = walk_seek(&w, true);
		if (ret <= 0)
			break;
		ret = walk_deliver(&w);
		if (ret)
			break;
		/* What was deleted from a chain has left its place to the next. */
		if (!delete || w.place < HTAB_SLOTS)
			w.place++;
	}
	if (!ret && w.done == w.room) {
		/* ENOENT also when the last element has just fitted. */
		ret = walk_seek(&w, false);
		if (ret > 0 && w.place > TOKEN_PLACE_MAX)
			ret = -ENOSPC;
		else if (ret > 0)
			ret = 1;
	}
	free(w.copy);
	if (ret == 0)
		ret = -ENOENT;
	else if (ret > 0)
		ret = 0;
	if (ret == -EFAULT)
		return ret;
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
