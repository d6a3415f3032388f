/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening what path_resolve() found: entries of the pin tree, and small texts
 * that stand for files of /proc and /sys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "preload/preload.h"

/* A read-only fd of a file with these contents, or -errno. */
static int open_text(const char *text, size_t len, int flags)
{
	char path[32];
	int fd, ro;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_TRUNC | O_DIRECTORY))
		return flags & O_DIRECTORY ? -ENOTDIR : -EACCES;
	fd = raw_syscall2(SYS_memfd_create, "shmap-text", MFD_CLOEXEC);
	if (fd < 0)
		return fd;
	if (raw_syscall3(SYS_write, fd, text, len) != (long)len) {
		raw_close(fd);
		return -ENOMEM;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = raw_openat(AT_FDCWD, path, O_RDONLY | (flags & O_CLOEXEC), 0);
	raw_close(fd);
	return ro;
}

/*
 * bpffs makes no files by open(2) and opens none: EACCES and EIO. So no client
 * gets an fd on an object by its path, with which it could damage it.
 */
static int open_bpffs(const char *real, int flags, mode_t mode)
{
	struct stat st;
	int fd, ret;

	if ((flags & __O_TMPFILE) == __O_TMPFILE)
		return -EOPNOTSUPP;
	fd = raw_openat(AT_FDCWD, real, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW), 0);
	if (fd == -ENOENT && flags & O_CREAT)
		return -EACCES;
	if (fd < 0)
		return fd;
	ret = raw_fstat(fd, &st);
	raw_close(fd);
	if (ret < 0)
		return ret;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (S_ISDIR(st.st_mode))
		store_relaxed(&pin_tree_entered, 1);
	if (!S_ISREG(st.st_mode) || flags & O_PATH)
		return raw_openat(AT_FDCWD, real, flags & ~(O_CREAT | O_TRUNC), mode);
	return flags & O_DIRECTORY ? -ENOTDIR : -EIO;
}

uint32_t pin_tree_entered;

/* Is the file behind an O_PATH fd below the pin tree? */
static bool below_pin_tree(int fd)
{
	char link[32], target[PATH_MAX], name[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = raw_readlinkat(AT_FDCWD, link, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	return path_client_name(target, name, sizeof(name));
}

int pin_tree_refuses(int dirfd, const char *path, int flags)
{
	int fd, ret = 0, nofollow = flags & O_NOFOLLOW;
	struct stat st;

	if (flags & O_PATH)
		return 0;
	fd = raw_openat(dirfd, path, O_PATH | O_CLOEXEC | nofollow, 0);
	if (fd == -ENOENT && flags & O_CREAT && !strchr(path, '/')) {
		fd = raw_openat(dirfd, ".", O_PATH | O_CLOEXEC, 0);
		if (fd >= 0 && below_pin_tree(fd))
			ret = -EACCES;
	} else if (fd >= 0 && !raw_fstat(fd, &st) && S_ISREG(st.st_mode) && below_pin_tree(fd)) {
		ret = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : -EIO;
	}
	if (fd >= 0)
		raw_close(fd);
	return ret;
}

/* The working directory that exec left us: in some runtime directory's fs/? */
__attribute__((constructor)) static void look_at_cwd(void)
{
	char cwd[PATH_MAX], name[PATH_MAX];
	const char *fs;
	ssize_t n = raw_getcwd(cwd, sizeof(cwd));

	/* A guess first: no runtime directory is made for everybody's sake. */
	if (n > 0 && (fs = strstr(cwd, "/fs")) && (!fs[3] || fs[3] == '/') &&
	    path_client_name(cwd, name, sizeof(name)))
		store_relaxed(&pin_tree_entered, 1);
}

static int open_fdinfo(const char *name, int fd, int flags, mode_t mode)
{
	char text[4096];
	long n;

	if (!fd_ours(fd))
		return raw_openat(AT_FDCWD, name, flags, mode);
	n = fd_fdinfo(fd, text, sizeof(text));
	if (n < 0)
		return n == -EINVAL ? raw_openat(AT_FDCWD, name, flags, mode) : (int)n;
	return open_text(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, flags);
}

/* The kernel's table of mounts, with a bpffs where we serve one. */
static int open_mounts(const char *name, int flags, mode_t mode)
{
	static const char ours[] =
		"bpf /sys/fs/bpf bpf rw,nosuid,nodev,noexec,relatime,mode=700 0 0\n";
	size_t size = 1 << 16, len = 0;
	char *text;
	long n = 0;
	int fd;

	fd = raw_openat(AT_FDCWD, name, flags, mode);
	if (fd < 0 || (flags & O_ACCMODE) != O_RDONLY || flags & (O_PATH | O_DIRECTORY))
		return fd;
	text = malloc(size);
	while (text && (n = raw_read(fd, text + len, size - len - sizeof(ours))) > 0) {
		len += n;
		if (size - len <= 2 * sizeof(ours)) {
			char *more = realloc(text, size *= 2);

			if (!more)
				free(text);
			text = more;
		}
	}
	/* Without memory, or with a real bpffs in place: the kernel's own. */
	if (text && n == 0) {
		text[len] = '\0';
		if (!strstr(text, " /sys/fs/bpf bpf ")) {
			memcpy(text + len, ours, sizeof(ours));
			n = open_text(text, len + sizeof(ours) - 1, flags);
			if (n >= 0) {
				raw_close(fd);
				free(text);
				return n;
			}
		}
	}
	free(text);
	raw_syscall3(SYS_lseek, fd, 0, SEEK_SET);
	return fd;
}

int special_open(const char *name, struct path *p, int flags, mode_t mode)
{
	switch (p->kind) {
	case PATH_BPFFS:
		return open_bpffs(p->real, flags, mode);
	case PATH_FDINFO:
		return open_fdinfo(name, p->fd, flags, mode);
	case PATH_MOUNTS:
		return open_mounts(name, flags, mode);
	case PATH_TEXT:
		return open_text(p->text, strlen(p->text), flags);
	case PATH_ERROR:
		return -p->error;
	case PATH_FDLINK:
		/* An anon_inode cannot be opened by its link in /proc. */
		if (p->self && fd_ours(p->fd) && !(flags & O_PATH))
			return -ENXIO;
		break;
	case PATH_PLAIN:
		break;
	}
	return raw_openat(AT_FDCWD, name, flags, mode);
}
