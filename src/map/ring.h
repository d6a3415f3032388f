/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RINGBUF and USER_RINGBUF: what they share, and what the layers above ask.
 *
 *   offset 0          u64 consumer_pos          written by who consumes
 *   offset 4096       u64 producer_pos          written by who produces
 *                     at 4112: u64 overwrite_pos (SHMAP_F_RB_OVERWRITE)
 *   offset 8192       data: max_entries bytes
 *   trailer           struct ring_shared, in the body
 *
 * These are the pages that the kernel's mmap(2) shows, but for the second view
 * of the data behind the first: a mapping makes it from the same file pages
 * (map_ops.mmap_repeat, and ring_open() for this library's own). Nothing that only
 * this library may write lies on a page that a client can map writable.
 *
 * Positions count bytes and only grow; & (max_entries - 1) is the place. A
 * record is 8 bytes of header and its sample, rounded up to 8:
 *
 *   u32 len     length of the sample | BUSY (1 << 31) | DISCARD (1 << 30)
 *   u32 pg_off  while BUSY: the producer's lease tenancy (sync/lease.h). Then, as in
 *               the kernel, the number of the page, counted from RING_PG_OFF, and in
 *               bits 30 and 31 the flags of the submit: who waits can tell whether a
 *               record came that should have woken him.
 *
 * Waiting. A sleeper sets `armed`, looks once more, and sleeps on an inotify
 * watch of the file (IN_ATTRIB). Who has something for him exchanges armed for 0
 * and touches the file's times, once for all sleepers. Both sides have a full
 * fence between their store and their load, so that either the sleeper sees the
 * record or the producer sees him. Whoever dies with armed set costs one touch for
 * nothing; whoever dies between the exchange and the touch is made good by the
 * sleeper's own look, twice a second, at wake_due().
 */
#ifndef SHMAP_MAP_RING_H
#define SHMAP_MAP_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "map/map.h"

#define RING_BUSY (1U << 31)
#define RING_DISCARD (1U << 30)
#define RING_HEADER 8U
#define RING_DATA_OFF (2 * SHMAP_PAGE)
#define RING_PG_OFF 3U /* the kernel has one page in front of the two positions */
#define RING_FLAGS (BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)
#define RING_PG_FLAGS 30 /* where a submit's flags are in pg_off */

/* In the trailer's body, at RING_SHARED_OFF. */
struct ring_shared {
	/* Producers of a RINGBUF, under the lock. */
	uint32_t lock;
	uint32_t pad;
	uint64_t reserve_pos; /* the end of the last record */
	uint64_t pending_pos; /* no BUSY record lies before it */
	uint64_t seen_pos;    /* consumer_pos when it was last looked at */
	uint64_t populated;   /* bytes of data that have pages */
	uint64_t lost;	      /* records refused for want of room */
	uint64_t overwritten; /* records that gave way to newer ones */
	uint64_t records;     /* that there ever were */
	/* Read whenever records are published; written by who goes to sleep, and by who wakes him.
	 */
	uint32_t armed;
	uint32_t pad2[15];
	/* USER_RINGBUF: the drain under way. */
	uint64_t draining;  /* the drainer's tenancy + 1, or 0 */
	uint32_t wake_owed; /* it will wake the producers */
};

#define RING_SHARED_OFF 2048

enum ring_named { RING_NAME_UNKNOWN, RING_NAMED, RING_NAMELESS };

/* See the helpers of the same names in linux/bpf.h. */
struct ring_ops {
	/* RINGBUF, under a lease. The sample, or NULL: no room. */
	void *(*reserve)(struct map *m, uint64_t size);
	/* sample: what reserve() gave to this run; it is not used afterwards. The
	 * consumer sees it at the next publish(), if not before. */
	void (*commit)(struct map *m, void *sample, uint64_t flags, bool discard);
	void (*publish)(struct map *m);
	uint64_t (*query)(struct map *m, uint64_t what);

	/* USER_RINGBUF, under a lease. begin: 0 or -EBUSY. */
	int (*drain_begin)(struct map *m, uint64_t flags);
	/* The next sample: 0; -ENODATA; -EAGAIN: one was skipped; -EINVAL, -E2BIG. */
	int (*drain_peek)(struct map *m, void **sample, uint32_t *size);
	void (*drain_release)(struct map *m, uint32_t size);
	void (*drain_end)(struct map *m, bool wake);

	/* The calling thread's run ends by a fault: gives up what it holds. */
	void (*abandon)(struct map *m);

	/* Has something come for which a sleeper should have been woken? */
	bool (*wake_due)(struct map *m);
};

static inline struct ring_shared *ring_shared(const struct map *m)
{
	return (struct ring_shared *)(m->obj.trailer->body + RING_SHARED_OFF);
}

/* Says that the caller is going to sleep; it looks again after that. */
void ring_arm(struct map *m);
/* Wakes all sleepers, this process's too. false: the file has no name here. */
bool ring_wake(struct map *m);
/* After a change for which sleepers are to be woken: a full fence lies between. */
static inline void ring_wake_armed(struct map *m)
{
	fence_after_rmw();
	if (unlikely(load_relaxed(&ring_shared(m)->armed)))
		ring_wake(m);
}

/* The ring of this process in whose data addr lies, or NULL. For records whose
 * map an outer map named. The caller holds the record. */
struct map *ring_at(const void *addr);
static inline bool ring_has(const struct map *m, const void *addr)
{
	return (uint64_t)((const uint8_t *)addr - m->ring.data) <= 2 * m->ring.mask;
}

/* Shared by the two types (ring_common.c). */
int ring_alloc_check(const struct map_attr *attr, uint32_t flags);
int ring_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc);
int ring_format(struct map *m);
int ring_open(struct map *m);
void ring_unmap(struct map *m);
void ring_mmap_repeat(const struct map *m, uint64_t *at, uint64_t *size);
/* Do the pages [offset, offset + len) exist in a mapping? 0 or -EINVAL. */
int ring_mmap_range(const struct map *m, uint64_t offset, uint64_t len);
uint64_t ring_memlock(const struct map *m);

static inline uint64_t *ring_consumer(const struct map *m)
{
	return (uint64_t *)m->obj.base;
}

static inline uint64_t *ring_producer(const struct map *m)
{
	return (uint64_t *)(m->obj.base + SHMAP_PAGE);
}

static inline uint64_t *ring_overwrite(const struct map *m)
{
	return ring_producer(m) + 2;
}

/* The header at a position: inside the data whatever pos is, and its record too. */
static inline uint64_t *ring_header(const struct map *m, uint64_t pos)
{
	return (uint64_t *)(m->ring.data + (pos & m->ring.mask & ~7ULL));
}

/* What a record takes, by the len of its header: 8 or more, less than 2^31. */
static inline uint64_t ring_record_size(uint32_t len)
{
	return ((uint64_t)(len & ~(RING_BUSY | RING_DISCARD)) + RING_HEADER + 7) & ~7ULL;
}

#endif
