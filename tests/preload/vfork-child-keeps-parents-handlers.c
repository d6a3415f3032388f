/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The child of vfork(2) has its parent's memory but handlers of its own: what it sets for
 * SIGSEGV and SIGBUS changes nothing for its parent, and is what it itself gets.
 */
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bpf.h"

static sigjmp_buf back;
static volatile int caught;

static void on_fault(int sig)
{
	caught++;
	siglongjmp(back, 1);
}

static void *volatile nowhere;

static void fault(void)
{
	if (!sigsetjmp(back, 1))
		*(volatile char *)nowhere = 1;
}

static void other(int sig)
{
	_exit(44);
}

static int child_of_vfork(void (*handler)(int), int sig)
{
	int status = -1;
	pid_t pid = vfork();

	if (!pid) {
		if (signal(sig, handler) == SIG_ERR)
			_exit(99);
		if (handler != SIG_IGN)
			raise(sig);
		_exit(7);
	}
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void handlers_stay(int sig)
{
	struct sigaction now;
	int status;

	status = child_of_vfork(SIG_DFL, sig);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), sig);
	status = child_of_vfork(SIG_IGN, sig);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 7);
	status = child_of_vfork(other, sig);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 44);
	CHECK_EQ(sigaction(sig, NULL, &now), 0);
	CHECK(now.sa_handler == on_fault);
}

int main(void)
{
	nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(nowhere != MAP_FAILED);
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	fault();
	CHECK_EQ(caught, 1);
	for (int i = 0; i < 3; i++) {
		handlers_stay(SIGSEGV);
		handlers_stay(SIGBUS);
	}
	fault();
	CHECK_EQ(caught, 2);
	/* the child of fork has memory of its own, and is served as its parent was */
	if (!fork()) {
		fault();
		signal(SIGSEGV, SIG_DFL);
		handlers_stay(SIGBUS);
		_exit(caught != 3 || check_failures);
	}
	int status = -1;

	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
	fault();
	CHECK_EQ(caught, 3);
	return check_done();
}
