/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captured packets: files (pcap, pcapng) and network devices, by libpcap. This file's code
 * is a library of its own, so that only the command needs libpcap.
 */
#ifndef SHMAP_EVENT_CAPTURE_H
#define SHMAP_EVENT_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/packet_frame.h"

struct capture;
struct capture_writer;

#define CAPTURE_WHY 512 /* room for a sentence about an error */

/*
 * path "-" is standard input. NULL with a sentence in why. Link types other than Ethernet
 * that hold IP packets (Linux "cooked", raw IP, BSD loopback) get an Ethernet header.
 */
struct capture *capture_open_file(const char *path, char *why);
/* What arrives there, or what leaves. As above. */
struct capture *capture_open_iface(const char *name, bool outgoing, char *why);
void capture_close(struct capture *c);

/* The longest frame that capture_next() gives. */
uint32_t capture_snaplen(const struct capture *c);
/* The next packet: 1; 0 at the end; -1 with a sentence in why. f->bytes stay valid until
 * the next call. pkt_type is that of an arriving packet. On a
 * device it also returns -2: nothing came for a while. */
int capture_next(struct capture *c, struct packet_frame *f, char *why);

/* Bytes of the file that were read, and all that it has; 0: not known. */
uint64_t capture_position(const struct capture *c, uint64_t *size);

/* Keeps packets, as Ethernet frames, with time stamps as precise as c's are. path "-" is
 * standard output. Refuses to write the file that c reads. */
struct capture_writer *capture_write_open(const struct capture *c, const char *path, char *why);
void capture_write(struct capture_writer *w, const struct packet_frame *f);
/* 0, or -1 with a sentence in why. */
int capture_write_close(struct capture_writer *w, char *why);

#endif
