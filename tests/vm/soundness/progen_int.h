/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the generator: progen.c has choices, emission and numbers, progen_blocks.c what
 * is made of them. */
#ifndef SHMAP_TESTS_VM_PROGEN_INT_H
#define SHMAP_TESTS_VM_PROGEN_INT_H

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

#endif
