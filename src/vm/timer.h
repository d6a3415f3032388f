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
/* Has p a callback of m's timers at pc? Called with the lock held: looks at the two only. */
typedef bool (*timer_fits_fn)(const struct vm_prog *p, uint32_t pc, const struct map *m);
/* Is a program of that tag served that has it? (It may be forgotten at any time.) */
bool timer_served(uint32_t tag, uint32_t pc, const struct map *m, timer_fits_fn fits);
/* p is about to be freed: none of its timers runs, or will. */
void timer_forget(struct vm_prog *p);

/* A function at pc of prog, which is served for as long as the caller goes on; or, where that
 * is NULL, of whichever program has that tag, is served and has it. */
struct timer_callback {
	struct vm_prog *prog;
	uint32_t pc, tag;
	timer_fits_fn fits;
};

/*
 * The callback is to run at `when` (CLOCK_MONOTONIC, ns) if the cell's state is
 * still `state`, for the value of m at `value`. An earlier one of the same cell is
 * forgotten. Holds m until then. 0 or -errno; -EINVAL: no such program is served any more.
 */
int timer_arm(struct timer_cell *cell, uint64_t state, uint64_t when,
	      const struct timer_callback *call, struct map *m, void *value);
/* The cell is not armed any more. */
void timer_disarm(const struct timer_cell *cell);
/* Its callback runs in this thread. */
bool timer_is_self(const struct timer_cell *cell);
/* Waits until its callback does not run in this process. */
void timer_wait(const struct timer_cell *cell);

#endif
