/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims about maps whose values are other objects: on shmap and on the kernel. */
#include "both.h"

#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/rawsys.h"

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV_K(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_X(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD_K(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define CALL_HELPER(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##f)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LD_MAP(d, fd)                                                                              \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define ST_W(d, off, i) INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, off, i)
#define JEQ_K(d, i, off) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, off, i)
#define JGT_X(d, s, off) INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, off, 0)
#define LDX_W(d, s, off) INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, off, 0)
#define STX_W(d, s, off) INSN(BPF_STX | BPF_MEM | BPF_W, d, s, off, 0)
#define LDX_DW(d, s, off) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, off, 0)
#define ATOMIC_ADD(d, s, off) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, d, s, off, BPF_ADD)

static int outer_new(uint32_t type, uint32_t key, uint32_t max, int inner)
{
	return CALL(BPF_MAP_CREATE, .map_create = {.map_type = type,
						   .key_size = key,
						   .value_size = 4,
						   .max_entries = max,
						   .inner_map_fd = inner});
}

static int outer(uint32_t type, int inner)
{
	int fd = outer_new(type, 4, 4, inner);

	REQUIRE(fd >= 0);
	return fd;
}

static int prog_load(uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	static char log[65536];

	*log = 0;
	int fd = CALL(BPF_PROG_LOAD, .prog_load = {.prog_type = type,
						   .insns = P(insns),
						   .insn_cnt = cnt,
						   .license = P("GPL"),
						   .log_level = 1,
						   .log_buf = P(log),
						   .log_size = sizeof(log)});

	if (fd < 0 && getenv("SHOW_LOG"))
		fprintf(stderr, "%s: %d\n%s\n", on_kernel ? "kernel" : "shmap", fd, log);
	return fd;
}

#define LOAD(type, ...)                                                                            \
	({                                                                                         \
		struct bpf_insn insns_[] = {__VA_ARGS__};                                          \
		prog_load(type, insns_, sizeof(insns_) / sizeof(*insns_));                         \
	})
#define XDP BPF_PROG_TYPE_XDP

/* On a packet of 64 bytes. */
static int64_t run_on(int prog, const void *packet)
{
	union sys_attr a = {.test = {.prog_fd = prog, .data_in = P(packet), .data_size_in = 64}};
	long ret = bpf(BPF_PROG_TEST_RUN, &a, sizeof(a));

	return ret ? ret : (int64_t)a.test.retval;
}

static int64_t run(int prog)
{
	static const uint8_t packet[64];

	return run_on(prog, packet);
}

/* Returns `value`. */
static int prog_const(uint32_t type, int value)
{
	int fd = LOAD(type, MOV_K(0, value), EXIT());

	REQUIRE(fd >= 0);
	return fd;
}

/* Calls slot `index` of the array; returns `miss` when it falls through. */
static int prog_tail(uint32_t type, int array, int index, int miss)
{
	return LOAD(type, LD_MAP(2, array), MOV_K(3, index), CALL_HELPER(tail_call), MOV_K(0, miss),
		    EXIT());
}

/* What the first value of the inner map in slot `key` is; -1: no inner map; -2: no value. */
static int prog_read(int map, int key)
{
	return LOAD(XDP, ST_W(10, -4, key), LD_MAP(1, map), MOV_X(2, 10), ADD_K(2, -4),
		    CALL_HELPER(map_lookup_elem), JEQ_K(0, 0, 8), ST_W(10, -4, 0), MOV_X(1, 0),
		    MOV_X(2, 10), ADD_K(2, -4), CALL_HELPER(map_lookup_elem), JEQ_K(0, 0, 4),
		    LDX_DW(0, 0, 0), EXIT(), MOV_K(0, -1), EXIT(), MOV_K(0, -2), EXIT());
}

/* Not by an fd, which would be one more user. */
static bool lives(int cmd, uint32_t id)
{
	union sys_attr a = {.id = {.start_id = id - 1}};

	return !bpf(cmd, &a, sizeof(a.id)) && a.id.next_id == id;
}

static bool id_lives(uint32_t id)
{
	return lives(BPF_MAP_GET_NEXT_ID, id);
}

static bool prog_lives(uint32_t id)
{
	return lives(BPF_PROG_GET_NEXT_ID, id);
}

static uint32_t prog_id(int fd)
{
	uint32_t info[58] = {0};

	REQUIRE(!CALL(BPF_OBJ_GET_INFO_BY_FD,
		      .info = {.bpf_fd = fd, .info_len = sizeof(info), .info = P(info)}));
	return info[1];
}

/* The kernel frees by and by. */
static bool goes(bool (*there)(uint32_t), uint32_t id)
{
	for (int i = 0; i < 60000 && there(id); i++) {
		if (!on_kernel)
			return false;
		usleep(1000);
	}
	return !there(id);
}

static const uint32_t outers[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS};

/* ---- creation ---- */

static void create_rules(void)
{
	int array = array_new(), pa = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0);
	int prog = prog_const(XDP, 2), inner = outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, array);

	for (int i = 0; i < 2; i++) {
		uint32_t t = outers[i];

		CHECK_EQ(outer_new(t, 4, 1, -1), -EBADF);
		CHECK_EQ(outer_new(t, 4, 1, 1000000), -EBADF);
		CHECK_EQ(outer_new(t, 4, 1, 0), -EINVAL);
		CHECK_EQ(outer_new(t, 4, 1, prog), -EINVAL);
		CHECK_EQ(outer_new(t, 4, 1, inner), -EINVAL);
		CHECK_EQ(outer_new(t, 4, 1, pa), -ENOTSUPP);
		CHECK_EQ(outer_new(t, 4, 0, -1), -EINVAL);
		CHECK_EQ(outer_new(t, 0, 1, -1), -EINVAL);
		CHECK_EQ(only_err(outer_new(t, 4, 1, array)), 0);
	}
	CHECK_EQ(outer_new(BPF_MAP_TYPE_ARRAY_OF_MAPS, 8, 1, -1), -EINVAL);
	CHECK_EQ(only_err(outer_new(BPF_MAP_TYPE_HASH_OF_MAPS, 8, 1, array)), 0);
	for (int flag = 0; flag < 20; flag++)
		for (int i = 0; i < 2; i++) {
			static const uint32_t ok[] = {0x1c, 0x5c | 0x180 | 1};
			long ret = CALL(BPF_MAP_CREATE, .map_create = {.map_type = outers[i],
								       .key_size = 4,
								       .value_size = 4,
								       .max_entries = 4,
								       .map_flags = 1u << flag,
								       .map_token_fd = -1,
								       .inner_map_fd = array});

			if (flag == 16)
				CHECK_EQ(ret, -EBADF);
			else
				CHECK_EQ(only_err(ret), ok[i] & 1u << flag ? 0 : -EINVAL);
		}
	close_fd(array);
	close_fd(pa);
	close_fd(prog);
	close_fd(inner);
}

/* ---- elements ---- */

static void array_of_maps_elements(void)
{
	int inner = array_new(), other = array_new(), hash = hash_new();
	int map = outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner), prog = prog_const(XDP, 1);
	uint32_t key = 0, far = 4, value = 0, id;

	CHECK_EQ(lookup(map, &key, &value, 0), -ENOENT);
	CHECK_EQ(lookup(map, &far, &value, 0), -ENOENT);
	CHECK_EQ(update(map, &key, &inner, BPF_ANY), 0);
	CHECK_EQ(lookup(map, &key, &value, 0), 0);
	CHECK_EQ(value, map_id(inner));
	CHECK_EQ(update(map, &key, &other, BPF_NOEXIST), -EINVAL);
	CHECK_EQ(update(map, &key, &other, BPF_EXIST), -EINVAL);
	CHECK_EQ(update(map, &far, &other, BPF_EXIST), -EINVAL);
	CHECK_EQ(update(map, &far, &other, BPF_ANY), -E2BIG);
	value = 1000000;
	CHECK_EQ(update(map, &far, &value, BPF_ANY), -E2BIG);
	CHECK_EQ(update(map, &key, &value, BPF_ANY), -EBADF);
	value = 0;
	CHECK_EQ(update(map, &key, &value, BPF_ANY), -EINVAL);
	CHECK_EQ(update(map, &key, &prog, BPF_ANY), -EINVAL);
	CHECK_EQ(update(map, &key, &hash, BPF_ANY), -EINVAL);
	CHECK_EQ(update(map, &key, &map, BPF_ANY), -EINVAL);
	CHECK_EQ(update(map, &key, &other, BPF_ANY), 0);
	CHECK_EQ(lookup(map, &key, &value, 0), 0);
	CHECK_EQ(value, map_id(other));
	CHECK_EQ(delete (map, &far), -E2BIG);
	CHECK_EQ(delete (map, &key), 0);
	CHECK_EQ(delete (map, &key), -ENOENT);
	CHECK_EQ(lookup(map, &key, &value, 0), -ENOENT);
	CHECK_EQ(next_key(map, NULL, &id), 0);
	CHECK_EQ(id, 0);
	id = 3;
	CHECK_EQ(next_key(map, &id, &id), -ENOENT);
	CHECK_EQ(CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM,
		      .elem = {.map_fd = map, .key = P(&key), .value = P(&value)}),
		 -ENOTSUPP);
	CHECK_EQ(freeze(map), 0);
	CHECK_EQ(update(map, &key, &other, BPF_ANY), -EPERM);
	close_fd(inner);
	close_fd(other);
	close_fd(hash);
	close_fd(map);
	close_fd(prog);
}

static void hash_of_maps_elements(void)
{
	int inner = hash_new(), other = hash_new(), array = array_new();
	int map = outer(BPF_MAP_TYPE_HASH_OF_MAPS, inner);
	uint32_t key = 7, value = 1000000;

	CHECK_EQ(lookup(map, &key, &value, 0), -ENOENT);
	CHECK_EQ(update(map, &key, &value, 4), -EINVAL);
	CHECK_EQ(update(map, &key, &value, 3), -EBADF);
	CHECK_EQ(update(map, &key, &value, 77), -EINVAL);
	CHECK_EQ(update(map, &key, &inner, 3), -EINVAL);
	CHECK_EQ(update(map, &key, &array, 3), -EINVAL);
	CHECK_EQ(update(map, &key, &array, BPF_EXIST), -EINVAL);
	CHECK_EQ(update(map, &key, &inner, BPF_EXIST), -ENOENT);
	CHECK_EQ(delete (map, &key), -ENOENT);
	CHECK_EQ(update(map, &key, &inner, BPF_NOEXIST), 0);
	CHECK_EQ(lookup(map, &key, &value, 0), 0);
	CHECK_EQ(value, map_id(inner));
	CHECK_EQ(update(map, &key, &other, BPF_NOEXIST), -EEXIST);
	CHECK_EQ(update(map, &key, &other, BPF_EXIST), 0);
	CHECK_EQ(lookup(map, &key, &value, 0), 0);
	CHECK_EQ(value, map_id(other));
	for (uint32_t k = 0; k < 3; k++)
		CHECK_EQ(update(map, &k, &inner, BPF_ANY), 0);
	key = 99;
	CHECK_EQ(update(map, &key, &inner, BPF_ANY), -E2BIG);
	key = 7;
	CHECK_EQ(update(map, &key, &inner, BPF_ANY), 0);
	CHECK_EQ(CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM,
		      .elem = {.map_fd = map, .key = P(&key), .value = P(&value)}),
		 -ENOTSUPP);
	CHECK_EQ(delete (map, &key), 0);
	CHECK_EQ(delete (map, &key), -ENOENT);
	close_fd(inner);
	close_fd(other);
	close_fd(array);
	close_fd(map);
}

/* What an inner map must have in common with the one that the outer was made with. */
static void inner_match(void)
{
	int array = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0);
	int dynamic = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0x1000);
	int hash = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
	static const struct {
		uint32_t type, key, value, max, flags;
		long array, dynamic, hash;
	} cases[] = {
		{BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0, 0, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_ARRAY, 4, 8, 5, 0, -EINVAL, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_ARRAY, 4, 8, 5, 0x1000, -EINVAL, 0, -EINVAL},
		{BPF_MAP_TYPE_ARRAY, 4, 4, 4, 0, -EINVAL, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_RDONLY, 0, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_RDONLY_PROG, -EINVAL, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0, -EINVAL, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_HASH, 4, 8, 4, 0, -EINVAL, -EINVAL, 0},
		{BPF_MAP_TYPE_HASH, 4, 8, 50, 0, -EINVAL, -EINVAL, 0},
		{BPF_MAP_TYPE_HASH, 8, 8, 4, 0, -EINVAL, -EINVAL, -EINVAL},
		{BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_NO_PREALLOC, -EINVAL, -EINVAL, -EINVAL},
	};

	for (int i = 0; i < 2; i++) {
		int a = outer(outers[i], array), d = outer(outers[i], dynamic);
		int h = outer(outers[i], hash);
		uint32_t key = 1;

		for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
			int m = map_new(cases[c].type, cases[c].key, cases[c].value, cases[c].max,
					cases[c].flags);

			CHECK_EQ(update(a, &key, &m, 0), cases[c].array);
			CHECK_EQ(update(d, &key, &m, 0), cases[c].dynamic);
			CHECK_EQ(update(h, &key, &m, 0), cases[c].hash);
			close_fd(m);
		}
		close_fd(a);
		close_fd(d);
		close_fd(h);
	}
	close_fd(array);
	close_fd(dynamic);
	close_fd(hash);
}

static void batches(void)
{
	uint32_t keys[4] = {0, 1, 2, 3}, values[4], token = 0, ids[2], n;
	int inner = array_new(), other = array_new(), got;

	ids[0] = map_id(inner);
	ids[1] = map_id(other);
	for (int i = 0; i < 2; i++) {
		bool hash = outers[i] == BPF_MAP_TYPE_HASH_OF_MAPS;
		int map = outer(outers[i], inner);
		union sys_attr a;
#define BATCH(cmd, cnt)                                                                            \
	({                                                                                         \
		a = (union sys_attr){.batch = {.map_fd = map,                                      \
					       .keys = P(keys),                                    \
					       .values = P(values),                                \
					       .out_batch = P(&token),                             \
					       .count = cnt}};                                     \
		if (cmd == BPF_MAP_UPDATE_BATCH || cmd == BPF_MAP_DELETE_BATCH)                    \
			a.batch.out_batch = 0;                                                     \
		if (cmd == BPF_MAP_DELETE_BATCH)                                                   \
			a.batch.values = 0;                                                        \
		long ret_ = bpf(cmd, &a, sizeof(a));                                               \
		n = a.batch.count;                                                                 \
		ret_;                                                                              \
	})

		for (int k = 0; k < 4; k++)
			values[k] = k & 1 ? other : inner;
		values[3] = 1000000;
		CHECK_EQ(BATCH(BPF_MAP_UPDATE_BATCH, 4), -EBADF);
		CHECK_EQ(n, 3);
		values[3] = other;
		CHECK_EQ(BATCH(BPF_MAP_UPDATE_BATCH, 4), 0);
		CHECK_EQ(n, 4);
		memset(values, 0, sizeof(values));
		CHECK_EQ(BATCH(BPF_MAP_LOOKUP_BATCH, 4), hash ? -ENOENT : 0);
		CHECK_EQ(n, 4);
		for (int k = 0; k < 4; k++)
			CHECK_EQ(values[k], ids[keys[k] & 1]);
		got = BATCH(BPF_MAP_DELETE_BATCH, 2);
		CHECK_EQ(got, hash ? 0 : -ENOTSUPP);
		CHECK_EQ(n, 2);
		got = BATCH(BPF_MAP_LOOKUP_AND_DELETE_BATCH, 4);
		CHECK_EQ(got, hash ? -ENOENT : -ENOTSUPP);
		CHECK_EQ(n, hash ? 2 : 4);
		for (uint32_t k = 0; hash && k < 4; k++)
			CHECK_EQ(lookup(map, &k, values, 0), -ENOENT);
		close_fd(map);
	}
	close_fd(inner);
	close_fd(other);
}

/* ---- lifetime ---- */

static void outer_keeps_inner(void)
{
	for (int i = 0; i < 2; i++) {
		int inner = array_new(), map = outer(outers[i], inner);
		uint32_t key = 1, two = 2, id = map_id(inner), value;
		int first = array_new();
		uint32_t first_id = map_id(first);

		CHECK_EQ(update(map, &key, &first, 0), 0);
		CHECK_EQ(update(map, &two, &first, 0), 0);
		close_fd(first);
		CHECK(id_lives(first_id));
		/* it is in two slots */
		CHECK_EQ(update(map, &key, &inner, 0), 0);
		CHECK(id_lives(first_id));
		CHECK_EQ(delete (map, &two), 0);
		CHECK(goes(id_lives, first_id));
		/* the same map into the slot that has it */
		CHECK_EQ(update(map, &key, &inner, 0), 0);
		close_fd(inner);
		CHECK(id_lives(id));
		CHECK_EQ(lookup(map, &key, &value, 0), 0);
		CHECK_EQ(value, id);
		close_fd(map);
		CHECK(goes(id_lives, id));
	}
}

static void programs_read_inner(void)
{
	for (int i = 0; i < 2; i++) {
		int inner = array_new(), other = array_new(), map = outer(outers[i], inner), prog;
		uint32_t key = 1, zero = 0, id;
		uint64_t v = 41;

		prog = prog_read(map, key);
		REQUIRE(prog >= 0);
		CHECK_EQ((int32_t)run(prog), -1);
		CHECK_EQ(update(inner, &zero, &v, 0), 0);
		v = 42;
		CHECK_EQ(update(other, &zero, &v, 0), 0);
		CHECK_EQ(update(map, &key, &inner, 0), 0);
		CHECK_EQ(run(prog), 41);
		CHECK_EQ(update(map, &key, &other, 0), 0);
		CHECK_EQ(run(prog), 42);
		CHECK_EQ(update(map, &key, &inner, 0), 0);
		CHECK_EQ(run(prog), 41);
		/* what a run found does not keep the id */
		id = map_id(inner);
		close_fd(inner);
		CHECK_EQ(run(prog), 41);
		CHECK_EQ(update(map, &key, &other, 0), 0);
		CHECK(goes(id_lives, id));
		CHECK_EQ(run(prog), 42);
		CHECK_EQ(delete (map, &key), 0);
		CHECK_EQ((int32_t)run(prog), -1);
		close_fd(map);
		CHECK_EQ((int32_t)run(prog), -1);
		close_fd(prog);
		close_fd(other);
	}
}

/* The mappings of the map's file in this process. */
static int mappings_of(uint32_t id)
{
	char name[32], line[4096];
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0;

	REQUIRE(f);
	snprintf(name, sizeof(name), "/map/%u\n", id);
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, name);

		n += at && at + strlen(name) == line + strlen(line);
	}
	fclose(f);
	return n;
}

/* In a full map of maps, whatever was swapped before: what a program has found once needs not be
 * opened again for the next run. (Of the kernel there is nothing to be seen.) */
static void inner_maps_stay_open(void)
{
	enum { SLOTS = 32 };

	for (int i = 0; i < 2; i++) {
		int inner = array_new(), map = outer_new(outers[i], 4, SLOTS, inner), prog;
		uint32_t id[SLOTS], packet[16] = {0};

		REQUIRE(map >= 0);
		/* is there an inner map in the slot that the packet names? */
		prog = LOAD(XDP, LDX_W(2, 1, 0), LDX_W(3, 1, 4), MOV_K(0, 2), MOV_X(4, 2),
			    ADD_K(4, 4), JGT_X(4, 3, 9), LDX_W(2, 2, 0), STX_W(10, 2, -4),
			    LD_MAP(1, map), MOV_X(2, 10), ADD_K(2, -4),
			    CALL_HELPER(map_lookup_elem), JEQ_K(0, 0, 1), MOV_K(0, 1), EXIT());
		REQUIRE(prog >= 0);
		for (uint32_t key = 0; key < SLOTS; key++) {
			int fd = array_new();

			id[key] = map_id(fd);
			for (int n = 0; n < (on_kernel ? 1 : 4 * SLOTS); n++)
				REQUIRE(!update(map, &key, &fd, 0));
			close_fd(fd);
		}
		for (int round = 0; round < 2; round++) {
			for (uint32_t key = 0; key < SLOTS; key++) {
				packet[0] = key;
				CHECK_EQ(run_on(prog, packet), 1);
			}
			for (int key = 0; key < SLOTS && !on_kernel; key++)
				CHECK_EQ(mappings_of(id[key]), 1);
		}
		close_fd(prog);
		close_fd(map);
		close_fd(inner);
	}
}

/* What a program may do with the outer map: look it up. */
static void verifier_rules(void)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
					 BPF_MAP_TYPE_PROG_ARRAY};
	int inner = array_new(), pa = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);

	for (int i = 0; i < 3; i++) {
		int map = outer_new(types[i], 4, 4, inner);

		REQUIRE(map >= 0);
		CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), ST_W(10, -8, 0), LD_MAP(1, map),
				       MOV_X(2, 10), ADD_K(2, -4), MOV_X(3, 10), ADD_K(3, -8),
				       MOV_K(4, 0), CALL_HELPER(map_update_elem), MOV_K(0, 0),
				       EXIT())),
			 -EINVAL);
		CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
				       ADD_K(2, -4), CALL_HELPER(map_delete_elem), MOV_K(0, 0),
				       EXIT())),
			 -EINVAL);
		CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
				       ADD_K(2, -4), CALL_HELPER(map_lookup_elem), MOV_K(0, 0),
				       EXIT())),
			 i < 2 ? 0 : -EINVAL);
		CHECK_EQ(only_err(prog_tail(XDP, map, 0, 1)), i == 2 ? 0 : -EINVAL);
		if (i < 2) {
			/* without the check for NULL; an access to the map itself; a NULL */
			CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
					       ADD_K(2, -4), CALL_HELPER(map_lookup_elem),
					       MOV_X(1, 0), MOV_X(2, 10), ADD_K(2, -4),
					       CALL_HELPER(map_lookup_elem), MOV_K(0, 0), EXIT())),
				 -EACCES);
			CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
					       ADD_K(2, -4), CALL_HELPER(map_lookup_elem),
					       JEQ_K(0, 0, 1), ST_W(0, 0, 0), MOV_K(0, 0), EXIT())),
				 -EACCES);
			CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
					       ADD_K(2, -4), CALL_HELPER(map_lookup_elem),
					       JEQ_K(0, 0, 1), ADD_K(0, 8), MOV_K(0, 0), EXIT())),
				 -EACCES);
			CHECK_EQ(only_err(LOAD(XDP, ST_W(10, -4, 0), LD_MAP(1, map), MOV_X(2, 10),
					       ADD_K(2, -4), CALL_HELPER(map_lookup_elem),
					       ADD_K(0, 8), MOV_K(0, 0), EXIT())),
				 -EACCES);
		}
		close_fd(map);
	}
	close_fd(inner);
	close_fd(pa);
}

/* ---- prog arrays ---- */

/* Of an fd that was opened with O_PATH nobody asks what it is. */
static void path_fds(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), xdp = prog_const(XDP, 1);
	int inner = array_new(), outer_map = outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner), fds[3];
	const int of[] = {-1, xdp, map};
	uint32_t key = 1, info[64], size = sizeof(info);
	char name[32];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", of[i]);
		fds[i] = open(i ? name : "/", O_PATH);
		REQUIRE(fds[i] >= 0);
		CHECK_EQ(update(map, &key, &fds[i], 0), -EBADF);
		CHECK_EQ(update(outer_map, &key, &fds[i], 0), -EBADF);
		CHECK_EQ(CALL(BPF_PROG_BIND_MAP,
			      .prog_bind_map = {.prog_fd = fds[i], .map_fd = map}),
			 -EBADF);
		CHECK_EQ(CALL(BPF_PROG_TEST_RUN, .test = {.prog_fd = fds[i]}), -EBADF);
		CHECK_EQ(CALL(BPF_OBJ_GET_INFO_BY_FD,
			      .info = {.bpf_fd = fds[i], .info_len = size, .info = P(info)}),
			 -EBADFD);
		close(fds[i]);
	}
	close_fd(outer_map);
	close_fd(inner);
	close_fd(map);
	close_fd(xdp);
}

static void prog_array_elements(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), xdp = prog_const(XDP, 1);
	int filter = prog_const(BPF_PROG_TYPE_SOCKET_FILTER, 1), other = prog_const(XDP, 2);
	uint32_t key = 1, far = 4, value = 0, bad = 1000000;

	CHECK_EQ(lookup(map, &key, &value, 0), -ENOENT);
	CHECK_EQ(update(map, &far, &xdp, 0), -E2BIG);
	CHECK_EQ(update(map, &key, &xdp, BPF_NOEXIST), -EINVAL);
	CHECK_EQ(update(map, &key, &xdp, BPF_EXIST), -EINVAL);
	CHECK_EQ(update(map, &key, &bad, 0), -EBADF);
	CHECK_EQ(update(map, &key, &map, 0), -EINVAL);
	value = 0;
	CHECK_EQ(update(map, &key, &value, 0), -EINVAL);
	CHECK_EQ(update(map, &key, &xdp, 0), 0);
	CHECK_EQ(lookup(map, &key, &value, 0), 0);
	CHECK_EQ(value, prog_id(xdp));
	CHECK_EQ(update(map, &key, &filter, 0), -EINVAL);
	CHECK_EQ(update(map, &key, &other, 0), 0);
	CHECK_EQ(delete (map, &far), -E2BIG);
	CHECK_EQ(delete (map, &key), 0);
	CHECK_EQ(delete (map, &key), -ENOENT);
	/* the sort stays */
	CHECK_EQ(update(map, &key, &filter, 0), -EINVAL);
	CHECK_EQ(only_err(prog_tail(BPF_PROG_TYPE_SOCKET_FILTER, map, 0, 1)), -EINVAL);
	CHECK_EQ(only_err(prog_tail(XDP, map, 0, 1)), 0);
	CHECK_EQ(CALL(BPF_MAP_LOOKUP_BATCH, .batch = {.map_fd = map, .count = 1}), -ENOTSUPP);
	CHECK_EQ(CALL(BPF_MAP_UPDATE_BATCH, .batch = {.map_fd = map, .count = 1}), -ENOTSUPP);
	close_fd(map);
	/* a program that is loaded decides as well */
	map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);
	value = prog_tail(BPF_PROG_TYPE_SOCKET_FILTER, map, 0, 1);
	CHECK((int)value >= 0);
	close_fd(value);
	CHECK_EQ(update(map, &key, &xdp, 0), -EINVAL);
	CHECK_EQ(update(map, &key, &filter, 0), 0);
	close_fd(map);
	close_fd(xdp);
	close_fd(other);
	close_fd(filter);
}

static void tail_calls(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), first, one, two;
	uint32_t key = 1;

	first = prog_tail(XDP, map, 1, 77);
	REQUIRE(first >= 0);
	CHECK_EQ(run(first), 77);
	one = prog_const(XDP, 1);
	two = prog_const(XDP, 2);
	CHECK_EQ(update(map, &key, &one, 0), 0);
	CHECK_EQ(run(first), 1);
	CHECK_EQ(update(map, &key, &two, 0), 0);
	CHECK_EQ(run(first), 2);
	close_fd(two);
	CHECK_EQ(run(first), 2);
	CHECK_EQ(delete (map, &key), 0);
	CHECK_EQ(run(first), 77);
	close_fd(first);
	/* out of range; the index is 32 bits wide */
	first = prog_tail(XDP, map, 4, 78);
	CHECK_EQ(run(first), 78);
	close_fd(first);
	close_fd(one);
	close_fd(map);
}

/* A program that calls itself runs 34 times. */
static void tail_call_limit(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), count = array_new(), prog;
	uint32_t key = 0;
	uint64_t n = 0;

	prog = LOAD(XDP, MOV_X(6, 1), ST_W(10, -4, 0), LD_MAP(1, count), MOV_X(2, 10), ADD_K(2, -4),
		    CALL_HELPER(map_lookup_elem), JEQ_K(0, 0, 2), MOV_K(1, 1), ATOMIC_ADD(0, 1, 0),
		    MOV_X(1, 6), LD_MAP(2, map), MOV_K(3, 0), CALL_HELPER(tail_call), MOV_K(0, 5),
		    EXIT());
	REQUIRE(prog >= 0);
	CHECK_EQ(update(map, &key, &prog, 0), 0);
	CHECK_EQ(run(prog), 5);
	CHECK_EQ(lookup(count, &key, &n, 0), 0);
	CHECK_EQ(n, 34);
	CHECK_EQ(run(prog), 5);
	CHECK_EQ(lookup(count, &key, &n, 0), 0);
	CHECK_EQ(n, 68);
	close_fd(prog);
	close_fd(count);
	close_fd(map);
}

/* The slots of a prog array end with its last fd or pin, whatever programs use it. */
static void prog_array_users(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), one = prog_const(XDP, 1), first;
	uint32_t key = 1, id = map_id(map), one_id = prog_id(one), value;

	first = prog_tail(XDP, map, 1, 77);
	CHECK_EQ(update(map, &key, &one, 0), 0);
	close_fd(one);
	CHECK_EQ(run(first), 1);
	int again = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id});
	int reader = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id, .open_flags = BPF_F_RDONLY});
	int writer = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id, .open_flags = BPF_F_WRONLY});

	CHECK(again >= 0 && reader >= 0 && writer >= 0);
	close_fd(map);
	CHECK_EQ(run(first), 1);
	close_fd(again);
	CHECK_EQ(run(first), 1);
	close_fd(reader);
	CHECK_EQ(run(first), 1);
	close_fd(writer);
	CHECK(goes(prog_lives, one_id));
	CHECK_EQ(run(first), 77);
	/* the map itself lives on, empty */
	again = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id});
	CHECK(again >= 0);
	CHECK_EQ(lookup(again, &key, &value, 0), -ENOENT);
	close_fd(again);
	close_fd(first);
	CHECK(goes(id_lives, id));
}

/* A program in the array that it uses does not keep itself alive. */
static void prog_array_cycle(void)
{
	int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);
	int first = prog_tail(XDP, map, 1, 77);
	uint32_t key = 0, id = map_id(map), first_id = prog_id(first);

	CHECK_EQ(update(map, &key, &first, 0), 0);
	CHECK_EQ(run(first), 77);
	close_fd(first);
	CHECK(prog_lives(first_id));
	close_fd(map);
	CHECK(goes(prog_lives, first_id));
	CHECK(goes(id_lives, id));
}

/* Who does not say good-bye. */
static void prog_array_killed(void)
{
	uint32_t ids[2];
	int p[2];
	pid_t pid;

	REQUIRE(!pipe(p));
	pid = fork();
	if (!pid) {
		int map = map_new(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);
		int first = prog_tail(XDP, map, 1, 77);
		uint32_t key = 0;

		REQUIRE(!update(map, &key, &first, 0));
		ids[0] = map_id(map);
		ids[1] = prog_id(first);
		REQUIRE(write(p[1], ids, sizeof(ids)) == sizeof(ids));
		raise(SIGKILL);
	}
	REQUIRE(read(p[0], ids, sizeof(ids)) == sizeof(ids));
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	close(p[0]);
	close(p[1]);
	CHECK(goes(id_lives, ids[0]));
	CHECK(goes(prog_lives, ids[1]));
}

/* Programs that may sleep have no tail calls. */
static void sleepable(void)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_CGROUP_ARRAY,
					 BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS};
	int inner = array_new();

	for (int i = 0; i < 4; i++) {
		int map = outer_new(types[i], 4, 4, inner);
		struct bpf_insn insns[] = {LD_MAP(1, map), MOV_K(0, 0), EXIT()};

		CHECK_EQ(only_err(CALL(BPF_PROG_LOAD,
				       .prog_load = {.prog_type = BPF_PROG_TYPE_SYSCALL,
						     .prog_flags = BPF_F_SLEEPABLE,
						     .insns = P(insns),
						     .insn_cnt = 4,
						     .license = P("GPL")})),
			 i < 2 ? -EINVAL : 0);
		close_fd(map);
	}
	close_fd(inner);
}

/* ---- cgroup arrays ---- */

static const char *cgroup_root(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) ? "/sys/fs/cgroup/unified"
							   : "/sys/fs/cgroup";
}

static int prog_cgroup(uint32_t type, int map, int index)
{
	if (type == BPF_PROG_TYPE_SCHED_CLS)
		return LOAD(type, LD_MAP(2, map), MOV_K(3, index), CALL_HELPER(skb_under_cgroup),
			    EXIT());
	return LOAD(type, LD_MAP(1, map), MOV_K(2, index), CALL_HELPER(current_task_under_cgroup),
		    EXIT());
}

static void cgroup_array(void)
{
	int map = map_new(BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 4, 0), root, file, other, prog, skb, far;
	uint32_t key = 1, value = 0, beyond = 4;
	char path[256];
	int child;

	root = open(cgroup_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		SKIP("no unified cgroup hierarchy: %s", cgroup_root());
	file = openat(root, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	other = open("/tmp", O_RDONLY | O_CLOEXEC);
	prog = prog_cgroup(XDP, map, 1);
	skb = prog_cgroup(BPF_PROG_TYPE_SCHED_CLS, map, 1);
	far = prog_cgroup(XDP, map, 4);
	REQUIRE(prog >= 0 && skb >= 0 && far >= 0);
	CHECK_EQ(lookup(map, &key, &value, 0), -ENOTSUPP);
	CHECK_EQ((int32_t)run(prog), -EAGAIN);
	CHECK_EQ((int32_t)run(far), -E2BIG);
	CHECK_EQ(update(map, &key, &file, 0), -EBADF);
	CHECK_EQ(update(map, &key, &other, 0), -EBADF);
	CHECK_EQ(update(map, &key, &map, 0), -EBADF);
	CHECK_EQ(update(map, &key, &root, BPF_NOEXIST), -EINVAL);
	CHECK_EQ(update(map, &beyond, &root, 0), -E2BIG);
	CHECK_EQ(update(map, &key, &root, 0), 0);
	CHECK_EQ(run(prog), 1);
	CHECK_EQ(run(skb), 1);
	CHECK_EQ(delete (map, &beyond), -E2BIG);
	CHECK_EQ(delete (map, &key), 0);
	CHECK_EQ(delete (map, &key), -ENOENT);
	CHECK_EQ((int32_t)run(skb), -EAGAIN);
	/* a cgroup that we are not in, and one that is no more */
	snprintf(path, sizeof(path), "%s/shmap-test-%d", cgroup_root(), getpid());
	if (!mkdir(path, 0755)) {
		child = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK_EQ(update(map, &key, &child, 0), 0);
		CHECK_EQ(run(prog), 0);
		CHECK_EQ(run(skb), 0);
		REQUIRE(!rmdir(path));
		CHECK_EQ(run(prog), 0);
		CHECK_EQ(update(map, &key, &child, 0), -ENOENT);
		close(child);
	}
	/* skb is what tc programs have */
	CHECK_EQ(only_err(LOAD(XDP, LD_MAP(2, map), MOV_K(3, 1), CALL_HELPER(skb_under_cgroup),
			       EXIT())),
		 -EINVAL);
	close(root);
	close(file);
	close(other);
	close_fd(prog);
	close_fd(skb);
	close_fd(far);
	close_fd(map);
}

/* PROG_BIND_MAP: the outer map, and through it the inner one. */
static void bound_outer(void)
{
	int inner = array_new(), map = outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner);
	int prog = prog_const(XDP, 1);
	uint32_t key = 0, ids[2] = {map_id(map), map_id(inner)};

	CHECK_EQ(update(map, &key, &inner, 0), 0);
	CHECK_EQ(CALL(BPF_PROG_BIND_MAP, .prog_bind_map = {.prog_fd = prog, .map_fd = map}), 0);
	close_fd(map);
	close_fd(inner);
	CHECK(id_lives(ids[0]));
	CHECK(id_lives(ids[1]));
	close_fd(prog);
	CHECK(goes(id_lives, ids[0]));
	CHECK(goes(id_lives, ids[1]));
}

static const struct claim claims[] = {
	{"map-in-map-create-rules", create_rules},
	{"array-of-maps-elements", array_of_maps_elements},
	{"hash-of-maps-elements", hash_of_maps_elements},
	{"inner-maps-must-match", inner_match},
	{"map-in-map-batches", batches},
	{"outer-map-keeps-inner-maps", outer_keeps_inner},
	{"programs-read-inner-maps", programs_read_inner},
	{"programs-open-inner-maps-once", inner_maps_stay_open},
	{"maps-of-objects-refuse-helpers", verifier_rules},
	{"prog-array-elements", prog_array_elements},
	{"path-fds-are-no-objects", path_fds},
	{"tail-calls-reach-the-slot", tail_calls},
	{"tail-calls-end-after-33", tail_call_limit},
	{"prog-array-ends-with-its-last-user", prog_array_users},
	{"program-in-its-own-array-goes", prog_array_cycle},
	{"prog-array-of-the-killed-goes", prog_array_killed},
	{"sleepable-programs-take-no-prog-array", sleepable},
	{"cgroup-array", cgroup_array},
	{"bound-outer-map-keeps-inner-maps", bound_outer},
};

BOTH_MAIN(claims)
