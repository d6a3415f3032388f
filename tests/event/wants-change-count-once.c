/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wanted changes while a command runs, so that its filter is enough in
 * one phase and not in the next: a call that is wanted all the time is seen
 * once, whichever stops it makes.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/futex.h>

#include "../check.h"
#include "base/atomic.h"
#include "event/tracer.h"

static uint32_t *generation;
static unsigned long entries[SYSCALLS_MAX], exits[SYSCALLS_MAX], refreshes;

static void refresh(void *arg, struct tracer_want *want)
{
	refreshes++;
	syscall_set_add(&want->enter, SYS_getppid);
	syscall_set_add(&want->exit, SYS_getppid);
	syscall_set_add(&want->enter, SYS_getpgrp);
	if (load_relaxed(generation) & 1)
		syscall_set_add(&want->enter, SYS_getuid);
}

static void deliver(void *arg, const struct syscall_event *ev)
{
	CHECK_EQ(ev->abi, SYSCALL_NATIVE);
	CHECK_EQ(arch_syscall_nr(ev->regs), ev->nr);
	if (ev->exit)
		exits[ev->nr]++;
	else
		entries[ev->nr]++;
	if (ev->exit)
		CHECK(arch_syscall_ret(ev->regs) > 0);
	if (ev->nr != SYS_getpgrp)
		return;
	fetch_add_seq_cst(generation, 1);
	syscall(SYS_futex, generation, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int main(int argc, char **argv)
{
	struct tracer_config cfg = {
		.argv = argv + 1,
		.path = argv[1],
		.deliver = deliver,
		.refresh = refresh,
	};
	int status;

	generation = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(generation != MAP_FAILED);
	cfg.generation = generation;
	CHECK_EQ(tracer_run(&cfg, &status), 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(entries[SYS_getpgrp], 10);
	CHECK_EQ(entries[SYS_getppid], 10 * 3 * 500);
	CHECK_EQ(exits[SYS_getppid], 10 * 3 * 500);
	CHECK(refreshes > 1);
	CHECK(entries[SYS_getuid] > 0);
	CHECK_EQ(exits[SYS_getuid] + exits[SYS_getpgrp], 0);
	CHECK(waitpid(-1, NULL, __WALL) < 0);
	CHECK_EQ(errno, ECHILD);
	return check_done();
}
