// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program keeps its maps and its BTF alive after the loader has closed them,
 * another process runs it by its id, and everything goes when the program goes.
 */
#include <sys/wait.h>

#include "both.h"
#include "shm/object.h"
#include "sys/info.h"

static bool exists(enum object_kind kind)
{
	uint32_t id;

	return !object_next_id(kind, 0, &id);
}

static int load_counter(void)
{
	int array = side_map(OURS, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	struct bpf_insn insns[] = {
		LD_MAP(1, BPF_PSEUDO_MAP_VALUE, array, 0),
		MOV_IMM(2, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
		EXIT(),
	};
	union sys_attr a;
	int prog;

	REQUIRE(array >= 0);
	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns, 6);
	prog = side_bpf(OURS, BPF_PROG_LOAD, &a);
	REQUIRE(prog >= 0);
	side_close(OURS, array);
	return prog;
}

static uint32_t prog_id(int fd)
{
	struct prog_info info = {0};
	uint32_t len = sizeof(info);

	REQUIRE(!side_info(OURS, fd, &info, &len));
	return info.id;
}

static int run(int fd)
{
	uint8_t pkt[64] = {0};
	union sys_attr a = {0};
	long ret;

	a.test.prog_fd = fd;
	a.test.data_in = (uintptr_t)pkt;
	a.test.data_size_in = sizeof(pkt);
	ret = side_bpf(OURS, BPF_PROG_TEST_RUN, &a);
	return ret ? (int)ret : (int)a.test.retval;
}

static int run_in_child(uint32_t id)
{
	union sys_attr a = {0};
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		a.id.prog_id = id;
		_exit(run(side_bpf(OURS, BPF_PROG_GET_FD_BY_ID, &a)));
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(void)
{
	struct vm_prog *open;
	uint32_t id;
	int prog, again;

	both_init();
	prog = load_counter();
	id = prog_id(prog);
	CHECK(exists(OBJECT_MAP));
	CHECK_EQ(run(prog), 1);
	CHECK_EQ(run_in_child(id), 2);
	again = dup(prog);
	side_close(OURS, prog);
	CHECK_EQ(run(again), 3);
	CHECK(exists(OBJECT_MAP));

	/* an event source holds it by itself */
	CHECK_EQ(sys_prog_open(id, &open), 0);
	side_close(OURS, again);
	object_collect_all();
	CHECK(exists(OBJECT_PROG));
	CHECK(exists(OBJECT_MAP));
	sys_prog_put(open);
	object_collect_all();
	CHECK(!exists(OBJECT_PROG));
	CHECK(!exists(OBJECT_MAP));
	CHECK_EQ(sys_prog_open(id, &open), -ENOENT);
	return check_done();
}
