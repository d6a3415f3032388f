/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: registers and the few forms of instructions that everything is made of.
 *
 *   BPF   R0  R1  R2  R3  R4  R5  R6  R7  R8  R9  R10
 *   x86   rax rdi rsi rdx rcx r8  rbx r13 r14 r15 rbp
 *
 * so that the arguments of helpers and functions are where the C ABI wants them, and
 * what a call preserves is preserved. r12 is the run's struct vm_context; it is also a
 * helper's sixth argument. r9, r10 and r11 hold nothing from one BPF instruction to
 * the next.
 */
#ifndef SHMAP_VM_JIT_X86_H
#define SHMAP_VM_JIT_X86_H

#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "vm/jit_int.h"

enum x86_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

#define REG_VC R12

static const uint8_t x86_regs[11] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP};

/* The condition codes of jcc. */
enum x86_cond {
	CC_B = 2,
	CC_AE = 3,
	CC_E = 4,
	CC_NE = 5,
	CC_BE = 6,
	CC_A = 7,
	CC_S = 8,
	CC_L = 12,
	CC_GE = 13,
	CC_LE = 14,
	CC_G = 15
};

static inline void e8(struct jit *j, uint8_t v)
{
	j->buf[j->pos++] = v;
}

static inline void e32(struct jit *j, uint32_t v)
{
	memcpy(j->buf + j->pos, &v, 4);
	j->pos += 4;
}

static inline void e64(struct jit *j, uint64_t v)
{
	memcpy(j->buf + j->pos, &v, 8);
	j->pos += 8;
}

static inline bool is_imm8(int64_t v)
{
	return v == (int8_t)v;
}

static inline bool is_imm32(int64_t v)
{
	return v == (int32_t)v;
}

static inline void rex(struct jit *j, bool wide, uint8_t reg, uint8_t rm)
{
	uint8_t b = 0x40 | wide << 3 | (reg >> 3) << 2 | rm >> 3;

	if (b != 0x40)
		e8(j, b);
}

/* op reg, rm: both registers. */
static inline void op_rr(struct jit *j, bool wide, uint8_t op, uint8_t reg, uint8_t rm)
{
	rex(j, wide, reg, rm);
	e8(j, op);
	e8(j, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* 0f op reg, rm */
static inline void op0f_rr(struct jit *j, bool wide, uint8_t op, uint8_t reg, uint8_t rm)
{
	rex(j, wide, reg, rm);
	e8(j, 0x0f);
	e8(j, op);
	e8(j, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* The operand [base + disp], after the opcode. */
static inline void modrm_mem(struct jit *j, uint8_t reg, uint8_t base, int32_t disp)
{
	uint8_t r = (reg & 7) << 3, b = base & 7;
	uint8_t mod = !disp && b != RBP ? 0 : is_imm8(disp) ? 0x40 : 0x80;

	e8(j, mod | r | b);
	if (b == RSP)
		e8(j, 0x24);
	if (mod == 0x40)
		e8(j, (uint8_t)disp);
	else if (mod == 0x80)
		e32(j, (uint32_t)disp);
}

static inline void op_mem(struct jit *j, bool wide, uint8_t op, uint8_t reg, uint8_t base,
			  int32_t disp)
{
	rex(j, wide, reg, base);
	e8(j, op);
	modrm_mem(j, reg, base, disp);
}

static inline void op0f_mem(struct jit *j, bool wide, uint8_t op, uint8_t reg, uint8_t base,
			    int32_t disp)
{
	rex(j, wide, reg, base);
	e8(j, 0x0f);
	e8(j, op);
	modrm_mem(j, reg, base, disp);
}

#define X86_MOV 0x89  /* mov rm, reg */
#define X86_LOAD 0x8b /* mov reg, rm */
#define X86_ADD 0x01
#define X86_OR 0x09
#define X86_AND 0x21
#define X86_SUB 0x29
#define X86_XOR 0x31
#define X86_CMP 0x39
#define X86_TEST 0x85

static inline void mov_rr(struct jit *j, bool wide, uint8_t dst, uint8_t src)
{
	op_rr(j, wide, X86_MOV, src, dst);
}

/* dst = v, as short as it goes. */
static inline void mov_imm(struct jit *j, uint8_t dst, uint64_t v)
{
	if (!v) {
		op_rr(j, false, X86_XOR, dst, dst);
	} else if (v == (uint32_t)v) {
		rex(j, false, 0, dst);
		e8(j, 0xb8 | (dst & 7));
		e32(j, (uint32_t)v);
	} else if (is_imm32((int64_t)v)) {
		rex(j, true, 0, dst);
		e8(j, 0xc7);
		e8(j, 0xc0 | (dst & 7));
		e32(j, (uint32_t)v);
	} else {
		rex(j, true, 0, dst);
		e8(j, 0xb8 | (dst & 7));
		e64(j, v);
	}
}

/* One of the eight operations with a constant: op is X86_ADD and so on. */
static inline void op_imm(struct jit *j, bool wide, uint8_t op, uint8_t dst, int32_t imm)
{
	uint8_t n = op & 0x38;

	if (is_imm8(imm)) {
		rex(j, wide, 0, dst);
		e8(j, 0x83);
		e8(j, 0xc0 | n | (dst & 7));
		e8(j, (uint8_t)imm);
	} else if (dst == RAX) {
		rex(j, wide, 0, 0);
		e8(j, n | 5);
		e32(j, (uint32_t)imm);
	} else {
		rex(j, wide, 0, dst);
		e8(j, 0x81);
		e8(j, 0xc0 | n | (dst & 7));
		e32(j, (uint32_t)imm);
	}
}

/* n: 4 shl, 5 shr, 7 sar, 0 rol, 1 ror */
static inline void shift_imm(struct jit *j, bool wide, uint8_t n, uint8_t dst, uint8_t count)
{
	rex(j, wide, 0, dst);
	e8(j, count == 1 ? 0xd1 : 0xc1);
	e8(j, 0xc0 | n << 3 | (dst & 7));
	if (count != 1)
		e8(j, count);
}

/* Group 3: n 2 not, 3 neg, 4 mul, 6 div, 7 idiv */
static inline void op_f7(struct jit *j, bool wide, uint8_t n, uint8_t rm)
{
	rex(j, wide, 0, rm);
	e8(j, 0xf7);
	e8(j, 0xc0 | n << 3 | (rm & 7));
}

static inline void push(struct jit *j, uint8_t reg)
{
	rex(j, false, 0, reg);
	e8(j, 0x50 | (reg & 7));
}

static inline void pop(struct jit *j, uint8_t reg)
{
	rex(j, false, 0, reg);
	e8(j, 0x58 | (reg & 7));
}

/* A short jump inside one instruction's code: its place, for here(). */
static inline uint32_t short_jump(struct jit *j, uint8_t op)
{
	e8(j, op);
	e8(j, 0);
	return j->pos;
}
#define JMP8 0xeb
#define JCC8(cc) (0x70 | (cc))

static inline void here(struct jit *j, uint32_t jump)
{
	if (j->pos - jump > INT8_MAX)
		j->err = -EOPNOTSUPP;
	j->buf[jump - 1] = (uint8_t)(j->pos - jump);
}

/* Calls a C function. */
void x86_call(struct jit *j, uintptr_t fn);
/* What undoes the prologue, without the return. */
void x86_leave(struct jit *j);
/* reg = the instruction's constant, so that it does not appear in the code. */
void x86_blind(struct jit *j, uint32_t i, uint8_t reg, uint64_t v, bool wide);

/* Each of them: is it an op of mine? Then its code has been emitted. */
bool x86_alu(struct jit *j, uint32_t i);
bool x86_memory(struct jit *j, uint32_t i);
bool x86_calls(struct jit *j, uint32_t i);

/* Conditional jump after a comparison, to where i leads. */
void x86_compare(struct jit *j, uint32_t i);

#endif
