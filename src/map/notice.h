/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notices of changes: a ring in the map's file, between its data and the trailer.
 *
 *   page 0   struct notice: how far writers have come, who listens, who has the values
 *            mapped for writing
 *   page 1.. slots: {tag, check, kind, key}
 *
 * The pages are a hole until somebody listens or maps the values. A writer, after its
 * change: takes the next number, fills the number's slot, and rings the doorbell (the file's
 * times, heard by inotify; as map/ring.h) if somebody has armed it. It waits for nobody and
 * needs no lock; listeners do not write where it looks, but to arm the bell.
 *
 * A reader who finds its number's slot overwritten, or not filled in time, knows that there
 * was a change, and not which: MAP_CHANGE_MANY. That is also what a death comes to: the mark
 * of the change (change.h) outlives its maker, and notice_deaths() finds it.
 *
 * Distrust: a slot is copied, then its check is compared; lengths are bounded by the map's own.
 */
#ifndef SHMAP_MAP_NOTICE_H
#define SHMAP_MAP_NOTICE_H

#include "map/change.h"

#define NOTICE_PAGES 5U
#define NOTICE_SIZE (NOTICE_PAGES * SHMAP_PAGE)
#define NOTICE_KEY_MAX 512U
#define NOTICE_LISTENERS 48U
#define NOTICE_RAW 48U

/* A mapping of the values for writing, in some process. */
struct notice_raw {
	uint32_t pid; /* 0: free; bit 31: being filled */
	uint32_t gen; /* another one of the same slot has another */
	uint64_t addr, len;
	uint64_t offset; /* in the file */
};

struct notice {
	uint64_t head; /* changes noted so far */
	uint64_t pad[7];
	uint32_t armed;	    /* a listener sleeps */
	uint32_t deaths;    /* of writers_head, as far as it has been noted */
	uint64_t scan;	    /* {number, record} of who is looking for raw stores */
	uint64_t scan_at;   /* CLOCK_MONOTONIC, ns: when somebody did last */
	uint32_t raw_gone;  /* mappings that went: their last stores may not have been seen */
	uint32_t raw_lost;  /* mappings that found no slot: compare */
	uint32_t raw_noted; /* raw_gone, as far as it has been noted */
	uint32_t came;	    /* listeners so far */
	uint32_t unsure;    /* listeners that found a writer standing still which may not tell */
	uint32_t pad2[5];
	uint64_t listener[NOTICE_LISTENERS]; /* names of records */
	struct notice_raw raw[NOTICE_RAW];
};

_Static_assert(sizeof(struct notice) <= SHMAP_PAGE, "one page");

/* What a reader gets. */
struct notice_event {
	enum map_change kind;
	uint32_t key_len; /* 0: unknown */
	uint64_t offset, length;
	uint64_t changes;
	uint8_t key[NOTICE_KEY_MAX];
};

static inline struct notice *notice_of(const struct map *m)
{
	return (struct notice *)(m->obj.base + m->notice_off);
}

/* The pages that it takes are there. 0 or -ENOMEM. */
int notice_populate(struct map *m, bool slots);

/* Notes a change. user_key may be NULL or a bad pointer. */
void notice_post(struct map *m, enum map_change kind, const void *user_key, uint64_t offset,
		 uint64_t length, uint64_t changes);

/* The record `name` listens; *next: the first number that it will see. 0; -EPERM: the
 * map is not writable; -ENOSPC: too many do; -ENOMEM; -EOPNOTSUPP. */
int notice_listen(struct map *m, uint64_t name, uint64_t *next);
/* The record `name` listens no more. */
void notice_unlisten(struct map *m, uint64_t name);

/* The next notice, merged with others where they were too fast. False: there is none. */
bool notice_next(struct map *m, uint64_t *next, struct notice_event *e);

/* Rings the bell: whoever watches the file wakes. */
void notice_ring(struct map *m);

/* Says that the caller is going to sleep; it looks once more after it. */
void notice_arm(struct map *m);
static inline bool notice_pending(struct map *m, uint64_t next)
{
	return load_seq_cst(&notice_of(m)->head) != next;
}

/* Notes what the dead may have changed without noting it. *leases: what the caller keeps. */
void notice_deaths(struct map *m, uint64_t *leases);

/* Raw mappings: a slot for one, or NULL; its end. */
struct notice_raw *notice_raw_add(struct map *m, uint32_t pid, uint64_t addr, uint64_t len,
				  uint64_t offset);
/* The place is nobody's, if it is still that mapping's. */
void notice_raw_free(struct notice_raw *raw, uint32_t pid, uint32_t gen);
void notice_raw_drop(struct map *m, struct notice_raw *raw, uint32_t pid, uint32_t gen);

#endif
