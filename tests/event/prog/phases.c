/* SPDX-License-Identifier: BSD-2-Clause */
/* Ten phases; each begins with getpgrp, then two threads and a child call getppid 500 times. */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *arg)
{
	for (int i = 0; i < 500; i++) {
		syscall(SYS_getppid);
		syscall(SYS_getuid);
	}
	return NULL;
}

int main(void)
{
	for (int phase = 0; phase < 10; phase++) {
		pthread_t t;
		pid_t pid;
		int status;

		syscall(SYS_getpgrp);
		if (pthread_create(&t, NULL, work, NULL))
			return 1;
		pid = fork();
		if (!pid) {
			work(NULL);
			_exit(0);
		}
		work(NULL);
		pthread_join(t, NULL);
		if (waitpid(pid, &status, 0) != pid || status)
			return 2;
	}
	return 0;
}
