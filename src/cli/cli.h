/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verbs of shmap(1) share. */
#ifndef SHMAP_CLI_CLI_H
#define SHMAP_CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses of shmap's own; otherwise it exits as the command did. */
enum cli_status {
	CLI_OK = 0,
	CLI_USAGE = 2,
	CLI_FAILED = 125, /* shmap could not do it; nothing was run */
	CLI_NOT_EXECUTABLE = 126,
	CLI_NOT_FOUND = 127,
};

struct verb {
	const char *name;
	const char *summary;
	const char *help; /* printed by --help */
	int (*main)(const struct verb *verb, int argc, char **argv);
};

extern const struct verb verb_run, verb_exec, verb_trace, verb_top, verb_watch, verb_doctor,
	verb_help;
extern const struct verb verb_version;
extern const struct verb *const verbs[]; /* ends with NULL */

/* Prints "shmap: " and one sentence; returns CLI_FAILED. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* After a wrong option (getopt has said which): where to look. CLI_USAGE. */
int cli_usage(const struct verb *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_help(const struct verb *verb);

/* A map by its id, its name, or where it is pinned: an fd, or < 0 after a sentence. */
int cli_map_open(const char *arg);

/* On a terminal only: one line that replaces itself; NULL removes it. */
void cli_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The runtime directory, or a sentence. 0 or CLI_FAILED. */
int cli_rundir(void);
/* What a failed event_trace() or event_command_find() means for argv0. */
int cli_trace_error(int err, const char *argv0, int pid);
/* The exit status for a status of wait(2). */
int cli_wait_status(int status);

/* The kernel's bpf(2), not ours (bpfcall.c). */
long cli_kernel_bpf(int cmd, void *attr, unsigned int size);

#endif
