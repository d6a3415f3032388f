/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local storage: values that belong to a task, a file, a socket or a cgroup.
 *
 * An owner is told by numbers that no other owner of its kind ever has, as far as user
 * space can see such numbers:
 *
 *   task      TID and start time                 (/proc/TID/stat)
 *   inode     device, inode number, generation   (statx(2), name_to_handle_at(2))
 *   socket    SO_COOKIE
 *   cgroup    device and inode number of its directory
 *
 * so that what one owner left is never shown to another, even where nobody noticed that
 * it had gone. docs/compat.md says what is noticed, and when.
 */
#ifndef SHMAP_MAP_STORAGE_H
#define SHMAP_MAP_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/map.h"

enum storage_kind { STORAGE_TASK, STORAGE_INODE, STORAGE_SOCK, STORAGE_CGROUP };

/* The key in the file; as bytes, so without padding. */
struct storage_owner {
	uint64_t number[3];
};

/*
 * Where an element's link was: it is that of its owner, and in the table, for as long as it
 * stands there. (For a run that has looked it up: the element does not come back as another's
 * beneath it, G2.)
 */
struct htab_at {
	const uint64_t *where; /* NULL: look again */
	uint64_t link;
};

struct storage_ops {
	enum storage_kind kind;
	/*
	 * For programs, under a lease: the owner's value, or NULL; and where. With
	 * BPF_LOCAL_STORAGE_GET_F_CREATE one that begins as *init (NULL: zeros).
	 */
	void *(*get)(struct map *m, const struct storage_owner *o, const void *init, uint64_t flags,
		     struct htab_at *at);
	/* 0 or -ENOENT. */
	long (*drop)(struct map *m, const struct storage_owner *o);
};

/* storage_owner.c */

/* The owner that an fd of the caller's names; remembered until the fd is closed.
 * 0 or what the kernel says: -EBADF, -ENOTSOCK, -ENOENT. */
int storage_owner_by_fd(enum storage_kind kind, int fd, struct storage_owner *o);
/* The task with this TID, now: 0 or -ENOENT. */
int storage_owner_task(uint32_t tid, struct storage_owner *o);
/* The calling thread. */
int storage_owner_self(struct storage_owner *o);
/* The cgroup (v2) that the task is in. 0 or -ENOENT. */
int storage_owner_cgroup(uint32_t tid, struct storage_owner *o);
/* The socket of one PROG_TEST_RUN: another each time. */
int storage_owner_test_sock(struct storage_owner *o);
/* Is the owner gone for certain? False: it lives, or nobody can tell. */
bool storage_owner_gone(enum storage_kind kind, const struct storage_owner *o);
/* Can storage_owner_gone() ever say so of this kind? */
static inline bool storage_owner_observable(enum storage_kind kind)
{
	return kind == STORAGE_TASK || kind == STORAGE_SOCK;
}

/*
 * Around whatever closes or replaces fds first..last: what is remembered of them is
 * forgotten before, and nothing is remembered until it is over.
 */
void storage_fds_closing(unsigned int first, unsigned int last);
void storage_fds_closed(void);

#endif
