/* SPDX-License-Identifier: BSD-2-Clause */
/* A BPF object file on the command line: opened, judged, loaded. */
#ifndef SHMAP_CLI_BPFOBJ_H
#define SHMAP_CLI_BPFOBJ_H

#include <stdbool.h>
#include <stdio.h>
#include <bpf/libbpf.h>

#include "event/event.h"

struct bpfobj {
	const char *path;
	struct bpf_object *bpf;
	struct event_target *targets;
	unsigned int target_cnt;
};

/* What a section's programs ask for. 0; -ENOENT with a sentence in why. name
 * needs room for 160 bytes. */
int section_event(const char *section, enum link_event *event, char *name, char *why, size_t size);

/* Opens path and decides about each program. 0, or CLI_FAILED with a sentence printed. */
int bpfobj_open(struct bpfobj *o, const char *path);
/* Loads it and opens the programs that events shall run. As above. */
int bpfobj_load(struct bpfobj *o);
/* Pins every map at fs/DIR/NAME. */
int bpfobj_pin(struct bpfobj *o, const char *dir);
void bpfobj_unpin(struct bpfobj *o, const char *dir);
/* Prints every map. 0 or CLI_FAILED. */
int bpfobj_report(struct bpfobj *o, FILE *out, bool json);
void bpfobj_close(struct bpfobj *o);

#endif
