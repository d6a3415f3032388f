/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From an fd number to the map behind it, without a system call.
 */
#ifndef SHMAP_SYS_FD_H
#define SHMAP_SYS_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "map/map.h"
#include "shm/rundir.h"
#include "sys/op.h"

#define FD_READ 1U
#define FD_WRITE 2U

struct open_map;

/* One use of a map by one fd number. The first line is what element operations need. */
struct fd_ref {
	struct map *map;
	struct map_quick quick; /* what the fd's open mode allows of them */
	const struct map_shared *shared;
	uint32_t key_size, value_size; /* as bpf(2) copies them */
	uint32_t access;	       /* FD_READ | FD_WRITE, by the fd's open mode */
	bool special;		       /* or timers; see map_has_timers() */
	bool has_lock;		       /* the value holds struct bpf_spin_lock */
	int (*read)(struct map *m, const void *key, void *value, uint64_t flags);
	int (*write)(struct map *m, const void *key, const void *value, uint64_t flags);
	uint32_t perf_token; /* PERF_EVENT_ARRAY: its description holds that lock; 0: none */
	struct open_map *open;
	struct fd_ref *next; /* of a retired list; owned by whoever took the list */
	uint64_t stamp;
} __attribute__((aligned(CACHE_LINE)));

/* Does somebody keep writers out of the map (map/gate.h)? */
static inline bool fd_gate_shut(const struct fd_ref *r)
{
	return unlikely(load_relaxed(&r->shared->gate));
}

/*
 * The table. A word is
 *   0                       unknown
 *   pointer                 struct fd_ref: a map
 *   ...| FD_TAG_STATE       unknown, with a generation; see enum below
 *   id << 8 | kind << 4 | FD_TAG_OBJECT   a program, BTF, link, or a map not yet used
 */
#define FD_TAG_STATE 1U
#define FD_TAG_OBJECT 2U
#define FD_TAG_MASK 3U
#define FD_LEAF_BITS 9
#define FD_LEAF_SIZE (1U << FD_LEAF_BITS)
#define FD_LEAVES 2048U /* fd numbers from 2^20 on are looked up anew each time */

extern uint64_t *fd_leaves[FD_LEAVES];

/* An operation on the map behind an fd, between fd_begin() and fd_end(). */
struct fd_op {
	struct fd_ref *ref;
	bool entered; /* op_leave() is ours to call */
	bool own;     /* ref is not in the table: freed at the end */
};

int fd_begin_slow(int fd, struct fd_op *op);
void fd_end_slow(struct fd_op *op);

/* 0; -EBADF for a closed fd or one opened O_PATH; -EINVAL when it is no map;
 * -ENOMEM, -EMFILE...; -EBUSY in a signal handler that came at a bad moment. */
static inline int fd_begin(int fd, struct fd_op *op)
{
	if (likely(op_self && (uint32_t)fd < FD_LEAVES << FD_LEAF_BITS)) {
		op->entered = op_enter();
		op->own = false;
		/* Both pair with the releasing CAS of whoever filled them. */
		uint64_t *leaf = load_acquire(&fd_leaves[(uint32_t)fd >> FD_LEAF_BITS]);

		if (likely(leaf)) {
			uint64_t w = load_acquire(&leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)]);

			if (likely(w && !(w & FD_TAG_MASK))) {
				op->ref = (struct fd_ref *)(uintptr_t)w;
				return 0;
			}
		}
		if (op->entered)
			op_leave();
	}
	return fd_begin_slow(fd, op);
}

/* The same for an fd in the table and a thread outside operations, which is nearly always;
 * ended by op_leave(). NULL: fd_begin(). */
static inline struct fd_ref *fd_begin_quick(int fd)
{
	struct op_thread *t = op_self;
	uint64_t *leaf, w = 0;

	if (unlikely(!t || load_relaxed(&t->epoch) || (uint32_t)fd >= FD_LEAVES << FD_LEAF_BITS))
		return NULL;
	store_relaxed(&t->epoch, load_relaxed(&op_epoch)); /* op_enter() */
	fence_compiler();
	leaf = load_acquire(&fd_leaves[(uint32_t)fd >> FD_LEAF_BITS]);
	if (likely(leaf))
		w = load_acquire(&leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)]);
	if (likely(w && !(w & FD_TAG_MASK)))
		return (struct fd_ref *)(uintptr_t)w;
	op_leave();
	return NULL;
}

static inline void fd_end(struct fd_op *op)
{
	if (unlikely(op->own))
		fd_end_slow(op);
	if (likely(op->entered))
		op_leave();
}

/*
 * A new fd of ours: what it is is known. fd_install_map() takes over the
 * caller's reference to m. Failing to remember is no error.
 */
void fd_install_map(int fd, struct map *m, uint32_t access);
/* create.c: the fd that the caller gets for a new map, with the open mode of BPF_F_RDONLY or
 * BPF_F_WRONLY; fd: a writable one. Takes over both; the fd or -errno. */
int sys_map_fd(struct map *m, int fd, uint32_t flags);
/* The id of the object of that kind that fd is, as far as that is known without a look at
 * the file; else 0. */
uint32_t fd_known(int fd, enum object_kind kind);
/* Any kind: notes the object for fd_collect(); a map is opened at its first use. */
void fd_install_object(int fd, enum object_kind kind, uint32_t id);

/*
 * Around code of ours that opens and closes object files for itself, without
 * fd_forget(): a thread that looks at such a number meanwhile (by a mistake of
 * the application) does not remember what it saw. sys_bpf() does it for all
 * commands but those on elements. Nests.
 */
void fd_inside_begin(void);
void fd_inside_end(void);

/* objref.c: what maps of objects need from here. */
void objref_host_init(void);

/* Drops the maps of closed fds that no operation uses any more. */
void fd_reclaim(void);

/* FD_READ and FD_WRITE by the open mode. -EBADF: closed, or O_PATH. */
int fd_access(int fd);

/* A description of its own of the same file, which holds the object. -errno. */
int fd_reopen(int fd, int flags);

/* BPF_MAP_FREEZE on the map of r, whose fd is fd. */
int fd_freeze(int fd, struct fd_ref *r);

#endif
