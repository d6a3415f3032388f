/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/insn.h"

#include <stdio.h>

#include "base/bits.h"
#include "vm/helper_proto.h"
#include "vm/kfunc_proto.h"

enum insn_form insn_form(uint8_t code)
{
	uint8_t cls = INSN_CLASS(code), op = INSN_OP(code), src = INSN_SRC(code);

	switch (cls) {
	case BPF_ALU:
	case BPF_ALU64:
		if (op == BPF_MOV)
			return INSN_MOV;
		if (op == BPF_NEG)
			return src ? INSN_NONE : INSN_NEG;
		if (op == BPF_END) /* ALU64: bswap, only with the "to le" bit clear */
			return cls == BPF_ALU64 && src ? INSN_NONE : INSN_END;
		return op <= BPF_ARSH ? INSN_ALU : INSN_NONE;
	case BPF_JMP:
	case BPF_JMP32:
		switch (op) {
		case BPF_JA:
			return src ? INSN_NONE : INSN_JA;
		case BPF_CALL:
			return src || cls == BPF_JMP32 ? INSN_NONE : INSN_CALL;
		case BPF_EXIT:
			return src || cls == BPF_JMP32 ? INSN_NONE : INSN_EXIT;
		case SHMAP_BPF_JCOND:
			return src || cls == BPF_JMP32 ? INSN_NONE : INSN_MAY_GOTO;
		}
		return op <= BPF_JSLE ? INSN_JCOND : INSN_NONE;
	case BPF_LD:
		switch (INSN_MODE(code)) {
		case BPF_IMM:
			return INSN_SIZE(code) == BPF_DW ? INSN_LD_IMM64 : INSN_NONE;
		case BPF_ABS:
		case BPF_IND:
			return INSN_SIZE(code) == BPF_DW ? INSN_NONE : INSN_LD_ABS;
		}
		return INSN_NONE;
	case BPF_LDX:
		if (INSN_MODE(code) == BPF_MEM)
			return INSN_LDX;
		return INSN_MODE(code) == BPF_MEMSX && INSN_SIZE(code) != BPF_DW ? INSN_LDX_SX
										 : INSN_NONE;
	case BPF_ST:
		return INSN_MODE(code) == BPF_MEM ? INSN_ST : INSN_NONE;
	case BPF_STX:
		if (INSN_MODE(code) == BPF_MEM)
			return INSN_STX;
		return INSN_MODE(code) == BPF_ATOMIC ? INSN_ATOMIC : INSN_NONE;
	}
	return INSN_NONE;
}

unsigned int insn_bytes(uint8_t code)
{
	switch (INSN_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	}
	return 8;
}

bool insn_atomic_valid(int32_t imm)
{
	switch (imm) {
	case BPF_ADD:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
	case BPF_ADD | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_OR | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
	case BPF_XCHG:
	case BPF_CMPXCHG:
	case SHMAP_BPF_LOAD_ACQ:
	case SHMAP_BPF_STORE_REL:
		return true;
	}
	return false;
}

int32_t insn_jump_offset(const struct bpf_insn *insn)
{
	if (insn->code == (BPF_JMP32 | BPF_JA))
		return insn->imm;
	return insn->off;
}

void insn_regs(const struct bpf_insn *insn, uint16_t *reads, uint16_t *writes)
{
	const uint16_t d = 1 << insn->dst_reg, s = 1 << insn->src_reg;
	const bool x = INSN_SRC(insn->code);
	const struct helper_proto *p;

	*reads = *writes = 0;
	switch (insn_form(insn->code)) {
	case INSN_NONE:
	case INSN_JA:
	case INSN_MAY_GOTO:
		return;
	case INSN_ALU:
		*reads = x ? d | s : d;
		*writes = d;
		return;
	case INSN_MOV:
		*reads = x ? s : 0;
		*writes = d;
		return;
	case INSN_NEG:
	case INSN_END:
		*reads = *writes = d;
		return;
	case INSN_LD_IMM64:
		*writes = d;
		return;
	case INSN_LD_ABS:
		*reads = 1 << 6 | (INSN_MODE(insn->code) == BPF_IND ? s : 0);
		*writes = 0x3f;
		return;
	case INSN_LDX:
	case INSN_LDX_SX:
		*reads = s;
		*writes = d;
		return;
	case INSN_ST:
		*reads = d;
		return;
	case INSN_STX:
		*reads = d | s;
		return;
	case INSN_ATOMIC:
		*reads = d | s;
		if (insn_load_acquire(insn)) {
			*reads = s;
			*writes = d;
		} else if (insn->imm == BPF_CMPXCHG) {
			*reads |= 1;
			*writes = 1;
		} else if (insn_atomic_fetches(insn->imm)) {
			*writes = s;
		}
		return;
	case INSN_JCOND:
		*reads = x ? d | s : d;
		return;
	case INSN_EXIT:
		*reads = 1;
		return;
	case INSN_CALL:
		*writes = 0x3f;
		*reads = 0x3e;
		p = insn->src_reg == 0 ? helper_proto_find(insn->imm) : NULL;
		if (p) {
			int n = 0;

			while (n < 5 && p->arg[n] != HARG_NONE)
				n++;
			*reads = ((1 << n) - 1) << 1;
		}
		return;
	}
}

static bool shift_op(uint8_t op)
{
	return op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
}

static const char *alu_fault(const struct bpf_insn *insn, enum insn_form form, char *buf,
			     size_t size)
{
	const bool wide = INSN_CLASS(insn->code) == BPF_ALU64, x = INSN_SRC(insn->code);
	const uint8_t op = INSN_OP(insn->code);
	const int bits = wide ? 64 : 32;

	switch (form) {
	case INSN_NEG:
		return insn->src_reg || insn->off || insn->imm ? "BPF_NEG uses reserved fields"
							       : NULL;
	case INSN_END:
		if (insn->src_reg || insn->off ||
		    (insn->imm != 16 && insn->imm != 32 && insn->imm != 64))
			return "BPF_END uses reserved fields";
		return NULL;
	case INSN_MOV:
		if (!x)
			return insn->src_reg || insn->off ? "BPF_MOV uses reserved fields" : NULL;
		/* no program has one here: see map_ops.needs_jit */
		if (wide && insn->off == 1)
			return insn->imm == 1 || insn->imm == 1 << 16
				       ? "addr_space_cast insn can only be used in a program that "
					 "has an associated arena"
				       : "addr_space_cast insn can only convert between address "
					 "space 1 and 0";
		if (insn->imm ||
		    (insn->off && insn->off != 8 && insn->off != 16 && (insn->off != 32 || !wide)))
			return "BPF_MOV uses reserved fields";
		return NULL;
	default:
		break;
	}
	if (x ? insn->imm : insn->src_reg)
		return "BPF_ALU uses reserved fields";
	if (insn->off && (insn->off != 1 || (op != BPF_DIV && op != BPF_MOD)))
		return "BPF_ALU uses reserved fields";
	if ((op == BPF_DIV || op == BPF_MOD) && !x && !insn->imm)
		return "div by zero";
	if (shift_op(op) && !x && (insn->imm < 0 || insn->imm >= bits)) {
		snprintf(buf, size, "invalid shift %d", insn->imm);
		return buf;
	}
	return NULL;
}

static const char *jmp_fault(const struct bpf_insn *insn, enum insn_form form, char *buf,
			     size_t size)
{
	const bool jmp32 = INSN_CLASS(insn->code) == BPF_JMP32;

	switch (form) {
	case INSN_CALL:
		if ((insn->off && insn->src_reg != BPF_PSEUDO_KFUNC_CALL) || insn->dst_reg ||
		    (insn->src_reg != 0 && insn->src_reg != BPF_PSEUDO_CALL &&
		     insn->src_reg != BPF_PSEUDO_KFUNC_CALL))
			return "BPF_CALL uses reserved fields";
		return NULL;
	case INSN_JA:
		if (insn->src_reg || insn->dst_reg || (jmp32 ? insn->off : insn->imm))
			return "BPF_JA uses reserved fields";
		return NULL;
	case INSN_MAY_GOTO:
		if (!insn->src_reg && !insn->dst_reg && !insn->imm)
			return NULL;
		snprintf(buf, size, "invalid may_goto imm %d", insn->imm);
		return buf;
	case INSN_EXIT:
		if (insn->src_reg || insn->dst_reg || insn->off || insn->imm)
			return "BPF_EXIT uses reserved fields";
		return NULL;
	default:
		if (INSN_SRC(insn->code) ? insn->imm : insn->src_reg)
			return "BPF_JMP/JMP32 uses reserved fields";
		return NULL;
	}
}

const char *insn_fault(const struct bpf_insn *insn, char *buf, size_t size)
{
	const enum insn_form form = insn_form(insn->code);

	if (form == INSN_NONE) {
		if (INSN_CLASS(insn->code) == BPF_LDX)
			return "BPF_LDX uses reserved fields";
		snprintf(buf, size, "unknown opcode %02x", insn->code);
		return buf;
	}
	if (insn->dst_reg > 10 || insn->src_reg > 10) {
		snprintf(buf, size, "R%d is invalid",
			 insn->dst_reg > 10 ? insn->dst_reg : insn->src_reg);
		return buf;
	}
	switch (form) {
	case INSN_ALU:
	case INSN_MOV:
	case INSN_NEG:
	case INSN_END:
		return alu_fault(insn, form, buf, size);
	case INSN_JA:
	case INSN_JCOND:
	case INSN_MAY_GOTO:
	case INSN_CALL:
	case INSN_EXIT:
		return jmp_fault(insn, form, buf, size);
	case INSN_LD_ABS:
		if (insn->dst_reg || insn->off ||
		    (INSN_MODE(insn->code) == BPF_ABS && insn->src_reg))
			return "BPF_LD_[ABS|IND] uses reserved fields";
		return NULL;
	case INSN_LDX:
	case INSN_LDX_SX:
		return insn->imm ? "BPF_LDX uses reserved fields" : NULL;
	case INSN_STX:
		return insn->imm ? "BPF_STX uses reserved fields" : NULL;
	case INSN_ST:
		return insn->src_reg ? "BPF_ST uses reserved fields" : NULL;
	case INSN_ATOMIC:
		if (insn_bytes(insn->code) < 4 && insn_atomic_valid(insn->imm) &&
		    !insn_load_acquire(insn) && !insn_store_release(insn))
			return "invalid atomic operand size";
		if (!insn_atomic_valid(insn->imm)) {
			snprintf(buf, size, "BPF_ATOMIC uses invalid atomic opcode %02x",
				 insn->imm);
			return buf;
		}
		return NULL;
	default: /* ld_imm64: checked with its second half */
		return NULL;
	}
}

static const char *const alu_text[] = {
	"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>="};
static const char *const jmp_text[] = {"goto", "==",   ">",    ">=", "&",  "!=", "s>",
				       "s>=",  "call", "exit", "<",  "<=", "s<", "s<="};

static const char *size_text(uint8_t code)
{
	static const char *const text[] = {"u32", "u16", "u8", "u64"};

	return text[INSN_SIZE(code) >> 3];
}

static void print_atomic(const struct bpf_insn *insn, char *buf, size_t size)
{
	const char *wide = INSN_SIZE(insn->code) == BPF_DW ? "64" : "";
	const char *type = size_text(insn->code), *name = "?", *op = "?";
	const int d = insn->dst_reg, s = insn->src_reg;

	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		name = "add", op = "+=";
		break;
	case BPF_AND:
		name = "and", op = "&=";
		break;
	case BPF_OR:
		name = "or", op = "|=";
		break;
	case BPF_XOR:
		name = "xor", op = "^=";
		break;
	}
	if (!insn_atomic_valid(insn->imm))
		snprintf(buf, size, "BUG_%02x", insn->code);
	else if (insn_load_acquire(insn))
		snprintf(buf, size, "(%02x) r%d = load_acquire((%s *)(r%d %+d))", insn->code, d,
			 type, s, insn->off);
	else if (insn_store_release(insn))
		snprintf(buf, size, "(%02x) store_release((%s *)(r%d %+d), r%d)", insn->code, type,
			 d, insn->off, s);
	else if (insn->imm == BPF_CMPXCHG)
		snprintf(buf, size, "(%02x) r0 = atomic%s_cmpxchg((%s *)(r%d %+d), r0, r%d)",
			 insn->code, wide, type, d, insn->off, s);
	else if (insn->imm == BPF_XCHG)
		snprintf(buf, size, "(%02x) r%d = atomic%s_xchg((%s *)(r%d %+d), r%d)", insn->code,
			 s, wide, type, d, insn->off, s);
	else if (insn_atomic_fetches(insn->imm))
		snprintf(buf, size, "(%02x) r%d = atomic%s_fetch_%s((%s *)(r%d %+d), r%d)",
			 insn->code, s, wide, name, type, d, insn->off, s);
	else
		snprintf(buf, size, "(%02x) lock *(%s *)(r%d %+d) %s r%d", insn->code, type, d,
			 insn->off, op, s);
}

static void print_alu(const struct bpf_insn *insn, enum insn_form form, char *buf, size_t size)
{
	const char w = INSN_CLASS(insn->code) == BPF_ALU ? 'w' : 'r';
	const char *sign = form == INSN_ALU && insn->off == 1 &&
					   (INSN_OP(insn->code) == BPF_DIV ||
					    INSN_OP(insn->code) == BPF_MOD)
				   ? "s"
				   : "";
	const char *op =
		alu_text[INSN_OP(insn->code) >> 4 < ARRAY_SIZE(alu_text) ? INSN_OP(insn->code) >> 4
									 : 0];
	const int d = insn->dst_reg, s = insn->src_reg;

	if (form == INSN_END)
		snprintf(buf, size, "(%02x) r%d = %s%d r%d", insn->code, d,
			 INSN_CLASS(insn->code) == BPF_ALU64 ? "bswap"
			 : INSN_SRC(insn->code)		     ? "be"
							     : "le",
			 insn->imm, d);
	else if (form == INSN_NEG)
		snprintf(buf, size, "(%02x) %c%d = -%c%d", insn->code, w, d, w, d);
	else if (form == INSN_MOV && INSN_SRC(insn->code) &&
		 (insn->off == 8 || insn->off == 16 || insn->off == 32))
		snprintf(buf, size, "(%02x) %c%d = (s%d)%c%d", insn->code, w, d, insn->off, w, s);
	else if (INSN_SRC(insn->code))
		snprintf(buf, size, "(%02x) %c%d %s%s %c%d", insn->code, w, d, sign, op, w, s);
	else
		snprintf(buf, size, "(%02x) %c%d %s%s %d", insn->code, w, d, sign, op, insn->imm);
}

static const char *callee_name(const struct bpf_insn *insn)
{
	const char *name;

	if (insn->src_reg != BPF_PSEUDO_KFUNC_CALL)
		return insn->src_reg ? "unknown" : helper_name(insn->imm);
	name = insn->off ? NULL : kfunc_name((uint32_t)insn->imm);
	return name ? name : "kernel-function";
}

static void print_jmp(const struct bpf_insn *insn, enum insn_form form, char *buf, size_t size)
{
	const char w = INSN_CLASS(insn->code) == BPF_JMP32 ? 'w' : 'r';
	const char *op =
		jmp_text[INSN_OP(insn->code) >> 4 < ARRAY_SIZE(jmp_text) ? INSN_OP(insn->code) >> 4
									 : 0];

	if (form == INSN_EXIT)
		snprintf(buf, size, "(%02x) exit", insn->code);
	else if (form == INSN_MAY_GOTO)
		snprintf(buf, size, "(%02x) may_goto pc%+d", insn->code, insn->off);
	else if (form == INSN_JA)
		snprintf(buf, size, "(%02x) goto%s pc%+d", insn->code, w == 'w' ? "l" : "",
			 insn_jump_offset(insn));
	else if (form == INSN_CALL && insn->src_reg == BPF_PSEUDO_CALL)
		snprintf(buf, size, "(%02x) call pc%+d", insn->code, insn->imm);
	else if (form == INSN_CALL)
		snprintf(buf, size, "(%02x) call %s#%d", insn->code, callee_name(insn), insn->imm);
	else if (INSN_SRC(insn->code))
		snprintf(buf, size, "(%02x) if %c%d %s %c%d goto pc%+d", insn->code, w,
			 insn->dst_reg, op, w, insn->src_reg, insn->off);
	else
		snprintf(buf, size, "(%02x) if %c%d %s 0x%x goto pc%+d", insn->code, w,
			 insn->dst_reg, op, (uint32_t)insn->imm, insn->off);
}

void insn_print(const struct bpf_insn *insn, char *buf, size_t size)
{
	const enum insn_form form = insn_form(insn->code);
	const char *type = size_text(insn->code);
	const int d = insn->dst_reg, s = insn->src_reg;
	uint64_t imm;

	switch (form) {
	case INSN_NONE:
		snprintf(buf, size, "BUG_%02x", insn->code);
		return;
	case INSN_ALU:
	case INSN_MOV:
	case INSN_NEG:
	case INSN_END:
		print_alu(insn, form, buf, size);
		return;
	case INSN_JA:
	case INSN_JCOND:
	case INSN_MAY_GOTO:
	case INSN_CALL:
	case INSN_EXIT:
		print_jmp(insn, form, buf, size);
		return;
	case INSN_LD_IMM64:
		/* a map's address is nobody's business */
		imm = s == BPF_PSEUDO_MAP_FD || s == BPF_PSEUDO_MAP_VALUE
			      ? 0
			      : (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn->imm;
		snprintf(buf, size, "(%02x) r%d = 0x%llx", insn->code, d, (unsigned long long)imm);
		return;
	case INSN_LD_ABS:
		if (INSN_MODE(insn->code) == BPF_ABS)
			snprintf(buf, size, "(%02x) r0 = *(%s *)skb[%d]", insn->code, type,
				 insn->imm);
		else
			snprintf(buf, size, "(%02x) r0 = *(%s *)skb[r%d + %d]", insn->code, type, s,
				 insn->imm);
		return;
	case INSN_LDX:
		snprintf(buf, size, "(%02x) r%d = *(%s *)(r%d %+d)", insn->code, d, type, s,
			 insn->off);
		return;
	case INSN_LDX_SX:
		snprintf(buf, size, "(%02x) r%d = *(s%s *)(r%d %+d)", insn->code, d, type + 1, s,
			 insn->off);
		return;
	case INSN_ST:
		snprintf(buf, size, "(%02x) *(%s *)(r%d %+d) = %d", insn->code, type, d, insn->off,
			 insn->imm);
		return;
	case INSN_STX:
		snprintf(buf, size, "(%02x) *(%s *)(r%d %+d) = r%d", insn->code, type, d, insn->off,
			 s);
		return;
	case INSN_ATOMIC:
		print_atomic(insn, buf, size);
		return;
	}
}
