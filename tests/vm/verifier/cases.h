/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of small programs, one rule each, from both sides. */
#ifndef SHMAP_TESTS_VM_VERIFIER_CASES_H
#define SHMAP_TESTS_VM_VERIFIER_CASES_H

#include "vt.h"

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
#include "cases-bounds.h"
#include "cases-arith.h"
#include "cases-rules.h"
#include "cases-new.h"
};

#endif
