/* SPDX-License-Identifier: BSD-2-Clause */
/* Small steps that programs, BTF and links share. */
#ifndef SHMAP_SYS_OBJFD_H
#define SHMAP_SYS_OBJFD_H

#include <stdint.h>

#include "shm/object.h"
#include "sys/attr.h"

/* The id of the object of that kind behind a caller's fd: 0; -EBADF when closed,
 * -EINVAL when it is something else. */
int objfd_id(int fd, enum object_kind kind, uint32_t *id);

/* A new fd of ours for the same object, which keeps it alive: the fd or as objfd_id(). */
int objfd_reopen(int fd, enum object_kind kind, int flags, uint32_t *id);

/* Maps KIND/ID without leaving an fd: the mapping keeps the object alive. */
int objfd_map_id(enum object_kind kind, uint32_t id, int flags, struct object *obj);

/* Gives up a half-made object. */
void objfd_abandon(struct object *obj, int fd);

/* Objects that a new one will keep alive. */
struct objfd_refs {
	const int *fds;
	uint32_t cnt;
};

/*
 * The last steps of a new object: publish, take the references, become
 * visible, unmap. A death before the end leaves an anchor that is never
 * ready and that the collector removes with the references made so far. The fd, or -errno
 * (then everything is undone and the fd closed). *id may be NULL.
 */
int objfd_publish(struct object *obj, int fd, const struct objfd_refs *refs, uint32_t *id);
/* The same of an object whose bytes are all there (object_write()): *obj is not mapped. */
int objfd_publish_written(enum object_kind kind, size_t data_size, uint8_t *bytes,
			  const struct objfd_refs *refs, struct object *obj);

/* A BPF token's fd: there are none here, so -EBADF (closed) or -EINVAL. */
int objfd_token(int fd);

/*
 * Copies a string of len bytes (without NUL) into a caller's buffer of size
 * bytes: 0, -EFAULT, or -ENOSPC with a shortened, NUL-terminated string.
 */
int objfd_copy_string(void *user, uint32_t size, const char *s, uint32_t len);

/* Copies an info struct and its length out: 0 or -EFAULT. */
int objfd_info_out(const union sys_attr *attr, union sys_attr *uattr, const void *info,
		   uint32_t len);

#endif
