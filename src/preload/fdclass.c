/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One word per fd number: a class in the low bits, a generation above. Every
 * close and replacement starts a new generation, before and after, so that a
 * thread that looked at the old file cannot store what it saw for the new one.
 */
#include <unistd.h>

#include "preload/preload.h"

#define FD_GENERATION 8u

uint32_t fd_classes[FD_CLASSES];

void fd_class_reset(int fd)
{
	uint32_t old, fresh;

	if ((unsigned int)fd >= FD_CLASSES)
		return;
	old = load_relaxed(&fd_classes[fd]);
	do {
		fresh = (old & ~FD_CLASS_MASK) + FD_GENERATION;
	} while (!cas_seq_cst(&fd_classes[fd], &old, fresh));
}

void fd_class_reset_range(unsigned int first, unsigned int last)
{
	for (; first < FD_CLASSES && first <= last; first++) {
		/* Untouched words stay untouched: no pages for a table nobody uses. */
		if (load_relaxed(&fd_classes[first]))
			fd_class_reset(first);
	}
}

/* Objects are regular files of whole pages, the trailer being one of them. */
static bool may_be_object(int fd)
{
	struct stat st;
	int saved = errno;
	bool may = !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size >= OBJECT_TRAILER_SIZE &&
		   st.st_size % OBJECT_TRAILER_SIZE == 0;

	errno = saved;
	return may;
}

static enum fd_class identify(int fd)
{
	int kind;

	if (!may_be_object(fd))
		return FD_PLAIN;
	kind = fd_identify(fd, NULL);
	if (kind < 0)
		return FD_PLAIN;
	return kind == OBJECT_MAP ? FD_MAP : kind == OBJECT_PERF ? FD_EVENT : FD_OTHER;
}

enum fd_class fd_class_slow(int fd)
{
	enum fd_class class;
	uint32_t old;

	if (fd < 0)
		return FD_PLAIN;
	if (fd >= FD_CLASSES)
		return identify(fd);
	old = load_relaxed(&fd_classes[fd]);
	class = identify(fd);
	/* A closed fd is nothing: whatever takes the number is looked at anew. */
	if (class == FD_PLAIN && raw_syscall2(SYS_fcntl, fd, F_GETFD) < 0)
		return FD_PLAIN;
	cas_relaxed(&fd_classes[fd], &old, (old & ~FD_CLASS_MASK) | class);
	return class;
}
