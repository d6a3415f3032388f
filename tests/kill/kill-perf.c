/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PERF_EVENT_ARRAY with its rings, STACK_TRACE and ARENA: every operation, killed after
 * each of its instructions. A record is there whole or not at all, lost records are told
 * exactly once, a slot has its event and the event its one reference, no element
 * of a stack map is lost.
 */
#include <linux/perf_event.h>
#include <sys/mman.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "harness.h"
#include "map/perf.h"
#include "map/stack_trace.h"
#include "sync/lease.h"

#define SLOTS 4u
#define RECORD 40u /* header, size, 24 bytes, rounded */

static struct map *m;
static int map_fd = -1, event_fd[2] = {-1, -1}, this_cpu;
static struct perf_event ev[2];
static uint32_t *ended; /* shared: the child's operation has returned */
static const uint8_t payload[24] = "payload of one record..";

static void begin(void)
{
	area_begin();
	REQUIRE(!rundir_open() && !lease_open());
	ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ended != MAP_FAILED);
	this_cpu = lease_acquire();
	REQUIRE(this_cpu >= 0 && this_cpu < (int)SLOTS);
	lease_release();
}

static void forget(void)
{
	if (m) {
		uint32_t id = m->obj.id;

		map_put(m);
		close(map_fd);
		object_collect(OBJECT_MAP, id);
	}
	m = NULL;
	for (int i = 0; i < 2; i++) {
		if (event_fd[i] < 0)
			continue;
		object_unmap(&ev[i].obj);
		close(event_fd[i]);
		event_fd[i] = -1;
	}
	object_collect_all();
	REQUIRE(!area_count("map") && !area_count("perf") && !area_count("ref"));
	*ended = 0;
}

static void make(uint32_t type, uint32_t value_size, uint32_t max, uint32_t flags)
{
	struct map_attr attr = {.map_type = type,
				.key_size = value_size ? 4 : 0,
				.value_size = value_size,
				.max_entries = max,
				.map_flags = flags,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus()};

	forget();
	REQUIRE(!map_create(&attr, -1, &m, &map_fd));
}

static bool valid(void)
{
	char why[200] = "";

	if (m->ops->recover(m) || m->ops->validate(m, why, sizeof(why))) {
		kill_why("%s", why);
		return false;
	}
	return true;
}

static void end(long ret, long want)
{
	if (ret != want) {
		fprintf(stderr, "the operation returned %ld, not %ld\n", ret, want);
		_exit(1);
	}
	store_relaxed(ended, 1);
}

/* ---- slots ---- */

static uint64_t slot(uint32_t index)
{
	return *((uint64_t *)(m->obj.base + CACHE_LINE) + index);
}

static int set(uint32_t index, int which)
{
	uint32_t token = 0;
	struct perf_setter by = {.map_fd = map_fd, .event_fd = event_fd[which], .token = &token};

	return m->ops->perf->set(m, &by, &index, 0);
}

static void setup_array(void *arg)
{
	struct perf_event_state like = {
		.cpu = this_cpu, .raw = 1, .wakeup_events = 1, .enabled = 1};

	make(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, SLOTS, 0);
	for (int i = 0; i < 2; i++) {
		event_fd[i] = perf_event_create(&like, NULL);
		REQUIRE(event_fd[i] >= 0);
		REQUIRE(!perf_event_open_fd(event_fd[i], &ev[i]));
	}
}

static void setup_set(void *arg)
{
	setup_array(arg);
	REQUIRE(!set(this_cpu, 0));
}

static void op_set(void *arg)
{
	end(set(this_cpu, 1), 0);
}

static void op_erase(void *arg)
{
	uint32_t index = this_cpu;

	end(m->ops->erase(m, &index), 0);
}

/* The slot is as before or as wanted, and there are as many references as events in slots. */
static enum kill_outcome check_slot(uint32_t before, uint32_t after)
{
	uint32_t id, refs = 0;
	bool there[2] = {false};

	if (!valid())
		return KILL_INVALID;
	id = (uint32_t)slot(this_cpu);
	for (uint32_t i = 0; i < SLOTS; i++)
		for (int e = 0; e < 2; e++)
			there[e] |= (uint32_t)slot(i) == ev[e].obj.id;
	refs = there[0] + there[1];
	if (area_count("ref") != (int)refs) {
		kill_why("%d references for %u events in slots", area_count("ref"), refs);
		return KILL_INVALID;
	}
	if (id != before && id != after) {
		kill_why("the slot has %u, not %u or %u", id, before, after);
		return KILL_INVALID;
	}
	/* and it works */
	if (set(this_cpu, 0) || set(2, 0) || m->ops->erase(m, &(uint32_t){2}) ||
	    area_count("ref") != (int)(there[1] && id != ev[1].obj.id ? 2 : 1)) {
		kill_why("the map does not work");
		return KILL_INVALID;
	}
	return id == after ? KILL_NEW : KILL_OLD;
}

static enum kill_outcome check_set_new(void *arg)
{
	return check_slot(0, ev[1].obj.id);
}

static enum kill_outcome check_set_other(void *arg)
{
	return check_slot(ev[0].obj.id, ev[1].obj.id);
}

static enum kill_outcome check_erase(void *arg)
{
	return check_slot(ev[0].obj.id, 0);
}

/* ---- output ---- */

static struct perf_event_mmap_page *page(void)
{
	return (struct perf_event_mmap_page *)ev[0].obj.base;
}

static long output(void)
{
	struct perf_part part = {payload, sizeof(payload)};
	long ret;

	if (lease_acquire() < 0)
		return -1000;
	ret = m->ops->perf->output(m, BPF_F_CURRENT_CPU, &part, 1);
	lease_release();
	return ret;
}

static void setup_ring(void *arg)
{
	setup_set(arg);
	REQUIRE(!perf_event_set_pages(&ev[0], event_fd[0], 1, false, true));
}

/* A full ring, and records lost; arg: the reader has read them all. */
static void setup_full(void *arg)
{
	setup_ring(arg);
	while (!output())
		;
	REQUIRE(output() == -ENOSPC && output() == -ENOSPC);
	if (arg)
		page()->data_tail = page()->data_head;
}

/* Somebody sleeps: the record rings. */
static void setup_sleeper(void *arg)
{
	setup_ring(arg);
	perf_event_sleep(&ev[0]);
}

static void op_output(void *arg)
{
	end(output(), 0);
}

static void op_refused(void *arg)
{
	end(output(), -ENOSPC);
}

/* The records in [tail, head): whole ones; lost ones added up. False: something else. */
static bool read_ring(uint64_t *samples, uint64_t *lost)
{
	const uint8_t *data = ev[0].obj.base + SHMAP_PAGE;
	uint64_t at = page()->data_tail, head = load_acquire(&page()->data_head);

	*samples = *lost = 0;
	while (at < head) {
		uint8_t r[RECORD];

		for (uint32_t i = 0; i < RECORD; i++)
			r[i] = data[(at + i) & 4095];
		struct perf_event_header h;

		memcpy(&h, r, sizeof(h));
		if (h.type == PERF_RECORD_LOST && h.size == 24) {
			*lost += *(uint64_t *)(r + 16);
		} else if (h.type == PERF_RECORD_SAMPLE && h.size == RECORD &&
			   !memcmp(r + 12, payload, sizeof(payload))) {
			++*samples;
		} else {
			kill_why("record type %u size %u at %llu", h.type, h.size,
				 (unsigned long long)at);
			return false;
		}
		at += h.size;
	}
	page()->data_tail = at;
	return at == head;
}

/* While the dead one stands still: what is there is whole. */
static bool peek(void *arg)
{
	uint64_t samples, lost, tail = page()->data_tail;
	bool ok = read_ring(&samples, &lost);

	page()->data_tail = tail;
	return ok;
}

/* before: records to be read before the operation; was_lost: not yet told then. */
static enum kill_outcome check_ring(uint64_t before, uint64_t was_lost, bool refused)
{
	uint64_t samples, lost, more, more_lost, total;
	bool was_ended = *ended;

	if (!valid() || !read_ring(&samples, &lost))
		return KILL_INVALID;
	/* the sleeper is told, at the latest when it looks */
	if (samples > before && perf_event_ready(&ev[0]) != 1 /* EPOLLIN */) {
		kill_why("a record without a wake-up");
		return KILL_INVALID;
	}
	if (output() || !read_ring(&more, &more_lost) || more != 1) {
		kill_why("the ring does not work");
		return KILL_INVALID;
	}
	total = lost + more_lost;
	if (ev[0].state->lock || ev[0].state->told.head || total != ev[0].state->lost ||
	    ev[0].state->reported != total) {
		kill_why("lost %llu told %llu", (unsigned long long)ev[0].state->lost,
			 (unsigned long long)total);
		return KILL_INVALID;
	}
	if (refused) {
		if (samples != before || total < was_lost || total > was_lost + 1 ||
		    (was_ended && total != was_lost + 1))
			return KILL_INVALID;
		return total == was_lost ? KILL_OLD : KILL_NEW;
	}
	if (samples > before + 1 || samples < before || (was_ended && samples == before) ||
	    total != was_lost) {
		kill_why("%llu samples, %llu lost", (unsigned long long)samples,
			 (unsigned long long)total);
		return KILL_INVALID;
	}
	return samples == before ? KILL_OLD : KILL_NEW;
}

static enum kill_outcome check_output(void *arg)
{
	return check_ring(0, 0, false);
}

static enum kill_outcome check_lost(void *arg)
{
	return check_ring(0, 3, false);
}

static enum kill_outcome check_refused(void *arg)
{
	return check_ring(4095 / RECORD, 3, true);
}

static void op_set_pages(void *arg)
{
	end(perf_event_set_pages(&ev[0], event_fd[0], 2, false, true), 0);
}

/* Nobody has it mapped but the dead one: the next one begins anew. */
static enum kill_outcome check_pages(void *arg)
{
	uint32_t pages = ev[0].state->pages;

	if (pages > 2 || (*ended && pages != 2))
		return KILL_INVALID;
	if (perf_event_set_pages(&ev[0], event_fd[0], 1, false, true) || page()->data_head ||
	    page()->data_size != 4096 || output())
		return KILL_INVALID;
	return pages == 2 ? KILL_NEW : KILL_OLD;
}

/* ---- stacks ---- */

#define DEPTH 4u
#define STACKS 4u

static uint64_t stacks[STACKS + 1][DEPTH];
static long stack_id[STACKS + 1];

/* Stacks of different ids, but for the last, which has the first one's. */
static void find_stacks(void)
{
	uint64_t next = 1;
	uint32_t n = 0;

	make(BPF_MAP_TYPE_STACK_TRACE, DEPTH * 8, STACKS, 0);
	while (n < STACKS) {
		long id;

		for (uint32_t i = 0; i < DEPTH; i++)
			stacks[n][i] = next * 0x1234567 + i;
		next++;
		id = m->ops->stack->put(m, stacks[n], stacks[n], DEPTH, 0);
		if (id >= 0)
			stack_id[n++] = id;
	}
	for (;; next++) {
		long id;

		for (uint32_t i = 0; i < DEPTH; i++)
			stacks[STACKS][i] = next * 0x7654321 + i;
		m->ops->erase(m, &(uint32_t){0});
		m->ops->erase(m, &(uint32_t){1});
		m->ops->erase(m, &(uint32_t){2});
		m->ops->erase(m, &(uint32_t){3});
		id = m->ops->stack->put(m, stacks[STACKS], stacks[STACKS], DEPTH, 0);
		if (id == stack_id[0])
			break;
	}
}

static long put(uint32_t n, uint64_t flags)
{
	return m->ops->stack->put(m, stacks[n], stacks[n], DEPTH, flags);
}

/* arg: how many stacks are there. */
static void setup_stacks(void *arg)
{
	if (!stacks[0][0])
		find_stacks();
	make(BPF_MAP_TYPE_STACK_TRACE, DEPTH * 8, STACKS, 0);
	for (uintptr_t i = 0; i < (uintptr_t)arg; i++)
		REQUIRE(put(i, 0) == stack_id[i]);
}

/* Elements that have been used before. */
static void setup_used_stacks(void *arg)
{
	setup_stacks((void *)(uintptr_t)STACKS);
	for (uintptr_t i = STACKS; i-- > (uintptr_t)arg;) {
		uint32_t id = stack_id[i];

		REQUIRE(!m->ops->erase(m, &id));
	}
}

static void op_put(void *arg)
{
	end(put((uintptr_t)arg, 0), stack_id[(uintptr_t)arg]);
}

static void op_put_again(void *arg)
{
	end(put(0, 0), stack_id[0]);
}

static void op_replace(void *arg)
{
	end(put(STACKS, BPF_F_REUSE_STACKID), stack_id[0]);
}

static void op_put_collides(void *arg)
{
	end(put(STACKS, 0), -EEXIST);
}

static void op_stack_erase(void *arg)
{
	uint32_t id = stack_id[0];

	end(m->ops->erase(m, &id), 0);
}

static void op_stack_pop(void *arg)
{
	uint64_t value[DEPTH];
	uint32_t id = stack_id[0];

	end(m->ops->pop(m, &id, value, 0), 0);
}

/* What the bucket of stack n has: its number, -1: nothing, -2: something else. */
static int which(uint32_t n)
{
	uint32_t id = stack_id[n];
	uint64_t value[DEPTH];
	int err = m->ops->read(m, &id, value, 0);

	if (err)
		return err == -ENOENT ? -1 : -2;
	for (uint32_t i = 0; i <= STACKS; i++)
		if (!memcmp(value, stacks[i], sizeof(value)))
			return i;
	return -2;
}

static bool peek_stacks(void *arg)
{
	for (uint32_t i = 0; i < STACKS; i++)
		if (which(i) == -2)
			return false;
	return true;
}

/* Bucket of stack n: old or new; then the map holds all that it can. */
static enum kill_outcome check_stacks(uint32_t n, int old, int new)
{
	int is = which(n);

	if (!valid())
		return KILL_INVALID;
	if (is != old && is != new) {
		kill_why("the bucket has %d, not %d or %d", is, old, new);
		return KILL_INVALID;
	}
	if (*ended && is != new)
		return KILL_INVALID;
	for (uint32_t i = 0; i < STACKS; i++) {
		uint32_t id = stack_id[i];

		m->ops->erase(m, &id);
	}
	for (uint32_t i = 0; i < STACKS; i++)
		if (put(i, 0) != stack_id[i]) {
			kill_why("an element is lost");
			return KILL_INVALID;
		}
	if (put(STACKS, BPF_F_REUSE_STACKID) != -ENOMEM || !valid())
		return KILL_INVALID;
	return is == new ? KILL_NEW : KILL_OLD;
}

static enum kill_outcome check_put(void *arg)
{
	return check_stacks((uintptr_t)arg, -1, (uintptr_t)arg);
}

static enum kill_outcome check_same(void *arg)
{
	return check_stacks(0, 0, 0);
}

static enum kill_outcome check_replaced(void *arg)
{
	return check_stacks(0, 0, STACKS);
}

static enum kill_outcome check_erased(void *arg)
{
	return check_stacks(0, 0, -1);
}

/* ---- arena ---- */

#define PAGES 4u

static void setup_arena(void *arg)
{
	make(SHMAP_MAP_TYPE_ARENA, 0, PAGES, BPF_F_MMAPABLE);
}

static long map_arena(void *at)
{
	return m->ops->mmap_place(m, map_fd, at, PAGES * SHMAP_PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED);
}

static void op_arena(void *arg)
{
	long at = map_arena(NULL);

	end(at > 0 ? 0 : at, 0);
}

static enum kill_outcome check_arena(void *arg)
{
	uint64_t *state = (uint64_t *)(m->obj.base + (1ull << 32)), start;
	long at;

	if (!valid())
		return KILL_INVALID;
	start = state[1];
	at = map_arena((void *)start);
	if (at <= 0 || (start && at != (long)start) || (*ended && !start)) {
		kill_why("start %#llx, mapped at %ld", (unsigned long long)start, at);
		return KILL_INVALID;
	}
	*(volatile char *)at = 1;
	munmap((void *)at, PAGES * SHMAP_PAGE);
	return start ? KILL_NEW : KILL_OLD;
}

static const struct kill_case cases[] = {
	{"array-set", NULL, setup_array, NULL, op_set, NULL, check_set_new},
	{"array-replace", NULL, setup_set, NULL, op_set, NULL, check_set_other},
	{"array-erase", NULL, setup_set, NULL, op_erase, NULL, check_erase},
	{"output", NULL, setup_ring, NULL, op_output, peek, check_output},
	{"output-wakes", NULL, setup_sleeper, NULL, op_output, peek, check_output},
	{"output-tells", &m, setup_full, NULL, op_output, peek, check_lost},
	{"output-refused", NULL, setup_full, NULL, op_refused, peek, check_refused},
	{"ring-size", NULL, setup_ring, NULL, op_set_pages, NULL, check_pages},
	{"stack-put", (void *)2, setup_stacks, NULL, op_put, peek_stacks, check_put},
	{"stack-put-used", (void *)2, setup_used_stacks, NULL, op_put, peek_stacks, check_put},
	{"stack-put-again", (void *)2, setup_stacks, NULL, op_put_again, peek_stacks, check_same},
	{"stack-collides", (void *)2, setup_stacks, NULL, op_put_collides, peek_stacks, check_same},
	{"stack-replace", (void *)3, setup_used_stacks, NULL, op_replace, peek_stacks,
	 check_replaced},
	{"stack-erase", (void *)2, setup_stacks, NULL, op_stack_erase, peek_stacks, check_erased},
	{"stack-pop", (void *)2, setup_stacks, NULL, op_stack_pop, peek_stacks, check_erased},
	{"arena-map", NULL, setup_arena, NULL, op_arena, NULL, check_arena},
};

int main(int argc, char **argv)
{
	kill_begin = begin;
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
