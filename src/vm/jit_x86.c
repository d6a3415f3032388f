/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: functions, jumps, and the way in.
 *
 * A function's frame, when it uses its stack:
 *
 *	return address
 *	caller's rbp		<- rbp = R10
 *	512 bytes		   the verifier lets nothing else be touched
 *	rbx, r13, r14, r15	   those that it uses
 *
 * The stack is always all of the 512 bytes: what is saved below it must not depend
 * on the verifier's having counted every byte.
 */
#include "vm/jit_x86.h"

#if VM_HAVE_JIT

#include <ucontext.h>

#include "base/errors.h"
#include "vm/helpers.h"
#include "vm/jit_x86_call.h"
#include "vm/verifier.h"

/*
 * jit_enter(): fault_guard_set(), fault_guard_enter() and fault_guard_leave() around the
 * call, without a store and a load more than need be. The guard is what __builtin_longjmp()
 * takes: frame, where to, stack, shadow stack.
 */
__asm__(".pushsection .text\n"
	".balign 16\n"
	".globl jit_enter\n.hidden jit_enter\n.type jit_enter, @function\n"
	"jit_enter:\n"
	"	.cfi_startproc\n"
	"	pushq %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset 6, -16\n"
	"	movq %rsp, %rbp\n"
	"	.cfi_def_cfa_register 6\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	pushq %rcx\n"
	"	movq %rdi, %r12\n"
	"	movq fault_guard_top@gottpoff(%rip), %r13\n"
	"	movq %fs:(%r13), %rbx\n"
	"	movq %rbx, (%r12)\n"
	"	movq %rbp, 8(%r12)\n"
	"	leaq 1f(%rip), %rax\n"
	"	movq %rax, 16(%r12)\n"
	"	movq %rsp, 24(%r12)\n"
	"	xorl %eax, %eax\n"
	"	rdsspq %rax\n"
	"	movq %rax, 32(%r12)\n"
	"	movq %r12, %fs:(%r13)\n"
	"	movq %rdx, %rdi\n"
	"	call *%rsi\n"
	"	movq %rbx, %fs:(%r13)\n"
	"	popq %rcx\n"
	"	movq %rax, (%rcx)\n"
	"	movl $1, %eax\n"
	"2:	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	.cfi_def_cfa 7, 8\n"
	"	ret\n"
	"	.cfi_def_cfa 6, 16\n"
	"1:	endbr64\n"
	"	popq %rcx\n"
	"	xorl %eax, %eax\n"
	"	jmp 2b\n"
	"	.cfi_endproc\n"
	".size jit_enter, .-jit_enter\n"
	".popsection\n");

_Static_assert(!offsetof(struct vm_context, guard) && !offsetof(struct fault_guard, outer) &&
		       offsetof(struct fault_guard, regs) == 8,
	       "as jit_enter() fills it");

/*
 * jit_call(vc, entry, r1, r2, r3, r4); and jit_to_interp, where native code that was
 * left by a tail call goes on when the program there is interpreted.
 */
__asm__(".pushsection .text\n"
	".balign 16\n"
	".globl jit_call\n.hidden jit_call\n.type jit_call, @function\n"
	"jit_call:\n"
	"	.cfi_startproc\n"
	"	pushq %r12\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset 12, -16\n"
	"	movq %rdi, %r12\n"
	"	movq %rsi, %rax\n"
	"	movq %rdx, %rdi\n"
	"	movq %rcx, %rsi\n"
	"	movq %r8, %rdx\n"
	"	movq %r9, %rcx\n"
	"	call *%rax\n"
	"	popq %r12\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size jit_call, .-jit_call\n"
	".globl jit_to_interp\n.hidden jit_to_interp\n.type jit_to_interp, @function\n"
	"jit_to_interp:\n"
	"	movq %rdi, %rsi\n"
	"	movq %r12, %rdi\n"
	"	jmp interp_run\n"
	".size jit_to_interp, .-jit_to_interp\n"
	".hidden interp_run\n"
	".popsection\n");

void x86_call(struct jit *j, uintptr_t fn)
{
	if (jit_mem_near(fn)) {
		e8(j, 0xe8);
		e32(j, (uint32_t)(fn - (j->base + j->pos + 4)));
		return;
	}
	mov_imm(j, R10, fn);
	e8(j, 0x41);
	e8(j, 0xff);
	e8(j, 0xd2);
}

/* Emits a jump over `off` bytes, if it were a short one. */
static void jump(struct jit *j, int cc, int64_t off)
{
	if (is_imm8(off) && !j->long_jumps) {
		e8(j, cc < 0 ? JMP8 : JCC8(cc));
		e8(j, (uint8_t)off);
		return;
	}
	if (cc < 0) {
		e8(j, 0xe9);
	} else {
		e8(j, 0x0f);
		e8(j, 0x80 | (uint8_t)cc);
	}
	/* backwards: from the end of the longer form */
	if (off < 0)
		off -= cc < 0 ? 3 : 4;
	e32(j, (uint32_t)off);
}

/* Back, to what this pass has emitted. */
static void jump_back(struct jit *j, int cc, uint32_t to)
{
	jump(j, cc, (int64_t)to - (j->pos + 2));
}

/*
 * To an instruction. What lies ahead is where it was in the pass before: as far from the
 * end of this instruction as then, or less far.
 */
static void jump_to(struct jit *j, int cc, uint32_t i, int64_t to)
{
	/* a function is entered once, wherever its loops begin */
	if (j->flags[to] & JIT_FUNC) {
		if (to != j->funcs[j->func].insn)
			j->err = -EOPNOTSUPP;
		jump_back(j, cc, j->body);
	} else if (to > i) {
		jump(j, cc, (int64_t)j->at[to] - j->at[i + 1]);
	} else {
		jump_back(j, cc, j->at[to]);
	}
}

void x86_blind(struct jit *j, uint32_t i, uint8_t reg, uint64_t v, bool wide)
{
	uint64_t key = (j->blind_seed + i) * 0x9e3779b97f4a7c15ull;

	key ^= key >> 29;
	key *= 0xbf58476d1ce4e5b9ull;
	key ^= key >> 32;
	if (!wide || is_imm32((int64_t)v)) {
		uint32_t k = (uint32_t)key | 0x10001;

		/* mov reg, sign-extended or not; xor with the same extension */
		rex(j, wide, 0, reg);
		e8(j, 0xc7);
		e8(j, 0xc0 | (reg & 7));
		e32(j, (uint32_t)v ^ k);
		rex(j, wide, 0, reg);
		e8(j, 0x81);
		e8(j, 0xf0 | (reg & 7));
		e32(j, k);
		return;
	}
	rex(j, true, 0, reg);
	e8(j, 0xb8 | (reg & 7));
	e64(j, v ^ key);
	/* (r9 holds nothing here) */
	rex(j, true, 0, R9);
	e8(j, 0xb8 | (R9 & 7));
	e64(j, key);
	op_rr(j, true, X86_XOR, R9, reg);
}

/* ---- functions ---- */

static const struct {
	uint8_t bpf, reg;
} saved[] = {{6, RBX}, {7, R13}, {8, R14}, {9, R15}};

static bool has_frame(const struct jit *j)
{
	return j->used & 1U << BPF_REG_10;
}

/* Does rsp need 8 bytes more to be aligned at calls? */
static bool needs_pad(const struct jit *j)
{
	unsigned int n = has_frame(j) ? 1 : 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(saved); i++)
		n += j->used >> saved[i].bpf & 1;
	return j->calls && !(n & 1);
}

/* Zeroes in what the verifier saw used: some helper reads what was never written. */
static void zero_stack(struct jit *j)
{
	uint32_t depth = round_up_u64(j->depth, 8);

	if (depth <= 32) {
		for (uint32_t off = 8; off <= depth; off += 8) {
			op_mem(j, true, 0xc7, 0, RBP, -(int32_t)off);
			e32(j, 0);
		}
		return;
	}
	mov_rr(j, true, R10, RDI);
	mov_rr(j, true, R11, RCX);
	op_mem(j, true, 0x8d, RDI, RBP, -(int32_t)depth);
	mov_imm(j, RCX, depth / 8);
	mov_imm(j, RAX, 0);
	e8(j, 0xf3);
	e8(j, 0x48);
	e8(j, 0xab);
	mov_rr(j, true, RDI, R10);
	mov_rr(j, true, RCX, R11);
}

void jit_prologue(struct jit *j)
{
	if (has_frame(j)) {
		push(j, RBP);
		mov_rr(j, true, RBP, RSP);
		op_imm(j, true, X86_SUB, RSP, VM_FRAME_STACK + (needs_pad(j) ? 8 : 0));
	} else if (needs_pad(j)) {
		push(j, RAX);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(saved); i++)
		if (j->used >> saved[i].bpf & 1)
			push(j, saved[i].reg);
	if (j->p->aux && j->p->aux[0].zero_stack && has_frame(j))
		zero_stack(j);
}

void x86_leave(struct jit *j)
{
	for (unsigned int i = ARRAY_SIZE(saved); i-- > 0;)
		if (j->used >> saved[i].bpf & 1)
			pop(j, saved[i].reg);
	if (has_frame(j))
		e8(j, 0xc9); /* leave */
	else if (needs_pad(j))
		pop(j, R11);
}

static void emit_exit(struct jit *j)
{
	uint32_t *at = &j->at[j->cnt + 1 + j->func];

	if (j->returned) {
		jump_back(j, -1, *at);
		return;
	}
	j->returned = true;
	if (*at != j->pos)
		j->moved = true;
	*at = j->pos;
	x86_leave(j);
	e8(j, 0xc3);
}

void jit_emit_dead(struct jit *j)
{
	mov_rr(j, true, RDI, REG_VC);
	x86_call(j, (uintptr_t)jit_run_dead);
}

void jit_pad(struct jit *j)
{
	e8(j, 0xcc);
}

/* ---- probe loads ---- */

uintptr_t jit_fault_at(const void *ucontext)
{
	return (uintptr_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

void jit_fault_skip(void *ucontext, const struct jit_probe *probe)
{
	greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
					  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
					  REG_R12, REG_R13, REG_R14, REG_R15};

	regs[order[probe->reg]] = 0;
	regs[REG_RIP] += probe->len;
}

/* ---- jumps ---- */

static const uint8_t conds[] = {CC_E,  CC_NE, CC_A,  CC_AE, CC_B, CC_BE,
				CC_NE, CC_G,  CC_GE, CC_L,  CC_LE};

void x86_compare(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	unsigned int variant = (j->ops[i] - OP_jeq64_x) & 3, n = (j->ops[i] - OP_jeq64_x) >> 2;
	bool wide = variant < 2, test = j->ops[i] >= OP_jset64_x && j->ops[i] <= OP_jset32_k;
	uint8_t dst = x86_regs[ic->dst], src = x86_regs[ic->src];

	if ((variant & 1) && j->blind && ic->imm) {
		x86_blind(j, i, R10, (uint64_t)(int64_t)ic->imm, wide);
		src = R10;
		variant--;
	}
	if (!(variant & 1)) {
		op_rr(j, wide, test ? X86_TEST : X86_CMP, src, dst);
	} else if (!ic->imm && !test) {
		op_rr(j, wide, X86_TEST, dst, dst);
	} else if (test) {
		/* a constant without sign needs no 64 bits */
		wide = wide && ic->imm < 0;
		rex(j, wide, 0, dst);
		if (dst == RAX) {
			e8(j, 0xa9);
		} else {
			e8(j, 0xf7);
			e8(j, 0xc0 | (dst & 7));
		}
		e32(j, (uint32_t)ic->imm);
	} else {
		op_imm(j, wide, X86_CMP, dst, ic->imm);
	}
	jump_to(j, conds[n], i, (int64_t)i + 1 + ic->off);
}

static void may_goto(struct jit *j, uint32_t i)
{
	op_mem(j, false, 0xff, 0, REG_VC, offsetof(struct vm_context, loops));
	op_mem(j, false, 0x81, 7, REG_VC, offsetof(struct vm_context, loops));
	e32(j, VM_LOOPS_MAX);
	jump_to(j, CC_A, i, (int64_t)i + 1 + j->ins[i].off);
}

static void load_imm64(struct jit *j, uint32_t i)
{
	uint8_t dst = x86_regs[j->ins[i].dst], kind = j->p->insns[i].src_reg;
	uint64_t v = j->ins[i + 1].imm64;

	if (kind == BPF_PSEUDO_FUNC) {
		uint32_t to = j->at[(const struct icode *)(uintptr_t)v - j->ins];

		/* lea dst, [rip + where it is] */
		rex(j, true, dst, 0);
		e8(j, 0x8d);
		e8(j, (dst & 7) << 3 | 5);
		e32(j, to + JIT_FUNC_TAG - (j->pos + 4));
	} else if (!kind && j->blind && v) {
		x86_blind(j, i, dst, v, true);
	} else {
		mov_imm(j, dst, v);
	}
}

uint32_t jit_emit(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];

	if (x86_alu(j, i) || x86_memory(j, i) || x86_calls(j, i))
		return 1;
	if (op >= OP_jeq64_x && op <= OP_jsle32_k) {
		x86_compare(j, i);
		return 1;
	}
	switch (op) {
	case OP_ja:
		if (ic->off)
			jump_to(j, -1, i, (int64_t)i + 1 + ic->off);
		return 1;
	case OP_jal:
		if (ic->imm)
			jump_to(j, -1, i, (int64_t)i + 1 + ic->imm);
		return 1;
	case OP_may_goto:
		may_goto(j, i);
		return 1;
	case OP_ld_imm64:
		if (!x86_map_unneeded(j, i))
			load_imm64(j, i);
		return 2;
	case OP_exit:
		emit_exit(j);
		return 1;
	}
	return 0;
}

#endif
