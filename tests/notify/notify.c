/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_notify(): one claim per argument, by the public interface only. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "../children.h"
#include "shmap.h"

static struct shared {
	volatile uint32_t step, stop;
	volatile uint64_t seen, events, changes, written, stored_at, heard_at;
} * s;

static int map_new(enum bpf_map_type type, uint32_t value, uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, "watched", 4, value, entries, &opts);

	REQUIRE(fd >= 0);
	return fd;
}

static void nap(void)
{
	struct timespec ts = {0, 100000};

	nanosleep(&ts, NULL);
}

/* ---- routes ---- */

#define KEY 1

/* A program that adds 1 to the value of key 1, or updates it to a counter of its own. */
static int prog_new(int map, bool store)
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

/* A program one of whose functions makes a tail call to `to`. */
static int caller_new(int to)
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

enum route { BY_BPF, BY_HELPER, BY_PROGRAM, BY_TAIL_CALL, BY_STORE, ROUTES };
static const char *const route_names[ROUTES] = {"bpf(2)", "helper", "program's store",
						"store of a program called", "raw store"};

static struct writer {
	enum route route;
	int fd, prog;
	volatile uint64_t *values;
	uint64_t n;
} w;

static void writer_begin(enum route route, int fd)
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
}

/* The value of KEY becomes one more. */
static void write_one(void)
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
		REQUIRE(!bpf_prog_test_run_opts(w.prog, &opts));
		break;
	default:
		w.values[KEY] = w.n;
	}
}

/* ---- one change each ---- */

static int heard_fd;

static void hears(void *arg)
{
	const struct shmap_event *e = arg;
	uint32_t key = KEY;
	uint64_t v = 0;

	bpf_map_lookup_elem(heard_fd, &key, &v);
	s->events = s->events + 1;
	s->changes = s->changes + e->changes;
	s->seen = v; /* the contents as the handler found them */
}

static void writes_one(int fd)
{
	write_one();
}

static void writes_many(int fd)
{
	for (long i = 0; i < ops(3000); i++)
		write_one();
	s->written = w.n;
}

/* By another process; the handler finds what was written. */
static void every_route(void)
{
	for (enum route r = 0; r < ROUTES; r++) {
		int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h;
		uint64_t was;

		heard_fd = fd;
		s->seen = 0;
		h = bpf_map_notify(fd, hears);
		CHECK(h > 0);
		writer_begin(r, fd);
		for (uint64_t i = 1; i <= 20; i++) {
			join(child_of(writes_one, fd));
			w.n = i;
			while (s->seen != i)
				nap();
		}
		s->written = 0;
		join(child_of(writes_many, fd));
		while (s->seen != s->written)
			nap();
		CHECK_EQ(shmap_notify_remove(h), 0);
		CHECK_EQ(shmap_notify_remove(h), -ENOENT);
		was = s->events;
		w.n = s->written;
		join(child_of(writes_many, fd));
		CHECK_EQ(s->events, was);
		printf("%s: heard %llu times\n", route_names[r], (unsigned long long)was);
		close(fd);
	}
}

/* ---- what an event says ---- */

static struct shmap_event last;
static uint32_t last_key;
static volatile uint32_t got;

static void keeps(void *arg)
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

static void wait_for(uint32_t n)
{
	while (__atomic_load_n(&got, __ATOMIC_SEQ_CST) < n)
		nap();
	CHECK_EQ(got, n);
}

static void says(void)
{
	struct shmap_notify_opts o = {.sz = sizeof(o), .ctx = &last};
	int fd = map_new(BPF_MAP_TYPE_HASH, 8, 100, 0), h;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), key = 7, n = 2, keys[2] = {11, 12};
	uint64_t value = 1, values[2] = {1, 2};

	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	h = shmap_notify(fd, keeps, &o);
	CHECK(h > 0);
	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	wait_for(1);
	CHECK_EQ(last.map_id, info.id);
	CHECK_EQ(last.kind, SHMAP_CHANGE_UPDATE);
	CHECK_EQ(last.key_size, 4);
	CHECK_EQ(last_key, 7);
	CHECK_EQ(last.changes, 1);
	CHECK(last.ctx == &last);
	CHECK_EQ(bpf_map_delete_elem(fd, &key), 0);
	wait_for(2);
	CHECK_EQ(last.kind, SHMAP_CHANGE_DELETE);
	CHECK_EQ(last_key, 7);
	/* what changes nothing is no change */
	CHECK_EQ(bpf_map_delete_elem(fd, &key), -ENOENT);
	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_EXIST), -ENOENT);
	CHECK_EQ(bpf_map_update_batch(fd, keys, values, &n, NULL), 0);
	wait_for(3);
	CHECK_EQ(last.kind, SHMAP_CHANGE_MANY);
	CHECK_EQ(last.changes, 2);
	CHECK(!last.key);
	CHECK_EQ(bpf_map_lookup_and_delete_elem(fd, keys, &value), 0);
	wait_for(4);
	CHECK_EQ(last.kind, SHMAP_CHANGE_DELETE);
	CHECK_EQ(last_key, 11);
	CHECK_EQ(shmap_notify_remove(h), 0);

	CHECK_EQ(bpf_map_notify(fd, NULL), -EINVAL);
	CHECK_EQ(bpf_map_notify(-1, keeps), -EBADF);
	o.sz = 3;
	CHECK_EQ(shmap_notify(fd, keeps, &o), -EINVAL);
	CHECK_EQ(shmap_notify(fd, keeps, (void *)8), -EFAULT);
	CHECK_EQ(shmap_notify_remove(12345), -ENOENT);
	CHECK_EQ(shmap_notify_read(fd, &last, sizeof(last)), -EBADF);
	CHECK_EQ(shmap_notify_close(fd), -EBADF);
}

/* ---- one key ---- */

static void filter(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 8, 2000, 0),
	    a = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h;
	uint32_t mine = 5, key, n = 3, from, keys[3] = {5, 6, 7};
	struct shmap_notify_opts o = {.sz = sizeof(o), .key = &mine};
	uint64_t value = 1, values[3] = {77, 78, 79};
	volatile uint64_t *v;

	h = shmap_notify(fd, keeps, &o);
	CHECK(h > 0);
	/* more than there are slots for */
	for (key = 100; key < 1500; key++)
		CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	CHECK_EQ(bpf_map_update_elem(fd, &mine, &value, BPF_ANY), 0);
	while (!got)
		nap();
	CHECK_EQ(last_key, 5);
	key = 3;
	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	from = got;
	CHECK_EQ(bpf_map_update_batch(fd, keys, values, &n, NULL), 0);
	while (got == from)
		nap();
	n = 2;
	CHECK_EQ(bpf_map_update_batch(fd, keys + 1, values, &n, NULL), 0);
	from = got;
	CHECK_EQ(bpf_map_delete_elem(fd, &mine), 0);
	while (got == from)
		nap();
	CHECK_EQ(shmap_notify_remove(h), 0);
	/* three changes of 1406; a look for an unknown key may see one before its own notice */
	CHECK(got <= 6);

	/* neighbours in a page */
	got = 0;
	h = shmap_notify(a, keeps, &o);
	CHECK(h > 0);
	v = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	REQUIRE(v != MAP_FAILED);
	for (int i = 0; i < 20; i++) {
		v[6] = (uint64_t)i + 1;
		nap();
	}
	CHECK_EQ(got, 0);
	v[5] = 9;
	wait_for(1);
	CHECK_EQ(last_key, 5);
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* Updates of other keys evict the one that is listened to. */
static void evicted(void)
{
	int fd = map_new(BPF_MAP_TYPE_LRU_HASH, 8, 64, 0), h;
	uint32_t mine = 5, key;
	struct shmap_notify_opts o = {.sz = sizeof(o), .key = &mine};
	uint64_t value = 1;

	CHECK_EQ(bpf_map_update_elem(fd, &mine, &value, BPF_ANY), 0);
	h = shmap_notify(fd, keeps, &o);
	CHECK(h > 0);
	got = 0;
	/* no more than there are slots for */
	for (key = 100; key < 380 && !bpf_map_lookup_elem(fd, &mine, &value); key++)
		CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	REQUIRE(bpf_map_lookup_elem(fd, &mine, &value) == -ENOENT);
	while (!got)
		nap();
	CHECK_EQ(got, 1);
	CHECK_EQ(last.kind, SHMAP_CHANGE_DELETE);
	CHECK_EQ(last.key_size, 4);
	CHECK_EQ(last_key, 5);
	CHECK_EQ(shmap_notify_remove(h), 0);
	close(fd);
}

/* Bits behind its prefix do not make a key another one. */
static void prefix(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "watched", 8, 8, 100, &opts), h;
	struct {
		uint32_t bits;
		uint8_t data[4];
	} mine = {12, {10, 0x20, 0, 0}}, same = {12, {10, 0x2f, 3, 4}}, other = {12, {10, 0x30}};
	struct shmap_notify_opts o = {.sz = sizeof(o), .key = &mine};
	uint64_t value = 1;

	REQUIRE(fd >= 0);
	h = shmap_notify(fd, keeps, &o);
	CHECK(h > 0);
	CHECK_EQ(bpf_map_update_elem(fd, &other, &value, BPF_ANY), 0);
	CHECK_EQ(bpf_map_update_elem(fd, &same, &value, BPF_ANY), 0);
	wait_for(1);
	CHECK_EQ(last.kind, SHMAP_CHANGE_UPDATE);
	CHECK_EQ(shmap_notify_remove(h), 0);
	close(fd);
}

/* ---- event loops ---- */

static void loop(void)
{
	struct shmap_notify_opts o = {.sz = sizeof(o), .ctx = &o};
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), nfd;
	struct shmap_event e;
	struct pollfd p;

	nfd = shmap_notify_fd(fd, &o);
	REQUIRE(nfd >= 0);
	p = (struct pollfd){nfd, POLLIN, 0};
	while (shmap_notify_read(nfd, &e, sizeof(e)) == 1)
		;
	CHECK_EQ(poll(&p, 1, 0), 0);
	for (enum route r = 0; r < ROUTES; r++) {
		uint64_t v = 0;
		uint32_t key = KEY;

		CHECK_EQ(bpf_map_update_elem(fd, &key, &v, BPF_ANY), 0);
		writer_begin(r, fd);
		while (shmap_notify_read(nfd, &e, sizeof(e)) == 1)
			;
		for (uint64_t i = 1; i <= 50; i++) {
			join(child_of(writes_one, fd));
			w.n = i;
			do {
				CHECK_EQ(poll(&p, 1, -1), 1);
				while (shmap_notify_read(nfd, &e, sizeof(e)) == 1) {
					CHECK(e.ctx == &o);
					CHECK_EQ(bpf_map_lookup_elem(fd, &key, &v), 0);
				}
			} while (v != i);
		}
	}
	CHECK_EQ(shmap_notify_read(nfd, &e, 1), -EINVAL);
	CHECK_EQ(shmap_notify_close(nfd), 0);
	CHECK_EQ(shmap_notify_close(nfd), -EBADF);
}

/* ---- handlers that remove ---- */

static int self_handle;
static volatile uint32_t in_handler, leave;

static void removes_itself(void *arg)
{
	CHECK_EQ(shmap_notify_remove(self_handle), 0);
	__atomic_fetch_add(&got, 1, __ATOMIC_SEQ_CST);
}

static void takes_long(void *arg)
{
	in_handler = 1;
	while (!leave)
		nap();
	in_handler = 2;
}

static void *lets_go(void *arg)
{
	for (int i = 0; i < 100; i++)
		nap();
	leave = 1;
	return NULL;
}

static void removal(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, 0), h;
	pthread_t t;

	writer_begin(BY_BPF, fd);
	self_handle = bpf_map_notify(fd, removes_itself);
	write_one();
	wait_for(1);
	write_one();
	/* a handler that runs keeps nobody but who removes it */
	h = bpf_map_notify(fd, takes_long);
	write_one();
	while (!in_handler)
		nap();
	for (int i = 0; i < 10000; i++)
		write_one();
	REQUIRE(!pthread_create(&t, NULL, lets_go, NULL));
	CHECK_EQ(shmap_notify_remove(h), 0);
	CHECK_EQ(in_handler, 2);
	pthread_join(t, NULL);
	CHECK_EQ(got, 1);
}

/* ---- handlers that make mistakes ---- */

static volatile long fault_err = 1;

static void faults(void *arg)
{
	uint64_t v;

	fault_err = bpf_map_lookup_elem(heard_fd, (void *)8, &v);
	__atomic_fetch_add(&got, 1, __ATOMIC_SEQ_CST);
}

/* A bad pointer is -EFAULT in a handler, too. */
static void bad_pointers(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, 0), h;

	heard_fd = fd;
	h = bpf_map_notify(fd, faults);
	CHECK(h > 0);
	writer_begin(BY_BPF, fd);
	write_one();
	wait_for(1);
	CHECK_EQ(fault_err, -EFAULT);
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* ---- a program that closes all that it does not know ---- */

#define NUMBERS 400 /* ours are below 500 */

static void keeps_files(int fd)
{
	write_one();
	for (int i = 0; i < NUMBERS; i++)
		CHECK(fcntl(100 + i, F_GETFD) >= 0);
}

/* Its own files have the numbers then: none is read, written or closed, and changes are heard. */
static void closed_fds(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), other, in[2], out[2], h;
	uint64_t word = 42;

	heard_fd = fd;
	h = bpf_map_notify(fd, keeps);
	CHECK(h > 0);
	writer_begin(BY_STORE, fd);
	write_one();
	wait_for(1);
	closefrom(fd + 1);
	REQUIRE(!pipe(in) && !pipe(out));
	REQUIRE(write(in[1], &word, 8) == 8);
	/* readable ones at even numbers, and then at odd ones */
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < NUMBERS; i++)
			REQUIRE(dup2(i % 2 == turn ? in[0] : out[1], 100 + i) == 100 + i);
		got = 0;
		writer_begin(BY_BPF, fd);
		write_one();
		while (!got)
			nap();
		other = bpf_map_notify(fd, hears);
		CHECK(other > 0);
		CHECK_EQ(shmap_notify_remove(other), 0);
		REQUIRE(!fcntl(out[0], F_SETFL, O_NONBLOCK));
		CHECK_EQ(read(out[0], &word, 8), -1);
		join(child_of(keeps_files, fd));
		keeps_files(fd);
	}
	REQUIRE(!fcntl(in[0], F_SETFL, O_NONBLOCK));
	CHECK_EQ(read(in[0], &word, 8), 8);
	CHECK_EQ(word, 42);
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* ---- listeners that stop, die and return ---- */

static void listens(int fd)
{
	uint32_t key = KEY;
	uint64_t v = 0, seen;

	heard_fd = fd;
	if (bpf_map_notify(fd, hears) <= 0)
		_exit(1);
	/* what was there before; the handler may know of more by now */
	bpf_map_lookup_elem(fd, &key, &v);
	seen = s->seen;
	while (seen < v && !__atomic_compare_exchange_n(&s->seen, &seen, v, false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST))
		;
	s->step = 1;
	for (;;)
		pause();
}

static void writes_on(int fd)
{
	long n = ops(20000);

	for (long i = 0; i < n; i++) {
		write_one();
		s->written = w.n;
	}
	s->stop = 1;
	for (;;)
		pause(); /* (who is gone is noticed for that alone) */
}

static void hard_listeners(void)
{
	srandom(1);
	for (enum route r = 0; r < ROUTES; r++) {
		int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), turns = 0;
		pid_t writer, listener;

		memset((void *)s, 0, sizeof(*s));
		writer_begin(r, fd);
		listener = child_of(listens, fd);
		while (!s->step)
			sched_yield();
		writer = child_of(writes_on, fd);
		while (!s->stop || turns < 10) {
			for (long i = random() % 20; i >= 0; i--)
				sched_yield();
			if (turns++ % 2) {
				kill(listener, SIGSTOP);
				for (long i = random() % 20; i >= 0; i--)
					sched_yield();
				kill(listener, SIGCONT);
				continue;
			}
			kill(listener, SIGKILL);
			waitpid(listener, NULL, 0);
			s->step = 0;
			listener = child_of(listens, fd);
			while (!s->step)
				sched_yield();
		}
		while (s->seen != s->written)
			nap();
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
		kill(listener, SIGKILL);
		waitpid(listener, NULL, 0);
		printf("%s: %llu changes, %d stops and deaths\n", route_names[r],
		       (unsigned long long)s->written, turns);
		close(fd);
	}
}

/* ---- writers that die ---- */

static void writes_until_killed(int fd)
{
	for (;;)
		write_one();
}

/* The last thing that it wrote is heard of, although it could not say so. */
static void dead_writers(void)
{
	srandom(2);
	for (enum route r = 0; r < ROUTES; r++) {
		int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h;
		uint32_t key = KEY;

		heard_fd = fd;
		h = bpf_map_notify(fd, hears);
		CHECK(h > 0);
		writer_begin(r, fd);
		for (long i = 0; i < ops(25); i++) {
			pid_t pid = child_of(writes_until_killed, fd);
			uint64_t v = 0, from = s->events;

			while (s->events == from)
				sched_yield();
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			CHECK_EQ(bpf_map_lookup_elem(fd, &key, &v), 0);
			while (s->seen != v)
				nap();
			w.n = v;
		}
		CHECK_EQ(shmap_notify_remove(h), 0);
		close(fd);
	}
}

/* ---- a map that somebody truncated ---- */

static void truncates_and_writes(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char command[64];

	/* (the library lets nobody do it) */
	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	snprintf(command, sizeof(command), "truncate -s 4096 $SHMAP_DIR/map/%u", info.id);
	REQUIRE(!system(command));
	write_one();
}

/* The values are there, what says who listens is not: a program's run ends, its process does not. */
static void truncated(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h = bpf_map_notify(fd, hears);

	CHECK(h > 0);
	CHECK_EQ(shmap_notify_remove(h), 0);
	close(fd);
	fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE);
	writer_begin(BY_PROGRAM, fd);
	write_one();
	join(child_of(truncates_and_writes, fd));
}

/* ---- mappings of all kinds ---- */

static volatile uint64_t *mapped;

static void stores_to_inherited(int fd)
{
	mapped[KEY] = 3;
	s->step = 3;
	while (!s->stop)
		nap();
}

static void mappings(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 2048, BPF_F_MMAPABLE), zero = -1, h;
	volatile uint64_t *v, *moved;
	pid_t pid;
	int ends[2];

	heard_fd = fd;
	v = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	h = bpf_map_notify(fd, hears);
	CHECK(h > 0);
	/* of this very process, from before */
	v[KEY] = 1;
	while (s->seen != 1)
		nap();
	/* made later */
	mapped = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(mapped != MAP_FAILED);
	mapped[KEY] = 2;
	while (s->seen != 2)
		nap();
	/* a child's */
	pid = child_of(stores_to_inherited, fd);
	while (s->seen != 3)
		nap();
	s->stop = 1;
	join(pid);
	/* by the kernel: read(2) into the mapping */
	REQUIRE(!pipe(ends));
	uint64_t four = 4;
	REQUIRE(write(ends[1], &four, 8) == 8);
	REQUIRE(read(ends[0], (void *)&mapped[KEY], 8) == 8);
	while (s->seen != 4)
		nap();
	/* and then it goes at once */
	mapped[KEY] = 5;
	munmap((void *)mapped, 16384);
	while (s->seen != 5)
		nap();
	/* somewhere else */
	moved = mremap((void *)v, 16384, 4096, MREMAP_MAYMOVE);
	REQUIRE(moved != MAP_FAILED);
	moved[KEY] = 6;
	while (s->seen != 6)
		nap();
	(void)zero;
	/* a part of it; what stays is a mapping, too */
	v = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	moved = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(moved != MAP_FAILED);
	REQUIRE(mremap((char *)v + 8192, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)moved) ==
		moved);
	for (int i = 0; i < 1000; i++)
		nap(); /* what is noted of the move itself */
	v[KEY] = 7;
	while (s->seen != 7)
		nap();
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* Loads are no stores: nobody is told of them. */
static void loads(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 8192, BPF_F_MMAPABLE), h;
	volatile uint64_t *v;
	uint64_t sum = 0;

	heard_fd = fd;
	h = bpf_map_notify(fd, keeps);
	CHECK(h > 0);
	v = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	for (int i = 0; i < 30; i++) {
		for (int k = 0; k < 8192; k += 64)
			sum += v[k];
		nap();
	}
	CHECK_EQ(sum, 0);
	CHECK_EQ(got, 0);
	v[512 * 3] = 1; /* page 3 */
	wait_for(1);
	CHECK_EQ(last.kind, SHMAP_CHANGE_STORE);
	CHECK_EQ(last.offset, 3 * 4096);
	CHECK_EQ(last.length, 4096);
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* ---- latency: a measurement, not a claim ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
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

static void stores_timed(int fd)
{
	long n = ops(500);

	for (long i = 0; i < n; i++) {
		s->stored_at = now_ns();
		write_one();
		while (s->seen != w.n)
			nap();
		s->changes = i;
		((volatile uint64_t *)(s + 1))[i] = s->heard_at - s->stored_at;
		struct timespec ts = {0, 300000 + random() % 700000};
		nanosleep(&ts, NULL);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void latency(void)
{
	for (enum route r = 0; r < ROUTES; r++) {
		int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h;
		uint64_t *times = (uint64_t *)(s + 1);
		long n = ops(500);

		heard_fd = fd;
		s->seen = 0;
		h = bpf_map_notify(fd, clocks);
		CHECK(h > 0);
		writer_begin(r, fd);
		join(child_of(stores_timed, fd));
		CHECK_EQ(shmap_notify_remove(h), 0);
		qsort(times, (size_t)n, sizeof(*times), by_size);
		printf("%s: to the handler: median %.1f us, 99%% %.1f us\n", route_names[r],
		       (double)times[n / 2] / 1e3, (double)times[n * 99 / 100] / 1e3);
		close(fd);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
} claims[] = {
	{"routes", every_route},   {"says", says},
	{"filter", filter},	   {"loop", loop},
	{"removal", removal},	   {"listeners", hard_listeners},
	{"writers", dead_writers}, {"mappings", mappings},
	{"faults", bad_pointers},  {"fds", closed_fds},
	{"prefix", prefix},
	{"loads", loads},	   {"latency", latency},
	{"evicted", evicted},	   {"truncated", truncated},
};

int main(int argc, char **argv)
{
	check_private_rundir();
	REQUIRE(shmap_version && bpf_map_notify);
	s = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		if (argc < 2 || !strcmp(argv[1], claims[i].name)) {
			memset((void *)s, 0, sizeof(*s));
			got = 0;
			claims[i].fn();
		}
	return check_done();
}
