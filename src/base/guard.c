/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/guard.h"

#include <stdint.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

__thread struct fault_guard *fault_guard_top __attribute__((tls_model("initial-exec")));

#if defined(__aarch64__)
/*
 * The registers that a call preserves: x29, where to, sp; x19 to x28, d8 to d15. A throw sets
 * x29 and sp, x0 = the registers, and goes there: native code's way in (vm/jit_arm64.c) has a
 * place of its own that takes less. libc's setjmp() hides its registers, and the handler
 * below needs sp. Hints: with branch targets checked, these are some; without, nothing.
 */
__asm__(".pushsection .text\n"
	".globl fault_guard_save, fault_guard_load\n"
	".hidden fault_guard_save, fault_guard_load\n"
	".type fault_guard_save, @function\n"
	"fault_guard_save:\n"
	"	.cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"	mov x2, sp\n"
	"	adr x1, 1f\n"
	"	stp x29, x1, [x0]\n"
	"	stp x2, x30, [x0, #16]\n"
	"	stp x19, x20, [x0, #32]\n"
	"	stp x21, x22, [x0, #48]\n"
	"	stp x23, x24, [x0, #64]\n"
	"	stp x25, x26, [x0, #80]\n"
	"	stp x27, x28, [x0, #96]\n"
	"	stp d8, d9, [x0, #112]\n"
	"	stp d10, d11, [x0, #128]\n"
	"	stp d12, d13, [x0, #144]\n"
	"	str d14, [x0, #160]\n"
	"	str d15, [x0, #168]\n"
	"	mov w0, #0\n"
	"	ret\n"
	"1:	hint #36\n" /* bti j */
	"	ldr x30, [x0, #24]\n"
	"	ldp x19, x20, [x0, #32]\n"
	"	ldp x21, x22, [x0, #48]\n"
	"	ldp x23, x24, [x0, #64]\n"
	"	ldp x25, x26, [x0, #80]\n"
	"	ldp x27, x28, [x0, #96]\n"
	"	ldp d8, d9, [x0, #112]\n"
	"	ldp d10, d11, [x0, #128]\n"
	"	ldp d12, d13, [x0, #144]\n"
	"	ldr d14, [x0, #160]\n"
	"	ldr d15, [x0, #168]\n"
	"	mov w0, #1\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size fault_guard_save, .-fault_guard_save\n"
	".type fault_guard_load, @function\n"
	"fault_guard_load:\n"
	"	.cfi_startproc\n"
	"	ldp x29, x16, [x0]\n"
	"	ldr x2, [x0, #16]\n"
	"	mov sp, x2\n"
	"	br x16\n"
	"	.cfi_endproc\n"
	".size fault_guard_load, .-fault_guard_load\n"
	".popsection\n");

void fault_guard_load(const uint64_t regs[22]) __attribute__((noreturn));
#endif

/*
 * Whose frames are left behind: the address sanitizer has marked places in them. Its own way of
 * taking that back when a function does not return needs stack that is not marked.
 */
static inline void frames_left(const struct fault_guard *g, const void *from)
{
#if defined(__SANITIZE_ADDRESS__)
	const uint8_t *to = (const uint8_t *)(uintptr_t)g->regs[2];

	if ((const uint8_t *)from < to)
		__asan_unpoison_memory_region(from, (size_t)(to - (const uint8_t *)from));
#else
	(void)g;
	(void)from;
#endif
}

__attribute__((no_sanitize("address"))) void fault_guard_throw(void)
{
	struct fault_guard *g = fault_guard_top;

	frames_left(g, __builtin_frame_address(0));
	fault_guard_top = g->outer;
#if defined(__x86_64__)
	__builtin_longjmp(g->regs, 1);
#else
	fault_guard_load(g->regs);
#endif
}

/*
 * The handler does not jump itself: it returns into fault_guard_throw(), so
 * that sigreturn(2) restores the signal mask and the alternate stack state.
 */
bool fault_guard_resume(void *ucontext)
{
	if (!fault_guard_top)
		return false;
#if defined(__x86_64__)
	greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	/* On the stack of who waits: what faulted may have come to the end of it, and what lies
	 * behind that is somebody else's. */
	frames_left(fault_guard_top, (const void *)((uintptr_t)regs[REG_RSP] & ~(uintptr_t)7));
	regs[REG_RSP] = (greg_t)(uintptr_t)fault_guard_top->regs[2];
	regs[REG_RIP] = (greg_t)(uintptr_t)fault_guard_throw;
	regs[REG_EFL] &= ~(greg_t)0x400; /* direction flag: the ABI wants it clear */
	return true;
#elif defined(__aarch64__)
	mcontext_t *m = &((ucontext_t *)ucontext)->uc_mcontext;

	m->sp = fault_guard_top->regs[2];
	m->pc = (uintptr_t)fault_guard_throw;
	/* BTYPE: what faulted may have been the target of a jump */
	m->pstate &= ~(uint64_t)0xc00;
	return true;
#endif
}
