/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four processes do everything to all map types for SHMAP_TEST_SECONDS, and
 * are killed, started anew, stopped and continued at random moments.
 *
 * Exact counts: each key has one owner, the worker slot whose number is in it;
 * only the owner changes it, everybody reads it. A worker writes down in its
 * ledger (shared memory) what it is about to do and, afterwards, that it is
 * done. When it dies in between, its successor finds the key as it was before
 * or as it should be, and nothing else, and the ledger is exact again. In all
 * the hashes all owners' keys together are max_entries, so an owner's insertion
 * never fails.
 *
 * Counters that all workers increment as programs do (under a lease, in place)
 * are exact up to the increments in flight at the deaths, which are counted.
 * A key that all of them write under BPF_F_LOCK is whole whenever it is read.
 */
#include <stdarg.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "map/map.h"
#include "sync/lease.h"

#define WORKERS 4
#define OWN_KEYS 12 /* per worker and map */
#define KEYS (WORKERS * OWN_KEYS)
#define BATCH 5
#define SHARED_KEY KEYS /* maps[].shared */
#define VALUE_MAX 65536

enum shared_kind { NONE, ADD, LOCKED };

struct stress_map {
	const char *name;
	uint32_t type, flags, value_size;
	int32_t lock_off;
	enum shared_kind shared;
};

static const struct stress_map maps[] = {
	{"array", BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 8, -1, ADD},
	{"array-large", BPF_MAP_TYPE_ARRAY, 0, 72, -1, NONE},
	{"array-lock", BPF_MAP_TYPE_ARRAY, 0, 40, 0, LOCKED},
	{"percpu-array", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 8, -1, ADD},
	{"percpu-array-large", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 24, -1, ADD},
	{"hash", BPF_MAP_TYPE_HASH, 0, 24, -1, ADD},
	{"hash-no-prealloc", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 200, -1, NONE},
	{"hash-lock", BPF_MAP_TYPE_HASH, 0, 32, 0, LOCKED},
	{"percpu-hash", BPF_MAP_TYPE_PERCPU_HASH, 0, 8, -1, ADD},
	/* with room for all: nothing is ever evicted */
	{"lru", BPF_MAP_TYPE_LRU_HASH, 0, 24, -1, ADD},
	{"lru-percpu", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 16, -1, ADD},
	{"percpu-hash-no-prealloc", BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, 40, -1, ADD},
};
#define MAPS ARRAY_SIZE(maps)

/* What a worker is about to do, and what it has done. Versions: 0 is absent
 * (hash) or never written (array). */
struct ledger {
	uint32_t busy; /* 1: the change below may have happened or not */
	uint32_t map, n;
	uint32_t key[BATCH], old[BATCH], new[BATCH];
	uint32_t version[MAPS][OWN_KEYS];
	uint32_t adding;	  /* map + 1: an increment in flight */
	uint64_t added[MAPS];	  /* increments that ended */
	uint64_t in_flight[MAPS]; /* counted by the parent, at deaths */
	uint64_t operations, missed, settled_old, settled_new;
};

static struct shared {
	struct ledger ledger[WORKERS];
	uint32_t violations;
	char text[4096];
} * shared;

static int map_fds[MAPS];
static struct map *map_of[MAPS], *read_only[MAPS];
static int me = -1;

static void __attribute__((format(printf, 1, 2))) violation(const char *fmt, ...)
{
	char line[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (fetch_add_relaxed(&shared->violations, 1) < 20)
		fprintf(stderr, "worker %d: %s\n", me, line);
}

static bool is_hash(uint32_t i)
{
	return maps[i].type == BPF_MAP_TYPE_HASH || maps[i].type == BPF_MAP_TYPE_PERCPU_HASH ||
	       maps[i].type == BPF_MAP_TYPE_LRU_HASH ||
	       maps[i].type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* ---- values: each 8-byte word says which map, key and version it belongs to ---- */

static uint64_t word_of(uint32_t i, uint32_t key, uint32_t version)
{
	if (!version)
		return 0;
	return (uint64_t)(i + 1) << 56 | (uint64_t)key << 40 | version;
}

static uint32_t value_words(uint32_t i)
{
	struct map *m = map_of[i];

	return m->ops->per_cpu ? m->elem_size / 8 * m->attr.possible_cpus : m->elem_size / 8;
}

static void *value_make(uint32_t i, uint32_t key, uint32_t version, void *buf)
{
	uint64_t *w = buf;

	for (uint32_t n = 0; n < value_words(i); n++)
		w[n] = word_of(i, key, version);
	if (maps[i].lock_off >= 0)
		w[0] = 0; /* the lock and what is beside it */
	return buf;
}

/* The version; -1 when it is a mixture or another key's. */
static int64_t value_version(uint32_t i, uint32_t key, const void *buf)
{
	uint32_t from = maps[i].lock_off >= 0 ? 1 : 0;
	const uint64_t *w = buf;
	uint32_t version = (uint32_t)w[from];

	for (uint32_t n = from; n < value_words(i); n++)
		if (w[n] != word_of(i, key, version))
			return -1;
	return version;
}

/* The version of a key, 0 when it is absent, -1 for a mixture (told). */
static int64_t key_read(struct map *m, uint32_t i, uint32_t key, uint64_t flags)
{
	static uint64_t buf[VALUE_MAX / 8];
	int ret = m->ops->read(m, &key, buf, flags);
	int64_t version;

	if (ret == -ENOENT && is_hash(i))
		return 0;
	if (ret) {
		violation("%s: lookup of key %u: %d", maps[i].name, key, ret);
		return -1;
	}
	version = value_version(i, key, buf);
	return version;
}

/* ---- the ledger ---- */

static void intend(struct ledger *l, uint32_t i, uint32_t n, const uint32_t *key,
		   const uint32_t *new)
{
	l->map = i;
	l->n = n;
	for (uint32_t k = 0; k < n; k++) {
		l->key[k] = key[k];
		l->old[k] = l->version[i][key[k] / WORKERS];
		l->new[k] = new[k];
	}
	fence_compiler();
	store_relaxed(&l->busy, 1);
	fence_compiler();
}

static void done(struct ledger *l)
{
	fence_compiler();
	for (uint32_t k = 0; k < l->n; k++)
		l->version[l->map][l->key[k] / WORKERS] = l->new[k];
	fence_compiler();
	store_relaxed(&l->busy, 0);
	l->operations++;
}

/* After a death: each key that was to change has changed or not. */
static void settle(struct ledger *l)
{
	if (l->busy) {
		for (uint32_t k = 0; k < l->n; k++) {
			int64_t v = key_read(map_of[l->map], l->map, l->key[k],
					     maps[l->map].lock_off >= 0 ? BPF_F_LOCK : 0);

			if (v != l->old[k] && v != l->new[k])
				violation(
					"%s: key %u has version %ld after a death, was %u, was to "
					"be %u",
					maps[l->map].name, l->key[k], v, l->old[k], l->new[k]);
			if (v == l->new[k])
				l->settled_new++;
			else
				l->settled_old++;
			if (v >= 0)
				l->version[l->map][l->key[k] / WORKERS] = v;
		}
		fence_compiler();
		store_relaxed(&l->busy, 0);
	}
}

/* ---- operations ---- */

static bool program_begin(struct ledger *l)
{
	int cpu = lease_acquire();

	if (cpu >= 0)
		return true;
	if (cpu != -EBUSY)
		violation("lease: %d", cpu);
	l->missed++;
	return false;
}

static uint32_t own_key(void)
{
	return rand() % OWN_KEYS * WORKERS + me;
}

static void expect_ret(uint32_t i, const char *what, long ret, long want)
{
	if (ret != want)
		violation("%s: %s: %ld, not %ld", maps[i].name, what, ret, want);
}

static void change_one(struct ledger *l, uint32_t i)
{
	static uint64_t buf[VALUE_MAX / 8];
	struct map *m = map_of[i];
	uint32_t key = own_key(), old = l->version[i][key / WORKERS], new;
	bool locked = maps[i].lock_off >= 0, program = !m->ops->per_cpu && rand() % 3 == 0;
	uint64_t flags = locked && rand() % 2 ? BPF_F_LOCK : 0;
	int what = rand() % 8, ret;

	if (is_hash(i) && what < 3) {
		/* delete, also of what is not there */
		new = 0;
		intend(l, i, 1, &key, &new);
		if (what == 0 && m->ops->pop) {
			ret = m->ops->pop(m, &key, buf, 0);
			if (!ret && value_version(i, key, buf) != old)
				violation("%s: lookup_and_delete of key %u gave another value",
					  maps[i].name, key);
		} else if (program && program_begin(l)) {
			ret = m->ops->delete (m, &key);
			lease_release();
		} else {
			ret = m->ops->erase(m, &key);
		}
		expect_ret(i, "delete", ret, old ? 0 : -ENOENT);
		done(l);
		return;
	}
	new = (old + 1) & 0xffffff;
	new += !new;
	if (is_hash(i) && what == 3) {
		/* a flag that does not fit changes nothing */
		ret = m->ops->write(m, &key, value_make(i, key, new, buf),
				    old ? BPF_NOEXIST : BPF_EXIST);
		expect_ret(i, "refused update", ret, old ? -EEXIST : -ENOENT);
		l->operations++;
		return;
	}
	if (is_hash(i) && what == 4)
		flags |= old ? BPF_EXIST : BPF_NOEXIST;
	intend(l, i, 1, &key, &new);
	value_make(i, key, new, buf);
	if (program && program_begin(l)) {
		ret = m->ops->update(m, &key, buf, flags);
		lease_release();
	} else {
		ret = m->ops->write(m, &key, buf, flags);
	}
	expect_ret(i, old ? "update" : "insertion", ret, 0);
	done(l);
}

static void change_batch(struct ledger *l, uint32_t i)
{
	static uint64_t values[BATCH * VALUE_MAX / 8];
	uint32_t key[BATCH], new[BATCH], n = 1 + rand() % BATCH, first = rand() % OWN_KEYS;
	struct map *m = map_of[i];
	bool delete = is_hash(i) && rand() % 3 == 0;
	struct map_batch b = {.keys = key, .values = values, .count = n};
	int ret;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t old;

		key[k] = (first + k) % OWN_KEYS * WORKERS + me;
		old = l->version[i][key[k] / WORKERS];
		if (delete &&!old)
			return; /* would stop in the middle */
		new[k] = delete ? 0 : ((old + 1) & 0xffffff) + !((old + 1) & 0xffffff);
		value_make(i, key[k], new[k], (uint8_t *)values + k * m->user_value_size);
	}
	intend(l, i, n, key, new);
	ret = delete ? m->ops->delete_batch(m, &b) : m->ops->update_batch(m, &b);
	expect_ret(i, delete ? "delete_batch" : "update_batch", ret, 0);
	expect_ret(i, "count of a batch", b.count, n);
	done(l);
}

/* Own keys are as the ledger says, others' are whole. */
static void look(struct ledger *l, uint32_t i)
{
	uint32_t key = rand() % KEYS;
	bool locked = maps[i].lock_off >= 0;
	struct map *m = !locked && rand() % 2 ? read_only[i] : map_of[i];
	int64_t v = key_read(m, i, key, locked ? BPF_F_LOCK : 0);

	if ((int)(key % WORKERS) == me) {
		if (v != l->version[i][key / WORKERS])
			violation("%s: key %u has version %ld, not %u", maps[i].name, key, v,
				  l->version[i][key / WORKERS]);
	} else if (v < 0 && (is_hash(i) || maps[i].value_size <= 8) && !map_of[i]->ops->per_cpu) {
		/* Arrays change in place: a mixture is the kernel's rule too. */
		violation("%s: key %u of another worker is a mixture", maps[i].name, key);
	}
	l->operations++;
}

/* A walk meets each own key that is there, and nothing that cannot be. */
static void walk(struct ledger *l, uint32_t i)
{
	uint32_t key, prev, seen = 0, mine = 0, steps = 0;
	struct map *m = map_of[i];
	int ret = m->ops->next_key(m, NULL, &key);

	for (; !ret && steps < 20 * KEYS; steps++) {
		if (key > SHARED_KEY) {
			violation("%s: a walk met key %u", maps[i].name, key);
			return;
		}
		seen += key < KEYS && (int)(key % WORKERS) == me;
		prev = key;
		ret = m->ops->next_key(m, &prev, &key);
	}
	for (uint32_t k = 0; k < OWN_KEYS; k++)
		mine += !is_hash(i) || l->version[i][k];
	/* A walk starts over when its key is deleted: then keys come twice. */
	if (!ret || ret != -ENOENT || seen < mine)
		violation("%s: a walk of %u steps met %u of %u own keys (%d)", maps[i].name, steps,
			  seen, mine, ret);
	l->operations++;
}

/* *value += 1, as a program does it */
static void add(struct ledger *l, uint32_t i)
{
	struct map *m = map_of[i];
	uint32_t key = SHARED_KEY;
	uint64_t *v;

	if (!program_begin(l))
		return;
	v = m->ops->lookup(m, &key);
	if (!v) {
		violation("%s: the counter is not there", maps[i].name);
	} else {
		uint64_t added = l->added[i] + 1;

		store_relaxed(&l->adding, i + 1);
		fence_compiler();
		if (m->ops->per_cpu)
			store_relaxed(v, load_relaxed(v) + 1); /* nobody else has this CPU */
		else
			fetch_add_relaxed(v, 1);
		fence_compiler();
		l->added[i] = added;
		fence_compiler();
		store_relaxed(&l->adding, 0);
	}
	lease_release();
	l->operations++;
}

/* A value that everybody writes: whole under the lock, whoever wrote it */
static void write_locked(struct ledger *l, uint32_t i)
{
	static uint64_t buf[VALUE_MAX / 8];
	struct map *m = map_of[i];
	uint32_t key = SHARED_KEY;

	if (rand() % 2)
		expect_ret(i, "BPF_F_LOCK update",
			   m->ops->write(m, &key, value_make(i, key, 1 + rand() % 1000, buf),
					 BPF_F_LOCK),
			   0);
	else if (key_read(m, i, key, BPF_F_LOCK) < 1)
		violation("%s: the value under the lock is a mixture", maps[i].name);
	l->operations++;
}

/* What a program looked up stays, and stays that key's, until its lease ends. */
static void hold(struct ledger *l, uint32_t i)
{
	uint32_t key = rand() % KEYS, words = map_of[i]->elem_size / 8;
	uint64_t first, *v;
	double begin;

	if ((maps[i].type != BPF_MAP_TYPE_HASH && maps[i].type != BPF_MAP_TYPE_LRU_HASH) ||
	    maps[i].lock_off >= 0 || !program_begin(l))
		return;
	begin = area_now();
	v = map_of[i]->ops->lookup(map_of[i], &key);
	if (v) {
		first = load_relaxed(v);
		for (int n = 0; n < 30; n++) {
			for (uint32_t w = 0; w < words; w++) {
				if (load_relaxed(&v[w]) == first &&
				    first == word_of(i, key, (uint32_t)first))
					continue;
				/* A lease that stands still for a second is passed over. */
				if (area_now() - begin < 0.5)
					violation("%s: key %u changed beneath a program",
						  maps[i].name, key);
				goto out;
			}
			if (n % 10 == 9)
				sched_yield();
		}
	}
out:
	lease_release();
	l->operations++;
}

static void open_maps(void)
{
	for (uint32_t i = 0; i < MAPS; i++) {
		uint32_t id;
		int fd, ret;

		REQUIRE(object_identify(map_fds[i], &id, NULL, NULL) == OBJECT_MAP);
		/* As an unrelated process would: by id */
		fd = object_open_id(OBJECT_MAP, id, O_RDWR);
		ret = fd < 0 ? fd : map_open(fd, &map_of[i]);
		if (ret)
			violation("%s: opening: %d", maps[i].name, ret);
		close(fd);
		fd = object_open_id(OBJECT_MAP, id, O_RDONLY);
		ret = fd < 0 ? fd : map_open(fd, &read_only[i]);
		if (ret)
			violation("%s: opening read-only: %d", maps[i].name, ret);
		close(fd);
		if (ret)
			_exit(1);
	}
}

static void __attribute__((noreturn)) worker(int slot, unsigned int seed)
{
	struct ledger *l = &shared->ledger[slot];

	me = slot;
	srand(seed);
	open_maps();
	settle(l);
	for (;;) {
		uint32_t i = rand() % MAPS;

		switch (rand() % 16) {
		case 0 ... 5:
			change_one(l, i);
			break;
		case 6:
			change_batch(l, i);
			break;
		case 7 ... 9:
			look(l, i);
			break;
		case 10:
			if (rand() % 8 == 0)
				walk(l, i);
			break;
		case 11:
			hold(l, i);
			break;
		default:
			if (maps[i].shared == ADD)
				add(l, i);
			else if (maps[i].shared == LOCKED)
				write_locked(l, i);
		}
	}
}

/* ---- the parent ---- */

static void make_maps(void)
{
	static uint64_t buf[VALUE_MAX / 8];

	for (uint32_t i = 0; i < MAPS; i++) {
		struct map_attr attr = {
			.map_type = maps[i].type,
			.key_size = 4,
			.value_size = maps[i].value_size,
			.max_entries = KEYS + (maps[i].shared || !is_hash(i)),
			.map_flags = maps[i].flags,
			.name = "stress",
			.spin_lock_off = maps[i].lock_off,
		};
		uint32_t key = SHARED_KEY;

		REQUIRE(!map_create(&attr, -1, &map_of[i], &map_fds[i]));
		REQUIRE(map_of[i]->user_value_size <= VALUE_MAX);
		memset(buf, 0, sizeof(buf));
		if (maps[i].shared == LOCKED)
			value_make(i, key, 1, buf);
		if (maps[i].shared)
			REQUIRE(!map_of[i]->ops->write(map_of[i], &key, buf, 0));
	}
}

/* Everybody is dead: every map is sound, every key as its owner's ledger says. */
static void audit(void)
{
	static uint64_t buf[VALUE_MAX / 8];

	me = -1;
	for (int w = 0; w < WORKERS; w++)
		settle(&shared->ledger[w]);
	for (uint32_t i = 0; i < MAPS; i++) {
		struct map *m = map_of[i];
		uint32_t key, n = 0, want = !!maps[i].shared;
		uint64_t sum = 0, ended = 0, in_flight = 0;
		char why[256] = "";

		expect_ret(i, "recover", m->ops->recover(m), 0);
		if (m->ops->validate(m, why, sizeof(why)))
			violation("%s: invalid: %s", maps[i].name, why);
		for (key = 0; key < KEYS; key++) {
			uint32_t v = shared->ledger[key % WORKERS].version[i][key / WORKERS];
			int64_t is = key_read(m, i, key, 0);

			want += v || !is_hash(i);
			if (is != v)
				violation("%s: key %u has version %ld in the end, not %u",
					  maps[i].name, key, is, v);
		}
		for (int ret = m->ops->next_key(m, NULL, &key); !ret && n <= KEYS + 1;
		     ret = m->ops->next_key(m, &(uint32_t){key}, &key))
			n++;
		want += !is_hash(i) && !maps[i].shared; /* the last index, unused */
		expect_ret(i, "number of keys", n, want);
		if (maps[i].shared == LOCKED && key_read(m, i, SHARED_KEY, BPF_F_LOCK) < 1)
			violation("%s: the shared value is a mixture", maps[i].name);
		if (maps[i].shared != ADD)
			continue;
		key = SHARED_KEY;
		expect_ret(i, "lookup", m->ops->read(m, &key, buf, 0), 0);
		for (uint32_t c = 0; c < (m->ops->per_cpu ? m->attr.possible_cpus : 1); c++)
			sum += buf[c * m->elem_size / 8];
		for (int w = 0; w < WORKERS; w++) {
			ended += shared->ledger[w].added[i];
			in_flight += shared->ledger[w].in_flight[i];
		}
		if (sum < ended || sum > ended + in_flight)
			violation("%s: %lu increments counted, %lu made, %lu more in flight",
				  maps[i].name, sum, ended, in_flight);
	}
}

static void reap(pid_t pid, int slot)
{
	struct ledger *l = &shared->ledger[slot];
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		violation("worker %d ended by itself (status %#x)", slot, status);
	if (l->adding)
		l->in_flight[l->adding - 1]++;
	l->adding = 0;
}

static void nap(long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

/* More than a thousand operations, and a worker that died inside a change. */
static bool enough(void)
{
	unsigned long ops = 0, settled = 0;

	for (int w = 0; w < WORKERS; w++) {
		const struct ledger *l = &shared->ledger[w];

		ops += l->operations;
		settled += l->settled_old + l->settled_new;
	}
	return ops > 1000 && settled;
}

int main(void)
{
	double end = area_now() + area_seconds(5), next_audit = area_now() + 1;
	unsigned long kills = 0, stops = 0, audits = 0, ops = 0, missed = 0, settled[2] = {0};
	pid_t pid[WORKERS] = {0};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	REQUIRE(shared != MAP_FAILED);
	area_begin();
	make_maps();
	srand(1);
	while ((area_now() < end || kills <= 50 || !audits || !enough()) && !shared->violations) {
		int w = rand() % WORKERS;

		if (!pid[w]) {
			pid[w] = area_fork();
			if (!pid[w])
				worker(w, ++kills * WORKERS + w);
			kills++;
			continue;
		}
		nap(500 + rand() % 4000);
		if (rand() % 3) {
			reap(pid[w], w);
			pid[w] = 0;
		} else {
			kill(pid[w], SIGSTOP);
			nap(rand() % 20000);
			kill(pid[w], SIGCONT);
			stops++;
		}
		if (area_now() < next_audit)
			continue;
		for (w = 0; w < WORKERS; w++)
			if (pid[w])
				reap(pid[w], w);
		memset(pid, 0, sizeof(pid));
		audit();
		audits++;
		next_audit = area_now() + 1;
	}
	for (int w = 0; w < WORKERS; w++)
		if (pid[w])
			reap(pid[w], w);
	audit();
	for (int w = 0; w < WORKERS; w++) {
		struct ledger *l = &shared->ledger[w];

		ops += l->operations;
		missed += l->missed;
		settled[0] += l->settled_old;
		settled[1] += l->settled_new;
	}
	printf("%lu operations, %lu kills, %lu stops, %lu audits; killed inside a change: %lu had "
	       "not "
	       "happened, %lu had; %lu programs missed; %u violations\n",
	       ops, kills, stops, audits + 1, settled[0], settled[1], missed, shared->violations);
	CHECK_EQ(shared->violations, 0);
	return check_done();
}
