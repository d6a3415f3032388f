/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_CREATE: what the kernel checks before and after it asks the map type,
 * for a caller with CAP_BPF.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "base/uapi.h"
#include "btf/btf.h"
#include "map/objref.h"
#include "shm/object.h"
#include "sync/lease.h"
#include "sys/btf_obj.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/fd.h"

#define EXCL_PROG_HASH_SIZE 32 /* SHA-256 */

/* The kernel's isalnum() takes the letters of Latin-1 too, whatever the locale. */
static bool name_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_' || c == '.' || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

int sys_check_name(char dst[16], const char *src)
{
	int i;

	memset(dst, 0, 16);
	for (i = 0; i < 16 && src[i]; i++) {
		if (!name_char(src[i]))
			return -EINVAL;
		if (i < 15)
			dst[i] = src[i];
	}
	return i < 16 ? 0 : -EINVAL;
}

int sys_open_mode(uint32_t flags)
{
	switch (flags & (BPF_F_RDONLY | BPF_F_WRONLY)) {
	case 0:
		return O_RDWR;
	case BPF_F_RDONLY:
		return O_RDONLY;
	case BPF_F_WRONLY:
		return O_WRONLY;
	default:
		return -EINVAL;
	}
}

/* What is refused whatever the type says. */
static int create_check_attr(const union sys_attr *a)
{
	char path[64];
	int mode;

	/* struct_ops only, which there is not */
	if (a->map_create.btf_vmlinux_value_type_id)
		return -EINVAL;
	if (a->map_create.btf_key_type_id && !a->map_create.btf_value_type_id)
		return -EINVAL;
	if (a->map_create.map_extra && a->map_create.map_type != BPF_MAP_TYPE_BLOOM_FILTER &&
	    a->map_create.map_type != SHMAP_MAP_TYPE_ARENA)
		return -EINVAL;
	mode = sys_open_mode(a->map_create.map_flags);
	if (mode < 0)
		return mode;
	if (a->map_create.map_flags & BPF_F_NUMA_NODE && a->map_create.numa_node != (uint32_t)-1 &&
	    a->map_create.numa_node) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u",
			 a->map_create.numa_node);
		if (raw_faccessat(AT_FDCWD, path, F_OK))
			return -EINVAL;
	}
	return 0;
}

/* There are no tokens: the fd is closed, or something else. */
static int create_check_token(const union sys_attr *a)
{
	return fd_access(a->map_create.map_token_fd) < 0 ? -EBADF : -EINVAL;
}

/* No network device here takes maps. */
static int create_check_offload(const union sys_attr *a)
{
	char name[IF_NAMESIZE];

	if (a->map_create.map_type != BPF_MAP_TYPE_ARRAY &&
	    a->map_create.map_type != BPF_MAP_TYPE_HASH)
		return -EINVAL;
	return if_indextoname(a->map_create.map_ifindex, name) ? -EOPNOTSUPP : -EINVAL;
}

/* Maps for one program only: the attributes are checked as the kernel does,
 * and then refused as by a kernel that does not know them. */
static int create_check_exclusive(const union sys_attr *a)
{
	uint8_t hash[EXCL_PROG_HASH_SIZE];

	if (!a->map_create.excl_prog_hash && !a->map_create.excl_prog_hash_size)
		return 0;
	if (!a->map_create.excl_prog_hash ||
	    a->map_create.excl_prog_hash_size != EXCL_PROG_HASH_SIZE)
		return -EINVAL;
	if (uaccess_copy(hash, sys_ptr(a->map_create.excl_prog_hash), sizeof(hash)))
		return -EFAULT;
	return -EINVAL;
}

/* The BTF of key and value: fills attr; *ref is open when 0 is returned. */
static int create_btf(const union sys_attr *a, struct map_attr *attr, struct btf_ref *ref)
{
	struct btf_map_fields fields;
	int err = sys_btf_open_fd(a->map_create.btf_fd, ref);

	if (err)
		return err;
	if (ref->kernel)
		err = -EACCES;
	else
		err = btf_check_map(ref->btf, attr->map_type, attr->map_flags, attr->key_size,
				    attr->value_size, attr->max_entries,
				    a->map_create.btf_key_type_id, a->map_create.btf_value_type_id,
				    &fields);
	if (err) {
		sys_btf_close(ref);
		return err;
	}
	attr->spin_lock_off = fields.spin_lock_off;
	attr->timer_at = fields.timer_at;
	attr->wq_at = fields.wq_at;
	attr->btf_id = ref->id;
	attr->btf_key_type_id = a->map_create.btf_key_type_id;
	attr->btf_value_type_id = a->map_create.btf_value_type_id;
	return 0;
}

/* What the maps in a map of maps are like: one of them says. */
static int create_inner(const union sys_attr *a, struct map_attr *attr)
{
	struct fd_op op;
	int err = fd_begin(a->map_create.inner_map_fd, &op);

	if (err)
		return err;
	err = objref_take_inner(attr, op.ref->map);
	fd_end(&op);
	return err;
}

int sys_map_fd(struct map *m, int fd, uint32_t flags)
{
	int mode = sys_open_mode(flags), again = fd;

	if (mode != O_RDWR) {
		again = fd_reopen(fd, mode);
		raw_close(fd);
	}
	if (again < 0) {
		uint32_t id = m->obj.id;

		map_put(m);
		object_collect(OBJECT_MAP, id);
		return again;
	}
	if (m->ops->objref && m->ops->objref->users)
		object_mark_user(again);
	fd_install_map(again, m, fd_access(again));
	return again;
}

long sys_cmd_map_create(union sys_attr *a, union sys_attr *uattr, unsigned int size)
{
	bool token = a->map_create.map_flags & SHMAP_F_TOKEN_FD;
	struct map_attr attr = {0};
	const struct map_ops *ops;
	struct btf_ref btf = {.fd = -1};
	bool has_btf = false;
	struct map *m;
	int err, fd;

	err = create_check_attr(a);
	if (err)
		return err;
	ops = map_ops_find(a->map_create.map_type);
	if (!ops)
		return -EINVAL;
	attr.map_type = a->map_create.map_type;
	attr.key_size = a->map_create.key_size;
	attr.value_size = a->map_create.value_size;
	attr.max_entries = a->map_create.max_entries;
	attr.map_flags = a->map_create.map_flags & ~SHMAP_F_TOKEN_FD;
	attr.numa_node = a->map_create.numa_node;
	attr.map_extra = a->map_create.map_extra;
	attr.btf_key_type_id = a->map_create.btf_key_type_id;
	attr.btf_value_type_id = a->map_create.btf_value_type_id;
	attr.spin_lock_off = -1;
	attr.possible_cpus = lease_possible_cpus();
	err = ops->check_early	? ops->check_early(&attr)
	      : ops->check_late ? 0
				: ops->alloc_check(&attr);
	if (!err && token)
		err = create_check_token(a);
	if (!err && a->map_create.map_ifindex)
		err = create_check_offload(a);
	if (!err && ops->objref && ops->objref->template)
		err = create_inner(a, &attr);
	/* The kernel has made the map before it looks at the name and the BTF:
	 * what its making would have said comes first. */
	if (!err)
		err = map_check(&attr);
	if (!err)
		err = sys_check_name(attr.name, a->map_create.map_name);
	if (err)
		return err;
	if (a->map_create.btf_value_type_id) {
		err = create_btf(a, &attr, &btf);
		if (err)
			return err;
		has_btf = true;
	}
	err = create_check_exclusive(a);
	if (!err)
		err = map_create(&attr, has_btf ? btf.fd : -1, &m, &fd);
	if (has_btf)
		sys_btf_close(&btf);
	return err ? err : sys_map_fd(m, fd, a->map_create.map_flags);
}
