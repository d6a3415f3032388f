/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deaths at random: eight processes work on one map, one after the other is killed at a
 * random moment and replaced, and so through all types of maps that hold data.
 *
 * After each death (or each few at once) everybody else stops between two operations, and
 * a survivor finds what the dead was about to do done or not done, and after a recover()
 * the type's validator content. In between, and at the end, all of them are killed at once:
 * contents are what was stored, and max_entries fit, no more and no fewer.
 *
 * The ways to die: from outside, at the moment when a sleep of the survivor ends; by a timer
 * that the process sets itself before it goes on working, so many microseconds ahead; after
 * so many single steps (ptrace(2)); several at the same time, so that repairers die too.
 *
 *   deaths [SUBJECT]       names that begin so
 *   SHMAP_TEST_DEATHS      in all (400)
 *   SHMAP_TEST_SEED
 */
#include "deaths.h"

#include <linux/futex.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/rawsys.h"
#include "sync/lease.h"
#include "sys/sys.h"

#define AUDIT_EVERY 120
#define STUCK_SECONDS 60

static const struct death_subject subjects[] = {
	{"hash", &death_keyed, BPF_MAP_TYPE_HASH, 0, 24, -1, 6, DEATH_SHARED},
	{"hash-no-prealloc", &death_keyed, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 200, -1, 6,
	 DEATH_SHARED | DEATH_KEY16},
	{"hash-lock", &death_keyed, BPF_MAP_TYPE_HASH, 0, 40, 0, 6, DEATH_SHARED},
	{"percpu-hash", &death_keyed, BPF_MAP_TYPE_PERCPU_HASH, 0, 24, -1, 6, 0},
	{"lru", &death_keyed, BPF_MAP_TYPE_LRU_HASH, 0, 24, -1, 6, DEATH_SHARED},
	{"lru-evicts", &death_keyed, BPF_MAP_TYPE_LRU_HASH, 0, 24, -1, 40,
	 DEATH_SHARED | DEATH_EVICTS},
	{"lru-own", &death_keyed, BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, 24, -1, 40,
	 DEATH_EVICTS},
	{"lru-percpu", &death_keyed, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 16, -1, 6, 0},
	{"lru-percpu-evicts", &death_keyed, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 16, -1, 40,
	 DEATH_EVICTS},
	{"lpm", &death_keyed, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 24, -1, 6, DEATH_SHARED},
	{"array", &death_keyed, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 8, -1, 6, DEATH_FIXED},
	{"array-large", &death_keyed, BPF_MAP_TYPE_ARRAY, 0, 72, -1, 6, DEATH_FIXED},
	{"array-lock", &death_keyed, BPF_MAP_TYPE_ARRAY, 0, 40, 0, 6, DEATH_FIXED | DEATH_SHARED},
	{"percpu-array", &death_keyed, BPF_MAP_TYPE_PERCPU_ARRAY, 0, 24, -1, 6, DEATH_FIXED},
	{"array-of-maps", &death_objects, BPF_MAP_TYPE_ARRAY_OF_MAPS, 0, 4, -1, 3, 0},
	{"hash-of-maps", &death_objects, BPF_MAP_TYPE_HASH_OF_MAPS, 0, 4, -1, 3, 0},
	{"prog-array", &death_objects, BPF_MAP_TYPE_PROG_ARRAY, 0, 4, -1, 3, DEATH_PROGS},
	{"sk-storage", &death_storage, BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 24, -1, 4, 0},
	{"sk-storage-lock", &death_storage, BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 40, 0, 4,
	 DEATH_SHARED},
	{"inode-storage", &death_storage, BPF_MAP_TYPE_INODE_STORAGE, BPF_F_NO_PREALLOC, 24, -1, 4,
	 DEATH_SHARED},
	{"task-storage", &death_storage, BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 24, -1, 2,
	 0},
	{"cgrp-storage", &death_storage, SHMAP_MAP_TYPE_CGRP_STORAGE, BPF_F_NO_PREALLOC, 24, -1, 2,
	 0},
	{"queue", &death_queue, BPF_MAP_TYPE_QUEUE, 0, 24, -1, 0, 0},
	{"stack", &death_queue, BPF_MAP_TYPE_STACK, 0, 24, -1, 0, 0},
	{"bloom", &death_bloom, BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, -1, 0, 0},
	{"ringbuf", &death_ring, BPF_MAP_TYPE_RINGBUF, 0, 0, -1, 0, 0},
	{"ringbuf-overwrites", &death_ring, BPF_MAP_TYPE_RINGBUF, SHMAP_F_RB_OVERWRITE, 0, -1, 0,
	 0},
	{"user-ringbuf", &death_user_ring, BPF_MAP_TYPE_USER_RINGBUF, 0, 0, -1, 0, 0},
	{"perf-event-array", &death_perf, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, 4, -1, 0, 0},
	{"stack-trace", &death_stack, BPF_MAP_TYPE_STACK_TRACE, 0, 32, -1, 0, 0},
	{"arena", &death_arena, SHMAP_MAP_TYPE_ARENA, BPF_F_MMAPABLE, 0, -1, 0, 0},
};

enum { WAY_OUTSIDE, WAY_TIMER, WAY_STEPS, WAY_SEVERAL, WAYS };
static const char *const way_name[WAYS] = {"from outside", "by timer", "in single steps",
					   "several at once"};

static struct shared {
	uint32_t pause; /* an epoch: stop between two operations; 0: go on */
	uint32_t parked, living;
	uint32_t violations, ask_audit;
	uint32_t hurry; /* somebody has to run in order to die: leave him the CPU now and then */
	struct {
		uint32_t in_op, doom;
		uint64_t operations, missed;
	} worker[DEATH_WORKERS + 1];
} * shared;

struct map *death_map;
int death_fd = -1;
uint32_t death_me = DEATH_WORKERS;

static void *area;
static const struct death_subject *subject;
static pid_t pids[DEATH_WORKERS];
static uint64_t rng;
static uint32_t epoch;
static unsigned long deaths, inside, ways[WAYS];
static bool stepping = true;

void *death_area(void)
{
	return area;
}

uint32_t death_rnd(uint32_t n)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rng >> 33) % n;
}

void death_violation(const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (fetch_add_relaxed(&shared->violations, 1) < 20)
		fprintf(stderr, "%s, %s %u: %s\n", subject->name,
			death_me == DEATH_WORKERS ? "survivor" : "worker", death_me, line);
}

bool death_program(void)
{
	int cpu = lease_acquire();

	if (cpu >= 0)
		return true;
	if (cpu != -EBUSY)
		death_violation("no lease: %d", cpu);
	shared->worker[death_me].missed++;
	return false;
}

void death_map_create(struct map_attr *attr)
{
	REQUIRE(!map_create(attr, -1, &death_map, &death_fd));
}

bool death_valid(const char *when)
{
	char why[256] = "";
	int err = death_map->ops->validate ? death_map->ops->validate(death_map, why, sizeof(why))
					   : 0;

	if (err)
		death_violation("invalid %s: %s (%d)", when, why, err);
	return !err;
}

void death_ask_audit(void)
{
	struct timespec nap = {.tv_nsec = 200000};

	store_relaxed(&shared->ask_audit, 1);
	raw_nanosleep(&nap, NULL);
}

/* ---- the workers ---- */

static void park(uint32_t now)
{
	if (fetch_add_seq_cst(&shared->parked, 1) + 1 >= load_relaxed(&shared->living))
		raw_futex(&shared->parked, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (load_relaxed(&shared->pause) == now)
		raw_futex(&shared->pause, FUTEX_WAIT, now, NULL, NULL, 0);
}

/* From now on at any instruction. */
static void set_timer(uint32_t us)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec at = {.it_value.tv_nsec = us * 1000};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) || timer_settime(timer, 0, &at, NULL))
		raise(SIGKILL);
}

static void __attribute__((noreturn)) worker(uint32_t me, uint64_t seed)
{
	uint32_t now;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	death_me = me;
	rng = seed;
	/* Some as an unrelated process would: by a mapping of their own. */
	if (!death_rnd(8) && map_open(death_fd, &death_map))
		death_violation("the map does not open");
	for (;;) {
		now = load_relaxed(&shared->pause);
		if (now)
			park(now);
		if (load_relaxed(&shared->worker[me].doom) == 1) {
			store_relaxed(&shared->worker[me].doom, 2);
			set_timer(1 + death_rnd(60));
		} else if (load_relaxed(&shared->hurry)) {
			sched_yield();
		}
		store_relaxed(&shared->worker[me].in_op, 1);
		fence_compiler();
		subject->kind->work(subject);
		fence_compiler();
		store_relaxed(&shared->worker[me].in_op, 0);
		shared->worker[me].operations++;
	}
}

static void start(uint32_t w)
{
	uint64_t seed = rng ^ (deaths << 20) ^ (w + 1) * 0x9e3779b97f4a7c15ull;

	shared->worker[w].in_op = shared->worker[w].doom = 0;
	pids[w] = fork();
	REQUIRE(pids[w] >= 0);
	if (!pids[w])
		worker(w, seed);
	shared->living++;
}

/* ---- the survivor ---- */

static void nap(uint32_t us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	if (us)
		nanosleep(&t, NULL);
}

static void __attribute__((noreturn)) stuck(const char *what)
{
	death_violation("%s for %d seconds: stuck", what, STUCK_SECONDS);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		if (pids[w] > 0)
			fprintf(stderr, "  worker %u (%d): %s an operation\n", w, pids[w],
				shared->worker[w].in_op ? "in" : "outside");
	fflush(NULL);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		if (pids[w] > 0)
			kill(pids[w], SIGKILL);
	exit(1);
}

static bool reap(uint32_t w, int flags)
{
	int status;

	if (pids[w] <= 0 || waitpid(pids[w], &status, flags) != pids[w])
		return false;
	pids[w] = 0;
	shared->living--;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		death_violation("worker %u ended by itself (status %#x)", w, status);
	deaths++;
	inside += load_relaxed(&shared->worker[w].in_op);
	return true;
}

/* Everybody who lives stands between two operations. */
static void pause_all(void)
{
	double until = area_now() + STUCK_SECONDS;
	uint32_t parked;

	store_relaxed(&shared->parked, 0);
	store_seq_cst(&shared->pause, ++epoch);
	while ((parked = load_seq_cst(&shared->parked)) < shared->living) {
		struct timespec second = {1, 0};

		raw_futex(&shared->parked, FUTEX_WAIT, parked, &second, NULL, 0);
		if (area_now() > until)
			stuck("an operation has not ended");
		for (uint32_t w = 0; w < DEATH_WORKERS && parked == shared->parked; w++)
			reap(w, WNOHANG); /* only one that ended by itself */
	}
}

static void resume_all(void)
{
	store_seq_cst(&shared->pause, 0);
	raw_futex(&shared->pause, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Some single steps, and dead; it is stopped wherever it happens to be. */
static void kill_by_steps(uint32_t w)
{
	unsigned int steps = death_rnd(400);
	int status;

	if (!stepping || ptrace(PTRACE_SEIZE, pids[w], NULL, NULL) ||
	    ptrace(PTRACE_INTERRUPT, pids[w], NULL, NULL)) {
		stepping = false;
		kill(pids[w], SIGKILL);
		return;
	}
	if (waitpid(pids[w], &status, 0) == pids[w] && WIFSTOPPED(status))
		while (steps-- && !ptrace(PTRACE_SINGLESTEP, pids[w], NULL, NULL) &&
		       waitpid(pids[w], &status, 0) == pids[w] && WIFSTOPPED(status))
			;
	kill(pids[w], SIGKILL);
}

/* One or several die. The number of the bits set in the result. */
static uint32_t someone_dies(void)
{
	uint32_t w = death_rnd(DEATH_WORKERS), r = death_rnd(16), dead = 1u << w;
	int way = r < 4 ? WAY_TIMER : r < 6 ? WAY_STEPS : r < 8 ? WAY_SEVERAL : WAY_OUTSIDE;

	nap(death_rnd(400));
	store_relaxed(&shared->hurry, 1);
	if (way == WAY_TIMER) {
		double until = area_now() + STUCK_SECONDS;

		store_relaxed(&shared->worker[w].doom, 1);
		for (uint32_t n = 0; !reap(w, WNOHANG); n++) {
			if (area_now() > until)
				stuck("a process does not die of its timer");
			nap(n < 10 ? 30 : 1000);
		}
	} else if (way == WAY_STEPS) {
		kill_by_steps(w);
		reap(w, __WALL);
	} else {
		for (uint32_t n = way == WAY_SEVERAL ? 1 + death_rnd(3) : 0; n; n--)
			dead |= 1u << (w + n * 3) % DEATH_WORKERS;
		for (uint32_t i = 0; i < DEATH_WORKERS; i++)
			if (dead & 1u << i)
				kill(pids[i], SIGKILL);
		for (uint32_t i = 0; i < DEATH_WORKERS; i++)
			if (dead & 1u << i)
				reap(i, 0);
	}
	store_relaxed(&shared->hurry, 0);
	ways[way] += (unsigned int)__builtin_popcount(dead);
	return dead;
}

/* Nobody works: what the dead left is in order, or can be put in order. */
static void look_at(uint32_t dead)
{
	int err;

	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		if (dead & 1u << w)
			subject->kind->settle(subject, w);
	err = death_map->ops->recover ? death_map->ops->recover(death_map) : 0;
	if (err)
		death_violation("recover: %d", err);
	death_valid("after a death");
}

static void one_round(void)
{
	uint32_t dead = someone_dies();

	/* the others come upon it first, or the survivor does */
	if (death_rnd(2))
		nap(death_rnd(200));
	pause_all();
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		dead |= pids[w] > 0 ? 0 : 1u << w;
	look_at(dead);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		if (dead & 1u << w)
			start(w);
	resume_all();
}

static void everybody_dies(void)
{
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		if (pids[w] > 0)
			kill(pids[w], SIGKILL);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		ways[WAY_SEVERAL] += reap(w, 0);
	look_at((1u << DEATH_WORKERS) - 1);
	subject->kind->audit(subject);
	death_valid("after the audit");
	store_relaxed(&shared->ask_audit, 0);
}

static void drop_map(void)
{
	uint32_t id = death_map->obj.id;

	map_put(death_map);
	fd_forget(death_fd);
	close(death_fd);
	fd_collect();
	object_collect(OBJECT_MAP, id);
	object_collect_all();
	if (area_count("map") || area_count("prog") || area_count("ref") || area_count("perf"))
		death_violation("left: %d maps, %d programs, %d events, %d references",
				area_count("map"), area_count("prog"), area_count("perf"),
				area_count("ref"));
}

static unsigned long operations(void)
{
	unsigned long n = 0;

	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		n += shared->worker[w].operations;
	return n;
}

/* In a process of its own, so that one subject's memory and fds are not another's. */
static void run_subject(unsigned long share)
{
	double begin = area_now();
	unsigned long ops = 0, missed = 0, audits = 0, last = 0;

	memset(shared, 0, sizeof(*shared));
	madvise(area, DEATH_AREA, MADV_REMOVE);
	subject->kind->make(subject);
	REQUIRE(death_map && death_fd >= 0);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		start(w);
	while ((deaths < share || !operations()) && !shared->violations) {
		one_round();
		if (deaths - last < AUDIT_EVERY && !load_relaxed(&shared->ask_audit))
			continue;
		last = deaths;
		everybody_dies();
		audits++;
		for (uint32_t w = 0; w < DEATH_WORKERS; w++)
			start(w);
	}
	everybody_dies();
	ops = operations();
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		missed += shared->worker[w].missed;
	if (subject->kind->drop)
		subject->kind->drop(subject);
	drop_map();
	printf("%-20s %7lu deaths (%4.0f/s), %7lu inside an operation, %9lu operations, "
	       "%5lu missed, %4lu audits: %u violations\n",
	       subject->name, deaths, deaths / (area_now() - begin), inside, ops, missed,
	       audits + 1, shared->violations);
	CHECK_EQ(shared->violations, 0);
}

int main(int argc, char **argv)
{
	const char *env = getenv("SHMAP_TEST_DEATHS"), *seed = getenv("SHMAP_TEST_SEED");
	unsigned long want = env ? strtoul(env, NULL, 0) : 400, total = 0, ran = 0, failed = 0;
	size_t chosen = 0;
	struct {
		unsigned long deaths, inside, ways[WAYS];
	} * sum;

#if defined(__SANITIZE_THREAD__)
	SKIP("the thread sanitizer does not survive the fork of a process that it has stopped");
#endif
	setlinebuf(stdout);
	area_begin();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	area = mmap(NULL, DEATH_AREA, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED && area != MAP_FAILED && sum != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		chosen += argc < 2 || !strncmp(subjects[i].name, argv[1], strlen(argv[1]));
	REQUIRE(chosen);
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++) {
		int status;
		pid_t pid;

		if (argc > 1 && strncmp(subjects[i].name, argv[1], strlen(argv[1])))
			continue;
		pid = area_fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			subject = &subjects[i];
			rng = (seed ? strtoull(seed, NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + i;
			run_subject(want / chosen + 1);
			sum->deaths += deaths;
			sum->inside += inside;
			for (int k = 0; k < WAYS; k++)
				sum->ways[k] += ways[k];
			fflush(NULL);
			_exit(check_done());
		}
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			continue;
		if (status)
			fprintf(stderr, "%s: status %#x\n", subjects[i].name, status);
		failed += !!status;
		ran++;
	}
	total = sum->deaths;
	printf("%lu kinds of maps, %lu deaths, %lu inside an operation:", ran, total, sum->inside);
	for (int k = 0; k < WAYS; k++)
		printf(" %lu %s%s", sum->ways[k], way_name[k], k + 1 < WAYS ? "," : "\n");
	/*
	 * Whether one subject's few deaths hit an operation is chance (a stack trace is a short
	 * one); that of all subjects' hundreds some do is not, or the test would show nothing.
	 */
	CHECK(sum->inside || total < 100);
	CHECK_EQ(failed, 0);
	CHECK(ran);
	return check_done();
}
