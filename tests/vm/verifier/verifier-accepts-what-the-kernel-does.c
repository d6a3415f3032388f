/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each rule of the verifier from both sides: small programs, the verdict, and
 * for a refusal the words of the log that people search for. Where bpf(2) is
 * permitted the kernel must give the same verdict and the same words.
 */
#include "vt.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#define S 1 /* the kernel is laxer: stricter here on purpose (docs/compat.md) */
#define W 2 /* the kernel refuses too, in other words or with another errno */

struct test {
	const char *name;
	uint32_t type;
	bool not_gpl;
	const char *want;
	int flags;
	const struct bpf_insn *insns;
	uint32_t cnt;
	struct vt_func funcs[3];
	uint32_t func_cnt;
};

#define SK BPF_PROG_TYPE_SOCKET_FILTER, false
#define SKN BPF_PROG_TYPE_SOCKET_FILTER, true
#define XDP BPF_PROG_TYPE_XDP, false
#define TC BPF_PROG_TYPE_SCHED_CLS, false
#define LIST(...)                                                                                  \
	(const struct bpf_insn[])                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define T2(name, type, gpl, want, flags, ...)                                                      \
	{                                                                                          \
		name, type, gpl, want, flags, LIST(__VA_ARGS__),                                   \
			sizeof(LIST(__VA_ARGS__)) / sizeof(struct bpf_insn)                        \
	}
#define T(name, type, ...) T2(name, type, __VA_ARGS__)
/* with func_info: the program, and one more function (first instruction, is it
 * global, kind of prototype); first 0: none */
#define TF2(name, type, gpl, want, flags, first, global, kind, ...)                                \
	{                                                                                          \
		name, type, gpl, want, flags, LIST(__VA_ARGS__),                                   \
			sizeof(LIST(__VA_ARGS__)) / sizeof(struct bpf_insn),                       \
			{{0, false, 2}, {first, global, kind}}, first ? 2 : 1                      \
	}
#define TF(...) TF2(__VA_ARGS__)
/* two callbacks of bpf_loop, and where they begin */
#define TF3_(name, type, gpl, want, flags, first, second, ...)                                     \
	{                                                                                          \
		name, type, gpl, want, flags, LIST(__VA_ARGS__),                                   \
			sizeof(LIST(__VA_ARGS__)) / sizeof(struct bpf_insn),                       \
			{{0, false, 2}, {first, false, 0}, {second, false, 0}}, 3                  \
	}
#define TF3(...) TF3_(__VA_ARGS__)

static const struct test tests[] = {
#include "cases-form.h"
#include "cases-memory.h"
#include "cases-calls.h"
#include "cases-pruning.h"
#include "cases-soundness.h"
#include "cases-new.h"
};

/* The end of a log: the fault. */
static const char *tail(const char *log)
{
	const size_t n = strlen(log);

	return n > 1000 ? log + n - 1000 : log;
}

static char log_ours[VT_LOG], log_kernel[VT_LOG];

int main(int argc, char **argv)
{
	const size_t n = sizeof(tests) / sizeof(tests[0]);
	size_t compared = 0;

	for (size_t i = 0; i < n; i++) {
		const struct test *t = &tests[i];
		struct vt_prog p = {.type = t->type,
				    .insns = t->insns,
				    .cnt = t->cnt,
				    .funcs = t->funcs,
				    .func_cnt = t->func_cnt,
				    .not_gpl = t->not_gpl};
		int ours, theirs;

		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		/* an accepted program's log may overflow on the way: only for refusals */
		const uint32_t level = argc > 1 ? 2 : t->want ? 1 : 0;

		ours = vt_ours(&p, log_ours, level);
		if (argc > 1)
			printf("%s: ours %d\n%s\n", t->name, ours, log_ours);
		if (!ours != !t->want || (t->want && !strstr(log_ours, t->want))) {
			fprintf(stderr, "%s: %d, wanted %s\n%s\n", t->name, ours,
				t->want ? t->want : "acceptance", tail(log_ours));
			check_failures++;
		}
		if (!vt_kernel_works())
			continue;
		compared++;
		theirs = vt_kernel(&p, log_kernel, level);
		if (argc > 1)
			printf("%s: kernel %d\n%s\n", t->name, theirs, log_kernel);
		if (t->flags & S) {
			if (!ours || (theirs && !(t->flags & W))) {
				fprintf(stderr,
					"%s: listed as stricter, but kernel %d, here %d\n%s",
					t->name, theirs, ours, tail(log_kernel));
				check_failures++;
			}
			continue;
		}
		if (!ours != !theirs || (!(t->flags & W) && ours != theirs) ||
		    (t->want && !(t->flags & W) && !strstr(log_kernel, t->want))) {
			fprintf(stderr, "%s: here %d, kernel %d (wanted %s)\n%s\n%s\n", t->name,
				ours, theirs, t->want ? t->want : "acceptance", tail(log_ours),
				tail(log_kernel));
			check_failures++;
		}
	}
	printf("%zu programs, %zu compared with the kernel\n", n, compared);
	return check_done();
}
