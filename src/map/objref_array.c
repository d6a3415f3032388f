/* SPDX-License-Identifier: BSD-2-Clause */
#include "map/objref_array.h"

#include "base/atomic.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/array_common.h"

int objref_array_alloc_check(const struct map_attr *attr)
{
	int err = array_check_attr(attr, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY);

	if (err)
		return err;
	return attr->value_size == sizeof(uint32_t) ? 0 : -EINVAL;
}

int objref_array_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	m->objref_off = 0;
	*data_size = OBJREF_AREA_SIZE + (uint64_t)m->attr.max_entries * sizeof(uint64_t);
	*prealloc = *data_size;
	return 0;
}

/* Zero bytes are empty slots and free claims. */
int objref_array_format(struct map *m)
{
	return 0;
}

int objref_array_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint32_t index = array_index(key), id;

	if (index >= m->attr.max_entries)
		return -ENOENT;
	id = (uint32_t)load_acquire(objref_array_slot(m, index));
	return id ? uaccess_copy(value, &id, sizeof(id)) : -ENOENT;
}

int objref_array_check(struct map *m, const void *key, uint64_t flags)
{
	if (flags != BPF_ANY)
		return -EINVAL;
	return array_index(key) >= m->attr.max_entries ? -E2BIG : 0;
}

int objref_array_swap(struct map *m, const void *key, uint64_t flags, uint64_t word,
		      struct robust_claim *c)
{
	uint32_t index = array_index(key);
	uint64_t *slot = objref_array_slot(m, index), old = load_relaxed(slot);

	do {
		if (!word && !old)
			return -ENOENT;
		/* Before the exchange: who repairs needs both. */
		CLAIM_SLOT(c) = index;
		CLAIM_OLD(c) = old;
		fence_compiler();
	} while (!cas_seq_cst(slot, &old, word));
	return 0;
}

bool objref_array_shows(struct map *m, uint64_t slot, uint64_t word)
{
	return slot < m->attr.max_entries &&
	       load_seq_cst(objref_array_slot(m, (uint32_t)slot)) == word;
}

uint64_t objref_array_holds(struct map *m, const void *key)
{
	return load_acquire(objref_array_slot(m, array_index(key)));
}

void *objref_array_at(struct map *m, uint32_t index)
{
	if (index >= m->attr.max_entries)
		return NULL;
	return objref_lookup(m, objref_array_slot(m, index), index);
}

uint64_t objref_array_memlock(const struct map *m)
{
	return ARRAY_KERNEL_HEADER + (uint64_t)m->attr.max_entries * 8;
}
