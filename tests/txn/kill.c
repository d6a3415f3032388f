/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits, snapshots and shmap_modify() killed after each of their instructions; and, of a
 * commit whose owner has died, who finishes it. Survivors find all of it or nothing, by
 * plain lookups, wait for nobody, and can write, commit and make snapshots. The same with a trie
 * of prefixes and an LRU map in which other keys give way ("lru/...").
 */
#include <signal.h>
#include <sys/wait.h>

#include "../kill/harness.h"
#include "../sys/map/both.h"
#include "map/txn.h"
#include "shmap.h"
#include "sys/atomic_maps.h"
#include "sys/fd.h"

#define KEYS 6
#define WORDS 6 /* of a value of the array */

static bool lru; /* hash is an LPM_TRIE, full an LRU_HASH */
static int hash = -1, array = -1, full = -1;
static int *ended; /* shared: the operation came to its end */

/* What a key has: 0: nothing. */
struct state {
	uint64_t hash[KEYS], array[KEYS], full[KEYS];
};

static const struct state before = {
	.hash = {10, 11, 12, 0, 0, 0}, .array = {20, 21, 22, 23, 24, 25}, .full = {30, 31, 32}};
/* puts of what is there and of what is not, deletes; in the full map one goes as one comes */
static struct state after = {.hash = {10, 111, 0, 113, 114, 0},
			     .array = {20, 121, 22, 123, 24, 25},
			     .full = {30, 0, 132, 133}};

/* A map's key; in the trie all have 8 bits. */
static const void *key_of(int fd, uint32_t k)
{
	static struct {
		uint32_t bits;
		uint8_t data[4];
	} prefix;
	static uint32_t plain;

	prefix.bits = 8;
	prefix.data[0] = (uint8_t)(k << 5 | 1);
	plain = k;
	return lru && fd == hash ? (void *)&prefix : &plain;
}

static void put(struct txn *t, int fd, uint32_t key, uint64_t v)
{
	uint64_t value[WORDS];

	for (int i = 0; i < WORDS; i++)
		value[i] = v;
	if (sys_txn_put(t, fd, key_of(fd, key), value, 0))
		_exit(3);
}

static void transaction(void)
{
	struct txn *t = txn_begin();
	uint64_t v;

	if (!t || sys_txn_get(t, hash, key_of(hash, 0), &v))
		_exit(3);
	put(t, hash, 3, 113), put(t, hash, 1, 111), put(t, hash, 4, 114);
	put(t, array, 1, 121), put(t, array, 3, 123);
	put(t, full, 3, 133), put(t, full, 2, 132);
	if (sys_txn_delete(t, hash, key_of(hash, 2)))
		_exit(3);
	if (lru)
		put(t, full, 4, 134);
	else if (sys_txn_delete(t, full, key_of(full, 1)))
		_exit(3);
	if (!txn_commit(t))
		*ended = 1;
}

static void set(int fd, const uint64_t *words, bool is_array)
{
	uint64_t value[WORDS];

	for (uint32_t k = 0; k < KEYS; k++) {
		for (int i = 0; i < WORDS; i++)
			value[i] = words[k];
		if (words[k])
			REQUIRE(!update(fd, key_of(fd, k), value, 0));
		else if (!is_array)
			delete (fd, key_of(fd, k));
	}
}

static void setup(void *arg)
{
	*ended = 0;
	if (hash < 0) {
		hash = lru ? map_new(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 5, BPF_F_NO_PREALLOC)
			   : map_new(BPF_MAP_TYPE_HASH, 4, 8, 16, 0);
		array = map_new(BPF_MAP_TYPE_ARRAY, 4, 8 * WORDS, KEYS, 0);
		full = map_new(lru ? BPF_MAP_TYPE_LRU_HASH : BPF_MAP_TYPE_HASH, 4, 8, 3, 0);
	}
	for (uint32_t k = 0; k < KEYS; k++)
		delete (full, &k); /* in any order it has room for three */
	set(hash, before.hash, false);
	set(array, before.array, true);
	set(full, before.full, false);
}

static bool get(int fd, uint64_t *words, bool is_array, int key_fd)
{
	uint64_t value[WORDS];
	long err;

	for (uint32_t k = 0; k < KEYS; k++) {
		/* (a snapshot of the trie has the trie's keys) */
		err = lookup(fd, key_of(key_fd, k), value, 0);
		if (err && err != -ENOENT)
			return false;
		words[k] = err ? 0 : value[0];
		for (int i = 1; is_array && i < WORDS; i++)
			if (value[i] != value[0])
				return false;
	}
	return true;
}

/* In an order that depends on the kill point: any of the maps may be the first looked at. */
static bool look(struct state *s, int h, int a, int f)
{
	memset(s, 0, sizeof(*s));
	for (unsigned long i = kill_point(), n = 0; n < 3; n++, i++) {
		bool ok = i % 3 == 0   ? get(h, s->hash, false, hash)
			  : i % 3 == 1 ? get(a, s->array, true, array)
				       : get(f, s->full, false, full);

		if (!ok)
			return false;
	}
	return true;
}

static bool maps_valid(void)
{
	int fds[] = {hash, array, full};
	char why[128] = "";

	for (int i = 0; i < 3; i++) {
		struct fd_op op;
		int err;

		if (fd_begin(fds[i], &op))
			return false;
		err = op.ref->map->ops->validate(op.ref->map, why, sizeof(why));
		if (!err && load_relaxed(&op.ref->map->shared->gate))
			err = -EBUSY;
		fd_end(&op);
		if (err) {
			kill_why("map %d: %s (%d)", i, why, err);
			return false;
		}
	}
	return true;
}

/* No map but those three, which take snapshots, updates and transactions at once. */
static bool maps_work(const struct state *now)
{
	int fds[] = {hash, array, full}, snaps[3];
	uint32_t id = 0, n = 0;
	struct state s;
	bool ok;

	if (sys_snapshot(fds, snaps, 3)) {
		kill_why("no snapshot");
		return false;
	}
	ok = look(&s, snaps[0], snaps[1], snaps[2]) && !memcmp(&s, now, sizeof(s));
	for (int i = 0; i < 3; i++)
		close_fd(snaps[i]);
	for (;; n++) {
		union sys_attr attr = {.id = {.start_id = id}};

		if (bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)))
			break;
		id = attr.id.next_id;
	}
	if (n != 3)
		kill_why("%u maps", n);
	setup(NULL);
	transaction();
	*ended = 0;
	return ok && n == 3 && look(&s, hash, array, full) && !memcmp(&s, &after, sizeof(s)) &&
	       maps_valid();
}

static enum kill_outcome check(void *arg)
{
	bool done = *ended;
	struct state s;
	enum kill_outcome o = KILL_INVALID;

	if (!look(&s, hash, array, full))
		kill_why("a lookup failed");
	else if (!memcmp(&s, &before, sizeof(s)))
		o = KILL_OLD;
	else if (!memcmp(&s, &after, sizeof(s)))
		o = KILL_NEW;
	else
		kill_why("neither before nor after: %d %d %d %d %d | %d %d | %d %d %d %d",
			 (int)s.hash[0], (int)s.hash[1], (int)s.hash[2], (int)s.hash[3],
			 (int)s.hash[4], (int)s.array[1], (int)s.array[3], (int)s.full[0],
			 (int)s.full[1], (int)s.full[2], (int)s.full[3]);
	if (o == KILL_OLD && done)
		o = KILL_INVALID;
	return maps_work(&s) ? o : KILL_INVALID;
}

/* All that is done once in a process is done: what is killed is the commit itself. */
static void warm(void *arg)
{
	struct txn *t = txn_begin();

	put(t, hash, 0, 10);
	if (txn_commit(t))
		_exit(3);
}

static void op_commit(void *arg)
{
	transaction();
}

static void op_snapshot(void *arg)
{
	int fds[] = {hash, array, full}, snaps[3];

	if (!sys_snapshot(fds, snaps, 3))
		*ended = 1;
}

static enum kill_outcome check_snapshot(void *arg)
{
	bool done = *ended;

	*ended = 0;
	if (check(NULL) != KILL_OLD)
		return KILL_INVALID;
	return done ? KILL_NEW : KILL_OLD;
}

/* A commit that somebody died in after it had happened, before any of it was to be seen. */
static void setup_dead(void *arg)
{
	struct gate_held g;
	struct map *maps[3];
	int fds[] = {hash, array, full};
	pid_t pid;

	setup(NULL);
	fds[0] = hash, fds[1] = array, fds[2] = full;
	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		uint32_t n = 0;

		for (int i = 0; i < 3; i++) {
			struct fd_op op;

			if (fd_begin(fds[i], &op))
				_exit(3);
			maps[i] = op.ref->map;
			fd_end(&op);
		}
		if (gate_begin(&g, 4096))
			_exit(3);
		for (int m = 0; m < 3; m++) {
			const uint64_t *from = m == 0	? before.hash
					       : m == 1 ? before.array
							: before.full;
			const uint64_t *to = m == 0   ? after.hash
					     : m == 1 ? after.array
						      : after.full;
			uint32_t size = m == 1 ? 8 * WORDS : 8;

			for (uint32_t k = 0; k < KEYS; k++) {
				struct txn_entry *e = (struct txn_entry *)(g.data + n);
				uint32_t key_size = lru && !m ? 8 : 4;
				enum txn_op gone = lru && m == 2 ? TXN_EVICT : TXN_DELETE;

				if (from[k] == to[k])
					continue;
				*e = (struct txn_entry){.size = sizeof(*e) + 8 + (to[k] ? size : 0),
							.map = (uint16_t)m,
							.op = to[k] ? TXN_PUT : gone,
							.key_size = key_size,
							.value_size = to[k] ? size : 0};
				memcpy(txn_key(e), key_of(fds[m], k), key_size);
				for (uint32_t i = 0; to[k] && i < size / 8; i++)
					memcpy((char *)txn_value(e) + 8 * i, &to[k], 8);
				n += e->size;
			}
		}
		g.slot->bytes = n;
		if (gate_shut(&g, maps, 3))
			_exit(3);
		store_release(&g.slot->state, GATE_COMMITTED);
		kill(getpid(), SIGKILL);
	}
	REQUIRE(waitpid(pid, NULL, 0) == pid);
}

/* Who looks one key up finishes it all. */
static void op_finish(void *arg)
{
	uint64_t value[WORDS];
	uint32_t key = 3;

	if (!lookup(array, &key, value, 0) && value[0] == 123 && value[WORDS - 1] == 123)
		*ended = 1;
}

static void op_finish_by_update(void *arg)
{
	uint64_t value = 10;

	if (!update(hash, key_of(hash, 0), &value, 0))
		*ended = 1;
}

static enum kill_outcome check_finished(void *arg)
{
	bool done = *ended;

	*ended = 0;
	if (check(NULL) != KILL_NEW)
		return KILL_INVALID;
	return done ? KILL_NEW : KILL_OLD;
}

static const struct kill_case lru_cases[] = {
	{"lru/commit", NULL, setup, warm, op_commit, NULL, check, 30},
	{"lru/finish", NULL, setup_dead, NULL, op_finish_by_update, NULL, check_finished, 20},
};

static const struct kill_case cases[] = {
	{"commit", NULL, setup, warm, op_commit, NULL, check, 100},
	{"snapshot", NULL, setup, warm, op_snapshot, NULL, check_snapshot, 40},
	{"finish/by-lookup", NULL, setup_dead, NULL, op_finish, NULL, check_finished, 40},
	{"finish/by-update", NULL, setup_dead, NULL, op_finish_by_update, NULL, check_finished,
	 150},
};

int main(int argc, char **argv)
{
	check_private_rundir();
	ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ended != MAP_FAILED);
	lru = argc > 1 && !strncmp(argv[1], "lru", 3);
	if (!lru)
		return kill_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
	memset(after.full, 0, sizeof(after.full));
	after.full[2] = 132, after.full[3] = 133, after.full[4] = 134;
	return kill_main(argc, argv, lru_cases, sizeof(lru_cases) / sizeof(*lru_cases));
}
