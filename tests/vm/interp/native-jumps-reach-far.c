/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jumps over more code than an instruction's short form reaches, ahead and back, and over just
 * as much as it does: a loop of three rounds around a body of every size near the limits.
 */
#include "prog.h"
#include "vm/jit.h"

/* A count of instructions that the compiler of native code must keep, one by one. */
static uint64_t run(struct bpf_insn *insns, uint32_t body, enum vm_engine engine)
{
	struct vm_prog *p;
	uint64_t ret = 0;
	uint32_t n = 0, back;

	insns[n++] = MOV64_K(0, 0);
	insns[n++] = MOV64_K(6, 0);
	/* ahead, over the body, when R6 is 3 (a conditional jump has 16 bits for it) */
	back = n;
	insns[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, 6, 0, 1, 3);
	insns[n++] = INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)body + 3);
	insns[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 6, 0, 0, 1);
	for (uint32_t i = 0; i < body; i++)
		insns[n++] = INSN(BPF_ALU64 | BPF_XOR | BPF_K, 0, 0, 0, 0x12345);
	insns[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1);
	insns[n] = INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)back - (int32_t)n - 1);
	n++;
	insns[n++] = EXIT();
	p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, n);
	p->engine = engine;
	CHECK_EQ(vm_run(p, NULL, NULL, &ret), 0);
	if (VM_HAVE_JIT && p->code)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	vm_prog_free(p);
	return ret;
}

/*
 * Conditional jumps over as many instructions as they can: stores of constants that are hidden,
 * which makes some 40 bytes of each.
 */
static uint64_t run_conditional(struct bpf_insn *insns, uint32_t body, enum vm_engine engine)
{
	struct vm_prog *p;
	uint64_t ret = 0;
	uint32_t n = 0;

	insns[n++] = MOV64_K(0, 0);
	insns[n++] = MOV64_K(6, 3);
	insns[n++] = INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 7);
	insns[n++] = INSN(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, (int16_t)body, 3);
	for (uint32_t i = 0; i < body; i++)
		insns[n++] = INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0x10000000 + (int32_t)i);
	insns[n++] = INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10, -8, 0);
	insns[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0);
	insns[n++] = INSN(BPF_ALU64 | BPF_SUB | BPF_K, 6, 0, 0, 1);
	insns[n] = INSN(BPF_JMP | BPF_JSGT | BPF_K, 6, 0, (int16_t)(3 - (int32_t)n - 1), 0);
	n++;
	insns[n++] = EXIT();
	p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, n);
	p->engine = engine;
	p->harden = true;
	CHECK_EQ(vm_run(p, NULL, NULL, &ret), 0);
	if (VM_HAVE_JIT && p->code)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	vm_prog_free(p);
	return ret;
}

int main(void)
{
	static const uint32_t bodies[] = {1, 14, 15, 16, 17, 18, 19, 21, 31, 32, 33, 70000};
	struct bpf_insn *insns = malloc(70016 * sizeof(*insns));

	REQUIRE(insns);
	for (unsigned int i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		CHECK_EQ(run(insns, bodies[i], VM_ENGINE_JIT),
			 run(insns, bodies[i], VM_ENGINE_INTERP));
	for (uint32_t body = 32740; body < 32750; body += 9)
		CHECK_EQ(run_conditional(insns, body, VM_ENGINE_JIT),
			 run_conditional(insns, body, VM_ENGINE_INTERP));
	free(insns);
	return check_done();
}
