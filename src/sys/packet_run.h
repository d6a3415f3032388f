/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs on a sequence of packets: a capture, a live interface.
 *
 *	packet_run_begin(&r, prog, snaplen);
 *	for each packet:
 *		packet_run(r, &frame, &verdict);
 *		bytes = packet_run_bytes(r, &size);	as the program left them
 *	packet_run_end(r);
 *
 * socket_filter, sched_cls, sched_act, cgroup_skb and xdp programs; one thread per run. A
 * frame begins with its Ethernet header (who has packets without one puts one in front).
 * Socket filters see it from there, as on a packet socket; cgroup_skb programs from the
 * network header on, and packet_run_bytes() has the link header in front in any case.
 */
#ifndef SHMAP_SYS_PACKET_RUN_H
#define SHMAP_SYS_PACKET_RUN_H

#include <stdint.h>

#include "sys/packet_frame.h"
#include "vm/vm.h"

struct packet_run;

/* 0; -EINVAL: not a program on packets; -ENOMEM. p must outlive the run. */
int packet_run_begin(struct packet_run **out, struct vm_prog *p, uint32_t snaplen);
/*
 * Takes a CPU lease for the run and counts it where statistics are on. 0 and the
 * program's result; -EINVAL (a frame too short), -ENOMEM (more than snaplen, or than XDP
 * takes), -EBUSY (no lease), or the error of a run that faulted.
 */
int packet_run(struct packet_run *r, const struct packet_frame *f, uint32_t *verdict);
/* The packet after its last run. Valid until the next. */
const void *packet_run_bytes(const struct packet_run *r, uint32_t *size);
void packet_run_end(struct packet_run *r);

#endif
