/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seccomp filter of a launched command: SECCOMP_RET_TRACE for the wanted
 * calls, SECCOMP_RET_ALLOW for all others.
 *
 * It looks only at the architecture and the number, so that the kernel's cache
 * of always-allowed numbers holds the verdict and untraced calls never run it.
 */
#include "event/tracer.h"

#include <stddef.h>
#include <stdlib.h>
#include <linux/seccomp.h>

#define STMT(c, k_) ((struct sock_filter){.code = (c), .k = (k_)})
#define JUMP(c, k_, t, f) ((struct sock_filter){.code = (c), .jt = (t), .jf = (f), .k = (k_)})

struct sock_filter *filter_build(const struct syscall_set *set, unsigned short *len)
{
	struct sock_filter *f;
	unsigned int n = 0;

	if (syscall_set_empty(set))
		return NULL;
	/* 5 around the list, 2 for each number: within BPF_MAXINSNS (4096). */
	f = calloc(5 + 2 * SYSCALLS_MAX, sizeof(*f));
	if (!f)
		return NULL;
	if (set->all) {
		f[n++] = STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
		*len = n;
		return f;
	}
	f[n++] = STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_AUDIT, 1, 0);
	f[n++] = STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	/* A number with the x32 bit equals none of these and is let through. */
	for (unsigned int nr = 0; nr < SYSCALLS_MAX; nr++) {
		if (!syscall_set_has(set, SYSCALL_NATIVE, nr))
			continue;
		f[n++] = JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
		f[n++] = STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	f[n++] = STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	*len = n;
	return f;
}
