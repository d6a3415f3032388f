/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>

#include "base/errors.h"
#include "map/array_common.h"

int array_check_attr(const struct map_attr *attr, uint32_t flags)
{
	if (!attr->max_entries || attr->key_size != 4 || !attr->value_size)
		return -EINVAL;
	if (attr->map_flags & ~flags)
		return -EINVAL;
	if (!map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	if (attr->value_size > INT_MAX)
		return -E2BIG;
	return 0;
}

int array_check_update(const struct map *m, uint32_t index, uint64_t flags)
{
	if ((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	if (index >= m->attr.max_entries)
		return -E2BIG;
	if (flags & BPF_NOEXIST)
		return -EEXIST;
	if ((flags & BPF_F_LOCK) && m->attr.spin_lock_off < 0)
		return -EINVAL;
	return m->writable ? 0 : -EPERM;
}

int array_next_key(struct map *m, const void *key, void *next)
{
	uint32_t index = key ? array_index(key) : UINT32_MAX;

	if (index >= m->attr.max_entries)
		index = 0;
	else if (index == m->attr.max_entries - 1)
		return -ENOENT;
	else
		index++;
	__builtin_memcpy(next, &index, 4);
	return 0;
}

/* Elements of an array are not deleted; the index is not looked at. */
int array_erase(struct map *m, const void *key)
{
	return -EINVAL;
}

long array_delete(struct map *m, const void *key)
{
	return -EINVAL;
}

int array_stats(struct map *m, struct map_stats *stats)
{
	stats->entries = m->attr.max_entries;
	return 0;
}
