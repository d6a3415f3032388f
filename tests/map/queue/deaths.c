/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deaths TYPE: six processes push numbered values into one queue or stack and pop each
 * other's, while they are killed and started again. In the end every value whose push
 * returned has come out just once, whole; but for one at most per process that was killed
 * inside a pop, which may have had it. Out of a queue each worker's values come in order.
 *
 *   SHMAP_TEST_OPS   values per worker (700000)
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../check.h"
#include "base/atomic.h"
#include "base/errors.h"
#include "map/map.h"
#include "sync/lease.h"

#define WORKERS 6
#define WORDS 37 /* of a value: one number, over and over */
#define MAX 20

struct worker {
	uint32_t pushing; /* the value that is on its way, + 1; 0: none */
	uint32_t pushed;  /* so many have returned, or been given up */
	uint32_t popping;
	uint32_t deaths_in_pop, deaths_in_push, kills;
};

static struct shared {
	struct worker worker[WORKERS];
	uint32_t mixed, order, wrong;
	uint8_t seen[];
} * shared;

static uint32_t values = 700000;
static struct map *map;
static uint32_t type;

static uint8_t *seen(uint64_t value)
{
	uint32_t w = (uint32_t)(value >> 32), seq = (uint32_t)value;

	return w < WORKERS && seq < values ? &shared->seen[w * values + seq] : NULL;
}

/* Notes a value that came out; last: the next number of each worker, for the order. */
static void note(const uint64_t *value, uint32_t *last)
{
	uint8_t *s = seen(value[0]);

	for (int i = 1; i < WORDS; i++)
		if (value[i] != value[0])
			store_relaxed(&shared->mixed, 1);
	if (!s) {
		store_relaxed(&shared->wrong, 1);
		return;
	}
	fetch_add_relaxed(s, (uint8_t)1);
	if (type == BPF_MAP_TYPE_QUEUE && (uint32_t)value[0] < last[value[0] >> 32])
		store_relaxed(&shared->order, 1);
	last[value[0] >> 32] = (uint32_t)value[0] + 1;
}

static long push(const uint64_t *value, bool program)
{
	long ret;

	if (!program || lease_acquire() < 0)
		return map->ops->write(map, NULL, value, 0);
	ret = map->ops->push(map, value, 0);
	lease_release();
	return ret;
}

static long take(uint64_t *value, bool program)
{
	long ret;

	if (!program || lease_acquire() < 0)
		return map->ops->pop(map, NULL, value, 0);
	ret = map->ops->take(map, value);
	lease_release();
	return ret;
}

static void __attribute__((noreturn)) work(uint32_t me)
{
	struct worker *w = &shared->worker[me];
	uint32_t last[WORKERS] = {0};
	uint64_t value[WORDS];
	long ret;

	while (w->pushed < values) {
		bool program = w->pushed % 3 == 0;

		for (int i = 0; i < WORDS; i++)
			value[i] = (uint64_t)me << 32 | w->pushed;
		store_relaxed(&w->pushing, w->pushed + 1);
		fence_compiler();
		ret = push(value, program);
		fence_compiler();
		if (!ret)
			store_relaxed(&w->pushed, w->pushed + 1);
		else if (ret != -E2BIG)
			store_relaxed(&shared->wrong, 2);
		fence_compiler();
		store_relaxed(&w->pushing, 0);

		store_relaxed(&w->popping, 1);
		fence_compiler();
		ret = take(value, program);
		if (!ret)
			note(value, last);
		else if (ret != -ENOENT)
			store_relaxed(&shared->wrong, 3);
		fence_compiler();
		store_relaxed(&w->popping, 0);
		ret = map->ops->read(map, NULL, value, 0);
		for (int i = 1; !ret && i < WORDS; i++)
			if (value[i] != value[0])
				store_relaxed(&shared->mixed, 2);
	}
	_exit(0);
}

/* What the dead one was at. A push may have happened: its value is not used again. */
static void bury(struct worker *w)
{
	w->kills++;
	if (w->popping)
		w->deaths_in_pop++;
	if (w->pushing && w->pushing > w->pushed) {
		w->deaths_in_push++;
		w->pushed = w->pushing;
		/* it may come out, or not */
		fetch_or_relaxed(&shared->seen[(w - shared->worker) * values + w->pushing - 1],
				 (uint8_t)0x80);
	}
	w->popping = w->pushing = 0;
}

static pid_t start(uint32_t me)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand(me);
	work(me);
}

int main(int argc, char **argv)
{
	struct map_attr attr = {
		.value_size = WORDS * 8, .max_entries = MAX, .name = "deaths", .spin_lock_off = -1};
	uint32_t left = WORKERS, kills = 0, in_pop = 0, in_push = 0, lost = 0, twice = 0;
	uint32_t last[WORKERS] = {0};
	uint64_t value[WORDS];
	struct map_stats stats = {0};
	pid_t pids[WORKERS];
	uint32_t drained = 0;
	char why[256];
	size_t size;
	int fd, status;

	type = argc > 1 && !strcmp(argv[1], "stack") ? BPF_MAP_TYPE_STACK : BPF_MAP_TYPE_QUEUE;
	if (getenv("SHMAP_TEST_OPS"))
		values = (uint32_t)strtoul(getenv("SHMAP_TEST_OPS"), NULL, 0);
	check_private_rundir();
	attr.map_type = type;
	REQUIRE(!map_create(&attr, -1, &map, &fd));
	size = sizeof(*shared) + (size_t)WORKERS * values;
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	for (uint32_t i = 0; i < WORKERS; i++)
		pids[i] = start(i);
	srand(1);
	while (left) {
		uint32_t victim = (uint32_t)rand() % WORKERS;

		usleep(200 + rand() % 2000);
		if (pids[victim])
			kill(pids[victim], SIGKILL);
		for (uint32_t i = 0; i < WORKERS; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) <= 0)
				continue;
			if (WIFEXITED(status)) {
				REQUIRE(!WEXITSTATUS(status));
				pids[i] = 0;
				left--;
				continue;
			}
			bury(&shared->worker[i]);
			pids[i] = start(i);
		}
	}
	CHECK_EQ(map->ops->recover(map), 0);
	if (map->ops->validate(map, why, sizeof(why)))
		CHECK(!fprintf(stderr, "%s\n", why));
	CHECK_EQ(map->ops->stats(map, &stats), 0);
	while (!map->ops->pop(map, NULL, value, 0)) {
		note(value, last);
		drained++;
	}
	CHECK_EQ(drained, stats.entries);
	for (uint32_t i = 0; i < WORKERS; i++) {
		kills += shared->worker[i].kills;
		in_pop += shared->worker[i].deaths_in_pop;
		in_push += shared->worker[i].deaths_in_push;
	}
	for (uint32_t i = 0; i < WORKERS * values; i++) {
		twice += (shared->seen[i] & 0x7f) > 1;
		lost += !shared->seen[i];
	}
	printf("%u values, %u kills, %u inside a push, %u inside a pop; %u lost, %u twice\n",
	       WORKERS * values, kills, in_push, in_pop, lost, twice);
	CHECK_EQ(twice, 0);
	CHECK(lost <= in_pop);
	CHECK_EQ(shared->mixed, 0);
	CHECK_EQ(shared->order, 0);
	CHECK_EQ(shared->wrong, 0);
	return check_done();
}
