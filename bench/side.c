/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shmap side calls libbpf's functions. The kernel side issues the system
 * call itself, with less in the way than libbpf's own wrapper has.
 */
#include "bench.h"

#include <bpf/bpf.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long kernel_bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	long ret;

#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_bpf), "D"((long)cmd), "S"(attr), "d"((long)size)
			 : "rcx", "r11", "memory");
#else
	ret = -ENOSYS;
#endif
	return ret;
}

static long kernel_elem(int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, 32);
	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)(uintptr_t)key;
	attr.value = (uint64_t)(uintptr_t)value;
	attr.flags = flags;
	return kernel_bpf(cmd, &attr, 32);
}

/* Types 1: int, 2: a number of 8 bytes. */
static int side_btf(enum side side)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, type_off, type_len, str_off, str_len;
		struct {
			uint32_t name, info, size, encoding;
		} type[2];
		char strings[10];
	} raw = {0xeb9f,       1,  0,
		 24,	       0,  32,
		 32,	       10, {{1, 1 << 24, 4, 1 << 24 | 32}, {5, 1 << 24, 8, 64}},
		 "\0int\0long"};
	union bpf_attr attr;

	if (side == SHMAP)
		return bpf_btf_load(&raw, 24 + 32 + 10, NULL);
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uint64_t)(uintptr_t)&raw;
	attr.btf_size = 24 + 32 + 10;
	return (int)kernel_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
}

int side_event(enum side side)
{
	struct perf_event_attr like = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(like),
				       .config = PERF_COUNT_SW_BPF_OUTPUT,
				       .sample_type = PERF_SAMPLE_RAW};
	long ret = -ENOSYS;

	if (side == SHMAP) {
		ret = syscall(SYS_perf_event_open, &like, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
		return ret < 0 ? -errno : (int)ret;
	}
#if defined(__x86_64__)
	register long group __asm__("r10") = -1, flags __asm__("r8") = PERF_FLAG_FD_CLOEXEC;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_perf_event_open), "D"(&like), "S"(-1L), "d"(0L), "r"(group),
			   "r"(flags)
			 : "rcx", "r11", "memory");
#endif
	return (int)ret;
}

static bool is_storage(uint32_t type)
{
	return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_INODE_STORAGE ||
	       type == BPF_MAP_TYPE_TASK_STORAGE || type == BENCH_MAP_TYPE_CGRP_STORAGE;
}

/* Those have as many elements as there are owners. */
static bool is_unsized(uint32_t type)
{
	return is_storage(type) || type == BPF_MAP_TYPE_CGROUP_STORAGE ||
	       type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

long side_create(enum side side, uint32_t type, uint32_t key, uint32_t value, uint32_t max,
		 uint32_t flags, int inner_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	union bpf_attr attr;
	int btf = 0;
	long ret;

	if (is_storage(type)) {
		btf = side_btf(side);
		if (btf < 0)
			return btf;
	}
	if (is_unsized(type))
		max = 0;
	if (side == SHMAP) {
		opts.inner_map_fd = inner_fd > 0 ? (uint32_t)inner_fd : 0;
		opts.btf_fd = (uint32_t)btf;
		opts.btf_key_type_id = btf ? 1 : 0;
		opts.btf_value_type_id = btf ? 2 : 0;
		ret = bpf_map_create((enum bpf_map_type)type, "bench", key, value, max, &opts);
		goto out;
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = max;
	attr.map_flags = flags;
	attr.inner_map_fd = inner_fd > 0 ? (uint32_t)inner_fd : 0;
	attr.btf_fd = (uint32_t)btf;
	attr.btf_key_type_id = btf ? 1 : 0;
	attr.btf_value_type_id = btf ? 2 : 0;
	ret = kernel_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
out:
	if (btf)
		close(btf);
	return ret;
}

long side_lookup(enum side side, int fd, const void *key, void *value)
{
	return side == SHMAP ? bpf_map_lookup_elem(fd, key, value)
			     : kernel_elem(BPF_MAP_LOOKUP_ELEM, fd, key, value, 0);
}

long side_update(enum side side, int fd, const void *key, const void *value, uint64_t flags)
{
	return side == SHMAP ? bpf_map_update_elem(fd, key, value, flags)
			     : kernel_elem(BPF_MAP_UPDATE_ELEM, fd, key, value, flags);
}

long side_delete(enum side side, int fd, const void *key)
{
	return side == SHMAP ? bpf_map_delete_elem(fd, key)
			     : kernel_elem(BPF_MAP_DELETE_ELEM, fd, key, NULL, 0);
}

long side_take(enum side side, int fd, const void *key, void *value)
{
	return side == SHMAP ? bpf_map_lookup_and_delete_elem(fd, key, value)
			     : kernel_elem(BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, key, value, 0);
}

long side_next_key(enum side side, int fd, const void *key, void *next)
{
	return side == SHMAP ? bpf_map_get_next_key(fd, key, next)
			     : kernel_elem(BPF_MAP_GET_NEXT_KEY, fd, key, next, 0);
}

long side_map(enum side side, int fd, uint64_t at, size_t size)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
	long ret = -ENOSYS;

	if (side == SHMAP)
		return mmap((void *)at, size, prot, flags, fd, 0) == MAP_FAILED ? -errno : 0;
#if defined(__x86_64__)
	register long r_flags __asm__("r10") = flags, r_fd __asm__("r8") = fd,
			      off __asm__("r9") = 0;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_mmap), "D"(at), "S"(size), "d"((long)prot), "r"(r_flags),
			   "r"(r_fd), "r"(off)
			 : "rcx", "r11", "memory");
#endif
	return ret < 0 && ret > -4096 ? ret : 0;
}

long side_unmap(enum side side, uint64_t at, size_t size)
{
	long ret = -ENOSYS;

	if (side == SHMAP)
		return munmap((void *)at, size) ? -errno : 0;
#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_munmap), "D"(at), "S"(size)
			 : "rcx", "r11", "memory");
#endif
	return ret;
}

long side_batch(enum side side, int cmd, int fd, void *in, void *out, void *keys, void *values,
		uint32_t *count)
{
	DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, opts);
	union bpf_attr attr;
	long ret;

	if (side == SHMAP)
		return cmd == BPF_MAP_LOOKUP_BATCH
			       ? bpf_map_lookup_batch(fd, in, out, keys, values, count, &opts)
			       : bpf_map_update_batch(fd, keys, values, count, &opts);
	memset(&attr, 0, sizeof(attr.batch));
	attr.batch.map_fd = (uint32_t)fd;
	attr.batch.in_batch = (uint64_t)(uintptr_t)in;
	attr.batch.out_batch = (uint64_t)(uintptr_t)out;
	attr.batch.keys = (uint64_t)(uintptr_t)keys;
	attr.batch.values = (uint64_t)(uintptr_t)values;
	attr.batch.count = *count;
	ret = kernel_bpf(cmd, &attr, sizeof(attr.batch));
	*count = attr.batch.count;
	return ret;
}
