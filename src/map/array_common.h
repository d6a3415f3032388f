/* SPDX-License-Identifier: BSD-2-Clause */
/* What the array types share: index keys, and the rules that follow from them. */
#ifndef SHMAP_MAP_ARRAY_COMMON_H
#define SHMAP_MAP_ARRAY_COMMON_H

#include "map/map.h"

/* sizeof(struct bpf_array) of the kernel, which memlock counts. */
#define ARRAY_KERNEL_HEADER 312

static inline uint32_t array_index(const void *key)
{
	uint32_t index;

	__builtin_memcpy(&index, key, 4);
	return index;
}

/* The kernel's array_map_alloc_check; flags are those of the type. */
int array_check_attr(const struct map_attr *attr, uint32_t flags);
/* The update flags of all arrays, in the kernel's order. 0 or -errno. */
int array_check_update(const struct map *m, uint32_t index, uint64_t flags);
int array_next_key(struct map *m, const void *key, void *next);
int array_erase(struct map *m, const void *key);
long array_delete(struct map *m, const void *key);
/* All elements are there, always. */
int array_stats(struct map *m, struct map_stats *stats);

#endif
