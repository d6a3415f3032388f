/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs by a grammar (tests/vm/soundness/progen.h), each choice a byte of the input.
 * What the verifier accepts is run by the checking interpreter: an access outside
 * its object, or a register outside what was claimed of it, ends the fuzzer.
 */
#include "../tests/vm/verifier/vt.c"

#include "../tests/vm/soundness/checker.h"
#include "../tests/vm/soundness/progen.h"

#define RUNS 3

static struct trace trace;
static struct checker checker;
static struct progen program;
static char text[VT_LOG];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vt_prog p = {.insns = program.insns, .funcs = program.funcs};

	init();
	progen_from_bytes(&program, data, size);
	p.type = program.type;
	p.cnt = program.cnt;
	p.func_cnt = program.func_cnt;
	trace_begin(&trace);
	trace_reset(&trace);
	if (!vt_ours(&p, text, 0) && !trace.full) {
		for (int k = 0; k < RUNS; k++) {
			if (checker_run(&checker, &last, &trace, size * 7919 + k + 1))
				continue;
			fprintf(stderr, "%s\n", checker.why);
			progen_print(&program);
			abort();
		}
	}
	trace_end();
	return 0;
}
