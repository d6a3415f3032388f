/* SPDX-License-Identifier: BSD-2-Clause */
/* arm64: constants and arithmetic. */
#include "vm/jit_arm64.h"

/* ---- constants ---- */

void mov_imm(struct jit *j, bool wide, uint8_t reg, uint64_t v)
{
	unsigned int parts = wide ? 4 : 2, zeroes = 0, ones = 0, i;
	uint64_t skip;
	bool first = true;

	if (!wide)
		v = (uint32_t)v;
	for (i = 0; i < parts; i++) {
		uint16_t part = (uint16_t)(v >> 16 * i);

		zeroes += !part;
		ones += part == UINT16_MAX;
	}
	/* movz or movn for the first, movk for the others */
	skip = ones > zeroes ? UINT16_MAX : 0;
	for (i = 0; i < parts; i++) {
		uint16_t part = (uint16_t)(v >> 16 * i);

		if (part == skip && !(first && i == parts - 1))
			continue;
		if (!first)
			e32(j, WIDE(wide) | 0x72800000u | i << 21 | part << 5 | reg);
		else if (skip)
			e32(j, WIDE(wide) | 0x12800000u | i << 21 | (uint16_t)~part << 5 | reg);
		else
			e32(j, WIDE(wide) | 0x52800000u | i << 21 | part << 5 | reg);
		first = false;
	}
}

/* v as 12 bits, shifted by 0 or 12: where an instruction has them. */
static bool imm12(uint64_t v, uint32_t *field)
{
	if (v < 1u << 12) {
		*field = (uint32_t)v << 10;
		return true;
	}
	if (!(v & 0xfff) && v < 1u << 24) {
		*field = 1u << 22 | (uint32_t)(v >> 12) << 10;
		return true;
	}
	return false;
}

void add_imm(struct jit *j, bool wide, uint8_t rd, uint8_t rn, int64_t imm)
{
	uint32_t field;

	if (!wide)
		imm = (int32_t)imm;
	if (imm >= 0 && imm12((uint64_t)imm, &field)) {
		e32(j, WIDE(wide) | 0x11000000u | field | rn << 5 | rd);
	} else if (imm < 0 && imm12(-(uint64_t)imm, &field)) {
		e32(j, WIDE(wide) | 0x51000000u | field | rn << 5 | rd);
	} else {
		mov_imm(j, wide, T3, (uint64_t)imm);
		op_rrr(j, wide, A64_ADD, rd, rn, T3);
	}
}

void cmp_imm(struct jit *j, bool wide, uint8_t rn, int64_t imm)
{
	uint32_t field;

	if (!wide)
		imm = (int32_t)imm;
	if (imm >= 0 && imm12((uint64_t)imm, &field)) {
		e32(j, WIDE(wide) | 0x71000000u | field | rn << 5 | ZR);
	} else if (imm < 0 && imm12(-(uint64_t)imm, &field)) {
		e32(j, WIDE(wide) | 0x31000000u | field | rn << 5 | ZR); /* cmn */
	} else {
		mov_imm(j, wide, T3, (uint64_t)imm);
		cmp_rr(j, wide, rn, T3);
	}
}

/*
 * Constants of the logical instructions: an element of 2, 4, ... 64 bits, repeated, that is a
 * run of ones, rotated.
 */
static bool bitmask(uint64_t v, bool wide, uint32_t *field)
{
	unsigned int size = 64, count, turn;
	uint64_t mask, ones;

	if (!wide)
		v = (uint32_t)v | v << 32;
	if (!v || !~v)
		return false;
	while (size > 2) {
		mask = (1ULL << size / 2) - 1;
		if ((v & mask) != (v >> size / 2 & mask))
			break;
		size /= 2;
	}
	mask = ~0ULL >> (64 - size);
	v &= mask;
	count = (unsigned int)__builtin_popcountll(v);
	ones = (1ULL << count) - 1;
	/* how far the ones have been turned to the right */
	for (turn = 0; turn < size; turn++) {
		if (v == ones)
			break;
		v = (v << 1 | v >> (size - 1)) & mask;
	}
	if (turn == size)
		return false;
	*field = (uint32_t)(size == 64) << 22 | turn << 16 |
		 ((~(size - 1) << 1 & 0x3f) | (count - 1)) << 10;
	return true;
}

void logic_imm(struct jit *j, bool wide, uint32_t op, uint8_t rd, uint8_t rn, uint64_t imm,
	       uint8_t through)
{
	uint32_t field;

	if (bitmask(imm, wide, &field)) {
		/* the form with a constant has 0x12 where that with a register has 0x0a */
		e32(j, WIDE(wide) | (op + 0x08000000u) | field | rn << 5 | rd);
	} else if (wide ? !imm : !(uint32_t)imm) {
		op_rrr(j, wide, op, rd, rn, ZR);
	} else {
		mov_imm(j, wide, through, imm);
		op_rrr(j, wide, op, rd, rn, through);
	}
}

void a64_blind(struct jit *j, uint32_t i, uint8_t reg, uint64_t v, bool wide)
{
	uint64_t key = (j->blind_seed + i) * 0x9e3779b97f4a7c15ull;

	key ^= key >> 29;
	key *= 0xbf58476d1ce4e5b9ull;
	key ^= key >> 32;
	/* no 16 bits of it are left as they are */
	key |= 0x0001000100010001ull;
	mov_imm(j, wide, reg, v ^ key);
	mov_imm(j, wide, T3, key);
	op_rrr(j, wide, A64_EOR, reg, reg, T3);
}

/* ---- arithmetic ---- */

static const uint32_t plain[] = {
	[OP_add64_x >> 2] = A64_ADD,   [OP_sub64_x >> 2] = A64_SUB,   [OP_mul64_x >> 2] = A64_MUL,
	[OP_div64_x >> 2] = A64_UDIV,  [OP_sdiv64_x >> 2] = A64_SDIV, [OP_mod64_x >> 2] = A64_UDIV,
	[OP_smod64_x >> 2] = A64_SDIV, [OP_or64_x >> 2] = A64_ORR,    [OP_and64_x >> 2] = A64_AND,
	[OP_xor64_x >> 2] = A64_EOR,   [OP_lsh64_x >> 2] = A64_LSL,   [OP_rsh64_x >> 2] = A64_LSR,
	[OP_arsh64_x >> 2] = A64_ASR,
};

static bool is_mod(unsigned int group)
{
	return group == OP_mod64_x >> 2 || group == OP_smod64_x >> 2;
}

/*
 * The machine divides as BPF does: by 0 gives 0, the smallest number by -1 itself; so the
 * remainder of 0 is the dividend, and of -1 it is 0. It masks the counts of shifts as BPF does.
 */
static void alu_reg(struct jit *j, unsigned int group, bool wide, uint8_t dst, uint8_t src)
{
	if (group == OP_mov64_x >> 2) {
		if (!wide || dst != src)
			mov_rr(j, wide, dst, src);
	} else if (is_mod(group)) {
		op_rrr(j, wide, plain[group], T1, dst, src);
		msub(j, wide, dst, T1, src, dst);
	} else {
		op_rrr(j, wide, plain[group], dst, dst, src);
	}
}

/* False: it has no form with this constant. */
static bool alu_imm(struct jit *j, unsigned int group, bool wide, uint8_t dst, int32_t k)
{
	const uint64_t v = wide ? (uint64_t)(int64_t)k : (uint32_t)k;
	const uint8_t count = (uint8_t)k & (wide ? 63 : 31);
	const bool pow2 = v && !(v & (v - 1));
	const uint8_t log = v ? (uint8_t)__builtin_ctzll(v) : 0, top = wide ? 63 : 31;

	switch (group << 2) {
	case OP_add64_x:
		add_imm(j, wide, dst, dst, k);
		return true;
	case OP_sub64_x:
		add_imm(j, wide, dst, dst, -(int64_t)k);
		return true;
	case OP_and64_x:
	case OP_or64_x:
	case OP_xor64_x:
		logic_imm(j, wide, plain[group], dst, dst, v, T0);
		return true;
	case OP_mov64_x:
		mov_imm(j, wide, dst, v);
		return true;
	case OP_mul64_x:
		if (pow2)
			lsl_imm(j, wide, dst, dst, log);
		return pow2;
	case OP_div64_x:
		if (pow2)
			bits(j, wide, false, dst, dst, log, top);
		return pow2;
	case OP_mod64_x:
		if (pow2)
			logic_imm(j, wide, A64_AND, dst, dst, v - 1, T0);
		return pow2;
	case OP_lsh64_x:
		lsl_imm(j, wide, dst, dst, count);
		return true;
	case OP_rsh64_x:
		bits(j, wide, false, dst, dst, count, top);
		return true;
	case OP_arsh64_x:
		bits(j, wide, true, dst, dst, count, top);
		return true;
	}
	return false;
}

static void alu_group(struct jit *j, uint32_t i, unsigned int group, bool wide, bool imm)
{
	const struct icode *ic = &j->ins[i];
	uint8_t dst = a64_regs[ic->dst];
	int32_t k = ic->imm;

	if (!imm) {
		alu_reg(j, group, wide, dst, a64_regs[ic->src]);
		return;
	}
	/* (a shift's count tells nothing) */
	if (j->blind && k && (group < OP_lsh64_x >> 2 || group == OP_mov64_x >> 2)) {
		a64_blind(j, i, T0, (uint64_t)(int64_t)k, wide);
	} else {
		if (alu_imm(j, group, wide, dst, k))
			return;
		mov_imm(j, wide, T0, (uint64_t)(int64_t)k);
	}
	alu_reg(j, group, wide, dst, T0);
}

bool a64_alu(struct jit *j, uint32_t i)
{
	uint16_t op = j->ops[i];
	uint8_t dst, src;

	if (op <= OP_mov32_k) {
		alu_group(j, i, op >> 2, (op & 3) < 2, op & 1);
		return true;
	}
	if (op < OP_neg64 || op > OP_swap64)
		return false;
	dst = a64_regs[j->ins[i].dst];
	src = a64_regs[j->ins[i].src];
	switch (op) {
	case OP_neg64:
	case OP_neg32:
		op_rrr(j, op == OP_neg64, A64_SUB, dst, ZR, dst);
		return true;
	case OP_movsx64_8:
	case OP_movsx32_8:
		bits(j, op == OP_movsx64_8, true, dst, src, 0, 7);
		return true;
	case OP_movsx64_16:
	case OP_movsx32_16:
		bits(j, op == OP_movsx64_16, true, dst, src, 0, 15);
		return true;
	case OP_movsx64_32:
		bits(j, true, true, dst, src, 0, 31);
		return true;
	case OP_zext16:
		bits(j, false, false, dst, dst, 0, 15);
		return true;
	case OP_zext32:
		mov_rr(j, false, dst, dst);
		return true;
	case OP_nop:
		return true;
	case OP_swap16:
		e32(j, 0x5ac00400u | dst << 5 | dst);
		bits(j, false, false, dst, dst, 0, 15);
		return true;
	case OP_swap32:
		e32(j, 0x5ac00800u | dst << 5 | dst);
		return true;
	case OP_swap64:
		e32(j, 0xdac00c00u | dst << 5 | dst);
		return true;
	}
	return false;
}
