/* SPDX-License-Identifier: BSD-2-Clause */
/* What the examples of concurrency share: processes that work at once. */
#ifndef EXAMPLES_WORKERS_H
#define EXAMPLES_WORKERS_H

/* Comes before other headers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "example.h"
#include "pause.h"

#define WORKERS 4
#define RUNS 10000 /* of each worker */

/* The n-th of the CPUs that we may use, if there are so many, or we take turns. */
static inline void pin_to_cpu(int n)
{
	static cpu_set_t may; /* before the first of these calls */
	cpu_set_t one;

	if (!CPU_COUNT(&may) && sched_getaffinity(0, sizeof(may), &may))
		return;
	n %= CPU_COUNT(&may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may) && !n--) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
}

static inline pid_t start_worker(int n, void (*work)(int n))
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	pin_to_cpu(n);
	work(n);
	exit(0);
}

static inline void wait_for_worker(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "a worker failed\n");
		exit(1);
	}
}

/* WORKERS processes do it at once. */
static inline void work_together(void (*work)(int n))
{
	pid_t pid[WORKERS];

	fflush(stdout);
	for (int n = 0; n < WORKERS; n++)
		pid[n] = start_worker(n, work);
	for (int n = 0; n < WORKERS; n++)
		wait_for_worker(pid[n]);
}

static inline int program_fd(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	if (!prog)
		die(name);
	return bpf_program__fd(prog);
}

static inline int map_fd(struct bpf_object *obj, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);

	if (fd < 0)
		die(name);
	return fd;
}

/* The object, without the programs that only events can run (`shmap run` does that). */
static inline struct bpf_object *load_packet_programs(const char *path)
{
	struct bpf_object *obj;
	struct bpf_program *p;

	libbpf_set_print(example_quiet);
	obj = bpf_object__open(path);
	if (!obj)
		die(path);
	bpf_object__for_each_program(p, obj)
		bpf_program__set_autoload(p, bpf_program__type(p) == BPF_PROG_TYPE_SCHED_CLS);
	if (bpf_object__load(obj))
		die("load");
	return obj;
}

/* The values of a mmapable array, or the global variables of a section, as memory. */
static inline void *map_memory(int fd, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, (size + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* Runs a packet program, which reads the packet's first two bytes; what it returned last. */
static inline unsigned int run_packets(int prog, int first, int second, int repeat)
{
	unsigned char packet[64] = {first, second};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = repeat);

	if (bpf_prog_test_run_opts(prog, &opts))
		die("test run");
	return opts.retval;
}

/* A run that stands still in the middle (pause.h), while meanwhile() is done. */
static inline void run_interrupted(struct bpf_object *obj, void (*run)(int n),
				   void (*meanwhile)(void))
{
	volatile struct pause *p = map_memory(map_fd(obj, ".data.pause"), sizeof(*p));
	pid_t pid;

	p->reached = p->go = 0;
	fflush(stdout);
	/* not on the CPU where a kernel's program stands and does not give way */
	pin_to_cpu(1);
	pid = start_worker(0, run);
	while (!p->reached)
		sched_yield();
	meanwhile();
	p->go = 1;
	wait_for_worker(pid);
}

#endif
