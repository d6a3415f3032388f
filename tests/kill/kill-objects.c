/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps whose values are objects, killed after each instruction of an operation.
 *
 * Slot 0 and 1 hold object A, slot 2 holds B, slot 3 nothing; C is held by fds only. A
 * survivor then finds each slot as before or as after. When it has closed its own fds, the
 * objects that live are those that slots show (nothing dangling), and, when somebody has
 * repaired or changed the map, no others (nothing lost). In the end no reference is left.
 *
 * The argument is the beginning of the cases' names: TYPE/OPERATION.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "../sys/map/both.h"
#include "base/bits.h"
#include "maps.h"
#include "map/map.h"
#include "map/objref.h"
#include "sys/fd.h"

#define SLOTS 4u
enum { A, B, C, OBJECTS, NONE = OBJECTS };

struct variant {
	const char *name;
	uint32_t type, flags;
	bool progs, hash;
};

static const struct variant variants[] = {
	{"array-of-maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 0, false, false},
	{"hash-of-maps", BPF_MAP_TYPE_HASH_OF_MAPS, 0, false, true},
	{"hash-of-maps-no-prealloc", BPF_MAP_TYPE_HASH_OF_MAPS, BPF_F_NO_PREALLOC, false, true},
	{"prog-array", BPF_MAP_TYPE_PROG_ARRAY, 0, true, false},
};

struct fixture {
	const struct variant *v;
	const struct op *op;
	int outer, fd[OBJECTS], user; /* user: a program that goes by the map */
	uint32_t outer_id, id[OBJECTS];
	uint8_t old[SLOTS], new[SLOTS];
};

struct op {
	const char *name;
	void (*run)(struct fixture *f);
	void (*expect)(struct fixture *f);
	enum { ANY, HASH = 1, MAPS = 2, PROGS = 4, PARTIAL = 8, QUIET = 16 } need;
};

static uint32_t *ended; /* shared with the child */

/* ---- operations, in the child ---- */

static void end(long ret, long want)
{
	kill_end(ended, ret, want);
}

static long put(struct fixture *f, uint32_t key, int object, uint64_t flags)
{
	return update(f->outer, &key, &f->fd[object], flags);
}

static void run_insert(struct fixture *f)
{
	end(put(f, 3, C, 0), 0);
}

static void expect_insert(struct fixture *f)
{
	f->new[3] = C;
}

static void run_replace(struct fixture *f)
{
	end(put(f, 2, C, 0), 0);
}

static void expect_replace(struct fixture *f)
{
	f->new[2] = C;
}

static void run_replace_shared(struct fixture *f)
{
	end(put(f, 1, B, 0), 0);
}

static void expect_replace_shared(struct fixture *f)
{
	f->new[1] = B;
}

static void run_replace_same(struct fixture *f)
{
	end(put(f, 2, B, 0), 0);
}

static void run_refused(struct fixture *f)
{
	end(put(f, 3, C, BPF_EXIST), f->v->hash ? -ENOENT : -EINVAL);
}

static void run_no_room(struct fixture *f)
{
	put(f, 3, C, 0);
	end(put(f, 77, C, 0), -E2BIG);
}

static void run_delete(struct fixture *f)
{
	uint32_t key = 2;

	end(delete (f->outer, &key), 0);
}

static void expect_delete(struct fixture *f)
{
	f->new[2] = NONE;
}

static void run_delete_shared(struct fixture *f)
{
	uint32_t key = 0;

	end(delete (f->outer, &key), 0);
}

static void expect_delete_shared(struct fixture *f)
{
	f->new[0] = NONE;
}

static void run_lookup(struct fixture *f)
{
	uint32_t key = 2, value;

	end(lookup(f->outer, &key, &value, 0), 0);
}

static long batch(struct fixture *f, int cmd, uint32_t n, bool out)
{
	uint32_t keys[SLOTS] = {1, 2, 3, 0}, values[SLOTS], token = 0;
	union sys_attr a = {.batch = {.map_fd = f->outer, .keys = P(keys), .count = n}};

	for (uint32_t i = 0; i < SLOTS; i++)
		values[i] = f->fd[C];
	if (cmd != BPF_MAP_DELETE_BATCH)
		a.batch.values = P(values);
	if (out)
		a.batch.out_batch = P(&token);
	return bpf(cmd, &a, sizeof(a));
}

static void run_update_batch(struct fixture *f)
{
	end(batch(f, BPF_MAP_UPDATE_BATCH, 3, false), 0);
}

static void expect_update_batch(struct fixture *f)
{
	f->new[1] = f->new[2] = f->new[3] = C;
}

static void run_delete_batch(struct fixture *f)
{
	end(batch(f, BPF_MAP_DELETE_BATCH, 2, false), 0);
}

static void expect_delete_batch(struct fixture *f)
{
	f->new[1] = f->new[2] = NONE;
}

static void run_take_batch(struct fixture *f)
{
	end(batch(f, BPF_MAP_LOOKUP_AND_DELETE_BATCH, 4, true), -ENOENT);
}

static void expect_take_batch(struct fixture *f)
{
	memset(f->new, NONE, sizeof(f->new));
}

static int64_t run_prog(int prog)
{
	uint8_t packet[64] = {0};
	union sys_attr a = {
		.test = {.prog_fd = prog, .data_in = P(packet), .data_size_in = sizeof(packet)}};
	long ret = bpf(BPF_PROG_TEST_RUN, &a, sizeof(a));

	return ret ? ret : (int64_t)a.test.retval;
}

/* The object in slot 2, as a program sees it. */
static void run_program(struct fixture *f)
{
	end(run_prog(f->user), B);
}

static void run_program_after_change(struct fixture *f)
{
	run_prog(f->user);
	put(f, 2, C, 0);
	end(run_prog(f->user), C);
}

/* The last user goes: the slots are emptied. (The survivor's fds share descriptions.) */
static void run_close(struct fixture *f)
{
	int again = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = f->outer_id});

	close_fd(again);
	end(0, 0);
}

static const struct op ops[] = {
	{"insert", run_insert, expect_insert, ANY},
	{"replace", run_replace, expect_replace, ANY},
	{"replace-shared", run_replace_shared, expect_replace_shared, ANY},
	{"replace-same", run_replace_same, NULL, ANY},
	{"refused", run_refused, NULL, ANY},
	{"no-room", run_no_room, expect_insert, ANY},
	{"delete", run_delete, expect_delete, ANY},
	{"delete-shared", run_delete_shared, expect_delete_shared, ANY},
	{"lookup", run_lookup, NULL, QUIET},
	{"update-batch", run_update_batch, expect_update_batch, MAPS | PARTIAL},
	{"delete-batch", run_delete_batch, expect_delete_batch, HASH | PARTIAL},
	{"take-batch", run_take_batch, expect_take_batch, HASH | PARTIAL},
	{"program", run_program, NULL, QUIET},
	{"program-after-change", run_program_after_change, expect_replace, PARTIAL},
	{"open-and-close", run_close, NULL, PROGS | QUIET},
};

/* ---- the survivor ---- */

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

static int load(const struct bpf_insn *insns, uint32_t n)
{
	int fd = CALL(BPF_PROG_LOAD, .prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
						   .insns = P(insns),
						   .insn_cnt = n,
						   .license = P("GPL")});

	REQUIRE(fd >= 0);
	return fd;
}

/* A program that tells the object in slot 2: the first value of a map, the result of a
 * program; NONE. */
static int load_user(struct fixture *f)
{
	const struct bpf_insn tail[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, f->outer),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 2),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, NONE),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	const struct bpf_insn read[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 2),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, f->outer),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7, 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
		INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, NONE),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return f->v->progs ? load(tail, ARRAY_SIZE(tail)) : load(read, ARRAY_SIZE(read));
}

static int make_object(struct fixture *f, int which)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, which),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	uint64_t value = (uint64_t)which;
	uint32_t zero = 0;
	int fd;

	if (f->v->progs)
		return load(insns, 2);
	fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
	REQUIRE(!update(fd, &zero, &value, 0));
	return fd;
}

static uint32_t object_id(int fd)
{
	uint32_t id;

	REQUIRE(fd_identify(fd, &id) >= 0);
	return id;
}

static void close_objects(struct fixture *f)
{
	for (int i = 0; i < OBJECTS; i++) {
		close_fd(f->fd[i]);
		f->fd[i] = -1;
	}
}

static void setup(void *arg)
{
	static const uint8_t first[SLOTS] = {A, A, B, NONE};
	struct fixture *f = arg;

	*ended = 0;
	for (int i = 0; i < OBJECTS; i++) {
		f->fd[i] = make_object(f, i);
		f->id[i] = object_id(f->fd[i]);
	}
	f->outer = CALL(BPF_MAP_CREATE, .map_create = {.map_type = f->v->type,
						       .key_size = 4,
						       .value_size = 4,
						       .max_entries = SLOTS,
						       .map_flags = f->v->flags,
						       .inner_map_fd = f->fd[A]});
	REQUIRE(f->outer >= 0);
	f->outer_id = object_id(f->outer);
	for (uint32_t k = 0; k < SLOTS; k++)
		if (first[k] != NONE)
			REQUIRE(!put(f, k, first[k], 0));
	f->user = load_user(f);
	memcpy(f->old, first, sizeof(first));
	memcpy(f->new, first, sizeof(first));
	if (f->op->expect)
		f->op->expect(f);
}

/* Which object the slot shows; -1: none of them. */
static int shown(struct fixture *f, uint32_t key)
{
	uint32_t id = 0;
	long ret = lookup(f->outer, &key, &id, 0);

	if (ret == -ENOENT)
		return NONE;
	for (int i = 0; !ret && i < OBJECTS; i++)
		if (f->id[i] == id)
			return i;
	kill_why("slot %u: %ld, id %u", key, ret, id);
	return -1;
}

static bool observe(struct fixture *f, uint8_t now[SLOTS])
{
	for (uint32_t k = 0; k < SLOTS; k++) {
		int which = shown(f, k);

		if (which < 0)
			return false;
		if (which != f->old[k] && which != f->new[k]) {
			kill_why("slot %u holds %d", k, which);
			return false;
		}
		now[k] = (uint8_t)which;
	}
	return true;
}

static bool peek(void *arg)
{
	uint8_t now[SLOTS];

	return observe(arg, now);
}

static bool lives(struct fixture *f, uint32_t id)
{
	union sys_attr a = {.id = {.start_id = id - 1}};
	int cmd = f->v->progs ? BPF_PROG_GET_NEXT_ID : BPF_MAP_GET_NEXT_ID;

	return !bpf(cmd, &a, sizeof(a.id)) && a.id.next_id == id;
}

/* Objects that slots show live; exact: and no others. */
static bool living(struct fixture *f, bool exact, const char *when)
{
	bool in_slot[OBJECTS] = {false};

	for (uint32_t k = 0; k < SLOTS; k++) {
		int which = shown(f, k);

		if (which < 0)
			return false;
		if (which != NONE)
			in_slot[which] = true;
	}
	for (int i = 0; i < OBJECTS; i++) {
		bool there = lives(f, f->id[i]);

		if (there == in_slot[i] || (there && !exact))
			continue;
		kill_why("%s: object %d is %s", when, i, there ? "lost" : "gone");
		return false;
	}
	return true;
}

static bool recovered(struct fixture *f)
{
	struct fd_op op;
	bool ok;

	REQUIRE(!fd_begin(f->outer, &op));
	ok = kill_recovered(op.ref->map, "afterwards");
	fd_end(&op);
	return ok;
}

static unsigned int names_below(const char *dir)
{
	char path[512];
	struct dirent *d;
	unsigned int n = 0;
	DIR *handle;

	snprintf(path, sizeof(path), "%s/%s", getenv("SHMAP_DIR"), dir);
	handle = opendir(path);
	REQUIRE(handle);
	while ((d = readdir(handle)))
		n += d->d_name[0] != '.';
	closedir(handle);
	return n;
}

/* Everything can be done with the map, up to its capacity. */
static bool exercise(struct fixture *f)
{
	int fd = make_object(f, A), other = make_object(f, B);
	uint32_t key, value, id = object_id(fd), other_id = object_id(other);
	long ret = 0;

	for (key = 0; key < SLOTS && !ret; key++)
		ret = update(f->outer, &key, &fd, 0);
	for (key = 0; key < SLOTS && !ret; key++) {
		ret = lookup(f->outer, &key, &value, 0);
		if (!ret && value != id)
			ret = -EIO;
	}
	key = 2;
	if (!ret && run_prog(f->user) != A)
		ret = -EPROTO;
	if (!ret)
		ret = update(f->outer, &key, &other, 0);
	if (!ret && run_prog(f->user) != B)
		ret = -EPROTO;
	close_fd(fd);
	close_fd(other);
	if (!ret && (!lives(f, id) || !lives(f, other_id)))
		ret = -ENOENT;
	for (key = 0; key < SLOTS && !ret; key++)
		ret = delete (f->outer, &key);
	if (!ret && (lives(f, id) || lives(f, other_id)))
		ret = -EEXIST;
	if (ret)
		kill_why("the survivor's operations: %ld", ret);
	return !ret;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	bool done = *ended, is_old, is_new, ok;
	uint8_t now[SLOTS];
	uint32_t key = 77;

	ok = observe(f, now);
	is_old = !memcmp(now, f->old, SLOTS);
	is_new = !memcmp(now, f->new, SLOTS);
	if (ok && !(f->op->need & PARTIAL) && !is_old && !is_new) {
		kill_why("neither before nor after");
		ok = false;
	}
	if (ok && done && !is_new) {
		kill_why("the operation had ended, and did not happen");
		ok = false;
	}
	if (f->op->expect)
		done = is_new;
	close_objects(f);
	/* what slots show is there before anybody has repaired anything */
	ok = ok && living(f, false, "at first");
	/* then: who repairs, or who changes something else */
	if (ok && kill_point() % 2) {
		ok = recovered(f);
	} else if (ok) {
		int fd = make_object(f, A);

		key = 0;
		ok = !update(f->outer, &key, &fd, 0) && !delete (f->outer, &key);
		close_fd(fd);
	}
	ok = ok && living(f, true, "after repair");
	for (key = 0; ok && key < SLOTS; key++)
		delete (f->outer, &key);
	ok = ok && living(f, true, "when emptied");
	ok = ok && exercise(f) && recovered(f);
	close_fd(f->outer);
	close_fd(f->user);
	object_collect_all();
	if (ok && (names_below("ref") || names_below("map") || names_below("prog"))) {
		kill_why("left: %u references, %u maps, %u programs", names_below("ref"),
			 names_below("map"), names_below("prog"));
		ok = false;
	}
	return !ok ? KILL_INVALID : done ? KILL_NEW : KILL_OLD;
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

	check_private_rundir();
	ended = kill_shared_word();
	for (size_t v = 0; v < ARRAY_SIZE(variants); v++)
		for (size_t o = 0; o < ARRAY_SIZE(ops); o++) {
			struct fixture *f = &fixtures[n];

			f->v = &variants[v];
			f->op = &ops[o];
			if ((f->op->need & HASH && !f->v->hash) ||
			    (f->op->need & MAPS && f->v->progs) ||
			    (f->op->need & PROGS && !f->v->progs))
				continue;
			snprintf(names[n], sizeof(names[n]), "%s/%s", f->v->name, f->op->name);
			cases[n] = (struct kill_case){
				.name = names[n],
				.arg = f,
				.setup = setup,
				.op = run,
				.peek = peek,
				.check = check,
				.points = f->op->need & (QUIET | PARTIAL) ? 50 : 150};
			n++;
		}
	return kill_main(argc, argv, cases, n);
}
