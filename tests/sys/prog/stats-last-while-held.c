// SPDX-License-Identifier: BSD-2-Clause
/*
 * BPF_ENABLE_STATS: runs are counted while somebody holds the fd, in whatever
 * way its last holder lets go of it.
 */
#include <signal.h>
#include <sys/wait.h>

#include "both.h"
#include "sys/info.h"

static int prog;

static uint64_t run_cnt(void)
{
	struct prog_info info = {0};
	uint32_t len = sizeof(info);

	REQUIRE(!side_info(OURS, prog, &info, &len));
	CHECK(!info.run_cnt == !info.run_time_ns);
	return info.run_cnt;
}

static void run(uint32_t repeat)
{
	uint8_t pkt[64] = {0};
	union sys_attr a = {0};

	a.test.prog_fd = prog;
	a.test.data_in = (uintptr_t)pkt;
	a.test.data_size_in = sizeof(pkt);
	a.test.repeat = repeat;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_TEST_RUN, &a), 0);
}

static int enable(enum side side, uint32_t type)
{
	union sys_attr a = {0};

	a.enable_stats.type = type;
	return side_bpf(side, BPF_ENABLE_STATS, &a);
}

static void killed_holder(void)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		byte = enable(OURS, BPF_STATS_RUN_TIME) >= 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	REQUIRE(read(ready[0], &byte, 1) == 1 && byte);
	CHECK(sys_stats_enabled());
	run(1);
	CHECK_EQ(run_cnt(), 11);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CHECK(!sys_stats_enabled());
	run(1);
	CHECK_EQ(run_cnt(), 11);
}

int main(void)
{
	int fd, copy, side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		CHECK_EQ(enable(side, 1), -EINVAL);
		fd = enable(side, BPF_STATS_RUN_TIME);
		CHECK(fd >= 0);
		close(fd);
	}
	prog = side_load(OURS, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
	REQUIRE(prog >= 0);
	CHECK(!sys_stats_enabled());
	run(5);
	CHECK_EQ(run_cnt(), 0);
	fd = enable(OURS, BPF_STATS_RUN_TIME);
	CHECK(fd >= 0 && sys_stats_enabled());
	run(8);
	CHECK_EQ(run_cnt(), 8);
	copy = dup(fd);
	close(fd);
	run(2);
	CHECK_EQ(run_cnt(), 10);
	close(copy);
	CHECK(!sys_stats_enabled());
	run(1);
	CHECK_EQ(run_cnt(), 10);
	killed_holder();
	return check_done();
}
