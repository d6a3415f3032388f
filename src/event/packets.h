/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets as a source of events: each passes the packet programs in the order in
 * which Linux has them behind a network device.
 *
 *   xdp -> tc (sched_cls, sched_act) -> cgroup_skb -> socket filters
 *
 * Programs of one kind run in the order in which they are given. A packet that
 * one of them drops goes no further, nor does one that it sends elsewhere
 * (XDP_TX, XDP_REDIRECT, TC_ACT_REDIRECT). Each socket filter is that of a
 * packet socket of its own: it sees the link header, and what it returns decides
 * about its own copy only.
 */
#ifndef SHMAP_EVENT_PACKETS_H
#define SHMAP_EVENT_PACKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/packet_run.h"

#define PACKET_CODES_MAX 64 /* return codes that are counted one by one, per program */

struct packet_code {
	uint32_t code;
	uint64_t packets, bytes; /* bytes as on the wire */
};

struct packet_prog {
	struct vm_prog *prog;
	const char *name;
	struct packet_code codes[PACKET_CODES_MAX]; /* in the order of their first packet */
	uint32_t code_cnt, last;
	struct packet_code others; /* all that found no room in codes */
	uint64_t runs, missed, faults;
	uint64_t unfit; /* packets without a whole link header, or longer than the program takes */
	struct packet_run *run;
};

/* Does a program of this type take packets? */
bool packet_prog_type(uint32_t prog_type);
/* "xdp", "socket filter"... */
const char *packet_prog_kind(uint32_t prog_type);
/* "XDP_DROP", "TC_ACT_OK"...; NULL for a code without a name. */
const char *packet_code_name(uint32_t prog_type, uint32_t code);
/* Puts programs into the kernel's order; equal ones keep theirs. */
void packet_progs_sort(struct packet_prog *progs, uint32_t cnt);

/* Before the first packet: of at most snaplen bytes. 0 or -errno. */
int packets_begin(struct packet_prog *progs, uint32_t cnt, uint32_t snaplen);
void packets_end(struct packet_prog *progs, uint32_t cnt);

/*
 * Runs the programs on f. True: the packet is kept. f is then what is left of it, as the
 * programs changed it, and valid until the next packet. Kept is a packet that
 *   - no xdp program dropped: XDP_PASS, XDP_TX and XDP_REDIRECT keep it,
 *   - no tc program took: TC_ACT_SHOT, TC_ACT_STOLEN and TC_ACT_TRAP do, other codes keep it,
 *   - every cgroup_skb program allowed (bit 0),
 *   - some socket filter took, where there are any and the packet came so far; it is cut to
 *     the largest number of bytes that one of them returned.
 * A program that could not run (its counts say why) lets the packet pass.
 */
bool packets_run(struct packet_prog *progs, uint32_t cnt, struct packet_frame *f);

#endif
