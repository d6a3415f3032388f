/* SPDX-License-Identifier: BSD-2-Clause */
/* An array that the loader reads and writes as plain memory. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define SLOTS 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

/* Adds the length of the packet to the slot that its first byte names. */
SEC("xdp")
int add_length(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *end = (void *)(long)ctx->data_end;
	__u64 *value;
	__u32 key;

	if (data + 1 > end)
		return XDP_DROP;
	key = data[0] % SLOTS;
	value = bpf_map_lookup_elem(&slots, &key);
	if (value)
		*value += end - data;
	return XDP_PASS;
}
