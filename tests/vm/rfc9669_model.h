/* SPDX-License-Identifier: BSD-2-Clause */
/* What RFC 9669's arithmetic and jumps do: a model from its text, and rows of results by hand. */
#ifndef SHMAP_TESTS_RFC9669_MODEL_H
#define SHMAP_TESTS_RFC9669_MODEL_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "check.h"

#define RFC_MIN64 0x8000000000000000ULL
#define RFC_MAX64 0x7fffffffffffffffULL
#define RFC_ONES 0xffffffffffffffffULL

#define RFC_MEMSX 0x80
#define RFC_LOAD_ACQ 0x100
#define RFC_STORE_REL 0x110

static inline struct bpf_insn rfc_insn(int code, int dst, int src, int off, int32_t imm)
{
	return (struct bpf_insn){
		.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

#define RFC_I rfc_insn

/* ---- the model ---- */

static inline uint64_t rfc_swap(uint64_t v, int bits)
{
	uint64_t r = 0;

	for (int i = 0; i < bits; i += 8)
		r |= (v >> i & 0xff) << (bits - 8 - i);
	return r;
}

static inline int64_t rfc_sext(uint64_t v, int bits)
{
	uint64_t sign = 1ULL << (bits - 1);

	v &= bits == 64 ? RFC_ONES : (1ULL << bits) - 1;
	return (int64_t)((v ^ sign) - sign);
}

/* Division truncates towards zero; by zero gives 0 (DIV) or the dividend (MOD), and the one
 * quotient that does not fit wraps. */
static inline uint64_t rfc_divide(uint64_t a, uint64_t b, int bits, bool is_signed, bool mod)
{
	uint64_t mask = bits == 64 ? RFC_ONES : (1ULL << bits) - 1;
	bool na = false, nb = false;
	uint64_t q, r;

	a &= mask;
	b &= mask;
	if (!b)
		return mod ? a : 0;
	if (is_signed) {
		na = a >> (bits - 1);
		nb = b >> (bits - 1);
		a = na ? -a & mask : a;
		b = nb ? -b & mask : b;
	}
	q = a / b;
	r = a % b;
	if (mod)
		return (na ? -r : r) & mask;
	return (na != nb ? -q : q) & mask;
}

/* What an arithmetic instruction leaves in its destination; b: the source's value. */
static inline uint64_t rfc_alu(const struct bpf_insn *in, uint64_t a, uint64_t b)
{
	int bits = BPF_CLASS(in->code) == BPF_ALU64 ? 64 : 32;
	uint64_t mask = bits == 64 ? RFC_ONES : UINT32_MAX, r;
	uint32_t shift;

	if (BPF_OP(in->code) == BPF_END) {
		/* ALU: to little (K) or big (X) endian; ALU64: always swapped */
		bool swap = BPF_CLASS(in->code) == BPF_ALU64 || BPF_SRC(in->code) == BPF_TO_BE;

		r = in->imm == 64 ? a : a & ((1ULL << in->imm) - 1);
		return swap ? rfc_swap(r, in->imm) : r;
	}
	if (BPF_SRC(in->code) == BPF_K && BPF_OP(in->code) != BPF_NEG)
		b = (uint64_t)(int64_t)in->imm;
	a &= mask;
	b &= mask;
	shift = b & (bits - 1);
	switch (BPF_OP(in->code)) {
	case BPF_ADD:
		r = a + b;
		break;
	case BPF_SUB:
		r = a - b;
		break;
	case BPF_MUL:
		r = a * b;
		break;
	case BPF_DIV:
		r = rfc_divide(a, b, bits, in->off, false);
		break;
	case BPF_MOD:
		r = rfc_divide(a, b, bits, in->off, true);
		break;
	case BPF_OR:
		r = a | b;
		break;
	case BPF_AND:
		r = a & b;
		break;
	case BPF_XOR:
		r = a ^ b;
		break;
	case BPF_LSH:
		r = a << shift;
		break;
	case BPF_RSH:
		r = a >> shift;
		break;
	case BPF_ARSH:
		r = (uint64_t)(rfc_sext(a, bits) >> shift);
		break;
	case BPF_NEG:
		r = -a;
		break;
	default: /* BPF_MOV, sign-extending with an offset */
		r = in->off ? (uint64_t)rfc_sext(b, in->off) : b;
	}
	return r & mask;
}

static inline bool rfc_taken(int code, uint64_t a, uint64_t b)
{
	int bits = BPF_CLASS(code) == BPF_JMP ? 64 : 32;
	uint64_t mask = bits == 64 ? RFC_ONES : UINT32_MAX;
	int64_t sa = rfc_sext(a, bits), sb = rfc_sext(b, bits);

	a &= mask;
	b &= mask;
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSET:
		return a & b;
	case BPF_JSGT:
		return sa > sb;
	case BPF_JSGE:
		return sa >= sb;
	case BPF_JSLT:
		return sa < sb;
	default:
		return sa <= sb;
	}
}

/* ---- what the model must say: from the RFC's text, by hand ---- */

#define RFC_A64(op) (BPF_ALU64 | (op) | BPF_X)
#define RFC_A32(op) (BPF_ALU | (op) | BPF_X)

static const struct rfc_row {
	uint8_t code;
	int16_t off;
	int32_t imm;
	uint64_t a, b, want;
} rfc_rows[] = {
	{RFC_A64(BPF_ADD), 0, 0, RFC_ONES, 1, 0},
	{RFC_A64(BPF_ADD), 0, 0, RFC_MAX64, 1, RFC_MIN64},
	{RFC_A32(BPF_ADD), 0, 0, 0xaaaaaaaaffffffff, 0xbbbbbbbb00000001, 0},
	{RFC_A64(BPF_SUB), 0, 0, 0, 1, RFC_ONES},
	{RFC_A32(BPF_SUB), 0, 0, 0x100000000, 1, 0xffffffff},
	{RFC_A64(BPF_MUL), 0, 0, RFC_ONES, RFC_ONES, 1},
	{RFC_A32(BPF_MUL), 0, 0, 0xffffffff, 0xffffffff, 1},
	/* division and modulo by zero */
	{RFC_A64(BPF_DIV), 0, 0, 7, 0, 0},
	{RFC_A32(BPF_DIV), 0, 0, RFC_ONES, 0xf00000000, 0},
	{RFC_A64(BPF_MOD), 0, 0, 0xabcdef0123456789, 0, 0xabcdef0123456789},
	{RFC_A32(BPF_MOD), 0, 0, 0xabcdef0123456789, 0xff00000000, 0x23456789},
	{RFC_A64(BPF_DIV), 1, 0, RFC_MIN64, 0, 0},
	{RFC_A32(BPF_DIV), 1, 0, 5, 0xff00000000, 0},
	{RFC_A64(BPF_MOD), 1, 0, RFC_MIN64, 0, RFC_MIN64},
	{RFC_A32(BPF_MOD), 1, 0, 0xff80000001, 0xff00000000, 0x80000001},
	/* the smallest integer by -1 */
	{RFC_A64(BPF_DIV), 1, 0, RFC_MIN64, RFC_ONES, RFC_MIN64},
	{RFC_A32(BPF_DIV), 1, 0, 0x80000000, 0xffffffff, 0x80000000},
	{RFC_A64(BPF_MOD), 1, 0, RFC_MIN64, RFC_ONES, 0},
	{RFC_A32(BPF_MOD), 1, 0, 0x80000000, 0xffffffff, 0},
	/* towards zero: -13 / 3 = -4, -13 % 3 = -1 */
	{RFC_A64(BPF_DIV), 1, 0, -13ULL, 3, -4ULL},
	{RFC_A64(BPF_MOD), 1, 0, -13ULL, 3, -1ULL},
	{RFC_A64(BPF_DIV), 1, 0, 13, -3ULL, -4ULL},
	{RFC_A64(BPF_MOD), 1, 0, 13, -3ULL, 1},
	{RFC_A32(BPF_DIV), 1, 0, 0xfffffff3, 3, 0xfffffffc},
	{RFC_A32(BPF_MOD), 1, 0, 0xfffffff3, 3, 0xffffffff},
	{RFC_A64(BPF_DIV), 0, 0, -13ULL, 3, 0x5555555555555551},
	/* a 64-bit immediate is sign-extended, a 32-bit one is 32 bits */
	{BPF_ALU64 | BPF_DIV | BPF_K, 0, -1, RFC_ONES, 0, 1},
	{BPF_ALU | BPF_DIV | BPF_K, 0, -1, RFC_ONES, 0, 1},
	{BPF_ALU64 | BPF_OR | BPF_K, 0, INT32_MIN, 0, 0, 0xffffffff80000000},
	{BPF_ALU | BPF_OR | BPF_K, 0, INT32_MIN, 0, 0, 0x80000000},
	/* shifts by the width and more */
	{RFC_A64(BPF_LSH), 0, 0, 3, 64, 3},
	{RFC_A64(BPF_LSH), 0, 0, 3, 127, RFC_MIN64},
	{RFC_A32(BPF_LSH), 0, 0, 3, 33, 6},
	{RFC_A64(BPF_RSH), 0, 0, RFC_MIN64, 65, 0x4000000000000000},
	{RFC_A32(BPF_RSH), 0, 0, 0x80000000, 32, 0x80000000},
	{RFC_A64(BPF_ARSH), 0, 0, RFC_MIN64, 63, RFC_ONES},
	{RFC_A32(BPF_ARSH), 0, 0, 0x80000000, 31, 0xffffffff},
	{RFC_A32(BPF_ARSH), 0, 0, 0xff7fffffff, 31, 0},
	/* sign-extending moves; 32 bits zero the upper half */
	{RFC_A64(BPF_MOV), 8, 0, 1, 0x7f80, -128ULL},
	{RFC_A64(BPF_MOV), 16, 0, 1, 0x18000, 0xffffffffffff8000},
	{RFC_A64(BPF_MOV), 32, 0, 1, 0x180000000, 0xffffffff80000000},
	{RFC_A32(BPF_MOV), 8, 0, RFC_ONES, 0xff80, 0xffffff80},
	{RFC_A32(BPF_MOV), 16, 0, RFC_ONES, 0xfff7fff, 0x7fff},
	{RFC_A32(BPF_MOV), 0, 0, RFC_ONES, 0xabc00000005, 5},
	{BPF_ALU64 | BPF_MOV | BPF_K, 0, -1, 1, 0, RFC_ONES},
	{BPF_ALU | BPF_MOV | BPF_K, 0, -1, 1, 0, 0xffffffff},
	{BPF_ALU64 | BPF_NEG, 0, 0, RFC_MIN64, 0, RFC_MIN64},
	{BPF_ALU | BPF_NEG, 0, 0, 0xff00000001, 0, 0xffffffff},
	/* byte swaps; the host is little-endian */
	{BPF_ALU | BPF_END | BPF_TO_LE, 0, 16, 0x0102030405060708, 0, 0x0708},
	{BPF_ALU | BPF_END | BPF_TO_LE, 0, 32, 0x0102030405060708, 0, 0x05060708},
	{BPF_ALU | BPF_END | BPF_TO_LE, 0, 64, 0x0102030405060708, 0, 0x0102030405060708},
	{BPF_ALU | BPF_END | BPF_TO_BE, 0, 16, 0x0102030405060708, 0, 0x0807},
	{BPF_ALU | BPF_END | BPF_TO_BE, 0, 32, 0x0102030405060708, 0, 0x08070605},
	{BPF_ALU | BPF_END | BPF_TO_BE, 0, 64, 0x0102030405060708, 0, 0x0807060504030201},
	{BPF_ALU64 | BPF_END, 0, 16, 0x0102030405060708, 0, 0x0807},
	{BPF_ALU64 | BPF_END, 0, 32, 0x0102030405060708, 0, 0x08070605},
	{BPF_ALU64 | BPF_END, 0, 64, 0x0102030405060708, 0, 0x0807060504030201},
};

static inline void rfc_check_model(void)
{
	for (size_t i = 0; i < sizeof(rfc_rows) / sizeof(rfc_rows[0]); i++) {
		const struct rfc_row *r = &rfc_rows[i];
		struct bpf_insn in = RFC_I(r->code, 0, 0, r->off, r->imm);

		CHECK_EQ(rfc_alu(&in, r->a, r->b), r->want);
	}
}

#endif
