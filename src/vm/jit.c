/* SPDX-License-Identifier: BSD-2-Clause */
/* Native code: the choice of the engine, the passes, and what a probe load's fault does. */
#include "vm/jit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/helpers.h"
#include "vm/jit_int.h"
#include "vm/packet.h"
#include "vm/verifier.h"

#if defined(__x86_64__)
#define JIT_TRAP 0xcc
#else
#define JIT_TRAP 0
#endif
/* After so many passes jumps that still change their form are all made long. */
#define PASSES_MAX 20
#define JIT_ALIGN 16 /* of functions; JIT_FUNC_TAG needs an even address */

static bool env_is(const char *name, char value)
{
	const char *s = getenv(name);

	return s && s[0] == value && !s[1];
}

bool jit_wanted(const struct vm_prog *p)
{
	static uint32_t chosen; /* 1: no, 2: yes */
	uint32_t c;

	if (!VM_HAVE_JIT)
		return false;
	if (p->engine)
		return p->engine == VM_ENGINE_JIT;
	c = load_relaxed(&chosen);
	if (!c) {
		c = env_is("SHMAP_JIT", '0') ? 1 : 2;
		store_relaxed(&chosen, c);
	}
	return c == 2;
}

const struct jit_image *jit_image_of(struct vm_prog *p)
{
	int err = 0;
	const struct vm_code *code = interp_code(p, &err);

	return code ? code->jit : NULL;
}

int64_t vm_load_packet(const struct vm_context *vc, int64_t off, uint32_t size)
{
	const struct vm_env *env = vc->env;
	uint32_t v = 0;

	/* below the packet, from its headers on */
	if (off < 0 || !env->pkt || off + (int64_t)size > env->pkt_end - env->pkt)
		return packet_load(env, (int32_t)off, size);
	memcpy((uint8_t *)&v + 4 - size, env->pkt + off, size);
	return __builtin_bswap32(v);
}

#if VM_HAVE_JIT

/* ---- what leads where ---- */

/* The instruction that i may jump to, call, or take the address of; -1: none. */
static int64_t leads_to(const struct jit *j, uint32_t i, bool *function)
{
	const struct icode *ic = &j->ins[i];
	uint16_t op = j->ops[i];

	*function = false;
	if ((op >= OP_jeq64_x && op <= OP_jsle32_k) || op == OP_ja || op == OP_may_goto)
		return (int64_t)i + 1 + ic->off;
	if (op == OP_jal)
		return (int64_t)i + 1 + ic->imm;
	if (op == OP_call_local) {
		*function = true;
		return (int64_t)i + 1 + ic->imm;
	}
	if (op == OP_ld_imm64 && j->p->insns[i].src_reg == BPF_PSEUDO_FUNC) {
		*function = true;
		return (const struct icode *)(uintptr_t)j->ins[i + 1].imm64 - j->ins;
	}
	return -1;
}

static int mark(struct jit *j)
{
	bool function, falls = true;
	uint32_t i;
	int64_t to;

	j->flags[0] = JIT_FUNC;
	for (i = 0; i < j->cnt; i++) {
		to = leads_to(j, i, &function);
		if (to >= 0)
			j->flags[to] |= function ? JIT_FUNC : JIT_TARGET;
		if (j->ops[i] == OP_ld_imm64)
			i++;
	}
	/* A run of slots that hold no instruction gets no code, unless something leads
	 * there: then a run that came there would end. */
	for (i = 0; i < j->cnt; i++) {
		uint16_t op = j->ops[i];

		/* (the second slot of a 16-byte load is passed over) */
		if (j->flags[i] & JIT_FUNC) {
			/* the code of a function ends where the next begins */
			if (falls && i)
				return -EOPNOTSUPP;
			j->func_cnt++;
		}
		if (op == OP_bad && !falls && !(j->flags[i] & (JIT_TARGET | JIT_FUNC)))
			j->flags[i] |= JIT_DEAD;
		else
			falls = op != OP_exit && op != OP_ja && op != OP_jal && op != OP_bad;
		if (op == OP_ld_imm64) {
			/* a jump into the middle */
			if (j->flags[i + 1])
				return -EOPNOTSUPP;
			i++;
		}
	}
	j->falls_off = falls;
	return 0;
}

static int find_functions(struct jit *j)
{
	uint32_t i, n = 0;

	j->funcs = calloc(j->func_cnt, sizeof(*j->funcs));
	if (!j->funcs)
		return -ENOMEM;
	for (i = 0; i < j->cnt; i++)
		if (j->flags[i] & JIT_FUNC)
			j->funcs[n++].insn = i;
	return 0;
}

/* ---- the function at hand ---- */

static void function_begin(struct jit *j, uint32_t i)
{
	uint32_t end = j->func + 1 < j->func_cnt ? j->funcs[j->func + 1].insn : j->cnt;

	j->used = 0;
	j->calls = j->falls_off;
	j->returned = false;
	j->depth = j->p->aux ? j->p->aux[i].stack_depth : VM_FRAME_STACK;
	for (uint32_t k = i; k < end; k++) {
		uint16_t op = j->ops[k];

		switch (op) {
		case OP_bad:
			j->calls |= !(j->flags[k] & JIT_DEAD);
			continue;
		case OP_call:
		case OP_call_lookup:
		case OP_call_local:
		case OP_tail_call:
		case OP_ld_abs8 ... OP_ld_ind32:
			j->calls = true;
			if (op < OP_ld_abs8 || op > OP_ld_ind32)
				continue; /* the union holds a function */
			break;
		}
		j->used |= 1U << j->ins[k].dst | 1U << j->ins[k].src;
		if (op == OP_ld_imm64)
			k++;
	}
}

void jit_add_probe(struct jit *j, uint32_t from, uint8_t reg)
{
	if (j->probe_cnt == j->probe_room) {
		uint32_t room = j->probe_room ? j->probe_room * 2 : 32;
		struct jit_probe *p = realloc(j->probes, room * sizeof(*p));

		if (!p) {
			j->err = -ENOMEM;
			return;
		}
		j->probes = p;
		j->probe_room = room;
	}
	j->probes[j->probe_cnt++] =
		(struct jit_probe){.at = from, .len = (uint8_t)(j->pos - from), .reg = reg};
}

static int grow(struct jit *j)
{
	uint8_t *buf = realloc(j->buf, j->room * 2);

	if (!buf)
		return -ENOMEM;
	j->buf = buf;
	j->room *= 2;
	return 0;
}

static int pass(struct jit *j)
{
	uint32_t i, n, k;

	j->pos = 0;
	j->func = UINT32_MAX;
	j->probe_cnt = 0;
	j->moved = false;
	for (i = 0; i < j->cnt; i += n) {
		if (j->room - j->pos < JIT_INSN_MAX && grow(j))
			return -ENOMEM;
		if (j->flags[i] & JIT_FUNC) {
			j->func++;
			function_begin(j, i);
			while (j->pos % JIT_ALIGN)
				jit_pad(j);
		}
		if (j->at[i] != j->pos) {
			j->moved = true;
			j->at[i] = j->pos;
		}
		n = 1;
		if (j->flags[i] & JIT_FUNC) {
			j->funcs[j->func].start = j->pos;
			jit_prologue(j);
			j->body = j->pos;
		}
		if (j->flags[i] & JIT_DEAD)
			continue;
		if (j->ops[i] == OP_bad) {
			jit_emit_dead(j);
		} else {
			n = jit_emit(j, i);
			if (!n || j->err)
				return j->err ? j->err : -EOPNOTSUPP;
		}
		for (k = 1; k < n; k++)
			j->at[i + k] = j->pos;
		j->funcs[j->func].len = j->pos - j->funcs[j->func].start;
	}
	/* Where a run that falls off the end would come to. */
	if (j->at[j->cnt] != j->pos)
		j->moved = true;
	j->at[j->cnt] = j->pos;
	if (j->falls_off)
		jit_emit_dead(j);
	return j->err;
}

static int code_alloc(struct jit *j, struct jit_image *image)
{
	image->code = jit_mem_alloc(j->pos, &image->room);
	j->base = (uintptr_t)image->code;
	return image->code ? 0 : -ENOMEM;
}

/* The address is settled behind the first pass: code gets no longer after it. */
static int settle(struct jit *j, struct jit_image *image)
{
	uint32_t n;
	int err;

	/* No place is known: every forward jump is a long one at first. */
	for (n = 0; n <= j->cnt + j->func_cnt; n++)
		j->at[n] = n * JIT_INSN_MAX;
	for (n = 0; n < PASSES_MAX; n++) {
		err = pass(j);
		if (!err && !n)
			err = code_alloc(j, image);
		if (err || (n && !j->moved))
			return err;
	}
	j->long_jumps = true;
	for (n = 0; n < 4; n++) {
		err = pass(j);
		if (err || !j->moved)
			return err;
	}
	return -EOPNOTSUPP;
}

/* The draft goes where it will be executed. */
static int place(struct jit *j, struct jit_image *image)
{
	uint32_t len = j->pos, used;
	int err;

	if (len > image->room) { /* all jumps have become long: once more, elsewhere */
		jit_mem_free(image->code, image->room);
		err = code_alloc(j, image);
		if (!err)
			err = pass(j);
		if (!err && (j->moved || j->pos != len))
			err = -EIO;
		if (err)
			return err;
	}
	used = (uint32_t)round_up_u64(len, SHMAP_PAGE);
	if (used < image->room) {
		jit_mem_free(image->code + used, image->room - used);
		image->room = used;
	}
	memcpy(image->code, j->buf, len);
	/* an older program's code, perhaps; none of it stays */
	memset(image->code + len, JIT_TRAP, image->room - len);
	image->len = len;
	return jit_mem_seal(image->code, image->room, image);
}

static bool fixup(void *context);

int jit_compile(const struct vm_prog *p, const struct icode *ins, const uint16_t *ops,
		struct jit_image **out)
{
	struct jit j = {.p = p, .ins = ins, .ops = ops, .cnt = p->insn_cnt};
	struct jit_image *image = calloc(1, sizeof(*image));
	int err = -ENOMEM;

	j.room = 8 * j.cnt + 4 * JIT_INSN_MAX;
	j.buf = malloc(j.room);
	j.flags = calloc(j.cnt + 1, 1);
	if (!image || !j.buf || !j.flags)
		goto out;
	j.blind = p->harden || env_is("SHMAP_JIT_HARDEN", '1');
	if (j.blind && getrandom(&j.blind_seed, sizeof(j.blind_seed), GRND_NONBLOCK) < 0)
		j.blind_seed = (uintptr_t)image * 0x9e3779b97f4a7c15ull;
	err = mark(&j);
	if (!err)
		err = find_functions(&j);
	if (err)
		goto out;
	err = -ENOMEM;
	j.at = malloc((j.cnt + 1 + j.func_cnt) * sizeof(*j.at));
	if (!j.at)
		goto out;
	err = settle(&j, image);
	if (err)
		goto out;
	uaccess_set_fixup(fixup);
	image->probes = NULL;
	err = place(&j, image);
	if (err)
		goto out;
	image->funcs = j.funcs;
	image->func_cnt = j.func_cnt;
	image->probes = j.probes;
	image->probe_cnt = j.probe_cnt;
	image->at = j.at;
	image->cpu = j.cpu;
	j.funcs = NULL;
	j.probes = NULL;
	j.at = NULL;
	*out = image;
	image = NULL;
out:
	if (image)
		jit_free(image);
	free(j.buf);
	free(j.flags);
	free(j.at);
	free(j.funcs);
	free(j.probes);
	return err;
}

void jit_free(struct jit_image *image)
{
	if (!image)
		return;
	if (image->code)
		jit_mem_free(image->code, image->room);
	free(image->funcs);
	free(image->probes);
	free(image->at);
	free(image);
}

/*
 * The fault handler's question. The image cannot go away: the thread that
 * faulted runs in it.
 */
static bool fixup(void *context)
{
	const uintptr_t ip = jit_fault_at(context);
	const struct jit_image *image = jit_mem_owner(ip);
	uint32_t low = 0, high, mid, at;

	if (!image)
		return false;
	at = (uint32_t)(ip - (uintptr_t)image->code);
	for (high = image->probe_cnt; low < high;) {
		mid = low + (high - low) / 2;
		if (image->probes[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == image->probe_cnt || image->probes[low].at != at)
		return false;
	jit_fault_skip(context, &image->probes[low]);
	return true;
}

#else

int jit_compile(const struct vm_prog *p, const struct icode *ins, const uint16_t *ops,
		struct jit_image **out)
{
	return -EOPNOTSUPP;
}

void jit_free(struct jit_image *image)
{
}

bool jit_enter(struct vm_context *vc, const void *entry, void *ctx, uint64_t *ret)
{
	return false;
}

uint64_t jit_call(struct vm_context *vc, const void *entry, uint64_t r1, uint64_t r2, uint64_t r3,
		  uint64_t r4)
{
	interp_abort(vc, -EFAULT);
}

#endif
