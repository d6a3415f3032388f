/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: arithmetic. */
#include "base/atomic.h"
#include "vm/jit_x86.h"

#if VM_HAVE_JIT

static bool has_bmi2(void)
{
	static int known; /* the same answer for everybody */
	int is = load_relaxed(&known);

	if (!is) {
		__builtin_cpu_init();
		is = __builtin_cpu_supports("bmi2") ? 2 : 1;
		store_relaxed(&known, is);
	}
	return is == 2;
}

/* dst = dst SHIFT src; n: 4 shl, 5 shr, 7 sar. The machine masks the count as BPF does. */
static void shift_reg(struct jit *j, bool wide, uint8_t n, uint8_t dst, uint8_t src)
{
	if (has_bmi2()) {
		/* shlx, shrx, sarx dst, dst, src */
		uint8_t pp = n == 4 ? 1 : n == 5 ? 3 : 2;

		e8(j, 0xc4);
		e8(j, (dst & 8 ? 0 : 0x80) | 0x40 | (dst & 8 ? 0 : 0x20) | 2);
		e8(j, wide << 7 | (~src & 15) << 3 | pp);
		e8(j, 0xf7);
		e8(j, 0xc0 | (dst & 7) << 3 | (dst & 7));
		return;
	}
	if (src == RCX) {
		if (dst == RCX) {
			mov_rr(j, true, R11, RCX);
			rex(j, wide, 0, R11);
			e8(j, 0xd3);
			e8(j, 0xc0 | n << 3 | (R11 & 7));
			mov_rr(j, wide, RCX, R11);
			return;
		}
		rex(j, wide, 0, dst);
		e8(j, 0xd3);
		e8(j, 0xc0 | n << 3 | (dst & 7));
		return;
	}
	mov_rr(j, true, R11, RCX);
	mov_rr(j, false, RCX, src);
	if (dst == RCX) {
		rex(j, wide, 0, R11);
		e8(j, 0xd3);
		e8(j, 0xc0 | n << 3 | (R11 & 7));
	} else {
		rex(j, wide, 0, dst);
		e8(j, 0xd3);
		e8(j, 0xc0 | n << 3 | (dst & 7));
	}
	/* the old rcx, or the result if that is where it goes */
	mov_rr(j, dst != RCX || wide, RCX, R11);
}

static void mul_imm(struct jit *j, bool wide, uint8_t dst, uint8_t src, int32_t imm)
{
	rex(j, wide, dst, src);
	e8(j, is_imm8(imm) ? 0x6b : 0x69);
	e8(j, 0xc0 | (dst & 7) << 3 | (src & 7));
	if (is_imm8(imm))
		e8(j, (uint8_t)imm);
	else
		e32(j, (uint32_t)imm);
}

/* ---- division ---- */

struct division {
	bool wide, is_signed, mod;
	uint8_t dst;
};

/* rax / div, in dst; div is neither rax nor rdx. */
static void divide(struct jit *j, const struct division *d, uint8_t div)
{
	uint8_t result = d->mod ? RDX : RAX;

	if (d->dst != RAX)
		mov_rr(j, true, R10, RAX);
	if (d->dst != RDX)
		mov_rr(j, true, R11, RDX);
	if (d->dst != RAX)
		mov_rr(j, d->wide, RAX, d->dst);
	if (d->is_signed) {
		if (d->wide)
			e8(j, 0x48);
		e8(j, 0x99); /* cqo, cdq */
	} else {
		op_rr(j, false, X86_XOR, RDX, RDX);
	}
	op_f7(j, d->wide, d->is_signed ? 7 : 6, div);
	if (d->dst != result)
		mov_rr(j, d->wide, d->dst, result);
	if (d->dst != RAX)
		mov_rr(j, true, RAX, R10);
	if (d->dst != RDX)
		mov_rr(j, true, RDX, R11);
}

/* By 0: 0, and the remainder is dst. */
static void divide_by_zero(struct jit *j, const struct division *d)
{
	if (!d->mod)
		mov_imm(j, d->dst, 0);
	else if (!d->wide)
		mov_rr(j, false, d->dst, d->dst);
}

/* By -1, signed: the smallest number would trap. */
static void divide_by_minus_one(struct jit *j, const struct division *d)
{
	if (d->mod)
		mov_imm(j, d->dst, 0);
	else
		op_f7(j, d->wide, 3, d->dst);
}

static void divide_reg(struct jit *j, const struct division *d, uint8_t src)
{
	uint32_t some, done, other = 0, end = 0;
	uint8_t div = src;

	if (src == RAX || src == RDX) {
		div = R9;
		mov_rr(j, d->wide, R9, src);
	}
	op_rr(j, d->wide, X86_TEST, div, div);
	if (d->mod && d->wide) {
		done = short_jump(j, JCC8(CC_E));
	} else {
		some = short_jump(j, JCC8(CC_NE));
		divide_by_zero(j, d);
		done = short_jump(j, JMP8);
		here(j, some);
	}
	if (d->is_signed) {
		op_imm(j, d->wide, X86_CMP, div, -1);
		other = short_jump(j, JCC8(CC_NE));
		divide_by_minus_one(j, d);
		end = short_jump(j, JMP8);
		here(j, other);
	}
	divide(j, d, div);
	here(j, done);
	if (end)
		here(j, end);
}

/*
 * x / c and x % c of 32 bits, by multiplication: with l = ceil(log2 c) and
 * m = floor(2^32 (2^l - c) / c) + 1, x / c = (x * (2^32 + m)) >> (32 + l) for every x
 * (Granlund and Montgomery 1994). No step exceeds 64 bits.
 */
static void divide_reciprocal(struct jit *j, const struct division *d, uint32_t c)
{
	unsigned int l = 32 - (unsigned int)__builtin_clz(c - 1);
	uint64_t m = (((1ULL << l) - c) << 32) / c + 1;
	/* without the 2^32 when it may be halved that often */
	uint64_t full = (1ULL << 32) + m;
	unsigned int s = 32 + l;

	/* A smaller pair may do: an m' of 32 bits with m' * c - 2^s' <= 2^(s' - 32). */
	for (unsigned int t = 32; t < s; t++) {
		uint64_t q = (1ULL << t) / c + 1;

		if (q >> 32)
			break;
		if (q * c - (1ULL << t) <= 1ULL << (t - 32)) {
			full = q;
			s = t;
			break;
		}
	}
	mov_rr(j, false, R10, d->dst);
	mov_imm(j, R11, (uint32_t)full);
	op0f_rr(j, true, 0xaf, R11, R10);
	if (full >> 32) {
		shift_imm(j, true, 5, R11, 32);
		op_rr(j, true, X86_ADD, R10, R11);
		s -= 32;
	}
	shift_imm(j, true, 5, R11, (uint8_t)s);
	if (!d->mod) {
		mov_rr(j, false, d->dst, R11);
		return;
	}
	mul_imm(j, false, R11, R11, (int32_t)c);
	op_rr(j, false, X86_SUB, R11, R10);
	mov_rr(j, false, d->dst, R10);
}

static void divide_imm(struct jit *j, const struct division *d, int32_t imm)
{
	uint64_t c = d->wide ? (uint64_t)(int64_t)imm : (uint32_t)imm;

	if (!imm) {
		divide_by_zero(j, d);
	} else if (d->is_signed && imm == -1) {
		divide_by_minus_one(j, d);
	} else if (!d->is_signed && !(c & (c - 1))) {
		uint8_t bits = (uint8_t)__builtin_ctzll(c);

		if (!d->mod && bits)
			shift_imm(j, d->wide, 5, d->dst, bits);
		else if (!d->mod && !d->wide)
			mov_rr(j, false, d->dst, d->dst);
		else if (d->mod && c == 1)
			mov_imm(j, d->dst, 0);
		else if (d->mod)
			op_imm(j, false, X86_AND, d->dst, (int32_t)(c - 1));
	} else if (!d->is_signed && !d->wide) {
		divide_reciprocal(j, d, (uint32_t)c);
	} else {
		mov_imm(j, R9, c);
		divide(j, d, R9);
	}
}

/* ---- all of it ---- */

static const uint8_t plain[] = {
	[OP_add64_x >> 2] = X86_ADD, [OP_sub64_x >> 2] = X86_SUB, [OP_or64_x >> 2] = X86_OR,
	[OP_and64_x >> 2] = X86_AND, [OP_xor64_x >> 2] = X86_XOR,
};

static void alu_group(struct jit *j, uint32_t i, unsigned int group, bool wide, bool imm)
{
	const struct icode *ic = &j->ins[i];
	uint8_t dst = x86_regs[ic->dst], src = x86_regs[ic->src];
	struct division d = {.wide = wide, .dst = dst};
	int32_t k = ic->imm;

	/* (a shift's count tells nothing) */
	if (imm && j->blind && k && (group < OP_lsh64_x >> 2 || group == OP_mov64_x >> 2)) {
		x86_blind(j, i, R9, (uint64_t)(int64_t)k, wide);
		src = R9;
		imm = false;
	}
	switch (group << 2) {
	case OP_mul64_x:
		if (imm)
			mul_imm(j, wide, dst, dst, k);
		else
			op0f_rr(j, wide, 0xaf, dst, src);
		return;
	case OP_div64_x:
	case OP_sdiv64_x:
	case OP_mod64_x:
	case OP_smod64_x:
		d.mod = group >= OP_mod64_x >> 2;
		d.is_signed = group << 2 == OP_sdiv64_x || group << 2 == OP_smod64_x;
		if (imm)
			divide_imm(j, &d, k);
		else
			divide_reg(j, &d, src);
		return;
	case OP_lsh64_x:
	case OP_rsh64_x:
	case OP_arsh64_x: {
		uint8_t n = group << 2 == OP_lsh64_x ? 4 : group << 2 == OP_rsh64_x ? 5 : 7;
		uint8_t count = (uint8_t)k & (wide ? 63 : 31);

		if (!imm)
			shift_reg(j, wide, n, dst, src);
		else if (count)
			shift_imm(j, wide, n, dst, count);
		else if (!wide)
			mov_rr(j, false, dst, dst);
		return;
	}
	case OP_mov64_x:
		if (imm)
			mov_imm(j, dst, wide ? (uint64_t)(int64_t)k : (uint32_t)k);
		else if (!wide || dst != src)
			mov_rr(j, wide, dst, src);
		return;
	}
	if (!imm)
		op_rr(j, wide, plain[group], src, dst);
	else if (wide && k >= 0 && group == OP_and64_x >> 2)
		op_imm(j, false, X86_AND, dst, k); /* the upper half goes either way */
	else
		op_imm(j, wide, plain[group], dst, k);
}

static void bswap(struct jit *j, bool wide, uint8_t dst)
{
	rex(j, wide, 0, dst);
	e8(j, 0x0f);
	e8(j, 0xc8 | (dst & 7));
}

/* Extends the low byte of src: reg numbers 4 to 7 need a prefix to mean it. */
static void extend8(struct jit *j, bool wide, uint8_t dst, uint8_t src)
{
	e8(j, 0x40 | wide << 3 | (dst >> 3) << 2 | src >> 3);
	e8(j, 0x0f);
	e8(j, 0xbe);
	e8(j, 0xc0 | (dst & 7) << 3 | (src & 7));
}

bool x86_alu(struct jit *j, uint32_t i)
{
	uint16_t op = j->ops[i];
	uint8_t dst, src;

	if (op <= OP_mov32_k) {
		alu_group(j, i, op >> 2, (op & 3) < 2, op & 1);
		return true;
	}
	if (op < OP_neg64 || op > OP_swap64)
		return false;
	dst = x86_regs[j->ins[i].dst];
	src = x86_regs[j->ins[i].src];
	switch (op) {
	case OP_neg64:
		op_f7(j, true, 3, dst);
		return true;
	case OP_neg32:
		op_f7(j, false, 3, dst);
		return true;
	case OP_movsx64_8:
		extend8(j, true, dst, src);
		return true;
	case OP_movsx32_8:
		extend8(j, false, dst, src);
		return true;
	case OP_movsx64_16:
		op0f_rr(j, true, 0xbf, dst, src);
		return true;
	case OP_movsx32_16:
		op0f_rr(j, false, 0xbf, dst, src);
		return true;
	case OP_movsx64_32:
		op_rr(j, true, 0x63, dst, src);
		return true;
	case OP_zext16:
		op0f_rr(j, false, 0xb7, dst, dst);
		return true;
	case OP_zext32:
		mov_rr(j, false, dst, dst);
		return true;
	case OP_nop:
		return true;
	case OP_swap16:
		e8(j, 0x66);
		shift_imm(j, false, 1, dst, 8);
		op0f_rr(j, false, 0xb7, dst, dst);
		return true;
	case OP_swap32:
		bswap(j, false, dst);
		return true;
	case OP_swap64:
		bswap(j, true, dst);
		return true;
	}
	return false;
}

#endif
