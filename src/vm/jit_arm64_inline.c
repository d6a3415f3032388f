/* SPDX-License-Identifier: BSD-2-Clause */
/* arm64: lookups in array maps, and small helpers, without a call. */
#include <linux/futex.h>

#include "vm/jit_arm64.h"

#include "map/objref.h"
#include "vm/helpers.h"

#define BASE_OFF ((int32_t)offsetof(struct map, obj.base))
#define DIED_BIT 30

_Static_assert(FUTEX_OWNER_DIED == 1u << DIED_BIT, "the bit that is tested");

bool a64_can_inline(const struct map_inline *in)
{
	return in->max && in->guard_off <= INT32_MAX && in->cpu_guard_off <= INT32_MAX;
}

/* rd = ra + rn * by, 64 bits of each; through x12. */
static void scaled(struct jit *j, uint8_t rd, uint8_t ra, uint8_t rn, uint64_t by)
{
	if (by && !(by & (by - 1))) {
		e32(j, WIDE(true) | A64_ADD | rn << 16 | (uint32_t)__builtin_ctzll(by) << 10 |
			       ra << 5 | rd);
		return;
	}
	mov_imm(j, true, T3, by);
	madd(j, true, rd, rn, T3, ra);
}

/*
 * Unless the owner of the lock at [at + off] has died: on. Else the whole lookup by a call,
 * and then to the jump returned.
 */
static uint32_t call_if_died(struct jit *j, const struct map *m, uint8_t at, int32_t off)
{
	uint32_t fine, done;

	add_imm(j, true, T2, at, off);
	load(j, 2, T2, T2, 0);
	fine = ahead(j, A64_TBZ(DIED_BIT, T2));
	a64_call(j, (uintptr_t)m->ops->lookup);
	mov_rr(j, true, REG_R0, 0);
	done = ahead(j, A64_B);
	here(j, fine);
	return done;
}

/* R0 = the value of the key at R2 in the map at R1. x9 has the index, x10 the base. */
void a64_inline_lookup(struct jit *j, const struct map *m, const struct map_inline *in)
{
	uint32_t out[2], done[2], outs = 0, dones = 0;

	load(j, 2, T0, 1, 0);
	mov_imm(j, true, REG_R0, 0);
	cmp_imm(j, false, T0, (int32_t)in->max);
	out[outs++] = ahead(j, A64_B_IF(CC_HS));
	load(j, 3, T1, 0, BASE_OFF);
	if (in->guard_off) {
		if (in->guard_mask) {
			logic_imm(j, false, A64_AND, T2, T0, in->guard_mask, T3);
			scaled(j, T2, T1, T2, in->guard_stride);
		}
		done[dones++] =
			call_if_died(j, m, in->guard_mask ? T2 : T1, (int32_t)in->guard_off);
	}
	if (in->cpus) {
		j->cpu = true;
		load(j, 2, T2, REG_VC, offsetof(struct vm_context, cpu));
		cmp_imm(j, false, T2, (int32_t)in->cpus);
		out[outs++] = ahead(j, A64_B_IF(CC_HS));
		if (in->cpu_guard_off) {
			scaled(j, T2, T1, T2, in->cpu_guard_stride);
			done[dones++] = call_if_died(j, m, T2, (int32_t)in->cpu_guard_off);
			load(j, 2, T2, REG_VC, offsetof(struct vm_context, cpu));
		}
		scaled(j, T1, T1, T2, in->cpu_stride);
	}
	scaled(j, REG_R0, T1, T0, in->stride);
	while (outs)
		here(j, out[--outs]);
	while (dones)
		here(j, done[--dones]);
}

/* reg = the word of 4 or 8 bytes at [base], before everything that comes later. */
static void load_acq(struct jit *j, unsigned int n, uint8_t reg, uint8_t base)
{
	e32(j, n << 30 | 0x08dffc00u | base << 5 | reg);
}

/* objref_lookup(): R0 = the object of the key at R2 in the map at R1. */
void a64_inline_object(struct jit *j, const struct map *m, const struct map_inline *in)
{
	const uint32_t *watch = jit_watch_word(j);
	uint32_t beyond, other, done, watched = 0;

	if (watch) {
		mov_imm(j, true, T1, (int64_t)(uintptr_t)watch);
		load(j, 2, T1, T1, 0);
		watched = ahead(j, A64_CBNZ(false, T1));
	}
	load(j, 2, T0, 1, 0);
	mov_imm(j, true, REG_R0, 0);
	cmp_imm(j, false, T0, (int32_t)in->slots);
	beyond = ahead(j, A64_B_IF(CC_HS));
	load(j, 3, T1, 0, BASE_OFF);
	add_imm(j, true, T1, T1, (int64_t)in->slots_off);
	scaled(j, T1, T1, T0, sizeof(uint64_t));
	load_acq(j, 3, T1, T1);
	load(j, 3, T2, 0, offsetof(struct map, slots));
	/* first: with the table's mask comes the table */
	add_imm(j, true, T3, T2, offsetof(struct objref_local, mask));
	load_acq(j, 2, T3, T3);
	op_rrr(j, false, A64_AND, T0, T0, T3);
	load(j, 3, T2, T2, offsetof(struct objref_local, table));
	scaled(j, T2, T2, T0, sizeof(struct objref_place));
	load_acq(j, 3, T3, T2);
	cmp_rr(j, true, T3, T1);
	other = ahead(j, A64_B_IF(CC_NE));
	add_imm(j, true, T3, T2, offsetof(struct objref_place, copy));
	load_acq(j, 3, REG_R0, T3);
	load(j, 3, T3, T2, offsetof(struct objref_place, word));
	cmp_rr(j, true, T3, T1);
	done = ahead(j, A64_B_IF(CC_EQ));
	here(j, other);
	if (watch)
		here(j, watched);
	a64_call(j, (uintptr_t)m->ops->lookup);
	mov_rr(j, true, REG_R0, 0);
	here(j, done);
	here(j, beyond);
}

/* Helpers of a few instructions. */
bool a64_inline_helper(struct jit *j, int32_t id)
{
	uint32_t known;

	switch (id) {
	case BPF_FUNC_get_smp_processor_id:
		/* (without a lease it is 0) */
		j->cpu = true;
		load(j, 2, REG_R0, REG_VC, offsetof(struct vm_context, cpu));
		cmp_imm(j, false, REG_R0, 0);
		/* csel w7, w7, wzr, ge */
		e32(j, 0x1a800000u | ZR << 16 | CC_GE << 12 | REG_R0 << 5 | REG_R0);
		return true;
	case BPF_FUNC_get_current_pid_tgid:
		load(j, 3, REG_R0, REG_VC, offsetof(struct vm_context, env));
		load(j, 3, REG_R0, REG_R0, offsetof(struct vm_env, pid));
		known = ahead(j, A64_CBNZ(false, REG_R0));
		mov_rr(j, true, 5, REG_VC);
		a64_call(j, (uintptr_t)helper_get_current_pid_tgid);
		mov_rr(j, true, REG_R0, 0);
		here(j, known);
		return true;
	}
	return false;
}

_Static_assert(offsetof(struct vm_env, tgid) == offsetof(struct vm_env, pid) + 4,
	       "one load of 8 bytes");
