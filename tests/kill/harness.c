/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "sync/thread.h"

#define TRACE_MAX (1u << 21)

#if defined(__x86_64__)

/* What the first process reads when the survivor has ended otherwise. */
static struct {
	char name[64];
	unsigned long point;
	unsigned long points, old, new, invalid;
} * progress;

static struct {
	uint64_t pc;
	uint32_t first;	 /* the last index up to this one whose pc is a first occurrence */
	uint32_t origin; /* the index of this pc's first occurrence */
	uint32_t count;	 /* work of plan(); indexed by origin */
	uint32_t syscall;
} * trace;
static unsigned int trace_len;

/* Longer than any wait that the library bounds itself, on a machine that does much else. */
unsigned int kill_stuck_seconds = 180;
void (*kill_begin)(void);

static unsigned int whys;

unsigned long kill_point(void)
{
	return progress->point;
}

void kill_why(const char *fmt, ...)
{
	va_list ap;

	if (whys++ >= 8)
		return;
	fprintf(stderr, "%s, killed after instruction %lu: ", progress->name, progress->point);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void __attribute__((noinline)) window_begin(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static void __attribute__((noinline)) window_end(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static uint64_t child_pc(pid_t pid)
{
	return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
}

/* Waits for the child to stop; false when it has ended, or stopped for a fault. */
static bool child_stops(pid_t pid)
{
	int status = 0;

	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status)) {
		kill_why("the operation ended the process (status %#x)", status);
		return false;
	}
	if (WSTOPSIG(status) != SIGTRAP) {
		kill_why("the operation got signal %d (%s)", WSTOPSIG(status),
			 strsignal(WSTOPSIG(status)));
		return false;
	}
	return true;
}

static pid_t child_start(const struct kill_case *c)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(77);
		/* not a hole in which the child maps what the survivor then has no place for */
		mmap(trace, TRACE_MAX * sizeof(*trace), PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		if (thread_init())
			_exit(1);
		if (c->prepare)
			c->prepare(c->arg);
		window_begin();
		c->op(c->arg);
		window_end();
		_exit(0);
	}
	REQUIRE(child_stops(pid));
	REQUIRE(!ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL));
	return pid;
}

static void child_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	/* When it returns, the kernel has walked the robust list. */
	while (waitpid(pid, &status, 0) == pid && !WIFEXITED(status) && !WIFSIGNALED(status))
		;
}

static void arm(unsigned int seconds)
{
	struct itimerval t = {.it_value.tv_sec = seconds};

	setitimer(ITIMER_REAL, &t, NULL);
}

static bool child_step(pid_t pid)
{
	static unsigned int steps;

	/*
	 * What goes on step by step is slow, and not stuck: run_case() bounds the steps. Each may
	 * wait until every other process of this CPU has had its slice: a second for a few.
	 */
	if (++steps % 16 == 0)
		arm(kill_stuck_seconds);
	REQUIRE(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	return child_stops(pid);
}

/* Runs the operation once in single steps. False when it failed. */
static bool record(const struct kill_case *c)
{
	static uint32_t seen[1u << 16]; /* hash of pc -> index + 1, open addressing */
	pid_t pid = child_start(c);
	bool ok = true;

	memset(seen, 0, sizeof(seen));
	for (trace_len = 0; trace_len < TRACE_MAX; trace_len++) {
		uint64_t pc = child_pc(pid);
		uint32_t h = (uint32_t)(pc * 0x9e3779b97f4a7c15ULL >> 48);
		unsigned int tries = 0;
		long word;

		if (pc == (uintptr_t)window_end)
			break;
		trace[trace_len].pc = pc;
		while (seen[h] && trace[seen[h] - 1].pc != pc && tries++ < 1000)
			h = (h + 1) & 0xffff;
		if (!seen[h] || trace[seen[h] - 1].pc != pc) {
			seen[h] = trace_len + 1;
			word = ptrace(PTRACE_PEEKTEXT, pid, pc, NULL);
			trace[trace_len].first = trace[trace_len].origin = trace_len;
			trace[trace_len].syscall = (word & 0xffff) == 0x050f;
		} else {
			uint32_t o = seen[h] - 1;

			trace[trace_len].first = trace[trace_len - 1].first;
			trace[trace_len].origin = o;
			trace[trace_len].syscall = trace[o].syscall;
		}
		trace[trace_len].count = 0;
		if (!child_step(pid)) {
			ok = false;
			break;
		}
	}
	child_kill(pid);
	if (trace_len == TRACE_MAX) {
		kill_why("longer than %u instructions", TRACE_MAX);
		ok = false;
	}
	return ok;
}

/* Runs the child until it comes to pc for the n-th time; it then stands before
 * that instruction. False when it took another way and stands at the end. */
static int child_run_to(pid_t pid, uint64_t pc, unsigned int n)
{
	size_t rip = offsetof(struct user_regs_struct, rip);
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, pc, NULL);
	REQUIRE(!errno);
	for (;;) {
		REQUIRE(!ptrace(PTRACE_POKETEXT, pid, pc, (word & ~0xffL) | 0xcc));
		REQUIRE(!ptrace(PTRACE_CONT, pid, NULL, NULL));
		if (!child_stops(pid))
			return -1;
		arm(kill_stuck_seconds);
		if (child_pc(pid) != pc + 1)
			return 0;
		REQUIRE(!ptrace(PTRACE_POKETEXT, pid, pc, word));
		REQUIRE(!ptrace(PTRACE_POKEUSER, pid, rip, pc));
		if (!--n)
			return 1;
		if (!child_step(pid))
			return -1;
	}
}

/*
 * The quickest way from instruction `from` to k: to the place *via, the n-th
 * time that its pc comes (n is returned; 0: not at all), then in single
 * steps. Coming past a breakpoint costs about as much as three steps.
 */
static unsigned int plan(unsigned int from, unsigned int k, unsigned int *via)
{
	unsigned int best = k - from, n = 0;

	for (unsigned int j = from + 1; j <= k && j < trace_len; j++) {
		unsigned int times = ++trace[trace[j].origin].count;

		if (3 * times + (k - j) < best) {
			best = 3 * times + (k - j);
			n = times;
			*via = j;
		}
	}
	for (unsigned int j = from + 1; j <= k && j < trace_len; j++)
		trace[trace[j].origin].count = 0;
	return n;
}

/* A new child that stands after instruction k (k = 0: before the first one).
 * *diverged is set when it took another way and came past the breakpoints; slow
 * uses none. */
static pid_t child_at(const struct kill_case *c, unsigned int k, bool slow, bool *diverged)
{
	unsigned int from = slow ? 0 : k < trace_len ? trace[k].first : trace_len, via, n;
	pid_t pid = child_start(c);
	int ret = 1;

	if (from)
		ret = child_run_to(pid, from < trace_len ? trace[from].pc : (uintptr_t)window_end,
				   1);
	if (!slow && ret > 0 && from < k && (n = plan(from, k, &via))) {
		/* The place itself may be what it came to before. */
		if (trace[via].pc == trace[from].pc && !child_step(pid))
			ret = -1;
		else
			ret = child_run_to(pid, trace[via].pc, n);
		from = via;
	}
	for (; ret > 0 && from < k && child_pc(pid) != (uintptr_t)window_end; from++)
		if (!child_step(pid))
			ret = -1;
	*diverged = !ret;
	if (ret >= 0)
		return pid;
	progress->invalid++;
	child_kill(pid);
	return -1;
}

static enum kill_outcome checked(const struct kill_case *c)
{
	enum kill_outcome o = c->check(c->arg);

	progress->points++;
	progress->old += o == KILL_OLD;
	progress->new += o == KILL_NEW;
	if (o == KILL_INVALID) {
		progress->invalid++;
		kill_why("the state is neither the old one nor the new one");
	}
	return o;
}

static void run_case(const struct kill_case *c, unsigned int limit)
{
	unsigned long diverged = 0;
	bool slow = false, astray;
	struct timespec t0, t1;
	double skip = 1, next = 0;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	memset(progress, 0, sizeof(*progress));
	snprintf(progress->name, sizeof(progress->name), "%s", c->name);
	whys = 0;
	arm(kill_stuck_seconds);
	c->setup(c->arg);
	if (!record(c)) {
		progress->invalid++;
		check_failures++;
		c->check(c->arg);
		return;
	}
	progress->point = trace_len;
	if (checked(c) == KILL_OLD) {
		kill_why("the operation ended and did not happen");
		progress->invalid++;
	}
	if (limit && trace_len > limit)
		skip = (double)trace_len / limit;
	for (unsigned int k = 0; k <= trace_len; k++) {
		/* At and after each system call, whatever the spacing. */
		bool edge = (k < trace_len && trace[k].syscall) || (k && trace[k - 1].syscall) ||
			    k == trace_len;

		if (slow)
			; /* this one again */
		else if (k >= next)
			next += skip;
		else if (!edge)
			continue;
		progress->point = k;
		arm(kill_stuck_seconds);
		c->setup(c->arg);
		pid = child_at(c, k, slow, &astray);
		if (pid > 0) {
			if (c->peek && !c->peek(c->arg)) {
				kill_why("wrong while the operation stood still");
				progress->invalid++;
			}
			child_kill(pid);
		}
		checked(c);
		/* Once more, to the same number of instructions on the new way. */
		slow = astray;
		diverged += astray;
		k -= astray;
	}
	arm(0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	double s = t1.tv_sec - t0.tv_sec + (t1.tv_nsec - t0.tv_nsec) / 1e9;

	printf("%-44s %6u instructions %6lu kill points (%5.0f/s): %5lu old %5lu new, "
	       "%lu invalid, 0 stuck",
	       c->name, trace_len, progress->points, progress->points / s, progress->old,
	       progress->new, progress->invalid);
	if (diverged)
		printf(", %lu went another way", diverged);
	putchar('\n');
	if (progress->invalid)
		check_failures++;
}

/* One CPU for the survivor and its children: hand-overs are quick, and every
 * child takes the same way. */
static void pin_to_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void tracing_or_skip(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 77 : 0);
	if (waitpid(pid, &status, 0) != pid || status)
		SKIP("ptrace(2) is not permitted here");
}

int kill_main(int argc, char **argv, const struct kill_case *cases, unsigned int n)
{
	const char *env = getenv("SHMAP_TEST_KILLS");
	unsigned long points = 0, ran = 0, invalid = 0;
	int status;
	pid_t pid;

	setlinebuf(stdout);
#if defined(__SANITIZE_THREAD__)
	SKIP("one thread is stepped at a time: the thread sanitizer could see nothing, and "
	     "each instruction becomes many");
#endif
	tracing_or_skip();
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(progress != MAP_FAILED);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid) {
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		fprintf(stderr, "%s, killed after instruction %lu: the survivor %s (signal %d)\n",
			progress->name, progress->point,
			WTERMSIG(status) == SIGALRM ? "is stuck" : "died", WTERMSIG(status));
		return 1;
	}
	trace = mmap(NULL, TRACE_MAX * sizeof(*trace), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(trace != MAP_FAILED);
	/* The table stays out of the children: a fork would copy its pages. */
	madvise(trace, TRACE_MAX * sizeof(*trace), MADV_DONTFORK);
	pin_to_this_cpu();
	if (kill_begin)
		kill_begin();
	for (unsigned int i = 0; i < n; i++) {
		unsigned int limit = cases[i].points && cases[i].points < KILL_POINTS
					     ? cases[i].points
					     : KILL_POINTS;

		if (argc > 1 && strncmp(cases[i].name, argv[1], strlen(argv[1])))
			continue;
		run_case(&cases[i], env && *env ? (unsigned int)atoi(env) : limit);
		points += progress->points;
		invalid += progress->invalid;
		ran++;
	}
	printf("%lu cases, %lu kill points: %lu invalid, 0 stuck\n", ran, points, invalid);
	if (!ran)
		check_failures++;
	fflush(stdout);
	exit(check_done());
}

#else

unsigned int kill_stuck_seconds;
void (*kill_begin)(void);

unsigned long kill_point(void)
{
	return 0;
}

void kill_why(const char *fmt, ...)
{
}

int kill_main(int argc, char **argv, const struct kill_case *cases, unsigned int n)
{
	SKIP("the kill harness steps x86-64 code only");
}

#endif
