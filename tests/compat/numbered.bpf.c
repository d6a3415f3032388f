/* SPDX-License-Identifier: BSD-2-Clause */
/* A section for each map, and definitions that are longer than they need to be. */
#include "bpf_helpers.h"

struct long_def {
	unsigned int type, key_size, value_size, max_entries, map_flags, pinning;
	char name_space[256];
};

struct long_def SEC("maps/0") zero = {BPF_MAP_TYPE_ARRAY, 4, 8, 10};
struct long_def SEC("maps/1") one = {BPF_MAP_TYPE_HASH, 2, 4, 11};
struct bpf_map_def SEC("maps/two") two = {
	.type = BPF_MAP_TYPE_LPM_TRIE,
	.key_size = 8,
	.value_size = 1,
	.max_entries = 12,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("xdp_numbered")
int entry(struct xdp_md *ctx)
{
	__u16 k = 1;
	__u32 key = 3, v = 9;
	__u64 *n = bpf_map_lookup_elem(&zero, &key);

	if (n)
		++*n;
	bpf_map_update_elem(&one, &k, &v, BPF_ANY);
	return bpf_map_lookup_elem(&two, &(__u64){0}) ? XDP_DROP : XDP_TX;
}

char _license[] SEC("license") = "GPL";
