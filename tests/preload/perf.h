/* SPDX-License-Identifier: BSD-2-Clause */
/* For the perf buffer tests: the object of perf.bpf.c, and commands to its program. */
#ifndef SHMAP_TESTS_PRELOAD_PERF_H
#define SHMAP_TESTS_PRELOAD_PERF_H

#include <signal.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "object.h"

struct sample {
	uint32_t who, seq;
	uint64_t check, more[3];
};

struct command {
	uint32_t who, first, count, written;
	int64_t last_error;
	uint64_t pad[2];
};

static int perf_map, perf_prog;

static inline void perf_load(void)
{
	struct bpf_object *obj = object_load("perf", &perf_prog);

	perf_map = bpf_object__find_map_fd_by_name(obj, "events");
	REQUIRE(perf_map >= 0);
}

/* At most 64 records, numbered from first on. How many were written. */
static inline uint32_t perf_write(uint32_t who, uint32_t first, uint32_t count, int64_t *error)
{
	struct command c = {.who = who, .first = first, .count = count};

	CHECK_EQ(object_run(perf_prog, &c, sizeof(c)), 0);
	if (error)
		*error = c.last_error;
	return c.written;
}

/* A record's data stands 4 bytes behind an 8-byte boundary. */
static inline bool perf_whole(const void *data)
{
	struct sample copy;
	const struct sample *s = memcpy(&copy, data, sizeof(copy));
	uint64_t check = ((uint64_t)s->who << 32 | s->seq) * 0x9e3779b97f4a7c15ull;

	return s->check == check && s->more[0] == check && s->more[1] == check &&
	       s->more[2] == check;
}

static inline double perf_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#endif
