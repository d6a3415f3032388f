/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_timer_*() and bpf_wq_*(): what they make of the 16 bytes in the map. */
#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "map/objref.h"
#include "vm/kfunc_proto.h"
#include "vm/kfuncs.h"
#include "vm/timer.h"
#include "vm/verifier.h"

#define TIMER_ABS 1u
#define TIMER_CPU_PIN 2u

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	raw_clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t token(void)
{
	return clock_ns(CLOCK_MONOTONIC) << TIMER_TOKEN_SHIFT;
}

static uint64_t init(struct timer_cell *cell, enum timer_clock clock)
{
	uint64_t none = 0, state = TIMER_INIT | (uint64_t)clock << TIMER_CLOCK_SHIFT | token();

	return cas_seq_cst(&cell->state, &none, state) ? 0 : ERR(-EBUSY);
}

/* Is the instruction's callback one for values of m? */
static bool is_for(const struct vm_prog *p, const struct vm_aux *aux, const struct map *m)
{
	uint64_t left;

	for (left = aux->callback_maps; left; left &= left - 1)
		if (p->maps[__builtin_ctzll(left)]->obj.id == m->obj.id)
			return true;
	for (left = aux->callback_inner; left; left &= left - 1)
		if (objref_inner_fits(p->maps[__builtin_ctzll(left)], m))
			return true;
	return false;
}

/* May the program's function at pc be called by timers of m? The number comes from shared
 * memory, and the function was verified for values of some maps only. */
static bool is_callback(const struct vm_prog *p, uint32_t pc, const struct map *m)
{
	for (uint32_t i = 0; p->aux && i < p->insn_cnt; i++)
		if (p->aux[i].seen && p->aux[i].sets_callback && p->aux[i].callback_pc == pc &&
		    is_for(p, &p->aux[i], m))
			return true;
	return false;
}

static uint32_t tag_of(const struct vm_prog *p)
{
	uint32_t tag;

	memcpy(&tag, p->tag, sizeof(tag));
	return tag;
}

static struct map *map_of(const struct vm_prog *p, const void *address)
{
	struct map *m = NULL;

	for (uint32_t i = 0; !m && i < p->map_cnt; i++)
		m = objref_map_of(p->maps[i], address);
	return m;
}

static uint64_t set_callback(struct timer_cell *cell, uint64_t func, struct vm_context *vc)
{
	struct vm_prog *p = (struct vm_prog *)vc->prog;
	const uint32_t pc = vm_func_pc(p, func);
	const struct map *m = map_of(p, cell);
	int err;

	if (!(load_acquire(&cell->state) & TIMER_INIT) || !m || !is_callback(p, pc, m))
		return ERR(-EINVAL);
	err = timer_serve(p);
	if (err)
		return ERR(err);
	store_relaxed(&cell->tag, tag_of(p));
	store_release(&cell->pc, pc);
	return 0;
}

/* The cell becomes armed, or not, whoever else is at it: its new state; 0: no timer. */
static uint64_t change(struct timer_cell *cell, bool armed, uint64_t *before)
{
	uint64_t state = load_acquire(&cell->state), next;

	do {
		if (!(state & TIMER_INIT))
			return 0;
		next = (state & (TIMER_INIT | 3ull << TIMER_CLOCK_SHIFT)) |
		       (armed ? TIMER_ARMED : 0) | token();
	} while (!cas_seq_cst(&cell->state, &state, next));
	*before = state;
	return next;
}

static uint64_t start(struct timer_cell *cell, uint64_t when, struct vm_context *vc)
{
	struct vm_prog *p = (struct vm_prog *)vc->prog;
	struct timer_callback call = {.pc = load_acquire(&cell->pc),
				      .tag = load_relaxed(&cell->tag),
				      .fits = is_callback};
	struct map *m = map_of(p, cell);
	uint64_t state, before;
	uint32_t at;
	int err;

	if (!call.pc || !(load_acquire(&cell->state) & TIMER_INIT) || !m || !m->ops->key_at)
		return ERR(-EINVAL);
	if (tag_of(p) == call.tag && is_callback(p, call.pc, m)) {
		call.prog = p;
		err = timer_serve(p);
		if (err)
			return ERR(err);
	} else if (!timer_served(call.tag, call.pc, m, is_callback)) {
		return ERR(-EINVAL); /* no other program of this process set it */
	}
	state = change(cell, true, &before);
	if (!state)
		return ERR(-EINVAL);
	at = timer_clock_of(state) == TIMER_WORK ? m->attr.wq_at : m->attr.timer_at;
	return ERR(timer_arm(cell, state, when, &call, m, (char *)cell - (at - 1)));
}

HELPER(timer_init)
{
	switch (c) {
	case CLOCK_MONOTONIC:
		return init(PTR(a), TIMER_MONOTONIC);
	case CLOCK_REALTIME:
		return init(PTR(a), TIMER_REALTIME);
	case CLOCK_BOOTTIME:
		return init(PTR(a), TIMER_BOOTTIME);
	}
	return ERR(-EINVAL);
}

HELPER(timer_set_callback)
{
	return set_callback(PTR(a), b, vc);
}

HELPER(timer_start)
{
	static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME,
					   CLOCK_MONOTONIC};
	struct timer_cell *cell = PTR(a);
	const uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t there, delay = b;

	if (c & ~(uint64_t)(TIMER_ABS | TIMER_CPU_PIN))
		return ERR(-EINVAL);
	if (c & TIMER_ABS) {
		there = clock_ns(clocks[timer_clock_of(load_relaxed(&cell->state))]);
		delay = (int64_t)b > (int64_t)there ? b - there : 0;
	}
	if (delay > INT64_MAX - now)
		delay = INT64_MAX - now;
	return start(cell, now + delay, vc);
}

HELPER(timer_cancel)
{
	struct timer_cell *cell = PTR(a);
	uint64_t before;

	if (!(load_acquire(&cell->state) & TIMER_INIT))
		return ERR(-EINVAL);
	if (timer_is_self(cell))
		return ERR(-EDEADLK);
	if (!change(cell, false, &before))
		return ERR(-EINVAL);
	store_relaxed(&cell->pc, 0u);
	timer_disarm(cell);
	timer_wait(cell);
	return !!(before & TIMER_ARMED);
}

KFUNC(wq_init)
{
	return c ? INT(-EINVAL) : INT(init(PTR(a), TIMER_WORK));
}

KFUNC(wq_set_callback_impl)
{
	return c ? INT(-EINVAL) : INT(set_callback(PTR(a), b, vc));
}

KFUNC(wq_start)
{
	struct timer_cell *cell = PTR(a);

	if (b)
		return INT(-EINVAL);
	/* What waits to be run is not run twice: it is taken over. Who was to run it may have
	 * died. */
	return INT(start(cell, clock_ns(CLOCK_MONOTONIC), vc));
}
