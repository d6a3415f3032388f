/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ALU instructions. Scalars go to verifier_scalar.c; here are moves and the
 * little arithmetic that pointers may take part in.
 */
#include "vm/verifier_int.h"

static const char *op_text(uint8_t op)
{
	static const char *const text[] = {
		"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>="};

	return text[op >> 4];
}

int check_ptr_off(struct verifier *v, const struct reg *r, enum reg_kind kind)
{
	struct reg as = *r;
	const char *name;

	as.kind = kind;
	name = reg_kind_name(&as);
	if (tnum_is_const(r->var_off) && ((int64_t)r->var_off.value >= VER_MAX_VAR_OFF ||
					  (int64_t)r->var_off.value <= -VER_MAX_VAR_OFF)) {
		verbose(v, "math between %s pointer and %lld is not allowed\n", name,
			(long long)r->var_off.value);
		return -EACCES;
	}
	if (r->off >= VER_MAX_VAR_OFF || r->off <= -VER_MAX_VAR_OFF) {
		verbose(v, "%s pointer offset %d is not allowed\n", name, r->off);
		return -EACCES;
	}
	if (r->smin == INT64_MIN) {
		verbose(v,
			"math between %s pointer and register with unbounded min value is not "
			"allowed\n",
			name);
		return -EACCES;
	}
	if (r->smin >= VER_MAX_VAR_OFF || r->smin <= -VER_MAX_VAR_OFF) {
		verbose(v, "value %lld makes %s pointer be out of bounds\n", (long long)r->smin,
			name);
		return -EACCES;
	}
	return 0;
}

/* A pointer that moved: the constant part into off, the rest into the range. */
static void ptr_add(struct verifier *v, struct reg *dst, const struct reg *ptr,
		    const struct reg *scalar)
{
	struct reg var = *ptr;
	int64_t c = scalar->smin;

	if (tnum_is_const(scalar->var_off) && c == (int32_t)c &&
	    (int64_t)ptr->off + c == (int32_t)(ptr->off + c)) {
		*dst = *ptr;
		dst->off = ptr->off + c;
		return;
	}
	var.kind = REG_SCALAR;
	scalar_alu(&var, scalar, BPF_ADD, false, false);
	var.kind = ptr->kind;
	var.off = ptr->off;
	var.id = ptr->id;
	if (reg_is_pkt(ptr)) { /* another base: what is known of the end is of the old one */
		var.id = ++v->id_gen;
		var.range = 0;
	}
	*dst = var;
}

static void ptr_sub(struct verifier *v, struct reg *dst, const struct reg *ptr,
		    const struct reg *scalar)
{
	struct reg var = *ptr;
	int64_t c = scalar->smin;

	if (tnum_is_const(scalar->var_off) && c == (int32_t)c &&
	    (int64_t)ptr->off - c == (int32_t)(ptr->off - c)) {
		*dst = *ptr;
		dst->off = ptr->off - c;
		return;
	}
	var.kind = REG_SCALAR;
	scalar_alu(&var, scalar, BPF_SUB, false, false);
	var.kind = ptr->kind;
	var.off = ptr->off;
	var.id = ptr->id;
	if (reg_is_pkt(ptr)) {
		var.id = ++v->id_gen;
		var.range = 0;
	}
	*dst = var;
}

/* dst = ptr op scalar; dst is one of the two operands' register. */
static int ptr_alu(struct verifier *v, const struct bpf_insn *insn, const struct reg *ptr,
		   const struct reg *scalar)
{
	const uint8_t op = INSN_OP(insn->code);
	const int d = insn->dst_reg;
	struct reg *dst = &cur_regs(v)[d], result, p = *ptr, s = *scalar;
	const bool const_off = tnum_is_const(s.var_off);

	/* from here on the scalar's range is part of an address */
	if (INSN_CLASS(insn->code) != BPF_ALU64) {
		if (op == BPF_SUB) {
			reg_mark_unknown(dst);
			reg_zext32(dst);
			return 0;
		}
		verbose(v, "R%d 32-bit pointer arithmetic prohibited\n", d);
		return -EACCES;
	}
	if (p.or_null) {
		verbose(v, "R%d pointer arithmetic on %s prohibited, null-check it first\n", d,
			reg_kind_name(&p));
		return -EACCES;
	}
	switch (p.kind) {
	case REG_FLOW_KEYS:
		if (const_off)
			break;
		/* fallthrough */
	case REG_MAP_PTR:
		if (const_off && !s.var_off.value && op == BPF_ADD)
			break; /* clang adds 0 to a map's address at times */
			       /* fallthrough */
	case REG_PKT_END:
	case REG_SOCK_COMMON:
	case REG_SOCKET:
	case REG_TCP_SOCK:
	case REG_FUNC:
	case REG_DYNPTR:
	case REG_NOT_INIT:
		verbose(v, "R%d pointer arithmetic on %s prohibited\n", d, reg_kind_name(&p));
		return -EACCES;
	}
	if (check_ptr_off(v, &s, p.kind) || check_ptr_off(v, &p, p.kind))
		return -EINVAL;
	switch (op) {
	case BPF_ADD:
		ptr_add(v, &result, &p, &s);
		break;
	case BPF_SUB:
		if (dst->kind == REG_SCALAR) {
			verbose(v, "R%d tried to subtract pointer from scalar\n", d);
			return -EACCES;
		}
		if (p.kind == REG_STACK) {
			verbose(v, "R%d subtraction from stack pointer prohibited\n", d);
			return -EACCES;
		}
		ptr_sub(v, &result, &p, &s);
		break;
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		verbose(v, "R%d bitwise operator %s on pointer prohibited\n", d, op_text(op));
		return -EACCES;
	default:
		verbose(v, "R%d pointer arithmetic with %s operator prohibited\n", d, op_text(op));
		return -EACCES;
	}
	if (check_ptr_off(v, &result, p.kind))
		return -EINVAL;
	*dst = result;
	return 0;
}

/* r1 = r2; r1 += 4: what is learnt of r2 holds for r1, 4 further. */
static bool link_sum(struct reg *dst, uint32_t id, const struct reg *src, uint8_t op, bool is32)
{
	const struct tnum t = is32 ? tnum_low32(src->var_off) : src->var_off;
	int64_t n = is32 ? (int32_t)t.value : (int64_t)t.value;

	if ((op != BPF_ADD && op != BPF_SUB) || !tnum_is_const(t))
		return false;
	if (op == BPF_SUB)
		n = n == INT64_MIN ? n : -n;
	if (n != (int32_t)n)
		return false;
	dst->id = id;
	dst->off = n;
	dst->added = is32 ? 32 : 64;
	return true;
}

static int alu_regs(struct verifier *v, const struct bpf_insn *insn)
{
	const uint8_t op = INSN_OP(insn->code);
	const bool is32 = INSN_CLASS(insn->code) == BPF_ALU;
	struct reg *dst = &cur_regs(v)[insn->dst_reg], imm, *src;

	if (INSN_SRC(insn->code)) {
		src = &cur_regs(v)[insn->src_reg];
	} else {
		reg_mark_const(&imm, (uint64_t)(int64_t)insn->imm);
		src = &imm;
	}
	if (dst->kind != REG_SCALAR && src->kind != REG_SCALAR) {
		/* the distance of two pointers is a number, if a meaningless one */
		if (op == BPF_SUB) {
			reg_mark_unknown(dst);
			if (is32)
				reg_zext32(dst);
			return 0;
		}
		verbose(v, "R%d pointer %s pointer prohibited\n", insn->dst_reg, op_text(op));
		return -EACCES;
	}
	if (dst->kind != REG_SCALAR) {
		if (src != &imm)
			flow_need_reg(v, v->cur->cur, insn->src_reg);
		return ptr_alu(v, insn, dst, src);
	}
	if (src->kind != REG_SCALAR) {
		flow_need_reg(v, v->cur->cur, insn->dst_reg);
		return ptr_alu(v, insn, src, dst);
	}
	const struct reg copy = *src;
	/* (a sum in 32 bits is one of what the id names only where that has no upper half) */
	const uint32_t id = dst->added || (is32 && dst->umax > UINT32_MAX) ? 0 : dst->id;

	scalar_alu(dst, &copy, op, is32, insn->off == 1);
	if (id && link_sum(dst, id, &copy, op, is32) && src != &imm)
		flow_need_reg(v, v->cur->cur, insn->src_reg);
	return 0;
}

static void move_scalar(struct verifier *v, const struct bpf_insn *insn, struct reg *src)
{
	const bool is32 = INSN_CLASS(insn->code) == BPF_ALU;
	struct reg *dst = &cur_regs(v)[insn->dst_reg];
	struct reg r = *src;
	bool same = false;

	if (insn->off) { /* sign extension; the value is kept when it fits */
		const int bits = insn->off;

		same = src->umax < 1ULL << (bits - 1);
		reg_cast_sx(&r, bits / 8, is32);
	} else if (is32) {
		same = src->umax <= UINT32_MAX;
		if (!same)
			reg_zext32(&r);
	} else {
		same = true;
	}
	scalar_unlink(&r);
	if (same) {
		scalar_name(v, src);
		if (!tnum_is_const(r.var_off))
			r.id = src->id;
	}
	*dst = r;
}

static int check_mov(struct verifier *v, const struct bpf_insn *insn)
{
	const bool is32 = INSN_CLASS(insn->code) == BPF_ALU;
	struct reg *dst, *src;
	int err;

	if (INSN_SRC(insn->code)) {
		err = check_reg_read(v, insn->src_reg);
		if (err)
			return err;
	}
	err = check_reg_write(v, insn->dst_reg);
	if (err)
		return err;
	dst = &cur_regs(v)[insn->dst_reg];
	if (!INSN_SRC(insn->code)) {
		reg_mark_const(dst, is32 ? (uint32_t)insn->imm : (uint64_t)(int64_t)insn->imm);
		return 0;
	}
	src = &cur_regs(v)[insn->src_reg];
	if (src->kind == REG_SCALAR) {
		move_scalar(v, insn, src);
		return 0;
	}
	if (is32 || insn->off) { /* part of an address is only a number */
		reg_mark_unknown(dst);
		if (is32)
			reg_zext32(dst);
		return 0;
	}
	*dst = *src;
	return 0;
}

int check_alu(struct verifier *v, const struct bpf_insn *insn)
{
	const enum insn_form form = insn_form(insn->code);
	const bool is32 = INSN_CLASS(insn->code) == BPF_ALU;
	struct reg *dst, was;
	int err;

	if (form == INSN_MOV)
		return check_mov(v, insn);
	if (form == INSN_ALU && INSN_SRC(insn->code)) {
		err = check_reg_read(v, insn->src_reg);
		if (err)
			return err;
	}
	err = check_reg_read(v, insn->dst_reg);
	if (!err)
		err = check_reg_write(v, insn->dst_reg);
	if (err)
		return err;
	dst = &cur_regs(v)[insn->dst_reg];
	if (form == INSN_ALU)
		return alu_regs(v, insn);
	if (dst->kind != REG_SCALAR) { /* an address spoilt is a number */
		reg_mark_unknown(dst);
		return 0;
	}
	if (form == INSN_END) {
		scalar_end(dst, insn);
		return 0;
	}
	was = *dst;
	reg_mark_const(dst, 0);
	scalar_alu(dst, &was, BPF_SUB, is32, false);
	return 0;
}
