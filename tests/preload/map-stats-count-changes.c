/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap_map_stats() counts every update and delete that happened, by whichever call and way through
 * the library, of several processes at once, and none that was refused.
 */
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"
#include "shmap.h"

#define ROOM 64
#define MANY 70000 /* more than fit the count that stands beside the lock */

static int map;
static uint32_t value_size;
static bool prefix; /* keys are prefixes: 4 bytes of them */

static uint64_t changes(void)
{
	struct shmap_map_stats s;

	CHECK_EQ(shmap_map_stats(map, &s, sizeof(s)), 0);
	return s.changes;
}

#define COUNTS(n, call)                                                                            \
	do {                                                                                       \
		uint64_t before_ = changes();                                                      \
		call;                                                                              \
		CHECK_EQ(changes() - before_, n);                                                  \
	} while (0)

static void key_of(uint32_t k, uint32_t key[2])
{
	key[0] = prefix ? 32 : k;
	key[1] = k;
}

static int put(uint32_t k, uint64_t flags)
{
	static uint8_t value[1 << 16];
	uint32_t key[2];

	key_of(k, key);
	return bpf_map_update_elem(map, key, value, flags);
}

static int drop(uint32_t k)
{
	uint32_t key[2];

	key_of(k, key);
	return bpf_map_delete_elem(map, key);
}

static void batches(void)
{
	static uint8_t values[1 << 16];
	uint32_t keys[2 * ROOM / 4], n = ROOM / 4;

	for (uint32_t i = 0; i < n; i++)
		key_of(i, prefix ? keys + 2 * i : keys + i);
	COUNTS(n, CHECK_EQ(bpf_map_update_batch(map, keys, values, &n, NULL), 0));
	COUNTS(n, CHECK_EQ(bpf_map_update_batch(map, keys, values, &n, NULL), 0));
	COUNTS(n, CHECK_EQ(bpf_map_delete_batch(map, keys, &n, NULL), 0));
}

/* A program that updates key 1, or outputs a record. */
static int program(bool ring)
{
	const struct bpf_insn update[] = {
		{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 7},
		{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 1},
		{BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map},
		{0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
		{BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -16},
		{BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0},
		{BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -8},
		{BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, ring ? BPF_RB_NO_WAKEUP : 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0,
		 ring ? BPF_FUNC_ringbuf_output : BPF_FUNC_map_update_elem},
		{BPF_JMP | BPF_EXIT},
	};
	struct bpf_insn insns[sizeof(update) / sizeof(*update)];
	int fd;

	memcpy(insns, update, sizeof(update));
	if (ring) { /* the sample, 8 bytes of it */
		insns[5].imm = -8;
		insns[6] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 8};
		insns[7] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, 3, 3, 0, 0};
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "change", "GPL", insns,
			   sizeof(insns) / sizeof(*insns), NULL);
	REQUIRE(fd >= 0);
	return fd;
}

static void run(int prog, int times)
{
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = times);

	REQUIRE(!bpf_prog_test_run_opts(prog, &opts) && opts.retval == 0);
}

static void by_program(bool ring)
{
	int prog = program(ring);

	COUNTS(300, run(prog, 300));
	close(prog);
}

static void together(void)
{
	uint64_t before = changes();
	int status;

	for (int w = 0; w < 2; w++)
		if (!fork()) {
			for (uint32_t i = 0; i < MANY; i++)
				REQUIRE(!put(i % 7, BPF_ANY));
			_exit(0);
		}
	while (wait(&status) > 0)
		CHECK_EQ(status, 0);
	CHECK_EQ(changes() - before, 2 * MANY);
}

static void table(enum bpf_map_type type, uint32_t size, bool evicts)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0);
	uint32_t key[2];
	uint8_t out[1 << 12];

	prefix = type == BPF_MAP_TYPE_LPM_TRIE;
	value_size = size;
	map = bpf_map_create(type, "counted", prefix ? 8 : 4, size, ROOM, &opts);
	REQUIRE(map >= 0);
	CHECK_EQ(changes(), 0);
	COUNTS(1, CHECK_EQ(put(1, BPF_ANY), 0));
	COUNTS(1, CHECK_EQ(put(1, BPF_ANY), 0));
	COUNTS(1, CHECK_EQ(put(1, BPF_EXIST), 0));
	COUNTS(0, CHECK_EQ(put(1, BPF_NOEXIST), -EEXIST));
	COUNTS(0, CHECK_EQ(put(2, BPF_EXIST), -ENOENT));
	COUNTS(0, CHECK_EQ(drop(2), -ENOENT));
	COUNTS(1, CHECK_EQ(drop(1), 0));
	batches();
	if (!prefix) {
		COUNTS(1, CHECK_EQ(put(1, BPF_ANY), 0));
		key_of(1, key);
		COUNTS(1, CHECK_EQ(bpf_map_lookup_and_delete_elem(map, key, out), 0));
	}
	together();
	if (size == 8 && !prefix) {
		by_program(false);
		together(); /* no longer in place */
	}
	/* what gives way is no change of its own */
	for (uint32_t k = 0; k < 3 * ROOM; k++)
		if (evicts)
			COUNTS(1, CHECK_EQ(put(1000 + k, BPF_ANY), 0));
	close(map);
}

static void queue(enum bpf_map_type type)
{
	uint64_t v = 0;

	map = bpf_map_create(type, "counted", 0, 8, 3, NULL);
	REQUIRE(map >= 0);
	for (int i = 0; i < 3; i++)
		COUNTS(1, CHECK_EQ(bpf_map_update_elem(map, NULL, &v, BPF_ANY), 0));
	COUNTS(0, CHECK_EQ(bpf_map_update_elem(map, NULL, &v, BPF_ANY), -E2BIG));
	COUNTS(1, CHECK_EQ(bpf_map_update_elem(map, NULL, &v, BPF_EXIST), 0));
	COUNTS(0, CHECK_EQ(bpf_map_lookup_elem(map, NULL, &v), 0));
	for (int i = 0; i < 3; i++)
		COUNTS(1, CHECK_EQ(bpf_map_lookup_and_delete_elem(map, NULL, &v), 0));
	COUNTS(0, CHECK_EQ(bpf_map_lookup_and_delete_elem(map, NULL, &v), -ENOENT));
	close(map);
}

int main(void)
{
	table(BPF_MAP_TYPE_HASH, 8, false);
	table(BPF_MAP_TYPE_HASH, 4, false);
	table(BPF_MAP_TYPE_HASH, 100, false);
	table(BPF_MAP_TYPE_PERCPU_HASH, 8, false);
	table(BPF_MAP_TYPE_LRU_HASH, 8, true);
	table(BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, true);
	table(BPF_MAP_TYPE_LPM_TRIE, 8, false);
	queue(BPF_MAP_TYPE_QUEUE);
	queue(BPF_MAP_TYPE_STACK);
	map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "counted", 0, 0, 65536, NULL);
	REQUIRE(map >= 0);
	by_program(true);
	close(map);
	return check_done();
}
