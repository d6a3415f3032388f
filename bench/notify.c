/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long it takes from a change to the handler that another process has for it, by each route,
 * with the default settings.
 *
 *	bench-notify [CHANGES]
 */
#include "../tests/notify/routes.h"

#define CHANGES_MAX 100000L

static long changes = 500;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static uint64_t *times(void)
{
	return (uint64_t *)(s + 1);
}

static void clocks(void *arg)
{
	uint32_t key = KEY;
	uint64_t v = 0;

	bpf_map_lookup_elem(heard_fd, &key, &v);
	if (v != s->seen) {
		s->heard_at = now_ns();
		s->seen = v;
	}
}

/* One at a time, and at any moment of the listener's own beat. */
static void change_timed(int fd)
{
	for (long i = 0; i < changes; i++) {
		struct timespec ts = {0, 300000 + random() % 700000};

		s->stored_at = now_ns();
		write_one();
		while (s->seen != w.n)
			nap();
		((volatile uint64_t *)times())[i] = s->heard_at - s->stored_at;
		nanosleep(&ts, NULL);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		changes = atol(argv[1]);
	if (changes < 1 || changes > CHANGES_MAX)
		changes = 500;
	s = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	printf("from a change to another process's handler, %ld changes by each route\n", changes);
	for (enum route r = 0; r < ROUTES; r++) {
		int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h;

		heard_fd = fd;
		s->seen = 0;
		h = bpf_map_notify(fd, clocks);
		REQUIRE(h > 0);
		writer_begin(r, fd);
		join(child_of(change_timed, fd));
		CHECK_EQ(shmap_notify_remove(h), 0);
		qsort(times(), (size_t)changes, sizeof(uint64_t), by_size);
		printf("%-26s median %8.1f us   99 %% %8.1f us\n", route_name(r),
		       (double)times()[changes / 2] / 1e3,
		       (double)times()[changes * 99 / 100] / 1e3);
		close(fd);
	}
	return check_done();
}
