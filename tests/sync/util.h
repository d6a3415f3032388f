/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of src/sync/ share. */
#ifndef SHMAP_TESTS_SYNC_UTIL_H
#define SHMAP_TESTS_SYNC_UTIL_H

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "base/atomic.h"
#include "shm/rundir.h"
#include "sync/lease.h"
#include "sync/lock.h"

static inline void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static inline pid_t spawn(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	return pid;
}

static inline void join(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static inline void join_killed(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Until the child has stopped itself. */
static inline void await_stop(pid_t pid)
{
	int status;

	REQUIRE(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

/* A TID that nobody has. */
static inline uint32_t dead_tid(void)
{
	pid_t pid = spawn();

	if (!pid)
		_exit(0);
	join(pid);
	return (uint32_t)pid;
}

static inline void await(uint32_t *flag, uint32_t value)
{
	while (load_acquire(flag) != value)
		sched_yield();
}

#endif
