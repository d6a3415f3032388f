/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An object is a file.
 *
 *   offset 0                                        size - 4096      size
 *   | data (a map's values first, so that mmap(2) of    | struct        |
 *   | the fd shows them; then what the kind keeps)      | object_trailer|
 *
 * Life: made as O_TMPFILE, formatted, locked LOCK_SH, then linked to
 * KIND/ID: from that store on it exists. flock(LOCK_SH) on any open file
 * description is a reference; it survives close(2) while a mapping, a dup, a
 * forked child or an SCM_RIGHTS message holds the description. Pins (fs/) and
 * references from other objects (ref/) are further hard links. Who gets
 * LOCK_EX|LOCK_NB on an anchor whose link count is 1 may unlink it: nobody
 * holds it (object_collect). Death at any instruction leaves either an
 * unlinked file, which the kernel frees, or an anchor that the next collector
 * removes.
 */
#ifndef SHMAP_SHM_OBJECT_H
#define SHMAP_SHM_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "shm/rundir.h"

#define OBJECT_MAGIC "shmapobj"
#define OBJECT_LAYOUT 3
#define OBJECT_TRAILER_SIZE 4096
#define OBJECT_BODY_SIZE 3072

/*
 * The file's mode bit of an object whose slots are emptied with its last user
 * (object_mark_user); in the mode so that a collector need not open the others.
 */
#define OBJECT_USERS S_ISVTX

struct object_trailer {
	char magic[8];
	uint32_t layout;
	uint32_t kind;
	uint64_t size;			/* of the whole file */
	uint32_t id;
	uint32_t uid;			/* of the creator */
	uint64_t load_time;		/* CLOCK_BOOTTIME ns */
	uint32_t ready;			/* 0 while references are being made; then 1 */
	uint32_t pad;
	uint8_t reserved[1024 - 48];
	uint8_t body[OBJECT_BODY_SIZE];	/* the kind's header: struct map_header, ... */
};

/* A mapped object file, private to the process. */
struct object {
	uint8_t *base;
	size_t size;
	struct object_trailer *trailer;	/* inside base */
	enum object_kind kind;
	uint32_t id;
	dev_t dev;
	ino_t ino;
	bool writable;			/* mapped PROT_WRITE */
};

/*
 * Starts an object of data_size data bytes (rounded up to pages): an unlinked
 * tmpfs file, mapped writable, its trailer filled but for id and ready. The
 * first prealloc bytes of data have pages; the rest are a hole that
 * object_populate() fills before use. *fd gets the O_CLOEXEC fd. 0, -ENOMEM
 * (tmpfs full), or -errno.
 */
int object_create(enum object_kind kind, size_t data_size, size_t prealloc, struct object *obj,
		  int *fd);

/* Gives the object an id and its anchor; ready is stored last. 0 or -errno. */
int object_publish(struct object *obj, int fd);
/* As object_publish(), but leaves ready 0 so that references can be made first. */
int object_publish_unready(struct object *obj, int fd);
void object_set_ready(struct object *obj);

/* Bytes of the file of an object of data_size data bytes. */
size_t object_file_size(size_t data_size);
/*
 * Makes and publishes an object whose bytes are all there already: object_file_size() of
 * them, with the body filled. ready false: references are to be made first. Quicker than
 * the above for objects that are not mapped now: *obj has a name and an identity, and no
 * memory. 0 or -errno.
 */
int object_write(enum object_kind kind, size_t data_size, uint8_t *bytes, bool ready,
		 struct object *obj, int *fd);
/* 0 or -errno. */
int object_write_ready(const struct object *obj, int fd);

/* Allocates the pages of [offset, offset + len). 0 or -ENOMEM. Idempotent. */
int object_populate(const struct object *obj, size_t offset, size_t len);

/*
 * Puts the whole huge pages of [offset, offset + len) in place of the small ones that are
 * there: all of the range is to have pages already, or gets them. Nothing but time comes of
 * it: it is a system call of a fraction of a millisecond, or some, for each, and may fail.
 * Files below OBJECT_HUGE_MIN are left alone.
 */
#define OBJECT_HUGE (2UL << 20)
#define OBJECT_HUGE_MIN (8UL << 20)
void object_collapse(const struct object *obj, size_t offset, size_t len);

/*
 * Maps the object behind fd: checks magic, layout, kind and size against the
 * file. Takes LOCK_SH on the description when it has none. Writable where
 * the fd (or, for O_WRONLY, the file) allows it. -EINVAL when the fd is no
 * object (the kernel's answer for a wrong fd); -EBADF for a closed one;
 * -EPROTO for another layout version or a damaged trailer.
 */
int object_map(int fd, struct object *obj);
void object_unmap(struct object *obj);

/* What the fd is, without mapping it: its kind, or -EINVAL / -EBADF. Fills
 * *id, dev and ino when they are not NULL. */
int object_identify(int fd, uint32_t *id, dev_t *dev, ino_t *ino);

/* Opens KIND/ID with open flags (O_RDWR, O_RDONLY, O_WRONLY) and O_CLOEXEC and
 * takes a reference. The fd, or -ENOENT when there is none, it is not ready,
 * or nobody holds it any more. */
int object_open_id(enum object_kind kind, uint32_t id, int flags);

/* The smallest live id above after, or -ENOENT. Collects the dead on its way. */
int object_next_id(enum object_kind kind, uint32_t after, uint32_t *id);

/* Removes the anchor (and the references that it holds) if nobody holds the object. */
void object_collect(enum object_kind kind, uint32_t id);
/* object_collect() for all ids of all kinds. */
void object_collect_all(void);

/* One more reference: `to` is kept alive until the object (kind, id) goes:
 * ref/ gets a hard link named KIND-ID-TOKIND-TOID. 0 or -errno. */
int object_ref(enum object_kind kind, uint32_t id, int to_fd);
/* Drops that reference (a prog unbound, a link detached). */
void object_unref(enum object_kind kind, uint32_t id, enum object_kind to_kind, uint32_t to_id);

/*
 * References that the slots of a map hold (slotref.c): any number of them to one
 * object, told apart by the tag, which the map gives out once. The caller holds
 * the target. -EEXIST: the tag is in use. The unref does not collect the target.
 */
int object_slot_ref(enum object_kind kind, uint32_t id, enum object_kind to_kind, uint32_t to_id,
		    uint32_t tag);
void object_slot_unref(enum object_kind kind, uint32_t id, enum object_kind to_kind,
		       uint32_t to_id, uint32_t tag);
/* Is it there? */
bool object_slot_ref_exists(enum object_kind kind, uint32_t id, enum object_kind to_kind,
			    uint32_t to_id, uint32_t tag);

/*
 * Users: who has an fd of the object for bpf(2), or a pin; not programs that use it. An
 * object with OBJECT_USERS whose last user goes lets go of what its slots hold.
 * object_mark_user(): the description of fd is a user's, until it is closed. 0 or -errno.
 * The function that empties the slots gets a writable fd of the object and calls
 * dropped() for each target that may have lost its last reference.
 */
int object_mark_user(int fd);
typedef void (*object_dropped_fn)(void *arg, enum object_kind kind, uint32_t id);
typedef void (*object_release_fn)(int fd, object_dropped_fn dropped, void *arg);
void object_set_release(object_release_fn fn);

/* Pins fd at path below fs/ (path relative to it). -EEXIST, -ENOENT, -EPERM. */
int object_pin(int fd, const char *path);
/* Opens a pin with open flags; a reference is taken. -ENOENT, -EACCES, -EINVAL. */
int object_open_pin(const char *path, int flags);
/* Removes a pin, and the object when that was all that held it. -ENOENT, -EISDIR. */
int object_unpin(const char *path);

#endif
