/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter's steps: one label per operation (enum interp_op), each
 * ending in a jump to the next one's label.
 *
 * Memory is touched as the kernel's interpreter does: every access of a
 * program is one load or store of its size (volatile), so that aligned values
 * of up to 8 bytes are never torn for other threads and processes. What a
 * verified program may address is valid memory; if not, the fault ends the run
 * (base/guard.h).
 */
#include "vm/interp.h"
#include "vm/packet.h"

#include <byteswap.h>
#include <endian.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/helpers.h"
#include "vm/jit.h"

/* Programs may do unaligned accesses of packets and stacks. */
struct mem8 {
	uint8_t v;
} __attribute__((packed, may_alias));
struct mem16 {
	uint16_t v;
} __attribute__((packed, may_alias));
struct mem32 {
	uint32_t v;
} __attribute__((packed, may_alias));
struct mem64 {
	uint64_t v;
} __attribute__((packed, may_alias));

#define MEM(bits, addr) (((volatile struct mem##bits *)(uintptr_t)(addr))->v)

/* a and b are the operands, of type T (unsigned) and S (signed). */
#define SHIFT_MASK (sizeof(T) * 8 - 1)
#define E_add (a + b)
#define E_sub (a - b)
#define E_mul (a * b)
#define E_div (b ? a / b : 0)
#define E_mod (b ? a % b : a)
/* -1 apart: the smallest number divided by it traps. */
#define E_sdiv (!b ? 0 : b == (T)-1 ? (T)0 - a : (T)((S)a / (S)b))
#define E_smod (!b ? a : b == (T)-1 ? 0 : (T)((S)a % (S)b))
#define E_or (a | b)
#define E_and (a & b)
#define E_xor (a ^ b)
#define E_lsh (a << (b & SHIFT_MASK))
#define E_rsh (a >> (b & SHIFT_MASK))
#define E_arsh ((T)((S)a >> (b & SHIFT_MASK)))
#define E_mov ((void)a, b)

#define C_jeq (a == b)
#define C_jne (a != b)
#define C_jgt (a > b)
#define C_jge (a >= b)
#define C_jlt (a < b)
#define C_jle (a <= b)
#define C_jset (a & b)
#define C_jsgt ((S)a > (S)b)
#define C_jsge ((S)a >= (S)b)
#define C_jslt ((S)a < (S)b)
#define C_jsle ((S)a <= (S)b)

#define DST r[ip->dst]
#define SRC r[ip->src]
#define DISPATCH goto * ip->op
#define NEXT                                                                                       \
	do {                                                                                       \
		ip++;                                                                              \
		DISPATCH;                                                                          \
	} while (0)

#define ALU_STEP(label, bits, expr, operand)                                                       \
	label : {                                                                                  \
		typedef uint##bits##_t T;                                                          \
		typedef int##bits##_t S __attribute__((unused));                                   \
		T a = (T)DST, b = (T)(operand);                                                    \
		DST = (T)(expr);                                                                   \
		NEXT;                                                                              \
	}
#define ALU_STEPS(op)                                                                              \
	ALU_STEP(L_##op##64_x, 64, E_##op, SRC)                                                    \
	ALU_STEP(L_##op##64_k, 64, E_##op, (int64_t)ip->imm)                                       \
	ALU_STEP(L_##op##32_x, 32, E_##op, SRC)                                                    \
	ALU_STEP(L_##op##32_k, 32, E_##op, ip->imm)

#define JMP_STEP(label, bits, cond, operand)                                                       \
	label : {                                                                                  \
		typedef uint##bits##_t T;                                                          \
		typedef int##bits##_t S __attribute__((unused));                                   \
		T a = (T)DST, b = (T)(operand);                                                    \
		if (cond)                                                                          \
			ip += ip->off;                                                             \
		NEXT;                                                                              \
	}
#define JMP_STEPS(op)                                                                              \
	JMP_STEP(L_##op##64_x, 64, C_##op, SRC)                                                    \
	JMP_STEP(L_##op##64_k, 64, C_##op, (int64_t)ip->imm)                                       \
	JMP_STEP(L_##op##32_x, 32, C_##op, SRC)                                                    \
	JMP_STEP(L_##op##32_k, 32, C_##op, ip->imm)

/* Without fetch the kernel's are relaxed, with fetch fully ordered; so here: the fence is for
 * machines on which what follows may pass the store. */
#define ATOMIC_STEP(op, bits)                                                                      \
	L_atomic_##op##bits                                                                        \
	    : fetch_##op##_relaxed((uint##bits##_t *)(DST + ip->off), (uint##bits##_t)SRC);        \
	NEXT;                                                                                      \
	L_fetch_##op##bits                                                                         \
	    : SRC = fetch_##op##_seq_cst((uint##bits##_t *)(DST + ip->off), (uint##bits##_t)SRC);  \
	fence_after_rmw();                                                                         \
	NEXT;
#define ATOMIC_STEPS(op) ATOMIC_STEP(op, 32) ATOMIC_STEP(op, 64)

#define XCHG_STEPS(bits)                                                                           \
	L_xchg##bits                                                                               \
	    : SRC = exchange_seq_cst((uint##bits##_t *)(DST + ip->off), (uint##bits##_t)SRC);      \
	fence_after_rmw();                                                                         \
	NEXT;                                                                                      \
	L_cmpxchg##bits:                                                                           \
	{                                                                                          \
		uint##bits##_t old = (uint##bits##_t)r[0];                                         \
		cas_seq_cst((uint##bits##_t *)(DST + ip->off), &old, (uint##bits##_t)SRC);         \
		fence_after_rmw();                                                                 \
		r[0] = old;                                                                        \
		NEXT;                                                                              \
	}

#define MEM_STEPS(bits)                                                                            \
	L_ldx##bits : DST = MEM(bits, SRC + ip->off);                                              \
	NEXT;                                                                                      \
	L_stx##bits : MEM(bits, DST + ip->off) = (uint##bits##_t)SRC;                              \
	NEXT;                                                                                      \
	L_st##bits : MEM(bits, DST + ip->off) = (uint##bits##_t)(int64_t)ip->imm;                  \
	NEXT;                                                                                      \
	L_probe##bits:                                                                             \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		DST = uaccess_copy(&v, (void *)(SRC + ip->off), sizeof(v)) ? 0 : v;                \
		NEXT;                                                                              \
	}                                                                                          \
	L_load_acq##bits : DST = load_acquire((uint##bits##_t *)(SRC + ip->off));                  \
	NEXT;                                                                                      \
	L_store_rel##bits : store_release((uint##bits##_t *)(DST + ip->off), (uint##bits##_t)SRC); \
	NEXT;

#define MEMSX_STEPS(bits)                                                                          \
	L_ldsx##bits : DST = (uint64_t)(int64_t)(int##bits##_t)MEM(bits, SRC + ip->off);           \
	NEXT;                                                                                      \
	L_probesx##bits:                                                                           \
	{                                                                                          \
		int##bits##_t v;                                                                   \
		DST = uaccess_copy(&v, (void *)(SRC + ip->off), sizeof(v)) ? 0                     \
									   : (uint64_t)(int64_t)v; \
		NEXT;                                                                              \
	}

/* Classic packet loads: big endian, and a miss ends the program with 0. */
#define LD_STEPS(bits, swap)                                                                       \
	L_ld_abs##bits : pkt_off = ip->imm;                                                        \
	goto do_ld##bits;                                                                          \
	L_ld_ind##bits : pkt_off = (int64_t)(int32_t)((uint32_t)SRC + (uint32_t)ip->imm);          \
	do_ld##bits:                                                                               \
	{                                                                                          \
		const struct vm_env *env = vc->env;                                                \
		uint##bits##_t v;                                                                  \
		if (pkt_off < 0 || !env->pkt ||                                                    \
		    pkt_off + (int64_t)sizeof(v) > env->pkt_end - env->pkt) {                      \
			/* below the packet, from its headers on */                                \
			int64_t below = packet_load(env, (int32_t)pkt_off, sizeof(v));             \
                                                                                                   \
			r[0] = below < 0 ? 0 : (uint64_t)below;                                    \
			if (below < 0)                                                             \
				goto L_exit;                                                       \
			NEXT;                                                                      \
		}                                                                                  \
		memcpy(&v, env->pkt + pkt_off, sizeof(v));                                         \
		r[0] = swap(v);                                                                    \
		NEXT;                                                                              \
	}
#define same8(v) (v)

/* Filled by interp_exec(NULL): only that function can name its labels. */
static const void *const *label_table;

/* TSan: the accesses above are the program's own business. */
__attribute__((noinline, no_sanitize("thread"))) uint64_t
interp_exec(struct vm_context *vc, const struct icode *ip, uint64_t r1, uint64_t r2, uint64_t r3,
	    uint64_t r4, uint64_t r5)
{
	static const void *const labels[OP_COUNT] = {
#define O(name) [OP_##name] = &&L_##name,
		INTERP_OPS
#undef O
	};
	uint64_t r[11];
	uint32_t base;
	int64_t pkt_off;

	if (!vc) {
		store_release(&label_table, labels);
		return 0;
	}
	base = vc->depth;
	r[1] = r1;
	r[2] = r2;
	r[3] = r3;
	r[4] = r4;
	r[5] = r5;
	r[10] = (uintptr_t)vc->space->stack + (base + 1) * VM_FRAME_STACK;
	DISPATCH;

	INTERP_ALU(ALU_STEPS)
	INTERP_JMP(JMP_STEPS)
	INTERP_ATOMIC(ATOMIC_STEPS)
	XCHG_STEPS(32)
	XCHG_STEPS(64)
	MEM_STEPS(8)
	MEM_STEPS(16)
	MEM_STEPS(32)
	MEM_STEPS(64)
	MEMSX_STEPS(8)
	MEMSX_STEPS(16)
	MEMSX_STEPS(32)
	LD_STEPS(8, same8)
	LD_STEPS(16, be16toh)
	LD_STEPS(32, be32toh)

L_neg64:
	DST = -DST;
	NEXT;
L_neg32:
	DST = (uint32_t)-DST;
	NEXT;
L_movsx64_8:
	DST = (uint64_t)(int64_t)(int8_t)SRC;
	NEXT;
L_movsx64_16:
	DST = (uint64_t)(int64_t)(int16_t)SRC;
	NEXT;
L_movsx64_32:
	DST = (uint64_t)(int64_t)(int32_t)SRC;
	NEXT;
L_movsx32_8:
	DST = (uint32_t)(int32_t)(int8_t)SRC;
	NEXT;
L_movsx32_16:
	DST = (uint32_t)(int32_t)(int16_t)SRC;
	NEXT;
L_zext16:
	DST = (uint16_t)DST;
	NEXT;
L_zext32:
	DST = (uint32_t)DST;
	NEXT;
L_swap16:
	DST = bswap_16((uint16_t)DST);
	NEXT;
L_swap32:
	DST = bswap_32((uint32_t)DST);
	NEXT;
L_swap64:
	DST = bswap_64(DST);
	NEXT;
L_nop:
	NEXT;
L_ja:
	ip += ip->off;
	NEXT;
L_jal:
	ip += ip->imm;
	NEXT;
L_may_goto:
	if (unlikely(vc->loops++ >= VM_LOOPS_MAX))
		ip += ip->off;
	NEXT;
L_ld_imm64:
	DST = ip[1].imm64;
	ip++;
	NEXT;
L_ctx_pkt:
	DST = (uintptr_t)vc->env->pkt;
	NEXT;
L_ctx_pkt_end:
	DST = (uintptr_t)vc->env->pkt_end;
	NEXT;
L_ctx_pkt_meta:
	DST = (uintptr_t)vc->env->pkt_meta;
	NEXT;
L_stx_below:
	if (SRC < UINT16_MAX)
		*(volatile uint16_t *)(uintptr_t)(DST + ip->off) = (uint16_t)SRC;
	NEXT;

L_call:
	r[0] = ip->fn(r[1], r[2], r[3], r[4], r[5], vc);
	NEXT;
L_call_lookup : {
	struct map *m = (struct map *)(uintptr_t)r[1];

	r[0] = (uintptr_t)m->ops->lookup(m, (const void *)(uintptr_t)r[2]);
	NEXT;
}
	/*
	 * Pairs and triples that compilers make all the time, done in one step
	 * (interp_decode.c finds them). Each of their instructions keeps its own
	 * slot and label, for jumps that lead there.
	 */
L_lea: /* dst = src; dst += K */
	DST = SRC + (uint64_t)(int64_t)ip[1].imm;
	ip++;
	NEXT;
L_add_jne : { /* dst += K; if dst != K2 goto */
	uint64_t v = DST + (uint64_t)(int64_t)ip->imm;

	DST = v;
	ip++;
	if (v != (uint64_t)(int64_t)ip->imm)
		ip += ip->off;
	NEXT;
}
L_add_jlt : { /* dst += K; if dst < K2 goto */
	uint64_t v = DST + (uint64_t)(int64_t)ip->imm;

	DST = v;
	ip++;
	if (v < (uint64_t)(int64_t)ip->imm)
		ip += ip->off;
	NEXT;
}
L_inc32 : { /* dst = *(u32 *)(src + off); dst += K; *(u32 *)(src + off) = dst */
	uint64_t at = SRC + ip->off, v = MEM(32, at) + (uint64_t)(int64_t)ip[1].imm;

	MEM(32, at) = (uint32_t)v;
	DST = v;
	ip += 2;
	NEXT;
}
L_inc64 : {
	uint64_t at = SRC + ip->off, v = MEM(64, at) + (uint64_t)(int64_t)ip[1].imm;

	MEM(64, at) = v;
	DST = v;
	ip += 2;
	NEXT;
}
L_lookup_jeq : { /* r0 = lookup; if r0 == 0 goto */
	struct map *m = (struct map *)(uintptr_t)r[1];

	r[0] = (uintptr_t)m->ops->lookup(m, (const void *)(uintptr_t)r[2]);
	ip++;
	if (!r[0])
		ip += ip->off;
	NEXT;
}
L_lookup_jne : {
	struct map *m = (struct map *)(uintptr_t)r[1];

	r[0] = (uintptr_t)m->ops->lookup(m, (const void *)(uintptr_t)r[2]);
	ip++;
	if (r[0])
		ip += ip->off;
	NEXT;
}
L_call_local : {
	struct vm_frame *f;

	if (unlikely(vc->depth + 1 >= VM_FRAMES))
		interp_abort(vc, -EFAULT);
	f = &vc->space->frames[vc->depth++];
	f->ret = ip + 1;
	f->r6 = r[6];
	f->r7 = r[7];
	f->r8 = r[8];
	f->r9 = r[9];
	r[10] += VM_FRAME_STACK;
	ip += ip->imm;
	NEXT;
}
L_tail_call : {
	if (unlikely(vc->depth)) { /* out of a function: to return to its caller */
		if (!vm_tail_call_nested(vc, r[2], (uint32_t)r[3], &r[0]))
			NEXT;
		goto L_exit;
	}
	const struct vm_code *to = vm_tail_call(vc, r[2], (uint32_t)r[3]);

	if (!to)
		NEXT;
	if (to->jit) {
		r[0] = jit_call(vc, to->jit->code, (uintptr_t)vc->ctx, 0, 0, 0);
		goto L_exit;
	}
	begin_stack(vc, vc->prog);
	ip = &to->ins[0];
	DISPATCH;
}
L_exit:
	if (vc->depth != base) {
		struct vm_frame *f = &vc->space->frames[--vc->depth];

		ip = f->ret;
		r[6] = f->r6;
		r[7] = f->r7;
		r[8] = f->r8;
		r[9] = f->r9;
		r[10] -= VM_FRAME_STACK;
		DISPATCH;
	}
	return r[0];
L_bad:
	interp_abort(vc, -EFAULT);
}

const void *interp_label(enum interp_op op)
{
	if (!load_acquire(&label_table))
		interp_exec(NULL, NULL, 0, 0, 0, 0, 0);
	return label_table[op];
}
