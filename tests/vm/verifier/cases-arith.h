/* SPDX-License-Identifier: BSD-2-Clause */
/* Each operation as what bounds an index into a value of 48 bytes, and as what does not quite. */
#define A(name, ...) T("index by " name, SK, NULL, 0, U64, __VA_ARGS__, INDEX2, EXIT0)
#define B(name, ...)                                                                               \
	T("index by " name, SK, "R3 max value is outside of the allowed memory range", 0, U64,     \
	  __VA_ARGS__, INDEX2, EXIT0)
A("a mask", ALU(AND, R2, 47)),
A("a mask of 32 bits", ALU32(AND, R2, 47)),
B("a mask of one bit more", ALU(AND, R2, 63)),
A("a shift right", ALU(RSH, R2, 59)),
B("a shift right by one less", ALU(RSH, R2, 58)),
A("a shift right of 32 bits", ALU32(RSH, R2, 27)),
B("a shift right of 32 bits by one less", ALU32(RSH, R2, 26)),
A("a masked register times 3", ALU(AND, R2, 15), ALU(MUL, R2, 3)),
B("a masked register times 4", ALU(AND, R2, 15), ALU(MUL, R2, 4)),
A("a masked register plus 16", ALU(AND, R2, 31), ALU(ADD, R2, 16)),
B("a masked register plus 17", ALU(AND, R2, 31), ALU(ADD, R2, 17)),
A("two bits or-ed", ALU(AND, R2, 12), ALU(OR, R2, 33)),
A("two bits xor-ed", ALU(AND, R2, 12), ALU(XOR, R2, 33)),
A("a shift left of a mask", ALU(AND, R2, 5), ALU(LSH, R2, 3)),
B("a shift left of a mask by one more", ALU(AND, R2, 5), ALU(LSH, R2, 4)),
A("a subtraction from a constant", ALU(AND, R2, 15), MOV(R4, 47), ALUR(SUB, R4, R2), MOVR(R2, R4)),
A("the product of two masks", MOVR(R4, R2), ALU(AND, R2, 7), ALU(AND, R4, 6), ALUR(MUL, R2, R4)),
A("16 bits to big endian, shifted", BE(R2, 16), ALU(RSH, R2, 11)),
A("a byte", STX(DW, FP, R2, -8), LD(B, R2, FP, -8), ALU(RSH, R2, 3)),
A("an arithmetic shift of a byte", STX(DW, FP, R2, -8), LD(B, R2, FP, -8), ALU(ARSH, R2, 3)),
A("a known shift", MOV(R2, 94), ALU(RSH, R2, 1)),
A("a sum of halves", MOVR(R4, R2), ALU(RSH, R2, 60), ALU(RSH, R4, 59), ALUR(ADD, R2, R4)),
A("16 bits, shifted", STX(DW, FP, R2, -8), LD(H, R2, FP, -8), ALU(RSH, R2, 11)),
A("32 bits, shifted", STX(DW, FP, R2, -8), LD(W, R2, FP, -8), ALU32(RSH, R2, 27)),
B("32 bits, shifted by one less", STX(DW, FP, R2, -8), LD(W, R2, FP, -8), ALU32(RSH, R2, 26)),
A("a masked copy of 32 bits", MOV32R(R2, R2), ALU(AND, R2, 47)),
A("a negated mask, negated", ALU(AND, R2, 47), NEG64(R2), NEG64(R2)),
#undef A
#undef B
