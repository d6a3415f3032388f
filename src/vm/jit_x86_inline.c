/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: lookups in array maps, and small helpers, without a call. */
#include <linux/futex.h>

#include "vm/jit_x86.h"

#if VM_HAVE_JIT

#include "map/objref.h"
#include "vm/helpers.h"
#include "vm/jit_x86_call.h"

#define BASE_OFF ((int32_t)offsetof(struct map, obj.base))

/* reg *= by; by is not 0. */
static void scale(struct jit *j, uint8_t reg, uint32_t by)
{
	if (!(by & (by - 1))) {
		if (by > 1)
			shift_imm(j, true, 4, reg, (uint8_t)__builtin_ctz(by));
		return;
	}
	rex(j, true, reg, reg);
	e8(j, is_imm8(by) ? 0x6b : 0x69);
	e8(j, 0xc0 | (reg & 7) << 3 | (reg & 7));
	if (is_imm8(by))
		e8(j, (uint8_t)by);
	else
		e32(j, by);
}

/* test byte [base + index + disp], the owner's death */
static void test_died(struct jit *j, uint8_t base, uint8_t index, int32_t disp)
{
	e8(j, 0x40 | (index >> 3) << 1 | base >> 3);
	e8(j, 0xf6);
	e8(j, 0x84);
	e8(j, (index & 7) << 3 | (base & 7));
	e32(j, (uint32_t)(disp + 3));
	e8(j, FUTEX_OWNER_DIED >> 24);
}

/* The whole lookup by a call. Where the map is known its address may not be in R1 yet. */
static void call_lookup(struct jit *j, const struct map *m, bool known)
{
	if (known)
		mov_imm(j, RDI, (uintptr_t)m);
	x86_call(j, (uintptr_t)m->ops->lookup);
}

/* If so: a call, and then *done. */
static uint32_t call_if_died(struct jit *j, const struct map *m, bool known)
{
	uint32_t fine = short_jump(j, JCC8(CC_E)), done;

	call_lookup(j, m, known);
	done = short_jump(j, JMP8);
	here(j, fine);
	return done;
}

bool x86_can_inline(const struct map_inline *in)
{
	return in->max && in->stride <= INT32_MAX && in->cpu_stride <= INT32_MAX &&
	       in->guard_off < INT32_MAX - 4 && in->guard_stride <= INT32_MAX &&
	       in->guard_mask <= INT32_MAX && in->cpu_guard_off < INT32_MAX - 4 &&
	       in->cpu_guard_stride <= INT32_MAX && in->cpus <= INT32_MAX;
}

/*
 * R0 = the value of the key at R2 in m, or, known false, in the map at R1, which is like m.
 * r10 has the index, r11 the base.
 */
void x86_inline_lookup(struct jit *j, const struct map *m, bool known, const struct map_inline *in)
{
	uint32_t out[2], done[2], outs = 0, dones = 0;

	op_mem(j, false, X86_LOAD, R10, RSI, 0);
	mov_imm(j, RAX, 0);
	op_imm(j, false, X86_CMP, R10, (int32_t)in->max);
	out[outs++] = short_jump(j, JCC8(CC_AE));
	if (known)
		mov_imm(j, R11, (uintptr_t)m->obj.base);
	else
		op_mem(j, true, X86_LOAD, R11, RDI, BASE_OFF);
	if (in->guard_off) {
		if (in->guard_mask) {
			mov_rr(j, false, R9, R10);
			op_imm(j, false, X86_AND, R9, (int32_t)in->guard_mask);
			scale(j, R9, in->guard_stride);
			test_died(j, R11, R9, (int32_t)in->guard_off);
		} else {
			op_mem(j, false, 0xf6, 0, R11, (int32_t)in->guard_off + 3);
			e8(j, FUTEX_OWNER_DIED >> 24);
		}
		done[dones++] = call_if_died(j, m, known);
	}
	if (in->cpus) {
		j->cpu = true;
		op_mem(j, false, X86_LOAD, R9, REG_VC, offsetof(struct vm_context, cpu));
		op_imm(j, false, X86_CMP, R9, (int32_t)in->cpus);
		out[outs++] = short_jump(j, JCC8(CC_AE));
		if (in->cpu_guard_off) {
			mov_rr(j, true, RAX, R9);
			scale(j, RAX, (uint32_t)in->cpu_guard_stride);
			test_died(j, R11, RAX, (int32_t)in->cpu_guard_off);
			done[dones++] = call_if_died(j, m, known);
		}
		scale(j, R9, (uint32_t)in->cpu_stride);
		op_rr(j, true, X86_ADD, R9, R11);
	}
	if (in->stride == 8) {
		/* lea rax, [r11 + r10 * 8] */
		e8(j, 0x4b);
		e8(j, 0x8d);
		e8(j, 0x04);
		e8(j, 0xc0 | (R10 & 7) << 3 | (R11 & 7));
	} else {
		scale(j, R10, in->stride);
		/* lea rax, [r11 + r10] */
		e8(j, 0x4b);
		e8(j, 0x8d);
		e8(j, 0x04);
		e8(j, (R10 & 7) << 3 | (R11 & 7));
	}
	while (outs)
		here(j, out[--outs]);
	while (dones)
		here(j, done[--dones]);
}

bool x86_can_inline_object(const struct map_inline *in)
{
	return in->slots && in->slots <= INT32_MAX && in->slots_off <= INT32_MAX;
}

/* objref_lookup(): loads are in order on this machine, as that wants them. The words and the
 * table stay where they are. */
void x86_inline_object(struct jit *j, const struct map *m, const struct map_inline *in)
{
	const struct objref_local *l = m->slots;
	const uint32_t *watch = jit_watch_word(j);
	uint32_t beyond, other, done, watched = 0;

	if (watch) {
		mov_imm(j, R11, (uintptr_t)watch);
		op_mem(j, false, 0x83, 7, R11, 0); /* cmp dword [r11], .. */
		e8(j, 0);
		watched = short_jump(j, JCC8(CC_NE));
	}
	op_mem(j, false, X86_LOAD, R10, RSI, 0);
	mov_imm(j, RAX, 0);
	op_imm(j, false, X86_CMP, R10, (int32_t)in->slots);
	beyond = short_jump(j, JCC8(CC_AE));
	mov_imm(j, R11, (uintptr_t)m->obj.base + in->slots_off);
	/* mov r11, [r11 + r10 * 8] */
	e8(j, 0x4f);
	e8(j, X86_LOAD);
	e8(j, 0x1c);
	e8(j, 0xc0 | (R10 & 7) << 3 | (R11 & 7));
	if (in->slots > l->room)
		op_imm(j, false, X86_AND, R10, (int32_t)l->mask);
	shift_imm(j, false, 4, R10, OBJREF_PLACE_SHIFT);
	mov_imm(j, R9, (uintptr_t)l->table);
	op_rr(j, true, X86_ADD, R9, R10);
	op_mem(j, true, X86_CMP, R11, R10, offsetof(struct objref_place, word));
	other = short_jump(j, JCC8(CC_NE));
	op_mem(j, true, X86_LOAD, RAX, R10, offsetof(struct objref_place, copy));
	op_mem(j, true, X86_CMP, R11, R10, offsetof(struct objref_place, word));
	done = short_jump(j, JCC8(CC_E));
	here(j, other);
	if (watch)
		here(j, watched);
	call_lookup(j, m, true);
	here(j, done);
	here(j, beyond);
}

/* Helpers of a few instructions. */
bool x86_inline_helper(struct jit *j, int32_t id)
{
	uint32_t known;

	switch (id) {
	case BPF_FUNC_get_current_task:
	case BPF_FUNC_get_current_task_btf:
		op_mem(j, true, X86_LOAD, RAX, REG_VC, offsetof(struct vm_context, task));
		op_rr(j, true, X86_TEST, RAX, RAX);
		known = short_jump(j, JCC8(CC_NE));
		mov_rr(j, true, R9, REG_VC);
		x86_call(j, (uintptr_t)helper_get_current_task_btf);
		here(j, known);
		return true;
	case BPF_FUNC_get_smp_processor_id:
		/* (without a lease it is 0) */
		j->cpu = true;
		mov_imm(j, RAX, 0);
		op_mem(j, false, X86_LOAD, R10, REG_VC, offsetof(struct vm_context, cpu));
		op_rr(j, false, X86_TEST, R10, R10);
		op0f_rr(j, false, 0x49, RAX, R10); /* cmovns */
		return true;
	case BPF_FUNC_get_current_pid_tgid:
		op_mem(j, true, X86_LOAD, RAX, REG_VC, offsetof(struct vm_context, env));
		op_mem(j, true, X86_LOAD, RAX, RAX, offsetof(struct vm_env, pid));
		op_rr(j, false, X86_TEST, RAX, RAX);
		known = short_jump(j, JCC8(CC_NE));
		mov_rr(j, true, R9, REG_VC);
		x86_call(j, (uintptr_t)helper_get_current_pid_tgid);
		here(j, known);
		return true;
	}
	return false;
}

_Static_assert(offsetof(struct vm_env, tgid) == offsetof(struct vm_env, pid) + 4,
	       "one load of 8 bytes");

#endif
