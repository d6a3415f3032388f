/* SPDX-License-Identifier: BSD-2-Clause */
/* Kfuncs that are neither dynptrs', iterators' nor strings'. */
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/map.h"
#include "vm/kfuncs.h"

/*
 * RCU sections, preemption and interrupts: a run is a read side of its own from
 * beginning to end, and nothing here runs on top of a program on its CPU. The verifier
 * sees to it that they come in pairs.
 */
KFUNC(nothing)
{
	return 0;
}

KFUNC(rdonly_cast)
{
	return a;
}

KFUNC(map_sum_elem_count)
{
	const struct map *m = PTR(a);
	struct map_stats stats = {0};

	if (!m->ops->stats || !m->ops->sums_elems)
		return 0;
	return m->ops->stats((struct map *)m, &stats) ? 0 : stats.entries;
}

KFUNC(copy_from_user_str)
{
	char *dst = PTR(a);
	const uint32_t size = (uint32_t)b;
	int64_t n;

	if (d & ~1ULL)
		return INT(-EINVAL);
	if (!size)
		return 0;
	n = (int64_t)helper_probe_read_user_str(a, size, c, 0, 0, vc);
	if (n < 0) {
		if (d & 1)
			memset(dst, 0, size);
		return INT(n);
	}
	if (d & 1)
		memset(dst + n, 0, size - (size_t)n);
	return INT(n);
}
