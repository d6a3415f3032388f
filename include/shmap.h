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
 * operation may have done it without counting it: evictions, failed, lost and changes may then be
 * one too small. (Inside the commit of a transaction, which another process then ends: changes may
 * count twice what had been done.) entries is exact, but for BLOOM_FILTER. changes has what was
 * done through bpf(2), by transactions and by programs' helpers, not stores through pointers and
 * mappings; lookups leave nothing that could be counted.
 */
struct shmap_map_stats {
	uint64_t entries;   /* that are there now */
	uint64_t evictions; /* that gave way to new ones */
	uint64_t failed;    /* updates refused because the map was full */
	uint64_t lost;	    /* records that a ring buffer had no room for */
	uint64_t changes;   /* updates, deletes, pushes, pops and records */
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
 * Snapshots. shmap_snapshot() makes a map of its own with what the map of fd holds at one
 * instant, and returns a read-only fd of it. The new map has an id, the old one's name and
 * BTF, and is frozen: it can be looked up, iterated, dumped with bpftool, pinned. It goes when
 * its last fd and pin do.
 *
 * shmap_snapshot_maps() does so for n different maps (at most 16) at the same instant:
 * snapshots[i] is that of fds[i]. All or none.
 *
 * The instant: an update or delete through bpf(2) or by a program's helper that had returned
 * before the call is in it, and each of them is in it only with all that had returned before it
 * began. A transaction (below) is in it as a whole or not at all. Stores through a pointer (a
 * program's own, a mapping's, a handle's) are not stopped: each aligned word is as it was at some
 * moment of the copy; of values with a struct bpf_spin_lock each value is as no holder of its lock
 * was changing it.
 *
 * Updates and deletes of the map wait while the copy is made: some microseconds per thousand
 * entries. Lookups do not wait. A process that is stopped (SIGSTOP) in the middle of one
 * keeps them waiting for up to 10 seconds each; then they are -EBUSY. One that is
 * killed keeps nobody.
 *
 * HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, ARRAY, PERCPU_ARRAY, LPM_TRIE.
 *
 * The fd (0), or, with errno set:
 *   -EBADF, -EINVAL  no open fd; not a map; the same map twice; n is 0
 *   -EPERM           fd is write-only
 *   -EOPNOTSUPP      another type of map; its values hold timers
 *   -E2BIG           more than 16 maps
 *   -ENOMEM, -EMFILE no memory (in tmpfs); no fd
 *   -EFAULT          fds, snapshots
 *   -EBUSY           somebody who is stopped is in the way; in a signal handler that
 *                    interrupted a map operation
 *   -EXDEV           the map came from another runtime directory
 *   -EIO             the map's file is damaged
 */
int shmap_snapshot(int fd) SHMAP_WEAK;
int shmap_snapshot_maps(const int *fds, int *snapshots, unsigned int n) SHMAP_WEAK;
/* For how long the calling thread's last snapshot kept writers waiting, in nanoseconds. */
uint64_t shmap_snapshot_stalled(void) SHMAP_WEAK;

/*
 * Transactions: puts and deletes of several keys, in one or several maps (at most 16), that happen
 * at one instant, or not at all: also when the process is killed at any moment.
 *
 *	do {
 *		t = shmap_txn_begin();
 *		shmap_txn_get(t, accounts, &from, &a);
 *		shmap_txn_get(t, accounts, &to, &b);
 *		a -= 10, b += 10;
 *		shmap_txn_put(t, accounts, &from, &a, BPF_EXIST);
 *		shmap_txn_put(t, accounts, &to, &b, BPF_EXIST);
 *	} while (shmap_txn_commit(t) == -EAGAIN);
 *
 * Nothing is seen by others before the commit. Then:
 *  - snapshots, and the gets of other transactions, see all of it or nothing;
 *  - what the transaction has read is compared with what is there now, and nothing that it
 *    reads or writes changes in between: so it is as if it had all been done at that instant. If
 *    something was changed, by anybody, the commit is -EAGAIN and nothing has happened.
 *  - A lookup through bpf(2), and a program's, knows nothing of transactions: it finds each key
 *    as it was before or after. Between two lookups anything can happen, a commit too.
 *  - Updates and deletes of the maps' other keys wait for the length of a commit, those of its
 *    keys come before or after it. Stores through pointers are not stopped: a key that programs or
 *    mappings store to in place is not to be in a transaction.
 *  - Of a process that was killed in a commit: all has happened, or nothing. Who looks up a key of
 *    such a map next, or changes one, finishes it first. (A program's own lookups do not.)
 *
 * The gets of one transaction go together, also of one that never commits: what they give was so at
 * one instant between commits. A get that does not go together with those before it is
 * -EAGAIN, and so is then the commit. A transaction's gets find its own puts and deletes.
 *
 * One thread at a time uses a transaction. It holds nothing: a process may think about it, fork, or
 * end. shmap_txn_commit() and shmap_txn_abort() end it.
 *
 * The types are those of snapshots; values are as in bpf(2), of all CPUs for per-CPU maps.
 *  - LRU_HASH, LRU_PERCPU_HASH: where a commit's puts find no room, the oldest other keys give way,
 *    as part of the commit: they go if it happens, and are there if it does not. It never takes
 *    what it puts itself.
 *  - LPM_TRIE: a get finds the longest prefix that stands for the key, of those in the map, less
 *    what the transaction has deleted, and those that it has put. That another prefix than
 *    the one it found stands for the key now is a change of what it has read.
 *
 * 0, or, with errno set (begin: NULL):
 *   -EAGAIN          get, commit: see above; begin anew
 *   -ENOENT          get, delete, put with BPF_EXIST: no such key
 *   -EEXIST          put with BPF_NOEXIST: there is one
 *   -E2BIG           put: no such index of an array; more than 16 maps, or more than 1 MiB of keys
 *                    and values; commit: a map would have more than max_entries (LRU: of the
 *                    transaction's own)
 *   -EPERM           the fd's access does not allow it; the map is frozen
 *   -EINVAL          not a map; unknown flags; delete: an array
 *   -EOPNOTSUPP      another type of map; its values hold timers
 *   -ENOMEM, -EFAULT, -EBADF, -EBUSY, -EXDEV, -EIO: as above
 */
struct shmap_txn;
struct shmap_txn *shmap_txn_begin(void) SHMAP_WEAK;
int shmap_txn_get(struct shmap_txn *t, int fd, const void *key, void *value) SHMAP_WEAK;
int shmap_txn_put(struct shmap_txn *t, int fd, const void *key, const void *value,
		  uint64_t flags) SHMAP_WEAK;
int shmap_txn_delete(struct shmap_txn *t, int fd, const void *key) SHMAP_WEAK;
int shmap_txn_commit(struct shmap_txn *t) SHMAP_WEAK;
void shmap_txn_abort(struct shmap_txn *t) SHMAP_WEAK;

/*
 * Handles: a map without its fd, and its values without a copy.
 *
 *	h = shmap_handle_open(fd);
 *	...
 *	if (!shmap_section_begin()) {
 *		const struct flow *f = shmap_find(h, &key);	(shmap_edit(), to store to it)
 *		if (f)
 *			bytes = f->bytes;
 *		shmap_section_end();
 *	}
 *
 * Rules.
 *  - shmap_find() is for sections only, and for looking; shmap_edit() is the same for who stores
 *    to what it returns. That is good until the outermost section ends:
 *    the element is not given to another key, whoever deletes it. If an update has
 *    replaced it meanwhile, it holds the old value (HASH and its kin, LPM_TRIE); an ARRAY's value
 *    is the value itself.
 *  - Others change values in place while you look: programs, and in ARRAYs everybody. Aligned
 *    words are whole; more needs the lock in the value, hence shmap_modify().
 *  - Stores through the pointer are for aligned words, atomics for those that others store to
 *    as well. Never into a struct bpf_spin_lock. With an fd that is read-only, or of a frozen map,
 *    the memory is read-only and a store is a SIGSEGV.
 *  - Stores through the pointer are noticed when the outermost section ends (shmap_notify(),
 *    SHMAP_CHANGE_RUN), or when its process dies in it. bpf_map_lock() does not keep them out;
 *    what shmap_modify() does is kept out, and noticed by its key.
 *  - Of per-CPU maps shmap_find() gives the value of the section's CPU, which nobody else
 *    stores to meanwhile.
 *  - A section is short: it occupies a CPU of the runtime directory, as a program's run does, and
 *    there are as many as the machine has. One that lasts for a second is passed over: what it has
 *    found may then be used again (it stays readable memory).
 *  - Sections nest, in one thread; the outermost counts. In them bpf(2) may be used on elements;
 *    what the thread itself deletes there may be used again at once. No program can be run
 *    (-EBUSY).
 *  - In a signal handler a section is part of the one that it interrupted; or it is -EBUSY.
 *  - A process that is killed in a section leaves nothing behind. A fork's child is in no section.
 *  - The handle keeps the map, not the fd. shmap_handle_close() outside of sections that use it.
 *
 * shmap_modify() calls fn once with a copy of the key's value (of this CPU's for per-CPU maps); if
 * it returns 0 the copy becomes the value, in place: all of it or, in a process that is killed,
 * nothing. That is
 *  - in values with a struct bpf_spin_lock (whose bytes fn sees as 0): under that lock, as
 *    BPF_F_LOCK;
 *  - in values of 1, 2, 4 or 8 bytes: by compare-and-swap (fn may then be called more than once);
 *  - in per-CPU values: nobody else's business.
 * Others are -EINVAL. fn may not use maps. It takes a section for itself, or is in the caller's.
 *
 * The types are those of snapshots. 0, or, with errno set (open: NULL):
 *   -EBUSY      section_begin: all CPUs are held by who stands still; a bad moment of a
 *               signal handler; inside of a program's run. modify: also who is stopped with the
 *               lock; in the caller's section, while another thread has the map locked
 *   -ECANCELED  modify: fn did not return 0
 *   -ENOENT     modify: no such key
 *   -EPERM      open: fd is write-only; modify: it is read-only, or the map frozen
 *   -EOPNOTSUPP, -EBADF, -EINVAL, -ENOMEM, ...: as above
 */
struct shmap_map;
struct shmap_handle {
	/* what shmap_find() and shmap_edit() need; not to be changed */
	char *base; /* or NULL */
	uint32_t max, stride;
	void *(*find)(struct shmap_map *map, const void *key);
	struct shmap_map *map;
	/* as the map was made: of one value, for per-CPU maps */
	uint32_t key_size, value_size;
	const uint32_t *asked; /* not 0: stores are perhaps to be noticed */
};

struct shmap_handle *shmap_handle_open(int fd) SHMAP_WEAK;
void shmap_handle_close(struct shmap_handle *h) SHMAP_WEAK;
int shmap_section_begin(void) SHMAP_WEAK;
void shmap_section_end(void) SHMAP_WEAK;
int shmap_modify(struct shmap_handle *h, const void *key, int (*fn)(void *value, void *arg),
		 void *arg) SHMAP_WEAK;

void shmap_edited(const struct shmap_handle *h) SHMAP_WEAK; /* for shmap_edit() */

/* The value of a key, or NULL. */
static inline const void *shmap_find(const struct shmap_handle *h, const void *key)
{
	uint32_t index;

	if (!h->base)
		return h->find(h->map, key);
	__builtin_memcpy(&index, key, sizeof(index));
	return index < h->max ? h->base + (uint64_t)index * h->stride : (void *)0;
}

/* The same, to store to it. */
static inline void *shmap_edit(const struct shmap_handle *h, const void *key)
{
	void *value = (void *)shmap_find(h, key);

	if (value && __atomic_load_n(h->asked, __ATOMIC_RELAXED))
		shmap_edited(h);
	return value;
}

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
 *   SHMAP_CHANGE_RUN     a program ended that stores to values through pointers, of this map or
 *                        of a map of maps from which it got this one; or a section of a handle,
 *                        after shmap_edit()
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
 * (one for all handlers of the process, with all signals blocked but those of faults), until it is
 * removed or the process ends; changes after the return are noticed. The fd may be closed
 * meanwhile. A forked child has no handlers. A handle greater than 0; or, with errno set:
 *
 *   -EBADF, -EINVAL  no map; no handler; opts of another size; a key, and the map has none
 *   -EPERM       the fd may not read and write
 *   -EFAULT      opts, key
 *   -ENOSPC      48 processes listen to this map already, or the process has 1024 listeners
 *   -ENOMEM
 *   -EAGAIN, -EMFILE, -ENFILE  no thread; no fd, or no instance of inotify(7), is to be had
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
