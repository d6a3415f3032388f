/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fd numbers that change their meaning: by close, dup2, threads, fork, vfork,
 * exec and SCM_RIGHTS.
 *
 * Each map holds at key 0 a tag that no other map has; a lookup that reached
 * another map would show that map's tag.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/atomic.h"
#include "sys/fd.h"
#include "both.h"
#include "sys/fd.h"
#include "sys/op.h"

#define MAPS 6
#define NUMBERS 4 /* fd numbers that each mover has for itself */
#define MOVERS 3
#define READERS 2
#define MAGIC 0x5a5a5a5a00000000ULL

static const uint32_t zero;
static int master[MAPS];
static uint32_t stop, next_tag = MAPS;
static uint64_t total_ops = 40000;

static uint64_t tag_of(uint32_t i)
{
	return MAGIC | i;
}

static int tagged_new(uint32_t tag)
{
	uint64_t v = tag_of(tag);
	int fd = array_new();

	REQUIRE(!update(fd, &zero, &v, 0));
	return fd;
}

/* The tag behind fd, or a negative error. */
static int64_t tag_at(int fd)
{
	uint64_t v = 0;
	long err = sys_map_lookup(fd, &zero, &v, 0);

	if (err)
		return err;
	CHECK_EQ(v >> 32, MAGIC >> 32);
	return (uint32_t)v;
}

static void dup2_fd(int from, int to)
{
	fd_forget(to);
	REQUIRE(dup2(from, to) == to);
	fd_collect();
}

static uint32_t rnd(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void *mover(void *arg)
{
	uint32_t self = (uintptr_t)arg, seed = self * 7919 + 1, m, tag;
	int base = 40 + self * NUMBERS, fd;
	uint64_t i;

	for (i = 0; i < total_ops / MOVERS; i++) {
		fd = base + rnd(&seed) % NUMBERS;
		m = rnd(&seed) % MAPS;
		switch (rnd(&seed) % 8) {
		case 0: /* a number from anywhere */
			fd = dup(master[m]);
			REQUIRE(fd >= 0);
			CHECK_EQ(tag_at(fd), m);
			close_fd(fd);
			break;
		case 1: /* a map that goes at once */
			tag = fetch_add_relaxed(&next_tag, 1);
			fd = tagged_new(tag);
			CHECK_EQ(tag_at(fd), tag);
			close_fd(fd);
			break;
		case 2:
			close_fd(fd);
			CHECK_EQ(tag_at(fd), -EBADF);
			break;
		case 3: /* another map of this moment on a number of ours */
			tag = fetch_add_relaxed(&next_tag, 1);
			m = tagged_new(tag);
			dup2_fd(m, fd);
			close_fd(m);
			CHECK_EQ(tag_at(fd), tag);
			break;
		default:
			dup2_fd(master[m], fd);
			CHECK_EQ(tag_at(fd), m);
		}
	}
	return NULL;
}

/* Looks at numbers that others are closing: any map that lives, or none. */
static void *reader(void *arg)
{
	uint32_t seed = (uintptr_t)arg + 99;
	uint64_t v, seen = 0;

	/* however late it comes to run: the masters stay open until it has ended */
	while (!load_relaxed(&stop) || !seen) {
		int fd = 3 + rnd(&seed) % (40 + MOVERS * NUMBERS);
		long err = sys_map_lookup(fd, &zero, &v, 0);

		/* EINVAL: an fd of another kind; a map being made shows zeros */
		if (!err && v)
			CHECK_EQ(v >> 32, MAGIC >> 32);
		else if (err)
			CHECK(err == -EBADF || err == -EINVAL || (printf("err %ld\n", err), 0));
		seen += !err;
	}
	return NULL;
}

static void start_masters(void)
{
	int i;

	for (i = 0; i < MAPS; i++)
		master[i] = tagged_new(i);
}

static void threads(void)
{
	pthread_t m[MOVERS], r[READERS];
	uint32_t id, first;
	uintptr_t i;
	int fd;

	if (getenv("SHMAP_TEST_OPS"))
		total_ops = strtoull(getenv("SHMAP_TEST_OPS"), NULL, 0);
	start_masters();
	first = map_id(master[0]);
	for (i = 0; i < READERS; i++)
		REQUIRE(!pthread_create(&r[i], NULL, reader, (void *)i));
	for (i = 0; i < MOVERS; i++)
		REQUIRE(!pthread_create(&m[i], NULL, mover, (void *)i));
	for (i = 0; i < MOVERS; i++)
		pthread_join(m[i], NULL);
	store_relaxed(&stop, 1);
	for (i = 0; i < READERS; i++)
		pthread_join(r[i], NULL);
	for (fd = 40; fd < 40 + MOVERS * NUMBERS; fd++)
		close_fd(fd);
	/* all that was closed has gone: nothing is held by a forgotten mapping */
	for (i = 0; i < MAPS; i++)
		close_fd(master[i]);
	for (id = first; id < first + next_tag; id++)
		CHECK_EQ(only_err(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id})), -ENOENT);
}

static void close_range_between(void)
{
	struct rlimit lim = {.rlim_cur = 5000, .rlim_max = 5000};
	int a, b, high = 3000;

	start_masters();
	a = dup(master[0]);
	b = dup(master[1]);
	if (setrlimit(RLIMIT_NOFILE, &lim))
		high = 900;
	dup2_fd(master[2], high);
	CHECK_EQ(tag_at(a), 0);
	CHECK_EQ(tag_at(b), 1);
	CHECK_EQ(tag_at(high), 2);
	fd_forget_range(a, ~0U);
	CHECK_EQ(tag_at(a), 0); /* still open */
	close_range(a, ~0U, 0);
	CHECK_EQ(tag_at(a), -EBADF);
	CHECK_EQ(dup(master[3]), a);
	CHECK_EQ(tag_at(a), 3); /* while the range is being closed */
	fd_collect();
	CHECK_EQ(tag_at(a), 3);
	CHECK_EQ(tag_at(high), -EBADF);
	dup2_fd(master[4], high);
	CHECK_EQ(tag_at(high), 4);
	/* a failed close changes nothing */
	fd_forget(a);
	fd_collect();
	CHECK_EQ(tag_at(a), 3);
}

/* A lookup that looks at the old file between fd_forget() and the close. */
static void late_filler(void)
{
	int fd;

	start_masters();
	fd = dup(master[0]);
	fd_forget(fd);
	CHECK_EQ(tag_at(fd), 0);
	REQUIRE(dup2(master[1], fd) == fd);
	CHECK_EQ(tag_at(fd), 1);
	fd_collect();
	CHECK_EQ(tag_at(fd), 1);
	/* two threads' worth of it */
	fd_forget(fd);
	fd_forget(fd);
	REQUIRE(dup2(master[2], fd) == fd);
	fd_collect();
	CHECK_EQ(tag_at(fd), 2);
	REQUIRE(dup2(master[3], fd) == fd);
	CHECK_EQ(tag_at(fd), 3);
	fd_collect();
	CHECK_EQ(tag_at(fd), 3);
}

static int wait_ok(pid_t pid)
{
	int status;

	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void *looker(void *arg)
{
	uint32_t i = 0;

	while (!load_relaxed(&stop))
		CHECK_EQ(tag_at(master[++i % MAPS]), i % MAPS);
	return NULL;
}

/* Children of a process with threads in the midst of operations. */
static void forks(void)
{
	pthread_t t[2];
	int i, own;
	pid_t pid;

	start_masters();
	for (i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&t[i], NULL, looker, NULL));
	for (i = 0; i < 60; i++) {
		pid = fork();
		if (!pid) {
			own = tagged_new(1000);
			if (tag_at(master[i % MAPS]) != i % MAPS || tag_at(own) != 1000)
				_exit(1);
			close_fd(master[0]);
			dup2_fd(own, master[1]);
			if (tag_at(master[0]) != -EBADF || tag_at(master[1]) != 1000)
				_exit(2);
			pid = fork();
			if (!pid)
				_exit(tag_at(master[2]) == 2 ? 0 : 3);
			_exit(wait_ok(pid) || check_failures ? 4 : 0);
		}
		CHECK_EQ(wait_ok(pid), 0);
		CHECK_EQ(tag_at(master[1]), 1);
	}
	store_relaxed(&stop, 1);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

static void vforks(void)
{
	int fd, before, status;
	pid_t pid;

	start_masters();
	fd = dup(master[0]);
	before = dup(master[4]);
	CHECK_EQ(tag_at(before), 4);
	pid = vfork();
	if (!pid) {
		fd_forget(fd);
		dup2(master[3], fd);
		fd_collect();
		fd_forget(before);
		close(before);
		fd_collect();
		_exit(tag_at(fd) == 3 && tag_at(before) == -EBADF ? 0 : 1);
	}
	status = wait_ok(pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(tag_at(fd), 0);
	CHECK_EQ(tag_at(before), 4);
}

static int exec_child(int argc, char **argv)
{
	int fd = atoi(argv[2]), ro = atoi(argv[3]);
	uint64_t v = 1;

	if (tag_at(fd) != 1234 || tag_at(ro) != 1234)
		return 2;
	if (sys_map_update(ro, &zero, &v, 0) != -EPERM)
		return 3;
	v = tag_of(77);
	return sys_map_update(fd, &zero, &v, 0) ? 4 : 0;
}

static int read_only_again(int fd)
{
	return CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = map_id(fd), .open_flags = BPF_F_RDONLY});
}

static void execs(void)
{
	int fd = tagged_new(1234), ro = read_only_again(fd);
	char a[16], b[16];
	pid_t pid;

	REQUIRE(ro >= 0);
	fcntl(fd, F_SETFD, 0);
	fcntl(ro, F_SETFD, 0);
	snprintf(a, sizeof(a), "%d", fd);
	snprintf(b, sizeof(b), "%d", ro);
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "fds", "exec-child", a, b, NULL);
		_exit(127);
	}
	CHECK_EQ(wait_ok(pid), 0);
	CHECK_EQ(tag_at(fd), 77);
	CHECK_EQ(tag_at(ro), 77);
}

static void send_fd(int sock, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	struct iovec io = {.iov_base = "x", .iov_len = 1};
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = u.buf,
			     .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	REQUIRE(sendmsg(sock, &msg, 0) == 1);
}

static int recv_fd(int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char byte;
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = u.buf,
			     .msg_controllen = sizeof(u.buf)};
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* The map's only holder is for a moment the message. */
static void passed(void)
{
	int sv[2], fd, ro;
	uint32_t id;
	uint64_t v;
	pid_t pid;

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	if (!pid) {
		close(sv[0]);
		fd = recv_fd(sv[1]);
		ro = recv_fd(sv[1]);
		v = tag_of(5);
		if (tag_at(fd) != 555 || tag_at(ro) != 555)
			_exit(2);
		if (sys_map_update(ro, &zero, &v, 0) != -EPERM)
			_exit(3);
		if (sys_map_update(fd, &zero, &v, 0))
			_exit(4);
		send_fd(sv[1], fd);
		close_fd(fd);
		close_fd(ro);
		_exit(check_failures);
	}
	close(sv[1]);
	fd = tagged_new(555);
	ro = read_only_again(fd);
	REQUIRE(ro >= 0);
	id = map_id(fd);
	send_fd(sv[0], fd);
	close_fd(fd);
	send_fd(sv[0], ro);
	close_fd(ro);
	CHECK_EQ(wait_ok(pid), 0);
	CHECK_EQ(only_err(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id})), 0);
	fd = recv_fd(sv[0]);
	CHECK_EQ(tag_at(fd), 5);
	CHECK_EQ(map_id(fd), id);
	close_fd(fd);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
}

static volatile uint64_t handled;
static int handler_fd;

/* A handler that closes a number and uses a map, as bpf(2) allows it. */
static void on_alarm(int sig)
{
	int64_t tag = tag_at(master[handled % MAPS]);

	CHECK(tag == (int64_t)(handled % MAPS) || tag == -EBUSY);
	fd_forget(handler_fd);
	dup2(STDERR_FILENO, handler_fd);
	fd_collect();
	handled++;
}

static void handlers(void)
{
	struct itimerval often = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
	struct itimerval never = {0};
	struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	uint64_t v;
	int fd, i;

	start_masters();
	handler_fd = dup(STDERR_FILENO);
	fd = dup(master[0]);
	for (i = 0; i < MAPS; i++)
		CHECK_EQ(tag_at(master[i]), i);
	REQUIRE(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &often, NULL));
	for (i = 0; handled < 300 || i < 3000; i++) {
		dup2_fd(master[i % MAPS], fd);
		CHECK_EQ(tag_at(fd), i % MAPS);
		v = tag_of(i % MAPS);
		CHECK_EQ(sys_map_update(fd, &zero, &v, 0), 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK_EQ(tag_at(handler_fd), -EINVAL);
}

/* Every call of malloc(3) and its like by our own code comes here: see meson.build. */
static uint32_t allocations;

#define COUNTED(type, name, args, values)                                                          \
	type __real_##name args;                                                                   \
	type __wrap_##name args;                                                                   \
	type __wrap_##name args                                                                    \
	{                                                                                          \
		fetch_add_relaxed(&allocations, 1);                                                \
		return __real_##name values;                                                       \
	}

COUNTED(void *, malloc, (size_t n), (n))
COUNTED(void *, calloc, (size_t n, size_t size), (n, size))
COUNTED(void *, realloc, (void *p, size_t n), (p, n))
COUNTED(void *, aligned_alloc, (size_t align, size_t n), (align, n))
COUNTED(int, posix_memalign, (void **p, size_t align, size_t n), (p, align, n))
COUNTED(void, free, (void *p), (p))

/* What a signal handler does that interrupted its thread in malloc(3). */
static void no_malloc(void)
{
	void *volatile p; /* or the compiler leaves the pair out */
	uint32_t before;
	int fd, first, other;
	uint64_t v;

	start_masters();
	/* a number without a leaf, of a map that is open */
	first = fcntl(master[0], F_DUPFD_CLOEXEC, 900);
	/* a map that is not open any more */
	other = fcntl(master[1], F_DUPFD_CLOEXEC, 0);
	REQUIRE(first >= 900 && other >= 0);
	close_fd(master[1]);
	before = load_relaxed(&allocations);
	CHECK_EQ(tag_at(first), 0);
	CHECK_EQ(tag_at(other), 1);
	v = tag_of(1);
	CHECK_EQ(sys_map_update(other, &zero, &v, 0), 0);
	close_fd(first);
	/* the last one of its map: what was held for it goes */
	close_fd(other);
	fd_reclaim();
	CHECK_EQ(load_relaxed(&allocations), before);
	/* and it is the counting that works */
	fd = array_new();
	p = malloc(1);
	free(p);
	CHECK(load_relaxed(&allocations) > before);
	close_fd(fd);
}

/* Threads that come and go leave nothing that keeps memory from being freed. */
static void *short_life(void *arg)
{
	int fd = tagged_new(31337);

	CHECK_EQ(tag_at(fd), 31337);
	close_fd(fd);
	return NULL;
}

static void thread_ends(void)
{
	uint32_t id;
	pthread_t t;
	int fd, i;

	for (i = 0; i < 200; i++) {
		REQUIRE(!pthread_create(&t, NULL, short_life, NULL));
		pthread_join(t, NULL);
	}
	fd = tagged_new(1);
	id = map_id(fd);
	close_fd(fd);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
}

/* A thread inside an operation keeps what is closed meanwhile, and nothing longer. */
static void *inside(void *arg)
{
	uint64_t v;

	REQUIRE(!sys_map_lookup(master[0], &zero, &v, 0) && op_enter());
	store_release(&stop, 1);
	while (load_acquire(&stop) != 2)
		usleep(100);
	op_leave();
	store_release(&stop, 3);
	while (load_acquire(&stop) != 4)
		usleep(100);
	return NULL;
}

static void closed_beneath(void)
{
	uint32_t id, key = 0;
	pthread_t t;
	uint64_t v;
	int fd;

	start_masters();
	REQUIRE(!pthread_create(&t, NULL, inside, NULL));
	while (load_acquire(&stop) != 1)
		usleep(100);
	fd = tagged_new(1);
	id = map_id(fd);
	close_fd(fd);
	CHECK_EQ(lookup(fd, &key, &v, 0), -EBADF);
	/* still mapped: the thread might be using it */
	fd = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id});
	CHECK_EQ(tag_at(fd), 1);
	close_fd(fd);
	store_release(&stop, 2);
	while (load_acquire(&stop) != 3)
		usleep(100);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
	store_release(&stop, 4);
	pthread_join(t, NULL);
}

/* A file that this user may write by this fd and not open is no map, and no other error. */
static void foreign_file(void)
{
	char name[] = "/tmp/shmap-test-XXXXXX";
	int rw = mkstemp(name), fd;

	REQUIRE(rw >= 0 && !ftruncate(rw, 8192));
	fd = open(name, O_WRONLY);
	REQUIRE(fd >= 0 && !fchmod(fd, 0));
	CHECK_EQ(tag_at(fd), -EINVAL);
	CHECK_EQ(fd_identify(fd, NULL), -EINVAL);
	CHECK_EQ(tag_at(rw), -EINVAL);
	unlink(name);
	close(rw);
	close(fd);
}

/* Two fds of one file have their own modes, and one mapping. */
static void modes(void)
{
	int fd = tagged_new(9), ro = read_only_again(fd);
	uint64_t v = tag_of(10);

	REQUIRE(ro >= 0);
	CHECK_EQ(tag_at(ro), 9);
	CHECK_EQ(sys_map_update(ro, &zero, &v, 0), -EPERM);
	CHECK_EQ(sys_map_update(fd, &zero, &v, 0), 0);
	close_fd(fd);
	CHECK_EQ(tag_at(ro), 10);
	CHECK_EQ(sys_map_update(ro, &zero, &v, 0), -EPERM);
	/* the other way round: the first use was a read-only one */
	fd = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = map_id(ro)});
	v = tag_of(11);
	CHECK_EQ(sys_map_update(fd, &zero, &v, 0), 0);
	CHECK_EQ(tag_at(ro), 11);
	dup2_fd(ro, fd);
	CHECK_EQ(sys_map_update(fd, &zero, &v, 0), -EPERM);
	close_fd(fd);
	close_fd(ro);
}

/* An int and nothing else: what local storages ask of their keys and values. */
static int int_btf(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, type_off, type_len, str_off, str_len;
		uint32_t name, info, size, encoding;
		char strings[5];
	} raw = {0xeb9f, 1, 0, 24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32, "\0int"};

	return (int)CALL(BPF_BTF_LOAD, .btf_load = {.btf = P(&raw), .btf_size = 24 + 16 + 5});
}

/* Nothing of this process's own holds the file: not even until its next bpf(2) call. */
static void gone_at_once(void)
{
	static const struct {
		uint32_t type, key, value, max, flags;
	} kinds[] = {
		{BPF_MAP_TYPE_HASH, 4, 8, 4, 0},
		{BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0},
		{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0},
		{BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 4, 0},
		{BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 4, 0},
		{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0},
		{BPF_MAP_TYPE_STACK_TRACE, 4, 32, 4, 0},
		{BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 4, 0},
		{BPF_MAP_TYPE_LRU_HASH, 4, 8, 4, 0},
		{BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 4, 0},
		{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4, BPF_F_NO_PREALLOC},
		{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 4, 0},
		{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 4, 0},
		{BPF_MAP_TYPE_QUEUE, 0, 8, 4, 0},
		{BPF_MAP_TYPE_STACK, 0, 8, 4, 0},
		{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 4, 0},
		{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0},
		{BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0},
		{BPF_MAP_TYPE_SK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC},
		{BPF_MAP_TYPE_INODE_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC},
		{BPF_MAP_TYPE_TASK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC},
		{SHMAP_MAP_TYPE_CGRP_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, 0},
		{SHMAP_MAP_TYPE_ARENA, 0, 0, 4, BPF_F_MMAPABLE},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		bool owned = kinds[i].key && !kinds[i].max && kinds[i].flags, outer;
		int btf = owned ? int_btf() : 0, inner = array_new(), fd;
		union sys_attr a = {0};

		outer = kinds[i].type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
			kinds[i].type == BPF_MAP_TYPE_HASH_OF_MAPS;
		fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = kinds[i].type,
							 .key_size = kinds[i].key,
							 .value_size = kinds[i].value,
							 .max_entries = kinds[i].max,
							 .map_flags = kinds[i].flags,
							 .inner_map_fd = outer ? inner : 0,
							 .btf_fd = btf,
							 .btf_key_type_id = owned,
							 .btf_value_type_id = owned});
		CHECK(fd >= 0);
		close_fd(fd);
		close_fd(inner);
		if (owned)
			close_fd(btf);
		a.id.start_id = 0;
		if (bpf(BPF_MAP_GET_NEXT_ID, &a, sizeof(a.id)) != -ENOENT) {
			fprintf(stderr, "a closed map of type %u is left\n", kinds[i].type);
			check_failures++;
		}
	}
}

static const struct claim claims[] = {
	{"closed-maps-of-all-types-are-gone-at-once", gone_at_once, OURS},
	{"fd-numbers-that-move-between-threads-never-show-another-map", threads, OURS},
	{"close-range-forgets-every-number-in-it", close_range_between, OURS},
	{"a-look-between-forget-and-close-is-not-remembered", late_filler, OURS},
	{"fork-with-threads-inside-operations", forks, OURS},
	{"vfork-child-leaves-the-parents-fds-alone", vforks, OURS},
	{"fds-survive-exec-with-their-mode", execs, OURS},
	{"fds-passed-by-scm-rights-keep-map-and-mode", passed, OURS},
	{"signal-handlers-may-close-and-look-up", handlers, OURS},
	{"first-uses-and-last-closes-need-no-malloc", no_malloc, OURS},
	{"ended-threads-hold-nothing", thread_ends, OURS},
	{"a-map-closed-under-an-operation-goes-after-it", closed_beneath, OURS},
	{"a-file-that-cannot-be-opened-is-no-map", foreign_file, OURS},
	{"fds-of-one-map-have-their-own-modes", modes, OURS},
};

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "exec-child"))
		return exec_child(argc, argv);
	return both_main(argc, argv, claims, sizeof(claims) / sizeof(*claims));
}
