/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps the tracer on the CPU of the thread that it traces.
 *
 * Of the two, one always waits for the other. On one CPU a stop costs two
 * context switches (about 3 us); on two CPUs it wakes a sleeping CPU twice
 * (25 us in a virtual machine). The scheduler moves the traced thread as it
 * likes, since the command's affinity is its own; every so many stops the
 * tracer looks where it is and goes there.
 */
#include "event/tracer.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEAR_EVERY 256 /* stops; reading the CPU costs about as much as one */

static int near_cpu_of(struct tracee *t)
{
	char path[64], buf[1024], *p;
	ssize_t n;
	int fd;

	/* /proc/TID/stat would add up the whole process. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tracee_tgid(t), t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	/* The name may hold anything, so count from its end: field 3; 39 is the CPU. */
	p = strrchr(buf, ')');
	for (int field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	return p ? atoi(p + 1) : -1;
}

void near_start(struct near *n)
{
	n->cpu = -1;
	n->left = NEAR_EVERY / 16;
	n->size = CPU_ALLOC_SIZE(NEAR_CPUS);
	n->moves = !sched_getaffinity(0, n->size, &n->old) && CPU_COUNT_S(n->size, &n->old) > 1;
}

void near_look(struct near *n, struct tracee *t)
{
	cpu_set_t set;
	int cpu;

	n->left = NEAR_EVERY;
	if (!n->moves)
		return;
	cpu = near_cpu_of(t);
	/* Not where the tracer itself may not be. */
	if (cpu < 0 || cpu == n->cpu || cpu >= NEAR_CPUS || !CPU_ISSET(cpu, &n->old))
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, n->size, &set))
		n->cpu = cpu;
}

void near_end(struct near *n)
{
	if (n->cpu >= 0)
		sched_setaffinity(0, n->size, &n->old);
}
