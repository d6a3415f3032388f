/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzzers of damaged files share: a runtime directory, and what takes the place of
 * waiting. The link wraps the three functions.
 */
#ifndef SHMAP_FUZZ_FILE_FUZZ_H
#define SHMAP_FUZZ_FILE_FUZZ_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sync/lock.h"

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #cond,   \
				strerror(errno));                                                  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int __wrap_lock_acquire_contended(uint32_t *word);
int __wrap_nanosleep(const struct timespec *nap, struct timespec *rest);
int __wrap_claim_wait(unsigned int round, int64_t *until);

/* The time of a lock that somebody else seems to hold is up at once. */
int __wrap_lock_acquire_contended(uint32_t *word)
{
	struct thread *t = &thread_self;
	uint32_t old = load_relaxed(word);

	if (old & FUTEX_OWNER_DIED || (old & FUTEX_TID_MASK) == t->tid) {
		*word = t->tid | (old & FUTEX_WAITERS);
		return LOCK_OWNER_DIED;
	}
	store_relaxed(&t->robust->list_op_pending, (struct robust_list *)0);
	t->in_lock = 0;
	return -EBUSY;
}

int __wrap_nanosleep(const struct timespec *nap, struct timespec *rest)
{
	return 0;
}

int __wrap_claim_wait(unsigned int round, int64_t *until)
{
	return -EBUSY;
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", getenv("SHMAP_DIR"));
	if (system(command))
		perror("rm");
}

static void make_dir(void)
{
	static char dir[] = "/dev/shm/shmap-fuzz-XXXXXX";

	if (getenv("SHMAP_DIR"))
		return;
	REQUIRE(mkdtemp(dir));
	setenv("SHMAP_DIR", dir, 1);
	atexit(remove_dir);
}

#endif
