/* SPDX-License-Identifier: BSD-2-Clause */
/* What histories.c shares with the subjects that have operations of their own (special.c). */
#ifndef SHMAP_TESTS_HISTORIES_H
#define SHMAP_TESTS_HISTORIES_H

#include "linear.h"
#include "map/map.h"

#define PROCESSES 2
#define THREADS 2
#define WORKERS (PROCESSES * THREADS)

/* A map whose operations are not bpf(2)'s and the helpers' on keys. */
struct special {
	uint32_t keys;
	/* Before there are processes: `fd` and `map` are made; the operations of each worker. */
	void (*make)(uint32_t ops);
	/* In each process, before its threads. */
	void (*begin)(void);
	bool (*may)(uint8_t op);
	/* Of the n'th operation of a worker; random: any number. */
	uint8_t (*key)(uint32_t n, uint32_t random);
	/*
	 * Does e->op on e->key: its result, and e->value, which is `unique`, becomes what was
	 * written or came back. -EAGAIN: again, nothing was done.
	 */
	int (*run)(struct linear_event *e, uint32_t random);
	/* When all is over: what an operation that returned saw. NULL: known. */
	void (*settle)(struct linear_event *e, uint64_t unique);
};

extern const struct special special_events, special_words, special_places;
bool linear_events(struct linear_state *s, const struct linear_event *e, uint32_t room);
bool linear_places(struct linear_state *s, const struct linear_event *e, uint32_t room);

/* The subject's, in histories.c. */
extern struct map *map;
extern int fd;

#endif
