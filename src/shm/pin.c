/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins: names of objects below fs/.
 *
 * A path is walked by hand, one component at a time and through no symlink, so
 * that no name leads out of fs/. As in the kernel's bpf file system, names
 * hold no dot.
 */
#include <limits.h>
#include <string.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/link.h"
#include "shm/object.h"

/* Opens the directory that path's last component stands in: an O_PATH fd, or
 * -errno; last gets that component. */
static int walk(const char *path, char *last)
{
	int dir, next, ret;

	ret = rundir_open();
	if (ret)
		return ret;
	dir = raw_openat(rundir_fs_fd(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return dir;
	for (;;) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		ret = -ENAMETOOLONG;
		if (len > NAME_MAX)
			break;
		memcpy(last, path, len);
		last[len] = '\0';
		path += len;
		ret = -EPERM;
		if (memchr(last, '.', len))
			break;
		ret = -EISDIR; /* fs/ itself */
		if (!len)
			break;
		if (!path[strspn(path, "/")])
			return dir;
		next = raw_openat(dir, last, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		raw_close(dir);
		if (next < 0)
			return next;
		dir = next;
	}
	raw_close(dir);
	return ret;
}

int object_pin(int fd, const char *path)
{
	char last[NAME_MAX + 1];
	struct object_trailer head;
	int dir, ret;

	ret = object_head(fd, &head);
	if (ret)
		return ret == -EBADF ? ret : -EINVAL;
	/* A new name takes a holder (collect.c); an fd of ours is one already. */
	ret = link_hold(fd);
	if (ret)
		return ret;
	dir = walk(path, last);
	if (dir < 0)
		return dir == -EISDIR ? -EEXIST : dir;
	ret = link_fd(fd, dir, last);
	raw_close(dir);
	return ret == -ENOSPC ? -ENOMEM : ret;
}

int object_open_pin(const char *path, int flags)
{
	char last[NAME_MAX + 1];
	struct object_trailer head;
	int dir, fd, ret;
	struct stat st;

	if (flags & ~O_ACCMODE || flags == O_ACCMODE)
		return -EINVAL;
	dir = walk(path, last);
	if (dir < 0)
		return dir == -EISDIR ? -EACCES : dir;
	/* A directory or a special file is not opened at all. */
	ret = raw_fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW);
	if (!ret && !S_ISREG(st.st_mode))
		ret = -EACCES;
	fd = ret ? ret : raw_openat(dir, last, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	raw_close(dir);
	if (fd < 0)
		return fd;
	ret = link_hold(fd);
	if (ret) {
		raw_close(fd);
		return ret;
	}
	ret = object_head(fd, &head);
	if (!ret && head.ready)
		return fd;
	raw_close(fd);
	if (!ret)
		object_collect(head.kind, head.id);
	return -EACCES; /* not one of ours; the kernel's answer */
}

int object_unpin(const char *path)
{
	char last[NAME_MAX + 1];
	struct object_trailer head;
	int dir, fd, ret, known = -1;

	dir = walk(path, last);
	if (dir < 0)
		return dir;
	/* Whose name it is, to be collected afterwards; the name goes in any case. */
	fd = raw_openat(dir, last, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd >= 0) {
		known = object_head(fd, &head);
		raw_close(fd);
	}
	ret = raw_unlinkat(dir, last, 0);
	raw_close(dir);
	if (!ret && !known)
		object_collect(head.kind, head.id);
	return ret;
}
