/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_MAP_HTAB_COMMIT_H
#define SHMAP_MAP_HTAB_COMMIT_H

#include <string.h>

#include "base/uaccess.h"
#include "map/htab.h"

/*
 * The end of a CHANGE that has been committed: the pool and the counters. in: a private copy
 * of the stripe's intent; old: its elem1, or NULL; cpu1: the lease of who changes + 1, or 0.
 *
 * Each step may have been done already, by who died after it. Also the ordinary end of
 * every change: so the path that repairs is the path that always runs.
 *
 * Why what `heads` becomes need not be written down: one half comes from the intent
 * alone, and the other stays as it is; and the element that leaves the table is in
 * limbo exactly when heads has been stored.
 */
static inline __attribute__((always_inline)) void
htab_change_complete(struct map *m, struct stripe *st, uint32_t stripe, const struct intent *in,
		     struct elem *old, uint32_t cpu1)
{
	uint32_t op = in->op, free1 = heads_free(st->heads), limbo1 = heads_limbo(st->heads);

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

/*
 * Commits a change and brings pool and counters up to date. e: the new element, filled,
 * or NULL, and what follows it in a chain; old: in->elem1, or NULL.
 *
 * The intent is complete before its op is stored, and the op before the commit; a
 * compiler fence is enough, as only our own death separates them and what a
 * dead thread has executed is visible to who takes its lock.
 */
static inline __attribute__((always_inline)) void
htab_commit(struct map *m, bool lru, struct stripe *st, uint32_t stripe, const struct intent *in,
	    uint64_t *where, struct elem *e, uint64_t next, struct elem *old, bool by_run)
{
	store_relaxed(&st->intent.link, in->link);
	store_relaxed(&st->intent.where, in->where);
	store_relaxed(&st->intent.elem1, in->elem1);
	store_relaxed(&st->intent.rest1, in->rest1);
	store_relaxed(&st->intent.after, in->after);
	fence_compiler();
	store_relaxed(&st->intent.op, in->op);
	fence_compiler();
	if (e) {
		/* From here the new element is still the head of its list, but its
		 * link there is gone: the intent knows it. */
		store_relaxed(&e->next, next);
		if (lru)
			store_relaxed(&e->stamp, in->elem1 ? 1U : 0U); /* referenced? */
		store_release(&e->gen, e->gen + 1); /* odd: in the table, as soon as linked */
	}
	/* The commit. Release: who finds the link finds the element filled. */
	store_release(where, in->link);
	fence_compiler();
	htab_change_complete(m, st, stripe, in, old,
			     in->elem1 && by_run ? (uint32_t)(lease_cpu() + 1) : 0);
	fence_compiler();
	store_relaxed(&st->intent.op, INTENT_NONE);
}

/* Into an element that nobody but stale readers looks at, at its 8-byte boundaries: by
 * whole words, as racing readers expect them. */

static inline __attribute__((always_inline)) void htab_words_in(uint8_t *to, const uint8_t *from,
								uint32_t n)
{
	uint64_t v;
	uint32_t half;

	if (unlikely(n > HTAB_WORDS_MAX)) {
		uaccess_copy(to, from, n);
		return;
	}
	for (; n >= 8; n -= 8, to += 8, from += 8) {
		memcpy(&v, from, 8);
		store_relaxed((uint64_t *)to, v);
	}
	if (n & 4) {
		memcpy(&half, from, 4);
		store_relaxed((uint32_t *)to, half);
		to += 4, from += 4;
	}
	for (n &= 3; n; n--)
		store_relaxed(to++, *from++);
}

static inline __attribute__((always_inline)) void
htab_elem_fill(struct map *m, const struct htab_shape s, struct elem *e, uint32_t index,
	       const void *key, const uint8_t *value, int only_cpu)
{
	uint8_t *to;
	uint32_t cpu;

	/* Readers of its last life must see its generation change before any
	 * of this: partner of fence_acquire() in htab_hit_valid(). */
	fence_release();
	htab_words_in(e->key, key, s.key_size);
	if (!s.per_cpu) {
		if (likely(s.value_size <= HTAB_WORDS_MAX && !s.has_lock))
			htab_words_in(htab_plain_value(m, e), value, s.value_size);
		else
			htab_value_in(m, htab_plain_value(m, e), value);
		return;
	}
	to = m->obj.base + m->htab.percpu_off + (uint64_t)index * m->elem_size;
	for (cpu = 0; cpu < m->attr.possible_cpus; cpu++, to += m->htab.percpu_stride) {
		if (only_cpu >= 0)
			uaccess_zero(to, m->elem_size);
		else if (m->elem_size == 8)
			htab_words_in(to, value + (size_t)cpu * 8, 8);
		else
			htab_words_in(to, value + (size_t)cpu * m->elem_size, m->elem_size);
	}
	if (only_cpu >= 0)
		uaccess_copy(htab_value(m, index, (uint32_t)only_cpu), value, m->attr.value_size);
}

#endif
