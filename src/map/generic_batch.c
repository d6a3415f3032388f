/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches made of single operations.
 *
 * Nothing is atomic over a batch, as in the kernel: each element is one
 * operation of its own, and a death in the middle leaves the first ones done.
 * b->count stays as it was while the attributes are refused, becomes 0 before
 * the first user pointer is touched, and is the number done at the end.
 */
#include <stdlib.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "map/generic_batch.h"

/* The checks that all three share. 1: there is nothing to do. */
static int batch_begin(struct map *m, struct map_batch *b, uint32_t *max)
{
	if (b->elem_flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if ((b->elem_flags & BPF_F_LOCK) && m->attr.spin_lock_off < 0)
		return -EINVAL;
	*max = b->count;
	if (!*max)
		return 1;
	b->count = 0;
	return 0;
}

int generic_lookup_batch(struct map *m, struct map_batch *b)
{
	const uint32_t key_size = m->attr.key_size, value_size = m->user_value_size;
	uint8_t *prev, *key, *swap, *have_prev = NULL;
	uint32_t max, done = 0;
	int err = batch_begin(m, b, &max);

	if (err)
		return err < 0 ? err : 0;
	prev = malloc(2 * (size_t)key_size);
	if (!prev)
		return -ENOMEM;
	key = prev + key_size;
	swap = prev;
	if (b->in_batch) {
		err = uaccess_copy(prev, b->in_batch, key_size);
		if (err)
			goto out;
		have_prev = prev;
	}
	while (done < max) {
		uint8_t *t;

		err = m->ops->next_key(m, have_prev, key);
		if (err)
			break;
		/* the value first: a slot that is empty, or was deleted since, leaves
		 * no key behind */
		err = m->ops->read(m, key, uaccess_at(b->values, (uint64_t)done * value_size),
				   b->elem_flags);
		if (!err)
			err = uaccess_copy(uaccess_at(b->keys, (uint64_t)done * key_size), key,
					   key_size);
		if (err && err != -ENOENT)
			goto out;
		if (!err)
			done++;
		t = prev, prev = key, key = t;
		have_prev = prev;
	}
	if (err == -EFAULT)
		goto out;
	b->count = done;
	if (done && uaccess_copy(b->out_batch, have_prev, key_size))
		err = -EFAULT;
out:
	free(swap);
	return err;
}

int generic_update_batch(struct map *m, struct map_batch *b)
{
	const uint32_t key_size = m->attr.key_size, value_size = m->user_value_size;
	uint8_t *key, *value;
	uint32_t max, done;
	int err = batch_begin(m, b, &max);

	if (err)
		return err < 0 ? err : 0;
	key = malloc((size_t)key_size + value_size);
	if (!key)
		return -ENOMEM;
	value = key + key_size;
	for (done = 0; done < max; done++) {
		err = uaccess_copy(key, uaccess_at(b->keys, (uint64_t)done * key_size), key_size);
		if (!err)
			err = uaccess_copy(value,
					   uaccess_at(b->values, (uint64_t)done * value_size),
					   value_size);
		if (!err) {
			map_clear_timers(&m->attr, value);
			err = m->ops->write(m, key, value, b->elem_flags);
		}
		if (err)
			break;
	}
	b->count = done;
	free(key);
	return err;
}

int generic_delete_batch(struct map *m, struct map_batch *b)
{
	const uint32_t key_size = m->attr.key_size;
	uint8_t *key;
	uint32_t max, done;
	int err = batch_begin(m, b, &max);

	if (err)
		return err < 0 ? err : 0;
	key = malloc(key_size);
	if (!key)
		return -ENOMEM;
	for (done = 0; done < max; done++) {
		err = uaccess_copy(key, uaccess_at(b->keys, (uint64_t)done * key_size), key_size);
		if (!err)
			err = m->ops->erase(m, key);
		if (err)
			break;
	}
	b->count = done;
	free(key);
	return err;
}
