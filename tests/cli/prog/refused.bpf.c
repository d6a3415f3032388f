/* SPDX-License-Identifier: BSD-2-Clause */
/* The verifier refuses it: a map value that may be NULL. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} map SEC(".maps");

SEC("raw_tp/sys_enter")
int bad(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&map, &key);

	*value = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
