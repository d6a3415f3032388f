/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "progen_int.h"

/* ---- accesses ---- */

void access_at(int p, int t, int lo, int hi, bool store)
{
	const int n = rnd(4), size = 1 << n, off = lo + (int)rnd(hi - lo - size + 2);

	if (off + size > hi && rnd(8))
		return;
	switch (store ? rnd(6) : 3) {
	case 0:
		E(I(BPF_ST | BPF_MEM | sizes[n], p, 0, off, constant()));
		break;
	case 1:
		E(I(BPF_STX | BPF_MEM | sizes[n], p, t, off, 0));
		break;
	case 2:
		if (n >= 2) {
			const int op = PICK(BPF_ADD, BPF_ADD | BPF_FETCH, BPF_XOR, BPF_OR,
					    BPF_AND | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG);

			E(I(BPF_STX | 0xc0 | sizes[n], p, t, off & ~7, op));
			break;
		}
		/* fallthrough */
	case 4: /* acquire, release */
		if (!rnd(4)) {
			if (rnd(2))
				E(I(BPF_STX | 0xc0 | sizes[n], t, p, off & -size, 0x100));
			else
				E(I(BPF_STX | 0xc0 | sizes[n], p, t, off & -size, 0x110));
			break;
		}
		/* fallthrough */
	default:
		E(I(BPF_LDX | (n < 3 && !rnd(4) ? 0x80 : BPF_MEM) | sizes[n], t, p, off, 0));
		break;
	}
}

static void object(void)
{
	const int which = rnd(5), size = which == 0 ? 16 : which == 1 ? 48 : which == 2 ? 64 : 32;
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
	if (!rnd(6)) { /* by way of a slot */
		E(STX(DW, FP, R2, -72));
		E(LD(DW, R2, FP, -72));
	}
	if (rnd(4))
		E(ALUR(ADD, R2, R3));
	else if (rnd(2))
		E(ALUR(ADD, R3, R2)), E(MOVR(R2, R3));
	else
		E(ALU(ADD, R2, size - 1)), E(ALUR(SUB, R2, R3)), E(ALU(ADD, R2, 1 - size + max));
	E(MOV(R3, constant()));
	access_at(R2, R3, 0, size - max, which != 2);
}

/* One map value or another, by one pointer. */
static void either_object(void)
{
	number(R3);
	E2(MAPV(R2, M_ARRAY, 8 * (int)rnd(4)));
	E(I(jcls() | jumps[rnd(11)], R3, 0, 1 + rnd(2), constant()));
	E(MOVR(R2, R8));
	E(ALU(ADD, R2, rnd(4)));
	distance();
	E(MOV(R3, constant()));
	access_at(R2, R3, 0, rnd(2) ? 12 : 16, true);
}

static void packet(void)
{
	const int len = rnd(12) ? 1 + (int)rnd(20) : 0;
	const bool meta = !rnd(6);
	const int data = xdp() ? 0 : 76, end = xdp() ? 4 : 80, before = xdp() ? 8 : 140;

	E(LD(W, R1, R6, meta ? before : data));
	E(LD(W, R2, R6, meta ? data : end));
	if (rnd(2)) {
		bounded(R5, R4, rnd(40));
		E(ALUR(ADD, R1, R5));
		E(LD(W, R2, R6, meta ? data : end));
	}
	E(MOVR(R3, R1));
	E(ALU(ADD, R3, len));
	if (rnd(2))
		LEAVE(I(BPF_JMP | (rnd(8) ? BPF_JGT : BPF_JGE) | BPF_X, R3, R2, 0, 0));
	else
		LEAVE(I(BPF_JMP | (rnd(8) ? BPF_JLT : BPF_JLE) | BPF_X, R2, R3, 0, 0));
	if (!rnd(6))
		distance();
	if (!rnd(3)) {
		bounded(R5, R4, len ? len - 1 : 0);
		E(ALUR(ADD, R1, R5));
	}
	E(MOV(R4, 0));
	access_at(rnd(4) ? R1 : R3, R4, rnd(3) ? 0 : -len, len ? len : 1, true);
}

/* The packet through the old instructions. */
static void old_packet(void)
{
	if (rnd(2)) {
		E(I(BPF_LD | BPF_ABS | sizes[rnd(3)], 0, 0, 0, (int)rnd(24)));
	} else {
		bounded(R2, R4, rnd(40));
		E(I(BPF_LD | BPF_IND | sizes[rnd(3)], 0, R2, 0, (int)rnd(8)));
	}
	if (rnd(2))
		LEAVE(JMP(JGT, R0, rnd(15), 0));
	E(ALU(AND, R0, 15));
	E(MOVR(R2, R8));
	E(ALUR(ADD, R2, R0));
	E(LD(B, R3, R2, 0));
}

/* Bytes of a slot are written one way or the other, and looked at later. */
static void either(void)
{
	const int at = slot();
	uint32_t other, end = 0;

	if (rnd(2))
		E(STX(DW, FP, R7, at));
	number(R4);
	other = g->cnt;
	E(I(jcls() | jumps[rnd(11)], R4, 0, 0, constant()));
	for (int half = 0; half < 2; half++) {
		for (int k = 1 + rnd(2); k; k--) {
			const int n = rnd(4), off = at + (int)rnd(8 >> n) * (1 << n);

			if (rnd(4))
				E(I(BPF_ST | BPF_MEM | sizes[n], FP, 0, off,
				    half && !rnd(2) ? constant() : (int)rnd(12)));
			else
				E(I(BPF_STX | BPF_MEM | sizes[n], FP, rnd(2) ? R7 : R4, off, 0));
		}
		if (half)
			break;
		end = g->cnt;
		E(JA(0));
		land_at(other);
	}
	land_at(end);
	distance();
	const int n = rnd(4);

	E(I(BPF_LDX | BPF_MEM | sizes[n], R3, FP, at + (rnd(2) ? 0 : (int)rnd(8 >> n) * (1 << n)),
	    0));
	if (rnd(3))
		LEAVE(JMP(JGT, R3, rnd(2) ? 11 : 40, 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, R3));
	E(LD(B, R3, R2, rnd(8)));
}

/* Registers get one value or another; arithmetic; what comes of it is an index. */
static void diamond(void)
{
	uint32_t other, end;

	number(R4);
	number(R5);
	E(MOV(R3, rnd(20)));
	other = g->cnt;
	if (rnd(2))
		E(I(jcls() | jumps[rnd(11)], R4, 0, 0, constant()));
	else
		E(I(jcls() | jumps[rnd(11)] | BPF_X, R4, R5, 0, 0));
	E(MOV(R3, rnd(40)));
	if (rnd(2))
		twist(R4, R5);
	end = g->cnt;
	E(JA(0));
	land_at(other);
	if (rnd(2))
		E(MOVR(R5, R4));
	if (rnd(2))
		twist(R5, R4);
	land_at(end);
	distance();
	for (int k = rnd(3); k; k--)
		twist(R3 + rnd(2), R5);
	if (rnd(3))
		E(I(jcls() | jumps[rnd(11)] | BPF_X, R3 + rnd(2), R4 + rnd(2), 1, 0));
	E(MOVR(R2, R3 + rnd(3)));
	if (rnd(2))
		LEAVE(I(jcls() | BPF_JGT, R3 + rnd(3), 0, 0, rnd(32)));
	if (rnd(2))
		LEAVE(JMP(JGT, R2, rnd(40), 0));
	E2(MAPV(R1, M_ARRAY, 0));
	E(ALUR(ADD, R1, rnd(4) ? R2 : R3));
	access_at(R1, R2, 0, rnd(12) + 1, true);
}

static void lookup(int map)
{
	E(ST(DW, FP, -80, rnd(2)));
	E(MOVR(R2, FP));
	E(ALU(ADD, R2, -80));
	E2(MAP(R1, map));
	E(CALL(map_lookup_elem));
}

/* A pointer that is null on one way, spilled, copied, compared. */
static void null_games(void)
{
	lookup(rnd(2) ? M_HASH : M_PERCPU);
	if (rnd(2))
		E(MOVR(R3, R0));
	else
		E(STX(DW, FP, R0, -72)), E(LD(DW, R3, FP, -72));
	distance();
	LEAVE(JMP(JEQ, rnd(2) ? R0 : R3, 0, 0));
	E(MOV(R4, constant()));
	if (rnd(3))
		access_at(R3, R4, 0, 8, true);
	else
		E(LD(DW, R3, FP, -72)), access_at(R3, R4, 0, 8, true);
}

static void locked(void)
{
	const bool direct = rnd(2);

	if (direct) {
		E2(MAPV(R5, M_LOCKARRAY, 0));
		E(STX(DW, FP, R5, -72));
	} else {
		lookup(M_LOCK);
		LEAVE(JMP(JEQ, R0, 0, 0));
		E(STX(DW, FP, R0, -72));
	}
	E(LD(DW, R1, FP, -72));
	E(CALL(spin_lock));
	E(LD(DW, R1, FP, -72));
	access_at(R1, R7, rnd(8) ? 4 : 0, 8, true);
	if (!rnd(3))
		E(I(jcls() | jumps[rnd(11)], R7, 0, 1 + rnd(2), constant()));
	E(MOV(R3, 1));
	E(ST(W, R1, 4, 1));
	E(LD(DW, R1, FP, -72));
	E(CALL(spin_unlock));
}

static void record(void)
{
	const int size = 1 + rnd(40);

	E2(MAP(R1, M_RING));
	E(MOV(R2, size));
	E(MOV(R3, 0));
	E(CALL(ringbuf_reserve));
	if (rnd(12)) {
		E(JMP(JNE, R0, 0, 1));
		LEAVE(JA(0));
	}
	if (rnd(2))
		E(STX(DW, FP, R0, -72)), E(LD(DW, R1, FP, -72));
	else
		E(MOVR(R1, R0));
	E(MOV(R3, constant()));
	E(MOVR(R4, R1));
	if (rnd(2)) {
		const uint32_t mark = g->out_cnt;

		E(STX(DW, FP, R1, -80));
		bounded(R3, R5, rnd(size));
		E(ALUR(ADD, R4, R3));
		access_at(R4, R3, 0, size, true);
		land(mark);
		E(LD(DW, R1, FP, -80));
	} else {
		access_at(R4, R3, 0, size, true);
	}
	E(MOV(R2, 0));
	E(I(BPF_JMP | BPF_CALL, 0, 0, 0,
	    rnd(2) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard));
}

static void helper(void)
{
	switch (g->plain ? PICK(0, 1, 2, 6) : (int)rnd(9)) {
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
		if (rnd(2)) {
			LEAVE(JMP(JSLE, R0, 0, 0));
			E(MOVR(R2, R8));
			E(ALUR(ADD, R2, R0));
			E(LD(B, R3, R2, (int)rnd(2) - 1));
		}
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
	case 3:
		E(MOVR(R2, FP));
		E(ALU(ADD, R2, slot()));
		E(MOVR(R3, rnd(2) ? R8 : FP));
		E(ALU(ADD, R3, rnd(4) ? 0 : -16));
		E(MOV(R4, 0));
		E2(MAP(R1, M_HASH));
		E(CALL(map_update_elem));
		break;
	case 4:
		E2(MAP(R1, M_RING));
		bounded(R3, R4, 47);
		E2(MAPV(R2, M_ARRAY, 0));
		E2(MAP(R1, M_RING));
		E(MOV(R4, 0));
		E(CALL(ringbuf_output));
		break;
	case 5:
		E(I(BPF_JMP | BPF_CALL, 0, 0, 0,
		    rnd(2) ? BPF_FUNC_get_prandom_u32 : BPF_FUNC_ktime_get_ns));
		LEAVE(JMP(JGT, R0, rnd(17), 0));
		E(MOVR(R2, R8));
		E(ALUR(ADD, R2, R0));
		E(LD(B, R3, R2, 0));
		break;
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
		E(MOV(R3, constant()));
		access_at(R0, R3, 0, 16, true);
		break;
	}
	E(MOV(R1, 0));
}

/* ---- functions; they stand behind the program ---- */

bool may_call(int kind)
{
	if (g->call_cnt[kind] == 16)
		return false;
	g->calls[kind][g->call_cnt[kind]++] = g->cnt;
	return true;
}

static void call(void)
{
	E(MOVR(R1, FP));
	E(ALU(ADD, R1, slot()));
	number(R2);
	E(MOVR(R3, R6));
	if (!may_call(F_STATIC))
		return;
	E(CALLP(0));
	if (rnd(4))
		LEAVE(JMP(JGT, R0, rnd(20), 0));
	E(MOVR(R2, R8));
	E(ALUR(ADD, R2, R0));
	E(LD(B, R3, R2, 0));
}

static void call_global(void)
{
	number(R1);
	number(R2);
	if (!may_call(F_GLOBAL))
		return;
	E(CALLP(0));
	LEAVE(JMP(JGT, R0, rnd(20), 0));
	E(MOVR(R2, R8));
	E(ALUR(ADD, R2, R0));
	E(LD(B, R3, R2, 0));
}

static void looping(void)
{
	const int at = slot();

	E(MOV(R1, rnd(6)));
	if (!may_call(F_LOOP))
		return;
	E2(FUNC(R2, 0));
	E(MOVR(R3, FP));
	E(ALU(ADD, R3, at));
	E(MOV(R4, 0));
	E(CALL(loop));
	E(LD(DW, R3, FP, at));
	if (rnd(3))
		LEAVE(JMP(JGT, R3, rnd(60), 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, R3));
	E(LD(B, R3, R2, 0));
}

/* long f(slot, number): changes the slot, gives something back */
static void function(void)
{
	const uint32_t mark = g->out_cnt;

	if (!rnd(4)) { /* R3 is the context */
		E(MOVR(R6, R3));
		E(MOVR(R7, R1));
		E(MOVR(R8, R2));
		if (g->type == BPF_PROG_TYPE_XDP || rnd(2)) {
			E(MOVR(R1, R6));
			E2(MAP(R2, M_PROGS));
			E(MOV(R3, rnd(3)));
			E(CALL(tail_call));
		} else {
			E(I(BPF_LD | BPF_ABS | sizes[rnd(3)], 0, 0, 0, (int)rnd(24)));
		}
		E(MOVR(R1, R7));
		E(MOVR(R2, R8));
	}
	if (!rnd(4)) { /* on to another one */
		E(MOVR(R6, R1));
		E(MOVR(R7, R2));
		if (may_call(F_DEEP))
			E(CALLP(0));
		E(MOVR(R1, R6));
		E(MOVR(R2, R7));
	}
	E(MOV(R0, 0));
	E(LD(DW, R3, R1, 0));
	if (rnd(2))
		E(STX(DW, FP, R3, -8));
	if (rnd(2))
		LEAVE(JMP(JGT, R2, rnd(40), 0));
	E(I(BPF_STX | BPF_MEM | (rnd(3) ? BPF_DW : sizes[rnd(3)]), R1, R2, 0, 0));
	if (!rnd(3)) {
		E(MOVR(R6, R2));
		distance();
		E(MOVR(R2, R6));
	}
	E(MOVR(R0, rnd(2) ? R2 : R3));
	if (rnd(2))
		E(ALU(AND, R0, 15));
	land(mark);
	E(EXIT);
}

/* long f(long, long), checked by itself */
static void global_function(void)
{
	const uint32_t mark = g->out_cnt;

	E(MOV(R0, 0));
	for (int k = rnd(3); k; k--)
		twist(R1, R2);
	LEAVE(I(jcls() | jumps[rnd(11)], R1, 0, 0, constant()));
	E(STX(DW, FP, R1, -8));
	if (rnd(2)) {
		LEAVE(JMP(JGT, R1, rnd(40), 0));
		E2(MAPV(R3, M_ARRAY, 0));
		E(ALUR(ADD, R3, R1));
		E(LD(B, R0, R3, rnd(10)));
	}
	land(mark);
	E(EXIT);
}

/* long callback(index, slot) */
static void callback(void)
{
	E(LD(DW, R3, R2, 0));
	switch (rnd(5)) {
	case 0:
		E(ALU(ADD, R3, rnd(3)));
		break;
	case 1:
		E(MOV(R3, constant()));
		break;
	case 2:
		E(MOVR(R3, R1));
		break;
	case 3:
		twist(R3, R1);
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

static void context(void)
{
	if (xdp()) {
		E(LD(W, R3, R6, 4 * (int)(3 + rnd(2))));
	} else if (rnd(2)) {
		E(I(BPF_STX | BPF_MEM | sizes[2 + rnd(2)], R6, R7, 48 + 8 * (int)rnd(2), 0));
		E(I(BPF_LDX | BPF_MEM | sizes[rnd(3)], R3, R6, 48 + 4 * (int)rnd(4), 0));
	} else if (g->type == BPF_PROG_TYPE_SCHED_CLS) {
		E(STX(W, R6, R7, PICK(8, 4 * 8, 8)));
		E(LD(H, R3, R6, 8));
	}
	E(STX(DW, FP, R3, slot()));
}

static void tail(void)
{
	E(MOVR(R1, R6));
	E2(MAP(R2, M_PROGS));
	E(MOV(R3, rnd(3)));
	E(CALL(tail_call));
}

/* A counted loop; the counter is R9, or in the frame. */
static void counted(int depth)
{
	const int max = 1 + rnd(6);
	uint32_t top;

	E(MOV(R9, 0));
	if (!rnd(3))
		number(R7);
	top = g->cnt;
	if (!g->plain && !rnd(4)) { /* with a bound of its own: 2^23 rounds */
		E(I(BPF_JMP | 0xe0, 0, 0, 0, 0));
		block(depth + 1);
		E(I(BPF_JMP | BPF_JA, 0, 0, (int)top - (int)g->cnt - 1, 0));
		land_at(top);
		return;
	}
	block(depth + 1);
	if (!rnd(4))
		twist(R7, R9);
	E(I(rnd(3) ? BPF_ALU64 | BPF_ADD : BPF_ALU | BPF_ADD, R9, 0, 0, 1));
	E(I(jcls() | (rnd(2) ? BPF_JLT : BPF_JSLE), R9, 0, (int)top - (int)g->cnt - 1, max));
}

void block(int depth)
{
	const uint32_t mark = g->out_cnt;

	switch (rnd(26 + MORE_KINDS + 4)) {
	case 0:
	case 1:
	case 2:
		object();
		break;
	case 3:
	case 4:
	case 5:
		if (g->type == BPF_PROG_TYPE_SOCKET_FILTER) {
			if (g->no_packet)
				object();
			else
				old_packet();
		} else {
			packet();
		}
		break;
	case 6:
	case 7:
		either();
		break;
	case 8:
	case 9:
		helper();
		break;
	case 10:
	case 11:
		call();
		break;
	case 12:
		looping();
		break;
	case 13:
	case 14:
		if (depth < 2)
			counted(depth);
		break;
	case 15:
	case 16:
	case 17:
		diamond();
		break;
	case 18:
		null_games();
		break;
	case 19:
		if (g->type != BPF_PROG_TYPE_SOCKET_FILTER && !g->plain)
			locked();
		break;
	case 20:
		if (!g->plain)
			record();
		break;
	case 21:
		either_object();
		break;
	case 22:
		if (rnd(2))
			call_global();
		break;
	case 23:
		context();
		break;
	case 24:
		if (!rnd(3))
			tail();
		break;
	case 25:
		number(R3);
		E(I(BPF_STX | BPF_MEM | sizes[rnd(4)], FP, R3, slot(), 0));
		break;
	default:
		more(rnd(MORE_KINDS), depth);
		break;
	}
	land(mark);
	fresh();
}

static void functions(void)
{
	static void (*const make[F_CNT])(void) = {function,	 callback,	   global_function,
						  each_function, changer_function, deep_function};

	g->func_cnt = 0;
	g->funcs[g->func_cnt++] = (struct vt_func){.insn = 0, .kind = 2};
	for (int kind = 0; kind < F_CNT; kind++) {
		if (!g->call_cnt[kind])
			continue;
		for (uint32_t i = 0; i < g->call_cnt[kind]; i++)
			g->insns[g->calls[kind][i]].imm = (int)(g->cnt - g->calls[kind][i] - 1);
		g->funcs[g->func_cnt++] =
			(struct vt_func){.insn = g->cnt,
					 .global = kind == F_GLOBAL || kind == F_CHANGER,
					 .kind = kind == F_CHANGER ? xdp() ? 4 : 3 : 0};
		make[kind]();
	}
}

void progen_generate(void)
{
	uint32_t end;

	g->cnt = g->out_cnt = 0;
	memset(g->call_cnt, 0, sizeof(g->call_cnt));
	g->each_map = PICK(M_HASH, M_ARRAY, M_PERCPU);
	/* the old instructions do not go with functions */
	g->no_packet = rnd(2);
	E(MOVR(R6, R1));
	E(LD(W, R7, R1, xdp() ? 12 : 0));
	for (int i = 1; i <= 10; i++)
		if (i == 1 || rnd(12)) /* what is not written may be read */
			E(ST(DW, FP, -8 * i, rnd(3) ? (int)rnd(10) : constant()));
	E(MOVR(R2, FP));
	E(ALU(ADD, R2, -8));
	E2(MAP(R1, M_HASH));
	E(CALL(map_lookup_elem));
	end = g->cnt;
	E(JMP(JEQ, R0, 0, 0));
	E(MOVR(R8, R0));
	E(MOV(R9, 0));
	fresh();
	for (int n = 1 + rnd(4); n && g->cnt < PROGEN_MAX - 350; n--)
		block(0);
	land_at(end);
	E(MOV(R0, 0));
	E(EXIT);
	functions();
}
