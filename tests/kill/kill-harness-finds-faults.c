/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness itself: operations with a fault of each kind are found out, and the
 * same operations without it are not. */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "base/atomic.h"
#include "harness.h"

static struct shared {
	uint64_t a, b, flag;
} * s;

static void begin(void)
{
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
}

static void setup(void *arg)
{
	memset(s, 0, sizeof(*s));
}

/* One store: it happened or not */
static void op_whole(void *arg)
{
	store_relaxed(&s->a, 0x0000000100000001);
}

/* Two stores: there is an instruction between them */
static void op_torn(void *arg)
{
	store_relaxed((uint32_t *)&s->a, 1);
	fence_compiler();
	store_relaxed((uint32_t *)&s->a + 1, 1);
}

static enum kill_outcome check(void *arg)
{
	return !s->a ? KILL_OLD : s->a == 0x0000000100000001 ? KILL_NEW : KILL_INVALID;
}

/* A flag that nobody takes from the dead */
static void op_flag(void *arg)
{
	store_relaxed(&s->flag, 1);
	fence_compiler();
	store_relaxed(&s->a, 0x0000000100000001);
	fence_compiler();
	store_relaxed(&s->flag, 0);
}

static enum kill_outcome check_flag(void *arg)
{
	while (load_relaxed(&s->flag))
		usleep(1000);
	return check(arg);
}

/* Nothing happens at all */
static void op_nothing(void *arg)
{
	(void)load_relaxed(&s->a);
}

static void op_crash(void *arg)
{
	raise(SIGSEGV);
}

/* Torn in the last of many rounds only: reached by counting breakpoints */
static void op_late(void *arg)
{
	for (int i = 0; i < 50; i++) {
		store_relaxed((uint32_t *)&s->b, i);
		fence_compiler();
		store_relaxed((uint32_t *)&s->b + 1, i);
	}
	store_relaxed(&s->a, 0x0000000100000001);
}

static enum kill_outcome check_late(void *arg)
{
	uint32_t lo = (uint32_t)s->b, hi = s->b >> 32;

	if (lo == 49 && hi != 49)
		return KILL_INVALID;
	return check(arg);
}

static bool peek_bad(void *arg)
{
	return !s->a;
}

static const struct kill_case cases[] = {
	{"good", NULL, setup, NULL, op_whole, NULL, check},
	{"torn", NULL, setup, NULL, op_torn, NULL, check},
	{"flag", NULL, setup, NULL, op_flag, NULL, check_flag},
	{"nothing", NULL, setup, NULL, op_nothing, NULL, check},
	{"crash", NULL, setup, NULL, op_crash, NULL, check},
	{"late", NULL, setup, NULL, op_late, NULL, check_late},
	{"peek", NULL, setup, NULL, op_whole, peek_bad, check},
};

int main(int argc, char **argv)
{
	kill_begin = begin;
	kill_stuck_seconds = 5;
	setlinebuf(stdout);
	/* each instruction in every build: see KILL_POINTS */
	setenv("SHMAP_TEST_KILLS", "1000", 1);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = 0, found, want = i > 0;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (!pid) {
			dup2(1, 2);
			_exit(kill_main(0, NULL, &cases[i], 1));
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		found = WEXITSTATUS(status);
		if (found == 77)
			return 77;
		printf("  ^ %s: %s\n", cases[i].name, found ? "a fault" : "no fault");
		CHECK_EQ(found, want);
	}
	return check_done();
}
