/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrays of slots (objref.h): what ARRAY_OF_MAPS and PROG_ARRAY share. */
#ifndef SHMAP_MAP_OBJREF_ARRAY_H
#define SHMAP_MAP_OBJREF_ARRAY_H

#include "map/objref.h"

static inline uint64_t *objref_array_slot(const struct map *m, uint32_t index)
{
	return (uint64_t *)(m->obj.base + m->objref_off + OBJREF_AREA_SIZE) + index;
}

int objref_array_alloc_check(const struct map_attr *attr);
int objref_array_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc);
int objref_array_format(struct map *m);
int objref_array_read(struct map *m, const void *key, void *value, uint64_t flags);
int objref_array_check(struct map *m, const void *key, uint64_t flags);
int objref_array_swap(struct map *m, const void *key, uint64_t flags, uint64_t word,
		      struct robust_claim *c);
bool objref_array_shows(struct map *m, uint64_t slot, uint64_t word);
uint64_t objref_array_holds(struct map *m, const void *key);
void *objref_array_at(struct map *m, uint32_t index);
uint64_t objref_array_memlock(const struct map *m);

#endif
