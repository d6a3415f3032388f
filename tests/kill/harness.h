/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kill tests: an operation is killed after each of its instructions, and a
 * survivor shows that it happened or not, and that nothing is in the way.
 *
 * kill_main() runs the cases in a process of its own (the survivor). For a
 * case it lets a child run the operation once, one instruction at a time, and
 * notes the addresses. Then, for every k: setup() makes the state before; a
 * child is forked, runs the operation's first k instructions and gets
 * SIGKILL; check() looks at what is left. A child gets to instruction k at
 * full speed: by a breakpoint at the last address before k that the operation
 * comes to for the first time, and from there in single steps.
 *
 * A survivor that hangs is ended by its own alarm clock, and the first process
 * says in which case and after which instruction.
 */
#ifndef SHMAP_TESTS_KILL_HARNESS_H
#define SHMAP_TESTS_KILL_HARNESS_H

#include <stdbool.h>

enum kill_outcome {
	KILL_OLD,     /* as if the operation had not begun */
	KILL_NEW,     /* as if it had ended */
	KILL_INVALID, /* anything else */
};

struct kill_case {
	const char *name;
	void *arg;
	/* In the survivor: the state before the operation. */
	void (*setup)(void *arg);
	/* In the child, before the first instruction that counts; may be NULL. */
	void (*prepare)(void *arg);
	/* In the child. */
	void (*op)(void *arg);
	/* In the survivor, while the child stands still after instruction k; may be
	 * NULL. False: something read was wrong, or had to wait. */
	bool (*peek)(void *arg);
	/* In the survivor, when the child is dead. Restores what setup() needs. */
	enum kill_outcome (*check)(void *arg);
	/* Every instruction up to this many, else evenly spread ones and those
	 * at each system call; 0: KILL_POINTS, which is also the most. */
	unsigned int points;
};

/* SHMAP_TEST_KILLS sets another number; 0 is every instruction however many. */
#if defined(__SANITIZE_ADDRESS__)
/* Several times the instructions, each slower, and most of them not ours. */
#define KILL_POINTS 40
#else
#define KILL_POINTS 1000
#endif

/* Runs the cases whose names begin with argv[1], or all. The program's exit status. */
int kill_main(int argc, char **argv, const struct kill_case *cases, unsigned int n);

/* In kill_main()'s survivor, before the first case; may stay NULL. */
extern void (*kill_begin)(void);
/* After how many seconds at one kill point the survivor counts as stuck. */
extern unsigned int kill_stuck_seconds;

/* The number of the kill point at work, so that checks can alternate. */
unsigned long kill_point(void);

/* Says why a check fails: once per case in full, then counted. */
void kill_why(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
