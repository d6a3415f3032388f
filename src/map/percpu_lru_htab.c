/* SPDX-License-Identifier: BSD-2-Clause */
/* LRU_PERCPU_HASH: PERCPU_HASH's values in a table that evicts (htab_lru.h). */
#include "map/htab.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"
#include "map/lru_ops.h"

const struct map_ops percpu_lru_htab_map_ops = {
	.type = BPF_MAP_TYPE_LRU_PERCPU_HASH,
	.name = "lru_percpu_hash",
	.gate = &htab_lru_gate_ops,
	.alloc_check = lru_alloc_check,
	.layout = lru_layout,
	.format = htab_format,
	.read = htab_read,
	.write = htab_write,
	.erase = htab_erase,
	.next_key = htab_next_key,
	.pop = htab_pop,
	.lookup = htab_lookup,
	.inlined = htab_inlined,
	.update = htab_update,
	.delete = htab_delete,
	.lookup_percpu = htab_lookup_percpu,
	.for_each = htab_for_each,
	.stats = lru_stats,
	.sums_elems = true,
	.lookup_batch = htab_lookup_batch,
	.lookup_and_delete_batch = htab_lookup_and_delete_batch,
	.update_batch = htab_update_batch,
	.delete_batch = htab_delete_batch,
	.memlock = htab_memlock,
	.recover = htab_recover,
	.validate = lru_validate,
	.per_cpu = true,
	.evicts = true,
	.inner_allowed = true,
};
