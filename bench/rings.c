/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-rings OBJECT WAY: a program on one CPU fills a ring buffer, a process on the
 * other empties it with libbpf's ring_buffer; prints records per microsecond. It is run on
 * whatever serves bpf(2): see bench/rings.
 *
 *   poll    the consumer sleeps in ring_buffer__poll()
 *   spin    it calls ring_buffer__consume() all the time
 *   quiet   so, and the program submits with BPF_RB_NO_WAKEUP
 *   nap     it sleeps 500 us between two ring_buffer__consume()
 *   cost    one CPU: what a record costs the producer and the consumer
 *   user    the same of a USER_RINGBUF: a process submits samples, a program drains them
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define SECONDS 0.5

static unsigned long got, wrong;
static uint64_t next;
static int prog;

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int deliver(void *ctx, void *data, size_t size)
{
	uint64_t n = *(uint64_t *)data;

	wrong += n != next;
	next = n + 1;
	got++;
	return 0;
}

static uint32_t produce(uint64_t from, uint64_t flags, uint64_t count)
{
	uint64_t packet[4] = {from, flags, count};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(prog, &o) ? 0 : o.retval;
}

static void cost(struct ring_buffer *rb)
{
	double made = 0, taken = 0;
	unsigned long n = 0;

	for (int i = 0; i < 30; i++) {
		double a = now(CLOCK_PROCESS_CPUTIME_ID), b, c;

		n += produce(n, 0, 60000);
		b = now(CLOCK_PROCESS_CPUTIME_ID);
		ring_buffer__consume(rb);
		c = now(CLOCK_PROCESS_CPUTIME_ID);
		made += b - a;
		taken += c - b;
	}
	printf("%.1f ns %.1f ns\n", made / n * 1e9, taken / n * 1e9);
}

static int user_cost(int fd, int drain)
{
	struct user_ring_buffer *rb = user_ring_buffer__new(fd, NULL);
	double made = 0, taken = 0;
	unsigned long n = 0;

	for (int i = 0; i < 30; i++) {
		uint64_t packet[8] = {0};
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet,
			    .data_size_in = sizeof(packet));
		double a = now(CLOCK_PROCESS_CPUTIME_ID), b;

		for (int k = 0; rb && k < 60000; k++) {
			uint64_t *sample = user_ring_buffer__reserve(rb, sizeof(*sample));

			if (!sample)
				break;
			*sample = n++;
			user_ring_buffer__submit(rb, sample);
		}
		b = now(CLOCK_PROCESS_CPUTIME_ID);
		if (bpf_prog_test_run_opts(drain, &o) || o.retval != 60000) {
			fprintf(stderr, "bench-rings: %d samples of 60000\n", (int)o.retval);
			return 1;
		}
		made += b - a;
		taken += now(CLOCK_PROCESS_CPUTIME_ID) - b;
	}
	printf("%.1f ns %.1f ns\n", made / n * 1e9, taken / n * 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *obj = argc > 2 ? bpf_object__open(argv[1]) : NULL;
	const char *way = argc > 2 ? argv[2] : "";
	uint64_t flags = strcmp(way, "quiet") ? 0 : BPF_RB_NO_WAKEUP;
	volatile int *stop;
	struct ring_buffer *rb;
	double start;
	pid_t pid;

	if (!obj || bpf_object__load(obj)) {
		fprintf(stderr, "bench-rings: no object, or it cannot be loaded\n");
		return 1;
	}
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "produce"));
	rb = ring_buffer__new(bpf_object__find_map_fd_by_name(obj, "ring"), deliver, NULL, NULL);
	stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!rb || stop == MAP_FAILED)
		return 1;
	if (!strcmp(way, "user"))
		return user_cost(bpf_object__find_map_fd_by_name(obj, "user_ring"),
				 bpf_program__fd(bpf_object__find_program_by_name(obj, "drain")));
	if (!strcmp(way, "cost")) {
		cost(rb);
		return 0;
	}
	pid = fork();
	if (!pid) {
		on_cpu(1);
		for (uint64_t n = 0; !*stop;)
			n += produce(n, flags, 5000);
		_exit(0);
	}
	on_cpu(0);
	start = now(CLOCK_MONOTONIC);
	while (now(CLOCK_MONOTONIC) - start < SECONDS) {
		if (!strcmp(way, "poll"))
			ring_buffer__poll(rb, 100);
		else
			ring_buffer__consume(rb);
		if (!strcmp(way, "nap"))
			usleep(500);
	}
	start = now(CLOCK_MONOTONIC) - start;
	*stop = 1;
	waitpid(pid, NULL, 0);
	printf("%.2f%s\n", got / start / 1e6, wrong ? " (out of order)" : "");
	return !!wrong;
}
