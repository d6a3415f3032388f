/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After the walk: what no path reaches leaves the program. A conditional jump with one
 * way that nobody goes becomes a jump; then the dead instructions go, then jumps to the
 * next instruction. Instructions, aux, functions and source lines stay in step. It is what
 * the executors run and what xlated shows.
 */
#include "vm/verifier_int.h"

#include <stdlib.h>
#include <string.h>

/* Which instructions stay, and where each one (or the next that stays) goes. */
struct compaction {
	uint8_t *keep;
	uint32_t *to; /* cnt + 1 entries */
};

static int32_t moved(const struct compaction *c, uint32_t from, int64_t target)
{
	return (int32_t)c->to[target] - (int32_t)c->to[from] - 1;
}

static void fix_target(const struct verifier *v, const struct compaction *c, uint32_t i)
{
	struct bpf_insn *insn = &v->prog->insns[i];

	switch (insn_form(insn->code)) {
	case INSN_JA:
	case INSN_JCOND:
	case INSN_MAY_GOTO:
		if (insn->code == (BPF_JMP32 | BPF_JA))
			insn->imm = moved(c, i, (int64_t)i + 1 + insn->imm);
		else
			insn->off = moved(c, i, (int64_t)i + 1 + insn->off);
		break;
	case INSN_CALL:
		if (insn->src_reg == BPF_PSEUDO_CALL)
			insn->imm = moved(c, i, (int64_t)i + 1 + insn->imm);
		break;
	case INSN_LD_IMM64:
		if (insn->src_reg != BPF_PSEUDO_FUNC)
			break;
		/* a function that nobody calls back (of others the first may go: a jump) */
		if (!v->aux[(int64_t)i + 1 + insn->imm].seen)
			insn->src_reg = insn->imm = 0;
		else
			insn->imm = moved(c, i, (int64_t)i + 1 + insn->imm);
		break;
	default:
		break;
	}
}

static void move_insns(struct verifier *v, const struct compaction *c)
{
	struct bpf_insn *insns = v->prog->insns;

	for (uint32_t i = 0; i < v->cnt; i++)
		if (c->keep[i])
			fix_target(v, c, i);
	for (uint32_t i = 0; i < v->cnt; i++) {
		struct vm_aux *a = &v->aux[c->to[i]];

		if (!c->keep[i])
			continue;
		insns[c->to[i]] = insns[i];
		*a = v->aux[i];
		if (a->callback_pc != VM_PC_NONE)
			a->callback_pc = c->to[a->callback_pc];
		if (a->call_pc != VM_PC_NONE)
			a->call_pc = c->to[a->call_pc];
	}
}

/* A function of which nothing stays goes, with its record. */
static void move_functions(struct verifier *v, const struct compaction *c)
{
	const uint32_t size = v->prog->func_info_rec_size;
	char *records = (char *)v->prog->func_info;
	const bool infos = records && v->prog->func_info_cnt == v->subprog_cnt;
	uint32_t n = 0;

	for (uint32_t s = 0; s < v->subprog_cnt; s++) {
		struct subprog p = v->subprogs[s];

		if (c->to[p.start] == c->to[v->subprogs[s + 1].start])
			continue;
		p.start = c->to[p.start];
		v->aux[p.start].subprog_start = true;
		v->aux[p.start].stack_depth = p.stack;
		v->subprogs[n] = p;
		if (infos) {
			memmove(records + (size_t)n * size, records + (size_t)s * size, size);
			((struct bpf_func_info *)(records + (size_t)n * size))->insn_off = p.start;
		}
		n++;
	}
	v->subprogs[n] = (struct subprog){.start = c->to[v->cnt]};
	v->subprog_cnt = n;
	if (infos)
		v->prog->func_info_cnt = n;
}

/* The last line of what goes is the line of what follows, if that has none. */
static void move_lines(struct verifier *v, const struct compaction *c)
{
	const uint32_t size = v->prog->line_info_rec_size, cnt = v->prog->line_info_cnt;
	char *records = (char *)v->prog->line_info;
	uint32_t n = 0;

	for (uint32_t i = 0; records && i < cnt; i++) {
		struct bpf_line_info *l = (void *)(records + (size_t)i * size);
		const struct bpf_line_info *next = (void *)(records + (size_t)(i + 1) * size);
		uint32_t at = l->insn_off;

		if (!c->keep[at]) {
			while (at < v->cnt && !c->keep[at])
				at++;
			if (at == v->cnt || (i + 1 < cnt && next->insn_off <= at))
				continue;
		}
		l->insn_off = c->to[at];
		memmove(records + (size_t)n++ * size, l, size);
	}
	v->prog->line_info_cnt = n;
}

static void compact(struct verifier *v, struct compaction *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->cnt; i++) {
		c->to[i] = n;
		n += c->keep[i];
	}
	c->to[v->cnt] = n;
	if (n == v->cnt)
		return;
	move_lines(v, c);
	move_insns(v, c);
	move_functions(v, c);
	v->cnt = v->prog->insn_cnt = n;
}

static bool is_dead_jump(const struct bpf_insn *insn)
{
	return (insn->code == (BPF_JMP | BPF_JA) || insn_form(insn->code) == INSN_MAY_GOTO) &&
	       !insn->off;
}

static void wire_branches(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++) {
		struct bpf_insn *insn = &v->prog->insns[i];
		struct bpf_insn ja = {.code = BPF_JMP | BPF_JA};

		if (insn_form(insn->code) == INSN_LD_IMM64)
			i++;
		if (insn_form(insn->code) != INSN_JCOND || !v->aux[i].seen)
			continue;
		if (!v->aux[i + 1].seen)
			ja.off = insn->off;
		else if (v->aux[i + 1 + insn->off].seen)
			continue;
		*insn = ja;
	}
}

/* Loads of what is the same in every run have become numbers. */
static void wire_constants(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++)
		if (v->info[i].known && v->aux[i].seen)
			v->prog->insns[i] = (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_K,
							      .dst_reg = v->insns[i].dst_reg,
							      .imm = v->info[i].known_value};
}

int fixup(struct verifier *v)
{
	struct compaction c = {.keep = malloc(v->cnt),
			       .to = malloc((v->cnt + 1) * sizeof(uint32_t))};
	int err = -ENOMEM;

	if (!c.keep || !c.to)
		goto out;
	wire_constants(v);
	wire_branches(v);
	for (uint32_t i = 0; i < v->cnt; i++)
		c.keep[i] = v->aux[i].seen;
	compact(v, &c);
	for (uint32_t i = 0; i < v->cnt; i++) {
		c.keep[i] = !is_dead_jump(&v->prog->insns[i]);
		if (insn_form(v->insns[i].code) == INSN_LD_IMM64)
			c.keep[++i] = true;
	}
	compact(v, &c);
	err = 0;
out:
	free(c.keep);
	free(c.to);
	return err;
}
