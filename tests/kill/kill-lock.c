/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_map_lock(), changes beside it and their notices, killed after every instruction: the lock
 * is free or known to be a dead one's, who waits gets it, and no change goes unnoticed.
 */
#include <linux/bpf.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/errors.h"
#include "harness.h"
#include "map/notice.h"
#include "sync/lease.h"
#include "sys/attr.h"
#include "sys/maplock.h"
#include "sys/sys.h"

static struct shared {
	uint32_t go, got, died, waiting;
} * s;

static int fd;
static struct map *map;
static uint64_t next, leases;
static pid_t waiter;

static long call(int cmd, union sys_attr *attr)
{
	return sys_bpf(cmd, attr, sizeof(*attr));
}

static void begin(void)
{
	union sys_attr attr = {
		.map_create = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = 4,
			       .value_size = 8,
			       .max_entries = 16},
	};

	area_begin();
	fd = (int)call(BPF_MAP_CREATE, &attr);
	REQUIRE(fd >= 0 && !map_open(fd, &map));
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	/* this process is never the one that is killed */
	REQUIRE(!sys_map_lock(fd, 0, UINT64_MAX) && !sys_map_unlock(fd, 0));
}

static uint64_t value_of(uint32_t key)
{
	uint64_t v = 0;

	return sys_map_lookup(fd, &key, &v, 0) ? 0 : v;
}

static void put(uint32_t key, uint64_t v)
{
	REQUIRE(!sys_map_update(fd, &key, &v, 0));
}

/* Free: 0; of the dead: 1; else -1. Free it is afterwards. */
static int lock_state(void)
{
	long err = sys_map_lock(fd, SYS_LOCK_TRY, 0);
	int ret = err == -EOWNERDEAD ? 1 : err ? -1 : 0;

	if (ret < 0) {
		kill_why("the lock: %ld", err);
		return ret;
	}
	if (ret && sys_map_lock_consistent(fd))
		return -1;
	if (sys_map_unlock(fd, 0) || sys_map_lock(fd, SYS_LOCK_TRY, 0) || sys_map_unlock(fd, 0))
		return -1;
	return ret;
}

static void setup_none(void *arg)
{
}

static void op_lock(void *arg)
{
	if (sys_map_lock(fd, 0, UINT64_MAX))
		_exit(1);
}

static enum kill_outcome check_lock(void *arg)
{
	int state = lock_state();

	return state < 0 ? KILL_INVALID : state ? KILL_NEW : KILL_OLD;
}

static void op_unlock(void *arg)
{
	sys_map_unlock(fd, 0);
}

static enum kill_outcome check_unlock(void *arg)
{
	int state = lock_state();

	return state < 0 ? KILL_INVALID : state ? KILL_OLD : KILL_NEW;
}

/* ---- handed to a waiter ---- */

static void wait_forever(void)
{
	for (;;) {
		uint32_t go;
		long err;

		while (load_acquire(&s->go) == load_relaxed(&s->got))
			sched_yield();
		go = load_relaxed(&s->go);
		store_release(&s->waiting, 1);
		err = sys_map_lock(fd, 0, UINT64_MAX);
		store_relaxed(&s->died, err == -EOWNERDEAD);
		if (err == -EOWNERDEAD)
			sys_map_lock_consistent(fd);
		else if (err)
			_exit(1);
		sys_map_unlock(fd, 0);
		store_relaxed(&s->waiting, 0);
		store_release(&s->got, go);
	}
}

static void setup_waiter(void *arg)
{
	if (waiter)
		return;
	waiter = area_fork();
	if (!waiter)
		wait_forever();
}

static void prepare_waiter(void *arg)
{
	struct qlock_info info;

	if (sys_map_lock(fd, 0, UINT64_MAX))
		_exit(1);
	store_release(&s->go, load_relaxed(&s->go) + 1);
	do {
		sched_yield();
		sys_map_lock_info(fd, &info);
	} while (!info.waiting);
}

static enum kill_outcome check_waiter(void *arg)
{
	bool died;

	while (load_acquire(&s->got) != load_relaxed(&s->go))
		sched_yield();
	died = load_relaxed(&s->died);
	if (lock_state())
		return KILL_INVALID;
	return died ? KILL_OLD : KILL_NEW;
}

/* ---- changes ---- */

static void setup_value(void *arg)
{
	put(1, 1);
}

static void op_update(void *arg)
{
	put(1, 2);
}

static enum kill_outcome check_update(void *arg)
{
	uint64_t v = value_of(1);

	if ((v != 1 && v != 2) || lock_state()) {
		kill_why("value %lu", v);
		return KILL_INVALID;
	}
	return v == 2 ? KILL_NEW : KILL_OLD;
}

/* ---- notices ---- */

static void setup_notice(void *arg)
{
	static bool listening;
	struct notice_event e;

	if (!listening) {
		REQUIRE(!writer_take());
		REQUIRE(!notice_listen(map, writer_name(thread_self.writer), &next));
		listening = true;
	}
	put(1, 1);
	leases = lease_deaths();
	notice_deaths(map, &leases);
	while (notice_next(map, &next, &e))
		;
}

static enum kill_outcome check_notice(void *arg)
{
	enum kill_outcome o = check_update(arg);
	struct notice_event e;
	bool heard = false;

	notice_deaths(map, &leases);
	while (notice_next(map, &next, &e))
		heard = true;
	if (o == KILL_NEW && !heard) {
		kill_why("a change that nobody was told of");
		return KILL_INVALID;
	}
	/* nothing is left over that would be told again and again */
	notice_deaths(map, &leases);
	if (notice_next(map, &next, &e)) {
		kill_why("told twice");
		return KILL_INVALID;
	}
	return o;
}

static void op_listen(void *arg)
{
	uint64_t n;

	if (writer_take() || notice_listen(map, writer_name(thread_self.writer), &n))
		_exit(1);
	notice_unlisten(map, writer_name(thread_self.writer));
}

/* Whoever listened is not in the way; and who listens still hears. */
static enum kill_outcome check_listen(void *arg)
{
	struct notice_event e;

	put(1, 3);
	if (!notice_next(map, &next, &e))
		return KILL_INVALID;
	return kill_point() ? KILL_NEW : KILL_OLD;
}

static const struct kill_case cases[] = {
	{"lock", NULL, setup_none, NULL, op_lock, NULL, check_lock, 400},
	{"unlock", NULL, setup_none, op_lock, op_unlock, NULL, check_unlock, 0},
	{"unlock-to-a-waiter", NULL, setup_waiter, prepare_waiter, op_unlock, NULL, check_waiter,
	 160},
	{"update", NULL, setup_value, NULL, op_update, NULL, check_update, 250},
	{"notice", NULL, setup_notice, NULL, op_update, NULL, check_notice, 400},
	{"listen", NULL, setup_notice, NULL, op_listen, NULL, check_listen, 400},
};

static void end_waiter(void)
{
	if (waiter > 0 && getpid() == area_owner)
		kill(waiter, SIGKILL);
}

int main(int argc, char **argv)
{
	kill_begin = begin;
	atexit(end_waiter);
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
