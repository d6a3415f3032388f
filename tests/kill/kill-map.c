/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every operation of every map type, killed after each of its instructions.
 *
 * A survivor, who has had the map open all the time, then finds each key as it
 * was before or as it is afterwards, its value whole, and can do everything
 * with the map, up to exactly max_entries elements. One time in five it repairs
 * first (ops->recover) and checks every invariant; one time it reads first; the
 * other times it writes first, without having looked.
 *
 * The argument is the beginning of the cases' names: VARIANT/OPERATION.
 */
#include "maps.h"
#include "kill-map.h"
#include "map/htab.h"

static const struct variant variants[] = {
	{"array8", BPF_MAP_TYPE_ARRAY, 0, 8, 4, -1},
	{"array-mmapable", BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 40, 4, -1},
	{"array-lock8", BPF_MAP_TYPE_ARRAY, 0, 8, 4, 0},
	{"array-lock", BPF_MAP_TYPE_ARRAY, 0, 40, 4, 4},
	{"percpu-array8", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 8, 4, -1},
	{"percpu-array", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 20, 4, -1},
	{"hash", BPF_MAP_TYPE_HASH, 0, 24, 16, -1},
	{"hash-aged", BPF_MAP_TYPE_HASH, 0, 8, 16, -1, .aged = true},
	{"hash-chain", BPF_MAP_TYPE_HASH, 0, 24, 16, -1, .aged = true, .chain = true},
	{"hash-crowd", BPF_MAP_TYPE_HASH, 0, 8, 16, -1, .crowd = true},
	{"hash-lock", BPF_MAP_TYPE_HASH, 0, 24, 16, 8},
	{"no-prealloc", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 24, 16, -1},
	{"no-prealloc-crowd", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 24, 16, -1, .crowd = true},
	{"percpu-hash", BPF_MAP_TYPE_PERCPU_HASH, 0, 20, 16, -1},
	{"percpu-hash-aged", BPF_MAP_TYPE_PERCPU_HASH, 0, 8, 16, -1, .aged = true},
	{"lru", BPF_MAP_TYPE_LRU_HASH, 0, 24, 16, -1},
	{"lru-aged", BPF_MAP_TYPE_LRU_HASH, 0, 8, 16, -1, .aged = true},
	{"lru-chain", BPF_MAP_TYPE_LRU_HASH, 0, 24, 16, -1, .aged = true, .chain = true},
	{"lru-percpu", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 20, 16, -1, .aged = true},
	{"percpu-no-prealloc", BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, 20, 16, -1},
};

uint32_t *op_ended;
int this_cpu;

/* The version of one CPU's value; ABSENT when it is none. */
static uint8_t decode_one(struct fixture *f, const uint8_t *buf, uint32_t key)
{
	uint32_t at = f->v->lock_off == 0 ? 4 : 0;
	uint8_t byte = buf[at];

	for (uint32_t i = 0; i < f->v->value_size; i++) {
		bool lock = (uint32_t)f->v->lock_off <= i && i < (uint32_t)f->v->lock_off + 4;

		if (f->v->lock_off >= 0 && lock ? buf[i] : buf[i] != byte)
			return ABSENT;
	}
	if (byte && (byte < 20 || byte % 20 != key))
		return ABSENT;
	return byte / 20;
}

/* 0: read; 1: not there; -1: torn or another error, told in why. */
static int observe_key(struct fixture *f, uint32_t key, uint8_t ver[2], uint64_t flags)
{
	static uint8_t buf[65536];
	uint32_t stride = f->m->elem_size;
	int ret;

	memset(buf, 0xee, sizeof(buf));
	ret = f->m->ops->read(f->m, &f->keys[key], buf, flags);
	ver[0] = ver[1] = ABSENT;
	if (ret == -ENOENT && is_hash(f))
		return 1;
	if (ret) {
		kill_why("reading key %u: %d", key, ret);
		return -1;
	}
	if (!f->m->ops->per_cpu) {
		ver[0] = ver[1] = decode_one(f, buf, key);
	} else {
		for (uint32_t cpu = 0; cpu < f->m->attr.possible_cpus; cpu++) {
			uint8_t one = decode_one(f, buf + cpu * stride, key);

			if ((int)cpu == this_cpu)
				ver[0] = one;
			else if (ver[1] == ABSENT || ver[1] == one)
				ver[1] = one;
			else
				goto torn; /* the others always change together */
		}
		if (f->m->attr.possible_cpus == 1)
			ver[1] = ver[0];
	}
	if (ver[0] != ABSENT && ver[1] != ABSENT)
		return 0;
torn:
	kill_why("key %u has a torn value: bytes %02x %02x ... %02x (CPU %d)", key, buf[0], buf[5],
		 buf[f->v->value_size - 1], this_cpu);
	return -1;
}

static bool observe(struct fixture *f, struct state *s, uint64_t flags)
{
	memset(s, ABSENT, sizeof(*s));
	for (uint32_t k = 0; k < n_keys(f); k++)
		if (observe_key(f, k, s->ver[k], flags) < 0)
			return false;
	return true;
}

/* ---- the survivor ---- */

/* Keys 0, 1, 2, ...; for a crowd such as come to the same place. */
static void choose_keys(struct fixture *f)
{
	uint32_t candidate = 0, mask = 0;

	if (f->v->chain)
		mask = f->m->htab.buckets - 1;
	else if (f->v->crowd)
		mask = f->m->htab.stripes - 1;
	for (uint32_t n = 0; n < KEYS_MAX; candidate++)
		if (!mask || !((uint32_t)htab_hash(f->m, &candidate) & mask))
			f->keys[n++] = candidate;
}

static void setup(void *arg)
{
	struct fixture *f = arg;
	struct map_attr attr = {
		.map_type = f->v->type,
		.key_size = 4,
		.value_size = f->v->value_size,
		.max_entries = f->v->max_entries,
		.map_flags = f->v->flags | (is_hash(f) ? BPF_F_ZERO_SEED : 0),
		.name = "kill",
		.spin_lock_off = f->v->lock_off,
	};

	int ret;

	kill_drop_map(&f->m, f->fd);
	*op_ended = 0;
	ret = map_create(&attr, -1, &f->m, &f->fd);
	if (ret)
		fprintf(stderr, "map_create: %d (%s)\n", ret, rundir_error());
	REQUIRE(!ret);
	choose_keys(f);
	for (int round = 0; f->v->aged && round < 2; round++) {
		for (uint32_t k = 0; k < n_keys(f); k++)
			REQUIRE(!f->m->ops->write(f->m, &f->keys[k], kill_value(f, 4, k), 0));
		for (uint32_t k = 0; k < n_keys(f); k++)
			REQUIRE(!f->m->ops->erase(f->m, &f->keys[k]));
	}
	for (uint32_t k = 0; k < n_initial(f); k++)
		REQUIRE(!f->m->ops->write(f->m, &f->keys[k], kill_value(f, 1, k), 0));
	memset(&f->old, ABSENT, sizeof(f->old));
	for (uint32_t k = 0; k < n_initial(f); k++)
		f->old.ver[k][0] = f->old.ver[k][1] = 1;
	f->new = f->old;
	if (f->op->expect)
		f->op->expect(f, &f->new);
	/* The next changes go on with the upper half of the count. */
	for (uint32_t i = 0; is_hash(f) && i < f->m->htab.stripes; i++)
		htab_stripe(f->m, i)->count_low = HTAB_COUNT_STEP - 1;
	f->changes = kill_changes(f->m);
}

static bool same(const uint8_t a[2], const uint8_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

/* Readers wait for nobody, and (hash) see no mixture. */
static bool peek(void *arg)
{
	struct fixture *f = arg;
	bool in_place =
		!is_hash(f) || f->v->lock_off >= 0 || (f->m->ops->per_cpu && f->op->need & OWN);
	uint8_t buf[65536], ver[2];
	uint32_t next;

	for (uint32_t k = 0; k < n_keys(f); k++) {
		if (in_place) {
			int ret = f->m->ops->read(f->m, &f->keys[k], buf, 0);

			if (ret && (ret != -ENOENT || !is_hash(f)))
				return false;
			continue;
		}
		if (observe_key(f, k, ver, 0) < 0)
			return false;
		if (!same(ver, f->old.ver[k]) && !same(ver, f->new.ver[k])) {
			if (f->op->need & PROG && f->m->ops->per_cpu)
				continue;
			kill_why("key %u is neither old nor new to a reader", k);
			return false;
		}
	}
	return f->m->ops->next_key(f->m, NULL, &next) == 0 || f->op->need & PARTIAL;
}

static bool fail(const char *what, long ret)
{
	kill_why("the survivor's %s: %ld", what, ret);
	return false;
}

/* A full map takes one more, and one of the others gives way; and back. */
static bool exercise_eviction(struct fixture *f)
{
	const struct map_ops *o = f->m->ops;
	uint32_t n = n_keys(f), gone = n, absent = 0;
	uint8_t ver[2];
	long ret;

	for (uint32_t k = 0; k < n; k++)
		if ((ret = observe_key(f, k, ver, 0)))
			return fail("lookup of the full map", ret);
	if ((ret = o->write(f->m, &f->keys[n], kill_value(f, 3, n), 0)))
		return fail("update beyond max_entries", ret);
	for (uint32_t k = 0; k < n; k++)
		if ((ret = observe_key(f, k, ver, 0))) {
			gone = k;
			absent++;
		}
	if (absent != 1)
		return fail("count of the evicted", absent);
	if ((ret = o->erase(f->m, &f->keys[n])))
		return fail("delete of what evicted", ret);
	if ((ret = o->write(f->m, &f->keys[gone], kill_value(f, 3, gone), BPF_NOEXIST)))
		return fail("update of what was evicted", ret);
	return true;
}

/* All operations of the type, from an empty map to a full one and back. */
static bool exercise_hash(struct fixture *f)
{
	const struct map_ops *o = f->m->ops;
	uint32_t n = n_keys(f), next, seen = 0;
	uint8_t buf[65536], ver[2];
	struct map_batch b;
	const void *prev;
	long ret;

	for (uint32_t k = 0; k < n; k++)
		if ((ret = o->erase(f->m, &f->keys[k])) && ret != -ENOENT)
			return fail("delete", ret);
	/* what an evicting operation may have put there */
	if (is_lru(f) && (ret = o->erase(f->m, &f->keys[n])) && ret != -ENOENT)
		return fail("delete", ret);
	if ((ret = o->next_key(f->m, NULL, &next)) != -ENOENT)
		return fail("next_key of the empty map", ret);
	/* capacity is exact: nothing is lost, nothing counted twice */
	for (uint32_t k = 0; k < n; k++)
		if ((ret = o->write(f->m, &f->keys[k], kill_value(f, 3, k), BPF_NOEXIST)))
			return fail("update up to max_entries", ret);
	if (is_lru(f) && !exercise_eviction(f))
		return false;
	if (!is_lru(f) && (ret = o->write(f->m, &f->keys[n], kill_value(f, 3, n), 0)) != -E2BIG)
		return fail("update beyond max_entries", ret);
	for (prev = NULL; !o->next_key(f->m, prev, &next) && seen <= n;
	     prev = memcpy(buf, &next, 4))
		seen++;
	if (seen != n)
		return fail("count by next_key", seen);
	if ((ret = o->write(f->m, &f->keys[0], kill_value(f, 5, 0), BPF_EXIST)))
		return fail("update of the full map", ret);
	if (f->v->lock_off >= 0 &&
	    ((ret = o->write(f->m, &f->keys[1], kill_value(f, 3, 1), BPF_F_LOCK | BPF_EXIST)) ||
	     (ret = observe_key(f, 1, ver, BPF_F_LOCK))))
		return fail("BPF_F_LOCK", ret);
	if ((ret = o->pop(f->m, &f->keys[0], buf, 0)) || decode_one(f, buf, 0) != 5)
		return fail("lookup_and_delete", ret);

	if ((ret = lease_acquire()) != this_cpu)
		return fail("lease", ret);
	if (o->lookup(f->m, &f->keys[0]) || !o->lookup(f->m, &f->keys[2]))
		return fail("program lookup", 0);
	if ((ret = o->update(f->m, &f->keys[0], kill_value(f, 2, 0), BPF_NOEXIST)) ||
	    (ret = o->update(f->m, &f->keys[2], kill_value(f, 2, 2), BPF_ANY)))
		return fail("program update", ret);
	if ((ret = o->delete (f->m, &f->keys[3])))
		return fail("program delete", ret);
	seen = 0;
	if ((ret = o->for_each(f->m, kill_visit, &(long){0})) != n - 1)
		return fail("for_each", ret);
	lease_release();
	if (observe_key(f, 0, ver, 0) || ver[0] != 2 || observe_key(f, 2, ver, 0) || ver[0] != 2)
		return fail("read of what a program wrote", ver[0]);

	b = kill_batch(f, n, 4);
	if ((ret = o->update_batch(f->m, &b)) || b.count != n)
		return fail("update_batch", ret);
	b = kill_batch(f, KEYS_MAX, 1);
	if ((ret = o->lookup_batch(f->m, &b)) != -ENOENT || b.count != n)
		return fail("lookup_batch", ret);
	b = kill_batch(f, 4, 1);
	if ((ret = o->delete_batch(f->m, &b)) || b.count != 4)
		return fail("delete_batch", ret);
	b = kill_batch(f, KEYS_MAX, 1);
	if ((ret = o->lookup_and_delete_batch(f->m, &b)) != -ENOENT || b.count != n - 4)
		return fail("lookup_and_delete_batch", ret);
	if ((ret = o->next_key(f->m, NULL, &next)) != -ENOENT)
		return fail("next_key of the emptied map", ret);
	return true;
}

static bool exercise_array(struct fixture *f)
{
	const struct map_ops *o = f->m->ops;
	uint32_t n = n_keys(f), next;
	uint8_t ver[2];
	struct map_batch b;
	long ret;

	for (uint32_t k = 0; k < n; k++)
		if ((ret = o->write(f->m, &f->keys[k], kill_value(f, 4, k), BPF_ANY)) ||
		    (ret = observe_key(f, k, ver, 0)) || ver[0] != 4 || ver[1] != 4)
			return fail("update and lookup", ret);
	if (f->v->lock_off >= 0 &&
	    ((ret = o->write(f->m, &f->keys[1], kill_value(f, 3, 1), BPF_F_LOCK | BPF_EXIST)) ||
	     (ret = observe_key(f, 1, ver, BPF_F_LOCK)) || ver[0] != 3))
		return fail("BPF_F_LOCK", ret);
	if ((ret = o->next_key(f->m, &f->keys[0], &next)) || next != 1)
		return fail("next_key", ret);
	if ((ret = lease_acquire()) != this_cpu)
		return fail("lease", ret);
	if (!o->lookup(f->m, &f->keys[1]))
		return fail("program lookup", 0);
	if ((ret = o->update(f->m, &f->keys[2], kill_value(f, 5, 2), BPF_ANY)))
		return fail("program update", ret);
	if ((ret = o->for_each(f->m, kill_visit, &(long){0})) != n)
		return fail("for_each", ret);
	lease_release();
	if (observe_key(f, 2, ver, 0) || ver[0] != 5)
		return fail("read of what a program wrote", ver[0]);
	b = kill_batch(f, n, 2);
	if ((ret = o->update_batch(f->m, &b)) || b.count != n)
		return fail("update_batch", ret);
	b = kill_batch(f, KEYS_MAX, 1);
	if ((ret = o->lookup_batch(f->m, &b)) != -ENOENT || b.count != n)
		return fail("lookup_batch", ret);
	for (uint32_t k = 0; k < n; k++)
		if (observe_key(f, k, ver, 0) || ver[0] != 2 || ver[1] != 2)
			return fail("lookup after update_batch", ver[0]);
	return true;
}

/* Stores a whole value in place, as a program with a pointer does. */
static void store_in_place(struct fixture *f, uint8_t *to, const uint8_t *from)
{
	for (uint32_t i = 0; i < f->v->value_size; i++)
		if (f->v->lock_off < 0 || i < (uint32_t)f->v->lock_off ||
		    i >= (uint32_t)f->v->lock_off + 4)
			store_relaxed(&to[i], from[i]);
}

/*
 * Changes keys although nobody has looked at what the dead one left: by bpf(2)
 * (2), by a program's update (3) or by its stores in place (4). What is stored
 * now is never overwritten by what the dead one had begun.
 */
static bool blind(struct fixture *f, unsigned int mode)
{
	uint64_t flags = f->v->lock_off >= 0 && kill_point() / 5 % 2 ? BPF_F_LOCK : BPF_ANY;
	bool stored[KEYS_MAX] = {false};
	int ret = 0;

	if (mode > 2 && (ret = lease_acquire()) != this_cpu)
		return fail("lease", ret);
	for (uint32_t k = 0; k < n_keys(f); k++) {
		uint8_t *p = kill_value(f, 3, k), *to;

		stored[k] = true;
		if (mode == 2) {
			ret = f->m->ops->write(f->m, &f->keys[k], p, flags);
		} else if (mode == 3) {
			ret = f->m->ops->update(f->m, &f->keys[k], p, flags);
		} else {
			ret = 0;
			to = f->m->ops->lookup(f->m, &f->keys[k]);
			if (to)
				store_in_place(f, to, p);
			else
				stored[k] = false;
		}
		if (ret)
			break;
	}
	if (mode > 2)
		lease_release();
	if (ret)
		return fail("blind update", ret);
	for (uint32_t k = 0; k < n_keys(f); k++) {
		uint8_t ver[2];

		ret = observe_key(f, k, ver, 0);
		if (ret < 0)
			return false;
		if (!stored[k])
			continue;
		if (ret || ver[0] != 3 || (ver[1] != 3 && (mode == 2 || !f->m->ops->per_cpu))) {
			kill_why("key %u has version %u %u after a blind %s to 3", k, ver[0],
				 ver[1],
				 mode == 2   ? "update"
				 : mode == 3 ? "program update"
					     : "store in place");
			return false;
		}
	}
	return true;
}

/* Is each key as before or as after, to a process that may not write? */
static bool observe_read_only(struct fixture *f, struct state *s, uint64_t flags)
{
	struct map *m = f->m, *ro;
	int fd = object_open_id(OBJECT_MAP, m->obj.id, O_RDONLY);
	bool ok;

	REQUIRE(fd >= 0 && !map_open(fd, &ro));
	f->m = ro;
	ok = observe(f, s, flags);
	for (uint32_t k = 0; ok && k < n_keys(f); k++) {
		ok = same(s->ver[k], f->old.ver[k]) || same(s->ver[k], f->new.ver[k]);
		if (!ok)
			kill_why("key %u has version %u %u in a read-only map", k, s->ver[k][0],
				 s->ver[k][1]);
	}
	f->m = m;
	map_put(ro);
	close(fd);
	return ok;
}

/* A map that was full takes one more exactly when a key is gone, also in a stripe that the dead
 * one had no business in; s is what it holds. */
static bool exact_when_full(struct fixture *f, const struct state *s)
{
	uint32_t mask = f->m->htab.stripes - 1, extra = 1000, k, held = 0;
	int ret;

	while (mask && !(((uint32_t)htab_hash(f->m, &extra) ^ htab_hash(f->m, &f->keys[1])) & mask))
		extra++;
	for (k = 0; k < n_keys(f); k++)
		held += s->ver[k][0] != ABSENT;
	ret = f->m->ops->write(f->m, &extra, kill_value(f, 3, 0), BPF_ANY);
	if (ret != (held < n_keys(f) ? 0 : -E2BIG))
		return fail("update of what was full", ret);
	return ret || !f->m->ops->erase(f->m, &extra);
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	bool ended = *op_ended, is_old = true, is_new = true, ok = true;
	unsigned int mode = kill_point() % 5;
	uint64_t counted = kill_changes(f->m) - f->changes;
	uint32_t happened = 0;
	struct state s;
	int ret;

	if (mode == 0) {
		ret = f->m->ops->recover(f->m);
		if (ret) {
			kill_why("recover: %d", ret);
			return KILL_INVALID;
		}
		if (!kill_valid(f->m, "after recover"))
			return KILL_INVALID;
	}
	if (mode >= 2) {
		if (!blind(f, mode))
			return KILL_INVALID;
	} else {
		/* The first look may be one under the element's lock, and one of a
		 * process that can repair nothing. */
		bool locked = f->v->lock_off >= 0 && kill_point() / 5 % 2;

		if (kill_point() / 10 % 2 && !observe_read_only(f, &s, locked ? BPF_F_LOCK : 0))
			return KILL_INVALID;
		if (!observe(f, &s, locked ? BPF_F_LOCK : 0))
			return KILL_INVALID;
		for (uint32_t k = 0; k < n_keys(f); k++) {
			bool o = same(s.ver[k], f->old.ver[k]), n = same(s.ver[k], f->new.ver[k]);

			if (!o && !n) {
				kill_why("key %u has version %u %u", k, s.ver[k][0], s.ver[k][1]);
				ok = false;
			}
			is_old &= o;
			is_new &= n;
			happened += !o;
		}
		if (!(f->op->need & PARTIAL))
			ok = ok && (is_old || is_new);
		if (ended && !is_new) {
			kill_why("the operation had ended, and did not happen");
			ok = false;
		}
		/* (What an evicting update has put there is not among the keys.) */
		if (is_hash(f) && !(f->op->need & LRU))
			ok = ok && kill_counted(counted, happened, ended);
		else if (is_hash(f))
			ok = ok && kill_counted(counted, 1, ended);
		if (!(f->op->need & QUIET))
			ended = is_new;
		if (f->op->need & FULL && mode == 1 && !is_lru(f))
			ok = ok && exact_when_full(f, &s);
	}
	ok = ok && (is_hash(f) ? exercise_hash(f) : exercise_array(f));
	if (lease_cpu() >= 0)
		lease_release();
	if (ok) {
		ret = f->m->ops->recover(f->m);
		if (ret)
			ok = fail("recover", ret);
	}
	ok = ok && kill_valid(f->m, "in the end");
	if (ok && kill_changes(f->m) - f->changes > 1000)
		ok = fail("count of changes", (long)(kill_changes(f->m) - f->changes));
	return !ok ? KILL_INVALID : ended ? KILL_NEW : KILL_OLD;
}

static void begin(void)
{
	kill_area_begin();
	op_ended = kill_shared_word();
	this_cpu = sched_getcpu();
}

static void run(void *arg)
{
	struct fixture *f = arg;

	f->op->run(f);
}

/* Room for that many operations */
#define OPS_MAX 40

int main(int argc, char **argv)
{
	static struct fixture fixtures[ARRAY_SIZE(variants) * OPS_MAX];
	static struct kill_case cases[ARRAY_SIZE(fixtures)];
	static char names[ARRAY_SIZE(fixtures)][64];
	unsigned int n = 0;

	for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
		for (size_t o = 0; o < kill_op_count; o++) {
			struct fixture *f = &fixtures[n];

			f->v = &variants[v];
			f->op = &kill_ops[o];
			if ((f->op->need & HASH && !is_hash(f)) ||
			    (f->op->need & LOCK && f->v->lock_off < 0) ||
			    (f->op->need & NO_LRU && is_lru(f)) ||
			    (f->op->need & LRU && !is_lru(f)))
				continue;
			snprintf(names[n], sizeof(names[n]), "%s/%s", f->v->name, f->op->name);
			cases[n] = (struct kill_case){
				.name = names[n],
				.arg = f,
				.setup = setup,
				.op = run,
				.peek = peek,
				.check = check,
				.points = !(f->op->need & LRU) && f->op->need & (QUIET | PARTIAL)
						  ? 250
						  : 0};
			n++;
		}
	}
	REQUIRE(kill_op_count <= OPS_MAX);
	kill_begin = begin;
	return kill_main(argc, argv, cases, n);
}
