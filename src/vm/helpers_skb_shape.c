/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers that insert, remove and change headers of a packet, or its length. */
#include "vm/helpers.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "vm/packet.h"

#define VLAN_LEN 4
#define MACS_LEN 12
#define IP4_LEN 20
#define IP6_LEN 40
#define ROOM_MAX 0xfff
#define L2_SHIFT BPF_ADJ_ROOM_ENCAP_L2_SHIFT

#define ENCAP_L3 (BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6)
#define DECAP_L3 (SHMAP_F_ADJ_ROOM_DECAP_L3_IPV4 | SHMAP_F_ADJ_ROOM_DECAP_L3_IPV6)
#define ROOM_FLAGS                                                                                 \
	(BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_L3 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE |                       \
	 BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |                               \
	 BPF_F_ADJ_ROOM_ENCAP_L2(BPF_ADJ_ROOM_ENCAP_L2_MASK) | DECAP_L3)

static bool is_vlan(uint32_t proto)
{
	return proto == htons(ETH_P_8021Q) || proto == htons(ETH_P_8021AD);
}

static uint8_t *mac_of(const struct packet *k)
{
	return k->mem + k->mac;
}

/* Bytes are about to leave the packet, or have joined it: the sum over it follows. */
static void sum_out(struct packet *k, const uint8_t *p, uint32_t n)
{
	if (k->csum_state == PACKET_CSUM_COMPLETE)
		k->csum = csum_sub(k->csum, csum_bytes(p, n, 0));
}

static void sum_in(struct packet *k, const uint8_t *p, uint32_t n)
{
	if (k->csum_state == PACKET_CSUM_COMPLETE)
		k->csum = csum_add(k->csum, csum_bytes(p, n, 0));
}

/* The packet begins `by` bytes later. */
static void move_begin(struct packet *k, int32_t by)
{
	k->env.pkt += by;
	k->room += by;
	k->env.pkt_meta = k->env.pkt;
	packet_changed(k);
}

/* ---- VLAN tags: the outermost is kept beside the packet ---- */

static void tag_set(struct packet *k, uint16_t proto, uint16_t tci)
{
	k->ctx.skb.vlan_present = proto || tci;
	k->ctx.skb.vlan_proto = proto;
	k->ctx.skb.vlan_tci = tci;
}

/* The tag that is kept beside the packet moves into it. */
static long tag_insert(struct packet *k)
{
	uint8_t *p;
	uint16_t tci = htons((uint16_t)k->ctx.skb.vlan_tci), proto = k->ctx.skb.vlan_proto;

	if (k->env.pkt != mac_of(k))
		return -EINVAL;
	if (packet_need_head(k, VLAN_LEN))
		return -ENOMEM;
	p = k->env.pkt - VLAN_LEN;
	memmove(p, p + VLAN_LEN, MACS_LEN);
	memcpy(p + MACS_LEN, &proto, 2);
	memcpy(p + MACS_LEN + 2, &tci, 2);
	move_begin(k, -VLAN_LEN);
	k->mac -= VLAN_LEN;
	k->net -= VLAN_LEN;
	k->ctx.skb.protocol = proto;
	sum_in(k, p + MACS_LEN, VLAN_LEN);
	return 0;
}

HELPER(skb_vlan_push)
{
	struct packet *k = vc->env->packet;
	uint16_t proto = (uint16_t)b;

	if (!k)
		return ERR(-EOPNOTSUPP);
	if (!is_vlan(proto))
		proto = htons(ETH_P_8021Q);
	if (k->ctx.skb.vlan_present) {
		long err = tag_insert(k);

		if (err)
			return ERR(err);
	}
	tag_set(k, proto, (uint16_t)c);
	k->mac_len = k->net - k->mac;
	return 0;
}

/* The tag inside the packet is taken out. */
static long tag_remove(struct packet *k, uint16_t *tci)
{
	uint8_t *p = k->env.pkt;

	if (p != mac_of(k))
		return -EINVAL;
	if (packet_headlen(k) < PACKET_ETH + VLAN_LEN)
		return -ENOMEM;
	sum_out(k, p + MACS_LEN, VLAN_LEN);
	*tci = packet_be16(p + PACKET_ETH);
	k->ctx.skb.protocol = packet_eth_proto(p + PACKET_ETH + 2, p + PACKET_ETH + 6);
	memmove(p + VLAN_LEN, p, MACS_LEN);
	move_begin(k, VLAN_LEN);
	k->mac += VLAN_LEN;
	if (k->mem + k->net - k->env.pkt < PACKET_ETH)
		k->net = k->env.pkt + PACKET_ETH - k->mem;
	k->mac_len = k->net - k->mac;
	return 0;
}

HELPER(skb_vlan_pop)
{
	struct packet *k = vc->env->packet;
	uint16_t proto, tci;
	long err;

	if (!k)
		return ERR(-EOPNOTSUPP);
	if (k->ctx.skb.vlan_present) {
		tag_set(k, 0, 0);
	} else {
		if (!is_vlan(k->ctx.skb.protocol))
			return 0;
		err = tag_remove(k, &tci);
		if (err)
			return ERR(err);
	}
	/* the next one takes its place */
	if (!is_vlan(k->ctx.skb.protocol))
		return 0;
	proto = k->ctx.skb.protocol;
	err = tag_remove(k, &tci);
	if (err)
		return ERR(err);
	tag_set(k, proto, tci);
	return 0;
}

/* ---- room behind the link header ---- */

/* n zeros at off. The packet's headers up to there move with its begin. */
static long header_push(struct packet *k, uint32_t off, uint32_t n)
{
	const bool same = k->trans == k->net;
	uint8_t *p;

	/* a packet that was cut may end before the headers that it should have */
	if (packet_need_head(k, n) || off > k->mem_end - k->env.pkt)
		return -ENOMEM;
	p = k->env.pkt - n;
	memmove(p, k->env.pkt, off);
	memset(p + off, 0, n);
	move_begin(k, -(int32_t)n);
	k->mac -= n;
	k->net -= n;
	if (same)
		k->trans = k->net;
	return 0;
}

static long header_pop(struct packet *k, uint32_t off, uint32_t n)
{
	const bool same = k->trans == k->net;
	uint8_t *p = k->env.pkt;

	if ((uint64_t)off + n > packet_headlen(k))
		return -ENOMEM;
	sum_out(k, p + off, n);
	memmove(p + n, p, off);
	move_begin(k, n);
	k->mac += n;
	k->net += n;
	if (same)
		k->trans = k->net;
	return 0;
}

HELPER(skb_change_proto)
{
	struct packet *k = vc->env->packet;
	uint16_t to = (uint16_t)b;
	long err = -ENOTSUPP;

	if (c)
		return ERR(-EINVAL);
	if (!k)
		return ERR(-EOPNOTSUPP);
	if (k->ctx.skb.protocol == htons(ETH_P_IP) && to == htons(ETH_P_IPV6))
		err = header_push(k, k->net - k->mac, IP6_LEN - IP4_LEN);
	else if (k->ctx.skb.protocol == htons(ETH_P_IPV6) && to == htons(ETH_P_IP))
		err = header_pop(k, k->net - k->mac, IP6_LEN - IP4_LEN);
	if (err)
		return ERR(err);
	k->ctx.skb.protocol = to;
	k->ctx.skb.hash = 0;
	k->hash_set = false;
	return 0;
}

static long room_grow(struct packet *k, uint32_t off, uint32_t n, uint64_t flags)
{
	const uint8_t inner = (uint8_t)(flags >> L2_SHIFT);
	uint32_t mac_len = k->net - k->mac, outer;
	long err;

	if (k->ctx.skb.gso_size) /* of no type here: nobody could split it */
		return -ENOTSUPP;
	if (packet_need_head(k, n))
		return -ENOMEM;
	if (flags & ENCAP_L3) {
		if ((flags & ENCAP_L3) == ENCAP_L3)
			return -EINVAL;
		if ((flags & BPF_F_ADJ_ROOM_ENCAP_L4_GRE) && (flags & BPF_F_ADJ_ROOM_ENCAP_L4_UDP))
			return -EINVAL;
		if ((flags & BPF_F_ADJ_ROOM_ENCAP_L2_ETH) && inner < PACKET_ETH)
			return -EINVAL;
		if (k->encapsulation)
			return -EALREADY;
		if (inner > n)
			return -EINVAL;
	}
	err = header_push(k, off, n);
	if (err || !(flags & ENCAP_L3))
		return err;
	k->encapsulation = true;
	k->net = k->env.pkt + mac_len - k->mem;
	outer = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 ? IP6_LEN : IP4_LEN;
	if (flags & (BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L4_UDP))
		k->trans = k->net + outer;
	k->ctx.skb.protocol = htons(outer == IP6_LEN ? ETH_P_IPV6 : ETH_P_IP);
	return 0;
}

static long room_shrink(struct packet *k, uint32_t off, uint32_t n, uint64_t flags)
{
	long err;

	if (flags & ~(uint64_t)(BPF_F_ADJ_ROOM_FIXED_GSO | DECAP_L3 | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return -EINVAL;
	if (k->ctx.skb.gso_size)
		return -ENOTSUPP;
	err = header_pop(k, off, n);
	if (err)
		return err;
	if (flags & SHMAP_F_ADJ_ROOM_DECAP_L3_IPV6)
		k->ctx.skb.protocol = htons(ETH_P_IPV6);
	else if (flags & SHMAP_F_ADJ_ROOM_DECAP_L3_IPV4)
		k->ctx.skb.protocol = htons(ETH_P_IP);
	return 0;
}

HELPER(skb_adjust_room)
{
	struct packet *k = vc->env->packet;
	int32_t diff = (int32_t)b;
	uint32_t n = diff < 0 ? -(uint32_t)diff : (uint32_t)diff, len, base, least, off;
	const bool shrink = diff < 0;
	long err;

	if (d & ~(uint64_t)(ROOM_FLAGS | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return ERR(-EINVAL);
	if (!k)
		return ERR(-EOPNOTSUPP);
	if (n > ROOM_MAX)
		return ERR(-EFAULT);
	if (k->ctx.skb.protocol == htons(ETH_P_IP))
		base = IP4_LEN;
	else if (k->ctx.skb.protocol == htons(ETH_P_IPV6))
		base = IP6_LEN;
	else
		return ERR(-ENOTSUPP);
	least = base;
	off = k->net - k->mac;
	if ((uint32_t)c == BPF_ADJ_ROOM_NET)
		off += base;
	else if ((uint32_t)c != BPF_ADJ_ROOM_MAC)
		return ERR(-ENOTSUPP);
	if (d & DECAP_L3) {
		if (!shrink || (d & DECAP_L3) == DECAP_L3)
			return ERR(-EINVAL);
		least = d & SHMAP_F_ADJ_ROOM_DECAP_L3_IPV4 ? IP4_LEN : IP6_LEN;
	}
	len = k->env.pkt_end - (k->mem + k->net);
	if (shrink && (n >= len || len - n < least))
		return ERR(-ENOTSUPP);
	if (!shrink && packet_headlen(k) + n > PACKET_SKB_MAX && !k->ctx.skb.gso_size)
		return ERR(-ENOTSUPP);
	err = shrink ? room_shrink(k, off, n, d) : room_grow(k, off, n, d);
	if (!err && !(d & BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		packet_csum_reset(k);
	return ERR(err);
}

/* ---- the ends ---- */

static uint32_t least_len(const struct packet *k)
{
	int64_t net = k->mem + k->net - k->env.pkt, trans = k->mem + k->trans - k->env.pkt;

	if (k->trans != PACKET_UNSET && trans > 0)
		return trans;
	return net > 0 ? net : 0;
}

HELPER(skb_change_tail)
{
	struct packet *k = vc->env->packet;
	uint32_t to = (uint32_t)b, len;

	if (!k)
		return ERR(-EOPNOTSUPP);
	if (c || to > PACKET_SKB_MAX || to < least_len(k))
		return ERR(-EINVAL);
	if (k->encapsulation)
		return ERR(-ENOTSUPP);
	len = packet_headlen(k);
	if (to > len) {
		if (packet_need_tail(k, to - len))
			return ERR(-ENOMEM);
		memset(k->env.pkt_end, 0, to - len);
	}
	if (to != len && k->csum_state == PACKET_CSUM_COMPLETE)
		k->csum_state = PACKET_CSUM_NONE;
	k->env.pkt_end = k->env.pkt + to;
	if (k->ctx.skb.gso_size)
		k->ctx.skb.gso_size = k->ctx.skb.gso_segs = 0;
	packet_changed(k);
	return 0;
}

HELPER(skb_change_head)
{
	struct packet *k = vc->env->packet;
	uint32_t n = (uint32_t)b;
	uint64_t len;

	if (!k)
		return ERR(-EOPNOTSUPP);
	len = (uint64_t)packet_headlen(k) + n;
	if (c || n > INT_MAX || (!k->ctx.skb.gso_size && len > PACKET_SKB_MAX) || len > UINT32_MAX)
		return ERR(-EINVAL);
	if (packet_need_head(k, n))
		return ERR(-ENOMEM);
	memset(k->env.pkt - n, 0, n);
	move_begin(k, -(int32_t)n);
	k->mac = k->env.pkt - k->mem;
	k->mac_len = k->net - k->mac;
	return 0;
}
