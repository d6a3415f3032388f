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
 *   (5) reserve_pos                        <- the record exists
 * Submit, without a lock: one store of the header
 * Publish, under the lock: (1), then
 *   (6) producer_pos = pending_pos         <- the consumer sees it: it has happened
 *
 *	consumer_pos <= producer_pos <= pending_pos <= reserve_pos
 *
 * A kernel's producer_pos is our reserve_pos, and a consumer there meets BUSY records
 * and waits at them. Here he sees complete ones only, and not each one at once: a run
 * publishes when it ends, when RING_BATCH bytes have come together, when there is no
 * room, and with BPF_RB_FORCE_WAKEUP. So a consumer that keeps up with the producer does
 * not take the producer's cache lines from it with every record.
 *
 * Death. Each step is one store, right by itself: pending_pos and producer_pos may
 * stay behind, a header beyond reserve_pos is nobody's; a death between (3) and (5)
 * drops the oldest records without a newer one. So who takes the lock over has
 * nothing to repair. A death after the submit leaves a record that the next producer
 * publishes, or one who waits. A death between (5) and the submit leaves a record BUSY
 * for ever, which a kernel cannot meet: its tenancy is over (lease_tenancy_over()), and
 * whoever finds it in the way, a producer or one who waits, makes it a discarded one,
 * under the lock. Only BUSY records from pending_pos on are judged so, never what
 * consumer_pos, which clients write, points to. The lock also keeps the
 * place from being reserved anew in between; and a run that still goes on, whose
 * submit is without the lock, is not judged.
 *
 * A producer that is stopped between reserve and submit holds the consumer back,
 * because records are consumed in the order of reservation; not the other producers,
 * until the ring is full. Who only looks (poll) does not wait for the lock.
 *
 * Distrust. Positions are masked, aligned and compared before use; the data is
 * mapped twice, so that a record begins in the first view and ends in the second at
 * most. pending_pos further from reserve_pos than the ring is large, or a record
 * that reaches beyond reserve_pos, is damage: nothing is reserved any more.
 *
 * Speed. The consumer's line is read only when the room known before is used
 * up or somebody sleeps, so that producer and consumer share, while both run, the
 * data and, once per batch, the producer's line.
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
#define RING_AHEAD 512U
#define RING_BATCH 1024U /* bytes; of the smallest ring a quarter */

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
 * too. own: a tenancy whose records wait. 0 or -EIO.
 */
static int ring_settle(struct map *m, uint32_t own)
{
	struct ring_shared *s = ring_shared(m);
	uint64_t from = load_relaxed(&s->pending_pos), end = load_relaxed(&s->reserve_pos);
	uint64_t pos = from;

	if (unlikely(end - pos > m->ring.mask || (end | pos) & 7))
		goto damaged;
	while (pos != end) {
		uint64_t header = load_acquire(ring_header(m, pos)), size;

		if (header_len(header) & RING_BUSY) {
			if (header >> 32 == own || !lease_tenancy_over(header >> 32))
				break;
			if (!ring_discard(m, pos, header))
				continue;
		}
		size = ring_record_size(header_len(header));
		if (unlikely(size > end - pos))
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

static uint32_t header_flags(uint64_t header)
{
	return header >> 32 >> RING_PG_FLAGS;
}

/*
 * Is a sleeper to be woken for records in [from, to)? As in the kernel: for one that
 * the consumer waited for, unless its submit said no, and for one that said so.
 */
static bool ring_wakes(const struct map *m, uint64_t from, uint64_t to)
{
	uint64_t cons = load_acquire(ring_consumer(m));

	for (uint64_t pos = from; to - pos - 1 <= m->ring.mask;) {
		uint64_t header = load_acquire(ring_header(m, pos));

		if (header_len(header) & RING_BUSY)
			break;
		if (header_flags(header) & BPF_RB_FORCE_WAKEUP ||
		    (!((pos ^ cons) & m->ring.mask) && !(header_flags(header) & BPF_RB_NO_WAKEUP)))
			return true;
		pos += ring_record_size(header_len(header));
	}
	return false;
}

/* Under the lock: shows the consumer what lies before pending_pos. true: ring_wake()
 * is to be called, without the lock. */
static bool ring_show(struct map *m)
{
	const struct ring_shared *s = ring_shared(m);
	uint64_t from = load_relaxed(ring_producer(m)), to = load_relaxed(&s->pending_pos);

	if (from == to)
		return false;
	/* Pairs with the consumer's acquire: who sees the position sees the records
	 * (and overwrite_pos). */
	store_release(ring_producer(m), to);
	/* Before armed and consumer_pos are read: a sleeper stores them before he
	 * reads the position (ring_arm()). */
	fence_seq_cst();
	return unlikely(load_relaxed(&s->armed)) && ring_wakes(m, from, to);
}

/* Settles and shows. wait: for a living holder of the lock, too. */
static int ring_advance(struct map *m, uint32_t own, bool wait)
{
	struct ring_shared *s = ring_shared(m);
	uint32_t holder = load_relaxed(&s->lock);
	bool wake = false;
	int err;

	if (!m->writable)
		return -EPERM;
	if (!wait && holder && !lock_owner_died(&s->lock))
		return -EBUSY;
	err = lock_acquire(&s->lock);
	if (err < 0)
		return err;
	err = ring_settle(m, own);
	if (!err)
		wake = ring_show(m);
	lock_release(&s->lock);
	if (wake)
		ring_wake(m);
	return err;
}

static void ringbuf_publish(struct map *m)
{
	ring_advance(m, lease_tenancy(), true);
}

/* Under the lock: pages for the data up to end, before anything is stored there. */
static bool ring_populate(struct map *m, uint64_t end)
{
	struct ring_shared *s = ring_shared(m);
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
		fetch_add_relaxed(&ring_shared(m)->overwritten, n);
		/* Who reads an overwritten record, and then overwrite_pos, sees that
		 * it has moved: before the first new byte. */
		fence_release();
	}
	return true;
}

/* Under the lock. The position of the new record, or -1: no room; -2: damage. */
static int64_t ring_take(struct map *m, uint64_t size, uint32_t own, bool *wake)
{
	struct ring_shared *s = ring_shared(m);
	const uint64_t mask = m->ring.mask;
	uint64_t pos = load_relaxed(&s->reserve_pos), pending;
	uint64_t len = (size + RING_HEADER + 7) & ~7ULL, end = pos + len, place = pos & mask;
	uint64_t last = place + len > mask ? mask + 1 : place + len;

	if (unlikely(ring_settle(m, own)))
		return -2;
	pending = load_relaxed(&s->pending_pos);
	if (unlikely(pending - load_relaxed(ring_producer(m)) >= RING_BATCH))
		*wake = ring_show(m);
	if (unlikely(end - pending > mask))
		goto no_room;
	if (unlikely(ring_overwrites(m))) {
		/* what is given up must have been shown */
		*wake |= ring_show(m);
		if (!ring_make_room(m, pos, end))
			return -2;
	} else if (unlikely(end - load_relaxed(&s->seen_pos) > mask)) {
		/* Acquire: the consumer is done with what lies before it. */
		uint64_t cons = load_acquire(ring_consumer(m));

		store_relaxed(&s->seen_pos, cons);
		if (end - cons > mask)
			goto no_room;
	}
	if (unlikely(last > load_relaxed(&s->populated)) && !ring_populate(m, last))
		goto no_room;
	store_relaxed(ring_header(m, pos), (size | RING_BUSY) | (uint64_t)own << 32);
	/* The next lock waits for this one's stores: the lines that later records go to, which
	 * the consumer has, are asked for in time. */
	prefetch_write(m->ring.data + ((end + RING_AHEAD) & mask));
	/* The header before the position, also for who takes the lock over. */
	store_release(&s->reserve_pos, end);
	store_relaxed(&s->records, load_relaxed(&s->records) + 1);
	return pos;
no_room:
	*wake |= ring_show(m);
	return -1;
}

static void *ringbuf_reserve(struct map *m, uint64_t size)
{
	struct ring_shared *s = ring_shared(m);
	uint32_t own = lease_tenancy();
	bool wake = false;
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
	pos = ring_take(m, size, own, &wake);
	if (unlikely(pos == -1))
		fetch_add_relaxed(&s->lost, 1);
	lock_release(&s->lock);
	if (unlikely(wake))
		ring_wake(m);
	return likely(pos >= 0) ? (uint8_t *)ring_header(m, pos) + RING_HEADER : NULL;
}

static void ringbuf_commit(struct map *m, void *sample, uint64_t flags, bool discard)
{
	uint64_t *header = (uint64_t *)((uint8_t *)sample - RING_HEADER);
	uint64_t pos = (uint64_t)((uint8_t *)header - m->ring.data) & m->ring.mask;
	uint32_t len = header_len(load_relaxed(header));

	if (discard)
		len |= RING_DISCARD;
	/* Release: the sample is complete. Pairs with the acquire in ring_settle(). */
	store_release(header, header_done(m, pos, len, flags));
	if (unlikely(flags & BPF_RB_FORCE_WAKEUP))
		ringbuf_publish(m);
}

static uint64_t ringbuf_query(struct map *m, uint64_t what)
{
	uint64_t cons = load_acquire(ring_consumer(m));
	uint64_t prod = load_acquire(&ring_shared(m)->reserve_pos), over;

	switch (what) {
	case BPF_RB_AVAIL_DATA:
		over = ring_overwrites(m) ? load_relaxed(ring_overwrite(m)) : 0;
		return prod - (cons > over ? cons : over);
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
	struct ring_shared *s = ring_shared(m);
	uint32_t own = lease_tenancy();
	uint64_t pos, end;

	if (!m->writable || own == LEASE_NO_TENANCY || lock_acquire(&s->lock) < 0)
		return;
	end = load_relaxed(&s->reserve_pos);
	pos = load_relaxed(&s->pending_pos);
	while (end - pos - 1 < m->ring.mask) {
		uint64_t header = load_acquire(ring_header(m, pos));

		if (header_len(header) & RING_BUSY && header >> 32 == own)
			ring_discard(m, pos, header);
		pos += ring_record_size(header_len(header));
	}
	lock_release(&s->lock);
	ringbuf_publish(m);
}

/* What dead producers have left, or a run has not shown yet, without waiting. */
static void ring_look(struct map *m)
{
	if (load_relaxed(ring_producer(m)) != load_relaxed(&ring_shared(m)->reserve_pos))
		ring_advance(m, LEASE_NO_TENANCY, false);
}

static uint64_t ring_readable(const struct map *m)
{
	uint64_t cons = load_acquire(ring_consumer(m)), prod = load_acquire(ring_producer(m));
	uint64_t over = ring_overwrites(m) ? load_relaxed(ring_overwrite(m)) : 0;

	return prod - (cons > over ? cons : over);
}

static uint32_t ringbuf_poll(struct map *m)
{
	if (!ring_readable(m))
		ring_look(m);
	return ring_readable(m) ? POLLIN | POLLRDNORM : 0;
}

static bool ringbuf_wake_due(struct map *m)
{
	ring_look(m);
	return ring_wakes(m, load_acquire(ring_consumer(m)), load_acquire(ring_producer(m)));
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
		load_relaxed(&ring_shared(m)->lost) + load_relaxed(&ring_shared(m)->overwritten);
	stats->changes = load_relaxed(&ring_shared(m)->records);
	stats->counts_changes = true;
	return 0;
}

static int ringbuf_recover(struct map *m)
{
	return ring_advance(m, LEASE_NO_TENANCY, true);
}

static int ringbuf_validate(struct map *m, char *why, size_t size)
{
	const struct ring_shared *s = ring_shared(m);
	uint64_t prod = s->reserve_pos, pos = s->pending_pos;

	if (s->lock || *ring_producer(m) != prod || m->shared->damaged ||
	    prod - pos > m->ring.mask || (prod | pos) & 7 || s->populated > m->ring.mask + 1) {
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
	.publish = ringbuf_publish,
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
	.unmap = ring_unmap,
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
	.check_late = true,
};
