/* SPDX-License-Identifier: BSD-2-Clause */
#include "progen_int.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "vm/insn.h"

struct progen *progen_now;

uint32_t rnd(int n)
{
	if (n <= 1)
		return 0;
	if (g->end) { /* 0 at the end: the shortest way out */
		uint32_t v = g->bytes < g->end ? *g->bytes++ : 0;

		if (n > 256 && g->bytes < g->end)
			v |= (uint32_t)*g->bytes++ << 8;
		return v % (uint32_t)n;
	}
	g->seed ^= g->seed << 13;
	g->seed ^= g->seed >> 7;
	g->seed ^= g->seed << 17;
	return (uint32_t)(g->seed >> 20) % (uint32_t)n;
}

void emit(struct bpf_insn insn)
{
	if (g->cnt < PROGEN_MAX)
		g->insns[g->cnt++] = insn;
}

void leave(struct bpf_insn jump)
{
	if (g->out_cnt < 64)
		g->out[g->out_cnt++] = g->cnt;
	emit(jump);
}

void land_at(uint32_t at)
{
	if (at < g->cnt)
		g->insns[at].off = (int16_t)(g->cnt - at - 1);
}

void land(uint32_t mark)
{
	while (g->out_cnt > mark)
		land_at(g->out[--g->out_cnt]);
}

bool xdp(void)
{
	return g->type == BPF_PROG_TYPE_XDP;
}

int32_t constant(void)
{
	if (!rnd(5))
		return (int)rnd(100) - 50;
	return PICK(0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 40, 47, 100, 255, 256, -1, -8, -4, 63, 64, 5,
		    9, 17, 33, 48, 0x7fffffff, INT32_MIN, 0xffff, 1 << 20);
}

const uint8_t sizes[4] = {BPF_B, BPF_H, BPF_W, BPF_DW};
const uint8_t jumps[11] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,	 BPF_JGE,  BPF_JLT, BPF_JLE,
			   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};

uint8_t jcls(void)
{
	return rnd(3) ? BPF_JMP : BPF_JMP32;
}

int slot(void)
{
	return -8 * (int)(1 + rnd(8));
}

/* ---- numbers ---- */

void number(int r)
{
	const uint8_t size = sizes[rnd(4)];

	switch (rnd(8)) {
	case 0:
		E(LD(W, r, R6, xdp() ? 12 : PICK(0, 8, 16, 48)));
		break;
	case 1:
		E(MOVR(r, R7));
		break;
	case 2:
		E(MOV(r, constant()));
		break;
	case 3:
		E2(MAPV(r, M_RODATA, 8 * rnd(4)));
		E(I(BPF_LDX | BPF_MEM | size, r, r, 0, 0));
		break;
	case 4:
		E(I(BPF_LDX | BPF_MEM | size, r, FP, slot(), 0));
		break;
	case 5:
		if (size != BPF_DW) {
			E(I(BPF_LDX | 0x80 | size, r, R8, 8 * rnd(2), 0));
			break;
		}
		/* fallthrough */
	case 6:
		E(I(BPF_LDX | BPF_MEM | size, r, R8, 8 * rnd(2), 0));
		break;
	default:
		E2(LD64(r, (uint64_t)rnd(4) << 32 | (uint32_t)constant()));
		break;
	}
}

/* r = r op something; t may be the something */
void twist(int r, int t)
{
	const uint8_t cls = rnd(2) ? BPF_ALU : BPF_ALU64;
	const uint8_t op = PICK(BPF_ADD, BPF_SUB, BPF_AND, BPF_OR, BPF_XOR, BPF_MUL, BPF_LSH,
				BPF_RSH, BPF_ARSH, BPF_DIV, BPF_MOD, BPF_ADD);

	switch (rnd(10)) {
	case 0:
		E(I(cls | BPF_NEG, r, 0, 0, 0));
		return;
	case 1:
		E(MOVSX(r, r, 8 << rnd(3)));
		return;
	case 2:
		E(MOV32R(r, r));
		return;
	case 3:
		E(I(rnd(2) ? BPF_ALU64 | BPF_END : BPF_ALU | BPF_END | (rnd(2) ? BPF_TO_BE : 0), r,
		    0, 0, 16 << rnd(3)));
		return;
	case 4:
		E(MOVSX32(r, r, 8 << rnd(2)));
		return;
	case 5:
	case 6: /* with a register */
		if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
			E(ALU(AND, t, cls == BPF_ALU ? 31 : 63));
		E(I(cls | op | BPF_X, r, t, (op == BPF_DIV || op == BPF_MOD) && rnd(2), 0));
		return;
	}
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		E(I(cls | op | BPF_K, r, 0, 0, rnd(cls == BPF_ALU ? 32 : 64)));
	else if (op == BPF_DIV || op == BPF_MOD)
		E(I(cls | op | BPF_K, r, 0, rnd(2), rnd(3) ? 1 + (int)rnd(100) : constant() | 1));
	else
		E(I(cls | op | BPF_K, r, 0, 0, constant()));
}

/* r gets a number of 0 to max, or the block is left; t is spoilt. Now and then
 * it is not so: the verifier shall find out. */
void bounded(int r, int t, int max)
{
	const int lie = rnd(12) ? 0 : (int)rnd(3), at = slot();
	int m = 1;

	number(r);
	if (!rnd(3)) {
		number(t);
		for (int k = 1 + rnd(3); k; k--)
			twist(r, t);
	}
	while (m * 2 - 1 <= max)
		m *= 2;
	m--; /* the largest mask */
	max += lie;
	switch (rnd(18)) {
	case 0:
	case 1:
		E(ALU(AND, r, m + lie));
		break;
	case 2:
		LEAVE(JMP(JGT, r, max, 0));
		break;
	case 3:
		LEAVE(JMP(JSGT, r, max, 0));
		LEAVE(JMP(JSLT, r, -lie, 0));
		break;
	case 4:
		LEAVE(JMP32(JGT, r, max, 0));
		if (rnd(8))
			E(MOV32R(r, r));
		break;
	case 5:
		LEAVE(JMP32(JSGE, r, max + 1, 0));
		LEAVE(JMP32(JSLT, r, 0, 0));
		if (rnd(8))
			E(MOV32R(r, r));
		break;
	case 6: /* through a copy */
		E(I((rnd(2) ? BPF_ALU : BPF_ALU64) | BPF_MOV | BPF_X, t, r, 0, 0));
		LEAVE(JMP(JGT, t, max, 0));
		if (rnd(2))
			E(MOVR(r, t));
		break;
	case 7: /* through the frame */
		E(I(BPF_STX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), FP, r, at, 0));
		E(I(BPF_LDX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), t, FP, at, 0));
		LEAVE(JMP(JGE, t, max + 1, 0));
		if (rnd(2))
			E(I(BPF_LDX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), r, FP, at, 0));
		break;
	case 8:
		E(ALU(ADD, r, 5));
		LEAVE(JMP(JGT, r, max + 5, 0));
		E(ALU(SUB, r, 5 - lie));
		LEAVE(JMP(JSLT, r, 0, 0));
		break;
	case 9:
		E(ALU(RSH, r, 64 - __builtin_popcount(m) - (m ? lie : 1)));
		break;
	case 10: /* against another number */
		number(t);
		E(ALU(AND, t, m));
		LEAVE(I(jcls() | (rnd(2) ? BPF_JGT : BPF_JGE) | BPF_X, r, t, 0, 0));
		break;
	case 11: /* x % n */
		E(I((rnd(2) ? BPF_ALU : BPF_ALU64) | BPF_MOD, r, 0, !rnd(4), max + 1));
		break;
	case 12: /* a few values, told apart */
		E(I(BPF_JMP | BPF_JEQ, r, 0, 1, max));
		LEAVE(JMP(JNE, r, rnd(max + 1), 0));
		break;
	case 13: /* bits that are not there */
		LEAVE(JMP(JSET, r, (int)~(uint32_t)m, 0));
		if (rnd(4))
			E(MOV32R(r, r));
		break;
	case 14: /* equal to a number that is bounded */
		number(t);
		E(ALU(AND, t, m));
		LEAVE(I(jcls() | BPF_JNE | BPF_X, r, t, 0, 0));
		if (rnd(2))
			E(MOV32R(r, r));
		break;
	case 15: /* by its sign */
		if (rnd(2))
			E(MOVSX(r, r, 8 << rnd(3)));
		else
			E(MOVSX32(r, r, 8 << rnd(2)));
		LEAVE(I(jcls() | BPF_JSLT, r, 0, 0, rnd(8) ? 0 : -1));
		LEAVE(I(jcls() | BPF_JSGT, r, 0, 0, max));
		break;
	case 16: /* out of a slot, by its sign */
		E(I(BPF_STX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), FP, r, at, 0));
		E(I(BPF_LDX | 0x80 | sizes[rnd(3)], r, FP, at, 0));
		LEAVE(JMP(JSLE, r, rnd(8) ? -1 : -2, 0));
		LEAVE(JMP(JGT, r, max, 0));
		break;
	default:
		E(MOV(t, m));
		E(I((rnd(2) ? BPF_ALU : BPF_ALU64) | BPF_AND | BPF_X, r, t, 0, 0));
		if (rnd(2))
			LEAVE(JMP(JSET, r, 1, 0));
		break;
	}
}

void fresh(void)
{
	for (int r = R0; r <= R5; r++)
		E(MOV(r, constant()));
}

/* jumps that go nowhere: checkpoints are kept after some of them */
void distance(void)
{
	for (int i = rnd(4); i; i--) {
		E(JA(0));
		for (int k = 0; k < 4; k++)
			E(MOV(R0, 0));
	}
}

static const uint32_t types[] = {BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS,
				 BPF_PROG_TYPE_SOCKET_FILTER};

void progen_from_seed(struct progen *to, uint64_t seed, uint32_t type)
{
	g = to;
	g->bytes = g->end = NULL;
	g->seed = seed * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < 4; i++)
		rnd(2);
	g->type = type ? type : types[rnd(3)];
	progen_generate();
}

void progen_from_bytes(struct progen *to, const uint8_t *data, size_t size)
{
	static const uint8_t none;

	g = to;
	g->bytes = size ? data : &none;
	g->end = g->bytes + size;
	g->type = types[rnd(3)];
	progen_generate();
}

void progen_print(const struct progen *p)
{
	char text[128];

	for (uint32_t i = 0; i < p->cnt; i++) {
		insn_print(&p->insns[i], text, sizeof(text));
		fprintf(stderr, "%u: %s\n", i, text);
		if (p->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
}
