/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's SIGSEGV handler gets the client's faults, and not those of bad
 * pointers that it gives to bpf(2); sigaction(2) reports what the client set.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "bpf.h"

static sigjmp_buf back;
static int faults;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	faults++;
	siglongjmp(back, 1);
}

static void on_signal(int sig)
{
	faults += 100;
	siglongjmp(back, 1);
}

static void touch(volatile char *p)
{
	if (!sigsetjmp(back, 1))
		*p = 1;
}

int main(void)
{
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long long value = 1;
	unsigned int key = 1;
	int map;

	CHECK_EQ(sigaction(SIGSEGV, NULL, &old), 0);
	CHECK(old.sa_handler == SIG_DFL);
	CHECK_EQ(sigaction(SIGSEGV, &act, &old), 0);
	CHECK(old.sa_handler == SIG_DFL);
	touch(hole);
	CHECK_EQ(faults, 1);

	map = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0);
	CHECK_EQ(bpf_map_update_elem(map, &key, hole, BPF_ANY), -EFAULT);
	CHECK_EQ(bpf_map_update_elem(map, hole, &value, BPF_ANY), -EFAULT);
	CHECK_EQ(faults, 1);
	touch(hole);
	CHECK_EQ(faults, 2);

	CHECK_EQ(sigaction(SIGSEGV, NULL, &old), 0);
	CHECK(old.sa_sigaction == on_fault && old.sa_flags & SA_SIGINFO);
	CHECK((void *)signal(SIGSEGV, on_signal) == (void *)on_fault);
	touch(hole);
	CHECK_EQ(faults, 102);
	CHECK(signal(SIGSEGV, SIG_DFL) == on_signal);
	CHECK_EQ(bpf_map_update_elem(map, &key, hole, BPF_ANY), -EFAULT);
	CHECK_EQ(faults, 102);
	return check_done();
}
