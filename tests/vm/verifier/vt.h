/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verifier tests: instructions, a fixed set of maps that exists both as plain
 * struct map (attributes only: the verifier needs no more) and, where bpf(2)
 * is permitted, in the kernel, and one call that asks both.
 */
#ifndef SHMAP_TESTS_VM_VERIFIER_VT_H
#define SHMAP_TESTS_VM_VERIFIER_VT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bpf.h>

#define I(c, d, s, o, i)                                                                           \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };

/* op: ADD, SUB ... without the BPF_ */
#define MOV(d, i) I(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOVR(d, s) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV32(d, i) I(BPF_ALU | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV32R(d, s) I(BPF_ALU | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVSX(d, s, bits) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, bits, 0)
#define MOVSX32(d, s, bits) I(BPF_ALU | BPF_MOV | BPF_X, d, s, bits, 0)
#define ALU(op, d, i) I(BPF_ALU64 | BPF_##op | BPF_K, d, 0, 0, i)
#define ALUR(op, d, s) I(BPF_ALU64 | BPF_##op | BPF_X, d, s, 0, 0)
#define ALU32(op, d, i) I(BPF_ALU | BPF_##op | BPF_K, d, 0, 0, i)
#define ALU32R(op, d, s) I(BPF_ALU | BPF_##op | BPF_X, d, s, 0, 0)
#define NEG64(d) I(BPF_ALU64 | BPF_NEG, d, 0, 0, 0)
#define BE(d, bits) I(BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, bits)
#define BSWAP(d, bits) I(BPF_ALU64 | BPF_END | BPF_TO_LE, d, 0, 0, bits)
#define LD(sz, d, s, o) I(BPF_LDX | BPF_MEM | BPF_##sz, d, s, o, 0)
#define LDSX(sz, d, s, o) I(BPF_LDX | 0x80 | BPF_##sz, d, s, o, 0)
#define ST(sz, d, o, i) I(BPF_ST | BPF_MEM | BPF_##sz, d, 0, o, i)
#define STX(sz, d, s, o) I(BPF_STX | BPF_MEM | BPF_##sz, d, s, o, 0)
#define ATOMIC(sz, d, s, o, op) I(BPF_STX | 0xc0 | BPF_##sz, d, s, o, op)
#define JMP(op, d, i, o) I(BPF_JMP | BPF_##op | BPF_K, d, 0, o, i)
#define JMPR(op, d, s, o) I(BPF_JMP | BPF_##op | BPF_X, d, s, o, 0)
#define JMP32(op, d, i, o) I(BPF_JMP32 | BPF_##op | BPF_K, d, 0, o, i)
#define JMP32R(op, d, s, o) I(BPF_JMP32 | BPF_##op | BPF_X, d, s, o, 0)
#define JA(o) I(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define GOTOL(o) I(BPF_JMP32 | BPF_JA, 0, 0, 0, o)
#define CALL(fn) I(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##fn)
#define CALLID(id) I(BPF_JMP | BPF_CALL, 0, 0, 0, id)
#define CALLP(rel) I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, rel)
#define EXIT I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LD64(d, v)                                                                                 \
	I(BPF_LD | BPF_IMM | BPF_DW, d, 0, 0, (int32_t)(uint64_t)(v)),                             \
		I(0, 0, 0, 0, (int32_t)((uint64_t)(v) >> 32))
#define MAP(d, m) I(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, m), I(0, 0, 0, 0, 0)
#define MAPV(d, m, o) I(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_VALUE, 0, m), I(0, 0, 0, 0, o)
#define FUNC(d, rel) I(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_FUNC, 0, rel), I(0, 0, 0, 0, 0)
#define LDABS(sz, i) I(BPF_LD | BPF_ABS | BPF_##sz, 0, 0, 0, i)

/* R0 = lookup(map m, key at fp - 8 = 0); 7 instructions */
#define LOOKUP(m)                                                                                  \
	ST(DW, FP, -8, 0), MOVR(R2, FP), ALU(ADD, R2, -8), MAP(R1, m), CALL(map_lookup_elem)

/* The maps, by index. */
enum vt_map {
	M_HASH,	  /* key 8, value 16 */
	M_ARRAY,  /* one value of 48 */
	M_RODATA, /* frozen, read-only, one value of 64: bytes 0..63, then see vt.c */
	M_LOCK,	  /* hash: { bpf_spin_lock; int } */
	M_PERCPU, /* per-CPU array, value 8 */
	M_RING,
	M_WRONLY,    /* array that programs only write, value 16 */
	M_RDONLY,    /* array that programs only read, not frozen, value 16 */
	M_LOCKARRAY, /* array: { bpf_spin_lock; int }, one value */
	M_PROGS,     /* program array */
	M_CNT
};

struct vt_func {
	uint32_t insn;
	bool global;
	uint32_t kind; /* 0: long f(long, long), 1: long f(int *), 2: long f(void),
			 * 3: long f(struct __sk_buff *), 4: long f(struct xdp_md *) */
};

#define VT_LOG (1 << 20)

struct vt_prog {
	uint32_t type, attach_type, attach_btf_id;
	const struct bpf_insn *insns;
	uint32_t cnt;
	const struct vt_func *funcs;
	uint32_t func_cnt;
	bool not_gpl;
};

/* Verdicts: 0 or -errno; the log is NUL-terminated. */
int vt_ours(const struct vt_prog *p, char *log, uint32_t level);
int vt_kernel(const struct vt_prog *p, char *log, uint32_t level);
bool vt_kernel_works(void);
/* What ours said of the last accepted program's instructions. */
struct vm_aux;
const struct vm_aux *vt_aux(void);
uint32_t vt_stack_depth(void);

#endif
