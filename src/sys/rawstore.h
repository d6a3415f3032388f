/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores through mmap(2) of a map's values: noticed, though nobody is called when they happen.
 *
 * The process that maps the values registers the mapping with userfaultfd(2), write-protected
 * in the asynchronous mode: the first store to a page makes the kernel lift the protection of
 * that page by itself, and that is all it costs. It says in the map's file where the mapping
 * is (notice.h). Who listens asks the kernel from time to time (PAGEMAP_SCAN of
 * /proc/PID/pagemap) which pages have been written, which protects them again in the same
 * step: a store comes before it and is reported, or after it and will be.
 *
 * Where that is not to be had (Linux before 6.7, a process whose pagemap is not for us, an fd
 * that the program has closed) the listener compares the values with a copy.
 */
#ifndef SHMAP_SYS_RAWSTORE_H
#define SHMAP_SYS_RAWSTORE_H

#include "map/notice.h"

/* How often a listener looks, at most. */
#define RAW_PERIOD_NS 600000ULL

/* The values of m were mapped here for writing. */
void raw_mapped(struct map *m, void *addr, uint64_t len, uint64_t offset);
/* mremap(2) of such a mapping: it is somewhere else, perhaps shorter. */
void raw_moved(void *old, uint64_t old_len, void *addr, uint64_t len);

/* A listener's part. */
struct raw_watch {
	struct map *map;
	struct {
		uint32_t pid, gen;
		int fd; /* of its pagemap, or -1 */
	} seen[NOTICE_RAW];
	uint8_t *copy;	    /* of the values, when they are compared; or NULL */
	uint64_t scan_seen; /* n->scan, and since when it has been that */
	uint64_t scan_since;
	uint32_t rounds;
	uint64_t took_ns; /* the last look */
};

void raw_watch_begin(struct raw_watch *w, struct map *m);
void raw_watch_end(struct raw_watch *w);
/* Is there anything to look at? */
bool raw_watch_any(const struct raw_watch *w);
/* Looks, unless somebody else has just done so; notes what it finds. True: it has been looked at
 * since the call, or there was nothing to look at. */
bool raw_watch_look(struct raw_watch *w, bool now);

#endif
