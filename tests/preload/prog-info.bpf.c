/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs of one function and of several, with maps, BTF and source lines. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

__u64 total;

SEC("socket")
int straight(struct __sk_buff *skb)
{
	__u64 a = 0x123456789abcdefULL;

	return a >> 60;
}

SEC("socket")
int with_maps(struct __sk_buff *skb)
{
	__u32 key = 1, len = skb->len;
	__u64 *n = bpf_map_lookup_elem(&counts, &key);

	if (n)
		++*n;
	bpf_map_update_elem(&sizes, &len, &(__u64){1}, BPF_ANY);
	total += len;
	return len;
}

static __noinline int twice(int x)
{
	return x * 2 + (int)bpf_get_prandom_u32() * 0;
}

/* a global function: verified by itself */
__noinline int thrice(int x)
{
	return x * 3 + 1;
}

SEC("xdp")
int with_calls(struct xdp_md *ctx)
{
	__u32 key = 2;
	__u64 *n = bpf_map_lookup_elem(&counts, &key);

	if (n)
		*n += twice(ctx->ingress_ifindex) + thrice(4);
	return thrice(twice(1)) > 5 ? XDP_PASS : XDP_DROP;
}
