/* SPDX-License-Identifier: BSD-2-Clause */
/* open(2), fopen(3) and their like. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "preload/preload.h"

/* The path is special: resolved here, opened by special_open(). */
static __attribute__((noinline)) int open_special(const char *name, int flags, mode_t mode)
{
	struct path p;

	path_resolve(name, &p);
	return edge(special_open(name, &p, flags, mode));
}

static __attribute__((noinline)) bool refused(int dirfd, const char *path, int flags)
{
	int saved = errno, err = pin_tree_refuses(dirfd, path, flags);

	errno = err ? -err : saved;
	return err;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name, more)                                                                           \
	EXPORT int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		if (path_special(path))                                                            \
			return open_special(path, flags | (more), mode);                           \
		if (path_may_be_pin(path) && refused(AT_FDCWD, path, flags))                       \
			return -1;                                                                 \
		return REAL(name)(path, flags, mode);                                              \
	}

#define OPENAT(name, more)                                                                         \
	EXPORT int name(int dirfd, const char *path, int flags, ...)                               \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		if (path_special(path))                                                            \
			return open_special(path, flags | (more), mode);                           \
		if (path_may_be_pin(path) && refused(dirfd, path, flags))                          \
			return -1;                                                                 \
		return REAL(name)(dirfd, path, flags, mode);                                       \
	}

OPEN(open, 0)
OPEN(open64, O_LARGEFILE)
OPENAT(openat, 0)
OPENAT(openat64, O_LARGEFILE)

/* The checked forms: what the compiler makes of calls without a mode. */
EXPORT int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return open64(path, flags);
}

EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
	return openat(dirfd, path, flags);
}

EXPORT int __openat64_2(int dirfd, const char *path, int flags)
{
	return openat64(dirfd, path, flags);
}

EXPORT int creat(const char *path, mode_t mode)
{
	return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int creat64(const char *path, mode_t mode)
{
	return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* open(2)'s flags for an fopen(3) mode, or -1. */
static int stream_flags(const char *mode)
{
	int flags;

	switch (mode[0]) {
	case 'r':
		flags = O_RDONLY;
		break;
	case 'w':
		flags = O_WRONLY | O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags = O_WRONLY | O_CREAT | O_APPEND;
		break;
	default:
		return -1;
	}
	if (strchr(mode, '+'))
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	if (strchr(mode, 'e'))
		flags |= O_CLOEXEC;
	if (strchr(mode, 'x'))
		flags |= O_EXCL;
	return flags;
}

/* False: an ordinary file, for libc. */
static __attribute__((noinline)) bool stream_special(const char *name, const char *mode, FILE **out)
{
	int flags = stream_flags(mode), fd;
	struct path p;

	*out = NULL;
	if (flags < 0 || path_resolve(name, &p) == PATH_PLAIN)
		return false;
	fd = edge(special_open(name, &p, flags, 0666));
	if (fd < 0)
		return true;
	*out = REAL(fdopen)(fd, mode);
	if (!*out)
		raw_close(fd);
	return true;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	FILE *f;

	if (path_special(path) && stream_special(path, mode, &f))
		return f;
	if (path_may_be_pin(path) && refused(AT_FDCWD, path, stream_flags(mode)))
		return NULL;
	return REAL(fopen)(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	FILE *f;

	if (path_special(path) && stream_special(path, mode, &f))
		return f;
	if (path_may_be_pin(path) && refused(AT_FDCWD, path, stream_flags(mode)))
		return NULL;
	return REAL(fopen64)(path, mode);
}

EXPORT FILE *setmntent(const char *path, const char *mode)
{
	FILE *f;

	if (path_special(path) && stream_special(path, mode, &f))
		return f;
	return REAL(setmntent)(path, mode);
}

/* libc's second names for the same calls. */
EXPORT int __open(const char *path, int flags, ...) __attribute__((alias("open")));
EXPORT int __open64(const char *path, int flags, ...) __attribute__((alias("open64")));
