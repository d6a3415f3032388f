/* SPDX-License-Identifier: BSD-2-Clause */
/* One packet, for who captures and who runs programs on it. */
#ifndef SHMAP_EVENT_PACKET_H
#define SHMAP_EVENT_PACKET_H

#include <stdint.h>

#define PACKET_HEADROOM 256 /* XDP_PACKET_HEADROOM */
#define PACKET_TAILROOM 320
#define PACKET_ETH_HEADER 14

/* An Ethernet frame; data has PACKET_HEADROOM bytes before it and PACKET_TAILROOM behind. */
struct packet {
	uint8_t *data;
	uint32_t len;	   /* bytes that are there */
	uint32_t wire_len; /* bytes that the frame had, when it was captured cut off */
	uint64_t ns;	   /* when: since 1970 */
	uint32_t ifindex;
	uint8_t pkt_type; /* PACKET_HOST, PACKET_OUTGOING... */
};

#endif
