/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes of a test that share a map, and how much they do. */
#ifndef TESTS_CHILDREN_H
#define TESTS_CHILDREN_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static inline long ops(long otherwise)
{
	const char *e = getenv("SHMAP_TEST_OPS");

	return e && *e ? atol(e) : otherwise;
}

static inline pid_t child_of(void (*fn)(int fd), int fd)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		fn(fd);
		_exit(check_done());
	}
	return pid;
}

static inline void join(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

#endif
