/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PERCPU_HASH: the table of htab.h, with one value per possible CPU in regions of
 * their own, so that programs on different CPUs do not write to one cache line.
 *
 * A program's update of a key that exists writes its own CPU's value in place,
 * as in the kernel. bpf(2)'s update gives all CPUs' values at once and replaces
 * the element: a reader never sees the values of two updates mixed (the
 * kernel writes them one after another).
 */
#include "map/htab.h"
#include "map/htab_ops.h"

const struct map_ops percpu_htab_map_ops = {
	.type = BPF_MAP_TYPE_PERCPU_HASH,
	.name = "percpu_hash",
	.gate = &htab_gate_ops,
	.alloc_check = htab_alloc_check,
	.layout = htab_layout,
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
	.lookup_batch = htab_lookup_batch,
	.lookup_and_delete_batch = htab_lookup_and_delete_batch,
	.update_batch = htab_update_batch,
	.delete_batch = htab_delete_batch,
	.memlock = htab_memlock,
	.stats = htab_stats,
	.sums_elems = true,
	.recover = htab_recover,
	.validate = htab_validate,
	.per_cpu = true,
	.inner_allowed = true,
};
