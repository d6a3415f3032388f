/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions of RFC 9669 as data: forms, operands with every edge case, a model that is
 * written from the RFC's text, and rows of results spelt out for the model itself. Whoever
 * includes this lists engines; each runs all of it through bpf(2).
 *
 * A case is an XDP program whose packet is the machine's state:
 *
 *	0    R0..R5, R6, R8, R9 before (9 times 8 bytes; R7 points to the packet)
 *	72   the same afterwards
 *	144  16 bytes of memory before, 160 afterwards
 *
 * All registers are compared, so that an instruction that touches another one is found, and
 * the operands come from the packet, so that no verifier knows them beforehand.
 */
#ifndef SHMAP_TESTS_RFC9669_H
#define SHMAP_TESTS_RFC9669_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rfc9669_model.h"

#define RFC_REGS 9
#define RFC_OUT 72
#define RFC_MEM 144
#define RFC_MEM_OUT 160
#define RFC_PACKET 192

/* One way to load and run programs: bpf(2) or something of its form. */
struct rfc_engine {
	const char *name;
	/* -errno, or an fd */
	int (*load)(uint32_t type, const struct bpf_insn *insns, uint32_t cnt);
	/* R0, with the packet as the program left it; -errno */
	int64_t (*run)(int fd, const void *in, void *out, uint32_t size);
	void (*close)(int fd);
};

struct rfc_state {
	uint64_t reg[RFC_REGS];
	uint8_t mem[16];
};

static const struct rfc_engine *rfc_engine; /* that is tested now */
static uint64_t rfc_runs;

/* The place of a register in the state; R7 has none. */
static inline int rfc_slot(int reg)
{
	return reg <= 6 ? reg : reg - 1;
}

/* ---- operands ---- */

static const uint64_t rfc_values[] = {
	0,
	1,
	2,
	7,
	31,
	32,
	33,
	63,
	64,
	65,
	0x7f,
	0x80,
	0x8000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0xffffffff00000000,
	0x0102030405060708,
	0xfedcba9876543210,
	RFC_MAX64,
	RFC_MIN64,
	RFC_MIN64 + 1,
	RFC_ONES - 1,
	RFC_ONES,
};

static const int32_t rfc_imms[] = {0, 1, 2, 7, 31, 32, 63, 64, 255, INT32_MAX, INT32_MIN, -1, -7};

/* The registers that machines treat in ways of their own: shifts, divisions, results. */
static const struct {
	uint8_t dst, src;
} rfc_regs[] = {{0, 1}, {1, 0}, {3, 4}, {4, 3}, {3, 0}, {0, 3},
		{4, 4}, {5, 6}, {8, 9}, {9, 2}, {2, 5}, {6, 8}};

#define RFC_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- running ---- */

struct rfc_code {
	struct bpf_insn insn[128];
	uint32_t cnt;
};

static inline void rfc_put(struct rfc_code *c, struct bpf_insn in)
{
	c->insn[c->cnt++] = in;
}

/* R7: the packet; every other register from the state. R0 last of the scratch ones. */
static inline void rfc_begin(struct rfc_code *c, bool memory)
{
	c->cnt = 0;
	rfc_put(c, RFC_I(BPF_LDX | BPF_MEM | BPF_W, 7, 1, offsetof(struct xdp_md, data), 0));
	rfc_put(c, RFC_I(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, data_end), 0));
	rfc_put(c, RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 3, 7, 0, 0));
	rfc_put(c, RFC_I(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, RFC_PACKET));
	rfc_put(c, RFC_I(BPF_JMP | BPF_JLE | BPF_X, 3, 2, 2, 0));
	rfc_put(c, RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_ABORTED));
	rfc_put(c, RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
	/* the memory is the top of the stack */
	for (int i = 0; memory && i < 16; i += 8) {
		rfc_put(c, RFC_I(BPF_LDX | BPF_MEM | BPF_DW, 0, 7, RFC_MEM + i, 0));
		rfc_put(c, RFC_I(BPF_STX | BPF_MEM | BPF_DW, 10, 0, i - 16, 0));
	}
	for (int r = 0; r <= 9; r++)
		if (r != 7)
			rfc_put(c, RFC_I(BPF_LDX | BPF_MEM | BPF_DW, r, 7, rfc_slot(r) * 8, 0));
}

static inline void rfc_end(struct rfc_code *c, bool memory)
{
	for (int r = 0; r <= 9; r++)
		if (r != 7)
			rfc_put(c, RFC_I(BPF_STX | BPF_MEM | BPF_DW, 7, r,
					 RFC_OUT + rfc_slot(r) * 8, 0));
	for (int i = 0; memory && i < 16; i += 8) {
		rfc_put(c, RFC_I(BPF_LDX | BPF_MEM | BPF_DW, 0, 10, i - 16, 0));
		rfc_put(c, RFC_I(BPF_STX | BPF_MEM | BPF_DW, 7, 0, RFC_MEM_OUT + i, 0));
	}
	rfc_put(c, RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS));
	rfc_put(c, RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

static inline void rfc_show(const struct bpf_insn *in)
{
	fprintf(stderr, "%s: code %#04x dst r%d src r%d off %d imm %d", rfc_engine->name, in->code,
		in->dst_reg, in->src_reg, in->off, in->imm);
}

static inline int rfc_load(const struct rfc_code *c, const struct bpf_insn *in)
{
	int fd = rfc_engine->load(BPF_PROG_TYPE_XDP, c->insn, c->cnt);

	if (fd < 0) {
		rfc_show(in);
		fprintf(stderr, ": not loaded (%d)\n", fd);
		check_failures++;
	}
	return fd;
}

/* Runs it on state s, which becomes what is left. */
static inline bool rfc_step(int fd, struct rfc_state *s)
{
	uint8_t packet[RFC_PACKET] = {0}, out[RFC_PACKET] = {0};
	int64_t ret;

	memcpy(packet, s->reg, sizeof(s->reg));
	memcpy(packet + RFC_MEM, s->mem, sizeof(s->mem));
	ret = rfc_engine->run(fd, packet, out, RFC_PACKET);
	rfc_runs++;
	CHECK_EQ(ret, XDP_PASS);
	memcpy(s->reg, out + RFC_OUT, sizeof(s->reg));
	memcpy(s->mem, out + RFC_MEM_OUT, sizeof(s->mem));
	return ret == XDP_PASS;
}

static inline void rfc_fill(struct rfc_state *s)
{
	for (int i = 0; i < RFC_REGS; i++)
		s->reg[i] = 0x1111111111111111ULL * (i + 1) ^ 0xf0e1d2c3b4a59687ULL;
	for (int i = 0; i < 16; i++)
		s->mem[i] = 0xa0 + i;
}

static inline bool rfc_same(const struct bpf_insn *in, const struct rfc_state *got,
			    const struct rfc_state *want, uint64_t a, uint64_t b)
{
	if (!memcmp(got, want, sizeof(*got)))
		return true;
	rfc_show(in);
	fprintf(stderr, " on %#llx, %#llx:\n", (unsigned long long)a, (unsigned long long)b);
	for (int r = 0; r <= 9; r++)
		if (r != 7 && got->reg[rfc_slot(r)] != want->reg[rfc_slot(r)])
			fprintf(stderr, "  r%d is %#llx, not %#llx\n", r,
				(unsigned long long)got->reg[rfc_slot(r)],
				(unsigned long long)want->reg[rfc_slot(r)]);
	for (int i = 0; i < 16; i++)
		if (got->mem[i] != want->mem[i])
			fprintf(stderr, "  byte %d is %#x, not %#x\n", i, got->mem[i],
				want->mem[i]);
	check_failures++;
	return false;
}

/* ---- arithmetic ---- */

static inline void rfc_run_alu(struct bpf_insn in)
{
	bool x = BPF_SRC(in.code) == BPF_X && BPF_OP(in.code) != BPF_END;
	struct rfc_state s, want;
	struct rfc_code c;
	int fd;

	rfc_begin(&c, false);
	rfc_put(&c, in);
	rfc_end(&c, false);
	fd = rfc_load(&c, &in);
	if (fd < 0)
		return;
	for (size_t i = 0; i < RFC_COUNT(rfc_values); i++)
		for (size_t j = 0; j < (x && in.dst_reg != in.src_reg ? RFC_COUNT(rfc_values) : 1);
		     j++) {
			uint64_t a = rfc_values[i], b = rfc_values[j];

			rfc_fill(&s);
			if (x)
				s.reg[rfc_slot(in.src_reg)] = b;
			s.reg[rfc_slot(in.dst_reg)] = a;
			if (x && in.dst_reg == in.src_reg)
				b = a;
			want = s;
			want.reg[rfc_slot(in.dst_reg)] = rfc_alu(&in, a, b);
			memset(want.mem, 0, sizeof(want.mem));
			if (!rfc_step(fd, &s) || !rfc_same(&in, &s, &want, a, b))
				goto out;
		}
out:
	rfc_engine->close(fd);
}

/* An immediate that the RFC leaves without a meaning: the verifier refuses it. */
static inline bool rfc_imm_means(int op, int bits, int32_t imm)
{
	if (op == BPF_DIV || op == BPF_MOD)
		return imm;
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		return imm >= 0 && imm < bits;
	return true;
}

static inline void rfc_all_alu(void)
{
	static const struct {
		uint8_t op;
		int16_t off;
	} ops[] = {{BPF_ADD}, {BPF_SUB},    {BPF_MUL},	{BPF_DIV}, {BPF_DIV, 1},
		   {BPF_MOD}, {BPF_MOD, 1}, {BPF_OR},	{BPF_AND}, {BPF_XOR},
		   {BPF_LSH}, {BPF_RSH},    {BPF_ARSH}, {BPF_MOV}};
	static const int widths[] = {8, 16, 32};

	for (int wide = 0; wide < 2; wide++) {
		int class = wide ? BPF_ALU64 : BPF_ALU;

		for (size_t o = 0; o < RFC_COUNT(ops); o++) {
			for (size_t r = 0; r < RFC_COUNT(rfc_regs); r++)
				rfc_run_alu(RFC_I(class | ops[o].op | BPF_X, rfc_regs[r].dst,
						  rfc_regs[r].src, ops[o].off, 0));
			for (size_t i = 0; i < RFC_COUNT(rfc_imms); i++)
				if (rfc_imm_means(ops[o].op, wide ? 64 : 32, rfc_imms[i]))
					rfc_run_alu(
						RFC_I(class | ops[o].op | BPF_K,
						      rfc_regs[(i + o) % RFC_COUNT(rfc_regs)].dst,
						      0, ops[o].off, rfc_imms[i]));
		}
		for (size_t r = 0; r < RFC_COUNT(rfc_regs); r++) {
			rfc_run_alu(RFC_I(class | BPF_NEG, rfc_regs[r].dst, 0, 0, 0));
			for (int w = 0; w < (wide ? 3 : 2); w++)
				rfc_run_alu(RFC_I(class | BPF_MOV | BPF_X, rfc_regs[r].dst,
						  rfc_regs[r].src, widths[w], 0));
			for (int w = 16; w <= 64; w *= 2) {
				rfc_run_alu(RFC_I(class | BPF_END | BPF_TO_LE, rfc_regs[r].dst, 0,
						  0, w));
				if (!wide)
					rfc_run_alu(RFC_I(class | BPF_END | BPF_TO_BE,
							  rfc_regs[r].dst, 0, 0, w));
			}
		}
	}
}

/* ---- jumps ---- */

/* Not taken: R9 becomes 17, which no operand is. */
static inline void rfc_run_jump(struct bpf_insn in)
{
	bool x = BPF_SRC(in.code) == BPF_X;
	struct rfc_state s, want;
	struct rfc_code c;
	int fd;

	rfc_begin(&c, false);
	in.off = 1;
	rfc_put(&c, in);
	rfc_put(&c, RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 17));
	rfc_end(&c, false);
	fd = rfc_load(&c, &in);
	if (fd < 0)
		return;
	for (size_t i = 0; i < RFC_COUNT(rfc_values); i++)
		for (size_t j = 0; j < (x && in.dst_reg != in.src_reg ? RFC_COUNT(rfc_values) : 1);
		     j++) {
			uint64_t a = rfc_values[i],
				 b = x ? rfc_values[j] : (uint64_t)(int64_t)in.imm;

			rfc_fill(&s);
			if (x)
				s.reg[rfc_slot(in.src_reg)] = b;
			s.reg[rfc_slot(in.dst_reg)] = a;
			if (x && in.dst_reg == in.src_reg)
				b = a;
			want = s;
			if (!rfc_taken(in.code, a, b))
				want.reg[rfc_slot(9)] = 17;
			memset(want.mem, 0, sizeof(want.mem));
			if (!rfc_step(fd, &s) || !rfc_same(&in, &s, &want, a, b))
				goto out;
		}
out:
	rfc_engine->close(fd);
}

/* Some instructions between the state's loads and stores; what they leave. */
static inline void rfc_run_code(const struct bpf_insn *insns, uint32_t cnt, struct rfc_state *s,
				const struct rfc_state *want)
{
	struct rfc_code c;
	int fd;

	rfc_begin(&c, true);
	for (uint32_t i = 0; i < cnt; i++)
		rfc_put(&c, insns[i]);
	rfc_end(&c, true);
	fd = rfc_load(&c, insns);
	if (fd < 0)
		return;
	if (rfc_step(fd, s))
		rfc_same(insns, s, want, s->reg[0], s->reg[1]);
	rfc_engine->close(fd);
}

#define RFC_RUN(s, want, ...)                                                                      \
	rfc_run_code((struct bpf_insn[]){__VA_ARGS__},                                             \
		     sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), s, want)

static inline void rfc_all_jumps(void)
{
	static const uint8_t ops[] = {BPF_JEQ,	BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
				      BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};
	struct rfc_state s, want;

	for (size_t o = 0; o < RFC_COUNT(ops); o++)
		for (int wide = 0; wide < 2; wide++) {
			int class = wide ? BPF_JMP : BPF_JMP32;

			for (size_t r = 0; r < RFC_COUNT(rfc_regs); r++)
				if (rfc_regs[r].dst != 9 && rfc_regs[r].src != 9)
					rfc_run_jump(RFC_I(class | ops[o] | BPF_X, rfc_regs[r].dst,
							   rfc_regs[r].src, 0, 0));
			for (size_t i = 0; i < RFC_COUNT(rfc_imms); i++)
				rfc_run_jump(RFC_I(class | ops[o] | BPF_K, rfc_regs[i % 8].dst, 0,
						   0, rfc_imms[i]));
		}
	/* JA: forward by the offset; JA of JMP32 ("gotol"): by the immediate */
	rfc_fill(&s);
	want = s;
	/* what is jumped over is reached by another way, which is not taken */
	RFC_RUN(&s, &want, RFC_I(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 99),
		RFC_I(BPF_JMP | BPF_JA, 0, 0, 1, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 17));
	rfc_fill(&s);
	RFC_RUN(&s, &want, RFC_I(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 99),
		RFC_I(BPF_JMP32 | BPF_JA, 0, 0, 0, 2),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 17),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 8, 0, 0, 17));
	/* backwards, ten times round: by the offset, by the immediate, and both */
	for (int how = 0; how < 2; how++) {
		rfc_fill(&s);
		want = s;
		want.reg[rfc_slot(1)] = 10;
		want.reg[rfc_slot(2)] = s.reg[rfc_slot(2)] + 30;
		RFC_RUN(&s, &want, RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 0),
			RFC_I(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 3),
			RFC_I(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1),
			RFC_I(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 10),
			how ? RFC_I(BPF_JMP32 | BPF_JA, 0, 0, 0, -4)
			    : RFC_I(BPF_JMP | BPF_JA, 0, 0, -4, 0));
	}
}

/* ---- memory ---- */

/* Loads and stores of the stack (aligned) or the packet (anywhere), size 1 to 8. */
static inline void rfc_run_memory(int bpf_size, int n, int off, bool packet, int reg)
{
	int base = packet ? 7 : 10, at = (packet ? RFC_MEM : -16) + off;
	struct rfc_state s, want;
	uint64_t v = 0;

	/* A store of the packet's memory changes the copy there, not what is compared: load it. */
	rfc_fill(&s);
	want = s;
	memcpy(&v, s.mem + off, n);
	want.reg[rfc_slot(reg)] = v;
	RFC_RUN(&s, &want, RFC_I(BPF_LDX | BPF_MEM | bpf_size, reg, base, at, 0));
	if (n < 8) {
		rfc_fill(&s);
		want = s;
		want.reg[rfc_slot(reg)] = rfc_sext(v, 8 * n);
		RFC_RUN(&s, &want, RFC_I(BPF_LDX | RFC_MEMSX | bpf_size, reg, base, at, 0));
		/* the same of a positive number: the memory's first byte is moved to its end */
		rfc_fill(&s);
		s.mem[off + n - 1] = 0x7f;
		want = s;
		v = 0;
		memcpy(&v, s.mem + off, n);
		want.reg[rfc_slot(reg)] = v;
		RFC_RUN(&s, &want, RFC_I(BPF_LDX | RFC_MEMSX | bpf_size, reg, base, at, 0));
	}
	if (packet)
		return;
	rfc_fill(&s);
	want = s;
	memcpy(want.mem + off, &s.reg[rfc_slot(reg)], n);
	RFC_RUN(&s, &want, RFC_I(BPF_STX | BPF_MEM | bpf_size, base, reg, at, 0));
	for (size_t i = 0; i < RFC_COUNT(rfc_imms); i++) {
		int64_t imm = rfc_imms[i];

		rfc_fill(&s);
		want = s;
		memcpy(want.mem + off, &imm, n);
		RFC_RUN(&s, &want, RFC_I(BPF_ST | BPF_MEM | bpf_size, base, 0, at, rfc_imms[i]));
	}
}

static inline void rfc_all_memory(void)
{
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	static const int regs[] = {0, 1, 4, 6, 9};
	struct rfc_state s, want;

	for (int i = 0; i < 4; i++)
		for (int off = 0; off + (1 << i) <= 16; off++)
			for (int packet = 0; packet < 2; packet++)
				if (packet || !(off % (1 << i)))
					rfc_run_memory(sizes[i], 1 << i, off, packet,
						       regs[(off + i) % 5]);
	/* 16-byte immediate loads: nothing is extended */
	for (size_t i = 0; i < RFC_COUNT(rfc_values); i++) {
		uint64_t v = rfc_values[i];
		int reg = regs[i % 5];

		rfc_fill(&s);
		want = s;
		want.reg[rfc_slot(reg)] = v;
		RFC_RUN(&s, &want, RFC_I(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, (int32_t)v),
			RFC_I(0, 0, 0, 0, (int32_t)(v >> 32)));
	}
}

/* ---- atomics ---- */

static inline uint64_t rfc_atomic(int op, uint64_t old, uint64_t v)
{
	switch (op & 0xf0) {
	case BPF_ADD:
		return old + v;
	case BPF_OR:
		return old | v;
	case BPF_AND:
		return old & v;
	case BPF_XOR:
		return old ^ v;
	}
	return v; /* exchange */
}

static inline void rfc_run_atomic(int32_t op, int n, int off, int reg, uint64_t old, uint64_t v)
{
	int size = n == 8 ? BPF_DW : BPF_W;
	uint64_t mask = n == 8 ? RFC_ONES : UINT32_MAX, after = rfc_atomic(op, old, v);
	struct rfc_state s, want;

	rfc_fill(&s);
	memcpy(s.mem + off, &old, n);
	s.reg[rfc_slot(reg)] = v;
	want = s;
	memcpy(want.mem + off, &after, n);
	if (op & BPF_FETCH)
		want.reg[rfc_slot(reg)] = old & mask;
	RFC_RUN(&s, &want, RFC_I(BPF_STX | BPF_ATOMIC | size, 10, reg, off - 16, op));
}

static inline void rfc_run_cmpxchg(int n, int off, int reg, uint64_t old, uint64_t expect,
				   uint64_t v)
{
	int size = n == 8 ? BPF_DW : BPF_W;
	uint64_t mask = n == 8 ? RFC_ONES : UINT32_MAX;
	struct rfc_state s, want;

	rfc_fill(&s);
	memcpy(s.mem + off, &old, n);
	s.reg[rfc_slot(reg)] = v;
	s.reg[0] = expect;
	want = s;
	if ((old & mask) == (expect & mask))
		memcpy(want.mem + off, &v, n);
	want.reg[0] = old & mask;
	RFC_RUN(&s, &want, RFC_I(BPF_STX | BPF_ATOMIC | size, 10, reg, off - 16, BPF_CMPXCHG));
}

/* Load-acquire and store-release, of every size. */
static inline void rfc_run_ordered(int bpf_size, int n, int off, int reg)
{
	struct rfc_state s, want;
	uint64_t v = 0;

	rfc_fill(&s);
	want = s;
	memcpy(&v, s.mem + off, n);
	want.reg[rfc_slot(reg)] = v;
	RFC_RUN(&s, &want, RFC_I(BPF_STX | BPF_ATOMIC | bpf_size, reg, 10, off - 16, RFC_LOAD_ACQ));
	rfc_fill(&s);
	want = s;
	memcpy(want.mem + off, &s.reg[rfc_slot(reg)], n);
	RFC_RUN(&s, &want,
		RFC_I(BPF_STX | BPF_ATOMIC | bpf_size, 10, reg, off - 16, RFC_STORE_REL));
}

static inline void rfc_all_atomics(bool ordered)
{
	static const int32_t ops[] = {BPF_ADD,
				      BPF_OR,
				      BPF_AND,
				      BPF_XOR,
				      BPF_ADD | BPF_FETCH,
				      BPF_OR | BPF_FETCH,
				      BPF_AND | BPF_FETCH,
				      BPF_XOR | BPF_FETCH,
				      BPF_XCHG};
	static const int sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	static const int regs[] = {0, 1, 3, 4, 5, 8};
	static const uint64_t values[] = {0,	      1,	 0xffffffff, 0x100000000,
					  0x80000000, RFC_MIN64, RFC_ONES,   0x0102030405060708};

	for (size_t o = 0; o < RFC_COUNT(ops); o++)
		for (size_t i = 0; i < RFC_COUNT(values); i++)
			for (size_t r = 0; r < RFC_COUNT(regs); r++) {
				uint64_t v = values[(i * 3 + r) % RFC_COUNT(values)];

				rfc_run_atomic(ops[o], 8, r & 1 ? 8 : 0, regs[r], values[i], v);
				rfc_run_atomic(ops[o], 4, r % 4 * 4, regs[r], values[i], v);
			}
	for (size_t i = 0; i < RFC_COUNT(values); i++)
		for (size_t r = 1; r < RFC_COUNT(regs); r++)
			for (int hit = 0; hit < 2; hit++) {
				uint64_t old = values[i];

				rfc_run_cmpxchg(8, r & 1 ? 8 : 0, regs[r], old,
						hit ? old : old ^ RFC_MIN64, 0x1122334455667788);
				/* 32 bits: the upper half of R0 is not compared, and is cleared */
				rfc_run_cmpxchg(4, r % 4 * 4, regs[r], old,
						(hit ? old : old ^ 4) | 0xabcd00000000,
						0x1122334455667788);
			}
	for (int i = 0; ordered && i < 4; i++)
		for (int off = 0; off < 16; off += 1 << i)
			rfc_run_ordered(sizes[i], 1 << i, off, regs[(off + i) % RFC_COUNT(regs)]);
}

/* ---- calls and the packet loads of old ---- */

/* A local call: R6..R9 and the stack stay the caller's, R0 is the callee's; it sees R1..R5. */
static inline void rfc_all_calls(void)
{
	struct bpf_insn insns[] = {
		RFC_I(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, data), 0),
		RFC_I(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct xdp_md, data_end), 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 2, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, RFC_PACKET),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		RFC_I(BPF_JMP | BPF_JGT | BPF_X, 2, 3, 15, 0),
		RFC_I(BPF_LDX | BPF_MEM | BPF_DW, 8, 6, 0, 0),
		RFC_I(BPF_LDX | BPF_MEM | BPF_DW, 9, 6, 8, 0),
		RFC_I(BPF_STX | BPF_MEM | BPF_DW, 10, 8, -8, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 1, 8, 0, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 2, 9, 0, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 5),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 7),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 5, 0, 0, 11),
		RFC_I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 7),
		RFC_I(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8, 0),
		RFC_I(BPF_STX | BPF_MEM | BPF_DW, 6, 0, RFC_OUT, 0),
		RFC_I(BPF_STX | BPF_MEM | BPF_DW, 6, 1, RFC_OUT + 8, 0),
		RFC_I(BPF_STX | BPF_MEM | BPF_DW, 6, 8, RFC_OUT + 16, 0),
		RFC_I(BPF_STX | BPF_MEM | BPF_DW, 6, 9, RFC_OUT + 24, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		/* 22: r1 * 2 + r2 + r3 + r4 + r5, after it has spoilt what it may not spoil */
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_X, 0, 3, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_X, 0, 4, 0, 0),
		RFC_I(BPF_ALU64 | BPF_ADD | BPF_X, 0, 5, 0, 0),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 6, 0, 0, 1),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 8, 0, 0, 2),
		RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 3),
		RFC_I(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 77),
		RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int fd = rfc_engine->load(BPF_PROG_TYPE_XDP, insns, sizeof(insns) / sizeof(insns[0]));
	uint64_t packet[RFC_PACKET / 8] = {0x123456789abcdef0, RFC_ONES}, out[RFC_PACKET / 8];

	CHECK(fd >= 0);
	if (fd < 0)
		return;
	CHECK_EQ(rfc_engine->run(fd, packet, out, RFC_PACKET), XDP_PASS);
	rfc_runs++;
	CHECK_EQ(out[9], packet[0] * 2 + packet[1] + 23);
	CHECK_EQ(out[10], packet[0]);
	CHECK_EQ(out[11], packet[0]);
	CHECK_EQ(out[12], packet[1]);
	rfc_engine->close(fd);
}

/* BPF_ABS and BPF_IND: big-endian loads, which end the program with 0 beyond the end. */
static inline void rfc_all_packet_loads(void)
{
	static const struct {
		uint8_t code;
		int32_t imm;
		uint64_t ind;
		uint32_t want; /* less 1000; 0: the program ends */
	} rows[] = {
		{BPF_ABS | BPF_B, 5, 0, 6 + 1000},
		{BPF_ABS | BPF_B, 49, 0, 50 + 1000},
		{BPF_ABS | BPF_B, 50, 0, 0},
		{BPF_ABS | BPF_H, 1, 0, 0x0203 + 1000},
		{BPF_ABS | BPF_H, 49, 0, 0},
		{BPF_ABS | BPF_W, 2, 0, 0x03040506 + 1000},
		{BPF_ABS | BPF_W, 47, 0, 0},
		{BPF_IND | BPF_B, 1, 2, 4 + 1000},
		{BPF_IND | BPF_H, -1, 2, 0x0203 + 1000},
		{BPF_IND | BPF_W, 0, 46, 0x2f303132 + 1000},
		{BPF_IND | BPF_W, 0, 47, 0},
		{BPF_IND | BPF_W, 0, 0xffffffff00000001, 0x02030405 + 1000},
	};
	uint8_t packet[64] = {0}, out[64];

	/* socket filters see what is behind the link header: 50 bytes, 1, 2, 3... */
	for (int i = 0; i < 50; i++)
		packet[14 + i] = i + 1;
	for (size_t i = 0; i < RFC_COUNT(rows); i++) {
		bool ind = BPF_MODE(rows[i].code) == BPF_IND;
		struct bpf_insn insns[] = {
			RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
			RFC_I(BPF_LD | BPF_IMM | BPF_DW, 7, 0, 0, (int32_t)rows[i].ind),
			RFC_I(0, 0, 0, 0, (int32_t)(rows[i].ind >> 32)),
			RFC_I(BPF_LD | rows[i].code, 0, ind ? 7 : 0, 0, rows[i].imm),
			RFC_I(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1000),
			RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		};
		int fd = rfc_engine->load(BPF_PROG_TYPE_SOCKET_FILTER, insns, 6);

		CHECK(fd >= 0);
		if (fd < 0)
			continue;
		CHECK_EQ(rfc_engine->run(fd, packet, out, sizeof(packet)), rows[i].want);
		rfc_runs++;
		rfc_engine->close(fd);
	}
}

/* ---- what is no instruction ---- */

/* Loads one instruction (two slots for a 16-byte one) with sane surroundings. 0 or -errno. */
static inline int rfc_try(const struct rfc_engine *e, struct bpf_insn in)
{
	struct bpf_insn insns[24];
	uint32_t n = 0;
	int fd;

	for (int r = 0; r <= 9; r++)
		if (r != 1)
			insns[n++] = RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, r, 0, 0, 3);
	insns[n++] = RFC_I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	insns[n++] = RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 4);
	insns[n++] = RFC_I(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0);
	insns[n++] = in;
	if (in.code == (BPF_LD | BPF_IMM | BPF_DW))
		insns[n++] = RFC_I(0, 0, 0, 0, 0);
	insns[n++] = RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	insns[n++] = RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	insns[n++] = RFC_I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	fd = e->load(BPF_PROG_TYPE_SOCKET_FILTER, insns, n);
	if (fd >= 0)
		e->close(fd);
	return fd >= 0 ? 0 : fd;
}

/* Fields that the RFC reserves, codes that it does not have: all refused. */
static inline void rfc_all_refused(void)
{
	static const struct bpf_insn bad[] = {
		{BPF_ALU64 | BPF_ADD | BPF_K, 1, 1, 0, 5}, /* a source beside an immediate */
		{BPF_ALU64 | BPF_ADD | BPF_X, 1, 2, 1, 0}, /* an offset */
		{BPF_ALU64 | BPF_ADD | BPF_X, 1, 2, 0, 7}, /* an immediate beside a source */
		{BPF_ALU64 | BPF_DIV | BPF_K, 1, 0, 0, 0}, /* by zero */
		{BPF_ALU | BPF_MOD | BPF_K, 1, 0, 1, 0},
		{BPF_ALU64 | BPF_DIV | BPF_X, 1, 2, 2, 0},
		{BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 64}, /* by the width */
		{BPF_ALU | BPF_RSH | BPF_K, 1, 0, 0, 32},
		{BPF_ALU | BPF_ARSH | BPF_K, 1, 0, 0, -1},
		{BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 24, 0}, /* widths that are none */
		{BPF_ALU | BPF_MOV | BPF_X, 1, 2, 32, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 8, 5},
		{BPF_ALU | BPF_END | BPF_TO_LE, 1, 0, 0, 24},
		{BPF_ALU | BPF_END | BPF_TO_LE, 1, 2, 0, 16},
		{BPF_ALU64 | BPF_END | BPF_X, 1, 0, 0, 16},
		{BPF_ALU64 | BPF_NEG | BPF_X, 1, 2, 0, 0},
		{BPF_ALU64 | BPF_NEG, 1, 0, 0, 1},
		{BPF_ALU64 | 0xe0, 1, 0, 0, 0}, /* no such operation */
		{BPF_JMP32 | BPF_CALL, 0, 0, 0, 5},
		{BPF_JMP32 | BPF_EXIT, 0, 0, 0, 0},
		{BPF_JMP | BPF_JA | BPF_X, 0, 0, 0, 0},
		{BPF_JMP | BPF_JA, 0, 0, 0, 1},
		{BPF_JMP32 | BPF_JA, 0, 0, 1, 0},
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 2, 0, 0},
		{BPF_STX | BPF_ATOMIC | BPF_B, 10, 1, -8, BPF_ADD}, /* sizes of atomics */
		{BPF_STX | BPF_ATOMIC | BPF_H, 10, 1, -8, BPF_XCHG},
		{BPF_STX | BPF_ATOMIC | BPF_DW, 10, 1, -8, BPF_SUB},
		{BPF_STX | BPF_ATOMIC | BPF_DW, 10, 1, -8, 0xf0},
		{BPF_LDX | RFC_MEMSX | BPF_DW, 1, 10, -8, 0},
		{BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8, 1},
		{BPF_STX | BPF_MEM | BPF_DW, 10, 1, -8, 1},
		{BPF_ST | BPF_MEM | BPF_DW, 10, 1, -8, 1},
		{BPF_LD | BPF_IMM | BPF_W, 1, 0, 0, 1},
		{BPF_LD | BPF_IMM | BPF_DW, 1, 0, 1, 1},
		{BPF_LD | BPF_IMM | BPF_DW, 1, 15, 0, 1},
		{BPF_ALU64 | BPF_MOV | BPF_K, 11, 0, 0, 1},
		{BPF_ALU64 | BPF_MOV | BPF_K, 10, 0, 0, 1}, /* the frame pointer is read-only */
		{BPF_ALU64 | BPF_MOV | BPF_X, 1, 12, 0, 0},
		{BPF_JMP | BPF_CALL, 1, 0, 0, BPF_FUNC_ktime_get_ns},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (rfc_try(rfc_engine, bad[i]) >= 0) {
			rfc_show(&bad[i]);
			fprintf(stderr, ": is accepted\n");
			check_failures++;
		}
}

/* Every operation code, with some values of the other fields: the verdict of both. */
static inline void rfc_same_verdicts(const struct rfc_engine *a, const struct rfc_engine *b)
{
	static const struct {
		uint8_t dst, src;
		int16_t off;
		int32_t imm;
	} fields[] = {
		{1, 0, 0, 0},	      {1, 2, 0, 0},	     {1, 0, 0, 1},
		{1, 0, 1, 0},	      {1, 2, 1, 0},	     {1, 2, 8, 0},
		{1, 2, 16, 0},	      {1, 2, 32, 0},	     {10, 1, -8, 0},
		{1, 10, -8, 0},	      {10, 0, -8, 5},	     {1, 0, 0, 16},
		{1, 0, 0, 64},	      {0, 0, 0, 0},	     {0, 0, 0, BPF_FUNC_ktime_get_ns},
		{10, 1, -8, BPF_ADD}, {10, 1, -8, BPF_XCHG}, {10, 1, -8, BPF_CMPXCHG},
		{10, 1, -8, 1},	      {2, 3, 0, 63},	     {9, 6, 1, 1},
		{1, 0, -1, 0},
	};

	for (int code = 0; code < 256; code++)
		for (size_t f = 0; f < RFC_COUNT(fields); f++) {
			struct bpf_insn in = RFC_I(code, fields[f].dst, fields[f].src,
						   fields[f].off, fields[f].imm);
			int va = rfc_try(a, in), vb = rfc_try(b, in);

			if (!va == !vb)
				continue;
			rfc_engine = a;
			rfc_show(&in);
			fprintf(stderr, ": %s says %d, %s %d\n", a->name, va, b->name, vb);
			check_failures++;
		}
}

/* All of it on one engine. ordered: it has load-acquire and store-release. */
static inline void rfc_run_all(const struct rfc_engine *e, bool ordered)
{
	rfc_engine = e;
	rfc_check_model();
	rfc_all_alu();
	rfc_all_jumps();
	rfc_all_memory();
	rfc_all_atomics(ordered);
	rfc_all_calls();
	rfc_all_packet_loads();
	rfc_all_refused();
}

#endif
