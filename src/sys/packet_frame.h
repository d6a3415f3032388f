/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame on its way to programs; by itself, for who captures frames and knows no programs. */
#ifndef SHMAP_SYS_PACKET_FRAME_H
#define SHMAP_SYS_PACKET_FRAME_H

#include <stdint.h>

struct packet_frame {
	const void *bytes;
	uint32_t size;	    /* bytes that there are; at least 14, at most snaplen */
	uint32_t wire_size; /* bytes that the packet had; 0: size. __sk_buff.len counts them */
	uint64_t tstamp;    /* ns since 1970; __sk_buff.tstamp */
	uint32_t ifindex;   /* where it arrived; 0: 1 */
	uint32_t pkt_type;  /* PACKET_HOST (0), PACKET_OUTGOING...; __sk_buff.pkt_type */
};

#endif
