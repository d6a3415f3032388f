// SPDX-License-Identifier: BSD-2-Clause
/*
 * Counts packets by their first byte in whichever map the loader has put in place, and
 * goes on in the program that the byte chooses.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counts);
} current SEC(".maps") = {
	.values = {&first},
};

/* The same by name: what has no map is not counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct counts);
} by_size SEC(".maps");

int accept(struct xdp_md *ctx);
int reject(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} actions SEC(".maps") = {
	.values = {
		[1] = (void *)&accept,
		[2] = (void *)&reject,
	},
};

static void count(void *counts, __u32 slot)
{
	__u64 *n = bpf_map_lookup_elem(counts, &slot);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("xdp")
int classify(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, size, byte;
	void *counts;

	if (data + 1 > end)
		return XDP_ABORTED;
	byte = *data & 3;
	counts = bpf_map_lookup_elem(&current, &zero);
	if (counts)
		count(counts, byte);
	size = (__u32)(end - data);
	counts = bpf_map_lookup_elem(&by_size, &size);
	if (counts)
		count(counts, byte);
	bpf_tail_call(ctx, &actions, byte);
	return XDP_ABORTED; /* nothing there */
}

SEC("xdp")
int accept(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int reject(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
