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
	OBJ_MAP,   /* no memory */
	OBJ_FUNC,  /* no memory */
	OBJ_SOCK,  /* no memory */
	OBJ_SLICE, /* of what a dynptr is about */
	OBJ_ITEM,  /* what an iterator gives */
};

struct thing {
	enum thing_kind kind;
	uint32_t map;	   /* of OBJ_VALUE, OBJ_KEY, OBJ_MAP; the instruction of OBJ_FUNC */
	uint32_t lo, size; /* bytes [lo, size) of mem may be touched */
	uint8_t *mem;
	bool no_read, no_write, dead;
	int lock_off;	  /* -1: none */
	uint32_t part_of; /* the object whose memory it is, or 0 */
};

#define PARTS 16  /* slices and items at a time */
#define PACKETS 6 /* the packet moves no more often */
#define OBJECTS 128
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
	uint8_t made[VER_MAX_STACK]; /* bytes of dynptrs and iterators: MADE_* */
};

#define MADE_DYNPTR 1
#define MADE_ITER 2
#define MADE_HEAD 4 /* the first */

struct checker {
	/* the program */
	const struct vm_prog *prog;
	struct trace *trace;
	uint64_t seed;
	/* the objects; made by checker_begin() */
	struct thing obj[OBJECTS];
	uint32_t obj_cnt, first_value, first_map, first_record, record_cnt, first_func, func_cnt;
	uint32_t first_packet, packet, key_obj, sock_obj, first_part, next_part, next_item,
		next_ref;
	uint32_t pkt_len, meta_len;
	uint8_t stack[VER_MAX_FRAMES][VER_MAX_STACK], ctx[256], pkt[PACKET_MAX];
	uint8_t records[RECORDS][RECORD_MAX], key[16], values[16][VALUES_PER_MAP][64];
	uint8_t items[PARTS][4];
	/* the run */
	struct checked_frame f[VER_MAX_FRAMES];
	uint32_t depth, pc, node, held, may_gotos;
	uint32_t rcu, preempt; /* sections that it is in */
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
/* A record of the ring buffer, or 0. */
uint64_t checker_reserve(struct checker *c, uint64_t size);

/* checker_objects.c: the same of dynptrs and kernel functions */
bool checker_dynptr_helper(struct checker *c, uint32_t id, const uint64_t *r, uint64_t *r0);
bool checker_kfunc(struct checker *c, uint32_t kfunc, uint64_t *r0);
/* The program, or a helper for it, touches those bytes of a frame. */
bool checker_frame_touch(struct checker *c, struct thing *o, int64_t off, uint32_t size,
			 bool write);
/* The object goes: so do its slices. */
void checker_part_end(struct checker *c, const struct thing *of);
/* The packet is somewhere else now. */
void checker_packet_moves(struct checker *c);

#endif
