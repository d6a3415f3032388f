/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every operation of LPM_TRIE, killed after each of its instructions.
 *
 * While the dead one stands still before its death, and after it, readers find
 * the longest match of each prefix among those that there were before, or
 * among those that there are afterwards, and the order of iteration is
 * that of one of the two. The survivor repairs first, reads first, or writes first without
 * having looked; then it empties and fills the map, up to exactly max_entries.
 *
 * The argument is the beginning of the cases' names: VARIANT/OPERATION.
 */
#include <sched.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "maps.h"
#include "map/lpm.h"
#include "sync/lease.h"

struct prefix {
	uint32_t plen;
	uint8_t data[4];
};

/* 0..OLD_KEYS-1 are there before the operation. */
static const struct prefix keys[] = {
	{8, {10}},
	{16, {10, 1}},
	{24, {10, 1, 2}},
	{24, {10, 1, 3}},
	{9, {10, 128}},
	{0, {0}},
	{32, {10, 1, 2, 3}},
	{10, {10, 64}},
	/* a node below; one that all others of its part continue; the other side of a high bit */
	{25, {10, 1, 2, 128}},
	{4, {0}},
	{8, {12}},
};

#define KEYS ARRAY_SIZE(keys)
#define OLD_KEYS 8u
#define NEW_BELOW 8u
#define NEW_ABOVE 9u
#define NEW_ASIDE 10u
#define VALUE_MAX 64

static const struct variant {
	const char *name;
	uint32_t value_size, max_entries;
	bool aged;
	uint32_t more; /* prefixes beside the keys, in their part */
} variants[] = {
	{"one-part", 24, 14, false},
	{"one-part-aged", 8, 14, true},
	{"parts", 8, 40, false}, /* most of the keys in one of them: it needs gifts */
	{"parts-aged", 24, 40, true},
	{"index", 8, 120, false, 70}, /* large enough for tables of two levels */
	{"index-aged", 24, 120, true, 40},
};

/* Which version of its value each key has; 0: not there. */
struct state {
	uint8_t ver[KEYS];
};

enum need {
	QUIET = 1,   /* changes nothing */
	PARTIAL = 2, /* each key by itself */
	FULL = 4,    /* starts with max_entries prefixes */
	EMPTY = 8,   /* starts with none */
	LONE = 16,   /* starts with one */
	GIFT = 32,   /* the keys' part starts without quota, others have some */
};

struct fixture;

struct op {
	const char *name;
	int need;
	void (*run)(struct fixture *f);
	uint8_t changed[3], ver; /* keys + 1 that get the version */
};

struct fixture {
	const struct variant *v;
	const struct op *op;
	struct map *m;
	int fd;
	struct state old, new;
};

static uint32_t *op_ended;
static int this_cpu;

static uint8_t *value_of(uint32_t key, unsigned int ver)
{
	static uint8_t buf[VALUE_MAX];

	memset(buf, (int)(ver * 20 + key), sizeof(buf));
	return buf;
}

static struct prefix filler(uint32_t i)
{
	return (struct prefix){24, {172, 16, (uint8_t)i, 0}};
}

/* ---- operations, in the child ---- */

static void end(int ret, int want)
{
	if (ret != want) {
		fprintf(stderr, "the operation returned %d, not %d\n", ret, want);
		_exit(1);
	}
	store_relaxed(op_ended, 1);
}

/* The key that the operation is about, and the second version of its value. */
static const struct prefix *the_key(const struct fixture *f)
{
	return &keys[f->op->changed[0] - 1];
}

static const uint8_t *the_value(const struct fixture *f)
{
	return value_of(f->op->changed[0] - 1u, 2);
}

static void run_read(struct fixture *f)
{
	uint8_t buf[VALUE_MAX];

	end(f->m->ops->read(f->m, &keys[3], buf, 0), 0);
}

static void run_read_shorter(struct fixture *f)
{
	uint8_t buf[VALUE_MAX];
	struct prefix p = {32, {200, 1, 2, 3}};

	end(f->m->ops->read(f->m, &p, buf, 0), 0);
}

static void run_next_key(struct fixture *f)
{
	struct prefix next;

	end(f->m->ops->next_key(f->m, &keys[4], &next), 0);
}

static uint8_t batch_values[128 * VALUE_MAX];
static struct prefix batch_keys[128], batch_token;

static struct map_batch batch_of(struct fixture *f, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < 3; i++) {
		batch_keys[i] = keys[i];
		memcpy(batch_values + i * f->v->value_size, value_of(i, 2), f->v->value_size);
	}
	return (struct map_batch){
		.out_batch = &batch_token, .keys = batch_keys, .values = batch_values, .count = n};
}

static void run_lookup_batch(struct fixture *f)
{
	struct map_batch b = batch_of(f, 128);

	end(f->m->ops->lookup_batch(f->m, &b), -ENOENT);
}

static void run_update_batch(struct fixture *f)
{
	struct map_batch b = batch_of(f, 3);

	end(f->m->ops->update_batch(f->m, &b), 0);
}

static void run_delete_batch(struct fixture *f)
{
	struct map_batch b = batch_of(f, 3);

	end(f->m->ops->delete_batch(f->m, &b), 0);
}

static void run_update(struct fixture *f)
{
	end(f->m->ops->write(f->m, the_key(f), the_value(f), BPF_ANY), 0);
}

static void run_update_exist(struct fixture *f)
{
	end(f->m->ops->write(f->m, the_key(f), the_value(f), BPF_EXIST), 0);
}

static void run_update_noexist(struct fixture *f)
{
	end(f->m->ops->write(f->m, the_key(f), the_value(f), BPF_NOEXIST), 0);
}

static void run_update_refused(struct fixture *f)
{
	end(f->m->ops->write(f->m, &keys[0], value_of(0, 2), BPF_NOEXIST), -EEXIST);
}

static void run_update_no_room(struct fixture *f)
{
	end(f->m->ops->write(f->m, &keys[NEW_BELOW], value_of(0, 2), BPF_ANY), -ENOSPC);
}

static void run_erase(struct fixture *f)
{
	end(f->m->ops->erase(f->m, the_key(f)), 0);
}

static void run_erase_missing(struct fixture *f)
{
	end(f->m->ops->erase(f->m, &keys[NEW_BELOW]), -ENOENT);
}

static void prog_begin(void)
{
	if (lease_acquire() != this_cpu)
		_exit(1);
}

static void prog_end(int ret, int want)
{
	lease_release();
	end(ret, want);
}

static void run_prog_lookup(struct fixture *f)
{
	prog_begin();
	prog_end(!f->m->ops->lookup(f->m, &keys[NEW_BELOW]), 0);
}

static void run_prog_update(struct fixture *f)
{
	prog_begin();
	prog_end((int)f->m->ops->update(f->m, the_key(f), the_value(f), BPF_ANY), 0);
}

static void run_prog_delete(struct fixture *f)
{
	prog_begin();
	prog_end((int)f->m->ops->delete (f->m, the_key(f)), 0);
}

static const struct op ops[] = {
	{"lookup", QUIET, run_read},
	{"lookup-shorter", QUIET, run_read_shorter},
	{"next-key", QUIET, run_next_key},
	{"lookup-batch", QUIET, run_lookup_batch},
	{"update-at-the-end", 0, run_update, {7}, 2},
	{"update-in-the-middle", 0, run_update_exist, {2}, 2},
	{"update-short", 0, run_update_exist, {6}, 2},
	{"update-when-full", FULL, run_update, {2}, 2},
	{"update-new-below", 0, run_update, {NEW_BELOW + 1}, 2},
	{"update-new-above", 0, run_update_noexist, {NEW_ABOVE + 1}, 2},
	{"update-new-aside", 0, run_update_noexist, {NEW_ASIDE + 1}, 2},
	{"update-new-by-gift", GIFT, run_update_noexist, {NEW_BELOW + 1}, 2},
	{"update-first", EMPTY, run_update, {2}, 2},
	{"update-second", LONE, run_update, {2}, 2},
	{"update-refused", QUIET, run_update_refused},
	{"update-no-room", QUIET | FULL, run_update_no_room},
	{"delete-at-the-end", 0, run_erase, {7}, 0},
	{"delete-in-the-middle", 0, run_erase, {2}, 0},
	{"delete-top", 0, run_erase, {1}, 0},
	{"delete-short", 0, run_erase, {6}, 0},
	{"delete-last", LONE, run_erase, {1}, 0},
	{"delete-missing", QUIET, run_erase_missing},
	{"update-batch", PARTIAL, run_update_batch, {1, 2, 3}, 2},
	{"delete-batch", PARTIAL, run_delete_batch, {1, 2, 3}, 0},
	{"program-lookup", QUIET, run_prog_lookup},
	{"program-update", 0, run_prog_update, {3}, 2},
	{"program-update-new", 0, run_prog_update, {NEW_BELOW + 1}, 2},
	{"program-delete", 0, run_prog_delete, {3}, 0},
};

/* ---- what there should be ---- */

static bool covers(const struct prefix *a, const struct prefix *b)
{
	if (a->plen > b->plen)
		return false;
	for (uint32_t i = 0; i < a->plen; i++)
		if ((a->data[i / 8] ^ b->data[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool before(const struct prefix *a, const struct prefix *b)
{
	if (covers(a, b) || covers(b, a))
		return a->plen > b->plen;
	return memcmp(a->data, b->data, 4) < 0;
}

/* The first byte of the value that a lookup gives; 0: none. */
static uint8_t expected(const struct state *s, const struct prefix *p)
{
	int best = -1;

	for (uint32_t k = 0; k < KEYS; k++)
		if (s->ver[k] && covers(&keys[k], p) &&
		    (best < 0 || keys[k].plen > keys[best].plen))
			best = (int)k;
	return best < 0 ? 0 : (uint8_t)(s->ver[best] * 20 + best);
}

/* What a lookup gives: the value's byte; 0: nothing; -1: an error, told. */
static int look(struct fixture *f, const struct prefix *p)
{
	uint8_t buf[VALUE_MAX] = {0};
	int ret = f->m->ops->read(f->m, p, buf, 0);

	if (ret == -ENOENT)
		return 0;
	if (ret) {
		kill_why("reading: %d", ret);
		return -1;
	}
	for (uint32_t i = 1; i < f->v->value_size; i++) {
		if (buf[i] != buf[0]) {
			kill_why("a mixed value: %u and %u", buf[0], buf[i]);
			return -1;
		}
	}
	return buf[0];
}

/* Walks over all keys, the fillers left out: in order, and of one of the two states. */
static bool walk(struct fixture *f, bool *is_old, bool *is_new)
{
	struct prefix at = {0}, next = {0};
	struct state seen = {{0}};
	const void *from = NULL;
	unsigned int n = 0;
	int ret;

	while (!(ret = f->m->ops->next_key(f->m, from, &next))) {
		if ((from && !before(&at, &next)) || ++n > f->v->max_entries) {
			kill_why("the order is not the kernel's");
			return false;
		}
		for (uint32_t k = 0; k < KEYS; k++)
			seen.ver[k] |= !memcmp(&keys[k], &next, sizeof(next));
		at = next;
		from = &at;
	}
	if (ret != -ENOENT) {
		kill_why("next_key: %d", ret);
		return false;
	}
	for (uint32_t k = 0; k < KEYS; k++) {
		*is_old &= seen.ver[k] == !!f->old.ver[k];
		*is_new &= seen.ver[k] == !!f->new.ver[k];
		if (seen.ver[k] != !!f->old.ver[k] && seen.ver[k] != !!f->new.ver[k]) {
			kill_why("key %u is there in neither state, or in both but now", k);
			return false;
		}
	}
	return true;
}

/* All keys, and one below each, are looked up; and all are listed. */
static bool observe(struct fixture *f, bool *is_old, bool *is_new)
{
	*is_old = *is_new = true;
	for (uint32_t k = 0; k < KEYS; k++) {
		struct prefix probe[2] = {keys[k], keys[k]};

		probe[1].plen = 32;
		probe[1].data[3] |= 7;
		for (int i = 0; i < 2; i++) {
			int got = look(f, &probe[i]);
			int old = expected(&f->old, &probe[i]), new = expected(&f->new, &probe[i]);

			if (got < 0)
				return false;
			*is_old &= got == old;
			*is_new &= got == new;
			if (got != old && got != new && !(f->op->need & PARTIAL)) {
				kill_why("key %u: %d, not %d or %d", k, got, old, new);
				return false;
			}
		}
	}
	return walk(f, is_old, is_new);
}

/* ---- the survivor ---- */

static void setup(void *arg)
{
	struct fixture *f = arg;
	struct map_attr attr = {
		.map_type = BPF_MAP_TYPE_LPM_TRIE,
		.key_size = 8,
		.value_size = f->v->value_size,
		.max_entries = f->v->max_entries,
		.map_flags = BPF_F_NO_PREALLOC,
		.name = "kill",
		.spin_lock_off = -1,
	};
	uint32_t n = f->op->need & EMPTY ? 0 : f->op->need & LONE ? 1 : OLD_KEYS;
	const struct map_ops *o;
	uint32_t id;

	if (f->m) {
		id = f->m->obj.id;
		map_put(f->m);
		close(f->fd);
		object_collect(OBJECT_MAP, id);
		f->m = NULL;
	}
	*op_ended = 0;
	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	o = f->m->ops;
	for (int round = 0; f->v->aged && round < 3; round++) {
		for (uint32_t k = 0; k < KEYS; k++)
			REQUIRE(!o->write(f->m, &keys[k], value_of(k, 4), 0));
		for (uint32_t k = 0; k < KEYS; k++)
			REQUIRE(!o->erase(f->m, &keys[(k + round * 5) % KEYS]));
	}
	memset(&f->old, 0, sizeof(f->old));
	for (uint32_t k = 0; k < n; k++) {
		REQUIRE(!o->write(f->m, &keys[k], value_of(k, 1), 0));
		f->old.ver[k] = 1;
	}
	for (uint32_t i = 0; i < f->v->more; i++) {
		struct prefix p = {24, {i % 3 ? 10 : 12, (uint8_t)(i * 37 + 16), (uint8_t)i, 0}};

		REQUIRE(!o->write(f->m, &p, value_of(0, 8), 0));
		n++;
	}
	REQUIRE(!f->v->more || lpm_part(f->m, 0)->fine);
	for (uint32_t i = 0; f->op->need & FULL && n + i < f->v->max_entries; i++) {
		struct prefix p = filler(i);

		REQUIRE(!o->write(f->m, &p, value_of(0, 9), 0));
	}
	for (uint32_t i = 0; f->op->need & GIFT; i++) {
		struct prefix p = {24, {13, 0, (uint8_t)i, 0}};
		struct lpm_part *part = lpm_part(f->m, 0);

		if (part->live == part->quota)
			break;
		REQUIRE(!o->write(f->m, &p, value_of(0, 9), 0));
	}
	f->new = f->old;
	for (int i = 0; i < 3; i++)
		if (f->op->changed[i])
			f->new.ver[f->op->changed[i] - 1] = f->op->ver;
}

/* Readers wait for nobody. */
static bool peek(void *arg)
{
	bool is_old, is_new;

	return observe(arg, &is_old, &is_new);
}

static bool fail(const char *what, long ret)
{
	kill_why("the survivor's %s: %ld", what, ret);
	return false;
}

/* From whatever there is to an empty map, to a full one, and to one of changed keys. */
static bool exercise(struct fixture *f)
{
	const struct map_ops *o = f->m->ops;
	struct prefix at, next;
	struct map_stats stats;
	uint32_t n;
	long ret;

	while (!(ret = o->next_key(f->m, NULL, &at)))
		if ((ret = o->erase(f->m, &at)))
			return fail("delete", ret);
	if (ret != -ENOENT)
		return fail("next_key", ret);
	for (n = 0; n < f->v->max_entries; n++) {
		struct prefix p = n < KEYS ? keys[n] : filler(n);

		ret = o->write(f->m, &p, value_of(n < KEYS ? n : 0, 3), BPF_NOEXIST);
		if (ret)
			return fail("update up to max_entries", ret);
	}
	at = filler(n);
	if ((ret = o->write(f->m, &at, value_of(0, 3), 0)) != -ENOSPC)
		return fail("update beyond max_entries", ret);
	if ((ret = o->stats(f->m, &stats)) || stats.entries != n)
		return fail("count", (long)stats.entries);
	for (n = 0, ret = o->next_key(f->m, NULL, &next); !ret; n++) {
		at = next;
		ret = o->next_key(f->m, &at, &next);
	}
	if (ret != -ENOENT || n != f->v->max_entries)
		return fail("walk", n);
	for (uint32_t k = 0; k < KEYS; k++)
		if ((ret = look(f, &keys[k])) != (int)(60 + k))
			return fail("lookup", ret);
	if (lease_acquire() != this_cpu)
		return fail("lease", 0);
	ret = o->delete (f->m, &keys[1]);
	if (!ret)
		ret = o->update(f->m, &keys[1], value_of(1, 5), BPF_NOEXIST);
	if (!ret)
		ret = o->update(f->m, &keys[2], value_of(2, 5), BPF_EXIST);
	if (!ret && !o->lookup(f->m, &keys[1]))
		ret = -ENOENT;
	lease_release();
	if (ret)
		return fail("program", ret);
	return look(f, &keys[1]) == 101 && look(f, &keys[2]) == 102;
}

static bool observe_read_only(struct fixture *f)
{
	struct map *m = f->m, *ro;
	int fd = object_open_id(OBJECT_MAP, m->obj.id, O_RDONLY);
	bool is_old, is_new, ok;

	REQUIRE(fd >= 0 && !map_open(fd, &ro));
	f->m = ro;
	ok = observe(f, &is_old, &is_new);
	f->m = m;
	map_put(ro);
	close(fd);
	return ok;
}

/* Changes all keys without having looked. */
static bool blind(struct fixture *f)
{
	int ret;

	for (uint32_t k = 0; k < KEYS; k++) {
		ret = f->m->ops->write(f->m, &keys[k], value_of(k, 3), 0);
		if (ret && !(f->op->need & FULL && ret == -ENOSPC))
			return fail("blind update", ret);
		if (!ret && look(f, &keys[k]) != (int)(60 + k))
			return fail("lookup after a blind update", k);
	}
	return true;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	bool ended = *op_ended, is_old, is_new, ok = true;
	unsigned int mode = kill_point() % 4;
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
	if (mode == 3) {
		if (!blind(f))
			return KILL_INVALID;
	} else {
		if (mode == 1 && !observe_read_only(f))
			return KILL_INVALID;
		if (!observe(f, &is_old, &is_new))
			return KILL_INVALID;
		if (!(f->op->need & PARTIAL) && !is_old && !is_new) {
			kill_why("neither the old state nor the new one");
			ok = false;
		}
		if (ended && !is_new) {
			kill_why("the operation had ended, and did not happen");
			ok = false;
		}
		if (!(f->op->need & QUIET))
			ended = is_new;
	}
	ok = ok && exercise(f);
	if (lease_cpu() >= 0)
		lease_release();
	if (ok && (ret = f->m->ops->recover(f->m)))
		ok = fail("recover", ret);
	ok = ok && kill_valid(f->m, "in the end");
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

int main(int argc, char **argv)
{
	static struct fixture fixtures[ARRAY_SIZE(variants) * ARRAY_SIZE(ops)];
	static struct kill_case cases[ARRAY_SIZE(fixtures)];
	static char names[ARRAY_SIZE(fixtures)][64];
	unsigned int n = 0;

	for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
		for (size_t o = 0; o < ARRAY_SIZE(ops); o++) {
			if (ops[o].need & GIFT && variants[v].max_entries < LPM_PARTS_FROM)
				continue;
			fixtures[n].v = &variants[v];
			fixtures[n].op = &ops[o];
			snprintf(names[n], sizeof(names[n]), "%s/%s", variants[v].name,
				 ops[o].name);
			cases[n] =
				(struct kill_case){.name = names[n],
						   .arg = &fixtures[n],
						   .setup = setup,
						   .op = run,
						   .peek = peek,
						   .check = check,
						   .points = ops[o].need & (QUIET | PARTIAL) ? 150
							     : variants[v].more		     ? 300
											     : 0};
			n++;
		}
	}
	kill_begin = begin;
	return kill_main(argc, argv, cases, n);
}
