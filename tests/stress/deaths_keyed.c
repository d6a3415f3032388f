/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deaths, maps with keys: hashes, LRU, LPM, arrays, maps of objects, local storages.
 *
 * Each worker has keys of its own: nobody else changes them, everybody reads them. It writes
 * down in its ledger what a key is to become before it does it. So what a dead one was at
 * has happened or not, each key of its own, and everything else is exactly as the ledgers
 * say. All keys together are max_entries: an insertion never fails, or a place was lost.
 * One more key may be written by all: it is whole whenever it is read.
 *
 * A key's state is its version; 0: it is not there (arrays: as made). A value says in each
 * word whose it is and which version; with objects, the version says which object.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "deaths.h"
#include "map/objref.h"
#include "sync/lease.h"
#include "sys/attr.h"
#include "sys/sys.h"

#define OWN_MAX 40u
#define BATCH 4u
#define VALUE_MAX 32768u
#define KEY_MAX 16u
#define OBJECTS 5u
#define FRESH 1000u /* keys from here on belong to nobody */

struct ledger {
	uint32_t busy, n;
	uint32_t key[BATCH], old[BATCH], new[BATCH];
	uint32_t version[OWN_MAX];
};

static bool objects, storage;
static uint32_t keys, all_keys; /* of workers; with the shared one */
static uint32_t max_entries;
static uint64_t buf[VALUE_MAX / 8], batch_values[BATCH * VALUE_MAX / 8];
static int object_fd[OBJECTS];
static uint32_t object_id[OBJECTS];
static int owner_fd[DEATH_WORKERS * OWN_MAX + 1];
static pid_t owner_pid[DEATH_WORKERS * OWN_MAX + 1];
static int cgroup_root = -1;
static char cgroup_name[64];

static struct ledger *ledger(uint32_t w)
{
	return (struct ledger *)death_area() + w;
}

static bool fixed(const struct death_subject *s)
{
	return s->traits & DEATH_FIXED;
}

static bool evicts(const struct death_subject *s)
{
	return s->traits & DEATH_EVICTS;
}

/* An array's slot with an object can be emptied, but the walk comes past it. */
static bool walks_all(const struct death_subject *s)
{
	return fixed(s) || (objects && s->type != BPF_MAP_TYPE_HASH_OF_MAPS);
}

static bool is_lpm(const struct death_subject *s)
{
	return s->type == BPF_MAP_TYPE_LPM_TRIE;
}

/* ---- keys ---- */

static void key_make(const struct death_subject *s, uint32_t k, void *out)
{
	uint8_t *b = memset(out, 0, KEY_MAX);
	uint32_t plen;

	if (storage) {
		memcpy(b, &owner_fd[k], 4);
		return;
	}
	if (!is_lpm(s)) {
		memcpy(b, &k, 4);
		if (s->traits & DEATH_KEY16)
			b[15] = (uint8_t)k;
		return;
	}
	/* two neighbours have one address, and one prefix covers the other */
	plen = k & 1 ? 24 + k % 9 : 16 + k % 7;
	memcpy(b, &plen, 4);
	b[4] = (uint8_t)(k >> 8);
	b[5] = (uint8_t)(k & ~1u);
}

/* The number of the key at `in`; UINT32_MAX: none of those that there can be. */
static uint32_t key_number(const struct death_subject *s, const uint8_t *in)
{
	uint8_t want[KEY_MAX];
	uint32_t k;

	memcpy(&k, in, 4);
	if (!is_lpm(s))
		return k < all_keys ? k : UINT32_MAX;
	for (k = in[5]; k < all_keys && k <= in[5] + 1u; k++) {
		key_make(s, k, want);
		if (!memcmp(want, in, 8))
			return k;
	}
	return UINT32_MAX;
}

/* ---- values ---- */

static uint64_t word_of(uint32_t k, uint32_t version)
{
	return version ? (uint64_t)(k + 1) << 40 | version : 0;
}

static uint32_t value_words(void)
{
	uint32_t words = death_map->elem_size / 8;

	return death_map->ops->per_cpu ? words * death_map->attr.possible_cpus : words;
}

static void *value_make(const struct death_subject *s, uint32_t k, uint32_t version, void *out)
{
	uint64_t *w = out;

	if (objects) {
		memcpy(out, &object_fd[version - 1], 4);
		return out;
	}
	for (uint32_t i = 0; i < value_words(); i++)
		w[i] = word_of(k, version);
	if (s->lock_off >= 0)
		w[0] = 0;
	return out;
}

/* The version; -1: a mixture, or another key's. */
static int64_t value_version(const struct death_subject *s, uint32_t k, const void *in)
{
	uint32_t first = s->lock_off >= 0 ? 1 : 0, id;
	const uint64_t *w = in;
	uint32_t version = (uint32_t)w[first];

	if (objects) {
		memcpy(&id, in, 4);
		for (uint32_t i = 0; i < OBJECTS; i++)
			if (object_id[i] == id)
				return i + 1;
		return -1;
	}
	for (uint32_t i = first; i < value_words(); i++)
		if (w[i] != word_of(k, version))
			return -1;
	return version;
}

static int64_t key_read(const struct death_subject *s, uint32_t k)
{
	uint8_t key[KEY_MAX];
	long ret;

	key_make(s, k, key);
	ret = sys_map_lookup(death_fd, key, buf, s->lock_off >= 0 ? BPF_F_LOCK : 0);
	if (ret == -ENOENT && !fixed(s))
		return 0;
	if (ret) {
		death_violation("lookup of key %u: %ld", k, ret);
		return -1;
	}
	/* the longest prefix that is there may be the neighbour's: then this one is not */
	if (is_lpm(s) && buf[0] >> 40 == (k ^ 1) + 1)
		return value_version(s, k ^ 1, buf) < 0 ? -1 : 0;
	return value_version(s, k, buf);
}

/* ---- the ledger ---- */

static void intend(uint32_t n, const uint32_t *key, const uint32_t *new)
{
	struct ledger *l = ledger(death_me);

	l->n = n;
	for (uint32_t i = 0; i < n; i++) {
		l->key[i] = key[i];
		l->old[i] = l->version[key[i] / DEATH_WORKERS];
		l->new[i] = new[i];
	}
	fence_compiler();
	store_relaxed(&l->busy, 1);
	fence_compiler();
}

static void done(void)
{
	struct ledger *l = ledger(death_me);

	fence_compiler();
	for (uint32_t i = 0; i < l->n; i++)
		l->version[l->key[i] / DEATH_WORKERS] = l->new[i];
	fence_compiler();
	store_relaxed(&l->busy, 0);
}

static void keyed_settle(const struct death_subject *s, uint32_t w)
{
	struct ledger *l = ledger(w);

	for (uint32_t i = 0; l->busy && i < l->n; i++) {
		int64_t v = key_read(s, l->key[i]);

		if (v != l->old[i] && v != l->new[i] && !(evicts(s) && !v))
			death_violation("key %u has version %lld after a death, was %u, was to "
					"become %u",
					l->key[i], (long long)v, l->old[i], l->new[i]);
		if (v >= 0)
			l->version[l->key[i] / DEATH_WORKERS] = (uint32_t)v;
	}
	store_relaxed(&l->busy, 0);
}

/* ---- operations ---- */

static void expect(const char *what, uint32_t k, long ret, long want)
{
	if (ret != want)
		death_violation("%s of key %u: %ld, not %ld", what, k, ret, want);
}

static uint32_t own_key(const struct death_subject *s)
{
	return death_rnd(s->own) * DEATH_WORKERS + death_me;
}

static uint32_t next_version(uint32_t old)
{
	return objects ? 1 + death_rnd(OBJECTS) : old % 0xffffff + 1;
}

static void erase(const struct death_subject *s, uint32_t k)
{
	const struct map_ops *ops = death_map->ops;
	uint32_t old = ledger(death_me)->version[k / DEATH_WORKERS], new = 0;
	uint8_t key[KEY_MAX];
	int64_t v;
	long ret;

	key_make(s, k, key);
	intend(1, &k, &new);
	if (ops->pop && death_rnd(3) == 0) {
		ret = sys_map_lookup_and_delete(death_fd, key, buf, 0);
		v = ret ? 0 : value_version(s, k, buf);
		if (!ret && v != old)
			death_violation("key %u was taken with version %lld, not %u", k,
					(long long)v, old);
	} else if (ops->delete &&death_rnd(2) && death_program()) {
		ret = ops->delete (death_map, key);
		lease_release();
	} else {
		ret = sys_map_delete(death_fd, key);
	}
	if (!evicts(s) || ret != -ENOENT)
		expect("deletion", k, ret, old ? 0 : -ENOENT);
	done();
}

static void write_one(const struct death_subject *s, uint32_t k)
{
	const struct map_ops *ops = death_map->ops;
	uint32_t old = ledger(death_me)->version[k / DEATH_WORKERS], new = next_version(old);
	uint64_t flags = s->lock_off >= 0 && death_rnd(2) ? BPF_F_LOCK : 0;
	bool exists = old || fixed(s);
	uint8_t key[KEY_MAX];
	long ret;

	key_make(s, k, key);
	if (!walks_all(s) && !evicts(s) && death_rnd(4) == 0) {
		if (death_rnd(2)) { /* a flag that does not fit changes nothing */
			ret = sys_map_update(death_fd, key, value_make(s, k, new, buf),
					     exists ? BPF_NOEXIST : BPF_EXIST);
			expect("refused update", k, ret, exists ? -EEXIST : -ENOENT);
			return;
		}
		flags |= exists ? BPF_EXIST : BPF_NOEXIST;
	}
	intend(1, &k, &new);
	value_make(s, k, new, buf);
	if (ops->update && !ops->per_cpu && !objects && death_rnd(3) == 0 && death_program()) {
		ret = ops->update(death_map, key, buf, flags);
		lease_release();
	} else {
		ret = sys_map_update(death_fd, key, buf, flags);
	}
	expect("update", k, ret, 0);
	done();
}

static void batch(const struct death_subject *s)
{
	const struct map_ops *ops = death_map->ops;
	uint32_t key[BATCH], new[BATCH], n = 1 + death_rnd(BATCH - 1), first = death_rnd(s->own);
	bool erases = !fixed(s) && ops->delete_batch && death_rnd(3) == 0;
	uint8_t all[BATCH * KEY_MAX];
	uint32_t size = death_map->attr.key_size;
	union sys_attr a = {.batch = {.map_fd = (uint32_t)death_fd,
				      .keys = (uintptr_t)all,
				      .values = (uintptr_t)batch_values,
				      .count = n}};
	long ret;

	if (evicts(s) || !(erases ? ops->delete_batch : ops->update_batch))
		return;
	n = n < s->own ? n : s->own;
	a.batch.count = n;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t one[KEY_MAX];
		uint32_t old;

		key[i] = (first + i) % s->own * DEATH_WORKERS + death_me;
		old = ledger(death_me)->version[key[i] / DEATH_WORKERS];
		if (erases && !old)
			return; /* it would stop in the middle */
		new[i] = erases ? 0 : next_version(old);
		key_make(s, key[i], one);
		memcpy(all + i * size, one, size);
		if (!erases)
			value_make(s, key[i], new[i],
				   (uint8_t *)batch_values + i * death_map->user_value_size);
	}
	intend(n, key, new);
	if (erases)
		a.batch.values = 0;
	ret = sys_bpf(erases ? BPF_MAP_DELETE_BATCH : BPF_MAP_UPDATE_BATCH, &a, sizeof(a.batch));
	expect(erases ? "batch of deletions" : "batch of updates", key[0], ret, 0);
	done();
}

/* The own keys are as the ledger says, those of others whole. */
static void look(const struct death_subject *s)
{
	uint32_t k = death_rnd(keys);
	int64_t v = key_read(s, k), is = ledger(death_me)->version[k / DEATH_WORKERS];

	if (k % DEATH_WORKERS == death_me) {
		if (v != is && !(evicts(s) && !v))
			death_violation("key %u has version %lld, not %lld", k, (long long)v,
					(long long)is);
	} else if (v < 0 && !fixed(s) && !death_map->ops->per_cpu) {
		death_violation("key %u of another worker is a mixture", k);
	}
}

/* As programs look: under a lease, and at what objects are. */
static void look_in_program(const struct death_subject *s)
{
	const struct map_ops *ops = death_map->ops;
	uint32_t k = death_rnd(keys), zero = 0;
	uint8_t key[KEY_MAX];
	uint64_t *v = NULL;

	key_make(s, k, key);
	if (s->traits & DEATH_PROGS || !ops->lookup || !death_program())
		return;
	v = ops->lookup(death_map, key);
	if (v && objects)
		v = ((struct map *)v)->ops->lookup((struct map *)v, &zero);
	if (v && objects && (!*v || *v > OBJECTS))
		death_violation("the map in slot %u says %llu", k, (unsigned long long)*v);
	lease_release();
}

/* The key that everybody writes. */
static void shared_key(const struct death_subject *s)
{
	uint32_t version = 1 + death_rnd(100);
	uint8_t key[KEY_MAX];
	long ret = 0;

	if (!(s->traits & DEATH_SHARED))
		return;
	key_make(s, keys, key);
	switch (death_rnd(4)) {
	case 0:
		if (!fixed(s) && (ret = sys_map_delete(death_fd, key)) && ret != -ENOENT)
			expect("deletion", keys, ret, 0);
		break;
	case 1:
		if (key_read(s, keys) < 0)
			death_violation("the shared key's value is a mixture");
		break;
	default:
		/* under the lock, or as a whole in a new element */
		ret = sys_map_update(death_fd, key, value_make(s, keys, version, buf),
				     fixed(s) ? BPF_F_LOCK : 0);
		expect("update", keys, ret, 0);
	}
}

/* A walk ends, and meets nothing that cannot be. */
static void walk(const struct death_subject *s)
{
	uint8_t key[KEY_MAX] = {0}, prev[KEY_MAX];
	uint32_t steps = 0;
	long ret = sys_map_next_key(death_fd, NULL, key);

	for (; !ret && steps < 30 * all_keys; steps++) {
		if (key_number(s, key) == UINT32_MAX)
			death_violation("a walk meets a key that there is not");
		memcpy(prev, key, sizeof(key));
		ret = sys_map_next_key(death_fd, prev, key);
	}
	if (ret != -ENOENT)
		death_violation("a walk of %u steps: %ld", steps, ret);
}

static void keyed_work(const struct death_subject *s)
{
	switch (death_rnd(16)) {
	case 0 ... 4:
		write_one(s, own_key(s));
		break;
	case 5 ... 7:
		if (!fixed(s)) {
			erase(s, own_key(s));
			break;
		}
		write_one(s, own_key(s));
		break;
	case 8 ... 9:
		batch(s);
		break;
	case 10 ... 11:
		look(s);
		break;
	case 12:
		look_in_program(s);
		break;
	case 13:
		if (!storage && !death_rnd(8))
			walk(s);
		break;
	default:
		shared_key(s);
	}
}

/* ---- the survivor ---- */

static uint32_t count_keys(void)
{
	uint8_t key[KEY_MAX] = {0}, prev[KEY_MAX];
	uint32_t n = 0;

	if (storage) { /* no keys to be walked */
		struct map_stats stats = {0};

		return sys_map_stats(death_fd, &stats) ? UINT32_MAX : (uint32_t)stats.entries;
	}
	for (long ret = sys_map_next_key(death_fd, NULL, key); !ret && n <= 2 * max_entries; n++) {
		memcpy(prev, key, sizeof(key));
		ret = sys_map_next_key(death_fd, prev, key);
	}
	return n;
}

static void expect_count(const char *when, uint32_t want)
{
	struct map_stats stats = {0};
	uint32_t n = count_keys();
	long err = sys_map_stats(death_fd, &stats);

	if (n != want)
		death_violation("%s: %u keys, not %u", when, n, want);
	if (!err && stats.entries != want && !objects)
		death_violation("%s: %llu entries counted, not %u", when,
				(unsigned long long)stats.entries, want);
}

/* As many new keys as max_entries, and then one more. */
static void fill(const struct death_subject *s)
{
	uint32_t from = is_lpm(s) || storage ? 0 : FRESH;
	long full = is_lpm(s) ? -ENOSPC : -E2BIG;
	uint8_t key[KEY_MAX];

	for (uint32_t i = 0; i < max_entries; i++) {
		key_make(s, from + i, key);
		expect("insertion into an empty map", i,
		       sys_map_update(death_fd, key, value_make(s, from + i, 1, buf), BPF_NOEXIST),
		       0);
	}
	expect_count("full", max_entries);
	if (!storage) {
		key_make(s, from + max_entries + 1, key);
		expect("insertion into a full map", max_entries,
		       sys_map_update(death_fd, key, value_make(s, 1, 1, buf), BPF_NOEXIST),
		       s->type == BPF_MAP_TYPE_LRU_HASH || s->type == BPF_MAP_TYPE_LRU_PERCPU_HASH
			       ? 0
			       : full);
		expect_count("over-full", max_entries);
	}
	for (uint32_t i = 0; i < max_entries + (storage ? 0 : 2); i++) {
		key_make(s, from + i, key);
		sys_map_delete(death_fd, key);
	}
	expect_count("empty again", 0);
}

static void keyed_audit(const struct death_subject *s)
{
	uint32_t there = 0;
	uint8_t key[KEY_MAX];

	for (uint32_t k = 0; k < keys; k++) {
		int64_t is = ledger(k % DEATH_WORKERS)->version[k / DEATH_WORKERS];
		int64_t v = key_read(s, k);

		if (v != is && !(evicts(s) && !v))
			death_violation("key %u has version %lld in the end, not %lld", k,
					(long long)v, (long long)is);
		there += v != 0;
	}
	if (s->traits & DEATH_SHARED) {
		if (key_read(s, keys) < 0)
			death_violation("the shared key's value is a mixture in the end");
		there += key_read(s, keys) > 0;
	}
	expect_count("in the end", walks_all(s) ? max_entries : there);
	for (uint32_t w = 0; w < DEATH_WORKERS; w++)
		for (uint32_t i = 0; i < s->own && !fixed(s); i++)
			ledger(w)->version[i] = 0;
	for (uint32_t k = 0; k < all_keys && !fixed(s); k++) {
		key_make(s, k, key);
		sys_map_delete(death_fd, key);
	}
	if (!walks_all(s))
		fill(s);
	else if (objects && area_count("ref") > 1)
		death_violation("%d references in an empty map", area_count("ref"));
}

/* ---- making ---- */

static void sizes(const struct death_subject *s)
{
	objects = s->kind == &death_objects;
	storage = s->kind == &death_storage;
	keys = DEATH_WORKERS * s->own;
	max_entries = all_keys = keys + !!(s->traits & DEATH_SHARED);
	REQUIRE(s->own <= OWN_MAX);
}

static void keyed_make(const struct death_subject *s)
{
	struct map_attr attr = {
		.map_type = s->type,
		.key_size = is_lpm(s)		      ? 8
			    : s->traits & DEATH_KEY16 ? 16
						      : 4,
		.value_size = s->value_size,
		.map_flags = s->flags,
		.spin_lock_off = s->lock_off,
		.name = "deaths",
	};

	sizes(s);
	if (evicts(s))
		max_entries = keys / 2;
	attr.max_entries = storage ? 0 : max_entries;
	attr.btf_key_type_id = storage ? 1 : 0;
	attr.btf_value_type_id = storage ? 2 : 0;
	death_map_create(&attr);
	REQUIRE(death_map->user_value_size <= VALUE_MAX);
}

/* ---- maps of maps, prog arrays ---- */

static int program_returning(uint32_t n)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (int32_t)n},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union sys_attr a = {.prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
					  .insns = (uintptr_t)insns,
					  .insn_cnt = 2,
					  .license = (uintptr_t) "GPL"}};

	return (int)sys_bpf(BPF_PROG_LOAD, &a, sizeof(a));
}

static int map_saying(uint64_t n)
{
	union sys_attr a = {.map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
					   .key_size = 4,
					   .value_size = 8,
					   .max_entries = 1}};
	int fd = (int)sys_bpf(BPF_MAP_CREATE, &a, sizeof(a));
	uint32_t zero = 0;

	REQUIRE(fd >= 0 && !sys_map_update(fd, &zero, &n, 0));
	return fd;
}

static void objects_make(const struct death_subject *s)
{
	union sys_attr a = {.map_create = {.map_type = s->type,
					   .key_size = 4,
					   .value_size = 4,
					   .map_flags = s->flags}};

	sizes(s);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		object_fd[i] =
			s->traits & DEATH_PROGS ? program_returning(i + 1) : map_saying(i + 1);
		REQUIRE(object_fd[i] >= 0 && fd_identify(object_fd[i], &object_id[i]) >= 0);
	}
	a.map_create.max_entries = max_entries;
	a.map_create.inner_map_fd = s->traits & DEATH_PROGS ? 0 : (uint32_t)object_fd[0];
	death_fd = (int)sys_bpf(BPF_MAP_CREATE, &a, sizeof(a));
	REQUIRE(death_fd >= 0 && !map_open(death_fd, &death_map));
}

static void objects_drop(const struct death_subject *s)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		fd_forget(object_fd[i]);
		close(object_fd[i]);
		fd_collect();
	}
}

/* ---- storages ---- */

static int owner_make(uint32_t type, uint32_t n)
{
	char path[320];

	switch (type) {
	case BPF_MAP_TYPE_SK_STORAGE:
		return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case BPF_MAP_TYPE_INODE_STORAGE:
		snprintf(path, sizeof(path), "%s/owner%u", area_dir, n);
		return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	case BPF_MAP_TYPE_TASK_STORAGE:
		owner_pid[n] = fork();
		if (!owner_pid[n]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		return (int)syscall(SYS_pidfd_open, owner_pid[n], 0);
	default:
		snprintf(path, sizeof(path), "%s%u", cgroup_name, n);
		mkdirat(cgroup_root, path, 0755);
		return openat(cgroup_root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
}

static void storage_make(const struct death_subject *s)
{
	if (s->type == SHMAP_MAP_TYPE_CGRP_STORAGE) {
		char path[320];

		/* nothing stays mounted: all goes by the fd */
		snprintf(path, sizeof(path), "%s/cgroup", area_dir);
		snprintf(cgroup_name, sizeof(cgroup_name), "shmap-deaths.%d.", getpid());
		mkdir(path, 0755);
		if (!mount("none", path, "cgroup2", 0, NULL)) {
			cgroup_root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			umount2(path, MNT_DETACH);
		}
		rmdir(path);
		if (cgroup_root < 0) {
			printf("%s: no cgroups can be made here\n", s->name);
			fflush(NULL);
			_exit(77);
		}
	}
	sizes(s);
	for (uint32_t i = 0; i < max_entries; i++) {
		owner_fd[i] = owner_make(s->type, i);
		REQUIRE(owner_fd[i] >= 0);
	}
	keyed_make(s);
}

static void storage_drop(const struct death_subject *s)
{
	char path[320];

	for (uint32_t i = 0; i < max_entries; i++) {
		fd_forget(owner_fd[i]);
		close(owner_fd[i]);
		fd_collect();
		if (owner_pid[i] > 0) {
			kill(owner_pid[i], SIGKILL);
			waitpid(owner_pid[i], NULL, 0);
		}
		snprintf(path, sizeof(path), "%s/owner%u", area_dir, i);
		unlink(path);
		snprintf(path, sizeof(path), "%s%u", cgroup_name, i);
		if (cgroup_root >= 0)
			unlinkat(cgroup_root, path, AT_REMOVEDIR);
	}
}

const struct death_kind death_keyed = {
	.make = keyed_make, .work = keyed_work, .settle = keyed_settle, .audit = keyed_audit};
const struct death_kind death_objects = {.make = objects_make,
					 .work = keyed_work,
					 .settle = keyed_settle,
					 .audit = keyed_audit,
					 .drop = objects_drop};
const struct death_kind death_storage = {.make = storage_make,
					 .work = keyed_work,
					 .settle = keyed_settle,
					 .audit = keyed_audit,
					 .drop = storage_drop};
