/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For programs that show how it goes wrong: a stop between a load and a store. What is lost now
 * and then without it is lost every time with it.
 */
#ifndef EXAMPLES_PAUSE_H
#define EXAMPLES_PAUSE_H

#include <stddef.h>
#include <linux/types.h>

/* A global variable in a section, and so in a map, of its own. */
struct pause {
	__u32 reached; /* the program stands still */
	__u32 go;      /* it may go on */
};

#ifdef __bpf__
struct pause the_pause SEC(".data.pause");

static long pause_look(__u32 i, void *ctx)
{
	return *(volatile __u32 *)&the_pause.go != 0;
}

static long pause_look_more(__u32 i, void *ctx)
{
	return bpf_loop(1 << 16, pause_look, NULL, 0) < 1 << 16;
}

/* Until it may go on; for some seconds at most. */
static __attribute__((unused)) void pause_here(void)
{
	*(volatile __u32 *)&the_pause.reached = 1;
	bpf_loop(1 << 15, pause_look_more, NULL, 0);
}
#endif

#endif
