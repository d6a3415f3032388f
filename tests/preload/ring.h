/* SPDX-License-Identifier: BSD-2-Clause */
/* For the ring buffer tests: the object of ring.bpf.c, and commands to its program. */
#ifndef SHMAP_TESTS_PRELOAD_RING_H
#define SHMAP_TESTS_PRELOAD_RING_H

#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "object.h"

enum { SUBMIT, DISCARD, OUTPUT, QUERY, DYNPTR, DRAIN };

struct sample {
	uint64_t seq, check;
};

struct command {
	uint32_t op, count;
	uint64_t first, flags;
	uint32_t size, pad;
	uint64_t results[4];
};

static struct bpf_object *ring_obj;
static int ring_fd, user_ring_fd, ring_prog;
/* the program's variables */
static volatile struct {
	uint64_t drained, drain_next, drain_wrong, drain_stop;
} * ring_vars;

static inline void ring_load(void)
{
	struct bpf_map *vars;

	ring_obj = object_load("ring", &ring_prog);
	ring_fd = bpf_object__find_map_fd_by_name(ring_obj, "ring");
	user_ring_fd = bpf_object__find_map_fd_by_name(ring_obj, "user_ring");
	vars = bpf_object__find_map_by_name(ring_obj, ".bss");
	REQUIRE(ring_fd >= 0 && user_ring_fd >= 0 && vars);
	ring_vars = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(vars), 0);
	REQUIRE(ring_vars != MAP_FAILED);
}

/* The program's result; c gets the packet as it left it. */
static inline int ring_command(struct command *c)
{
	return object_run(ring_prog, c, sizeof(*c));
}

static inline int ring_run(uint32_t op, uint64_t first, uint32_t count, uint64_t flags)
{
	struct command c = {.op = op, .first = first, .count = count, .flags = flags, .size = 16};

	return ring_command(&c);
}

#endif
