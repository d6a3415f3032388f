/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap run: what its sources of events share. */
#ifndef SHMAP_CLI_RUN_H
#define SHMAP_CLI_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/bpfobj.h"

struct run_options {
	const char *output, *pin, *object;
	bool json;
	/* packets */
	const char *pcap, *iface, *write;
	bool progress, outgoing;
	uint64_t count; /* of packets; 0: all */
};

/* The file of the report, before anything runs; NULL: standard error. 0 or CLI_FAILED. */
int run_output_open(const struct run_options *ro, FILE **file);
int run_report(struct bpfobj *o, const struct run_options *ro, FILE *file);

/* Runs o's packet programs over a capture, prints the report. An exit status. */
int run_packets(struct bpfobj *o, const struct run_options *ro);

#endif
