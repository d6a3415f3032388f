/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verified programs that are ready to run, by fd number.
 *
 * Opening a program means verifying it again, so PROG_TEST_RUN leaves what it
 * opened here for the next run through the same fd. A cached program holds its
 * objects just as the fd does; it goes when the number is closed.
 */
#ifndef SHMAP_SYS_PROG_CACHE_H
#define SHMAP_SYS_PROG_CACHE_H

#include <stdint.h>

#include "vm/vm.h"

/* One use of a program by an fd number, between take and give. */
struct prog_use {
	struct vm_prog *p; /* nobody else runs it meanwhile */
	int fd;
	uint64_t generation; /* UINT64_MAX: not to be kept */
};

/* The program behind fd: 0; -EBADF, -EINVAL (no program)... */
int prog_cache_take(int fd, struct prog_use *use);
void prog_cache_give(struct prog_use *use);

/* A program that was just loaded, and verified, is as good as one that was opened: it is
 * kept for its fd. `noted` is prog_cache_note()'s from before there was the fd. */
uint64_t prog_cache_note(void);
void prog_cache_keep(int fd, struct vm_prog *p, uint64_t noted);

/* fd_forget() and fd_collect(): numbers first..last are about to lose their
 * meaning; one of those calls has ended. */
void prog_cache_closing(unsigned int first, unsigned int last);
void prog_cache_closed(void);

#endif
