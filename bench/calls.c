/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes N system calls and prints the nanoseconds of each: getpgid, which the bench's
 * tracers look at, or getuid, which they do not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 100000, nr;
	struct timespec a, b;

	if (argc < 2) {
		fprintf(stderr, "usage: bench-calls traced|untraced [N]\n");
		return 2;
	}
	nr = strcmp(argv[1], "traced") ? SYS_getuid : SYS_getpgid;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++)
		syscall(nr, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.1f\n",
	       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)n);
	return 0;
}
