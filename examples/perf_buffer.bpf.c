/* SPDX-License-Identifier: BSD-2-Clause */
/* One record per packet, to the perf event of the CPU that the program runs on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct record {
	__u32 length;
	__u8 first;
	__u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} records SEC(".maps");

SEC("xdp")
int report(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct record r = {.length = ctx->data_end - ctx->data};
	long err;

	if (data + 1 > end)
		return XDP_ABORTED;
	r.first = *data;
	/* the record, and behind it the first 4 bytes of the packet */
	err = bpf_perf_event_output(ctx, &records, BPF_F_CURRENT_CPU | 4ull << 32, &r, sizeof(r));
	return err ? XDP_ABORTED : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
