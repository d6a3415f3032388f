/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CGROUP_STORAGE and PERCPU_CGROUP_STORAGE, the deprecated ones.
 *
 * Their values come into being when a cgroup program that uses the map is attached to a
 * cgroup, and by nothing else: an update only changes what is there. No cgroup programs
 * run here, so these maps are always empty, and say so as the kernel's empty ones do.
 * The file holds nothing.
 */
#include "base/bits.h"
#include "base/errors.h"
#include "map/map.h"

#define CGROUP_STORAGE_VALUE_MAX 65407
#define PERCPU_VALUE_MAX 32768
#define CGROUP_STORAGE_MEMLOCK 328

static int cgroup_storage_alloc_check(const struct map_attr *attr)
{
	const uint32_t allowed = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG |
				 BPF_F_WRONLY_PROG;
	const uint32_t most = attr->map_type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE
				      ? PERCPU_VALUE_MAX
				      : CGROUP_STORAGE_VALUE_MAX;

	if (attr->key_size != sizeof(struct bpf_cgroup_storage_key) &&
	    attr->key_size != sizeof(uint64_t))
		return -EINVAL;
	if (!attr->value_size)
		return -EINVAL;
	if (attr->value_size > most)
		return -E2BIG;
	if (attr->map_flags & ~allowed || !map_access_flags_ok(attr->map_flags) ||
	    attr->max_entries)
		return -EINVAL;
	return 0;
}

static int cgroup_storage_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	*data_size = *prealloc = 0;
	return 0;
}

static int cgroup_storage_format(struct map *m)
{
	return 0;
}

static int cgroup_storage_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	return -ENOENT;
}

static int cgroup_storage_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	if (m->ops->per_cpu)
		return flags != BPF_ANY && flags != BPF_EXIST ? -EINVAL : -ENOENT;
	return flags & ~(uint64_t)(BPF_F_LOCK | BPF_EXIST) ? -EINVAL : -ENOENT;
}

static int cgroup_storage_erase(struct map *m, const void *key)
{
	return -EINVAL;
}

static int cgroup_storage_next_key(struct map *m, const void *key, void *next)
{
	return -ENOENT;
}

static uint64_t cgroup_storage_memlock(const struct map *m)
{
	return CGROUP_STORAGE_MEMLOCK;
}

static const uint16_t cgroup_storage_helpers[] = {BPF_FUNC_get_local_storage, 0};

const struct map_ops cgroup_storage_map_ops = {
	.type = BPF_MAP_TYPE_CGROUP_STORAGE,
	.name = "cgroup_storage",
	.alloc_check = cgroup_storage_alloc_check,
	.check_late = true,
	.layout = cgroup_storage_layout,
	.format = cgroup_storage_format,
	.read = cgroup_storage_read,
	.write = cgroup_storage_write,
	.erase = cgroup_storage_erase,
	.next_key = cgroup_storage_next_key,
	.helpers = cgroup_storage_helpers,
	.memlock = cgroup_storage_memlock,
	.lock_allowed = true,
};

const struct map_ops percpu_cgroup_storage_map_ops = {
	.type = BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
	.name = "percpu_cgroup_storage",
	.alloc_check = cgroup_storage_alloc_check,
	.check_late = true,
	.layout = cgroup_storage_layout,
	.format = cgroup_storage_format,
	.read = cgroup_storage_read,
	.write = cgroup_storage_write,
	.erase = cgroup_storage_erase,
	.next_key = cgroup_storage_next_key,
	.helpers = cgroup_storage_helpers,
	.memlock = cgroup_storage_memlock,
	.per_cpu = true,
};
