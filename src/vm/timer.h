/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers and work of map values, as this process runs them: timer.c says how.
 */
#ifndef SHMAP_VM_TIMER_H
#define SHMAP_VM_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm.h"

enum timer_clock { TIMER_MONOTONIC, TIMER_REALTIME, TIMER_BOOTTIME, TIMER_WORK };

/* The 16 bytes of struct bpf_timer (and bpf_wq) in shared memory. */
struct timer_cell {
	uint64_t state; /* 0: no timer */
	uint32_t pc;	/* of the callback in its program; 0: none */
	uint32_t tag;	/* the beginning of that program's tag */
};

#define TIMER_INIT 1ull
#define TIMER_ARMED 2ull
#define TIMER_CLOCK_SHIFT 2
#define TIMER_TOKEN_SHIFT 4 /* a number that no other change of the cell had */

static inline enum timer_clock timer_clock_of(uint64_t state)
{
	return (enum timer_clock)(state >> TIMER_CLOCK_SHIFT & 3);
}

/*
 * From now on the process serves timers whose callbacks are p's: its thread is there.
 * Until timer_forget(). 0 or -ENOMEM.
 */
int timer_serve(struct vm_prog *p);
/* The program of that tag that is served, or NULL. */
struct vm_prog *timer_server(uint32_t tag);
/* p is about to be freed: none of its timers runs, or will. */
void timer_forget(struct vm_prog *p);

/*
 * The callback at pc of p is to run at `when` (CLOCK_MONOTONIC, ns) if the cell's state is
 * still `state`, for the value of m at `value`. An earlier one of the same cell is
 * forgotten. Holds m until then. 0 or -errno.
 */
int timer_arm(struct timer_cell *cell, uint64_t state, uint64_t when, struct vm_prog *p,
	      uint32_t pc, struct map *m, void *value);
/* The cell is not armed any more. */
void timer_disarm(const struct timer_cell *cell);
/* Its callback runs in this thread. */
bool timer_is_self(const struct timer_cell *cell);
/* Waits until its callback does not run in this process. */
void timer_wait(const struct timer_cell *cell);

#endif
