/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program in native code, killed after each of its instructions: in the code itself, in what
 * it has inlined of lookups, in the operations that it calls, under a bpf_spin_lock, and while
 * it takes and gives back its CPU.
 *
 * Its steps follow each other, so a survivor finds a beginning of them done and the
 * rest not, every value whole; repairs, and finds all invariants true; and runs the same program,
 * which then does all of it: no lock and no CPU is left taken.
 */
#include <linux/bpf.h>
#include <string.h>

#include "../vm/interp/prog.h"
#include "base/bits.h"
#include "base/errors.h"
#include "maps.h"
#include "vm/jit.h"

enum { COUNTS, PAIRS, TABLE, PER_CPU, LOCKED, MAPS };
#define CPUS_MAX LEASE_CPUS_MAX

struct fixture {
	const struct bpf_insn *insns;
	uint32_t cnt;
	/* how many steps are done; -1: no beginning of them */
	int (*done)(void);
	int steps;
	struct vm_prog *p;
};

static struct map *maps[MAPS];
static uint32_t *ended; /* shared with the child */

struct pair {
	uint64_t a, b;
};

struct locked {
	uint32_t lock, pad;
	struct pair v;
};

/* ---- the maps ---- */

static struct map *new_map(uint32_t type, uint32_t value_size, int32_t lock_off)
{
	struct map_attr attr = {.map_type = type,
				.key_size = 4,
				.value_size = value_size,
				.max_entries = 8,
				.map_flags = type == BPF_MAP_TYPE_HASH ? BPF_F_ZERO_SEED : 0,
				.spin_lock_off = lock_off,
				.name = "kill"};
	struct map *m;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	return m; /* (the fd stays: it holds the map) */
}

static void put(int map, uint32_t key, const void *value)
{
	REQUIRE(!maps[map]->ops->write(maps[map], &key, value, BPF_ANY));
}

static struct pair get_pair(int map, uint32_t key)
{
	struct pair v = {0};
	int ret = maps[map]->ops->read(maps[map], &key, &v, 0);

	return ret ? (struct pair){0} : v;
}

/* Values are 1, and the table has keys 1 and 2. */
static void reset(void)
{
	static const struct pair one = {1, 1};
	static const struct locked locked = {.v = {1, 1}};
	uint64_t each[CPUS_MAX];
	uint32_t gone = 3;

	for (int i = 0; i < CPUS_MAX; i++)
		each[i] = 1;
	put(COUNTS, 1, &one.a);
	put(PAIRS, 1, &one);
	put(TABLE, 1, &one);
	put(TABLE, 2, &one);
	maps[TABLE]->ops->erase(maps[TABLE], &gone);
	put(PER_CPU, 1, each);
	put(LOCKED, 1, &locked);
}

/* ---- the programs ---- */

#define ST(size, base, off, imm) INSN(BPF_ST | (size) | BPF_MEM, base, 0, off, imm)
#define KEY(k) ST(BPF_W, 10, -4, k), MOV64_X(2, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4)
#define VALUE MOV64_X(3, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -24), MOV64_K(4, 0)
#define UNLESS_NULL(n) INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, n, 0)
/* r0 = the value of key k; n: instructions to pass over when there is none */
#define LOOKUP(m, k, n) KEY(k), LD_MAP(1, m), CALL(BPF_FUNC_map_lookup_elem), UNLESS_NULL(n)
#define UPDATE(m, k) KEY(k), VALUE, LD_MAP(1, m), CALL(BPF_FUNC_map_update_elem)
#define ADD(reg, off) INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 0, reg, off, BPF_ADD)

static const struct bpf_insn values[] = {
	LOOKUP(COUNTS, 1, 1),
	ST(BPF_DW, 0, 0, 2),
	LOOKUP(PER_CPU, 1, 1),
	ST(BPF_DW, 0, 0, 2),
	/* two words under the lock */
	LOOKUP(LOCKED, 1, 7),
	MOV64_X(7, 0),
	MOV64_X(1, 0),
	CALL(BPF_FUNC_spin_lock),
	ST(BPF_DW, 7, 8, 2),
	ST(BPF_DW, 7, 16, 2),
	MOV64_X(1, 7),
	CALL(BPF_FUNC_spin_unlock),
	LOOKUP(TABLE, 1, 2),
	MOV64_K(1, 1),
	ADD(1, 0),
	MOV64_K(0, 0),
	EXIT(),
};

static const struct bpf_insn updates[] = {
	ST(BPF_DW, 10, -24, 2),
	ST(BPF_DW, 10, -16, 2),
	UPDATE(PAIRS, 1),
	UPDATE(TABLE, 1),
	KEY(2),
	LD_MAP(1, TABLE),
	CALL(BPF_FUNC_map_delete_elem),
	UPDATE(TABLE, 3),
	MOV64_K(0, 0),
	EXIT(),
};

/* ---- what a survivor finds ---- */

/* Steps that are done come before those that are not. */
static int beginning(const bool *done, int n)
{
	int k = 0;

	while (k < n && done[k])
		k++;
	for (int i = k; i < n; i++)
		if (done[i]) {
			kill_why("step %d is done, and step %d is not", i, k);
			return -1;
		}
	return k;
}

static bool whole(struct pair v, const char *what)
{
	if (v.a == v.b && (v.a == 1 || v.a == 2))
		return true;
	kill_why("%s: %llu %llu", what, (unsigned long long)v.a, (unsigned long long)v.b);
	return false;
}

static int values_done(void)
{
	uint64_t count = 0, each[CPUS_MAX];
	struct locked locked;
	uint32_t key = 1, changed = 0;
	bool done[5];

	REQUIRE(!maps[COUNTS]->ops->read(maps[COUNTS], &key, &count, 0));
	REQUIRE(!maps[PER_CPU]->ops->read(maps[PER_CPU], &key, each, 0));
	REQUIRE(!maps[LOCKED]->ops->read(maps[LOCKED], &key, &locked, 0));
	for (uint32_t i = 0; i < maps[PER_CPU]->attr.possible_cpus; i++)
		changed += each[i] != 1;
	done[0] = count == 2;
	done[1] = changed == 1;
	/* what a program had stored when it died is its own affair: one word may be */
	done[2] = locked.v.a == 2;
	done[3] = locked.v.b == 2;
	done[4] = get_pair(TABLE, 1).a == 2;
	if (count > 2 || changed > 1 || locked.v.a > 2 || locked.v.b > 2) {
		kill_why("values %llu, %u, %llu, %llu", (unsigned long long)count, changed,
			 (unsigned long long)locked.v.a, (unsigned long long)locked.v.b);
		return -1;
	}
	return beginning(done, 5);
}

static int updates_done(void)
{
	struct pair pair = get_pair(PAIRS, 1), first = get_pair(TABLE, 1),
		    second = get_pair(TABLE, 2), third = get_pair(TABLE, 3);
	bool done[] = {pair.a == 2, first.a == 2, !second.a, third.a == 2};

	if (!whole(pair, "pairs") || !whole(first, "key 1") ||
	    (second.a && !whole(second, "key 2")) || (third.a && !whole(third, "key 3")))
		return -1;
	return beginning(done, 4);
}

/* ---- the cases ---- */

static void run(void *arg)
{
	struct fixture *f = arg;
	uint8_t ctx[256] = {0};
	uint64_t ret = 1;

	if (lease_acquire() < 0 || vm_run(f->p, ctx, NULL, &ret) || ret) {
		fprintf(stderr, "the run failed (%llu)\n", (unsigned long long)ret);
		_exit(1);
	}
	lease_release();
	store_relaxed(ended, 1);
}

static void make(struct fixture *f)
{
	struct vm_prog *p;

	if (!maps[0]) {
		maps[COUNTS] = new_map(BPF_MAP_TYPE_ARRAY, 8, -1);
		maps[PAIRS] = new_map(BPF_MAP_TYPE_ARRAY, sizeof(struct pair), -1);
		maps[TABLE] = new_map(BPF_MAP_TYPE_HASH, sizeof(struct pair), -1);
		maps[PER_CPU] = new_map(BPF_MAP_TYPE_PERCPU_ARRAY, 8, -1);
		maps[LOCKED] = new_map(BPF_MAP_TYPE_ARRAY, sizeof(struct locked), 0);
		REQUIRE(maps[PER_CPU]->attr.possible_cpus <= CPUS_MAX);
	}
	p = f->p = prog_new(BPF_PROG_TYPE_SCHED_CLS, f->insns, f->cnt);
	p->gpl_compatible = true;
	p->engine = VM_ENGINE_JIT;
	p->maps = calloc(MAPS, sizeof(*p->maps));
	REQUIRE(p->maps);
	for (int i = 0; i < MAPS && maps[i]; i++) {
		p->maps[p->map_cnt++] = maps[i];
		map_get(maps[i]);
	}
}

static void setup(void *arg)
{
	struct fixture *f = arg;
	char text[4096] = "";
	struct vm_log log = {.buf = text, .size = sizeof(text), .level = 1};

	store_relaxed(ended, 0);
	if (!f->p) {
		make(f);
		if (vm_verify(f->p, &log)) {
			fputs(text, stderr);
			exit(1);
		}
		REQUIRE(!uaccess_init());
		reset();
		run(f);
		REQUIRE(jit_image_of(f->p));
		store_relaxed(ended, 0);
	}
	reset();
}

static bool all_recovered(const char *when)
{
	bool fine = true;

	for (int i = 0; i < MAPS && maps[i]; i++)
		fine &= kill_recovered(maps[i], when);
	return fine;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	bool was_over = load_relaxed(ended), repaired = kill_point() % 2;
	int done;

	/* every other time what is read is read before anything is repaired */
	if (repaired && !all_recovered("after the death"))
		return KILL_INVALID;
	done = f->done();
	if (done < 0)
		return KILL_INVALID;
	if (was_over && done != f->steps) {
		kill_why("it ended after %d of %d steps", done, f->steps);
		return KILL_INVALID;
	}
	reset();
	run(f);
	if (f->done() != f->steps) {
		kill_why("the next run did not do all");
		return KILL_INVALID;
	}
	if (!all_recovered("after the next run"))
		return KILL_INVALID;
	return done == f->steps ? KILL_NEW : KILL_OLD;
}

int main(int argc, char **argv)
{
	static struct fixture f[] = {
		{values, ARRAY_SIZE(values), values_done, 5, NULL},
		{updates, ARRAY_SIZE(updates), updates_done, 4, NULL},
	};
	static const struct kill_case cases[] = {
		{.name = "values", .arg = &f[0], .setup = setup, .op = run, .check = check},
		{.name = "updates",
		 .arg = &f[1],
		 .setup = setup,
		 .op = run,
		 .check = check,
		 .points = 300},
	};

	if (!VM_HAVE_JIT)
		SKIP("no native code on this machine");
	ended = kill_shared_word();
	kill_begin = kill_area_begin;
	return kill_main(argc, argv, cases, ARRAY_SIZE(cases));
}
