/* SPDX-License-Identifier: BSD-2-Clause */
/* Eight threads, each with a fixed number of calls. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *work(void *arg)
{
	for (int i = 0; i < 500; i++) {
		int fd = open("/dev/null", O_RDONLY);
		void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		syscall(SYS_getppid);
		munmap(p, 4096);
		close(fd);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		if (pthread_create(&t[i], NULL, work, NULL))
			return 1;
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	return 0;
}
