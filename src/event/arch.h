/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What differs by architecture in tracing system calls: the registers, and
 * the kernel's names for its entry functions.
 *
 * struct arch_regs begins as the kernel's struct pt_regs does, because that
 * is what programs get a pointer to.
 */
#ifndef SHMAP_EVENT_ARCH_H
#define SHMAP_EVENT_ARCH_H

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <linux/audit.h>
#include <linux/ptrace.h>

#include "event/syscalls.h"

#if defined(__x86_64__)

#define ARCH_AUDIT AUDIT_ARCH_X86_64
#define ARCH_X32_BIT 0x40000000u

struct arch_regs {
	struct user_regs_struct r; /* the first 21 words are struct pt_regs */
	bool have;		   /* they have been read */
};

static inline long arch_syscall_nr(const struct arch_regs *regs)
{
	return (int)regs->r.orig_rax;
}

static inline uint64_t arch_syscall_ret(const struct arch_regs *regs)
{
	return regs->r.rax;
}

static inline void arch_syscall_args(const struct arch_regs *regs, enum syscall_abi abi,
				     uint64_t args[6])
{
	if (abi == SYSCALL_COMPAT) {
		args[0] = (uint32_t)regs->r.rbx;
		args[1] = (uint32_t)regs->r.rcx;
		args[2] = (uint32_t)regs->r.rdx;
		args[3] = (uint32_t)regs->r.rsi;
		args[4] = (uint32_t)regs->r.rdi;
		args[5] = (uint32_t)regs->r.rbp;
		return;
	}
	args[0] = regs->r.rdi;
	args[1] = regs->r.rsi;
	args[2] = regs->r.rdx;
	args[3] = regs->r.r10;
	args[4] = regs->r.r8;
	args[5] = regs->r.r9;
}

/* The registers as the entry function's caller keeps them until it returns. */
static inline void arch_regs_in_call(struct arch_regs *regs)
{
	regs->r.rax = (uint64_t)-ENOSYS;
}

/* The registers of a function that is called with one argument. */
static inline void arch_regs_call(struct arch_regs *regs, uint64_t arg)
{
	regs->r.rdi = arg;
}

/* The registers of a function that returns ret. */
static inline void arch_regs_return(struct arch_regs *regs, uint64_t ret)
{
	regs->r.rax = ret;
}

/* Where a thread is, and its frame pointer. */
static inline uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->r.rip;
}

static inline uint64_t arch_fp(const struct arch_regs *regs)
{
	return regs->r.rbp;
}

#elif defined(__aarch64__)

#define ARCH_AUDIT AUDIT_ARCH_AARCH64

struct arch_regs {
	struct user_regs_struct r; /* x0..x30, sp, pc, pstate */
	/* the rest of struct pt_regs */
	uint64_t orig_x0;
	int32_t syscallno;
	uint32_t pmr;
	uint64_t rest[4]; /* what interrupts and unwinding keep there: 0 */
	bool have;
};

static inline long arch_syscall_nr(const struct arch_regs *regs)
{
	return (int)regs->r.regs[8];
}

static inline uint64_t arch_syscall_ret(const struct arch_regs *regs)
{
	return regs->r.regs[0];
}

static inline void arch_syscall_args(const struct arch_regs *regs, enum syscall_abi abi,
				     uint64_t args[6])
{
	for (int i = 0; i < 6; i++)
		args[i] = regs->r.regs[i];
}

static inline void arch_regs_in_call(struct arch_regs *regs)
{
}

static inline void arch_regs_call(struct arch_regs *regs, uint64_t arg)
{
	regs->r.regs[0] = arg;
}

static inline void arch_regs_return(struct arch_regs *regs, uint64_t ret)
{
	regs->r.regs[0] = ret;
}

static inline uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->r.pc;
}

static inline uint64_t arch_fp(const struct arch_regs *regs)
{
	return regs->r.regs[29];
}

#else
#error "shmap traces system calls on x86-64 and arm64"
#endif

/* Reads the registers of a stopped tracee. 0 or -errno. */
static inline int arch_read_regs(int tid, struct arch_regs *regs)
{
#if defined(__x86_64__)
	if (ptrace(PTRACE_GETREGS, tid, 0, &regs->r))
		return -errno;
#else
	struct iovec io = {&regs->r, sizeof(regs->r)};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io))
		return -errno;
	regs->orig_x0 = regs->r.regs[0];
	regs->syscallno = arch_syscall_nr(regs);
	regs->pmr = 0;
	memset(regs->rest, 0, sizeof(regs->rest));
#endif
	regs->have = true;
	return 0;
}

/* Whose call number nr is, given the audit architecture of the call. */
static inline enum syscall_abi arch_abi(uint32_t audit_arch, uint64_t nr)
{
	if (audit_arch != ARCH_AUDIT)
		return SYSCALL_COMPAT;
#ifdef ARCH_X32_BIT
	if ((nr & ARCH_X32_BIT) && (int32_t)nr >= 0)
		return SYSCALL_X32;
#endif
	return SYSCALL_NATIVE;
}

#endif
