/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LPM_TRIE: creation, and the table of operations. lpm.h says how it works; lpm_find.c reads,
 * lpm_change.c changes, lpm_pool.c gives and takes back elements and nodes.
 */
#include "map/lpm.h"

#include <unistd.h>

#include "map/generic_batch.h"

#define LPM_FLAGS                                                                                  \
	(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG |   \
	 BPF_F_WRONLY_PROG)
#define LPM_VALUE_MAX (4194304 - LPM_DATA_MAX - LPM_KERNEL_NODE)

static int lpm_alloc_check(const struct map_attr *attr)
{
	if (!attr->max_entries || !(attr->map_flags & BPF_F_NO_PREALLOC) ||
	    attr->map_flags & ~(uint32_t)LPM_FLAGS || !map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	if (attr->key_size < LPM_KEY_MIN || attr->key_size > LPM_KEY_MAX)
		return -EINVAL;
	if (!attr->value_size || attr->value_size > LPM_VALUE_MAX)
		return -EINVAL;
	return 0;
}

/*
 * How many prefixes there can be. max_entries may be far more than memory holds, and the
 * file is as large as its elements could make it: so it is bounded by the machine's memory, once,
 * and written down (as hash_seed, which this type has no use for).
 */
static uint64_t choose_capacity(const struct map *m, uint64_t bytes_each)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t max = m->attr.max_entries, fits;

	if (max > LPM_ELEMS_MAX)
		max = LPM_ELEMS_MAX;
	if (pages <= 0 || page <= 0)
		return max;
	fits = (uint64_t)pages * (uint64_t)page / 8 * 7 / bytes_each;
	return fits < max ? fits : max;
}

static int lpm_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint64_t value = m->attr.value_size, data = m->attr.key_size - 4, align, elems, end;

	/* Dense: 12 bytes for the node and a few for what stands before the data must not
	 * be more than the kernel's 24. Values that can hold 8-byte fields are aligned. */
	align = value % 8 ? 4 : 8;
	m->lpm.data_size = (uint32_t)data;
	m->lpm.max_plen = (uint32_t)data * 8;
	m->lpm.meta_off = (uint32_t)round_up_u64(value, 4);
	m->lpm.stride = (uint32_t)round_up_u64(m->lpm.meta_off + 4 + (data < 4 ? 4 : data), align);

	if (!m->attr.hash_seed)
		m->attr.hash_seed = choose_capacity(m, m->lpm.stride + sizeof(struct lpm_node));
	if (!m->attr.hash_seed)
		return -ENOMEM;
	if (m->attr.hash_seed > m->attr.max_entries || m->attr.hash_seed > LPM_ELEMS_MAX)
		return -EINVAL;
	m->lpm.capacity = (uint32_t)m->attr.hash_seed;
	m->lpm.parts = m->lpm.capacity >= LPM_PARTS_FROM ? LPM_PARTS_MAX : 1;
	m->lpm.per_part = (m->lpm.capacity + m->lpm.parts - 1) / m->lpm.parts + LPM_SPARES;
	elems = (uint64_t)m->lpm.parts * m->lpm.per_part;
	m->lpm.elems = (uint32_t)elems;

	m->lpm.part_off = 0;
	m->lpm.node_off = round_up_u64(m->lpm.parts * sizeof(struct lpm_part), CACHE_LINE);
	*prealloc = m->lpm.node_off;
	end = m->lpm.node_off + elems * sizeof(struct lpm_node);
	m->lpm.elem_off = round_up_u64(end, CACHE_LINE);
	end = lpm_index_layout(m, m->lpm.elem_off + elems * m->lpm.stride);
	*data_size = round_up_u64(end, SHMAP_PAGE);
	lpm_quick(m);
	return 0;
}

static int lpm_format(struct map *m)
{
	lpm_pool_format(m);
	return 0;
}

static uint64_t live(const struct map *m)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < m->lpm.parts; i++)
		n += load_relaxed(&lpm_part(m, i)->live);
	return n;
}

/* The kernel's figure; it does not count its intermediate nodes. */
static uint64_t lpm_memlock(const struct map *m)
{
	return live(m) * (LPM_KERNEL_NODE + (uint64_t)m->lpm.data_size + m->attr.value_size);
}

static int lpm_stats(struct map *m, struct map_stats *stats)
{
	uint32_t i;

	*stats = (struct map_stats){.entries = live(m), .counts_changes = true};
	for (i = 0; i < m->lpm.parts; i++) {
		stats->failed += load_relaxed(&lpm_part(m, i)->failed);
		stats->changes += load_relaxed(&lpm_part(m, i)->changes);
	}
	return 0;
}

static int lpm_recover(struct map *m)
{
	uint32_t i;
	int err;

	if (!m->writable)
		return -EPERM;
	for (i = 0; i < m->lpm.parts; i++) {
		if (!lock_owner_died(&lpm_part(m, i)->lock))
			continue;
		err = lpm_lock(m, i);
		if (err)
			return err;
		lpm_unlock(m, i);
	}
	return 0;
}

/* What follows the prefix is nobody's business. */
static bool lpm_same_key(const struct map *m, const void *a, const void *b)
{
	const uint8_t *x = a, *y = b;
	uint32_t bits, other, room = (m->attr.key_size - 4) * 8;

	memcpy(&bits, a, 4);
	memcpy(&other, b, 4);
	if (bits != other || bits > room || memcmp(x + 4, y + 4, bits / 8))
		return false;
	return !(bits % 8) || !((x[4 + bits / 8] ^ y[4 + bits / 8]) >> (8 - bits % 8));
}

const struct map_ops lpm_map_ops = {
	.type = BPF_MAP_TYPE_LPM_TRIE,
	.name = "lpm_trie",
	.gate = &lpm_gate_ops,
	.alloc_check = lpm_alloc_check,
	.check_late = true,
	.layout = lpm_layout,
	.format = lpm_format,
	.read = lpm_read,
	.write = lpm_write,
	.erase = lpm_erase,
	.next_key = lpm_next_key,
	.same_key = lpm_same_key,
	.lookup = lpm_lookup,
	.update = lpm_update,
	.delete = lpm_delete,
	.lookup_batch = lpm_lookup_batch,
	.update_batch = generic_update_batch,
	.delete_batch = generic_delete_batch,
	.stats = lpm_stats,
	.memlock = lpm_memlock,
	.recover = lpm_recover,
	.validate = lpm_validate,
	.inner_allowed = true,
};
