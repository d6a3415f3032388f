/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64: loads, stores, atomics.
 *
 * Atomics that return a value are fully ordered, as the kernel's: the single instructions
 * (ARMv8.1) by acquire and release; a pair of exclusives by a release and a barrier behind it,
 * since what follows the pair may pass its store. Those without a value order nothing.
 */
#include "vm/jit_arm64.h"

#include <sys/auxv.h>

#include "base/atomic.h"

/* From <asm/hwcap.h>: the processor has atomic instructions. */
#define HAS_ATOMICS (1UL << 8)

static bool has_atomics(void)
{
	static int known; /* the same answer for everybody */
	int is = load_relaxed(&known);

	if (!is) {
		is = getauxval(AT_HWCAP) & HAS_ATOMICS ? 2 : 1;
		store_relaxed(&known, is);
	}
	return is == 2;
}

void a64_access(struct jit *j, enum a64_access how, unsigned int n, uint8_t reg, uint8_t base,
		int32_t off)
{
	const uint32_t op = n << 30 | (uint32_t)how << 22 | base << 5 | reg;
	const int32_t bytes = 1 << n;

	if (off >= 0 && !(off & (bytes - 1)) && off / bytes < 4096) {
		e32(j, op | 0x39000000u | (uint32_t)(off / bytes) << 10);
	} else if (off >= -256 && off < 256) {
		e32(j, op | 0x38000000u | ((uint32_t)off & 0x1ff) << 12);
	} else {
		mov_imm(j, true, T1, (uint64_t)(int64_t)off);
		e32(j, op | 0x38206800u | T1 << 16);
	}
}

/* A register that has base + off: x10, or base itself. */
static uint8_t address(struct jit *j, uint8_t base, int32_t off)
{
	if (!off)
		return base;
	add_imm(j, true, T1, base, off);
	return T1;
}

static void probe(struct jit *j, enum a64_access how, unsigned int n, uint8_t reg, uint8_t base,
		  int32_t off)
{
	a64_access(j, how, n, reg, base, off);
	/* the last of the instructions is the one that may fault */
	jit_add_probe(j, j->pos - 4, reg);
}

static void store_imm(struct jit *j, uint32_t i, unsigned int n, uint8_t base, int32_t off)
{
	int32_t imm = j->ins[i].imm;
	uint8_t reg = imm ? T0 : ZR;

	if (j->blind && imm)
		a64_blind(j, i, T0, (uint64_t)(int64_t)imm, true);
	else if (imm)
		mov_imm(j, n == 3, T0, (uint64_t)(int64_t)imm);
	store(j, n, reg, base, off);
}

/* ---- atomics ---- */

enum { ADD, OR, AND, XOR };

static void exclusive_load(struct jit *j, unsigned int n, uint8_t reg, uint8_t at)
{
	e32(j, n << 30 | 0x085f7c00u | at << 5 | reg);
}

/* Back to `again` when somebody else was there. */
static void exclusive_store(struct jit *j, unsigned int n, bool release, uint8_t reg, uint8_t at,
			    uint32_t again)
{
	e32(j, n << 30 | (release ? 0x0800fc00u : 0x08007c00u) | T0 << 16 | at << 5 | reg);
	back(j, A64_CBNZ(false, T0), again);
}

static void fetch_loop(struct jit *j, unsigned int kind, unsigned int n, uint8_t at, uint8_t src,
		       bool fetch)
{
	static const uint32_t ops[] = {A64_ADD, A64_ORR, A64_AND, A64_EOR};
	const uint32_t again = j->pos;

	exclusive_load(j, n, T2, at);
	op_rrr(j, n == 3, ops[kind], T3, T2, src);
	exclusive_store(j, n, fetch, T3, at, again);
	if (!fetch)
		return;
	e32(j, A64_DMB_ISH);
	mov_rr(j, n == 3, src, T2);
}

static void fetch_op(struct jit *j, unsigned int kind, unsigned int n, uint8_t at, uint8_t src,
		     bool fetch)
{
	/* add, set, clear (what is not in the mask), exclusive or */
	static const uint32_t ops[] = {0x38200000u, 0x38203000u, 0x38201000u, 0x38202000u};
	const uint32_t order = fetch ? 3u << 22 : 0;
	uint8_t operand = src;

	if (!has_atomics()) {
		fetch_loop(j, kind, n, at, src, fetch);
		return;
	}
	if (kind == AND) {
		operand = T0;
		op_rrr(j, n == 3, A64_ORN, T0, ZR, src);
	}
	e32(j, n << 30 | ops[kind] | order | operand << 16 | at << 5 | (fetch ? src : ZR));
}

static void exchange(struct jit *j, unsigned int n, uint8_t at, uint8_t src)
{
	uint32_t again;

	if (has_atomics()) {
		e32(j, n << 30 | 0x38e08000u | src << 16 | at << 5 | src);
		return;
	}
	again = j->pos;
	exclusive_load(j, n, T2, at);
	exclusive_store(j, n, true, src, at, again);
	e32(j, A64_DMB_ISH);
	mov_rr(j, n == 3, src, T2);
}

static void compare_exchange(struct jit *j, unsigned int n, uint8_t at, uint8_t src)
{
	uint32_t again, other;

	/* (the register with the address must not be the one that changes) */
	if (at == REG_R0) {
		mov_rr(j, true, T1, at);
		at = T1;
	}
	if (has_atomics()) {
		e32(j, n << 30 | 0x08e0fc00u | REG_R0 << 16 | at << 5 | src);
		return;
	}
	again = j->pos;
	exclusive_load(j, n, T2, at);
	cmp_rr(j, n == 3, T2, REG_R0);
	other = ahead(j, A64_B_IF(CC_NE));
	exclusive_store(j, n, true, src, at, again);
	here(j, other);
	e32(j, A64_DMB_ISH);
	mov_rr(j, n == 3, REG_R0, T2);
}

bool a64_memory(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];
	uint8_t dst, src;

	if (!((op >= OP_ldx8 && op <= OP_store_rel64) ||
	      (op >= OP_atomic_add32 && op <= OP_fetch_xor64) || op == OP_stx_below))
		return false;
	dst = a64_regs[ic->dst];
	src = a64_regs[ic->src];
	if (op >= OP_atomic_add32 && op <= OP_fetch_xor64) {
		unsigned int kind = (op - OP_atomic_add32) >> 2, n = (op - OP_atomic_add32) & 3;

		fetch_op(j, kind, n & 1 ? 3 : 2, address(j, dst, ic->off), src, n >= 2);
		return true;
	}
	switch (op) {
	case OP_ldx8 ... OP_ldx64:
		load(j, op - OP_ldx8, dst, src, ic->off);
		return true;
	case OP_ldsx8 ... OP_ldsx32:
		a64_access(j, A64_LOAD_SX, op - OP_ldsx8, dst, src, ic->off);
		return true;
	case OP_probe8 ... OP_probe64:
		probe(j, A64_LOAD, op - OP_probe8, dst, src, ic->off);
		return true;
	case OP_probesx8 ... OP_probesx32:
		probe(j, A64_LOAD_SX, op - OP_probesx8, dst, src, ic->off);
		return true;
	case OP_stx8 ... OP_stx64:
		store(j, op - OP_stx8, src, dst, ic->off);
		return true;
	case OP_st8 ... OP_st64:
		store_imm(j, i, op - OP_st8, dst, ic->off);
		return true;
	case OP_stx_below: { /* a 16-bit field that keeps its largest value */
		uint32_t over;

		mov_imm(j, true, T0, UINT16_MAX);
		cmp_rr(j, true, src, T0);
		over = ahead(j, A64_B_IF(CC_HS));
		store(j, 1, src, dst, ic->off);
		here(j, over);
		return true;
	}
	case OP_xchg32:
	case OP_xchg64:
		exchange(j, op == OP_xchg64 ? 3 : 2, address(j, dst, ic->off), src);
		return true;
	case OP_cmpxchg32:
	case OP_cmpxchg64:
		compare_exchange(j, op == OP_cmpxchg64 ? 3 : 2, address(j, dst, ic->off), src);
		return true;
	case OP_load_acq8 ... OP_load_acq64:
		e32(j, (uint32_t)(op - OP_load_acq8) << 30 | 0x08dffc00u |
			       address(j, src, ic->off) << 5 | dst);
		return true;
	case OP_store_rel8 ... OP_store_rel64:
		e32(j, (uint32_t)(op - OP_store_rel8) << 30 | 0x089ffc00u |
			       address(j, dst, ic->off) << 5 | src);
		return true;
	}
	return false;
}
