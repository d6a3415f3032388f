/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs: what the verifier accepts, the kernel's accepts as well.
 * (The other way round is counted only: refusing more is not unsafe.) The
 * programs lean towards what verifiers must get right: ranges, offsets into map
 * values, stack and packet, spills, branches, loops, functions.
 *
 * The listed exception: where 6.18 forgets part of a range that it knew (a signed
 * upper bound, when an unsigned comparison follows), programs of long runs are
 * found that it refuses for the range and that are safe. Not more than one in
 * 10000 is let pass, and only with such a message.
 *
 * SHMAP_TEST_OPS: how many; SHMAP_TEST_SEED: the first one's seed. A failure
 * prints its seed.
 */
#include "vt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "vm/insn.h"

#define MAX 400

static struct bpf_insn prog[MAX];
static uint32_t cnt;
static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static void emit(struct bpf_insn insn)
{
	if (cnt < MAX)
		prog[cnt++] = insn;
}

#define E(...) emit((struct bpf_insn)__VA_ARGS__)

static int imm(void)
{
	static const int some[] = {0,
				   1,
				   2,
				   3,
				   4,
				   7,
				   8,
				   15,
				   16,
				   31,
				   63,
				   255,
				   -1,
				   -8,
				   -16,
				   0x7fffffff,
				   -0x7fffffff - 1,
				   0xffff,
				   1 << 20};

	return rnd(4) ? some[rnd(sizeof(some) / sizeof(some[0]))] : (int)rnd(100) - 50;
}

/* scratch registers: R0 to R5; R7 and R9 unknown numbers; R6 ctx, R8 value */
static int scratch(void)
{
	static const int regs[] = {R0, R1, R2, R3, R4, R5, R7, R9};

	return regs[rnd(8)];
}

static uint8_t size_code(void)
{
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

	return sizes[rnd(4)];
}

static void fresh(int r)
{
	switch (rnd(5)) {
	case 0:
		E(MOVR(r, R7));
		break;
	case 1:
		E(MOVR(r, R9));
		break;
	case 2:
		E(LD(W, r, R8, 4));
		break;
	default:
		E(MOV(r, imm()));
		break;
	}
}

static void random_alu(void)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND,  BPF_OR,
				      BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_DIV,
				      BPF_MOD, BPF_AND, BPF_ADD, BPF_RSH};
	const uint8_t op = ops[rnd(sizeof(ops))], cls = rnd(3) ? BPF_ALU64 : BPF_ALU;
	const int d = scratch();

	if (!rnd(8)) {
		E(I(cls | BPF_MOV | BPF_X, d, scratch(), rnd(3) ? 0 : 8 << rnd(2), 0));
		return;
	}
	if (!rnd(16)) {
		E(I(rnd(2) ? BPF_ALU64 | BPF_END : BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0,
		    16 << rnd(3)));
		return;
	}
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		E(I(cls | op, d, 0, 0, rnd(cls == BPF_ALU ? 32 : 64)));
	else if (op == BPF_DIV || op == BPF_MOD)
		E(I(cls | op, d, 0, rnd(2), 1 + rnd(20)));
	else if (rnd(2))
		E(I(cls | op | BPF_X, d, scratch(), 0, 0));
	else
		E(I(cls | op, d, 0, 0, imm()));
}

static const uint8_t jumps[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,	BPF_JLT, BPF_JLE,
				BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};

/* A comparison that skips a few instructions: narrow then use. */
static uint32_t jump_over(void)
{
	const uint8_t op = jumps[rnd(sizeof(jumps))], cls = rnd(3) ? BPF_JMP : BPF_JMP32;
	const uint32_t at = cnt;

	if (rnd(3))
		E(I(cls | op, scratch(), 0, 0, imm()));
	else
		E(I(cls | op | BPF_X, scratch(), scratch(), 0, 0));
	return at;
}

static void land(uint32_t at)
{
	if (at < MAX)
		prog[at].off = cnt - at - 1;
}

static void access_at(int p, int lo, int hi)
{
	const int off = lo + (int)rnd(hi - lo + 1);

	switch (rnd(4)) {
	case 0:
		E(I(BPF_ST | BPF_MEM | size_code(), p, 0, off, imm()));
		break;
	case 1:
		E(I(BPF_STX | BPF_MEM | size_code(), p, scratch(), off, 0));
		break;
	default:
		E(I(BPF_LDX | BPF_MEM | size_code(), scratch(), p, off, 0));
		break;
	}
}

/* A bounded number in r, by one of the ways that compilers bound one. */
static uint32_t bound(int r)
{
	fresh(r);
	switch (rnd(5)) {
	case 0:
		E(ALU(AND, r, 15));
		return UINT32_MAX;
	case 1:
		E(ALU(AND, r, 8));
		return UINT32_MAX;
	case 2:
		E(ALU32(AND, r, rnd(24)));
		return UINT32_MAX;
	case 3:
		E(I((rnd(2) ? BPF_JMP : BPF_JMP32) | BPF_JGT, r, 0, 0, rnd(20)));
		return cnt - 1;
	default:
		E(I(BPF_JMP | jumps[rnd(sizeof(jumps))], r, 0, 0, rnd(20)));
		return cnt - 1;
	}
}

static void value_at_index(void)
{
	const int p = R1 + rnd(2), n = R3 + rnd(3);
	const uint32_t at = bound(n);

	E(MOVR(p, R8));
	E(I(BPF_ALU64 | (rnd(5) ? BPF_ADD : BPF_SUB) | BPF_X, p, n, 0, 0));
	access_at(p, -2, 9);
	E(MOV(p, imm()));
	if (at != UINT32_MAX)
		land(at);
	E(MOV(p, 1));
}

static void stack_at_index(void)
{
	const int p = R1 + rnd(2), n = R3 + rnd(3);
	const uint32_t at = bound(n);

	E(MOVR(p, FP));
	E(ALU(ADD, p, -8 * (int)(1 + rnd(5))));
	if (rnd(3))
		E(ALUR(ADD, p, n));
	access_at(p, -8, 8);
	E(MOV(p, imm()));
	if (at != UINT32_MAX)
		land(at);
	E(MOV(p, 2));
}

static void stack_direct(void)
{
	const int off = -8 * (int)(1 + rnd(4)) + (rnd(3) ? 0 : (int)rnd(8));

	switch (rnd(4)) {
	case 0:
		E(I(BPF_ST | BPF_MEM | size_code(), FP, 0, off, imm()));
		break;
	case 1:
		E(I(BPF_LDX | BPF_MEM | size_code(), scratch(), FP, off, 0));
		break;
	case 2: /* a spilled pointer, and what comes back */
		E(STX(DW, FP, R8, -40));
		if (!rnd(3))
			stack_at_index();
		E(LD(DW, R1, FP, -40));
		access_at(R1, 0, 9);
		E(MOV(R1, 0));
		break;
	default:
		E(I(BPF_STX | BPF_MEM | (rnd(2) ? BPF_DW : size_code()), FP, scratch(), off, 0));
		break;
	}
}

static void packet(void)
{
	const uint32_t at = rnd(2) ? bound(R5) : UINT32_MAX;
	const int len = 1 + rnd(16);
	uint32_t out;

	E(LD(W, R1, R6, 0));
	E(LD(W, R2, R6, 4));
	if (at != UINT32_MAX || !rnd(4))
		E(ALUR(ADD, R1, R5));
	E(MOVR(R3, R1));
	E(ALU(ADD, R3, len));
	out = cnt;
	E(I(BPF_JMP | jumps[2 + rnd(4)] | BPF_X, rnd(2) ? R3 : R2, rnd(2) ? R2 : R3, 0, 0));
	access_at(R1, 0, len);
	land(out);
	if (at != UINT32_MAX)
		land(at);
	for (int r = R1; r <= R3; r++)
		E(MOV(r, imm()));
	if (at == UINT32_MAX)
		E(MOV(R5, 3));
}

static void helper(void)
{
	switch (rnd(3)) {
	case 0:
		E(CALL(ktime_get_ns));
		break;
	case 1:
		E(MOVR(R1, FP));
		E(ALU(ADD, R1, -8 * (int)(1 + rnd(4))));
		E(MOV(R2, rnd(40)));
		if (!rnd(3)) {
			E(MOVR(R2, R7));
			E(ALU(AND, R2, 31));
		}
		E(MOV(R3, 0));
		E(CALL(probe_read_kernel));
		break;
	default:
		E(MOVR(R2, rnd(3) ? FP : R8));
		E(ALU(ADD, R2, -8 * (int)rnd(4)));
		prog[cnt] = (struct bpf_insn)I(BPF_LD | BPF_IMM | BPF_DW, R1, BPF_PSEUDO_MAP_FD, 0,
					       M_HASH);
		prog[cnt + 1] = (struct bpf_insn){0};
		cnt += 2;
		E(CALL(map_lookup_elem));
		if (rnd(4)) {
			E(JMP(JEQ, R0, 0, 2));
			access_at(R0, 0, 16);
			E(MOV(R0, 0));
		} else {
			E(MOV(R0, 1));
		}
		/* the branch may have left a pointer */
		E(MOV(R0, 5));
		break;
	}
	for (int r = R1; r <= R5; r++)
		fresh(r);
}

static void atomic(void)
{
	static const int ops[] = {BPF_ADD,  BPF_OR,	 BPF_AND | BPF_FETCH,
				  BPF_XCHG, BPF_CMPXCHG, BPF_ADD | BPF_FETCH};
	const bool stack = rnd(2);

	E(I(BPF_STX | BPF_ATOMIC | (rnd(2) ? BPF_DW : BPF_W), stack ? FP : R8, scratch(),
	    stack ? -4 * (int)(1 + rnd(8)) : 4 * (int)rnd(5), ops[rnd(6)]));
}

static void block(int depth);

static void loop(int depth)
{
	const int r = rnd(2) ? R7 : R9, n = 1 + rnd(6);
	uint32_t top;

	E(MOV(r, 0));
	top = cnt;
	block(depth + 1);
	if (rnd(2))
		E(ALU(ADD, r, 1));
	else
		E(ALU32(ADD, r, 1));
	E(I((rnd(2) ? BPF_JMP : BPF_JMP32) | (rnd(2) ? BPF_JLT : BPF_JSLE), r, 0,
	    (int)top - (int)cnt - 1, n));
}

static void block(int depth)
{
	for (int n = 1 + rnd(4); n && cnt < MAX - 100; n--) {
		uint32_t at;

		switch (rnd(12)) {
		case 0:
		case 1:
			value_at_index();
			break;
		case 2:
			stack_at_index();
			break;
		case 3:
		case 4:
			stack_direct();
			break;
		case 5:
			packet();
			break;
		case 6:
			helper();
			break;
		case 7:
			if (depth < 3) {
				at = jump_over();
				block(depth + 1);
				land(at);
			}
			break;
		case 8:
			if (depth < 2 && !rnd(2))
				loop(depth);
			break;
		case 9:
			if (!rnd(2))
				atomic();
			break;
		default:
			for (int k = rnd(4); k; k--)
				random_alu();
			break;
		}
	}
}

static void generate(void)
{
	uint32_t null;

	cnt = 0;
	E(MOVR(R6, R1));
	E(LD(W, R7, R1, 12));
	for (int i = 1; i <= 4; i++)
		E(ST(DW, FP, -8 * i, imm()));
	E(ST(DW, FP, -48, 0));
	E(MOVR(R2, FP));
	E(ALU(ADD, R2, -48));
	prog[cnt++] =
		(struct bpf_insn)I(BPF_LD | BPF_IMM | BPF_DW, R1, BPF_PSEUDO_MAP_FD, 0, M_HASH);
	prog[cnt++] = (struct bpf_insn){0};
	E(CALL(map_lookup_elem));
	null = cnt;
	E(JMP(JEQ, R0, 0, 0));
	E(MOVR(R8, R0));
	E(LD(DW, R9, R8, 0));
	for (int r = R0; r <= R5; r++)
		fresh(r);
	block(0);
	if (rnd(3) == 0) { /* a function of R1 to R5 */
		E(MOV(R3, imm()));
		E(MOVR(R1, R8));
		E(CALLP(2 + 2));
		E(ALU(AND, R0, 15));
		E(ALUR(ADD, R8, R0));
		access_at(R8, 0, 1);
		land(null);
		E(MOV(R0, 0));
		E(EXIT);
		prog[cnt - 7 + 0].imm = 6;
		access_at(R1, 0, 9);
		E(MOVR(R0, R3));
		E(ALU(ADD, R0, imm()));
		E(EXIT);
		return;
	}
	land(null);
	E(MOV(R0, 0));
	E(EXIT);
}

static bool about_a_range(const char *log)
{
	return strstr(log, "is outside of the allowed memory range") ||
	       strstr(log, "unbounded m") || strstr(log, "min value is negative") ||
	       strstr(log, "misaligned stack access");
}

static char log_[VT_LOG], klog[VT_LOG];

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	const long n = ops ? atol(ops) : 4000, start = first ? atol(first) : 1;
	long both = 0, stricter = 0, refused = 0, laxer = 0;

	if (!vt_kernel_works())
		SKIP("bpf(2) is not permitted here: no kernel to compare with");
	for (long i = 0; i < n && check_failures < 5; i++) {
		struct vt_prog p = {.type = BPF_PROG_TYPE_XDP, .insns = prog};
		int ours, theirs;
		char text[128];

		seed = (uint64_t)(start + i) * 0x9e3779b97f4a7c15;
		generate();
		p.cnt = cnt;
		ours = vt_ours(&p, log_, 0);
		theirs = vt_kernel(&p, klog, 0);
		if (!ours && !theirs)
			both++;
		else if (ours && theirs)
			refused++;
		else if (ours)
			stricter++;
		if (getenv("SHMAP_TEST_VERBOSE") && ours && !theirs) {
			vt_ours(&p, log_, 1);
			printf("stricter, seed %ld: %s\n", start + i,
			       strlen(log_) > 400 ? log_ + strlen(log_) - 400 : log_);
		}
		if (ours || !theirs)
			continue;
		vt_kernel(&p, klog, 1);
		if (about_a_range(klog) && (laxer + 1) * 10000 <= n) {
			laxer++;
			continue;
		}
		fprintf(stderr, "seed %ld: accepted here, %d in the kernel:\n", start + i, theirs);
		for (uint32_t k = 0; k < cnt; k++) {
			insn_print(&prog[k], text, sizeof(text));
			fprintf(stderr, "%u: %s\n", k, text);
		}
		fprintf(stderr, "%s\n", strlen(klog) > 3000 ? klog + strlen(klog) - 3000 : klog);
		check_failures++;
	}
	printf("%ld programs: both accept %ld, both refuse %ld, only the kernel accepts %ld, "
	       "only shmap %ld\n",
	       n, both, refused, stricter, laxer);
	return check_done();
}
