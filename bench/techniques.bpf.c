/* SPDX-License-Identifier: BSD-2-Clause */
/* The techniques of docs/concurrency.md, OPS times in a run. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "shmap_helpers.h"

#define OPS 128 /* techniques.c */

char LICENSE[] SEC("license") = "GPL";

struct account {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 a, b, c;
};

struct large {
	__u64 word[8];
};

#define MAP(name, kind, type_t)                                                                    \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, 64);                                                           \
		__type(key, __u32);                                                                \
		__type(value, type_t);                                                             \
	} name SEC(".maps")

MAP(array, ARRAY, __u64);
MAP(percpu_array, PERCPU_ARRAY, __u64);
MAP(percpu_hash, PERCPU_HASH, __u64);
MAP(locked_array, ARRAY, struct account);
MAP(locked_hash, HASH, struct account);
MAP(versions, HASH, struct large);

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} inner SEC(".maps"), inner_too SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counts);
} outer SEC(".maps") = {.values = {&inner}};

#define PROGRAM(name, ...)                                                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		for (int i = 0; i < OPS; i++) {                                                    \
			__u32 key = 1;                                                             \
                                                                                                   \
			asm volatile("" : : "r"(&key) : "memory");                                 \
			__VA_ARGS__                                                                \
		}                                                                                  \
		return TC_ACT_OK;                                                                  \
	}
#define VALUE(map) __u64 *value = bpf_map_lookup_elem(&map, &key)

PROGRAM(empty, )
PROGRAM(plain, {
	VALUE(array);
	if (value)
		*(volatile __u64 *)value += 1;
})
PROGRAM(percpu_array_add, {
	VALUE(percpu_array);
	if (value)
		*value += 1;
})
PROGRAM(percpu_hash_add, {
	VALUE(percpu_hash);
	if (value)
		*value += 1;
})
PROGRAM(atomic_add, {
	VALUE(array);
	if (value)
		__sync_fetch_and_add(value, 1);
})
PROGRAM(atomic_cmpxchg, {
	VALUE(array);
	if (value) {
		__u64 old = *(volatile __u64 *)value;

		old = __sync_val_compare_and_swap(value, old, old + 1);
		asm volatile("" : : "r"(old));
	}
})
PROGRAM(atomic_add_byte, {
	VALUE(array);
	if (value)
		shmap_fetch_add8(value, 1, 1);
})

static __always_inline void section(struct account *a)
{
	if (!a)
		return;
	bpf_spin_lock(&a->lock);
	a->a++;
	a->b += 2;
	a->c += 3;
	bpf_spin_unlock(&a->lock);
}

PROGRAM(lock_array, section(bpf_map_lookup_elem(&locked_array, &key));)
PROGRAM(lock_hash, section(bpf_map_lookup_elem(&locked_hash, &key));)
PROGRAM(copy_update, {
	struct large *now = bpf_map_lookup_elem(&versions, &key), next;

	if (now) {
		next = *now;
		next.word[0]++;
		bpf_map_update_elem(&versions, &key, &next, BPF_EXIST);
	}
})
PROGRAM(through_slot, {
	__u32 zero = 0;
	void *counts = bpf_map_lookup_elem(&outer, &zero);

	if (counts) {
		__u64 *value = bpf_map_lookup_elem(counts, &key);

		if (value)
			__sync_fetch_and_add(value, 1);
	}
})
