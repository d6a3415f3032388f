/* SPDX-License-Identifier: BSD-2-Clause */
/* A map of each type that needs nothing but its sizes, to be printed. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAP(name, kind, key, value, entries, flags)                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(key_size, key);                                                             \
		__uint(value_size, value);                                                         \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, flags);                                                          \
	} name SEC(".maps")

MAP(hash, HASH, 4, 8, 4, 0);
MAP(array, ARRAY, 4, 8, 4, 0);
MAP(prog_array, PROG_ARRAY, 4, 4, 4, 0);
MAP(perf_event_array, PERF_EVENT_ARRAY, 4, 4, 4, 0);
MAP(percpu_hash, PERCPU_HASH, 4, 8, 4, 0);
MAP(percpu_array, PERCPU_ARRAY, 4, 8, 4, 0);
MAP(stack_trace, STACK_TRACE, 4, 80, 4, 0);
MAP(cgroup_array, CGROUP_ARRAY, 4, 4, 4, 0);
MAP(lru_hash, LRU_HASH, 4, 8, 4, 0);
MAP(lru_percpu_hash, LRU_PERCPU_HASH, 4, 8, 4, 0);
MAP(lpm_trie, LPM_TRIE, 8, 8, 4, BPF_F_NO_PREALLOC);
MAP(queue, QUEUE, 0, 8, 4, 0);
MAP(stack, STACK, 0, 8, 4, 0);
MAP(bloom_filter, BLOOM_FILTER, 0, 8, 4, 0);
MAP(ringbuf, RINGBUF, 0, 0, 4096, 0);
MAP(user_ringbuf, USER_RINGBUF, 0, 0, 4096, 0);

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} task_storage SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps") = {.values = {[1] = &inner}};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} hash_of_maps SEC(".maps") = {.values = {[7] = &inner}};

SEC("ksyscall/getppid")
int count(void *ctx)
{
	__u32 key = 3;
	__u64 one = 1;
	struct {
		__u32 prefixlen, addr;
	} route = {32, 3};

	bpf_map_update_elem(&hash, &key, &one, BPF_ANY);
	bpf_map_update_elem(&array, &key, &one, BPF_ANY);
	bpf_map_update_elem(&percpu_hash, &key, &one, BPF_ANY);
	bpf_map_update_elem(&percpu_array, &key, &one, BPF_ANY);
	bpf_map_update_elem(&lru_hash, &key, &one, BPF_ANY);
	bpf_map_update_elem(&lru_percpu_hash, &key, &one, BPF_ANY);
	bpf_map_update_elem(&lpm_trie, &route, &one, BPF_ANY);
	bpf_map_push_elem(&queue, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
