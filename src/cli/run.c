/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap run: a command, with the programs of an object on its system calls. */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bpfobj.h"

struct run_options {
	const char *output, *pin, *object;
	bool json;
};

/* The report goes to a file, standard output or standard error. */
static int run_report(struct bpfobj *o, const struct run_options *ro, FILE *file)
{
	FILE *out = file ? file : stderr;
	int ret = bpfobj_report(o, out, ro->json);

	if (file && file != stdout && fclose(file))
		ret = cli_error("%s: %s", ro->output, strerror(errno));
	return ret;
}

static int run_traced(struct bpfobj *o, const struct run_options *ro, struct event_options *eo)
{
	struct event_stats stats;
	FILE *file = NULL;
	bool new_file = false;
	int err, status;

	if (ro->output) {
		new_file = access(ro->output, F_OK) && errno == ENOENT;
		file = strcmp(ro->output, "-") ? fopen(ro->output, "we") : stdout;
		if (!file)
			return cli_error("%s: %s", ro->output, strerror(errno));
	}
	if (ro->pin) {
		err = bpfobj_pin(o, ro->pin);
		if (err)
			return err;
	}
	eo->targets = o->targets;
	eo->target_cnt = o->target_cnt;
	err = event_trace(eo, &status, &stats);
	if (err) {
		if (ro->pin)
			bpfobj_unpin(o, ro->pin);
		if (file && file != stdout) {
			fclose(file);
			/* What was there before, a device perhaps, stays. */
			if (new_file)
				unlink(ro->output);
		}
		return cli_trace_error(err, eo->argv[0], eo->pid);
	}
	if (stats.missed)
		cli_warn("%llu runs of programs were missed: every CPU's lease was held",
			 (unsigned long long)stats.missed);
	if (stats.faults)
		cli_warn("%llu runs of programs ended in a fault that the verifier should have "
			 "excluded; please report it with the object",
			 (unsigned long long)stats.faults);
	err = run_report(o, ro, file);
	return cli_wait_status(status) ?: err;
}

static int run_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},	  {"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'}, {"pid", required_argument, NULL, 'p'},
		{"pin", required_argument, NULL, 'P'},	  {0},
	};
	struct run_options ro = {0};
	struct event_options eo = {0};
	struct bpfobj o = {0};
	char path[PATH_MAX], *end;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "+hjo:p:", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			return cli_help(verb);
		case 'j':
			ro.json = true;
			break;
		case 'o':
			ro.output = optarg;
			break;
		case 'p':
			eo.pid = strtol(optarg, &end, 10);
			if (*end || eo.pid <= 0)
				return cli_usage(verb, "'%s' is not a process ID", optarg);
			break;
		case 'P':
			ro.pin = optarg;
			break;
		default:
			return cli_usage(verb, NULL);
		}
	}
	ro.object = argv[optind];
	if (!ro.object)
		return cli_usage(verb, "run needs a BPF object");
	eo.argv = argv + optind + 1;
	if (eo.argv[0] && !strcmp(eo.argv[0], "--"))
		eo.argv++;
	if (!eo.argv[0] == !eo.pid)
		return cli_usage(verb, "run needs either a command after -- or -p PID");
	if (!eo.pid) {
		ret = event_command_find(eo.argv[0], path, sizeof(path));
		if (ret)
			return cli_trace_error(ret, eo.argv[0], 0);
	}
	ret = bpfobj_open(&o, ro.object);
	if (!ret)
		ret = cli_rundir();
	if (!ret)
		ret = bpfobj_load(&o);
	if (!ret)
		ret = run_traced(&o, &ro, &eo);
	bpfobj_close(&o);
	return ret;
}

const struct verb verb_run = {
	.name = "run",
	.summary = "run a command, with the programs of a BPF object on its system calls",
	.main = run_main,
	.help = "usage: shmap run [OPTIONS] OBJECT -- COMMAND [ARGUMENTS]\n"
		"       shmap run [OPTIONS] -p PID OBJECT\n"
		"\n"
		"Loads the BPF object, attaches every program that system calls can run, runs\n"
		"COMMAND with its children and threads, and then prints each map: with its BTF, "
		"one\n"
		"element a line, per-CPU values after their sum. COMMAND's output is untouched.\n"
		"\n"
		"  -o, --output FILE  write the report to FILE ('-': standard output), not to\n"
		"                     standard error\n"
		"  -j, --json         the report as a JSON object: a member for each map, in the "
		"form\n"
		"                     of 'bpftool map dump'\n"
		"      --pin DIR      pin the maps at DIR/NAME (bpftool sees /sys/fs/bpf/DIR/NAME) "
		"and\n"
		"                     leave them there; pins of an earlier run are replaced\n"
		"  -p, --pid PID      attach to a running process with its threads, until it ends "
		"or ^C\n"
		"  -h, --help         this text\n"
		"\n"
		"Sections: fentry/ fexit/ kprobe/ kretprobe/__x64_sys_NAME, ksyscall/NAME,\n"
		"kretsyscall/NAME, tp_btf/ raw_tp/ raw_tracepoint/sys_enter and sys_exit,\n"
		"tracepoint/ tp/syscalls/sys_enter_NAME and sys_exit_NAME,\n"
		"tracepoint/raw_syscalls/sys_enter and sys_exit. Programs in others are named and\n"
		"left out.\n"
		"\n"
		"Exit status: COMMAND's (128+N when signal N killed it); 127 when it is not "
		"found,\n"
		"126 when it cannot be executed, 125 when the object cannot be run.\n"
		"\n"
		"Examples:\n"
		"  shmap run count_mmap.bpf.o -- ls -R /usr/include\n"
		"  shmap run --json -o counts.json count_mmap.bpf.o -- make\n"
		"  shmap run --pin demo count_mmap.bpf.o -- sleep 1\n"
		"  shmap run -p 1234 count_mmap.bpf.o\n",
};
