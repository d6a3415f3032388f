// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "sys/objfd.h"

#include <fcntl.h>

int objfd_id(int fd, enum object_kind kind, uint32_t *id)
{
	int got = object_identify(fd, id, NULL, NULL);

	/* nothing can be done with an fd that is only a path's */
	if (got == -EINVAL && raw_fcntl(fd, F_GETFL, 0) & O_PATH)
		got = -EBADF;
	if (got < 0)
		return got;
	/* an object without an id is a perf event (perf.c): no link yet */
	return got == (int)kind && *id ? 0 : -EINVAL;
}

int objfd_reopen(int fd, enum object_kind kind, int flags, uint32_t *id)
{
	int err = objfd_id(fd, kind, id);

	if (err)
		return err;
	err = object_open_id(kind, *id, flags);
	/* closed by another thread between the two steps */
	return err == -ENOENT ? -EBADF : err;
}

int objfd_map_id(enum object_kind kind, uint32_t id, int flags, struct object *obj)
{
	int fd = object_open_id(kind, id, flags), err;

	if (fd < 0)
		return fd;
	err = object_map(fd, obj);
	if (!err && obj->kind != kind) {
		object_unmap(obj);
		err = -EINVAL;
	}
	raw_close(fd);
	return err;
}

void objfd_abandon(struct object *obj, int fd)
{
	enum object_kind kind = obj->kind;
	uint32_t id = obj->trailer->id;

	object_unmap(obj);
	raw_close(fd);
	if (id)
		object_collect(kind, id);
}

int objfd_publish(struct object *obj, int fd, const struct objfd_refs *refs, uint32_t *id)
{
	int err = object_publish_unready(obj, fd);
	uint32_t i;

	for (i = 0; !err && refs && i < refs->cnt; i++)
		err = object_ref(obj->kind, obj->trailer->id, refs->fds[i]);
	if (err) {
		objfd_abandon(obj, fd);
		return err;
	}
	if (id)
		*id = obj->trailer->id;
	/* only now: who finds the object finds what it refers to */
	object_set_ready(obj);
	object_unmap(obj);
	return fd;
}

int objfd_publish_written(enum object_kind kind, size_t data_size, uint8_t *bytes,
			  const struct objfd_refs *refs, struct object *obj)
{
	int fd, err = object_write(kind, data_size, bytes, !refs->cnt, obj, &fd);
	uint32_t i;

	if (err)
		return err;
	for (i = 0; !err && i < refs->cnt; i++)
		err = object_ref(kind, obj->id, refs->fds[i]);
	if (!err && refs->cnt)
		err = object_write_ready(obj, fd);
	if (!err)
		return fd;
	raw_close(fd);
	object_collect(kind, obj->id);
	return err;
}

int objfd_token(int fd)
{
	int err = raw_fcntl(fd, F_GETFD, 0);

	return err < 0 ? err : -EINVAL;
}

int objfd_copy_string(void *user, uint32_t size, const char *s, uint32_t len)
{
	uint32_t n = size > len ? len : size - 1;
	char nul = '\0';

	if (uaccess_copy(user, s, n) || uaccess_copy(uaccess_at(user, n), &nul, 1))
		return -EFAULT;
	return size > len ? 0 : -ENOSPC;
}

int objfd_info_out(const union sys_attr *attr, union sys_attr *uattr, const void *info,
		   uint32_t len)
{
	if (uaccess_copy(sys_ptr(attr->info.info), info, len) ||
	    uaccess_copy(sys_field(uattr, info.info_len), &len, sizeof(len)))
		return -EFAULT;
	return 0;
}
