/* SPDX-License-Identifier: BSD-2-Clause */
/* execve by a thread that is not the leader, while others sleep and the leader waits. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t all;

static void *sleeper(void *arg)
{
	pthread_barrier_wait(&all);
	for (;;)
		pause();
	return NULL;
}

static void *execer(void *arg)
{
	pthread_barrier_wait(&all);
	execl("/proc/self/exe", "exec-thread", arg, (char *)0);
	_exit(1);
}

int main(int argc, char **argv)
{
	int left = argc > 1 ? atoi(argv[1]) : 5;
	char next[16];
	pthread_t t;

	for (int i = 0; i < 10; i++)
		syscall(SYS_getppid);
	if (!left)
		return 42;
	next[0] = '0' + left - 1;
	next[1] = 0;
	pthread_barrier_init(&all, NULL, 4);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t, NULL, sleeper, NULL))
			return 1;
	if (pthread_create(&t, NULL, execer, next))
		return 1;
	pthread_barrier_wait(&all);
	for (;;)
		pause();
}
