/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ARRAY_OF_MAPS and HASH_OF_MAPS: values are maps, shown as ids, given as fds.
 *
 *   array:  offset 0    struct objref_area
 *           then        u64 slot [max_entries]
 *   hash:   a hash table (htab.h) whose elements have room for 8 bytes of value, the
 *           slot; behind it struct objref_area
 *
 * What a slot is and how it changes: objref.h.
 */
#include <stdio.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/array_common.h"
#include "map/change.h"
#include "map/generic_batch.h"
#include "map/htab.h"
#include "map/htab_ops.h"
#include "map/objref.h"
#include "map/objref_array.h"
#include "sync/writers.h"

static int inner_fits(struct map *m, const struct objref_target *t)
{
	return t->map && objref_inner_fits(m, t->map) ? 0 : -EINVAL;
}

/* ---- array ---- */

static const struct objref_ops array_of_maps_objref = {
	.kind = OBJECT_MAP,
	.template = true,
	.wait = true,
	.check = objref_array_check,
	.fits = inner_fits,
	.swap = objref_array_swap,
	.shows = objref_array_shows,
	.at = objref_array_at,
};

static void *array_of_maps_lookup(struct map *m, const void *key)
{
	uint32_t index = array_index(key);

	if (unlikely(index >= m->attr.max_entries))
		return NULL;
	return objref_map_lookup(m, objref_array_slot(m, index), index);
}

static void array_of_maps_inlined(const struct map *m, struct map_inline *in)
{
	if (!m->slots || !objref_table(m))
		return;
	in->slots = m->attr.max_entries;
	in->slots_off = m->objref_off + OBJREF_AREA_SIZE;
}

const struct map_ops array_of_maps_map_ops = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	.name = "array_of_maps",
	.alloc_check = objref_array_alloc_check,
	.layout = objref_array_layout,
	.format = objref_array_format,
	.open = objref_open,
	.close = objref_close,
	.read = objref_array_read,
	.write = objref_write,
	.erase = objref_erase,
	.next_key = array_next_key,
	.lookup = array_of_maps_lookup,
	.inlined = array_of_maps_inlined,
	.objref = &array_of_maps_objref,
	.lookup_batch = generic_lookup_batch,
	.update_batch = objref_update_batch,
	.memlock = objref_array_memlock,
	.recover = objref_recover,
	.validate = objref_validate,
};

/* ---- hash ---- */

static void hash_before(void *arg, uint64_t old)
{
	CLAIM_OLD((struct robust_claim *)arg) = old;
	fence_compiler();
}

static int hash_swap(struct map *m, const void *key, uint64_t flags, uint64_t word,
		     struct robust_claim *c)
{
	const struct htab_swap swap = {.before = hash_before, .arg = c};

	return word ? htab_swap_in(m, key, word, flags, &swap) : htab_swap_out(m, key, &swap);
}

static bool hash_shows(struct map *m, uint64_t slot, uint64_t word)
{
	return htab_shows(m, word);
}

static const struct objref_ops hash_of_maps_objref = {
	.kind = OBJECT_MAP,
	.template = true,
	.wait = true,
	.fits = inner_fits,
	.swap = hash_swap,
	.shows = hash_shows,
};

static int hash_alloc_check(const struct map_attr *attr)
{
	int err = htab_alloc_check(attr);

	/* the kernel looks at the value's size first of all */
	return attr->value_size != sizeof(uint32_t) ? -EINVAL : err;
}

static int hash_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	int err = htab_layout(m, data_size, prealloc);

	if (err)
		return err;
	m->objref_off = *data_size;
	*data_size += SHMAP_PAGE;
	if (!(m->attr.map_flags & BPF_F_NO_PREALLOC))
		*prealloc = *data_size;
	return 0;
}

static int hash_format(struct map *m)
{
	int err = htab_format(m);

	return err ? err : object_populate(&m->obj, m->objref_off, OBJREF_AREA_SIZE);
}

static int hash_open(struct map *m)
{
	int err = objref_open(m);

	if (!err)
		m->slots->places = m->htab.elems;
	return err;
}

static void *hash_of_maps_lookup(struct map *m, const void *key)
{
	const uint64_t *slot = htab_lookup(m, key);

	return slot ? objref_hash_lookup(m, slot) : NULL;
}

static uint64_t hash_memlock(const struct map *m)
{
	uint64_t cpus = m->attr.possible_cpus, elem = 48 + round_up_u64(m->attr.key_size, 8) + 8;

	/* without the elements that replacements in a plain hash need */
	if (m->attr.map_flags & BPF_F_NO_PREALLOC)
		return htab_memlock(m);
	return htab_memlock(m) - elem * cpus;
}

static int hash_recover(struct map *m)
{
	int err = htab_recover(m);

	return err ? err : objref_recover(m);
}

static int hash_validate(struct map *m, char *why, size_t size)
{
	int err = htab_validate(m, why, size);

	return err ? err : objref_validate(m, why, size);
}

const struct map_ops hash_of_maps_map_ops = {
	.type = BPF_MAP_TYPE_HASH_OF_MAPS,
	.name = "hash_of_maps",
	.alloc_check = hash_alloc_check,
	.layout = hash_layout,
	.format = hash_format,
	.open = hash_open,
	.close = objref_close,
	.read = htab_read,
	.write = objref_write,
	.erase = objref_erase,
	.next_key = htab_next_key,
	.lookup = hash_of_maps_lookup,
	.inlined = htab_inlined,
	.objref = &hash_of_maps_objref,
	.lookup_batch = htab_lookup_batch,
	.lookup_and_delete_batch = objref_take_batch,
	.update_batch = objref_update_batch,
	.delete_batch = objref_delete_batch,
	.memlock = hash_memlock,
	.recover = hash_recover,
	.validate = hash_validate,
};
