/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches made of single operations: for the types whose batch token is the
 * last key (arrays, LPM), and update and delete of all types.
 */
#ifndef SHMAP_MAP_GENERIC_BATCH_H
#define SHMAP_MAP_GENERIC_BATCH_H

#include "map/map.h"

int generic_lookup_batch(struct map *m, struct map_batch *b);
int generic_update_batch(struct map *m, struct map_batch *b);
int generic_delete_batch(struct map *m, struct map_batch *b);

#endif
