/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * File calls on our fds. A kernel BPF fd has no contents: read(2) is EINVAL,
 * seeking ESPIPE, and so on; ours is a file that must not be damaged through
 * them. All answers were measured on Linux 6.18.
 */
#include <stdarg.h>
#include <sys/file.h>
#include <unistd.h>

#include "preload/preload.h"

/* vfs_read() and vfs_write() look at the open mode first. */
static int rw_error(int fd, bool write)
{
	long flags = raw_syscall2(SYS_fcntl, fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) == (write ? O_RDONLY : O_WRONLY))
		return EBADF;
	return EINVAL;
}

#define RW(name, params, args, error)                                                              \
	EXPORT ssize_t name params                                                                 \
	{                                                                                          \
		if (fd_ours(fd))                                                                   \
			return fail(error);                                                        \
		return REAL(name) args;                                                            \
	}

/* A perf event's count can be read. */
static ssize_t read_ours(int fd, void *buf, size_t n)
{
	long ret = fd_class(fd) == FD_EVENT ? sys_perf_read(fd, buf, n) : 1;

	return ret == 1 ? fail(rw_error(fd, false)) : edge(ret);
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	return fd_ours(fd) ? read_ours(fd, buf, n) : REAL(read)(fd, buf, n);
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	return fd_ours(fd) && n <= room ? read_ours(fd, buf, n)
					: REAL(__read_chk)(fd, buf, n, room);
}

RW(readv, (int fd, const struct iovec *v, int n), (fd, v, n), rw_error(fd, false))
RW(pread, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off), ESPIPE)
RW(pread64, (int fd, void *buf, size_t n, off64_t off), (fd, buf, n, off), ESPIPE)
RW(__pread_chk, (int fd, void *buf, size_t n, off_t off, size_t room), (fd, buf, n, off, room),
   ESPIPE)
RW(__pread64_chk, (int fd, void *buf, size_t n, off64_t off, size_t room), (fd, buf, n, off, room),
   ESPIPE)
RW(preadv, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off), ESPIPE)
RW(preadv64, (int fd, const struct iovec *v, int n, off64_t off), (fd, v, n, off), ESPIPE)
/* Offset -1 means the current position. */
RW(preadv2, (int fd, const struct iovec *v, int n, off_t off, int flags), (fd, v, n, off, flags),
   off == -1 ? rw_error(fd, false) : ESPIPE)
RW(preadv64v2, (int fd, const struct iovec *v, int n, off64_t off, int flags),
   (fd, v, n, off, flags), off == -1 ? rw_error(fd, false) : ESPIPE)

RW(write, (int fd, const void *buf, size_t n), (fd, buf, n), rw_error(fd, true))
RW(writev, (int fd, const struct iovec *v, int n), (fd, v, n), rw_error(fd, true))
RW(pwrite, (int fd, const void *buf, size_t n, off_t off), (fd, buf, n, off), ESPIPE)
RW(pwrite64, (int fd, const void *buf, size_t n, off64_t off), (fd, buf, n, off), ESPIPE)
RW(pwritev, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off), ESPIPE)
RW(pwritev64, (int fd, const struct iovec *v, int n, off64_t off), (fd, v, n, off), ESPIPE)
RW(pwritev2, (int fd, const struct iovec *v, int n, off_t off, int flags), (fd, v, n, off, flags),
   off == -1 ? rw_error(fd, true) : ESPIPE)
RW(pwritev64v2, (int fd, const struct iovec *v, int n, off64_t off, int flags),
   (fd, v, n, off, flags), off == -1 ? rw_error(fd, true) : ESPIPE)

#define REFUSE(ret, name, params, args, error)                                                     \
	EXPORT ret name params                                                                     \
	{                                                                                          \
		if (fd_ours(fd))                                                                   \
			return fail(error);                                                        \
		return REAL(name) args;                                                            \
	}

static int seek_error(int whence)
{
	return whence < SEEK_SET || whence > SEEK_HOLE ? EINVAL : ESPIPE;
}

REFUSE(off_t, lseek, (int fd, off_t off, int whence), (fd, off, whence), seek_error(whence))
REFUSE(off64_t, lseek64, (int fd, off64_t off, int whence), (fd, off, whence), seek_error(whence))
REFUSE(int, ftruncate, (int fd, off_t size), (fd, size), EINVAL)
REFUSE(int, ftruncate64, (int fd, off64_t size), (fd, size), EINVAL)
REFUSE(int, fallocate, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len), ENODEV)
REFUSE(int, fallocate64, (int fd, int mode, off64_t off, off64_t len), (fd, mode, off, len), ENODEV)
REFUSE(int, fchmod, (int fd, mode_t mode), (fd, mode), EOPNOTSUPP)
REFUSE(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), EOPNOTSUPP)
REFUSE(int, vdprintf, (int fd, const char *fmt, va_list ap), (fd, fmt, ap), rw_error(fd, true))
REFUSE(int, __vdprintf_chk, (int fd, int flag, const char *fmt, va_list ap), (fd, flag, fmt, ap),
       rw_error(fd, true))

EXPORT int dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int ret;

	if (fd_ours(fd))
		return fail(rw_error(fd, true));
	va_start(ap, fmt);
	ret = REAL(vdprintf)(fd, fmt, ap);
	va_end(ap);
	return ret;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int ret;

	if (fd_ours(fd))
		return fail(rw_error(fd, true));
	va_start(ap, fmt);
	ret = REAL(__vdprintf_chk)(fd, flag, fmt, ap);
	va_end(ap);
	return ret;
}

/* These two give the error itself. */
EXPORT int posix_fallocate(int fd, off_t off, off_t len)
{
	return fd_ours(fd) ? ENODEV : REAL(posix_fallocate)(fd, off, len);
}

EXPORT int posix_fallocate64(int fd, off64_t off, off64_t len)
{
	return fd_ours(fd) ? ENODEV : REAL(posix_fallocate64)(fd, off, len);
}

/*
 * stdio would write to the file from inside libc: refused as a stream. The
 * kernel lets a stream be made and fails its first read or write.
 */
EXPORT FILE *fdopen(int fd, const char *mode)
{
	if (fd_ours(fd)) {
		errno = EINVAL;
		return NULL;
	}
	return REAL(fdopen)(fd, mode);
}

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	if (fd_ours(out) || fd_ours(in))
		return fail(EINVAL);
	return REAL(sendfile)(out, in, off, n);
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t n)
{
	if (fd_ours(out) || fd_ours(in))
		return fail(EINVAL);
	return REAL(sendfile64)(out, in, off, n);
}

EXPORT ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t n,
			       unsigned int flags)
{
	if (fd_ours(out) || fd_ours(in))
		return fail(EINVAL);
	return REAL(copy_file_range)(in, in_off, out, out_off, n, flags);
}

EXPORT ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t n,
		      unsigned int flags)
{
	if (fd_ours(out) || fd_ours(in))
		return fail(EINVAL);
	return REAL(splice)(in, in_off, out, out_off, n, flags);
}

/*
 * The lock on the description is our reference to the object: a client's
 * flock(2) must not drop it. Kernel maps share one inode, on which a shared
 * lock always succeeds.
 */
EXPORT int flock(int fd, int how)
{
	if (fd_ours(fd)) {
		switch (how & ~LOCK_NB) {
		case LOCK_SH:
		case LOCK_EX:
		case LOCK_UN:
			return 0;
		default:
			return fail(EINVAL);
		}
	}
	return REAL(flock)(fd, how);
}

#define PERF_IOC_TYPE '$' /* PERF_EVENT_IOC_* */

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;
	long ret;
	int err;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (unlikely(_IOC_TYPE(request) == PERF_IOC_TYPE)) {
		err = sys_perf_ioctl(fd, request, arg, &ret);
		if (err <= 0)
			return edge(err ? err : ret);
	} else if (unlikely(_IOC_TYPE(request) == 'f') && fd_ours(fd)) {
		return fail(ENOTTY); /* FS_IOC_SETFLAGS and its like */
	}
	return REAL(ioctl)(fd, request, arg);
}

/* libc's second names for the same calls. */
EXPORT ssize_t __read(int fd, void *buf, size_t n) __attribute__((alias("read")));
EXPORT ssize_t __write(int fd, const void *buf, size_t n) __attribute__((alias("write")));
EXPORT ssize_t __pread64(int fd, void *buf, size_t n, off64_t off)
	__attribute__((alias("pread64")));
EXPORT ssize_t __pwrite64(int fd, const void *buf, size_t n, off64_t off)
	__attribute__((alias("pwrite64")));
EXPORT off_t __lseek(int fd, off_t off, int whence) __attribute__((alias("lseek")));
