/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet that programs run on: its bytes with room before and behind them, what the
 * network stack would know about it, and the context that programs see.
 *
 *   mem                              pkt_meta   pkt        pkt_end  pkt_last    mem_end
 *    | room for helpers to grow into  | metadata | packet    | fragments | room    |
 *
 * Pointers into it are those of its own struct vm_env; helpers that change the packet
 * move them, and the verifier forgets what programs loaded of them before. Fragments
 * (XDP only) follow the linear part in memory; no pointer of a program reaches them.
 *
 * How to use it:
 *
 *	packet_alloc(&k, PROG_TYPE, bytes);
 *	packet_set_xdp() or packet_set_skb();	copies the bytes
 *	vm_run(prog, &k->ctx, &k->env, &ret);	any number of times
 *	packet_free(k);
 */
#ifndef SHMAP_VM_PACKET_H
#define SHMAP_VM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

#include "map/storage.h"
#include "vm/vm.h"

#define PACKET_ETH 14		/* bytes of an Ethernet header */
#define PACKET_XDP_HEADROOM 256 /* before the packet (and its metadata) */
#define PACKET_XDP_FRAME 40	/* of it the kernel's own */
#define PACKET_FRAME 4096	/* linear part of XDP, all included */
#define PACKET_TAIL 320		/* behind the linear part: the kernel's own */
#define PACKET_FRAGS 17
#define PACKET_SKB_MAX (4 * PACKET_FRAME - PACKET_TAIL) /* what helpers grow a packet to */
#define PACKET_UNSET INT32_MIN

/* Where BPF programs of XDP see one page at most. */
#define PACKET_XDP_LINEAR(meta)                                                                    \
	((uint32_t)(PACKET_FRAME - PACKET_TAIL - PACKET_XDP_HEADROOM) + (meta))

enum packet_csum { PACKET_CSUM_NONE, PACKET_CSUM_UNNECESSARY, PACKET_CSUM_COMPLETE };

/* The socket that a packet belongs to, as programs see it. */
struct packet_sock {
	struct bpf_sock view; /* first */
	struct storage_owner owner;
};

struct packet_tunnel {
	bool set;
	uint8_t flags;	  /* of bpf_skb_set_tunnel_key() */
	uint8_t opts_len; /* of the options; they are there when has_opts */
	bool has_opts;
	struct bpf_tunnel_key key;
	uint8_t opts[255];
};

struct packet {
	struct vm_env env; /* for vm_run(): pkt, pkt_end, pkt_meta, pkt_last are kept up to date */
	union {
		struct __sk_buff skb;
		struct xdp_md xdp;
	} ctx;
	bool is_xdp;
	uint32_t missing; /* bytes of the packet that a capture left out, behind the others */
	uint8_t *mem, *mem_end;
	bool own_mem; /* mapped, as helpers made more of it */
	/* XDP */
	uint32_t frag_cnt;
	/* skb: headers, as offsets from mem; they may lie before the packet */
	int32_t mac, net, trans; /* PACKET_UNSET: none */
	uint32_t room; /* bytes before the packet in a kernel's buffer: packet_need_head() */
	uint32_t mac_len;
	uint8_t csum_state; /* enum packet_csum */
	uint8_t csum_level;
	uint32_t csum; /* over what follows the link header: CSUM_COMPLETE */
	bool hash_set;
	bool encapsulation;
	struct packet_sock sock;
	struct packet_tunnel tunnel;
};

/* A packet of that program type with room for `bytes` bytes. 0, -ENOMEM, -EINVAL. */
int packet_alloc(struct packet **out, uint32_t prog_type, uint32_t bytes);
void packet_free(struct packet *k);

/*
 * The bytes of a frame, `meta` bytes of which stand in front of the packet as metadata. At
 * most `linear` (metadata included; at most PACKET_XDP_LINEAR(meta)) are in the linear
 * part. k->ctx.xdp is the caller's. 0; -ENOMEM: more than the fragments hold.
 */
int packet_set_xdp(struct packet *k, const void *bytes, uint32_t size, uint32_t meta,
		   uint32_t linear);
/*
 * An Ethernet frame as the loopback device would receive it. l2: programs see it from its
 * link header on, else from its network header. Sets all of k->ctx.skb, and of the socket
 * all but its owner, which is the caller's.
 */
int packet_set_skb(struct packet *k, const void *bytes, uint32_t size, bool l2);
/* The checksum of all behind the link header is known, as from a device that computes it. */
void packet_csum_complete(struct packet *k);

static inline uint32_t packet_headlen(const struct packet *k)
{
	return k->env.pkt_end - k->env.pkt;
}

/* Without the metadata, with the fragments. */
static inline uint32_t packet_len(const struct packet *k)
{
	return (k->env.pkt_last ? k->env.pkt_last : k->env.pkt_end) - k->env.pkt;
}

/* size bytes of header may be put in front of (pushed) or behind the packet: 0 or -ENOMEM. */
int packet_need_head(struct packet *k, uint32_t size);
int packet_need_tail(struct packet *k, uint32_t size);
/* A checksum that was found right need not be so any more. */
static inline void packet_csum_reset(struct packet *k)
{
	if (k->csum_state == PACKET_CSUM_UNNECESSARY)
		k->csum_state = k->csum_level = 0;
}

/* After a change of the packet's limits: the context says so too. */
void packet_changed(struct packet *k);

/* Big-endian 16 bits at p. */
static inline uint16_t packet_be16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* The protocol (network byte order) that follows an Ethernet header whose type is at p. */
uint16_t packet_eth_proto(const uint8_t *p, const uint8_t *end);

/* Sums of the Internet checksum: 32 bits, in ones' complement. */
static inline uint32_t csum_add(uint32_t a, uint32_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint32_t csum_sub(uint32_t a, uint32_t b)
{
	return csum_add(a, ~b);
}

static inline uint32_t csum_fold16(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

uint32_t csum_bytes(const void *p, size_t n, uint32_t sum);
/* Bytes at offset off are put into the sum, or taken out of it. */
uint32_t csum_block(uint32_t sum, uint32_t block, uint32_t off);

/* BPF_LD_ABS and BPF_LD_IND: `size` bytes at off as a number, or -EFAULT. */
int64_t packet_load(const struct vm_env *env, int32_t off, uint32_t size);

#endif
