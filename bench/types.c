/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map types that are measured, and the operations of each. A type gets a
 * row here; what is new about it, an operation in ops.c. Types that one side
 * does not have are left out, and named. (Ring buffers are measured end to end, by bench-rings,
 * and what programs do with all types by bench-inside.)
 */
#include "bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HASH_OPS                                                                                   \
	{                                                                                          \
		&op_lookup, &op_lookup_miss, &op_update, &op_insert_delete, &op_insert_take,       \
			&op_next_key, &op_lookup_batch, &op_update_batch                           \
	}
/* What evicts comes last: it leaves none of the keys that the others look for. */
#define LRU_OPS                                                                                    \
	{                                                                                          \
		&op_lookup, &op_lookup_miss, &op_update, &op_insert_delete, &op_insert_take,       \
			&op_lookup_batch, &op_update_batch, &op_insert_evict                       \
	}
#define ARRAY_OPS                                                                                  \
	{                                                                                          \
		&op_lookup, &op_update, &op_next_key, &op_lookup_batch, &op_update_batch           \
	}

/*
 * Prefixes of IPv4 addresses, of lengths as a full routing table has them (mostly /24), all
 * different: a permutation of the numbers of each length.
 */
static void route(uint32_t index, void *key)
{
	static const uint8_t lengths[16] = {24, 24, 24, 24, 24, 24, 24, 24,
					    24, 23, 23, 22, 22, 21, 20, 16};
	static const uint8_t first[33] = {
		[24] = 0, [23] = 9, [22] = 11, [21] = 13, [20] = 14, [16] = 15};
	static const uint8_t count[33] = {
		[24] = 9, [23] = 2, [22] = 2, [21] = 1, [20] = 1, [16] = 1};
	uint32_t plen = lengths[index % 16];
	uint32_t k = index / 16 * count[plen] + index % 16 - first[plen];
	uint32_t bits = k * 2654435769u << (32 - plen);
	uint8_t *p = (uint8_t *)key;

	*(uint32_t *)key = plen;
	p[4] = bits >> 24;
	p[5] = bits >> 16;
	p[6] = bits >> 8;
	p[7] = bits;
}

/*
 * Owners of local storages: fds that both sides are given. The kernel lets bpf(2) at them by
 * sockets, files and pidfds.
 */
#define OWNERS_MAX 4000 /* of each kind: RLIMIT_NOFILE may be 20000 */

static int owner_fd[4][OWNERS_MAX];
enum { SOCKETS, FILES, TASKS, CGROUPS };

/* Cgroups, in a hierarchy that is mounted nowhere: all goes by this fd. */
static int cgroup_root = -1;
static pid_t cgroup_maker;
static char cgroup_name[48];

static void cgroups_remove(void)
{
	char path[64];

	for (uint32_t i = 0; getpid() == cgroup_maker && i < OWNERS_MAX; i++)
		if (owner_fd[CGROUPS][i]) {
			snprintf(path, sizeof(path), "%s.%u", cgroup_name, i);
			unlinkat(cgroup_root, path, AT_REMOVEDIR);
		}
}

static int cgroup_make(uint32_t i)
{
	char dir[] = "/dev/shm/bench-cgroup-XXXXXX", path[64];

	if (cgroup_root < 0 && mkdtemp(dir)) {
		if (!mount("none", dir, "cgroup2", 0, NULL)) {
			cgroup_root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			umount2(dir, MNT_DETACH);
		}
		rmdir(dir);
		cgroup_maker = getpid();
		snprintf(cgroup_name, sizeof(cgroup_name), "shmap-bench.%d", cgroup_maker);
		atexit(cgroups_remove);
	}
	if (cgroup_root < 0)
		return -1;
	snprintf(path, sizeof(path), "%s.%u", cgroup_name, i);
	mkdirat(cgroup_root, path, 0755);
	return openat(cgroup_root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int owner_make(int kind, uint32_t i)
{
	char name[] = "/dev/shm/bench-owner-XXXXXX";
	pid_t pid;
	int fd;

	switch (kind) {
	case SOCKETS:
		return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case FILES:
		fd = mkostemp(name, O_CLOEXEC);
		unlink(name);
		return fd;
	case CGROUPS:
		return cgroup_make(i);
	default:
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		return (int)syscall(SYS_pidfd_open, pid, 0);
	}
}

static int owners_make(int kind, uint32_t max)
{
	struct rlimit fds;

	getrlimit(RLIMIT_NOFILE, &fds);
	fds.rlim_cur = fds.rlim_max;
	setrlimit(RLIMIT_NOFILE, &fds);
	for (uint32_t i = 0; i < max; i++) {
		if (owner_fd[kind][i])
			continue;
		owner_fd[kind][i] = owner_make(kind, i);
		if (owner_fd[kind][i] < 0) {
			owner_fd[kind][i] = 0;
			return -errno;
		}
	}
	return 0;
}

static int sockets_make(uint32_t max)
{
	return owners_make(SOCKETS, max);
}

static int files_make(uint32_t max)
{
	return owners_make(FILES, max);
}

static int cgroups_make(uint32_t max)
{
	return owners_make(CGROUPS, max);
}

static int tasks_make(uint32_t max)
{
	return owners_make(TASKS, max);
}

static void socket_key(uint32_t index, void *key)
{
	memcpy(key, &owner_fd[SOCKETS][index % OWNERS_MAX], sizeof(int));
}

static void file_key(uint32_t index, void *key)
{
	memcpy(key, &owner_fd[FILES][index % OWNERS_MAX], sizeof(int));
}

static void cgroup_key(uint32_t index, void *key)
{
	memcpy(key, &owner_fd[CGROUPS][index % OWNERS_MAX], sizeof(int));
}

static void task_key(uint32_t index, void *key)
{
	memcpy(key, &owner_fd[TASKS][index % OWNERS_MAX], sizeof(int));
}

#define STORAGE(name_, type_, limit_, key_, prepare_)                                              \
	{                                                                                          \
		.name = name_, .type = type_, .flags = BPF_F_NO_PREALLOC, .key_size = 4,           \
		.value_size = 8, .limit = limit_, .key = key_, .prepare = prepare_,                \
		.ops = { &op_lookup,                                                               \
			 &op_update,                                                               \
			 &op_insert_delete }                                                       \
	}

const struct bench_type bench_types[] = {
	{.name = "ARRAY",
	 .type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .full = true,
	 .ops = ARRAY_OPS},
	{.name = "PERCPU_ARRAY",
	 .type = BPF_MAP_TYPE_PERCPU_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .full = true,
	 .ops = ARRAY_OPS},
	{.name = "HASH",
	 .type = BPF_MAP_TYPE_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "HASH key 16",
	 .type = BPF_MAP_TYPE_HASH,
	 .key_size = 16,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "HASH NO_PREALLOC",
	 .type = BPF_MAP_TYPE_HASH,
	 .flags = BPF_F_NO_PREALLOC,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "PERCPU_HASH",
	 .type = BPF_MAP_TYPE_PERCPU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "PERCPU_HASH NO_PREALLOC",
	 .type = BPF_MAP_TYPE_PERCPU_HASH,
	 .flags = BPF_F_NO_PREALLOC,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = HASH_OPS},
	{.name = "LRU_HASH",
	 .type = BPF_MAP_TYPE_LRU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
	{.name = "LRU_HASH NO_COMMON_LRU",
	 .type = BPF_MAP_TYPE_LRU_HASH,
	 .flags = BPF_F_NO_COMMON_LRU,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
	{.name = "LRU_PERCPU_HASH",
	 .type = BPF_MAP_TYPE_LRU_PERCPU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .ops = LRU_OPS},
	{.name = "LPM_TRIE",
	 .type = BPF_MAP_TYPE_LPM_TRIE,
	 .flags = BPF_F_NO_PREALLOC,
	 .key_size = 8,
	 .value_size = 8,
	 .key = route,
	 .ops = {&op_longest, &op_lookup, &op_update, &op_insert_delete, &op_next_key,
		 &op_lookup_batch, &op_update_batch}},
	{.name = "ARRAY_OF_MAPS",
	 .type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	 .key_size = 4,
	 .value_size = 4,
	 .full = true,
	 .inner = BPF_MAP_TYPE_ARRAY,
	 .ops = {&op_lookup, &op_swap}},
	{.name = "HASH_OF_MAPS",
	 .type = BPF_MAP_TYPE_HASH_OF_MAPS,
	 .key_size = 4,
	 .value_size = 4,
	 .full = true,
	 .inner = BPF_MAP_TYPE_ARRAY,
	 .ops = {&op_lookup, &op_swap}},
	{.name = "QUEUE",
	 .type = BPF_MAP_TYPE_QUEUE,
	 .value_size = 8,
	 .ops = {&op_push_pop, &op_peek}},
	{.name = "STACK",
	 .type = BPF_MAP_TYPE_STACK,
	 .value_size = 8,
	 .ops = {&op_push_pop, &op_peek}},
	{.name = "BLOOM_FILTER",
	 .type = BPF_MAP_TYPE_BLOOM_FILTER,
	 .value_size = 8,
	 .ops = {&op_push, &op_member}},
	STORAGE("SK_STORAGE", BPF_MAP_TYPE_SK_STORAGE, OWNERS_MAX, socket_key, sockets_make),
	STORAGE("INODE_STORAGE", BPF_MAP_TYPE_INODE_STORAGE, OWNERS_MAX, file_key, files_make),
	STORAGE("TASK_STORAGE", BPF_MAP_TYPE_TASK_STORAGE, 100, task_key, tasks_make),
	STORAGE("CGRP_STORAGE", BENCH_MAP_TYPE_CGRP_STORAGE, 100, cgroup_key, cgroups_make),
	/* Programs of cgroups fill them, which cannot be loaded here: bpf(2) finds none. */
	{.name = "CGROUP_STORAGE",
	 .type = BPF_MAP_TYPE_CGROUP_STORAGE,
	 .key_size = 16,
	 .value_size = 8,
	 .limit = 1,
	 .empty = true,
	 .ops = {&op_lookup_miss, &op_update_miss, &op_next_key}},
	{.name = "PERCPU_CGROUP_STORAGE",
	 .type = BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
	 .key_size = 16,
	 .value_size = 8,
	 .limit = 1,
	 .empty = true,
	 .ops = {&op_lookup_miss, &op_update_miss, &op_next_key}},
	/* Memory is memory: what there is to measure is how a process comes by it. */
	{.name = "ARENA",
	 .type = BENCH_MAP_TYPE_ARENA,
	 .flags = BPF_F_MMAPABLE,
	 .limit = 256,
	 .empty = true,
	 .ops = {&op_map_arena, &op_arena_page}},
	{.name = "PERF_EVENT_ARRAY",
	 .type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	 .key_size = 4,
	 .value_size = 4,
	 .limit = 64,
	 .full = true,
	 .events = true,
	 .ops = {&op_set_event}},
	/* Stacks come from programs of types that cannot be loaded here: bpf(2) finds none. */
	{.name = "STACK_TRACE",
	 .type = BPF_MAP_TYPE_STACK_TRACE,
	 .key_size = 4,
	 .value_size = 64,
	 .empty = true,
	 .ops = {&op_lookup_miss, &op_next_key}},
};

const unsigned int bench_type_count = sizeof(bench_types) / sizeof(bench_types[0]);
