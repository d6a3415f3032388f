/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LRU_HASH: creation, and the table of operations. The table is HASH's (htab.h); what
 * a full one does is in htab_lru.h.
 *
 * BPF_F_NO_COMMON_LRU asks the kernel for a list per CPU, each with its share of
 * max_entries: less contention, and one CPU alone can fill max_entries / CPUs only.
 * Here the order is split by key, not by CPU, with the flag as without: the flag is
 * checked, rounds max_entries and is shown as in the kernel, and all of max_entries is
 * everybody's.
 */
#include "map/htab.h"
#include "map/htab_lru.h"
#include "map/htab_ops.h"
#include "map/lru_ops.h"

#define LRU_FLAGS                                                                                  \
	(BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | \
	 BPF_F_ZERO_SEED | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)

int lru_alloc_check(const struct map_attr *attr)
{
	bool percpu = attr->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;

	if (attr->map_flags & ~(uint32_t)LRU_FLAGS || !map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	if (attr->map_flags & BPF_F_NO_PREALLOC)
		return -ENOTSUPP;
	/* The flag is allowed, a node is not. */
	if ((percpu || attr->map_flags & BPF_F_NO_COMMON_LRU) &&
	    attr->map_flags & BPF_F_NUMA_NODE && attr->numa_node != (uint32_t)-1)
		return -EINVAL;
	return htab_check_sizes(attr, percpu);
}

int lru_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint32_t cpus = m->attr.possible_cpus, max = m->attr.max_entries;

	if (m->attr.map_flags & BPF_F_NO_COMMON_LRU && max % cpus) {
		/* up, unless that is too much */
		m->attr.max_entries =
			max <= UINT32_MAX - cpus ? max - max % cpus + cpus : max - max % cpus;
	}
	return htab_layout(m, data_size, prealloc);
}

const struct map_ops lru_htab_map_ops = {
	.type = BPF_MAP_TYPE_LRU_HASH,
	.name = "lru_hash",
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
	.key_at = htab_key_at,
	.update = htab_update,
	.delete = htab_delete,
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
	.evicts = true,
	.inner_allowed = true,
};
