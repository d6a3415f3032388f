/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that walk directories or follow links. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/preload.h"

static __attribute__((noinline)) DIR *special_opendir(const char *path)
{
	struct path p;

	if (!(path = path_use(path, &p)))
		return NULL;
	if (p.kind == PATH_BPFFS)
		store_relaxed(&pin_tree_entered, 1);
	return REAL(opendir)(path);
}

EXPORT DIR *opendir(const char *path)
{
	return path_special(path) ? special_opendir(path) : REAL(opendir)(path);
}

/*
 * nftw(3) reports names: those of the client. Its callback has no argument,
 * so the client's is kept per thread; walks nest.
 */
static __thread __nftw_func_t walk_fn __attribute__((tls_model("initial-exec")));

static int walk_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct FTW as_client = *ftw;
	char name[PATH_MAX];
	struct stat copy = *st;

	if (!path_client_name(path, name, sizeof(name)))
		return walk_fn(path, st, type, ftw);
	if (S_ISREG(copy.st_mode)) {
		copy.st_size = 0;
		copy.st_blocks = 0;
		copy.st_nlink = 1;
	}
	as_client.base -= (int)strlen(path) - (int)strlen(name);
	return walk_fn(name, &copy, type, &as_client);
}

static __attribute__((noinline)) int special_nftw(const char *path, __nftw_func_t fn, int fds,
						  int flags)
{
	__nftw_func_t outer = walk_fn;
	struct path p;
	int ret;

	if (!(path = path_use(path, &p)))
		return -1;
	if (p.kind != PATH_BPFFS)
		return REAL(nftw)(path, fn, fds, flags);
	walk_fn = fn;
	ret = REAL(nftw)(path, walk_entry, fds, flags);
	walk_fn = outer;
	return ret;
}

EXPORT int nftw(const char *path, __nftw_func_t fn, int fds, int flags)
{
	return path_special(path) ? special_nftw(path, fn, fds, flags)
				  : REAL(nftw)(path, fn, fds, flags);
}

/* struct stat and struct stat64 are one on 64-bit machines. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "nftw64 wants its own walk_entry");

EXPORT int nftw64(const char *path, __nftw64_func_t fn, int fds, int flags)
{
	return path_special(path) ? special_nftw(path, (__nftw_func_t)fn, fds, flags)
				  : REAL(nftw64)(path, fn, fds, flags);
}

static __attribute__((noinline)) char *special_realpath(const char *path, char *out)
{
	char resolved[PATH_MAX], name[PATH_MAX];
	struct path p;

	if (!(path = path_use(path, &p)))
		return NULL;
	if (p.kind != PATH_BPFFS)
		return REAL(realpath)(path, out);
	if (!REAL(realpath)(path, resolved))
		return NULL;
	if (!path_client_name(resolved, name, sizeof(name)))
		strcpy(name, resolved);
	return out ? strcpy(out, name) : strdup(name);
}

EXPORT char *realpath(const char *path, char *out)
{
	return path_special(path) ? special_realpath(path, out) : REAL(realpath)(path, out);
}

EXPORT char *__realpath_chk(const char *path, char *out, size_t size)
{
	if (path_special(path) && size >= PATH_MAX)
		return special_realpath(path, out);
	return REAL(__realpath_chk)(path, out, size);
}

EXPORT char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

/* How the kernel names its BPF fds in /proc/PID/fd. */
static const char *link_text(int kind, uint32_t id)
{
	/* a perf event that a program is attached through: sys/perf.c */
	if (kind == OBJECT_LINK && !id)
		return "anon_inode:[perf_event]";
	switch (kind) {
	case OBJECT_MAP:
		return "anon_inode:bpf-map";
	case OBJECT_PROG:
		return "anon_inode:bpf-prog";
	case OBJECT_BTF:
		return "anon_inode:btf";
	case OBJECT_LINK:
		return "anon_inode:bpf_link";
	case OBJECT_PERF:
		return "anon_inode:[perf_event]";
	default:
		return NULL;
	}
}

/* Another process's fd: looked at when its file is in our runtime directory. */
static int foreign_kind(const char *link, const char *target, size_t len, uint32_t *id)
{
	const char *tree = path_bpffs();
	size_t root = tree ? strlen(tree) - strlen("fs") : 0;
	int fd, kind;

	if (!tree || len < root || memcmp(target, tree, root))
		return -ENOENT;
	fd = raw_openat(AT_FDCWD, link, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	kind = object_identify(fd, id, NULL, NULL);
	raw_close(fd);
	return kind;
}

/* readlink(2) of a special path; 0: libc's is right. */
static __attribute__((noinline)) ssize_t special_readlink(const char *path, char *buf, size_t size)
{
	char target[PATH_MAX];
	const char *text;
	uint32_t id = 0;
	int kind = -1;
	struct path p;
	ssize_t n;

	path_resolve(path, &p);
	switch (p.kind) {
	case PATH_ERROR:
		return fail(p.error);
	case PATH_BPFFS:
		return edge(raw_readlinkat(AT_FDCWD, p.real, buf, size));
	case PATH_FDLINK:
		break;
	default:
		return 0;
	}
	if (p.self) {
		if (fd_ours(p.fd))
			kind = fd_identify(p.fd, &id);
	} else {
		n = raw_readlinkat(AT_FDCWD, path, target, sizeof(target));
		if (n > 0)
			kind = foreign_kind(path, target, n, &id);
	}
	text = link_text(kind, id);
	if (!text || !size)
		return 0;
	n = strlen(text);
	if ((size_t)n > size)
		n = size;
	memcpy(buf, text, n);
	return n;
}

#define READLINK(name, params, args)                                                               \
	EXPORT ssize_t name params                                                                 \
	{                                                                                          \
		ssize_t n;                                                                         \
                                                                                                   \
		if (path_special(path) && (n = special_readlink(path, buf, size)))                 \
			return n;                                                                  \
		return REAL(name) args;                                                            \
	}

READLINK(readlink, (const char *path, char *buf, size_t size), (path, buf, size))
READLINK(readlinkat, (int fd, const char *path, char *buf, size_t size), (fd, path, buf, size))
READLINK(__readlink_chk, (const char *path, char *buf, size_t size, size_t room),
	 (path, buf, size, room))
READLINK(__readlinkat_chk, (int fd, const char *path, char *buf, size_t size, size_t room),
	 (fd, path, buf, size, room))
