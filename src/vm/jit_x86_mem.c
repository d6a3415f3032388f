/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: loads, stores, atomics. */
#include "vm/jit_x86.h"

#if VM_HAVE_JIT

/* A load of 1, 2, 4 or 8 bytes (n: 0 to 3), zero-extended. */
static void load(struct jit *j, unsigned int n, uint8_t dst, uint8_t base, int32_t off)
{
	if (n == 0)
		op0f_mem(j, false, 0xb6, dst, base, off);
	else if (n == 1)
		op0f_mem(j, false, 0xb7, dst, base, off);
	else
		op_mem(j, n == 3, X86_LOAD, dst, base, off);
}

static void load_sx(struct jit *j, unsigned int n, uint8_t dst, uint8_t base, int32_t off)
{
	if (n == 2)
		op_mem(j, true, 0x63, dst, base, off);
	else
		op0f_mem(j, true, n ? 0xbf : 0xbe, dst, base, off);
}

static void store(struct jit *j, unsigned int n, uint8_t src, uint8_t base, int32_t off)
{
	if (n == 0) {
		/* a prefix always: registers 4 to 7 need it to mean their low byte */
		e8(j, 0x40 | (src >> 3) << 2 | base >> 3);
		e8(j, 0x88);
		modrm_mem(j, src, base, off);
		return;
	}
	if (n == 1)
		e8(j, 0x66);
	op_mem(j, n == 3, X86_MOV, src, base, off);
}

static void store_imm(struct jit *j, uint32_t i, unsigned int n, uint8_t base, int32_t off)
{
	int32_t imm = j->ins[i].imm;

	if (j->blind && imm) {
		x86_blind(j, i, R10, (uint64_t)(int64_t)imm, true);
		store(j, n, R10, base, off);
		return;
	}
	if (n == 1)
		e8(j, 0x66);
	op_mem(j, n == 3, n ? 0xc7 : 0xc6, 0, base, off);
	if (n == 0) {
		e8(j, (uint8_t)imm);
	} else if (n == 1) {
		e8(j, (uint8_t)imm);
		e8(j, (uint8_t)(imm >> 8));
	} else {
		e32(j, (uint32_t)imm);
	}
}

/* ---- atomics ---- */

static void lock_mem(struct jit *j, bool wide, uint8_t op, uint8_t reg, uint8_t base, int32_t off)
{
	e8(j, 0xf0);
	op_mem(j, wide, op, reg, base, off);
}

static void cmpxchg(struct jit *j, bool wide, uint8_t reg, uint8_t base, int32_t off)
{
	e8(j, 0xf0);
	op0f_mem(j, wide, 0xb1, reg, base, off);
}

/* src = fetch-and-op: there is an instruction for addition alone. */
static void fetch_loop(struct jit *j, bool wide, uint8_t op, uint8_t base, uint8_t src, int32_t off)
{
	uint8_t at = base == RAX ? R10 : base, operand = src == RAX ? R10 : src;
	uint32_t again;

	mov_rr(j, true, R10, RAX);
	op_mem(j, wide, X86_LOAD, RAX, at, off);
	again = j->pos;
	mov_rr(j, wide, R11, RAX);
	op_rr(j, wide, op, operand, R11);
	cmpxchg(j, wide, R11, at, off);
	e8(j, JCC8(CC_NE));
	e8(j, (uint8_t)(again - (j->pos + 1)));
	if (src == RAX) {
		if (!wide)
			mov_rr(j, false, RAX, RAX);
		return;
	}
	mov_rr(j, wide, src, RAX);
	mov_rr(j, true, RAX, R10);
}

static void fetch(struct jit *j, unsigned int kind, bool wide, uint8_t base, uint8_t src,
		  int32_t off)
{
	static const uint8_t ops[] = {X86_ADD, X86_OR, X86_AND, X86_XOR};

	if (kind) {
		fetch_loop(j, wide, ops[kind], base, src, off);
		return;
	}
	e8(j, 0xf0);
	op0f_mem(j, wide, 0xc1, src, base, off);
}

/* The loads and stores that are ordered are plain ones on this machine. */
bool x86_memory(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];
	uint8_t dst, src;
	uint32_t from = j->pos;
	static const uint8_t ops[] = {X86_ADD, X86_OR, X86_AND, X86_XOR};

	if (!((op >= OP_ldx8 && op <= OP_store_rel64) ||
	      (op >= OP_atomic_add32 && op <= OP_fetch_xor64) || op == OP_stx_below))
		return false;
	dst = x86_regs[ic->dst];
	src = x86_regs[ic->src];
	if (op >= OP_atomic_add32 && op <= OP_fetch_xor64) {
		unsigned int kind = (op - OP_atomic_add32) >> 2, n = (op - OP_atomic_add32) & 3;

		if (n < 2)
			lock_mem(j, n & 1, ops[kind], src, dst, ic->off);
		else
			fetch(j, kind, n & 1, dst, src, ic->off);
		return true;
	}
	switch (op) {
	case OP_ldx8 ... OP_ldx64:
		load(j, op - OP_ldx8, dst, src, ic->off);
		return true;
	case OP_ldsx8 ... OP_ldsx32:
		load_sx(j, op - OP_ldsx8, dst, src, ic->off);
		return true;
	case OP_probe8 ... OP_probe64:
		load(j, op - OP_probe8, dst, src, ic->off);
		jit_add_probe(j, from, dst);
		return true;
	case OP_probesx8 ... OP_probesx32:
		load_sx(j, op - OP_probesx8, dst, src, ic->off);
		jit_add_probe(j, from, dst);
		return true;
	case OP_stx8 ... OP_stx64:
		store(j, op - OP_stx8, src, dst, ic->off);
		return true;
	case OP_st8 ... OP_st64:
		store_imm(j, i, op - OP_st8, dst, ic->off);
		return true;
	case OP_stx_below: { /* a 16-bit field that keeps its largest value */
		uint32_t over;

		op_imm(j, true, X86_CMP, src, UINT16_MAX);
		over = short_jump(j, JCC8(CC_AE));
		store(j, 1, src, dst, ic->off);
		here(j, over);
		return true;
	}
	case OP_xchg32:
	case OP_xchg64:
		op_mem(j, op == OP_xchg64, 0x87, src, dst, ic->off);
		return true;
	case OP_cmpxchg32:
	case OP_cmpxchg64:
		cmpxchg(j, op == OP_cmpxchg64, src, dst, ic->off);
		/* when they were equal rax has not been written */
		if (op == OP_cmpxchg32)
			mov_rr(j, false, RAX, RAX);
		return true;
	case OP_load_acq8 ... OP_load_acq64:
		load(j, op - OP_load_acq8, dst, src, ic->off);
		return true;
	case OP_store_rel8 ... OP_store_rel64:
		store(j, op - OP_store_rel8, src, dst, ic->off);
		return true;
	}
	return false;
}

#endif
