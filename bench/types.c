/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map types that are measured, and the operations of each. A type gets a
 * row here; what is new about it, an operation in ops.c. Types that one side
 * does not have are left out, and named.
 */
#include "bench.h"

#define HASH_OPS                                                                                   \
	{                                                                                          \
		&op_lookup, &op_lookup_miss, &op_update, &op_insert_delete, &op_insert_take,       \
			&op_next_key, &op_lookup_batch, &op_update_batch                           \
	}
/* What evicts comes last: it leaves none of the keys that the others look for. */
#define LRU_OPS                                                                                    \
	{                                                                                          \
		&op_lookup, &op_lookup_miss, &op_update, &op_insert_delete, &op_insert_take,       \
			&op_lookup_batch, &op_update_batch, &op_insert_evict                       \
	}
#define ARRAY_OPS                                                                                  \
	{                                                                                          \
		&op_lookup, &op_update, &op_next_key, &op_lookup_batch, &op_update_batch           \
	}

const struct bench_type bench_types[] = {
	{.name = "ARRAY",
	 .type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .full = true,
	 .ops = ARRAY_OPS},
	{.name = "PERCPU_ARRAY",
	 .type = BPF_MAP_TYPE_PERCPU_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .full = true,
	 .ops = ARRAY_OPS},
	{.name = "HASH",
	 .type = BPF_MAP_TYPE_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "HASH key 16",
	 .type = BPF_MAP_TYPE_HASH,
	 .key_size = 16,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "HASH NO_PREALLOC",
	 .type = BPF_MAP_TYPE_HASH,
	 .flags = BPF_F_NO_PREALLOC,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "PERCPU_HASH",
	 .type = BPF_MAP_TYPE_PERCPU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "PERCPU_HASH NO_PREALLOC",
	 .type = BPF_MAP_TYPE_PERCPU_HASH,
	 .flags = BPF_F_NO_PREALLOC,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "LRU_HASH",
	 .type = BPF_MAP_TYPE_LRU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
	{.name = "LRU_HASH NO_COMMON_LRU",
	 .type = BPF_MAP_TYPE_LRU_HASH,
	 .flags = BPF_F_NO_COMMON_LRU,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
	{.name = "LRU_PERCPU_HASH",
	 .type = BPF_MAP_TYPE_LRU_PERCPU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
};

const unsigned int bench_type_count = sizeof(bench_types) / sizeof(bench_types[0]);
