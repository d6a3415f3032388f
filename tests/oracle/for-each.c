/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_for_each_map_elem takes the map types that the kernel's takes, and no others;
 * push, pop and peek likewise; and each type's map info is the kernel's.
 */
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"
#include "map/map.h"
#include "oracle.h"

struct side sides[SIDES];

static const struct made {
	uint32_t type, key, value, max, flags;
} maps[] = {
	{BPF_MAP_TYPE_HASH, 4, 8, 4, 0},
	{BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0},
	{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0},
	{BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 4, 0},
	{BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 4, 0},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0},
	{BPF_MAP_TYPE_STACK_TRACE, 4, 8, 4, 0},
	{BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 4, 0},
	{BPF_MAP_TYPE_LRU_HASH, 4, 8, 4, 0},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 4, 0},
	{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4, BPF_F_NO_PREALLOC},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 4, 0},
	{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 4, 0},
	{BPF_MAP_TYPE_QUEUE, 0, 8, 4, 0},
	{BPF_MAP_TYPE_STACK, 0, 8, 4, 0},
	{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0},
	{BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0},
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 4, 0},
};

static long make(int s, const struct made *t)
{
	union sys_attr a = {.map_create = {.map_type = t->type,
					   .key_size = t->key,
					   .value_size = t->value,
					   .max_entries = t->max,
					   .map_flags = t->flags}};
	long inner = -1, fd;

	if (t->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || t->type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		inner = make(s, &maps[1]);
		a.map_create.inner_map_fd = (uint32_t)inner;
	}
	fd = sides[s].bpf(BPF_MAP_CREATE, &a, 72);
	if (inner >= 0)
		sides[s].close((int)inner);
	return fd;
}

/* The functions' types, which a callback must have. */
static struct btf *types(int id[2])
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED), proto;

	proto = btf__add_func_proto(btf, number);
	id[0] = btf__add_func(btf, "main", BTF_FUNC_GLOBAL, proto);
	proto = btf__add_func_proto(btf, number);
	id[1] = btf__add_func(btf, "callback", BTF_FUNC_STATIC, proto);
	return btf;
}

#define MOV_K(reg, value)                                                                          \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = value                  \
	}
#define EXIT                                                                                       \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}
#define CALL(id)                                                                                   \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .imm = id                                              \
	}

static long load(int s, const struct bpf_insn *code, uint32_t n, int btf,
		 const struct bpf_func_info *funcs, char *log)
{
	union sys_attr a = {.prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
					  .insn_cnt = n,
					  .insns = (uintptr_t)code,
					  .license = (uintptr_t) "GPL",
					  .log_level = 1,
					  .log_size = 4096,
					  .log_buf = (uintptr_t)log}};
	long fd;

	if (funcs) {
		a.prog_load.prog_btf_fd = (uint32_t)btf;
		a.prog_load.func_info_rec_size = sizeof(*funcs);
		a.prog_load.func_info = (uintptr_t)funcs;
		a.prog_load.func_info_cnt = 2;
	}
	log[0] = '\0';
	fd = sides[s].bpf(BPF_PROG_LOAD, &a, 120);
	if (fd >= 0)
		sides[s].close((int)fd);
	return fd < 0 ? fd : 0;
}

static long for_each(int s, int map, char *log)
{
	struct bpf_insn code[] = {
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_FUNC,
		 .imm = 6},
		{0},
		MOV_K(3, 0),
		MOV_K(4, 0),
		CALL(BPF_FUNC_for_each_map_elem),
		MOV_K(0, 0),
		EXIT,
		MOV_K(0, 0),
		EXIT,
	};
	struct bpf_func_info funcs[2] = {{.insn_off = 0}, {.insn_off = 9}};
	union sys_attr a = {0};
	int id[2];
	struct btf *btf = types(id);
	uint32_t size;
	long fd, ret;

	a.btf_load.btf = (uintptr_t)btf__raw_data(btf, &size);
	a.btf_load.btf_size = size;
	fd = sides[s].bpf(BPF_BTF_LOAD, &a, sizeof(a.btf_load));
	REQUIRE(fd >= 0);
	funcs[0].type_id = (uint32_t)id[0];
	funcs[1].type_id = (uint32_t)id[1];
	ret = load(s, code, ARRAY_SIZE(code), (int)fd, funcs, log);
	sides[s].close((int)fd);
	btf__free(btf);
	return ret;
}

/* push, pop and peek, of 8 bytes on the stack */
static long on_value(int s, int map, int helper, char *log)
{
	struct bpf_insn code[] = {
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 5},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8},
		MOV_K(3, 0),
		MOV_K(4, 0),
		CALL(helper),
		MOV_K(0, 0),
		EXIT,
	};

	return load(s, code, ARRAY_SIZE(code), -1, NULL, log);
}

static void info_same(const int fd[SIDES], const struct made *t)
{
	uint8_t info[SIDES][104];
	long ret[SIDES];

	for (int s = 0; s < SIDES; s++) {
		union sys_attr a = {.info = {.bpf_fd = (uint32_t)fd[s],
					     .info_len = sizeof(info[s]),
					     .info = (uintptr_t)info[s]}};

		memset(info[s], 0, sizeof(info[s]));
		ret[s] = sides[s].bpf(BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a.info));
		memset(info[s] + 4, 0, 4); /* the id */
	}
	CHECK_EQ(ret[SHMAP], ret[KERNEL]);
	if (memcmp(info[KERNEL], info[SHMAP], sizeof(info[0])))
		CHECK(!fprintf(stderr, "type %u: other map info\n", t->type));
}

int main(void)
{
	static const int helpers[] = {BPF_FUNC_map_push_elem,	BPF_FUNC_map_pop_elem,
				      BPF_FUNC_map_peek_elem,	BPF_FUNC_map_lookup_elem,
				      BPF_FUNC_map_update_elem, BPF_FUNC_map_delete_elem};
	static char log[SIDES][4096];
	unsigned int compared = 0;

	check_private_rundir();
	sides[KERNEL] = kernel_side;
	sides[SHMAP] = shmap_side;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		long ret[SIDES];
		int fd[SIDES];

		for (int s = 0; s < SIDES; s++)
			fd[s] = (int)make(s, &maps[i]);
		if (fd[KERNEL] == -EPERM)
			SKIP("the kernel does not permit bpf(2) here");
		REQUIRE(fd[KERNEL] >= 0);
		/* a type that there is not, yet */
		if (!map_ops_find(maps[i].type))
			continue;
		CHECK(fd[SHMAP] >= 0);
		if (fd[SHMAP] < 0)
			continue;
		info_same(fd, &maps[i]);
		for (size_t h = 0; h <= ARRAY_SIZE(helpers); h++) {
			for (int s = 0; s < SIDES; s++)
				ret[s] = h == ARRAY_SIZE(helpers)
						 ? for_each(s, fd[s], log[s])
						 : on_value(s, fd[s], helpers[h], log[s]);
			compared++;
			if (ret[KERNEL] != ret[SHMAP])
				CHECK(!fprintf(stderr,
					       "type %u, helper %d: %ld on the kernel, %ld on "
					       "shmap\nkernel:\n%sshmap:\n%s",
					       maps[i].type,
					       h == ARRAY_SIZE(helpers) ? 164 : helpers[h],
					       ret[KERNEL], ret[SHMAP], log[KERNEL], log[SHMAP]));
		}
		for (int s = 0; s < SIDES; s++)
			sides[s].close(fd[s]);
	}
	printf("%u programs loaded, or not, as on the kernel\n", compared);
	return check_done();
}
