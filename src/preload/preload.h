/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libshmap.so: the libc and libbpf calls that BPF clients use, served by
 * shmap where they concern a BPF object, libc's otherwise. No map logic here.
 */
#ifndef SHMAP_PRELOAD_PRELOAD_H
#define SHMAP_PRELOAD_PRELOAD_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "preload/real.h"
#include "sys/sys.h"

#define EXPORT __attribute__((visibility("default")))

/* The edge: -errno becomes -1 and errno. */
static inline long edge(long ret)
{
	if (unlikely(ret < 0 && ret >= -4095)) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

/* The same as libbpf 1.x has it: -errno stays, with errno set. */
static inline int result(long ret)
{
	if (unlikely(ret < 0))
		errno = (int)-ret;
	return (int)ret;
}

/*
 * A struct that grows with its versions, to a caller that knows `size` bytes of it: what it
 * knows beyond ours is zero. 0 or -errno.
 */
static inline long give_struct(void *to, size_t size, const void *mine, size_t our_size)
{
	size_t known = size < our_size ? size : our_size;
	long err = size ? uaccess_copy(to, mine, known) : -EINVAL;

	return err ? err : uaccess_zero(uaccess_at(to, known), size - known);
}

/* Sets errno and gives -1. */
static inline long fail(int error)
{
	errno = error;
	return -1;
}

/*
 * What an fd number is, remembered so that a call on a file or a socket costs
 * one load. The memory of "ours" is checked again before it is acted upon.
 */
enum fd_class {
	FD_UNKNOWN,
	FD_PLAIN, /* not ours */
	FD_MAP,
	FD_EVENT, /* a perf event that programs write to */
	FD_OTHER, /* a program, BTF object or link */
};

enum fd_class fd_class_slow(int fd);
extern uint32_t fd_classes[];
#define FD_CLASSES 65536
#define FD_CLASS_MASK 7u

static inline enum fd_class fd_class(int fd)
{
	if (likely((unsigned int)fd < FD_CLASSES &&
		   (load_relaxed(&fd_classes[fd]) & FD_CLASS_MASK) == FD_PLAIN))
		return FD_PLAIN;
	return fd_class_slow(fd);
}

static inline bool fd_ours(int fd)
{
	return fd_class(fd) >= FD_MAP;
}

/* One of ours that poll(2) says more of than of a file. */
static inline bool fd_polls(int fd)
{
	enum fd_class class = fd_class(fd);

	return unlikely(class == FD_MAP || class == FD_EVENT);
}

/* The fd has just become one of ours, or may have. */
void fd_class_reset(int fd);
void fd_class_reset_range(unsigned int first, unsigned int last);

/* Before and after the call that closes or replaces fd. */
void fd_before_close(int fd);
void fd_after_close(int fd);

/* dup2(), dup3() and mmap() as programs have them: by their own names, calls from inside the
 * library go to wrap.c. */
int served_dup2(int from, int to);
int served_dup3(int from, int to, int flags);
void *served_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

/* fd is about to be closed: what stands for it in poll(2) and epoll(7). */
void standin_drop(int fd);
void poll_drop(int fd);
void watches_forget(int fd);

/* A time on CLOCK_MONOTONIC in ns; of now, and of a timeout (NULL: never ends). */
int64_t clock_now(void);
int64_t clock_until(const struct timespec *timeout);
/* What is left of it, but not more than most_ms. */
struct timespec clock_left(int64_t until, int64_t most_ms);

/*
 * Paths. Most are not ours: path_special() looks at two bytes. The rest are
 * resolved by path_resolve().
 */
enum path_kind {
	PATH_PLAIN,  /* libc's */
	PATH_BPFFS,  /* below /sys/fs/bpf: real is the path to use */
	PATH_FDINFO, /* /proc/self/fdinfo/FD */
	PATH_FDLINK, /* /proc/PID/fd/FD */
	PATH_MOUNTS, /* /proc/mounts and its like */
	PATH_TEXT,   /* a tracefs or sysfs file that text stands for */
	PATH_ERROR,  /* refused: error */
};

struct path {
	enum path_kind kind;
	int error;
	int fd;		  /* FDINFO, FDLINK */
	bool self;	  /* FDLINK: of this process */
	const char *rest; /* BPFFS: in real, what follows the tree's root */
	char real[PATH_MAX];
	char text[64];
};

static inline bool path_special(const char *path)
{
	/* No object is in the first page: NULL and its like are the kernel's EFAULT. */
	return unlikely((uintptr_t)path >= SHMAP_PAGE && path[0] == '/' &&
			(path[1] == 's' || path[1] == 'p' || path[1] == '/' || path[1] == '.'));
}

/*
 * Relative paths lead into the pin tree once a process has a directory of it
 * open or as its working directory: then opens are looked at first.
 */
extern uint32_t pin_tree_entered;

static inline bool path_may_be_pin(const char *path)
{
	return unlikely(load_relaxed(&pin_tree_entered)) && (uintptr_t)path >= SHMAP_PAGE &&
	       path[0] != '/';
}

enum path_kind path_resolve(const char *name, struct path *p);
/* For calls that take a path as it is: what to give libc; NULL and errno. */
const char *path_use(const char *name, struct path *p);
/* The other way: a path below the runtime directory's fs/ as the client knows
 * it. size bytes at out; false when it is not there. */
bool path_client_name(const char *real, char *out, size_t size);
/* The absolute path of the tree that stands for /sys/fs/bpf, or NULL. */
const char *path_bpffs(void);

/* What bpffs answers to open(2) of path: -errno, or 0 when it is no pin. */
int pin_tree_refuses(int dirfd, const char *path, int flags);

/* open(2) of a path that path_resolve() found not to be plain: fd or -errno. */
int special_open(const char *name, struct path *p, int flags, mode_t mode);

#endif
