/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers of XDP programs: the limits of the packet, and bytes in its fragments. */
#include "vm/helpers.h"

#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "vm/packet.h"

#define META_MAX 252

/* Where metadata may begin: what is before belongs to the frame. */
static uint8_t *room_begin(const struct packet *k)
{
	return k->mem + PACKET_XDP_FRAME;
}

static uint8_t *room_end(const struct packet *k)
{
	return k->mem + PACKET_FRAME - PACKET_TAIL;
}

HELPER(xdp_adjust_head)
{
	struct packet *k = vc->env->packet;
	int32_t by = (int32_t)b;
	uint32_t meta;

	if (!k)
		return ERR(-EOPNOTSUPP);
	meta = k->env.pkt - k->env.pkt_meta;
	if (k->env.pkt + by < room_begin(k) + meta || k->env.pkt + by > k->env.pkt_end - PACKET_ETH)
		return ERR(-EINVAL);
	memmove(k->env.pkt_meta + by, k->env.pkt_meta, meta);
	/* what joins the packet is the room's: nobody else's bytes stand there */
	k->env.pkt_meta += by;
	k->env.pkt += by;
	return 0;
}

HELPER(xdp_adjust_meta)
{
	struct packet *k = vc->env->packet;
	uint8_t *meta;
	uint32_t size;

	if (!k)
		return ERR(-EOPNOTSUPP);
	meta = k->env.pkt_meta + (int32_t)b;
	if (meta < room_begin(k) || meta > k->env.pkt)
		return ERR(-EINVAL);
	size = k->env.pkt - meta;
	if (size % 4 || size > META_MAX)
		return ERR(-EACCES);
	k->env.pkt_meta = meta;
	return 0;
}

static long frags_grow(struct packet *k, uint32_t n)
{
	uint32_t used = (k->env.pkt_last - k->env.pkt_end) - (k->frag_cnt - 1) * PACKET_FRAME;

	if (n > PACKET_FRAME - used)
		return -EINVAL;
	memset(k->env.pkt_last, 0, n);
	k->env.pkt_last += n;
	return 0;
}

static long frags_shrink(struct packet *k, uint32_t n)
{
	uint32_t frags = k->env.pkt_last - k->env.pkt_end;

	if ((int32_t)n < 0) /* the kernel's reading of -2^31 bytes */
		return 0;
	if (n > (int64_t)packet_len(k) - PACKET_ETH)
		return -EINVAL;
	if (n < frags) {
		k->env.pkt_last -= n;
		k->frag_cnt = (frags - n + PACKET_FRAME - 1) / PACKET_FRAME;
		return 0;
	}
	k->env.pkt_last = NULL;
	k->frag_cnt = 0;
	k->env.pkt_end -= n - frags;
	return 0;
}

HELPER(xdp_adjust_tail)
{
	struct packet *k = vc->env->packet;
	int32_t by = (int32_t)b;

	if (!k)
		return ERR(-EOPNOTSUPP);
	if (k->env.pkt_last)
		return ERR(by < 0 ? frags_shrink(k, -(uint32_t)by) : frags_grow(k, by));
	if (k->env.pkt_end + by > room_end(k) || k->env.pkt_end + by < k->env.pkt + PACKET_ETH)
		return ERR(-EINVAL);
	if (by > 0)
		memset(k->env.pkt_end, 0, by);
	k->env.pkt_end += by;
	return 0;
}

HELPER(xdp_get_buff_len)
{
	return vc->env->packet ? packet_len(vc->env->packet) : 0;
}

/* Linear part and fragments stand behind each other. */
static long find(const struct packet *k, uint32_t off, uint32_t size, uint8_t **at)
{
	if (!k)
		return -EOPNOTSUPP;
	if (off > 0xffff || size > 0xffff)
		return -EFAULT;
	if (off + size > packet_len(k))
		return -EINVAL;
	*at = k->env.pkt + off;
	return 0;
}

HELPER(xdp_load_bytes)
{
	uint32_t size = (uint32_t)d;
	uint8_t *at;
	long err = find(vc->env->packet, (uint32_t)b, size, &at);

	if (!err)
		memcpy(PTR(c), at, size);
	return ERR(err);
}

HELPER(xdp_store_bytes)
{
	uint8_t *at;
	long err = find(vc->env->packet, (uint32_t)b, (uint32_t)d, &at);

	if (!err)
		memcpy(at, PTR(c), (uint32_t)d);
	return ERR(err);
}
