/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap(2) of a map's fd: the kernel's checks, then the plain mapping of the
 * file, by an fd of its own (see fd_mmap_open()). Other BPF fds have no
 * mapping.
 */
#include "preload/preload.h"

/* The address, or -errno as an integer. */
static long map_object(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	int own, err;
	long ret;

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
	ret = (long)raw_mmap(addr, len, prot, flags, own, off);
	raw_close(own);
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
