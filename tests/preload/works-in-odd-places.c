/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps in constructors, in signal handlers on top of map calls, beside a vfork
 * child and posix_spawn(3), and in threads that are cancelled.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"

extern char **environ;
static int early = -1000, map;
static volatile sig_atomic_t handled, handler_errors;

__attribute__((constructor(102))) static void before_main(void)
{
	unsigned long long value = 31;
	unsigned int key = 1;

	early = bpf_map_create(BPF_MAP_TYPE_HASH, "early", 4, 8, 4, NULL);
	if (early >= 0)
		bpf_map_update_elem(early, &key, &value, BPF_ANY);
}

static unsigned long long get(int fd, unsigned int key)
{
	unsigned long long value = 0;

	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), 0);
	return value;
}

static void on_alarm(int sig)
{
	int saved = errno, copy;
	unsigned long long value = 0;
	unsigned int key = 2;
	int err;

	/* An fd that has been used before; and one that is no map's comes and goes. */
	copy = dup(STDERR_FILENO);
	err = bpf_map_lookup_elem(map, &key, &value);
	/* the kernel's answer to an operation on top of one of its own thread */
	if (err && err != -EBUSY)
		handler_errors++;
	if (!err && (value >> 32 != (value & 0xffffffff)))
		handler_errors++;
	close(copy);
	handled++;
	errno = saved;
}

static void check_handlers(void)
{
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	unsigned long long value;
	unsigned int key = 2;

	CHECK_EQ(sigaction(SIGALRM, &act, NULL), 0);
	value = 0;
	CHECK_EQ(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned int i = 0; handled < 500; i++) {
		int copy = dup(map);

		value = (unsigned long long)i << 32 | i;
		CHECK_EQ(bpf_map_update_elem(copy, &key, &value, BPF_ANY), 0);
		CHECK_EQ(get(map, key), value);
		close(copy);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK_EQ(handler_errors, 0);
}

static void check_children(void)
{
	char *argv[] = {"sh", "-c", "exit 3", NULL};
	posix_spawn_file_actions_t actions;
	int status, other = make_map(BPF_MAP_TYPE_ARRAY, 8, 1, 0);
	pid_t pid;

	/* A vfork child shares our memory and not our fds. */
	pid = vfork();
	if (pid == 0) {
		close(map);
		dup2(other, map);
		close(other);
		execv("/bin/sh", argv);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
	CHECK_EQ(get(map, 1), 30);
	CHECK_EQ(get(other, 0), 0);

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, map);
	posix_spawn_file_actions_adddup2(&actions, other, map);
	CHECK_EQ(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
	posix_spawn_file_actions_destroy(&actions);
	CHECK_EQ(get(map, 1), 30);
	close(other);
}

static void *reader(void *arg)
{
	char c;

	for (;;)
		if (read(*(int *)arg, &c, 1) != 1)
			break;
	return NULL;
}

static void *closer(void *arg)
{
	for (;;)
		close(dup(map));
	return NULL;
}

static void check_cancel(void)
{
	pthread_t thread;
	int ends[2];
	void *ret;

	REQUIRE(!pipe(ends));
	/* read(2) is a cancellation point, close(2) too */
	REQUIRE(!pthread_create(&thread, NULL, reader, &ends[0]));
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, &ret), 0);
	CHECK(ret == PTHREAD_CANCELED);
	for (int i = 0; i < 20; i++) {
		REQUIRE(!pthread_create(&thread, NULL, closer, NULL));
		CHECK_EQ(get(map, 1), 30);
		CHECK_EQ(pthread_cancel(thread), 0);
		CHECK_EQ(pthread_join(thread, &ret), 0);
		CHECK(ret == PTHREAD_CANCELED);
	}
	CHECK_EQ(get(map, 1), 30);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	unsigned long long value = 30;
	unsigned int key = 1;

	map = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0);
	CHECK(early >= 0);
	CHECK_EQ(get(early, 1), 31);
	CHECK_EQ(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0);
	check_handlers();
	check_children();
	check_cancel();
	return check_done();
}
