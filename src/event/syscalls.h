/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of system calls. sys/calls.h has their names. */
#ifndef SHMAP_EVENT_SYSCALLS_H
#define SHMAP_EVENT_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/calls.h"

/* Numbers at or above are seen only by the targets that take every call. */
#define SYSCALLS_MAX CALLS_MAX
#define SYSCALL_SET_WORDS (SYSCALLS_MAX / 64)

/* Whose table the number is from. Only native calls reach __x64_sys_NAME. */
enum syscall_abi {
	SYSCALL_NATIVE,
	SYSCALL_X32,	/* x86-64 code, number with bit 30 set */
	SYSCALL_COMPAT, /* int $0x80 and 32-bit programs */
};

struct syscall_set {
	bool all;			  /* every call, of every ABI */
	uint64_t bits[SYSCALL_SET_WORDS]; /* native calls by number */
};

/* The kernel's name of a call that users call name ("fstat": "newfstat"), or NULL. */
const char *syscall_kernel_name(const char *name);

void syscall_set_add(struct syscall_set *set, long nr);
void syscall_set_merge(struct syscall_set *to, const struct syscall_set *from);
bool syscall_set_empty(const struct syscall_set *set);
/* Is every member of inner a member of outer? */
bool syscall_set_covers(const struct syscall_set *outer, const struct syscall_set *inner);

static inline bool syscall_set_has(const struct syscall_set *set, enum syscall_abi abi, long nr)
{
	if (set->all)
		return true;
	if (abi != SYSCALL_NATIVE || nr < 0 || nr >= SYSCALLS_MAX)
		return false;
	return set->bits[nr / 64] >> (nr % 64) & 1;
}

#endif
