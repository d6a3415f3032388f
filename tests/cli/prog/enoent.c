/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens a file that is not there, ARG times; static, so that nothing else fails so. */
#include <fcntl.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	for (int i = atoi(argv[1]); i > 0; i--)
		if (openat(AT_FDCWD, "/shmap/no/such/file", O_RDONLY) >= 0)
			return 1;
	return 3;
}
