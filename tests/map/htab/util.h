/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_TESTS_MAP_HTAB_UTIL_H
#define SHMAP_TESTS_MAP_HTAB_UTIL_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/uaccess.h"
#include "map/map.h"
#include "sync/lease.h"
#include "../../check.h"

static inline struct map *make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t max,
				   uint32_t flags, int32_t lock_off)
{
	struct map_attr attr = {
		.map_type = type,
		.key_size = key,
		.value_size = value,
		.max_entries = max,
		.map_flags = flags,
		.spin_lock_off = lock_off,
	};
	struct map *m;
	int fd, err = map_create(&attr, -1, &m, &fd);

	errno = -err;
	REQUIRE(!err);
	return m;
}

static inline void must_be_valid(struct map *m)
{
	char why[200] = "";

	if (m->ops->validate(m, why, sizeof(why))) {
		fprintf(stderr, "invalid: %s\n", why);
		check_failures++;
	}
}

/* Memory that forked children share with the parent. */
static inline void *shared_page(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static inline void reap(pid_t *pids, int n)
{
	int i, status;

	for (i = 0; i < n; i++) {
		REQUIRE(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK_EQ(status, 0);
	}
}

#endif
