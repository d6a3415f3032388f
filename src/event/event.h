/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event sources: the system calls of a traced command or process, delivered to
 * the programs whose links ask for them.
 */
#ifndef SHMAP_EVENT_EVENT_H
#define SHMAP_EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/sys.h"

/* One thing to serve: a program and the event that it wants. */
struct event_target {
	struct vm_prog *prog;
	enum link_event event;
	const char *name;		/* as in struct link_header */
	uint64_t cookie;
};

/* Can this be served here? 0, or -ENOENT with a sentence in why. */
int event_target_check(enum link_event event, const char *name, char *why, size_t size);

struct event_options {
	const struct event_target *targets;
	unsigned int target_cnt;
	bool follow_links;		/* shmap trace: serve every link of the runtime directory */
	pid_t pid;			/* -p PID, or 0: run argv */
	char *const *argv;
};

struct event_stats {
	uint64_t events, runs, missed;
};

/* Runs or attaches and delivers until the command has ended. *status is wait(2)'s. */
int event_trace(const struct event_options *opt, int *status, struct event_stats *stats);

#endif
