/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What shmap's own code gets when it calls one of the functions that this
 * library redefines: the linker's --wrap option sends every such call inside
 * the library here (see meson.build), so that an operation on a map never
 * enters an interposer, and is no cancellation point while it holds a lock.
 */
#include <stdlib.h>
#include <unistd.h>

#include "preload/preload.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
/* The linker knows these names; nobody else does. */

int __wrap_close(int fd)
{
	return edge(raw_syscall1(SYS_close, fd));
}

int __wrap_dup2(int from, int to)
{
	if (from == to)
		return edge(raw_syscall2(SYS_fcntl, from, F_GETFD)) < 0 ? -1 : to;
	return edge(raw_syscall3(SYS_dup3, from, to, 0));
}

int __wrap_dup3(int from, int to, int flags)
{
	return edge(raw_syscall3(SYS_dup3, from, to, flags));
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	return edge(raw_syscall3(SYS_read, fd, buf, n));
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	return edge(raw_syscall3(SYS_write, fd, buf, n));
}

ssize_t __wrap_pread64(int fd, void *buf, size_t n, off64_t off)
{
	return edge(raw_syscall4(SYS_pread64, fd, buf, n, off));
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t n, off64_t off)
{
	return edge(raw_syscall4(SYS_pwrite64, fd, buf, n, off));
}

ssize_t __wrap_pread(int fd, void *buf, size_t n, off_t off)
	__attribute__((alias("__wrap_pread64")));
ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t off)
	__attribute__((alias("__wrap_pwrite64")));

off64_t __wrap_lseek64(int fd, off64_t off, int whence)
{
	return edge(raw_syscall3(SYS_lseek, fd, off, whence));
}

off_t __wrap_lseek(int fd, off_t off, int whence) __attribute__((alias("__wrap_lseek64")));

int __wrap_ftruncate64(int fd, off64_t size)
{
	return edge(raw_syscall2(SYS_ftruncate, fd, size));
}

int __wrap_ftruncate(int fd, off_t size) __attribute__((alias("__wrap_ftruncate64")));

int __wrap_fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	return edge(raw_syscall4(SYS_fallocate, fd, mode, off, len));
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
	__attribute__((alias("__wrap_fallocate64")));

int __wrap_posix_fallocate64(int fd, off64_t off, off64_t len)
{
	return (int)-raw_syscall4(SYS_fallocate, fd, 0, off, len);
}

int __wrap_posix_fallocate(int fd, off_t off, off_t len)
	__attribute__((alias("__wrap_posix_fallocate64")));

int __wrap_flock(int fd, int how)
{
	return edge(raw_syscall2(SYS_flock, fd, how));
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return edge(raw_syscall2(SYS_fchmod, fd, mode));
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return (void *)edge((long)raw_mmap(addr, len, prot, flags, fd, off));
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
	__attribute__((alias("__wrap_mmap64")));

static mode_t open_mode(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = open_mode(flags, ap);
	va_end(ap);
	return edge(raw_syscall4(SYS_openat, dirfd, path, flags, mode));
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
	__attribute__((alias("__wrap_openat64")));

int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = open_mode(flags, ap);
	va_end(ap);
	return edge(raw_syscall4(SYS_openat, AT_FDCWD, path, flags, mode));
}

int __wrap_open(const char *path, int flags, ...) __attribute__((alias("__wrap_open64")));

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){0};

	return edge(raw_syscall5(SYS_ppoll, fds, n, timeout ? &left : NULL, mask, _NSIG / 8));
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	return __wrap_ppoll(fds, n, ms < 0 ? NULL : &timeout, NULL);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	return edge(raw_syscall3(SYS_ioctl, fd, request, arg));
}

int __wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
	return edge(raw_syscall3(SYS_mkdirat, dirfd, path, mode));
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	return __wrap_mkdirat(AT_FDCWD, path, mode);
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
	return edge(raw_syscall3(SYS_unlinkat, dirfd, path, flags));
}

int __wrap_unlink(const char *path)
{
	return __wrap_unlinkat(AT_FDCWD, path, 0);
}

int __wrap_rmdir(const char *path)
{
	return __wrap_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	return edge(raw_syscall5(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return __wrap_renameat2(from_fd, from, to_fd, to, 0);
}

int __wrap_rename(const char *from, const char *to)
{
	return __wrap_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return edge(raw_syscall5(SYS_linkat, from_fd, from, to_fd, to, flags));
}

int __wrap_link(const char *from, const char *to)
{
	return __wrap_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t __wrap_readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
	return edge(raw_syscall4(SYS_readlinkat, dirfd, path, buf, size));
}

ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	return __wrap_readlinkat(AT_FDCWD, path, buf, size);
}

int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	return edge(raw_syscall5(SYS_statx, dirfd, path, flags, mask, st));
}

long __wrap_syscall(long n, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return edge(raw_syscall6(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* These are no cancellation points: libc's own do. */
#define PASS(ret, name, params, args)                                                              \
	ret __wrap_##name params                                                                   \
	{                                                                                          \
		return REAL(name) args;                                                            \
	}

PASS(int, stat, (const char *path, struct stat *st), (path, st))
PASS(int, stat64, (const char *path, struct stat64 *st), (path, st))
PASS(int, lstat, (const char *path, struct stat *st), (path, st))
PASS(int, lstat64, (const char *path, struct stat64 *st), (path, st))
PASS(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))
PASS(int, fstatat64, (int fd, const char *path, struct stat64 *st, int flags),
     (fd, path, st, flags))
PASS(int, statfs, (const char *path, struct statfs *st), (path, st))
PASS(int, statfs64, (const char *path, struct statfs64 *st), (path, st))
PASS(int, fstatfs, (int fd, struct statfs *st), (fd, st))
PASS(int, fstatfs64, (int fd, struct statfs64 *st), (fd, st))
PASS(int, access, (const char *path, int mode), (path, mode))
PASS(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))
PASS(int, chmod, (const char *path, mode_t mode), (path, mode))
PASS(FILE *, fopen, (const char *path, const char *mode), (path, mode))
PASS(FILE *, fopen64, (const char *path, const char *mode), (path, mode))
PASS(FILE *, fdopen, (int fd, const char *mode), (fd, mode))
PASS(int, fclose, (FILE * f), (f))
PASS(DIR *, opendir, (const char *path), (path))
PASS(int, closedir, (DIR * dir), (dir))
PASS(char *, realpath, (const char *path, char *resolved), (path, resolved))
PASS(int, sigaction, (int sig, const struct sigaction *act, struct sigaction *old), (sig, act, old))
PASS(int, vdprintf, (int fd, const char *fmt, va_list ap), (fd, fmt, ap))

int __wrap_dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = REAL(vdprintf)(fd, fmt, ap);
	va_end(ap);
	return ret;
}
