/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sigaction(2) for SIGSEGV is a function for signal handlers, also for one that interrupts
 * another call of it, and for the child of a fork while another thread calls it.
 */
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "bpf.h"

#define TICKS 2000
#define FORKS 300

static volatile int ticks;

static void set(int sig)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = SIG_DFL;
	CHECK_EQ(sigaction(sig, &act, &old), 0);
}

static void on_alarm(int sig)
{
	set(SIGSEGV);
	ticks++;
}

static void *keep_setting(void *arg)
{
	for (;;)
		set(SIGSEGV);
	return arg;
}

static void in_handlers(void)
{
	struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	while (ticks < TICKS)
		set(SIGSEGV);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
}

static void in_forks(void)
{
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, keep_setting, NULL));
	for (int i = 0; i < FORKS && !check_failures; i++) {
		int status = -1;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (!pid) {
			alarm(10);
			set(SIGSEGV);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
}

int main(void)
{
	in_handlers();
	in_forks();
	return check_done();
}
