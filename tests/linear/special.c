/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories of maps that are no tables:
 *  - PERF_EVENT_ARRAY: bpf(2) puts events into slots and takes them out, programs write a
 *    record to a slot's event: that it came to another event's ring, or to none, shows what
 *    they saw there;
 *  - ARENA, its words: loads, stores and exchanges through mappings that each process has made
 *    by itself, on pages that are there since the first of them touched them;
 *  - ARENA, its place: the first mapping decides it for all.
 */
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../check.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "histories.h"
#include "map/perf.h"
#include "sync/lease.h"
#include "sys/sys.h"

/* ---- perf events in slots ---- */

#define EVENTS 6
#define SLOTS 4
#define RECORD 24u /* header, size, the number, rounded to 8 */

static int event_fd[EVENTS];
static uint32_t event_cpu[EVENTS];
static struct perf_event event[EVENTS];
static uint32_t events_ops;
static uint8_t *saw; /* by worker and number: the event that has the record, plus one */

/* What a slot holds, as a value of the history. */
static uint64_t event_value(uint32_t i)
{
	return (uint64_t)event_cpu[i] << 8 | i;
}

static void events_make(uint32_t ops)
{
	uint32_t pages = 1;

	events_ops = ops;
	while (pages * SHMAP_PAGE < WORKERS * ops * RECORD + SHMAP_PAGE)
		pages *= 2;
	for (uint32_t i = 0; i < EVENTS; i++) {
		struct perf_event_state like = {.raw = 1, .wakeup_events = 1, .enabled = 1};

		/* the CPUs that programs are most likely to be on */
		like.cpu = event_cpu[i] = i % (lease_possible_cpus() < 2 ? 1 : 2);
		event_fd[i] = perf_event_create(&like, NULL);
		REQUIRE(event_fd[i] >= 0);
		REQUIRE(!perf_event_open_fd(event_fd[i], &event[i]));
		REQUIRE(!perf_event_set_pages(&event[i], event_fd[i], pages, false, true));
	}
}

/* To the CPUs that there are events of, where it may. */
static void events_begin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (uint32_t i = 0; i < EVENTS; i++)
		CPU_SET(event_cpu[i], &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static bool events_may(uint8_t op)
{
	return op == LINEAR_READ || op == LINEAR_PUT || op == LINEAR_ERASE;
}

static uint8_t events_key(uint32_t n, uint32_t random)
{
	return random % SLOTS;
}

static int events_run(struct linear_event *e, uint32_t random)
{
	const struct perf_part record = {&e->value, sizeof(e->value)};
	uint32_t key = e->key, which = random % EVENTS;
	int cpu, ret;

	switch (e->op) {
	case LINEAR_PUT:
		e->value = event_value(which);
		return (int)sys_map_update(fd, &key, &event_fd[which], 0);
	case LINEAR_ERASE:
		return (int)sys_map_delete(fd, &key);
	}
	cpu = lease_acquire();
	if (cpu < 0)
		return -EAGAIN;
	ret = (int)map->ops->perf->output(map, key, &record, 1);
	lease_release();
	/* the event of another CPU: all that is known of it */
	if (ret == -EOPNOTSUPP)
		e->value = (uint64_t)cpu << 8;
	return ret;
}

static void events_find(void)
{
	saw = calloc(WORKERS, events_ops);
	REQUIRE(saw);
	for (uint32_t i = 0; i < EVENTS; i++) {
		const struct perf_event_mmap_page *page =
			(const struct perf_event_mmap_page *)event[i].obj.base;
		const uint8_t *data = event[i].obj.base + SHMAP_PAGE;

		for (uint64_t at = 0; at < page->data_head;) {
			const struct perf_event_header *h = (const void *)(data + at);
			uint64_t unique;

			CHECK(h->type == PERF_RECORD_SAMPLE && h->size == RECORD);
			if (h->size < RECORD)
				return;
			memcpy(&unique, h + 1, sizeof(uint32_t)); /* its size */
			memcpy(&unique, (const uint8_t *)(h + 1) + 4, sizeof(unique));
			at += h->size;
			REQUIRE((unique >> 32) - 1 < WORKERS && (uint32_t)unique < events_ops);
			/* each record once */
			CHECK(!saw[((unique >> 32) - 1) * events_ops + (uint32_t)unique]);
			saw[((unique >> 32) - 1) * events_ops + (uint32_t)unique] = i + 1;
		}
	}
}

static void events_settle(struct linear_event *e, uint64_t unique)
{
	uint8_t is;

	if (!saw)
		events_find();
	if (e->op != LINEAR_READ)
		return;
	is = saw[((unique >> 32) - 1) * events_ops + (uint32_t)unique];
	if (!e->ret_time)
		return;
	/* a record that is nowhere, or that should not be */
	CHECK(!e->ret == !!is);
	if (is)
		e->value = event_value(is - 1);
}

bool linear_events(struct linear_state *s, const struct linear_event *e, uint32_t room)
{
	if (e->op == LINEAR_READ && e->ret_time && e->ret == -EOPNOTSUPP)
		return s->n && s->value[0] >> 8 != e->value >> 8;
	return linear_register(s, e, room);
}

const struct special special_events = {
	.keys = SLOTS,
	.make = events_make,
	.begin = events_begin,
	.may = events_may,
	.key = events_key,
	.run = events_run,
	.settle = events_settle,
};

/* ---- arenas ---- */

#define WORD_PAGES 64
#define PLACE 0x550000000000ull /* below what is loaded, in what TSan takes for memory */
#define PLACE_STEP 0x10000000ull

static long arena_map(int arena, uint64_t at, uint32_t pages)
{
	const size_t len = pages * (size_t)SHMAP_PAGE;
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
	long ret = fd_mmap_check(arena, 0, len, prot, flags);
	int own;

	if (ret < 0)
		return ret;
	own = fd_mmap_open(arena, prot);
	if (own < 0)
		return own;
	ret = (long)fd_mmap_map(arena, own, (void *)at, len, prot, flags, 0);
	close(own);
	return ret;
}

static uint8_t *words;

/* Each process has its own idea of the place; the first one's holds. */
static void words_begin(void)
{
	uint64_t first = PLACE + (getpid() & 1) * PLACE_STEP;
	uint64_t other = PLACE + !(getpid() & 1) * PLACE_STEP;
	long at = arena_map(fd, first, WORD_PAGES);

	if (at == -EINVAL || at == -EBUSY)
		at = arena_map(fd, other, WORD_PAGES);
	REQUIRE(at == (long)first || at == (long)other);
	words = (uint8_t *)at;
}

static bool words_may(uint8_t op)
{
	return true;
}

static uint8_t words_key(uint32_t n, uint32_t random)
{
	return random % WORD_PAGES;
}

static int words_run(struct linear_event *e, uint32_t random)
{
	uint64_t *word = (uint64_t *)(words + e->key * SHMAP_PAGE), is = 0;

	switch (e->op) {
	case LINEAR_READ:
		e->value = load_acquire(word);
		return e->value ? 0 : -ENOENT;
	case LINEAR_PUT:
		store_seq_cst(word, e->value);
		return 0;
	case LINEAR_PUT_NEW:
		return cas_seq_cst(word, &is, e->value) ? 0 : -EEXIST;
	case LINEAR_PUT_OLD:
		is = load_acquire(word);
		while (is && !cas_seq_cst(word, &is, e->value))
			;
		return is ? 0 : -ENOENT;
	default:
		is = exchange_seq_cst(word, 0);
		if (e->op == LINEAR_TAKE)
			e->value = is;
		return is ? 0 : -ENOENT;
	}
}

const struct special special_words = {
	.keys = WORD_PAGES,
	.begin = words_begin,
	.may = words_may,
	.key = words_key,
	.run = words_run,
};

/* Arenas whose place is undecided, one after another. */
#define PLACES 128

static int place_fd[PLACES];
static uint32_t places_ops;
static pthread_mutex_t place_lock[PLACES]; /* one mapping in a process at a time */

static void places_make(uint32_t ops)
{
	struct map_attr attr = {.map_type = SHMAP_MAP_TYPE_ARENA,
				.max_entries = 1,
				.map_flags = BPF_F_MMAPABLE,
				.spin_lock_off = -1};

	places_ops = ops;
	for (int i = 0; i < PLACES; i++) {
		struct map *arena;

		REQUIRE(!map_create(&attr, -1, &arena, &place_fd[i]));
		pthread_mutex_init(&place_lock[i], NULL);
	}
}

static bool places_may(uint8_t op)
{
	return op == LINEAR_PUT;
}

/* All workers are at about the same one. */
static uint8_t places_key(uint32_t n, uint32_t random)
{
	return (uint64_t)n * PLACES / places_ops;
}

static int places_run(struct linear_event *e, uint32_t random)
{
	uint64_t at = PLACE + (e->key * 3u + random % 3) * PLACE_STEP;
	long ret;

	e->value = at;
	pthread_mutex_lock(&place_lock[e->key]);
	ret = arena_map(place_fd[e->key], at, 1);
	if (ret > 0)
		munmap((void *)ret, SHMAP_PAGE);
	pthread_mutex_unlock(&place_lock[e->key]);
	CHECK(ret < 0 || ret == (long)at);
	return ret == -EBUSY ? -EINVAL : ret < 0 ? (int)ret : 0;
}

bool linear_places(struct linear_state *s, const struct linear_event *e, uint32_t room)
{
	if (!s->n) {
		s->n = 1;
		s->value[0] = e->value;
	}
	return !e->ret_time || e->ret == (s->value[0] == e->value ? 0 : -EINVAL);
}

const struct special special_places = {
	.keys = PLACES,
	.make = places_make,
	.may = places_may,
	.key = places_key,
	.run = places_run,
};
