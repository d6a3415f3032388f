/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the log: which registers are read later, before each instruction, and which
 * instructions form a loop together, as can be told without a walk. The walk has better
 * answers to both (verifier_flow.c), and asks neither.
 */
#include <stdlib.h>

#include "vm/verifier_int.h"

/* Strongly connected components, by Tarjan's algorithm: one frame per instruction. */
struct components {
	uint32_t *pre, *low;   /* + 1; 0: not seen */
	uint32_t *scc;	       /* the number of its component; 0: no loop */
	uint32_t *stack, *dfs; /* not yet in a component; the way to here */
	uint8_t *tried;	       /* successors, of those on the way */
	bool *on_stack;
	uint32_t stack_len, dfs_len, seen, found;
};

static void enter(struct components *c, uint32_t i)
{
	c->pre[i] = c->low[i] = ++c->seen;
	c->tried[i] = 0;
	c->on_stack[i] = true;
	c->stack[c->stack_len++] = i;
	c->dfs[c->dfs_len++] = i;
}

static bool is_loop(const struct verifier *v, const struct components *c, uint32_t i)
{
	uint32_t succ[2];
	int n = cfg_successors(v, i, succ);

	if (c->stack[c->stack_len - 1] != i)
		return true;
	while (n--)
		if (succ[n] == i)
			return true;
	return false;
}

/* Back from i, whose successors have all been looked at. */
static void leave(const struct verifier *v, struct components *c, uint32_t i)
{
	uint32_t member, number;

	c->dfs_len--;
	if (c->dfs_len && c->low[i] < c->low[c->dfs[c->dfs_len - 1]])
		c->low[c->dfs[c->dfs_len - 1]] = c->low[i];
	if (c->low[i] != c->pre[i])
		return;
	number = is_loop(v, c, i) ? ++c->found : 0;
	do {
		member = c->stack[--c->stack_len];
		c->on_stack[member] = false;
		c->scc[member] = number;
	} while (member != i);
}

static void visit_from(const struct verifier *v, struct components *c, uint32_t first)
{
	enter(c, first);
	while (c->dfs_len) {
		const uint32_t i = c->dfs[c->dfs_len - 1];
		uint32_t succ[2];
		const int n = cfg_successors(v, i, succ);

		if (c->tried[i] == n) {
			leave(v, c, i);
			continue;
		}
		const uint32_t next = succ[c->tried[i]++];

		if (!c->pre[next])
			enter(c, next);
		else if (c->on_stack[next] && c->pre[next] < c->low[i])
			c->low[i] = c->pre[next];
	}
}

static void components_find(const struct verifier *v, struct components *c)
{
	for (uint32_t i = 0; i < v->cnt; i++) {
		if (!c->pre[i])
			visit_from(v, c, i);
		if (insn_form(v->insns[i].code) == INSN_LD_IMM64)
			i++;
	}
}

/* Before an instruction, from what is read after it. */
static uint16_t before(const struct verifier *v, uint32_t i, uint16_t after)
{
	uint16_t reads, writes;

	insn_regs_at(v, i, &reads, &writes);
	if (insn_form(v->insns[i].code) == INSN_LD_ABS)
		return UINT16_MAX; /* the kernel does not say */
	return (after & ~writes) | reads;
}

static void live_find(const struct verifier *v, uint16_t *live)
{
	bool again = true;

	while (again) {
		again = false;
		for (uint32_t i = v->cnt; i--;) {
			uint16_t after = 0, now;
			uint32_t succ[2];
			int n;

			if (i && insn_form(v->insns[i - 1].code) == INSN_LD_IMM64)
				continue; /* (its second half begins with 0, as no other does) */
			n = cfg_successors(v, i, succ);
			while (n--)
				after |= live[succ[n]];
			now = before(v, i, after);
			again |= now != live[i];
			live[i] = now;
		}
	}
}

static void print(struct verifier *v, const uint16_t *live, const uint32_t *scc)
{
	char text[128];

	verbose(v, "Live regs before insn:\n");
	for (uint32_t i = 0; i < v->cnt; i++) {
		char regs[VER_FP + 1] = "";

		for (int r = 0; r < VER_FP; r++)
			regs[r] = live[i] & 1 << r ? (char)('0' + r) : '.';
		insn_print(&v->insns[i], text, sizeof(text));
		if (scc[i])
			verbose(v, "%3u ", scc[i]);
		else
			verbose(v, "    ");
		verbose(v, "%3u: %s %s\n", i, regs, text);
		if (insn_form(v->insns[i].code) == INSN_LD_IMM64)
			i++;
	}
}

void live_print(struct verifier *v)
{
	uint32_t *words = calloc(v->cnt, 5 * sizeof(uint32_t));
	uint16_t *live = calloc(v->cnt, sizeof(*live));
	uint8_t *bytes = calloc(v->cnt, 2);

	if (words && live && bytes) {
		struct components c = {.pre = words,
				       .low = words + v->cnt,
				       .scc = words + 2 * (size_t)v->cnt,
				       .stack = words + 3 * (size_t)v->cnt,
				       .dfs = words + 4 * (size_t)v->cnt,
				       .tried = bytes,
				       .on_stack = (bool *)bytes + v->cnt};

		components_find(v, &c);
		live_find(v, live);
		print(v, live, c.scc);
	}
	free(words);
	free(live);
	free(bytes);
}
