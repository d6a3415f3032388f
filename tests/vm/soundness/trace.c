/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#define WALKED_MAX 4000 /* longer walks teach nothing more, and there is no time for them */
#define NODES_MAX 100000

static struct trace *trace;

/* The index of a new, zeroed entry of an array that doubles. */
#define GROW(array, cnt, max)                                                                      \
	({                                                                                         \
		if ((cnt) == (max)) {                                                              \
			(max) = (max) ? (max)*2 : 1024;                                            \
			(array) = realloc((array), (size_t)(max) * sizeof(*(array)));              \
			if (!(array))                                                              \
				abort();                                                           \
		}                                                                                  \
		(cnt)++;                                                                           \
	})

static void add_edge(uint32_t from, uint32_t to, uint32_t cover)
{
	struct trace *t = trace;
	const uint32_t e = GROW(t->edges, t->edge_cnt, t->edge_max);

	t->edges[e] = (struct trace_edge){.to = to, .next = t->nodes[from].edges, .cover = cover};
	t->nodes[from].edges = e + 1;
}

static void add_claim(struct trace_node *n, uint32_t regno, const struct reg *r)
{
	struct trace *t = trace;
	const uint32_t c = GROW(t->claims, t->claim_cnt, t->claim_max);

	t->claims[c].regno = regno;
	t->claims[c].reg = *r;
	n->claim_cnt++;
}

static void on_step(struct verifier *v)
{
	struct trace *t = trace;
	const struct frame *f = v->cur->frames[v->cur->cur];
	const uint32_t from = v->cur->trace;
	struct trace_node *n;
	uint16_t reads, writes = UINT16_MAX;
	uint32_t i;

	if (t->full || t->node_cnt == NODES_MAX) {
		t->full = true;
		return;
	}
	i = GROW(t->nodes, t->node_cnt, t->node_max);
	n = &t->nodes[i];
	*n = (struct trace_node){.insn = v->insn,
				 .claims = t->claim_cnt,
				 .depth = v->cur->cur,
				 .live = v->info[v->insn].flow.live};
	if (t->pending_root) {
		t->roots[t->root_cnt] = i + 1;
		t->root_insn[t->root_cnt++] = v->insn;
		t->pending_root = 0;
	} else {
		if (from == t->last_node && t->last_depth == v->cur->cur)
			insn_regs(&v->insns[t->nodes[from].insn], &reads, &writes);
		add_edge(from, i, 0);
	}
	for (int r = 0; r < VER_REGS; r++)
		if ((writes & 1 << r) || memcmp(&t->last[r], &f->regs[r], sizeof(struct reg))) {
			t->last[r] = f->regs[r];
			add_claim(n, r, &f->regs[r]);
		}
	t->last_node = i;
	t->last_depth = v->cur->cur;
	v->cur->trace = i;
	if (v->cur->parent && v->cur->parent->trace == VM_PC_NONE)
		v->cur->parent->trace = i;
}

static void on_covered(struct verifier *v, const struct state *by, enum state_match how)
{
	struct trace *t = trace;
	struct trace_node *n;
	struct trace_cover *c;
	uint32_t i;

	if (t->full)
		return;
	n = &t->nodes[by->trace];
	if (!n->full) {
		n->full = state_copy(by);
		if (!n->full)
			abort();
	}
	i = GROW(t->covers, t->cover_cnt, t->cover_max);
	c = &t->covers[i];
	c->how = how;
	for (uint32_t f = 0; f <= by->cur; f++) {
		c->f[f].live = flow_live_regs(v, by, f, v->insn);
		c->f[f].precise = flow_precise_regs(v, by, f, v->insn);
		c->f[f].slots_live = flow_live_slots(v, by, f, v->insn);
		c->f[f].slots_precise = flow_precise_slots(v, by, f, v->insn);
		if (how != MATCH_COVERED)
			c->f[f].slots_live = c->f[f].slots_precise = UINT64_MAX,
			c->f[f].precise = UINT16_MAX;
	}
	add_edge(v->cur->trace, by->trace, i + 1);
}

static void on_root(struct verifier *v, uint32_t subprog)
{
	trace->pending_root = 1;
}

void trace_begin(struct trace *t)
{
	static const struct ver_watch watch = {
		.step = on_step, .covered = on_covered, .root = on_root, .max_walked = WALKED_MAX};

	trace = t;
	ver_watch = &watch;
}

void trace_end(void)
{
	ver_watch = NULL;
}

void trace_reset(struct trace *t)
{
	for (uint32_t i = 0; i < t->node_cnt; i++)
		state_free(t->nodes[i].full);
	t->node_cnt = t->edge_cnt = t->claim_cnt = t->cover_cnt = t->root_cnt = 0;
	t->full = false;
}

uint32_t trace_root(const struct trace *t, uint32_t insn)
{
	for (uint32_t i = 0; i < t->root_cnt; i++)
		if (t->root_insn[i] == insn)
			return t->roots[i] - 1;
	return VM_PC_NONE;
}
