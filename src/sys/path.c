/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fs/ of the runtime directory stands in for /sys/fs/bpf. A path that leads to
 * either is turned into one relative to fs/, by its text: "." and ".." are
 * taken away without a look at what they pass through.
 */
#include "sys/path.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "shm/rundir.h"

#define BPFFS "/sys/fs/bpf"

/* The directory that relative paths start from. */
static int base_dir(int dirfd, char *out, size_t size)
{
	char proc[48];
	struct stat st;
	ssize_t n;

	if (dirfd == AT_FDCWD) {
		n = raw_getcwd(out, size);
		return n < 0 ? (int)n : 0;
	}
	if (raw_fstat(dirfd, &st))
		return -EBADF;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", dirfd);
	n = raw_readlinkat(AT_FDCWD, proc, out, size - 1);
	if (n < 0)
		return n;
	out[n] = '\0';
	return 0;
}

/* abs without ".", ".." and empty components; out has PATH_MAX bytes. */
static void normalize(const char *abs, char *out)
{
	size_t len = 0, n;

	for (; *abs; abs += n) {
		abs += strspn(abs, "/");
		n = strcspn(abs, "/");
		if (!n || (n == 1 && abs[0] == '.'))
			continue;
		if (n == 2 && abs[0] == '.' && abs[1] == '.') {
			while (len && out[--len] != '/')
				;
			continue;
		}
		out[len++] = '/';
		memcpy(out + len, abs, n);
		len += n;
	}
	out[len] = '\0';
}

/* What follows dir in path, without slashes before it; NULL when path is elsewhere. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (!n || strncmp(path, dir, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path + n + strspn(path + n, "/");
}

static const char *below_fs(const char *path)
{
	char dir[PATH_MAX], proc[48];
	const char *rest;
	ssize_t n;

	rest = below(path, BPFFS);
	if (rest || rundir_open())
		return rest;
	if (snprintf(dir, sizeof(dir), "%s/fs", rundir_path()) < (int)sizeof(dir))
		rest = below(path, dir);
	if (rest)
		return rest;
	/* the same, where a symlink is on the way to it */
	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", rundir_fs_fd());
	n = raw_readlinkat(AT_FDCWD, proc, dir, sizeof(dir) - 1);
	if (n <= 0)
		return NULL;
	dir[n] = '\0';
	return below(path, dir);
}

int pin_path_read(struct pin_path *p, const char *user, int dirfd)
{
	char text[PATH_MAX], plain[PATH_MAX];
	const char *rest;
	size_t base;
	long n;
	int err;

	n = uaccess_copy_string(text, user, sizeof(text));
	if (n < 0)
		return n == -E2BIG ? -ENAMETOOLONG : n;
	n = strlen(text);
	if (!n)
		return -ENOENT;
	p->slash = text[n - 1] == '/';
	if (text[0] == '/') {
		memcpy(p->abs, text, n + 1);
	} else {
		err = base_dir(dirfd, p->abs, sizeof(p->abs));
		if (err)
			return err;
		base = strlen(p->abs);
		if (base + 1 + n >= sizeof(p->abs))
			return -ENAMETOOLONG;
		p->abs[base] = '/';
		memcpy(p->abs + base + 1, text, n + 1);
	}
	normalize(p->abs, plain);
	rest = below_fs(plain);
	if (rest && (err = rundir_open()))
		return err;
	p->inside = rest;
	strcpy(p->rel, rest ? rest : "");
	return 0;
}

int pin_path_exists(const struct pin_path *p)
{
	struct stat st;
	int err;

	if (!p->inside)
		return raw_fstatat(AT_FDCWD, p->abs, &st, AT_SYMLINK_NOFOLLOW);
	err = raw_fstatat(rundir_fs_fd(), *p->rel ? p->rel : ".", &st, AT_SYMLINK_NOFOLLOW);
	if (!err && p->slash && !S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	return err;
}

/* The directory that is written before the last component. */
static int parent_exists(int dirfd, const char *path)
{
	char parent[PATH_MAX];
	struct stat st;
	size_t n = strlen(path);
	int err;

	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	memcpy(parent, path, n);
	parent[n] = '\0';
	if (!n)
		return 0;
	err = raw_fstatat(dirfd, parent, &st, 0);
	if (!err && !S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	return err;
}

int pin_path_check_new(const struct pin_path *p)
{
	char upto[PATH_MAX];
	const char *dot;
	size_t n;
	int err;

	if (!p->inside)
		return parent_exists(AT_FDCWD, p->abs);
	/* The first name with a dot is where the kernel's walk ends. */
	dot = strchr(p->rel, '.');
	if (!dot)
		return parent_exists(rundir_fs_fd(), p->rel);
	n = dot - p->rel;
	while (n && p->rel[n - 1] != '/')
		n--;
	memcpy(upto, p->rel, n);
	strcpy(upto + n, "x");
	err = parent_exists(rundir_fs_fd(), upto);
	return err ? err : -EPERM;
}
