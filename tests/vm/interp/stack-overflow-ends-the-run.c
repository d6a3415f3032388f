/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run that comes to the end of a small thread's stack (33 tail calls out of functions need
 * some 80 KiB) ends as by any fault, also where the client has no stack for signals; and what
 * lies behind the guard page stays as it is.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "prog.h"

#define BEHIND 65536
#define GUARD 4096
#define LEFT 49152 /* of the stack, when the run begins */
#define CNT(a) (sizeof(a) / sizeof((a)[0]))

static struct vm_prog *again;
static bool has_alternate;

static struct vm_prog *target(struct map *m, uint32_t index)
{
	return again;
}

/* A thread has at least so much: 128 KiB on arm64. */
static size_t stack_size(void)
{
	const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);

	return least > LEFT ? least : LEFT;
}

static void *run(void *ret)
{
	char used[stack_size() - LEFT + 1];
	static char alternate[65536];
	const stack_t signals = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	uint64_t ctx = 0, r0;

	__asm__ volatile("" : : "r"(used) : "memory");
	REQUIRE(!has_alternate || !sigaltstack(&signals, NULL));
	*(int *)ret = vm_run(again, &ctx, NULL, &r0);
	return NULL;
}

/* f calls g, which calls h, which calls the program. */
static void overflow(enum vm_engine engine)
{
	struct bpf_insn insns[] = {INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 1),
				   CALL_LOCAL(1),
				   EXIT(),
				   INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 1),
				   CALL_LOCAL(1),
				   EXIT(),
				   INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 1),
				   CALL_LOCAL(1),
				   EXIT(),
				   INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 1),
				   MOV64_K(2, 0),
				   MOV64_K(3, 0),
				   CALL(BPF_FUNC_tail_call),
				   MOV64_K(0, 7),
				   EXIT()};
	const size_t stack = stack_size(), size = BEHIND + GUARD + stack;
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	int ret = 0, changed = 0;

	REQUIRE(mem != MAP_FAILED);
	memset(mem, 0x5a, BEHIND);
	REQUIRE(!mprotect(mem + BEHIND, GUARD, PROT_NONE));
	again = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, CNT(insns));
	again->engine = engine;
	pthread_attr_init(&attr);
	REQUIRE(!pthread_attr_setstack(&attr, mem + BEHIND + GUARD, stack));
	REQUIRE(!pthread_create(&thread, &attr, run, &ret));
	pthread_join(thread, NULL);
	CHECK_EQ(ret, -EFAULT);
	for (int i = 0; i < BEHIND; i++)
		changed += mem[i] != 0x5a;
	CHECK_EQ(changed, 0);
	vm_prog_free(again);
	munmap(mem, size);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__)
	SKIP("the address sanitizer gives threads stacks for signals, and unmaps what it finds there");
#elif defined(__SANITIZE_THREAD__)
	SKIP("the thread sanitizer makes no thread on a stack as small as this test's");
#endif
	uaccess_init();
	vm_set_tail_call(target);
	vm_set_trace_fd(-1);
	for (int i = 0; i < 2; i++) {
		has_alternate = i;
		overflow(VM_ENGINE_INTERP);
		overflow(VM_ENGINE_JIT);
	}
	return check_done();
}
