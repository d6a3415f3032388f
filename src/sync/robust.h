/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries on the thread's robust list proper (futex(2), get_robust_list(2)): words
 * that the kernel marks FUTEX_OWNER_DIED when their owner dies, while list_op_pending
 * stays free for a lock (lock.h). The word stands at entry + futex_offset.
 *
 * To take: robust_pending(entry), the compare-and-swap of the word, robust_push(),
 * robust_pending(NULL): with an overlap, so that a death is seen at every
 * instruction. To give back: robust_pending(entry), robust_remove(), the store of 0,
 * robust_pending(NULL). thread_self.in_lock is set around both.
 */
#ifndef SHMAP_SYNC_ROBUST_H
#define SHMAP_SYNC_ROBUST_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "sync/thread.h"

#define ROBUST_NEXT_OFF 32   /* -futex_offset: of the entry, from its word */
#define ROBUST_LIST_MAX 2048 /* the kernel's own bound (ROBUST_LIST_LIMIT) */

static inline void robust_pending(struct thread *t, struct robust_list *entry)
{
	store_relaxed(&t->robust->list_op_pending, entry);
	fence_compiler();
}

/* Puts the entry first. What follows it is returned: the entry's own link is in shared
 * memory and may be damaged. */
static inline struct robust_list *robust_push(struct thread *t, struct robust_list *entry)
{
	struct robust_list *next = t->robust->list.next;

	store_relaxed(&entry->next, next);
	fence_compiler();
	store_relaxed(&t->robust->list.next, entry);
	return next;
}

/* Takes it off. It is first unless a robust pthread mutex was taken since and kept. */
static inline void robust_remove(struct thread *t, struct robust_list *entry,
				 struct robust_list *next)
{
	struct robust_list *at = &t->robust->list;
	unsigned int steps;

	for (steps = 0; at->next != entry && steps < ROBUST_LIST_MAX; steps++) {
		if (at->next == &t->robust->list)
			return;
		/* bit 0: a mutex with priority inheritance */
		at = (struct robust_list *)((uintptr_t)at->next & ~(uintptr_t)1);
	}
	if (at->next == entry)
		store_relaxed(&at->next, next);
}

#endif
