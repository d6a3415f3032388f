/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs do with maps of every type, OPS times in a run. A program uses the map whose
 * name its own begins with. The keys were drawn before, by whatever law: see inside.c.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define OPS 128
#define DRAWN (1 << 16)

char _license[] SEC("license") = "GPL";

#define MAP(name, kind, key_t, value_t, flags)                                                     \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, 1);                                                            \
		__type(key, key_t);                                                                \
		__type(value, value_t);                                                            \
		__uint(map_flags, flags);                                                          \
	} name SEC(".maps")
#define KEYLESS(name, kind)                                                                        \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, 1);                                                            \
		__uint(key_size, 0);                                                               \
		__uint(value_size, 8);                                                             \
	} name SEC(".maps")

struct lpm_key {
	__u32 prefixlen, addr;
};
struct key16 {
	__u32 n[4];
};

MAP(array, BPF_MAP_TYPE_ARRAY, __u32, __u64, 0);
MAP(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 0);
MAP(hash, BPF_MAP_TYPE_HASH, __u32, __u64, 0);
MAP(hash16, BPF_MAP_TYPE_HASH, struct key16, __u64, 0);
MAP(hash_nopre, BPF_MAP_TYPE_HASH, __u32, __u64, BPF_F_NO_PREALLOC);
MAP(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, __u32, __u64, 0);
MAP(lru_hash, BPF_MAP_TYPE_LRU_HASH, __u32, __u64, 0);
MAP(lru_percpu_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH, __u32, __u64, 0);
MAP(lpm_trie, BPF_MAP_TYPE_LPM_TRIE, struct lpm_key, __u64, BPF_F_NO_PREALLOC);
#define CGRP_STORAGE 32 /* newer than Debian's linux/bpf.h */
MAP(cgrp_storage, CGRP_STORAGE, int, __u64, BPF_F_NO_PREALLOC);
MAP(task_storage, BPF_MAP_TYPE_TASK_STORAGE, int, __u64, BPF_F_NO_PREALLOC);
MAP(sk_storage, BPF_MAP_TYPE_SK_STORAGE, int, __u64, BPF_F_NO_PREALLOC);
KEYLESS(queue, BPF_MAP_TYPE_QUEUE);
KEYLESS(stack, BPF_MAP_TYPE_STACK);
KEYLESS(bloom_filter, BPF_MAP_TYPE_BLOOM_FILTER);

#define INNER_ENTRIES 64
struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INNER_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} hash_of_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ringbuf SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf_event SEC(".maps");

/* What there is on the way from a task to its cgroup. */
struct cgroup;
struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));
struct task_struct {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));
static void *(*cgrp_storage_helper)(void *map, struct cgroup *of, void *value,
				    __u64 flags) = (void *)210;

/* All of .bss: numbers of elements that there are. */
struct {
	__u32 entries, drawn[DRAWN];
} keys;

#define PROGRAM(name, ...)                                                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		__u32 salt = bpf_get_prandom_u32();                                                \
                                                                                                   \
		for (int i = 0; i < OPS; i++) {                                                    \
			__u32 key = keys.drawn[(salt + i) & (DRAWN - 1)];                          \
			__u64 one = 1;                                                             \
			(void)key, (void)one;                                                      \
			__VA_ARGS__                                                                \
		}                                                                                  \
		return TC_ACT_OK;                                                                  \
	}
#define LOOKUP(map, at)                                                                            \
	{                                                                                          \
		__u64 *value = bpf_map_lookup_elem(&map, at);                                      \
		if (value)                                                                         \
			*value += one;                                                             \
	}
#define UPDATE(map, at) bpf_map_update_elem(&map, at, &one, BPF_ANY);
/* Keys that nothing was put in for: there are twice as many. */
#define CHURN(map)                                                                                 \
	key += keys.entries;                                                                       \
	bpf_map_update_elem(&map, &key, &one, BPF_ANY);                                            \
	bpf_map_delete_elem(&map, &key);
#define LRU_INSERT(map)                                                                            \
	key = bpf_get_prandom_u32();                                                               \
	bpf_map_update_elem(&map, &key, &one, BPF_ANY);
#define PUSH_POP(map)                                                                              \
	bpf_map_push_elem(&map, &one, 0);                                                          \
	bpf_map_pop_elem(&map, &one);
#define INNER(map)                                                                                 \
	{                                                                                          \
		__u32 at = key % INNER_ENTRIES;                                                    \
		void *in = bpf_map_lookup_elem(&map, &key);                                        \
		__u64 *value = in ? bpf_map_lookup_elem(in, &at) : 0;                              \
		if (value)                                                                         \
			*value += one;                                                             \
	}

PROGRAM(empty_loop, asm volatile("" : : "r"(key), "r"(&one) : "memory");)
PROGRAM(array_lookup, LOOKUP(array, &key))
PROGRAM(array_update, UPDATE(array, &key))
PROGRAM(percpu_array_lookup, LOOKUP(percpu_array, &key))
PROGRAM(percpu_array_update, UPDATE(percpu_array, &key))
PROGRAM(hash_lookup, LOOKUP(hash, &key))
PROGRAM(hash_update, UPDATE(hash, &key))
PROGRAM(hash_insert_delete, CHURN(hash))
PROGRAM(hash16_lookup, {
	struct key16 k = {{key}};
	LOOKUP(hash16, &k)
})
PROGRAM(hash16_update, {
	struct key16 k = {{key}};
	UPDATE(hash16, &k)
})
PROGRAM(hash_nopre_insert_delete, CHURN(hash_nopre))
PROGRAM(percpu_hash_lookup, LOOKUP(percpu_hash, &key))
PROGRAM(percpu_hash_lookup_percpu, {
	__u64 *value = bpf_map_lookup_percpu_elem(&percpu_hash, &key, key & 1);
	if (value)
		*value += one;
})
PROGRAM(percpu_hash_update, UPDATE(percpu_hash, &key))
PROGRAM(percpu_hash_insert_delete, CHURN(percpu_hash))
PROGRAM(lru_hash_lookup, LOOKUP(lru_hash, &key))
PROGRAM(lru_hash_update, UPDATE(lru_hash, &key))
PROGRAM(lru_hash_insert, LRU_INSERT(lru_hash))
PROGRAM(lru_percpu_hash_lookup, LOOKUP(lru_percpu_hash, &key))
PROGRAM(lru_percpu_hash_update, UPDATE(lru_percpu_hash, &key))
PROGRAM(lru_percpu_hash_insert, LRU_INSERT(lru_percpu_hash))
PROGRAM(lpm_trie_lookup, {
	struct lpm_key at = {32, key << 8 | 7U << 24};
	LOOKUP(lpm_trie, &at)
})
PROGRAM(lpm_trie_update, {
	struct lpm_key at = {24, key << 8};
	UPDATE(lpm_trie, &at)
})
PROGRAM(queue_push_pop, PUSH_POP(queue))
PROGRAM(queue_peek, bpf_map_peek_elem(&queue, &one);)
PROGRAM(stack_push_pop, PUSH_POP(stack))
PROGRAM(stack_peek, bpf_map_peek_elem(&stack, &one);)
PROGRAM(bloom_filter_push, {
	one = key;
	bpf_map_push_elem(&bloom_filter, &one, 0);
})
PROGRAM(bloom_filter_peek, {
	one = key;
	bpf_map_peek_elem(&bloom_filter, &one);
})
PROGRAM(array_of_maps_lookup, INNER(array_of_maps))
PROGRAM(hash_of_maps_lookup, INNER(hash_of_maps))
PROGRAM(ringbuf_reserve_discard, {
	__u64 *record = bpf_ringbuf_reserve(&ringbuf, 8, 0);
	if (record) {
		*record = one;
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	}
})
PROGRAM(ringbuf_output, bpf_ringbuf_output(&ringbuf, &one, 8, BPF_RB_NO_WAKEUP);)
PROGRAM(ringbuf_query, one += bpf_ringbuf_query(&ringbuf, BPF_RB_AVAIL_DATA);)
PROGRAM(perf_event_output, bpf_perf_event_output(skb, &perf_event, BPF_F_CURRENT_CPU, &one, 8);)
PROGRAM(task_storage_get, {
	__u64 *value = bpf_task_storage_get(&task_storage, bpf_get_current_task_btf(), 0, 1);
	if (value)
		*value += one;
})
PROGRAM(cgrp_storage_get, {
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u64 *value = cgrp_storage_helper(&cgrp_storage, task->cgroups->dfl_cgrp, 0, 1);
	if (value)
		*value += one;
})
PROGRAM(sk_storage_get, {
	struct bpf_sock *sk = skb->sk;
	__u64 *value = sk ? bpf_sk_storage_get(&sk_storage, sk, 0, 1) : 0;
	if (value)
		*value += one;
})
PROGRAM(sk_storage_get_delete, {
	struct bpf_sock *sk = skb->sk;
	if (sk && bpf_sk_storage_get(&sk_storage, sk, 0, 1))
		bpf_sk_storage_delete(&sk_storage, sk);
})

static long visit(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value;
	return 0;
}

/* All elements, once: the time is that of one, see inside.c. */
SEC("tc") int array_for_each(struct __sk_buff *skb)
{
	__u64 sum = 0;

	return bpf_for_each_map_elem(&array, visit, &sum, 0) < 0;
}
SEC("tc") int hash_for_each(struct __sk_buff *skb)
{
	__u64 sum = 0;

	return bpf_for_each_map_elem(&hash, visit, &sum, 0) < 0;
}
