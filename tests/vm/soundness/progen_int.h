/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the generator: progen.c has choices, emission and numbers, progen_blocks.c what
 * is made of them, progen_more.c what is made of dynptrs, iterators and the like. */
#ifndef SHMAP_TESTS_VM_PROGEN_INT_H
#define SHMAP_TESTS_VM_PROGEN_INT_H

#include "kfuncs.h"
#include "progen.h"
#include "vm/insn.h"

/* R6: context, R7: a number, R8: a value of 16 bytes, R9: loops */
extern struct progen *progen_now;
#define g progen_now

#define rnd progen_rnd
#define emit progen_emit
#define leave progen_leave
#define land_at progen_land_at
#define land progen_land
#define xdp progen_xdp
#define constant progen_constant
#define jcls progen_jcls
#define slot progen_slot
#define number progen_number
#define twist progen_twist
#define bounded progen_bounded
#define fresh progen_fresh
#define distance progen_distance
#define sizes progen_sizes
#define jumps progen_jumps
#define block progen_block
#define access_at progen_access_at
#define may_call progen_may_call
#define more progen_more
#define each_function progen_each_function
#define changer_function progen_changer_function
#define deep_function progen_deep_function

#define E(...) emit((struct bpf_insn)__VA_ARGS__)
#define E2(...)                                                                                    \
	do {                                                                                       \
		const struct bpf_insn two[] = {__VA_ARGS__};                                       \
		emit(two[0]);                                                                      \
		emit(two[1]);                                                                      \
	} while (0)
#define PICK(...)                                                                                  \
	({                                                                                         \
		static const int32_t list[] = {__VA_ARGS__};                                       \
		list[rnd(sizeof(list) / sizeof(list[0]))];                                         \
	})

/* A call of a kernel function. */
#define KFUNC(name)                                                                                \
	E(I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, (int)progen_kfunc(K_##name)))
/* r = FP + off */
#define AT(r, off) E(MOVR(r, FP)), E(ALU(ADD, r, off))

#define LEAVE(...) leave((struct bpf_insn)__VA_ARGS__)

extern const uint8_t sizes[4], jumps[11];

uint32_t rnd(int n);
void emit(struct bpf_insn insn);
/* A jump to the end of the block. */
void leave(struct bpf_insn jump);
void land_at(uint32_t at);
/* It is here, for those since mark. */
void land(uint32_t mark);
bool xdp(void);
/* A constant. */
int32_t constant(void);
uint8_t jcls(void);
int slot(void);
/* A number from anywhere. */
void number(int r);
/* r = r op something; t may be the something. */
void twist(int r, int t);
/* r gets a number of 0 to max, or the block is left; t is spoilt. Now and then
 * it is not so: the verifier shall find out. */
void bounded(int r, int t, int max);
void fresh(void);
/* Jumps that go nowhere: checkpoints are kept after some of them. */
void distance(void);
/* progen_blocks.c: all of a program. */
void progen_generate(void);
/* Something; depth: of blocks around it. */
void block(int depth);
/* size bytes somewhere in [p + lo, p + hi) */
void access_at(int p, int t, int lo, int hi, bool store);
/* The instruction that is next calls (or names) such a function. */
enum { F_STATIC, F_LOOP, F_GLOBAL, F_EACH, F_CHANGER, F_DEEP, F_CNT };
bool may_call(int kind);

/* progen_more.c */
/* Its id; 0: this machine's kernel does not say. */
uint32_t progen_kfunc(enum progen_kfunc k);
void more(int which, int depth);
#define MORE_KINDS 9
/* The functions F_EACH, F_CHANGER, F_DEEP. */
void each_function(void);
void changer_function(void);
void deep_function(void);

#endif
