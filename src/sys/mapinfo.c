/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a map says of itself: OBJ_GET_INFO_BY_FD, and what it has counted.
 */
#include <stdio.h>
#include <string.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "map/map.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "sys/sys.h"

/* struct bpf_map_info of Linux 6.18. */
struct map_info {
	uint32_t type;
	uint32_t id;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;
	char name[SYS_NAME_LEN];
	uint32_t ifindex;
	uint32_t btf_vmlinux_value_type_id;
	uint64_t netns_dev;
	uint64_t netns_ino;
	uint32_t btf_id;
	uint32_t btf_key_type_id;
	uint32_t btf_value_type_id;
	uint32_t btf_vmlinux_id;
	uint64_t map_extra;
	__aligned_u64 hash;
	uint32_t hash_size;
	uint32_t pad; /* must be zero */
};

_Static_assert(sizeof(struct map_info) == 104, "bpf_map_info of Linux 6.18");

/* The SHA-256 of a frozen array's values, when it is asked for. */
static int info_hash(const struct fd_ref *r, const struct map_info *in)
{
	struct map *m = r->map;
	uint8_t digest[SHA256_SIZE];
	uint64_t size = (uint64_t)m->elem_size * m->attr.max_entries;

	if (!in->hash)
		return in->hash_size ? -EINVAL : 0;
	/* a map whose values can be addressed has them at offset 0, in a row */
	if (!m->ops->direct_value || in->hash_size != sizeof(digest))
		return -EINVAL;
	if (!load_relaxed(&r->shared->frozen))
		return -EPERM;
	if (size > m->obj.size || sha256(digest, m->obj.base, size))
		return -EFAULT;
	return uaccess_copy(sys_ptr(in->hash), digest, sizeof(digest));
}

static long map_info(const struct fd_ref *r, union sys_attr *attr, union sys_attr *uattr)
{
	void *user = sys_ptr(attr->info.info);
	uint32_t len = attr->info.info_len;
	struct map *m = r->map;
	struct map_info in = {0}, info;
	int err;

	err = sys_check_tail(user, offsetof(struct map_info, pad), len);
	if (err)
		return err;
	if (len > sizeof(info))
		len = sizeof(info);
	if (uaccess_copy(&in, user, len))
		return -EFAULT;
	/* The kernel fills the caller's struct: what does not apply stays as it was. */
	info = in;
	info.type = m->attr.map_type;
	info.id = m->obj.id;
	info.key_size = m->attr.key_size;
	info.value_size = m->attr.value_size;
	info.max_entries = m->attr.max_entries;
	info.map_flags = m->attr.map_flags;
	info.btf_vmlinux_value_type_id = m->attr.btf_vmlinux_value_type_id;
	info.map_extra = m->attr.map_extra;
	if (m->attr.btf_id) {
		info.btf_id = m->attr.btf_id;
		info.btf_key_type_id = m->attr.btf_key_type_id;
		info.btf_value_type_id = m->attr.btf_value_type_id;
	}
	memcpy(info.name, m->attr.name, sizeof(info.name));
	err = info_hash(r, &in);
	if (err)
		return err;
	if (uaccess_copy(user, &info, len) ||
	    uaccess_copy(sys_field(uattr, info.info_len), &len, sizeof(len)))
		return -EFAULT;
	return 0;
}

long sys_map_info(int fd, union sys_attr *attr, union sys_attr *uattr)
{
	struct fd_op op;
	long ret;

	ret = fd_begin(fd, &op);
	if (ret)
		return ret;
	ret = map_info(op.ref, attr, uattr);
	fd_end(&op);
	return ret;
}

long sys_map_stats(int fd, struct map_stats *stats)
{
	struct fd_op op;
	struct map *m;
	long ret;

	*stats = (struct map_stats){0};
	ret = fd_begin(fd, &op);
	if (ret)
		return ret;
	m = op.ref->map;
	ret = m->ops->stats ? m->ops->stats(m, stats) : -EOPNOTSUPP;
	fd_end(&op);
	return ret;
}
