/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A timer whose function is another program's is armed while that program is closed: the
 * program is used for as long as it is there, and no longer; its timers go with it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "check.h"
#include "map/map.h"
#include "vm/timer.h"

#define ROUNDS 30000
#define TAG 0x11223344u
#define ALIVE 77

static uint32_t done;
static uint64_t armed, missed;

static bool fits(const struct vm_prog *p, uint32_t pc, const struct map *m)
{
	/* time for it to go, if it can */
	for (int i = 0; i < 20; i++)
		CHECK_EQ(load_relaxed(&p->type), ALIVE);
	return pc == 5;
}

static void *arm(void *arg)
{
	struct map *m = arg;
	struct timer_cell cell = {0};
	const struct timer_callback call = {.pc = 5, .tag = TAG, .fits = fits};

	while (!load_acquire(&done)) {
		/* far away: none of them is ever run */
		int err = timer_arm(&cell, 2, INT64_MAX, &call, m, &cell);

		CHECK(!err || err == -EINVAL);
		if (err)
			store_relaxed(&missed, missed + 1);
		else
			store_relaxed(&armed, armed + 1);
		timer_served(TAG, 5, m, fits);
		if (armed % 4 == 0)
			timer_disarm(&cell);
	}
	timer_disarm(&cell);
	return NULL;
}

int main(void)
{
	const uint32_t tag = TAG;
	struct map m = {.attr.key_size = 4};
	pthread_t thread;

	m.refs = 1000; /* more than are put */
	REQUIRE(!pthread_create(&thread, NULL, arm, &m));
	for (int i = 0; i < ROUNDS || !load_relaxed(&armed) || !load_relaxed(&missed); i++) {
		struct vm_prog *p = calloc(1, sizeof(*p));

		REQUIRE(p);
		p->type = ALIVE;
		memcpy(p->tag, &tag, sizeof(tag));
		CHECK_EQ(timer_serve(p), 0);
		if (i % 8 == 0)
			sched_yield();
		timer_forget(p);
		p->type = 0;
		free(p);
	}
	store_release(&done, 1);
	pthread_join(thread, NULL);
	CHECK(armed);
	CHECK(missed);
	return check_done();
}
