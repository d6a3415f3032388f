/* SPDX-License-Identifier: BSD-2-Clause */
/* One program that system calls can run, and some that they cannot. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 calls;

SEC("raw_tp/sys_enter")
int served(void *ctx)
{
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("kprobe/tcp_v4_connect")
int inside(void *ctx)
{
	return 0;
}

SEC("xdp")
int packets(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tracepoint/sched/sched_switch")
int scheduler(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
