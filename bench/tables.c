/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HASH through libbpf's functions beside other hash tables for user space: in one
 * run, in turn. Theirs live in one process and die with it; ours is shared, and
 * checks the fd, the key's memory and the value's at each call. The ratio is
 * theirs / shmap's: above 1 shmap is the faster one.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"
#include "tables.h"

#define ROUNDS_MAX 31
#define SEQUENCE (1U << 18)
#define CHUNK 64 /* keys in a call of a table's loop */

static const struct table *const tables[] = {
	&table_shmap,
#ifdef HAVE_RTE
	&table_rte,
#endif
#ifdef HAVE_CK
	&table_ck,
#endif
#ifdef HAVE_LFHT
	&table_lfht,
#endif
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static uint32_t *keys[2];
static void *subject[TABLES];
static int rounds = 7;

struct job {
	unsigned int table, worker;
	bool write, alone;
	long n;
	double ns;
	bool failed;
	pthread_barrier_t *start;
};

static void *job_run(void *arg)
{
	struct job *j = (struct job *)arg;
	const struct table *t = tables[j->table];
	clockid_t clock = j->alone ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
	double begin;

	if (!j->alone) {
		t->thread_begin();
		pthread_barrier_wait(j->start);
	}
	begin = now_ns(clock);
	for (long i = 0; i < j->n && !j->failed; i += CHUNK) {
		const uint32_t *k = keys[j->worker] + ((size_t)i & (SEQUENCE - 1));

		j->failed = j->write ? t->update(subject[j->table], k, CHUNK) < 0
				     : t->lookup(subject[j->table], k, CHUNK) < 0;
	}
	j->ns = (now_ns(clock) - begin) / (double)j->n;
	if (!j->alone)
		t->thread_end();
	return NULL;
}

/* ns per operation and thread; < 0: failed. */
static double measure(unsigned int table, bool write, unsigned int workers, long n)
{
	pthread_barrier_t start;
	pthread_t threads[2];
	struct job jobs[2];
	double sum = 0;
	bool failed = false;

	pthread_barrier_init(&start, NULL, workers);
	for (unsigned int i = 0; i < workers; i++) {
		jobs[i] = (struct job){.table = table, .worker = i, .write = write, .n = n};
		jobs[i].alone = workers == 1;
		jobs[i].start = &start;
		if (workers == 1)
			job_run(&jobs[i]);
		else
			pthread_create(&threads[i], NULL, job_run, &jobs[i]);
	}
	for (unsigned int i = 0; i < workers; i++) {
		if (workers > 1)
			pthread_join(threads[i], NULL);
		sum += jobs[i].ns;
		failed |= jobs[i].failed;
	}
	pthread_barrier_destroy(&start);
	return failed ? -1 : sum / workers;
}

static void compare(uint32_t entries, bool write, unsigned int workers)
{
	static double ns[TABLES][ROUNDS_MAX], ratio[TABLES][ROUNDS_MAX];
	long n[TABLES] = {0};

	for (unsigned int t = 0; t < TABLES; t++) {
		double once;

		if (!subject[t] || (write && workers > 1 && !tables[t]->many_writers))
			continue;
		once = measure(t, write, workers, 4 * CHUNK * 16);
		n[t] = once < 0 ? 0 : ((long)(1e7 / once) & ~(long)(CHUNK - 1)) + CHUNK;
	}
	for (int r = 0; r < rounds; r++)
		for (unsigned int t = 0; t < TABLES; t++)
			if (n[t]) {
				ns[t][r] = measure(t, write, workers, n[t]);
				ratio[t][r] = ns[t][r] / ns[0][r];
			}
	for (unsigned int t = 0; t < TABLES; t++) {
		printf("%8u  %-16s %u thread%s  %-14s ", entries,
		       write ? "update existing" : "lookup", workers, workers > 1 ? "s" : " ",
		       tables[t]->name);
		if (!n[t]) {
			printf("       -\n");
			continue;
		}
		printf("%8.1f", median(ns[t], rounds));
		if (t) {
			double m = median(ratio[t], rounds);

			printf(" %8.2f   (%.2f to %.2f)", m, ratio[t][0], ratio[t][rounds - 1]);
		}
		printf("\n");
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {10000, 1000000};
	uint32_t seed = 1;
	int opt;

	while ((opt = getopt(argc, argv, "r:h")) != -1) {
		if (opt == 'r')
			rounds = atoi(optarg);
		if (opt != 'r' || rounds < 1 || rounds > ROUNDS_MAX) {
			fprintf(opt == 'h' ? stdout : stderr, "usage: bench-tables [-r ROUNDS]\n");
			return opt == 'h' ? 0 : 2;
		}
	}
	printf("%d rounds, in turn; ns per operation and thread, medians; ratio = theirs / "
	       "shmap's\n",
	       rounds);
	for (unsigned int z = 0; z < 2; z++) {
		for (int w = 0; w < 2; w++) {
			keys[w] = (uint32_t *)realloc(keys[w], SEQUENCE * sizeof(uint32_t));
			if (!keys[w])
				return 1;
			for (uint32_t i = 0; i < SEQUENCE; i++) {
				seed = seed * 1664525u + 1013904223u;
				keys[w][i] = (uint32_t)((uint64_t)seed * sizes[z] >> 32);
			}
		}
		for (unsigned int t = 0; t < TABLES; t++) {
			subject[t] = tables[t]->make(sizes[z]);
			if (!subject[t])
				printf("%s cannot be made here\n", tables[t]->name);
			for (uint32_t k = 0; subject[t] && k < sizes[z]; k++)
				if (tables[t]->update(subject[t], &k, 1)) {
					printf("%s cannot be filled\n", tables[t]->name);
					return 1;
				}
		}
		for (unsigned int workers = 1; workers <= 2; workers++)
			for (int write = 0; write < 2; write++)
				compare(sizes[z], write, workers);
		for (unsigned int t = 0; t < TABLES; t++)
			if (subject[t])
				tables[t]->drop(subject[t]);
	}
	return 0;
}
