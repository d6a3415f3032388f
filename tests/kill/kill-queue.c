/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every operation of QUEUE, STACK and BLOOM_FILTER, killed after each of its
 * instructions.
 *
 * While the dead one stands still before its death, a reader, who may have only a
 * read-only mapping, finds the next value as it was before or as it is afterwards, whole.
 * Then the survivor repairs first, or pushes first without having looked, or takes
 * everything out: what comes out, in which order, is what was there before the operation or
 * after it. At last there is room for exactly max_entries again.
 *
 * The argument is the beginning of the cases' names: VARIANT/OPERATION.
 */
#include <sched.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "maps.h"
#include "map/map.h"
#include "sync/lease.h"

#define VALUE_MAX 2000
#define ENTRIES_MAX 20
#define NEW 100u   /* what the operation pushes */
#define BLIND 101u /* what the survivor pushes first */

static const struct variant {
	const char *name;
	uint32_t type, value_size, max_entries;
	bool wrapped; /* the ring has gone round */
} variants[] = {
	{"queue", BPF_MAP_TYPE_QUEUE, 8, 6},
	{"queue-wrapped", BPF_MAP_TYPE_QUEUE, 24, 6, true},
	/* what the first page has no room for: a push gets more pages */
	{"queue-large", BPF_MAP_TYPE_QUEUE, 500, 11},
	{"queue-one", BPF_MAP_TYPE_QUEUE, 3, 1},
	{"stack", BPF_MAP_TYPE_STACK, 8, 6},
	{"stack-wrapped", BPF_MAP_TYPE_STACK, 24, 6, true},
	{"stack-large", BPF_MAP_TYPE_STACK, 500, 11},
	{"stack-one", BPF_MAP_TYPE_STACK, 3, 1},
	{"bloom", BPF_MAP_TYPE_BLOOM_FILTER, 8, 10},
	{"bloom-chunks", BPF_MAP_TYPE_BLOOM_FILTER, 1100, 200000},
};

/* Oldest first; of a filter: what was pushed. */
struct state {
	uint32_t n;
	uint8_t value[ENTRIES_MAX + 2];
};

enum need {
	QUIET = 1, /* changes nothing */
	FULL = 2,
	EMPTY = 4,
	LAST = 8, /* starts with one value */
	BLOOM = 16,
	NO_BLOOM = 32,
};

struct fixture;

struct op {
	const char *name;
	int need;
	void (*run)(struct fixture *f);
	void (*expect)(struct fixture *f, struct state *s);
};

struct fixture {
	const struct variant *v;
	const struct op *op;
	struct map *m;
	int fd;
	struct state old, new;
	uint64_t changes;
};

static uint32_t *op_ended;
static uint8_t room[VALUE_MAX];

static bool is_bloom(const struct fixture *f)
{
	return f->v->type == BPF_MAP_TYPE_BLOOM_FILTER;
}

static bool is_stack(const struct fixture *f)
{
	return f->v->type == BPF_MAP_TYPE_STACK;
}

static void *value_of(const struct fixture *f, uint32_t id)
{
	static uint8_t buf[VALUE_MAX];

	memset(buf, (int)id, f->v->value_size);
	return buf;
}

/* The number; 0: a mixture. */
static uint8_t number_of(const struct fixture *f, const uint8_t *buf)
{
	for (uint32_t i = 1; i < f->v->value_size; i++)
		if (buf[i] != buf[0])
			return 0;
	return buf[0];
}

/* ---- operations, in the child ---- */

static void end(long ret, long want)
{
	kill_end(op_ended, ret, want);
}

static void run_push(struct fixture *f)
{
	end(f->m->ops->write(f->m, NULL, value_of(f, NEW), 0), 0);
}

static void run_push_exist(struct fixture *f)
{
	end(f->m->ops->write(f->m, NULL, value_of(f, NEW), BPF_EXIST), 0);
}

static void run_push_refused(struct fixture *f)
{
	end(f->m->ops->write(f->m, NULL, value_of(f, NEW), 0), -E2BIG);
}

static void run_push_again(struct fixture *f)
{
	end(f->m->ops->write(f->m, NULL, value_of(f, 1), 0), 0);
}

static void run_pop(struct fixture *f)
{
	end(f->m->ops->pop(f->m, NULL, room, 0), 0);
}

static void run_pop_empty(struct fixture *f)
{
	end(f->m->ops->pop(f->m, NULL, room, 0), -ENOENT);
}

static void run_peek(struct fixture *f)
{
	memcpy(room, value_of(f, 1), f->v->value_size);
	end(f->m->ops->read(f->m, NULL, room, 0), 0);
}

static void run_peek_missing(struct fixture *f)
{
	memcpy(room, value_of(f, NEW), f->v->value_size);
	end(f->m->ops->read(f->m, NULL, room, 0), -ENOENT);
}

static void prog_begin(void)
{
	if (lease_acquire() < 0)
		_exit(1);
}

static void prog_end(long ret, long want)
{
	lease_release();
	end(ret, want);
}

static void run_prog_push(struct fixture *f)
{
	prog_begin();
	prog_end(f->m->ops->push(f->m, value_of(f, NEW), 0), 0);
}

static void run_prog_push_exist(struct fixture *f)
{
	prog_begin();
	prog_end(f->m->ops->push(f->m, value_of(f, NEW), BPF_EXIST), 0);
}

static void run_prog_pop(struct fixture *f)
{
	prog_begin();
	prog_end(f->m->ops->take(f->m, room), 0);
}

static void run_prog_peek(struct fixture *f)
{
	memcpy(room, value_of(f, 1), f->v->value_size);
	prog_begin();
	prog_end(f->m->ops->peek(f->m, room), 0);
}

/* ---- what they should have done ---- */

static void expect_pushed(struct fixture *f, struct state *s)
{
	if (s->n == f->v->max_entries && !is_bloom(f))
		memmove(&s->value[0], &s->value[1], --s->n);
	s->value[s->n++] = NEW;
}

static void expect_popped(struct fixture *f, struct state *s)
{
	s->n--;
	if (!is_stack(f))
		memmove(&s->value[0], &s->value[1], s->n);
}

static const struct op ops[] = {
	{"push", 0, run_push, expect_pushed},
	{"push-exist", NO_BLOOM, run_push_exist, expect_pushed},
	{"push-into-empty", EMPTY, run_push, expect_pushed},
	{"push-when-full", NO_BLOOM | FULL | QUIET, run_push_refused},
	{"push-exist-when-full", NO_BLOOM | FULL, run_push_exist, expect_pushed},
	{"push-again", BLOOM | QUIET, run_push_again},
	{"pop", NO_BLOOM, run_pop, expect_popped},
	{"pop-last", NO_BLOOM | LAST, run_pop, expect_popped},
	{"pop-empty", NO_BLOOM | EMPTY | QUIET, run_pop_empty},
	{"peek", QUIET, run_peek},
	{"peek-missing", EMPTY | QUIET, run_peek_missing},
	{"program-push", 0, run_prog_push, expect_pushed},
	{"program-push-exist-when-full", NO_BLOOM | FULL, run_prog_push_exist, expect_pushed},
	{"program-pop", NO_BLOOM, run_prog_pop, expect_popped},
	{"program-peek", QUIET, run_prog_peek},
};

/* ---- the survivor ---- */

static uint32_t initial(const struct fixture *f)
{
	uint32_t max = f->v->max_entries;

	if (f->op->need & EMPTY)
		return 0;
	if (f->op->need & LAST || max == 1)
		return f->op->expect == expect_pushed && !(f->op->need & FULL) ? 0 : 1;
	if (is_bloom(f))
		return 5;
	return f->op->need & FULL ? max : max - 3;
}

static void setup(void *arg)
{
	struct fixture *f = arg;
	struct map_attr attr = {
		.map_type = f->v->type,
		.value_size = f->v->value_size,
		.max_entries = f->v->max_entries,
		.map_flags = is_bloom(f) ? BPF_F_ZERO_SEED : 0,
		.name = "kill",
		.spin_lock_off = -1,
	};

	kill_drop_map(&f->m, f->fd);
	*op_ended = 0;
	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	if (f->v->wrapped) {
		/* never empty: then it would begin at the front again */
		REQUIRE(!f->m->ops->write(f->m, NULL, value_of(f, 99), 0));
		for (uint32_t i = 0; i < f->v->max_entries - 1; i++)
			REQUIRE(!f->m->ops->write(f->m, NULL, value_of(f, 99), 0));
		for (uint32_t i = 0; i < 2; i++)
			REQUIRE(!f->m->ops->write(f->m, NULL, value_of(f, 99), BPF_EXIST));
	}
	f->old = (struct state){.n = initial(f)};
	for (uint32_t i = 0; i < f->old.n; i++) {
		f->old.value[i] = i + 1;
		REQUIRE(!f->m->ops->write(f->m, NULL, value_of(f, i + 1),
					  f->v->wrapped ? BPF_EXIST : 0));
	}
	if (f->v->wrapped) {
		/* the older ones out, the new ones stay where they are */
		if (is_stack(f)) {
			uint32_t n = f->v->max_entries - f->old.n;

			/* the bottom ones cannot be taken out: they stay */
			memmove(&f->old.value[n], &f->old.value[0], f->old.n);
			memset(&f->old.value[0], 99, n);
			f->old.n += n;
			for (; f->old.n > initial(f); f->old.n--)
				REQUIRE(!f->m->ops->pop(f->m, NULL, room, 0));
		} else {
			for (uint32_t i = f->old.n; i < f->v->max_entries; i++)
				REQUIRE(!f->m->ops->pop(f->m, NULL, room, 0));
		}
	}
	f->new = f->old;
	if (f->op->expect)
		f->op->expect(f, &f->new);
	f->changes = kill_changes(f->m);
}

static bool fail(const char *what, long ret)
{
	kill_why("the survivor's %s: %ld", what, ret);
	return false;
}

/* Is what a reader sees one of the two? */
static bool look(struct fixture *f, struct map *m)
{
	const struct state *s[] = {&f->old, &f->new};
	uint8_t seen = 0;
	int ret;

	if (is_bloom(f)) {
		for (uint32_t i = 0; i < f->old.n; i++) {
			ret = m->ops->read(m, NULL, value_of(f, f->old.value[i]), 0);
			if (ret)
				return fail("question for an old value", ret);
		}
		ret = m->ops->read(m, NULL, value_of(f, NEW), 0);
		return !ret || ret == -ENOENT ? true : fail("question for the new value", ret);
	}
	memset(room, 0xee, sizeof(room));
	ret = m->ops->read(m, NULL, room, 0);
	if (ret && ret != -ENOENT)
		return fail("peek", ret);
	if (!ret)
		seen = number_of(f, room);
	for (int i = 0; i < 2; i++)
		if (s[i]->n ? seen && seen == s[i]->value[is_stack(f) ? s[i]->n - 1 : 0]
			    : ret == -ENOENT)
			return true;
	kill_why("a reader sees %u (%d)", seen, ret);
	return false;
}

static bool peek(void *arg)
{
	struct fixture *f = arg;
	struct map *ro;
	bool ok;
	int fd;

	if (kill_point() % 8)
		return look(f, f->m);
	fd = object_open_id(OBJECT_MAP, f->m->obj.id, O_RDONLY);
	REQUIRE(fd >= 0 && !map_open(fd, &ro));
	ok = look(f, ro);
	map_put(ro);
	close(fd);
	return ok;
}

static bool take_all(struct fixture *f, struct state *s)
{
	long ret;

	s->n = 0;
	for (;;) {
		memset(room, 0xee, sizeof(room));
		ret = f->m->ops->pop(f->m, NULL, room, 0);
		if (ret == -ENOENT)
			break;
		if (ret)
			return fail("pop", ret);
		if (s->n == f->v->max_entries)
			return fail("pop of more than max_entries", s->n);
		s->value[s->n++] = number_of(f, room);
	}
	for (uint32_t i = 0; is_stack(f) && i < s->n / 2; i++) {
		uint8_t v = s->value[i];

		s->value[i] = s->value[s->n - 1 - i];
		s->value[s->n - 1 - i] = v;
	}
	return true;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->n == b->n && !memcmp(a->value, b->value, a->n);
}

static void push_model(struct fixture *f, struct state *s, uint8_t value)
{
	if (s->n == f->v->max_entries)
		memmove(&s->value[0], &s->value[1], --s->n);
	s->value[s->n++] = value;
}

/* Exactly max_entries, whole and in order; from programs too. */
static bool exercise(struct fixture *f)
{
	const struct map_ops *o = f->m->ops;
	struct state want = {0}, got;
	long ret;

	for (uint32_t i = 0; i < f->v->max_entries; i++) {
		if ((ret = o->write(f->m, NULL, value_of(f, 10 + i), 0)))
			return fail("push up to max_entries", ret);
		push_model(f, &want, 10 + i);
	}
	if ((ret = o->write(f->m, NULL, value_of(f, 50), 0)) != -E2BIG)
		return fail("push beyond max_entries", ret);
	if ((ret = o->write(f->m, NULL, value_of(f, 51), BPF_EXIST)))
		return fail("push over the oldest", ret);
	push_model(f, &want, 51);
	if (lease_acquire() < 0)
		return fail("lease", 0);
	if ((ret = o->push(f->m, value_of(f, 52), 0)) != -E2BIG)
		return fail("program push beyond max_entries", ret);
	if ((ret = o->push(f->m, value_of(f, 53), BPF_EXIST)))
		return fail("program push over the oldest", ret);
	push_model(f, &want, 53);
	if ((ret = o->peek(f->m, room)) ||
	    number_of(f, room) != want.value[is_stack(f) ? want.n - 1 : 0])
		return fail("program peek", ret);
	lease_release();
	if (!take_all(f, &got))
		return false;
	if (!same(&want, &got))
		return fail("order of a full map", got.n);
	return true;
}

static enum kill_outcome check_bloom(struct fixture *f)
{
	bool there, ended = *op_ended, quiet = f->op->need & QUIET;
	int ret;

	if (!look(f, f->m))
		return KILL_INVALID;
	there = !f->m->ops->read(f->m, NULL, value_of(f, NEW), 0);
	if (!quiet && ended && !there) {
		kill_why("the push had ended, and the value is not there");
		return KILL_INVALID;
	}
	if (quiet && there) {
		kill_why("a value is there that nobody pushed");
		return KILL_INVALID;
	}
	if ((ret = f->m->ops->write(f->m, NULL, value_of(f, NEW), 0)) ||
	    (ret = f->m->ops->read(f->m, NULL, value_of(f, NEW), 0))) {
		fail("push and question", ret);
		return KILL_INVALID;
	}
	ret = f->m->ops->read(f->m, NULL, value_of(f, 200), 0);
	if (ret != -ENOENT) {
		fail("question for what is not there", ret);
		return KILL_INVALID;
	}
	if (f->m->ops->recover(f->m) || !kill_valid(f->m, "in the end"))
		return KILL_INVALID;
	return (quiet ? ended : there) ? KILL_NEW : KILL_OLD;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	bool ended = *op_ended, ok = true, is_old, is_new;
	struct state s, old = f->old, new = f->new;
	unsigned int mode = kill_point() % 3;
	uint64_t counted = kill_changes(f->m) - f->changes;
	int ret;

	if (is_bloom(f))
		return check_bloom(f);
	if (mode == 0) {
		ret = f->m->ops->recover(f->m);
		if (ret) {
			kill_why("recover: %d", ret);
			return KILL_INVALID;
		}
		if (!kill_valid(f->m, "after recover"))
			return KILL_INVALID;
	} else if (mode == 1) {
		ret = f->m->ops->write(f->m, NULL, value_of(f, BLIND), BPF_EXIST);
		if (ret) {
			fail("blind push", ret);
			return KILL_INVALID;
		}
		push_model(f, &old, BLIND);
		push_model(f, &new, BLIND);
	}
	if (!take_all(f, &s))
		return KILL_INVALID;
	is_old = same(&s, &old);
	is_new = same(&s, &new);
	if (!is_old && !is_new) {
		kill_why("%u values, the first %u, are neither what was before (%u) nor after (%u)",
			 s.n, s.value[0], old.n, new.n);
		ok = false;
	}
	if (ended && !is_new) {
		kill_why("the operation had ended, and did not happen");
		ok = false;
	}
	if (ok && is_old != is_new)
		ok = kill_counted(counted, is_new, ended);
	if (!(f->op->need & QUIET))
		ended = is_new;
	ok = ok && exercise(f);
	if (lease_cpu() >= 0)
		lease_release();
	if (ok && f->m->ops->recover(f->m))
		ok = fail("recover", 0);
	ok = ok && kill_valid(f->m, "in the end");
	return !ok ? KILL_INVALID : ended ? KILL_NEW : KILL_OLD;
}

static void begin(void)
{
	kill_area_begin();
	op_ended = kill_shared_word();
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
			struct fixture *f = &fixtures[n];

			f->v = &variants[v];
			f->op = &ops[o];
			if (f->op->need & (is_bloom(f) ? NO_BLOOM : BLOOM))
				continue;
			snprintf(names[n], sizeof(names[n]), "%s/%s", f->v->name, f->op->name);
			cases[n] = (struct kill_case){.name = names[n],
						      .arg = f,
						      .setup = setup,
						      .op = run,
						      .peek = peek,
						      .check = check,
						      .points = f->op->need & QUIET	 ? 250
								: f->v->value_size > 100 ? 300
											 : 0};
			n++;
		}
	}
	kill_begin = begin;
	return kill_main(argc, argv, cases, n);
}
