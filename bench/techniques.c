/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * techniques OBJECT: what each technique of docs/concurrency.md costs. A line for each: its name,
 * and nanoseconds per operation of one writer and of each of two that write the same value from two
 * CPUs. Built twice, for shmap and for the kernel; bench/techniques puts both into one table.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "measure.h"

#define OPS 128 /* techniques.bpf.c */
#define ROUNDS 31
#define ALONE_NS 100000 /* so short that it is seldom interrupted */
#define TOGETHER_NS 500000

static struct shared {
	int ready, done;
	double ns;
	struct work {
		unsigned long ops;
		long taken; /* times that it lost its CPU */
		double spent;
		unsigned long pad[29]; /* lines that nobody else writes */
	} work[2];
} * shared;

static struct bpf_object *obj;
static int map, outer, inner[2], prog;
static uint64_t *counter;

static void stop(const char *what)
{
	perror(what);
	exit(1);
}

static int map_fd(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);

	if (fd < 0)
		stop(name);
	return fd;
}

/* ---- one operation of a process; nanoseconds of n are taken ---- */

static uint64_t value[1024 * 8];

static void read_percpu(int i)
{
	uint64_t sum = 0;

	if (bpf_map_lookup_elem(map, &(uint32_t){1}, value))
		stop("lookup");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		sum += value[cpu];
	__asm__ volatile("" : : "r"(sum));
}

static void read_locked(int i)
{
	if (bpf_map_lookup_elem_flags(map, &(uint32_t){1}, value, BPF_F_LOCK))
		stop("lookup");
}

static void write_locked(int i)
{
	if (bpf_map_update_elem(map, &(uint32_t){1}, value, BPF_F_LOCK))
		stop("update");
}

static void swap(int i)
{
	if (bpf_map_update_elem(outer, &(uint32_t){0}, &inner[i & 1], BPF_ANY))
		stop("swap");
}

static void mmap_atomic(int i)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void mmap_store(int i)
{
	__atomic_store_n(counter, i, __ATOMIC_RELEASE);
}

/* ---- measuring ---- */

static void pin(int n)
{
	cpu_set_t may, one;

	sched_getaffinity(0, sizeof(may), &may);
	n %= CPU_COUNT(&may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may) && !n--) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* n operations, or runs of the program. */
static double once(void (*op)(int), int n)
{
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = n);
	double begin;

	if (!op) {
		if (bpf_prog_test_run_opts(prog, &opts))
			stop("test run");
		return (double)opts.duration / OPS;
	}
	begin = now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < n; i++)
		op(i);
	return (now_ns(CLOCK_MONOTONIC) - begin) / n;
}

/* Rounds of about so long. */
static int calibrated(void (*op)(int), double ns)
{
	int n = 1;

	while (n < 1 << 20 && once(op, n) * n * (op ? 1 : OPS) < ns)
		n *= 2;
	return n;
}

/* Of one writer: the lower decile of its rounds, as a busy machine adds to some. */
static void alone(void (*op)(int))
{
	double ns[ROUNDS];
	int n;

	pin(0);
	n = calibrated(op, ALONE_NS);
	for (int i = 0; i < ROUNDS; i++)
		ns[i] = once(op, n);
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	shared->ns = ns[ROUNDS / 10];
	_exit(0);
}

/* A round of a writer, and what it has come to by then. */
static void round_of(int w, void (*op)(int), int n)
{
	struct work *work = &shared->work[w];
	struct rusage u;
	double ns = once(op, n);

	n *= op ? 1 : OPS;
	getrusage(RUSAGE_SELF, &u);
	work->spent += ns * n;
	__atomic_store_n(&work->taken, u.ru_nivcsw, __ATOMIC_SEQ_CST);
	__atomic_store_n(&work->ops, work->ops + n, __ATOMIC_SEQ_CST);
}

/* Until the other one is seen to be running. */
static void meet(void (*op)(int), int n, double until)
{
	unsigned long ops = __atomic_load_n(&shared->work[1].ops, __ATOMIC_SEQ_CST);

	do {
		round_of(0, op, n);
	} while (ops == __atomic_load_n(&shared->work[1].ops, __ATOMIC_SEQ_CST) &&
		 now_ns(CLOCK_MONOTONIC) < until);
}

/*
 * Two writers on two CPUs: the median of the stretches of time in which neither lost its CPU to
 * others, of what an operation took on the average of both.
 */
static void together(int w, void (*op)(int))
{
	double ns[ROUNDS], until = now_ns(CLOCK_MONOTONIC) + 5e9;
	int n, valid = 0;

	pin(w);
	n = calibrated(op, TOGETHER_NS / 20);
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < 2)
		sched_yield();
	while (w && !__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST))
		round_of(1, op, n);
	while (!w && valid < ROUNDS && now_ns(CLOCK_MONOTONIC) < until) {
		struct work from[2], to[2];
		double begin;

		meet(op, n, until);
		memcpy(from, shared->work, sizeof(from));
		for (begin = now_ns(CLOCK_MONOTONIC);
		     now_ns(CLOCK_MONOTONIC) - begin < TOGETHER_NS;)
			round_of(0, op, n);
		meet(op, n, until);
		memcpy(to, shared->work, sizeof(to));
		if (from[0].taken == to[0].taken && from[1].taken == to[1].taken &&
		    from[1].ops != to[1].ops)
			ns[valid++] = (to[0].spent - from[0].spent + to[1].spent - from[1].spent) /
				      (to[0].ops - from[0].ops + to[1].ops - from[1].ops);
	}
	__atomic_store_n(&shared->done, 1, __ATOMIC_SEQ_CST);
	qsort(ns, valid, sizeof(*ns), compare);
	if (!w)
		shared->ns = valid < 3 ? -1 : ns[valid / 2];
	_exit(0);
}

/* Nanoseconds; -1: they were never at it together. */
static double measure(int writers, void (*op)(int))
{
	memset(shared, 0, sizeof(*shared));
	for (int w = 0; w < writers; w++) {
		pid_t pid = fork();

		if (pid < 0)
			stop("fork");
		if (!pid && writers == 1)
			alone(op);
		if (!pid)
			together(w, op);
	}
	for (int w = 0; w < writers; w++) {
		int status;

		if (wait(&status) < 0 || status)
			exit(1);
	}
	return shared->ns;
}

static double empty_loop;

static void row(const char *name, void (*op)(int))
{
	double one, two, less;

	if (!op) {
		prog = bpf_program__fd(bpf_object__find_program_by_name(obj, name));
		if (prog < 0)
			stop(name);
	}
	less = op ? 0 : empty_loop;
	one = measure(1, op) - less;
	two = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? measure(2, op) : -1;
	if (two > 0)
		two = two > less ? two - less : 0;
	if (!strcmp(name, "empty")) {
		empty_loop = one;
		return;
	}
	printf("%s %.2f %.2f\n", name, one, two);
	fflush(stdout);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const programs[] = {"empty",		  "plain",	 "percpu_array_add",
					       "percpu_hash_add", "atomic_add",	 "atomic_cmpxchg",
					       "atomic_add_byte", "lock_array",	 "lock_hash",
					       "copy_update",	  "through_slot"};
	LIBBPF_OPTS(bpf_map_create_opts, mmapable, .map_flags = BPF_F_MMAPABLE);
	const char *filled[] = {"percpu_hash", "locked_hash", "versions"};
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: techniques OBJECT   (see bench/techniques)\n");
		return 2;
	}
	libbpf_set_print(quiet);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	obj = bpf_object__open(argv[1]);
	if (shared == MAP_FAILED || !obj || bpf_object__load(obj))
		stop(argv[1]);
	for (int i = 0; i < 3; i++)
		if (bpf_map_update_elem(map_fd(filled[i]), &(uint32_t){1}, value, BPF_ANY))
			stop(filled[i]);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		row(programs[i], NULL);

	map = map_fd("percpu_array");
	row("read_percpu", read_percpu);
	map = map_fd("locked_array");
	row("read_locked", read_locked);
	row("write_locked", write_locked);
	outer = map_fd("outer");
	inner[0] = map_fd("inner");
	inner[1] = map_fd("inner_too");
	row("swap", swap);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counter", 4, 8, 1, &mmapable);
	counter = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		stop("counter");
	row("mmap_atomic", mmap_atomic);
	row("mmap_store", mmap_store);
	return 0;
}
