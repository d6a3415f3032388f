/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An LRU map holds as much as it says: when processes have inserted three times
 * max_entries distinct keys, exactly max_entries are there, whole, and each insert
 * beyond them has evicted one. Arguments: the map type, the processes (a negative number:
 * threads).
 */
#include "../htab/util.h"

static uint32_t count(struct map *m)
{
	uint8_t key[4], value[8 * LEASE_CPUS_MAX];
	uint32_t n = 0;
	int err;

	for (err = m->ops->next_key(m, NULL, key); !err; err = m->ops->next_key(m, key, key)) {
		n++;
		CHECK_EQ(m->ops->read(m, key, value, 0), 0);
		CHECK(!memcmp(key, value, 4));
	}
	CHECK_EQ(err, -ENOENT);
	return n;
}

struct job {
	struct map *m;
	uint32_t first, step, n;
};

static void *insert(void *arg)
{
	const struct job *j = (const struct job *)arg;

	for (uint32_t i = 0; i < j->n; i++) {
		uint64_t value[LEASE_CPUS_MAX];
		uint32_t key = i * j->step + j->first;

		for (uint32_t c = 0; c < lease_possible_cpus(); c++)
			value[c] = key;
		CHECK_EQ(j->m->ops->write(j->m, &key, value, BPF_NOEXIST), 0);
	}
	return NULL;
}

static void fill(uint32_t type, uint32_t max, uint32_t flags, int procs)
{
	struct map *m = make_map(type, 4, 8, max, flags, -1);
	uint32_t n = (uint32_t)(procs < 0 ? -procs : procs), each = 3 * max / n + 1;
	struct map_stats stats = {0};
	struct job jobs[16];
	pthread_t threads[16];
	pid_t pids[16];

	max = m->attr.max_entries;
	for (uint32_t p = 0; p < n; p++) {
		jobs[p] = (struct job){m, p, n, each};
		if (procs < 0) {
			REQUIRE(!pthread_create(&threads[p], NULL, insert, &jobs[p]));
			continue;
		}
		pids[p] = fork();
		if (pids[p])
			continue;
		insert(&jobs[p]);
		exit(check_done());
	}
	for (uint32_t p = 0; procs < 0 && p < n; p++)
		pthread_join(threads[p], NULL);
	if (procs > 0)
		reap(pids, procs);
	CHECK_EQ(count(m), max);
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.entries, max);
	CHECK_EQ(stats.evictions, each * n - max);
	CHECK_EQ(stats.failed, 0);
	must_be_valid(m);
	if (check_failures)
		fprintf(stderr, "max_entries %u, flags %#x\n", max, flags);
	map_put(m);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1, 2, 3, 7, 8, 16, 100, 127, 128, 1000, 5000};
	uint32_t type = argc > 1 ? (uint32_t)atoi(argv[1]) : BPF_MAP_TYPE_LRU_HASH;
	int procs = argc > 2 ? atoi(argv[2]) : 1;

	check_private_rundir();
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !check_failures; i++) {
		fill(type, sizes[i], 0, procs);
		fill(type, sizes[i], BPF_F_NO_COMMON_LRU, procs);
	}
	return check_done();
}
