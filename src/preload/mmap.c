/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap(2) of a map's fd: the kernel's checks, then the plain mapping of the file.
 *
 * A read-only mapping is made through a read-only open of the same file, so
 * that mprotect(2) cannot make it writable, as the kernel's map_mmap() denies
 * it. The lock on that description keeps the object while the mapping lives.
 */
#include <stdio.h>
#include <sys/file.h>

#include "preload/preload.h"

static int reopen_read_only(int fd)
{
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = raw_syscall4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	/* Cannot be refused for long: fd itself holds LOCK_SH. */
	if (ro >= 0 && raw_syscall2(SYS_flock, ro, LOCK_SH | LOCK_NB) < 0) {
		raw_syscall1(SYS_close, ro);
		return -EAGAIN;
	}
	return ro;
}

/* The address, or -errno as an integer. */
static long map_object(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	int ro = -1;
	long ret;

	ret = fd_mmap_check(fd, off, len, prot, flags);
	if (ret < 0)
		return ret;
	if (ret == 0 && !(prot & PROT_WRITE))
		ro = reopen_read_only(fd);
	ret = (long)raw_mmap(addr, len, prot, flags, ro >= 0 ? ro : fd, off);
	if (ro >= 0)
		raw_syscall1(SYS_close, ro);
	return ret;
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
