/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G6: max_entries is exact, under concurrency too. Processes insert distinct keys
 * into a map that cannot hold them all: exactly max_entries succeed, the others get
 * E2BIG. Then they delete and insert around the limit: the count never passes it,
 * and nobody is refused while everybody together holds less.
 */
#include "util.h"

#define PROCS 4

static uint32_t count(struct map *m)
{
	uint8_t key[4];
	uint32_t n = 0;
	int err;

	for (err = m->ops->next_key(m, NULL, key); !err; err = m->ops->next_key(m, key, key))
		n++;
	CHECK_EQ(err, -ENOENT);
	return n;
}

static void fill(uint32_t max, uint32_t flags)
{
	struct map *m = make_map(BPF_MAP_TYPE_HASH, 4, 8, max, flags, -1);
	uint32_t *won = shared_page(4096);
	pid_t pids[PROCS];

	for (int p = 0; p < PROCS; p++) {
		pids[p] = fork();
		if (pids[p])
			continue;
		for (uint32_t i = 0; i < max; i++) {
			uint32_t key = i * PROCS + (uint32_t)p;
			uint64_t value = key;
			int err = m->ops->write(m, &key, &value, BPF_NOEXIST);

			if (!err)
				fetch_add_relaxed(won, 1);
			else
				CHECK_EQ(err, -E2BIG);
		}
		exit(check_done());
	}
	reap(pids, PROCS);
	CHECK_EQ(*won, max);
	CHECK_EQ(count(m), max);
	must_be_valid(m);
	map_put(m);
}

/* Each process keeps at most its share, so the map never needs to refuse. */
static void churn(uint32_t max, uint32_t flags)
{
	struct map *m = make_map(BPF_MAP_TYPE_HASH, 4, 8, max, flags, -1);
	uint32_t share = max / PROCS;
	pid_t pids[PROCS];

	for (int p = 0; p < PROCS; p++) {
		unsigned int seed = (unsigned int)p + 11;
		uint32_t held = 0, at = 0;
		uint8_t *has;

		pids[p] = fork();
		if (pids[p])
			continue;
		has = calloc(share * 4, 1);
		for (uint32_t i = 0; i < 30000; i++) {
			uint64_t value = i;
			uint32_t key;

			at = rand_r(&seed) % (share * 4);
			key = at * PROCS + (uint32_t)p;
			if (has[at]) {
				CHECK_EQ(m->ops->erase(m, &key), 0);
				has[at] = 0;
				held--;
			} else if (held < share) {
				CHECK_EQ(m->ops->write(m, &key, &value, BPF_NOEXIST), 0);
				has[at] = 1;
				held++;
			}
		}
		exit(check_done());
	}
	reap(pids, PROCS);
	must_be_valid(m);
	map_put(m);
}

int main(void)
{
	static const uint32_t sizes[] = {1, 2, 3, 7, 8, 30, 100, 1000, 5000};

	check_private_rundir();
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill(sizes[i], 0);
		fill(sizes[i], BPF_F_NO_PREALLOC);
	}
	churn(64, 0);
	churn(400, BPF_F_NO_PREALLOC);
	churn(4000, 0);
	return check_done();
}
