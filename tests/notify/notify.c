/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_notify(): one claim per argument, by the public interface only. Raw stores: raw.c. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "routes.h"

/* ---- one change each ---- */

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
		printf("%s: heard %llu times\n", route_name(r), (unsigned long long)was);
		close(fd);
	}
}

/* ---- what an event says ---- */

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

/* ---- many inner maps in one run ---- */

#define INNERS 20 /* more than a run tells apart */

/* Stores i + 1 at key 1 of the maps in the slots 0..n-1. */
static int stores_to_inner(int outer, int n)
{
	struct bpf_insn insns[INNERS * 16 + 2], *at = insns;
	int fd;

	for (int i = 0; i < n; i++) {
		const struct bpf_insn one[] = {
			{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = i},
			{.code = BPF_LD | BPF_IMM | BPF_DW,
			 .dst_reg = 1,
			 .src_reg = BPF_PSEUDO_MAP_FD,
			 .imm = outer},
			{0},
			{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
			{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
			{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
			{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 7},
			{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = KEY},
			{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0},
			{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
			{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
			{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
			{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1},
			{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 0, .imm = i + 1},
		};

		memcpy(at, one, sizeof(one));
		at += sizeof(one) / sizeof(one[0]);
	}
	*at++ = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0};
	*at++ = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "stores", "GPL", insns,
			   (size_t)(at - insns), NULL);
	REQUIRE(fd >= 0);
	return fd;
}

static void counts(void *arg)
{
	const struct shmap_event *e = arg;

	__atomic_fetch_add((uint32_t *)e->ctx, 1, __ATOMIC_SEQ_CST);
}

static void runs(int prog)
{
	char data[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = sizeof(data),
		    .repeat = 1);

	REQUIRE(!bpf_prog_test_run_opts(prog, &opts));
}

/* All that one run has stored to is noticed; of the others nothing, unless they are too many. */
static void inner_maps(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	static uint32_t heard[INNERS];
	int inner[INNERS], h[INNERS], outer, few;
	uint32_t key;

	for (int i = 0; i < INNERS; i++)
		inner[i] = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, 0);
	opts.inner_map_fd = (uint32_t)inner[0];
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, INNERS, &opts);
	REQUIRE(outer >= 0);
	for (key = 0; key < INNERS; key++)
		REQUIRE(!bpf_map_update_elem(outer, &key, &inner[key], BPF_ANY));
	few = stores_to_inner(outer, 3);
	runs(few);
	for (int i = 0; i < INNERS; i++) {
		struct shmap_notify_opts o = {.sz = sizeof(o), .ctx = &heard[i]};

		h[i] = shmap_notify(inner[i], counts, &o);
		REQUIRE(h[i] > 0);
	}
	runs(few);
	for (int i = 0; i < 3; i++)
		while (!__atomic_load_n(&heard[i], __ATOMIC_SEQ_CST))
			nap();
	runs(few);
	for (int i = 0; i < 3; i++)
		while (__atomic_load_n(&heard[i], __ATOMIC_SEQ_CST) < 2)
			nap();
	for (int i = 3; i < INNERS; i++)
		CHECK_EQ(__atomic_load_n(&heard[i], __ATOMIC_SEQ_CST), 0);
	runs(stores_to_inner(outer, INNERS));
	for (int i = 0; i < INNERS; i++)
		while (__atomic_load_n(&heard[i], __ATOMIC_SEQ_CST) < (i < 3 ? 3 : 1))
			nap();
	for (int i = 0; i < INNERS; i++)
		CHECK_EQ(shmap_notify_remove(h[i]), 0);
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
		printf("%s: %llu changes, %d stops and deaths\n", route_name(r),
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

static const struct claim claims[] = {
	{"routes", every_route},   {"says", says},
	{"filter", filter},	   {"loop", loop},
	{"removal", removal},	   {"listeners", hard_listeners},
	{"writers", dead_writers}, {"faults", bad_pointers},
	{"fds", closed_fds},	   {"prefix", prefix},
	{"evicted", evicted},	   {"inner", inner_maps},
};

int main(int argc, char **argv)
{
	return try_claims(claims, sizeof(claims) / sizeof(claims[0]), argv[1]);
}
