/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TASK_STORAGE, INODE_STORAGE, SK_STORAGE, CGRP_STORAGE.
 *
 * The file holds a hash table (htab.h) whose keys are struct storage_owner. It is
 * served by that table's code through a struct map of its own, `table`, which each
 * process makes when it opens the map: the same file and values, another key. All that
 * htab.h says holds here: readers without a lock and whole values (G1), elements that
 * stay while a program may hold them (G2), BPF_F_LOCK (G3), death (G5), distrust (G9).
 *
 * The kernel sets no bound to the number of owners. The table is laid out for
 * STORAGE_OWNERS_MAX of them, in a file that is a hole where nothing has been used.
 *
 * Owners that are gone: a key never comes again, so their elements are only memory.
 * A process that adds elements looks at the whole table each time that it has
 * doubled since the last look, and when there is no room; it erases those whose owner is
 * surely gone (erasing by a key that is nobody's harms nobody). Dying meanwhile leaves
 * the rest to the next one.
 */
#include "map/storage.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/pool.h"
#include "map/htab.h"
#include "map/htab_ops.h"

#ifndef STORAGE_OWNERS_MAX /* the fuzz build makes it small: less file to damage */
#define STORAGE_OWNERS_MAX (1U << 20)
#endif
#ifndef STORAGE_TABLE_FLAGS /* and gives all tables one seed: what was found is found again */
#define STORAGE_TABLE_FLAGS BPF_F_NO_PREALLOC
#endif
#define STORAGE_BUCKETS_MAX (1U << 15) /* few owners spread over few pages; many make chains */
#define STORAGE_FILE_MAX (1ULL << 34)  /* address space that one map may take */
#define STORAGE_VALUE_MAX 65407	       /* the kernel's: U16_MAX less its element */
#define STORAGE_KERNEL_STRUCT 448
#define STORAGE_LOOK_WRITES 256
#define STORAGE_LOOK_MIN 64

extern const struct map_ops htab_map_ops;

static struct pool table_pool = POOL_OF(struct map);

_Static_assert(sizeof(struct map) <= POOL_SIZE_MAX, "tables come from a pool");
_Static_assert(sizeof(struct storage_owner) == 24, "the key has no padding");

static int storage_alloc_check(const struct map_attr *attr)
{
	const uint32_t allowed = BPF_F_NO_PREALLOC | BPF_F_CLONE;

	if (attr->map_flags & ~allowed || !(attr->map_flags & BPF_F_NO_PREALLOC) ||
	    attr->max_entries || attr->key_size != sizeof(int) || !attr->value_size ||
	    !attr->btf_key_type_id || !attr->btf_value_type_id)
		return -EINVAL;
	return attr->value_size > STORAGE_VALUE_MAX ? -E2BIG : 0;
}

/* What the table is, from m's checked attributes alone; not yet where. */
static int table_layout(const struct map *m, struct map *t, uint64_t *data_size, uint64_t *prealloc)
{
	*t = (struct map){
		.ops = &htab_map_ops,
		.attr = m->attr,
		.user_value_size = m->user_value_size,
		.elem_size = m->elem_size,
		.refs = 1,
		.htab.bucket_max = STORAGE_BUCKETS_MAX,
	};
	t->attr.map_type = BPF_MAP_TYPE_HASH;
	t->attr.key_size = sizeof(struct storage_owner);
	t->attr.map_flags = STORAGE_TABLE_FLAGS;
	t->attr.max_entries = STORAGE_OWNERS_MAX;
	while ((uint64_t)t->attr.max_entries * (m->elem_size + CACHE_LINE) > STORAGE_FILE_MAX)
		t->attr.max_entries /= 2;
	return htab_layout(t, data_size, prealloc);
}

static int storage_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	struct map t;

	return table_layout(m, &t, data_size, prealloc);
}

static int storage_open(struct map *m)
{
	struct map *t = pool_alloc(&table_pool);
	uint64_t data_size, prealloc;
	int err;

	if (!t)
		return -ENOMEM;
	err = table_layout(m, t, &data_size, &prealloc);
	if (err) {
		pool_free(&table_pool, t);
		return err;
	}
	t->obj = m->obj;
	t->shared = m->shared;
	t->writable = m->writable;
	m->storage.table = t;
	m->storage.look_at = STORAGE_LOOK_MIN;
	m->storage.writes = 0;
	return 0;
}

static void storage_close(struct map *m)
{
	pool_free(&table_pool, m->storage.table);
	m->storage.table = NULL;
}

static int storage_format(struct map *m)
{
	int err = storage_open(m);

	if (err)
		return err;
	err = htab_format(m->storage.table);
	m->attr.hash_seed = m->storage.table->attr.hash_seed;
	storage_close(m); /* map_create() opens it next */
	return err;
}

/* Erases what belongs to owners that are gone. */
static void storage_collect(struct map *m)
{
	const enum storage_kind kind = m->ops->storage->kind;
	struct map *t = m->storage.table;
	struct storage_owner last, next;
	struct map_stats stats = {0};
	uint64_t steps, most;
	bool have = false;

	if (!storage_owner_observable(kind))
		return;
	htab_stats(t, &stats);
	most = 2 * stats.entries + STORAGE_LOOK_MIN;
	/* Bounded: one that others delete makes the walk start over. */
	for (steps = 0; steps < most && !htab_next_key(t, have ? &last : NULL, &next); steps++) {
		if (storage_owner_gone(kind, &next)) {
			if (htab_erase(t, &next))
				break;
			continue;
		}
		last = next;
		have = true;
	}
	htab_stats(t, &stats);
	if (stats.entries > UINT32_MAX / 2)
		stats.entries = UINT32_MAX / 2;
	store_relaxed(&m->storage.look_at, stats.entries * 2 > STORAGE_LOOK_MIN
						   ? (uint32_t)stats.entries * 2
						   : STORAGE_LOOK_MIN);
}

/* After something may have been added: now and then, has the table doubled? */
static void storage_added(struct map *m)
{
	struct map_stats stats = {0};

	if (!storage_owner_observable(m->ops->storage->kind) ||
	    (fetch_add_relaxed(&m->storage.writes, 1U) + 1) % STORAGE_LOOK_WRITES)
		return;
	htab_stats(m->storage.table, &stats);
	if (stats.entries > load_relaxed(&m->storage.look_at))
		storage_collect(m);
}

/* An update, by bpf(2) or a program (htab_update() asks for the lease itself). */
static int storage_put(struct map *m, const struct storage_owner *o, const void *value,
		       uint64_t flags)
{
	int err = htab_write(m->storage.table, o, value, flags);

	if (unlikely(err == -E2BIG || err == -ENOMEM)) {
		storage_collect(m);
		err = htab_write(m->storage.table, o, value, flags);
	}
	if (likely(!err))
		storage_added(m);
	return err == -E2BIG ? -ENOMEM : err;
}

static int owner_of(struct map *m, const void *key, struct storage_owner *o)
{
	return storage_owner_by_fd(m->ops->storage->kind, *(const int *)key, o);
}

static int storage_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	struct storage_owner o;
	int err = owner_of(m, key, &o);

	return err ? err : htab_read(m->storage.table, &o, value, flags);
}

static int storage_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	struct storage_owner o;
	int err = owner_of(m, key, &o);

	return err ? err : storage_put(m, &o, value, flags);
}

static int storage_erase(struct map *m, const void *key)
{
	struct storage_owner o;
	int err = owner_of(m, key, &o);

	return err ? err : htab_erase(m->storage.table, &o);
}

static uint8_t zeros[STORAGE_VALUE_MAX + 1];

static void *storage_get(struct map *m, const struct storage_owner *o, const void *init,
			 uint64_t flags, struct htab_at *at)
{
	struct map *t = m->storage.table;
	void *value;
	int err;

	if (flags & ~(uint64_t)BPF_LOCAL_STORAGE_GET_F_CREATE)
		return NULL;
	value = htab_lookup_at(t, o, at);
	if (likely(value || !(flags & BPF_LOCAL_STORAGE_GET_F_CREATE)))
		return value;
	err = storage_put(m, o, init ? init : zeros, BPF_NOEXIST);
	/* Another run may have made it meanwhile: that is the value, then. */
	return err && err != -EEXIST ? NULL : htab_lookup_at(t, o, at);
}

static long storage_drop(struct map *m, const struct storage_owner *o)
{
	return htab_delete(m->storage.table, o);
}

static int storage_section_begin(struct map *m, void *value, uint32_t start, void **kept)
{
	return htab_section_begin(m->storage.table, value, start, kept);
}

static uint64_t storage_memlock(const struct map *m)
{
	uint64_t buckets = pow2_at_least(m->attr.possible_cpus);

	return STORAGE_KERNEL_STRUCT + 16 * (buckets < 2 ? 2 : buckets);
}

static int storage_stats(struct map *m, struct map_stats *stats)
{
	return htab_stats(m->storage.table, stats);
}

static int storage_recover(struct map *m)
{
	return htab_recover(m->storage.table);
}

static int storage_validate(struct map *m, char *why, size_t size)
{
	return htab_validate(m->storage.table, why, size);
}

#define STORAGE(t, n, k, get_helper, delete_helper)                                                \
	static const struct storage_ops n##_sub_ops = {                                            \
		.kind = k,                                                                         \
		.get = storage_get,                                                                \
		.drop = storage_drop,                                                              \
	};                                                                                         \
	static const uint16_t n##_helpers[] = {get_helper, delete_helper, 0};                      \
	const struct map_ops n##_map_ops = {                                                       \
		.type = t,                                                                         \
		.name = #n,                                                                        \
		.alloc_check = storage_alloc_check,                                                \
		.layout = storage_layout,                                                          \
		.format = storage_format,                                                          \
		.open = storage_open,                                                              \
		.close = storage_close,                                                            \
		.read = storage_read,                                                              \
		.write = storage_write,                                                            \
		.erase = storage_erase,                                                            \
		.storage = &n##_sub_ops,                                                           \
		.helpers = n##_helpers,                                                            \
		.section_begin = storage_section_begin,                                            \
		.memlock = storage_memlock,                                                        \
		.stats = storage_stats,                                                            \
		.recover = storage_recover,                                                        \
		.validate = storage_validate,                                                      \
		.lock_allowed = true,                                                              \
		.inner_allowed = true,                                                             \
		.sparse = true,                                                                    \
	}

STORAGE(BPF_MAP_TYPE_TASK_STORAGE, task_storage, STORAGE_TASK, BPF_FUNC_task_storage_get,
	BPF_FUNC_task_storage_delete);
STORAGE(BPF_MAP_TYPE_INODE_STORAGE, inode_storage, STORAGE_INODE, BPF_FUNC_inode_storage_get,
	BPF_FUNC_inode_storage_delete);
STORAGE(BPF_MAP_TYPE_SK_STORAGE, sk_storage, STORAGE_SOCK, BPF_FUNC_sk_storage_get,
	BPF_FUNC_sk_storage_delete);
STORAGE(SHMAP_MAP_TYPE_CGRP_STORAGE, cgrp_storage, STORAGE_CGROUP, SHMAP_FUNC_CGRP_STORAGE_GET,
	SHMAP_FUNC_CGRP_STORAGE_DELETE);
