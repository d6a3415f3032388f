/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three threads that each call getppid without end, a tick apart; writes one
 * byte to standard output per 50 calls of the first. On SIGTERM it exits with 5.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *tick(void *out)
{
	struct timespec t = {0, 1000000};

	for (long i = 1;; i++) {
		syscall(SYS_getppid);
		nanosleep(&t, NULL);
		if (out && i % 50 == 0 && write(1, ".", 1) != 1)
			_exit(6);
	}
	return NULL;
}

static void on_term(int sig)
{
	_exit(5);
}

int main(void)
{
	pthread_t t;

	signal(SIGTERM, on_term);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t, NULL, tick, NULL))
			return 1;
	tick("");
	return 0;
}
