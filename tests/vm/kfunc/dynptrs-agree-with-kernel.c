/* SPDX-License-Identifier: BSD-2-Clause */
/* Dynptrs of every kind: verdicts and runs. */
#include "kt.h"

enum { SKB, XDPP, SLICE, SLICE_RDWR, ADJUST, IS_NULL, IS_RDONLY, SIZE, CLONE, COPY, MEMSET, PREAD, PREAD_STR, NAMES };

static const char *const names[NAMES] = {
	"bpf_dynptr_from_skb",	 "bpf_dynptr_from_xdp", "bpf_dynptr_slice",
	"bpf_dynptr_slice_rdwr", "bpf_dynptr_adjust",	"bpf_dynptr_is_null",
	"bpf_dynptr_is_rdonly",	 "bpf_dynptr_size",	"bpf_dynptr_clone",
	"bpf_dynptr_copy",	 "bpf_dynptr_memset",	"bpf_probe_read_kernel_dynptr",
	"bpf_probe_read_kernel_str_dynptr"};

/* R6: the context, R9: the result */
#define BEGIN MOVR(R6, R1), MOV(R9, 0)
#define END MOVR(R0, R9), EXIT
#define FROM_MEM(off, at, size) MAPV(R1, KM_ARRAY, at), MOV(R2, size), MOV(R3, 0), LEA(R4, off), CALL(dynptr_from_mem)
#define FROM_SKB(off) MOVR(R1, R6), MOV(R2, 0), LEA(R3, off), KF(SKB)
#define FROM_XDP(off) MOVR(R1, R6), MOV(R2, 0), LEA(R3, off), KF(XDPP)
#define RESERVE(off, size) MAP(R1, KM_RING), MOV(R2, size), MOV(R3, 0), LEA(R4, off), CALL(ringbuf_reserve_dynptr)
#define DISCARD(off) LEA(R1, off), MOV(R2, 0), CALL(ringbuf_discard_dynptr)
#define READ(off, from, size) LEA(R1, -256), MOV(R2, size), LEA(R3, off), MOV(R4, from), MOV(R5, 0), CALL(dynptr_read)
#define WRITE(off, to, size) LEA(R1, off), MOV(R2, to), MAPV(R3, KM_RODATA, 0), MOV(R4, size), MOV(R5, 0), CALL(dynptr_write)
#define DATA(off, from, size) LEA(R1, off), MOV(R2, from), MOV(R3, size), CALL(dynptr_data)
#define SLICE_OF(off, from, buf, size, fn) LEA(R1, off), MOV(R2, from), buf, MOV(R4, size), KF(fn)
#define BUF LEA(R3, -256)
#define NOBUF MOV(R3, 0)
#define SIZE_OF(off) LEA(R1, off), KF(SIZE)
#define SETBUF ST(DW, FP, -256, 0), ST(DW, FP, -248, 0), ST(DW, FP, -240, 0), ST(DW, FP, -232, 0)
/* R9 = R9 * 31 + R0 */
#define MIX ALU(MUL, R9, 31), ALUR(ADD, R9, R0)
#define MIXBUF LD(DW, R0, FP, -256), MIX, LD(DW, R0, FP, -248), MIX

static const struct kt_case cases[] = {
	KCASE("mem: write, read, size", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), MIX, SIZE_OF(-16), MIX, WRITE(-16, 3, 20), MIX, READ(-16, 5, 16), MIX, MIXBUF, END),
	KCASE("mem: beyond", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), READ(-16, 90, 16), MIX, WRITE(-16, 85, 16), MIX, READ(-16, -1, 16), MIX, MIXBUF, END),
	KCASE("mem: flags", SK, 0, BEGIN, MAPV(R1, KM_ARRAY, 0), MOV(R2, 10), MOV(R3, 1), LEA(R4, -16), CALL(dynptr_from_mem), MIX, SIZE_OF(-16), MIX, LEA(R1, -16), KF(IS_NULL), ALU(AND, R0, 1), MIX, LEA(R1, -16), KF(IS_RDONLY), ALU(AND, R0, 1), MIX, SETBUF, READ(-16, 0, 0), MIX, END),
	KCASE("mem: larger than the value", SK, 0, BEGIN, FROM_MEM(-16, 0, 257), END),
	KCASE("mem: of the stack", SK, 0, BEGIN, SETBUF, LEA(R1, -256), MOV(R2, 8), MOV(R3, 0), LEA(R4, -16), CALL(dynptr_from_mem), END),
	KCASE("mem: read-only value", SK, KT_TEXT, BEGIN, MAPV(R1, KM_RODATA, 0), MOV(R2, 8), MOV(R3, 0), LEA(R4, -16), CALL(dynptr_from_mem), END),
	KCASE("mem: made again", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), FROM_MEM(-16, 8, 50), SIZE_OF(-16), MIX, END),
	KCASE("mem: overwritten and used", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), ST(DW, FP, -8, 0), SIZE_OF(-16), END),
	KCASE("mem: a byte overwritten and left", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), ST(B, FP, -9, 0), LD(B, R0, FP, -9), EXIT),
	KCASE("mem: loaded", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LD(DW, R0, FP, -16), EXIT),
	KCASE("mem: half of it", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -8), KF(SIZE), EXIT),
	KCASE("mem: overlapping", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), FROM_MEM(-24, 0, 50), LEA(R1, -24), KF(SIZE), MIX, END),
	KCASE("mem: overlapped and used", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), FROM_MEM(-24, 0, 50), LEA(R1, -16), KF(SIZE), MIX, END),
	KCASE("mem: data", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DATA(-16, 8, 16), JMP(JEQ, R0, 0, 3), ST(DW, R0, 8, 77), LD(DW, R0, R0, 8), MIX, END),
	KCASE("mem: data beyond", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DATA(-16, 90, 16), JMP(JEQ, R0, 0, 1), MOV(R9, 1), END),
	KCASE("mem: data unchecked", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DATA(-16, 8, 16), ST(DW, R0, 8, 77), END),
	KCASE("mem: data larger than asked", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DATA(-16, 8, 16), JMP(JEQ, R0, 0, 1), ST(DW, R0, 9, 77), END),
	KCASE("mem: data of another size", SK, 0, BEGIN, LD(W, R8, R6, 0), FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 0), MOVR(R3, R8), CALL(dynptr_data), END),
	KCASE("mem: data after it was made again", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DATA(-16, 8, 16), MOVR(R7, R0), JMP(JEQ, R7, 0, 8), FROM_MEM(-16, 0, 50), ST(DW, R7, 0, 1), END),
	KCASE("mem: read into another dynptr", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), FROM_MEM(-32, 0, 100), LEA(R1, -32), MOV(R2, 8), LEA(R3, -16), MOV(R4, 0), MOV(R5, 0), CALL(dynptr_read), END),
	KCASE("mem: read flags", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), LEA(R1, -256), MOV(R2, 8), LEA(R3, -16), MOV(R4, 0), MOV(R5, 1), CALL(dynptr_read), MIX, END),
	KCASE("mem: adjust", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), WRITE(-16, 0, 40), LEA(R1, -16), MOV(R2, 10), MOV(R3, 30), KF(ADJUST), MIX, SIZE_OF(-16), MIX, READ(-16, 0, 16), MIX, READ(-16, 10, 16), MIX, MIXBUF, LEA(R1, -16), MOV(R2, 5), MOV(R3, 4), KF(ADJUST), MIX, LEA(R1, -16), MOV(R2, 5), MOV(R3, 40), KF(ADJUST), MIX, LEA(R1, -16), MOV(R2, 20), MOV(R3, 20), KF(ADJUST), MIX, SIZE_OF(-16), MIX, END),
	KCASE("mem: clone", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), WRITE(-16, 0, 40), LEA(R1, -16), LEA(R2, -32), KF(CLONE), MIX, LEA(R1, -16), MOV(R2, 10), MOV(R3, 30), KF(ADJUST), SIZE_OF(-32), MIX, READ(-32, 2, 16), MIXBUF, END),
	KCASE("mem: clone of nothing", SK, 0, BEGIN, LEA(R1, -16), LEA(R2, -32), KF(CLONE), END),
	KCASE("mem: clone's data when the first goes", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), LEA(R2, -32), KF(CLONE), DATA(-32, 0, 8), MOVR(R7, R0), JMP(JEQ, R7, 0, 4), ST(DW, FP, -16, 0), LD(DW, R0, R7, 0), MIX, END),
	KCASE("mem: copy", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), WRITE(-16, 0, 40), FROM_MEM(-32, 100, 60), LEA(R1, -32), MOV(R2, 4), LEA(R3, -16), MOV(R4, 2), MOV(R5, 30), KF(COPY), MIX, LEA(R1, -32), MOV(R2, 40), LEA(R3, -16), MOV(R4, 2), MOV(R5, 30), KF(COPY), MIX, LEA(R1, -32), MOV(R2, 0), LEA(R3, -16), MOV(R4, 80), MOV(R5, 30), KF(COPY), MIX, END),
	KCASE("mem: copy overlapping", SK, 0, BEGIN, SETBUF, FROM_MEM(-16, 0, 100), WRITE(-16, 0, 40), FROM_MEM(-32, 10, 60), LEA(R1, -32), MOV(R2, 0), LEA(R3, -16), MOV(R4, 0), MOV(R5, 30), KF(COPY), MIX, END),
	KCASE("mem: memset", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 3), MOV(R3, 90), MOV(R4, 0x1ab), KF(MEMSET), MIX, LEA(R1, -16), MOV(R2, 3), MOV(R3, 98), MOV(R4, 0xcd), KF(MEMSET), MIX, END),
	KCASE("mem: slice", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), WRITE(-16, 0, 40), SLICE_OF(-16, 8, NOBUF, 8, SLICE), JMP(JEQ, R0, 0, 3), LD(DW, R0, R0, 0), MIX, END),
	KCASE("mem: slice written", XDP, 0, BEGIN, FROM_MEM(-16, 0, 100), SLICE_OF(-16, 8, NOBUF, 8, SLICE), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	KCASE("mem: slice rdwr", XDP, 0, BEGIN, FROM_MEM(-16, 0, 100), SLICE_OF(-16, 8, NOBUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	KCASE("mem: slice rdwr in a filter", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), SLICE_OF(-16, 8, NOBUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	KCASE("mem: slice of another size", SK, 0, BEGIN, LD(W, R8, R6, 0), FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 0), NOBUF, MOVR(R4, R8), KF(SLICE), END),
	KCASE("mem: slice, buffer too small", SK, KT_TEXT, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 0), LEA(R3, -4), MOV(R4, 8), KF(SLICE), END),
	KCASE("mem: slice, buffer in the dynptr", SK, KT_TEXT, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 0), LEA(R3, -16), MOV(R4, 8), KF(SLICE), END),
	KCASE("mem: slice after overwriting", SK, KT_STRICT, BEGIN, FROM_MEM(-16, 0, 100), SLICE_OF(-16, 8, NOBUF, 8, SLICE), MOVR(R7, R0), JMP(JEQ, R7, 0, 2), ST(DW, FP, -16, 0), LD(DW, R0, R7, 0), END),
	KCASE("mem: probe read", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 3), MOV(R3, 30), MAPV(R4, KM_RODATA, 0), KF(PREAD), MIX, LEA(R1, -16), MOV(R2, 80), MOV(R3, 30), MAPV(R4, KM_RODATA, 0), KF(PREAD), MIX, END),
	KCASE("mem: probe read string", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), LEA(R1, -16), MOV(R2, 3), MOV(R3, 30), MAPV(R4, KM_RODATA, 32), KF(PREAD_STR), MIX, LEA(R1, -16), MOV(R2, 50), MOV(R3, 5), MAPV(R4, KM_RODATA, 32), KF(PREAD_STR), MIX, LEA(R1, -16), MOV(R2, 70), MOV(R3, 13), MAPV(R4, KM_RODATA, 32), KF(PREAD_STR), MIX, LEA(R1, -16), MOV(R2, 60), MOV(R3, 0), MAPV(R4, KM_RODATA, 32), KF(PREAD_STR), MIX, END),
	KCASE("skb: size, read", SK, 0, BEGIN, SETBUF, FROM_SKB(-16), MIX, SIZE_OF(-16), MIX, READ(-16, 20, 16), MIX, MIXBUF, LEA(R1, -16), KF(IS_RDONLY), ALU(AND, R0, 1), MIX, LEA(R1, -16), KF(IS_NULL), ALU(AND, R0, 1), MIX, END),
	KCASE("skb: flags", SK, 0, BEGIN, MOVR(R1, R6), MOV(R2, 1), LEA(R3, -16), KF(SKB), MIX, SIZE_OF(-16), MIX, LEA(R1, -16), KF(IS_NULL), ALU(AND, R0, 1), MIX, END),
	KCASE("cgroup: read, not written", BPF_PROG_TYPE_CGROUP_SKB, 0, BEGIN, SETBUF, FROM_SKB(-16), MIX, SIZE_OF(-16), MIX, READ(-16, 20, 16), MIX, WRITE(-16, 20, 16), MIX, LEA(R1, -16), KF(IS_RDONLY), ALU(AND, R0, 1), MIX, MOV(R0, 1), EXIT),
	KCASE("lwt_xmit: written", BPF_PROG_TYPE_LWT_XMIT, 0, BEGIN, SETBUF, FROM_SKB(-16), MIX, WRITE(-16, 20, 16), MIX, SLICE_OF(-16, 40, BUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	KCASE("lwt_in: not written", BPF_PROG_TYPE_LWT_IN, 0, BEGIN, SETBUF, FROM_SKB(-16), MIX, WRITE(-16, 20, 16), MIX, END),
	KCASE("skb: written in a filter", SK, 0, BEGIN, FROM_SKB(-16), WRITE(-16, 20, 16), MIX, END),
	KCASE("tc: read, write, size", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), MIX, SIZE_OF(-16), MIX, WRITE(-16, 20, 16), MIX, READ(-16, 22, 16), MIX, MIXBUF, LEA(R1, -16), KF(IS_RDONLY), ALU(AND, R0, 1), MIX, END),
	KCASE("tc: write flags", TC, 0, BEGIN, FROM_SKB(-16), LEA(R1, -16), MOV(R2, 20), MAPV(R3, KM_RODATA, 0), MOV(R4, 8), MOV(R5, 1), CALL(dynptr_write), MIX, LEA(R1, -16), MOV(R2, 20), MAPV(R3, KM_RODATA, 0), MOV(R4, 8), MOV(R5, 8), CALL(dynptr_write), MIX, END),
	KCASE("tc: write beyond", TC, 0, BEGIN, FROM_SKB(-16), WRITE(-16, 120, 16), MIX, END),
	KCASE("tc: data", TC, 0, BEGIN, FROM_SKB(-16), DATA(-16, 0, 8), JMP(JEQ, R0, 0, 1), MOV(R9, 1), END),
	KCASE("tc: slice", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), SLICE_OF(-16, 20, BUF, 8, SLICE), JMP(JEQ, R0, 0, 3), LD(DW, R0, R0, 0), MIX, END),
	KCASE("tc: slice beyond", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), SLICE_OF(-16, 122, BUF, 8, SLICE), JMP(JEQ, R0, 0, 1), MOV(R9, 1), END),
	KCASE("tc: slice rdwr", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), SLICE_OF(-16, 20, BUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	KCASE("tc: slice after a write", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), SLICE_OF(-16, 20, BUF, 8, SLICE), MOVR(R7, R0), WRITE(-16, 20, 16), JMP(JEQ, R7, 0, 1), LD(DW, R0, R7, 0), END),
	KCASE("tc: packet pointer after a write", TC, 0, BEGIN, LD(W, R7, R6, 76), LD(W, R8, R6, 80), FROM_SKB(-16), WRITE(-16, 20, 16), MOVR(R1, R7), ALU(ADD, R1, 8), JMPR(JGT, R1, R8, 1), LD(DW, R0, R7, 0), END),
	KCASE("tc: adjust, clone, memset", TC, 0, BEGIN, SETBUF, FROM_SKB(-16), LEA(R1, -16), MOV(R2, 14), MOV(R3, 54), KF(ADJUST), MIX, LEA(R1, -16), LEA(R2, -32), KF(CLONE), MIX, READ(-32, 0, 16), MIXBUF, LEA(R1, -32), MOV(R2, 2), MOV(R3, 9), MOV(R4, 0xee), KF(MEMSET), MIX, END),
	KCASE("tc: copy to and from", TC, 0, BEGIN, FROM_SKB(-16), FROM_MEM(-32, 0, 100), LEA(R1, -32), MOV(R2, 1), LEA(R3, -16), MOV(R4, 14), MOV(R5, 30), KF(COPY), MIX, LEA(R1, -16), MOV(R2, 60), LEA(R3, -32), MOV(R4, 4), MOV(R5, 20), KF(COPY), MIX, END),
	KCASE("xdp: read, write, size", XDP, 0, BEGIN, SETBUF, FROM_XDP(-16), MIX, SIZE_OF(-16), MIX, WRITE(-16, 20, 16), MIX, READ(-16, 22, 16), MIX, MIXBUF, END),
	KCASE("xdp: slice", XDP, 0, BEGIN, SETBUF, FROM_XDP(-16), SLICE_OF(-16, 20, NOBUF, 8, SLICE), JMP(JEQ, R0, 0, 3), LD(DW, R0, R0, 0), MIX, END),
	KCASE("xdp: slice rdwr", XDP, 0, BEGIN, SETBUF, FROM_XDP(-16), SLICE_OF(-16, 20, NOBUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 1), ST(DW, R0, 0, 5), END),
	/* the buffer of a packet in pieces is written to through its slice: what is kept track of
	 * does not come there */
#define RDWR MOVR(R6, R1), MOV(R9, 0), SETBUF, FROM_XDP(-16), SLICE_OF(-16, 20, BUF, 8, SLICE_RDWR), JMP(JEQ, R0, 0, 4), MOVR(R7, R0)
	KCASE("xdp: slice, a pointer spilled to its buffer", XDP, KT_STRICT, RDWR, STX(DW, FP, FP, -256), ST(DW, R7, 0, 5), LD(DW, R1, FP, -256), END),
	KCASE("xdp: slice, a number spilled to its buffer", XDP, KT_STRICT, RDWR, STX(DW, FP, R9, -256), ST(DW, R7, 0, 5), LD(DW, R1, FP, -256), END),
	KCASE("xdp: slice, zero in its buffer", XDP, KT_STRICT, RDWR, ST(B, FP, -251, 0), ST(DW, R7, 0, 5), LD(B, R1, FP, -251), END),
	KCASE("xdp: slice, spilled beside its buffer", XDP, 0, RDWR, STX(DW, FP, FP, -248), ST(DW, R7, 0, 5), LD(DW, R1, FP, -248), END),
	KCASE("xdp: slice after a write", XDP, 0, BEGIN, SETBUF, FROM_XDP(-16), SLICE_OF(-16, 20, BUF, 8, SLICE), MOVR(R7, R0), WRITE(-16, 20, 16), JMP(JEQ, R7, 0, 1), LD(DW, R0, R7, 0), END),
	KCASE("xdp: write flags", XDP, 0, BEGIN, FROM_XDP(-16), LEA(R1, -16), MOV(R2, 20), MAPV(R3, KM_RODATA, 0), MOV(R4, 8), MOV(R5, 1), CALL(dynptr_write), MIX, END),
	KCASE("xdp: not its context", XDP, 0, BEGIN, LEA(R1, -32), MOV(R2, 0), LEA(R3, -16), KF(XDPP), END),
	KCASE("ring: write, data, discard", SK, 0, BEGIN, SETBUF, RESERVE(-16, 40), MIX, WRITE(-16, 3, 20), MIX, READ(-16, 3, 16), MIX, MIXBUF, DATA(-16, 4, 8), JMP(JEQ, R0, 0, 3), LD(DW, R0, R0, 0), MIX, DISCARD(-16), END),
	KCASE("ring: too large", SK, 0, BEGIN, RESERVE(-16, 4096), MIX, SIZE_OF(-16), MIX, DISCARD(-16), END),
	KCASE("ring: kept", SK, 0, BEGIN, RESERVE(-16, 40), END),
	KCASE("ring: overwritten", SK, 0, BEGIN, RESERVE(-16, 40), ST(DW, FP, -8, 0), END),
	KCASE("ring: made again", SK, 0, BEGIN, RESERVE(-16, 40), RESERVE(-16, 40), DISCARD(-16), END),
	KCASE("ring: clone kept", SK, 0, BEGIN, RESERVE(-16, 40), LEA(R1, -16), LEA(R2, -32), KF(CLONE), DISCARD(-32), END),
	KCASE("ring: clone, then the first", SK, 0, BEGIN, RESERVE(-16, 40), LEA(R1, -16), LEA(R2, -32), KF(CLONE), DISCARD(-16), SIZE_OF(-32), END),
	KCASE("ring: one of two overwritten", SK, 0, BEGIN, RESERVE(-16, 40), LEA(R1, -16), LEA(R2, -32), KF(CLONE), ST(DW, FP, -16, 0), DISCARD(-32), END),
	KCASE("ring: both overwritten", SK, 0, BEGIN, RESERVE(-16, 40), LEA(R1, -16), LEA(R2, -32), KF(CLONE), ST(DW, FP, -16, 0), ST(DW, FP, -32, 0), END),
	KCASE("ring: data after discard", SK, 0, BEGIN, RESERVE(-16, 40), DATA(-16, 4, 8), MOVR(R7, R0), DISCARD(-16), JMP(JEQ, R7, 0, 1), LD(DW, R0, R7, 0), END),
	KCASE("ring: slice after discard", SK, KT_STRICT, BEGIN, RESERVE(-16, 40), SLICE_OF(-16, 8, NOBUF, 8, SLICE), MOVR(R7, R0), DISCARD(-16), JMP(JEQ, R7, 0, 1), LD(DW, R0, R7, 0), END),
	KCASE("submit of a local one", SK, 0, BEGIN, FROM_MEM(-16, 0, 100), DISCARD(-16), END),
	KCASE("size of nothing", SK, 0, BEGIN, SIZE_OF(-16), END),
	KCASE("size of a value", SK, 0, BEGIN, MAPV(R1, KM_ARRAY, 0), KF(SIZE), END),
	KCASE("size at a variable place", SK, KT_TEXT, BEGIN, LD(W, R7, R6, 0), ALU(AND, R7, 8), FROM_MEM(-16, 0, 100), FROM_MEM(-32, 0, 100), LEA(R1, -32), ALUR(ADD, R1, R7), KF(SIZE), END),
	KCASE("from_mem at a variable place", SK, KT_TEXT, BEGIN, LD(W, R7, R6, 0), ALU(AND, R7, 8), MAPV(R1, KM_ARRAY, 0), MOV(R2, 8), MOV(R3, 0), LEA(R4, -32), ALUR(ADD, R4, R7), CALL(dynptr_from_mem), END),
	KCASE("from_mem, unaligned place", SK, KT_TEXT, BEGIN, FROM_MEM(-20, 0, 10), END),
	KCASE("from_mem, above the frame", SK, KT_TEXT, BEGIN, FROM_MEM(-8, 0, 10), END),
	KCASE("on one path only", SK, 0, BEGIN, LD(W, R7, R6, 0), JMP(JEQ, R7, 1, 8), FROM_MEM(-16, 0, 10), JA(2), ST(DW, FP, -16, 0), ST(DW, FP, -8, 0), SIZE_OF(-16), END),
};

int main(int argc, char **argv)
{
	kt_init(names, NAMES);
	return kt_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
