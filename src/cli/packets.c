/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap run --pcap and --iface: a capture, with the packet programs of an object on it. */
#include "cli/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include "cli/cli.h"
#include "cli/dump.h"
#include "event/capture.h"

#define LOOK_EVERY 1024		 /* packets between two looks at the clock */
#define PROGRESS_NS 200000000ULL /* between two lines, on a terminal */
#define PROGRESS_LINES_NS 2000000000ULL

static volatile sig_atomic_t interrupted;

static void interrupt(int sig)
{
	interrupted = 1;
}

struct progress {
	bool asked;
	uint64_t shown; /* ns */
	uint64_t packets, kept, bytes;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void progress_show(const struct progress *pr, const struct capture *c)
{
	char percent[32] = "";
	uint64_t size, at = capture_position(c, &size);

	if (size)
		snprintf(percent, sizeof(percent), ", %u %% of the file",
			 (unsigned int)((double)at * 100 / size));
	if (isatty(STDERR_FILENO))
		cli_progress("%llu packets, %llu bytes%s", (unsigned long long)pr->packets,
			     (unsigned long long)pr->bytes, percent);
	else
		fprintf(stderr, "shmap: %llu packets, %llu bytes%s\n",
			(unsigned long long)pr->packets, (unsigned long long)pr->bytes, percent);
}

/* On a terminal, once the run takes long; elsewhere when asked. */
static void progress_look(struct progress *pr, const struct capture *c)
{
	bool tty = isatty(STDERR_FILENO);
	uint64_t now;

	if (!tty && !pr->asked)
		return;
	now = now_ns();
	if (now - pr->shown < (tty ? PROGRESS_NS : PROGRESS_LINES_NS))
		return;
	pr->shown = now;
	progress_show(pr, c);
}

/* ---- the report ---- */

static void print_code(const struct packet_prog *pp, const struct packet_code *c, FILE *out)
{
	const char *name = packet_code_name(pp->prog->type, c->code);

	if (name)
		fprintf(out, "  %s (%d): ", name, (int)c->code);
	else
		fprintf(out, "  %d: ", (int)c->code);
	fprintf(out, "%llu packets, %llu bytes\n", (unsigned long long)c->packets,
		(unsigned long long)c->bytes);
}

static void print_codes(const struct bpfobj *o, FILE *out)
{
	for (unsigned int i = 0; i < o->packet_prog_cnt; i++) {
		const struct packet_prog *pp = &o->packet_progs[i];

		fprintf(out, "%s: %s, return codes\n", pp->name, packet_prog_kind(pp->prog->type));
		for (uint32_t k = 0; k < pp->code_cnt; k++)
			print_code(pp, &pp->codes[k], out);
		if (pp->others.packets)
			fprintf(out, "  other codes: %llu packets, %llu bytes\n",
				(unsigned long long)pp->others.packets,
				(unsigned long long)pp->others.bytes);
		if (!pp->code_cnt)
			fputs("  (no packets)\n", out);
	}
}

/* The member's name has a space, as no map's has. */
static void print_codes_json(const struct bpfobj *o, FILE *out)
{
	bool maps = false;
	struct bpf_map *map;

	bpf_object__for_each_map(map, o->bpf)
	{
		maps |= bpf_map__fd(map) >= 0;
	}
	fprintf(out, "%s\n  \"return codes\": {", maps ? "," : "");
	for (unsigned int i = 0; i < o->packet_prog_cnt; i++) {
		const struct packet_prog *pp = &o->packet_progs[i];

		fprintf(out, "%s\n    ", i ? "," : "");
		dump_string(out, pp->name);
		fprintf(out, ": {\"type\": \"%s\", \"codes\": [", packet_prog_kind(pp->prog->type));
		for (uint32_t k = 0; k < pp->code_cnt; k++) {
			const struct packet_code *c = &pp->codes[k];
			const char *name = packet_code_name(pp->prog->type, c->code);

			fprintf(out, "%s{\"code\": %d, ", k ? ", " : "", (int)c->code);
			if (name)
				fprintf(out, "\"name\": \"%s\", ", name);
			fprintf(out, "\"packets\": %llu, \"bytes\": %llu}",
				(unsigned long long)c->packets, (unsigned long long)c->bytes);
		}
		fprintf(out, "], \"other_packets\": %llu, \"other_bytes\": %llu}",
			(unsigned long long)pp->others.packets,
			(unsigned long long)pp->others.bytes);
	}
	fputs("\n  }", out);
}

static void report_codes(const struct bpfobj *o, FILE *out, bool json)
{
	if (json)
		print_codes_json(o, out);
	else
		print_codes(o, out);
}

static void warn_of_runs(const struct bpfobj *o)
{
	uint64_t missed = 0, faults = 0, unfit = 0;

	for (unsigned int i = 0; i < o->packet_prog_cnt; i++) {
		missed += o->packet_progs[i].missed;
		faults += o->packet_progs[i].faults;
		unfit += o->packet_progs[i].unfit;
	}
	if (unfit)
		cli_warn("%llu packets went past a program: they lack a whole Ethernet header, or "
			 "are "
			 "longer than such a program can take",
			 (unsigned long long)unfit);
	if (missed)
		cli_warn("%llu runs of programs were missed: every CPU's lease was held",
			 (unsigned long long)missed);
	if (faults)
		cli_warn("%llu runs of programs ended in a fault that the verifier should have "
			 "excluded; please report it with the object",
			 (unsigned long long)faults);
}

/* ---- the run ---- */

static int run_all(struct bpfobj *o, const struct run_options *ro, struct capture *c,
		   struct capture_writer *w, struct progress *pr)
{
	char why[CAPTURE_WHY];
	struct packet_frame f;
	int got = 1;

	while (!interrupted && (!ro->count || pr->packets < ro->count)) {
		got = capture_next(c, &f, why);
		if (got == -2) { /* a device, and nothing came */
			progress_look(pr, c);
			got = 1;
			continue;
		}
		if (got != 1)
			break;
		if (ro->outgoing)
			f.pkt_type = PACKET_OUTGOING;
		pr->packets++;
		pr->bytes += f.wire_size;
		if (packets_run(o->packet_progs, o->packet_prog_cnt, &f)) {
			pr->kept++;
			if (w)
				capture_write(w, &f);
		}
		if (!(pr->packets % LOOK_EVERY))
			progress_look(pr, c);
	}
	if (pr->asked && !isatty(STDERR_FILENO))
		progress_show(pr, c);
	cli_progress(NULL);
	if (got < 0 && !interrupted)
		return cli_error("%s: %s (after %llu packets)",
				 !ro->pcap		 ? ro->iface
				 : strcmp(ro->pcap, "-") ? ro->pcap
							 : "standard input",
				 why, (unsigned long long)pr->packets);
	return 0;
}

/* ^C ends the capture, not the report. */
static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = interrupt, .sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int run_packets(struct bpfobj *o, const struct run_options *ro)
{
	struct progress pr = {.asked = ro->progress, .shown = now_ns()};
	struct capture_writer *w = NULL;
	struct capture *c;
	char why[CAPTURE_WHY];
	FILE *file = NULL;
	int ret, err;

	c = ro->iface ? capture_open_iface(ro->iface, ro->outgoing, why)
		      : capture_open_file(ro->pcap, why);
	if (!c)
		return cli_error("%s", why);
	ret = run_output_open(ro, &file);
	if (!ret && ro->pin)
		ret = bpfobj_pin(o, ro->pin);
	if (!ret && ro->write) {
		w = capture_write_open(c, ro->write, why);
		if (!w)
			ret = cli_error("%s", why);
	}
	if (!ret && packets_begin(o->packet_progs, o->packet_prog_cnt, capture_snaplen(c)))
		ret = cli_error("%s", strerror(ENOMEM));
	if (ret) {
		packets_end(o->packet_progs, o->packet_prog_cnt);
		if (w)
			capture_write_close(w, why);
		if (file && file != stdout)
			fclose(file);
		capture_close(c);
		return ret;
	}
	catch_signals();
	ret = run_all(o, ro, c, w, &pr);
	if (w && capture_write_close(w, why))
		ret = cli_error("%s", why);
	if (w && !ret)
		cli_warn("%llu of %llu packets were kept in %s", (unsigned long long)pr.kept,
			 (unsigned long long)pr.packets, ro->write);
	packets_end(o->packet_progs, o->packet_prog_cnt);
	warn_of_runs(o);
	o->report_more = report_codes;
	err = run_report(o, ro, file);
	capture_close(c);
	return ret ? ret : err;
}
