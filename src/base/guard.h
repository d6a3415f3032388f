/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last line of defence around code that runs on behalf of somebody else (a
 * BPF program): a fault anywhere below it ends that code, not the process.
 *
 *	struct fault_guard guard;
 *
 *	if (fault_guard_set(&guard) == 0) {
 *		fault_guard_enter(&guard);
 *		... may fault; may call fault_guard_throw() ...
 *		fault_guard_leave(&guard);
 *	} else {
 *		... a fault (the guard has been left) ...
 *	}
 *
 * Faults inside uaccess_copy() and its like go to their own landing pad first.
 * Guards nest, per thread. uaccess_init() must have been called. What the code
 * held when it faulted (locks) is the caller's business.
 */
#ifndef SHMAP_BASE_GUARD_H
#define SHMAP_BASE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct fault_guard {
	struct fault_guard *outer;
#if defined(__x86_64__)
	void *regs[5];
#else
	uint64_t regs[22]; /* frame, where to, stack; then what that place asks for: guard.c */
#endif
};

extern __thread struct fault_guard *fault_guard_top __attribute__((tls_model("initial-exec")));

/* A macro: the frame that sets it must be the one that waits. */
#if defined(__x86_64__)
#define fault_guard_set(g) __builtin_setjmp((g)->regs)
#else
int fault_guard_save(uint64_t regs[22]) __attribute__((returns_twice));
#define fault_guard_set(g) fault_guard_save((g)->regs)
#endif

static inline void fault_guard_enter(struct fault_guard *g)
{
	g->outer = fault_guard_top;
	/* Only this thread's signal handler looks at it. */
	__asm__ volatile("" ::: "memory");
	fault_guard_top = g;
	__asm__ volatile("" ::: "memory");
}

static inline void fault_guard_leave(struct fault_guard *g)
{
	__asm__ volatile("" ::: "memory");
	fault_guard_top = g->outer;
}

/* Leaves the innermost guard and resumes at its fault_guard_set(). */
void fault_guard_throw(void) __attribute__((noreturn));

/* For the signal handler: makes the interrupted code throw. False without a guard. */
bool fault_guard_resume(void *ucontext);

#endif
