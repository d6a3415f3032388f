/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kill tests of map types do alike. */
#ifndef SHMAP_TESTS_KILL_MAPS_H
#define SHMAP_TESTS_KILL_MAPS_H

#include "../shm/area.h"
#include "base/atomic.h"
#include "harness.h"
#include "map/map.h"
#include "sync/lease.h"

/* For kill_begin: a runtime directory of the survivor's own. */
static inline void kill_area_begin(void)
{
	area_begin();
	REQUIRE(!rundir_open() && !lease_open());
}

/* A word that children and the survivor share: has the operation ended? */
static inline uint32_t *kill_shared_word(void)
{
	uint32_t *word =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(word != MAP_FAILED);
	return word;
}

/* In the child, at the end of the operation. */
static inline void kill_end(uint32_t *ended, long ret, long want)
{
	if (ret != want) {
		fprintf(stderr, "the operation returned %ld, not %ld\n", ret, want);
		_exit(1);
	}
	store_relaxed(ended, 1);
}

/* The last case's map, if there is one. */
static inline void kill_drop_map(struct map **m, int fd)
{
	uint32_t id;

	if (!*m)
		return;
	id = (*m)->obj.id;
	map_put(*m);
	close(fd);
	object_collect(OBJECT_MAP, id);
	*m = NULL;
}

static inline bool kill_valid(struct map *m, const char *when)
{
	char why[256] = "";
	int ret = m->ops->validate(m, why, sizeof(why));

	if (ret)
		kill_why("invalid %s: %s", when, why);
	return !ret;
}

static inline uint64_t kill_changes(struct map *m)
{
	struct map_stats stats = {0};

	if (m->ops->stats)
		m->ops->stats(m, &stats);
	return stats.changes;
}

/* So many changes have happened: who died may not have counted the last one. */
static inline bool kill_counted(uint64_t counted, uint64_t happened, bool ended)
{
	if (counted == happened || (!ended && counted + 1 == happened))
		return true;
	kill_why("%lu changes are counted of %lu", (unsigned long)counted, (unsigned long)happened);
	return false;
}

static inline bool kill_recovered(struct map *m, const char *when)
{
	int ret = m->ops->recover(m);

	if (ret)
		kill_why("recover, %s: %d", when, ret);
	return !ret && kill_valid(m, when);
}

#endif
