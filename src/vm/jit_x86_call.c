/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: calls of helpers, of map operations, of functions and of other programs. */
#include "vm/jit_x86.h"

#if VM_HAVE_JIT

#include "base/errors.h"
#include "map/change.h"
#include "vm/helpers.h"
#include "vm/jit_x86_call.h"
#include "vm/verifier.h"

#define VC(member) ((int32_t)offsetof(struct vm_context, member))

static void call_helper(struct jit *j, uintptr_t fn)
{
	mov_rr(j, true, R9, REG_VC);
	x86_call(j, fn);
}

/*
 * bpf_loop() of a callback that is known: rbx counts up to r13, r14 is the context. What the
 * function keeps in these registers is on the stack meanwhile.
 */
static void loop(struct jit *j, uint32_t callback)
{
	static const uint8_t regs[] = {RBX, R13, R14, RAX}; /* the last for alignment */
	uint32_t flags, many, again, done;

	mov_imm(j, RAX, (uint64_t)-EINVAL);
	op_rr(j, true, X86_TEST, RCX, RCX);
	flags = short_jump(j, JCC8(CC_NE));
	mov_imm(j, RAX, (uint64_t)-E2BIG);
	op_imm(j, false, X86_CMP, RDI, VM_LOOPS_MAX);
	many = short_jump(j, JCC8(CC_A));
	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		push(j, regs[i]);
	mov_rr(j, false, R13, RDI);
	mov_rr(j, true, R14, RDX);
	op_rr(j, false, X86_XOR, RBX, RBX);
	again = j->pos;
	op_rr(j, false, X86_CMP, R13, RBX);
	done = short_jump(j, JCC8(CC_AE));
	mov_rr(j, false, RDI, RBX);
	mov_rr(j, true, RSI, R14);
	e8(j, 0xe8);
	e32(j, j->at[callback] - (j->pos + 4));
	op_imm(j, false, X86_ADD, RBX, 1);
	op_rr(j, true, X86_TEST, RAX, RAX);
	e8(j, JCC8(CC_E));
	e8(j, (uint8_t)(again - (j->pos + 1)));
	here(j, done);
	mov_rr(j, false, R11, RBX);
	for (unsigned int i = ARRAY_SIZE(regs); i-- > 0;)
		pop(j, regs[i]);
	mov_rr(j, true, RAX, R11);
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
		op_mem(j, true, X86_LOAD, R10, RDI, offsetof(struct map, shared));
		/* test byte [r10 + ..], .. */
		op_mem(j, false, 0xf6, 0, R10, offsetof(struct map_shared, hooks));
		e8(j, MAP_LOCKS | MAP_WATCHED);
		slow = short_jump(j, JCC8(CC_NE));
		x86_call(j, direct);
		done = short_jump(j, JMP8);
		here(j, slow);
		call_helper(j, (uintptr_t)j->ins[i].fn);
		here(j, done);
		return;
	}
	if (direct) {
		x86_call(j, direct);
		return;
	}
	if (id == BPF_FUNC_loop && jit_loop_callback(j, i)) {
		loop(j, jit_loop_callback(j, i));
		return;
	}
	if (x86_inline_helper(j, id))
		return;
	switch (id) {
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_get_prandom_u32:
		x86_call(j, (uintptr_t)j->ins[i].fn);
		return;
	}
	call_helper(j, (uintptr_t)j->ins[i].fn);
}

static void lookup(struct jit *j, uint32_t i)
{
	struct map_inline in;
	struct map like;
	const struct map *m = jit_lookup_map(j, i, &like, &in);

	if (x86_can_inline_object(&in))
		x86_inline_object(j, m, &in);
	else if (x86_can_inline(&in))
		x86_inline_lookup(j, m, m != &like, &in);
	else if (m)
		x86_call(j, (uintptr_t)(in.lookup ? in.lookup : m->ops->lookup));
	else
		call_helper(j, (uintptr_t)helper_map_lookup_elem);
}

/* A lookup follows, whose code has the map's address in it, and nobody has R1 after a call. */
bool x86_map_unneeded(const struct jit *j, uint32_t i)
{
	struct map_inline in;
	struct map like;
	const struct map *m;

	if (j->ins[i].dst != BPF_REG_1 || i + 2 >= j->cnt || j->ops[i + 2] != OP_call_lookup ||
	    j->flags[i + 2])
		return false;
	m = jit_lookup_map(j, i + 2, &like, &in);
	return m && m != &like && (uintptr_t)m == j->ins[i + 1].imm64 &&
	       (x86_can_inline_object(&in) || x86_can_inline(&in));
}

static void call_local(struct jit *j, uint32_t i)
{
	uint32_t to = j->at[(int64_t)i + 1 + j->ins[i].imm], deep;

	/* The verifier bounds the depth; without it (tests) somebody must. */
	if (!j->p->aux) {
		op_mem(j, false, 0xff, 0, REG_VC, VC(depth));
		op_mem(j, false, 0x83, 7, REG_VC, VC(depth));
		e8(j, VM_FRAMES);
		deep = short_jump(j, JCC8(CC_B));
		jit_emit_dead(j);
		here(j, deep);
	}
	e8(j, 0xe8);
	e32(j, to - (j->pos + 4));
	if (!j->p->aux)
		op_mem(j, false, 0xff, 1, REG_VC, VC(depth));
}

static void tail_call(struct jit *j)
{
	uint32_t none;

	mov_rr(j, true, RDI, REG_VC);
	x86_call(j, j->func ? (uintptr_t)jit_tail_call_nested : (uintptr_t)jit_tail_call);
	op_rr(j, true, X86_TEST, RAX, RAX);
	none = short_jump(j, JCC8(CC_E));
	if (j->func) {
		mov_rr(j, true, RAX, RDX);
		x86_leave(j);
		e8(j, 0xc3);
	} else {
		op_mem(j, true, X86_LOAD, RDI, REG_VC, VC(ctx));
		x86_leave(j);
		e8(j, 0xff); /* jmp *rax */
		e8(j, 0xe0);
	}
	here(j, none);
}

/* A classic packet load: R0, or the function returns 0. */
static void load_packet(struct jit *j, uint32_t i)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];
	bool indirect = op >= OP_ld_ind8;
	uint32_t found;

	if (indirect) {
		/* 32 bits, then signed */
		mov_rr(j, false, RSI, x86_regs[ic->src]);
		op_imm(j, false, X86_ADD, RSI, ic->imm);
		op_rr(j, true, 0x63, RSI, RSI);
	} else {
		mov_imm(j, RSI, (uint64_t)(int64_t)ic->imm);
	}
	mov_imm(j, RDX, 1u << (op - (indirect ? OP_ld_ind8 : OP_ld_abs8)));
	mov_rr(j, true, RDI, REG_VC);
	x86_call(j, (uintptr_t)vm_load_packet);
	op_rr(j, true, X86_TEST, RAX, RAX);
	found = short_jump(j, JCC8(0x9)); /* not negative */
	mov_imm(j, RAX, 0);
	x86_leave(j);
	e8(j, 0xc3);
	here(j, found);
}

static void context_pointer(struct jit *j, uint32_t i, int32_t member)
{
	uint8_t dst = x86_regs[j->ins[i].dst];

	op_mem(j, true, X86_LOAD, dst, REG_VC, VC(env));
	op_mem(j, true, X86_LOAD, dst, dst, member);
}

bool x86_calls(struct jit *j, uint32_t i)
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

#endif
