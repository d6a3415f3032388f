/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of the verifier as a graph: a node for each instruction walked, with
 * what was claimed of the registers before it, and edges to where the walk went on.
 * A path that was cut short has an edge to the checkpoint that covers it. So a
 * run of the program is a way through the graph, one node per instruction.
 */
#ifndef SHMAP_TESTS_VM_TRACE_H
#define SHMAP_TESTS_VM_TRACE_H

#include "vm/verifier_int.h"

struct trace_claim {
	uint32_t regno;
	struct reg reg;
};

/* What the verifier compared when it took one state for covered by another. */
struct trace_cover {
	enum state_match how;
	struct {
		uint16_t live, precise;
		uint64_t slots_live, slots_precise;
	} f[VER_MAX_FRAMES];
};

struct trace_edge {
	uint32_t to, next;
	uint32_t cover; /* + 1; 0: the walk itself went on */
};

struct trace_node {
	uint32_t insn;
	uint32_t edges;	 /* first + 1 */
	uint32_t claims; /* of the registers of the innermost frame that may have changed */
	uint16_t claim_cnt;
	uint16_t depth;	    /* frames below */
	uint16_t live;	    /* registers read later */
	struct state *full; /* a checkpoint that covers others */
};

struct trace {
	struct trace_node *nodes;
	struct trace_edge *edges;
	struct trace_claim *claims;
	struct trace_cover *covers;
	uint32_t node_cnt, edge_cnt, claim_cnt, cover_cnt;
	uint32_t node_max, edge_max, claim_max, cover_max;
	uint32_t roots[VER_MAX_SUBPROGS + 2]; /* node + 1, by first instruction's order */
	uint32_t root_insn[VER_MAX_SUBPROGS + 2], root_cnt;
	bool full; /* too long to be kept */
	/* the registers as they were last noted */
	struct reg last[VER_REGS];
	uint32_t last_node, last_depth, pending_root;
};

/* From now on every vm_verify() of this process is noted in t. */
void trace_begin(struct trace *t);
void trace_end(void);
void trace_reset(struct trace *t);
/* The node where the function at insn was walked by itself, or VM_PC_NONE. */
uint32_t trace_root(const struct trace *t, uint32_t insn);

#endif
