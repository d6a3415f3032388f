/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HASH: creation, and the table of operations. htab.h says how it works;
 * htab_find.c reads, htab_change.c changes, htab_pool.c gives and takes back elements.
 */
#include "map/htab.h"

#include <sys/random.h>

#include "map/htab_lru.h"
#include "map/htab_ops.h"
#include "map/redo.h"

#include <string.h>

#define HTAB_FLAGS                                                                                 \
	(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_ZERO_SEED |     \
	 BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
#define HTAB_KEY_VALUE_MAX (4194304 - 48) /* KMALLOC_MAX_SIZE less the kernel's header */
#define HTAB_BUCKETS_MAX (1U << 27)
#define PERCPU_VALUE_MAX 32768

int htab_alloc_check(const struct map_attr *attr)
{
	bool percpu = attr->map_type == BPF_MAP_TYPE_PERCPU_HASH;

	if (attr->map_flags & ~(uint32_t)HTAB_FLAGS || !map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	/* the flag is allowed, a node is not */
	if (percpu && (attr->map_flags & BPF_F_NUMA_NODE) && attr->numa_node != (uint32_t)-1)
		return -EINVAL;
	return htab_check_sizes(attr, percpu);
}

int htab_check_sizes(const struct map_attr *attr, bool percpu)
{
	if (!attr->max_entries || !attr->key_size || !attr->value_size)
		return -EINVAL;
	if ((uint64_t)attr->key_size + attr->value_size >= HTAB_KEY_VALUE_MAX)
		return -E2BIG;
	if (percpu && round_up_u64(attr->value_size, 8) > PERCPU_VALUE_MAX)
		return -E2BIG;
	return 0;
}

/* The kernel's figure (its element header of 48 bytes, its 16-byte buckets), so
 * that what a tool shows means the same here and there. */
static uint64_t kernel_bytes(const struct map *m, bool prealloc, uint64_t entries)
{
	uint64_t elem = 48 + round_up_u64(m->attr.key_size, 8), cpus = m->attr.possible_cpus;
	uint64_t usage = HTAB_KERNEL_STRUCT + 16 * pow2_at_least(m->attr.max_entries);
	bool percpu = m->ops->per_cpu, extra = !percpu && !m->ops->evicts;

	elem += percpu ? 8 : round_up_u64(m->attr.value_size, 8);
	if (prealloc) {
		if (extra) /* an element per CPU for updates */
			entries += cpus;
		usage += elem * entries;
		if (percpu)
			usage += m->elem_size * cpus * entries;
		if (extra)
			usage += 8 * cpus;
		return usage;
	}
	/* its allocator's link before each piece, and the pointer to the per-CPU one */
	usage += (elem + 8) * entries;
	if (percpu)
		usage += (16 + (uint64_t)m->elem_size * cpus) * entries;
	return usage;
}

/* Places everything for so many stripes: the size of the data. */
static uint64_t place_all(struct map *m, uint64_t stripes, uint64_t spares)
{
	uint64_t max = m->attr.max_entries, value = m->elem_size, buckets, elems, end;

	buckets = pow2_at_least((max + 3) / 4);
	if (m->htab.bucket_max && buckets > m->htab.bucket_max)
		buckets = m->htab.bucket_max;
	if (buckets < stripes)
		buckets = stripes;
	m->htab.stripes = (uint32_t)stripes;
	m->htab.buckets = (uint32_t)buckets;
	m->htab.per_stripe = (uint32_t)((max + stripes - 1) / stripes + spares);
	elems = stripes * m->htab.per_stripe;
	m->htab.elems = (uint32_t)elems;

	m->htab.stripe_off = sizeof(struct htab_head);
	end = m->htab.stripe_off + stripes * sizeof(struct stripe);
	m->htab.page_off = 0;
	if (buckets > HTAB_BUCKETS_EAGER) {
		m->htab.page_off = end;
		end = round_up_u64(end + buckets / HTAB_PAGE_BUCKETS / 8, SHMAP_PAGE);
	}
	m->htab.bucket_off = end;
	end += buckets * sizeof(struct bucket);
	m->htab.elem_off = end;
	end += elems * m->htab.elem_stride;
	m->htab.percpu_off = round_up_u64(end, CACHE_LINE);
	m->htab.percpu_stride = round_up_u64(elems * value, CACHE_LINE);
	if (m->ops->per_cpu)
		end = m->htab.percpu_off + m->htab.percpu_stride * m->attr.possible_cpus;
	m->htab.claim_off = round_up_u64(end, CACHE_LINE);
	if (m->attr.spin_lock_off >= 0)
		end = m->htab.claim_off + HTAB_CLAIMS * redo_record_size(m->attr.value_size);
	else if (m->ops->per_cpu)
		end = m->htab.claim_off + stripes * value;
	if (m->ops->evicts)
		end = htab_lru_layout(m, end);
	return end;
}

int htab_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint64_t max = m->attr.max_entries, cpus = m->attr.possible_cpus, stripes, spares, stride;
	uint64_t kernel = kernel_bytes(m, !(m->attr.map_flags & BPF_F_NO_PREALLOC), max), size;

	if (max > HTAB_BUCKETS_MAX)
		return -E2BIG;
	m->htab.value_off = (uint32_t)(sizeof(struct elem) + round_up_u64(m->attr.key_size, 8));
	stride = m->htab.value_off + (m->ops->per_cpu ? 0 : m->elem_size);
	/* small elements do not straddle cache lines */
	if (stride <= 32)
		stride = 32;
	else if (stride <= CACHE_LINE)
		stride = CACHE_LINE;
	m->htab.elem_stride = (uint32_t)stride;

	/* As many stripes as are of use, as far as the memory of a full map is not more
	 * than the kernel's; but some, so that several CPUs can write to small maps. */
	spares = HTAB_SPARES;
	stripes = pow2_at_least(cpus * HTAB_STRIPES_PER_CPU);
	if (stripes > HTAB_STRIPES_MAX)
		stripes = HTAB_STRIPES_MAX;
	while (stripes > 1 && stripes * (m->ops->evicts ? LRU_STRIPE_MIN : HTAB_SPARES) > max)
		stripes /= 2;
	if (m->ops->evicts)
		spares += max / stripes >> LRU_SPARES_SHIFT;
	while ((size = place_all(m, stripes, spares)) + SHMAP_PAGE + OBJECT_TRAILER_SIZE > kernel &&
	       stripes > 1) {
		if (stripes > pow2_at_least(2 * cpus))
			stripes /= 2;
		else if (spares > 2)
			spares /= 2;
		else if (stride + (m->ops->per_cpu ? m->user_value_size : 0) >= 512)
			stripes /= 2;
		else
			break;
	}
	*data_size = round_up_u64(size, SHMAP_PAGE);
	/* The rest comes when it is first used. */
	*prealloc = m->htab.page_off ? m->htab.bucket_off : m->htab.elem_off;
	m->htab.seed = m->attr.hash_seed;
	if (!m->ops->objref) { /* those have operations of their own */
		htab_quick_read(m);
		htab_quick_change(m);
	}
	return 0;
}

int htab_format(struct map *m)
{
	struct map_header *h = (struct map_header *)m->obj.trailer->body;

	/* Another seed per map, so that nobody can choose keys that collide. */
	if (!(m->attr.map_flags & BPF_F_ZERO_SEED) &&
	    getrandom(&m->attr.hash_seed, sizeof(m->attr.hash_seed), 0) !=
		    sizeof(m->attr.hash_seed))
		return -EAGAIN;
	h->attr.hash_seed = m->attr.hash_seed;
	m->htab.seed = m->attr.hash_seed;
	htab_pool_format(m);
	if (htab_lru(m))
		return htab_lru_format(m);
	if (m->attr.spin_lock_off < 0)
		return 0;
	return object_populate(&m->obj, m->htab.claim_off,
			       HTAB_CLAIMS * redo_record_size(m->attr.value_size));
}

static uint64_t live_entries(const struct map *m)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < m->htab.stripes; i++)
		n += load_relaxed(&htab_stripe(m, i)->live);
	return n;
}

uint64_t htab_memlock(const struct map *m)
{
	if (m->attr.map_flags & BPF_F_NO_PREALLOC)
		return kernel_bytes(m, false, live_entries(m));
	return kernel_bytes(m, true, m->attr.max_entries);
}

/* The bytes may change at any time: the caller looks the key up again. */
void htab_key_at(struct map *m, const void *value, void *key)
{
	const uint64_t off = (uint64_t)((const uint8_t *)value - (m->obj.base + m->htab.elem_off));
	uint64_t index = off / m->htab.elem_stride;

	if (index >= m->htab.elems)
		index = 0;
	memcpy(key, htab_elem(m, (uint32_t)index)->key, m->attr.key_size);
}

static uint64_t changes(const struct stripe *st)
{
	uint64_t high;
	uint16_t low;

	do { /* low may go once round in between */
		high = load_acquire(&st->count_high);
		low = load_acquire(&st->count_low);
	} while (load_relaxed(&st->count_high) != high);
	return htab_count_steps(high, low) * HTAB_COUNT_STEP + low % HTAB_COUNT_STEP +
	       load_relaxed(&st->count_unlocked);
}

int htab_stats(struct map *m, struct map_stats *stats)
{
	uint32_t i;

	*stats = (struct map_stats){.entries = live_entries(m), .counts_changes = true};
	for (i = 0; i < m->htab.stripes; i++) {
		const struct stripe *st = htab_stripe(m, i);

		stats->failed += load_relaxed(&st->failed);
		stats->changes += changes(st);
	}
	return 0;
}

int htab_recover(struct map *m)
{
	uint32_t i;
	int err;

	if (!m->writable)
		return -EPERM;
	for (i = 0; i < m->htab.stripes; i++) {
		if (!lock_owner_died(&htab_stripe(m, i)->lock))
			continue;
		err = htab_lock(m, i);
		if (err)
			return err;
		htab_unlock(m, i);
	}
	if (m->attr.spin_lock_off >= 0)
		htab_reclaim(m);
	return 0;
}

const struct map_ops htab_map_ops = {
	.type = BPF_MAP_TYPE_HASH,
	.name = "hash",
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
	.key_at = htab_key_at,
	.inlined = htab_inlined,
	.update = htab_update,
	.delete = htab_delete,
	.for_each = htab_for_each,
	.section_begin = htab_section_begin,
	.lookup_batch = htab_lookup_batch,
	.lookup_and_delete_batch = htab_lookup_and_delete_batch,
	.update_batch = htab_update_batch,
	.delete_batch = htab_delete_batch,
	.memlock = htab_memlock,
	.stats = htab_stats,
	.sums_elems = true,
	.recover = htab_recover,
	.validate = htab_validate,
	.lock_allowed = true,
	.inner_allowed = true,
};
