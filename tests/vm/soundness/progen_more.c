/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks about dynptrs, iterators, sections, maps walked through, packets that move, spills. */
#include "progen_int.h"

#include <bpf/btf.h>

#include "btf/btf.h"

#define DYNPTR (-96)
#define CLONE (-112)
#define ITER(depth) (-120 - 8 * (depth))
#define BUFFER (-176) /* of 16 bytes */

uint32_t progen_kfunc(enum progen_kfunc k)
{
	static uint32_t ids[K_CNT];
	static bool asked;

	if (!asked) {
		const struct btf *btf = btf_vmlinux();

		asked = true;
		for (int i = 0; btf && i < K_CNT; i++) {
			const int id =
				btf__find_by_name_kind(btf, progen_kfunc_names[i], BTF_KIND_FUNC);

			ids[i] = id > 0 ? (uint32_t)id : 0;
		}
	}
	return ids[k];
}

/* ---- dynptrs ---- */

static void slice_of(int at)
{
	const int len = 1 + rnd(16);
	const bool write = g->type != BPF_PROG_TYPE_SOCKET_FILTER && rnd(2);

	bounded(R2, R4, 24);
	AT(R1, at);
	if (rnd(2))
		AT(R3, BUFFER);
	else
		E(MOV(R3, 0));
	E(MOV(R4, len));
	if (write)
		KFUNC(SLICE_RDWR);
	else
		KFUNC(SLICE);
	if (rnd(10))
		LEAVE(JMP(JEQ, R0, 0, 0));
	E(MOV(R3, constant()));
	if (rnd(2)) {
		E(STX(DW, FP, R0, -72));
		bounded(R3, R5, len - 1);
		E(LD(DW, R0, FP, -72));
		E(ALUR(ADD, R0, R3));
		access_at(R0, R3, 0, rnd(8) ? 1 : len, write);
	} else {
		access_at(R0, R3, 0, len, write || !rnd(8));
	}
}

/* What is done with the dynptr at `at`; size: what it may be about. */
static void use_dynptr(int at, int size)
{
	const uint32_t mark = g->out_cnt;
	const int len = 1 + rnd(size);

	switch (rnd(8)) {
	case 0:
	case 1: /* its memory */
		bounded(R2, R4, size);
		AT(R1, at);
		E(MOV(R3, len));
		E(CALL(dynptr_data));
		if (rnd(10))
			LEAVE(JMP(JEQ, R0, 0, 0));
		if (!rnd(6)) { /* the dynptr changes meanwhile */
			E(STX(DW, FP, R0, -72));
			E(MOVR(R1, R8));
			E(MOV(R2, 8));
			E(MOV(R3, 0));
			AT(R4, at);
			E(CALL(dynptr_from_mem));
			E(LD(DW, R0, FP, -72));
		}
		E(MOV(R3, constant()));
		access_at(R0, R3, 0, len, true);
		break;
	case 2:
		bounded(R4, R5, size);
		AT(R1, BUFFER);
		E(MOV(R2, 1 + rnd(16)));
		AT(R3, rnd(12) ? at : at + 8);
		E(MOV(R5, 0));
		E(CALL(dynptr_read));
		break;
	case 3:
		bounded(R2, R5, size);
		AT(R1, at);
		AT(R3, rnd(12) ? BUFFER : at);
		E(MOV(R4, 1 + rnd(16)));
		E(MOV(R5, 0));
		E(CALL(dynptr_write));
		break;
	case 4:
		slice_of(at);
		break;
	case 5: /* a clone, and what is done with it */
		AT(R1, at);
		AT(R2, CLONE);
		KFUNC(CLONE);
		if (at != CLONE && rnd(3))
			use_dynptr(CLONE, size);
		break;
	case 6:
		bounded(R2, R4, size);
		number(R3);
		AT(R1, at);
		KFUNC(ADJUST);
		break;
	default:
		AT(R1, at);
		if (rnd(2)) {
			KFUNC(SIZE);
			E(STX(DW, FP, R0, slot()));
		} else {
			E(MOV(R2, 0));
			E(MOV(R3, 1 + rnd(8)));
			E(MOV(R4, constant()));
			KFUNC(MEMSET);
		}
		break;
	}
	land(mark);
	if (!rnd(16)) /* a byte of it is read, or written over */
		access_at(FP, R7, at, at + 16, rnd(2));
}

static void dynptr_of_value(void)
{
	const int size = rnd(2) ? 16 : 48;

	if (rnd(2))
		bounded(R2, R4, size);
	else
		E(MOV(R2, size));
	if (size == 16)
		E(MOVR(R1, R8));
	else
		E2(MAPV(R1, M_ARRAY, 0));
	E(MOV(R3, 0));
	AT(R4, DYNPTR);
	E(CALL(dynptr_from_mem));
	for (int n = 1 + rnd(3); n; n--)
		use_dynptr(DYNPTR, size);
}

static void dynptr_of_record(void)
{
	const int size = 1 + rnd(40);

	E2(MAP(R1, M_RING));
	E(MOV(R2, size));
	E(MOV(R3, 0));
	AT(R4, DYNPTR);
	E(CALL(ringbuf_reserve_dynptr));
	for (int n = rnd(3); n; n--)
		use_dynptr(DYNPTR, size);
	if (!rnd(12))
		LEAVE(JMP(JEQ, R7, constant(), 0));
	AT(R1, rnd(10) ? DYNPTR : CLONE);
	E(MOV(R2, 0));
	E(I(BPF_JMP | BPF_CALL, 0, 0, 0,
	    rnd(2) ? BPF_FUNC_ringbuf_submit_dynptr : BPF_FUNC_ringbuf_discard_dynptr));
	if (!rnd(12))
		use_dynptr(rnd(2) ? DYNPTR : CLONE, size);
}

static void dynptr_of_packet(void)
{
	E(MOVR(R1, R6));
	E(MOV(R2, 0));
	AT(R3, DYNPTR);
	if (xdp())
		KFUNC(FROM_XDP);
	else
		KFUNC(FROM_SKB);
	for (int n = 1 + rnd(3); n; n--)
		if (rnd(2))
			slice_of(DYNPTR);
		else
			use_dynptr(DYNPTR, 24);
}

/* ---- loops ---- */

static void iterate(int depth)
{
	const int it = ITER(rnd(12) ? depth : 0);
	uint32_t mark, top, end;

	E(MOV(R9, 0));
	bounded(R2, R4, 6);
	E(STX(DW, FP, R2, -72));
	bounded(R3, R4, 8);
	E(LD(DW, R2, FP, -72));
	if (g->plain) /* it is really run: not for millions of rounds */
		E(ALU(AND, R2, 7)), E(ALU(AND, R3, 15));
	AT(R1, it);
	KFUNC(NUM_NEW);
	mark = g->out_cnt;
	top = g->cnt;
	AT(R1, it);
	KFUNC(NUM_NEXT);
	end = g->cnt;
	E(JMP(JEQ, R0, 0, 0));
	E(LD(W, R3, R0, 0));
	if (!rnd(12))
		E(STX(W, R0, R3, 0));
	switch (rnd(4)) {
	case 0: { /* what it gives is an index */
		const uint32_t inner = g->out_cnt;

		LEAVE(I(jcls() | BPF_JGT, R3, 0, 0, 47));
		E2(MAPV(R2, M_ARRAY, 0));
		E(ALUR(ADD, R2, R3));
		E(I(BPF_STX | BPF_MEM | BPF_B, R2, R3, 0, 0));
		land(inner);
		break;
	}
	case 1: /* a sum */
		E(ALUR(ADD, R9, R3));
		break;
	case 2: /* how often */
		E(I((rnd(3) ? BPF_ALU64 : BPF_ALU) | BPF_ADD, R9, 0, 0, 1));
		break;
	default:
		E(STX(DW, FP, R3, slot()));
		break;
	}
	block(depth + 1);
	if (!rnd(4)) { /* enough */
		LEAVE(I(jcls() | jumps[rnd(11)], rnd(2) ? R9 : R7, 0, 0, constant()));
	}
	E(I(BPF_JMP | BPF_JA, 0, 0, (int)top - (int)g->cnt - 1, 0));
	land_at(end);
	land(mark);
	if (!rnd(24))
		return;
	AT(R1, it);
	KFUNC(NUM_DESTROY);
	if (rnd(2)) {
		LEAVE(JMP(JGT, R9, rnd(2) ? 47 : 20, 0));
		E2(MAPV(R2, M_ARRAY, 0));
		E(ALUR(ADD, R2, R9));
		E(LD(B, R3, R2, 0));
	}
}

static void for_each(void)
{
	const int at = slot();

	E2(MAP(R1, g->each_map));
	if (!may_call(F_EACH))
		return;
	E2(FUNC(R2, 0));
	AT(R3, at);
	E(MOV(R4, 0));
	E(CALL(for_each_map_elem));
	E(LD(DW, R3, FP, at));
	if (rnd(3))
		LEAVE(JMP(JGT, R3, rnd(60), 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, R3));
	E(LD(B, R3, R2, 0));
}

/* long f(map, key, value, slot) */
void each_function(void)
{
	const int size = g->each_map == M_HASH ? 16 : g->each_map == M_ARRAY ? 48 : 8;
	const uint32_t mark = g->out_cnt;

	E(MOV(R0, 0));
	if (rnd(2))
		E(LD(W, R5, R2, 0));
	else
		E(LD(DW, R5, R4, 0));
	if (!rnd(3))
		twist(R5, R5);
	LEAVE(I(jcls() | BPF_JGT, R5, 0, 0, size - (rnd(8) ? 1 : 0)));
	E(ALUR(ADD, R3, R5));
	if (rnd(2))
		E(LD(B, R0, R3, 0));
	else
		E(STX(B, R3, R5, 0));
	if (rnd(2))
		E(LD(DW, R5, R4, 0)), E(ALU(ADD, R5, rnd(4)));
	E(I(BPF_STX | BPF_MEM | (rnd(3) ? BPF_DW : sizes[rnd(3)]), R4, R5, 0, 0));
	if (!rnd(10))
		E(STX(B, R2, R5, 0));
	E(ALU(AND, R0, 1));
	land(mark);
	if (rnd(8))
		E(ALU(AND, R0, 1));
	E(EXIT);
}

/* long f(slot, number), called by a function that was called */
void deep_function(void)
{
	const uint32_t mark = g->out_cnt;

	E(MOV(R0, 0));
	E(LD(DW, R4, R1, 0));
	if (rnd(2))
		E(STX(DW, FP, R1, -8));
	LEAVE(I(jcls() | jumps[rnd(11)], R4, 0, 0, constant()));
	if (rnd(2))
		E(I(BPF_STX | BPF_MEM | sizes[rnd(4)], R1, R2, 0, 0));
	else
		E(I(BPF_STX | 0xc0 | sizes[2 + rnd(2)], R1, R2, 0,
		    PICK(BPF_ADD, BPF_ADD | BPF_FETCH, BPF_XCHG)));
	land(mark);
	E(EXIT);
}

/* ---- the rest ---- */

static void section(int depth)
{
	const bool rcu = rnd(2);

	if (rcu)
		KFUNC(RCU_LOCK);
	else
		KFUNC(PREEMPT_OFF);
	block(depth + 1);
	if (!rnd(20))
		return;
	if (rcu)
		KFUNC(RCU_UNLOCK);
	else
		KFUNC(PREEMPT_ON);
}

static void move_packet(void)
{
	E(MOVR(R1, R6));
	E(MOV(R2, rnd(3) ? (int)rnd(20) : -(int)rnd(8)));
	if (xdp()) {
		E(I(BPF_JMP | BPF_CALL, 0, 0, 0,
		    rnd(2) ? BPF_FUNC_xdp_adjust_head : BPF_FUNC_xdp_adjust_tail));
	} else if (rnd(2)) {
		E(CALL(skb_pull_data));
	} else {
		E(MOV(R3, 0));
		E(CALL(skb_change_tail));
	}
}

/* long f(context) */
void changer_function(void)
{
	E(MOVR(R6, R1));
	if (rnd(6))
		move_packet();
	E(MOV(R0, rnd(3)));
	E(EXIT);
}

static void packet_moves(void)
{
	const int data = xdp() ? 0 : 76, end = xdp() ? 4 : 80, len = 1 + rnd(16);

	if (g->type == BPF_PROG_TYPE_SOCKET_FILTER || g->plain)
		return;
	E(LD(W, R7, R6, data));
	E(LD(W, R9, R6, end));
	E(MOVR(R3, R7));
	E(ALU(ADD, R3, len));
	LEAVE(JMPR(JGT, R3, R9, 0));
	if (rnd(3)) {
		move_packet();
	} else {
		E(MOVR(R1, R6));
		if (may_call(F_CHANGER))
			E(CALLP(0));
	}
	if (rnd(8)) {
		E(LD(W, R7, R6, data));
		if (rnd(8))
			E(LD(W, R9, R6, end));
		E(MOVR(R3, R7));
		E(ALU(ADD, R3, len));
		LEAVE(JMPR(JGT, R3, R9, 0));
	}
	E(MOV(R4, 0));
	access_at(R7, R4, 0, len, true);
	E(MOV(R7, constant()));
	E(MOV(R9, 0));
}

/* A number or a pointer in a slot, of which a part is stored, loaded or overwritten. */
static void spills(void)
{
	const int at = slot(), n = rnd(4), m = rnd(4);
	const bool pointer = !rnd(3);

	if (pointer) {
		E2(MAPV(R3, M_ARRAY, rnd(40)));
		E(STX(DW, FP, R3, at));
	} else {
		if (rnd(2))
			bounded(R3, R4, 40);
		else
			number(R3);
		E(I(BPF_STX | BPF_MEM | sizes[n], FP, R3, at + (1 << n) * (int)rnd(8 >> n), 0));
	}
	if (!rnd(3))
		E(I(BPF_ST | BPF_MEM | sizes[m], FP, 0, at + (1 << m) * (int)rnd(8 >> m),
		    rnd(2) ? 0 : constant()));
	if (!rnd(4))
		E(I(BPF_STX | 0xc0 | sizes[2 + rnd(2)], FP, R7, at,
		    PICK(BPF_ADD, BPF_ADD | BPF_FETCH, BPF_XCHG)));
	if (!rnd(3))
		LEAVE(I(jcls() | jumps[rnd(11)], R3, 0, 0, constant()));
	if (pointer) {
		E(LD(DW, R2, FP, at));
		E(LD(B, R3, R2, rnd(9)));
		return;
	}
	E(I(BPF_LDX | (n < 3 && !rnd(3) ? 0x80 : BPF_MEM) | sizes[rnd(4)], R5, FP,
	    at + (rnd(2) ? 0 : 4 * (int)rnd(2)), 0));
	if (rnd(2))
		LEAVE(I(jcls() | BPF_JGT, R5, 0, 0, rnd(47)));
	else if (rnd(2))
		LEAVE(I(jcls() | BPF_JNE | BPF_X, R5, R3, 0, 0));
	E2(MAPV(R2, M_ARRAY, 0));
	E(ALUR(ADD, R2, rnd(4) ? R5 : R3));
	E(LD(B, R3, R2, rnd(8)));
}

void more(int which, int depth)
{
	const bool kfuncs = progen_kfunc(K_NUM_NEXT);

	switch (which) {
	case 0:
		dynptr_of_value();
		break;
	case 1:
		if (!g->plain)
			dynptr_of_record();
		break;
	case 2:
		if (kfuncs)
			dynptr_of_packet();
		break;
	case 3:
		if (kfuncs && depth < 2)
			iterate(depth);
		break;
	case 4:
		for_each();
		break;
	case 5:
		if (kfuncs && depth < 2)
			section(depth);
		break;
	case 6:
		packet_moves();
		break;
	default:
		spills();
		break;
	}
}
