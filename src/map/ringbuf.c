/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_RINGBUF: programs produce, a mapping of the file consumes.
 * ring.h has the layout and the waking.
 *
 * Reserve, under the robust lock:
 *   (1) pending_pos moves past records that are no longer BUSY
 *   (2) room? else the loss is counted
 *   (3) overwrite mode: overwrite_pos moves past the oldest records
 *   (4) header: BUSY, the size, the lease's tenancy
 *   (5) producer_pos                       <- the record exists
 * Submit, without a lock: one exchange of the header        <- it has happened
 *
 * Death. Each step of reserve is one store, right by itself: pending_pos may stay
 * behind, a header beyond producer_pos is nobody's; a death between (3) and (5)
 * drops the oldest records without a newer one. So who takes the lock over has
 * nothing to repair. A death between (5) and the submit leaves a record BUSY for
 * ever, which a kernel cannot meet: its tenancy is over (lease_tenancy_over()), and
 * whoever finds it in the way, a producer or one who waits, makes it a discarded one,
 * under the lock. Only BUSY records from pending_pos on are judged so, never what
 * consumer_pos, which clients write, points to. The lock also keeps the
 * place from being reserved anew in between; and a run that still goes on, whose
 * submit is without the lock, is not judged.
 *
 * A producer that is stopped between reserve and submit holds the consumer back,
 * because records are consumed in the order of reservation; not the other producers,
 * until the ring is full.
 *
 * Distrust. Positions are masked, aligned and compared before use; the data is
 * mapped twice, so that a record begins in the first view and ends in the second at
 * most. pending_pos further from producer_pos than the ring is large, or a record
 * that reaches beyond producer_pos, is damage: nothing is reserved any more.
 *
 * Speed. The consumer's line is read only when the room known before is used
 * up or somebody sleeps, so that producer and consumer share, while both run, the
 * producer's line and the data and nothing else.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/errors.h"
#include "map/ring.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define RING_SAMPLE_MAX (UINT32_MAX / 4)
#define RING_POPULATE (64UL << 10)

static inline bool ring_overwrites(const struct map *m)
{
	return m->attr.map_flags & SHMAP_F_RB_OVERWRITE;
}

static int ringbuf_alloc_check(const struct map_attr *attr)
{
	return ring_alloc_check(attr, BPF_F_NUMA_NODE | SHMAP_F_RB_OVERWRITE);
}

static inline uint32_t header_len(uint64_t header)
{
	return (uint32_t)header;
}

/* The header of a record at pos that is no longer BUSY. */
static inline uint64_t header_done(const struct map *m, uint64_t pos, uint32_t len, uint64_t flags)
{
	uint32_t pg_off = ((pos & m->ring.mask) / SHMAP_PAGE + RING_PG_OFF) |
			  (uint32_t)(flags & RING_FLAGS) << RING_PG_FLAGS;

	return (len & ~RING_BUSY) | (uint64_t)pg_off << 32;
}

/* Under the lock: makes a discarded one of the BUSY record whose header was read. */
static bool ring_discard(struct map *m, uint64_t pos, uint64_t header)
{
	uint64_t done = header_done(m, pos, header_len(header) | RING_DISCARD, 0);

	return cas_seq_cst(ring_header(m, pos), &header, done);
}

/*
 * Under the lock: moves pending_pos as far as it goes, over records of the dead
 * too (*died). own: a tenancy whose records wait. 0 or -EIO.
 */
static int ring_settle(struct map *m, uint64_t prod, uint32_t own, bool *died)
{
	struct ring_shared *s = m->ring.shared;
	uint64_t from = load_relaxed(&s->pending_pos), pos = from;

	if (unlikely(prod - pos > m->ring.mask || (prod | pos) & 7))
		goto damaged;
	while (pos != prod) {
		uint64_t header = load_acquire(ring_header(m, pos)), size;

		if (header_len(header) & RING_BUSY) {
			if (header >> 32 == own || !lease_tenancy_over(header >> 32))
				break;
			if (!ring_discard(m, pos, header))
				continue;
			*died = true;
		}
		size = ring_record_size(header_len(header));
		if (unlikely(size > prod - pos))
			goto damaged;
		pos += size;
	}
	if (pos != from)
		store_relaxed(&s->pending_pos, pos);
	return 0;
damaged:
	store_relaxed(&m->shared->damaged, 1);
	return -EIO;
}

/* From outside the lock: a BUSY record is in the way, and its owner may be dead. */
static void ring_settle_dead(struct map *m)
{
	struct ring_shared *s = m->ring.shared;
	bool died = false;

	if (!m->writable || lock_acquire(&s->lock) < 0)
		return;
	ring_settle(m, load_relaxed(ring_producer(m)), LEASE_NO_TENANCY, &died);
	lock_release(&s->lock);
	if (died)
		ring_wake_armed(m);
}

/* Under the lock: pages for the data up to end, before anything is stored there. */
static bool ring_populate(struct map *m, uint64_t end)
{
	struct ring_shared *s = m->ring.shared;
	uint64_t from = load_relaxed(&s->populated), size = m->ring.mask + 1, to;

	if (from > size || from % SHMAP_PAGE)
		from = 0; /* damage; populating is idempotent */
	to = round_up_u64(end, RING_POPULATE);
	if (to > size)
		to = size;
	if (to > from && object_populate(&m->obj, RING_DATA_OFF + from, to - from)) {
		/* what is needed, if not the whole piece */
		to = round_up_u64(end, SHMAP_PAGE);
		if (to > size)
			to = size;
		if (to > from && object_populate(&m->obj, RING_DATA_OFF + from, to - from))
			return false;
	}
	store_relaxed(&s->populated, to > from ? to : from);
	return true;
}

/* Under the lock, overwrite mode: the oldest records make room for one that ends at end. */
static bool ring_make_room(struct map *m, uint64_t prod, uint64_t end)
{
	uint64_t pos = load_relaxed(ring_overwrite(m)), n = 0;

	if (prod - pos > m->ring.mask || pos & 7)
		return false;
	while (end - pos > m->ring.mask) {
		uint64_t size;

		/* the record is no longer BUSY: it lies before pending_pos */
		size = ring_record_size(header_len(load_relaxed(ring_header(m, pos))));
		if (size > prod - pos)
			return false;
		pos += size;
		n++;
	}
	if (n) {
		store_relaxed(ring_overwrite(m), pos);
		fetch_add_relaxed(&m->ring.shared->overwritten, n);
		/* Who reads an overwritten record, and then overwrite_pos, sees that
		 * it has moved: before the first new byte. */
		fence_release();
	}
	return true;
}

/* Under the lock. The position of the new record, or -1: no room; -2: damage. */
static int64_t ring_take(struct map *m, uint64_t size, uint32_t own, bool *died)
{
	struct ring_shared *s = m->ring.shared;
	const uint64_t mask = m->ring.mask;
	uint64_t prod = load_relaxed(ring_producer(m));
	uint64_t len = (size + RING_HEADER + 7) & ~7ULL, end = prod + len, place = prod & mask;
	uint64_t last = place + len > mask ? mask + 1 : place + len;

	if (unlikely(ring_settle(m, prod, own, died)))
		return -2;
	if (unlikely(end - load_relaxed(&s->pending_pos) > mask))
		return -1;
	if (unlikely(ring_overwrites(m))) {
		if (!ring_make_room(m, prod, end))
			return -2;
	} else if (unlikely(end - load_relaxed(&s->seen_pos) > mask)) {
		/* Acquire: the consumer is done with what lies before it. */
		uint64_t cons = load_acquire(ring_consumer(m));

		store_relaxed(&s->seen_pos, cons);
		if (end - cons > mask)
			return -1;
	}
	if (unlikely(last > load_relaxed(&s->populated)) && !ring_populate(m, last))
		return -1;
	store_relaxed(ring_header(m, prod), (size | RING_BUSY) | (uint64_t)own << 32);
	/* Pairs with the consumer's acquire: who sees the position sees the header
	 * (and overwrite_pos). */
	store_release(ring_producer(m), end);
	return prod;
}

static void *ringbuf_reserve(struct map *m, uint64_t size)
{
	struct ring_shared *s = m->ring.shared;
	uint32_t own = lease_tenancy();
	bool died = false;
	int64_t pos;

	if (unlikely(size > RING_SAMPLE_MAX || size + RING_HEADER > m->ring.mask + 1))
		return NULL;
	if (unlikely(!m->writable || own == LEASE_NO_TENANCY))
		return NULL;
	/* LOCK_OWNER_DIED: nothing to repair, see above. */
	if (unlikely(lock_acquire(&s->lock) < 0)) {
		fetch_add_relaxed(&s->lost, 1);
		return NULL;
	}
	pos = ring_take(m, size, own, &died);
	if (unlikely(pos == -1))
		fetch_add_relaxed(&s->lost, 1);
	lock_release(&s->lock);
	if (unlikely(died))
		ring_wake_armed(m);
	return likely(pos >= 0) ? (uint8_t *)ring_header(m, pos) + RING_HEADER : NULL;
}

/* Somebody sleeps: is this a record to wake him for? */
static __attribute__((noinline)) void ring_committed(struct map *m, uint64_t pos, uint64_t flags)
{
	uint64_t cons = load_acquire(ring_consumer(m)) & m->ring.mask;

	if (flags & BPF_RB_FORCE_WAKEUP || (cons == pos && !(flags & BPF_RB_NO_WAKEUP)))
		ring_wake(m);
}

static void ringbuf_commit(struct map *m, void *sample, uint64_t flags, bool discard)
{
	uint64_t *header = (uint64_t *)((uint8_t *)sample - RING_HEADER);
	uint64_t pos = (uint64_t)((uint8_t *)header - m->ring.data) & m->ring.mask;
	uint32_t len = header_len(load_relaxed(header));

	if (discard)
		len |= RING_DISCARD;
	/* Release: the sample is complete. Full fence before armed and consumer_pos
	 * are read: the sleeper stores them before he reads the position or the header. */
	exchange_seq_cst(header, header_done(m, pos, len, flags));
	fence_after_rmw();
	if (unlikely(load_relaxed(&m->ring.shared->armed)))
		ring_committed(m, pos, flags);
}

static uint64_t ringbuf_query(struct map *m, uint64_t what)
{
	uint64_t cons = load_acquire(ring_consumer(m)), prod = load_acquire(ring_producer(m));

	switch (what) {
	case BPF_RB_AVAIL_DATA:
		if (ring_overwrites(m)) {
			uint64_t over = load_relaxed(ring_overwrite(m));

			return prod - (cons > over ? cons : over);
		}
		return prod - cons;
	case BPF_RB_RING_SIZE:
		return m->ring.mask + 1;
	case BPF_RB_CONS_POS:
		return cons;
	case BPF_RB_PROD_POS:
		return prod;
	case SHMAP_RB_OVERWRITE_POS:
		return ring_overwrites(m) ? load_relaxed(ring_overwrite(m)) : 0;
	default:
		return 0;
	}
}

/* The run of this thread has ended with records that it never submitted. */
static void ringbuf_abandon(struct map *m)
{
	struct ring_shared *s = m->ring.shared;
	uint32_t own = lease_tenancy();
	uint64_t pos, prod;

	if (!m->writable || own == LEASE_NO_TENANCY || lock_acquire(&s->lock) < 0)
		return;
	prod = load_relaxed(ring_producer(m));
	pos = load_relaxed(&s->pending_pos);
	while (prod - pos - 1 < m->ring.mask) {
		uint64_t header = load_acquire(ring_header(m, pos));

		if (header_len(header) & RING_BUSY && header >> 32 == own)
			ring_discard(m, pos, header);
		pos += ring_record_size(header_len(header));
	}
	lock_release(&s->lock);
	ring_wake_armed(m);
}

static bool ring_head_busy(const struct map *m, uint64_t cons)
{
	return header_len(load_acquire(ring_header(m, cons))) & RING_BUSY;
}

/* As the kernel: records that are still BUSY count. */
static uint32_t ringbuf_poll(struct map *m)
{
	uint64_t cons = load_acquire(ring_consumer(m));

	if (!ringbuf_query(m, BPF_RB_AVAIL_DATA))
		return 0;
	if (unlikely(ring_head_busy(m, cons)))
		ring_settle_dead(m);
	return POLLIN | POLLRDNORM;
}

static bool ringbuf_wake_due(struct map *m)
{
	uint64_t cons = load_acquire(ring_consumer(m)), prod = load_acquire(ring_producer(m));

	if (cons != prod && ring_head_busy(m, cons))
		ring_settle_dead(m);
	for (uint64_t pos = cons; prod - pos - 1 < m->ring.mask;) {
		uint64_t header = load_acquire(ring_header(m, pos));
		uint32_t flags = header >> 32 >> RING_PG_FLAGS;

		if (header_len(header) & RING_BUSY)
			return false;
		if (flags & BPF_RB_FORCE_WAKEUP || (pos == cons && !(flags & BPF_RB_NO_WAKEUP)))
			return true;
		pos += ring_record_size(header_len(header));
	}
	return false;
}

static int ringbuf_mmap_check(struct map *m, uint64_t offset, uint64_t len, int prot, int flags)
{
	if (prot & PROT_WRITE && (offset || round_up_u64(len, SHMAP_PAGE) != SHMAP_PAGE))
		return -EPERM;
	return ring_mmap_range(m, offset, len);
}

static int ringbuf_stats(struct map *m, struct map_stats *stats)
{
	stats->lost =
		load_relaxed(&m->ring.shared->lost) + load_relaxed(&m->ring.shared->overwritten);
	return 0;
}

static int ringbuf_recover(struct map *m)
{
	struct ring_shared *s = m->ring.shared;
	bool died = false;
	int err;

	if (!m->writable)
		return -EPERM;
	err = lock_acquire(&s->lock);
	if (err < 0)
		return err;
	err = ring_settle(m, load_relaxed(ring_producer(m)), LEASE_NO_TENANCY, &died);
	lock_release(&s->lock);
	return err;
}

static int ringbuf_validate(struct map *m, char *why, size_t size)
{
	const struct ring_shared *s = m->ring.shared;
	uint64_t prod = *ring_producer(m), pos = s->pending_pos;

	if (s->lock || m->shared->damaged || prod - pos > m->ring.mask || (prod | pos) & 7 ||
	    s->populated > m->ring.mask + 1) {
		snprintf(why, why ? size : 0,
			 "lock %#x damaged %u producer %llu pending %llu populated %llu", s->lock,
			 m->shared->damaged, (unsigned long long)prod, (unsigned long long)pos,
			 (unsigned long long)s->populated);
		return -EINVAL;
	}
	/* In overwrite mode also the records that may still be read. */
	if (ring_overwrites(m) && prod - *ring_overwrite(m) <= m->ring.mask)
		pos = *ring_overwrite(m);
	while (pos != prod) {
		uint64_t header = *ring_header(m, pos), len = ring_record_size(header_len(header));

		if (header_len(header) & RING_BUSY || len > prod - pos) {
			snprintf(why, why ? size : 0, "record at %llu of %llu: %#llx",
				 (unsigned long long)pos, (unsigned long long)prod,
				 (unsigned long long)header);
			return -EINVAL;
		}
		pos += len;
	}
	return 0;
}

static const struct ring_ops ringbuf_ring_ops = {
	.reserve = ringbuf_reserve,
	.commit = ringbuf_commit,
	.query = ringbuf_query,
	.abandon = ringbuf_abandon,
	.wake_due = ringbuf_wake_due,
};

static const uint16_t ringbuf_helpers[] = {
	BPF_FUNC_ringbuf_output,
	BPF_FUNC_ringbuf_reserve,
	BPF_FUNC_ringbuf_query,
	BPF_FUNC_ringbuf_reserve_dynptr,
	BPF_FUNC_ringbuf_submit_dynptr,
	BPF_FUNC_ringbuf_discard_dynptr,
	0,
};

const struct map_ops ringbuf_map_ops = {
	.type = BPF_MAP_TYPE_RINGBUF,
	.name = "ringbuf",
	.alloc_check = ringbuf_alloc_check,
	.layout = ring_layout,
	.format = ring_format,
	.open = ring_open,
	.close = ring_close,
	.ring = &ringbuf_ring_ops,
	.helpers = ringbuf_helpers,
	.poll = ringbuf_poll,
	.stats = ringbuf_stats,
	.mmap_check = ringbuf_mmap_check,
	.mmap_repeat = ring_mmap_repeat,
	.memlock = ring_memlock,
	.recover = ringbuf_recover,
	.validate = ringbuf_validate,
	.inner_allowed = true,
};
