/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logs MAP [deaths]: two processes of two threads each write records to a ring as programs
 * do, one consumer reads it meanwhile, and the histories are checked. A ring is a log with
 * a reader, so this is what linearizable means:
 *
 *  - a record whose writing returned is there once and whole, one that was refused never,
 *    one whose writer was killed once or never;
 *  - a record whose writing began after another one's had returned lies behind it;
 *  - a look that began after a record's writing had returned, and that of all that lie before
 *    it, finds it (a RINGBUF's consumer waits, in the kernel too, for records that were reserved
 *    earlier). Not checked with deaths: when a record of a dying writer's gives way is not known.
 *
 * With deaths the processes are killed and started again meanwhile.
 *
 *   SHMAP_TEST_OPS   by each thread (8000)
 */
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "map/perf.h"
#include "map/ring.h"
#include "sync/lease.h"
#include "sys/sys.h"

#define PROCESSES 2
#define THREADS 2
#define WORKERS (PROCESSES * THREADS)
#define DEATHS 12
#define WORDS_MAX 7 /* of a record: its number, so many times over */
#define RING_BYTES 65536u
#define TRIES 100 /* to get the CPU */

struct event {
	uint64_t call, ret_time; /* ns; ret_time 0: it never returned */
	int32_t ret;
	uint32_t place; /* in the order of the ring, from 1 on; 0: nowhere */
};

/* One thread's history; shared, so that it outlives its process. */
struct history {
	uint32_t n;
	struct event event[];
};

struct log {
	const char *name;
	void (*make)(void);
	int (*write)(const uint64_t *record, uint32_t words);
	/* All that is there now goes to found(). */
	void (*look)(void);
	/* In each process, before its threads; NULL: nothing. */
	void (*begin)(void);
};

static const struct log *the_log;
static struct history *histories[WORKERS];
static uint32_t ops = 8000;
static int fd;
static struct map *map;

/* ---- what the consumer finds ---- */

static struct look {
	uint64_t begin; /* ns */
	uint32_t upto;	/* so many records had been found after it */
} * looks;
static uint32_t look_count, look_room, found_count;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void found(const uint64_t *record, uint32_t words)
{
	uint32_t worker = (uint32_t)(record[0] >> 32) - 1, n = (uint32_t)record[0];

	CHECK(words == 1 + record[0] % WORDS_MAX);
	for (uint32_t i = 1; i < words; i++)
		CHECK(record[i] == record[0]);
	REQUIRE(worker < WORKERS && n < ops);
	CHECK(!histories[worker]->event[n].place); /* for the first time */
	histories[worker]->event[n].place = ++found_count;
}

/* Of looks that found nothing more the last one tells most: nothing had been written before. */
static void look(void)
{
	uint64_t begin = now_ns();

	fence_seq_cst();
	the_log->look();
	if (look_count && looks[look_count - 1].upto == found_count)
		look_count--;
	if (look_count == look_room) {
		look_room = look_room ? 2 * look_room : 4096;
		looks = realloc(looks, look_room * sizeof(*looks));
		REQUIRE(looks);
	}
	looks[look_count++] = (struct look){begin, found_count};
}

/* ---- RINGBUF ---- */

static void ring_make(void)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_RINGBUF,
				.max_entries = RING_BYTES,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus()};

	REQUIRE(!map_create(&attr, -1, &map, &fd));
}

static int ring_write(const uint64_t *record, uint32_t words)
{
	uint64_t *sample;

	if (lease_acquire() < 0)
		return -EAGAIN;
	sample = map->ops->ring->reserve(map, words * 8);
	if (sample) {
		/* Atomic for the thread sanitizer: what orders these stores behind those of
		 * who had the place before is the reader, a process that it cannot see. */
		for (uint32_t i = 0; i < words; i++)
			store_relaxed(&sample[i], record[i]);
		map->ops->ring->commit(map, sample, 0, false);
	}
	map->ops->ring->publish(map);
	lease_release();
	return sample ? 0 : -ENOSPC;
}

static void ring_look(void)
{
	uint64_t cons = load_relaxed(ring_consumer(map)), end;

	/* a killed writer's record is shown by the next one, or by who polls */
	map->ops->poll(map);
	end = load_acquire(ring_producer(map));
	while (cons != end) {
		uint64_t *header = ring_header(map, cons);
		uint32_t len = (uint32_t)load_acquire(header);

		CHECK(!(len & RING_BUSY));
		if (!(len & RING_DISCARD))
			found(header + 1, len / 8);
		cons += ring_record_size(len);
	}
	store_release(ring_consumer(map), cons);
}

/* ---- PERF_EVENT_ARRAY: the ring of one event ---- */

static struct perf_event event;
static int event_cpu;

static void perf_make(void)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 1,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus()};
	struct perf_event_state like = {.raw = 1, .wakeup_events = 1, .enabled = 1};
	uint32_t key = 0;
	int event_fd;

	REQUIRE(!map_create(&attr, -1, &map, &fd));
	event_cpu = lease_acquire();
	REQUIRE(event_cpu >= 0);
	lease_release();
	like.cpu = event_cpu;
	event_fd = perf_event_create(&like, NULL);
	REQUIRE(event_fd >= 0 && !perf_event_open_fd(event_fd, &event));
	REQUIRE(!perf_event_set_pages(&event, event_fd, RING_BYTES / SHMAP_PAGE, false, true));
	REQUIRE(!sys_map_update(fd, &key, &event_fd, 0));
}

/* Who runs elsewhere has nothing to write to. (Where it cannot be, its writes are refused.) */
static void perf_begin(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(event_cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int perf_write(const uint64_t *record, uint32_t words)
{
	const struct perf_part part = {record, words * 8};
	long ret;
	int cpu = lease_acquire();

	if (cpu < 0)
		return -EAGAIN;
	ret = cpu == event_cpu ? map->ops->perf->output(map, 0, &part, 1) : -EAGAIN;
	lease_release();
	return (int)ret;
}

static void perf_look(void)
{
	struct perf_event_mmap_page *page = (struct perf_event_mmap_page *)event.obj.base;
	uint64_t tail = load_relaxed((uint64_t *)&page->data_tail);
	uint64_t head = load_acquire((uint64_t *)&page->data_head);
	static uint8_t copy[256];

	while (tail != head) {
		struct perf_event_header h;

		for (uint32_t i = 0; i < sizeof(copy) && i < head - tail; i++)
			copy[i] = event.obj.base[SHMAP_PAGE + (tail + i) % RING_BYTES];
		memcpy(&h, copy, sizeof(h));
		REQUIRE(h.size >= sizeof(h) && h.size <= sizeof(copy));
		if (h.type == PERF_RECORD_SAMPLE) {
			uint64_t record[WORDS_MAX];
			uint32_t size;

			memcpy(&size, copy + 8, 4);
			memcpy(record, copy + 12, sizeof(record));
			/* padded so that the whole is a multiple of 8: 4 bytes too many */
			found(record, size / 8);
		} else {
			CHECK(h.type == PERF_RECORD_LOST);
		}
		tail += h.size;
	}
	store_release((uint64_t *)&page->data_tail, tail);
}

/* ---- writers ---- */

static const struct log logs[] = {
	{"ringbuf", ring_make, ring_write, ring_look},
	{"perf-event-ring", perf_make, perf_write, perf_look, perf_begin},
};

static void *worker(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	struct history *h = histories[me];

	while (h->n < ops) {
		struct event *e = &h->event[h->n];
		uint64_t record[WORDS_MAX], unique = (uint64_t)(me + 1) << 32 | h->n;

		for (int i = 0; i < WORDS_MAX; i++)
			record[i] = unique;
		e->call = now_ns();
		/* From here on it may happen; a death leaves it so. */
		store_release(&h->n, h->n + 1);
		for (int tries = 0; tries < TRIES; tries++) {
			e->ret = the_log->write(record, 1 + unique % WORDS_MAX);
			if (e->ret != -EAGAIN)
				break;
			sched_yield();
			e->call = now_ns();
		}
		fence_seq_cst();
		e->ret_time = now_ns();
		if (e->ret) /* full: the reader's turn */
			sched_yield();
	}
	return NULL;
}

static pid_t start(int process)
{
	pid_t pid = fork();
	pthread_t threads[THREADS];

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (the_log->begin)
		the_log->begin();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker,
			       (void *)(uintptr_t)(process * THREADS + i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(check_done());
}

static uint32_t progress(void)
{
	uint32_t n = 0;

	for (int i = 0; i < WORKERS; i++)
		n += load_relaxed(&histories[i]->n);
	return n;
}

/* Looks; kills one of the processes whenever a share of the operations has been done. */
static void run(bool deaths)
{
	uint32_t killed = 0, share = WORKERS * ops / (DEATHS + 1);
	pid_t pids[PROCESSES];
	int status, left = PROCESSES;

	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(i);
	while (left) {
		if (deaths && killed < DEATHS && progress() > (killed + 1) * share) {
			int i = killed++ % PROCESSES;

			if (pids[i])
				kill(pids[i], SIGKILL);
		}
		for (int i = 0; i < PROCESSES; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) <= 0)
				continue;
			if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
				pids[i] = start(i);
				continue;
			}
			REQUIRE(WIFEXITED(status) && !WEXITSTATUS(status));
			pids[i] = 0;
			left--;
		}
		look();
		sched_yield();
	}
	look();
}

/* ---- afterwards ---- */

static void check_all(bool deaths)
{
	const struct event **by_place = calloc(found_count + 1, sizeof(*by_place));
	uint64_t latest = 0, written = 0, refused = 0;
	uint32_t l = 0;

	REQUIRE(by_place);
	for (int w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < histories[w]->n; i++) {
			const struct event *e = &histories[w]->event[i];

			by_place[e->place] = e;
			if (!e->ret_time)
				continue;
			CHECK(e->ret == 0 || e->ret == -ENOSPC || e->ret == -EAGAIN);
			CHECK(!e->ret == !!e->place);
			refused += !!e->ret;
		}
	for (uint32_t p = 1; p <= found_count; p++) {
		const struct event *e = by_place[p];

		/* none before it began after it had returned */
		if (e->ret_time && e->ret_time < latest)
			CHECK(!fprintf(stderr, "record %u lies behind one that began later\n", p));
		latest = e->call > latest ? e->call : latest;
		/* the last look that did not find it began before it had been written */
		while (looks[l].upto < p)
			l++;
		written = e->ret_time > written ? e->ret_time : written;
		if (!deaths && l && looks[l - 1].begin > written)
			CHECK(!fprintf(stderr, "record %u was not seen though it was there\n", p));
	}
	printf("%u records in order, %llu refused, %u looks\n", found_count,
	       (unsigned long long)refused, look_count);
	free(by_place);
}

int main(int argc, char **argv)
{
	bool deaths = argc > 2 && !strcmp(argv[2], "deaths");
	const char *env = getenv("SHMAP_TEST_OPS");
	size_t size;
	char why[256];

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(logs); i++)
		if (!strcmp(logs[i].name, argv[1]))
			the_log = &logs[i];
	REQUIRE(the_log);
	if (env)
		ops = (uint32_t)strtoul(env, NULL, 0);
	check_private_rundir();
	the_log->make();
	size = sizeof(struct history) + ops * sizeof(struct event);
	for (int i = 0; i < WORKERS; i++) {
		histories[i] =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		REQUIRE(histories[i] != MAP_FAILED);
	}
	run(deaths);
	check_all(deaths);
	CHECK_EQ(map->ops->recover(map), 0);
	if (map->ops->validate(map, why, sizeof(why)))
		CHECK(!fprintf(stderr, "%s\n", why));
	return check_done();
}
