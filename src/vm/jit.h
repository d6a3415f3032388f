/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Native code: what the rest of vm/ sees of it.
 *
 * A program becomes native code from the interpreter's decoded form (the ops of
 * enum interp_op and their struct icode), so that both engines take the
 * same decisions about maps, context fields and probe loads. What a back end
 * cannot do (-EOPNOTSUPP), or where no executable memory is to be had, the
 * interpreter runs; programs of both kinds call each other by tail calls.
 *
 * The choice:
 *	SHMAP_JIT=0		the interpreter
 *	SHMAP_JIT_HARDEN=1	constants of the program do not appear in its code
 *	struct vm_prog.engine	for one program (tests)
 *
 * A back end (jit_x86.c, jit_arm64.c and their companions) is one function, jit_emit(), for
 * one instruction, and a few around it; see jit_int.h.
 */
#ifndef SHMAP_VM_JIT_H
#define SHMAP_VM_JIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/interp.h"

#if defined(__x86_64__) || defined(__aarch64__)
#define VM_HAVE_JIT 1
#else
#define VM_HAVE_JIT 0
#endif

/* A load that may fault: what it was to load is then 0, and the run goes on. */
struct jit_probe {
	uint32_t at; /* offset in the code */
	uint8_t len; /* of the instruction */
	uint8_t reg; /* the machine's number */
	uint16_t pad;
};

struct jit_func {
	uint32_t insn;	     /* its first instruction */
	uint32_t start, len; /* in the code */
};

/* Immutable once made. */
struct jit_image {
	uint8_t *code;
	uint32_t len, room; /* room: bytes of executable memory, whole pages */
	uint32_t func_cnt, probe_cnt;
	bool cpu;   /* it uses vm_context.cpu */
	struct jit_func *funcs;
	struct jit_probe *probes; /* by offset */
	uint32_t *at;		  /* where each instruction's code begins; insn_cnt of them */
};

/* Should p become native code? */
bool jit_wanted(const struct vm_prog *p);
/* The code of p, decoded into ins and ops (before pairs are fused). 0 or -errno. */
int jit_compile(const struct vm_prog *p, const struct icode *ins, const uint16_t *ops,
		struct jit_image **out);
void jit_free(struct jit_image *image);
/* The native code of p, made when it is not there yet; NULL: it is interpreted. */
const struct jit_image *jit_image_of(struct vm_prog *p);

/* Begins a run: calls native code under the guard vc->guard, R1 = ctx. *ret gets R0: true;
 * false when a fault has ended it (the guard has been left). */
bool jit_enter(struct vm_context *vc, const void *entry, void *ctx, uint64_t *ret);
/* Calls native code at `entry`; the value is R0. */
uint64_t jit_call(struct vm_context *vc, const void *entry, uint64_t r1, uint64_t r2, uint64_t r3,
		  uint64_t r4);

/* The value of a BPF_PSEUDO_FUNC load is the address of native code + 1, or of an icode. */
#define JIT_FUNC_TAG 1u

/* For native code: bpf_tail_call. Where to go on (with R1 = the context), or NULL. */
const void *jit_tail_call(struct vm_context *vc, uint64_t map, uint32_t index);
/* ... out of a function, which returns the value if it was done. */
struct jit_nested {
	uint64_t done, value;
};
struct jit_nested jit_tail_call_nested(struct vm_context *vc, uint64_t map, uint32_t index);
/* ... and a classic packet load: the value, or -1 when there is no such byte. */
int64_t vm_load_packet(const struct vm_context *vc, int64_t off, uint32_t size);

#endif
