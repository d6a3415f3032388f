/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap: the BPF map subsystem in user space.
 *
 * Maps and programs are used through <bpf/bpf.h>, <bpf/libbpf.h> and bpf(2):
 * a program linked with -lshmap -lbpf, or started by `shmap exec`, is served by
 * shmap; the same program without it, by the kernel. This header holds what
 * the kernel does not have.
 *
 * Environment:
 *   SHMAP_DIR     the runtime directory; default /dev/shm/shmap-UID. Processes
 *                 with the same one share maps, programs and pins.
 *   SHMAP_BPFFS   "kernel": paths below /sys/fs/bpf are the kernel's, not the
 *                 pins in the runtime directory.
 */
#ifndef SHMAP_H
#define SHMAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Functions beside libbpf's and libc's are weak: a program can ask whether they are
 * there, and runs on the kernel without them. */
#ifdef SHMAP_BUILD
#define SHMAP_WEAK
#else
#define SHMAP_WEAK __attribute__((weak))
#endif

#define SHMAP_VERSION_MAJOR 0
#define SHMAP_VERSION_MINOR 1
#define SHMAP_VERSION_PATCH 0
#define SHMAP_VERSION "0.1.0"

/*
 * The version of the library that serves this process, "MAJOR.MINOR.PATCH".
 * Declared weak, so that a program can ask whether it is there at all:
 *
 *	if (shmap_version)
 *		printf("on shmap %s\n", shmap_version());
 */
const char *shmap_version(void) SHMAP_WEAK;

/*
 * What a map has counted since it was made. What a type does not have is 0: see
 * shmap(7) for what each type counts.
 *
 * The counts are of all processes together. Each is one that was true at some moment
 * during the call; they are not of one moment. A process that is killed inside an
 * operation may have done it without counting it: evictions, failed and lost may then be
 * one too small. entries is exact, but for BLOOM_FILTER.
 */
struct shmap_map_stats {
	uint64_t entries;   /* that are there now */
	uint64_t evictions; /* that gave way to new ones */
	uint64_t failed;    /* updates refused because the map was full */
	uint64_t lost;	    /* records that a ring buffer had no room for */
};

/*
 * Fills *stats, without walking the map, for an fd of a map with any access. size is
 * sizeof(struct shmap_map_stats) as the caller knows it: a shorter one gets as much as fits,
 * and what a longer one has beyond is set to 0.
 *
 * 0; or, with errno set:
 *   -EBADF       no open fd
 *   -EINVAL      not a map; size is 0
 *   -EOPNOTSUPP  a type of map that counts nothing
 *   -EFAULT      stats is a bad pointer
 *   -EIO         the map's file is damaged
 *
 * The same figures are lines of /proc/self/fdinfo/FD. The kernel has neither.
 */
int shmap_map_stats(int fd, struct shmap_map_stats *stats, size_t size) SHMAP_WEAK;

/*
 * Exclusive access to a map's contents, between threads and processes.
 *
 * While a thread has the map locked, other threads' updates and deletes through bpf(2), of this
 * process and of all others, wait; helpers of programs that change the map return -EBUSY;
 * reads go on and see the changes as they are made. Stores through mmap(2) and through pointers
 * that a program has looked up are not kept out: for those the lock is a convention.
 *
 * The lock is the calling thread's, until it unlocks or ends; closing the fd does not unlock,
 * any fd of the map that may write does. A forked child does not have it. A thread may have
 * several maps locked: in which order is its business. Waiters sleep, and get the lock in the
 * order in which they came; one that is stopped is passed over until it goes on.
 *
 * flags: 0 or SHMAP_LOCK_TRY: does not wait. timeout_ns: nanoseconds from now; UINT64_MAX: for
 * ever.
 *
 *   0
 *   -EOWNERDEAD  the lock is the caller's, and somebody died while it had it: the contents
 *                may be what it left half done. Put them right, then call
 *                bpf_map_lock_consistent(); until then everyone who locks is told so. Updates
 *                through bpf(2) go on as ever: each is whole.
 *   -EDEADLK     the thread has it already
 *   -EBUSY       SHMAP_LOCK_TRY, and somebody else has it. Or: called in a signal handler that
 *                came on top of a map operation; or a thread that was in the middle of an
 *                update when the lock was taken has been stopped for ten seconds
 *   -ETIMEDOUT
 *   -EPERM       the fd may not write. Unlock, consistent: the lock is not the caller's
 *   -EBADF, -EINVAL  no map; unknown flags; consistent: there is nothing to declare
 *   -ENOMEM      no room in the runtime directory
 *   -EOPNOTSUPP  the kernel has no membarrier(2)
 *
 * Not async-signal-safe. A thread that dies at any instruction of these functions has locked
 * or not, has unlocked or not. A map that has been locked once is changed a little more slowly
 * ever after: its writers pay for a full fence.
 */
#define SHMAP_LOCK_TRY 1U

int bpf_map_lock(int fd, uint64_t flags) SHMAP_WEAK;
int bpf_map_lock_timed(int fd, uint64_t flags, uint64_t timeout_ns) SHMAP_WEAK;
int bpf_map_unlock(int fd, uint64_t flags) SHMAP_WEAK;
int bpf_map_lock_consistent(int fd) SHMAP_WEAK;

/*
 * What is to be seen of a map's lock, by any fd of it; figures as of shmap_map_stats(): true at
 * some moment of the call each. Looking changes nothing.
 */
struct shmap_lock_info {
	uint64_t takes;	  /* how often it was taken */
	uint64_t waits;	  /* how often somebody had to wait: lockers, and updates through bpf(2) */
	uint64_t passed;  /* how many had it between the calling thread's taking its place in
			   * the queue and its turn, the last time it waited for any lock */
	uint32_t waiting; /* threads, now */
	uint32_t owner;	  /* thread id; 0: free */
	uint32_t died;	  /* 1: bpf_map_lock_consistent() is due */
	uint32_t pad;
};

/* 0; -EBADF, -EINVAL, -EFAULT. size as for shmap_map_stats(). */
int shmap_lock_info(int fd, struct shmap_lock_info *info, size_t size) SHMAP_WEAK;

/*
 * Notification: a handler runs after a map's contents have changed, whoever changed them, in
 * whatever process, and however:
 *
 *   SHMAP_CHANGE_UPDATE  of key, through bpf(2) or a program's helper; a push
 *   SHMAP_CHANGE_DELETE  likewise; a pop
 *   SHMAP_CHANGE_STORE   in [offset, offset + length) of the values, by a plain store through an
 *                        mmap(2) of a BPF_F_MMAPABLE array; in pages of memory
 *   SHMAP_CHANGE_RUN     a program ended that stores to values through pointers
 *   SHMAP_CHANGE_MANY    changes that came faster than they were taken, a batch; or somebody died
 *                        in the middle of one: look at the map
 *
 * After each change there is a call of the handler; one may stand for several changes, and
 * the one after the last change always comes. What it finds in the map is at least as new as
 * the change. key is there where it is known. Calls for changes that were none are possible:
 * for STORE and RUN something may have been written that was there already.
 *
 * A writer is never slowed by a listener that is slow, stopped or dead: it leaves its notice and
 * goes on. As long as nobody has listened to a map, its writers do not even that.
 *
 * Raw stores are looked for about every 0.6 ms where somebody has the values mapped for
 * writing. Other changes wake the listener at once.
 */
enum shmap_change {
	SHMAP_CHANGE_UPDATE = 1,
	SHMAP_CHANGE_DELETE,
	SHMAP_CHANGE_STORE,
	SHMAP_CHANGE_RUN,
	SHMAP_CHANGE_MANY,
};

struct shmap_event {
	uint32_t map_id;
	uint32_t kind;	       /* enum shmap_change */
	const void *key;       /* key_size bytes, valid until the handler returns or the next
				* event is read; NULL: not known */
	uint32_t key_size;     /* bytes; 0 without key */
	uint32_t pad;
	uint64_t offset, length; /* bytes; STORE only */
	uint64_t changes;      /* how many this stands for, at least */
	void *ctx;	       /* of shmap_notify_opts */
};

struct shmap_notify_opts {
	size_t sz;	 /* sizeof(struct shmap_notify_opts) */
	void *ctx;	 /* handed to the handler, in the event */
	const void *key; /* only changes of this key's element; NULL: all. Changes of unknown
			  * keys count when the value is another than it was at the last look */
};

/*
 * Calls handler(event), event being a const struct shmap_event *, in a thread of the library's
 * (one for all handlers of the process, with all signals blocked), until it is removed or the
 * process ends; changes after the return are noticed. The fd may be closed meanwhile. A forked
 * child has no handlers. A handle greater than 0; or, with errno set:
 *
 *   -EBADF, -EINVAL  no map; no handler; opts of another size; a key, and the map has none
 *   -EPERM       the fd may not read and write
 *   -EFAULT      opts, key
 *   -ENOSPC      48 processes listen to this map already, or the process has 1024 listeners
 *   -ENOMEM
 *   -EOPNOTSUPP  the kernel has no membarrier(2)
 */
int bpf_map_notify(int fd, void (*handler)(void *ctx)) SHMAP_WEAK;
int shmap_notify(int fd, void (*handler)(void *ctx), const struct shmap_notify_opts *opts) SHMAP_WEAK;
/* After it has returned the handler does not run and will not again; a handler may remove itself.
 * 0 or -ENOENT. */
int shmap_notify_remove(int handle) SHMAP_WEAK;

/*
 * For event loops: a new fd, readable (POLLIN, EPOLLIN) when there may be events. Read them with
 * shmap_notify_read() until it returns 0; size is sizeof(struct shmap_event). 1: *event is
 * filled; 0: there is none now; -EBADF, -EINVAL, -EFAULT. Close it with shmap_notify_close()
 * only. Errors of shmap_notify_fd(): as above, and those of inotify_init(2).
 */
int shmap_notify_fd(int fd, const struct shmap_notify_opts *opts) SHMAP_WEAK;
int shmap_notify_read(int nfd, struct shmap_event *event, size_t size) SHMAP_WEAK;
int shmap_notify_close(int nfd) SHMAP_WEAK;

#ifdef __cplusplus
}
#endif

#endif
