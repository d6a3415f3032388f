/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths that meet and may not be taken for the same. The one that falls
 * through is walked first and is safe; what the other brought matters later. Between
 * the meeting and the use lies enough for a checkpoint.
 */

#define FILL                                                                                       \
	JA(0), MOV(R9, 0), MOV(R9, 0), MOV(R9, 0), MOV(R9, 0), JA(0), MOV(R9, 0), MOV(R9, 0),      \
		MOV(R9, 0), MOV(R9, 0), JA(0), MOV(R9, 0)
#define START LD(W, R8, R1, 0), FILL
#define EITHER(...) JMP(JEQ, R8, 0, 2), __VA_ARGS__
#define INDEX(r) MAPV(R5, M_ARRAY, 0), ALUR(ADD, R5, r), LD(B, R0, R5, 0), MOV(R0, 0), EXIT
#define TOO_FAR "invalid access to map value, value_size=48 off=100 size=1"

T("paths: register", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, INDEX(R3)),
T("paths: register, both safe", SK, NULL, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 5)), FILL, INDEX(R3)),
T("paths: copy of a register", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, MOVR(R4, R3), MOV(R3, 0), INDEX(R4)),
T("paths: sum", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 99)), FILL, MOV(R4, 1), ALUR(ADD, R4, R3), MOV(R3, 0), INDEX(R4)),
T("paths: register only written", SK, NULL, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, MOV(R3, 7), INDEX(R3)),
T("paths: kind of a slot", SK, "R3 invalid mem access 'scalar'", 0, STX(DW, FP, R1, -8), START, EITHER(MOV(R9, 0), JA(1), ST(DW, FP, -8, 7)), FILL, LD(DW, R3, FP, -8), LD(W, R0, R3, 0), EXIT),
T("paths: kind of a slot never read", SK, NULL, 0, STX(DW, FP, R1, -8), START, EITHER(MOV(R9, 0), JA(1), ST(DW, FP, -8, 7)), FILL, MOV(R0, 0), EXIT),
T("paths: kind of a slot, for a helper", SK, NULL, 0, START, EITHER(ST(DW, FP, -8, 0), JA(1), ST(DW, FP, -8, 1)), FILL, MOVR(R2, FP), ALU(ADD, R2, -8), MAP(R1, M_HASH), CALL(map_lookup_elem), MOV(R0, 0), EXIT),
T("paths: unwritten slot", SK, NULL, 0, START, EITHER(ST(DW, FP, -8, 0), JA(1), MOV(R9, 0)), FILL, LD(DW, R0, FP, -8), EXIT),
T("paths: number in a slot", SK, TOO_FAR, 0, START, EITHER(ST(DW, FP, -8, 4), JA(1), ST(DW, FP, -8, 100)), FILL, LD(DW, R3, FP, -8), INDEX(R3)),
T("paths: number in a slot, through a pointer", SK, TOO_FAR, 0, START, MOVR(R7, FP), ALU(ADD, R7, -16), EITHER(ST(DW, R7, 8, 4), JA(1), ST(DW, R7, 8, 100)), FILL, LD(DW, R3, R7, 8), INDEX(R3)),
T("paths: register spilled after they met", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, STX(DW, FP, R3, -8), MOV(R3, 0), LD(DW, R4, FP, -8), INDEX(R4)),
T("paths: half a register spilled after they met", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, STX(W, FP, R3, -8), MOV(R3, 0), LD(W, R4, FP, -8), INDEX(R4)),
T("paths: spilled through a pointer after they met", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, MOVR(R7, FP), ALU(ADD, R7, -16), STX(DW, R7, R3, 8), MOV(R3, 0), LD(DW, R4, FP, -8), INDEX(R4)),
T("paths: zero bytes from a register", SK, "value_size=48 off=100 size=1", 0, START, EITHER(MOV(R3, 0), JA(1), MOV(R3, 100)), FILL, STX(B, FP, R3, -8), LD(B, R4, FP, -8), INDEX(R4)),
T("paths: branch decided by it", SK, TOO_FAR, 0, START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, MOV(R4, 5), JMP(JEQ, R3, 4, 1), MOV(R4, 100), INDEX(R4)),
T("paths: branch decided by two", SK, TOO_FAR, 0, START, MOV(R2, 50), EITHER(MOV(R3, 4), JA(1), MOV(R3, 60)), FILL, MOV(R4, 5), JMPR(JLT, R3, R2, 1), MOV(R4, 100), INDEX(R4)),
T("paths: bound of a bound", SK, "R5 max value is outside of the allowed memory range", 0, LD(W, R7, R1, 0), START, EITHER(MOV(R3, 4), JA(1), MOV(R3, 100)), FILL, JMPR(JGT, R7, R3, 6), INDEX(R7), MOV(R0, 0), EXIT),
T("paths: linked to another register", SK, "R5 unbounded memory access", 0, LD(W, R3, R1, 8), START, MOV(R4, 0), MOV(R7, 0), JMP(JEQ, R8, 0, 2), MOVR(R4, R3), JA(1), MOVR(R7, R3), FILL, JMP(JGT, R4, 15, 6), INDEX(R3), MOV(R0, 0), EXIT),
T("paths: linked to a slot", SK, "R5 unbounded memory access", 0, LD(W, R3, R1, 8), START, ST(DW, FP, -8, 0), MOV(R7, 0), JMP(JEQ, R8, 0, 2), STX(DW, FP, R3, -8), JA(1), MOVR(R7, R3), FILL, LD(DW, R4, FP, -8), JMP(JGT, R4, 15, 6), INDEX(R3), MOV(R0, 0), EXIT),
T("paths: size for a helper", SK, "invalid access to map value, value_size=48 off=0 size=100", 0, START, EITHER(MOV(R2, 4), JA(1), MOV(R2, 100)), FILL, MAPV(R1, M_ARRAY, 0), MOV(R3, 0), CALL(probe_read_kernel), MOV(R0, 0), EXIT),
T("paths: null for a helper", SK, "R3 type=scalar expected=fp", S, START, EITHER(MOV(R3, 0), JA(1), MOV(R3, 100)), FILL, MAPV(R1, M_RODATA, 32), MOV(R2, 3), MOV(R4, 0), CALL(trace_vprintk), MOV(R0, 0), EXIT),
T("paths: packet range", XDP, "invalid access to packet", 0, LD(W, R2, R1, 0), LD(W, R3, R1, 4), LD(W, R8, R1, 12), FILL, MOVR(R4, R2), ALU(ADD, R4, 4), MOV(R5, 0), JMP(JNE, R8, 0, 1), JMPR(JGT, R4, R3, 14), FILL, LD(W, R0, R2, 0), MOV(R0, 0), MOV(R0, 0), EXIT),
T("paths: null check", SK, "R7 invalid mem access 'map_value_or_null'", 0, LD(W, R8, R1, 0), LOOKUP(M_HASH), MOVR(R7, R0), FILL, JMP(JNE, R8, 0, 1), JMP(JEQ, R7, 0, 13), FILL, LD(B, R0, R7, 0), MOV(R0, 0), EXIT),

T("paths: argument of a function", SK, TOO_FAR, 0, START, EITHER(MOV(R1, 4), JA(1), MOV(R1, 100)), FILL, CALLP(2), MOV(R0, 0), EXIT, INDEX(R1)),
T("paths: result of a function", SK, TOO_FAR, 0, START, MOVR(R1, R8), CALLP(7), MOVR(R3, R0), INDEX(R3), FILL, JMP(JEQ, R1, 0, 2), MOV(R0, 4), JA(1), MOV(R0, 100), FILL, EXIT),
T("paths: saved register, met inside a function", SK, TOO_FAR, 0, START, EITHER(MOV(R6, 4), JA(1), MOV(R6, 100)), CALLP(6), INDEX(R6), FILL, MOV(R0, 0), EXIT),
T("paths: caller's slot, met inside a function", SK, TOO_FAR, 0, START, EITHER(ST(DW, FP, -8, 4), JA(1), ST(DW, FP, -8, 100)), CALLP(7), LD(DW, R6, FP, -8), INDEX(R6), FILL, MOV(R0, 0), EXIT),
T("paths: caller's slot read by a function", SK, TOO_FAR, 0, START, EITHER(ST(DW, FP, -8, 4), JA(1), ST(DW, FP, -8, 100)), FILL, MOVR(R1, FP), ALU(ADD, R1, -8), CALLP(2), MOV(R0, 0), EXIT, LD(DW, R3, R1, 0), INDEX(R3)),
T("paths: caller's slot written by a function", SK, TOO_FAR, 0, START, MOVR(R1, FP), ALU(ADD, R1, -8), MOVR(R2, R8), CALLP(7), LD(DW, R6, FP, -8), INDEX(R6), FILL, JMP(JEQ, R2, 0, 2), MOV(R3, 4), JA(1), MOV(R3, 100), FILL, STX(DW, R1, R3, 0), MOV(R0, 0), EXIT),
T("paths: caller's slot written two calls below", SK, TOO_FAR, 0, START, MOVR(R1, FP), ALU(ADD, R1, -8), MOVR(R2, R8), CALLP(7), LD(DW, R6, FP, -8), INDEX(R6), CALLP(2), MOV(R0, 0), EXIT, JMP(JEQ, R2, 0, 2), MOV(R3, 4), JA(1), MOV(R3, 100), FILL, STX(DW, R1, R3, 0), MOV(R0, 0), EXIT),
T("paths: caller's slot written by a function, read by another", SK, TOO_FAR, 0, START, MOVR(R1, FP), ALU(ADD, R1, -8), MOVR(R2, R8), MOVR(R6, R1), CALLP(4), MOVR(R1, R6), CALLP(21), MOV(R0, 0), EXIT, JMP(JEQ, R2, 0, 2), MOV(R3, 4), JA(1), MOV(R3, 100), FILL, STX(DW, R1, R3, 0), MOV(R0, 0), EXIT, LD(DW, R3, R1, 0), INDEX(R3)),
T("paths: caller's slot returned by a function", SK, TOO_FAR, 0, START, EITHER(ST(DW, FP, -8, 4), JA(1), ST(DW, FP, -8, 100)), FILL, MOVR(R1, FP), ALU(ADD, R1, -8), CALLP(7), MOVR(R6, R0), INDEX(R6), LD(DW, R0, R1, 0), EXIT),
T("paths: caller's slot copied by a function", SK, TOO_FAR, 0, START, EITHER(ST(DW, FP, -8, 4), JA(1), ST(DW, FP, -8, 100)), FILL, MOVR(R1, FP), ALU(ADD, R1, -16), CALLP(7), LD(DW, R6, FP, -16), INDEX(R6), LD(DW, R3, R1, 8), STX(DW, R1, R3, 0), MOV(R0, 0), EXIT),
T("paths: lock held on one", TC, "cannot be used inside bpf_spin_lock-ed region", 0, LD(W, R8, R1, 0), MAPV(R6, M_LOCKARRAY, 0), FILL, JMP(JNE, R8, 0, 2), MOV(R9, 0), JA(2), MOVR(R1, R6), CALL(spin_lock), FILL, MOV(R0, 0), EXIT),
