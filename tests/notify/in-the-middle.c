/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who begins to listen while somebody is in the middle of a change, before or after it has looked
 * for listeners, finds what it changed, or is told of it: an update is stopped at each of its
 * instructions, a listener comes, and the update goes on.
 */
#include <linux/bpf.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "map/notice.h"
#include "sync/lease.h"
#include "sys/attr.h"
#include "sys/quick.h"

#define STEPS_MAX 100000

static const uint32_t key = 1;
static struct map *map;
static int fd;
static uint32_t *ended; /* the update is */

/* Stands before an update of key's value. */
static pid_t updater(uint64_t value)
{
	uint64_t was = value - 1;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* all that the first one needs is there then */
		REQUIRE(!sys_map_quick_update(fd, &key, &was, 0));
		REQUIRE(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		REQUIRE(!sys_map_quick_update(fd, &key, &value, 0));
		store_relaxed(ended, 1);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return pid;
}

/* One instruction. False: the update has ended. */
static bool step(pid_t pid)
{
	int status;

	REQUIRE(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return !load_relaxed(ended);
}

static uint64_t value_now(void)
{
	uint64_t v = 0;

	CHECK_EQ(sys_map_lookup(fd, &key, &v, 0), 0);
	return v;
}

int main(void)
{
	union sys_attr attr = {
		.map_create = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = 4,
			       .value_size = 8,
			       .max_entries = 16},
	};
	unsigned int at, late = 0;
	bool lives = true;
	uint64_t name;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	SKIP("one thread is stepped at a time: the sanitizer's own code would be stepped through");
#endif
	area_begin();
	fd = (int)sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	REQUIRE(fd >= 0 && !map_open(fd, &map) && !writer_take());
	if (!writers_barrier()) {
		puts("no membarrier(2) here");
		return 77;
	}
	name = writer_name(thread_self.writer);
	ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ended != MAP_FAILED);
	for (at = 0; lives && at < STEPS_MAX && !check_failures; at++) {
		uint64_t next = 0, leases = lease_deaths(), seen;
		pid_t pid = updater(at + 2);
		struct notice_event e;
		int status;

		for (unsigned int i = 0; lives && i < at; i++)
			lives = step(pid);
		REQUIRE(!notice_listen(map, name, &next));
		seen = value_now();
		REQUIRE(!ptrace(PTRACE_CONT, pid, NULL, NULL));
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		store_relaxed(ended, 0);
		/* what a listener's thread does from time to time */
		notice_deaths(map, &leases);
		CHECK_EQ(value_now(), at + 2);
		if (seen != at + 2) {
			late++;
			CHECK(notice_next(map, &next, &e));
		}
		CHECK_EQ(load_relaxed(&notice_of(map)->unsure), 0);
		notice_unlisten(map, name);
	}
	printf("%u instructions, the change came later at %u\n", at, late);
	CHECK(late > 10 && at < STEPS_MAX);
	map_put(map);
	return check_done();
}
