/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of src/shm/ share: a runtime directory of their own, that goes
 * with the program, and processes that report over a pipe. */
#ifndef SHMAP_TESTS_SHM_AREA_H
#define SHMAP_TESTS_SHM_AREA_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "shm/object.h"

static char area_dir[256];
static pid_t area_owner;

static inline int area_remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	return remove(path) && errno != ENOENT;
}

static inline void area_remove(const char *path)
{
	nftw(path, area_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void area_at_exit(void)
{
	if (getpid() == area_owner)
		area_remove(area_dir);
}

/* A new directory in SHMAP_DIR; below it, as rundir_open() makes it itself. */
static inline void area_begin(void)
{
	const char *tmp = getenv("TMPDIR"); /* tests/run removes what a killed test leaves */

	if (!tmp || strncmp(tmp, "/dev/shm/", 9) || strlen(tmp) > sizeof(area_dir) - 32)
		tmp = "/dev/shm";
	sprintf(area_dir, "%s/shmap-area-XXXXXX", tmp);
	REQUIRE(mkdtemp(area_dir));
	area_owner = getpid();
	atexit(area_at_exit);
	setenv("SHMAP_DIR", area_dir, 1);
}

/* The number of names in a subdirectory of the runtime directory. */
static inline int area_count(const char *sub)
{
	char path[PATH_MAX];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", area_dir, sub);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static inline int area_count_all(void)
{
	return area_count("map") + area_count("prog") + area_count("btf") + area_count("link") +
	       area_count("ref");
}

/* A published object of one page, or several. */
static inline int area_object(enum object_kind kind, size_t size, struct object *obj)
{
	int fd;

	REQUIRE(!object_create(kind, size, size, obj, &fd));
	REQUIRE(!object_publish(obj, fd));
	return fd;
}

/* A child: returns 0 in it, its pid in the parent. Its exit status is 1 when a claim failed. */
static inline pid_t area_fork(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	return pid;
}

static inline void area_join(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static inline bool area_alive(enum object_kind kind, uint32_t id)
{
	int fd;

	object_collect(kind, id);
	fd = object_open_id(kind, id, O_RDONLY);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static inline double area_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline double area_seconds(double otherwise)
{
	const char *s = getenv("SHMAP_TEST_SECONDS");

	return s && *s ? atof(s) : otherwise;
}

#endif
