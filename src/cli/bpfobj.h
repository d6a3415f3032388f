/* SPDX-License-Identifier: BSD-2-Clause */
/* A BPF object file on the command line: opened, judged, loaded. */
#ifndef SHMAP_CLI_BPFOBJ_H
#define SHMAP_CLI_BPFOBJ_H

#include <stdbool.h>
#include <stdio.h>
#include <bpf/libbpf.h>

#include "event/event.h"
#include "event/packets.h"

enum bpfobj_use {
	BPFOBJ_SYSCALLS, /* the programs that system calls run */
	BPFOBJ_PACKETS,	 /* the programs that take packets */
};

/* What is to be done with an object. */
struct bpfobj_want {
	enum bpfobj_use use;
	const char *program; /* run this one alone; NULL: all that fit */
	const char *reuse;   /* take the maps that are pinned in this folder; NULL: make all anew */
};

struct bpfobj {
	const char *path;
	struct bpfobj_want want;
	struct bpf_object *bpf;
	struct event_target *targets; /* BPFOBJ_SYSCALLS */
	unsigned int target_cnt;
	struct packet_prog *packet_progs; /* BPFOBJ_PACKETS, in the order in which they run */
	unsigned int packet_prog_cnt;
	/* prints what the report has besides the maps: lines, or members after a comma; may be NULL
	 */
	void (*report_more)(const struct bpfobj *o, FILE *out, bool json);
};

/* What a section's programs ask for. 0; -ENOENT with a sentence in why. name
 * needs room for 160 bytes. */
int section_event(const char *section, enum link_event *event, char *name, char *why, size_t size);

/* Opens path and decides about each program. 0, or CLI_FAILED with a sentence printed. */
int bpfobj_open(struct bpfobj *o, const char *path, const struct bpfobj_want *want);
/* Loads it and opens the programs that events shall run. As above. */
int bpfobj_load(struct bpfobj *o);
/* Pins every map at fs/DIR/NAME. */
int bpfobj_pin(struct bpfobj *o, const char *dir);
void bpfobj_unpin(struct bpfobj *o, const char *dir);
/* Prints every map. 0 or CLI_FAILED. */
int bpfobj_report(struct bpfobj *o, FILE *out, bool json);
void bpfobj_close(struct bpfobj *o);

#endif
