/* SPDX-License-Identifier: BSD-2-Clause */
/* Two counters in whichever inner map is in place: always changed together. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counts);
} current SEC(".maps") = {
	.values = {&first},
};

SEC("tc")
int count(struct __sk_buff *ctx)
{
	__u32 zero = 0, one = 1;
	__u64 *packets, *bytes;
	void *counts;

	counts = bpf_map_lookup_elem(&current, &zero);
	if (!counts)
		return TC_ACT_SHOT;
	packets = bpf_map_lookup_elem(counts, &zero);
	bytes = bpf_map_lookup_elem(counts, &one);
	if (!packets || !bytes)
		return TC_ACT_SHOT;
	__sync_fetch_and_add(packets, 1);
	__sync_fetch_and_add(bytes, ctx->data_end - ctx->data);
	return TC_ACT_OK;
}
