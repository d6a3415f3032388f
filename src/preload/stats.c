/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap_map_stats(). */
#include "preload/preload.h"
#include "shmap.h"

EXPORT int shmap_map_stats(int fd, struct shmap_map_stats *stats, size_t size)
{
	struct shmap_map_stats mine = {0};
	struct map_stats counted = {0};
	long err = size ? sys_map_stats(fd, &counted) : -EINVAL;

	mine.entries = counted.entries;
	mine.evictions = counted.evictions;
	mine.failed = counted.failed;
	mine.lost = counted.lost;
	mine.changes = counted.changes;
	return result(err ? err : give_struct(stats, size, &mine, sizeof(mine)));
}
