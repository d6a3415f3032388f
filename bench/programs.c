/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One side of the program bench: loads programs by libbpf and runs them when it is
 * told to. Built twice, for shmap and for the kernel; bench/programs drives both.
 *
 *   standard input:  PROGRAM REPEAT
 *   standard output: nanoseconds of one run, or "error ..."
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ENTRIES 10000

static const char *object_path;

struct loaded {
	char name[64];
	int fd;
} loaded[64];
static int loaded_count;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static struct perf_buffer *events; /* of the perf event array, if there is one */

static void on_record(void *ctx, int cpu, void *data, __u32 size)
{
}

static void fill(int fd, const struct bpf_map *map)
{
	static uint64_t value[4096];
	uint32_t size = bpf_map__key_size(map);

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
static int load(const char *name)
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
	return bpf_program__fd(mine);
}

static int find(const char *name)
{
	for (int i = 0; i < loaded_count; i++)
		if (!strcmp(loaded[i].name, name))
			return loaded[i].fd;
	if (loaded_count == 64)
		return -ENOSPC;
	snprintf(loaded[loaded_count].name, sizeof(loaded[0].name), "%s", name);
	return loaded[loaded_count++].fd = load(name);
}

int main(int argc, char **argv)
{
	static uint8_t packet[64];
	char name[64];
	int repeat;

	if (argc != 2) {
		fprintf(stderr, "usage: bench-programs OBJECT   (see bench/programs)\n");
		return 2;
	}
	object_path = argv[1];
	libbpf_set_print(quiet);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%63s %d", name, &repeat) == 2) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
			    .data_size_in = sizeof(packet), .repeat = repeat);
		int fd = find(name);

		if (fd < 0)
			printf("error %s\n", strerror(-fd));
		else if (bpf_prog_test_run_opts(fd, &opts))
			printf("error %s\n", strerror(errno));
		else
			printf("%u\n", opts.duration);
		if (events)
			perf_buffer__consume(events);
	}
	return 0;
}
