/* SPDX-License-Identifier: BSD-2-Clause */
/* What every test program uses: claims that print themselves when false. */
#ifndef SHMAP_TESTS_CHECK_H
#define SHMAP_TESTS_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not true: %s (errno %d)\n", __FILE__, __LINE__,    \
				#cond, errno);                                                     \
			check_failures++;                                                          \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_) {                                                               \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld (%s)\n", __FILE__, __LINE__,  \
				#got, got_, want_, #want);                                         \
			check_failures++;                                                          \
		}                                                                                  \
	} while (0)

/* Like CHECK, but the test cannot go on. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: cannot go on: %s (errno %d %s)\n", __FILE__,       \
				__LINE__, #cond, errno, strerror(errno));                          \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define SKIP(...)                                                                                  \
	do {                                                                                       \
		printf("SKIP: " __VA_ARGS__);                                                      \
		printf("\n");                                                                      \
		exit(77);                                                                          \
	} while (0)

static inline int check_done(void)
{
	if (check_failures)
		fprintf(stderr, "%d claims failed\n", check_failures);
	return check_failures ? 1 : 0;
}

/* A fresh runtime directory for this test in SHMAP_DIR, removed by the runner
 * (tests/run) when the program has ended. Call it before any shmap call. */
static inline void check_private_rundir(void)
{
	static char dir[64];

	if (getenv("SHMAP_DIR"))
		return;
	snprintf(dir, sizeof(dir), "/dev/shm/shmap-test-XXXXXX");
	REQUIRE(mkdtemp(dir));
	setenv("SHMAP_DIR", dir, 1);
}

#endif
