/* SPDX-License-Identifier: BSD-2-Clause */
/* Globals of every kind, for the skeleton that bpftool generates. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 longest = 64; /* .rodata: the loader may set it before loading */
__u64 limit_hits = 100;		   /* .data */
struct {
	__u64 packets, bytes;
} seen; /* .bss */

SEC("xdp")
int measure(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;

	seen.packets++;
	seen.bytes += len;
	if (len <= longest)
		return XDP_PASS;
	limit_hits++;
	return XDP_DROP;
}
