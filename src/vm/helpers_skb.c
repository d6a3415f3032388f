/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers that read and write the bytes of a packet, its checksums, and what the
 * stack knows of it. Those that change its shape: helpers_skb_shape.c.
 */
#include "vm/helpers.h"

#include <limits.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "vm/packet.h"

#define CSUM_LEVEL_MAX 3
#define CSUM_MANGLED_0 0xffff
#define L4_FLAGS                                                                                   \
	(BPF_F_MARK_MANGLED_0 | SHMAP_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK |   \
	 SHMAP_F_IPV6)

/* size bytes at off of the packet can be written. */
static bool writable(const struct packet *k, uint32_t off, uint64_t size)
{
	return off + size <= packet_headlen(k);
}

static long clear_and_fail(void *to, uint32_t size, long err)
{
	memset(to, 0, size);
	return err;
}

HELPER(skb_load_bytes)
{
	const struct packet *k = vc->env->packet;
	uint32_t off = (uint32_t)b, size = (uint32_t)d;

	/* a flow dissector's test run has no packet of this kind */
	if (!k || k->is_xdp || off > INT_MAX || off + (uint64_t)size > packet_headlen(k))
		return ERR(clear_and_fail(PTR(c), size, -EFAULT));
	memcpy(PTR(c), vc->env->pkt + off, size);
	return 0;
}

HELPER(skb_load_bytes_relative)
{
	const struct packet *k = vc->env->packet;
	uint32_t off = (uint32_t)b, size = (uint32_t)d;
	const uint8_t *start = NULL;

	if (k && off <= 0xffff) {
		if ((uint32_t)e == BPF_HDR_START_NET)
			start = k->mem + k->net;
		else if ((uint32_t)e == BPF_HDR_START_MAC && k->mac != PACKET_UNSET)
			start = k->mem + k->mac;
	}
	if (!start || start + off + size > k->env.pkt_end)
		return ERR(clear_and_fail(PTR(c), size, -EFAULT));
	memcpy(PTR(c), start + off, size);
	return 0;
}

HELPER(skb_store_bytes)
{
	struct packet *k = vc->env->packet;
	uint32_t off = (uint32_t)b, size = (uint32_t)d;
	const bool sum = (e & BPF_F_RECOMPUTE_CSUM) && k && k->csum_state == PACKET_CSUM_COMPLETE;
	uint8_t *at;

	if (e & ~(uint64_t)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return ERR(-EINVAL);
	if (!k || off > INT_MAX || !writable(k, off, size))
		return ERR(-EFAULT);
	at = k->env.pkt + off;
	if (sum)
		k->csum = csum_block(k->csum, ~csum_bytes(at, size, 0), off);
	memcpy(at, PTR(c), size);
	if (sum)
		k->csum = csum_block(k->csum, csum_bytes(at, size, 0), off);
	if (e & BPF_F_INVALIDATE_HASH) {
		k->hash_set = false;
		k->ctx.skb.hash = 0;
	}
	return 0;
}

HELPER(skb_pull_data)
{
	const struct packet *k = vc->env->packet;

	return k && writable(k, 0, (uint32_t)b) ? 0 : ERR(-ENOMEM);
}

/* ---- checksums ---- */

/* The 16-bit checksum at p when `diff` is added to what it covers. */
static void sum_by_diff(uint8_t *p, uint32_t diff)
{
	uint16_t sum;

	memcpy(&sum, p, sizeof(sum));
	sum = ~csum_fold16(csum_add(diff, ~(uint32_t)sum));
	memcpy(p, &sum, sizeof(sum));
}

static void sum_replace4(uint8_t *p, uint32_t from, uint32_t to)
{
	uint16_t sum;

	memcpy(&sum, p, sizeof(sum));
	sum = ~csum_fold16(csum_add(csum_sub(~(uint32_t)sum, from), to));
	memcpy(p, &sum, sizeof(sum));
}

static uint16_t add16(uint16_t a, uint16_t b)
{
	a += b;
	return a + (a < b);
}

static void sum_replace2(uint8_t *p, uint16_t from, uint16_t to)
{
	uint16_t sum;

	memcpy(&sum, p, sizeof(sum));
	sum = ~add16(add16(~sum, ~from), to);
	memcpy(p, &sum, sizeof(sum));
}

static uint8_t *sum_at(struct packet *k, uint64_t b)
{
	uint32_t off = (uint32_t)b;

	if (!k || off > 0xffff || off & 1 || !writable(k, off, 2))
		return NULL;
	return k->env.pkt + off;
}

HELPER(l3_csum_replace)
{
	uint8_t *p = sum_at(vc->env->packet, b);

	if (e & ~(uint64_t)BPF_F_HDR_FIELD_MASK)
		return ERR(-EINVAL);
	if (!p)
		return ERR(-EFAULT);
	switch (e) {
	case 0:
		if (c)
			return ERR(-EINVAL);
		sum_by_diff(p, (uint32_t)d);
		return 0;
	case 2:
		sum_replace2(p, (uint16_t)c, (uint16_t)d);
		return 0;
	case 4:
		sum_replace4(p, (uint32_t)c, (uint32_t)d);
		return 0;
	}
	return ERR(-EINVAL);
}

HELPER(l4_csum_replace)
{
	struct packet *k = vc->env->packet;
	uint8_t *p = sum_at(k, b);
	const bool pseudo = (e & BPF_F_PSEUDO_HDR) && k && k->csum_state == PACKET_CSUM_COMPLETE;
	uint32_t from = (uint32_t)c, to = (uint32_t)d;

	if (e & ~(uint64_t)L4_FLAGS)
		return ERR(-EINVAL);
	if (!p)
		return ERR(-EFAULT);
	if ((e & BPF_F_MARK_MANGLED_0) && !(e & SHMAP_F_MARK_ENFORCE) && !p[0] && !p[1])
		return 0;
	switch (e & BPF_F_HDR_FIELD_MASK) {
	case 0:
		if (c)
			return ERR(-EINVAL);
		sum_by_diff(p, to);
		/* addresses of IPv6 count in the packet's own sum already */
		if (pseudo && !(e & SHMAP_F_IPV6))
			k->csum = ~csum_sub(to, k->csum);
		break;
	case 2:
		from &= 0xffff;
		to &= 0xffff;
		/* fallthrough */
	case 4:
		sum_replace4(p, from, to);
		if (pseudo)
			k->csum = ~csum_add(csum_sub(~k->csum, from), to);
		break;
	default:
		return ERR(-EINVAL);
	}
	if ((e & BPF_F_MARK_MANGLED_0) && !p[0] && !p[1])
		p[0] = p[1] = 0xff;
	return 0;
}

HELPER(csum_diff)
{
	uint32_t from_size = (uint32_t)b, to_size = (uint32_t)d, sum = (uint32_t)e;

	if (from_size && to_size)
		sum = csum_sub(csum_bytes(PTR(c), to_size, sum), csum_bytes(PTR(a), from_size, 0));
	else if (to_size)
		sum = csum_bytes(PTR(c), to_size, sum);
	else if (from_size)
		sum = ~csum_bytes(PTR(a), from_size, ~sum);
	return csum_fold16(sum);
}

HELPER(csum_update)
{
	struct packet *k = vc->env->packet;

	if (!k || k->csum_state != PACKET_CSUM_COMPLETE)
		return ERR(-ENOTSUPP);
	return k->csum = csum_add(k->csum, (uint32_t)b);
}

HELPER(csum_level)
{
	struct packet *k = vc->env->packet;
	const bool unnecessary = k && k->csum_state == PACKET_CSUM_UNNECESSARY;

	if (!k)
		return ERR(-EOPNOTSUPP);
	switch (b) {
	case BPF_CSUM_LEVEL_INC:
		if (unnecessary) {
			k->csum_level += k->csum_level < CSUM_LEVEL_MAX;
		} else if (k->csum_state == PACKET_CSUM_NONE) {
			k->csum_state = PACKET_CSUM_UNNECESSARY;
			k->csum_level = 0;
		}
		return 0;
	case BPF_CSUM_LEVEL_DEC:
		if (unnecessary && !k->csum_level)
			k->csum_state = PACKET_CSUM_NONE;
		else if (unnecessary)
			k->csum_level--;
		return 0;
	case BPF_CSUM_LEVEL_RESET:
		packet_csum_reset(k);
		return 0;
	case BPF_CSUM_LEVEL_QUERY:
		return unnecessary ? k->csum_level : ERR(-EACCES);
	}
	return ERR(-EINVAL);
}

/* ---- what the stack knows ---- */

HELPER(set_hash)
{
	struct packet *k = vc->env->packet;

	if (!k)
		return ERR(-EOPNOTSUPP);
	k->ctx.skb.hash = (uint32_t)b;
	k->hash_set = true;
	return 0;
}

HELPER(set_hash_invalid)
{
	struct packet *k = vc->env->packet;

	if (!k)
		return ERR(-EOPNOTSUPP);
	k->ctx.skb.hash = 0;
	k->hash_set = false;
	return 0;
}

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	for (const uint8_t *bytes = p; n; n--)
		h = (h ^ *bytes++) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

/* A number for the packet's flow, never 0. The kernel's is another at each boot. */
static uint32_t flow_hash(const struct packet *k)
{
	const uint8_t *ip = k->mem + k->net, *end = k->env.pkt_end, *l4 = NULL;
	uint64_t h = mix(0xcbf29ce484222325ULL, &k->ctx.skb.protocol, 2);
	uint8_t proto = 0;

	if (k->ctx.skb.protocol == htons(ETH_P_IP) && ip + 20 <= end) {
		h = mix(h, ip + 12, 8);
		proto = ip[9];
		if (!(packet_be16(ip + 6) & 0x3fff))
			l4 = ip + 4 * (ip[0] & 15);
	} else if (k->ctx.skb.protocol == htons(ETH_P_IPV6) && ip + 40 <= end) {
		h = mix(h, ip + 8, 32);
		proto = ip[6];
		l4 = ip + 40;
	}
	h = mix(h, &proto, 1);
	if (l4 && l4 + 4 <= end && (proto == IPPROTO_TCP || proto == IPPROTO_UDP))
		h = mix(h, l4, 4);
	h ^= h >> 32;
	return (uint32_t)h ? (uint32_t)h : 1;
}

HELPER(get_hash_recalc)
{
	struct packet *k = vc->env->packet;

	if (!k)
		return 0;
	if (!k->hash_set) {
		k->ctx.skb.hash = flow_hash(k);
		k->hash_set = true;
	}
	return k->ctx.skb.hash;
}

HELPER(skb_change_type)
{
	struct packet *k = vc->env->packet;

	if (!k || k->ctx.skb.pkt_type > PACKET_OTHERHOST || (uint32_t)b > PACKET_OTHERHOST)
		return ERR(-EINVAL);
	k->ctx.skb.pkt_type = (uint32_t)b;
	return 0;
}

HELPER(skb_set_tstamp)
{
	struct packet *k = vc->env->packet;
	uint16_t proto = k ? k->ctx.skb.protocol : 0;

	if (proto != htons(ETH_P_IP) && proto != htons(ETH_P_IPV6))
		return ERR(-EOPNOTSUPP);
	switch ((uint32_t)c) {
	case 1: /* monotonic */
	case 2: /* TAI */
		if (!b)
			return ERR(-EINVAL);
		/* fallthrough */
	case 0:
		k->ctx.skb.tstamp = b;
		k->ctx.skb.tstamp_type = (uint8_t)c;
		return 0;
	}
	return ERR(-EINVAL);
}

/* The protocol behind VLAN headers, in network byte order; 0: cut off. */
static uint16_t inner_protocol(const struct packet *k)
{
	uint16_t proto = k->ctx.skb.protocol;
	uint32_t depth = k->mac_len ? k->mac_len : PACKET_ETH + 4;

	for (int i = 0; proto == htons(ETH_P_8021Q) || proto == htons(ETH_P_8021AD); i++) {
		if (i == 7 || !writable(k, depth - 4, 4))
			return 0;
		memcpy(&proto, k->env.pkt + depth - 2, 2);
		depth += 4;
	}
	return proto;
}

static int ip4_set_ce(uint8_t *ip)
{
	uint32_t ecn = (ip[1] + 1) & 3, check = 0;

	/* not capable, or set already */
	if (!(ecn & 2))
		return !ecn;
	memcpy(&check, ip + 10, 2);
	check += htons(0xfffb) + htons((uint16_t)ecn);
	check += check >= 0xffff;
	memcpy(ip + 10, &check, 2);
	ip[1] |= 3;
	return 1;
}

static int ip6_set_ce(struct packet *k, uint8_t *ip)
{
	uint32_t from, to;

	if (!(ip[1] & 0x30))
		return 0;
	memcpy(&from, ip, 4);
	to = from | htonl(3 << 20);
	memcpy(ip, &to, 4);
	if (k->csum_state == PACKET_CSUM_COMPLETE)
		k->csum = csum_add(csum_sub(k->csum, from), to);
	return 1;
}

HELPER(skb_ecn_set_ce)
{
	struct packet *k = vc->env->packet;
	uint16_t proto = k ? inner_protocol(k) : 0;
	uint8_t *ip = k ? k->mem + k->net : NULL;

	if (proto == htons(ETH_P_IP) && packet_headlen(k) >= 20 && ip + 20 <= k->env.pkt_end)
		return ip4_set_ce(ip);
	if (proto == htons(ETH_P_IPV6) && packet_headlen(k) >= 40 && ip + 40 <= k->env.pkt_end)
		return ip6_set_ce(k, ip);
	return 0;
}
