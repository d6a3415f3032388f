/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls by which libbpf, in this process, reaches bpf(2) and its fds. The
 * executable's definitions go before libc's, so libbpf gets these: a small
 * part of what src/preload/ does for whole programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/rawsys.h"
#include "cli/cli.h"
#include "shm/rundir.h"
#include "sys/sys.h"

#define EXPORT __attribute__((visibility("default")))

/* Set while we are inside: what the core itself closes is no BPF fd of libbpf's. */
static __thread bool inside;

static long answer(long ret)
{
	if (ret < 0 && ret > -4096) {
		errno = -ret;
		return -1;
	}
	return ret;
}

long cli_kernel_bpf(int cmd, void *attr, unsigned int size)
{
	return answer(raw_syscall6(SYS_bpf, cmd, (long)attr, size, 0, 0, 0));
}

EXPORT long syscall(long nr, ...)
{
	long a[6], ret;
	va_list args;

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (inside || (nr != SYS_bpf && nr != SYS_perf_event_open))
		return answer(raw_syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
	inside = true;
	if (nr == SYS_bpf)
		ret = sys_bpf(a[0], (void *)a[1], a[2]);
	else
		ret = sys_perf_event_open((void *)a[0], a[1], a[2], a[3], a[4]);
	inside = false;
	return answer(ret);
}

EXPORT int close(int fd)
{
	long ret;

	if (inside)
		return answer(raw_syscall6(SYS_close, fd, 0, 0, 0, 0, 0));
	inside = true;
	fd_forget(fd);
	ret = raw_syscall6(SYS_close, fd, 0, 0, 0, 0, 0);
	fd_collect();
	inside = false;
	return answer(ret);
}

EXPORT int dup3(int from, int to, int flags)
{
	long ret;

	if (inside || from == to)
		return answer(raw_syscall6(SYS_dup3, from, to, flags, 0, 0, 0));
	inside = true;
	fd_forget(to);
	ret = raw_syscall6(SYS_dup3, from, to, flags, 0, 0, 0);
	fd_collect();
	inside = false;
	return answer(ret);
}

/* The runtime directory's fs/ stands in for bpffs: a path below it, or NULL. */
static const char *below_bpffs(const char *path)
{
	static const char mount[] = "/sys/fs/bpf";
	size_t len = sizeof(mount) - 1;

	if (inside || !path || strncmp(path, mount, len) || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

/* libbpf asks whether maps with pinning go to a bpffs, and makes the folders. */
EXPORT int statfs(const char *path, struct statfs *buf)
{
	int ret;

	if (!below_bpffs(path))
		return answer(raw_syscall6(SYS_statfs, (long)path, (long)buf, 0, 0, 0, 0));
	if (rundir_open()) {
		errno = ENOENT;
		return -1;
	}
	ret = fstatfs(rundir_fs_fd(), buf);
	if (!ret)
		buf->f_type = BPF_FS_MAGIC;
	return ret;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	const char *below = below_bpffs(path);

	if (!below)
		return answer(raw_syscall6(SYS_mkdirat, AT_FDCWD, (long)path, mode, 0, 0, 0));
	if (rundir_open()) {
		errno = ENOENT;
		return -1;
	}
	return mkdirat(rundir_fs_fd(), below, mode);
}
