/* SPDX-License-Identifier: BSD-2-Clause */
/* Small programs for tests: instructions, a struct vm_prog around them, and
 * the same instructions on the kernel where it lets us. */
#ifndef SHMAP_TESTS_VM_PROG_H
#define SHMAP_TESTS_VM_PROG_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/uaccess.h"
#include "check.h"
#include "vm/interp.h"
#include "vm/vm.h"

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV64_K(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV64_X(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define LD_IMM64(d, v)                                                                             \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, 0, 0, (int32_t)(uint64_t)(v)),                          \
		INSN(0, 0, 0, 0, (int32_t)((uint64_t)(v) >> 32))
#define LD_FUNC(d, rel)                                                                            \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_FUNC, 0, rel), INSN(0, 0, 0, 0, 0)
#define LD_MAP(d, index)                                                                           \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, index), INSN(0, 0, 0, 0, 0)
#define CALL(id) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, id)
#define CALL_LOCAL(rel) INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, rel)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static inline struct vm_prog *prog_new(uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = calloc(1, sizeof(*p));

	REQUIRE(p);
	p->type = type;
	p->insn_cnt = cnt;
	p->insns = malloc(cnt * sizeof(*insns));
	REQUIRE(p->insns);
	memcpy(p->insns, insns, cnt * sizeof(*insns));
	return p;
}

/* R0 of a run; dies when the run fails. */
static inline uint64_t prog_run(const struct bpf_insn *insns, uint32_t cnt, void *ctx)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, cnt);
	uint64_t ret = 0x5555555555555555;
	int err = vm_run(p, ctx, NULL, &ret);

	if (err) {
		fprintf(stderr, "vm_run: %d\n", err);
		exit(1);
	}
	vm_prog_free(p);
	return ret;
}

#define RUN(ctx, ...)                                                                              \
	prog_run((struct bpf_insn[]){__VA_ARGS__},                                                 \
		 sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), ctx)

/* The kernel's. */
static inline long kernel_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static inline int kernel_load(uint32_t type, const struct bpf_insn *insns, uint32_t cnt, char *log,
			      uint32_t log_size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = cnt;
	attr.license = (uintptr_t) "GPL";
	attr.log_buf = (uintptr_t)log;
	attr.log_size = log_size;
	attr.log_level = log ? 1 : 0;
	return (int)kernel_bpf(BPF_PROG_LOAD, &attr);
}

static inline bool kernel_there(void)
{
	struct bpf_insn insns[] = {MOV64_K(0, 0), EXIT()};
	int fd = kernel_load(BPF_PROG_TYPE_XDP, insns, 2, NULL, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static inline void kernel_required(void)
{
	if (!kernel_there())
		SKIP("bpf(2) does not load programs here (%s)", strerror(errno));
}

#endif
