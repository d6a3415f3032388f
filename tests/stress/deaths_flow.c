/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deaths, maps that values flow through: QUEUE, STACK, BLOOM_FILTER, the ring buffers, the
 * perf event array.
 *
 * Every value is a number that is given out once. Its state says that somebody was about to
 * store it, that it was stored, that it came out. What was stored comes out once, whole, in
 * order where there is one; nothing comes out that nobody stored; and only what a taker
 * died with is missing.
 */
#include <linux/perf_event.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "deaths.h"
#include "map/perf.h"
#include "map/ring.h"
#include "sync/lease.h"

#define WORDS 3u
#define RING_SIZE 4096u
#define RECORD (8 + WORDS * 8) /* with its header */
#define QUEUE_ROOM 16u
#define BLOOM_ROOM 3000u
#define EVENT_PAGES 2u
#define EVENTS_MAX 64u

/* ---- numbers ---- */

uint32_t death_number(void)
{
	struct death_flow *f = death_flow();
	uint32_t n;

	if (load_relaxed(&f->next) >= DEATH_NUMBERS - 100) {
		death_ask_audit();
		return 0;
	}
	n = fetch_add_relaxed(&f->next, 1) + 1;
	f->producer[n] = (uint8_t)death_me;
	fetch_or_relaxed(&f->state[n], DEATH_INTENT);
	return n;
}

void death_stored(uint32_t n)
{
	fetch_or_relaxed(&death_flow()->state[n], DEATH_ACK);
}

void death_taken(uint32_t n, uint32_t by, bool in_order, uint64_t pos)
{
	struct death_flow *f = death_flow();
	uint32_t *last;

	if (!n || n >= DEATH_NUMBERS || !(load_relaxed(&f->state[n]) & DEATH_INTENT)) {
		death_violation("%u came out, which nobody stored", n);
		return;
	}
	if (fetch_or_relaxed(&f->state[n], DEATH_GOT) & DEATH_GOT) {
		/* its taker died before it said so, and this is the same record */
		if (!pos || (f->at[n] && f->at[n] != pos))
			death_violation("%u came out twice", n);
		f->at[n] = pos;
		return;
	}
	f->at[n] = pos;
	last = &f->last[by][f->producer[n]];
	if (in_order && n < *last)
		death_violation("%u came out after %u", n, *last);
	*last = n;
}

void death_flow_end(void)
{
	struct death_flow *f = death_flow();
	uint32_t lost = 0, end = load_relaxed(&f->next);

	for (uint32_t n = 1; n <= end && n < DEATH_NUMBERS; n++)
		lost += (f->state[n] & (DEATH_ACK | DEATH_GOT)) == DEATH_ACK;
	if (lost > f->lost_allowed)
		death_violation("%u of %u are lost, %u died with one in their hands", lost, end,
				f->lost_allowed);
	memset(f, 0, offsetof(struct death_flow, state));
	memset(f->state, 0, end + 2);
	memset(f->at, 0, (end + 2) * sizeof(f->at[0]));
}

static void value_make(uint64_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < WORDS; i++)
		v[i] = n * 0x100000001ull;
}

/* The number in a value; 0: torn. */
static uint32_t value_number(const uint64_t *v)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (v[i] != (uint32_t)v[0] * 0x100000001ull) {
			death_violation("a value is torn: %llx", (unsigned long long)v[i]);
			return 0;
		}
	return (uint32_t)v[0];
}

static void simple_make(const struct death_subject *s, uint32_t max)
{
	struct map_attr attr = {
		.map_type = s->type,
		.key_size = s->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ? 4 : 0,
		.value_size = s->value_size,
		.max_entries = max,
		.map_flags = s->flags,
		.spin_lock_off = -1,
	};

	death_map_create(&attr);
}

static void nothing_to_settle(const struct death_subject *s, uint32_t w)
{
}

/* ---- QUEUE, STACK ---- */

static void queue_make(const struct death_subject *s)
{
	simple_make(s, QUEUE_ROOM);
}

static long push(uint32_t n)
{
	const struct map_ops *ops = death_map->ops;
	uint64_t v[WORDS];
	long ret;

	value_make(v, n);
	if (death_rnd(3) || !death_program())
		return ops->write(death_map, NULL, v, 0);
	ret = ops->push(death_map, v, 0);
	lease_release();
	return ret;
}

static void queue_work(const struct death_subject *s)
{
	struct death_flow *f = death_flow();
	const struct map_ops *ops = death_map->ops;
	uint64_t v[WORDS];
	uint32_t n;
	long ret;

	switch (death_rnd(9)) {
	case 0 ... 3:
		n = death_number();
		ret = n ? push(n) : 0;
		if (n && !ret)
			death_stored(n);
		else if (ret && ret != -E2BIG)
			death_violation("push: %ld", ret);
		break;
	case 4:
		ret = ops->read(death_map, NULL, v, 0);
		if (!ret)
			value_number(v);
		else if (ret != -ENOENT)
			death_violation("peek: %ld", ret);
		break;
	default:
		store_relaxed(&f->taking[death_me], 1);
		fence_compiler();
		if (death_rnd(3) || !death_program()) {
			ret = ops->pop(death_map, NULL, v, 0);
		} else {
			ret = ops->take(death_map, v);
			lease_release();
		}
		if (!ret)
			death_taken(value_number(v), death_me, s->type == BPF_MAP_TYPE_QUEUE, 0);
		else if (ret != -ENOENT)
			death_violation("pop: %ld", ret);
		fence_compiler();
		store_relaxed(&f->taking[death_me], 0);
	}
}

static void queue_settle(const struct death_subject *s, uint32_t w)
{
	struct death_flow *f = death_flow();

	f->lost_allowed += f->taking[w];
	f->taking[w] = 0;
}

static void queue_audit(const struct death_subject *s)
{
	const struct map_ops *ops = death_map->ops;
	bool lifo = s->type == BPF_MAP_TYPE_STACK;
	struct map_stats stats = {0};
	uint64_t v[WORDS];
	uint32_t left = 0;

	for (; !ops->pop(death_map, NULL, v, 0) && left <= QUEUE_ROOM; left++)
		death_taken(value_number(v), DEATH_WORKERS, !lifo, 0);
	if (left > QUEUE_ROOM)
		death_violation("%u values in a map for %u", left, QUEUE_ROOM);
	death_flow_end();
	for (uint32_t i = 1; i <= QUEUE_ROOM; i++) {
		value_make(v, i);
		if (ops->write(death_map, NULL, v, 0))
			death_violation("only %u values fit", i - 1);
	}
	if (ops->write(death_map, NULL, v, 0) != -E2BIG || ops->stats(death_map, &stats) ||
	    stats.entries != QUEUE_ROOM)
		death_violation("full with %llu entries", (unsigned long long)stats.entries);
	for (uint32_t i = 1; i <= QUEUE_ROOM; i++)
		if (ops->pop(death_map, NULL, v, 0) ||
		    value_number(v) != (lifo ? QUEUE_ROOM + 1 - i : i))
			death_violation("the %uth value out is %llx", i, (unsigned long long)v[0]);
	if (ops->pop(death_map, NULL, v, 0) != -ENOENT)
		death_violation("not empty in the end");
}

/* ---- BLOOM_FILTER ---- */

static void bloom_make(const struct death_subject *s)
{
	simple_make(s, BLOOM_ROOM);
}

static void bloom_work(const struct death_subject *s)
{
	struct death_flow *f = death_flow();
	const struct map_ops *ops = death_map->ops;
	uint32_t n;
	long ret;

	if (!death_rnd(3)) {
		n = death_number();
		if (!n)
			return;
		if (death_rnd(2) && death_program()) {
			ret = ops->push(death_map, &n, 0);
			lease_release();
		} else {
			ret = ops->write(death_map, NULL, &n, 0);
		}
		if (ret)
			death_violation("push: %ld", ret);
		else
			death_stored(n);
		return;
	}
	n = 1 + death_rnd(load_relaxed(&f->next) + 1);
	if (load_acquire(&f->state[n]) & DEATH_ACK) {
		ret = ops->read(death_map, NULL, &n, 0);
		if (ret)
			death_violation("%u was pushed and is not there: %ld", n, ret);
	}
}

static void bloom_audit(const struct death_subject *s)
{
	struct death_flow *f = death_flow();

	for (uint32_t n = 1; n <= f->next; n++) {
		if (f->state[n] & DEATH_ACK && death_map->ops->read(death_map, NULL, &n, 0))
			death_violation("%u was pushed and is not there in the end", n);
		f->state[n] |= DEATH_GOT;
	}
	death_flow_end();
}

/* ---- RINGBUF ---- */

static void ring_make(const struct death_subject *s)
{
	simple_make(s, RING_SIZE);
}

/* One run of a program: some records, of which some are discarded. */
static void ring_produce(void)
{
	const struct ring_ops *ring = death_map->ops->ring;
	uint32_t numbers[4], n = 0, many = 1 + death_rnd(4);

	if (!death_program())
		return;
	while (n < many) {
		uint64_t *v = ring->reserve(death_map, WORDS * 8);

		if (!v)
			break;
		/* after the reservation: the order in the ring is that of the numbers */
		numbers[n] = death_rnd(16) ? death_number() : 0;
		value_make(v, numbers[n]);
		ring->commit(death_map, v, death_rnd(30) ? 0 : BPF_RB_FORCE_WAKEUP, !numbers[n]);
		n++;
	}
	ring->publish(death_map);
	while (n--)
		if (numbers[n])
			death_stored(numbers[n]);
	lease_release();
}

/* As libbpf's: some steps of the consumer. */
static void ring_consume(const struct death_subject *s, uint32_t steps)
{
	bool overwrites = s->flags & SHMAP_F_RB_OVERWRITE;
	uint64_t pos = *ring_consumer(death_map), prod;

	death_map->ops->poll(death_map);
	prod = load_acquire(ring_producer(death_map));
	while (steps-- && pos != prod) {
		uint64_t v[1 + WORDS], over;

		if (overwrites && (over = load_acquire(ring_overwrite(death_map))) > pos) {
			pos = over; /* which may be beyond what was published then */
			prod = load_acquire(ring_producer(death_map));
			continue;
		}
		memcpy(v, ring_header(death_map, pos), sizeof(v));
		fence_acquire();
		if (overwrites && load_relaxed(ring_overwrite(death_map)) > pos)
			continue; /* overwritten meanwhile */
		if ((uint32_t)v[0] & RING_BUSY) {
			death_violation("a record that is not ready, at %llu of %llu",
					(unsigned long long)pos, (unsigned long long)prod);
			return;
		}
		if (!((uint32_t)v[0] & RING_DISCARD))
			death_taken(value_number(v + 1), 0, true, pos + 1);
		pos += ring_record_size((uint32_t)v[0]);
		store_release(ring_consumer(death_map), pos);
	}
}

static void ring_work(const struct death_subject *s)
{
	if (death_me)
		ring_produce();
	else
		ring_consume(s, 1 + death_rnd(100));
}

static void ring_audit(const struct death_subject *s)
{
	const struct ring_ops *ring = death_map->ops->ring;
	uint64_t *v;
	uint32_t n = 0;

	ring_consume(s, UINT32_MAX);
	if (s->flags & SHMAP_F_RB_OVERWRITE)
		death_flow()->lost_allowed = UINT32_MAX; /* they gave way to newer ones */
	death_flow_end();
	if (!death_program())
		death_violation("no lease among the dead");
	while (n <= RING_SIZE / RECORD && (v = ring->reserve(death_map, WORDS * 8))) {
		value_make(v, ++n);
		ring->commit(death_map, v, 0, false);
	}
	ring->publish(death_map);
	lease_release();
	if (n != (RING_SIZE - 1) / RECORD + !!(s->flags & SHMAP_F_RB_OVERWRITE) * 2)
		death_violation("%u records fit", n);
	store_release(ring_consumer(death_map), *ring_producer(death_map));
}

/* ---- USER_RINGBUF ---- */

/* Worker 0 is the client that produces, the others are programs that drain. */
static void user_ring_work(const struct death_subject *s)
{
	const struct ring_ops *ring = death_map->ops->ring;
	uint32_t size, n;
	void *sample;

	if (!death_me) {
		uint64_t prod = *ring_producer(death_map), *header = ring_header(death_map, prod);

		if (prod + RECORD - load_acquire(ring_consumer(death_map)) > RING_SIZE)
			return;
		n = death_rnd(16) ? death_number() : 0;
		value_make(header + 1, n);
		store_release(header, n ? WORDS * 8 : WORDS * 8 | RING_DISCARD);
		store_release(ring_producer(death_map), prod + RECORD);
		if (n)
			death_stored(n);
		return;
	}
	if (!death_program())
		return;
	if (!ring->drain_begin(death_map, 0)) {
		uint32_t steps = 1 + death_rnd(50);
		int err = 0;

		while (steps-- && (!err || err == -EAGAIN)) {
			err = ring->drain_peek(death_map, &sample, &size);
			if (err)
				continue;
			if (size != WORDS * 8)
				death_violation("a sample of %u bytes", size);
			death_taken(value_number(sample), 0, true, *ring_consumer(death_map) + 1);
			ring->drain_release(death_map, size);
		}
		if (err && err != -ENODATA && err != -EAGAIN)
			death_violation("drain: %d", err);
		ring->drain_end(death_map, death_rnd(2));
	}
	lease_release();
}

static void user_ring_audit(const struct death_subject *s)
{
	uint32_t me = death_me;

	death_me = 1;
	while (*ring_consumer(death_map) != *ring_producer(death_map))
		user_ring_work(s);
	death_me = me;
	death_flow_end();
}

/* ---- PERF_EVENT_ARRAY ---- */

static int event_fd[EVENTS_MAX];
static struct perf_event event[EVENTS_MAX];
static uint32_t events;

static void event_set(uint32_t cpu)
{
	uint32_t token = 0;
	struct perf_setter by = {
		.map_fd = death_fd, .event_fd = event_fd[cpu], .token = &token};
	int err = death_map->ops->perf->set(death_map, &by, &cpu, 0);

	if (err)
		death_violation("an event into slot %u: %d", cpu, err);
}

static void perf_make(const struct death_subject *s)
{
	events = lease_possible_cpus();
	events = events < EVENTS_MAX ? events : EVENTS_MAX;
	simple_make(s, events);
	for (uint32_t i = 0; i < events; i++) {
		struct perf_event_state like = {
			.cpu = i, .raw = 1, .wakeup_events = 1, .enabled = 1};

		event_fd[i] = perf_event_create(&like, NULL);
		REQUIRE(event_fd[i] >= 0 && !perf_event_open_fd(event_fd[i], &event[i]));
		REQUIRE(!perf_event_set_pages(&event[i], event_fd[i], EVENT_PAGES, false, true));
		event_set(i);
	}
}

static struct perf_event_mmap_page *event_page(uint32_t cpu)
{
	return (struct perf_event_mmap_page *)event[cpu].obj.base;
}

static long output(uint32_t n)
{
	uint64_t v[WORDS];
	struct perf_part part = {v, sizeof(v)};

	value_make(v, n);
	return death_map->ops->perf->output(death_map, BPF_F_CURRENT_CPU, &part, 1);
}

/* As perf_buffer does. */
static void event_read(uint32_t cpu)
{
	const uint8_t *data = event[cpu].obj.base + SHMAP_PAGE;
	uint64_t at = event_page(cpu)->data_tail, head = load_acquire(&event_page(cpu)->data_head);

	while (at != head) {
		struct perf_event_header h;
		uint8_t r[64];
		uint64_t v[WORDS];

		for (uint32_t i = 0; i < sizeof(r); i++)
			r[i] = data[(at + i) & (EVENT_PAGES * SHMAP_PAGE - 1)];
		memcpy(&h, r, sizeof(h));
		if (h.type == PERF_RECORD_SAMPLE) {
			memcpy(v, r + sizeof(h) + 4, sizeof(v));
			death_taken(value_number(v), 0, false, at * EVENTS_MAX + cpu + 1);
		} else if (h.type != PERF_RECORD_LOST) {
			death_violation("a record of type %u and size %u", h.type, h.size);
			return;
		}
		if (!h.size || h.size > head - at) {
			death_violation("a record of size %u, %llu are there", h.size,
					(unsigned long long)(head - at));
			return;
		}
		at += h.size;
		store_release(&event_page(cpu)->data_tail, at);
	}
}

static void perf_work(const struct death_subject *s)
{
	uint32_t cpu = death_rnd(events), n;
	long ret;

	if (!death_me) {
		event_read(cpu);
		perf_event_poll(&event[cpu]);
		return;
	}
	/* one of them takes events out and puts them back */
	if (death_me == 1 && !death_rnd(4)) {
		ret = death_map->ops->erase(death_map, &cpu);
		if (ret && ret != -ENOENT)
			death_violation("erasing slot %u: %ld", cpu, ret);
		event_set(cpu);
		return;
	}
	n = death_number();
	if (!n || !death_program())
		return;
	ret = output(n);
	lease_release();
	if (!ret)
		death_stored(n);
	else if (ret != -ENOSPC && ret != -ENOENT)
		death_violation("output: %ld", ret);
}

static void perf_audit(const struct death_subject *s)
{
	for (uint32_t cpu = 0; cpu < events; cpu++) {
		event_set(cpu);
		event_read(cpu);
	}
	death_flow_end();
	for (uint32_t cpu = 0; cpu < events; cpu++) {
		const struct perf_event_state *st = event[cpu].state;
		struct perf_part part = {"12345678", 8};

		/* a record tells of those that were lost before it; then all are told of */
		if (lease_acquire() < 0)
			death_violation("no lease among the dead");
		perf_event_output(&event[cpu], lease_cpu(), &part, 1);
		lease_release();
		/* (nothing is put out where the lease is another CPU's: then who waits repairs) */
		perf_event_poll(&event[cpu]);
		if (st->lock || (lease_possible_cpus() == 1 && st->lost != st->reported))
			death_violation("event %u: lock %#x, %llu lost, %llu told", cpu, st->lock,
					(unsigned long long)st->lost,
					(unsigned long long)st->reported);
		store_release(&event_page(cpu)->data_tail, event_page(cpu)->data_head);
	}
}

static void perf_drop(const struct death_subject *s)
{
	for (uint32_t i = 0; i < events; i++) {
		object_unmap(&event[i].obj);
		close(event_fd[i]);
	}
}

const struct death_kind death_queue = {
	.make = queue_make, .work = queue_work, .settle = queue_settle, .audit = queue_audit};
const struct death_kind death_bloom = {
	.make = bloom_make, .work = bloom_work, .settle = nothing_to_settle, .audit = bloom_audit};
const struct death_kind death_ring = {
	.make = ring_make, .work = ring_work, .settle = nothing_to_settle, .audit = ring_audit};
const struct death_kind death_user_ring = {.make = ring_make,
					   .work = user_ring_work,
					   .settle = nothing_to_settle,
					   .audit = user_ring_audit};
const struct death_kind death_perf = {.make = perf_make,
				      .work = perf_work,
				      .settle = nothing_to_settle,
				      .audit = perf_audit,
				      .drop = perf_drop};
