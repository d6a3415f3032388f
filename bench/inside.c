/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One side of the bench of programs on maps: loads one program with its map of so many
 * elements and runs it, alone, in two threads or in two processes. Built twice, for shmap
 * and for the kernel; bench/inside drives both.
 *
 *   standard input:  PROGRAM ENTRIES LAW WAY REPEAT   standard output: nanoseconds of one run
 *   (LAW: uniform, Zipf; WAY: 1, 2t, 2p)              or "error ..."
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define DRAWN (1U << 16)
#define ZIPF 0.99
#define INNER_ENTRIES 64 /* inside.bpf.c's */
#define CGRP_STORAGE 32	 /* newer than Debian's linux/bpf.h */

static const char *object_path;

/* The one that is loaded. */
static struct {
	char name[64], law[16];
	uint32_t entries;
	struct bpf_object *obj;
	struct perf_buffer *events;
	struct ring_buffer *ring;
	int fd;
} now;

/* Shared with the second process. */
static struct {
	pthread_barrier_t start;
	long ns[2];
} * shared;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static void on_record(void *ctx, int cpu, void *data, __u32 size)
{
}

static int on_sample(void *ctx, void *data, size_t size)
{
	return 0;
}

/* ---- keys ---- */

static uint64_t rnd64(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Into the object's globals: struct keys of inside.bpf.c. */
static int draw(const char *law, uint32_t entries)
{
	struct bpf_map *m, *bss = NULL;
	uint32_t *keys, *drawn;
	double *sum;

	if (!strcmp(now.law, law))
		return 0;
	bpf_object__for_each_map(m, now.obj)
	{
		if (strstr(bpf_map__name(m), ".bss"))
			bss = m;
	}
	if (!bss)
		return -ENOENT;
	keys = mmap(NULL, (DRAWN + 1) * 4, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(bss), 0);
	if (keys == MAP_FAILED)
		return -errno;
	sum = calloc(entries, sizeof(*sum));
	if (!sum)
		return -ENOMEM;
	keys[0] = entries;
	drawn = keys + 1;
	for (uint32_t i = 0; i < entries; i++)
		sum[i] = (i ? sum[i - 1] : 0) + 1 / pow(i + 1, ZIPF);
	for (uint32_t i = 0; i < DRAWN; i++) {
		uint32_t low = 0, high = entries - 1;
		double want = (double)(rnd64() >> 11) * 0x1p-53 * sum[entries - 1];

		if (strcmp(law, "Zipf")) {
			drawn[i] = (uint32_t)((rnd64() >> 32) * entries >> 32);
			continue;
		}
		while (low < high) {
			uint32_t middle = low + (high - low) / 2;

			if (sum[middle] > want)
				high = middle;
			else
				low = middle + 1;
		}
		drawn[i] = (uint32_t)((uint64_t)low * 2654435761u % entries);
	}
	free(sum);
	munmap(keys, (DRAWN + 1) * 4);
	snprintf(now.law, sizeof(now.law), "%s", law);
	return 0;
}

/* ---- the map ---- */

static int inner_make(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 8, INNER_ENTRIES, NULL);
}

static int fill(const struct bpf_map *map, uint32_t entries)
{
	int fd = bpf_map__fd(map), err = 0;
	bool inner = false;

	switch ((unsigned int)bpf_map__type(map)) {
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
		/* room for what one command writes */
		now.events = perf_buffer__new(fd, 1024, on_record, NULL, NULL, NULL);
		return now.events ? 0 : -errno;
	case BPF_MAP_TYPE_RINGBUF:
		now.ring = ring_buffer__new(fd, on_sample, NULL, NULL);
		return now.ring ? 0 : -errno;
	case BPF_MAP_TYPE_TASK_STORAGE:
	case BPF_MAP_TYPE_SK_STORAGE:
	case CGRP_STORAGE:
		return 0;
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		inner = true;
		break;
	default:
		break;
	}
	for (uint32_t i = 0; i < entries && !err; i++) {
		static uint64_t values[1024];
		uint32_t key[4] = {i};

		/* another one each time */
		values[0] = inner ? (uint64_t)inner_make() : 0;
		if (bpf_map__type(map) == BPF_MAP_TYPE_LPM_TRIE) {
			key[0] = 24;
			key[1] = i << 8;
		}
		if (bpf_map_update_elem(fd, bpf_map__key_size(map) ? key : NULL, values, BPF_ANY))
			err = -errno;
		if (inner)
			close((int)values[0]);
		if (!bpf_map__key_size(map) && i == 100 &&
		    bpf_map__type(map) != BPF_MAP_TYPE_BLOOM_FILTER)
			break;
	}
	return err;
}

static void unload(void)
{
	perf_buffer__free(now.events);
	ring_buffer__free(now.ring);
	bpf_object__close(now.obj);
	memset(&now, 0, sizeof(now));
}

/* The object with just this program, and the map that its name begins with. */
static int load(const char *name, uint32_t entries)
{
	struct bpf_program *p, *mine = NULL;
	struct bpf_map *m, *used = NULL;
	size_t len = 0;
	int err;

	unload();
	now.obj = bpf_object__open_file(object_path, NULL);
	if (!now.obj)
		return -errno;
	bpf_object__for_each_program(p, now.obj)
	{
		bool it = !strcmp(bpf_program__name(p), name);

		bpf_program__set_autoload(p, it);
		if (it)
			mine = p;
	}
	bpf_object__for_each_map(m, now.obj)
	{
		size_t n = strlen(bpf_map__name(m));

		if (!strncmp(bpf_map__name(m), name, n) && n > len) {
			used = m;
			len = n;
		}
	}
	bpf_object__for_each_map(m, now.obj)
	{
		uint32_t type = bpf_map__type(m);

		if (strchr(bpf_map__name(m), '.'))
			continue;
		bpf_map__set_autocreate(m, m == used);
		if (type == BPF_MAP_TYPE_TASK_STORAGE || type == BPF_MAP_TYPE_SK_STORAGE ||
		    type == CGRP_STORAGE)
			bpf_map__set_max_entries(m, 0);
		else if (type != BPF_MAP_TYPE_RINGBUF && type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			bpf_map__set_max_entries(m, strstr(name, "insert_delete") ? 2 * entries
										  : entries);
	}
	if (!mine)
		return -ENOENT;
	if (bpf_object__load(now.obj))
		return -errno;
	now.fd = bpf_program__fd(mine);
	err = used ? fill(used, entries) : 0;
	if (err)
		return err;
	snprintf(now.name, sizeof(now.name), "%s", name);
	now.entries = entries;
	return 0;
}

/* ---- runs ---- */

static long run(int repeat)
{
	static uint8_t packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = repeat);

	return bpf_prog_test_run_opts(now.fd, &opts) ? -errno : (long)opts.duration;
}

struct worker {
	int index, repeat;
};

static void *work(void *arg)
{
	const struct worker *w = arg;

	run(1); /* a new process makes its native code */
	pthread_barrier_wait(&shared->start);
	shared->ns[w->index] = run(w->repeat);
	return NULL;
}

static long both(const char *way, int repeat)
{
	struct worker w[2] = {{0, repeat}, {1, repeat}};
	pthread_barrierattr_t attr;
	pthread_t thread;
	pid_t pid = 0;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->start, &attr, 2);
	if (!strcmp(way, "2t")) {
		if (pthread_create(&thread, NULL, work, &w[1]))
			return -EAGAIN;
	} else {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (!pid) {
			work(&w[1]);
			_exit(0);
		}
	}
	work(&w[0]);
	if (pid)
		waitpid(pid, NULL, 0);
	else
		pthread_join(thread, NULL);
	pthread_barrier_destroy(&shared->start);
	for (int i = 0; i < 2; i++)
		if (shared->ns[i] < 0)
			return shared->ns[i];
	return (shared->ns[0] + shared->ns[1]) / 2;
}

int main(int argc, char **argv)
{
	char name[64], law[16], way[8];
	uint32_t entries;
	int repeat;

	if (argc != 2) {
		fprintf(stderr, "usage: bench-inside OBJECT   (see bench/inside)\n");
		return 2;
	}
	object_path = argv[1];
	if (!getenv("BENCH_VERBOSE"))
		libbpf_set_print(quiet);
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	while (scanf("%63s %u %15s %7s %d", name, &entries, law, way, &repeat) == 5) {
		long ns = 0;

		if (strcmp(name, now.name) || entries != now.entries)
			ns = load(name, entries);
		if (!ns)
			ns = draw(law, entries);
		if (!ns)
			ns = strcmp(way, "1") ? both(way, repeat) : run(repeat);
		if (ns < 0)
			printf("error %s\n", strerror((int)-ns));
		else
			printf("%ld\n", ns);
		fflush(stdout);
		if (now.events)
			perf_buffer__consume(now.events);
		if (now.ring)
			ring_buffer__consume(now.ring);
	}
	unload();
	return 0;
}
