/* SPDX-License-Identifier: BSD-2-Clause */
/* The first byte of a frame's source address says what becomes of it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 socket_saw, socket_bytes, outgoing, last_stamp;

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");

/* Listed last, and run last. */
SEC("socket")
int filter(struct __sk_buff *skb)
{
	__u8 what = load_byte(skb, 6);

	socket_saw++;
	socket_bytes += skb->len;
	outgoing += skb->pkt_type == 4;
	last_stamp = skb->ifindex;
	if (what == 0x40)
		return 0;
	return what == 0x42 ? 20 : -1;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	unsigned char *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + ETH_HLEN > end)
		return TC_ACT_OK;
	data[1] = 0x7c;
	return data[6] >= 0x20 && data[6] < 0x40 ? data[6] - 0x22 : TC_ACT_OK;
}

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN > end)
		return XDP_PASS;
	data[0] = 0x7a;
	return data[6] < 0x20 ? data[6] / 2 : XDP_PASS;
}
