/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A compilation, as the driver (jit.c) and the back ends see it.
 *
 * The driver passes over the program until no instruction moves any more: the
 * first pass knows nothing of forward jumps and takes the long form, each later one
 * has the places that the one before found. Code only gets shorter from pass to
 * pass, so this ends: with the pass that finds each instruction where the one before put
 * it. All but the first know the address that the code will have.
 */
#ifndef SHMAP_VM_JIT_INT_H
#define SHMAP_VM_JIT_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/jit.h"

enum {
	JIT_TARGET = 1, /* some jump leads here */
	JIT_FUNC = 2,	/* first instruction of a function */
	JIT_DEAD = 4,	/* nothing leads here: no code */
};

struct jit {
	const struct vm_prog *p;
	const struct icode *ins;
	const uint16_t *ops;
	uint8_t *flags; /* per instruction */
	uint32_t cnt;
	uint32_t *at; /* cnt + 1; then, per function, where it returns */

	uint8_t *buf; /* the code so far */
	uint32_t pos, room;
	uintptr_t base;	 /* the address of buf[0] when it runs; 0: not yet known */
	bool long_jumps; /* no jump gets the short form */
	bool moved;	 /* in this pass */
	bool falls_off;	 /* a run may come to the end of the program */

	struct jit_func *funcs;
	uint32_t func_cnt;
	uint32_t func; /* the one being emitted */
	/* of the function being emitted; the back end's */
	uint32_t body;	/* where it goes on behind its prologue */
	uint32_t depth; /* bytes of stack */
	uint16_t used;	/* BPF registers */
	bool calls;	/* it calls something */
	bool returned;	/* its first exit has been emitted: at[cnt + 1 + func] */

	struct jit_probe *probes;
	uint32_t probe_cnt, probe_room;

	bool cpu; /* the code uses vm_context.cpu */
	bool blind;
	uint64_t blind_seed;
	int err;
};

/* Bytes that the code of one instruction has at most, prologue included. */
#define JIT_INSN_MAX 320

/* Emits instruction i; how many instructions it was (pairs may be done at once), or 0
 * with j->err set. */
uint32_t jit_emit(struct jit *j, uint32_t i);
void jit_prologue(struct jit *j);
/* What a run that comes to code that nothing leads to meets. */
void jit_emit_dead(struct jit *j);

/* Fills one step of what lies between functions. */
void jit_pad(struct jit *j);
/* What jit_tail_call() leads to when the program there is interpreted. */
extern const char jit_to_interp[];

/* The instruction that a signal's context is at, and how to go on behind a probe load. */
uintptr_t jit_fault_at(const void *ucontext);
void jit_fault_skip(void *ucontext, const struct jit_probe *probe);

/* jit_calls.c: what a call turns out to be. */
/*
 * Where it stands whether any map has a listener, for code of a program that stores into inner
 * maps: the lookup that is called then, instead of code in its place, remembers which
 * (change_later()). NULL: the program does not; or -errno in j->err.
 */
const uint32_t *jit_watch_word(struct jit *j);
/*
 * The map that a lookup is in on every path, or one like it, of which `like` is a copy with its
 * places: then only what is the same for all of that kind is in `in`. NULL: any map.
 */
const struct map *jit_lookup_map(const struct jit *j, uint32_t i, struct map *like,
				 struct map_inline *in);
/* The operation of the call's map that the helper `id` is, with the same arguments; 0: none. */
uintptr_t jit_map_function(const struct jit *j, uint32_t i, int32_t id);
/* The callback that a call of bpf_loop() calls, when that is known; 0: it is not. */
uint32_t jit_loop_callback(const struct jit *j, uint32_t i);
/* The end of a run that came to code which nothing leads to. */
void jit_run_dead(struct vm_context *vc);

/* The probe load between `from` and j->pos loads into reg. */
void jit_add_probe(struct jit *j, uint32_t from, uint8_t reg);

/* jit_mem.c: memory near the library's own code. */
/* Room for len bytes, writable and not executable; NULL. */
uint8_t *jit_mem_alloc(uint32_t len, uint32_t *room);
/* Executable and not writable from now on. 0 or -errno. */
int jit_mem_seal(uint8_t *mem, uint32_t room, struct jit_image *image);
void jit_mem_free(uint8_t *mem, uint32_t room);
/* The image that has an address; NULL: none. For signal handlers. */
struct jit_image *jit_mem_owner(uintptr_t addr);
/* Does a direct call lead from any code to addr? */
bool jit_mem_near(uintptr_t addr);

#endif
