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
