/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What maps take: the tmpfs pages of an empty and of a full map, beside the
 * kernel's memlock figure for the same map when it is full; and the time that making
 * it takes, on both sides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench.h"

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static long long pages_of(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	const char *dir = getenv("SHMAP_DIR");
	struct stat st;
	char path[512];

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -1;
	snprintf(path, sizeof(path), "%s/map/%u", dir ? dir : "", info.id);
	return stat(path, &st) ? -1 : (long long)st.st_blocks * 512;
}

static long long memlock_of(int fd)
{
	long long memlock = -1;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %lld", &memlock);
	if (f)
		fclose(f);
	return memlock;
}

static int fill(const struct bench_type *t, enum side side, int fd, uint32_t max, int inner)
{
	static uint8_t value[VALUES_SIZE];
	uint8_t key[64];

	if (t->inner)
		memcpy(value, &inner, sizeof(inner));
	for (uint32_t i = 0; i < max; i++) {
		long err;

		bench_key(t, i, key);
		err = side_update(side, fd, t->key_size ? key : NULL, value, BPF_ANY);
		if (err)
			return (int)err;
	}
	return 0;
}

static void one(const struct bench_type *t, uint32_t max)
{
	long long empty = 0, used[SIDES] = {-1, -1};
	double made[SIDES] = {0, 0};
	int err = 0;

	for (int side = 0; side < SIDES && !err; side++) {
		int inner =
			t->inner ? (int)side_create((enum side)side, t->inner, 4, 8, 1, 0, 0) : 0;
		double begin = now_us();
		int fd = (int)side_create((enum side)side, t->type, t->key_size, t->value_size, max,
					  t->flags, inner);

		made[side] = now_us() - begin;
		if (fd < 0) {
			printf("%-26s %8u  left out: the %s side says %s\n", t->name, max,
			       side ? "kernel's" : "shmap", strerror(-fd));
			err = fd;
		} else {
			if (side == SHMAP)
				empty = pages_of(fd);
			err = fill(t, (enum side)side, fd, max, inner);
			used[side] = side == SHMAP ? pages_of(fd) : memlock_of(fd);
			if (err)
				printf("%-26s %8u  cannot be filled: %s\n", t->name, max,
				       strerror(-err));
			close(fd);
		}
		if (inner > 0)
			close(inner);
	}
	if (!err)
		printf("%-26s %8u %11lld %11lld %11lld %8.2f %10.1f %10.1f\n", t->name, max, empty,
		       used[SHMAP], used[KERNEL], (double)used[SHMAP] / (double)used[KERNEL],
		       made[SHMAP], made[KERNEL]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {100, 10000, 1000000};

	if (argc > 2) {
		fprintf(stderr, "usage: bench-memory [TYPE]\n");
		return 2;
	}
	printf("bytes of tmpfs, empty and full, beside the kernel's memlock when full; ratio = "
	       "shmap / kernel; microseconds to make it\n");
	printf("%-26s %8s %11s %11s %11s %8s %10s %10s\n", "type", "entries", "empty", "full",
	       "memlock", "ratio", "make", "kernel's");
	for (unsigned int i = 0; i < bench_type_count; i++)
		for (unsigned int z = 0; z < 3; z++) {
			const struct bench_type *t = &bench_types[i];

			/* an update of a map of maps takes the kernel milliseconds */
			if ((argc > 1 && strcmp(argv[1], t->name)) || t->empty || t->events ||
			    t->prepare || /* its memlock is the same with all owners */
			    (t->limit && sizes[z] > t->limit) || (t->inner && sizes[z] > 100))
				continue;
			one(t, sizes[z]);
		}
	return 0;
}
