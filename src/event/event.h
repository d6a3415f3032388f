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
	const char *name; /* as in struct link_header */
	uint64_t cookie;
};

/* Can this be served here? 0, or -ENOENT with a sentence in why. */
int event_target_check(enum link_event event, const char *name, char *why, size_t size);

struct event_options {
	const struct event_target *targets;
	unsigned int target_cnt;
	bool follow_links; /* shmap trace: serve every link of the runtime directory */
	/* ... and name those that cannot be served, once each; may be NULL */
	void (*report)(void *arg, const char *name, const char *why);
	void *report_arg;
	pid_t pid; /* -p PID, or 0: run argv */
	char *const *argv;
};

struct event_stats {
	uint64_t events; /* system calls that were delivered */
	uint64_t runs;	 /* of programs, to their end */
	uint64_t missed; /* no lease: not run */
	uint64_t faults; /* vm_run() failed: a bug */
};

/* The file that a command's name means (PATH). 0, -ENOENT, -EACCES (it is there but
 * cannot be executed) or -EISDIR. */
int event_command_find(const char *name, char *path, size_t size);

/*
 * Runs or attaches and delivers until the command and everything that it
 * started have ended; for a process, until SIGINT, SIGTERM or SIGHUP as well.
 * *status is wait(2)'s for the command, 0 for a process. 0; the errors of
 * event_command_find(); -ENOEXEC and others of a failed exec (nothing was run);
 * -ESRCH (no such process) or -EPERM (tracing is not permitted).
 */
int event_trace(const struct event_options *opt, int *status, struct event_stats *stats);

#endif
