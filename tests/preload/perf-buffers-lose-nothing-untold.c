/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbpf's perf_buffer, unmodified, in one process, programs that write to it in others:
 * every record that was written arrives once and whole, and each that was not is
 * counted as lost. Without an argument: on shmap and on the kernel. With "kill" (shmap):
 * producers die at any instruction meanwhile.
 */
#include "perf.h"

#define PRODUCERS 3
#define ROUNDS_MAX 100000u

static uint8_t *seen[PRODUCERS]; /* how often each record came */
static uint64_t received, lost, torn, strange;

/* Of each producer: records written, not written; shared. */
static struct counts {
	volatile uint32_t written, refused, next, ended;
} * counts;

static void on_sample(void *ctx, int cpu, void *data, uint32_t size)
{
	struct sample copy = {.who = PRODUCERS};
	const struct sample *s = memcpy(&copy, data, size < sizeof(copy) ? 0 : sizeof(copy));

	if (size < sizeof(*s) || s->who >= PRODUCERS || s->seq >= ROUNDS_MAX) {
		strange++;
		return;
	}
	if (!perf_whole(s))
		torn++;
	received++;
	seen[s->who][s->seq]++;
}

static void on_lost(void *ctx, int cpu, unsigned long long count)
{
	lost += count;
}

/* Writes until its records are used up, in bursts. */
static void produce(uint32_t who, uint32_t total)
{
	struct counts *c = &counts[who];

	while (c->next < total) {
		uint32_t first = c->next, n = 1 + (first * 7 + who) % 64, w;

		if (n > total - first)
			n = total - first;
		/* before the run: who dies in it has used them up */
		c->next = first + n;
		w = perf_write(who, first, n, NULL);
		c->written += w;
		c->refused += n - w;
	}
	c->ended = 1;
}

static pid_t producer(uint32_t who, uint32_t total)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		produce(who, total);
		_exit(check_failures);
	}
	return pid;
}

/* A wake-up for each record that is left: none may be missed. */
static void drain(struct perf_buffer *pb)
{
	uint32_t last;

	/* what was lost last is told by the record after it */
	do {
		last = perf_write(0, ROUNDS_MAX - 1, 1, NULL);
		REQUIRE(perf_buffer__poll(pb, 0) >= 0);
	} while (!last);
	REQUIRE(perf_buffer__poll(pb, 0) >= 0);
	perf_buffer__consume(pb);
}

/* On every CPU: each ring tells of its own. */
static void drain_all(struct perf_buffer *pb)
{
	cpu_set_t all, one;

	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
		drain(pb);
	}
	REQUIRE(!sched_setaffinity(0, sizeof(all), &all));
}

int main(int argc, char **argv)
{
	bool kills = argc > 1 && !strcmp(argv[1], "kill");
	const char *seconds = getenv("SHMAP_TEST_SECONDS");
	double until = perf_now() + (seconds ? atof(seconds) : 2);
	uint64_t written = 0, refused = 0, twice = 0, unseen_deaths = 0, deaths = 0;
	uint32_t total = kills ? ROUNDS_MAX - 1 : 20000;
	pid_t pid[PRODUCERS];
	struct perf_buffer *pb;

	if (kills && !on_shmap())
		SKIP("deaths are for shmap alone");
	perf_load();
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(counts != MAP_FAILED);
	for (int i = 0; i < PRODUCERS; i++) {
		seen[i] = calloc(1, ROUNDS_MAX);
		REQUIRE(seen[i]);
	}
	pb = perf_buffer__new(perf_map, 8, on_sample, on_lost, NULL, NULL);
	if (!pb && !on_shmap())
		SKIP("the kernel does not let us open perf events");
	REQUIRE(pb);
	srand(1);
	for (uint32_t i = 0; i < PRODUCERS; i++)
		pid[i] = producer(i, total);
	for (int live = PRODUCERS; live;) {
		REQUIRE(perf_buffer__poll(pb, 10) >= 0);
		if (kills && rand() % 4 == 0 && (perf_now() < until || !deaths)) {
			uint32_t i = rand() % PRODUCERS;

			if (counts[i].ended)
				continue;
			kill(pid[i], SIGKILL);
			REQUIRE(waitpid(pid[i], NULL, 0) == pid[i]);
			deaths++;
			pid[i] = producer(i, total);
		}
		if (kills && deaths && perf_now() >= until)
			total = 0;
		for (uint32_t i = 0; i < PRODUCERS; i++) {
			int status = 0;

			if (!pid[i])
				continue;
			if (kills && !total)
				kill(pid[i], SIGKILL);
			if (waitpid(pid[i], &status, kills && !total ? 0 : WNOHANG) != pid[i])
				continue;
			CHECK(status == 0 || (kills && !total));
			pid[i] = 0;
			live--;
		}
	}
	drain_all(pb);
	for (uint32_t i = 0; i < PRODUCERS; i++) {
		written += counts[i].written;
		refused += counts[i].refused;
		for (uint32_t s = 0; s < ROUNDS_MAX - 1; s++)
			twice += seen[i][s] > 1;
		for (uint32_t s = 0; s < ROUNDS_MAX - 1; s++)
			unseen_deaths += s < counts[i].next && !seen[i][s];
	}
	received -= seen[0][ROUNDS_MAX - 1]; /* of drain() */
	CHECK_EQ(torn, 0);
	CHECK_EQ(strange, 0);
	CHECK_EQ(twice, 0);
	if (!kills) {
		CHECK_EQ(received, written);
		CHECK_EQ(lost, refused);
		CHECK_EQ(unseen_deaths, refused);
	} else {
		/* a producer that died did not count the records of its last run */
		CHECK(received >= written && received <= written + deaths * 64 + PRODUCERS * 64);
		CHECK(lost >= refused && lost <= refused + deaths * 64 + PRODUCERS * 64);
		CHECK(deaths > 0);
	}
	printf("%llu received, %llu lost, %llu deaths\n", (unsigned long long)received,
	       (unsigned long long)lost, (unsigned long long)deaths);
	perf_buffer__free(pb);
	return check_done();
}
