/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts packets by their first byte, in a hash that processes share. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

SEC("xdp")
int count_packet(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *end = (void *)(long)ctx->data_end;
	__u64 one = 1, *value;
	__u32 key;

	if (data + 1 > end)
		return XDP_DROP;
	key = data[0];
	value = bpf_map_lookup_elem(&shared, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&shared, &key, &one, BPF_NOEXIST);
	return XDP_PASS;
}
