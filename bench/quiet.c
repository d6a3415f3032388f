/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What writers pay for locks and notices while nobody locks or listens: updates and deletes as
 * they are, beside the same without all that (quiet_sides.c), in turn, in one process, on one map.
 * CPU time; of each pair of loops the ratio, and the median of these.
 *
 *	bench-quiet [ROUNDS]
 */
#include "measure.h"
#include "quiet.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MAX 1001
#define LOOP 4000L
#define SEQUENCE 8192U

static int rounds = 301;
static uint32_t keys[SEQUENCE];
static int fd;

static void updates(const struct quiet_side *s)
{
	uint64_t v = 0;

	for (long i = 0; i < LOOP; i++, v++)
		need(!s->update(fd, &keys[i % SEQUENCE], &v, 0), "update");
}

/* Both of a pair count as one operation each. */
static void deletes(const struct quiet_side *s)
{
	uint64_t v = 0;

	for (long i = 0; i < LOOP / 2; i++, v++) {
		need(!s->delete (fd, &keys[i % SEQUENCE]), "delete");
		need(!s->update(fd, &keys[i % SEQUENCE], &v, 0), "insert");
	}
}

static double timed(void (*ops)(const struct quiet_side *), const struct quiet_side *s)
{
	double begin = now_ns(CLOCK_THREAD_CPUTIME_ID);

	ops(s);
	return (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)LOOP;
}

static void compare(const char *name, uint32_t type, uint32_t value, uint32_t n,
		    void (*ops)(const struct quiet_side *))
{
	static double ns[2][ROUNDS_MAX * QUIET_COPIES], ratio[ROUNDS_MAX * QUIET_COPIES];
	uint64_t v[8] = {0};
	int at = 0;

	fd = quiet_map(type, 4, value, n);
	need(fd >= 0, "map");
	for (uint32_t k = 0; k < n; k++)
		need(!quiet_sides[0][0].update(fd, &k, v, 0), "fill");
	for (uint32_t i = 0; i < SEQUENCE; i++)
		keys[i] = (uint32_t)random() % n;
	for (int r = 0; r < rounds; r++)
		for (int c = 0; c < QUIET_COPIES; c++, at++) {
			int first = r & 1;

			ns[first][at] = timed(ops, &quiet_sides[c][first]);
			ns[!first][at] = timed(ops, &quiet_sides[c][!first]);
			ratio[at] = ns[0][at] / ns[1][at];
		}
	printf("%-34s %8.2f ns   without %8.2f ns   +%.1f %%\n", name, median(ns[0], at),
	       median(ns[1], at), (median(ratio, at) - 1) * 100);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = 301;
	printf("what locks and notices cost writers while nobody locks or listens (CPU time, "
	       "medians "
	       "of %d pairs)\n",
	       rounds * QUIET_COPIES);
	compare("array, update", QUIET_ARRAY, 8, 1000, updates);
	compare("hash, update of 8 bytes", QUIET_HASH, 8, 10000, updates);
	compare("hash, update of 64 bytes", QUIET_HASH, 64, 10000, updates);
	compare("hash, delete and insert", QUIET_HASH, 8, 10000, deletes);
	compare("lru_hash, update of 8 bytes", QUIET_LRU_HASH, 8, 10000, updates);
	return 0;
}
