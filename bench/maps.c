/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each operation of each map type on shmap, through libbpf's functions, beside
 * the kernel's bpf(2): in one run, in turn, the ratio pair by pair.
 *
 * One worker is measured by the CPU time that it used, so that other load on the
 * machine counts less. Several by real time, as one that waits for another waits
 * in vain. Without root there is no kernel side, and no ratios.
 */
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "measure.h"

#define ROUNDS_MAX 31
#define ZIPF 0.99

enum way { ONE, THREADS, PROCESSES, WAYS };
enum law { UNIFORM, ZIPFIAN, LAWS };

static const char *const way_name[] = {"1 thread", "2 threads", "2 processes"};
static const char *const law_name[] = {"uniform", "Zipf"};
static const unsigned int way_workers[] = {1, 2, 2};

static int rounds = 7;
static bool have_kernel = true;
static FILE *json;
static bool json_begun;

/* --- keys --- */

static uint64_t rng = 88172645463325252ULL;

static uint64_t rnd64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* SEQUENCE indices below n, by the law; cumulative: n weights added up, for Zipf's. */
static uint32_t draw(enum law law, uint32_t n, const double *cumulative)
{
	uint32_t low = 0, high = n - 1;
	double at;

	if (law == UNIFORM)
		return (uint32_t)((rnd64() >> 32) * n >> 32);
	at = (double)(rnd64() >> 11) * 0x1p-53 * cumulative[n - 1];
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (cumulative[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	/* the frequent ones shall not be neighbours */
	return (uint32_t)((uint64_t)low * 2654435761u % n);
}

static uint8_t *sequences[LAWS][WORKERS_MAX];

static void draw_all(const struct bench_type *t, uint32_t present)
{
	double *cumulative = (double *)malloc(present * sizeof(*cumulative)), sum = 0;

	for (uint32_t i = 0; cumulative && i < present; i++)
		cumulative[i] = sum += 1 / pow(i + 1, ZIPF);
	for (int law = 0; law < LAWS; law++)
		for (int w = 0; w < WORKERS_MAX; w++) {
			free(sequences[law][w]);
			sequences[law][w] =
				(uint8_t *)calloc(SEQUENCE, t->key_size ? t->key_size : 1);
			if (!sequences[law][w] || !cumulative) {
				fprintf(stderr, "bench-maps: no memory\n");
				exit(1);
			}
			for (uint32_t i = 0; w < 2 && t->key_size && i < SEQUENCE; i++)
				bench_key(t, draw((enum law)law, present, cumulative),
					  sequences[law][w] + (size_t)i * t->key_size);
		}
	free(cumulative);
}

/* --- one measurement --- */

/* Shared with the worker processes. */
struct results {
	pthread_barrier_t start;
	struct {
		long done;
		double ns;
	} worker[WORKERS_MAX];
};
static struct results *results;

struct job {
	struct subject s;
	bench_fn fn;
	long n;
	bool fresh; /* a new process: its page tables are empty */
	clockid_t clock;
};

static void *job_run(void *arg)
{
	struct job *job = (struct job *)arg;
	double begin;

	if (job->fresh)
		job->fn(&job->s, job->n);
	if (job->s.workers > 1)
		pthread_barrier_wait(&results->start);
	begin = now_ns(job->clock);
	results->worker[job->s.worker].done = job->fn(&job->s, job->n);
	results->worker[job->s.worker].ns = now_ns(job->clock) - begin;
	return NULL;
}

/* ns per operation seen by each worker; -errno on an error. */
static double measure(const struct subject *s, const struct bench_op *op, enum way way,
		      enum law law, long n)
{
	static uint8_t values[SIDES][WORKERS_MAX][VALUES_SIZE];
	unsigned int workers = way_workers[way], i;
	struct job jobs[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];
	pid_t pids[WORKERS_MAX];
	pthread_barrierattr_t shared;
	double sum = 0;

	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&results->start, &shared, workers);
	for (i = 0; i < workers; i++) {
		jobs[i] = (struct job){.s = *s, .fn = op->fn, .n = n};
		jobs[i].clock =
			way == ONE && !op->waits ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
		jobs[i].fresh = way == PROCESSES;
		jobs[i].s.worker = i;
		jobs[i].s.workers = workers;
		jobs[i].s.keys = sequences[law][i];
		jobs[i].s.values = values[s->side][i];
		if (way == THREADS)
			pthread_create(&threads[i], NULL, job_run, &jobs[i]);
		if (way == PROCESSES) {
			pids[i] = fork();
			if (!pids[i]) {
				job_run(&jobs[i]);
				_exit(0);
			}
		}
		if (way == ONE)
			job_run(&jobs[i]);
	}
	for (i = 0; i < workers; i++) {
		if (way == THREADS)
			pthread_join(threads[i], NULL);
		if (way == PROCESSES)
			waitpid(pids[i], NULL, 0);
	}
	pthread_barrier_destroy(&results->start);
	for (i = 0; i < workers; i++) {
		if (results->worker[i].done <= 0)
			return (double)results->worker[i].done;
		sum += results->worker[i].ns / (double)results->worker[i].done;
	}
	return sum / workers;
}

/* --- one row: both sides in turn --- */

static void report(const struct subject *s, const struct bench_op *op, enum way way, enum law law,
		   double ns[SIDES][ROUNDS_MAX], double *ratio)
{
	double mine = median(ns[SHMAP], rounds), kernels = 0, r = 0;

	printf("%-24s %8u  %-32s %-11s %-7s %9.1f", s->type->name, s->max, op->name, way_name[way],
	       op->by_key ? law_name[law] : "", mine);
	if (have_kernel) {
		kernels = median(ns[KERNEL], rounds);
		r = median(ratio, rounds);
		printf(" %9.1f %8.1f   (%.1f to %.1f)", kernels, r, ratio[0], ratio[rounds - 1]);
	}
	printf("\n");
	fflush(stdout);
	if (!json)
		return;
	fprintf(json,
		"%s\n {\"type\": \"%s\", \"entries\": %u, \"op\": \"%s\", \"by\": \"%s\", "
		"\"keys\": \"%s\", \"shmap_ns\": %.2f",
		json_begun ? "," : "", s->type->name, s->max, op->name, way_name[way],
		law_name[law], mine);
	if (have_kernel)
		fprintf(json,
			", \"kernel_ns\": %.2f, \"ratio\": %.2f, \"ratio_min\": %.2f, "
			"\"ratio_max\": %.2f",
			kernels, r, ratio[0], ratio[rounds - 1]);
	fprintf(json, "}");
	json_begun = true;
}

static void run_op(const struct subject *subjects, const struct bench_op *op, enum way way,
		   enum law law)
{
	double ns[SIDES][ROUNDS_MAX], ratio[ROUNDS_MAX];
	int sides = have_kernel ? SIDES : 1;
	long n[SIDES];

	for (int side = 0; side < sides; side++) {
		double once = measure(&subjects[side], op, way, law, 4);

		if (once > 0 && once < 1e6)
			once = measure(&subjects[side], op, way, law, 2000);
		if (once <= 0) {
			printf("%-24s %8u  %-32s failed on the %s side: %s\n",
			       subjects[side].type->name, subjects[side].max, op->name,
			       side ? "kernel's" : "shmap", strerror((int)-once));
			return;
		}
		n[side] = (long)(4e6 / once) & ~1L; /* about 4 ms a round */
		if (n[side] < 8)
			n[side] = 8;
	}
	for (int i = 0; i < rounds; i++) {
		for (int side = 0; side < sides; side++)
			ns[side][i] = measure(&subjects[side], op, way, law, n[side]);
		if (have_kernel)
			ratio[i] = ns[KERNEL][i] / ns[SHMAP][i];
	}
	report(&subjects[0], op, way, law, ns, ratio);
}

/* --- a map of each side --- */

static void subject_close(struct subject *s)
{
	for (int i = 0; i < 2; i++)
		if (s->inner[i] > 0)
			close(s->inner[i]);
	if (s->fd >= 0)
		close(s->fd);
}

static long subject_open(struct subject *s, const struct bench_type *t, enum side side,
			 uint32_t max)
{
	static uint8_t value[VALUES_SIZE];
	uint8_t key[64];
	long err;

	*s = (struct subject){.type = t, .side = side, .fd = -1, .max = max};
	err = t->prepare ? t->prepare(max) : 0;
	if (err)
		return err;
	for (int i = 0; (t->inner || t->events) && i < 2; i++) {
		s->inner[i] = t->events ? side_event(side)
					: (int)side_create(side, t->inner, 4, 8, 1, 0, 0);
		if (s->inner[i] < 0)
			return s->inner[i];
	}
	s->fd = (int)side_create(side, t->type, t->key_size, t->value_size, max, t->flags,
				 t->inner ? s->inner[0] : 0);
	if (s->fd < 0)
		return s->fd;
	s->present = t->empty ? 0 : t->full ? max : max / 2;
	if (t->inner || t->events)
		memcpy(value, &s->inner[0], sizeof(s->inner[0]));
	/* every swap on the kernel waits for a grace period: one slot is enough to look up */
	for (uint32_t i = 0; i < (t->inner || t->events ? 1 : s->present); i++) {
		bench_key(t, i, key);
		err = side_update(side, s->fd, t->key_size ? key : NULL, value, BPF_ANY);
		if (err)
			return err;
	}
	if (t->inner || t->events || t->empty)
		s->present = 1;
	return 0;
}

static void run_type(const struct bench_type *t, uint32_t max)
{
	struct subject subjects[SIDES] = {{.fd = -1}, {.fd = -1}};
	long err;

	for (int side = 0; side < (have_kernel ? SIDES : 1); side++) {
		err = subject_open(&subjects[side], t, (enum side)side, max);
		if (err) {
			printf("%-24s %8u  left out: the %s side says %s\n", t->name, max,
			       side ? "kernel's" : "shmap", strerror((int)-err));
			goto out;
		}
	}
	draw_all(t, subjects[0].present);
	for (unsigned int i = 0; i < sizeof(t->ops) / sizeof(t->ops[0]) && t->ops[i]; i++)
		for (int way = 0; way < WAYS; way++)
			for (int law = 0; law < (t->ops[i]->by_key ? LAWS : 1); law++)
				if (way != THREADS || !t->ops[i]->alone)
					run_op(subjects, t->ops[i], (enum way)way, (enum law)law);
out:
	subject_close(&subjects[SHMAP]);
	subject_close(&subjects[KERNEL]);
}

static void usage(FILE *f)
{
	fprintf(f, "usage: bench-maps [-r ROUNDS] [-n ENTRIES] [-j FILE] [TYPE...]\n"
		   "  -r, --rounds N    pairs of measurements per figure, 1 to 31 (default 7)\n"
		   "  -n, --entries N   of this size only (default: 10000 and 1000000)\n"
		   "  -j, --json FILE   the figures as JSON\n"
		   "Example: bench-maps -n 10000 HASH ARRAY\n");
}

static bool wanted(const char *name, char **types)
{
	if (!*types)
		return true;
	for (; *types; types++)
		if (!strcmp(*types, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rounds", required_argument, NULL, 'r'},
						{"entries", required_argument, NULL, 'n'},
						{"json", required_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	uint32_t sizes[] = {10000, 1000000}, size_count = 2;
	int opt;
	long fd;

	while ((opt = getopt_long(argc, argv, "r:n:j:h", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			rounds = atoi(optarg);
			break;
		case 'n':
			sizes[0] = (uint32_t)strtoul(optarg, NULL, 0);
			size_count = 1;
			break;
		case 'j':
			json = fopen(optarg, "w");
			if (!json) {
				fprintf(stderr, "bench-maps: %s: %s\n", optarg, strerror(errno));
				return 1;
			}
			break;
		default:
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || !sizes[0]) {
		usage(stderr);
		return 2;
	}
	results = (struct results *)mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 1;
	fd = side_create(KERNEL, BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 0);
	if (fd < 0) {
		have_kernel = false;
		printf("no kernel side: bpf(2) answers %s\n", strerror((int)-fd));
	} else {
		close((int)fd);
	}
	printf("%d rounds, each side in turn; ns per operation and worker, medians; ratio = kernel "
	       "/ shmap\n",
	       rounds);
	printf("%-24s %8s  %-32s %-11s %-7s %9s %9s %8s   (min to max)\n", "type", "entries",
	       "operation", "by", "keys", "shmap", "kernel", "ratio");
	if (json)
		fprintf(json, "[");
	for (unsigned int t = 0; t < bench_type_count; t++)
		for (uint32_t z = 0; wanted(bench_types[t].name, argv + optind) && z < size_count;
		     z++) {
			uint32_t limit = bench_types[t].limit;

			if (!limit || sizes[z] <= limit)
				run_type(&bench_types[t], sizes[z]);
			else if (!z)
				run_type(&bench_types[t], limit);
		}
	if (json) {
		fprintf(json, "\n]\n");
		fclose(json);
	}
	return 0;
}
