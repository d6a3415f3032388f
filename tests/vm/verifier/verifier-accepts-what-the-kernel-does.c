/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each rule of the verifier from both sides: small programs, the verdict, and
 * for a refusal the words of the log that people search for. Where bpf(2) is
 * permitted the kernel must give the same verdict and the same words.
 */
#include "vt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "check.h"

/* What differs, and why: docs/compat.md says the same in its section on programs (the test looks
 * there for the words of `doc`). */
static const struct {
	const char *name; /* or its beginning, with a star */
	const char *doc;
} explained[] = {
#include "explained.h"
};

static bool explained_used[sizeof(explained) / sizeof(explained[0])];

static const char *explanation(const char *name)
{
	for (size_t i = 0; i < sizeof(explained) / sizeof(explained[0]); i++) {
		const char *star = strchr(explained[i].name, '*');

		if (star ? strncmp(name, explained[i].name, (size_t)(star - explained[i].name))
			 : strcmp(name, explained[i].name))
			continue;
		explained_used[i] = true;
		return explained[i].doc;
	}
	return NULL;
}

/* The fault: the last line before the statistics. */
static void fault_line(const char *log, char *line, size_t size)
{
	const char *end = strstr(log, "\nprocessed "), *next, *begin;
	const char *loop = strstr(log, "infinite loop detected");

	if (loop) { /* states follow */
		snprintf(line, size, "%.*s", (int)strcspn(loop, "\n"), loop);
		return;
	}

	while (end && (next = strstr(end + 1, "\nprocessed ")))
		end = next;
	if (!end)
		end = log + strlen(log);
	while (end > log && end[-1] == '\n')
		end--;
	for (begin = end; begin > log && begin[-1] != '\n'; begin--)
		;
	snprintf(line, size, "%.*s", (int)(end - begin), begin);
	if (strstr(line, "processed ")) /* behind a message without a newline */
		*strstr(line, "processed ") = 0;
}

/* The words of a message without its numbers: what it says, not of which byte. */
static void words(char *line)
{
	char *to = line;

	for (const char *at = line; *at; at++) {
		if (*at == '0' && at[1] == 'x') {
			at += 2;
			while (*at && strchr("0123456789abcdef", *at))
				at++;
			*to++ = '#';
		} else if (*at >= '0' && *at <= '9') {
			while (at[1] >= '0' && at[1] <= '9')
				at++;
			*to++ = '#';
			continue;
		} else {
			*to++ = *at;
			continue;
		}
		at--;
	}
	*to = 0;
}

static const char *tail(const char *log)
{
	const size_t n = strlen(log);

	return n > 1000 ? log + n - 1000 : log;
}

static char log_ours[VT_LOG], log_kernel[VT_LOG];

static struct {
	size_t compared, accepts, accepts_too, refuses, refuses_too, said, said_too, differ;
} total;

/* How ours differs from the kernel's verdict, or NULL. */
static const char *difference(int ours, int theirs)
{
	char a[400], b[400], was[400];

	total.compared++;
	if (!theirs) {
		total.accepts++;
		total.accepts_too += !ours;
		return ours ? "the kernel accepts it" : NULL;
	}
	total.refuses++;
	total.refuses_too += !!ours;
	if (!ours)
		return "THE KERNEL REFUSES IT";
	fault_line(log_ours, a, sizeof(a));
	fault_line(log_kernel, b, sizeof(b));
	snprintf(was, sizeof(was), "%s", b);
	words(a);
	words(b);
	total.said++;
	total.said_too += !strcmp(a, b);
	if (strcmp(a, b))
		return "other words";
	return ours == theirs ? NULL : "another errno";
}

static void check_explanations(const char *file)
{
	static char text[1 << 20];
	FILE *f = fopen(file, "r");

	REQUIRE(f);
	REQUIRE(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	for (char *c = text; *c; c++) /* lines are broken anywhere */
		if (*c == '\n')
			memmove(c, c + (c[1] == ' ' && c[2] == ' ' ? 2 : 0),
				strlen(c + (c[1] == ' ' && c[2] == ' ' ? 2 : 0)) + 1),
				*c = ' ';
	for (size_t i = 0; i < sizeof(explained) / sizeof(explained[0]); i++) {
		if (!strstr(text, explained[i].doc)) {
			fprintf(stderr, "'%s' is explained nowhere in %s\n", explained[i].doc,
				file);
			check_failures++;
		}
		if (vt_kernel_works() && !explained_used[i]) {
			fprintf(stderr, "'%s' is explained, but there is no difference\n",
				explained[i].name);
			check_failures++;
		}
	}
}

static void check_one(const struct test *t, bool verbose)
{
	struct vt_prog p = {.type = t->type,
			    .insns = t->insns,
			    .cnt = t->cnt,
			    .funcs = t->funcs,
			    .func_cnt = t->func_cnt,
			    .not_gpl = t->not_gpl};
	/* an accepted program's log may overflow on the way: only for refusals */
	const uint32_t level = verbose ? 2 : t->want ? 1 : 0;
	const int ours = vt_ours(&p, log_ours, level);
	const char *differs, *why;
	int theirs;

	if (verbose)
		printf("%s: ours %d\n%s\n", t->name, ours, log_ours);
	if (!ours != !t->want || (t->want && !strstr(log_ours, t->want))) {
		fprintf(stderr, "%s: %d, wanted %s\n%s\n", t->name, ours,
			t->want ? t->want : "acceptance", tail(log_ours));
		check_failures++;
	}
	if (!vt_kernel_works())
		return;
	theirs = vt_kernel(&p, log_kernel, level);
	if (theirs == -ENOSPC) /* the log: what of the program? */
		theirs = vt_kernel(&p, log_kernel, 0), strcpy(log_kernel, log_ours);
	if (verbose)
		printf("%s: kernel %d\n%s\n", t->name, theirs, log_kernel);
	differs = difference(ours, theirs);
	if (!differs != !t->flags) {
		fprintf(stderr, "%s: %s\n", t->name,
			differs ? "differs" : "is marked as different, but is not");
		check_failures++;
	}
	if (!differs)
		return;
	total.differ++;
	why = explanation(t->name);
	if (why && (ours || !theirs))
		return;
	fprintf(stderr, "%s: %s (here %d, kernel %d)\n%s\n%s\n", t->name, differs, ours, theirs,
		tail(log_ours), tail(log_kernel));
	check_failures++;
}

int main(int argc, char **argv)
{
	const size_t n = sizeof(tests) / sizeof(tests[0]);
	const char *only = getenv("SHMAP_TEST_ONLY");

	for (size_t i = 0; i < n; i++)
		if (!only || strstr(tests[i].name, only))
			check_one(&tests[i], only);
	printf("%zu programs, %zu compared with the kernel:\n"
	       "  it accepts %zu, of them accepted here %zu (%.2f %%)\n"
	       "  it refuses %zu, of them refused here %zu, in its words %zu (%.2f %%)\n"
	       "  %zu differences, each explained in docs/compat.md\n",
	       n, total.compared, total.accepts, total.accepts_too,
	       total.accepts ? total.accepts_too * 100.0 / total.accepts : 100, total.refuses,
	       total.refuses_too, total.said_too,
	       total.said ? total.said_too * 100.0 / total.said : 100, total.differ);
	CHECK(n >= 500);
	CHECK_EQ(total.refuses_too, total.refuses);
	CHECK(total.accepts_too * 100 >= total.accepts * 98);
	if (argc > 1 && !only)
		check_explanations(argv[1]);
	return check_done();
}
