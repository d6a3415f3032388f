/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that make, move and remove names. */
#include <stdio.h>
#include <unistd.h>

#include "preload/preload.h"

/* One path, given to libc as what it stands for. */
#define NAME(ret, name, params, args)                                                              \
	static __attribute__((noinline)) ret special_##name params                                 \
	{                                                                                          \
		struct path p;                                                                     \
                                                                                                   \
		if (!(path = path_use(path, &p)))                                                  \
			return (ret)-1;                                                            \
		return REAL(name) args;                                                            \
	}                                                                                          \
	EXPORT ret name params                                                                     \
	{                                                                                          \
		return path_special(path) ? special_##name args : REAL(name) args;                 \
	}

NAME(int, mkdir, (const char *path, mode_t mode), (path, mode))
NAME(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
NAME(int, rmdir, (const char *path), (path))
NAME(int, chmod, (const char *path, mode_t mode), (path, mode))
NAME(int, fchmodat, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags))
NAME(int, chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
NAME(int, lchown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
NAME(int, fchownat, (int fd, const char *path, uid_t uid, gid_t gid, int flags),
     (fd, path, uid, gid, flags))
NAME(int, symlink, (const char *to, const char *path), (to, path))
NAME(int, symlinkat, (const char *to, int fd, const char *path), (to, fd, path))
NAME(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size),
     (path, name, value, size))
NAME(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size),
     (path, name, value, size))
NAME(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size))
NAME(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size))
NAME(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))

static __attribute__((noinline)) int special_chdir(const char *path)
{
	struct path p;
	int ret;

	if (!(path = path_use(path, &p)))
		return -1;
	ret = REAL(chdir)(path);
	if (!ret && p.kind == PATH_BPFFS)
		store_relaxed(&pin_tree_entered, 1);
	return ret;
}

EXPORT int chdir(const char *path)
{
	return path_special(path) ? special_chdir(path) : REAL(chdir)(path);
}

/* bpffs takes the call for any of its files and does nothing. */
static __attribute__((noinline)) int special_truncate(const char *path, off64_t size)
{
	struct stat st;
	struct path p;

	if (!(path = path_use(path, &p)))
		return -1;
	if (p.kind != PATH_BPFFS)
		return REAL(truncate64)(path, size);
	if (size < 0)
		return fail(EINVAL);
	if (REAL(stat)(path, &st))
		return -1;
	return S_ISDIR(st.st_mode) ? fail(EISDIR) : 0;
}

EXPORT int truncate64(const char *path, off64_t size)
{
	if (path_may_be_pin(path) && pin_tree_refuses(AT_FDCWD, path, 0))
		return 0;
	return path_special(path) ? special_truncate(path, size) : REAL(truncate64)(path, size);
}

EXPORT int truncate(const char *path, off_t size)
{
	return truncate64(path, size);
}

/* Removing a pin may end the life of its object. */
static __attribute__((noinline)) int special_unlinkat(int fd, const char *path, int flags)
{
	struct path p;

	if (!(path = path_use(path, &p)))
		return -1;
	if (p.kind == PATH_BPFFS && !flags)
		return edge(object_unpin(p.rest));
	return REAL(unlinkat)(fd, path, flags);
}

EXPORT int unlinkat(int fd, const char *path, int flags)
{
	if (path_special(path))
		return special_unlinkat(fd, path, flags);
	return REAL(unlinkat)(fd, path, flags);
}

EXPORT int unlink(const char *path)
{
	return path_special(path) ? special_unlinkat(AT_FDCWD, path, 0) : REAL(unlink)(path);
}

EXPORT int remove(const char *path)
{
	if (!path_special(path))
		return REAL(remove)(path);
	if (!special_unlinkat(AT_FDCWD, path, 0))
		return 0;
	return errno == EISDIR ? rmdir(path) : -1;
}

/* The object whose pin a rename is about to replace: -1 when there is none. */
static int replaced_object(const struct path *p, uint32_t *id)
{
	int fd, kind;

	if (p->kind != PATH_BPFFS)
		return -1;
	fd = raw_openat(AT_FDCWD, p->real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	kind = object_identify(fd, id, NULL, NULL);
	raw_close(fd);
	return kind;
}

#define RENAME_KEEPS_TARGET 3 /* RENAME_NOREPLACE | RENAME_EXCHANGE */

static __attribute__((noinline)) int special_rename(int from_fd, const char *from, int to_fd,
						    const char *to, unsigned int flags)
{
	struct path pf = {.kind = PATH_PLAIN}, pt = {.kind = PATH_PLAIN};
	int kind, ret;
	uint32_t id;

	if (path_special(from) && !(from = path_use(from, &pf)))
		return -1;
	if (path_special(to) && !(to = path_use(to, &pt)))
		return -1;
	/* Two file systems, to the client. */
	if ((pf.kind == PATH_BPFFS) != (pt.kind == PATH_BPFFS) && from[0] == '/' && to[0] == '/')
		return fail(EXDEV);
	kind = flags & RENAME_KEEPS_TARGET ? -1 : replaced_object(&pt, &id);
	ret = raw_renameat2(from_fd, from, to_fd, to, flags);
	if (!ret && kind >= 0)
		object_collect(kind, id);
	return edge(ret);
}

EXPORT int rename(const char *from, const char *to)
{
	if (path_special(from) || path_special(to))
		return special_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
	return REAL(rename)(from, to);
}

EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (path_special(from) || path_special(to))
		return special_rename(from_fd, from, to_fd, to, 0);
	return REAL(renameat)(from_fd, from, to_fd, to);
}

EXPORT int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	if (path_special(from) || path_special(to))
		return special_rename(from_fd, from, to_fd, to, flags);
	return REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

static __attribute__((noinline)) int special_link(int from_fd, const char *from, int to_fd,
						  const char *to, int flags)
{
	struct path pf = {.kind = PATH_PLAIN}, pt = {.kind = PATH_PLAIN};

	if (path_special(from) && !(from = path_use(from, &pf)))
		return -1;
	if (path_special(to) && !(to = path_use(to, &pt)))
		return -1;
	if ((pf.kind == PATH_BPFFS) != (pt.kind == PATH_BPFFS) && from[0] == '/' && to[0] == '/')
		return fail(EXDEV);
	return edge(raw_linkat(from_fd, from, to_fd, to, flags));
}

EXPORT int link(const char *from, const char *to)
{
	if (path_special(from) || path_special(to))
		return special_link(AT_FDCWD, from, AT_FDCWD, to, 0);
	return REAL(link)(from, to);
}

EXPORT int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	if (path_special(from) || path_special(to))
		return special_link(from_fd, from, to_fd, to, flags);
	return REAL(linkat)(from_fd, from, to_fd, to, flags);
}
