/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the verifier believes of a value after an instruction must include
 * every value that the instruction gives for the operands believed before:
 * random ranges, random members of them, every operation and comparison.
 */
#include "../rfc9669_model.h"
#include "check.h"
#include "vm/verifier_int.h"

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Numbers near the places where ranges break. */
static uint64_t corner(void)
{
	static const uint64_t at[] = {0,	  1,
				      0x7f,	  0x80,
				      0xff,	  0x7fff,
				      0x8000,	  0xffff,
				      0x7fffffff, 0x80000000,
				      0xffffffff, 0x100000000,
				      INT64_MAX,  (uint64_t)INT64_MIN,
				      UINT64_MAX, 0xffffffff80000000};

	switch (rnd() % 4) {
	case 0:
		return rnd() >> (rnd() % 64);
	case 1:
		return rnd();
	default:
		return at[rnd() % ARRAY_SIZE(at)] + rnd() % 5 - 2;
	}
}

static bool member(const struct reg *r, uint64_t x)
{
	return (x & ~r->var_off.mask) == r->var_off.value && r->umin <= x && x <= r->umax &&
	       r->smin <= (int64_t)x && (int64_t)x <= r->smax && r->u32_min <= (uint32_t)x &&
	       (uint32_t)x <= r->u32_max && r->s32_min <= (int32_t)x && (int32_t)x <= r->s32_max;
}

/* A register that admits x, narrowed in some of its views; *x is in it. */
static void random_reg(struct reg *r, uint64_t x)
{
	struct reg other;
	static const uint8_t ops[] = {BPF_JLT,	BPF_JLE,  BPF_JGT, BPF_JGE, BPF_JSLT, BPF_JSLE,
				      BPF_JSGT, BPF_JSGE, BPF_JEQ, BPF_JNE, BPF_JSET};

	reg_mark_unknown(r);
	if (rnd() % 3 == 0) {
		uint64_t mask = corner();

		r->var_off = (struct tnum){x & ~mask, mask};
		reg_sync(r);
	}
	for (int n = rnd() % 4; n; n--) {
		const uint8_t op = ops[rnd() % ARRAY_SIZE(ops)];
		const bool is32 = rnd() & 1;
		struct reg xr;

		/* what a comparison that holds for x would teach */
		reg_mark_const(&other, rnd() & 1 ? x + rnd() % 64 - 32 : corner());
		reg_mark_const(&xr, x);
		if (branch_taken(&xr, &other, op, is32) == 1)
			branch_refine(r, &other, op, is32);
	}
}

static void sample(struct reg *r, uint64_t *x)
{
	/* another member, when one is easily found */
	for (int i = 0; i < 8; i++) {
		uint64_t y = (corner() & r->var_off.mask) | r->var_off.value;

		if (member(r, y)) {
			*x = y;
			return;
		}
		y = r->umin + rnd() % 16;
		if (member(r, y)) {
			*x = y;
			return;
		}
	}
}

static uint64_t execute(uint8_t op, uint64_t a, uint64_t b, bool is32, bool is_signed)
{
	const unsigned int n = b & (is32 ? 31 : 63);
	uint64_t r;

	if (is32)
		a = (uint32_t)a, b = (uint32_t)b;
	switch (op) {
	case BPF_ADD:
		r = a + b;
		break;
	case BPF_SUB:
		r = a - b;
		break;
	case BPF_MUL:
		r = a * b;
		break;
	case BPF_AND:
		r = a & b;
		break;
	case BPF_OR:
		r = a | b;
		break;
	case BPF_XOR:
		r = a ^ b;
		break;
	case BPF_LSH:
		r = a << n;
		break;
	case BPF_RSH:
		r = a >> n;
		break;
	case BPF_ARSH:
		r = is32 ? (uint64_t)((int32_t)a >> n) : (uint64_t)((int64_t)a >> n);
		break;
	case BPF_DIV:
		r = b ? a / b : 0;
		break;
	default:
		r = b ? a % b : a;
		break;
	}
	return is32 ? (uint32_t)r : r;
}

static void show(const char *what, const struct reg *r, uint64_t x)
{
	fprintf(stderr,
		"%s: 0x%llx not in (0x%llx; 0x%llx) u[0x%llx, 0x%llx] s[%lld, %lld] u32[0x%x, "
		"0x%x] "
		"s32[%d, %d]\n",
		what, (unsigned long long)x, (unsigned long long)r->var_off.value,
		(unsigned long long)r->var_off.mask, (unsigned long long)r->umin,
		(unsigned long long)r->umax, (long long)r->smin, (long long)r->smax, r->u32_min,
		r->u32_max, r->s32_min, r->s32_max);
}

static void expect(const char *what, int op, const struct reg *r, uint64_t x)
{
	char text[64];

	if (member(r, x))
		return;
	snprintf(text, sizeof(text), "%s 0x%02x", what, op);
	show(text, r, x);
	check_failures++;
}

static void one_alu(void)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL,  BPF_AND, BPF_OR, BPF_XOR,
				      BPF_LSH, BPF_RSH, BPF_ARSH, BPF_DIV, BPF_MOD};
	const uint8_t op = ops[rnd() % ARRAY_SIZE(ops)];
	const bool is32 = rnd() & 1;
	uint64_t x = corner(), y = corner();
	struct reg a, b, r;

	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		y &= is32 ? 31 : 63;
	random_reg(&a, x);
	random_reg(&b, y);
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		reg_mark_const(&b, y);
	expect("operand", op, &a, x);
	expect("operand", op, &b, y);
	sample(&a, &x);
	sample(&b, &y);
	r = a;
	scalar_alu(&r, &b, op, is32, false);
	expect(is32 ? "alu32" : "alu64", op, &r, execute(op, x, y, is32, false));
}

static void one_branch(void)
{
	static const uint8_t ops[] = {BPF_JLT,	BPF_JLE,  BPF_JGT, BPF_JGE, BPF_JSLT, BPF_JSLE,
				      BPF_JSGT, BPF_JSGE, BPF_JEQ, BPF_JNE, BPF_JSET};
	static const uint8_t inverse[] = {BPF_JGE,  BPF_JGT,  BPF_JLE, BPF_JLT, BPF_JSGE, BPF_JSGT,
					  BPF_JSLE, BPF_JSLT, BPF_JNE, BPF_JEQ, 0xff};
	const int k = rnd() % ARRAY_SIZE(ops);
	const bool is32 = rnd() & 1;
	uint64_t x = corner(), y = rnd() & 1 ? x + rnd() % 9 - 4 : corner();
	struct reg a, b;
	bool truth;
	int taken;

	random_reg(&a, x);
	random_reg(&b, y);
	sample(&a, &x);
	sample(&b, &y);
	truth = rfc_taken((is32 ? BPF_JMP32 : BPF_JMP) | ops[k], x, y);
	taken = branch_taken(&a, &b, ops[k], is32);
	if (taken >= 0 && taken != truth) {
		fprintf(stderr, "jump 0x%02x of 0x%llx, 0x%llx predicted %d\n", ops[k],
			(unsigned long long)x, (unsigned long long)y, taken);
		show("left", &a, x);
		show("right", &b, y);
		check_failures++;
	}
	if (!branch_refine(&a, &b, truth ? ops[k] : inverse[k], is32)) {
		fprintf(stderr, "jump 0x%02x: called impossible\n", ops[k]);
		check_failures++;
		return;
	}
	expect(is32 ? "left of jump32" : "left of jump", ops[k], &a, x);
	expect(is32 ? "right of jump32" : "right of jump", ops[k], &b, y);
}

static void one_cast(void)
{
	const unsigned int size = 1u << rnd() % 4;
	uint64_t x = corner(), want;
	struct reg r, s;
	struct bpf_insn insn = {.code = BPF_ALU64 | BPF_END, .imm = 16 << rnd() % 3};
	const bool is32 = size < 4 && (rnd() & 1);

	random_reg(&r, x);
	sample(&r, &x);
	s = r;
	reg_cast(&s, size);
	expect("zero extension", size, &s, size == 8 ? x : x & ((1ULL << size * 8) - 1));
	s = r;
	reg_cast_sx(&s, size, is32);
	want = size == 8 ? x : (uint64_t)((int64_t)(x << (64 - size * 8)) >> (64 - size * 8));
	expect(is32 ? "sign extension 32" : "sign extension", size, &s,
	       is32 ? (uint32_t)want : want);
	s = r;
	scalar_end(&s, &insn);
	expect("bswap", insn.imm, &s, __builtin_bswap64(x) >> (64 - insn.imm));
	s = r;
	insn.code = BPF_ALU | BPF_END | BPF_TO_LE;
	scalar_end(&s, &insn);
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		expect("to le", insn.imm, &s, insn.imm == 64 ? x : x & ((1ULL << insn.imm) - 1));
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	long n = ops ? atol(ops) : 1000000;

	for (long i = 0; i < n && check_failures < 20; i++) {
		one_alu();
		one_branch();
		if (i % 4 == 0)
			one_cast();
	}
	printf("%ld rounds\n", n);
	return check_done();
}
