/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * owners CLAIM: what a local storage says of owners that change and die.
 *
 *   numbers    an fd number that is given to another owner never shows the first one's
 *              value, whichever way it changed hands
 *   deaths     what tasks that are gone left is erased when more come
 *   processes  several processes that store for themselves and each other, and are
 *              killed: every value is whole and its owner's, every invariant holds
 *   growth     the file costs what is in it, and holds far more owners than one page
 *   locked     F_LOCK on one value by many processes, killed now and then: no torn value
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../check.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "map/map.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sys/sys.h"

#define WORDS 8

static struct map *make(uint32_t type, uint32_t value_size, int32_t lock_off, int *fd)
{
	struct map_attr attr = {
		.map_type = type,
		.key_size = 4,
		.value_size = value_size,
		.map_flags = BPF_F_NO_PREALLOC,
		.btf_key_type_id = 1,
		.btf_value_type_id = 2,
		.spin_lock_off = lock_off,
		.name = "owned",
	};
	struct map *m;

	REQUIRE(!map_create(&attr, -1, &m, fd));
	return m;
}

/* As the preload library closes. */
static void close_fd(int fd)
{
	fd_forget(fd);
	close(fd);
	fd_collect();
}

static int put(struct map *m, int fd, uint64_t v, uint64_t flags)
{
	return m->ops->write(m, &fd, &v, flags);
}

static int get(struct map *m, int fd, uint64_t *v)
{
	return m->ops->read(m, &fd, v, 0);
}

static void numbers(void)
{
	int mfd, sfd, fd, other, to = 500;
	struct map *m = make(BPF_MAP_TYPE_INODE_STORAGE, 8, -1, &mfd);
	struct map *s = make(BPF_MAP_TYPE_SK_STORAGE, 8, -1, &sfd);
	uint64_t v;

	for (int i = 0; i < 2000; i++) {
		char name[] = "/tmp/owners.XXXXXX";

		fd = mkstemp(name);
		REQUIRE(fd >= 0);
		unlink(name);
		/* a new file, perhaps with the inode number of one before */
		CHECK_EQ(get(m, fd, &v), -ENOENT);
		CHECK_EQ(put(m, fd, i, BPF_NOEXIST), 0);
		CHECK_EQ(get(m, fd, &v), 0);
		CHECK_EQ(v, i);
		CHECK_EQ(get(s, fd, &v), -ENOTSOCK); /* the same number, another kind */
		close_fd(fd);
		CHECK_EQ(get(m, fd, &v), -EBADF);
		other = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK_EQ(get(s, other, &v), -ENOENT);
		CHECK_EQ(put(s, other, i, 0), 0);
		fd_forget(to);
		dup2(other, to);
		fd_collect();
		CHECK_EQ(get(s, to, &v), 0);
		CHECK_EQ(v, i);
		close_fd(other);
	}
	/* a forked child has the same owners; a vfork's changes are its own */
	other = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(put(s, other, 77, 0), 0);
	if (!fork())
		_exit(get(s, other, &v) || v != 77);
	int status;

	wait(&status);
	CHECK_EQ(status, 0);
	map_put(m);
	map_put(s);
}

static void deaths(void)
{
	int mfd, pidfd;
	struct map *m = make(BPF_MAP_TYPE_TASK_STORAGE, 8, -1, &mfd);
	struct map_stats stats;
	uint64_t v;
	pid_t pid;

	for (int i = 0; i < 1500; i++) {
		pid = fork();
		REQUIRE(pid >= 0);
		if (!pid)
			_exit(0);
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		REQUIRE(pidfd >= 0);
		CHECK_EQ(get(m, pidfd, &v), -ENOENT);
		CHECK_EQ(put(m, pidfd, i, 0), 0); /* alive, or a zombie */
		CHECK_EQ(get(m, pidfd, &v), 0);
		waitpid(pid, NULL, 0);
		CHECK_EQ(get(m, pidfd, &v), -ENOENT);
		CHECK_EQ(put(m, pidfd, i, 0), -ENOENT);
		CHECK_EQ(m->ops->erase(m, &pidfd), -ENOENT);
		close_fd(pidfd);
	}
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	/* looked at every 256 updates, when it has doubled */
	CHECK(stats.entries <= 600);
	CHECK(stats.entries >= 1);
	map_put(m);
}

static bool whole(const uint64_t *v)
{
	for (int i = 1; i < WORDS; i++)
		if (v[i] != v[0])
			return false;
	return true;
}

/* Each process has `own` sockets of the common ones to create, change, read and delete. */
static void one_process(struct map *m, const int *socks, int n, unsigned int seed)
{
	uint64_t v[WORDS];

	for (;;) {
		int i = rand_r(&seed) % n, fd = socks[i], err;

		switch (rand_r(&seed) % 4) {
		case 0:
			for (int w = 0; w < WORDS; w++)
				v[w] = (uint64_t)i << 32 | (uint32_t)seed;
			err = m->ops->write(m, &fd, v, rand_r(&seed) % 3);
			if (err && err != -EEXIST && err != -ENOENT)
				_exit(2);
			break;
		case 1:
			err = m->ops->erase(m, &fd);
			if (err && err != -ENOENT)
				_exit(3);
			break;
		default:
			err = m->ops->read(m, &fd, v, 0);
			if (err && err != -ENOENT)
				_exit(4);
			if (!err && (!whole(v) || v[0] >> 32 != (uint64_t)i))
				_exit(5);
		}
	}
}

static void processes(void)
{
	enum { SOCKS = 40, CHILDREN = 4, DEATHS = 200 };
	int mfd, socks[SOCKS], status;
	struct map *m = make(BPF_MAP_TYPE_SK_STORAGE, 8 * WORDS, -1, &mfd);
	pid_t child[CHILDREN];
	char why[200] = "";

	for (int i = 0; i < SOCKS; i++)
		socks[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
	for (int d = 0; d < DEATHS + CHILDREN; d++) {
		int c = d % CHILDREN;

		if (d >= CHILDREN) {
			usleep(1000 + d * 37 % 3000);
			kill(child[c], SIGKILL);
			waitpid(child[c], &status, 0);
			CHECK(WIFSIGNALED(status)); /* else it found something wrong */
		}
		child[c] = fork();
		REQUIRE(child[c] >= 0);
		if (!child[c])
			one_process(m, socks, SOCKS, (unsigned int)d + 1);
	}
	for (int c = 0; c < CHILDREN; c++) {
		kill(child[c], SIGKILL);
		waitpid(child[c], &status, 0);
		CHECK(WIFSIGNALED(status));
	}
	CHECK_EQ(m->ops->recover(m), 0);
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	if (why[0])
		fprintf(stderr, "%s\n", why);
	map_put(m);
}

static uint64_t blocks(int fd)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void growth(void)
{
	int mfd;
	struct map *m = make(BPF_MAP_TYPE_TASK_STORAGE, 8, -1, &mfd);
	const struct storage_ops *ops = m->ops->storage;
	struct map_stats stats;
	uint64_t *p;

	CHECK(blocks(mfd) <= 64 << 10); /* empty */
	REQUIRE(lease_acquire() >= 0);
	for (uint64_t i = 1; i <= 50000; i++) {
		struct storage_owner o;
		struct htab_at at;

		/* sockets, as nobody can tell whether they are gone; and one task */
		CHECK_EQ(storage_owner_self(&o), 0);
		if (i > 1)
			o.number[2] = i;
		p = ops->get(m, &o, NULL, 0, &at);
		CHECK(!p);
		p = ops->get(m, &o, &i, BPF_LOCAL_STORAGE_GET_F_CREATE, &at);
		REQUIRE(p);
		CHECK_EQ(*p, i);
		CHECK(ops->get(m, &o, NULL, 0, &at) == p);
		CHECK(!ops->get(m, &o, NULL, 2, &at)); /* no such flag */
		if (check_failures)
			break;
	}
	lease_release();
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.entries, 50000);
	/* an element and its link, and what is not yet in use of the last pages */
	CHECK(blocks(mfd) <= 50000 * 150);
	map_put(m);
}

static void locked(void)
{
	enum { CHILDREN = 4, DEATHS = 200 };
	int mfd, status, sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct map *m = make(BPF_MAP_TYPE_SK_STORAGE, 8 * WORDS + 8, 0, &mfd);
	uint64_t v[WORDS + 1] = {0};
	pid_t child[CHILDREN];
	char why[200] = "";

	CHECK_EQ(m->ops->write(m, &sock, v, 0), 0);
	for (int d = 0; d < DEATHS + CHILDREN; d++) {
		int c = d % CHILDREN;

		if (d >= CHILDREN) {
			usleep(1000 + d * 37 % 3000);
			kill(child[c], SIGKILL);
			waitpid(child[c], &status, 0);
			CHECK(WIFSIGNALED(status));
		}
		child[c] = fork();
		REQUIRE(child[c] >= 0);
		for (uint64_t n = 0; !child[c]; n++) {
			if (n % 2) {
				for (int w = 1; w <= WORDS; w++)
					v[w] = n << 8 | (unsigned int)c;
				if (m->ops->write(m, &sock, v, BPF_F_LOCK | BPF_EXIST))
					_exit(2);
			} else if (m->ops->read(m, &sock, v, BPF_F_LOCK) || !whole(v + 1)) {
				_exit(3);
			}
		}
	}
	for (int c = 0; c < CHILDREN; c++) {
		kill(child[c], SIGKILL);
		waitpid(child[c], &status, 0);
		CHECK(WIFSIGNALED(status));
	}
	CHECK_EQ(m->ops->read(m, &sock, v, 0), 0);
	CHECK(whole(v + 1));
	CHECK_EQ(m->ops->recover(m), 0);
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	map_put(m);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} claims[] = {{"numbers", numbers},
		      {"deaths", deaths},
		      {"processes", processes},
		      {"growth", growth},
		      {"locked", locked}};

	REQUIRE(argc == 2);
	check_private_rundir();
	for (size_t i = 0; i < ARRAY_SIZE(claims); i++)
		if (!strcmp(argv[1], claims[i].name)) {
			claims[i].run();
			return check_done();
		}
	REQUIRE(!"a claim of that name");
}
