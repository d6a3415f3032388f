/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads open maps by id, copy and close their fds in every way, and fork and
 * exec in between, while others look up through any fd number. A lookup
 * through an fd that its thread owns always reads that map; through another's,
 * some map's value or an error.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"

#define MAPS 8
#define THREADS 4
#define FD_LIMIT 200
#define MAGIC 0x5a5a00000000ULL

static unsigned int ids[MAPS];
static int stop;
static unsigned long operations;

static unsigned int roll(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static void check_reads(int fd, unsigned int which, const char *after)
{
	unsigned long long value = 0;
	unsigned int key = 0;
	int err = bpf_map_lookup_elem(fd, &key, &value);

	if (err || value != (MAGIC | which)) {
		fprintf(stderr, "fd %d after %s: error %d, value %llx, not of map %u\n", fd, after,
			err, value, which);
		__atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);
	}
}

static int open_map(unsigned int which)
{
	int fd = bpf_map_get_fd_by_id(ids[which]);

	REQUIRE(fd >= 0);
	return fd;
}

static void in_a_child(int fd, unsigned int which)
{
	char number[16], want[16];
	int status;
	pid_t pid;

	snprintf(number, sizeof(number), "%d", fd);
	snprintf(want, sizeof(want), "%u", which);
	pid = fork();
	if (pid == 0) {
		check_failures = 0;
		check_reads(fd, which, "fork");
		/* The number becomes another map's, in the child alone. */
		close(fd);
		check_reads(dup2(open_map((which + 1) % MAPS), fd), (which + 1) % MAPS,
			    "dup2 in a child");
		if (check_failures)
			_exit(1);
		fcntl(fd, F_SETFD, 0);
		snprintf(want, sizeof(want), "%u", (which + 1) % MAPS);
		execl("/proc/self/exe", "child", number, want, NULL);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	check_reads(fd, which, "a child's changes");
}

static void *owner(void *arg)
{
	unsigned int seed = (unsigned int)(long)arg, a, b;
	int fd, fd2, target, devnull;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		a = roll(&seed) % MAPS;
		b = roll(&seed) % MAPS;
		fd = open_map(a);
		check_reads(fd, a, "opening");
		switch (roll(&seed) % 7) {
		case 0:
			break;
		case 1: /* dup2 of another map onto it */
			fd2 = open_map(b);
			CHECK_EQ(dup2(fd2, fd), fd);
			check_reads(fd, b, "dup2");
			close(fd2);
			check_reads(fd, b, "closing the original");
			break;
		case 2:
			fd2 = open_map(b);
			CHECK_EQ(dup3(fd, fd2, O_CLOEXEC), fd2);
			check_reads(fd2, a, "dup3");
			close(fd2);
			break;
		case 3: /* a file that is no map, and back */
			devnull = open("/dev/null", O_RDONLY);
			fd2 = dup(fd);
			CHECK_EQ(dup2(devnull, fd), fd);
			target = 0;
			CHECK_EQ(bpf_map_lookup_elem(fd, &target, &target), -EINVAL);
			CHECK_EQ(dup2(fd2, fd), fd);
			check_reads(fd, a, "a file in between");
			close(fd2);
			close(devnull);
			break;
		case 4: /* one number, closed and opened as two maps in turn */
			for (int i = 0; i < 4; i++) {
				CHECK_EQ(syscall(SYS_close_range, fd, fd, 0), 0);
				fd = open_map((a + i) % MAPS);
				check_reads(fd, (a + i) % MAPS, "close_range");
			}
			break;
		case 5:
			fd2 = fcntl(fd, F_DUPFD_CLOEXEC, 100);
			check_reads(fd2, a, "F_DUPFD");
			CHECK_EQ(syscall(SYS_close, fd2), 0);
			break;
		case 6:
			if (roll(&seed) % 16 == 0)
				in_a_child(fd, a);
			break;
		}
		CHECK_EQ(close(fd), 0);
		__atomic_fetch_add(&operations, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Fills whatever is remembered of fd numbers, at the worst moments. */
static void *meddler(void *arg)
{
	unsigned int seed = (unsigned int)(long)arg, key = 0;
	unsigned long long value;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int fd = roll(&seed) % FD_LIMIT, err;

		value = 0;
		err = bpf_map_lookup_elem(fd, &key, &value);
		if (!err && (value < MAGIC || value >= MAGIC + MAPS)) {
			fprintf(stderr, "fd %d of another thread: value %llx\n", fd, value);
			__atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);
		}
		if (err && err != -EBADF && err != -EINVAL && err != -EPERM) {
			fprintf(stderr, "fd %d of another thread: error %d\n", fd, err);
			__atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int seconds =
		getenv("SHMAP_TEST_SECONDS") ? atoi(getenv("SHMAP_TEST_SECONDS")) : 2;
	pthread_t threads[THREADS + 1];
	unsigned int key = 0;
	int maps[MAPS];

	if (argc == 3) {
		check_reads(atoi(argv[1]), atoi(argv[2]), "exec");
		return check_done();
	}
	for (unsigned int i = 0; i < MAPS; i++) {
		unsigned long long value = MAGIC | i;
		struct bpf_map_info info = {0};
		unsigned int len = sizeof(info);

		/* hashes and arrays, so that a mixture would not even fit */
		maps[i] = make_map(i % 2 ? BPF_MAP_TYPE_HASH : BPF_MAP_TYPE_ARRAY, 8, 1, 0);
		REQUIRE(!bpf_map_update_elem(maps[i], &key, &value, BPF_ANY));
		REQUIRE(!bpf_obj_get_info_by_fd(maps[i], &info, &len));
		ids[i] = info.id;
	}
	for (long i = 0; i <= THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, i < THREADS ? owner : meddler,
					(void *)(i * 7919 + 1)));
	sleep(seconds);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i <= THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < MAPS; i++)
		check_reads(maps[i], i, "all");
	printf("%lu fds opened and closed\n", operations);
	return check_done();
}
