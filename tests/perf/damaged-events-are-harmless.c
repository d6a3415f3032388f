/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A perf event whose file holds anything: programs that write to it, and who looks at it,
 * get an answer, and nothing is written outside the ring (G9). The memory behind the
 * largest ring that the state may speak of is watched.
 */
#include <linux/perf_event.h>
#include <unistd.h>

#include "../check.h"
#include "base/bits.h"
#include "map/perf.h"
#include "sync/lock.h"
#include "sync/lease.h"

static uint64_t rng = 88172645463325252ull;

static uint64_t rnd64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* Anything, more often something that is nearly right. */
static uint64_t any(uint64_t near)
{
	switch (rnd64() % 4) {
	case 0:
		return rnd64();
	case 1:
		return near + rnd64() % 64 - 32;
	case 2:
		return 1ull << rnd64() % 64;
	default:
		return near;
	}
}

int main(void)
{
	static const uint8_t data[3000];
	struct perf_event_state like = {.raw = 1, .enabled = 1};
	struct perf_event_mmap_page *page;
	struct perf_event_state *s;
	struct perf_event ev;
	unsigned long answers[2] = {0};
	int fd, cpu;

	check_private_rundir();
	REQUIRE(!lease_open());
	cpu = lease_acquire();
	REQUIRE(cpu >= 0);
	like.cpu = cpu;
	fd = perf_event_create(&like, NULL);
	REQUIRE(fd >= 0 && !perf_event_open_fd(fd, &ev));
	s = ev.state;
	page = (struct perf_event_mmap_page *)ev.obj.base;
	REQUIRE(!perf_event_set_pages(&ev, fd, 4, false, true));
	for (int i = 0; i < 200000; i++) {
		struct perf_part parts[2] = {{data, rnd64() % sizeof(data)}, {data, rnd64() % 64}};
		int err;

		if (i % 8 == 0) {
			page->data_head = any(page->data_tail);
			page->data_tail = any(page->data_head);
			page->data_size = rnd64();
			page->data_offset = rnd64();
			/* sizes of up to 16 pages: the memory for them is there */
			s->pages = rnd64() % 3 ? 1u << rnd64() % 5 : 3 + (rnd64() | 1u << 20);
			s->wakeup_events = any(2);
			s->watermark = any(100);
			s->events = any(s->wakeup_events);
			s->woken = any(page->data_head);
			s->lost = any(5);
			s->reported = any(s->lost);
			s->told.head = any(page->data_head);
			s->told.lost = any(s->lost);
			s->overwrite = rnd64() % 2;
			s->paused = rnd64() % 8 == 0;
			s->poll = rnd64();
			s->waiters = rnd64();
			s->enabled = rnd64() % 8;
			s->cpu = rnd64() % 16 ? (uint32_t)cpu : (uint32_t)rnd64();
			s->raw = rnd64() % 8;
			s->lock = rnd64() % 4 ? 0 : FUTEX_OWNER_DIED;
		}
		err = perf_event_output(&ev, cpu, parts, 1 + rnd64() % 2);
		CHECK(!err || err == -ENOSPC || err == -EOPNOTSUPP || err == -E2BIG);
		answers[!err]++;
		if (i % 16 == 1)
			perf_event_poll(&ev);
		if (i % 64 == 2)
			perf_event_pause(&ev, rnd64() % 2);
	}
	CHECK(answers[0] > 1000 && answers[1] > 1000);
	/* 16 pages and the first one; the hole behind them was not touched */
	for (uint64_t at = 17 * SHMAP_PAGE; at < 64 * SHMAP_PAGE; at += SHMAP_PAGE)
		CHECK(!memcmp(ev.obj.base + at, (uint8_t[4096]){0}, 4096));
	/* and it can be used again */
	s->lock = s->paused = 0;
	s->cpu = cpu;
	s->raw = s->enabled = 1;
	REQUIRE(!perf_event_set_pages(&ev, fd, 2, false, true));
	CHECK_EQ(perf_event_output(&ev, cpu, &(struct perf_part){data, 8}, 1), 0);
	CHECK_EQ(page->data_head, 24);
	lease_release();
	return check_done();
}
