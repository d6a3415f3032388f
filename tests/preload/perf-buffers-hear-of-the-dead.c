/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A producer dies at an instruction of its output, perhaps after the record and before the
 * wake-up. A consumer that never waits, perf_buffer__poll(pb, 0), still gets every record
 * that was written before, and the next producer's.
 */
#include <sys/ptrace.h>

#include "perf.h"

#define STRIDE 37 /* instructions between two deaths: shorter than what stands around a wake-up */

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

/* A producer that dies after n instructions; false: it was done before. */
static bool die_after(uint32_t n, uint32_t seq)
{
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) || raise(SIGSTOP))
			_exit(2);
		perf_write(0, seq, 1, NULL);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (uint32_t i = 0; i < n; i++) {
		REQUIRE(!ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status)) {
			CHECK_EQ(WEXITSTATUS(status), 0);
			return false;
		}
		REQUIRE(WIFSTOPPED(status));
	}
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return true;
}

int main(void)
{
	uint32_t deaths = 0, seq = 0;
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
	for (;; deaths++) {
		bool died;

		/* nothing there: from now on it is to be woken */
		CHECK_EQ(perf_buffer__poll(pb, 0), 0);
		died = die_after(deaths * STRIDE, seq++);
		CHECK_EQ(perf_write(0, seq++, 1, NULL), 1);
		REQUIRE(perf_buffer__poll(pb, 0) >= 0);
		if (newest != seq - 1) {
			fprintf(stderr, "after %u instructions: nothing is heard\n",
				deaths * STRIDE);
			check_failures++;
			break;
		}
		if (!died)
			break;
	}
	CHECK(deaths > 10);
	CHECK(received > deaths);
	printf("%u deaths, %u records\n", deaths, received);
	perf_buffer__free(pb);
	return check_done();
}
