/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The intended differences between shmap and the kernel: everything else that
 * differs is a bug of shmap. docs/compat.md has the same list.
 */
#include <stdio.h>

#include "oracle.h"

const struct difference_text differences[DIFF_COUNT] = {
	[DIFF_HASH_ORDER] = {"order of a hash",
			     "the hash function and the table are our own, as the kernel's are "
			     "random per map: next_key and batches are compared as sets"},
	[DIFF_BATCH_ROOM] = {"room that a hash batch needs, and its token",
			     "ENOSPC and the number of elements per call depend on how keys fall "
			     "into buckets; whole walks are compared"},
	[DIFF_FAULT_PREFIX] = {"bytes written before EFAULT",
			       "when the user's memory ends in the middle, how much of it was "
			       "written is not defined"},
	[DIFF_LRU_VICTIMS] = {"what a full LRU map evicts, and when",
			      "the kernel frees up to 128 elements at once, per CPU, and for "
			      "updates of existing keys too; ours one, when the map is full: "
			      "the random operations are made on maps with room for all keys, "
			      "and evictions.c compares counts and what use protects"},
	[DIFF_OVERWRITE] = {"a ring buffer's overwrite mode", "Linux 6.19 has it, 6.18 does not"},
	[DIFF_IDS] = {"ids", "the kernel's are the system's, ours the runtime directory's"},
	[DIFF_FALSE_POSITIVE] = {"a bloom filter's false positive",
				 "which values it takes for others is chance, by its seed"},
};

static unsigned long used[DIFF_COUNT];

void difference_used(enum difference d)
{
	used[d]++;
}

void differences_print(void)
{
	for (int i = 0; i < DIFF_COUNT; i++)
		if (used[i])
			printf("intended difference, %lu times: %s\n", used[i],
			       differences[i].name);
}
