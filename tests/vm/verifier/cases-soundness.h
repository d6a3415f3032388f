/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was once accepted here and then read or wrote outside its objects, or did
 * not end.
 */

#define BYTES LD(W, R2, R1, 4), STX(W, FP, R2, -8), STX(W, FP, R2, -4), STX(B, FP, R2, -7)
#define INDEX_MAX "R5 max value is outside of the allowed memory range"
T("paths: a zero byte among others", SK, INDEX_MAX, 0, START, BYTES, EITHER(ST(B, FP, -8, 0), JA(1), STX(B, FP, R2, -8)), FILL, LD(B, R3, FP, -8), INDEX(R3)),
T("paths: a zero byte among others, second", SK, INDEX_MAX, 0, START, BYTES, JMP(JNE, R8, 0, 2), ST(B, FP, -8, 0), JA(1), STX(B, FP, R2, -8), FILL, LD(B, R3, FP, -8), INDEX(R3)),
T("paths: a zero byte, or a spilled register", SK, INDEX_MAX, 0, START, BYTES, EITHER(ST(B, FP, -8, 0), JA(1), STX(DW, FP, R2, -8)), FILL, LD(B, R3, FP, -8), INDEX(R3)),
T("packet: before the end at offset 0", XDP, "invalid access to packet", 0, LD(W, R2, R1, 0), LD(W, R3, R1, 4), JMPR(JGE, R2, R3, 1), LD(B, R0, R2, 0), MOV(R0, 0), EXIT),
/* the kernel takes these for loops of the helper */
TF("endless loop around bpf_loop", SK, "infinite loop detected", S, 10, 0, 2, MOV(R9, 0), MOV(R1, 1), FUNC(R2, 7), MOV(R3, 0), MOV(R4, 0), CALL(loop), JMP(JEQ, R9, 0, -7), MOV(R0, 0), EXIT, MOV(R0, 0), EXIT),
TF("endless loop kept going by a callback", SK, "is too complex", S, 14, 0, 2, ST(DW, FP, -8, 0), MOV(R1, 1), FUNC(R2, 11), MOVR(R3, FP), ALU(ADD, R3, -8), MOV(R4, 0), CALL(loop), LD(DW, R1, FP, -8), JMP(JNE, R1, 0, 2), ST(DW, FP, -8, 1), JA(-11), MOV(R0, 0), EXIT, JA(0), ST(DW, R2, 0, 0), JA(0), MOV(R0, 0), EXIT),
TF("loop around bpf_loop", SK, NULL, 0, 11, 0, 2, MOV(R9, 0), MOV(R1, 1), FUNC(R2, 8), MOV(R3, 0), MOV(R4, 0), CALL(loop), ALU(ADD, R9, 1), JMP(JLT, R9, 5, -8), MOV(R0, 0), EXIT, MOV(R0, 0), EXIT),
TF("tail call in a global function", SK, NULL, 0, 2, 1, 3, CALLP(1), EXIT, MAP(R2, M_PROGS), MOV(R3, 0), CALL(tail_call), MOV(R0, 0), EXIT),
T("tail call", SK, NULL, 0, MAP(R2, M_PROGS), MOV(R3, 0), CALL(tail_call), MOV(R0, 0), EXIT),
/* a pointer's bytes in another order are a number of 64 bits, whatever the instruction's class */
#define SPOILT(insn) MOVR(R5, FP), insn, ALU(RSH, R5, 32), MAPV(R2, M_ARRAY, 0), ALUR(ADD, R2, R5), LD(B, R0, R2, 0), EXIT
#define LE(d, bits) I(BPF_ALU | BPF_END | BPF_TO_LE, d, 0, 0, bits)
T("a pointer to little endian", SK, "R2 unbounded memory access", 0, SPOILT(LE(R5, 64))),
T("a pointer to big endian", SK, "R2 unbounded memory access", 0, SPOILT(BE(R5, 64))),
T("a pointer swapped", SK, "R2 unbounded memory access", 0, SPOILT(BSWAP(R5, 64))),
T("a pointer negated in 32 bits", SK, "R2 unbounded memory access", 0, SPOILT(I(BPF_ALU | BPF_NEG, R5, 0, 0, 0))),
