/* SPDX-License-Identifier: BSD-2-Clause */
/* Every instruction of RFC 9669 gives the RFC's result for edge values. */
#include "../rfc9669_model.h"
#include "prog.h"

#define MIN64 0x8000000000000000ull
#define MAX64 0x7fffffffffffffffull
#define ONES 0xffffffffffffffffull

struct alu {
	uint8_t code;
	int16_t off;
	int32_t imm;
	uint64_t a, b, want;
};

#define A64(op) (BPF_ALU64 | (op) | BPF_X)
#define A32(op) (BPF_ALU | (op) | BPF_X)
#define K64(op) (BPF_ALU64 | (op) | BPF_K)
#define K32(op) (BPF_ALU | (op) | BPF_K)

static const struct alu alu[] = {
	{A64(BPF_ADD), 0, 0, ONES, 1, 0},
	{A64(BPF_ADD), 0, 0, MAX64, 1, MIN64},
	{K64(BPF_ADD), 0, -1, 0, 9, ONES},
	{A32(BPF_ADD), 0, 0, 0xaaaaaaaaffffffff, 0xbbbbbbbb00000001, 0},
	{K32(BPF_ADD), 0, -1, ONES << 32, 9, 0xffffffff},
	{A64(BPF_SUB), 0, 0, 0, 1, ONES},
	{K64(BPF_SUB), 0, -1, ONES, 9, 0},
	{A32(BPF_SUB), 0, 0, 0x100000000, 1, 0xffffffff},
	{K32(BPF_SUB), 0, 5, 0x700000003, 9, 0xfffffffe},
	{A64(BPF_MUL), 0, 0, ONES, ONES, 1},
	{A64(BPF_MUL), 0, 0, 0x100000000, 0x100000000, 0},
	{K64(BPF_MUL), 0, -2, 3, 9, ONES - 5},
	{A32(BPF_MUL), 0, 0, 0xffffffff, 0xffffffff, 1},
	{K32(BPF_MUL), 0, -1, 0xff00000002, 9, 0xfffffffe},
	{A64(BPF_DIV), 0, 0, ONES, 2, MAX64},
	{A64(BPF_DIV), 0, 0, 7, 0, 0},
	{K64(BPF_DIV), 0, -1, ONES, 9, 1},
	{K64(BPF_DIV), 0, -1, ONES - 1, 9, 0},
	{A32(BPF_DIV), 0, 0, 0x1ffffffff, 0x100000002, 0x7fffffff},
	{A32(BPF_DIV), 0, 0, ONES, 0xf00000000, 0},
	{K32(BPF_DIV), 0, 3, 0x10000000a, 9, 3},
	{A64(BPF_MOD), 0, 0, ONES, 10, 5},
	{A64(BPF_MOD), 0, 0, 0xabcdef0123456789, 0, 0xabcdef0123456789},
	{K64(BPF_MOD), 0, -1, ONES, 9, 0},
	{A32(BPF_MOD), 0, 0, 0xabcdef0123456789, 0xff00000000, 0x23456789},
	{A32(BPF_MOD), 0, 0, 0x1ffffffff, 16, 15},
	{K32(BPF_MOD), 0, 7, 0x100000010, 9, 2},
	{A64(BPF_DIV), 1, 0, MIN64, ONES, MIN64},
	{A64(BPF_DIV), 1, 0, MIN64, 0, 0},
	{A64(BPF_DIV), 1, 0, (uint64_t)-7, 2, (uint64_t)-3},
	{A64(BPF_DIV), 1, 0, 7, (uint64_t)-2, (uint64_t)-3},
	{K64(BPF_DIV), 1, -1, 5, 9, (uint64_t)-5},
	{K64(BPF_DIV), 1, -3, (uint64_t)-10, 9, 3},
	{A32(BPF_DIV), 1, 0, 0x80000000, 0xffffffff, 0x80000000},
	{A32(BPF_DIV), 1, 0, 0xfffffff9, 2, 0xfffffffd},
	{A32(BPF_DIV), 1, 0, 5, 0xff00000000, 0},
	{K32(BPF_DIV), 1, -2, 0xa00000007, 9, 0xfffffffd},
	{A64(BPF_MOD), 1, 0, MIN64, ONES, 0},
	{A64(BPF_MOD), 1, 0, MIN64, 0, MIN64},
	{A64(BPF_MOD), 1, 0, (uint64_t)-7, 2, (uint64_t)-1},
	{A64(BPF_MOD), 1, 0, 7, (uint64_t)-2, 1},
	{K64(BPF_MOD), 1, -3, (uint64_t)-10, 9, (uint64_t)-1},
	{A32(BPF_MOD), 1, 0, 0x80000000, 0xffffffff, 0},
	{A32(BPF_MOD), 1, 0, 0xff80000001, 0xff00000000, 0x80000001},
	{K32(BPF_MOD), 1, 3, 0xfffffff8, 9, 0xfffffffe},
	{A64(BPF_OR), 0, 0, MIN64, 1, MIN64 | 1},
	{K64(BPF_OR), 0, (int32_t)0x80000000, 0, 9, 0xffffffff80000000},
	{A32(BPF_OR), 0, 0, 0xff00000000, 0xf, 0xf},
	{K32(BPF_OR), 0, -1, 0xff00000000, 9, 0xffffffff},
	{A64(BPF_AND), 0, 0, ONES, MIN64, MIN64},
	{K64(BPF_AND), 0, -16, ONES, 9, 0xfffffffffffffff0},
	{A32(BPF_AND), 0, 0, ONES, ONES, 0xffffffff},
	{K32(BPF_AND), 0, -16, ONES, 9, 0xfffffff0},
	{A64(BPF_XOR), 0, 0, ONES, MIN64, MAX64},
	{K64(BPF_XOR), 0, -1, 0, 9, ONES},
	{A32(BPF_XOR), 0, 0, ONES, 1, 0xfffffffe},
	{K32(BPF_XOR), 0, -1, 1ull << 40, 9, 0xffffffff},
	{A64(BPF_LSH), 0, 0, 3, 63, MIN64},
	{A64(BPF_LSH), 0, 0, 3, 64, 3},
	{A64(BPF_LSH), 0, 0, 3, ONES, MIN64},
	{K64(BPF_LSH), 0, 32, 0xffffffff, 9, 0xffffffff00000000},
	{A32(BPF_LSH), 0, 0, 3, 31, 0x80000000},
	{A32(BPF_LSH), 0, 0, 3, 33, 6},
	{K32(BPF_LSH), 0, 31, ONES, 9, 0x80000000},
	{A64(BPF_RSH), 0, 0, MIN64, 63, 1},
	{A64(BPF_RSH), 0, 0, MIN64, 65, MIN64 >> 1},
	{K64(BPF_RSH), 0, 1, ONES, 9, MAX64},
	{A32(BPF_RSH), 0, 0, ONES, 4, 0x0fffffff},
	{A32(BPF_RSH), 0, 0, 0x80000000, 32, 0x80000000},
	{K32(BPF_RSH), 0, 31, 0xff80000000, 9, 1},
	{A64(BPF_ARSH), 0, 0, MIN64, 63, ONES},
	{A64(BPF_ARSH), 0, 0, MAX64, 62, 1},
	{K64(BPF_ARSH), 0, 4, MIN64, 9, 0xf800000000000000},
	{A32(BPF_ARSH), 0, 0, 0x80000000, 31, 0xffffffff},
	{A32(BPF_ARSH), 0, 0, 0xf7fffffff, 63, 0},
	{K32(BPF_ARSH), 0, 4, 0xff80000000, 9, 0xf8000000},
	{A64(BPF_MOV), 0, 0, 1, MIN64 | 5, MIN64 | 5},
	{K64(BPF_MOV), 0, -1, 1, 9, ONES},
	{A32(BPF_MOV), 0, 0, ONES, 0xabc00000005, 5},
	{K32(BPF_MOV), 0, -1, 1, 9, 0xffffffff},
	{A64(BPF_MOV), 8, 0, 1, 0x7f80, (uint64_t)-128},
	{A64(BPF_MOV), 16, 0, 1, 0x18000, 0xffffffffffff8000},
	{A64(BPF_MOV), 32, 0, 1, 0x180000000, 0xffffffff80000000},
	{A64(BPF_MOV), 32, 0, 1, 0xff7fffffff, 0x7fffffff},
	{A32(BPF_MOV), 8, 0, ONES, 0xff80, 0xffffff80},
	{A32(BPF_MOV), 16, 0, ONES, 0xfff7fff, 0x7fff},
	{K64(BPF_NEG), 0, 0, 1, 0, ONES},
	{K64(BPF_NEG), 0, 0, MIN64, 0, MIN64},
	{K32(BPF_NEG), 0, 0, 0xff00000001, 0, 0xffffffff},
	{K32(BPF_NEG), 0, 0, 0x100000000, 0, 0},
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

static void test_alu(void)
{
	size_t i;

	for (i = 0; i < sizeof(alu) / sizeof(alu[0]); i++) {
		const struct alu *t = &alu[i];
		bool x = BPF_OP(t->code) != BPF_END && BPF_SRC(t->code) == BPF_X;
		uint64_t got =
			RUN(NULL, LD_IMM64(1, t->a), LD_IMM64(2, t->b),
			    INSN(t->code, 1, x ? 2 : 0, t->off, t->imm), MOV64_X(0, 1), EXIT());

		if (got != t->want) {
			fprintf(stderr,
				"row %zu: code %#x off %d imm %d on %#llx, %#llx: %#llx, not "
				"%#llx\n",
				i, t->code, t->off, t->imm, (unsigned long long)t->a,
				(unsigned long long)t->b, (unsigned long long)got,
				(unsigned long long)t->want);
			check_failures++;
		}
	}
}

/* Pairs, and for each comparison one bit per pair: is it taken? Pairs are
 * compared as 64 bits, as 32 bits, and with an immediate where b fits. */
static const struct {
	uint64_t a;
	int32_t b;
} pairs[] = {
	{0, 0},		  {0, 1},	    {1, 0},
	{ONES, 0},	  {0, -1},	    {ONES, -1},
	{MIN64, 0},	  {MAX64, -1},	    {0xff00000001, 1},
	{0x80000000, -1}, {0xffffffff, -1}, {0x7fffffff, (int32_t)0x80000000},
};

static void test_jumps(void)
{
	static const uint8_t ops[] = {BPF_JEQ,	BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
				      BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};
	size_t i, j;

	for (i = 0; i < sizeof(ops); i++) {
		for (j = 0; j < sizeof(pairs) / sizeof(pairs[0]); j++) {
			uint64_t a = pairs[j].a, b = (uint64_t)(int64_t)pairs[j].b;
			bool want64 = rfc_taken(BPF_JMP | ops[i], a, b);
			bool want32 = rfc_taken(BPF_JMP32 | ops[i], a, b);

#define JUMP(code, src, imm)                                                                       \
	RUN(NULL, LD_IMM64(1, a), LD_IMM64(2, b), MOV64_K(0, 1),                                   \
	    INSN((uint8_t)(code), 1, src, 1, imm), MOV64_K(0, 0), EXIT())
			CHECK_EQ(JUMP(BPF_JMP | ops[i] | BPF_X, 2, 0), want64);
			CHECK_EQ(JUMP(BPF_JMP | ops[i] | BPF_K, 0, pairs[j].b), want64);
			CHECK_EQ(JUMP(BPF_JMP32 | ops[i] | BPF_X, 2, 0), want32);
			CHECK_EQ(JUMP(BPF_JMP32 | ops[i] | BPF_K, 0, pairs[j].b), want32);
		}
	}
	CHECK_EQ(
		RUN(NULL, MOV64_K(0, 1), INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0), MOV64_K(0, 2), EXIT()),
		1);
	CHECK_EQ(RUN(NULL, MOV64_K(0, 1), INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, 1), MOV64_K(0, 2),
		     EXIT()),
		 1);
	/* backwards: 10 + 9 + ... + 1 */
	CHECK_EQ(RUN(NULL, MOV64_K(0, 0), MOV64_K(1, 10),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
		     INSN(BPF_ALU64 | BPF_SUB | BPF_K, 1, 0, 0, 1),
		     INSN(BPF_JMP | BPF_JNE | BPF_K, 1, 0, -3, 0), EXIT()),
		 55);
	CHECK_EQ(RUN(NULL, MOV64_K(0, 0), INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1),
		     INSN(BPF_JMP | 0xe0, 0, 0, 1, 0), INSN(BPF_JMP | BPF_JA, 0, 0, -3, 0), EXIT()),
		 8388609);
}

static void test_memory(void)
{
	static const uint8_t size[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	static const uint64_t mask[] = {0xff, 0xffff, 0xffffffff, ONES};
	uint8_t mem[64];
	int i, off;

	for (i = 0; i < 4; i++) {
		uint64_t v = 0xf1f2f3f4f5f6f7f8, want = v & mask[i], got;
		int n = 1 << i;

		for (off = -9; off <= 9; off++) {
			memset(mem, 0xaa, sizeof(mem));
			RUN(mem + 32, LD_IMM64(2, v),
			    INSN(BPF_STX | size[i] | BPF_MEM, 1, 2, off, 0), MOV64_K(0, 0), EXIT());
			got = 0;
			memcpy(&got, mem + 32 + off, n);
			CHECK_EQ(got, want);
			CHECK(mem[32 + off - 1] == 0xaa && mem[32 + off + n] == 0xaa);
			got = RUN(mem + 32, INSN(BPF_LDX | size[i] | BPF_MEM, 0, 1, off, 0),
				  EXIT());
			CHECK_EQ(got, want);
		}
		memset(mem, 0xaa, sizeof(mem));
		RUN(mem, INSN(BPF_ST | size[i] | BPF_MEM, 1, 0, 8, -2), MOV64_K(0, 0), EXIT());
		got = 0;
		memcpy(&got, mem + 8, n);
		CHECK_EQ(got, (uint64_t)-2 & mask[i]);
		CHECK(mem[7] == 0xaa && mem[8 + n] == 0xaa);
		if (i == 3)
			continue;
		v = 1ull << (8 * n - 1);
		memcpy(mem, &v, 8);
		CHECK_EQ(RUN(mem, INSN(BPF_LDX | size[i] | 0x80, 0, 1, 0, 0), EXIT()),
			 (uint64_t)0 - v);
		v--;
		memcpy(mem, &v, 8);
		CHECK_EQ(RUN(mem, INSN(BPF_LDX | size[i] | 0x80, 0, 1, 0, 0), EXIT()), v);
	}
	/* the stack: the deepest slot of the frame */
	CHECK_EQ(RUN(NULL, LD_IMM64(1, MIN64 | 7), INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 1, -512, 0),
		     INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 10, -512, 0), EXIT()),
		 MIN64 | 7);
}

static void test_atomics(void)
{
	static const struct {
		int32_t op;
		uint64_t mem, src, want;
	} rows[] = {
		{BPF_ADD, 0xfffffffffffffffe, 3, 1},
		{BPF_OR, 0xf0f0, 0x0f0f, 0xffff},
		{BPF_AND, 0xffffffff0000ffff, 0x0ff0, 0x0ff0},
		{BPF_XOR, ONES, 0xff, ONES ^ 0xff},
		{BPF_XCHG, 5, 0x123456789abcdef0, 0x123456789abcdef0},
	};
	uint64_t mem[2], got;
	size_t i;
	int f;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (f = 0; f < 2; f++) {
			int32_t op = rows[i].op | (f ? BPF_FETCH : 0);
			bool fetch = op & BPF_FETCH;

			mem[0] = 0x1111;
			mem[1] = rows[i].mem;
			got = RUN(mem, LD_IMM64(2, rows[i].src),
				  INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 1, 2, 8, op), MOV64_X(0, 2),
				  EXIT());
			CHECK_EQ(got, fetch ? rows[i].mem : rows[i].src);
			CHECK_EQ(mem[1], rows[i].want);
			CHECK_EQ(mem[0], 0x1111);
			mem[1] = rows[i].mem;
			got = RUN(mem, LD_IMM64(2, rows[i].src),
				  INSN(BPF_STX | BPF_W | BPF_ATOMIC, 1, 2, 8, op), MOV64_X(0, 2),
				  EXIT());
			CHECK_EQ(got, fetch ? (uint32_t)rows[i].mem : rows[i].src);
			CHECK_EQ((uint32_t)mem[1], (uint32_t)rows[i].want);
			CHECK_EQ(mem[1] >> 32, rows[i].mem >> 32);
		}
	}
	for (f = 0; f < 2; f++) {
		uint64_t expect = f ? 0xabcdef0123456789 : 0xabcdef0123456780;

		mem[0] = 0xabcdef0123456789;
		got = RUN(mem, LD_IMM64(0, expect), MOV64_K(2, 77),
			  INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 1, 2, 0, BPF_CMPXCHG), EXIT());
		CHECK_EQ(got, 0xabcdef0123456789);
		CHECK_EQ(mem[0], f ? 77 : 0xabcdef0123456789);
		mem[0] = 0xabcdef0123456789;
		got = RUN(mem, LD_IMM64(0, expect), MOV64_K(2, 77),
			  INSN(BPF_STX | BPF_W | BPF_ATOMIC, 1, 2, 0, BPF_CMPXCHG), EXIT());
		CHECK_EQ(got, 0x23456789);
		CHECK_EQ(mem[0], f ? 0xabcdef010000004d : 0xabcdef0123456789);
	}
	mem[0] = 0x8899aabbccddeeff;
	CHECK_EQ(RUN(mem, INSN(BPF_STX | BPF_H | BPF_ATOMIC, 0, 1, 2, 0x100), EXIT()), 0xccdd);
	CHECK_EQ(RUN(mem, INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 0, 1, 0, 0x100), EXIT()), mem[0]);
	RUN(mem, LD_IMM64(2, 0x1234), INSN(BPF_STX | BPF_B | BPF_ATOMIC, 1, 2, 1, 0x110),
	    MOV64_K(0, 0), EXIT());
	CHECK_EQ(mem[0], 0x8899aabbccdd34ff);
}

static void test_calls(void)
{
	/* f(n) = n == 1 ? 0 : n + f(n - 1), 7 calls deep; each frame keeps n in its stack
	 * and in R6 */
	CHECK_EQ(RUN(NULL, MOV64_K(1, 7), CALL_LOCAL(1), EXIT(),
		     /* 3: f */
		     MOV64_X(6, 1), INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 1, -8, 0), MOV64_K(0, 0),
		     INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5, 1),
		     INSN(BPF_ALU64 | BPF_SUB | BPF_K, 1, 0, 0, 1), CALL_LOCAL(-6),
		     INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10, -8, 0),
		     INSN(BPF_JMP | BPF_JNE | BPF_X, 1, 6, 2, 0),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6, 0, 0), EXIT(),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1), EXIT()),
		 27);
	/* bpf_loop(5, cb, &sum, 0): cb adds index and stops at 3 */
	CHECK_EQ(RUN(NULL, INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0), MOV64_K(1, 10),
		     LD_FUNC(2, 11), MOV64_X(3, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -8),
		     MOV64_K(4, 0), MOV64_K(6, 1000), CALL(BPF_FUNC_loop),
		     INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10, -8, 0),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6, 0, 0), EXIT(), EXIT(),
		     /* 14: cb(index, ctx) */
		     INSN(BPF_LDX | BPF_DW | BPF_MEM, 3, 2, 0, 0),
		     INSN(BPF_ALU64 | BPF_ADD | BPF_X, 3, 1, 0, 0),
		     INSN(BPF_STX | BPF_DW | BPF_MEM, 2, 3, 0, 0), MOV64_K(0, 1), MOV64_K(6, 6),
		     INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 3), MOV64_K(0, 0), EXIT()),
		 1000 + 4 + (0 + 1 + 2 + 3));
	CHECK_EQ(RUN(NULL, LD_IMM64(1, 0x100800001), LD_FUNC(2, 5), MOV64_K(3, 0), MOV64_K(4, 0),
		     CALL(BPF_FUNC_loop), EXIT(), MOV64_K(0, 0), EXIT()),
		 (uint64_t)-E2BIG);
}

static void test_packet_loads(void)
{
	static uint8_t pkt[] = {1, 2, 3, 4, 5, 6};
	struct vm_env env = {.pkt = pkt, .pkt_end = pkt + sizeof(pkt)};
	static const struct {
		uint8_t code;
		int32_t imm;
		uint64_t ind, want;
	} rows[] = {
		{BPF_LD | BPF_ABS | BPF_B, 5, 0, 6 + 1000},
		{BPF_LD | BPF_ABS | BPF_B, 6, 0, 0},
		{BPF_LD | BPF_ABS | BPF_H, 1, 0, 0x0203 + 1000},
		{BPF_LD | BPF_ABS | BPF_H, 5, 0, 0},
		{BPF_LD | BPF_ABS | BPF_W, 2, 0, 0x03040506 + 1000},
		{BPF_LD | BPF_ABS | BPF_W, 3, 0, 0},
		{BPF_LD | BPF_IND | BPF_B, 1, 2, 4 + 1000},
		{BPF_LD | BPF_IND | BPF_H, -1, 2, 0x0203 + 1000},
		{BPF_LD | BPF_IND | BPF_W, 0, 3, 0},
		{BPF_LD | BPF_IND | BPF_W, 0, 0xffffffff00000001, 0x02030405 + 1000},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bpf_insn insns[] = {
			MOV64_X(6, 1),
			LD_IMM64(7, rows[i].ind),
			INSN(rows[i].code, 0, BPF_MODE(rows[i].code) == BPF_IND ? 7 : 0, 0,
			     rows[i].imm),
			INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1000),
			EXIT(),
		};
		struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, 6);
		uint64_t ret = 7;

		CHECK_EQ(vm_run(p, &env, &env, &ret), 0);
		CHECK_EQ(ret, rows[i].want);
		vm_prog_free(p);
	}
}

int main(void)
{
	uaccess_init();
	test_alu();
	test_jumps();
	test_memory();
	test_atomics();
	test_calls();
	test_packet_loads();
	return check_done();
}
