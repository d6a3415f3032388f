/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU leases and grace periods.
 *
 * A kernel program owns its CPU while it runs; here a program run takes a
 * lease on a virtual CPU. One cache line per possible CPU stands in the file
 * $SHMAP_DIR/cpus, shared by every process that uses the runtime directory:
 *
 *   offset 0   u64 word: TID in the low half (a robust futex word), the
 *                        epoch at the start of the lease in the high half
 *   offset 32  u64 next: the owner's robust list link (the kernel walks it
 *                        when the owner dies; nobody else reads it)
 *
 * The lease is on the thread's robust list proper, not in list_op_pending, so
 * that robust locks can be taken inside a program run.
 *
 * Grace periods: memory that is unlinked under some lock is stamped with the
 * global epoch; it may be reused when no lease that was taken at or before
 * that epoch is still held (see lease.c for the proof).
 */
#ifndef SHMAP_SYNC_LEASE_H
#define SHMAP_SYNC_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "sync/thread.h"

/* Possible CPUs of the machine (1..LEASE_CPUS_MAX); fixed for the process. */
#define LEASE_CPUS_MAX 4096
unsigned int lease_possible_cpus(void);

/*
 * Maps the lease file of the runtime directory, once per process. Whoever opens
 * a map calls it: stamps mean something only where the leases are known.
 * 0 or -errno.
 */
int lease_open(void);

/*
 * Takes a lease, preferring the CPU that the thread runs on, then others that are online (one
 * that is not has no perf events). The virtual CPU,
 * 0..possible-1; -EBUSY when every lease stayed held beyond the bound (the
 * caller counts a recursion miss), or when the thread already has one.
 */
int lease_acquire(void);
void lease_release(void);

/* What the calling thread has; lease.c's alone but for what these functions ask. */
struct lease_line;
struct robust_list;
struct lease_own {
	struct lease_line *line;
	const uint32_t *seq;	  /* the line's */
	struct robust_list *next; /* what follows us on the robust list */
	uint32_t tid;		  /* of the owner: a forked child has none */
	int cpu;
};
extern __thread struct lease_own lease_own __attribute__((tls_model("initial-exec")));

static inline bool lease_held(void)
{
	return lease_own.line && lease_own.tid == thread_self.tid && thread_known();
}

/* The virtual CPU of the calling thread's lease, or -1. */
static inline int lease_cpu(void)
{
	return lease_held() ? lease_own.cpu : -1;
}

/*
 * The calling thread's tenancy of its lease, as 32 bits that say later who owned
 * something; LEASE_NO_TENANCY without a lease. lease_tenancy_over(): that run has
 * ended, or its thread has died. (Of 2^20 later tenancies of the same CPU one is
 * taken for it, while it lasts.)
 */
#define LEASE_NO_TENANCY UINT32_MAX
#define LEASE_CPU_BITS 12
static inline uint32_t lease_tenancy(void)
{
	if (unlikely(!lease_held()))
		return LEASE_NO_TENANCY;
	return load_relaxed(lease_own.seq) << LEASE_CPU_BITS | (uint32_t)lease_own.cpu;
}
bool lease_tenancy_over(uint32_t tenancy);

/*
 * The stamp for memory whose unlinking is visible to everybody: taken by a later
 * holder of the lock under which it was unlinked (see the proof in lease.c).
 */
uint32_t lease_stamp(void);

/* True when no program run that may have seen memory stamped so is still
 * going on; self_cpu >= 0 leaves out that CPU's lease (a run may reuse what it
 * unlinked itself). Starts a new epoch when one is in the way. */
bool lease_elapsed(uint32_t stamp, int self_cpu);

/* The same under a lock that was taken, by a compare-and-swap, after the unlinking: by this
 * thread, and since then it has unlinked nothing itself without a full fence. */
bool lease_elapsed_locked(uint32_t stamp, int self_cpu);

/* The same for memory that is this process's alone and may go away: its own stalled runs
 * count too. */
bool lease_elapsed_here(uint32_t stamp);

/* Waits until lease_elapsed(), or until the leases in the way have not moved
 * for a bound (then they are marked stalled and no longer waited for, until
 * they are taken anew). A run that waits (self_cpu >= 0) is also sent on when all that it
 * waits for wait for it. */
void lease_wait(uint32_t stamp, int self_cpu);

/* A number that is another one after a run has died. */
uint64_t lease_deaths(void);

#endif
