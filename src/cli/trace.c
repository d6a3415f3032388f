/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap trace: a command as the source of events for loaders elsewhere. */
#include "cli/cli.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

#include "event/event.h"

static void report(void *arg, const char *name, const char *why)
{
	cli_warn("a link on %s is not served: %s", name, why);
}

static int trace_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"pid", required_argument, NULL, 'p'},
		{"stats", no_argument, NULL, 's'},
		{0},
	};
	struct event_options eo = {.follow_links = true, .report = report};
	struct event_stats stats;
	char path[PATH_MAX], *end;
	bool show = false;
	int opt, err, status;

	while ((opt = getopt_long(argc, argv, "+hp:s", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			return cli_help(verb);
		case 's':
			show = true;
			break;
		case 'p':
			eo.pid = strtol(optarg, &end, 10);
			if (*end || eo.pid <= 0)
				return cli_usage(verb, "'%s' is not a process ID", optarg);
			break;
		default:
			return cli_usage(verb, NULL);
		}
	}
	eo.argv = argv + optind;
	if (!eo.argv[0] == !eo.pid)
		return cli_usage(verb, "trace needs either a command or -p PID");
	if (!eo.pid) {
		err = event_command_find(eo.argv[0], path, sizeof(path));
		if (err)
			return cli_trace_error(err, eo.argv[0], 0);
	}
	err = cli_rundir();
	if (err)
		return err;
	err = event_trace(&eo, &status, &stats);
	if (err)
		return cli_trace_error(err, eo.argv[0], eo.pid);
	if (show)
		cli_warn("%llu system calls delivered, %llu program runs, %llu missed",
			 (unsigned long long)stats.events, (unsigned long long)stats.runs,
			 (unsigned long long)stats.missed);
	return cli_wait_status(status);
}

const struct verb verb_trace = {
	.name = "trace",
	.summary = "run a command as the source of events for loaders elsewhere",
	.main = trace_main,
	.help = "usage: shmap trace [-s] -- COMMAND [ARGUMENTS]\n"
		"       shmap trace [-s] -p PID\n"
		"\n"
		"Runs COMMAND, or attaches to the process PID, and runs on its system calls the\n"
		"programs that loaders on the same runtime directory have attached, also those "
		"that\n"
		"they attach while it runs. A system call that no program asks for costs nothing,\n"
		"unless a program is attached later than COMMAND starts, or by -p.\n"
		"\n"
		"  -p, --pid PID  trace a running process with its threads, until it ends or ^C\n"
		"  -s, --stats    say at the end how many events and runs there were\n"
		"  -h, --help     this text\n"
		"\n"
		"Exit status: COMMAND's (128+N when signal N killed it); 127 when it is not "
		"found,\n"
		"126 when it cannot be executed, 125 when it cannot be traced.\n"
		"\n"
		"Example:\n"
		"  shmap exec -- ./opensnoop &     # a loader with bpf_program__attach()\n"
		"  shmap trace -- make             # its events\n",
};
