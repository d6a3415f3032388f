/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets: their memory, and what a receiver knows of a frame. */
#include "vm/packet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"

#define ROOM (20 * 1024) /* on either side of an skb: helpers grow it to PACKET_SKB_MAX */
#define SKB_HEADROOM 66
#define ROOM_STEP 64
#define MEM_MAX (4UL << 20)
#define SHORT_BY 64 /* what helpers may take for headers behind the end of a short packet */
#define MAC_ALEN 6
#define TCP_CLOSED 7
#define LL_OFF (-0x200000) /* SKF_LL_OFF */
#define NET_OFF (-0x100000)

int packet_alloc(struct packet **out, uint32_t prog_type, uint32_t bytes)
{
	bool xdp = prog_type == BPF_PROG_TYPE_XDP;
	size_t room =
		xdp ? (size_t)PACKET_XDP_HEADROOM + bytes + 2 * PACKET_FRAME : 2UL * ROOM + bytes;
	struct packet *k = malloc(sizeof(*k) + room);

	if (!k)
		return -ENOMEM;
	/* what programs can read of the rest is cleared when it becomes part of the packet */
	memset(k, 0, sizeof(*k));
	k->is_xdp = xdp;
	k->mem = (uint8_t *)(k + 1);
	k->mem_end = k->mem + room;
	k->env.packet = k;
	*out = k;
	return 0;
}

void packet_free(struct packet *k)
{
	if (k->own_mem)
		raw_munmap(k->mem, k->mem_end - k->mem);
	free(k);
}

int packet_set_xdp(struct packet *k, const void *bytes, uint32_t size, uint32_t meta,
		   uint32_t linear)
{
	uint8_t *begin = k->mem + PACKET_XDP_HEADROOM - meta;
	uint32_t rest;

	if (linear > size)
		linear = size;
	rest = size - linear;
	k->frag_cnt = (rest + PACKET_FRAME - 1) / PACKET_FRAME;
	if (k->frag_cnt > PACKET_FRAGS || begin + size > k->mem_end)
		return -ENOMEM;
	/* helpers let the packet begin there */
	memset(k->mem, 0, begin - k->mem);
	memcpy(begin, bytes, size);
	k->env.pkt_meta = begin;
	k->env.pkt = begin + meta;
	k->env.pkt_end = begin + linear;
	k->env.pkt_last = rest ? begin + size : NULL;
	return 0;
}

uint16_t packet_eth_proto(const uint8_t *p, const uint8_t *end)
{
	uint16_t type = packet_be16(p);

	if (type >= ETH_P_802_3_MIN)
		return htons(type);
	/* a length: Novell's raw frames, or 802.2 */
	if (p + 4 <= end && p[2] == 0xff && p[3] == 0xff)
		return htons(ETH_P_802_3);
	return htons(ETH_P_802_2);
}

/* The address of the loopback device, and its broadcast address, are all zeros. */
static uint32_t packet_type(const uint8_t *dest)
{
	static const uint8_t zero[MAC_ALEN];

	if (!memcmp(dest, zero, MAC_ALEN))
		return PACKET_HOST;
	return dest[0] & 1 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

static void set_sock(struct packet *k, const uint8_t *ip, uint32_t size, uint16_t proto)
{
	struct bpf_sock *sk = &k->sock.view;

	memset(sk, 0, sizeof(*sk));
	sk->state = TCP_CLOSED;
	sk->rx_queue_mapping = -1;
	if (proto == htons(ETH_P_IP)) {
		sk->family = AF_INET;
		if (size >= 20) {
			memcpy(&sk->src_ip4, ip + 12, 4);
			memcpy(&sk->dst_ip4, ip + 16, 4);
		}
	} else if (proto == htons(ETH_P_IPV6)) {
		sk->family = AF_INET6;
		if (size >= 40) {
			memcpy(sk->src_ip6, ip + 8, 16);
			memcpy(sk->dst_ip6, ip + 24, 16);
		}
	}
	k->env.sock = &k->sock;
}

static void set_skb_ctx(struct packet *k, uint16_t proto)
{
	struct __sk_buff *skb = &k->ctx.skb;
	const struct bpf_sock *sk = &k->sock.view;

	memset(skb, 0, sizeof(*skb));
	skb->pkt_type = packet_type(k->mem + k->mac);
	skb->protocol = proto;
	skb->ifindex = 1;
	skb->family = sk->family;
	skb->remote_ip4 = sk->dst_ip4;
	skb->local_ip4 = sk->src_ip4;
	memcpy(skb->remote_ip6, sk->dst_ip6, sizeof(skb->remote_ip6));
	memcpy(skb->local_ip6, sk->src_ip6, sizeof(skb->local_ip6));
	skb->sk = (void *)&k->sock;
	packet_changed(k);
	skb->wire_len = skb->len;
}

int packet_set_skb(struct packet *k, const void *bytes, uint32_t size, bool l2)
{
	uint8_t *frame = k->mem + ROOM;
	uint16_t proto;

	if (size < PACKET_ETH)
		return -EINVAL;
	if (frame + size > k->mem_end)
		return -ENOMEM;
	memcpy(frame, bytes, size);
	memset(frame + size, 0, SHORT_BY);
	proto = packet_eth_proto(frame + 2 * MAC_ALEN, frame + size);
	k->mac = frame - k->mem;
	k->net = k->mac + PACKET_ETH;
	k->trans = PACKET_UNSET;
	k->mac_len = 0;
	k->room = SKB_HEADROOM + (l2 ? 0 : PACKET_ETH);
	k->csum_state = PACKET_CSUM_NONE;
	k->csum_level = 0;
	k->csum = 0;
	k->missing = 0;
	k->hash_set = k->encapsulation = k->tunnel.set = false;
	k->env.pkt = l2 ? frame : frame + PACKET_ETH;
	k->env.pkt_meta = k->env.pkt;
	k->env.pkt_end = frame + size;
	k->env.pkt_last = NULL;
	set_sock(k, frame + PACKET_ETH, size - PACKET_ETH, proto);
	set_skb_ctx(k, proto);
	return 0;
}

void packet_csum_complete(struct packet *k)
{
	k->csum = csum_bytes(k->mem + k->net, k->env.pkt_end - (k->mem + k->net), 0);
	k->csum_state = PACKET_CSUM_COMPLETE;
}

/* The link header of what a socket filter sees stands before it. */
static uint8_t *begin_of(const struct packet *k)
{
	return k->mem + k->mac < k->env.pkt ? k->mem + k->mac : k->env.pkt;
}

/* The packet moves to `to`, in memory that begins at mem. */
static void move_skb(struct packet *k, uint8_t *to, uint8_t *mem)
{
	uint8_t *begin = begin_of(k);
	int64_t shift = (begin - k->mem) - (to - mem);

	memmove(to, begin, k->env.pkt_end - begin);
	k->env.pkt = to + (k->env.pkt - begin);
	k->env.pkt_meta = k->env.pkt;
	k->env.pkt_end = to + (k->env.pkt_end - begin);
	k->mac -= shift;
	k->net -= shift;
	if (k->trans != PACKET_UNSET)
		k->trans -= shift;
}

static void free_mem(struct packet *k)
{
	if (k->own_mem)
		raw_munmap(k->mem, k->mem_end - k->mem);
	k->own_mem = false;
}

/* Memory for `head` bytes before the packet and `tail` behind it. */
static int more_mem(struct packet *k, size_t head, size_t tail)
{
	uint8_t *begin = begin_of(k), *mem;
	size_t len = k->env.pkt_end - begin, size = head + len + tail + 2UL * ROOM;

	size = round_up_u64(size, SHMAP_PAGE);
	if (size > MEM_MAX)
		return -ENOMEM;
	mem = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(mem))
		return -ENOMEM;
	move_skb(k, mem + head + ROOM, mem);
	free_mem(k);
	k->mem = mem;
	k->mem_end = mem + size;
	k->own_mem = true;
	return 0;
}

/*
 * A kernel's buffer begins 66 bytes before the frame. One that is too small is replaced, and
 * a transport header that is not known is then taken for one just before the old one's
 * begin: bpf_skb_change_tail() goes by that.
 */
static void take_room(struct packet *k, uint32_t size)
{
	if (size <= k->room)
		return;
	if (k->trans == PACKET_UNSET)
		k->trans = (int32_t)(k->env.pkt - k->mem) - 1 - (int32_t)k->room;
	k->room += round_up_u64(size - k->room, ROOM_STEP);
}

int packet_need_head(struct packet *k, uint32_t size)
{
	size_t head = begin_of(k) - k->mem, tail = k->mem_end - k->env.pkt_end;
	size_t need = (size_t)size + SKB_HEADROOM;

	if (size < MEM_MAX)
		take_room(k, size);
	if (head >= need)
		return 0;
	if (k->is_xdp)
		return -ENOMEM;
	if (head + tail < need + SHORT_BY)
		return more_mem(k, need, tail);
	move_skb(k, k->mem + need, k->mem);
	return 0;
}

int packet_need_tail(struct packet *k, uint32_t size)
{
	size_t head = begin_of(k) - k->mem, tail = k->mem_end - k->env.pkt_end;
	size_t need = (size_t)size + SHORT_BY;

	if (tail >= need)
		return 0;
	if (k->is_xdp)
		return -ENOMEM;
	if (head + tail < need + SKB_HEADROOM)
		return more_mem(k, head, need);
	move_skb(k, begin_of(k) - (need - tail), k->mem);
	return 0;
}

void packet_changed(struct packet *k)
{
	if (!k->is_xdp)
		k->ctx.skb.len = packet_headlen(k) + k->missing;
}

uint32_t csum_bytes(const void *p, size_t n, uint32_t sum)
{
	const uint8_t *bytes = p;
	uint64_t total = sum;
	uint32_t word = 0;

	/* 2^32 words of 32 bits fit the upper half */
	for (; n >= 4; n -= 4, bytes += 4) {
		memcpy(&word, bytes, 4);
		total += word;
	}
	if (n) {
		word = 0;
		memcpy(&word, bytes, n);
		total += word;
	}
	total = (total & UINT32_MAX) + (total >> 32);
	return csum_add((uint32_t)total, (uint32_t)(total >> 32));
}

uint32_t csum_block(uint32_t sum, uint32_t block, uint32_t off)
{
	/* At an odd offset its bytes are the other halves of the words. */
	if (off & 1)
		block = block >> 8 | block << 24;
	return csum_add(sum, block);
}

int64_t packet_load(const struct vm_env *env, int32_t off, uint32_t size)
{
	const struct packet *k = env->packet;
	const uint8_t *at;

	if (!env->pkt)
		return -EFAULT;
	if (off >= 0) {
		at = env->pkt + off;
	} else if (!k || k->is_xdp) {
		return -EFAULT;
	} else if (off >= NET_OFF) {
		at = k->mem + k->net + (off - NET_OFF);
	} else if (off >= LL_OFF && k->mac != PACKET_UNSET) {
		at = k->mem + k->mac + (off - LL_OFF);
	} else {
		return -EFAULT;
	}
	if (at + size > env->pkt_end)
		return -EFAULT;
	switch (size) {
	case 1:
		return at[0];
	case 2:
		return packet_be16(at);
	}
	return (uint32_t)packet_be16(at) << 16 | packet_be16(at + 2);
}
