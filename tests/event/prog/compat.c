/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of three tables from one program: 20 is writev for x86-64 and getpid
 * for i386; 39 is getpid for x86-64 and mkdir for i386. Exits with 77 where
 * the kernel has no i386 calls.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static long int80(long nr)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

int main(void)
{
	if (int80(20) != getpid())
		return 77;
	for (int i = 0; i < 9; i++)
		int80(20);
	for (int i = 0; i < 7; i++)
		syscall(0x40000000 | SYS_getpid);
	for (int i = 0; i < 4; i++)
		syscall(SYS_getpid);
	return 0;
}
