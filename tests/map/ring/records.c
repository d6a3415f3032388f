/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processes produce, one consumes by the pages alone, as libbpf does, and
 * sleeps on the watch's fd whenever it likes, without a time limit: a wake-up that is
 * missed hangs this test.
 *
 *   all     a million records: all of them arrive, once, whole, in the order of
 *           reservation: one whose reservation had ended before another's began
 *           comes first
 *   deaths  producers and a waiter are killed all the time. What they submitted and
 *           published arrives; nothing arrives twice or torn; the consumer goes on.
 *           (It looks by itself, as every waiter does, at what the dead left.)
 */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../check.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "map/ring.h"
#include "sync/lease.h"
#include "sys/sys.h"

#define SIZE 16384u
#define PRODUCERS 3

struct record {
	uint64_t producer, seq, begin, end, check;
};

static struct {
	uint64_t clock;		       /* one tick for each event */
	uint64_t published[PRODUCERS]; /* sequence numbers up to here are published */
	uint64_t lost[PRODUCERS];
} * shared;

static struct map *m;
static struct map_watch watch;

static uint64_t tick(void)
{
	return fetch_add_seq_cst(&shared->clock, 1);
}

static uint32_t rng;

static uint32_t rnd(uint32_t n)
{
	rng = rng * 1103515245 + 12345;
	return (rng >> 16) % n;
}

/* One run of a program: some records; some of them are discarded. */
static void produce(unsigned int me, uint64_t *seq, uint64_t end)
{
	const struct ring_ops *ring = m->ops->ring;
	uint32_t n = 1 + rnd(rnd(8) ? 3 : 60);
	uint64_t first = *seq;

	if (lease_acquire() < 0)
		return;
	while (n-- && *seq < end) {
		uint64_t begin = tick();
		struct record *r = ring->reserve(m, sizeof(*r));

		if (!r) {
			shared->lost[me]++;
			break;
		}
		r->producer = me;
		r->seq = *seq;
		r->begin = begin;
		r->end = tick();
		r->check = r->begin ^ r->end ^ (*seq * 0x9e3779b97f4a7c15ull) ^ me;
		if (rnd(16)) {
			ring->commit(m, r, rnd(50) ? 0 : BPF_RB_FORCE_WAKEUP, false);
			++*seq;
		} else {
			ring->commit(m, r, 0, true);
		}
	}
	ring->publish(m);
	if (*seq != first)
		store_release(&shared->published[me], *seq);
	lease_release();
}

static pid_t start(unsigned int me, uint64_t seq, uint64_t end, uint32_t seed)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	rng = seed;
	while (seq < end) {
		produce(me, &seq, end);
		if (!rnd(64))
			usleep(rnd(200));
	}
	_exit(0);
}

static struct {
	uint64_t next[PRODUCERS], got, newest_begin;
	bool gaps; /* records of the dead may be missing */
} seen;

static void consume_one(const struct record *r)
{
	uint64_t p = r->producer;

	if (p >= PRODUCERS ||
	    r->check != (r->begin ^ r->end ^ (r->seq * 0x9e3779b97f4a7c15ull) ^ p)) {
		CHECK(!"a record is torn");
		return;
	}
	if (seen.gaps ? r->seq < seen.next[p] : r->seq != seen.next[p])
		CHECK_EQ(r->seq, seen.next[p]);
	seen.next[p] = r->seq + 1;
	/* consumed after a record whose reservation began after this one's had ended? */
	if (r->end < seen.newest_begin)
		CHECK(!"a later reservation came first");
	if (r->begin > seen.newest_begin)
		seen.newest_begin = r->begin;
	seen.got++;
}

/* As libbpf's ringbuf_process_ring(), sometimes with one step at a time. */
static bool consume(void)
{
	uint64_t cons = *ring_consumer(m), prod = load_acquire(ring_producer(m));
	bool some = cons != prod;

	while (cons < prod) {
		const uint64_t *header = ring_header(m, cons);
		uint32_t len = load_acquire((uint32_t *)header);

		if (len & RING_BUSY) {
			CHECK(!"the consumer meets a BUSY record");
			break;
		}
		if (!(len & RING_DISCARD))
			consume_one((const struct record *)(header + 1));
		cons += ring_record_size(len);
		store_release(ring_consumer(m), cons);
		if (!rnd(500))
			break;
	}
	return some;
}

static void nap(int ms)
{
	struct pollfd p = {.fd = watch.fd, .events = POLLIN};

	watch_arm(&watch);
	if (watch_level(&watch))
		return;
	if (!poll(&p, 1, ms) && watch_due(&watch))
		watch_ring(&watch);
}

static int all(void)
{
	const char *env = getenv("SHMAP_TEST_OPS");
	uint64_t each = env ? strtoull(env, NULL, 0) / PRODUCERS : 333334;
	pid_t pids[PRODUCERS];

	for (unsigned int i = 0; i < PRODUCERS; i++)
		pids[i] = start(i, 0, each, i + 1);
	while (seen.got < each * PRODUCERS && !check_failures) {
		/* (after the last record nobody wakes) */
		if ((!consume() || !rnd(10)) && seen.got < each * PRODUCERS)
			nap(-1);
		if (!rnd(2000))
			usleep(rnd(1000));
	}
	for (unsigned int i = 0; i < PRODUCERS; i++)
		waitpid(pids[i], NULL, 0);
	CHECK(!consume());
	CHECK_EQ(m->ops->validate(m, NULL, 0), 0);
	printf("%llu records in order, none lost or twice\n", (unsigned long long)seen.got);
	return check_done();
}

static int deaths(void)
{
	const char *env = getenv("SHMAP_TEST_SECONDS");
	time_t until = time(NULL) + (env ? atoi(env) : 3);
	unsigned int killed = 0, waiters = 0;
	uint64_t next[PRODUCERS] = {0};
	pid_t pids[PRODUCERS], waiter = 0;

	seen.gaps = true;
	for (unsigned int i = 0; i < PRODUCERS; i++)
		pids[i] = start(i, 0, UINT64_MAX, i + 1);
	while (time(NULL) < until && !check_failures) {
		unsigned int i = rnd(PRODUCERS);

		if (!waiter) { /* another one who sleeps, and dies asleep */
			waiter = fork();
			if (!waiter)
				for (;;)
					nap(-1);
		}
		for (uint32_t n = rnd(200); n; n--)
			if (!consume())
				nap(10);
		if (rnd(2)) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
			/* what it had not published may have come, or not */
			next[i] = (next[i] > seen.next[i] ? next[i] : seen.next[i]);
			if (load_acquire(&shared->published[i]) > next[i])
				next[i] = shared->published[i];
			next[i] += 100;
			pids[i] = start(i, next[i], UINT64_MAX, rnd(1 << 16));
			killed++;
		} else {
			kill(waiter, SIGKILL);
			waitpid(waiter, NULL, 0);
			waiter = 0;
			waiters++;
		}
	}
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	if (waiter) {
		kill(waiter, SIGKILL);
		waitpid(waiter, NULL, 0);
	}
	/* what the last ones left */
	watch_due(&watch);
	while (consume())
		;
	for (unsigned int i = 0; i < PRODUCERS; i++)
		if (seen.next[i] < shared->published[i])
			CHECK_EQ(seen.next[i], shared->published[i]);
	CHECK_EQ(m->ops->recover(m), 0);
	CHECK_EQ(m->ops->validate(m, NULL, 0), 0);
	/* and it all still works */
	rng = 5;
	next[0] = seen.next[0] + 100;
	for (unsigned int i = 0; i < 100; i++) {
		produce(0, &next[0], UINT64_MAX);
		consume();
	}
	printf("%llu records, %u producers and %u waiters killed\n", (unsigned long long)seen.got,
	       killed, waiters);
	return check_done();
}

int main(int argc, char **argv)
{
	struct map_attr attr = {
		.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = SIZE, .spin_lock_off = -1};
	int fd;

	check_private_rundir();
	REQUIRE(!map_create(&attr, -1, &m, &fd));
	REQUIRE(!watch_open(fd, &watch));
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	if (watch.fd < 0)
		SKIP("no inotify(7) here");
	rng = 1;
	return argc > 1 && !strcmp(argv[1], "deaths") ? deaths() : all();
}
