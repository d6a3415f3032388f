/* SPDX-License-Identifier: BSD-2-Clause */
/* Linked statically: nothing could be preloaded into it. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	for (int i = 0; i < 100; i++) {
		close(open("/dev/null", O_RDONLY));
		munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	}
	return 0;
}
