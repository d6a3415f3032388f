/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generated programs: what the verifier accepts, the kernel's accepts as well.
 * (The other way round is counted, and may not pass one in fifty of what the kernel
 * accepts: refusing more is not unsafe, but programs have to load.)
 *
 * The exception that docs/compat.md lists: where 6.18 forgets part of a range that it knew,
 * programs are found that it refuses for the range and that are safe. Not more than one
 * in 10000 (and one) is let pass, and only with such a message.
 *
 * SHMAP_TEST_OPS: how many; SHMAP_TEST_SEED: the first one's seed. A failure
 * prints its seed.
 */
#include "vt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "../soundness/progen.h"

static struct progen program;

static bool about_a_range(const char *log)
{
	return strstr(log, "is outside of the allowed memory range") ||
	       strstr(log, "unbounded m") || strstr(log, "min value is negative") ||
	       strstr(log, "misaligned stack access") || strstr(log, "outside of the packet") ||
	       strstr(log, "invalid variable-offset");
}

/*
 * Programs that the kernel is not asked about, because it may not survive the question. 6.18
 * takes the way out of a legacy packet load in a function for a return when it walks back for
 * precision, but does not enter the function there: at the call it leaves frame 0, and sets
 * bits in a mask 16 GiB behind its own memory before it notices (docs/kernel/semantics.md).
 */
static bool harms_the_kernel(const struct progen *g)
{
	uint32_t first = g->cnt;

	for (uint32_t i = 0; i < g->func_cnt; i++)
		if (g->funcs[i].insn && g->funcs[i].insn < first)
			first = g->funcs[i].insn;
	for (uint32_t i = first; i < g->cnt; i++) {
		uint8_t code = g->insns[i].code;

		if (BPF_CLASS(code) == BPF_LD &&
		    (BPF_MODE(code) == BPF_ABS || BPF_MODE(code) == BPF_IND))
			return true;
	}
	return false;
}

static char log_[VT_LOG], klog[VT_LOG];

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	const long n = ops ? atol(ops) : 800, start = first ? atol(first) : 1;
	long both = 0, stricter = 0, refused = 0, laxer = 0, defects = 0, not_asked = 0;

	if (!vt_kernel_works())
		SKIP("bpf(2) is not permitted here: no kernel to compare with");
	if (getenv("SHMAP_TEST_LOG")) { /* both logs of the first one */
		struct vt_prog p = {.insns = program.insns, .funcs = program.funcs};

		progen_from_seed(&program, start, 0);
		p.type = program.type;
		p.cnt = program.cnt;
		p.func_cnt = program.func_cnt;
		progen_print(&program);
		printf("here: %d\n", vt_ours(&p, log_, 2));
		printf("%s\n", log_);
		if (harms_the_kernel(&program))
			SKIP("the kernel is not asked about this one");
		printf("kernel: %d\n", vt_kernel(&p, klog, 2));
		printf("%s\n", klog);
		return 0;
	}
	for (long i = 0; i < n && check_failures < 5; i++) {
		struct vt_prog p = {.insns = program.insns, .funcs = program.funcs};
		int ours, theirs;

		progen_from_seed(&program, start + i, 0);
		p.type = program.type;
		p.cnt = program.cnt;
		p.func_cnt = program.func_cnt;
		if (harms_the_kernel(&program)) {
			not_asked++;
			continue;
		}
		ours = vt_ours(&p, log_, 0);
		theirs = vt_kernel(&p, klog, 0);
		if (theirs == -EFAULT) /* "verifier bug": its own fault, no verdict */
			continue;
		if (!ours && !theirs)
			both++;
		else if (ours && theirs)
			refused++;
		else if (ours)
			stricter++;
		if (getenv("SHMAP_TEST_VERBOSE") && ours && !theirs) {
			vt_ours(&p, log_, 1);
			printf("stricter, seed %ld: %s\n", start + i,
			       strlen(log_) > 400 ? log_ + strlen(log_) - 400 : log_);
		}
		if (ours || !theirs)
			continue;
		vt_kernel(&p, klog, 1);
		/* no verdict on the program: its own fault, or out of patience */
		if (strstr(klog, "verifier bug:") || strstr(klog, "is too complex") ||
		    strstr(klog, "BPF program is too large")) {
			defects++;
			continue;
		}
		if (about_a_range(klog) && laxer * 10000 <= n) {
			laxer++;
			continue;
		}
		fprintf(stderr, "seed %ld: accepted here, %d in the kernel:\n", start + i, theirs);
		progen_print(&program);
		fprintf(stderr, "%s\n", strlen(klog) > 3000 ? klog + strlen(klog) - 3000 : klog);
		check_failures++;
	}
	printf("%ld programs: both accept %ld, both refuse %ld, only the kernel accepts %ld, "
	       "only shmap %ld; %ld got no verdict from the kernel, %ld were not shown to it\n",
	       n, both, refused, stricter, laxer, defects, not_asked);
	CHECK(n < 100 || both > n / 4);
	CHECK(stricter * 50 <= both + stricter);
	return check_done();
}
