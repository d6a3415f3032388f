/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map types that there are: MAP_TYPE(T, ops) for enum value
 * BPF_MAP_TYPE_T, served by the `const struct map_ops ops` at the end of the
 * type's file. Included more than once, with MAP_TYPE defined to what the
 * includer needs; to add a type is to add its file and one line here.
 */
MAP_TYPE(ARRAY, array_map_ops)
MAP_TYPE(PERCPU_ARRAY, percpu_array_map_ops)
MAP_TYPE(HASH, htab_map_ops)
MAP_TYPE(PERCPU_HASH, percpu_htab_map_ops)
MAP_TYPE(PERF_EVENT_ARRAY, perf_event_array_map_ops)
MAP_TYPE(STACK_TRACE, stack_trace_map_ops)
MAP_TYPE(ARENA, arena_map_ops)
MAP_TYPE(LRU_HASH, lru_htab_map_ops)
MAP_TYPE(LRU_PERCPU_HASH, percpu_lru_htab_map_ops)
MAP_TYPE(ARRAY_OF_MAPS, array_of_maps_map_ops)
MAP_TYPE(HASH_OF_MAPS, hash_of_maps_map_ops)
MAP_TYPE(PROG_ARRAY, prog_array_map_ops)
MAP_TYPE(CGROUP_ARRAY, cgroup_array_map_ops)
MAP_TYPE(LPM_TRIE, lpm_map_ops)
MAP_TYPE(RINGBUF, ringbuf_map_ops)
MAP_TYPE(USER_RINGBUF, user_ringbuf_map_ops)
MAP_TYPE(QUEUE, queue_map_ops)
MAP_TYPE(STACK, stack_map_ops)
MAP_TYPE(BLOOM_FILTER, bloom_map_ops)
MAP_TYPE(CGROUP_STORAGE, cgroup_storage_map_ops)
MAP_TYPE(PERCPU_CGROUP_STORAGE, percpu_cgroup_storage_map_ops)
MAP_TYPE(SK_STORAGE, sk_storage_map_ops)
MAP_TYPE(INODE_STORAGE, inode_storage_map_ops)
MAP_TYPE(TASK_STORAGE, task_storage_map_ops)
MAP_TYPE(CGRP_STORAGE, cgrp_storage_map_ops)
