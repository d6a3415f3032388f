/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first instruction of a program or of a function may be where a loop begins: who
 * jumps there comes in once, and leaves once.
 */
#include "prog.h"
#include "vm/jit.h"

#define JGT_K(d, v, off) INSN(BPF_JMP | BPF_JGT | BPF_K, d, 0, off, v)
#define SUB_K(d, v) INSN(BPF_ALU64 | BPF_SUB | BPF_K, d, 0, 0, v)
#define ADD_K(d, v) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, v)
#define CNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t run(enum vm_engine engine, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, cnt);
	uint64_t ret = 0;

	p->engine = engine;
	CHECK_EQ(vm_run(p, (void *)1000, NULL, &ret), 0);
	if (VM_HAVE_JIT)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	vm_prog_free(p);
	return ret;
}

int main(void)
{
	/* R1, which is 1000 at first, counts down; R6 to R9 and the stack are used */
	struct bpf_insn prog[] = {
		SUB_K(1, 1), MOV64_X(6, 1), INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 1, -8, 0),
		JGT_K(1, 0, -4), CALL(BPF_FUNC_ktime_get_ns), MOV64_K(0, 42), EXIT()};
	/* the same in a function, whose caller has kept something */
	struct bpf_insn func[] = {
		MOV64_K(6, 7), CALL_LOCAL(2), INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6, 0, 0), EXIT(),
		SUB_K(1, 1), MOV64_X(6, 1), INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 1, -8, 0),
		JGT_K(1, 0, -4), MOV64_K(0, 42), EXIT()};

	uaccess_init();
	vm_set_trace_fd(-1);
	for (enum vm_engine e = VM_ENGINE_INTERP; e <= VM_ENGINE_JIT; e++) {
		CHECK_EQ(run(e, prog, CNT(prog)), 42);
		CHECK_EQ(run(e, func, CNT(func)), 49);
	}
	return check_done();
}
