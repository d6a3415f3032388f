/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/syscalls.h"

#include <string.h>

const char *syscall_kernel_name(const char *name)
{
	static const char *const pairs[][2] = {
		{"stat", "newstat"},   {"fstat", "newfstat"}, {"lstat", "newlstat"},
		{"uname", "newuname"}, {"umount2", "umount"}, {"sendfile", "sendfile64"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (!strcmp(pairs[i][0], name))
			return pairs[i][1];
	return NULL;
}

void syscall_set_add(struct syscall_set *set, long nr)
{
	if (nr >= 0 && nr < SYSCALLS_MAX)
		set->bits[nr / 64] |= 1ULL << (nr % 64);
}

void syscall_set_merge(struct syscall_set *to, const struct syscall_set *from)
{
	to->all |= from->all;
	for (int i = 0; i < SYSCALL_SET_WORDS; i++)
		to->bits[i] |= from->bits[i];
}

bool syscall_set_empty(const struct syscall_set *set)
{
	static const struct syscall_set none;

	return !set->all && !memcmp(set->bits, none.bits, sizeof(none.bits));
}

bool syscall_set_covers(const struct syscall_set *outer, const struct syscall_set *inner)
{
	if (outer->all)
		return true;
	if (inner->all)
		return false;
	for (int i = 0; i < SYSCALL_SET_WORDS; i++)
		if (inner->bits[i] & ~outer->bits[i])
			return false;
	return true;
}
