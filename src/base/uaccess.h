/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copying to and from memory that may not be there.
 *
 * bpf(2) answers EFAULT for a bad user pointer; a library that is called with
 * one must do so too, without a system call per access. The copy runs in a
 * marked range of instructions; when one of them faults, the SIGSEGV/SIGBUS
 * handler resumes at a landing pad that returns -EFAULT. Faults anywhere else
 * are handed to whatever handler the application has installed (the preload
 * layer passes the application's sigaction(2) through uaccess_sigaction()).
 *
 * Also used for reads of shared files that somebody else may truncate, and for
 * the probe_read helpers of BPF programs.
 */
#ifndef SHMAP_BASE_UACCESS_H
#define SHMAP_BASE_UACCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address within user memory. A user pointer may be any number, aligned or
 * not, which C's own pointer arithmetic does not allow. */
static inline void *uaccess_at(const void *user, size_t offset)
{
	return (void *)((uintptr_t)user + offset);
}

/* Installs the handlers; idempotent, thread-safe. 0 or -errno. */
int uaccess_init(void);

/*
 * Copies n bytes. 0, or -EFAULT when either side is not accessible; then a
 * prefix may have been copied. Every aligned 8-, 4-, 2- or 1-byte piece
 * of the walk (widest first) is one load and one store, so values of up to
 * 8 aligned bytes are never torn.
 */
int uaccess_copy(void *dst, const void *src, size_t n);

/* Stores n zero bytes; as uaccess_copy(). */
int uaccess_zero(void *dst, size_t n);

/*
 * One word of user memory, at any alignment, without a call: false when it is not
 * accessible. Each is one load or store that may fault: its address stands in the section
 * uaccess_table, beside that of the code to go on with (uaccess.c).
 */
#if defined(__x86_64__)
#define UACCESS_GET4 "movl (%1), %0"
#define UACCESS_GET8 "movq (%1), %0"
#define UACCESS_PUT4 "movl %0, (%1)"
#define UACCESS_PUT8 "movq %0, (%1)"
#else
#define UACCESS_GET4 "ldr %w0, [%1]"
#define UACCESS_GET8 "ldr %x0, [%1]"
#define UACCESS_PUT4 "str %w0, [%1]"
#define UACCESS_PUT8 "str %x0, [%1]"
#endif
#define UACCESS_MAY_FAULT(insn)                                                                    \
	"1:	" insn "\n"                                                                        \
	"	.pushsection uaccess_table, \"a\"\n"                                                     \
	"	.balign 4\n"                                                                             \
	"	.long 1b - ., %l[fault] - .\n"                                                           \
	"	.popsection\n"

static inline __attribute__((always_inline)) bool uaccess_get4(uint32_t *v, const void *user)
{
	uint32_t x;

	__asm__ goto(UACCESS_MAY_FAULT(UACCESS_GET4) : "=r"(x) : "r"(user) : : fault);
	*v = x;
	return true;
fault:
	return false;
}

static inline __attribute__((always_inline)) bool uaccess_get8(uint64_t *v, const void *user)
{
	uint64_t x;

	__asm__ goto(UACCESS_MAY_FAULT(UACCESS_GET8) : "=r"(x) : "r"(user) : : fault);
	*v = x;
	return true;
fault:
	return false;
}

static inline __attribute__((always_inline)) bool uaccess_put4(void *user, uint32_t v)
{
	__asm__ goto(UACCESS_MAY_FAULT(UACCESS_PUT4) : : "r"(v), "r"(user) : "memory" : fault);
	return true;
fault:
	return false;
}

static inline __attribute__((always_inline)) bool uaccess_put8(void *user, uint64_t v)
{
	__asm__ goto(UACCESS_MAY_FAULT(UACCESS_PUT8) : : "r"(v), "r"(user) : "memory" : fault);
	return true;
fault:
	return false;
}

/* Copies a NUL-terminated string of at most size bytes with its NUL: the
 * number of bytes copied, -EFAULT, or -E2BIG when there is no NUL (dst is then
 * still NUL-terminated). */
long uaccess_copy_string(char *dst, const char *src, size_t size);

/* For generated code: a fault that is none of the above is first shown to this function,
 * with the ucontext; true: it has been dealt with. */
void uaccess_set_fixup(bool (*fixup)(void *context));

/*
 * What sigaction(2) does for SIGSEGV and SIGBUS while the handlers above stay
 * installed: records act as the action to chain to, reports the recorded one.
 * 0 or -errno.
 */
int uaccess_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

#endif
