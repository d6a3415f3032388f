/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap top: what it has seen of the maps of a runtime directory. */
#ifndef SHMAP_CLI_TOP_H
#define SHMAP_CLI_TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/bpf.h>

#define TOP_OPENERS 64
#define TOP_KEY_SHOWN 48
#define TOP_BUCKETS 65 /* of the histogram: 0, and one for each power of two */

/* One element as it was at a look. */
struct top_elem {
	uint64_t key, value;	 /* hashes */
	uint64_t number;	 /* the value, if it is one; of per-CPU values the sum */
	uint64_t increase, hits; /* since the last look; since the first one */
	uint32_t at;		 /* of its key in keys */
};

struct top_look {
	struct top_elem *elem; /* ordered by key */
	uint8_t *keys;
	uint32_t n;
	bool cut; /* there are more */
};

struct top_map {
	struct bpf_map_info info;
	char type[32];
	bool walked, numeric, counted, ops_counted;
	uint64_t entries, evictions, failed, lost, operations;
	uint64_t lock_waits;				   /* for bpf_map_lock() */
	uint32_t lock_owner;				   /* a thread; 0: nobody */
	double ops, changed, increase, evicted, lost_rate; /* per second, between two looks */
	struct top_look look;
	pid_t opener[TOP_OPENERS];
	unsigned int openers; /* may be more than are listed */
	uint64_t bucket[TOP_BUCKETS];
};

struct top {
	struct top_map *map;
	unsigned int n, room;
	uint64_t at; /* ns */
};

/* How many elements are looked at: of each map of the list, and of the one that is shown alone. */
#define TOP_LIST_ELEMS 4096U
#define TOP_VIEW_ELEMS 65536U

/* Looks at all maps, at `view` (0: none) more closely. What t had before is what it is compared
 * with. 0 or -errno. */
int top_look(struct top *t, uint32_t view);
void top_free(struct top *t);

struct top_text {
	char key[TOP_KEY_SHOWN], value[TOP_KEY_SHOWN];
};

/* The element's key and its present value as text. */
void top_elem_text(const struct top_map *m, const struct top_elem *e, struct top_text *text);
/* The `count` elements that change most; returns how many there are. */
unsigned int top_hottest(const struct top_map *m, const struct top_elem **hot, unsigned int count);
/* The name of a process; "?" */
void top_comm(pid_t pid, char *name, size_t size);

#endif
