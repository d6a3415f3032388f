/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the map kill test share: the operations (kill-map-ops.c)
 * and the survivor (kill-map.c). */
#ifndef SHMAP_TESTS_KILL_MAP_H
#define SHMAP_TESTS_KILL_MAP_H

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "map/map.h"
#include "sync/lease.h"

#define KEYS_MAX 17
#define ABSENT 0xff

struct variant {
	const char *name;
	uint32_t type, flags, value_size, max_entries;
	int32_t lock_off;
	bool aged;  /* elements that have been used before */
	bool chain; /* all keys in one bucket */
	bool crowd; /* all keys in one stripe, which has to take quota from the other */
};

/* Which version of its value each key has: on the CPU that everybody here runs
 * on, and on the others. */
struct state {
	uint8_t ver[KEYS_MAX][2];
};

struct fixture {
	const struct variant *v;
	const struct op *op;
	struct map *m;
	int fd;
	uint32_t keys[KEYS_MAX];
	struct state old, new;
	uint64_t changes;
};

enum need {
	HASH = 1,
	LOCK = 4,
	PROG = 16,
	QUIET = 32,   /* changes nothing */
	PARTIAL = 64, /* each key by itself */
	FULL = 128,   /* starts with max_entries elements */
	OWN = 256,    /* of per-CPU values, this CPU's alone */
	NO_LRU = 512, /* a full map refuses */
	LRU = 1024,   /* a full map evicts */
};

struct op {
	const char *name;
	int need;
	void (*run)(struct fixture *f);
	void (*expect)(struct fixture *f, struct state *s);
};

static inline bool is_lru(const struct fixture *f)
{
	return f->v->type == BPF_MAP_TYPE_LRU_HASH || f->v->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static inline bool is_hash(const struct fixture *f)
{
	return f->v->type == BPF_MAP_TYPE_HASH || f->v->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       is_lru(f);
}

static inline uint32_t n_keys(const struct fixture *f)
{
	return f->v->max_entries;
}

static inline uint32_t n_initial(const struct fixture *f)
{
	if (!is_hash(f) || f->op->need & FULL)
		return n_keys(f);
	return n_keys(f) * 3 / 4;
}

extern const struct op kill_ops[];
extern const unsigned int kill_op_count;
/* Shared memory: the child's operation has returned. */
extern uint32_t *op_ended;
/* The CPU that everybody here runs on. */
extern int this_cpu;

/* A whole value of the key; of all CPUs where it is one's each. */
void *kill_value(struct fixture *f, int ver, uint32_t key);
/* A batch of the first n keys. */
struct map_batch kill_batch(struct fixture *f, uint32_t n, int ver);
/* For for_each: counts in *arg. */
long kill_visit(void *arg, struct map *m, const void *key, void *value);

#endif
