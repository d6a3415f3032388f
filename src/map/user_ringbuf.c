/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_USER_RINGBUF: a mapping of the file produces, programs consume by
 * bpf_user_ringbuf_drain(). ring.h has the layout and the waking.
 *
 * One drain at a time: `draining` names the run that drains, and a callback may
 * take any lock meanwhile, so it is no robust lock. A drainer that died is found by
 * its lease and replaced; what its callback had not returned from is drained
 * again. A callback that died in the middle of a sample has run for it or not, as any
 * program that dies.
 *
 * Everything but consumer_pos is the producer's to write, at any time: header and
 * position are copied once, checked, and the copies used. A sample lies in the two
 * views of the data whatever they say.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/errors.h"
#include "map/ring.h"
#include "sync/lease.h"

#define SAMPLE_MAX ((1U << 24) - 1) /* what a dynptr holds */

static int user_ringbuf_alloc_check(const struct map_attr *attr)
{
	return ring_alloc_check(attr, BPF_F_NUMA_NODE);
}

/* All pages ahead: clients store through their mapping. */
static int user_ringbuf_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	int err = ring_layout(m, data_size, prealloc);

	*prealloc = *data_size;
	return err;
}

static int user_ringbuf_begin(struct map *m, uint64_t flags)
{
	struct ring_shared *s = ring_shared(m);
	uint32_t own = lease_tenancy();
	uint64_t old = 0;

	if (!m->writable || own == LEASE_NO_TENANCY)
		return -EBUSY;
	if (!cas_seq_cst(&s->draining, &old, own + 1ULL) &&
	    (!lease_tenancy_over(old - 1) || !cas_seq_cst(&s->draining, &old, own + 1ULL)))
		return -EBUSY;
	/* Until the end, a death leaves producers that nobody wakes. */
	if (flags & BPF_RB_FORCE_WAKEUP || !(flags & BPF_RB_NO_WAKEUP))
		store_relaxed(&s->wake_owed, 1);
	return 0;
}

static int user_ringbuf_peek(struct map *m, void **sample, uint32_t *size)
{
	/* Acquire: the sample and its header are complete up to it. */
	uint64_t prod = load_acquire(ring_producer(m)), cons, total;
	uint32_t len, flags;

	if (prod & 7)
		return -EINVAL;
	cons = load_relaxed(ring_consumer(m));
	if (cons >= prod)
		return -ENODATA;
	len = load_acquire((uint32_t *)ring_header(m, cons));
	flags = len & (RING_BUSY | RING_DISCARD);
	len &= ~(RING_BUSY | RING_DISCARD);
	total = ring_record_size(len);
	if (total > prod - cons)
		return -EINVAL;
	if (total > m->ring.mask + 1 || len > SAMPLE_MAX)
		return -E2BIG;
	if (flags & RING_DISCARD) {
		store_release(ring_consumer(m), cons + total);
		return -EAGAIN;
	}
	if (flags & RING_BUSY)
		return -ENODATA;
	*sample = m->ring.data + ((cons + RING_HEADER) & m->ring.mask & ~7ULL);
	*size = len;
	return 0;
}

static void user_ringbuf_release(struct map *m, uint32_t size)
{
	uint64_t *cons = ring_consumer(m);

	/* Release: the producer may write over the sample from here on. */
	store_release(cons, load_relaxed(cons) + ring_record_size(size));
}

static void user_ringbuf_end(struct map *m, bool wake)
{
	struct ring_shared *s = ring_shared(m);

	/* Full fence between consumer_pos and armed: partner of ring_arm(). */
	fence_seq_cst();
	if (wake && load_relaxed(&s->armed))
		ring_wake(m);
	store_relaxed(&s->wake_owed, 0);
	store_release(&s->draining, 0);
}

static void user_ringbuf_abandon(struct map *m)
{
	uint32_t own = lease_tenancy();

	if (m->writable && own != LEASE_NO_TENANCY &&
	    load_relaxed(&ring_shared(m)->draining) == own + 1ULL)
		user_ringbuf_end(m, true);
}

static uint32_t user_ringbuf_poll(struct map *m)
{
	uint64_t cons = load_acquire(ring_consumer(m)), prod = load_acquire(ring_producer(m));

	return prod - cons <= m->ring.mask ? POLLOUT | POLLWRNORM : 0;
}

/* A drainer died before it woke the producers. */
static bool user_ringbuf_wake_due(struct map *m)
{
	const struct ring_shared *s = ring_shared(m);
	uint64_t drainer = load_acquire(&s->draining);

	return load_relaxed(&s->wake_owed) && (!drainer || lease_tenancy_over(drainer - 1)) &&
	       user_ringbuf_poll(m);
}

static int user_ringbuf_mmap_check(struct map *m, uint64_t offset, uint64_t len, int prot,
				   int flags)
{
	if (prot & PROT_WRITE && !offset)
		return -EPERM;
	return ring_mmap_range(m, offset, len);
}

static int user_ringbuf_recover(struct map *m)
{
	struct ring_shared *s = ring_shared(m);
	uint64_t drainer = load_acquire(&s->draining);

	if (!m->writable)
		return -EPERM;
	if (drainer && lease_tenancy_over(drainer - 1) && cas_seq_cst(&s->draining, &drainer, 0))
		ring_wake_armed(m);
	return 0;
}

static int user_ringbuf_validate(struct map *m, char *why, size_t size)
{
	const struct ring_shared *s = ring_shared(m);

	if (!s->draining && !(*ring_consumer(m) & 7))
		return 0;
	snprintf(why, why ? size : 0, "draining %#llx consumer %llu",
		 (unsigned long long)s->draining, (unsigned long long)*ring_consumer(m));
	return -EINVAL;
}

static const struct ring_ops user_ringbuf_ring_ops = {
	.drain_begin = user_ringbuf_begin,
	.drain_peek = user_ringbuf_peek,
	.drain_release = user_ringbuf_release,
	.drain_end = user_ringbuf_end,
	.abandon = user_ringbuf_abandon,
	.wake_due = user_ringbuf_wake_due,
};

static const uint16_t user_ringbuf_helpers[] = {BPF_FUNC_user_ringbuf_drain, 0};

const struct map_ops user_ringbuf_map_ops = {
	.type = BPF_MAP_TYPE_USER_RINGBUF,
	.name = "user_ringbuf",
	.alloc_check = user_ringbuf_alloc_check,
	.layout = user_ringbuf_layout,
	.format = ring_format,
	.open = ring_open,
	.unmap = ring_unmap,
	.ring = &user_ringbuf_ring_ops,
	.helpers = user_ringbuf_helpers,
	.poll = user_ringbuf_poll,
	.mmap_check = user_ringbuf_mmap_check,
	.mmap_repeat = ring_mmap_repeat,
	.memlock = ring_memlock,
	.recover = user_ringbuf_recover,
	.validate = user_ringbuf_validate,
	.inner_allowed = true,
	.check_late = true,
};
