/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an arena can be mapped, on the kernel and on shmap: random sequences of mappings
 * with and without addresses, of any length, at map_extra; what is read, written and
 * read by a second mapping; BPF_F_SEGV_ON_FAULT. And by two processes.
 *
 *   SHMAP_TEST_OPS   how many (2000)
 */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "base/uapi.h"
#include "sys/attr.h"
#include "sys/sys.h"

enum { KERNEL, SHMAP, SIDES };

#define PAGE 4096ul
#define EXTRA 0x7e0000000000ul
#define STEP 0x10000000ul /* between the two sides' addresses */

static sigjmp_buf fault;
static uint64_t rng = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* The signal that an access gives, or 0. */
static int touch(volatile char *p, int value)
{
	int sig = sigsetjmp(fault, 1);

	if (!sig) {
		if (value >= 0)
			*p = value;
		else
			(void)*p;
	}
	return sig;
}

static int make(int s, uint32_t pages, uint32_t flags, uint64_t extra)
{
	union sys_attr attr = {.map_create = {.map_type = SHMAP_MAP_TYPE_ARENA,
					      .max_entries = pages,
					      .map_flags = BPF_F_MMAPABLE | flags,
					      .map_extra = extra}};
	long fd;

	if (s == SHMAP)
		return sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr.map_create));
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr.map_create));
	return fd < 0 ? -errno : fd;
}

static long map(int s, int fd, uint64_t addr, size_t len, int prot, int flags, off_t off)
{
	long at;
	int own;

	if (s == KERNEL) {
		/* (a sanitizer's mmap() has opinions of its own on addresses) */
		at = syscall(SYS_mmap, addr, len, prot, flags, fd, off);
		return at == -1 ? -errno : at;
	}
	own = fd_mmap_check(fd, off, len, prot, flags);
	if (own < 0)
		return own;
	own = fd_mmap_open(fd, prot);
	if (own < 0)
		return own;
	at = (long)fd_mmap_map(fd, own, (void *)addr, len, prot, flags, off);
	close(own);
	return at;
}

static void side_close(int s, int fd)
{
	if (s == SHMAP)
		fd_forget(fd);
	close(fd);
	if (s == SHMAP)
		fd_collect();
}

/* An address or an error, as the two sides can be compared. */
static long shape(long at)
{
	return at < 0 && at > -4096 ? at : 0;
}

static void one_arena(void)
{
	uint32_t pages = 1 + rnd(8), flags = rnd(4) ? 0 : SHMAP_F_SEGV_ON_FAULT;
	uint64_t extra = rnd(3) ? 0 : EXTRA;
	int fd[SIDES], n = 1 + rnd(5);
	long at[SIDES] = {0};
	size_t len = 0;

	for (int s = 0; s < SIDES; s++)
		fd[s] = make(s, pages, flags, extra ? extra + s * STEP : 0);
	if (fd[KERNEL] < 0)
		SKIP("the kernel does not let us make arenas (%d)", fd[KERNEL]);
	REQUIRE(fd[SHMAP] >= 0);
	while (n--) {
		size_t want =
			(rnd(4) ? len ? len : pages * PAGE : (1 + rnd(10)) * PAGE) - rnd(2) * 7;
		int how = rnd(5), prot = rnd(6) ? PROT_READ | PROT_WRITE : PROT_READ;
		/* (a MAP_FIXED that fails has unmapped what was there, in the kernel) */
		int share = how >= 2 || rnd(12) ? MAP_SHARED : MAP_PRIVATE;
		off_t off = rnd(12) ? 0 : PAGE;
		long got[SIDES];

		for (int s = 0; s < SIDES; s++) {
			uint64_t addr = how == 0 ? 0
					: at[s]	 ? (uint64_t)at[s]
					: extra	 ? extra + s * STEP
						 : 0;

			/* somebody else's mapping is there now */
			if (at[s] && how > 2)
				REQUIRE(mmap((void *)at[s], len, PROT_NONE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
					     0) != MAP_FAILED);
			if (how == 4 && addr)
				addr += PAGE;
			got[s] = map(s, fd[s], addr, want, prot,
				     share | (how >= 2 && addr ? MAP_FIXED : 0), off);
		}
		if (shape(got[KERNEL]) != shape(got[SHMAP])) {
			fprintf(stderr,
				"pages %u extra %d: len %zu how %d prot %d share %d off %ld: "
				"%ld on the kernel, %ld on shmap\n",
				pages, !!extra, want, how, prot, share, (long)off,
				shape(got[KERNEL]), shape(got[SHMAP]));
			check_failures++;
			break;
		}
		if (shape(got[KERNEL]))
			continue;
		len = (want + PAGE - 1) / PAGE * PAGE;
		for (int s = 0; s < SIDES; s++)
			at[s] = got[s];
		for (int i = 0; i < 6; i++) {
			size_t where = rnd(len);
			int value = rnd(3) && prot & PROT_WRITE ? (int)rnd(100) : -1, sig[SIDES];

			for (int s = 0; s < SIDES; s++)
				sig[s] = touch((char *)at[s] + where, value);
			CHECK_EQ(sig[SHMAP], sig[KERNEL]);
		}
		if (!flags)
			CHECK(!memcmp((void *)at[KERNEL], (void *)at[SHMAP], len));
	}
	for (int s = 0; s < SIDES; s++) {
		if (at[s])
			munmap((void *)at[s], len);
		side_close(s, fd[s]);
	}
}

/* What one process writes, others see at the same address, and cannot map elsewhere. */
static void two_processes(void)
{
	for (int s = 0; s < SIDES; s++) {
		int fd = make(s, 4, 0, 0), status;
		long at = map(s, fd, 0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
		volatile uint64_t *p = (void *)at;
		pid_t pid;

		REQUIRE(shape(at) == 0);
		p[600] = (uintptr_t)&p[700]; /* a pointer that means the same everywhere */
		p[700] = 1;
		pid = fork();
		if (!pid) {
			munmap((void *)at, 4 * PAGE);
			CHECK_EQ(shape(map(s, fd, at + 64 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
					   MAP_SHARED, 0)),
				 -EINVAL);
			CHECK_EQ(map(s, fd, at, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0),
				 at);
			CHECK_EQ(*(volatile uint64_t *)p[600], 1);
			*(volatile uint64_t *)p[600] = 2;
			_exit(check_failures);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid);
		CHECK_EQ(status, 0);
		CHECK_EQ(p[700], 2);
		munmap((void *)at, 4 * PAGE);
		side_close(s, fd);
	}
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");

#ifdef __SANITIZE_THREAD__
	SKIP("TSan has memory of its own where the arenas are to be");
#endif
	check_private_rundir();
	REQUIRE(signal(SIGSEGV, on_fault) != SIG_ERR && signal(SIGBUS, on_fault) != SIG_ERR);
	for (long i = ops ? atol(ops) : 2000; i > 0 && !check_failures; i--)
		one_arena();
	two_processes();
	return check_done();
}
