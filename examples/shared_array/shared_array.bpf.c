/* SPDX-License-Identifier: BSD-2-Clause */
/* A program beside the processes that have mapped the array. */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "shared_array.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, VALUES);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

SEC("tc")
int count(struct __sk_buff *ctx)
{
	__u32 key = offsetof(struct shared, from_program) / sizeof(__u64);
	__u64 *value = bpf_map_lookup_elem(&shared, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return TC_ACT_OK;
}
