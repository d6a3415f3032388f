/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbpf's element calls, without the way through union bpf_attr and syscall().
 * libbpf 1.x: -errno, with errno set.
 */
#include <string.h>
#include <bpf/bpf.h>

#include "preload/preload.h"
#include "sys/quick.h"

EXPORT int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	return result(sys_map_quick_lookup(fd, key, value));
}

EXPORT int bpf_map_lookup_elem_flags(int fd, const void *key, void *value, __u64 flags)
{
	return result(sys_map_lookup(fd, key, value, flags));
}

EXPORT int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	return result(sys_map_quick_update(fd, key, value, flags));
}

EXPORT int bpf_map_delete_elem(int fd, const void *key)
{
	return result(sys_map_quick_delete(fd, key));
}

EXPORT int bpf_map_delete_elem_flags(int fd, const void *key, __u64 flags)
{
	union bpf_attr attr;

	if (!flags)
		return result(sys_map_delete(fd, key));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)key;
	attr.flags = flags;
	return result(sys_bpf(BPF_MAP_DELETE_ELEM, &attr, sizeof(attr)));
}

EXPORT int bpf_map_get_next_key(int fd, const void *key, void *next)
{
	return result(sys_map_quick_next_key(fd, key, next));
}

EXPORT int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)
{
	return result(sys_map_lookup_and_delete(fd, key, value, 0));
}

EXPORT int bpf_map_lookup_and_delete_elem_flags(int fd, const void *key, void *value, __u64 flags)
{
	return result(sys_map_lookup_and_delete(fd, key, value, flags));
}
