/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which threads of this process are inside a map operation, so that memory
 * which an operation may still use is freed only after it (op.c has the proof).
 *
 * op_enter() and op_leave() are a plain store each; the side that frees pays
 * with membarrier(2). Nobody waits for anybody.
 */
#ifndef SHMAP_SYS_OP_H
#define SHMAP_SYS_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"

/* One per thread that has used a map; never freed, reused after the thread's end. */
struct op_thread {
	uint64_t epoch; /* of the running operation, or 0: outside */
	uint32_t used;	/* belongs to a living thread */
	uint32_t waits; /* in op_wait_others(): changes nothing meanwhile */
	struct op_thread *next; /* in op_threads; set before it is published */
} __attribute__((aligned(CACHE_LINE)));

extern __thread struct op_thread *op_self __attribute__((tls_model("initial-exec")));
extern uint64_t op_epoch;

/* Gives the calling thread its op_thread. 0 or -ENOMEM. */
int op_register(void);

/*
 * Starts an operation. Returns true when the thread was outside (the caller
 * ends it with op_leave()); false in a signal handler that came on top of an
 * operation of its own thread, which the outer one covers.
 * op_self must not be NULL.
 */
static inline bool op_enter(void)
{
	struct op_thread *t = op_self;

	if (unlikely(load_relaxed(&t->epoch)))
		return false;
	store_relaxed(&t->epoch, load_relaxed(&op_epoch));
	/* Before the loads of what may be retired. The CPU's side of this fence
	 * is op_barrier()'s membarrier. */
	fence_compiler();
	return true;
}

static inline void op_leave(void)
{
	/* Pairs with the acquire in op_elapsed(): who sees 0 may free what this
	 * operation used. */
	store_release(&op_self->epoch, 0);
}

/*
 * To free something: make it unreachable, op_barrier(), stamp = op_stamp();
 * later, when op_elapsed(stamp), no operation that may have seen it runs.
 * op_barrier() is false when there is no barrier: then nothing may be freed.
 */
bool op_barrier(void);
uint64_t op_stamp(void);
bool op_elapsed(uint64_t stamp);

/*
 * Waits until every operation of another thread that may not have seen what was stored
 * before this call has ended. false: one of them takes longer than a second, or nobody
 * can tell.
 */
bool op_wait_others(void);

/* In a fork's child: the other threads are gone. */
void op_after_fork(void);

#endif
