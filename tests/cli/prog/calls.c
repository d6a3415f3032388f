/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls N [wait]: calls getppid N times from each of two threads, one of them
 * under another name; with "wait" once per line of standard input, each
 * answered by a line.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long n;

static void *second(void *arg)
{
	prctl(PR_SET_NAME, "second");
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;
	char line[64];

	n = atol(argv[1]);
	do {
		if (argc > 2 && !fgets(line, sizeof(line), stdin))
			return 0;
		if (pthread_create(&t, NULL, second, NULL))
			return 1;
		for (long i = 0; i < n; i++)
			syscall(SYS_getppid);
		pthread_join(t, NULL);
		if (argc > 2) {
			puts("done");
			fflush(stdout);
		}
	} while (argc > 2);
	return 0;
}
