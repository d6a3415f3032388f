// SPDX-License-Identifier: BSD-2-Clause
/*
 * Values of maps that are objects: from a caller's fd to the object and back to a
 * copy that programs can use (map/objref.h).
 */
#include "map/objref.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "sys/fd.h"
#include "sys/objfd.h"
#include "sys/prog.h"
#include "sys/sys.h"

/*
 * A map is held by the fd table's mapping of it, which an operation keeps. (An fd
 * that is given to another file meanwhile makes no difference.)
 */
static int hold_map(int fd, struct objref_target *t)
{
	struct fd_op *op = (struct fd_op *)t->priv;
	int err;

	_Static_assert(sizeof(*op) <= sizeof(t->priv), "an operation fits the target");
	err = fd_begin(fd, op);
	if (err)
		return err;
	t->map = op->ref->map;
	t->id = t->map->obj.id;
	return 0;
}

/* A program by a number of our own for its description. */
static int hold_prog(int fd, struct objref_target *t)
{
	struct prog_body head;
	struct stat st;
	int own, err;

	own = raw_fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return own;
	err = objfd_id(own, OBJECT_PROG, &t->id);
	if (!err && raw_fstat(own, &st))
		err = -EBADF;
	if (!err &&
	    raw_pread(own, &head, offsetof(struct prog_body, shared),
		      st.st_size - OBJECT_TRAILER_SIZE + offsetof(struct object_trailer, body)) !=
		    offsetof(struct prog_body, shared))
		err = -EINVAL;
	if (err) {
		raw_close(own);
		return err;
	}
	t->owner = prog_owner(head.type, head.expected_attach_type, head.flags, head.attach_btf_id);
	t->priv[0] = (uint64_t)own;
	return 0;
}

static int host_hold(int fd, struct objref_target *t)
{
	int err;

	if (t->kind == OBJECT_MAP)
		return hold_map(fd, t);
	fd_inside_begin();
	err = hold_prog(fd, t);
	if (err)
		fd_inside_end();
	return err;
}

static void host_drop(struct objref_target *t)
{
	if (t->kind == OBJECT_MAP) {
		fd_end((struct fd_op *)t->priv);
		return;
	}
	raw_close((int)t->priv[0]);
	fd_inside_end();
}

static int open_map(uint32_t id, struct map **out)
{
	char name[16];
	int fd, err;

	snprintf(name, sizeof(name), "%u", id);
	/* Not object_open_id(): a run waits, and the slot holds the map. */
	fd = raw_openat(rundir_kind_fd(OBJECT_MAP), name,
			O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	err = map_open(fd, out);
	if (!err && ((*out)->obj.id != id || !load_acquire(&(*out)->obj.trailer->ready))) {
		map_put(*out);
		err = -ENOENT;
	}
	/* The mapping goes on without a hold. Who took the slot's reference away
	 * meanwhile may have met ours. */
	raw_flock(fd, LOCK_UN);
	raw_close(fd);
	object_collect(OBJECT_MAP, id);
	return err;
}

static int host_open(enum object_kind kind, uint32_t id, void **copy, uint64_t *owner)
{
	struct vm_prog *prog;
	struct map *map;
	int err;

	if (kind == OBJECT_PROG) {
		err = prog_open_unheld(id, &prog, owner);
		*copy = err ? NULL : prog;
		return err;
	}
	fd_inside_begin();
	err = open_map(id, &map);
	fd_inside_end();
	*copy = err ? NULL : map;
	return err;
}

static void host_close(enum object_kind kind, void *copy)
{
	if (kind == OBJECT_PROG)
		sys_prog_put(copy);
	else
		map_put(copy);
}

static const struct objref_host host = {
	.hold = host_hold,
	.known = fd_known,
	.drop = host_drop,
	.open = host_open,
	.close = host_close,
	.inside_begin = fd_inside_begin,
	.inside_end = fd_inside_end,
};

static struct vm_prog *tail_target(struct map *m, uint32_t index)
{
	const struct objref_ops *ops = m->ops->objref;

	return ops && ops->kind == OBJECT_PROG && ops->at ? ops->at(m, index) : NULL;
}

/* Called as the library is loaded (fd.c): nothing else in this file is referred to. */
void objref_host_init(void)
{
	objref_set_host(&host);
	vm_set_tail_call(tail_target);
}
