/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll(2) and epoll(7) on maps: a map that has nothing to wait for answers
 * EPOLLERR at once, always. (Programs, BTF objects and links answer as any
 * file does, in the kernel and here; select(2) cannot tell the difference.)
 *
 * epoll takes no tmpfs file. A map's stand-in in an epoll set is a full pipe that
 * has no reader: EPOLLERR for ever, and nothing else. It lives until the map's
 * fd number is closed; being a file of its own, it then leaves its epoll sets.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/preload.h"

#define STANDIN_FIRST 400 /* out of the way of what programs expect */

/* By map fd number: the stand-in's number plus one, 0: none. */
static uint32_t standins[FD_CLASSES];
static pid_t standins_owner; /* a vfork child has our memory and other fds */
static pthread_once_t standins_once = PTHREAD_ONCE_INIT;

static void standins_own(void)
{
	standins_owner = raw_getpid();
}

static void standins_init(void)
{
	standins_own();
	pthread_atfork(NULL, NULL, standins_own);
}

void standin_drop(int fd)
{
	uint32_t standin;

	if ((unsigned int)fd >= FD_CLASSES || !load_relaxed(&standins[fd]) ||
	    raw_getpid() != standins_owner)
		return;
	standin = exchange_seq_cst(&standins[fd], 0);
	if (standin)
		raw_syscall1(SYS_close, standin - 1);
}

/* The writing end of a pipe that is full and has no reader, or -errno. */
static int make_standin(void)
{
	static const char zeros[4096];
	int ends[2];
	long ret;

	ret = raw_syscall2(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK);
	if (ret < 0)
		return ret;
	/* one page is enough; where it is refused, there is more to fill */
	raw_fcntl(ends[1], F_SETPIPE_SZ, sizeof(zeros));
	do {
		ret = raw_write(ends[1], zeros, sizeof(zeros));
	} while (ret > 0 || ret == -EINTR);
	raw_close(ends[0]);
	ret = raw_fcntl(ends[1], F_DUPFD_CLOEXEC, STANDIN_FIRST);
	if (ret < 0)
		return ends[1];
	raw_close(ends[1]);
	return ret;
}

static bool is_standin(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timespec now = {0};

	return raw_ppoll(&p, 1, &now) == 1 && p.revents == POLLERR;
}

/* The stand-in of a map's fd: -ENOENT when there is none and !make. */
static int standin_of(int fd, bool make)
{
	uint32_t old;
	int standin;

	if (fd >= FD_CLASSES)
		return -EPERM;
	old = load_acquire(&standins[fd]);
	/* The client may have closed every fd that it does not know. */
	if (old && is_standin(old - 1))
		return old - 1;
	if (!make)
		return -ENOENT;
	pthread_once(&standins_once, standins_init);
	standin = make_standin();
	if (standin < 0)
		return standin;
	if (!cas_seq_cst(&standins[fd], &old, (uint32_t)standin + 1)) {
		raw_close(standin);
		return old ? (int)old - 1 : -EBADF;
	}
	return standin;
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int standin;

	if (likely(fd_class(fd) != FD_MAP))
		return REAL(epoll_ctl)(epfd, op, fd, event);
	standin = standin_of(fd, op == EPOLL_CTL_ADD);
	if (standin < 0)
		return fail(-standin);
	return REAL(epoll_ctl)(epfd, op, standin, event);
}

static unsigned int count_maps(const struct pollfd *fds, nfds_t n)
{
	unsigned int maps = 0;

	for (nfds_t i = 0; i < n; i++)
		maps += fd_class(fds[i].fd) == FD_MAP;
	return maps;
}

/* poll(2) of a set with a map in it never waits. */
static int poll_maps(struct pollfd *fds, nfds_t n, const sigset_t *mask)
{
	struct pollfd few[64], *copy = few;
	struct timespec now = {0};
	int ret;

	if (n > ARRAY_SIZE(few)) {
		copy = malloc(n * sizeof(*copy));
		if (!copy)
			return fail(ENOMEM);
	}
	memcpy(copy, fds, n * sizeof(*copy));
	for (nfds_t i = 0; i < n; i++) {
		if (fd_class(copy[i].fd) == FD_MAP)
			copy[i].fd = -1 - copy[i].fd;
	}
	ret = REAL(ppoll)(copy, n, &now, mask);
	for (nfds_t i = 0; i < n && ret >= 0; i++) {
		bool map = copy[i].fd < 0 && fds[i].fd >= 0;

		fds[i].revents = map ? POLLERR : copy[i].revents;
		ret += map;
	}
	if (copy != few)
		free(copy);
	return ret;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (unlikely(count_maps(fds, n)))
		return poll_maps(fds, n, NULL);
	return REAL(poll)(fds, n, ms);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (unlikely(count_maps(fds, n)))
		return poll_maps(fds, n, mask);
	return REAL(ppoll)(fds, n, timeout, mask);
}

/* The checked variants have checked the array's size at compile time, or abort. */
void __chk_fail(void) __attribute__((noreturn));

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return poll(fds, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		       const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return ppoll(fds, n, timeout, mask);
}

EXPORT int __poll(struct pollfd *fds, nfds_t n, int ms) __attribute__((alias("poll")));
