/* SPDX-License-Identifier: BSD-2-Clause */
/* A tail call goes on in the other program with the same context and does not
 * come back; 33 of them, then they fall through; an empty slot falls through. */
#include <stdlib.h>

#include "prog.h"
#include "vm/verifier.h"

static struct vm_prog *slots[2];
static int asked;

static struct vm_prog *slot(struct map *m, uint32_t index)
{
	asked++;
	return index < 2 ? slots[index] : NULL;
}

#define TAIL(index) MOV64_K(3, index), CALL(BPF_FUNC_tail_call)

int main(void)
{
	/* counts itself in the context and calls itself again */
	struct bpf_insn self[] = {MOV64_X(6, 1),
				  INSN(BPF_LDX | BPF_DW | BPF_MEM, 2, 6, 0, 0),
				  INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 1),
				  INSN(BPF_STX | BPF_DW | BPF_MEM, 6, 2, 0, 0),
				  MOV64_K(2, 0),
				  TAIL(0),
				  MOV64_K(0, 7),
				  EXIT()};
	/* from a function: its caller goes on with the other program's R0 */
	struct bpf_insn nested[] = {MOV64_X(6, 1),
				    CALL_LOCAL(3),
				    INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 6, 0, 0),
				    INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
				    EXIT(),
				    MOV64_K(2, 0),
				    MOV64_K(6, 0),
				    TAIL(1),
				    MOV64_K(0, 5),
				    EXIT()};
	struct bpf_insn other[] = {MOV64_K(6, 0), MOV64_K(0, 100), EXIT()};
	struct vm_prog *p;
	struct vm_env env = {0};
	uint64_t ctx = 0, ret = 0;

	uaccess_init();
	slots[0] = prog_new(BPF_PROG_TYPE_XDP, self, sizeof(self) / sizeof(self[0]));
	CHECK_EQ(vm_run(slots[0], &ctx, NULL, &ret), 0);
	CHECK_EQ(ctx, 1); /* nobody serves prog arrays: every slot is empty */
	CHECK_EQ(ret, 7);

	vm_set_tail_call(slot);
	ctx = 0;
	CHECK_EQ(vm_run(slots[0], &ctx, NULL, &ret), 0);
	CHECK_EQ(ctx, 34);
	CHECK_EQ(ret, 7);
	CHECK_EQ(asked, 33);

	p = prog_new(BPF_PROG_TYPE_XDP, nested, sizeof(nested) / sizeof(nested[0]));
	ctx = 1000;
	CHECK_EQ(vm_run(p, &ctx, NULL, &ret), 0);
	CHECK_EQ(ret, 1005); /* slot 1 is empty */
	slots[1] = prog_new(BPF_PROG_TYPE_XDP, other, 3);
	CHECK_EQ(vm_run(p, &ctx, NULL, &ret), 0);
	CHECK_EQ(ret, 1100);

	/* a target that was verified for more context than this run has */
	slots[1]->aux = calloc(3, sizeof(*slots[1]->aux));
	for (int i = 0; i < 3; i++)
		slots[1]->aux[i].seen = true;
	slots[1]->aux[0].max_ctx_off = 64;
	env.ctx_size = 56;
	CHECK_EQ(vm_run(p, &ctx, &env, &ret), 0);
	CHECK_EQ(ret, 1005);
	env.ctx_size = 64;
	CHECK_EQ(vm_run(p, &ctx, &env, &ret), 0);
	CHECK_EQ(ret, 1100);
	vm_prog_free(p);
	vm_prog_free(slots[0]);
	vm_prog_free(slots[1]);
	return check_done();
}
