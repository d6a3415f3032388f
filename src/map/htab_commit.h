/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_MAP_HTAB_COMMIT_H
#define SHMAP_MAP_HTAB_COMMIT_H

#include "map/htab.h"

/*
 * The end of a CHANGE that has been committed: the pool and the counters. cpu1: the lease
 * of who changes + 1, or 0.
 *
 * Each step may have been done already, by who died after it. Also the ordinary end of
 * every change: so the path that repairs is the path that always runs.
 *
 * Why what `heads` becomes need not be written down: one half comes from the intent
 * alone, and the other stays as it is; and the element that leaves the table is in
 * limbo exactly when heads has been stored.
 */
static inline __attribute__((always_inline)) void
htab_change_complete(struct map *m, struct stripe *st, uint32_t stripe, uint32_t cpu1)
{
	const struct intent *in = &st->intent;
	uint32_t op = in->op, free1 = heads_free(st->heads), limbo1 = heads_limbo(st->heads);
	struct elem *old = htab_elem_at(m, in->elem1);

	if (op & INTENT_FREE)
		free1 = in->rest1;
	if (old) {
		/* Readers that look at it start over from here on. */
		if (old->gen & 1)
			store_release(&old->gen, old->gen + 1);
		if (limbo1 != in->elem1) {
			if (op & INTENT_LIMBO)
				limbo1 = in->rest1;
			store_release(&old->next, limbo1 | (uint64_t)cpu1 << ELEM_CPU_SHIFT);
			st->limbo_len++;
			limbo1 = in->elem1;
		}
	} else if (op & INTENT_LIMBO) {
		limbo1 = in->rest1;
	}
	fence_compiler();
	store_relaxed(&st->heads, heads_make(free1, limbo1));
	if (op & INTENT_FRESH)
		st->fresh = link_index1(in->link) - stripe * m->htab.per_stripe;
	if (in->after != st->live) {
		if (in->after < st->live)
			store_relaxed(&st->arrivals, st->arrivals + 1);
		store_release(&st->live, in->after);
	}
}

#endif
