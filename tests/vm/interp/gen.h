/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs that are valid by construction: arithmetic of all kinds, forward jumps,
 * loads and stores of the stack, atomics, a call. R0 at the end is a hash of all registers
 * and stack slots.
 */
#ifndef SHMAP_TESTS_VM_GEN_H
#define SHMAP_TESTS_VM_GEN_H

#include "prog.h"

#define MAX_INSNS 512
#define SLOTS 8			   /* stack slots of 8 bytes */
#define ZERO_SLOT (-8 * SLOTS - 8) /* holds a 0 that the verifier does not know */
#define HASH_K 0x9e3779b97f4a7c15ull

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t x = rng_state += HASH_K;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rng() % n);
}

static uint64_t interesting(void)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		31,
		32,
		63,
		64,
		127,
		128,
		255,
		0x7fff,
		0x8000,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xffffffff00000000,
		0xffffffff80000000,
		~0ull,
		~0ull - 1,
	};

	return below(3) ? values[below(sizeof(values) / sizeof(values[0]))] : rng() >> below(64);
}

struct gen {
	struct bpf_insn insns[MAX_INSNS];
	uint32_t cnt;
	/* forward jumps that still need a target: where they are, and in how many
	 * items they land */
	struct {
		uint32_t at, items;
	} pending[64];
	uint32_t pending_cnt;
};

static void emit(struct gen *g, struct bpf_insn insn)
{
	g->insns[g->cnt++] = insn;
}

static void emit_imm64(struct gen *g, uint8_t dst, uint64_t v)
{
	struct bpf_insn pair[] = {LD_IMM64(dst, v)};

	emit(g, pair[0]);
	emit(g, pair[1]);
}

static void land(struct gen *g, bool all)
{
	uint32_t i, keep = 0;

	for (i = 0; i < g->pending_cnt; i++) {
		if (!all && --g->pending[i].items) {
			g->pending[keep++] = g->pending[i];
			continue;
		}
		struct bpf_insn *insn = &g->insns[g->pending[i].at];
		int32_t dist = (int32_t)(g->cnt - g->pending[i].at - 1);

		if (insn->code == (BPF_JMP32 | BPF_JA))
			insn->imm = dist;
		else
			insn->off = (int16_t)dist;
	}
	g->pending_cnt = keep;
}

static void gen_alu(struct gen *g)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD,  BPF_OR,
				      BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_MOV};
	uint8_t op = ops[below(sizeof(ops))], class = below(2) ? BPF_ALU64 : BPF_ALU;
	uint8_t dst = (uint8_t)below(10), src = (uint8_t)below(10);
	bool x = below(2), shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
	int32_t imm = (int32_t)interesting();
	int16_t off = 0;

	if ((op == BPF_DIV || op == BPF_MOD) && below(2))
		off = 1;
	if (op == BPF_MOV && x && below(2))
		off = (int16_t)(8 << below(class == BPF_ALU64 ? 3 : 2));
	if (shift)
		imm &= class == BPF_ALU64 ? 63 : 31;
	if ((op == BPF_DIV || op == BPF_MOD) && !imm)
		imm = 3;
	emit(g, INSN(class | op | (x ? BPF_X : BPF_K), dst, x ? src : 0, off, x ? 0 : imm));
}

static void gen_unary(struct gen *g)
{
	uint8_t dst = (uint8_t)below(10);

	switch (below(4)) {
	case 0:
		emit(g, INSN((below(2) ? BPF_ALU64 : BPF_ALU) | BPF_NEG, dst, 0, 0, 0));
		break;
	case 1:
		emit(g, INSN(BPF_ALU | BPF_END | (below(2) ? BPF_TO_BE : BPF_TO_LE), dst, 0, 0,
			     16 << below(3)));
		break;
	case 2:
		emit(g, INSN(BPF_ALU64 | BPF_END, dst, 0, 0, 16 << below(3)));
		break;
	default:
		emit_imm64(g, dst, interesting());
		break;
	}
}

static void gen_jump(struct gen *g)
{
	static const uint8_t ops[] = {BPF_JEQ,	BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT,	BPF_JLE,
				      BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JA};
	uint8_t op = ops[below(sizeof(ops))], class = below(2) ? BPF_JMP : BPF_JMP32;
	bool x = op != BPF_JA && below(2);

	if (g->pending_cnt == 64)
		return;
	g->pending[g->pending_cnt].at = g->cnt;
	g->pending[g->pending_cnt++].items = 2 + below(6);
	if (op == BPF_JA) /* over a conditional one, or what follows is unreachable */
		emit(g, INSN(BPF_JMP | BPF_JNE | BPF_K, (uint8_t)below(10), 0, 1,
			     (int32_t)interesting())),
			g->pending[g->pending_cnt - 1].at++;
	emit(g,
	     INSN(class | op | (x ? BPF_X : BPF_K), op == BPF_JA ? 0 : (uint8_t)below(10),
		  x ? (uint8_t)below(10) : 0, 0, op == BPF_JA || x ? 0 : (int32_t)interesting()));
}

static void gen_stack(struct gen *g)
{
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	uint32_t n = below(4), bytes = 1u << n;
	int16_t off = (int16_t)(-8 * SLOTS + (int32_t)(below(8 * SLOTS / bytes) * bytes));
	uint8_t reg = (uint8_t)below(10);

	switch (below(4)) {
	case 0:
		emit(g, INSN(BPF_LDX | sizes[n] | BPF_MEM, reg, 10, off, 0));
		break;
	case 1:
		emit(g, INSN(BPF_LDX | sizes[n] | (n < 3 ? 0x80 : BPF_MEM), reg, 10, off, 0));
		break;
	case 2:
		emit(g, INSN(BPF_STX | sizes[n] | BPF_MEM, 10, reg, off, 0));
		break;
	default:
		emit(g, INSN(BPF_ST | sizes[n] | BPF_MEM, 10, 0, off, (int32_t)interesting()));
		break;
	}
}

static void gen_atomic(struct gen *g)
{
	static const int32_t ops[] = {BPF_ADD,
				      BPF_OR,
				      BPF_AND,
				      BPF_XOR,
				      BPF_ADD | BPF_FETCH,
				      BPF_OR | BPF_FETCH,
				      BPF_AND | BPF_FETCH,
				      BPF_XOR | BPF_FETCH,
				      BPF_XCHG,
				      BPF_CMPXCHG};
	bool wide = below(2);
	int32_t op;
	int16_t off =
		(int16_t)(-8 * SLOTS + (int32_t)(wide ? below(SLOTS) * 8 : below(SLOTS * 2) * 4));

	op = ops[below(sizeof(ops) / sizeof(ops[0]))];
	/*
	 * What is fetched must not be a constant to the verifier: Linux 6.18 does
	 * not follow a constant back through the fetch when a branch depends on
	 * it, prunes another path and takes live code for dead.
	 */
	if (op == BPF_CMPXCHG || op & BPF_FETCH) {
		uint8_t tmp = (uint8_t)below(10);

		emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, tmp, 10, ZERO_SLOT, 0));
		emit(g,
		     INSN(BPF_STX | BPF_ATOMIC | (wide ? BPF_DW : BPF_W), 10, tmp, off, BPF_XOR));
	}
	emit(g,
	     INSN(BPF_STX | BPF_ATOMIC | (wide ? BPF_DW : BPF_W), 10, (uint8_t)below(10), off, op));
	/* Linux 6.18 may leave the upper half of R0 (interp-insn-table has our result) */
	if (!wide && op == BPF_CMPXCHG)
		emit(g, INSN(BPF_ALU | BPF_MOV | BPF_X, 0, 0, 0, 0));
}

static void gen_start(struct gen *g, int first_reg)
{
	int i;

	for (i = first_reg; i < 10; i++)
		emit_imm64(g, (uint8_t)i, interesting());
	for (i = 1; i <= SLOTS; i++)
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, (uint8_t)below(10), (int16_t)(-8 * i),
			     0));
}

static void gen_body(struct gen *g, uint32_t items)
{
	while (items--) {
		switch (below(10)) {
		case 0:
		case 1:
		case 2:
		case 3:
			gen_alu(g);
			break;
		case 4:
			gen_unary(g);
			break;
		case 5:
		case 6:
			gen_jump(g);
			break;
		case 7:
		case 8:
			gen_stack(g);
			break;
		default:
			gen_atomic(g);
			break;
		}
		land(g, false);
	}
	land(g, true);
}

static void gen_hash(struct gen *g)
{
	int i;

	for (i = 1; i < 10; i++) {
		emit(g, INSN(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 0x61c88647));
		emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, (uint8_t)i, 0, 0));
	}
	for (i = 1; i <= SLOTS; i++) {
		emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10, (int16_t)(-8 * i), 0));
		emit(g, INSN(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 0x61c88647));
		emit(g, INSN(BPF_ALU64 | BPF_XOR | BPF_X, 0, 1, 0, 0));
	}
	emit(g, MOV64_X(1, 0));
	emit(g, INSN(BPF_ALU64 | BPF_RSH | BPF_K, 1, 0, 0, 32));
	emit(g, INSN(BPF_ALU64 | BPF_XOR | BPF_X, 0, 1, 0, 0));
	emit(g, INSN(BPF_ALU | BPF_MOV | BPF_X, 0, 0, 0, 0));
	emit(g, EXIT());
}

/*
 * The first values: constants, but the verifier must not know that.
 * xdp_md.rx_queue_index is 0 in a test run.
 */
static void gen_unknown(struct gen *g)
{
	uint8_t i;

	emit(g, INSN(BPF_LDX | BPF_W | BPF_MEM, 9, 1, 16, 0));
	emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 9, ZERO_SLOT, 0));
	for (i = 0; i < 9; i++) {
		emit_imm64(g, i, interesting());
		emit(g, INSN(BPF_ALU64 | BPF_XOR | BPF_X, i, 9, 0, 0));
	}
	emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, (int32_t)interesting()));
	for (i = 1; i <= SLOTS; i++)
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, (uint8_t)below(10), (int16_t)(-8 * i),
			     0));
}

static inline void generate(struct gen *g)
{
	bool call = !below(3);
	uint32_t call_at = 0;
	int i;

	g->cnt = g->pending_cnt = 0;
	gen_unknown(g);
	gen_body(g, 5 + below(25));
	if (call) {
		/* R0 of the call, R6 to R9 and the slots live on */
		emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 5, 10, ZERO_SLOT, 0));
		call_at = g->cnt;
		emit(g, CALL_LOCAL(0));
		for (i = 1; i < 6; i++)
			emit_imm64(g, (uint8_t)i, interesting());
		gen_body(g, 5 + below(10));
	}
	gen_hash(g);
	if (call) {
		g->insns[call_at].imm = (int32_t)(g->cnt - call_at - 1);
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 5, ZERO_SLOT, 0));
		emit_imm64(g, 0, interesting());
		gen_start(g, 6);
		gen_body(g, 5 + below(15));
		gen_hash(g);
	}
}

static void dump(const struct gen *g)
{
	uint32_t i;

	for (i = 0; i < g->cnt; i++)
		fprintf(stderr, "%3u: %02x r%d r%d off %d imm %#x\n", i, g->insns[i].code,
			g->insns[i].dst_reg, g->insns[i].src_reg, g->insns[i].off, g->insns[i].imm);
}

#endif
