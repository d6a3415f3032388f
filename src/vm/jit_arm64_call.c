/* SPDX-License-Identifier: BSD-2-Clause */
/* arm64: calls of helpers, of map operations, of functions and of other programs. */
#include "vm/jit_arm64.h"

#include "vm/helpers.h"
#include "vm/verifier.h"

#define VC(member) ((int32_t)offsetof(struct vm_context, member))

static void call_for_r0(struct jit *j, uintptr_t fn)
{
	a64_call(j, fn);
	mov_rr(j, true, REG_R0, 0);
}

static void call_helper(struct jit *j, uintptr_t fn)
{
	mov_rr(j, true, 5, REG_VC);
	call_for_r0(j, fn);
}

/* Calls native code of this program. */
static void call_code(struct jit *j, uint32_t to)
{
	e32(j, a64_by(A64_BL, (int64_t)to - j->pos));
}

/*
 * bpf_loop() of a callback that is known: w21 counts up to w19, x20 is the context. What the
 * function keeps in these registers is on the stack meanwhile.
 */
static void loop(struct jit *j, uint32_t callback)
{
	const uint8_t end = 19, ctx = 20, i = 21;
	uint32_t flags, many, again, done;

	mov_imm(j, true, REG_R0, (uint64_t)-EINVAL);
	flags = ahead(j, A64_CBNZ(true, 3));
	mov_imm(j, true, REG_R0, (uint64_t)-E2BIG);
	cmp_imm(j, false, 0, VM_LOOPS_MAX);
	many = ahead(j, A64_B_IF(CC_HI));
	push2(j, end, ctx);
	push2(j, i, ZR);
	mov_rr(j, false, end, 0);
	mov_rr(j, true, ctx, 2);
	mov_imm(j, false, i, 0);
	again = j->pos;
	cmp_rr(j, false, i, end);
	done = ahead(j, A64_B_IF(CC_HS));
	mov_rr(j, false, 0, i);
	mov_rr(j, true, 1, ctx);
	call_code(j, j->at[callback]);
	add_imm(j, false, i, i, 1);
	back(j, A64_CBZ(true, 0), again);
	here(j, done);
	mov_rr(j, false, REG_R0, i);
	pop2(j, i, ZR);
	pop2(j, end, ctx);
	here(j, flags);
	here(j, many);
}

static void helper(struct jit *j, uint32_t i)
{
	/* a kfunc's number may be a helper's as well */
	int32_t id = j->p->insns[i].src_reg ? BPF_FUNC_unspec : j->p->insns[i].imm;
	uintptr_t direct = jit_map_function(j, i, id);
	uint32_t slow, done;

	if (direct && id != BPF_FUNC_map_peek_elem) {
		/* A lock or a listener: the helper deals with them. */
		load(j, 3, T0, 0, offsetof(struct map, shared));
		load(j, 2, T0, T0, offsetof(struct map_shared, hooks));
		slow = ahead(j, A64_CBNZ(false, T0));
		call_for_r0(j, direct);
		done = ahead(j, A64_B);
		here(j, slow);
		call_helper(j, (uintptr_t)j->ins[i].fn);
		here(j, done);
	} else if (direct)
		call_for_r0(j, direct);
	else if (id == BPF_FUNC_loop && jit_loop_callback(j, i))
		loop(j, jit_loop_callback(j, i));
	else if (!a64_inline_helper(j, id))
		call_helper(j, (uintptr_t)j->ins[i].fn);
}

static void lookup(struct jit *j, uint32_t i)
{
	struct map_inline in;
	struct map like;
	const struct map *m = jit_lookup_map(j, i, &like, &in);

	if (in.slots)
		a64_inline_object(j, m, &in);
	else if (a64_can_inline(&in))
		a64_inline_lookup(j, m, &in);
	else if (m)
		call_for_r0(j, (uintptr_t)(in.lookup ? in.lookup : m->ops->lookup));
	else
		call_helper(j, (uintptr_t)helper_map_lookup_elem);
}

static void call_local(struct jit *j, uint32_t i)
{
	uint32_t to = j->at[(int64_t)i + 1 + j->ins[i].imm], deep;

	/* The verifier bounds the depth; without it (tests) somebody must. */
	if (!j->p->aux) {
		load(j, 2, T0, REG_VC, VC(depth));
		add_imm(j, false, T0, T0, 1);
		store(j, 2, T0, REG_VC, VC(depth));
		cmp_imm(j, false, T0, VM_FRAMES);
		deep = ahead(j, A64_B_IF(CC_LO));
		jit_emit_dead(j);
		here(j, deep);
	}
	call_code(j, to);
	mov_rr(j, true, REG_R0, 0);
	if (!j->p->aux) {
		load(j, 2, T0, REG_VC, VC(depth));
		add_imm(j, false, T0, T0, -1);
		store(j, 2, T0, REG_VC, VC(depth));
	}
}

static void tail_call(struct jit *j)
{
	uint32_t none;

	mov_rr(j, true, 0, REG_VC);
	a64_call(j, j->func ? (uintptr_t)jit_tail_call_nested : (uintptr_t)jit_tail_call);
	none = ahead(j, A64_CBZ(true, 0));
	if (j->func) {
		mov_rr(j, true, 0, 1);
		a64_leave(j);
		e32(j, A64_RET);
	} else {
		mov_rr(j, true, REG_IP, 0);
		load(j, 3, 0, REG_VC, VC(ctx));
		a64_leave(j);
		e32(j, A64_BR(REG_IP));
	}
	here(j, none);
}

/* A classic packet load: R0, or the function returns 0. */
static void load_packet(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];
	const bool indirect = op >= OP_ld_ind8;
	uint32_t found;

	if (indirect) {
		/* 32 bits, then signed */
		add_imm(j, false, 1, a64_regs[ic->src], ic->imm);
		bits(j, true, true, 1, 1, 0, 31);
	} else {
		mov_imm(j, true, 1, (uint64_t)(int64_t)ic->imm);
	}
	mov_imm(j, false, 2, 1u << (op - (indirect ? OP_ld_ind8 : OP_ld_abs8)));
	mov_rr(j, true, 0, REG_VC);
	call_for_r0(j, (uintptr_t)vm_load_packet);
	found = ahead(j, A64_TBZ(63, 0)); /* not negative */
	mov_imm(j, false, 0, 0);
	a64_leave(j);
	e32(j, A64_RET);
	here(j, found);
}

static void context_pointer(struct jit *j, uint32_t i, int32_t member)
{
	uint8_t dst = a64_regs[j->ins[i].dst];

	load(j, 3, dst, REG_VC, VC(env));
	load(j, 3, dst, dst, member);
}

bool a64_calls(struct jit *j, uint32_t i)
{
	switch (j->ops[i]) {
	case OP_call:
		helper(j, i);
		return true;
	case OP_call_lookup:
		lookup(j, i);
		return true;
	case OP_call_local:
		call_local(j, i);
		return true;
	case OP_tail_call:
		tail_call(j);
		return true;
	case OP_ld_abs8 ... OP_ld_ind32:
		load_packet(j, i);
		return true;
	case OP_ctx_pkt:
		context_pointer(j, i, offsetof(struct vm_env, pkt));
		return true;
	case OP_ctx_pkt_meta:
		context_pointer(j, i, offsetof(struct vm_env, pkt_meta));
		return true;
	case OP_ctx_pkt_end:
		context_pointer(j, i, offsetof(struct vm_env, pkt_end));
		return true;
	}
	return false;
}
