/* SPDX-License-Identifier: BSD-2-Clause */
/* Each form in which maps were defined until libbpf 0.8. */
#include "bpf_helpers.h"

struct pair {
	__u32 a, b;
};

struct bpf_map_def SEC("maps") a_hash = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(struct pair),
	.value_size = sizeof(__u64),
	.max_entries = 100,
	.map_flags = BPF_F_NO_PREALLOC,
};
BPF_ANNOTATE_KV_PAIR(a_hash, struct pair, __u64);

struct bpf_map_def SEC("maps") an_array = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 3,
};

/* with the four fields of the first years, in a type of the program's own */
struct first_def {
	unsigned int type, key_size, value_size, max_entries;
};
struct first_def SEC("maps") short_one = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 5};

struct bpf_map_def SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	.key_size = 4,
	.value_size = 4,
	.max_entries = 7,
	.inner_map_idx = 1, /* an_array */
};

struct bpf_map_def SEC("maps") jumps = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.key_size = 4,
	.value_size = 4,
	.max_entries = 4,
};

/* no other file sees it: the reference goes by the section's symbol */
static struct bpf_map_def SEC("maps") hidden = {
	.type = BPF_MAP_TYPE_LRU_HASH,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 50,
};

__u64 runs;

SEC("socket/2")
int target(struct __sk_buff *skb)
{
	return 77;
}

SEC("socket_first")
int entry(struct __sk_buff *skb)
{
	struct pair p = {1, 2};
	__u32 key = 2, len = skb->len;
	__u64 *v, one = 1;

	runs++;
	v = bpf_map_lookup_elem(&an_array, &key);
	if (v)
		*v += len;
	bpf_map_update_elem(&a_hash, &p, &one, BPF_ANY);
	bpf_map_update_elem(&hidden, &len, &one, BPF_ANY);
	bpf_tail_call(skb, &jumps, 2);
	return 5;
}

char _license[] SEC("license") = "GPL";
__u32 _version SEC("version") = 0x60100;
