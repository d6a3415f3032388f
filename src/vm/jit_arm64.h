/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64: registers and the few forms of instructions that everything is made of.
 *
 *   BPF     R0  R1  R2  R3  R4  R5  R6   R7   R8   R9   R10
 *   arm64   x7  x0  x1  x2  x3  x4  x19  x20  x21  x22  x29
 *
 * so that the arguments of helpers and functions are where the C ABI wants them, and what a
 * call preserves is preserved; what it returns is moved from x0 to x7. x23 is the run's struct
 * vm_context; it is also a helper's sixth argument (x5). x9 to x12 and x16 hold nothing from
 * one BPF instruction to the next.
 */
#ifndef SHMAP_VM_JIT_ARM64_H
#define SHMAP_VM_JIT_ARM64_H

#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "vm/jit_int.h"

/* ZR in most places, SP as the base of an address and with constants. */
enum { REG_R0 = 7, T0 = 9, T1 = 10, T2 = 11, T3 = 12, REG_IP = 16, REG_VC = 23, FP = 29, ZR = 31 };
#define REG_SP ZR

static const uint8_t a64_regs[11] = {REG_R0, 0, 1, 2, 3, 4, 19, 20, 21, 22, FP};

enum a64_cond { CC_EQ, CC_NE, CC_HS, CC_LO, CC_HI = 8, CC_LS, CC_GE, CC_LT, CC_GT, CC_LE };

static inline void e32(struct jit *j, uint32_t insn)
{
	memcpy(j->buf + j->pos, &insn, 4);
	j->pos += 4;
}

#define WIDE(wide) ((uint32_t)(wide) << 31)

/* Three registers: op rd, rn, rm. */
#define A64_AND 0x0a000000u
#define A64_ADD 0x0b000000u
#define A64_ORR 0x2a000000u
#define A64_ORN 0x2a200000u
#define A64_EOR 0x4a000000u
#define A64_SUB 0x4b000000u
#define A64_ANDS 0x6a000000u
#define A64_SUBS 0x6b000000u
#define A64_UDIV 0x1ac00800u
#define A64_SDIV 0x1ac00c00u
#define A64_LSL 0x1ac02000u
#define A64_LSR 0x1ac02400u
#define A64_ASR 0x1ac02800u
#define A64_MUL 0x1b007c00u /* madd with nothing to add */

static inline void op_rrr(struct jit *j, bool wide, uint32_t op, uint8_t rd, uint8_t rn, uint8_t rm)
{
	e32(j, WIDE(wide) | op | rm << 16 | rn << 5 | rd);
}

/* rd = ra + rn * rm, or ra - rn * rm */
static inline void madd(struct jit *j, bool wide, uint8_t rd, uint8_t rn, uint8_t rm, uint8_t ra)
{
	e32(j, WIDE(wide) | 0x1b000000u | rm << 16 | ra << 10 | rn << 5 | rd);
}

static inline void msub(struct jit *j, bool wide, uint8_t rd, uint8_t rn, uint8_t rm, uint8_t ra)
{
	e32(j, WIDE(wide) | 0x1b008000u | rm << 16 | ra << 10 | rn << 5 | rd);
}

static inline void mov_rr(struct jit *j, bool wide, uint8_t rd, uint8_t rm)
{
	op_rrr(j, wide, A64_ORR, rd, ZR, rm);
}

/* Two registers, one of which may be sp. */
static inline void mov_sp(struct jit *j, uint8_t rd, uint8_t rn)
{
	e32(j, 0x91000000u | rn << 5 | rd);
}

/* Bits first to last of rn, moved to the bottom, zero- or sign-extended. */
static inline void bits(struct jit *j, bool wide, bool sign, uint8_t rd, uint8_t rn, uint8_t first,
			uint8_t last)
{
	uint32_t op = sign ? 0x13000000u : 0x53000000u;

	e32(j, WIDE(wide) | (uint32_t)wide << 22 | op | first << 16 | last << 10 | rn << 5 | rd);
}

static inline void lsl_imm(struct jit *j, bool wide, uint8_t rd, uint8_t rn, uint8_t n)
{
	uint8_t width = wide ? 64 : 32;

	bits(j, wide, false, rd, rn, (uint8_t)(width - n) & (width - 1), (uint8_t)(width - 1 - n));
}

/* What a size of access is called: 0 to 3 for 1, 2, 4, 8 bytes. */
enum a64_access { A64_STORE, A64_LOAD, A64_LOAD_SX };

/* A load or store at [base + off]; where off needs a register that is x10. */
void a64_access(struct jit *j, enum a64_access how, unsigned int n, uint8_t reg, uint8_t base,
		int32_t off);

static inline void load(struct jit *j, unsigned int n, uint8_t reg, uint8_t base, int32_t off)
{
	a64_access(j, A64_LOAD, n, reg, base, off);
}

static inline void store(struct jit *j, unsigned int n, uint8_t reg, uint8_t base, int32_t off)
{
	a64_access(j, A64_STORE, n, reg, base, off);
}

/* A pair of registers on the stack. */
static inline void push2(struct jit *j, uint8_t a, uint8_t b)
{
	e32(j, 0xa9bf0000u | b << 10 | REG_SP << 5 | a);
}

static inline void pop2(struct jit *j, uint8_t a, uint8_t b)
{
	e32(j, 0xa8c10000u | b << 10 | REG_SP << 5 | a);
}

/* reg = v, as short as it goes. */
void mov_imm(struct jit *j, bool wide, uint8_t reg, uint64_t v);
/* rd = rn + imm; through x12 when it must be. Neither is sp. */
void add_imm(struct jit *j, bool wide, uint8_t rd, uint8_t rn, int64_t imm);
/* rd = rn op imm for A64_AND, _ORR, _EOR and _ANDS; through `through` when it must be. */
void logic_imm(struct jit *j, bool wide, uint32_t op, uint8_t rd, uint8_t rn, uint64_t imm,
	       uint8_t through);
/* Compares; through x12 when it must be. */
void cmp_imm(struct jit *j, bool wide, uint8_t rn, int64_t imm);

static inline void cmp_rr(struct jit *j, bool wide, uint8_t rn, uint8_t rm)
{
	op_rrr(j, wide, A64_SUBS, ZR, rn, rm);
}

/* Jumps, without where they lead. */
#define A64_B 0x14000000u
#define A64_BL 0x94000000u
#define A64_B_IF(cc) (0x54000000u | (cc))
#define A64_CBZ(wide, reg) (0x34000000u | WIDE(wide) | (reg))
#define A64_CBNZ(wide, reg) (0x35000000u | WIDE(wide) | (reg))
/* (their reach is 32 KiB: inside one instruction's code only) */
#define A64_TBZ(bit, reg) (0x36000000u | ((bit)&32u) << 26 | ((bit)&31u) << 19 | (reg))
#define A64_TBNZ(bit, reg) (0x37000000u | ((bit)&32u) << 26 | ((bit)&31u) << 19 | (reg))

/* The same jump, `by` bytes far. */
static inline uint32_t a64_by(uint32_t jump, int64_t by)
{
	uint32_t n = (uint32_t)(by >> 2);

	if ((jump & 0x7c000000u) == A64_B)
		return jump | (n & 0x3ffffff);
	if ((jump & 0x7e000000u) == 0x36000000u)
		return jump | (n & 0x3fff) << 5;
	return jump | (n & 0x7ffff) << 5;
}

/* A jump ahead inside one instruction's code: its place, for here(). */
static inline uint32_t ahead(struct jit *j, uint32_t jump)
{
	e32(j, jump);
	return j->pos - 4;
}

static inline void here(struct jit *j, uint32_t at)
{
	uint32_t insn;

	memcpy(&insn, j->buf + at, 4);
	insn = a64_by(insn, (int64_t)j->pos - at);
	memcpy(j->buf + at, &insn, 4);
}

/* ... and back. */
static inline void back(struct jit *j, uint32_t jump, uint32_t to)
{
	e32(j, a64_by(jump, (int64_t)to - j->pos));
}

#define A64_RET 0xd65f03c0u
#define A64_BR(reg) (0xd61f0000u | (reg) << 5)
#define A64_BLR(reg) (0xd63f0000u | (reg) << 5)
#define A64_DMB_ISH 0xd5033bbfu

/* Calls a C function; what it returns stays in x0. */
void a64_call(struct jit *j, uintptr_t fn);
/* What undoes the prologue, without the return. */
void a64_leave(struct jit *j);
/* reg = the instruction's constant, so that it does not appear in the code; reg is not x12. */
void a64_blind(struct jit *j, uint32_t i, uint8_t reg, uint64_t v, bool wide);

/* Each of them: is it an op of mine? Then its code has been emitted. */
bool a64_alu(struct jit *j, uint32_t i);
bool a64_memory(struct jit *j, uint32_t i);
bool a64_calls(struct jit *j, uint32_t i);

/* jit_arm64_inline.c: calls that become code. */
/* Is it an array, of a shape that is known here? */
bool a64_can_inline(const struct map_inline *in);
void a64_inline_lookup(struct jit *j, const struct map *m, const struct map_inline *in);
/* ... an array of objects */
void a64_inline_object(struct jit *j, const struct map *m, const struct map_inline *in);
/* Emits the helper's code; false: it has to be called. */
bool a64_inline_helper(struct jit *j, int32_t id);

#endif
