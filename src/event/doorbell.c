/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tracer sleeps in wait(2), which no futex can wake. So a small child sleeps
 * on the futex and stops itself after each change: wait(2) reports that. It does
 * so every second as well, because a loader that is killed changes nothing.
 */
#include "event/tracer.h"

#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/close_range.h>
#include <linux/futex.h>

#include "base/atomic.h"

static void __attribute__((noreturn))
doorbell_main(uint32_t *generation, uint32_t seen, pid_t tracer)
{
	struct timespec second = {1, 0};
	sigset_t all;

	/* The terminal's signals are for the others. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tracer)
		_exit(0);
	/* A pipe's reader shall see its end when the tracer is gone. */
	syscall(SYS_close_range, 0, ~0u, 0);
	for (;;) {
		uint32_t now = load_acquire(generation);

		if (now != seen) {
			/* What comes after this load rings again. */
			seen = now;
			kill(getpid(), SIGSTOP);
			continue;
		}
		if (syscall(SYS_futex, generation, FUTEX_WAIT, seen, &second, NULL, 0) &&
		    errno == ETIMEDOUT)
			kill(getpid(), SIGSTOP);
	}
}

pid_t doorbell_start(uint32_t *generation)
{
	uint32_t seen = load_acquire(generation);
	pid_t tracer = getpid(), pid = fork();

	if (!pid)
		doorbell_main(generation, seen, tracer);
	return pid < 0 ? -errno : pid;
}

void doorbell_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
