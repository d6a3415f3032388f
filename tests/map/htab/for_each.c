/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's walk meets each key once, in the slots of a bucket and in its chain,
 * also when the callback replaces or deletes the key that it is given, or when
 * somebody else replaces keys all the time.
 */
#include "map/htab.h"
#include "util.h"

#define KEYS 12

static uint32_t keys[KEYS], seen[KEYS];

static long visit(void *arg, struct map *m, const void *key, void *value)
{
	for (uint32_t i = 0; i < KEYS; i++)
		seen[i] += !memcmp(&keys[i], key, sizeof(keys[i]));
	return 0;
}

static long replace(void *arg, struct map *m, const void *key, void *value)
{
	uint64_t v = 77;

	visit(arg, m, key, value);
	CHECK_EQ(m->ops->update(m, key, &v, BPF_EXIST), 0);
	return check_failures || ++*(int *)arg > 2 * KEYS; /* not for ever */
}

static long remove_it(void *arg, struct map *m, const void *key, void *value)
{
	visit(arg, m, key, value);
	CHECK_EQ(m->ops->delete (m, key), 0);
	return 0;
}

static void once_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *))
{
	int calls = 0;

	memset(seen, 0, sizeof(seen));
	while (lease_acquire() < 0)
		;
	CHECK_EQ(m->ops->for_each(m, fn, &calls), KEYS);
	lease_release();
	for (int n = 0; n < KEYS; n++)
		if (seen[n] != 1)
			CHECK_EQ(seen[n], 1);
}

int main(void)
{
	uint32_t *stop, key, n = 0;
	struct map *m;
	pid_t pid;

	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_HASH, 4, 8, KEYS, 0, -1);
	stop = shared_page(4096);
	/* all in one bucket: seven slots and a chain */
	for (key = 0; n < KEYS; key++)
		if (!(htab_hash(m, &key) & (m->htab.buckets - 1)))
			keys[n++] = key;
	for (n = 0; n < KEYS; n++)
		CHECK_EQ(m->ops->write(m, &keys[n], (uint64_t[]){n}, 0), 0);
	pid = fork();
	if (!pid) {
		for (uint64_t v = 0; !load_acquire(stop); v++)
			m->ops->write(m, &keys[v % KEYS], &v, BPF_EXIST);
		exit(0);
	}
	for (int round = 0; round < 20000 && !check_failures; round++)
		once_each(m, visit);
	store_release(stop, 1);
	reap(&pid, 1);
	once_each(m, replace);
	once_each(m, remove_it);
	CHECK_EQ(m->ops->for_each(m, visit, NULL), 0);
	must_be_valid(m);
	return check_done();
}
