/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each bpf(2) operation on shmap, through libbpf's functions, beside the kernel's
 * own system call: in one run, in turn, the ratio pair by pair.
 *
 *   bench-maps [-t THREADS] [-r ROUNDS] [-j FILE] [FILTER]
 *
 * The kernel side issues the system call directly, with less in the way than
 * libbpf's own wrapper has. Needs root for the kernel side; without it the
 * ratios are left out.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define ROUNDS_MAX 31
#define BATCH 256

enum side { SHMAP, KERNEL, SIDES };

static const char *const side_name[] = {"shmap", "kernel"};

static long kernel_bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	long ret;

#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_bpf), "D"((long)cmd), "S"(attr), "d"((long)size)
			 : "rcx", "r11", "memory");
#else
	ret = -ENOSYS;
#endif
	return ret;
}

/* ---- one operation, on either side ---- */

static int elem(enum side side, int cmd, int fd, const void *key, void *value, uint64_t flags)
{
	union bpf_attr attr;

	if (side == SHMAP) {
		switch (cmd) {
		case BPF_MAP_LOOKUP_ELEM:
			return bpf_map_lookup_elem(fd, key, value);
		case BPF_MAP_UPDATE_ELEM:
			return bpf_map_update_elem(fd, key, value, flags);
		case BPF_MAP_DELETE_ELEM:
			return bpf_map_delete_elem(fd, key);
		case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
			return bpf_map_lookup_and_delete_elem(fd, key, value);
		default:
			return bpf_map_get_next_key(fd, key, value);
		}
	}
	memset(&attr, 0, 32);
	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)(uintptr_t)key;
	attr.value = (uint64_t)(uintptr_t)value;
	attr.flags = flags;
	return (int)kernel_bpf(cmd, &attr, 32);
}

static int batch(enum side side, int cmd, int fd, void *in, void *out, void *keys, void *values,
		 uint32_t *count)
{
	union bpf_attr attr;
	int ret;

	if (side == SHMAP) {
		DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, opts);

		if (cmd == BPF_MAP_LOOKUP_BATCH)
			return bpf_map_lookup_batch(fd, in, out, keys, values, count, &opts);
		return bpf_map_update_batch(fd, keys, values, count, &opts);
	}
	memset(&attr, 0, sizeof(attr.batch));
	attr.batch.map_fd = (uint32_t)fd;
	attr.batch.in_batch = (uint64_t)(uintptr_t)in;
	attr.batch.out_batch = (uint64_t)(uintptr_t)out;
	attr.batch.keys = (uint64_t)(uintptr_t)keys;
	attr.batch.values = (uint64_t)(uintptr_t)values;
	attr.batch.count = *count;
	ret = (int)kernel_bpf(cmd, &attr, sizeof(attr.batch));
	*count = attr.batch.count;
	return ret;
}

static int create(enum side side, uint32_t type, uint32_t key, uint32_t value, uint32_t max,
		  uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	union bpf_attr attr;

	if (side == SHMAP)
		return bpf_map_create((enum bpf_map_type)type, "bench", key, value, max, &opts);
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = max;
	attr.map_flags = flags;
	return (int)kernel_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* ---- cases ---- */

struct subject {
	enum side side;
	int fd;
	uint32_t max;
	bool array;
	unsigned int thread, threads;
	uint32_t present; /* keys 0..present-1 are in the map */
};

static uint64_t values[SIDES][8][4096]; /* by thread; wide enough for 512 CPUs */

/* A walk over the keys that no prefetcher knows; each thread has its own. */
static inline uint32_t step(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state;
}

typedef long (*case_fn)(const struct subject *s, long n);

static long lookup_hit(const struct subject *s, long n)
{
	uint32_t state = s->thread + 1;
	uint64_t *value = values[s->side][s->thread];

	for (long i = 0; i < n; i++) {
		uint32_t key = (uint32_t)((uint64_t)step(&state) * s->present >> 32);

		if (elem(s->side, BPF_MAP_LOOKUP_ELEM, s->fd, &key, value, 0))
			return -1;
	}
	return n;
}

static long lookup_miss(const struct subject *s, long n)
{
	uint32_t state = s->thread + 1;
	uint64_t *value = values[s->side][s->thread];

	for (long i = 0; i < n; i++) {
		uint32_t key = s->max + (uint32_t)((uint64_t)step(&state) * s->max >> 32);

		if (!elem(s->side, BPF_MAP_LOOKUP_ELEM, s->fd, &key, value, 0))
			return -1;
	}
	return n;
}

static long update(const struct subject *s, long n)
{
	uint32_t state = s->thread + 1;
	uint64_t *value = values[s->side][s->thread];

	for (long i = 0; i < n; i++) {
		uint32_t key = (uint32_t)((uint64_t)step(&state) * s->present >> 32);

		if (elem(s->side, BPF_MAP_UPDATE_ELEM, s->fd, &key, value, BPF_ANY))
			return -1;
	}
	return n;
}

/* Per operation: one insert and one delete are two. */
static long insert_delete(const struct subject *s, long n)
{
	uint32_t state = s->thread + 1, room = (s->max - s->present) / s->threads;
	uint64_t *value = values[s->side][s->thread];

	for (long i = 0; i < n; i += 2) {
		uint32_t key = s->present + s->thread * room +
			       (uint32_t)((uint64_t)step(&state) * room >> 32);

		if (elem(s->side, BPF_MAP_UPDATE_ELEM, s->fd, &key, value, BPF_NOEXIST) ||
		    elem(s->side, BPF_MAP_DELETE_ELEM, s->fd, &key, NULL, 0))
			return -1;
	}
	return n;
}

static long insert_pop(const struct subject *s, long n)
{
	uint32_t state = s->thread + 1, room = (s->max - s->present) / s->threads;
	uint64_t *value = values[s->side][s->thread];

	for (long i = 0; i < n; i += 2) {
		uint32_t key = s->present + s->thread * room +
			       (uint32_t)((uint64_t)step(&state) * room >> 32);

		if (elem(s->side, BPF_MAP_UPDATE_ELEM, s->fd, &key, value, BPF_NOEXIST) ||
		    elem(s->side, BPF_MAP_LOOKUP_AND_DELETE_ELEM, s->fd, &key, value, 0))
			return -1;
	}
	return n;
}

static long next_key(const struct subject *s, long n)
{
	uint32_t key = 0, next;
	void *at = NULL;

	for (long i = 0; i < n; i++) {
		if (elem(s->side, BPF_MAP_GET_NEXT_KEY, s->fd, at, &next, 0)) {
			at = NULL;
			continue;
		}
		key = next;
		at = &key;
	}
	return n;
}

static long batch_lookup(const struct subject *s, long n)
{
	static uint32_t keys[SIDES][8][BATCH];
	static uint64_t room[SIDES][8][BATCH * 64];
	uint64_t token = 0;
	void *in = NULL;
	long done = 0;

	while (done < n) {
		uint32_t count = BATCH;
		int ret = batch(s->side, BPF_MAP_LOOKUP_BATCH, s->fd, in, &token,
				keys[s->side][s->thread], room[s->side][s->thread], &count);

		if (ret && ret != -ENOENT)
			return -1;
		in = ret ? NULL : &token;
		done += count;
	}
	return done;
}

static long batch_update(const struct subject *s, long n)
{
	static uint32_t keys[SIDES][8][BATCH];
	static uint64_t room[SIDES][8][BATCH * 64];
	uint32_t *k = keys[s->side][s->thread], state = s->thread + 1;
	long done = 0;

	while (done < n) {
		uint32_t count = BATCH;

		for (uint32_t i = 0; i < BATCH; i++)
			k[i] = (uint32_t)((uint64_t)step(&state) * s->present >> 32);
		if (batch(s->side, BPF_MAP_UPDATE_BATCH, s->fd, NULL, NULL, k,
			  room[s->side][s->thread], &count))
			return -1;
		done += count;
	}
	return done;
}

struct bench_case {
	const char *name;
	case_fn fn;
	bool for_array;
};

static const struct bench_case cases[] = {
	{"lookup", lookup_hit, true},
	{"lookup miss", lookup_miss, false},
	{"update existing", update, true},
	{"insert + delete", insert_delete, false},
	{"insert + lookup_and_delete", insert_pop, false},
	{"get_next_key", next_key, true},
	{"lookup_batch 256 (per element)", batch_lookup, true},
	{"update_batch 256 (per element)", batch_update, true},
};

static const struct {
	const char *name;
	uint32_t type, flags;
	bool array, percpu;
} types[] = {
	{"ARRAY", BPF_MAP_TYPE_ARRAY, 0, true, false},
	{"PERCPU_ARRAY", BPF_MAP_TYPE_PERCPU_ARRAY, 0, true, true},
	{"HASH", BPF_MAP_TYPE_HASH, 0, false, false},
	{"HASH NO_PREALLOC", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, false, false},
	{"PERCPU_HASH", BPF_MAP_TYPE_PERCPU_HASH, 0, false, true},
	{"PERCPU_HASH NO_PREALLOC", BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, false, true},
};

/* ---- running ---- */

struct job {
	struct subject s;
	case_fn fn;
	long n, done;
	pthread_barrier_t *start;
	double ns;
};

/*
 * One thread: the CPU time that it used, so that other load on the machine counts
 * less. Several: real time, as one that waits for another waits in vain.
 */
static clockid_t bench_clock = CLOCK_THREAD_CPUTIME_ID;

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(bench_clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void *job_run(void *arg)
{
	struct job *job = arg;
	double begin;

	if (job->start)
		pthread_barrier_wait(job->start);
	begin = now_ns();
	job->done = job->fn(&job->s, job->n);
	job->ns = now_ns() - begin;
	return NULL;
}

/* ns per operation seen by each thread; < 0 on an error */
static double measure(struct subject *s, case_fn fn, unsigned int threads, long n)
{
	struct job jobs[8];
	pthread_t ids[8];
	pthread_barrier_t start;
	double sum = 0;
	unsigned int i;

	pthread_barrier_init(&start, NULL, threads);
	for (i = 0; i < threads; i++) {
		jobs[i] = (struct job){.s = *s, .fn = fn, .n = n};
		jobs[i].s.thread = i;
		jobs[i].s.threads = threads;
		jobs[i].start = threads > 1 ? &start : NULL;
		if (threads > 1)
			pthread_create(&ids[i], NULL, job_run, &jobs[i]);
		else
			job_run(&jobs[i]);
	}
	for (i = 0; i < threads; i++) {
		if (threads > 1)
			pthread_join(ids[i], NULL);
		if (jobs[i].done <= 0)
			return -1;
		sum += jobs[i].ns / (double)jobs[i].done;
	}
	pthread_barrier_destroy(&start);
	return sum / threads;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare_doubles);
	return v[n / 2];
}

static bool prepare(struct subject *s, unsigned int t, uint32_t max)
{
	s->fd = create(s->side, types[t].type, 4, 8, max, types[t].flags);
	if (s->fd < 0)
		return false;
	s->max = max;
	s->array = types[t].array;
	/* half full: room for the inserts, and one load factor for both sides */
	s->present = types[t].array ? max : max / 2;
	for (uint32_t key = 0; key < s->present; key++)
		if (elem(s->side, BPF_MAP_UPDATE_ELEM, s->fd, &key, values[s->side][0], BPF_ANY))
			return false;
	return true;
}

static void run_case(FILE *json, const char *type, uint32_t max, const struct bench_case *c,
		     struct subject *subjects, bool have_kernel, unsigned int threads, int rounds,
		     bool *first)
{
	double ns[SIDES][ROUNDS_MAX], ratio[ROUNDS_MAX], med[SIDES] = {0, 0}, r = 0;
	long n[SIDES];
	int side, i;

	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		double once = measure(&subjects[side], c->fn, threads, 2000);

		if (once < 0) {
			printf("%-24s %8u  %-32s failed on %s\n", type, max, c->name,
			       side_name[side]);
			return;
		}
		n[side] = (long)(4e6 / once) & ~1L; /* about 4 ms a round */
		if (n[side] < 1000)
			n[side] = 1000;
	}
	for (i = 0; i < rounds; i++) {
		for (side = 0; side < (have_kernel ? SIDES : 1); side++)
			ns[side][i] = measure(&subjects[side], c->fn, threads, n[side]);
		if (have_kernel)
			ratio[i] = ns[KERNEL][i] / ns[SHMAP][i];
	}
	for (side = 0; side < (have_kernel ? SIDES : 1); side++)
		med[side] = median(ns[side], rounds);
	printf("%-24s %8u  %-32s %8.1f", type, max, c->name, med[SHMAP]);
	if (have_kernel) {
		r = median(ratio, rounds);
		printf(" %9.1f %7.1f   (%.1f to %.1f)", med[KERNEL], r, ratio[0],
		       ratio[rounds - 1]);
	}
	printf("\n");
	fflush(stdout);
	if (json) {
		fprintf(json,
			"%s\n  {\"type\": \"%s\", \"entries\": %u, \"op\": \"%s\", \"threads\": "
			"%u, "
			"\"shmap_ns\": %.2f",
			*first ? "" : ",", type, max, c->name, threads, med[SHMAP]);
		if (have_kernel)
			fprintf(json,
				", \"kernel_ns\": %.2f, \"ratio\": %.2f, \"ratio_min\": %.2f, "
				"\"ratio_max\": %.2f",
				med[KERNEL], r, ratio[0], ratio[rounds - 1]);
		fprintf(json, "}");
		*first = false;
	}
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1000, 65536};
	unsigned int threads = 1, t, z, c;
	int rounds = 9, opt;
	bool have_kernel = true, first = true;
	const char *filter = NULL;
	FILE *json = NULL;

	while ((opt = getopt(argc, argv, "t:r:j:h")) != -1) {
		switch (opt) {
		case 't':
			threads = (unsigned int)atoi(optarg);
			break;
		case 'r':
			rounds = atoi(optarg);
			break;
		case 'j':
			json = fopen(optarg, "w");
			break;
		default:
			fprintf(stderr,
				"usage: bench-maps [-t THREADS] [-r ROUNDS] [-j FILE] [TYPE]\n");
			return 2;
		}
	}
	if (optind < argc)
		filter = argv[optind];
	if (threads < 1 || threads > 8 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "bench-maps: 1 to 8 threads, 1 to %d rounds\n", ROUNDS_MAX);
		return 2;
	}
	if (threads > 1)
		bench_clock = CLOCK_MONOTONIC;
	{
		int fd = create(KERNEL, BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);

		if (fd < 0) {
			have_kernel = false;
			printf("no kernel side: bpf(2) answers %s\n", strerror(-fd));
		} else {
			close(fd);
		}
	}
	printf("%u thread%s, %d rounds, each side in turn; ns per operation, medians; "
	       "ratio = kernel / shmap\n",
	       threads, threads > 1 ? "s" : "", rounds);
	printf("%-24s %8s  %-32s %8s %9s %7s   (min to max)\n", "type", "entries", "operation",
	       "shmap", "kernel", "ratio");
	if (json)
		fprintf(json, "[");
	for (t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		if (filter && strcmp(filter, types[t].name))
			continue;
		for (z = 0; z < sizeof(sizes) / sizeof(sizes[0]); z++) {
			struct subject subjects[SIDES] = {{.side = SHMAP}, {.side = KERNEL}};

			if (!prepare(&subjects[SHMAP], t, sizes[z])) {
				fprintf(stderr, "bench-maps: cannot fill a map: %s\n",
					strerror(errno));
				return 1;
			}
			if (have_kernel && !prepare(&subjects[KERNEL], t, sizes[z])) {
				fprintf(stderr, "bench-maps: cannot fill a kernel map\n");
				return 1;
			}
			for (c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
				if (!types[t].array || cases[c].for_array)
					run_case(json, types[t].name, sizes[z], &cases[c], subjects,
						 have_kernel, threads, rounds, &first);
			close(subjects[SHMAP].fd);
			if (have_kernel)
				close(subjects[KERNEL].fd);
		}
	}
	if (json) {
		fprintf(json, "\n]\n");
		fclose(json);
	}
	return 0;
}
