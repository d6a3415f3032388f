/* SPDX-License-Identifier: BSD-2-Clause */
/* The stat family and access(2). */
#include <string.h>
#include <unistd.h>
#include <linux/magic.h>

#include "preload/preload.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

/* A pin has no size, and one name. */
#define FIX_PIN(st)                                                                                \
	do {                                                                                       \
		if (S_ISREG((st)->st_mode)) {                                                      \
			(st)->st_size = 0;                                                         \
			(st)->st_blocks = 0;                                                       \
			(st)->st_nlink = 1;                                                        \
		}                                                                                  \
	} while (0)

/* A file of sysfs that only exists as text. */
#define FILL_TEXT(st)                                                                              \
	do {                                                                                       \
		memset((st), 0, sizeof(*(st)));                                                    \
		(st)->st_mode = S_IFREG | 0444;                                                    \
		(st)->st_nlink = 1;                                                                \
		(st)->st_size = 4096;                                                              \
		(st)->st_blksize = 4096;                                                           \
	} while (0)

/* libc's call on what the path stands for. */
#define STAT(name, type, params, args)                                                             \
	static __attribute__((noinline)) int special_##name params                                 \
	{                                                                                          \
		struct path p;                                                                     \
		int ret;                                                                           \
                                                                                                   \
		if (!(path = path_use(path, &p)))                                                  \
			return -1;                                                                 \
		if (p.kind == PATH_TEXT) {                                                         \
			FILL_TEXT(st);                                                             \
			return 0;                                                                  \
		}                                                                                  \
		ret = REAL(name) args;                                                             \
		if (!ret && p.kind == PATH_BPFFS)                                                  \
			FIX_PIN(st);                                                               \
		return ret;                                                                        \
	}                                                                                          \
	EXPORT int name params                                                                     \
	{                                                                                          \
		return path_special(path) ? special_##name args : REAL(name) args;                 \
	}

STAT(stat, struct stat, (const char *path, struct stat *st), (path, st))
STAT(stat64, struct stat64, (const char *path, struct stat64 *st), (path, st))
STAT(lstat, struct stat, (const char *path, struct stat *st), (path, st))
STAT(lstat64, struct stat64, (const char *path, struct stat64 *st), (path, st))
STAT(fstatat, struct stat, (int fd, const char *path, struct stat *st, int flags),
     (fd, path, st, flags))
STAT(fstatat64, struct stat64, (int fd, const char *path, struct stat64 *st, int flags),
     (fd, path, st, flags))

/*
 * The names by which programs built before glibc 2.33 call them; the version
 * of struct stat is always the current one on 64-bit machines.
 */
EXPORT int __xstat(int version, const char *path, struct stat *st)
{
	return stat(path, st);
}

EXPORT int __xstat64(int version, const char *path, struct stat64 *st)
{
	return stat64(path, st);
}

EXPORT int __lxstat(int version, const char *path, struct stat *st)
{
	return lstat(path, st);
}

EXPORT int __lxstat64(int version, const char *path, struct stat64 *st)
{
	return lstat64(path, st);
}

EXPORT int __fxstatat(int version, int fd, const char *path, struct stat *st, int flags)
{
	return fstatat(fd, path, st, flags);
}

EXPORT int __fxstatat64(int version, int fd, const char *path, struct stat64 *st, int flags)
{
	return fstatat64(fd, path, st, flags);
}

static __attribute__((noinline)) int special_statx(int fd, const char *path, int flags,
						   unsigned int mask, struct statx *st)
{
	struct path p;
	int ret;

	if (!(path = path_use(path, &p)))
		return -1;
	if (p.kind == PATH_TEXT) {
		memset(st, 0, sizeof(*st));
		st->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_SIZE;
		st->stx_mode = S_IFREG | 0444;
		st->stx_nlink = 1;
		st->stx_size = st->stx_blksize = 4096;
		return 0;
	}
	ret = REAL(statx)(fd, path, flags, mask, st);
	if (!ret && p.kind == PATH_BPFFS && S_ISREG(st->stx_mode)) {
		st->stx_size = st->stx_blocks = 0;
		st->stx_nlink = 1;
	}
	return ret;
}

EXPORT int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	if (path_special(path))
		return special_statx(fd, path, flags, mask, st);
	return REAL(statx)(fd, path, flags, mask, st);
}

/* access(2) of a text: it may be read. */
#define ACCESS(name, real, params, args)                                                           \
	static __attribute__((noinline)) int special_##name params                                 \
	{                                                                                          \
		struct path p;                                                                     \
                                                                                                   \
		if (!(path = path_use(path, &p)))                                                  \
			return -1;                                                                 \
		if (p.kind == PATH_TEXT)                                                           \
			return mode & (W_OK | X_OK) ? fail(EACCES) : 0;                            \
		return REAL(real) args;                                                            \
	}                                                                                          \
	EXPORT int name params                                                                     \
	{                                                                                          \
		return path_special(path) ? special_##name args : REAL(real) args;                 \
	}

ACCESS(access, access, (const char *path, int mode), (path, mode))
ACCESS(euidaccess, euidaccess, (const char *path, int mode), (path, mode))
ACCESS(eaccess, euidaccess, (const char *path, int mode), (path, mode))
ACCESS(faccessat, faccessat, (int fd, const char *path, int mode, int flags),
       (fd, path, mode, flags))

/*
 * statfs(2): the pin tree is a bpffs, by its own path as well. Only a tmpfs can
 * be meant.
 */
static bool is_pin_tree(const char *path)
{
	char resolved[PATH_MAX], name[PATH_MAX];

	return REAL(realpath)(path, resolved) && path_client_name(resolved, name, sizeof(name));
}

#define STATFS(name, type)                                                                         \
	EXPORT int name(const char *path, struct type *st)                                         \
	{                                                                                          \
		int saved = errno, ret;                                                            \
		struct path p;                                                                     \
                                                                                                   \
		p.kind = PATH_PLAIN;                                                               \
		if (path_special(path) && !(path = path_use(path, &p)))                            \
			return -1;                                                                 \
		ret = REAL(name)(path, st);                                                        \
		if (!ret && st->f_type == TMPFS_MAGIC &&                                           \
		    (p.kind == PATH_BPFFS || is_pin_tree(path)))                                   \
			st->f_type = BPF_FS_MAGIC;                                                 \
		if (!ret)                                                                          \
			errno = saved;                                                             \
		return ret;                                                                        \
	}                                                                                          \
	EXPORT int f##name(int fd, struct type *st)                                                \
	{                                                                                          \
		int saved = errno, ret = REAL(f##name)(fd, st);                                    \
		char link[32];                                                                     \
                                                                                                   \
		if (!ret && st->f_type == TMPFS_MAGIC) {                                           \
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);                      \
			if (is_pin_tree(link))                                                     \
				st->f_type = BPF_FS_MAGIC;                                         \
			errno = saved;                                                             \
		}                                                                                  \
		return ret;                                                                        \
	}

STATFS(statfs, statfs)
STATFS(statfs64, statfs64)
