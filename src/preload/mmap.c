/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap(2) of a map's fd: the kernel's checks, then the plain mapping of the
 * file, by an fd of its own (see fd_mmap_open()). Other BPF fds have no
 * mapping.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/preload.h"
#include "shm/rundir.h"
#include "sys/rawstore.h"

static uint32_t maps_mapped; /* some map has been mapped here */

/* The address, or -errno as an integer. */
static long map_object(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	int own, err;
	long ret;

	if (fd_class(fd) == FD_EVENT) {
		err = sys_perf_mmap(fd, addr, len, prot, flags, off, &ret);
		if (!err)
			store_relaxed(&maps_mapped, 1);
		return err == 1 ? -ENODEV : err ? err : ret;
	}
	if (fd_class(fd) == FD_OTHER)
		return -ENODEV;
	err = fd_mmap_check(fd, off, len, prot, flags);
	if (err < 0)
		return err;
	/* 1: it was a map when its class was looked up */
	if (err)
		return (long)raw_mmap(addr, len, prot, flags, fd, off);
	own = fd_mmap_open(fd, prot);
	if (own < 0)
		return own;
	ret = (long)fd_mmap_map(fd, own, addr, len, prot, flags, off);
	raw_close(own);
	store_relaxed(&maps_mapped, 1);
	return ret;
}

/* Is an object of ours mapped at addr? By /proc/self/maps: START-END ... PATH */
static bool object_mapped_at(const void *addr)
{
	unsigned long start, end;
	bool found = false;
	size_t size = 0;
	char *line = NULL;
	FILE *f;

	if (rundir_open())
		return false;
	f = REAL(fopen)("/proc/self/maps", "re");
	while (f && !found && getline(&line, &size, f) > 0) {
		const char *path = strchr(line, '/');

		found = sscanf(line, "%lx-%lx", &start, &end) == 2 && (uintptr_t)addr >= start &&
			(uintptr_t)addr < end && path &&
			!strncmp(path, rundir_path(), strlen(rundir_path()));
	}
	free(line);
	if (f)
		REAL(fclose)(f);
	return found;
}

/* A map's mapping cannot grow: what follows the values in the file is not the client's. */
EXPORT void *mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
	int saved = errno;
	va_list ap;
	void *to;
	long at;

	va_start(ap, flags);
	to = va_arg(ap, void *);
	va_end(ap);
	if (unlikely(load_relaxed(&maps_mapped)) && size > old_size && object_mapped_at(old)) {
		errno = EFAULT;
		return MAP_FAILED;
	}
	errno = saved;
	at = raw_syscall5(SYS_mremap, old, old_size, size, flags, to);
	if (unlikely(load_relaxed(&maps_mapped)) && (at >= 0 || at < -4095))
		raw_moved(old, old_size, (void *)at, size);
	return (void *)edge(at);
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	if (likely(flags & MAP_ANONYMOUS || !fd_ours(fd)))
		return REAL(mmap64)(addr, len, prot, flags, fd, off);
	return (void *)edge(map_object(addr, len, prot, flags, fd, off));
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (likely(flags & MAP_ANONYMOUS || !fd_ours(fd)))
		return REAL(mmap)(addr, len, prot, flags, fd, off);
	return (void *)edge(map_object(addr, len, prot, flags, fd, off));
}

void *served_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
	__attribute__((alias("mmap")));
