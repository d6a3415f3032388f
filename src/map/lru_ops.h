/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations that LRU_HASH and LRU_PERCPU_HASH share, beside those of htab_ops.h. */
#ifndef SHMAP_MAP_LRU_OPS_H
#define SHMAP_MAP_LRU_OPS_H

#include "map/map.h"

int lru_alloc_check(const struct map_attr *attr);
int lru_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc);
int lru_stats(struct map *m, struct map_stats *stats);
int lru_validate(struct map *m, char *why, size_t size);

#endif
