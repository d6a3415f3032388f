/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An interpreter that believes nothing. It runs an accepted program in a made-up
 * address space, in which each object has 4 GiB to itself, and asserts
 *  - each access of memory against the object that the address lies in,
 *  - each register, when it may have changed, against what the verifier claimed of
 *    it at this point of the walk: kind, object, offset, bounds, tnum,
 *  - that the walk went where the run goes, and that a state that ended a path was
 *    covered, in what matters, by the checkpoint it ended at,
 *  - locks and references: held once, given back, before the program ends.
 *
 * A scalar that decided nothing on an earlier path may have another value here
 * than was claimed: the paths were not walked apart for that. Such registers and
 * stack bytes are tainted, and claims about their range are not asserted until
 * they are written again.
 */
#ifndef SHMAP_TESTS_VM_CHECKER_H
#define SHMAP_TESTS_VM_CHECKER_H

#include "trace.h"

enum thing_kind {
	OBJ_NONE,
	OBJ_CTX,
	OBJ_FRAME,
	OBJ_PACKET,
	OBJ_VALUE,
	OBJ_KEY,
	OBJ_RECORD,
	OBJ_MAP,  /* no memory */
	OBJ_FUNC, /* no memory */
	OBJ_SOCK, /* no memory */
};

struct thing {
	enum thing_kind kind;
	uint32_t map;	   /* of OBJ_VALUE, OBJ_KEY, OBJ_MAP; the instruction of OBJ_FUNC */
	uint32_t lo, size; /* bytes [lo, size) of mem may be touched */
	uint8_t *mem;
	bool no_read, no_write, dead;
	int lock_off; /* -1: none */
};

#define OBJECTS 96
#define VALUES_PER_MAP 2
#define RECORDS 12
#define RECORD_MAX 64
#define PACKET_MAX 128

struct checked_frame {
	uint64_t r[VER_REGS];
	uint16_t taint;
	bool callback, global, touched;
	uint32_t callsite, base, ret_node;
	struct {
		bool active, stop;
		uint32_t at, i, n;
	} loop;
	uint8_t taint_stack[VER_MAX_STACK];
};

struct checker {
	/* the program */
	const struct vm_prog *prog;
	struct trace *trace;
	uint64_t seed;
	/* the objects; made by checker_begin() */
	struct thing obj[OBJECTS];
	uint32_t obj_cnt, first_value, first_map, first_record, record_cnt, first_func, func_cnt;
	uint32_t pkt_len, meta_len;
	uint8_t stack[VER_MAX_FRAMES][VER_MAX_STACK], ctx[256], pkt[PACKET_MAX];
	uint8_t records[RECORDS][RECORD_MAX], key[16], values[16][VALUES_PER_MAP][64];
	/* the run */
	struct checked_frame f[VER_MAX_FRAMES];
	uint32_t depth, pc, node, held, may_gotos;
	uint64_t lock;
	bool loose; /* a branch depended on a tainted scalar */
	uint64_t steps, crossed;
	char why[512]; /* the violation; empty: none */
};

/* Runs p once, on contents that seed decides. false: it did what the verifier said
 * that it would not: c->why. */
bool checker_run(struct checker *c, const struct vm_prog *p, struct trace *t, uint64_t seed);

/* checker.c, for checker_helpers.c */
uint32_t checker_rnd(struct checker *c, uint32_t n);
bool checker_fails(struct checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define OBJ_BASE 0x40000000u
#define OBJ_ADDR(i, off) (((uint64_t)(0x7700 + (i)) << 32) + OBJ_BASE + (uint64_t)(int64_t)(off))
struct thing *checker_object(struct checker *c, uint64_t addr, int64_t *off);
/* The bytes at addr, or NULL after checker_fails(). */
uint8_t *checker_mem(struct checker *c, uint64_t addr, uint32_t size, bool write);
uint32_t checker_add(struct checker *c, enum thing_kind kind, uint8_t *mem, uint32_t size,
		     uint32_t map);

/* checker_claims.c */
bool claim_holds(struct checker *c, const struct reg *claim, uint64_t value, uint32_t base);
void claim_print(const struct reg *claim, char *buf, size_t size);
/* Stands before c->node: what was claimed there of registers that may have changed. */
bool claims_check(struct checker *c);
/* The run goes over to the checkpoint `to`. */
bool claims_cross(struct checker *c, const struct trace_edge *e);

/* checker_helpers.c: R0 of a helper call; false: a violation, or c->why is
 * "" and the helper is none that is played here */
bool checker_helper(struct checker *c, uint32_t id, uint64_t *r0);

#endif
