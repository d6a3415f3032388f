/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histories and whether they are linearizable: is there one order of all
 * operations, each at a moment between its call and its return, in which a
 * sequential map gives the same answers?
 *
 * The checker walks over calls and returns in the order of time and keeps all
 * configurations that are still possible: the state of the sequential map, and
 * which of the open operations have taken place. An operation has to take place
 * when it returns, and may at any moment before. One that never returns (its
 * process was killed) may take place at any later time, or never.
 */
#ifndef SHMAP_TESTS_LINEAR_H
#define SHMAP_TESTS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAR_ROOM 8 /* values in a sequential map */

enum linear_op {
	LINEAR_READ,	/* 0 and the value, or -ENOENT */
	LINEAR_PUT,	/* BPF_ANY */
	LINEAR_PUT_NEW, /* BPF_NOEXIST */
	LINEAR_PUT_OLD, /* BPF_EXIST */
	LINEAR_ERASE,	/* 0 or -ENOENT */
	LINEAR_TAKE,	/* 0 and the value, or -ENOENT */
};

struct linear_event {
	uint64_t call, ret_time; /* ns; ret_time 0: it never returned */
	uint64_t value;		 /* what was written, or came back */
	int32_t ret;
	uint8_t op;
	uint8_t key;
};

struct linear_state {
	uint32_t n;
	uint64_t value[LINEAR_ROOM];
};

/* Does the event's answer fit the state? Then the state is what follows it. */
typedef bool (*linear_step)(struct linear_state *s, const struct linear_event *e, uint32_t room);

bool linear_register(struct linear_state *s, const struct linear_event *e, uint32_t room);
bool linear_queue(struct linear_state *s, const struct linear_event *e, uint32_t room);
bool linear_stack(struct linear_state *s, const struct linear_event *e, uint32_t room);

/* -1: linearizable; else the event at whose return no order was left; -2: too many
 * configurations to say. */
long linear_check(const struct linear_event *events, size_t n, linear_step step,
		  const struct linear_state *start, uint32_t room);

#endif
