// SPDX-License-Identifier: BSD-2-Clause
/* Packet parsing as compilers write it; locks; loops. The kernel is asked too. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

char LICENSE[] SEC("license") = "GPL";

struct flow {
	u32 saddr, daddr;
	u16 sport, dport;
	u32 proto;
};
struct cell {
	struct bpf_spin_lock lock;
	int n;
	u64 bytes;
};

#define MAP(name, kind, count, k, v)                                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, count);                                                        \
		__type(key, k);                                                                    \
		__type(value, v);                                                                  \
	} name SEC(".maps")

MAP(flows, HASH, 1024, struct flow, u64);
MAP(protos, PERCPU_HASH, 256, u32, u64);
MAP(cells, ARRAY, 4, u32, struct cell);

static __always_inline int parse(void *data, void *end, struct flow *f)
{
	struct ethhdr *eth = data;
	struct iphdr *ip;
	struct tcphdr *tcp;
	struct udphdr *udp;
	void *p = eth + 1;
	u16 proto;

	if (p > end)
		return -1;
	proto = eth->h_proto;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++) {
		u16 *vlan = p;

		if (proto != bpf_htons(ETH_P_8021Q))
			break;
		if ((void *)(vlan + 2) > end)
			return -1;
		proto = vlan[1];
		p = vlan + 2;
	}
	ip = p;
	if (proto != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end || ip->ihl < 5)
		return -1;
	f->saddr = ip->saddr;
	f->daddr = ip->daddr;
	f->proto = ip->protocol;
	p += ip->ihl * 4;
	if (ip->protocol == IPPROTO_TCP) {
		tcp = p;
		if ((void *)(tcp + 1) > end)
			return -1;
		f->sport = tcp->source;
		f->dport = tcp->dest;
	} else if (ip->protocol == IPPROTO_UDP) {
		udp = p;
		if ((void *)(udp + 1) > end)
			return -1;
		f->sport = udp->source;
		f->dport = udp->dest;
	}
	return 0;
}

SEC("xdp")
int count_flow(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flow f = {};
	u64 bytes = end - data, *n;

	if (parse(data, end, &f))
		return XDP_PASS;
	n = bpf_map_lookup_elem(&flows, &f);
	if (n)
		__sync_fetch_and_add(n, bytes);
	else
		bpf_map_update_elem(&flows, &f, &bytes, BPF_ANY);
	n = bpf_map_lookup_elem(&protos, &f.proto);
	if (n)
		*n += 1;
	return XDP_PASS;
}

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 sum = 0;

	for (int i = 0; i < 64; i++) {
		if (data + i + 1 > end)
			break;
		sum += data[i];
		if (data[i] & 1)
			sum ^= 0x55;
	}
	return sum & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int options(struct xdp_md *ctx)
{
	u8 *end = (void *)(long)ctx->data_end, *p = (u8 *)(long)ctx->data + 34;
	int found = 0;

	for (int i = 0; i < 6; i++) {
		u8 kind, len;

		if (p + 2 > end)
			break;
		kind = p[0];
		if (!kind)
			break;
		if (kind == 1) {
			p++;
			continue;
		}
		len = p[1];
		if (len < 2 || len > 40)
			break;
		found += kind == 5;
		p += len;
	}
	return found ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int mark_flow(struct __sk_buff *skb)
{
	struct flow f = {};
	struct cell *c;
	u32 key;

	if (parse((void *)(long)skb->data, (void *)(long)skb->data_end, &f))
		return TC_ACT_OK;
	skb->mark = f.proto;
	key = f.proto & 3;
	c = bpf_map_lookup_elem(&cells, &key);
	if (c) {
		bpf_spin_lock(&c->lock);
		c->n++;
		c->bytes += skb->len;
		bpf_spin_unlock(&c->lock);
	}
	return TC_ACT_OK;
}

SEC("socket")
int many_conditions(struct __sk_buff *skb)
{
	u32 flags = 0, x = skb->len, y = skb->mark;

#define BIT(n)                                                                                     \
	if ((x >> n) & 1)                                                                          \
		flags |= 1 << ((n * 7) & 31);                                                      \
	if ((y >> n) & 1)                                                                          \
		flags += n;
	BIT(0) BIT(1) BIT(2) BIT(3) BIT(4) BIT(5) BIT(6) BIT(7) BIT(8) BIT(9)
	BIT(10) BIT(11) BIT(12) BIT(13) BIT(14) BIT(15) BIT(16) BIT(17) BIT(18) BIT(19)
	return flags;
}

SEC("socket")
int text(struct __sk_buff *skb)
{
	char b[64] = {};
	u32 n = skb->len & 63;
	int sum = 0;

	for (u32 i = 0; i < 64; i++) {
		if (i >= n)
			break;
		b[i] = 'a' + (i & 15);
	}
	for (int i = 0; i < 64 && b[i]; i++)
		sum += b[i];
	return sum;
}

SEC("socket")
int nested_loops(struct __sk_buff *skb)
{
	int sum = 0;

	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++)
			if (((i * j) ^ skb->len) & 1)
				sum += i;
			else
				sum -= j;
	return sum;
}

/* Numbers that decide nothing but which of two is moved where: paths part at each exchange, and
 * must be found to be the same again; the numbers come and go by the caller's stack. */
#define EXCHANGE(i)                                                                                \
	{                                                                                          \
		u32 x = v[i], y = v[i + 1];                                                        \
		v[i] = x < y ? x : y;                                                              \
		v[i + 1] = x < y ? y : x;                                                          \
	}

static __noinline int sort(u32 *v, u32 seed)
{
	if (!v)
		return 0;
	for (int i = 0; i < 16; i++) {
		seed = seed * 1664525 + 1013904223;
		v[i] = seed >> 8;
	}
	for (int n = 0; n < 16; n++) {
		for (int i = 0; i < 16; i += 2)
			EXCHANGE(i)
		for (int i = 1; i < 15; i += 2)
			EXCHANGE(i)
	}
	return v[0] + v[15];
}

SEC("tc")
int sorts(struct __sk_buff *skb)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 v[16] = {}, out = 0;

	if (data + 4 > end)
		return TC_ACT_SHOT;
	for (int n = 0; n < 4; n++)
		out += sort(v, data[n]);
	return out & 1;
}
