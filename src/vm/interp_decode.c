/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From struct bpf_insn to struct icode. The verifier has accepted the program;
 * what it cannot have accepted is refused here once more (-EINVAL), because a
 * jump out of the array would not be a fault.
 */
#include <stdlib.h>

#include <bpf/btf.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "base/uapi.h"
#include "btf/btf.h"
#include "vm/helpers.h"
#include "vm/interp.h"
#include "vm/jit.h"
#include "vm/kfunc_proto.h"
#include "vm/verifier.h"

#define SRC_X(insn) (BPF_SRC((insn)->code) == BPF_X)

/* First of the four variants 64_x, 64_k, 32_x, 32_k of an operation. */
static int alu_first(const struct bpf_insn *insn)
{
	bool is_signed = insn->off == 1;

	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		return OP_add64_x;
	case BPF_SUB:
		return OP_sub64_x;
	case BPF_MUL:
		return OP_mul64_x;
	case BPF_DIV:
		return is_signed ? OP_sdiv64_x : OP_div64_x;
	case BPF_MOD:
		return is_signed ? OP_smod64_x : OP_mod64_x;
	case BPF_OR:
		return OP_or64_x;
	case BPF_AND:
		return OP_and64_x;
	case BPF_XOR:
		return OP_xor64_x;
	case BPF_LSH:
		return OP_lsh64_x;
	case BPF_RSH:
		return OP_rsh64_x;
	case BPF_ARSH:
		return OP_arsh64_x;
	case BPF_MOV:
		return OP_mov64_x;
	}
	return -EINVAL;
}

static int decode_end(const struct bpf_insn *insn)
{
	bool swap =
		BPF_CLASS(insn->code) == BPF_ALU64 ||
		(BPF_SRC(insn->code) == BPF_TO_BE) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	switch (insn->imm) {
	case 16:
		return swap ? OP_swap16 : OP_zext16;
	case 32:
		return swap ? OP_swap32 : OP_zext32;
	case 64:
		return swap ? OP_swap64 : OP_nop;
	}
	return -EINVAL;
}

static int decode_alu(const struct bpf_insn *insn)
{
	bool wide = BPF_CLASS(insn->code) == BPF_ALU64;
	int op;

	switch (BPF_OP(insn->code)) {
	case BPF_END:
		return decode_end(insn);
	case BPF_NEG:
		return wide ? OP_neg64 : OP_neg32;
	case BPF_MOV:
		if (SRC_X(insn) && insn->off) {
			switch (insn->off) {
			case 8:
				return wide ? OP_movsx64_8 : OP_movsx32_8;
			case 16:
				return wide ? OP_movsx64_16 : OP_movsx32_16;
			case 32:
				return wide ? OP_movsx64_32 : -EINVAL;
			}
			return -EINVAL;
		}
		break;
	}
	op = alu_first(insn);
	return op < 0 ? op : op + (wide ? 0 : 2) + (SRC_X(insn) ? 0 : 1);
}

static int decode_jump(const struct bpf_insn *insn)
{
	bool wide = BPF_CLASS(insn->code) == BPF_JMP;
	static const uint8_t first[16] = {
		[BPF_JEQ >> 4] = OP_jeq64_x,   [BPF_JNE >> 4] = OP_jne64_x,
		[BPF_JGT >> 4] = OP_jgt64_x,   [BPF_JGE >> 4] = OP_jge64_x,
		[BPF_JLT >> 4] = OP_jlt64_x,   [BPF_JLE >> 4] = OP_jle64_x,
		[BPF_JSET >> 4] = OP_jset64_x, [BPF_JSGT >> 4] = OP_jsgt64_x,
		[BPF_JSGE >> 4] = OP_jsge64_x, [BPF_JSLT >> 4] = OP_jslt64_x,
		[BPF_JSLE >> 4] = OP_jsle64_x,
	};
	int op = first[BPF_OP(insn->code) >> 4];

	if (BPF_OP(insn->code) == BPF_JA)
		return wide ? OP_ja : OP_jal;
	if (BPF_OP(insn->code) == SHMAP_BPF_JCOND && wide && !insn->src_reg)
		return OP_may_goto;
	if (!op)
		return -EINVAL;
	return op + (wide ? 0 : 2) + (SRC_X(insn) ? 0 : 1);
}

/* 8, 16, 32, 64 bits: 0 to 3, as the labels are listed. */
static int size_index(const struct bpf_insn *insn)
{
	switch (BPF_SIZE(insn->code)) {
	case BPF_B:
		return 0;
	case BPF_H:
		return 1;
	case BPF_W:
		return 2;
	default:
		return 3;
	}
}

static int decode_atomic(const struct bpf_insn *insn)
{
	bool wide = BPF_SIZE(insn->code) == BPF_DW;
	int op;

	if (insn->imm == SHMAP_BPF_LOAD_ACQ)
		return OP_load_acq8 + size_index(insn);
	if (insn->imm == SHMAP_BPF_STORE_REL)
		return OP_store_rel8 + size_index(insn);
	if (BPF_SIZE(insn->code) != BPF_W && !wide)
		return -EINVAL;
	switch (insn->imm) {
	case BPF_XCHG:
		return wide ? OP_xchg64 : OP_xchg32;
	case BPF_CMPXCHG:
		return wide ? OP_cmpxchg64 : OP_cmpxchg32;
	}
	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		op = OP_atomic_add32;
		break;
	case BPF_OR:
		op = OP_atomic_or32;
		break;
	case BPF_AND:
		op = OP_atomic_and32;
		break;
	case BPF_XOR:
		op = OP_atomic_xor32;
		break;
	default:
		return -EINVAL;
	}
	return op + (wide ? 1 : 0) + (insn->imm & BPF_FETCH ? 2 : 0);
}

static bool is_tracing(const struct vm_prog *p)
{
	switch (p->type) {
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM:
		return true;
	}
	return false;
}

/* May this load meet an address that is not there (a kernel pointer of BTF)?
 * Without the verifier's word (tests run such programs) any may. */
static bool load_probes(const struct vm_prog *p, uint32_t i)
{
	if (p->aux)
		return p->aux[i].probe;
	return is_tracing(p) && p->insns[i].src_reg != BPF_REG_10;
}

static int decode_load(const struct vm_prog *p, uint32_t i)
{
	const struct bpf_insn *insn = &p->insns[i];
	bool probe = load_probes(p, i);

	/* The kernel's layout has 32 bits for them: the event source's pointers. */
	if (p->aux && BPF_MODE(insn->code) == BPF_MEM) {
		switch (p->aux[i].ctx_field) {
		case VM_CTX_PKT_DATA:
			return OP_ctx_pkt;
		case VM_CTX_PKT_META:
			return OP_ctx_pkt_meta;
		case VM_CTX_PKT_END:
			return OP_ctx_pkt_end;
		}
	}
	switch (BPF_MODE(insn->code)) {
	case BPF_MEM:
		return (probe ? OP_probe8 : OP_ldx8) + size_index(insn);
	case BPF_MEMSX:
		if (size_index(insn) == 3)
			return -EINVAL;
		return (probe ? OP_probesx8 : OP_ldsx8) + size_index(insn);
	}
	return -EINVAL;
}

/* A store into a field of the context that is narrower than it looks; else -1. */
static int decode_ctx_store(const struct vm_prog *p, uint32_t i)
{
	const bool reg = BPF_CLASS(p->insns[i].code) == BPF_STX;

	switch (p->aux ? p->aux[i].ctx_field : VM_CTX_NONE) {
	case VM_CTX_HALF:
		return reg ? OP_stx16 : OP_st16;
	case VM_CTX_HALF_BELOW:
		return OP_stx_below;
	case VM_CTX_SKIP:
		return OP_nop;
	}
	return -1;
}

static int decode_ld(const struct bpf_insn *insn)
{
	if (size_index(insn) == 3)
		return -EINVAL;
	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		return OP_ld_abs8 + size_index(insn);
	case BPF_IND:
		return OP_ld_ind8 + size_index(insn);
	}
	return -EINVAL;
}

/* The value of a 16-byte load, whose two slots are there. */
static int decode_imm64(const struct vm_prog *p, struct vm_code *code, uint32_t i, uint64_t *value)
{
	const struct bpf_insn *insn = &p->insns[i];
	uint32_t imm = (uint32_t)insn->imm, next = (uint32_t)insn[1].imm;
	struct map *m;
	uint8_t *base;
	int64_t target;

	switch (insn->src_reg) {
	case 0:
		*value = imm | (uint64_t)next << 32;
		return 0;
	case BPF_PSEUDO_MAP_FD:
	case BPF_PSEUDO_MAP_VALUE:
		if (imm >= p->map_cnt)
			return -EINVAL;
		m = p->maps[imm];
		if (insn->src_reg == BPF_PSEUDO_MAP_FD) {
			*value = (uintptr_t)m;
			return 0;
		}
		base = m->ops->direct_value ? m->ops->direct_value(m) : NULL;
		if (!base || next >= m->attr.value_size)
			return -EINVAL;
		*value = (uintptr_t)base + next;
		return 0;
	case BPF_PSEUDO_FUNC:
		target = (int64_t)i + 1 + insn->imm;
		if (target < 0 || target >= p->insn_cnt)
			return -EINVAL;
		*value = (uintptr_t)&code->ins[target];
		return 0;
	}
	return -EINVAL; /* BPF_PSEUDO_BTF_ID: there are no kernel variables here */
}

vm_helper_fn vm_call_target(const struct vm_prog *p, uint32_t i)
{
	const struct bpf_insn *insn = &p->insns[i];
	const struct kfunc_proto *k;

	if (!insn->src_reg)
		return vm_helper(insn->imm);
	if (insn->src_reg != BPF_PSEUDO_KFUNC_CALL || !p->aux || !p->aux[i].kfunc)
		return NULL;
	k = kfunc_proto_at(p->aux[i].kfunc - 1);
	return k ? k->fn : NULL;
}

static int decode_call(const struct vm_prog *p, uint32_t i, struct icode *ic)
{
	const struct bpf_insn *insn = &p->insns[i];
	vm_helper_fn fn;

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		ic->imm = insn->imm;
		return OP_call_local;
	}
	if (!insn->src_reg) {
		switch (insn->imm) {
		case BPF_FUNC_tail_call:
			return OP_tail_call;
		case BPF_FUNC_map_lookup_elem:
			return OP_call_lookup;
		}
	}
	fn = vm_call_target(p, i);
	if (!fn)
		return -EINVAL;
	ic->fn = fn;
	return OP_call;
}

/* Where an instruction may go besides the next one. */
static int check_target(const struct vm_prog *p, uint32_t i, int op)
{
	const struct bpf_insn *insn = &p->insns[i];
	int64_t to = (int64_t)i + 1;
	uint8_t class = BPF_CLASS(insn->code);

	if (class == BPF_JMP || class == BPF_JMP32) {
		if (op == OP_jal || op == OP_call_local)
			to += insn->imm;
		else if (op != OP_call && op != OP_call_lookup && op != OP_tail_call)
			to += insn->off;
	}
	return to < 0 || to > p->insn_cnt ? -EINVAL : 0;
}

static int decode_one(const struct vm_prog *p, struct vm_code *code, uint32_t i)
{
	const struct bpf_insn *insn = &p->insns[i];
	struct icode *ic = &code->ins[i];
	int op;

	if (insn->dst_reg > BPF_REG_10 || insn->src_reg > BPF_REG_10)
		return -EINVAL;
	ic->dst = insn->dst_reg;
	ic->src = insn->src_reg;
	ic->off = insn->off;
	ic->imm = insn->imm;
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		op = decode_alu(insn);
		break;
	case BPF_JMP:
	case BPF_JMP32:
		if (insn->code == (BPF_JMP | BPF_CALL))
			op = decode_call(p, i, ic);
		else if (insn->code == (BPF_JMP | BPF_EXIT))
			op = OP_exit;
		else
			op = decode_jump(insn);
		break;
	case BPF_LDX:
		op = decode_load(p, i);
		break;
	case BPF_ST:
		op = decode_ctx_store(p, i);
		if (op < 0)
			op = BPF_MODE(insn->code) == BPF_MEM ? OP_st8 + size_index(insn) : -EINVAL;
		break;
	case BPF_STX:
		op = decode_ctx_store(p, i);
		if (op >= 0)
			break;
		if (BPF_MODE(insn->code) == BPF_ATOMIC)
			op = decode_atomic(insn);
		else
			op = BPF_MODE(insn->code) == BPF_MEM ? OP_stx8 + size_index(insn) : -EINVAL;
		break;
	default:
		op = insn->code == (BPF_LD | BPF_IMM | BPF_DW) ? OP_ld_imm64 : decode_ld(insn);
		break;
	}
	if (op < 0)
		return op;
	if (op != OP_exit && check_target(p, i, op))
		return -EINVAL;
	return op;
}

/* How many arguments the traced function has, for bpf_get_func_arg(). */
static uint32_t traced_args(const struct vm_prog *p)
{
	const struct btf *btf = p->attach_btf_id ? btf_vmlinux() : NULL;
	const struct btf_type *t = btf ? btf__type_by_id(btf, p->attach_btf_id) : NULL;

	if (t && (btf_is_func(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	if (t && btf_is_ptr(t))
		t = btf__type_by_id(btf, t->type);
	if (t && btf_is_func_proto(t))
		return btf_vlen(t);
	return 1; /* a system call's entry: struct pt_regs * */
}

/*
 * Common sequences get one step (see interp.c). Only the first slot changes:
 * a jump to the second finds what it always was. ops[] holds each slot's op.
 */
static enum interp_op fuse(const struct vm_code *code, const uint16_t *ops, uint32_t i)
{
	const struct icode *a = &code->ins[i], *b = a + 1, *c = a + 2;
	enum interp_op op = ops[i], second = i + 1 < code->cnt ? ops[i + 1] : OP_bad;
	enum interp_op third = i + 2 < code->cnt ? ops[i + 2] : OP_bad;

	switch (op) {
	case OP_mov64_x:
		if (second == OP_add64_k && b->dst == a->dst)
			return OP_lea;
		break;
	case OP_add64_k:
		if (second == OP_jne64_k && b->dst == a->dst)
			return OP_add_jne;
		if (second == OP_jlt64_k && b->dst == a->dst)
			return OP_add_jlt;
		break;
	case OP_ldx32:
	case OP_ldx64:
		/* not when the address is what is loaded */
		if (second == OP_add64_k && b->dst == a->dst && a->dst != a->src &&
		    third == (op == OP_ldx32 ? OP_stx32 : OP_stx64) && c->dst == a->src &&
		    c->src == a->dst && c->off == a->off)
			return op == OP_ldx32 ? OP_inc32 : OP_inc64;
		break;
	case OP_call_lookup:
		if (second == OP_jeq64_k && !b->dst && !b->imm)
			return OP_lookup_jeq;
		if (second == OP_jne64_k && !b->dst && !b->imm)
			return OP_lookup_jne;
		break;
	default:
		break;
	}
	return op;
}

static int decode(struct vm_prog *p, struct vm_code **out)
{
	struct vm_code *code;
	uint16_t *ops;
	uint64_t value;
	uint32_t i;
	int op, err;

	if (!p->insn_cnt)
		return -EINVAL;
	/* The runs' guard and probe loads need the fault handlers. */
	err = uaccess_init();
	if (err)
		return err;
	err = -ENOMEM;
	/* One slot more: running off the end ends the run. */
	code = calloc(1, sizeof(*code) + (p->insn_cnt + 1UL) * sizeof(code->ins[0]));
	ops = calloc(p->insn_cnt, sizeof(*ops));
	if (!code || !ops)
		goto fail;
	code->cnt = p->insn_cnt;
	code->func_args = traced_args(p);
	for (i = 0; i < p->insn_cnt; i++) {
		/* What no path reaches may be anything. */
		ops[i] = OP_bad;
		if (p->aux && !p->aux[i].seen)
			continue;
		op = decode_one(p, code, i);
		if (op < 0) {
			err = op;
			goto fail;
		}
		ops[i] = (uint16_t)op;
		if (op != OP_ld_imm64)
			continue;
		err = i + 1 < p->insn_cnt ? decode_imm64(p, code, i, &value) : -EINVAL;
		if (err)
			goto fail;
		ops[++i] = OP_bad;
		code->ins[i].imm64 = value;
	}
	if (jit_wanted(p) && !jit_compile(p, code->ins, ops, &code->jit)) {
		/* the rest of it is not needed any more */
		struct vm_code *small = realloc(code, sizeof(*code));

		free(ops);
		*out = small ? small : code;
		return 0;
	}
	for (i = 0; i < p->insn_cnt; i++)
		code->ins[i].op = interp_label(fuse(code, ops, i));
	code->ins[i].op = interp_label(OP_bad);
	free(ops);
	*out = code;
	return 0;
fail:
	free(ops);
	free(code);
	return err;
}

const struct vm_code *interp_code(struct vm_prog *p, int *err)
{
	struct vm_code *code = load_acquire(&p->code), *none = NULL;

	if (likely(code != NULL))
		return code;
	*err = decode(p, &code);
	if (*err)
		return NULL;
	/* Threads may race to the first run: one decoding stays. Pairs with the
	 * load above. */
	if (!cas_seq_cst(&p->code, &none, code)) {
		interp_code_free(code);
		code = none;
	}
	return code;
}

void interp_code_free(struct vm_code *code)
{
	if (!code)
		return;
	jit_free(code->jit);
	free(code);
}
