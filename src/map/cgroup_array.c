/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CGROUP_ARRAY: values are cgroups, given as fds of their directories in the unified
 * hierarchy.
 *
 *   offset 0    u64 id [max_entries]     0: empty
 *
 * A slot is the cgroup's id, which the kernel does not give out again; one store
 * changes it. A cgroup that is removed stays in its slot, and nobody is in it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "map/array_common.h"
#include "map/objref.h"
#include "map/objref_array.h"

static uint64_t *cgroup_slot(const struct map *m, uint32_t index)
{
	return (uint64_t *)m->obj.base + index;
}

static int cgroup_array_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	*data_size = (uint64_t)m->attr.max_entries * sizeof(uint64_t);
	*prealloc = *data_size;
	return 0;
}

/* The id of the cgroup whose directory fd is. 0; -EBADF: it is none; -ENOENT: removed. */
static int cgroup_of_fd(int fd, uint64_t *id)
{
	struct statfs fs;
	struct stat st;

	if (raw_fstat(fd, &st) || raw_fstatfs(fd, &fs))
		return -EBADF;
	if (fs.f_type != CGROUP2_SUPER_MAGIC || !S_ISDIR(st.st_mode))
		return -EBADF;
	/* each directory has this file, until it is removed */
	if (raw_faccessat(fd, "cgroup.procs", F_OK))
		return -ENOENT;
	*id = st.st_ino;
	return 0;
}

static int cgroup_array_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	int err = objref_array_check(m, key, flags);
	uint64_t id;
	int32_t fd;

	memcpy(&fd, value, sizeof(fd));
	if (!err)
		err = cgroup_of_fd(fd, &id);
	if (err)
		return err;
	if (!m->writable)
		return -EPERM;
	store_release(cgroup_slot(m, array_index(key)), id);
	return 0;
}

static int cgroup_array_erase(struct map *m, const void *key)
{
	int err = objref_array_check(m, key, BPF_ANY);

	if (err)
		return err;
	if (!m->writable)
		return -EPERM;
	return exchange_seq_cst(cgroup_slot(m, array_index(key)), 0) ? 0 : -ENOENT;
}

static int cgroup_array_cgroup(struct map *m, uint32_t index, uint64_t *id)
{
	if (index >= m->attr.max_entries)
		return -E2BIG;
	*id = load_acquire(cgroup_slot(m, index));
	return *id ? 0 : -EAGAIN;
}

static int cgroup_array_recover(struct map *m)
{
	return m->writable ? 0 : -EPERM;
}

/* Any id may stand in a slot. */
static int cgroup_array_validate(struct map *m, char *why, size_t size)
{
	return 0;
}

static const struct objref_ops cgroup_array_objref = {
	.kind = OBJECT_KINDS, /* not an object of ours */
	.cgroup = cgroup_array_cgroup,
};

static const uint16_t cgroup_array_helpers[] = {BPF_FUNC_skb_under_cgroup,
						BPF_FUNC_current_task_under_cgroup, 0};

const struct map_ops cgroup_array_map_ops = {
	.type = BPF_MAP_TYPE_CGROUP_ARRAY,
	.name = "cgroup_array",
	.alloc_check = objref_array_alloc_check,
	.layout = cgroup_array_layout,
	.format = objref_array_format,
	.write = cgroup_array_write,
	.erase = cgroup_array_erase,
	.next_key = array_next_key,
	.helpers = cgroup_array_helpers,
	.objref = &cgroup_array_objref,
	.memlock = objref_array_memlock,
	.recover = cgroup_array_recover,
	.validate = cgroup_array_validate,
	.not_sleepable = true,
	.inner_allowed = true,
};
