/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When BPF_MAP_FREEZE has returned 0 no update of another thread changes a value any more,
 * also not one that began before; and several threads can freeze at a time.
 */
#include "both.h"

#include <pthread.h>
#include <string.h>

#include "base/atomic.h"

#define ROUNDS 40
#define SIZE 4096

static int map;
static uint32_t go, stop;

static int make(void)
{
	int fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
						     .key_size = 4,
						     .value_size = SIZE,
						     .max_entries = 1});

	REQUIRE(fd >= 0);
	return fd;
}

static void *write_on(void *arg)
{
	uint8_t value[SIZE] = {0};
	uint32_t key = 0;

	fetch_add_relaxed(&go, 1);
	while (!load_acquire(&stop)) {
		long ret = CALL(BPF_MAP_UPDATE_ELEM,
				.elem = {.map_fd = map, .key = P(&key), .value = P(value)});

		if (ret) {
			CHECK_EQ(ret, -EPERM);
			break;
		}
		memset(value, value[0] + 1, sizeof(value));
	}
	return NULL;
}

static void frozen_is_frozen(void)
{
	uint8_t first[SIZE], again[SIZE];
	uint32_t key = 0;
	pthread_t t[2];
	long ret;

	map = make();
	go = stop = 0;
	for (int i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&t[i], NULL, write_on, NULL));
	while (load_acquire(&go) < 2)
		sched_yield();
	/* the kernel does not freeze while somebody writes */
	do {
		ret = freeze(map);
	} while (ret == -EBUSY);
	CHECK_EQ(ret, 0);
	CHECK_EQ(CALL(BPF_MAP_LOOKUP_ELEM,
		      .elem = {.map_fd = map, .key = P(&key), .value = P(first)}),
		 0);
	store_release(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(CALL(BPF_MAP_LOOKUP_ELEM,
		      .elem = {.map_fd = map, .key = P(&key), .value = P(again)}),
		 0);
	CHECK(!memcmp(first, again, SIZE));
	close_fd(map);
}

static void *freeze_one(void *arg)
{
	return (void *)(intptr_t)freeze((int)(intptr_t)arg);
}

static void all_freeze(void)
{
	pthread_t t[4];
	int fds[4];
	void *ret;

	for (int i = 0; i < 4; i++)
		fds[i] = make();
	for (int i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&t[i], NULL, freeze_one, (void *)(intptr_t)fds[i]));
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		CHECK_EQ((intptr_t)ret, 0);
		close_fd(fds[i]);
	}
}

static void rounds(void)
{
	for (int i = 0; i < ROUNDS && !check_failures; i++) {
		frozen_is_frozen();
		all_freeze();
	}
}

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

/* A byte of the map by its address, and one by a lookup: twenty times the one plus the other */
static int load_reader(int fd)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_B, 6, 1, 0, 0),
		INSN(BPF_ALU64 | BPF_MUL | BPF_K, 6, 0, 0, 20),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_B, 0, 0, 1, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 6, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 0, 6, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return CALL(BPF_PROG_LOAD, .prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
						 .insns = P(insns),
						 .insn_cnt = sizeof(insns) / sizeof(insns[0]),
						 .license = P("GPL")});
}

static uint32_t result(int prog)
{
	uint8_t packet[64] = {0};
	union sys_attr a = {
		.test = {.prog_fd = prog, .data_in = P(packet), .data_size_in = sizeof(packet)}};

	CHECK_EQ(bpf(BPF_PROG_TEST_RUN, &a, sizeof(a)), 0);
	return a.test.retval;
}

/* What a program was verified with is what it reads, whoever writes to the file. */
static void constants_stay(void)
{
	const uint8_t value[8] = {3, 5};
	uint32_t key = 0;
	int prog, fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
							   .key_size = 4,
							   .value_size = sizeof(value),
							   .max_entries = 1,
							   .map_flags = BPF_F_RDONLY_PROG});

	REQUIRE(fd >= 0);
	CHECK_EQ(CALL(BPF_MAP_UPDATE_ELEM,
		      .elem = {.map_fd = fd, .key = P(&key), .value = P(value)}),
		 0);
	CHECK_EQ(freeze(fd), 0);
	prog = load_reader(fd);
	REQUIRE(prog >= 0);
	CHECK_EQ(result(prog), 65);
	if (!on_kernel) {
		uint8_t *file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		REQUIRE(file != MAP_FAILED);
		file[0] = 200;
		file[1] = 100;
		munmap(file, 4096);
	}
	CHECK_EQ(result(prog), 65);
	close_fd(prog);
	close_fd(fd);
}

static const struct claim claims[] = {
	{"freeze-waits-for-writers", rounds},
	{"constants-of-frozen-maps-stay", constants_stay},
};

BOTH_MAIN(claims)
