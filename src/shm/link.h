/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of src/shm/ share among themselves. */
#ifndef SHMAP_SHM_LINK_H
#define SHMAP_SHM_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "shm/object.h"

/* The name of an id in its kind's directory. */
#define LINK_NAME_SIZE 64

/* Gives the open file fd one more name. -EEXIST when the name is taken,
 * -ENOENT when the file has lost its last name. */
int link_fd(int fd, int dir, const char *name);

/*
 * Takes a reference: LOCK_SH on the description. A collector may hold LOCK_EX
 * for the moment of its decision. 0; -ENOENT when the object is being
 * collected or has been; -EBUSY when a collector is stopped in that moment.
 */
int link_hold(int fd);

/* Reads the trailer of the object behind fd up to its reserved bytes, without
 * mapping or holding it. 0, -EBADF, -EINVAL (no object), -EPROTO (damaged). */
int object_head(int fd, struct object_trailer *head);

/* The decimal number at *text, 1..INT_MAX, ended by one of end's characters
 * (or NUL); moves *text behind that character. 0 when there is none. */
uint32_t link_parse_id(const char **text, char end);

/* Calls fn for each name in the directory (not "." and ".."); stops when it
 * returns non-zero. 0, fn's result, or -errno. Names that come or go meanwhile
 * may be missed or not. */
int link_scan(int dir, int (*fn)(void *arg, const char *name), void *arg);

/* slotref.c: the references of the owner's slots go; fn gets each target. */
void slot_refs_drop(enum object_kind kind, uint32_t id, object_dropped_fn fn, void *arg);
/* The owner in a name of ref/ that holds a map's slot references: 0 when it is none. */
uint32_t slot_refs_owner(const char *name, enum object_kind *kind);
/* An object that is about to be looked at by a collector: empties its slots when it has
 * OBJECT_USERS and no user is left. */
void slot_refs_release(int fd, enum object_kind kind, uint32_t id, object_dropped_fn fn,
		       void *arg);
/* "map-" and its like at *text: the kind; false when there is none. */
bool link_parse_kind(const char **text, enum object_kind *kind);

#endif
