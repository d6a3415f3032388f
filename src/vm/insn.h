/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction set of RFC 9669 (versions 1 to 4) as a table: which opcodes
 * exist, which registers an instruction reads and writes, how it is written.
 */
#ifndef SHMAP_VM_INSN_H
#define SHMAP_VM_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

#include "base/uapi.h"

#ifndef BPF_ATOMIC
#define BPF_ATOMIC 0xc0
#endif

#define INSN_CLASS(code) ((code)&0x07)
#define INSN_SIZE(code) ((code)&0x18)
#define INSN_MODE(code) ((code)&0xe0)
#define INSN_OP(code) ((code)&0xf0)
#define INSN_SRC(code) ((code)&0x08)

enum insn_form {
	INSN_NONE,	/* no such opcode */
	INSN_ALU,
	INSN_MOV,
	INSN_NEG,
	INSN_END,
	INSN_LD_IMM64,
	INSN_LD_ABS,	/* also LD_IND */
	INSN_LDX,
	INSN_LDX_SX,
	INSN_ST,
	INSN_STX,
	INSN_ATOMIC,
	INSN_JA,
	INSN_JCOND,
	INSN_MAY_GOTO,
	INSN_CALL,
	INSN_EXIT,
};

/* The form of an opcode byte. */
extern const uint8_t insn_forms[256];
static inline enum insn_form insn_form(uint8_t code)
{
	return insn_forms[code];
}

/* 1, 2, 4 or 8, of a load or store. */
unsigned int insn_bytes(uint8_t code);

/* Atomic operations: imm is one that exists; it returns the old value. */
bool insn_atomic_valid(int32_t imm);
static inline bool insn_load_acquire(const struct bpf_insn *insn)
{
	return insn->imm == SHMAP_BPF_LOAD_ACQ;
}
static inline bool insn_store_release(const struct bpf_insn *insn)
{
	return insn->imm == SHMAP_BPF_STORE_REL;
}
static inline bool insn_atomic_fetches(int32_t imm)
{
	return imm & BPF_FETCH;
}

/* How far a jump goes: pc + 1 + offset. */
int32_t insn_jump_offset(const struct bpf_insn *insn);

/* Registers read and written (bits). Calls of functions read R1 to R5. */
void insn_regs(const struct bpf_insn *insn, uint16_t *reads, uint16_t *writes);

/* The first fault in the fixed fields, in the kernel's words, or NULL. */
const char *insn_fault(const struct bpf_insn *insn, char *buf, size_t size);

/* "(b7) r0 = 0" */
void insn_print(const struct bpf_insn *insn, char *buf, size_t size);

#endif
