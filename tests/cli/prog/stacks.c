/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls getppid three functions deep, with frame pointers; prints where the calls return to. */
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

static uint64_t at[3];

static __attribute__((noinline)) void inner(void)
{
	long ret = SYS_getppid;

	__asm__ volatile("" ::: "memory");
	at[0] = (uintptr_t)__builtin_return_address(0);
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "+a"(ret) : : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = ret, x0 __asm__("x0");

	__asm__ volatile("svc 0" : "=r"(x0) : "r"(x8) : "memory");
	ret = x0;
#endif
	__asm__ volatile("" : : "r"(ret) : "memory");
}

static __attribute__((noinline)) void middle(void)
{
	at[1] = (uintptr_t)__builtin_return_address(0);
	inner();
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void outer(void)
{
	at[2] = (uintptr_t)__builtin_return_address(0);
	middle();
	__asm__ volatile("" ::: "memory");
}

int main(void)
{
	outer();
	printf("%llu %llu %llu\n", (unsigned long long)at[0], (unsigned long long)at[1],
	       (unsigned long long)at[2]);
	return 0;
}
