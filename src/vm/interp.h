/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter's private form of a program, and what a run carries.
 *
 * A program is decoded once, at its first run, into one struct icode per
 * instruction (a 16-byte load keeps its two slots, so that indices and jump
 * distances stay those of the user's program). An icode begins with the address
 * of the code that executes it: each step ends by jumping to the next one's
 * (direct threading). Map references have become addresses, helper ids
 * functions. Where there is a back end for the machine, the decoded form becomes
 * native code (vm/jit.h) and is thrown away.
 */
#ifndef SHMAP_VM_INTERP_H
#define SHMAP_VM_INTERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/guard.h"
#include "map/storage.h"
#include "vm/vm.h"

#define VM_FRAMES 8 /* as the kernel's MAX_CALL_FRAMES */
#define VM_FRAME_STACK 512
#define VM_TAIL_CALLS 33
#define VM_LOOPS_MAX (1U << 23) /* bpf_loop, may_goto */

struct vm_context;

/*
 * A helper: its five argument registers and the run. The value is R0. The same
 * for the interpreter and for generated code.
 */
typedef uint64_t (*vm_helper_fn)(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
				 struct vm_context *vc);

struct icode {
	const void *op; /* a label inside interp_exec() */
	union {
		struct {
			uint8_t dst, src;
			int16_t off;
			int32_t imm;
		};
		vm_helper_fn fn; /* op_call */
		uint64_t imm64;	 /* second slot of a 16-byte load */
	};
};

struct vm_code {
	uint32_t func_args;    /* bpf_get_func_arg_cnt */
	uint32_t faults;       /* runs that ended by a fault; the first is reported */
	struct jit_image *jit; /* native code; then there are no ins */
	uint32_t cnt;	       /* of ins */
	struct icode ins[];
};

struct vm_frame { /* a caller, while its callee runs */
	const struct icode *ret;
	uint64_t r6, r7, r8, r9;
};

/* What the interpreter needs besides: native code has this thread's own stack. */
struct vm_space {
	struct vm_frame frames[VM_FRAMES];
	uint8_t stack[VM_FRAMES * VM_FRAME_STACK] __attribute__((aligned(16)));
};

/* The local storage that the run found last. What the pointer stands for is the same until the
 * run ends, and so is who is looked for by it in that map; while the link is where it was
 * found, so is its value (map/storage.h). */
struct vm_found {
	const struct map *map; /* NULL: nothing yet */
	uint64_t owner;	       /* the program's pointer */
	struct htab_at at;
	void *value;
};

struct vm_context {
	struct fault_guard guard;   /* faults land here; first: native code's way in fills it */
	const struct vm_prog *prog; /* a tail call changes it */
	const struct vm_code *code;
	void *ctx;
	const struct vm_env *env;
	int cpu;	/* of the lease, -1: there is none; where image->cpu says that it is used */
	uint32_t depth; /* frames below the current one */
	uint32_t tail_calls;
	uint32_t loops;	  /* may_goto's budget used */
	int error;	  /* of an aborted run */
	struct map *ring; /* the ring buffer that the run used last, or NULL */
	uint8_t *task;	  /* the current task's image, when it was asked for */
	struct vm_found found;
	void *pages;		/* of the run's iterators; kfuncs_iter.c */
	void *kept;		/* by bpf_spin_lock(), for map_section_end() */
	bool was_in_lock;	/* a signal handler's run, on top of a map operation */
	struct vm_space *space; /* the interpreter's; NULL: not needed so far */
};

/* The executable form of p, made when it is not there yet; NULL: -ENOMEM or an
 * instruction that cannot run (then *err says). */
const struct vm_code *interp_code(struct vm_prog *p, int *err);
void interp_code_free(struct vm_code *code);

/* Runs from ip with the argument registers given, in the frame vc->depth. */
uint64_t interp_exec(struct vm_context *vc, const struct icode *ip, uint64_t r1, uint64_t r2,
		     uint64_t r3, uint64_t r4, uint64_t r5);

/* Runs vc->code from its beginning, interpreted; the space for that is made when there is
 * none. */
uint64_t interp_run(struct vm_context *vc, uint64_t ctx);

/* Calls a BPF function by its address (a BPF_PSEUDO_FUNC value) from a helper. */
uint64_t interp_callback(struct vm_context *vc, uint64_t func, uint64_t r1, uint64_t r2,
			 uint64_t r3, uint64_t r4);

/* Ends the run: vm_run() returns err. Does not return. */
void interp_abort(struct vm_context *vc, int err) __attribute__((noreturn));

/* One line in the trace pipe about the program's first fault. */
void trace_fault(struct vm_context *vc, int err);

/* What the decoder uses; the order is interp.c's table. */
/* clang-format off */
enum interp_op {
#define INTERP_ALU(V)                                                                              \
	V(add) V(sub) V(mul) V(div) V(sdiv) V(mod) V(smod) V(or) V(and) V(xor) V(lsh) V(rsh)       \
	V(arsh) V(mov)
#define INTERP_JMP(V)                                                                              \
	V(jeq) V(jne) V(jgt) V(jge) V(jlt) V(jle) V(jset) V(jsgt) V(jsge) V(jslt) V(jsle)
#define INTERP_ATOMIC(V) V(add) V(or) V(and) V(xor)
#define INTERP_VARIANTS(op) O(op##64_x) O(op##64_k) O(op##32_x) O(op##32_k)
#define INTERP_ATOMIC_VARIANTS(op)                                                                 \
	O(atomic_##op##32) O(atomic_##op##64) O(fetch_##op##32) O(fetch_##op##64)
#define INTERP_MISC(O)                                                                             \
	O(neg64) O(neg32) O(movsx64_8) O(movsx64_16) O(movsx64_32) O(movsx32_8) O(movsx32_16)      \
	O(zext16) O(zext32) O(nop) O(swap16) O(swap32) O(swap64)                                   \
	O(ja) O(jal) O(may_goto) O(ld_imm64)                                                       \
	O(ldx8) O(ldx16) O(ldx32) O(ldx64) O(ldsx8) O(ldsx16) O(ldsx32)                            \
	O(probe8) O(probe16) O(probe32) O(probe64) O(probesx8) O(probesx16) O(probesx32)           \
	O(stx8) O(stx16) O(stx32) O(stx64) O(st8) O(st16) O(st32) O(st64)                          \
	O(xchg32) O(xchg64) O(cmpxchg32) O(cmpxchg64)                                              \
	O(load_acq8) O(load_acq16) O(load_acq32) O(load_acq64)                                     \
	O(store_rel8) O(store_rel16) O(store_rel32) O(store_rel64)                                 \
	O(ld_abs8) O(ld_abs16) O(ld_abs32) O(ld_ind8) O(ld_ind16) O(ld_ind32)                      \
	O(ctx_pkt) O(ctx_pkt_end) O(ctx_pkt_meta) O(stx_below)                                     \
	O(call) O(call_lookup) O(call_local) O(tail_call) O(exit) O(bad)                           \
	/* two or three instructions in one step */                                                \
	O(lea) O(add_jne) O(add_jlt) O(inc32) O(inc64) O(lookup_jeq) O(lookup_jne)
#define INTERP_OPS INTERP_ALU(INTERP_VARIANTS) INTERP_JMP(INTERP_VARIANTS)                         \
	INTERP_ATOMIC(INTERP_ATOMIC_VARIANTS) INTERP_MISC(O)
#define O(name) OP_##name,
	INTERP_OPS
#undef O
	OP_COUNT
};
/* clang-format on */

/*
 * A run that begins at a function of p, under a lease: begin(arg, r) is called in it first,
 * which gives R1 to R3, or an error that ends the run.
 */
int vm_run_at(struct vm_prog *p, uint32_t pc, int (*begin)(void *arg, uint64_t r[3]), void *arg,
	      uint64_t *ret);
/* The function of p that a BPF_PSEUDO_FUNC value means: where it begins; 0: none. */
uint32_t vm_func_pc(const struct vm_prog *p, uint64_t func);

/* What the call instruction i calls, a helper or a kfunc; NULL: neither. */
vm_helper_fn vm_call_target(const struct vm_prog *p, uint32_t i);

/* The label of an op, for struct icode.op. */
const void *interp_label(enum interp_op op);

#endif
