/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes that insert into full LRU maps, look up, update and delete are killed at random
 * moments for SHMAP_TEST_SECONDS (2). All the time nobody meets an error or a value that
 * is not its key's; afterwards the maps are sound and hold max_entries again, exactly.
 */
#include "../htab/util.h"

#include <time.h>

#define PROCS 3
#define VALUE 24U

static struct map *maps[3];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Every CPU's value begins with the key, three times. */
static void fill(struct map *m, uint8_t *value, uint32_t key)
{
	for (uint32_t at = 0; at < m->user_value_size; at += VALUE)
		for (int i = 0; i < 3; i++)
			memcpy(value + at + 8 * i, &(uint64_t){key}, 8);
}

static void look(struct map *m, uint8_t *value, uint32_t key)
{
	uint64_t word;
	int ret = m->ops->read(m, &key, value, 0);

	CHECK(!ret || ret == -ENOENT);
	for (uint32_t at = 0; !ret && at < m->user_value_size; at += 8) {
		memcpy(&word, value + at, 8);
		/* a program's insert leaves the other CPUs' zero */
		if (word != key && (word || !m->ops->per_cpu))
			CHECK_EQ(word, key);
	}
}

static void work(unsigned int seed)
{
	uint8_t value[VALUE * LEASE_CPUS_MAX];

	while (!check_failures) {
		struct map *m = maps[rand_r(&seed) % 3];
		uint32_t key = rand_r(&seed) % (3 * m->attr.max_entries);
		uint64_t *p;
		int ret;

		fill(m, value, key);
		switch (rand_r(&seed) % 8) {
		case 0 ... 2:
			CHECK_EQ(m->ops->write(m, &key, value, BPF_ANY), 0);
			break;
		case 3:
			ret = m->ops->erase(m, &key);
			CHECK(!ret || ret == -ENOENT);
			break;
		case 4:
			if (lease_acquire() < 0)
				break;
			CHECK_EQ(m->ops->update(m, &key, value, BPF_ANY), 0);
			lease_release();
			break;
		case 5:
			if (lease_acquire() < 0)
				break;
			p = (uint64_t *)m->ops->lookup(m, &key);
			if (p && load_relaxed(p) != key && (load_relaxed(p) || !m->ops->per_cpu))
				CHECK_EQ(*p, key);
			lease_release();
			break;
		default:
			look(m, value, key);
		}
	}
	exit(1);
}

static void audit(struct map *m)
{
	uint8_t value[VALUE * LEASE_CPUS_MAX];
	uint32_t max = m->attr.max_entries, n = 0;
	struct map_stats stats;

	CHECK_EQ(m->ops->recover(m), 0);
	must_be_valid(m);
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK(stats.entries <= max);
	for (uint32_t key = 0; key < 3 * max; key++)
		look(m, value, key);
	/* no capacity is lost */
	for (uint32_t key = 0; key < max; key++)
		m->ops->erase(m, &key);
	for (uint32_t key = max; key < 3 * max; key++)
		m->ops->erase(m, &key);
	for (uint32_t key = 0; key < max; key++) {
		fill(m, value, key);
		CHECK_EQ(m->ops->write(m, &key, value, BPF_NOEXIST), 0);
	}
	for (uint32_t key = 0; key < max; key++)
		n += !m->ops->read(m, &key, value, 0);
	CHECK_EQ(n, max);
	must_be_valid(m);
}

int main(void)
{
	const char *text = getenv("SHMAP_TEST_SECONDS");
	double end = now() + (text ? atof(text) : 2);
	unsigned int seed = 5, kills = 0;
	pid_t pid[PROCS] = {0};
	int status;

	check_private_rundir();
	maps[0] = make_map(BPF_MAP_TYPE_LRU_HASH, 4, VALUE, 100, 0, -1);
	maps[1] = make_map(BPF_MAP_TYPE_LRU_HASH, 4, VALUE, 2000, 0, -1);
	maps[2] = make_map(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, VALUE, 300, BPF_F_NO_COMMON_LRU, -1);
	while ((now() < end || kills <= 20) && !check_failures) {
		int p = rand_r(&seed) % PROCS;
		struct timespec nap = {0, rand_r(&seed) % 3000000};

		if (!pid[p]) {
			pid[p] = fork();
			if (!pid[p])
				work(seed);
			continue;
		}
		nanosleep(&nap, NULL);
		kill(pid[p], SIGKILL);
		REQUIRE(waitpid(pid[p], &status, 0) == pid[p]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		pid[p] = 0;
		if (++kills % 100)
			continue;
		for (p = 0; p < PROCS; p++) {
			if (pid[p]) {
				kill(pid[p], SIGKILL);
				waitpid(pid[p], &status, 0);
				pid[p] = 0;
			}
		}
		for (int i = 0; i < 3; i++)
			audit(maps[i]);
	}
	for (int p = 0; p < PROCS; p++) {
		if (pid[p]) {
			kill(pid[p], SIGKILL);
			waitpid(pid[p], &status, 0);
		}
	}
	for (int i = 0; i < 3; i++)
		audit(maps[i]);
	printf("%u kills\n", kills);
	return check_done();
}
