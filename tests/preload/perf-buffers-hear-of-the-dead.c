/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A producer dies at an instruction of its output, perhaps after the record and before the
 * wake-up. A consumer that never waits, perf_buffer__poll(pb, 0), still gets every record
 * that was written before, and the next producer's.
 */
#include <linux/perf_event.h>
#include <sys/ptrace.h>

#include "perf.h"

#define STRIDE 7 /* instructions between two deaths: shorter than what stands around a wake-up */
#define DEATHS_MAX 2000
#define BEYOND 60 /* deaths after the record: the wake-up comes within that */

static uint32_t received, newest;

static void on_sample(void *ctx, int cpu, void *data, uint32_t size)
{
	struct sample s;

	CHECK(size >= sizeof(s) && perf_whole(data));
	memcpy(&s, data, sizeof(s));
	received++;
	newest = s.seq;
}

static void on_lost(void *ctx, int cpu, unsigned long long count)
{
	CHECK(!count);
}

/* Bytes that have been written, to all rings. */
static uint64_t written(struct perf_buffer *pb)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < perf_buffer__buffer_cnt(pb); i++) {
		struct perf_event_mmap_page *page;
		size_t size;

		REQUIRE(!perf_buffer__buffer(pb, (int)i, (void **)&page, &size));
		sum += *(volatile __u64 *)&page->data_head;
	}
	return sum;
}

static pid_t start(uint32_t seq)
{
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) || raise(SIGSTOP))
			_exit(2);
		CHECK_EQ(perf_write(0, seq, 1, NULL), 1);
		_exit(check_failures != 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return pid;
}

/* Lets it go on to its next stop; false: it has ended. */
static bool go_on(pid_t pid, enum __ptrace_request how)
{
	int status;

	REQUIRE(!ptrace(how, pid, 0, 0));
	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		CHECK_EQ(WEXITSTATUS(status), 0);
	else
		REQUIRE(WIFSTOPPED(status));
	return WIFSTOPPED(status);
}

/* A producer's stops at system calls up to the last one before its record is there. */
static uint32_t stops_before_record(struct perf_buffer *pb, uint32_t seq)
{
	uint64_t before = written(pb);
	pid_t pid = start(seq);
	uint32_t stops = 0;

	while (go_on(pid, PTRACE_SYSCALL))
		stops += written(pb) == before;
	CHECK(written(pb) != before);
	return stops;
}

/* A producer that dies n instructions after these stops; false: it was done before. */
static bool die_after(uint32_t stops, uint32_t n, uint32_t seq)
{
	pid_t pid = start(seq);

	for (uint32_t i = 0; i < stops + n; i++)
		if (!go_on(pid, i < stops ? PTRACE_SYSCALL : PTRACE_SINGLESTEP))
			return false;
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	return true;
}

int main(void)
{
	uint32_t deaths = 0, after_record = 0, seq = 0, stops = 0;
	struct perf_buffer *pb;
	cpu_set_t all, one;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	SKIP("single-stepping through a sanitizer takes too long");
#endif
	/* one ring: what is told of it does not depend on where a producer ran */
	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all)) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			break;
		}
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	perf_load();
	pb = perf_buffer__new(perf_map, 8, on_sample, on_lost, NULL, NULL);
	REQUIRE(pb);
	/* the first one does what no later one need do */
	for (int i = 0; i < 3; i++) {
		stops = stops_before_record(pb, seq++);
		CHECK_EQ(perf_write(0, seq++, 1, NULL), 1);
		REQUIRE(perf_buffer__poll(pb, 0) >= 0 && newest == seq - 1);
	}
	for (; after_record < BEYOND && deaths < DEATHS_MAX; deaths++) {
		uint64_t before = written(pb);
		bool died;

		/* nothing there: from now on it is to be woken */
		CHECK_EQ(perf_buffer__poll(pb, 0), 0);
		died = die_after(stops, deaths * STRIDE, seq++);
		after_record += died && written(pb) != before;
		CHECK_EQ(perf_write(0, seq++, 1, NULL), 1);
		REQUIRE(perf_buffer__poll(pb, 0) >= 0);
		if (newest != seq - 1) {
			fprintf(stderr, "after %u stops and %u instructions: nothing is heard\n",
				stops, deaths * STRIDE);
			check_failures++;
			break;
		}
	}
	CHECK(after_record > 10 && after_record < deaths);
	CHECK(received > deaths);
	printf("%u deaths, %u after the record; %u records\n", deaths, after_record, received);
	perf_buffer__free(pb);
	return check_done();
}
