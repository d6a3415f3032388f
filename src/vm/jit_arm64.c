/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64: functions, jumps, and the way in.
 *
 * A function's frame, when it calls something or uses its stack:
 *
 *	caller's x29, x30	<- x29 = R10
 *	512 bytes		   when it uses them; the verifier lets nothing else be touched
 *	x19 to x22		   those that it uses, in pairs
 *
 * Return addresses are not signed, and the pages of native code are not guarded: code that
 * is built with either may call it, and is entered as the ABI has it (by x16, or by blr at a
 * function's beginning).
 */
#include "vm/jit_arm64.h"

#include <ucontext.h>

#include "vm/helpers.h"
#include "vm/verifier.h"

/*
 * jit_enter(vc, entry, ctx, ret): fault_guard_set(), fault_guard_enter() and
 * fault_guard_leave() around the call. A throw (base/guard.c) comes to the end of it with x29
 * and sp; everything else that a call preserves is in the frame.
 */
__asm__(".pushsection .text\n"
	".balign 16\n"
	".globl jit_enter\n.hidden jit_enter\n.type jit_enter, @function\n"
	"jit_enter:\n"
	"	.cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"	stp x29, x30, [sp, #-176]!\n"
	"	.cfi_def_cfa_offset 176\n"
	"	.cfi_offset 29, -176\n"
	"	.cfi_offset 30, -168\n"
	"	mov x29, sp\n"
	"	.cfi_def_cfa_register 29\n"
	"	stp x19, x20, [sp, #16]\n"
	"	stp x21, x22, [sp, #32]\n"
	"	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n"
	"	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	str x3, [sp, #160]\n"
	"	mov x23, x0\n"
	"	mrs x24, tpidr_el0\n"
	"	adrp x9, :gottprel:fault_guard_top\n"
	"	ldr x9, [x9, :gottprel_lo12:fault_guard_top]\n"
	"	add x24, x24, x9\n"
	"	ldr x25, [x24]\n"
	"	adr x10, 1f\n"
	"	mov x11, sp\n"
	"	stp x25, x29, [x23]\n"
	"	stp x10, x11, [x23, #16]\n"
	"	str x23, [x24]\n"
	"	mov x16, x1\n"
	"	mov x0, x2\n"
	"	blr x16\n"
	"	str x25, [x24]\n"
	"	ldr x9, [sp, #160]\n"
	"	str x0, [x9]\n"
	"	mov w0, #1\n"
	"2:	ldp d14, d15, [sp, #144]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp x27, x28, [sp, #80]\n"
	"	ldp x25, x26, [sp, #64]\n"
	"	ldp x23, x24, [sp, #48]\n"
	"	ldp x21, x22, [sp, #32]\n"
	"	ldp x19, x20, [sp, #16]\n"
	"	ldp x29, x30, [sp], #176\n"
	"	.cfi_remember_state\n"
	"	.cfi_def_cfa 31, 0\n"
	"	.cfi_restore 29\n"
	"	.cfi_restore 30\n"
	"	ret\n"
	"	.cfi_restore_state\n"
	"1:	hint #36\n" /* bti j */
	"	mov w0, #0\n"
	"	b 2b\n"
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
	"	hint #34\n"
	"	stp x29, x30, [sp, #-32]!\n"
	"	.cfi_def_cfa_offset 32\n"
	"	.cfi_offset 29, -32\n"
	"	.cfi_offset 30, -24\n"
	"	str x23, [sp, #16]\n"
	"	.cfi_offset 23, -16\n"
	"	mov x29, sp\n"
	"	mov x23, x0\n"
	"	mov x16, x1\n"
	"	mov x0, x2\n"
	"	mov x1, x3\n"
	"	mov x2, x4\n"
	"	mov x3, x5\n"
	"	blr x16\n"
	"	ldr x23, [sp, #16]\n"
	"	ldp x29, x30, [sp], #32\n"
	"	.cfi_def_cfa_offset 0\n"
	"	.cfi_restore 23\n"
	"	.cfi_restore 29\n"
	"	.cfi_restore 30\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size jit_call, .-jit_call\n"
	".globl jit_to_interp\n.hidden jit_to_interp\n.type jit_to_interp, @function\n"
	"jit_to_interp:\n"
	"	hint #34\n"
	"	mov x1, x0\n"
	"	mov x0, x23\n"
	"	b interp_run\n"
	".size jit_to_interp, .-jit_to_interp\n"
	".hidden interp_run\n"
	".popsection\n");

void a64_call(struct jit *j, uintptr_t fn)
{
	if (jit_mem_near(fn)) {
		e32(j, a64_by(A64_BL, (int64_t)(fn - (j->base + j->pos))));
		return;
	}
	mov_imm(j, true, REG_IP, fn);
	e32(j, A64_BLR(REG_IP));
}

/* ---- jumps ---- */

#define SHORT_REACH (1 << 20)

/* The last instruction of a BPF instruction: jumps, `off` bytes from its end. */
static void jump(struct jit *j, uint32_t insn, int64_t off)
{
	if (insn != A64_B && (j->long_jumps || off + 4 < -SHORT_REACH || off + 4 >= SHORT_REACH)) {
		/* the opposite, over a jump that reaches everything */
		const uint32_t opposite = (insn & 0xfe000000u) == 0x54000000u ? 1u : 1u << 24;

		e32(j, a64_by(insn ^ opposite, 8));
		insn = A64_B;
		if (off < 0)
			off -= 4;
	}
	e32(j, a64_by(insn, off + 4));
}

/* Back, to what this pass has emitted. */
static void jump_back(struct jit *j, uint32_t insn, uint32_t to)
{
	jump(j, insn, (int64_t)to - (j->pos + 4));
}

/*
 * To an instruction. What lies ahead is where it was in the pass before: as far from the
 * end of this instruction as then, or less far.
 */
static void jump_to(struct jit *j, uint32_t insn, uint32_t i, int64_t to)
{
	/* a function is entered once, wherever its loops begin */
	if (j->flags[to] & JIT_FUNC) {
		if (to != j->funcs[j->func].insn)
			j->err = -EOPNOTSUPP;
		jump_back(j, insn, j->body);
	} else if (to > i) {
		jump(j, insn, (int64_t)j->at[to] - j->at[i + 1]);
	} else {
		jump_back(j, insn, j->at[to]);
	}
}

/* ---- functions ---- */

#define FIRST_SAVED 19 /* R6 */

static bool has_stack(const struct jit *j)
{
	return j->used & 1U << BPF_REG_10;
}

static bool has_frame(const struct jit *j)
{
	return has_stack(j) || j->calls;
}

/* Which of R6 to R9 the function uses; how many. */
static unsigned int saved(const struct jit *j, uint8_t regs[4])
{
	unsigned int n = 0;

	for (uint8_t r = 0; r < 4; r++)
		if (j->used >> (BPF_REG_6 + r) & 1)
			regs[n++] = FIRST_SAVED + r;
	if (n & 1)
		regs[n] = ZR;
	return n;
}

/* Zeroes in what the verifier saw used: some helper reads what was never written. */
static void zero_stack(struct jit *j)
{
	uint32_t depth = (uint32_t)round_up_u64(j->depth, 16), again;

	add_imm(j, true, T1, FP, -(int64_t)depth);
	mov_imm(j, false, T0, depth / 16);
	again = j->pos;
	e32(j, 0xa8800000u | 2u << 15 | ZR << 10 | T1 << 5 | ZR); /* stp xzr, xzr, [x10], #16 */
	e32(j, 0x71000000u | 1u << 10 | T0 << 5 | T0);		  /* subs */
	back(j, A64_B_IF(CC_NE), again);
}

void jit_prologue(struct jit *j)
{
	uint8_t regs[4];
	unsigned int n = saved(j, regs);

	if (has_frame(j)) {
		push2(j, FP, 30);
		mov_sp(j, FP, REG_SP);
	}
	if (has_stack(j)) /* sub sp, sp, #512 */
		e32(j, 0xd1000000u | VM_FRAME_STACK << 10 | REG_SP << 5 | REG_SP);
	for (unsigned int i = 0; i < n; i += 2)
		push2(j, regs[i], regs[i + 1]);
	if (j->p->aux && j->p->aux[0].zero_stack && has_stack(j) && j->depth)
		zero_stack(j);
}

void a64_leave(struct jit *j)
{
	uint8_t regs[4];
	unsigned int n = saved(j, regs);

	for (unsigned int i = (n + 1) & ~1u; i; i -= 2)
		pop2(j, regs[i - 2], regs[i - 1]);
	if (has_stack(j))
		mov_sp(j, REG_SP, FP);
	if (has_frame(j))
		pop2(j, FP, 30);
}

static void emit_exit(struct jit *j)
{
	uint32_t *at = &j->at[j->cnt + 1 + j->func];

	if (j->returned) {
		jump_back(j, A64_B, *at);
		return;
	}
	j->returned = true;
	if (*at != j->pos)
		j->moved = true;
	*at = j->pos;
	mov_rr(j, true, 0, REG_R0);
	a64_leave(j);
	e32(j, A64_RET);
}

void jit_emit_dead(struct jit *j)
{
	mov_rr(j, true, 0, REG_VC);
	a64_call(j, (uintptr_t)jit_run_dead);
}

void jit_pad(struct jit *j)
{
	e32(j, 0xd4200000u); /* brk #0 */
}

/* ---- probe loads ---- */

uintptr_t jit_fault_at(const void *ucontext)
{
	return ((const ucontext_t *)ucontext)->uc_mcontext.pc;
}

void jit_fault_skip(void *ucontext, const struct jit_probe *probe)
{
	mcontext_t *m = &((ucontext_t *)ucontext)->uc_mcontext;

	m->regs[probe->reg] = 0;
	m->pc += probe->len;
}

/* ---- what is left of the instructions ---- */

static const uint8_t conds[] = {CC_EQ, CC_NE, CC_HI, CC_HS, CC_LO, CC_LS,
				CC_NE, CC_GT, CC_GE, CC_LT, CC_LE};

static void compare(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	unsigned int variant = (j->ops[i] - OP_jeq64_x) & 3, n = (j->ops[i] - OP_jeq64_x) >> 2;
	const bool wide = variant < 2, test = j->ops[i] >= OP_jset64_x && j->ops[i] <= OP_jset32_k;
	uint8_t dst = a64_regs[ic->dst], src = a64_regs[ic->src];
	uint32_t insn = A64_B_IF(conds[n]);

	if ((variant & 1) && j->blind && ic->imm) {
		a64_blind(j, i, T0, (uint64_t)(int64_t)ic->imm, wide);
		src = T0;
		variant--;
	}
	if (!(variant & 1))
		op_rrr(j, wide, test ? A64_ANDS : A64_SUBS, ZR, dst, src);
	else if (!test && !ic->imm && conds[n] == CC_EQ)
		insn = A64_CBZ(wide, dst);
	else if (!test && !ic->imm && conds[n] == CC_NE)
		insn = A64_CBNZ(wide, dst);
	else if (test)
		logic_imm(j, wide, A64_ANDS, ZR, dst, (uint64_t)(int64_t)ic->imm, T0);
	else
		cmp_imm(j, wide, dst, ic->imm);
	jump_to(j, insn, i, (int64_t)i + 1 + ic->off);
}

static void may_goto(struct jit *j, uint32_t i)
{
	load(j, 2, T0, REG_VC, offsetof(struct vm_context, loops));
	add_imm(j, false, T0, T0, 1);
	store(j, 2, T0, REG_VC, offsetof(struct vm_context, loops));
	cmp_imm(j, false, T0, VM_LOOPS_MAX);
	jump_to(j, A64_B_IF(CC_HI), i, (int64_t)i + 1 + j->ins[i].off);
}

/* reg = where a function is: always three instructions. */
static void function_address(struct jit *j, uint8_t reg, uint32_t to)
{
	uint64_t v = j->base + to + JIT_FUNC_TAG;

	if (v >> 48)
		j->err = -EOPNOTSUPP;
	e32(j, 0xd2800000u | (uint32_t)(v & 0xffff) << 5 | reg);
	e32(j, 0xf2a00000u | (uint32_t)(v >> 16 & 0xffff) << 5 | reg);
	e32(j, 0xf2c00000u | (uint32_t)(v >> 32 & 0xffff) << 5 | reg);
}

static void load_imm64(struct jit *j, uint32_t i)
{
	uint8_t dst = a64_regs[j->ins[i].dst], kind = j->p->insns[i].src_reg;
	uint64_t v = j->ins[i + 1].imm64;

	if (kind == BPF_PSEUDO_FUNC)
		function_address(j, dst, j->at[(const struct icode *)(uintptr_t)v - j->ins]);
	else if (!kind && j->blind && v)
		a64_blind(j, i, dst, v, true);
	else
		mov_imm(j, true, dst, v);
}

uint32_t jit_emit(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];

	if (a64_alu(j, i) || a64_memory(j, i) || a64_calls(j, i))
		return 1;
	if (op >= OP_jeq64_x && op <= OP_jsle32_k) {
		compare(j, i);
		return 1;
	}
	switch (op) {
	case OP_ja:
		if (ic->off)
			jump_to(j, A64_B, i, (int64_t)i + 1 + ic->off);
		return 1;
	case OP_jal:
		if (ic->imm)
			jump_to(j, A64_B, i, (int64_t)i + 1 + ic->imm);
		return 1;
	case OP_may_goto:
		may_goto(j, i);
		return 1;
	case OP_ld_imm64:
		load_imm64(j, i);
		return 2;
	case OP_exit:
		emit_exit(j);
		return 1;
	}
	return 0;
}
