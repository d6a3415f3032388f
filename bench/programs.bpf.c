/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs do with maps, OPS times in a run: run by PROG_TEST_RUN on the
 * kernel and on shmap. Each program uses the map that is named as its type.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define OPS 128
#define ENTRIES 10000

char _license[] SEC("license") = "GPL";

#define MAP(name, kind, key_t, value_t, flags, ...)                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, ENTRIES __VA_ARGS__);                                          \
		__type(key, key_t);                                                                \
		__type(value, value_t);                                                            \
		__uint(map_flags, flags);                                                          \
	} name SEC(".maps")

struct lpm_key {
	__u32 prefixlen, addr;
};

MAP(array, ARRAY, __u32, __u64, 0);
MAP(percpu_array, PERCPU_ARRAY, __u32, __u64, 0);
MAP(hash, HASH, __u32, __u64, 0, +1000); /* with room for insertions */
MAP(percpu_hash, PERCPU_HASH, __u32, __u64, 0);
MAP(lru_hash, LRU_HASH, __u32, __u64, 0);
MAP(lpm_trie, LPM_TRIE, struct lpm_key, __u64, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, ENTRIES);
	__uint(key_size, 0);
	__uint(value_size, 8);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, ENTRIES);
	__uint(key_size, 0);
	__uint(value_size, 8);
} bloom_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ringbuf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf_event SEC(".maps");

/* Another key each time, all over the map. */
static __always_inline __u32 spread(__u32 i, __u32 salt)
{
	return (i * 2654435761u + salt) % ENTRIES;
}

#define PROGRAM(name, ...)                                                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		__u32 salt = bpf_get_prandom_u32();                                                \
                                                                                                   \
		for (int i = 0; i < OPS; i++) {                                                    \
			__u32 key = spread(i, salt);                                               \
			__u64 one = 1;                                                             \
			(void)key;                                                                 \
			__VA_ARGS__                                                                \
		}                                                                                  \
		return TC_ACT_OK;                                                                  \
	}

#define INCREMENT(map)                                                                             \
	{                                                                                          \
		__u64 *value = bpf_map_lookup_elem(&map, &key);                                    \
		if (value)                                                                         \
			*value += one;                                                             \
	}

PROGRAM(empty_loop, asm volatile("" : : "r"(key), "r"(&one) : "memory");)
PROGRAM(array_lookup, INCREMENT(array))
PROGRAM(array_update, bpf_map_update_elem(&array, &key, &one, BPF_ANY);)
PROGRAM(array_atomic_add, {
	__u64 *value = bpf_map_lookup_elem(&array, &key);
	if (value)
		__sync_fetch_and_add(value, one);
})
PROGRAM(percpu_array_lookup, INCREMENT(percpu_array))
PROGRAM(hash_lookup, INCREMENT(hash))
PROGRAM(hash_update, bpf_map_update_elem(&hash, &key, &one, BPF_ANY);)
PROGRAM(hash_insert_delete, {
	key |= 1 << 30;
	bpf_map_update_elem(&hash, &key, &one, BPF_ANY);
	bpf_map_delete_elem(&hash, &key);
})
PROGRAM(percpu_hash_lookup, INCREMENT(percpu_hash))
PROGRAM(lru_hash_lookup, INCREMENT(lru_hash))
PROGRAM(lru_hash_insert, {
	key = bpf_get_prandom_u32();
	bpf_map_update_elem(&lru_hash, &key, &one, BPF_ANY);
})
PROGRAM(lpm_trie_lookup, {
	struct lpm_key at = {32, spread(i, salt) << 8 | 7};
	__u64 *value = bpf_map_lookup_elem(&lpm_trie, &at);
	if (value)
		*value += one;
})
PROGRAM(queue_push_pop, {
	bpf_map_push_elem(&queue, &one, 0);
	bpf_map_pop_elem(&queue, &one);
})
PROGRAM(bloom_filter_peek, {
	one = key;
	bpf_map_peek_elem(&bloom_filter, &one);
})
PROGRAM(ringbuf_reserve_discard, {
	__u64 *record = bpf_ringbuf_reserve(&ringbuf, 8, 0);
	if (record) {
		*record = one;
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	}
})
PROGRAM(perf_event_output, bpf_perf_event_output(skb, &perf_event, BPF_F_CURRENT_CPU, &one, 8);)
