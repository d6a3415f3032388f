/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What shmap keeps per thread: its TID, its robust list head, and whether it
 * is inside a map operation.
 */
#ifndef SHMAP_SYNC_THREAD_H
#define SHMAP_SYNC_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/futex.h>

#include "base/atomic.h"

struct thread {
	uint32_t tid;			 /* 0 until thread_init(), and again after fork */
	uint32_t pid;			 /* the process's, once tid is there */
	uint32_t in_lock;		 /* holds, or is about to take, a robust lock */
	struct robust_list_head *robust; /* glibc's, or ours where libc has none */
	long futex_offset;
	struct writer *writer; /* sync/writers.h */
	/* *mark is its map[0]; or NULL, so that nothing goes by it: as long as there is no record,
	 * where the kernel has no barriers for us, and in a child, as with thread_mark. */
	uint32_t **mark;
};

extern __thread struct thread thread_self __attribute__((tls_model("initial-exec")));

/*
 * *thread_mark is 1 in the process that set it and 0 in a child that the kernel
 * made of it, also by a fork that libc's handlers do not see (_Fork, clone): its
 * thread has another TID and must not pass for its parent's.
 */
extern uint32_t *thread_mark __attribute__((visibility("hidden")));

/* Is thread_self filled in, by this very thread? */
static inline bool thread_known(void)
{
	return thread_self.tid && load_relaxed(load_relaxed(&thread_mark));
}

extern uint32_t *thread_no_mark;

/* Fills thread_self. 0 or -errno. */
int thread_init(void);

#endif
