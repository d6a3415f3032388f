/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps whose values are objects: what goes into them is fds, which are others on each
 * side, and what comes out is ids. Both stand for the same things of a pool.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"
#include "oracle.h"

#define POOL_MAX 32

static struct {
	int fd[SIDES];
	uint32_t id[SIDES]; /* 0: none */
	bool good;	    /* likely to be taken */
} pool[POOL_MAX];
static unsigned int pool_n;
static uint32_t pool_type;

static bool map_in_map(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool objects_type(uint32_t type)
{
	return map_in_map(type) || type == BPF_MAP_TYPE_PROG_ARRAY ||
	       type == BPF_MAP_TYPE_CGROUP_ARRAY;
}

static void pool_add(const int fd[SIDES], bool ids, bool good)
{
	REQUIRE(pool_n < POOL_MAX);
	for (int s = 0; s < SIDES; s++) {
		uint32_t info[58] = {0};
		union sys_attr a = {.info = {.bpf_fd = (uint32_t)fd[s],
					     .info_len = sizeof(info),
					     .info = (uintptr_t)info}};

		pool[pool_n].fd[s] = fd[s];
		if (ids && !sides[s].bpf(BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a.info)))
			pool[pool_n].id[s] = info[1];
	}
	pool[pool_n++].good = good;
}

static void pool_map(uint32_t type, uint32_t key, uint32_t max, uint32_t flags, bool good)
{
	int fd[SIDES];

	for (int s = 0; s < SIDES; s++) {
		union sys_attr a = {
			.map_create = {.map_type = type,
				       .key_size = key,
				       .value_size = type == BPF_MAP_TYPE_PROG_ARRAY ? 4 : 8,
				       .max_entries = max,
				       .map_flags = flags}};

		fd[s] = (int)sides[s].bpf(BPF_MAP_CREATE, &a, sizeof(a.map_create));
		REQUIRE(fd[s] >= 0);
	}
	pool_add(fd, map_in_map(pool_type), good);
}

static void pool_prog(uint32_t type, int result, uint32_t expected, bool good)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = result},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd[SIDES];

	for (int s = 0; s < SIDES; s++) {
		union sys_attr a = {.prog_load = {.prog_type = type,
						  .insn_cnt = 2,
						  .insns = (uintptr_t)insns,
						  .license = (uintptr_t) "GPL",
						  .expected_attach_type = expected}};

		fd[s] = (int)sides[s].bpf(BPF_PROG_LOAD, &a, sizeof(a.prog_load));
		REQUIRE(fd[s] >= 0);
	}
	pool_add(fd, pool_type == BPF_MAP_TYPE_PROG_ARRAY, good);
}

static void pool_file(const char *path, int flags, bool good)
{
	int fd = open(path, flags | O_CLOEXEC);
	int both[SIDES] = {fd, fd};

	if (fd >= 0)
		pool_add(both, false, good);
}

void objects_prepare(uint32_t type)
{
	const int bad[][SIDES] = {{1000000, 1000000}, {-1, -1}, {0, 0}};

	if (!objects_type(type) || pool_n)
		return;
	pool_type = type;
	/* the first ones are also what outer maps are made with */
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 4, 0, map_in_map(type));
	pool_map(BPF_MAP_TYPE_HASH, 4, 4, 0, map_in_map(type));
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 4, 0x1000, map_in_map(type));
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 4, 0, map_in_map(type));
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 4, 0, map_in_map(type));
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 5, 0, false);
	pool_map(BPF_MAP_TYPE_ARRAY, 4, 9, 0x1000, map_in_map(type));
	pool_map(BPF_MAP_TYPE_HASH, 4, 9, 0, map_in_map(type));
	pool_map(BPF_MAP_TYPE_HASH, 8, 4, 0, false);
	pool_map(BPF_MAP_TYPE_HASH, 4, 4, BPF_F_NO_PREALLOC, false);
	pool_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 0, false);
	pool_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 0, false);
	pool_prog(BPF_PROG_TYPE_XDP, 1, 0, type == BPF_MAP_TYPE_PROG_ARRAY);
	pool_prog(BPF_PROG_TYPE_XDP, 2, 0, type == BPF_MAP_TYPE_PROG_ARRAY);
	pool_prog(BPF_PROG_TYPE_XDP, 3, BPF_XDP_CPUMAP, false);
	pool_prog(BPF_PROG_TYPE_SOCKET_FILTER, 4, 0, false);
	if (type == BPF_MAP_TYPE_CGROUP_ARRAY) {
		const char *root = access("/sys/fs/cgroup/cgroup.controllers", F_OK)
					   ? "/sys/fs/cgroup/unified"
					   : "/sys/fs/cgroup";

		pool_file(root, O_RDONLY | O_DIRECTORY, true);
		pool_file(root, O_PATH, true);
		if (!chdir(root)) {
			pool_file("cgroup.procs", O_RDONLY, false);
			pool_file("cgroup.controllers", O_PATH, false);
		}
		pool_file("/sys/fs/cgroup/cpu", O_RDONLY, false);
		pool_file("/tmp", O_RDONLY | O_DIRECTORY, false);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		pool_add(bad[i], false, false);
}

void objects_value(uint32_t at)
{
	unsigned int i;

	do {
		i = rnd(pool_n);
	} while (!pool[i].good && !one_in(8));
	for (int s = 0; s < SIDES; s++)
		memcpy(sides[s].mem + at, &pool[i].fd[s], 4);
	note("value: object %u", i);
}

void objects_template(void)
{
	uint32_t i = one_in(12) ? rnd(pool_n) : rnd(3);

	for (int s = 0; s < SIDES; s++)
		attr_of(s)->map_create.inner_map_fd =
			map_in_map(pool_type) ? (uint32_t)pool[i].fd[s] : 0;
}

void objects_names(uint32_t at, uint32_t n)
{
	for (int s = 0; s < SIDES; s++)
		for (uint32_t k = 0; k + 4 <= n; k += 4) {
			uint32_t id;

			memcpy(&id, sides[s].mem + at + k, 4);
			for (unsigned int i = 0; id && i < pool_n; i++)
				if (pool[i].id[s] == id) {
					id = 0xf0000000u + i;
					memcpy(sides[s].mem + at + k, &id, 4);
					break;
				}
		}
}
