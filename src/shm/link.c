/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and references: hard links and LOCK_SH.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/link.h"

/* A collector decides in a few microseconds; this is 2 s of waiting. */
#define HOLD_TRIES 2000

int link_fd(int fd, int dir, const char *name)
{
	char proc[48];
	int ret;

	/* Kernels from 6.10 on let the opener do this, and it is quicker. */
	ret = raw_linkat(fd, "", dir, name, AT_EMPTY_PATH);
	if (ret != -ENOENT)
		return ret;
	/* thread-self: the thread may have a descriptor table of its own, and
	 * /proc/self is gone when the first thread has ended. */
	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", fd);
	return raw_linkat(AT_FDCWD, proc, dir, name, AT_SYMLINK_FOLLOW);
}

int link_hold(int fd)
{
	struct timespec pause = {.tv_nsec = 1000000};
	struct stat st;
	int ret;

	for (int tries = 0; tries < HOLD_TRIES; tries++) {
		ret = raw_flock(fd, LOCK_SH | LOCK_NB);
		if (ret == -EINTR)
			continue;
		if (ret && ret != -EAGAIN)
			return ret;
		if (raw_fstat(fd, &st))
			return -EBADF;
		/*
		 * Held: from here on no collector succeeds, so a name that is
		 * still there stays. Refused: a collector has it; when there is
		 * just the anchor, nobody can add a name any more (that takes
		 * a reference), and the collector will remove it.
		 */
		if (!ret && st.st_nlink)
			return 0;
		if (st.st_nlink <= 1)
			return -ENOENT;
		/* A pin came between the collector's look and its lock. */
		if (tries < 100)
			raw_sched_yield();
		else
			raw_nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

uint32_t link_parse_id(const char **text, char end)
{
	const char *p = *text;
	uint64_t n = 0;

	if (*p < '1' || *p > '9')
		return 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (*p - '0');
		if (n > INT_MAX)
			return 0;
	}
	if (*p != end)
		return 0;
	*text = *p ? p + 1 : p;
	return (uint32_t)n;
}

bool link_parse_kind(const char **text, enum object_kind *kind)
{
	for (int k = 0; k < OBJECT_KINDS; k++) {
		const char *name = object_kind_name(k);
		size_t len = strlen(name);

		if (!strncmp(*text, name, len) && (*text)[len] == '-') {
			*text += len + 1;
			*kind = k;
			return true;
		}
	}
	return false;
}

int link_scan(int dir, int (*fn)(void *arg, const char *name), void *arg)
{
	char buf[4096] __attribute__((aligned(8)));
	int fd, ret = 0;
	long n = 0;

	fd = raw_openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while (!ret && (n = raw_getdents64(fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; !ret && at < n;) {
			struct dirent64 *d = (struct dirent64 *)(buf + at);

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
				ret = fn(arg, d->d_name);
		}
	}
	raw_close(fd);
	return ret ? ret : (int)(n < 0 ? n : 0);
}
