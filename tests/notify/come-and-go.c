/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who begins to listen is told of every change from then on, also while the last listener of
 * before is on its way out and has found nobody left: it is stopped at each of the instructions
 * before the one that ends the notices.
 */
#include <linux/bpf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "map/notice.h"
#include "sys/attr.h"
#include "sys/sys.h"

#define BEFORE 60
#define STEPS_MAX 1000000

static struct map *map;

static uint64_t listen_to(void)
{
	uint64_t next = 0;

	REQUIRE(!notice_listen(map, writer_name(thread_self.writer), &next));
	return next;
}

static void leave(void)
{
	notice_unlisten(map, writer_name(thread_self.writer));
}

static bool watched(void)
{
	return load_seq_cst(&map->shared->hooks) & MAP_WATCHED;
}

/* A listener, standing still before it leaves. */
static pid_t leaver(void)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		REQUIRE(!writer_take());
		listen_to();
		REQUIRE(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		leave();
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return pid;
}

/* One instruction. False: it has ended. */
static bool step(pid_t pid)
{
	int status;

	REQUIRE(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return WIFSTOPPED(status);
}

static void finish(pid_t pid)
{
	int status;

	REQUIRE(!ptrace(PTRACE_CONT, pid, NULL, NULL));
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
}

int main(void)
{
	union sys_attr attr = {
		.map_create = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = 4,
			       .value_size = 8,
			       .max_entries = 16},
	};
	struct notice_event heard;
	unsigned int end = 0, at, i;
	uint64_t value = 1, next;
	uint32_t key = 1;
	pid_t pid;
	int fd;

#if defined(__SANITIZE_THREAD__)
	SKIP("one thread is stepped at a time: the thread sanitizer could see nothing, and its own "
	     "code would be stepped through");
#endif
	area_begin();
	fd = (int)sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	REQUIRE(fd >= 0 && !map_open(fd, &map) && !writer_take());
	if (!writers_barrier()) {
		puts("no membarrier(2) here");
		return 77;
	}
	/* Where does the last one end the notices? */
	pid = leaver();
	CHECK(watched());
	while (watched() && step(pid) && end < STEPS_MAX)
		end++;
	REQUIRE(!watched());
	finish(pid);
	for (at = end > BEFORE ? end - BEFORE : 0; at <= end && !check_failures; at++) {
		bool lives = true;

		pid = leaver();
		for (i = 0; i < at; i++)
			REQUIRE(step(pid));
		next = listen_to();
		while (watched() && lives)
			lives = step(pid);
		CHECK_EQ(sys_map_update(fd, &key, &value, 0), 0);
		CHECK(notice_next(map, &next, &heard));
		if (lives)
			finish(pid);
		leave();
		/* nobody is left: changes are nobody's business */
		CHECK(!watched());
	}
	map_put(map);
	return check_done();
}
