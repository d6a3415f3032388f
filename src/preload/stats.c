/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap_map_stats(). */
#include <string.h>

#include "base/uaccess.h"
#include "preload/preload.h"
#include "shmap.h"

EXPORT int shmap_map_stats(int fd, struct shmap_map_stats *stats, size_t size)
{
	struct shmap_map_stats mine = {0};
	struct map_stats counted = {0};
	size_t known = size < sizeof(mine) ? size : sizeof(mine);
	long err = size ? sys_map_stats(fd, &counted) : -EINVAL;

	mine.entries = counted.entries;
	mine.evictions = counted.evictions;
	mine.failed = counted.failed;
	mine.lost = counted.lost;
	if (!err)
		err = uaccess_copy(stats, &mine, known);
	if (!err)
		err = uaccess_zero(uaccess_at(stats, known), size - known);
	if (err)
		errno = (int)-err;
	return (int)err;
}
