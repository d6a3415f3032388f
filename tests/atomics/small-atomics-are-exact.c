/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomics of 1 and 2 bytes: each does what it says to its bytes and nothing to their
 * neighbours, with threads and processes at work on all bytes of a word. Code that is weaker
 * is seen to fail.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../check.h"
#include "small.h"

#define WORKERS 4 /* two processes of two threads */

static int cells_fd, on8_fd, on16_fd, member8_fd;

static long request_many(int prog, int op, __u32 index, __u32 v, __u32 expected, int repeat)
{
	struct request r[4] = {{op, index, v, expected}}; /* 64 bytes: a packet */
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = r, .data_size_in = sizeof(r),
			    .repeat = repeat);

	REQUIRE(!bpf_prog_test_run_opts(prog, &opts));
	REQUIRE(opts.retval != (__u32)-2 && opts.retval != (__u32)-1);
	return opts.retval;
}

static long request(int prog, int op, __u32 index, __u32 v, __u32 expected)
{
	return request_many(prog, op, index, v, expected, 1);
}

static struct cell cell_now(void)
{
	struct cell c;
	__u32 key = 0;

	REQUIRE(!bpf_map_lookup_elem(cells_fd, &key, &c));
	return c;
}

static void cell_set(const struct cell *c)
{
	__u32 key = 0;

	REQUIRE(!bpf_map_update_elem(cells_fd, &key, c, BPF_ANY));
}

static __u32 model(int op, __u32 old, __u32 v, __u32 expected, __u32 mask)
{
	switch (op) {
	case OP_ADD:
		return (old + v) & mask;
	case OP_SUB:
		return (old - v) & mask;
	case OP_OR:
		return old | (v & mask);
	case OP_AND:
		return old & v;
	case OP_XOR:
		return (old ^ v) & mask;
	case OP_CMPXCHG:
		return old == expected ? v & mask : old;
	case OP_LOAD:
		return old;
	}
	return v & mask;
}

/* Each operation at each place with edge values, alone. */
static void check_alone(int prog, __u32 bytes)
{
	static const __u32 values[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff};
	__u32 mask = bytes == 1 ? 0xff : 0xffff;

	for (int op = 0; op < OPS; op++)
		for (__u32 at = 0; at < CELL_BYTES; at += bytes)
			for (int i = 0; i < 9 * 9; i++) {
				__u32 old = values[i / 9] & mask, v = values[i % 9] & mask, new;
				__u32 expected = i % 2 ? old : (old + 1) & mask;
				struct cell c, want;
				long ret;

				memset(&c, i & 1 ? 0xff : 0x55, sizeof(c));
				memcpy(c.bytes + at, &old, bytes);
				want = c;
				new = model(op, old, v, expected, mask);
				memcpy(want.bytes + at, &new, bytes);
				cell_set(&c);
				ret = request(prog, op, at, v, expected);
				CHECK_EQ(ret, op == OP_STORE ? 0 : old);
				c = cell_now();
				if (memcmp(&c, &want, sizeof(c))) {
					fprintf(stderr, "op %d of %u bytes at %u: %#x, %#x\n", op,
						bytes, at, old, v);
					check_failures++;
				}
			}
}

struct worker {
	int prog, op, repeat;
	__u32 index, v;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	/* in pieces, so that the threads meet often even where there is one CPU */
	for (int i = 0; i < 100; i++)
		request_many(w->prog, w->op, w->index, w->v, 0, w->repeat / 100);
	return NULL;
}

/* Two processes of two threads each. */
static void work_all(struct worker *w)
{
	pthread_t t[2];
	pid_t child = fork();
	int from = child ? 0 : 2, failures = check_failures, status;

	REQUIRE(child >= 0);
	for (int i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&t[i], NULL, work, &w[from + i]));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	if (!child)
		_exit(check_failures != failures);
	REQUIRE(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

/* All four bytes (or both halves) of a word are added to; sums are exact, and what is beside the
 * word is untouched. */
static bool sums_exact(int prog, int op, __u32 bytes, int repeat)
{
	struct worker w[WORKERS];
	struct cell c, want;
	__u32 mask = bytes == 1 ? 0xff : 0xffff;

	memset(&c, 0xa5, sizeof(c));
	memset(c.bytes + 4, 0, 4);
	want = c;
	cell_set(&c);
	for (__u32 i = 0; i < WORKERS; i++) {
		__u32 index = 4 + i * bytes % 4, sum = 0;

		w[i] = (struct worker){prog, op, repeat, index, 2 * i + 1};
		memcpy(&sum, want.bytes + index, bytes);
		sum = (sum + (__u32)repeat * w[i].v) & mask;
		memcpy(want.bytes + index, &sum, bytes);
	}
	work_all(w);
	c = cell_now();
	return !memcmp(&c, &want, sizeof(c));
}

/* Four workers on one byte. */
static bool sum_of_one_exact(int prog, int op, int repeat)
{
	struct worker w[WORKERS];
	struct cell c;
	__u32 sum = 0;

	memset(&c, 0, sizeof(c));
	cell_set(&c);
	for (int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){prog, op, repeat, 5, 2 * i + 1};
		sum += repeat * w[i].v;
	}
	work_all(w);
	c = cell_now();
	return c.bytes[5] == (sum & 0xff) && !c.bytes[4] && !c.bytes[6];
}

int main(int argc, char **argv)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *dir = getenv("TEST_FILES");
	int repeat = ops ? atoi(ops) / 100 * 100 : 10000, tries = 0;
	struct bpf_object *obj;
	struct cell c;
	char path[4096];

	snprintf(path, sizeof(path), "%s/small.bpf.o", dir ? dir : ".");
	obj = bpf_object__open(path);
	REQUIRE(obj && !bpf_object__load(obj));
	cells_fd = bpf_object__find_map_fd_by_name(obj, "cells");
	on8_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "on8"));
	on16_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "on16"));
	member8_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "member8"));

	check_alone(on8_fd, 1);
	check_alone(on16_fd, 2);
	memset(&c, 0xa5, sizeof(c));
	cell_set(&c);
	CHECK_EQ(request(member8_fd, OP_XCHG, 0, 7, 0), 0xa5);
	CHECK_EQ(request(member8_fd, OP_ADD, 0, 250, 0), 7);
	CHECK_EQ(request(member8_fd, OP_AND, 0, 0xf, 0), 1);
	CHECK_EQ(cell_now().bytes[2], 1);

	CHECK(sums_exact(on8_fd, OP_ADD, 1, repeat));
	CHECK(sums_exact(on16_fd, OP_ADD, 2, repeat));
	CHECK(sum_of_one_exact(on8_fd, OP_ADD, repeat));

	/* weaker: a word's add carries into the next byte, always */
	CHECK(!sums_exact(on8_fd, OP_WEAK_WORD, 1, repeat));
	/* weaker: load, add, store loses what others add meanwhile */
	while (tries < 20 && sum_of_one_exact(on8_fd, OP_WEAK_ADD, repeat))
		tries++;
	if (tries < 20)
		printf("without atomics additions are lost: seen at try %d\n", tries + 1);
	else
		printf("without atomics nothing was lost in 20 tries: the threads did not meet "
		       "here\n");
	bpf_object__close(obj);
	return check_done();
}
