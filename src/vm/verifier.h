/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the verifier learnt about each instruction, for whoever executes it.
 *
 * vm_prog.aux is an array of insn_cnt entries, filled by vm_verify(). An entry
 * of an instruction that `seen` does not mark is meaningless: no execution
 * reaches it.
 */
#ifndef SHMAP_VM_VERIFIER_H
#define SHMAP_VM_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

struct vm_prog;

/* How a load or store through the context pointer is to be understood. */
enum vm_ctx_field {
	VM_CTX_NONE,		/* not a context access */
	VM_CTX_PLAIN,		/* bytes of the kernel's layout, as they stand */
	VM_CTX_PKT_DATA,	/* 32-bit load that yields the pointer to the packet */
	VM_CTX_PKT_END,		/* ... to its end */
	VM_CTX_PKT_META,	/* ... to the metadata before it */
	/* Stores of 32 bits into fields that hold 16; the upper half stays zero. */
	VM_CTX_HALF,		/* the low 16 bits are stored */
	VM_CTX_HALF_BELOW,	/* ... if the whole 64-bit register is less than 0xffff */
	VM_CTX_SKIP,		/* nothing is stored */
};

#define VM_MAP_UNKNOWN UINT32_MAX
#define VM_PC_NONE UINT32_MAX

struct vm_aux {
	bool seen;		/* some path reaches it; false: dead code */
	bool probe;		/* load through a kernel (BTF) pointer: a fault reads as zero */
	bool subprog_start;	/* first instruction of a function */
	bool sets_callback;	/* gives callback_pc to a timer */
	bool map_poisoned;	/* private to the verifier: several maps reach this call */
	bool zero_stack;	/* at instruction 0: some helper reads stack that was never
				 * written; the frames must hold zeroes when a run begins */
	uint8_t ctx_field;	/* enum vm_ctx_field */
	uint32_t map_index;	/* helper calls: vm_prog.maps[] index of R1, when it is the same
				 * on every path, else VM_MAP_UNKNOWN */
	uint32_t inner_of;	/* ... of the map of maps that R1 was looked up in, when it is
				 * the same on every path, else VM_MAP_UNKNOWN */
	uint32_t callback_pc;	/* ldimm64 BPF_PSEUDO_FUNC: absolute entry of the function;
				 * helper calls that take a callback: its entry */
	uint32_t kfunc;		/* BPF_PSEUDO_KFUNC_CALL: its index in the table + 1 */
	/* sets_callback: bits of the vm_prog.maps[] whose values' timers get it, and of the maps
	 * of maps of that kind */
	uint64_t callback_maps, callback_inner;
	uint32_t call_pc;	/* BPF_PSEUDO_CALL: absolute entry of the callee */
	uint32_t stack_depth;	/* at subprog_start: bytes of stack of this function's frame */
	uint32_t max_ctx_off;	/* at instruction 0: bytes of context that the program touches */
};

#endif
