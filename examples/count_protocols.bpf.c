/* SPDX-License-Identifier: BSD-2-Clause */
/* The classic socket filter: bytes and packets by IP protocol. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stddef.h>

char LICENSE[] SEC("license") = "GPL";

/* an instruction of classic BPF: a load from the packet, 0 and the end beyond it */
unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} bytes_by_protocol SEC(".maps"), packets_by_protocol SEC(".maps");

SEC("socket")
int count_protocols(struct __sk_buff *skb)
{
	__u32 protocol;
	__u64 *bytes, *packets;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	protocol = load_byte(skb, ETH_HLEN + offsetof(struct iphdr, protocol));
	bytes = bpf_map_lookup_elem(&bytes_by_protocol, &protocol);
	if (bytes)
		__sync_fetch_and_add(bytes, skb->len);
	packets = bpf_map_lookup_elem(&packets_by_protocol, &protocol);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return 0;
}
