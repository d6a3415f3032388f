/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs of a generator: those that the verifier accepts are run by an interpreter
 * that holds each memory access against its object and each register against what
 * the verifier claimed of it there (checker.h).
 *
 * SHMAP_TEST_OPS: programs (30000); SHMAP_TEST_SEED: the first one.
 */
#include "../verifier/vt.c"

#include <time.h>

#include "checker.h"
#include "progen.h"

#define RUNS 4

static struct trace trace;
static struct checker checker;
static struct progen program;
static char text[VT_LOG];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	const long n = ops ? atol(ops) : 30000, start = first ? atol(first) : 1;
	const bool talk = getenv("SHMAP_TEST_VERBOSE");
	long accepted = 0, runs = 0, unfinished = 0, too_long = 0;
	const double begin = now();

	init();
	trace_begin(&trace);
	for (long i = 0; i < n && check_failures < 5; i++) {
		struct vt_prog p = {.insns = program.insns, .funcs = program.funcs};
		bool fits = true;

		progen_from_seed(&program, start + i, 0);
		p.type = program.type;
		p.cnt = program.cnt;
		p.func_cnt = program.func_cnt;
		trace_reset(&trace);
		const double from = talk ? now() : 0;
		const int err = vt_ours(&p, text, 0);

		if (talk && now() - from > 0.2)
			printf("seed %ld: %.1f s\n", start + i, now() - from);
		if (err) {
			if (talk) {
				trace_end();
				vt_ours(&p, text, 1);
				trace_begin(&trace);
				printf("seed %ld: %s\n", start + i,
				       strlen(text) > 300 ? text + strlen(text) - 300 : text);
			}
			continue;
		}
		accepted++;
		if (trace.full) {
			too_long++;
			continue;
		}
		for (int k = 0; k < RUNS && fits; k++, runs++) {
			fits = checker_run(&checker, &last, &trace,
					   (uint64_t)(start + i) * RUNS + k);
			unfinished += fits && checker.why[0];
		}
		if (fits)
			continue;
		fprintf(stderr, "seed %ld: %s\n", start + i, checker.why);
		progen_print(&program);
		check_failures++;
	}
	trace_end();
	printf("%ld programs, %ld accepted (%ld too long to note), %ld runs of %.0f instructions, "
	       "%.2f paths' ends each, %.1f us of CPU a program\n",
	       n, accepted, too_long, runs, runs ? (double)checker.steps / runs : 0,
	       runs ? (double)checker.crossed / runs : 0, (now() - begin) * 1e6 / n);
	CHECK(accepted * 5 > n);
	return check_done();
}
