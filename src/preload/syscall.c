/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libc's syscall(): the door through which libbpf and bpftool call bpf(2).
 * No cancellation point, as libc's. The calls that concern our fds are served
 * as their libc functions are.
 */
#include <stdarg.h>
#include <unistd.h>

#include "preload/preload.h"

static long bpf_call(int cmd, void *attr, unsigned int size)
{
	long ret = sys_bpf(cmd, attr, size);

	/* It may be the fd of a new object, on a number of unknown history. */
	if (ret > 0 && ret < FD_CLASSES && load_relaxed(&fd_classes[ret]))
		fd_class_reset(ret);
	return ret;
}

static long close_call(int fd)
{
	long ret;

	fd_before_close(fd);
	ret = raw_syscall1(SYS_close, fd);
	fd_after_close(fd);
	return ret;
}

static long ioctl_call(int fd, unsigned long request, unsigned long arg)
{
	long ret;
	int err = sys_perf_ioctl(fd, request, arg, &ret);

	if (err > 0)
		return raw_syscall3(SYS_ioctl, fd, request, arg);
	return err ? err : ret;
}

EXPORT long syscall(long n, ...)
{
	long a, b, c, d, e, f;
	va_list ap;

	va_start(ap, n);
	a = va_arg(ap, long);
	b = va_arg(ap, long);
	c = va_arg(ap, long);
	d = va_arg(ap, long);
	e = va_arg(ap, long);
	f = va_arg(ap, long);
	va_end(ap);

	switch (n) {
	case SYS_bpf:
		return edge(bpf_call(a, (void *)b, c));
	case SYS_perf_event_open:
		return edge(sys_perf_event_open((void *)a, b, c, d, e));
	case SYS_ioctl:
		return edge(ioctl_call(a, b, c));
	case SYS_close:
		return edge(close_call(a));
	case SYS_close_range:
		return close_range(a, b, c);
#ifdef SYS_dup2
	case SYS_dup2:
		return served_dup2(a, b);
#endif
	case SYS_dup3:
		return served_dup3(a, b, c);
	case SYS_mmap:
		return (long)served_mmap((void *)a, b, c, d, e, f);
	case SYS_epoll_ctl:
		return epoll_ctl(a, b, c, (void *)d);
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
		return epoll_wait(a, (void *)b, c, d);
#endif
	case SYS_epoll_pwait:
		/* libc's signal set is longer than the kernel's, and begins like it */
		if (!e)
			return epoll_wait(a, (void *)b, c, d);
		break;
	case SYS_write:
	case SYS_read:
	case SYS_writev:
	case SYS_readv:
	case SYS_ftruncate:
		if (fd_ours(a))
			return fail(EINVAL);
		break;
	case SYS_pwrite64:
	case SYS_pread64:
	case SYS_pwritev:
	case SYS_preadv:
	case SYS_lseek:
		if (fd_ours(a))
			return fail(ESPIPE);
		break;
	case SYS_fallocate:
		if (fd_ours(a))
			return fail(ENODEV);
		break;
	}
	return edge(raw_syscall6(n, a, b, c, d, e, f));
}
