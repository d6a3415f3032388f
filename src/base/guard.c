/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/guard.h"

#include <stdint.h>
#include <ucontext.h>

__thread struct fault_guard *fault_guard_top __attribute__((tls_model("initial-exec")));

void fault_guard_throw(void)
{
	struct fault_guard *g = fault_guard_top;

	fault_guard_top = g->outer;
#if defined(__x86_64__)
	__builtin_longjmp(g->regs, 1);
#else
	_longjmp(g->regs, 1);
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
	regs[REG_RSP] = (greg_t)(uintptr_t)fault_guard_top->regs[2];
	regs[REG_RIP] = (greg_t)(uintptr_t)fault_guard_throw;
	regs[REG_EFL] &= ~(greg_t)0x400; /* direction flag: the ABI wants it clear */
	return true;
#elif defined(__aarch64__)
	mcontext_t *m = &((ucontext_t *)ucontext)->uc_mcontext;

	m->sp = (m->sp - 256) & ~(uint64_t)15;
	m->pc = (uintptr_t)fault_guard_throw;
	return true;
#else
	return false;
#endif
}
