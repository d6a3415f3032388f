/* SPDX-License-Identifier: BSD-2-Clause */
/* As programs were written until libbpf 0.8: struct bpf_map_def, SEC("maps"). */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include "bpf_helpers.h"
#include <stddef.h>

struct bpf_map_def SEC("maps") bytes_by_protocol = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(long),
	.max_entries = 256,
};
BPF_ANNOTATE_KV_PAIR(bytes_by_protocol, __u32, long);

SEC("socket1")
int count_bytes(struct __sk_buff *skb)
{
	/* what bpf_prog_test_run() shows of a packet begins with its network header */
	int protocol = load_byte(skb, offsetof(struct iphdr, protocol));
	long *bytes = bpf_map_lookup_elem(&bytes_by_protocol, &protocol);

	if (bytes)
		__sync_fetch_and_add(bytes, skb->len);
	return 0;
}

char _license[] SEC("license") = "GPL";
