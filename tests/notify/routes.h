/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of bpf_map_notify() share: the routes by which a map's contents change, and
 * handlers that keep what they are told. */
#ifndef TESTS_NOTIFY_ROUTES_H
#define TESTS_NOTIFY_ROUTES_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "../children.h"
#include "shmap.h"

static struct shared {
	volatile uint32_t step, stop;
	volatile uint64_t seen, events, changes, written, stored_at, heard_at;
} * s;

static inline int map_new(enum bpf_map_type type, uint32_t value, uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, "watched", 4, value, entries, &opts);

	REQUIRE(fd >= 0);
	return fd;
}

static inline void nap(void)
{
	struct timespec ts = {0, 100000};

	nanosleep(&ts, NULL);
}

/* ---- routes ---- */

#define KEY 1

/* A program that adds 1 to the value of key 1, or updates it to a counter of its own. */
static inline int prog_new(int map, bool store)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = KEY},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2 + 8 * !store},
		{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 0},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1},
		/* store: *r0 = r1, else through the stack and bpf_map_update_elem() */
		{.code = BPF_STX | BPF_MEM | BPF_DW,
		 .dst_reg = store ? 0 : 10,
		 .src_reg = 1,
		 .off = store ? 0 : -16},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -16},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_update_elem},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_insn end[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	size_t n = sizeof(insns) / sizeof(insns[0]);
	int fd;

	insns[6].off = store ? 3 : (short)(n - 2 - 7);
	if (store) {
		insns[10] = end[0];
		insns[11] = end[1];
		n = 12;
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "changes", "GPL", insns, n, NULL);
	REQUIRE(fd >= 0);
	return fd;
}

/* A program that adds 1 to the value of key 1 of the map in the first slot of `outer`. */
static inline int inner_prog_new(int outer)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = outer},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 9},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = KEY},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 3},
		{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 0},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "stores", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	REQUIRE(fd >= 0);
	return fd;
}

/* A map of maps of that type with fd in it, at a key 0. */
static inline int outer_new(enum bpf_map_type type, int fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (uint32_t)fd);
	int outer = bpf_map_create(type, "outer", 4, 4, 2, &opts);
	uint32_t key = 0;

	REQUIRE(outer >= 0 && !bpf_map_update_elem(outer, &key, &fd, BPF_ANY));
	return outer;
}

/* A program one of whose functions makes a tail call to `to`. */
static inline int caller_new(int to)
{
	int slots = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "slots", 4, 4, 1, NULL);
	struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = slots},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	/* tail calls out of functions ask for a BTF */
	struct btf *b = btf__new_empty();
	int proto = btf__add_func_proto(b, btf__add_int(b, "int", 4, BTF_INT_SIGNED)), fd;
	struct bpf_func_info info[] = {{0, btf__add_func(b, "main", BTF_FUNC_GLOBAL, proto)},
				       {3, btf__add_func(b, "f", BTF_FUNC_STATIC, proto)}};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .func_info = info, .func_info_cnt = 2,
		    .func_info_rec_size = sizeof(info[0]));
	uint32_t key = 0;

	REQUIRE(slots >= 0 && !btf__load_into_kernel(b));
	opts.prog_btf_fd = btf__fd(b);
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "calls", "GPL", insns,
			   sizeof(insns) / sizeof(insns[0]), &opts);
	REQUIRE(fd >= 0);
	CHECK_EQ(bpf_map_update_elem(slots, &key, &to, BPF_ANY), 0);
	btf__free(b);
	return fd; /* (the slots are emptied when nobody has them open) */
}

enum route {
	BY_BPF,
	BY_HELPER,
	BY_PROGRAM,
	BY_TAIL_CALL,
	BY_STORE,
	BY_INNER_ARRAY,
	BY_INNER_HASH,
	BY_HANDLE,
	BY_MODIFY,
	ROUTES
};

static inline const char *route_name(enum route route)
{
	static const char *const names[ROUTES] = {"bpf(2)",
						  "helper",
						  "program's store",
						  "store of a program called",
						  "raw store",
						  "store to a map in an array",
						  "store to a map in a hash",
						  "store in a handle's section",
						  "shmap_modify()"};

	return names[route];
}

static struct writer {
	enum route route;
	int fd, prog;
	volatile uint64_t *values;
	struct shmap_handle *handle;
	uint64_t n;
} w;

static inline void writer_begin(enum route route, int fd)
{
	w = (struct writer){.route = route, .fd = fd};
	if (route == BY_HELPER || route == BY_PROGRAM)
		w.prog = prog_new(fd, route == BY_PROGRAM);
	if (route == BY_TAIL_CALL)
		w.prog = caller_new(prog_new(fd, true));
	if (route == BY_STORE) {
		w.values = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		REQUIRE(w.values != MAP_FAILED);
	}
	if (route == BY_INNER_ARRAY)
		w.prog = inner_prog_new(outer_new(BPF_MAP_TYPE_ARRAY_OF_MAPS, fd));
	if (route == BY_INNER_HASH)
		w.prog = inner_prog_new(outer_new(BPF_MAP_TYPE_HASH_OF_MAPS, fd));
	if (route == BY_HANDLE || route == BY_MODIFY) {
		w.handle = shmap_handle_open(fd);
		REQUIRE(w.handle);
	}
}

static inline int one_more(void *value, void *arg)
{
	++*(uint64_t *)value;
	return 0;
}

/* The value of KEY becomes one more. */
static inline void write_one(void)
{
	char data[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = sizeof(data),
		    .repeat = 1);
	uint32_t key = KEY;

	w.n++;
	switch (w.route) {
	case BY_BPF:
		CHECK_EQ(bpf_map_update_elem(w.fd, &key, &w.n, BPF_ANY), 0);
		break;
	case BY_HELPER:
	case BY_PROGRAM:
	case BY_TAIL_CALL:
	case BY_INNER_ARRAY:
	case BY_INNER_HASH:
		REQUIRE(!bpf_prog_test_run_opts(w.prog, &opts));
		break;
	case BY_HANDLE:
		while (shmap_section_begin())
			REQUIRE(errno == EBUSY); /* all CPUs are held */
		*(volatile uint64_t *)shmap_edit(w.handle, &key) = w.n;
		shmap_section_end();
		break;
	case BY_MODIFY:
		CHECK_EQ(shmap_modify(w.handle, &key, one_more, NULL), 0);
		break;
	default:
		w.values[KEY] = w.n;
	}
}

/* ---- what handlers heard ---- */

static int heard_fd;

static inline void hears(void *arg)
{
	const struct shmap_event *e = arg;
	uint32_t key = KEY;
	uint64_t v = 0;

	bpf_map_lookup_elem(heard_fd, &key, &v);
	s->events = s->events + 1;
	s->changes = s->changes + e->changes;
	s->seen = v; /* the contents as the handler found them */
}

static struct shmap_event last;
static uint32_t last_key;
static volatile uint32_t got;

static inline void keeps(void *arg)
{
	const struct shmap_event *e = arg;
	uint32_t key = 0;

	last = *e;
	if (e->key)
		memcpy(&key, e->key, 4);
	/* at once: it may be looked at while we are called again */
	__atomic_store_n(&last_key, key, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&got, 1, __ATOMIC_SEQ_CST);
}

static inline void wait_for(uint32_t n)
{
	while (__atomic_load_n(&got, __ATOMIC_SEQ_CST) < n)
		nap();
	CHECK_EQ(got, n);
}

/* ---- which of the claims ---- */

struct claim {
	const char *name;
	void (*fn)(void);
};

/* The one that is asked for, or all. */
static inline int try_claims(const struct claim *claims, size_t n, const char *name)
{
	check_private_rundir();
	REQUIRE(shmap_version && bpf_map_notify);
	s = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	for (size_t i = 0; i < n; i++)
		if (!name || !strcmp(name, claims[i].name)) {
			memset((void *)s, 0, sizeof(*s));
			got = 0;
			claims[i].fn();
		}
	return check_done();
}

#endif
