/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that get far into the verifier: numbers out of packets, maps and the
 * stack, bounded in the ways of compilers (now and then not quite), used as offsets
 * and sizes; spills, branches that meet again, loops, iterators, functions, callbacks,
 * helpers, kernel functions, dynptrs, locks, records. Each choice is taken from a seed, or from
 * bytes (a fuzzer's); equal input makes the equal program.
 */
#ifndef SHMAP_TESTS_VM_PROGEN_H
#define SHMAP_TESTS_VM_PROGEN_H

#include <stddef.h>

#include "../verifier/vt.h"

#define PROGEN_MAX 700

struct progen {
	struct bpf_insn insns[PROGEN_MAX];
	uint32_t cnt;
	struct vt_func funcs[8];
	uint32_t func_cnt;
	uint32_t type; /* BPF_PROG_TYPE_* */
	bool plain;    /* set before: nothing random, no rings and locks */

	/* private */
	uint64_t seed;
	const uint8_t *bytes, *end; /* instead of the seed */
	uint32_t out[64], out_cnt;  /* jumps to the end of the block */
	uint32_t calls[6][16], call_cnt[6];
	int each_map; /* whose values the callback is for */
	bool no_packet;
};

/* type 0: any of socket_filter, sched_cls, xdp */
void progen_from_seed(struct progen *g, uint64_t seed, uint32_t type);
void progen_from_bytes(struct progen *g, const uint8_t *data, size_t size);
/* Prints it, numbered, to stderr. */
void progen_print(const struct progen *g);

#endif
