/* SPDX-License-Identifier: BSD-2-Clause */
/* For the perf buffer tests: the object of perf.bpf.c, and commands to its program. */
#ifndef SHMAP_TESTS_PRELOAD_PERF_H
#define SHMAP_TESTS_PRELOAD_PERF_H

#include <signal.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "bpf.h"

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

static int perf_quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static inline void perf_load(void)
{
	const char *dir = getenv("TEST_FILES");
	struct bpf_object *obj;
	char path[256];

	snprintf(path, sizeof(path), "%s/perf.bpf.o", dir ? dir : ".");
	libbpf_set_print(perf_quiet);
	obj = bpf_object__open(path);
	REQUIRE(obj);
	REQUIRE(!bpf_object__load(obj));
	perf_map = bpf_object__find_map_fd_by_name(obj, "events");
	perf_prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "run"));
	REQUIRE(perf_map >= 0 && perf_prog >= 0);
}

/* At most 64 records, numbered from first on. How many were written. */
static inline uint32_t perf_write(uint32_t who, uint32_t first, uint32_t count, int64_t *error)
{
	struct command c = {.who = who, .first = first, .count = count};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &c, .data_size_in = sizeof(c),
		    .data_out = &c, .data_size_out = sizeof(c));

	REQUIRE(!bpf_prog_test_run_opts(perf_prog, &opts));
	CHECK_EQ(opts.retval, 0);
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
