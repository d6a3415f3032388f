/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands on objects of any kind: pins, ids, and who answers for their info.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "shm/object.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/sys.h"

#define F_PATH_FD (1U << 14) /* BPF_F_PATH_FD */

static int path_dirfd(const union sys_attr *attr, int *dirfd)
{
	*dirfd = AT_FDCWD;
	if (attr->obj.file_flags & F_PATH_FD)
		*dirfd = attr->obj.path_fd;
	else if (attr->obj.path_fd)
		return -EINVAL;
	return 0;
}

long sys_cmd_obj_pin(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct pin_path path;
	int kind, dirfd, err;

	if (attr->obj.file_flags & ~F_PATH_FD || path_dirfd(attr, &dirfd))
		return -EINVAL;
	/* maps, programs and links; a closed fd is none of them */
	kind = fd_identify(attr->obj.bpf_fd, NULL);
	if (kind < 0 || kind == OBJECT_BTF || kind == OBJECT_PERF)
		return -EINVAL;
	err = pin_path_read(&path, sys_ptr(attr->obj.pathname), dirfd);
	if (err)
		return err;
	err = pin_path_check_new(&path);
	if (err)
		return err;
	err = pin_path_exists(&path);
	if (!err || err == -ENOTDIR)
		return -EEXIST;
	if (err != -ENOENT)
		return err;
	if (path.slash)
		return -ENOENT; /* only mkdir(2) makes names like that */
	if (!path.inside)
		return -EPERM;
	return object_pin(attr->obj.bpf_fd, path.rel);
}

/* The fd that OBJ_GET gives for what an opened pin is. */
static int pin_fd(int fd, int mode)
{
	uint32_t id;
	int kind = object_identify(fd, &id, NULL, NULL), again;

	if (kind == OBJECT_MAP) {
		int err = object_mark_user(fd);

		return err ? err : fd;
	}
	if (mode == O_RDWR)
		return kind < 0 ? -EACCES : fd;
	if (kind != OBJECT_PROG)
		return -EINVAL;
	/* programs have no open mode */
	again = fd_reopen(fd, O_RDWR);
	raw_close(fd);
	return again;
}

long sys_cmd_obj_get(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct pin_path path;
	int mode, dirfd, fd, err;

	if (attr->obj.bpf_fd || attr->obj.file_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY | F_PATH_FD) ||
	    path_dirfd(attr, &dirfd))
		return -EINVAL;
	mode = sys_open_mode(attr->obj.file_flags);
	if (mode < 0)
		return mode;
	err = pin_path_read(&path, sys_ptr(attr->obj.pathname), dirfd);
	if (err)
		return err;
	if (path.inside)
		err = pin_path_check_new(&path);
	if (!err)
		err = pin_path_exists(&path);
	if (err)
		return err;
	if (!path.inside)
		return -EACCES;
	fd = object_open_pin(path.rel, mode);
	if (fd < 0)
		return fd;
	err = pin_fd(fd, mode);
	if (err < 0)
		raw_close(fd);
	return err;
}

static long next_id(enum object_kind kind, const union sys_attr *attr, union sys_attr *uattr)
{
	uint32_t id;
	int err;

	if (attr->id.start_id >= INT_MAX)
		return -EINVAL;
	err = object_next_id(kind, attr->id.start_id, &id);
	return err ? err : uaccess_copy(sys_field(uattr, id.next_id), &id, sizeof(id));
}

long sys_cmd_map_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return next_id(OBJECT_MAP, attr, uattr);
}

long sys_cmd_prog_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return next_id(OBJECT_PROG, attr, uattr);
}

long sys_cmd_btf_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return next_id(OBJECT_BTF, attr, uattr);
}

long sys_cmd_link_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return next_id(OBJECT_LINK, attr, uattr);
}

long sys_cmd_map_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	int mode, fd, err;

	if (attr->id.open_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	mode = sys_open_mode(attr->id.open_flags);
	if (mode < 0)
		return mode;
	if (!attr->id.map_id)
		return -ENOENT;
	fd = object_open_id(OBJECT_MAP, attr->id.map_id, mode);
	if (fd < 0)
		return fd;
	err = object_mark_user(fd);
	if (!err)
		return fd;
	raw_close(fd);
	return err;
}

long sys_cmd_obj_info(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	int fd = attr->info.bpf_fd;
	int kind = fd_identify(fd, NULL);

	switch (kind) {
	case OBJECT_MAP:
		return sys_map_info(fd, attr, uattr);
	case OBJECT_PROG:
		return sys_prog_info(fd, attr, uattr);
	case OBJECT_BTF:
		return sys_btf_info(fd, attr, uattr);
	case OBJECT_LINK:
		return sys_link_info(fd, attr, uattr);
	default: /* of a closed fd the kernel says so with another number here */
		return kind == -EBADF ? -EBADFD : -EINVAL;
	}
}
