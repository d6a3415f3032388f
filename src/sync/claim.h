/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claims: one-line records of what a thread is about to do, in shared memory, that
 * survive it.
 *
 * Several stand side by side; a thread takes any free one, holds robust locks and makes
 * system calls while it has it, and gives it back. When it dies the kernel marks the
 * word, and who comes next takes the claim from the dead and finishes or undoes
 * what the body says.
 */
#ifndef SHMAP_SYNC_CLAIM_H
#define SHMAP_SYNC_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "sync/robust.h"

struct robust_claim {
	uint32_t word; /* 0: free; TID; FUTEX_OWNER_DIED */
	uint32_t body32;
	uint64_t body[2];
	uint64_t list_prev; /* glibc may store here */
	uint64_t list_next; /* offset 32 = ROBUST_NEXT_OFF */
	uint64_t more[3];
};

_Static_assert(sizeof(struct robust_claim) == CACHE_LINE, "one line");
_Static_assert(offsetof(struct robust_claim, list_next) == ROBUST_NEXT_OFF, "robust list link");

/* The holder's part, private. */
struct claim_held {
	struct robust_claim *claim;
	struct robust_list *next;
};

/*
 * Takes one of n claims: 0; CLAIM_OWNER_DIED: from a dead owner, whose body is still
 * there. Dead owners' come first. -EBUSY: in a signal handler that interrupted the
 * taking of a lock, or all were held for LOCK_WAIT_SECONDS.
 */
#define CLAIM_OWNER_DIED 1
int claim_take(struct robust_claim *claims, unsigned int n, struct claim_held *held);
/* The same without waiting: -EBUSY at once. */
int claim_try(struct robust_claim *claims, unsigned int n, struct claim_held *held);
void claim_drop(struct claim_held *held);

/* All are held: waits a little, for the round'th time. -EBUSY: for long enough. */
int claim_wait(unsigned int round, int64_t *until);

/* Does one of them belong to a dead owner? */
bool claim_any_died(const struct robust_claim *claims, unsigned int n);

#endif
