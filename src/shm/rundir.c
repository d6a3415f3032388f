/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening the runtime directory.
 *
 * Several processes may make it at the same moment, and each may die at any
 * instruction. So every step is one that the next process repeats without
 * harm: directories are made with mkdir (EEXIST is success), files appear
 * complete, by linkat of an O_TMPFILE, or empty where empty is a valid state.
 * The layout file is made first: a directory without one has no objects that
 * anybody could misread.
 *
 * A process keeps directory fds, just below 1024, so that the numbers that a
 * program expects for its own files stay free. The program may still close or
 * replace them (close_range, dup2), so each use compares the inode with what was
 * opened and opens the path again when it differs.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/object.h"
#include "shm/rundir.h"

#define LAYOUT_TEXT "shmap-layout 1\n"

enum { DIR_TOP = OBJECT_KINDS, DIR_REF, DIR_FS, DIR_COUNT };

static const char *const dir_names[DIR_COUNT] = {
	[OBJECT_MAP] = "map",	[OBJECT_PROG] = "prog", [OBJECT_BTF] = "btf",
	[OBJECT_LINK] = "link", [OBJECT_PERF] = "perf", [DIR_TOP] = "",
	[DIR_REF] = "ref",	[DIR_FS] = "fs",
};

struct rundir {
	char path[PATH_MAX];
	struct rundir_ids *ids;
	struct {
		int fd;
		dev_t dev;
		ino_t ino;
	} dir[DIR_COUNT];
};

/* Written once, by compare-and-swap, when complete; never freed. No lock: a
 * fork in the middle of another thread's rundir_open() leaves nothing held. */
static struct rundir *rundir_current;

static __thread char rundir_message[PATH_MAX + 256];

const char *rundir_error(void)
{
	return rundir_message;
}

static int __attribute__((format(printf, 2, 3))) fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rundir_message, sizeof(rundir_message), fmt, ap);
	va_end(ap);
	return err;
}

const char *object_kind_name(enum object_kind kind)
{
	return (unsigned int)kind < OBJECT_KINDS ? dir_names[kind] : "?";
}

/* The absolute path of the runtime directory, without trailing slashes. */
static int choose_path(char *path, size_t size, bool *chosen_by_user)
{
	const char *env = secure_getenv("SHMAP_DIR");
	size_t len = 0;
	long n;

	*chosen_by_user = env && *env;
	if (!*chosen_by_user) {
		snprintf(path, size, "/dev/shm/shmap-%u", (unsigned int)raw_geteuid());
		return 0;
	}
	if (*env != '/') {
		n = raw_getcwd(path, size - 1);
		if (n < 0)
			return fail((int)n,
				    "SHMAP_DIR=%s is relative and the working directory cannot be "
				    "read (%s): use an absolute path",
				    env, strerror((int)-n));
		len = n - 1; /* the kernel counts the NUL */
		path[len++] = '/';
	}
	/* room for "/link/2147483647" and the like below it */
	if (len + strlen(env) + 64 > size)
		return fail(-ENAMETOOLONG, "SHMAP_DIR is too long (%zu bytes): use a shorter path",
			    strlen(env));
	strcpy(path + len, env);
	for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	return 0;
}

/* Moves fd to the end of the usual numbers, below 1024 or the limit; keeps it
 * where that fails. */
static int move_up(int fd)
{
	struct rlimit lim = {.rlim_cur = 1024};
	int up;

	raw_prlimit(0, RLIMIT_NOFILE, NULL, &lim);
	/* Not higher: a fork copies the table up to the highest open fd. */
	if (lim.rlim_cur > 1024)
		lim.rlim_cur = 1024;
	up = raw_fcntl(fd, F_DUPFD_CLOEXEC, lim.rlim_cur > 64 ? (long)lim.rlim_cur - 40 : 0);
	if (up < 0)
		return fd;
	raw_close(fd);
	return up;
}

static int open_top(struct rundir *r, bool chosen_by_user)
{
	/* Below sticky /dev/shm another user may have put a symlink in our name;
	 * a link in a path that the user chose is the user's own business. */
	int nofollow = chosen_by_user ? 0 : O_NOFOLLOW;
	const char *path = r->path;
	struct statfs fs;
	struct stat st;
	bool made = false;
	int fd, ret;

	ret = raw_mkdirat(AT_FDCWD, path, 0700);
	if (!ret)
		made = true;
	else if (ret != -EEXIST && ret != -EROFS && ret != -EACCES)
		return fail(ret, "cannot make the runtime directory %s: %s", path, strerror(-ret));
	fd = raw_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC | nofollow, 0);
	if (fd == -ENOENT && (ret == -EROFS || ret == -EACCES))
		return fail(ret,
			    "cannot make the runtime directory %s: %s: set SHMAP_DIR to a "
			    "directory on tmpfs that you may write to",
			    path, strerror(-ret));
	if (fd < 0)
		return fail(fd, "cannot open the runtime directory %s: %s", path, strerror(-fd));

	ret = raw_fstat(fd, &st);
	if (!ret)
		ret = raw_fstatfs(fd, &fs);
	if (ret < 0) {
		fail(ret, "cannot examine the runtime directory %s: %s", path, strerror(-ret));
		goto refuse;
	}
	if (fs.f_type != TMPFS_MAGIC) {
		ret = fail(-EOPNOTSUPP,
			   "the runtime directory %s is not on tmpfs: set SHMAP_DIR to a directory "
			   "below /dev/shm",
			   path);
		goto refuse;
	}
	if (st.st_uid != raw_geteuid()) {
		ret = fail(-EACCES,
			   "the runtime directory %s belongs to user %u, not to user %u: set "
			   "SHMAP_DIR to a directory of your own",
			   path, st.st_uid, (unsigned int)raw_geteuid());
		goto refuse;
	}
	if (st.st_mode & 022) {
		ret = fail(-EACCES,
			   "the runtime directory %s is writable by other users (mode %03o): run "
			   "chmod 700 on it, or set SHMAP_DIR to another one",
			   path, st.st_mode & 0777);
		goto refuse;
	}
	r->dir[DIR_TOP].fd = fd;
	r->dir[DIR_TOP].dev = st.st_dev;
	r->dir[DIR_TOP].ino = st.st_ino;
	return 0;

refuse:
	raw_close(fd);
	if (made)
		raw_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
	return ret;
}

/* Why a step inside the directory failed, in a sentence. */
static int fail_inside(const struct rundir *r, int err, const char *name)
{
	if (err == -ENOSPC || err == -ENOMEM)
		return fail(-ENOMEM, "no room for %s/%s: the tmpfs is full", r->path, name);
	if (err == -EACCES || err == -EPERM || err == -EROFS)
		return fail(err,
			    "cannot write to the runtime directory %s: make it yours and writable "
			    "(mode 700), or set SHMAP_DIR to another one",
			    r->path);
	return fail(err, "cannot use %s/%s: %s", r->path, name, strerror(-err));
}

/*
 * Opens name, a file of size bytes; when it is missing, makes one that holds
 * text and zeros. Made unnamed and linked complete: who dies before the link
 * leaves nothing, and who loses the race to link takes the winner's file.
 */
static int open_complete(int top, const char *name, const char *text, size_t size)
{
	char proc[48];
	int fd, ret;

	for (int tries = 0; tries < 16; tries++) {
		fd = raw_openat(top, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
		if (fd != -ENOENT)
			return fd;
		fd = raw_openat(top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			return fd;
		ret = raw_fallocate(fd, 0, 0, size);
		if (!ret && *text)
			ret = raw_pwrite(fd, text, strlen(text), 0) < 0 ? -EIO : 0;
		if (!ret) {
			snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", fd);
			ret = raw_linkat(AT_FDCWD, proc, top, name, AT_SYMLINK_FOLLOW);
		}
		if (!ret)
			return fd;
		raw_close(fd);
		if (ret != -EEXIST)
			return ret;
	}
	return -ELOOP; /* it comes and goes: somebody removes it as fast */
}

static int check_layout(struct rundir *r)
{
	char text[64] = "";
	ssize_t n;
	int fd;

	fd = open_complete(r->dir[DIR_TOP].fd, "layout", LAYOUT_TEXT, strlen(LAYOUT_TEXT));
	if (fd < 0)
		return fail_inside(r, fd, "layout");
	n = raw_pread(fd, text, sizeof(text) - 1, 0);
	raw_close(fd);
	if (n < 0)
		return fail_inside(r, (int)n, "layout");
	text[n] = '\0';
	if (strcmp(text, LAYOUT_TEXT)) {
		text[strcspn(text, "\n")] = '\0';
		for (char *p = text; *p; p++)
			*p = *p < ' ' || *p > '~' ? '?' : *p;
		return fail(
			-EPROTO,
			"the runtime directory %s has the layout '%s', this shmap uses "
			"'%.*s': end the programs that use it and remove it, or set SHMAP_DIR to "
			"another one",
			r->path, text, (int)strlen(LAYOUT_TEXT) - 1, LAYOUT_TEXT);
	}
	return 0;
}

static int open_dir(struct rundir *r, int which)
{
	const char *name = dir_names[which];
	int top = r->dir[DIR_TOP].fd, fd, ret;
	struct stat st;

	ret = raw_mkdirat(top, name, 0700);
	if (ret && ret != -EEXIST)
		return fail_inside(r, ret, name);
	fd = raw_openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return fail_inside(r, fd, name);
	ret = raw_fstat(fd, &st);
	if (ret) {
		raw_close(fd);
		return fail_inside(r, ret, name);
	}
	r->dir[which].fd = move_up(fd);
	r->dir[which].dev = st.st_dev;
	r->dir[which].ino = st.st_ino;
	return 0;
}

static int open_ids(struct rundir *r)
{
	struct stat st;
	void *p;
	int fd, ret;

	fd = open_complete(r->dir[DIR_TOP].fd, "ids", "", SHMAP_PAGE);
	if (fd < 0)
		return fail_inside(r, fd, "ids");
	ret = raw_fstat(fd, &st);
	if (!ret && (!S_ISREG(st.st_mode) || st.st_size < (off_t)SHMAP_PAGE)) {
		raw_close(fd);
		return fail(-EPROTO,
			    "%s/ids is damaged: end the programs that use it and remove %s",
			    r->path, r->path);
	}
	p = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	raw_close(fd);
	if (ret || raw_is_error(p))
		return fail_inside(r, ret ? ret : (int)(intptr_t)p, "ids");
	r->ids = p;
	return 0;
}

static void discard(struct rundir *r)
{
	for (int i = 0; i < DIR_COUNT; i++)
		if (r->dir[i].fd >= 0)
			raw_close(r->dir[i].fd);
	if (r->ids)
		raw_munmap(r->ids, SHMAP_PAGE);
	raw_munmap(r, sizeof(*r));
}

/* The name of what fd shows, without symlinks and "..". */
static void canonical_path(struct rundir *r)
{
	char proc[48], path[PATH_MAX];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", r->dir[DIR_TOP].fd);
	n = raw_readlinkat(AT_FDCWD, proc, path, sizeof(path) - 1);
	if (n > 0 && path[0] == '/' && n < (ssize_t)sizeof(path) - 64) {
		path[n] = '\0';
		strcpy(r->path, path);
	}
}

int rundir_open(void)
{
	struct rundir *r, *none = NULL;
	bool chosen_by_user;
	int ret;

	if (load_acquire(&rundir_current))
		return 0;
	r = raw_mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(r))
		return fail(-ENOMEM, "out of memory");
	for (int i = 0; i < DIR_COUNT; i++)
		r->dir[i].fd = -1;
	ret = choose_path(r->path, sizeof(r->path), &chosen_by_user);
	if (!ret)
		ret = open_top(r, chosen_by_user);
	if (!ret)
		ret = check_layout(r);
	for (int i = 0; !ret && i < DIR_COUNT; i++)
		if (i != DIR_TOP)
			ret = open_dir(r, i);
	if (!ret)
		ret = open_ids(r);
	if (ret) {
		discard(r);
		return ret;
	}
	canonical_path(r);
	r->dir[DIR_TOP].fd = move_up(r->dir[DIR_TOP].fd);
	/* Releases the contents to whoever loads it with acquire. */
	if (!cas_seq_cst(&rundir_current, &none, r)) {
		discard(r);
		return 0;
	}
	object_collect_all(); /* what processes left that died as the last ones here */
	return 0;
}

/* Empty is a valid state: who uses the file sizes it, in any process. */
int rundir_open_shared(const char *name)
{
	int dir = rundir_fd();

	if (dir < 0)
		return dir;
	return raw_openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int rundir_share(const char *name, uint64_t size, uint64_t filled, uint64_t skip, void **where)
{
	void *base, *none = NULL;
	struct stat st;
	int fd, err;

	err = rundir_open();
	if (err)
		return err;
	fd = rundir_open_shared(name);
	if (fd < 0)
		return fd;
	err = raw_fstat(fd, &st);
	/* Grows, the same in each process; never shrinks what another one sized. */
	if (!err && (uint64_t)st.st_size < size)
		err = raw_ftruncate(fd, (off_t)size);
	/* A hole in a full tmpfs would be a SIGBUS. */
	if (!err)
		err = raw_fallocate(fd, 0, 0, (off_t)filled);
	base = err ? NULL : raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	raw_close(fd);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	if (raw_is_error(base))
		return (int)(intptr_t)base;
	/* pairs with load_acquire() of who looks whether it is mapped */
	if (!cas_seq_cst(where, &none, (void *)((uint8_t *)base + skip)))
		raw_munmap(base, size); /* another thread was first */
	return 0;
}

/* The fd of a directory, opened anew when the program has closed or replaced it. */
static int dir_fd(int which)
{
	struct rundir *r = load_acquire(&rundir_current);
	char path[PATH_MAX + 8];
	struct stat st;
	int fd;

	if (!r)
		return -EBADF;
	fd = load_relaxed(&r->dir[which].fd);
	if (!raw_fstat(fd, &st) && st.st_ino == r->dir[which].ino && st.st_dev == r->dir[which].dev)
		return fd;
	snprintf(path, sizeof(path), "%s/%s", r->path, dir_names[which]);
	fd = raw_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	fd = move_up(fd);
	if (raw_fstat(fd, &st) || st.st_ino != r->dir[which].ino ||
	    st.st_dev != r->dir[which].dev) {
		raw_close(fd);
		return -ENOENT; /* the directory was removed, perhaps made anew */
	}
	/* Two threads may come here at once: the loser's fd stays open, once. */
	store_relaxed(&r->dir[which].fd, fd);
	return fd;
}

const char *rundir_path(void)
{
	struct rundir *r = load_acquire(&rundir_current);

	return r ? r->path : "";
}

int rundir_fd(void)
{
	return dir_fd(DIR_TOP);
}

int rundir_kind_fd(enum object_kind kind)
{
	return (unsigned int)kind < OBJECT_KINDS ? dir_fd(kind) : -EINVAL;
}

int rundir_ref_fd(void)
{
	return dir_fd(DIR_REF);
}

int rundir_fs_fd(void)
{
	return dir_fd(DIR_FS);
}

struct rundir_ids *rundir_ids(void)
{
	struct rundir *r = load_acquire(&rundir_current);

	return r ? r->ids : NULL;
}
