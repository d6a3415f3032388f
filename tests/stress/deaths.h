/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the deaths test share: deaths.c kills, deaths_*.c say what the
 * processes do with a map of some kind and what must be true of it afterwards.
 */
#ifndef SHMAP_TESTS_STRESS_DEATHS_H
#define SHMAP_TESTS_STRESS_DEATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"

#define DEATH_WORKERS 8u
#define DEATH_AREA (24u << 20) /* of a subject's shared memory; used as far as touched */

struct death_subject;

struct death_kind {
	/* In the survivor: the map and what goes with it; *fd, *m. Exits with 77 for a
	 * subject that there is not here. */
	void (*make)(const struct death_subject *s);
	/* In worker `me`: one operation. */
	void (*work)(const struct death_subject *s);
	/* In the survivor, with all others standing between two operations, after worker w
	 * died. The map is as it was left: nobody has repaired it on purpose. */
	void (*settle)(const struct death_subject *s, uint32_t w);
	/* All are dead and settled, the map is repaired and valid: contents, exact
	 * capacity. Leaves everything ready for more work. */
	void (*audit)(const struct death_subject *s);
	/* What make() made, but the map. */
	void (*drop)(const struct death_subject *s);
};

struct death_subject {
	const char *name;
	const struct death_kind *kind;
	uint32_t type, flags, value_size;
	int32_t lock_off; /* keyed: of the bpf_spin_lock, -1: none */
	uint32_t own;	  /* keyed: keys of each worker */
	uint32_t traits;  /* of the kind's own */
};

extern const struct death_kind death_keyed, death_objects, death_storage, death_queue, death_bloom,
	death_ring, death_user_ring, death_perf, death_stack, death_arena;

/* keyed: traits */
#define DEATH_FIXED 1u	/* elements are always there (arrays) */
#define DEATH_EVICTS 2u /* fewer places than keys */
#define DEATH_SHARED 4u /* one more key that all of them write */
#define DEATH_KEY16 8u
#define DEATH_PROGS 16u /* objects: programs, not maps */

extern struct map *death_map;
extern int death_fd;
extern uint32_t death_me; /* DEATH_WORKERS: the survivor */
void *death_area(void);	  /* zero after make() */

uint32_t death_rnd(uint32_t n);
void death_violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A program may start: a lease. Otherwise it is counted. */
bool death_program(void);
/* make(): a map of this kind. */
void death_map_create(struct map_attr *attr);
bool death_valid(const char *when);
/* In a worker: no more numbers, a survivor has to look first. */
void death_ask_audit(void);

/* Numbers that are stored and come out again (deaths_flow.c). */
#define DEATH_NUMBERS (1u << 20)
#define DEATH_INTENT 1u
#define DEATH_ACK 2u
#define DEATH_GOT 4u

struct death_flow {
	uint32_t next;	       /* numbers given out */
	uint32_t lost_allowed; /* takers that died with one in their hands */
	uint32_t taking[DEATH_WORKERS + 1];
	uint32_t last[DEATH_WORKERS + 1][DEATH_WORKERS + 1]; /* [taker][producer] */
	uint8_t state[DEATH_NUMBERS];
	uint8_t producer[DEATH_NUMBERS];
	uint64_t at[DEATH_NUMBERS]; /* position + 1 where it was found */
};

static inline struct death_flow *death_flow(void)
{
	return (struct death_flow *)death_area();
}
/* A number to store: 0: none left. Marked as intended. */
uint32_t death_number(void);
void death_stored(uint32_t number);
/* It came out, for taker `by`, in order (or not); pos: of a record that a taker who
 * dies leaves for the next one; 0: once only. */
void death_taken(uint32_t number, uint32_t by, bool in_order, uint64_t pos);
/* All that is left has been taken: what is lost? */
void death_flow_end(void);

#endif
