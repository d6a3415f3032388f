/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every way in which an fd number loses or changes its meaning.
 *
 * The order is: fd_forget() (nothing remembers the number), the call, then
 * the classes once more and fd_collect(), which removes objects that nobody
 * holds any longer.
 */
#include <unistd.h>

#include "preload/preload.h"

void fd_before_close(int fd)
{
	if (fd < 0)
		return;
	fd_forget(fd);
	fd_class_reset(fd);
	standin_drop(fd);
}

void fd_after_close(int fd)
{
	int saved = errno;

	/* One fd_collect() for each fd_forget(). */
	if (fd < 0)
		return;
	fd_class_reset(fd);
	fd_collect();
	errno = saved;
}

/*
 * close(2) and fclose(3) are cancellation points: the second half runs when
 * the thread is cancelled in between, too (-fexceptions).
 */
static void after_close(int *fd)
{
	fd_after_close(*fd);
}
#define CLOSING(fd_) int closing __attribute__((cleanup(after_close), unused)) = (fd_)

EXPORT int close(int fd)
{
	CLOSING(fd);

	fd_before_close(fd);
	return REAL(close)(fd);
}

EXPORT int dup2(int from, int to)
{
	int ret;

	if (from == to)
		return REAL(dup2)(from, to);
	fd_before_close(to);
	ret = REAL(dup2)(from, to);
	fd_after_close(to);
	return ret;
}

EXPORT int dup3(int from, int to, int flags)
{
	int ret;

	fd_before_close(to);
	ret = REAL(dup3)(from, to, flags);
	fd_after_close(to);
	return ret;
}

static void range_before(unsigned int first, unsigned int last)
{
	fd_forget_range(first, last);
	fd_class_reset_range(first, last);
	for (unsigned int fd = first; fd <= last && fd < FD_CLASSES; fd++)
		standin_drop(fd);
}

static void range_after(unsigned int first, unsigned int last)
{
	int saved = errno;

	fd_class_reset_range(first, last);
	fd_collect();
	errno = saved;
}

#define CLOSE_RANGE_ONLY_CLOEXEC 4 /* CLOSE_RANGE_CLOEXEC: the fds stay open */

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	int ret;

	if (first > last || flags & CLOSE_RANGE_ONLY_CLOEXEC)
		return REAL(close_range)(first, last, flags);
	range_before(first, last);
	ret = REAL(close_range)(first, last, flags);
	range_after(first, last);
	return ret;
}

EXPORT void closefrom(int first)
{
	unsigned int from = first < 0 ? 0 : first;

	range_before(from, ~0U);
	REAL(closefrom)(first);
	range_after(from, ~0U);
}

EXPORT int fclose(FILE *f)
{
	int saved = errno, fd = f ? fileno(f) : -1;
	CLOSING(fd);

	errno = saved;
	fd_before_close(fd);
	return REAL(fclose)(f);
}

EXPORT int pclose(FILE *f)
{
	int fd = fileno(f);
	CLOSING(fd);

	fd_before_close(fd);
	return REAL(pclose)(f);
}

EXPORT int closedir(DIR *dir)
{
	int fd = dir ? dirfd(dir) : -1;
	CLOSING(fd);

	fd_before_close(fd);
	return REAL(closedir)(dir);
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
	int fd = fileno(f);
	CLOSING(fd);

	fd_before_close(fd);
	return REAL(freopen)(path, mode, f);
}

EXPORT FILE *freopen64(const char *path, const char *mode, FILE *f)
{
	int fd = fileno(f);
	CLOSING(fd);

	fd_before_close(fd);
	return REAL(freopen64)(path, mode, f);
}

/* daemon() and login_tty() replace 0, 1 and 2 inside libc. */
EXPORT int daemon(int nochdir, int noclose)
{
	int ret;

	if (!noclose)
		range_before(0, 2);
	ret = REAL(daemon)(nochdir, noclose);
	if (!noclose)
		range_after(0, 2);
	return ret;
}

EXPORT int login_tty(int fd)
{
	int ret;

	fd_before_close(fd);
	range_before(0, 2);
	ret = REAL(login_tty)(fd);
	range_after(0, 2);
	fd_after_close(fd);
	return ret;
}

/* libc's second names for the same calls. */
EXPORT int __close(int fd) __attribute__((alias("close")));
EXPORT int __dup2(int from, int to) __attribute__((alias("dup2")));

int served_dup2(int from, int to) __attribute__((alias("dup2")));
int served_dup3(int from, int to, int flags) __attribute__((alias("dup3")));
