/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every operation of the ring buffers, killed after each of its instructions.
 *
 * A survivor then finds the records from before in order and whole, after them the
 * killed one's or not, nothing else, and nothing in the way: it can produce (one time in
 * three before it has looked), consume and fill the ring. A sleeper has been woken for what
 * there is, or finds out by itself (watch_due).
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../check.h"
#include "base/errors.h"
#include "harness.h"
#include "map/ring.h"
#include "sync/lease.h"
#include "sync/lock.h"
#include "sys/sys.h"

#define SIZE 4096u
#define BEFORE 3u /* records that the consumer has not seen */

struct fixture {
	uint32_t type, flags;
	uint64_t start;	  /* where the positions begin */
	bool full, armed; /* no room; somebody sleeps */
	bool busy;	  /* a run that died before has left a record */
	uint32_t added;	  /* records by the operation */
	struct map *m;
	int fd;
	struct map_watch watch;
	uint64_t next; /* sequence number */
};

static uint64_t sample_check(uint64_t seq)
{
	return seq * 0x9e3779b97f4a7c15ull;
}

/* A record of 16 bytes, or 0 for one that there is no room for. */
static bool produce(struct fixture *f, uint64_t seq, uint64_t flags)
{
	uint64_t *s = f->m->ops->ring->reserve(f->m, 16);

	if (!s)
		return false;
	s[0] = seq;
	s[1] = sample_check(seq);
	f->m->ops->ring->commit(f->m, s, flags, false);
	return true;
}

static void produce_run(struct fixture *f, uint32_t n)
{
	REQUIRE(lease_acquire() >= 0);
	while (n--)
		REQUIRE(produce(f, f->next++, 0));
	f->m->ops->ring->publish(f->m);
	lease_release();
}

/* What a client does who produces into a user ring buffer. */
static void client_produce(struct fixture *f, uint32_t n)
{
	while (n--) {
		uint64_t prod = *ring_producer(f->m), *header = ring_header(f->m, prod);

		header[1] = f->next;
		header[2] = sample_check(f->next++);
		store_release(header, 16);
		store_release(ring_producer(f->m), prod + 24);
	}
}

static bool user(const struct fixture *f)
{
	return f->type == BPF_MAP_TYPE_USER_RINGBUF;
}

static void setup(void *arg)
{
	struct fixture *f = arg;
	struct map_attr attr = {.map_type = f->type,
				.max_entries = SIZE,
				.map_flags = f->flags,
				.spin_lock_off = -1};

	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	REQUIRE(!watch_open(f->fd, &f->watch) && f->watch.fd >= 0);
	f->next = 1;
	*ring_producer(f->m) = *ring_consumer(f->m) = f->start;
	ring_shared(f->m)->reserve_pos = ring_shared(f->m)->pending_pos = f->start;
	ring_shared(f->m)->seen_pos = f->start;
	if (f->flags & SHMAP_F_RB_OVERWRITE)
		*ring_overwrite(f->m) = f->start;
	if (user(f)) {
		client_produce(f, BEFORE);
	} else if (f->full) {
		produce_run(f, (SIZE - 1) / 24);
	} else {
		produce_run(f, BEFORE);
	}
	if (f->busy) {
		uint32_t over = LEASE_CPUS_MAX - 1; /* a CPU that there is not */

		*ring_header(f->m, ring_shared(f->m)->reserve_pos) =
			(16 | RING_BUSY) | (uint64_t)over << 32;
		ring_shared(f->m)->reserve_pos += 24;
	}
	if (f->armed) {
		/* the consumer has taken all and sleeps */
		*ring_consumer(f->m) = *ring_producer(f->m);
		if (user(f))
			*ring_consumer(f->m) -= 24;
		watch_arm(&f->watch);
	}
}

/* ---- operations ---- */

static void begin(void)
{
	if (lease_acquire() < 0)
		_exit(1);
}

static void op_submit(void *arg)
{
	struct fixture *f = arg;

	begin();
	produce(f, f->next, 0);
	f->m->ops->ring->publish(f->m);
	lease_release();
}

static void op_submit_force(void *arg)
{
	struct fixture *f = arg;

	begin();
	produce(f, f->next, BPF_RB_FORCE_WAKEUP);
	lease_release();
}

/* The second is submitted before the first. */
static void op_submit_two(void *arg)
{
	struct fixture *f = arg;
	uint64_t *a, *b;

	begin();
	a = f->m->ops->ring->reserve(f->m, 16);
	b = f->m->ops->ring->reserve(f->m, 16);
	if (!a || !b)
		_exit(1);
	b[0] = f->next + 1;
	b[1] = sample_check(b[0]);
	f->m->ops->ring->commit(f->m, b, 0, false);
	a[0] = f->next;
	a[1] = sample_check(a[0]);
	f->m->ops->ring->commit(f->m, a, 0, false);
	f->m->ops->ring->publish(f->m);
	lease_release();
}

static void op_discard(void *arg)
{
	struct fixture *f = arg;
	void *s;

	begin();
	s = f->m->ops->ring->reserve(f->m, 16);
	if (!s)
		_exit(1);
	f->m->ops->ring->commit(f->m, s, 0, true);
	f->m->ops->ring->publish(f->m);
	lease_release();
}

static void op_abandon(void *arg)
{
	struct fixture *f = arg;

	begin();
	if (!f->m->ops->ring->reserve(f->m, 16))
		_exit(1);
	f->m->ops->ring->abandon(f->m);
	lease_release();
}

static void op_poll(void *arg)
{
	struct fixture *f = arg;

	f->m->ops->poll(f->m);
}

static void op_recover(void *arg)
{
	struct fixture *f = arg;

	if (f->m->ops->recover(f->m))
		_exit(1);
}

static void op_wait(void *arg)
{
	struct fixture *f = arg;

	watch_arm(&f->watch);
	f->m->ops->poll(f->m);
	watch_due(&f->watch);
	watch_ring(&f->watch);
}

static void op_drain(void *arg)
{
	struct fixture *f = arg;
	uint32_t size;
	void *s;

	begin();
	if (f->m->ops->ring->drain_begin(f->m, 0))
		_exit(1);
	while (!f->m->ops->ring->drain_peek(f->m, &s, &size))
		f->m->ops->ring->drain_release(f->m, size);
	f->m->ops->ring->drain_end(f->m, true);
	lease_release();
}

/* ---- what is left ---- */

/* The consumer: the records that it can see, which must be these, in order. */
static int consume(struct fixture *f, uint64_t from, uint32_t *n)
{
	uint64_t pos = *ring_consumer(f->m), prod = load_acquire(ring_producer(f->m));

	if (f->flags & SHMAP_F_RB_OVERWRITE && (int64_t)(*ring_overwrite(f->m) - pos) > 0)
		pos = *ring_overwrite(f->m);
	*n = 0;
	while (pos != prod) {
		uint64_t *header = ring_header(f->m, pos);
		uint32_t len = *header;

		if (len & RING_BUSY || prod - pos > SIZE) {
			kill_why("a record that nobody submits: %#x at %llu of %llu", len,
				 (unsigned long long)pos, (unsigned long long)prod);
			return -1;
		}
		if (!(len & RING_DISCARD)) {
			/* overwritten ones may be missing at the beginning */
			if (!*n && f->flags & SHMAP_F_RB_OVERWRITE && header[1] > from)
				from = header[1];
			/* of two records the first may be the one that was not submitted */
			if (f->added == 2 && header[1] == f->next + 1 && from + *n == f->next)
				from++;
			if (len != 16 || header[1] != from + *n ||
			    header[2] != sample_check(header[1])) {
				kill_why("record %llu in the place of %llu",
					 (unsigned long long)header[1],
					 (unsigned long long)(from + *n));
				return -1;
			}
			++*n;
		}
		pos += ring_record_size(len);
	}
	*ring_consumer(f->m) = pos;
	*n += from - 1; /* the sequence number of the last */
	return 0;
}

static enum kill_outcome check_ring(struct fixture *f)
{
	uint64_t first = f->armed ? f->next : 1, last_before = f->next - 1;
	struct pollfd p = {.fd = f->watch.fd, .events = POLLIN};
	enum kill_outcome outcome = KILL_INVALID;
	bool early = kill_point() % 3 == 1;
	uint32_t last;
	char why[200];

	if (early && !f->full) { /* first of all: another record */
		if (lease_acquire() < 0)
			return KILL_INVALID;
		if (!produce(f, 1000, 0)) {
			kill_why("no room for a record");
			lease_release();
			return KILL_INVALID;
		}
		f->m->ops->ring->publish(f->m);
		lease_release();
		/* it follows whatever the killed one left: read that here */
		uint64_t end = *ring_producer(f->m);

		if (end < 24 || ring_header(f->m, end - 24)[1] != 1000) {
			kill_why("the survivor's record is not the last");
			return KILL_INVALID;
		}
		*ring_producer(f->m) = end - 24;
		if (consume(f, first, &last))
			return KILL_INVALID;
		*ring_producer(f->m) = end;
		*ring_consumer(f->m) = end;
	} else {
		if (kill_point() % 3 == 2) {
			if (f->m->ops->recover(f->m) ||
			    f->m->ops->validate(f->m, why, sizeof(why))) {
				kill_why("after recovery: %s", why);
				return KILL_INVALID;
			}
		}
		/* a sleeper: woken, or it sees for itself */
		if (f->armed && poll(&p, 1, 0) != 1 && watch_due(&f->watch))
			watch_ring(&f->watch);
		f->m->ops->poll(f->m);
		if (f->armed && *ring_producer(f->m) != *ring_consumer(f->m) &&
		    poll(&p, 1, 0) != 1) {
			kill_why("nobody woke the sleeper");
			return KILL_INVALID;
		}
		if (consume(f, first, &last))
			return KILL_INVALID;
	}
	if (last + 1 < first || last < last_before || last > last_before + f->added)
		kill_why("the last record is %u, before it was %llu", last,
			 (unsigned long long)last_before);
	else
		outcome = last == last_before ? KILL_OLD : KILL_NEW;
	/* and now the ring takes as much as ever */
	f->m->ops->recover(f->m);
	*ring_consumer(f->m) = *ring_producer(f->m);
	if (!(f->flags & SHMAP_F_RB_OVERWRITE)) {
		uint32_t n = 0;

		if (lease_acquire() < 0)
			return KILL_INVALID;
		while (produce(f, 2000 + n, 0))
			n++;
		f->m->ops->ring->publish(f->m);
		lease_release();
		if (n != (SIZE - 1) / 24) {
			kill_why("room for %u records", n);
			return KILL_INVALID;
		}
	}
	if (f->m->ops->validate(f->m, why, sizeof(why))) {
		kill_why("%s", why);
		return KILL_INVALID;
	}
	/* nothing that a consumer could tell */
	return f->added ? outcome : outcome == KILL_OLD ? KILL_NEW : KILL_INVALID;
}

static enum kill_outcome check_user(struct fixture *f)
{
	const struct ring_ops *ring = f->m->ops->ring;
	uint64_t cons = *ring_consumer(f->m), was = f->start + (f->armed ? (BEFORE - 1) * 24 : 0);
	struct pollfd p = {.fd = f->watch.fd, .events = POLLIN};
	uint32_t size, n = 0;
	char why[200];
	void *s;

	if (cons < was || (cons - was) % 24 || cons > f->start + BEFORE * 24) {
		kill_why("consumer at %llu", (unsigned long long)cons);
		return KILL_INVALID;
	}
	if (f->armed && cons != was && poll(&p, 1, 0) != 1 && !watch_due(&f->watch)) {
		kill_why("nobody woke the sleeper");
		return KILL_INVALID;
	}
	if (lease_acquire() < 0 || ring->drain_begin(f->m, 0)) {
		kill_why("no drain");
		return KILL_INVALID;
	}
	while (!ring->drain_peek(f->m, &s, &size)) {
		uint64_t seq = 1 + (cons - f->start) / 24 + n++;

		if (*(uint64_t *)s != seq || size != 16) {
			kill_why("sample %llu, not %llu", (unsigned long long)*(uint64_t *)s,
				 (unsigned long long)seq);
			return KILL_INVALID;
		}
		ring->drain_release(f->m, size);
	}
	ring->drain_end(f->m, true);
	lease_release();
	if (*ring_consumer(f->m) != f->start + BEFORE * 24 ||
	    f->m->ops->validate(f->m, why, sizeof(why))) {
		kill_why("after another drain the consumer is at %llu",
			 (unsigned long long)*ring_consumer(f->m));
		return KILL_INVALID;
	}
	return cons == was && f->added ? KILL_OLD : KILL_NEW;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	enum kill_outcome outcome = user(f) ? check_user(f) : check_ring(f);
	uint32_t id = f->m->obj.id;

	watch_close(&f->watch);
	map_put(f->m);
	fd_forget(f->fd);
	close(f->fd);
	fd_collect();
	object_collect(OBJECT_MAP, id);
	return outcome;
}

#define RING(...)                                                                                  \
	&(struct fixture)                                                                          \
	{                                                                                          \
		.type = BPF_MAP_TYPE_RINGBUF, __VA_ARGS__                                          \
	}
#define USER(...)                                                                                  \
	&(struct fixture)                                                                          \
	{                                                                                          \
		.type = BPF_MAP_TYPE_USER_RINGBUF, __VA_ARGS__                                     \
	}
#define CASE(name_, fixture, op_)                                                                  \
	{                                                                                          \
		name_, fixture, setup, NULL, op_, NULL, check, 0                                   \
	}

static void kill_begin_ring(void)
{
	REQUIRE(!lease_open());
}

int main(int argc, char **argv)
{
	const struct kill_case cases[] = {
		CASE("ring/submit", RING(.added = 1), op_submit),
		CASE("ring/submit-wraps", RING(.added = 1, .start = SIZE - 80), op_submit),
		CASE("ring/submit-wakes", RING(.added = 1, .armed = true), op_submit),
		CASE("ring/submit-force", RING(.added = 1, .armed = true), op_submit_force),
		CASE("ring/submit-two", RING(.added = 2), op_submit_two),
		CASE("ring/submit-two-wakes", RING(.added = 2, .armed = true), op_submit_two),
		CASE("ring/submit-full", RING(.full = true), op_submit),
		CASE("ring/submit-after-death", RING(.added = 1, .busy = true), op_submit),
		CASE("ring/discard", RING(.added = 0), op_discard),
		CASE("ring/abandon", RING(.added = 0), op_abandon),
		CASE("ring/overwrite",
		     RING(.added = 1, .full = true, .flags = SHMAP_F_RB_OVERWRITE), op_submit),
		CASE("ring/poll-after-death", RING(.busy = true), op_poll),
		CASE("ring/recover", RING(.busy = true), op_recover),
		CASE("ring/wait", RING(.busy = true, .armed = true), op_wait),
		CASE("user/drain", USER(.added = BEFORE), op_drain),
		CASE("user/drain-wakes", USER(.added = 1, .armed = true), op_drain),
		CASE("user/drain-wraps", USER(.added = BEFORE, .start = SIZE - 32), op_drain),
		CASE("user/recover", USER(.added = 0), op_recover),
	};

	check_private_rundir();
	kill_begin = kill_begin_ring;
	return kill_main(argc, argv, cases, ARRAY_SIZE(cases));
}
