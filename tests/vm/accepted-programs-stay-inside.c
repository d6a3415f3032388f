/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs that compute offsets, sizes and branches from data, made so
 * that the verifier accepts many of them. What it accepts is run, on random
 * contexts, maps and packets that end (or begin) at an unmapped page, and must
 * not fault, not touch a byte around its objects or its frame, and not depend on
 * what the frames held before.
 *
 * SHMAP_TEST_OPS: programs (20000); SHMAP_TEST_SEED: the first one.
 */
#include "verifier/vt.c"

#include <sys/mman.h>

#include "base/uaccess.h"
#include "vm/insn.h"
#include "vm/interp.h"

#define MAX 700
#define PAGE 4096
#define GUARD 0xa5

static struct bpf_insn prog[MAX];
static uint32_t cnt;
static uint64_t seed;
static struct vt_func funcs[4];
static uint32_t func_cnt;

static uint32_t rnd(int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return n > 0 ? (uint32_t)(seed >> 20) % (uint32_t)n : 0;
}

static void emit(struct bpf_insn insn)
{
	if (cnt < MAX)
		prog[cnt++] = insn;
}

#define E(...) emit((struct bpf_insn)__VA_ARGS__)
#define E2(...)                                                                                    \
	do {                                                                                       \
		const struct bpf_insn two[] = {__VA_ARGS__};                                       \
		emit(two[0]);                                                                      \
		emit(two[1]);                                                                      \
	} while (0)

/* ---- jumps to the end of a block ---- */

static uint32_t out[64], out_cnt;

static void leave(struct bpf_insn jump)
{
	if (out_cnt < 64)
		out[out_cnt++] = cnt;
	emit(jump);
}
#define LEAVE(...) leave((struct bpf_insn)__VA_ARGS__)

static void land(uint32_t mark)
{
	while (out_cnt > mark) {
		const uint32_t at = out[--out_cnt];

		prog[at].off = (int16_t)(cnt - at - 1);
	}
}

/* ---- numbers ---- */

static int32_t imm(void)
{
	static const int32_t some[] = {0,  1,  2,  3,	4,   7,	  8,  15,	  16,
				       31, 40, 47, 100, 255, 256, -1, -8,	  -4,
				       63, 64, 5,  9,	17,  33,  48, 0x7fffffff, INT32_MIN};

	return some[rnd(sizeof(some) / sizeof(some[0]))];
}

static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

/* A number from anywhere. R6: context, R7: a number, R8: a value of 16 bytes. */
static void number(int r)
{
	const uint8_t size = sizes[rnd(4)];

	switch (rnd(7)) {
	case 0:
		E(LD(W, r, R6, 12));
		break;
	case 1:
		E(MOVR(r, R7));
		break;
	case 2:
		E(MOV(r, imm()));
		break;
	case 3:
		E2(MAPV(r, M_RODATA, 8 * rnd(4)));
		E(I(BPF_LDX | BPF_MEM | size, r, r, 0, 0));
		break;
	case 4:
		E(I(BPF_LDX | BPF_MEM | size, r, FP, -8 * (int)(1 + rnd(8)), 0));
		break;
	case 5:
		if (size != BPF_DW) {
			E(I(BPF_LDX | 0x80 | size, r, R8, 8 * rnd(2), 0));
			break;
		}
		/* fallthrough */
	default:
		E(I(BPF_LDX | BPF_MEM | size, r, R8, 8 * rnd(2), 0));
		break;
	}
}

static void twist(int r)
{
	static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_AND, BPF_OR,   BPF_XOR,
				      BPF_MUL, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_DIV};
	const uint8_t op = ops[rnd(10)], cls = rnd(2) ? BPF_ALU : BPF_ALU64;

	switch (rnd(6)) {
	case 0:
		E(NEG64(r));
		return;
	case 1:
		E(MOVSX(r, r, 8 << rnd(3)));
		return;
	case 2:
		E(MOV32R(r, r));
		return;
	}
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		E(I(cls | op | BPF_K, r, 0, 0, rnd(cls == BPF_ALU ? 32 : 64)));
	else if (op == BPF_DIV)
		E(I(cls | op | BPF_K, r, 0, 0, 1 + rnd(100)));
	else
		E(I(cls | op | BPF_K, r, 0, 0, imm()));
}

/* r gets a number of 0 to max, or the block is left; t is spoilt. Now and then
 * it is not so: the verifier shall find out. */
static void bounded(int r, int t, int max)
{
	const int lie = rnd(12) ? 0 : (int)rnd(3), slot = -8 * (int)(1 + rnd(8));
	int m = 1;

	number(r);
	if (!rnd(3))
		twist(r);
	while (m * 2 - 1 <= max)
		m *= 2;
	m--; /* the largest mask */
	max += lie;
	switch (rnd(12)) {
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
		E(I(BPF_STX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), FP, r, slot, 0));
		E(I(BPF_LDX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), t, FP, slot, 0));
		LEAVE(JMP(JGE, t, max + 1, 0));
		if (rnd(2))
			E(I(BPF_LDX | BPF_MEM | (rnd(2) ? BPF_W : BPF_DW), r, FP, slot, 0));
		break;
	case 8:
		E(ALU(ADD, r, 5));
		LEAVE(JMP(JGT, r, max + 5, 0));
		E(ALU(SUB, r, 5 - lie));
		LEAVE(JMP(JSLT, r, 0, 0));
		break;
	case 9:
		E(ALU(RSH, r, 64 - __builtin_popcount(m) - lie));
		break;
	case 10: /* against another number */
		number(t);
		E(ALU(AND, t, m));
		LEAVE(I((rnd(3) ? BPF_JMP : BPF_JMP32) | (rnd(2) ? BPF_JGT : BPF_JGE) | BPF_X, r, t,
			0, 0));
		break;
	default:
		E(MOV(t, m));
		E(I((rnd(2) ? BPF_ALU : BPF_ALU64) | BPF_AND | BPF_X, r, t, 0, 0));
		if (rnd(2))
			LEAVE(JMP(JSET, r, 1, 0));
		break;
	}
}

static void fresh(void)
{
	for (int r = R0; r <= R5; r++)
		E(MOV(r, imm()));
}

/* jumps that go nowhere: checkpoints are kept after some of them */
static void distance(void)
{
	for (int i = rnd(4); i; i--) {
		E(JA(0));
		for (int k = 0; k < 4; k++)
			E(MOV(R0, 0));
	}
}

/* ---- accesses ---- */

/* size bytes somewhere in [p + lo, p + hi) */
static void access_at(int p, int t, int lo, int hi, bool store)
{
	const int n = rnd(4), size = 1 << n, off = lo + (int)rnd(hi - lo - size + 2);

	if (off + size > hi && rnd(8))
		return;
	switch (store ? rnd(5) : 3) {
	case 0:
		E(I(BPF_ST | BPF_MEM | sizes[n], p, 0, off, imm()));
		break;
	case 1:
		E(I(BPF_STX | BPF_MEM | sizes[n], p, t, off, 0));
		break;
	case 2:
		if (n >= 2) {
			E(I(BPF_STX | 0xc0 | sizes[n], p, t, off & ~7,
			    rnd(2) ? BPF_ADD | BPF_FETCH : BPF_XOR));
			break;
		}
		/* fallthrough */
	default:
		E(I(BPF_LDX | BPF_MEM | sizes[n], t, p, off, 0));
		break;
	}
}

static void object(void)
{
	const int which = rnd(4), size = which == 0 ? 16 : which == 1 ? 48 : which == 2 ? 64 : 32;
	const int max = rnd(size);

	bounded(R3, R4, max);
	switch (which) {
	case 0:
		E(MOVR(R2, R8));
		break;
	case 1:
		E2(MAPV(R2, M_ARRAY, 0));
		break;
	case 2:
		E2(MAPV(R2, M_RODATA, 0));
		break;
	default:
		E(MOVR(R2, FP));
		E(ALU(ADD, R2, -32));
		if (rnd(2))
			E(ALU(AND, R3, 24));
		break;
	}
	if (rnd(4))
		E(ALUR(ADD, R2, R3));
	else if (rnd(2))
		E(ALUR(ADD, R3, R2)), E(MOVR(R2, R3));
	else
		E(ALU(ADD, R2, size - 1)), E(ALUR(SUB, R2, R3)), E(ALU(ADD, R2, 1 - size + max));
	E(MOV(R3, imm()));
	access_at(R2, R3, which == 3 ? 0 : 0, size - max, which != 2);
}

static void packet(void)
{
	const int len = 1 + rnd(20);
	const bool meta = !rnd(6);

	E(LD(W, R1, R6, meta ? 8 : 0));
	E(LD(W, R2, R6, meta ? 0 : 4));
	if (rnd(2)) {
		bounded(R5, R4, rnd(40));
		E(ALUR(ADD, R1, R5));
		E(LD(W, R2, R6, meta ? 0 : 4));
	}
	E(MOVR(R3, R1));
	E(ALU(ADD, R3, len));
	if (rnd(2))
		LEAVE(I(BPF_JMP | (rnd(8) ? BPF_JGT : BPF_JGE) | BPF_X, R3, R2, 0, 0));
	else
		LEAVE(I(BPF_JMP | (rnd(8) ? BPF_JLT : BPF_JLE) | BPF_X, R2, R3, 0, 0));
	if (!rnd(3)) {
		bounded(R5, R4, len - 1);
		E(ALUR(ADD, R1, R5));
	}
	E(MOV(R4, 0));
	access_at(rnd(4) ? R1 : R3, R4, rnd(3) ? 0 : -len, len, true);
}

/* Bytes of a slot are written one way or the other, and looked at later. */
static void either(void)
{
	const int slot = -8 * (int)(1 + rnd(8));
	uint32_t other, end = 0;

	if (rnd(2))
		E(STX(DW, FP, R7, slot));
	number(R4);
	other = cnt;
	E(I(BPF_JMP | (rnd(2) ? BPF_JEQ : BPF_JSGT), R4, 0, 0, imm()));
	for (int half = 0; half < 2; half++) {
		for (int k = 1 + rnd(2); k; k--) {
			const int n = rnd(4), off = slot + (int)rnd(8 >> n) * (1 << n);

			if (rnd(4))
				E(I(BPF_ST | BPF_MEM | sizes[n], FP, 0, off,
				    half && !rnd(2) ? imm() : (int)rnd(12)));
			else
				E(I(BPF_STX | BPF_MEM | sizes[n], FP, rnd(2) ? R7 : R4, off, 0));
		}
		if (half)
			break;
		end = cnt;
		E(JA(0));
		prog[other].off = (int16_t)(cnt - other - 1);
	}
	prog[end].off = (int16_t)(cnt - end - 1);
	distance();
	const int n = rnd(4);

	E(I(BPF_LDX | BPF_MEM | sizes[n], R3, FP, slot + (rnd(2) ? 0 : (int)rnd(8 >> n) * (1 << n)),
	    0));
	if (rnd(3))
		LEAVE(JMP(JGT, R3, rnd(2) ? 11 : 40, 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, R3));
	E(LD(B, R3, R2, rnd(8)));
}

static void helper(void)
{
	switch (rnd(5)) {
	case 0: /* as many bytes as a number says */
		bounded(R2, R4, 31);
		E(MOVR(R1, FP));
		E(ALU(ADD, R1, -32));
		E2(LD64(R3, rnd(2) ? 0 : 0xffff800000000000));
		E(CALL(probe_read_kernel));
		break;
	case 1:
		bounded(R2, R4, 15);
		E(MOVR(R1, R8));
		E(MOV(R3, 0));
		E(I(BPF_JMP | BPF_CALL, 0, 0, 0,
		    rnd(2) ? BPF_FUNC_probe_read_kernel : BPF_FUNC_probe_read_kernel_str));
		break;
	case 2: /* a number out of text */
		E(MOVR(R1, FP));
		E(ALU(ADD, R1, -64));
		E(MOV(R2, 1 + rnd(30)));
		E(MOV(R3, rnd(2) ? 0 : 10));
		E(MOVR(R4, FP));
		E(ALU(ADD, R4, -72));
		E(I(BPF_JMP | BPF_CALL, 0, 0, 0, rnd(2) ? BPF_FUNC_strtol : BPF_FUNC_strtoul));
		E(LD(DW, R3, FP, -72));
		E(STX(DW, R8, R3, 0));
		return;
	default:
		bounded(R2, R4, 24);
		if (rnd(2))
			E(ALU(AND, R2, 24));
		E(MOVR(R3, FP));
		E(ALU(ADD, R3, -32));
		E(ALUR(ADD, R2, R3));
		E2(MAP(R1, M_HASH));
		E(CALL(map_lookup_elem));
		if (rnd(8))
			LEAVE(JMP(JEQ, R0, 0, 0));
		E(MOV(R3, imm()));
		access_at(R0, R3, 0, 16, true);
		break;
	}
	E(MOV(R1, 0));
}

/* ---- functions; they stand behind the program ---- */

static uint32_t calls[16], call_cnt, loops[16], loop_cnt;

static void call(void)
{
	if (call_cnt == 16)
		return;
	E(MOVR(R1, FP));
	E(ALU(ADD, R1, -8 * (int)(1 + rnd(8))));
	number(R2);
	calls[call_cnt++] = cnt;
	E(CALLP(0));
	if (rnd(4))
		LEAVE(JMP(JGT, R0, rnd(20), 0));
	E(MOVR(R2, R8));
	E(ALUR(ADD, R2, R0));
	E(LD(B, R3, R2, 0));
}

static void looping(void)
{
	const int slot = -8 * (int)(1 + rnd(8));

	if (loop_cnt == 16)
		return;
	E(MOV(R1, rnd(6)));
	loops[loop_cnt++] = cnt;
	E2(FUNC(R2, 0));
	E(MOVR(R3, FP));
	E(ALU(ADD, R3, slot));
	E(MOV(R4, 0));
	E(CALL(loop));
	E(LD(DW, R3, FP, slot));
	if (rnd(3))
		LEAVE(JMP(JGT, R3, rnd(60), 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, R3));
	E(LD(B, R3, R2, 0));
}

/* long f(slot, number): changes the slot, gives something back */
static void function(void)
{
	const uint32_t mark = out_cnt;

	E(MOV(R0, 0));
	E(LD(DW, R3, R1, 0));
	if (rnd(2))
		E(STX(DW, FP, R3, -8));
	if (rnd(2))
		LEAVE(JMP(JGT, R2, rnd(40), 0));
	E(I(BPF_STX | BPF_MEM | (rnd(3) ? BPF_DW : sizes[rnd(3)]), R1, R2, 0, 0));
	E(MOVR(R0, rnd(2) ? R2 : R3));
	if (rnd(2))
		E(ALU(AND, R0, 15));
	land(mark);
	E(EXIT);
}

/* long callback(index, slot) */
static void callback(void)
{
	E(LD(DW, R3, R2, 0));
	switch (rnd(4)) {
	case 0:
		E(ALU(ADD, R3, rnd(3)));
		break;
	case 1:
		E(MOV(R3, imm()));
		break;
	case 2:
		E(MOVR(R3, R1));
		break;
	default:
		E(JMP(JGT, R3, 40, 1));
		E(ALU(ADD, R3, 8));
		break;
	}
	E(I(BPF_STX | BPF_MEM | (rnd(3) ? BPF_DW : sizes[rnd(3)]), R2, R3, 0, 0));
	E(MOV(R0, 0));
	if (rnd(2))
		E(JMP(JNE, R1, 3, 1)), E(MOV(R0, 1));
	E(EXIT);
}

static void block(int depth)
{
	const uint32_t mark = out_cnt;
	uint32_t top;

	switch (rnd(12)) {
	case 0:
	case 1:
	case 2:
		object();
		break;
	case 3:
	case 4:
		packet();
		break;
	case 5:
	case 6:
		either();
		break;
	case 7:
		helper();
		break;
	case 8:
		call();
		break;
	case 9:
		looping();
		break;
	case 10: /* a counted loop; the counter is in the frame */
		if (depth > 1)
			break;
		E(MOV(R9, 0));
		top = cnt;
		block(depth + 1);
		E(ALU(ADD, R9, 1));
		E(I((rnd(2) ? BPF_JMP : BPF_JMP32) | BPF_JLT, R9, 0, (int)top - (int)cnt - 1,
		    1 + rnd(6)));
		break;
	default:
		number(R3);
		E(I(BPF_STX | BPF_MEM | sizes[rnd(4)], FP, R3, -8 * (int)(1 + rnd(8)), 0));
		break;
	}
	land(mark);
	fresh();
}

static void generate(void)
{
	uint32_t end;

	cnt = out_cnt = call_cnt = loop_cnt = 0;
	E(MOVR(R6, R1));
	E(LD(W, R7, R1, 12));
	for (int i = 1; i <= 8; i++)
		E(ST(DW, FP, -8 * i, rnd(3) ? (int)rnd(10) : imm()));
	E(MOVR(R2, FP));
	E(ALU(ADD, R2, -8));
	E2(MAP(R1, M_HASH));
	E(CALL(map_lookup_elem));
	end = cnt;
	E(JMP(JEQ, R0, 0, 0));
	E(MOVR(R8, R0));
	E(MOV(R9, 0));
	fresh();
	for (int n = 1 + rnd(4); n && cnt < MAX - 250; n--)
		block(0);
	prog[end].off = (int16_t)(cnt - end - 1);
	E(MOV(R0, 0));
	E(EXIT);
	func_cnt = 0;
	funcs[func_cnt++] = (struct vt_func){.insn = 0, .kind = 2};
	if (call_cnt) {
		for (uint32_t i = 0; i < call_cnt; i++)
			prog[calls[i]].imm = (int)(cnt - calls[i] - 1);
		funcs[func_cnt++] = (struct vt_func){.insn = cnt};
		function();
	}
	if (loop_cnt) {
		for (uint32_t i = 0; i < loop_cnt; i++)
			prog[loops[i]].imm = (int)(cnt - loops[i] - 1);
		funcs[func_cnt++] = (struct vt_func){.insn = cnt};
		callback();
	}
}

/* ---- the objects ---- */

struct object_page {
	uint8_t *page, *at;
	uint32_t size;
};

static struct object_page value, array, pkt;
static bool found;

static void page_make(struct object_page *o)
{
	uint8_t *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	o->page = p + PAGE;
	REQUIRE(!mprotect(o->page, PAGE, PROT_READ | PROT_WRITE));
}

static void page_place(struct object_page *o, uint32_t size)
{
	memset(o->page, GUARD, PAGE);
	o->size = size;
	o->at = rnd(2) ? o->page : o->page + PAGE - size;
	for (uint32_t i = 0; i < size; i++)
		o->at[i] = rnd(3) ? rnd(3) ? 0 : rnd(50) : rnd(256);
}

static bool page_intact(const struct object_page *o)
{
	for (uint8_t *p = o->page; p < o->page + PAGE; p++)
		if ((p < o->at || p >= o->at + o->size) && *p != GUARD)
			return false;
	return true;
}

static void *value_lookup(struct map *m, const void *key)
{
	uint64_t k;

	memcpy(&k, key, sizeof(k));
	return found || k % 3 ? value.at : NULL;
}

static void *array_value(struct map *m)
{
	return array.at;
}

static const struct map_ops value_ops = {
	.lookup = value_lookup, .update = no_update, .delete = no_delete, .for_each = no_each};
static const struct map_ops value_array_ops = {.lookup = no_lookup,
					       .update = no_update,
					       .delete = no_delete,
					       .for_each = no_each,
					       .direct_value = array_value};

static struct vm_context *vc;

/* Runs in frame 1: what lies around it is there to be watched. */
static bool run_watched(struct xdp_md *ctx, const struct vm_env *env, uint8_t fill, uint64_t *ret)
{
	int err = 0;
	const uint32_t frames = func_cnt > 1 ? 2 : 1;

	memset(vc, 0, sizeof(*vc));
	memset(vc->stack, GUARD, sizeof(vc->stack));
	memset(vc->stack + VM_FRAME_STACK, last.aux[0].zero_stack ? 0 : fill,
	       frames * VM_FRAME_STACK);
	vc->prog = &last;
	vc->code = interp_code(&last, &err);
	REQUIRE(vc->code);
	vc->ctx = ctx;
	vc->env = env;
	vc->depth = 1;
	if (fault_guard_set(&vc->guard))
		return false;
	fault_guard_enter(&vc->guard);
	*ret = interp_exec(vc, &vc->code->ins[0], (uintptr_t)ctx, 0, 0, 0, 0);
	fault_guard_leave(&vc->guard);
	for (uint32_t i = 0; i < sizeof(vc->stack); i++)
		if ((i < VM_FRAME_STACK || i >= (1 + frames) * VM_FRAME_STACK) &&
		    vc->stack[i] != GUARD)
			return false;
	return true;
}

static const char *run_once(void)
{
	struct {
		uint64_t before;
		struct xdp_md md;
		uint64_t behind;
	} ctx = {.before = 0x1234, .behind = 0x5678};
	uint8_t saved[3][PAGE], after[3][PAGE];
	struct vm_env env;
	uint64_t ret, ret2;

	page_place(&value, 16);
	page_place(&array, 48);
	page_place(&pkt, rnd(3) ? rnd(24) : rnd(80));
	found = rnd(4);
	ctx.md.ingress_ifindex = rnd(2) ? rnd(64) : seed;
	env = (struct vm_env){.pkt = pkt.at, .pkt_end = pkt.at + pkt.size, .pkt_meta = pkt.at};
	memcpy(saved[0], value.page, PAGE);
	memcpy(saved[1], array.page, PAGE);
	memcpy(saved[2], pkt.page, PAGE);
	interp_code_free(last.code); /* it holds the array's address */
	last.code = NULL;
	if (vm_run(&last, &ctx.md, &env, &ret) || vm_fault_count(&last))
		return "it faults";
	if (!page_intact(&value) || !page_intact(&array) || !page_intact(&pkt))
		return "it writes beside a value or the packet";
	if (ctx.before != 0x1234 || ctx.behind != 0x5678)
		return "it writes beside the context";
	for (int i = 0; i < 2; i++) {
		memcpy(value.page, saved[0], PAGE);
		memcpy(array.page, saved[1], PAGE);
		memcpy(pkt.page, saved[2], PAGE);
		if (!run_watched(&ctx.md, &env, i ? 0x00 : 0x6b, i ? &ret2 : &ret))
			return "it writes beside its frame";
		if (!i) {
			memcpy(after[0], value.page, PAGE);
			memcpy(after[1], array.page, PAGE);
			memcpy(after[2], pkt.page, PAGE);
		}
	}
	if (ret != ret2 || memcmp(after[0], value.page, PAGE) ||
	    memcmp(after[1], array.page, PAGE) || memcmp(after[2], pkt.page, PAGE))
		return "it depends on what the frame held before";
	return NULL;
}

/* Functions that call the next one many times: looked at in time. */
static void many_calls(void)
{
	enum { CALLS = 200, FUNCS = 7, LEN = CALLS + 2 };
	struct bpf_insn insns[FUNCS * LEN];
	struct vt_func info[FUNCS];
	static char text[VT_LOG];
	struct vt_prog p = {.type = BPF_PROG_TYPE_XDP,
			    .insns = insns,
			    .cnt = FUNCS * LEN,
			    .funcs = info,
			    .func_cnt = FUNCS};

	for (int f = 0; f < FUNCS; f++) {
		struct bpf_insn *at = insns + f * LEN;

		info[f] = (struct vt_func){.insn = f * LEN, .global = f, .kind = 2};
		for (int i = 0; i < CALLS; i++)
			at[i] = f + 1 < FUNCS ? (struct bpf_insn)CALLP(LEN - i - 1)
					      : (struct bpf_insn)MOV(R0, i);
		at[CALLS] = (struct bpf_insn)MOV(R0, 0);
		at[CALLS + 1] = (struct bpf_insn)EXIT;
	}
	CHECK_EQ(vt_ours(&p, text, 0), 0);
}

static char text[VT_LOG];

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	const long n = ops ? atol(ops) : 20000, start = first ? atol(first) : 1;
	long accepted = 0, runs = 0;

	REQUIRE(!uaccess_init());
	init();
	many_calls();
	page_make(&value);
	page_make(&array);
	page_make(&pkt);
	maps[M_HASH].ops = &value_ops;
	maps[M_ARRAY].ops = &value_array_ops;
	vc = aligned_alloc(16, sizeof(*vc));
	REQUIRE(vc);
	for (long i = 0; i < n && check_failures < 5; i++) {
		struct vt_prog p = {.type = BPF_PROG_TYPE_XDP, .insns = prog, .funcs = funcs};
		const char *why = NULL;

		seed = (uint64_t)(start + i) * 0x9e3779b97f4a7c15;
		generate();
		p.cnt = cnt;
		p.func_cnt = func_cnt;
		page_place(&array, 48);
		interp_code_free(last.code);
		if (vt_ours(&p, text, 0)) {
			if (getenv("SHMAP_TEST_VERBOSE")) {
				vt_ours(&p, text, 1);
				printf("seed %ld: %s\n", start + i,
				       strlen(text) > 300 ? text + strlen(text) - 300 : text);
			}
			continue;
		}
		accepted++;
		for (int k = 0; k < 6 && !why; k++, runs++)
			why = run_once();
		if (!why)
			continue;
		fprintf(stderr, "seed %ld: %s:\n", start + i, why);
		for (uint32_t k = 0; k < cnt; k++) {
			insn_print(&prog[k], text, sizeof(text));
			fprintf(stderr, "%u: %s\n", k, text);
		}
		check_failures++;
	}
	printf("%ld programs, %ld accepted, %ld runs\n", n, accepted, runs);
	CHECK(accepted * 10 > n);
	return check_done();
}
