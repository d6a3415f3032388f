// SPDX-License-Identifier: BSD-2-Clause
/*
 * A test run runs the program that the fd means now: threads load programs
 * that return their own number, run them by fds whose numbers are given out again and
 * again, replace them by dup2, and close them; in the end nothing is left.
 */
#include <pthread.h>
#include <time.h>

#include "both.h"
#include "shm/object.h"

#define THREADS 4

static time_t end;

static int load(uint32_t number)
{
	struct bpf_insn insns[] = {MOV_IMM(0, number), EXIT()};

	return side_load(OURS, BPF_PROG_TYPE_SOCKET_FILTER, insns, 2);
}

static long run(int fd)
{
	static uint8_t pkt[64];
	union sys_attr a = {0};
	long ret;

	a.test.prog_fd = fd;
	a.test.data_in = (uintptr_t)pkt;
	a.test.data_size_in = sizeof(pkt);
	ret = side_bpf(OURS, BPF_PROG_TEST_RUN, &a);
	return ret ? ret : (long)a.test.retval;
}

/* As the preload library's dup2(2). */
static void replace(int fd, int by)
{
	fd_forget(fd);
	syscall(SYS_dup3, by, fd, 0);
	fd_collect();
}

static void *worker(void *arg)
{
	uint32_t number = (uintptr_t)arg * 1000000;
	unsigned long bad = 0;
	int a, b;

	while (time(NULL) < end) {
		a = load(++number);
		bad += run(a) != number;
		bad += run(a) != number;
		b = load(++number);
		bad += run(b) != number;
		bad += run(a) != number - 1;
		replace(a, b);
		bad += run(a) != number;
		side_close(OURS, b);
		bad += run(a) != number;
		side_close(OURS, a);
	}
	return (void *)bad;
}

int main(void)
{
	const char *seconds = getenv("SHMAP_TEST_SECONDS");
	pthread_t threads[THREADS];
	uint32_t id;
	void *bad;
	long i;

	check_private_rundir();
	end = time(NULL) + (seconds ? atoi(seconds) : 2);
	for (i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, worker, (void *)(i + 1)));
	for (i = 0; i < THREADS; i++) {
		REQUIRE(!pthread_join(threads[i], &bad));
		CHECK_EQ((uintptr_t)bad, 0);
	}
	CHECK_EQ(object_next_id(OBJECT_PROG, 0, &id), -ENOENT);
	return check_done();
}
