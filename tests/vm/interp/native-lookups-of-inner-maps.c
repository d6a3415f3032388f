/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map in a map of maps is found by native code as the interpreter finds it: also one that has
 * just been replaced, of another size where that is allowed, and none in an empty slot or
 * behind the last.
 */
#include <sys/wait.h>

#include "base/bits.h"
#include "prog.h"
#include "sys/sys.h"

#define SLOTS 3
#define NO_MAP 77
#define NO_VALUE 78

static int sys(int cmd, union bpf_attr *attr)
{
	return (int)sys_bpf(cmd, attr, sizeof(*attr));
}

static int map_new(uint32_t type, uint32_t entries, uint32_t flags, int inner)
{
	union bpf_attr attr = {.map_type = type,
			       .key_size = 4,
			       .value_size = 4,
			       .max_entries = entries,
			       .map_flags = flags};
	int fd;

	if (inner >= 0)
		attr.inner_map_fd = (uint32_t)inner;
	fd = sys(BPF_MAP_CREATE, &attr);
	REQUIRE(fd >= 0);
	return fd;
}

static void put(int map, uint32_t key, uint32_t value)
{
	union bpf_attr attr = {.map_fd = (uint32_t)map};

	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	CHECK_EQ(sys(BPF_MAP_UPDATE_ELEM, &attr), 0);
}

/* The program's value of key `key` in the map in slot `slot`. */
static int program(int outer, uint32_t slot, uint32_t key)
{
	struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, (int32_t)slot),
		INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, -8, (int32_t)key),
		MOV64_X(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		LD_MAP(1, outer),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
		MOV64_K(0, NO_MAP),
		EXIT(),
		MOV64_X(1, 0),
		MOV64_X(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
		MOV64_K(0, NO_VALUE),
		EXIT(),
		INSN(BPF_LDX | BPF_W | BPF_MEM, 0, 0, 0, 0),
		EXIT(),
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			       .insns = (uintptr_t)insns,
			       .insn_cnt = ARRAY_SIZE(insns),
			       .license = (uintptr_t) "GPL"};
	int fd = sys(BPF_PROG_LOAD, &attr);

	REQUIRE(fd >= 0);
	return fd;
}

static uint32_t value(int prog)
{
	uint8_t packet[64] = {0};
	union bpf_attr attr = {0};

	attr.test.prog_fd = (uint32_t)prog;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	CHECK_EQ(sys(BPF_PROG_TEST_RUN, &attr), 0);
	return attr.test.retval;
}

static void look(uint32_t flags)
{
	int small = map_new(BPF_MAP_TYPE_ARRAY, 4, flags, -1);
	int other = map_new(BPF_MAP_TYPE_ARRAY, flags ? 100 : 4, flags, -1);
	int outer = map_new(BPF_MAP_TYPE_ARRAY_OF_MAPS, SLOTS, 0, small);
	int first = program(outer, 0, 3), second = program(outer, 1, 3);
	int beyond = program(outer, SLOTS, 0), far = program(outer, 1, flags ? 99 : 4);

	put(small, 3, 1003);
	put(other, 3, 2003);
	if (flags)
		put(other, 99, 2099);
	CHECK_EQ(value(first), NO_MAP);
	CHECK_EQ(value(beyond), NO_MAP);
	put(outer, 0, (uint32_t)small);
	put(outer, 1, (uint32_t)small);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(value(first), 1003);
		CHECK_EQ(value(second), i & 1 ? 2003 : 1003);
		CHECK_EQ(value(far), i & 1 && flags ? 2099 : NO_VALUE);
		put(outer, 1, (uint32_t)(i & 1 ? small : other));
	}
	CHECK_EQ(value(beyond), NO_MAP);
}

int main(void)
{
	int status;

	check_private_rundir();
	for (int native = 0; native < 2; native++) {
		if (!fork()) {
			/* asked for when a process first runs a program */
			setenv("SHMAP_JIT", native ? "1" : "0", 1);
			look(0);
			look(BPF_F_INNER_MAP);
			exit(check_done());
		}
		CHECK(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status));
	}
	return check_done();
}
