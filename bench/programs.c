/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One side of the program bench: loads programs by libbpf and runs them when it is
 * told to. Built twice, for shmap and for the kernel; bench/programs drives both.
 *
 *   standard input:  PROGRAM REPEAT     standard output: nanoseconds of one run
 *                    PROGRAM REPEATx2                    the same of two threads at once
 *                    PROGRAM size                        bytes of native code
 *                    PROGRAM insns                       instructions
 *                    PROGRAM load                        nanoseconds of one BPF_PROG_LOAD
 *   or "error ..."
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ENTRIES 10000

static const char *object_path;

struct loaded {
	char name[64];
	int fd;
	const struct bpf_program *prog;
} loaded[64];
static int loaded_count;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static struct perf_buffer *events; /* of the perf event array, if there is one */

static struct ring_buffer *ring; /* of the ring buffer, if there is one */

static int on_ring(void *ctx, void *data, size_t size)
{
	return 0;
}

static void on_record(void *ctx, int cpu, void *data, __u32 size)
{
}

/* Maps of maps and of programs: an array, or a program that does nothing, in each slot. */
static void fill_slots(int fd, const struct bpf_map *map)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	bool progs = bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY;
	uint32_t n = bpf_map__max_entries(map);

	for (uint32_t i = 0; i < n; i++) {
		int value =
			progs ? bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "nothing", "GPL", nothing, 2,
					      NULL)
			      : bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 8, ENTRIES, NULL);

		bpf_map_update_elem(fd, &i, &value, BPF_ANY);
		close(value);
	}
}

static void fill(int fd, const struct bpf_map *map)
{
	static uint64_t value[4096];
	uint32_t size = bpf_map__key_size(map);

	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_RINGBUF:
		ring = ring_buffer__new(fd, on_ring, NULL, NULL);
		return;
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_PROG_ARRAY:
		fill_slots(fd, map);
		return;
	default:
		break;
	}
	if (bpf_map__type(map) == BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
		/* room for what one command writes */
		events = perf_buffer__new(fd, 1024, on_record, NULL, NULL, NULL);
		return;
	}
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t key[2] = {i, 0};

		if (size == 8) { /* the trie's: a /24 each */
			key[0] = 24;
			key[1] = i << 8;
		}
		bpf_map_update_elem(fd, size ? key : NULL, value, BPF_ANY);
		if (!size && i == 100)
			break;
	}
}

/* The object with just this program, and the map that its name begins with. */
static int load(const char *name, const struct bpf_program **prog)
{
	struct bpf_object *o = bpf_object__open_file(object_path, NULL);
	struct bpf_program *p, *mine = NULL;
	struct bpf_map *m, *used = NULL;
	size_t len = 0;

	if (!o)
		return -errno;
	bpf_object__for_each_program(p, o)
	{
		bool it = !strcmp(bpf_program__name(p), name);

		bpf_program__set_autoload(p, it);
		if (it)
			mine = p;
	}
	/* the longest map name that the program's begins with */
	bpf_object__for_each_map(m, o)
	{
		size_t n = strlen(bpf_map__name(m));

		if (!strncmp(bpf_map__name(m), name, n) && n > len) {
			used = m;
			len = n;
		}
	}
	bpf_object__for_each_map(m, o) bpf_map__set_autocreate(m, m == used);
	if (!mine)
		return -ENOENT;
	if (bpf_object__load(o))
		return -errno;
	if (used)
		fill(bpf_map__fd(used), used);
	*prog = mine;
	return bpf_program__fd(mine);
}

static struct loaded *find(const char *name)
{
	struct loaded *l;

	for (int i = 0; i < loaded_count; i++)
		if (!strcmp(loaded[i].name, name))
			return &loaded[i];
	if (loaded_count == 64) {
		fprintf(stderr, "too many programs\n");
		exit(1);
	}
	l = &loaded[loaded_count++];
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->fd = load(name, &l->prog);
	return l;
}

static long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

/* Native code is made at the load on the kernel and at the first run here: with one run. */
static long load_time(const struct loaded *l)
{
	static uint8_t packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 1);
	long begin = now_ns();
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "timed", "GPL", bpf_program__insns(l->prog),
			       bpf_program__insn_cnt(l->prog), NULL);

	if (fd < 0 || bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	begin = now_ns() - begin;
	close(fd);
	return begin;
}

static long code_size(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : (long)info.jited_prog_len;
}

struct run {
	int fd, repeat;
	long ns; /* or -errno */
	pthread_barrier_t *together;
};

static void *run(void *arg)
{
	static uint8_t packet[64];
	struct run *r = arg;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = r->repeat);

	if (r->together)
		pthread_barrier_wait(r->together);
	r->ns = bpf_prog_test_run_opts(r->fd, &opts) ? -errno : (long)opts.duration;
	return NULL;
}

/* Two threads: what a run takes each, at the mean. */
static long run_pair(struct run r)
{
	pthread_barrier_t together;
	struct run other = r;
	pthread_t thread;

	pthread_barrier_init(&together, NULL, 2);
	r.together = other.together = &together;
	if (pthread_create(&thread, NULL, run, &other))
		return -EAGAIN;
	run(&r);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&together);
	return r.ns < 0 || other.ns < 0 ? -EIO : (r.ns + other.ns) / 2;
}

static long ask(const struct loaded *l, const char *what)
{
	struct run r = {.fd = l->fd, .repeat = atoi(what)};

	if (l->fd < 0)
		return l->fd;
	if (!strcmp(what, "size"))
		return code_size(l->fd);
	if (!strcmp(what, "insns"))
		return (long)bpf_program__insn_cnt(l->prog);
	if (!strcmp(what, "load"))
		return load_time(l);
	if (strchr(what, 'x'))
		return run_pair(r);
	run(&r);
	return r.ns;
}

int main(int argc, char **argv)
{
	char name[64], what[16];

	if (argc != 2) {
		fprintf(stderr, "usage: bench-programs OBJECT   (see bench/programs)\n");
		return 2;
	}
	object_path = argv[1];
	libbpf_set_print(quiet);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%63s %15s", name, what) == 2) {
		long answer = ask(find(name), what);

		if (answer < 0)
			printf("error %s\n", strerror((int)-answer));
		else
			printf("%ld\n", answer);
		if (events)
			perf_buffer__consume(events);
		if (ring)
			ring_buffer__consume(ring);
	}
	return 0;
}
