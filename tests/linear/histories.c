/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histories MAP [deaths]: two processes of two threads each do random operations
 * on a few keys, through bpf(2) and as programs do, and write down what they did
 * and when. Each key's history (the whole map's, where it has no keys) must be
 * linearizable, and no value a mixture. With deaths the processes are killed and
 * started again meanwhile.
 *
 *   SHMAP_TEST_OPS   by each thread (4000)
 */
#include <pthread.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "histories.h"
#include "map/stack_trace.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sys/fd.h"
#include "sys/sys.h"

#define KEYS 4
#define DEATHS 12
#define WORDS 5 /* of a value: one number, five times over */

struct subject {
	const char *name;
	uint32_t type, flags, key_size, max;
	linear_step step;
	bool keyless, no_take;
	/* keys are fds of owners; programs read and delete only */
	bool owned;
	/* keys are ids of stacks, which programs put, and bpf(2) does not */
	bool stacks;
	const struct special *special;
};

static const struct subject subjects[] = {
	{"hash", BPF_MAP_TYPE_HASH, 0, 4, 16, linear_register},
	{"hash-no-prealloc", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 4, 16, linear_register},
	{"hash-key16", BPF_MAP_TYPE_HASH, 0, 16, 16, linear_register},
	{"lpm-trie", BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 8, 16, linear_register,
	 .no_take = true},
	{"lru-hash", BPF_MAP_TYPE_LRU_HASH, 0, 4, 64, linear_register},
	{"queue", BPF_MAP_TYPE_QUEUE, 0, 0, LINEAR_ROOM, linear_queue, .keyless = true},
	{"stack", BPF_MAP_TYPE_STACK, 0, 0, LINEAR_ROOM, linear_stack, .keyless = true},
	{"sk-storage", BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 4, 0, linear_register,
	 .no_take = true, .owned = true},
	{"inode-storage", BPF_MAP_TYPE_INODE_STORAGE, BPF_F_NO_PREALLOC, 4, 0, linear_register,
	 .no_take = true, .owned = true},
	{"task-storage", BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 4, 0, linear_register,
	 .no_take = true, .owned = true},
	{"cgrp-storage", SHMAP_MAP_TYPE_CGRP_STORAGE, BPF_F_NO_PREALLOC, 4, 0, linear_register,
	 .no_take = true, .owned = true},
	{"stack-trace", BPF_MAP_TYPE_STACK_TRACE, 0, 4, 16, linear_register, .stacks = true},
	{"perf-event-array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, 4, 4, linear_events,
	 .special = &special_events},
	{"arena", SHMAP_MAP_TYPE_ARENA, BPF_F_MMAPABLE, 0, 64, linear_register,
	 .special = &special_words},
	{"arena-place", SHMAP_MAP_TYPE_ARENA, BPF_F_MMAPABLE, 0, 1, linear_places,
	 .special = &special_places},
};

/* One thread's history; shared, so that it outlives its process. */
struct history {
	uint32_t n, mixed;
	struct linear_event event[];
};

static const struct subject *subject;
static struct history *histories[WORKERS];
static uint32_t ops = 4000;
int fd;
struct map *map;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint32_t rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

/* ---- owners of storages ---- */

static int owner_fd[KEYS];
static pid_t owner_pid[KEYS];
static int cgroup_root = -1;
static char cgroup_name[64];

static int owner_make(uint32_t i)
{
	char path[320];

	switch (subject->type) {
	case BPF_MAP_TYPE_SK_STORAGE:
		return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case BPF_MAP_TYPE_INODE_STORAGE:
		snprintf(path, sizeof(path), "%s/owner%u", getenv("SHMAP_DIR"), i);
		return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	case BPF_MAP_TYPE_TASK_STORAGE:
		owner_pid[i] = fork();
		if (!owner_pid[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		return (int)syscall(SYS_pidfd_open, owner_pid[i], 0);
	default:
		snprintf(path, sizeof(path), "%s%u", cgroup_name, i);
		mkdirat(cgroup_root, path, 0755);
		return openat(cgroup_root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
}

static void owners_make(void)
{
	if (subject->type == SHMAP_MAP_TYPE_CGRP_STORAGE) {
		char path[300];

		/* nothing stays mounted: all goes by the fd */
		snprintf(path, sizeof(path), "%s/cgroup", getenv("SHMAP_DIR"));
		snprintf(cgroup_name, sizeof(cgroup_name), "shmap-histories.%d.", getpid());
		mkdir(path, 0755);
		if (!mount("none", path, "cgroup2", 0, NULL)) {
			cgroup_root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			umount2(path, MNT_DETACH);
		}
		rmdir(path);
		if (cgroup_root < 0)
			SKIP("no cgroups can be made here");
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		owner_fd[i] = owner_make(i);
		REQUIRE(owner_fd[i] >= 0);
	}
}

static void owners_end(void)
{
	char path[320];

	for (uint32_t i = 0; i < KEYS; i++)
		if (owner_pid[i])
			kill(owner_pid[i], SIGKILL);
	for (uint32_t i = 0; i < KEYS && cgroup_root >= 0; i++) {
		snprintf(path, sizeof(path), "%s%u", cgroup_name, i);
		unlinkat(cgroup_root, path, AT_REMOVEDIR);
	}
}

/* ---- stacks ---- */

#define STACKS 64 /* per key: which one is put is chosen at random */

static uint64_t stack_first[KEYS][STACKS];

static long stack_put(uint64_t first, uint64_t flags)
{
	uint64_t frames[WORDS];

	for (int i = 0; i < WORDS; i++)
		frames[i] = first;
	return map->ops->stack->put(map, frames, frames, WORDS, flags);
}

/* Stacks whose ids are the keys. */
static void stacks_find(void)
{
	uint32_t have[KEYS] = {0}, id, left = KEYS * STACKS;

	for (uint64_t first = 1; left; first++) {
		long ret = stack_put(first, BPF_F_REUSE_STACKID);

		REQUIRE(ret >= 0);
		id = (uint32_t)ret;
		REQUIRE(!map->ops->erase(map, &id));
		if (id < KEYS && have[id] < STACKS) {
			stack_first[id][have[id]++] = first;
			left--;
		}
	}
}

static void make_key(uint8_t key, uint8_t *out)
{
	memset(out, 0, 16);
	if (subject->owned) {
		memcpy(out, &owner_fd[key], 4);
		return;
	}
	if (subject->type == BPF_MAP_TYPE_LPM_TRIE) {
		out[0] = 32;
		out[7] = key;
	} else {
		out[0] = key;
	}
}

static const uint8_t kinds[] = {LINEAR_READ,	LINEAR_READ,	LINEAR_PUT,   LINEAR_PUT,
				LINEAR_PUT_NEW, LINEAR_PUT_OLD, LINEAR_ERASE, LINEAR_TAKE};

static uint64_t op_flags(uint8_t op)
{
	return op == LINEAR_PUT_NEW ? BPF_NOEXIST : op == LINEAR_PUT_OLD ? BPF_EXIST : BPF_ANY;
}

static int by_syscall(uint8_t op, const void *key, uint64_t *value)
{
	switch (op) {
	case LINEAR_READ:
		return (int)sys_map_lookup(fd, key, value, 0);
	case LINEAR_ERASE:
		return (int)sys_map_delete(fd, key);
	case LINEAR_TAKE:
		return (int)sys_map_lookup_and_delete(fd, key, value, 0);
	default:
		return (int)sys_map_update(fd, key, value, op_flags(op));
	}
}

static int as_storage_program(uint8_t op, const void *key, uint64_t *value)
{
	const struct storage_ops *storage = map->ops->storage;
	struct storage_owner o;
	int fd, ret = -ENOENT;
	uint64_t *found;

	memcpy(&fd, key, 4);
	if ((op != LINEAR_READ && op != LINEAR_ERASE) ||
	    storage_owner_by_fd(storage->kind, fd, &o) || lease_acquire() < 0)
		return -EAGAIN;
	if (op == LINEAR_ERASE) {
		ret = (int)storage->drop(map, &o);
	} else if ((found = storage->get(map, &o, NULL, 0, &(struct htab_at){0}))) {
		for (int i = 0; i < WORDS; i++)
			value[i] = load_relaxed(&found[i]);
		ret = 0;
	}
	lease_release();
	return ret;
}

static int as_stack_program(uint8_t op, const void *key, uint64_t *value)
{
	uint32_t id;
	long ret;

	memcpy(&id, key, 4);
	if ((op != LINEAR_PUT && op != LINEAR_PUT_NEW) || lease_acquire() < 0)
		return -EAGAIN;
	ret = stack_put(value[0], op == LINEAR_PUT ? BPF_F_REUSE_STACKID : 0);
	lease_release();
	return ret == (long)id ? 0 : ret < 0 ? (int)ret : -EIO;
}

/* As a helper does it; -EAGAIN: programs cannot, or do not get a CPU now. */
static int as_program(uint8_t op, const void *key, uint64_t *value)
{
	int ret = -EAGAIN;
	void *found;

	if (op == LINEAR_TAKE && !map->ops->take)
		return -EAGAIN;
	if (subject->owned)
		return as_storage_program(op, key, value);
	if (subject->stacks)
		return as_stack_program(op, key, value);
	if (lease_acquire() < 0)
		return -EAGAIN;
	switch (op) {
	case LINEAR_READ:
		if (map->ops->peek) {
			ret = (int)map->ops->peek(map, value);
			break;
		}
		found = map->ops->lookup(map, key);
		ret = found ? 0 : -ENOENT;
		for (int i = 0; found && i < WORDS; i++)
			value[i] = load_relaxed((uint64_t *)found + i);
		break;
	case LINEAR_ERASE:
		ret = (int)map->ops->delete (map, key);
		break;
	case LINEAR_TAKE:
		ret = (int)map->ops->take(map, value);
		break;
	default:
		ret = (int)(map->ops->push ? map->ops->push(map, value, op_flags(op))
					   : map->ops->update(map, key, value, op_flags(op)));
	}
	lease_release();
	return ret;
}

static bool may(uint8_t op)
{
	if (subject->special)
		return subject->special->may(op);
	if (subject->keyless)
		return op != LINEAR_ERASE && op != LINEAR_PUT_NEW;
	if (subject->stacks) /* which is there already is no error */
		return op != LINEAR_PUT_NEW && op != LINEAR_PUT_OLD;
	return op != LINEAR_TAKE || !subject->no_take;
}

/* By bpf(2), or as programs do where they can; e->value is what is to be written. */
static void operate(struct history *h, struct linear_event *e, uint64_t *seed)
{
	bool program = rnd(seed) % 3 == 0;
	uint64_t value[WORDS];
	uint8_t key[16];

	make_key(e->key, key);
	if (subject->stacks) {
		e->value = stack_first[e->key][rnd(seed) % STACKS];
		program = e->op == LINEAR_PUT;
	}
	for (int i = 0; i < WORDS; i++)
		value[i] = e->value;
	e->call = now_ns();
	/* From here on it may happen; a death leaves it so. */
	store_release(&h->n, h->n + 1);
	do
		e->ret = program ? as_program(e->op, key, value) : -EAGAIN;
	while (e->ret == -EAGAIN && program && subject->stacks);
	if (e->ret == -EAGAIN)
		e->ret = by_syscall(e->op, subject->keyless ? NULL : key, value);
	if (!e->ret && (e->op == LINEAR_READ || e->op == LINEAR_TAKE)) {
		for (int i = 1; i < WORDS; i++)
			if (value[i] != value[0])
				store_relaxed(&h->mixed, 1);
		e->value = value[0];
	}
}

static void operate_special(struct history *h, struct linear_event *e, uint64_t *seed)
{
	store_release(&h->n, h->n + 1);
	do {
		e->call = now_ns();
		e->ret = subject->special->run(e, rnd(seed));
	} while (e->ret == -EAGAIN);
}

static uint64_t unique_value(uint32_t worker, uint32_t n)
{
	return (uint64_t)(worker + 1) << 32 | n;
}

static void *worker(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	struct history *h = histories[me];
	uint64_t seed = (uint64_t)(me + 1) << 32 | h->n;

	while (h->n < ops) {
		struct linear_event *e = &h->event[h->n];

		do
			e->op = kinds[rnd(&seed) % ARRAY_SIZE(kinds)];
		while (!may(e->op));
		e->key = subject->special   ? subject->special->key(h->n, rnd(&seed))
			 : subject->keyless ? 0
					    : (uint8_t)(rnd(&seed) % KEYS);
		e->value = unique_value(me, h->n);
		e->ret_time = 0;
		e->call = now_ns();
		if (subject->special)
			operate_special(h, e, &seed);
		else
			operate(h, e, &seed);
		/* Whoever learns of the return learns of the change: by memory, after
		 * it. The clock is no such way: our stores may still be on theirs. */
		fence_seq_cst();
		e->ret_time = now_ns();
	}
	return NULL;
}

static pid_t start(int process)
{
	pid_t pid = fork();
	pthread_t threads[THREADS];

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (subject->special && subject->special->begin)
		subject->special->begin();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker,
			       (void *)(uintptr_t)(process * THREADS + i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(check_done());
}

static uint32_t progress(void)
{
	uint32_t n = 0;

	for (int i = 0; i < WORKERS; i++)
		n += load_relaxed(&histories[i]->n);
	return n;
}

/* Kills one of the processes whenever a share of the operations has been done. */
static void run(bool deaths)
{
	uint32_t killed = 0, share = WORKERS * ops / (DEATHS + 1);
	pid_t pids[PROCESSES];
	int status, left = PROCESSES;

	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(i);
	while (left) {
		int i;

		if (deaths && killed < DEATHS && progress() > (killed + 1) * share) {
			i = killed++ % PROCESSES;
			if (pids[i])
				kill(pids[i], SIGKILL);
		}
		for (i = 0; i < PROCESSES; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) <= 0)
				continue;
			if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
				pids[i] = start(i);
				continue;
			}
			REQUIRE(WIFEXITED(status) && !WEXITSTATUS(status));
			pids[i] = 0;
			left--;
		}
		sched_yield();
	}
}

static void print_around(const struct linear_event *e, size_t n, const struct linear_event *bad)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].call <= bad->ret_time + 20000 &&
		    (!e[i].ret_time || e[i].ret_time + 20000 >= bad->call))
			fprintf(stderr, "%s %llu..%llu op %u value %#llx: %d\n",
				&e[i] == bad ? "->" : "  ", (unsigned long long)e[i].call,
				(unsigned long long)e[i].ret_time, e[i].op,
				(unsigned long long)e[i].value, e[i].ret);
}

static void check_key(uint8_t key)
{
	struct linear_event *all = malloc(WORKERS * ops * sizeof(*all));
	static const struct linear_state empty;
	size_t n = 0;
	long bad;

	REQUIRE(all);
	for (int w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < histories[w]->n; i++)
			if (histories[w]->event[i].key == key)
				all[n++] = histories[w]->event[i];
	bad = linear_check(all, n, subject->step, &empty, subject->max);
	/* each operation that a death cut short doubles what may be */
	if (bad == -2 && !check_failures)
		SKIP("%s, key %u: too many operations were cut short to tell", subject->name, key);
	if (bad != -1)
		fprintf(stderr, "%s, key %u, %zu operations: not linearizable (%ld)\n",
			subject->name, key, n, bad);
	if (bad >= 0)
		print_around(all, n, &all[bad]);
	CHECK(bad == -1);
	free(all);
}

static void make_map(void)
{
	struct map_attr attr = {
		.map_type = subject->type,
		.key_size = subject->key_size,
		.value_size = subject->special ? (subject->key_size ? 4 : 0) : WORDS * 8,
		.max_entries = subject->max,
		.map_flags = subject->flags,
		.spin_lock_off = -1,
		.possible_cpus = lease_possible_cpus(),
		.btf_key_type_id = subject->owned ? 1 : 0,
		.btf_value_type_id = subject->owned ? 2 : 0,
	};

	if (subject->owned)
		owners_make();
	REQUIRE(!map_create(&attr, -1, &map, &fd));
	if (subject->stacks)
		stacks_find();
	if (subject->special && subject->special->make)
		subject->special->make(ops);
}

/* What the operations saw can be known for some when all is over. */
static void settle(void)
{
	for (uint32_t w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < histories[w]->n; i++)
			subject->special->settle(&histories[w]->event[i], unique_value(w, i));
}

int main(int argc, char **argv)
{
	bool deaths = argc > 2 && !strcmp(argv[2], "deaths");
	const char *env = getenv("SHMAP_TEST_OPS");
	uint32_t keys;
	size_t size;
	char why[256];

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(subjects); i++)
		if (!strcmp(subjects[i].name, argv[1]))
			subject = &subjects[i];
	REQUIRE(subject);
	if (env)
		ops = (uint32_t)strtoul(env, NULL, 0);
	check_private_rundir();
	make_map();
	size = sizeof(struct history) + ops * sizeof(struct linear_event);
	for (int i = 0; i < WORKERS; i++) {
		histories[i] =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		REQUIRE(histories[i] != MAP_FAILED);
	}
	run(deaths);
	owners_end();
	for (int i = 0; i < WORKERS; i++)
		CHECK(!histories[i]->mixed);
	if (subject->special && subject->special->settle)
		settle();
	keys = subject->special ? subject->special->keys : subject->keyless ? 1 : KEYS;
	for (uint32_t key = 0; key < keys; key++)
		check_key((uint8_t)key);
	if (map->ops->recover)
		CHECK_EQ(map->ops->recover(map), 0);
	if (map->ops->validate && map->ops->validate(map, why, sizeof(why)))
		CHECK(!fprintf(stderr, "%s\n", why));
	return check_done();
}
