/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that call getppid without end, and one made after them that calls
 * getuid 100 times and then ends the process: by exit, by a signal, by execve.
 * Eight such processes at once, four rounds.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *spin(void *arg)
{
	for (;;)
		syscall(SYS_getppid);
	return NULL;
}

static void *end(void *how)
{
	for (int i = 0; i < 100; i++)
		syscall(SYS_getuid);
	switch ((long)how % 4) {
	case 0:
		exit(0);
	case 1:
		kill(getpid(), SIGKILL);
		break;
	case 2:
		kill(getpid(), SIGTERM);
		break;
	default:
		execl("/bin/true", "true", (char *)0);
	}
	return NULL;
}

int main(void)
{
	for (int round = 0; round < 4; round++) {
		for (long p = 0; p < 8; p++) {
			pthread_t t;

			if (fork())
				continue;
			for (int i = 0; i < 6; i++)
				pthread_create(&t, NULL, spin, NULL);
			pthread_create(&t, NULL, end, (void *)p);
			if (p % 3 == 0)
				pthread_exit(NULL);
			spin(NULL);
		}
		for (int p = 0; p < 8; p++)
			wait(NULL);
	}
	return 0;
}
