/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Update and delete batches of the hash tables: one change after the other, in the caller's
 * order, as in the kernel. Small keys and values come in windows: all of one are
 * hashed, and the lines that they lead to fetched, before the first changes anything.
 *
 * A death leaves the elements done that are done, each wholly.
 */
#include "base/uaccess.h"
#include "map/generic_batch.h"
#include "map/htab.h"
#include "map/htab_key.h"
#include "map/htab_ops.h"

#define WINDOW 32
#define WINDOW_KEY 16
#define WINDOW_VALUE 64
#define FETCH_BYTES (1U << 20) /* in smaller tables nothing needs to be fetched */

struct window {
	uint32_t n;
	uint64_t hash[WINDOW];
	uint8_t keys[WINDOW * WINDOW_KEY] __attribute__((aligned(8)));
	uint8_t values[WINDOW * WINDOW_VALUE] __attribute__((aligned(8)));
};

/* Is it all as small as the windows are made for? */
static bool fits_window(const struct map *m, const struct map_batch *b)
{
	return m->attr.key_size <= WINDOW_KEY && m->user_value_size <= WINDOW_VALUE &&
	       m->attr.spin_lock_off < 0 && !b->elem_flags && m->writable;
}

static bool window_copy(struct window *w, struct map *m, const struct map_batch *b, uint32_t from,
			uint32_t n, bool values)
{
	uint32_t key_size = m->attr.key_size, value_size = m->user_value_size;

	w->n = n;
	if (uaccess_copy(w->keys, uaccess_at(b->keys, (size_t)from * key_size),
			 (size_t)n * key_size))
		return false;
	return !values || !uaccess_copy(w->values, uaccess_at(b->values, (size_t)from * value_size),
					(size_t)n * value_size);
}

static void window_fetch(struct window *w, struct map *m)
{
	uint32_t i, index1;

	for (i = 0; i < w->n; i++) {
		w->hash[i] = htab_key_hash(m, w->keys + i * m->attr.key_size);
		prefetch_write(htab_bucket(m, htab_key_bucket(m, w->hash[i])));
	}
	for (i = 0; i < w->n; i++) {
		uint32_t bucket = htab_key_bucket(m, w->hash[i]);
		struct bucket *b = htab_bucket(m, bucket);
		unsigned int found;

		if (!htab_bucket_there(m, bucket))
			continue;
		found = htab_slots_tagged(b, htab_key_tag(w->hash[i]));
		index1 = link_index1(load_relaxed(&b->slot[__builtin_ctz(found | 1U << 6)]));
		/* wherever it leads: a fetch harms nobody */
		prefetch_write(htab_elem(m, index1 - 1));
	}
}

static int one_by_one(struct map *m, const struct map_batch *b, uint32_t from, uint32_t n,
		      bool update, uint32_t *done)
{
	struct map_batch rest = {
		.keys = uaccess_at(b->keys, (size_t)from * m->attr.key_size),
		.values = update ? uaccess_at(b->values, (size_t)from * m->user_value_size) : NULL,
		.count = n,
	};
	int err = update ? generic_update_batch(m, &rest) : generic_delete_batch(m, &rest);

	*done += rest.count;
	return err;
}

static int change_batch(struct map *m, struct map_batch *b, bool update)
{
	uint32_t max = b->count, done = 0, i, n, key_size = m->attr.key_size;
	struct window w;
	int err = 0;

	b->count = 0;
	while (!err && done < max) {
		n = max - done < WINDOW ? max - done : WINDOW;
		if (!window_copy(&w, m, b, done, n, update)) {
			/* a bad address somewhere: up to it they count */
			err = one_by_one(m, b, done, n, update, &done);
			continue;
		}
		window_fetch(&w, m);
		for (i = 0; i < n; i++) {
			if (!update)
				err = htab_erase(m, w.keys + i * key_size);
			else
				err = htab_write_hashed(m, w.keys + i * key_size, w.hash[i],
							w.values + i * m->user_value_size, BPF_ANY);
			if (err)
				break;
		}
		done += i;
	}
	b->count = done;
	return err;
}

static int update_many(struct map *m, struct map_batch *b)
{
	uint32_t max = b->count, done = 0, key_size = m->attr.key_size;
	uint32_t value_size = m->user_value_size, most = HTAB_MANY_VALUES / value_size, n;
	struct htab_many w;
	int err = 0;

	most = most < HTAB_MANY ? most : HTAB_MANY;
	w.fetch = (uint64_t)m->htab.elems * m->htab.elem_stride > FETCH_BYTES;
	b->count = 0;
	while (!err && done < max) {
		n = w.n = max - done < most ? max - done : most;
		if (uaccess_copy(w.keys, uaccess_at(b->keys, (size_t)done * key_size),
				 (size_t)n * key_size) ||
		    uaccess_copy(w.values, uaccess_at(b->values, (size_t)done * value_size),
				 (size_t)n * value_size)) {
			/* a bad address somewhere: up to it they count */
			err = one_by_one(m, b, done, n, true, &done);
			continue;
		}
		err = m->htab.many(m, &w, &done);
	}
	b->count = done;
	return err;
}

int htab_update_batch(struct map *m, struct map_batch *b)
{
	if (!b->count || !fits_window(m, b))
		return generic_update_batch(m, b);
	return m->htab.many ? update_many(m, b) : change_batch(m, b, true);
}

int htab_delete_batch(struct map *m, struct map_batch *b)
{
	return b->count && fits_window(m, b) ? change_batch(m, b, false)
					     : generic_delete_batch(m, b);
}
