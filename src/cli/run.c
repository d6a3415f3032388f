/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap run: a command, with the programs of an object on its system calls. */
#include "cli/run.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int run_output_open(const struct run_options *ro, FILE **file)
{
	*file = NULL;
	if (!ro->output)
		return 0;
	*file = strcmp(ro->output, "-") ? fopen(ro->output, "we") : stdout;
	return *file ? 0 : cli_error("%s: %s", ro->output, strerror(errno));
}

/* The report goes to a file, standard output or standard error. */
int run_report(struct bpfobj *o, const struct run_options *ro, FILE *file)
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

	if (ro->output)
		new_file = access(ro->output, F_OK) && errno == ENOENT;
	err = run_output_open(ro, &file);
	if (err)
		return err;
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

/* Options that only one source of events has. 0 or CLI_USAGE. */
static int check_options(const struct verb *verb, const struct run_options *ro,
			 const struct event_options *eo)
{
	if (ro->pcap && ro->iface)
		return cli_usage(verb, "--pcap and --iface are two sources; name one");
	if (!ro->pcap && !ro->iface) {
		if (ro->write || ro->progress || ro->outgoing || ro->count)
			return cli_usage(verb,
					 "--write, --progress, --direction and --count are for "
					 "packets; add --pcap FILE or --iface NAME");
		if (!eo->argv[0] == !eo->pid)
			return cli_usage(verb, "run needs either a command after --, -p PID, "
					       "--pcap FILE or --iface NAME");
		return 0;
	}
	if (eo->argv[0] || eo->pid)
		return cli_usage(verb, "packets come from a capture or an interface, not from a "
				       "command or process");
	if (ro->write && ro->output && !strcmp(ro->write, "-") && !strcmp(ro->output, "-"))
		return cli_usage(verb,
				 "the packets and the report cannot both go to standard output");
	return 0;
}

/* Below /sys/fs/bpf or the runtime directory's fs/: the same folder. */
static const char *pin_folder(const char *arg)
{
	static const char mount[] = "/sys/fs/bpf/";

	return strncmp(arg, mount, sizeof(mount) - 1) ? arg : arg + sizeof(mount) - 1;
}

static int run_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'c'},
		{"direction", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"iface", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"pcap", required_argument, NULL, 'r'},
		{"pid", required_argument, NULL, 'p'},
		{"pin", required_argument, NULL, 'P'},
		{"program", required_argument, NULL, 'n'},
		{"progress", no_argument, NULL, 'g'},
		{"reuse", required_argument, NULL, 'R'},
		{"write", required_argument, NULL, 'w'},
		{0},
	};
	struct run_options ro = {0};
	struct event_options eo = {0};
	struct bpfobj_want want = {0};
	struct bpfobj o = {0};
	char path[PATH_MAX], *end;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "+c:hi:jo:p:r:w:", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			ro.count = strtoull(optarg, &end, 10);
			if (*end || !ro.count || *optarg == '-')
				return cli_usage(verb, "'%s' is not a number of packets", optarg);
			break;
		case 'd':
			ro.outgoing = !strcmp(optarg, "out");
			if (!ro.outgoing && strcmp(optarg, "in"))
				return cli_usage(verb, "--direction is 'in' or 'out', not '%s'",
						 optarg);
			break;
		case 'g':
			ro.progress = true;
			break;
		case 'h':
			return cli_help(verb);
		case 'i':
			ro.iface = optarg;
			break;
		case 'j':
			ro.json = true;
			break;
		case 'n':
			want.program = optarg;
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
		case 'r':
			ro.pcap = optarg;
			break;
		case 'R':
			want.reuse = pin_folder(optarg);
			break;
		case 'w':
			ro.write = optarg;
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
	ret = check_options(verb, &ro, &eo);
	if (ret)
		return ret;
	want.use = ro.pcap || ro.iface ? BPFOBJ_PACKETS : BPFOBJ_SYSCALLS;
	if (want.use == BPFOBJ_SYSCALLS && !eo.pid) {
		ret = event_command_find(eo.argv[0], path, sizeof(path));
		if (ret)
			return cli_trace_error(ret, eo.argv[0], 0);
	}
	ret = bpfobj_open(&o, ro.object, &want);
	if (!ret)
		ret = cli_rundir();
	if (!ret)
		ret = bpfobj_load(&o);
	if (!ret)
		ret = want.use == BPFOBJ_PACKETS ? run_packets(&o, &ro) : run_traced(&o, &ro, &eo);
	bpfobj_close(&o);
	return ret;
}

const struct verb verb_run = {
	.name = "run",
	.summary = "run a command or a capture, with the programs of a BPF object on it",
	.main = run_main,
	.help = "usage: shmap run [OPTIONS] OBJECT -- COMMAND [ARGUMENTS]\n"
		"       shmap run [OPTIONS] -p PID OBJECT\n"
		"       shmap run [OPTIONS] --pcap FILE [--write FILE] OBJECT\n"
		"       shmap run [OPTIONS] --iface NAME [--write FILE] OBJECT\n"
		"\n"
		"Loads the BPF object, attaches every program that system calls can run, runs\n"
		"COMMAND with its children and threads, and then prints each map: with its BTF, "
		"one\n"
		"element a line, per-CPU values after their sum. COMMAND's output is untouched.\n"
		"With --pcap or --iface, runs the packet programs over a capture instead, and "
		"prints\n"
		"a table of their return codes behind the maps.\n"
		"\n"
		"  -o, --output FILE  write the report to FILE ('-': standard output), not to\n"
		"                     standard error\n"
		"  -j, --json         the report as a JSON object: a member for each map, in the "
		"form\n"
		"                     of 'bpftool map dump', and \"return codes\"\n"
		"      --pin DIR      pin the maps at DIR/NAME (bpftool sees /sys/fs/bpf/DIR/NAME) "
		"and\n"
		"                     leave them there; pins of an earlier run are replaced\n"
		"      --reuse DIR    use the maps that are pinned in DIR, with what is in them, "
		"in the\n"
		"                     place of the object's maps of the same names\n"
		"      --program NAME run this program only (others can still be tail-called)\n"
		"  -p, --pid PID      attach to a running process with its threads, until it ends "
		"or ^C\n"
		"  -h, --help         this text\n"
		"\n"
		"Packets:\n"
		"  -r, --pcap FILE    a capture, pcap or pcapng ('-': standard input)\n"
		"  -i, --iface NAME   what arrives at an interface, until ^C; needs CAP_NET_RAW.\n"
		"                     Programs get copies: the real packets go their way\n"
		"  -w, --write FILE   keep in FILE ('-': standard output) the packets that were "
		"passed,\n"
		"                     as the programs changed them\n"
		"  -c, --count N      stop after N packets\n"
		"      --direction D  'in' (default), or 'out': packets are outgoing "
		"(skb->pkt_type)\n"
		"      --progress     say how far it is, also when standard error is no terminal\n"
		"\n"
		"A packet passes the programs as on Linux: xdp, tc, cgroup_skb, then every socket\n"
		"filter. It is kept unless an xdp program returned other than XDP_PASS, XDP_TX or\n"
		"XDP_REDIRECT, a tc program TC_ACT_SHOT, TC_ACT_STOLEN or TC_ACT_TRAP, a "
		"cgroup_skb\n"
		"program 0, or all socket filters 0; a socket filter's value cuts it to so many "
		"bytes.\n"
		"\n"
		"Sections: fentry/ fexit/ kprobe/ kretprobe/__x64_sys_NAME, ksyscall/NAME,\n"
		"kretsyscall/NAME, tp_btf/ raw_tp/ raw_tracepoint/sys_enter and sys_exit,\n"
		"tracepoint/ tp/syscalls/sys_enter_NAME and sys_exit_NAME,\n"
		"tracepoint/raw_syscalls/sys_enter and sys_exit; for packets xdp, tc, classifier,\n"
		"action, cgroup_skb/ingress and egress, socket. Programs in others are named and\n"
		"left out.\n"
		"\n"
		"Exit status: COMMAND's (128+N when signal N killed it); 127 when it is not "
		"found,\n"
		"126 when it cannot be executed, 125 when the object cannot be run or the capture\n"
		"cannot be read to its end.\n"
		"\n"
		"Examples:\n"
		"  shmap run count_mmap.bpf.o -- ls -R /usr/include\n"
		"  shmap run --json -o counts.json count_mmap.bpf.o -- make\n"
		"  shmap run --pin demo count_mmap.bpf.o -- sleep 1\n"
		"  shmap run -p 1234 count_mmap.bpf.o\n"
		"  shmap run --pcap traffic.pcap count_protocols.bpf.o\n"
		"  shmap run --reuse fw --pcap in.pcap --write passed.pcap xdp_drop_lpm.bpf.o\n"
		"  tcpdump -i eth0 -w - | shmap run --pcap - count_protocols.bpf.o\n",
};
