/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of a program, here and from the kernel, line by line: at level 1 of those that
 * are refused, at level 2 of those that are accepted. Left out are addresses of maps, the
 * statistics line, and what the kernel tells of its own analyses (mark_precise, live stack, when
 * it enters and leaves an SCC). The share of equal logs may not fall.
 *
 * Arguments: a part of a test's name: its two logs.
 */
#include "vt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "check.h"

static char log_ours[VT_LOG], log_kernel[VT_LOG], norm_ours[VT_LOG], norm_kernel[VT_LOG];

static bool own_analysis(const char *line)
{
	static const char *const begins[] = {"mark_precise:", "SCC ", "processed ", "subprog#"};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (!strncmp(line, begins[i], strlen(begins[i])))
			return true;
	if (line[0] == '(' && strstr(line, "live stack update"))
		return true;
	if (!strncmp(line, "frame ", 6) && strstr(line, ": propagating "))
		return true;
	if (line[0] == '(' && strstr(line, " frame ") && strstr(line, " insn "))
		return true;
	return false;
}

/* "7: R1=1" on a line of its own goes behind the instruction before it. */
static bool own_line_of_state(const char *line, char *out, const char *begin)
{
	char *end;

	strtol(line, &end, 10);
	if (end == line || end[0] != ':' ||
	    (strncmp(end, ": R", 3) && strncmp(end, ": frame", 7)) || out == begin)
		return false;
	return true;
}

static void normalize(const char *log, char *out)
{
	char *const begin = out;
	bool dropped = false;

	while (*log) {
		const char *end = strchr(log, '\n');
		size_t n = end ? (size_t)(end - log) : strlen(log);
		char line[4096];

		snprintf(line, sizeof(line), "%.*s", (int)(n < 4000 ? n : 4000), log);
		log += n + !!end;
		if (own_analysis(line)) {
			dropped |= line[0] == 'm' || line[0] == '(' || line[0] == 'S';
			continue;
		}
		if (dropped && own_line_of_state(line, out, begin)) {
			const char *state = strchr(line, ':') + 1;

			out--;
			out += sprintf(out, " ;%s\n", state);
			dropped = false;
			continue;
		}
		dropped = false;
		for (const char *p = line; *p; p++) {
			if (!strncmp(p, "= 0xffff", 8)) { /* where a map lies */
				char *after;

				strtoull(p + 2, &after, 16);
				out += sprintf(out, "= 0x0");
				for (p = after; *p == ' '; p++)
					;
				if (*p)
					out += sprintf(out, " ");
				p--;
				continue;
			}
			if (*p == ' ' && p[1] == ' ') /* nor how wide it is */
				continue;
			*out++ = *p;
		}
		*out++ = '\n';
	}
	*out = 0;
}

/* Level 4: three lines; their numbers, but for the time, into n. */
static bool statistics(const char *log, char depth[64], unsigned int n[6])
{
	unsigned long long usec;
	int end = 0;

	return sscanf(log,
		      "verification time %llu usec\nstack depth %63s\nprocessed %u insns (limit "
		      "%u) "
		      "max_states_per_insn %u total_states %u peak_states %u mark_read %u\n%n",
		      &usec, depth, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &end) == 8 &&
	       end && !log[end];
}

/* The same program's statistics: equal but for how often states were kept. */
static bool equal_statistics(const struct vt_prog *p)
{
	char depth[2][64];
	unsigned int n[2][6];

	vt_ours(p, log_ours, 4);
	vt_kernel(p, log_kernel, 4);
	if (!statistics(log_kernel, depth[1], n[1]))
		return true; /* the kernel found something to say about itself */
	if (!statistics(log_ours, depth[0], n[0])) {
		fprintf(stderr, "statistics of another form: %s", log_ours);
		check_failures++;
		return false;
	}
	CHECK_EQ(n[0][1], n[1][1]);
	CHECK_EQ(n[0][5], n[1][5]);
	return !strcmp(depth[0], depth[1]) && n[0][0] == n[1][0];
}

static void first_difference(const char *name)
{
	const char *a = norm_ours, *b = norm_kernel;

	while (*a && *b) {
		size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");

		if (n != m || strncmp(a, b, n)) {
			printf("%s\n  here:   %.*s\n  kernel: %.*s\n", name, (int)n, a, (int)m, b);
			return;
		}
		a += n + !!a[n];
		b += m + !!b[m];
	}
	printf("%s\n  one ends: here %.60s kernel %.60s\n", name, a, b);
}

int main(int argc, char **argv)
{
	const size_t n = sizeof(tests) / sizeof(tests[0]);
	size_t equal[3] = {0}, of[3] = {0};

	if (!vt_kernel_works())
		SKIP("bpf(2) is not permitted here: no kernel to compare with");
	for (size_t i = 0; i < n; i++) {
		const struct test *t = &tests[i];
		struct vt_prog p = {.type = t->type,
				    .insns = t->insns,
				    .cnt = t->cnt,
				    .funcs = t->funcs,
				    .func_cnt = t->func_cnt,
				    .not_gpl = t->not_gpl};
		const int level = t->want ? 1 : 2;
		int ours, theirs;

		if (argc > 1 && strcmp(argv[1], "-v") && !strstr(t->name, argv[1]))
			continue;
		if (strstr(t->name, "million"))
			continue;
		ours = vt_ours(&p, log_ours, level);
		theirs = vt_kernel(&p, log_kernel, level);
		if (!ours != !theirs)
			continue;
		if (strlen(log_ours) > VT_LOG / 2 || strlen(log_kernel) > VT_LOG / 2)
			continue;
		normalize(log_ours, norm_ours);
		normalize(log_kernel, norm_kernel);
		of[level - 1]++;
		if (argc > 1 && strcmp(argv[1], "-v"))
			printf("%s\n%s----- kernel\n%s", t->name, norm_ours, norm_kernel);
		if (!strcmp(norm_ours, norm_kernel))
			equal[level - 1]++;
		else if (argc > 1)
			first_difference(t->name);
		if (ours)
			continue;
		of[2]++;
		if (equal_statistics(&p))
			equal[2]++;
		else if (argc > 1)
			printf("%s\n  here:   %s  kernel: %s", t->name, log_ours, log_kernel);
	}
	printf("equal: %zu of %zu logs of refused programs, %zu of %zu of accepted ones; "
	       "%zu of %zu statistics\n",
	       equal[0], of[0], equal[1], of[1], equal[2], of[2]);
	if (argc == 1) {
		CHECK(equal[0] * 100 >= of[0] * 90);
		CHECK(equal[1] * 100 >= of[1] * 80);
		CHECK(equal[2] * 100 >= of[2] * 80);
	}
	return check_done();
}
