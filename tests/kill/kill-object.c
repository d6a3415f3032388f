/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects: make, publish, refer, pin, unpin, collect and the runtime directory
 * itself, killed after every instruction. Nothing half-made stays, nothing
 * that is held goes. */
#include "../shm/area.h"
#include "harness.h"

static struct object held;
static int held_fd = -1;
static int *op_ended; /* shared: for operations that leave nothing to see */

static void begin(void)
{
	area_begin();
	REQUIRE(!rundir_open());
	op_ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(op_ended != MAP_FAILED);
}

/* After a sweep, nothing: in any directory. */
static bool nothing_left(void)
{
	object_collect_all();
	if (!area_count_all() && !area_count("fs"))
		return true;
	kill_why("left: %d map %d prog %d btf %d link %d ref %d fs", area_count("map"),
		 area_count("prog"), area_count("btf"), area_count("link"), area_count("ref"),
		 area_count("fs"));
	return false;
}

/* The survivor can make, find, pin and drop an object, as ever. */
static bool all_works(void)
{
	struct object obj, other;
	int fd, fd2, ret;
	uint32_t id = 0;
	bool ok = true;

	ret = object_create(OBJECT_BTF, 100, 100, &obj, &fd);
	if (!ret)
		ret = object_publish(&obj, fd);
	if (ret) {
		kill_why("the survivor cannot make an object: %d", ret);
		return false;
	}
	obj.base[0] = 42;
	fd2 = object_open_id(OBJECT_BTF, obj.id, O_RDWR);
	ok = fd2 >= 0 && !object_map(fd2, &other) && other.base[0] == 42;
	ok = ok && !object_next_id(OBJECT_BTF, obj.id - 1, &id) && id == obj.id;
	ok = ok && !object_pin(fd, "survivor") && !object_unpin("survivor");
	if (!ok)
		kill_why("the survivor cannot use an object that it made");
	object_unmap(&obj);
	object_unmap(&other);
	close(fd);
	close(fd2);
	object_collect(OBJECT_BTF, obj.id);
	return ok;
}

static enum kill_outcome verdict(bool ok, bool done)
{
	return !ok ? KILL_INVALID : done ? KILL_NEW : KILL_OLD;
}

/* make: the maker dies, so what it made goes, ready or not */
static void setup_nothing(void *arg)
{
	*op_ended = 0;
}

static void op_make(void *arg)
{
	struct object obj;
	int fd;

	if (object_create(OBJECT_MAP, 8192, 8192, &obj, &fd) || object_publish(&obj, fd))
		_exit(1);
	*op_ended = 1;
}

static void op_make_pinned(void *arg)
{
	struct object obj;
	int fd;

	if (object_create(OBJECT_MAP, 8192, 4096, &obj, &fd))
		_exit(1);
	strcpy((char *)obj.base, "complete");
	if (object_publish_unready(&obj, fd) || object_ref(OBJECT_MAP, obj.id, held_fd))
		_exit(1);
	object_set_ready(&obj);
	if (object_pin(fd, "made"))
		_exit(1);
}

static void op_make_and_drop(void *arg)
{
	struct object obj;
	int fd;

	if (object_create(OBJECT_MAP, 8192, 8192, &obj, &fd) || object_publish(&obj, fd))
		_exit(1);
	object_unmap(&obj);
	close(fd);
	object_collect(OBJECT_MAP, obj.id);
	*op_ended = 1;
}

static enum kill_outcome check_nothing(void *arg)
{
	return verdict(nothing_left() && all_works(), *op_ended);
}

/* make, refer and pin: afterwards it is there, whole, with its reference, or not */
static void setup_held(void *arg)
{
	*op_ended = 0;
	if (held_fd >= 0)
		return;
	held_fd = area_object(OBJECT_BTF, 10, &held);
	strcpy((char *)held.base, "held");
}

static enum kill_outcome check_made_pinned(void *arg)
{
	struct object obj;
	bool done = false, ok = true;
	int fd;

	object_collect_all();
	fd = object_open_pin("made", O_RDWR);
	if (fd >= 0) {
		done = true;
		ok = !object_map(fd, &obj) && !strcmp((char *)obj.base, "complete") &&
		     area_count("ref") == 1 && area_count("map") == 1;
		if (!ok)
			kill_why("pinned, but not complete");
		object_unmap(&obj);
		close(fd);
		ok = ok && !object_unpin("made");
	} else if (fd != -ENOENT) {
		kill_why("the pin does not open: %d", fd);
		ok = false;
	}
	ok = ok && !area_count("map") && !area_count("ref") && area_count("btf") == 1;
	ok = ok && all_works();
	return verdict(ok, done);
}

/* pin and unpin of an object that the survivor holds */
static void op_pin(void *arg)
{
	if (object_pin(held_fd, "held"))
		_exit(1);
}

static void op_unpin(void *arg)
{
	if (object_unpin("held"))
		_exit(1);
}

static void setup_pinned(void *arg)
{
	setup_held(arg);
	REQUIRE(!object_pin(held_fd, "held"));
}

/* The held object is there all the time, pinned or not. */
static bool peek_held(void *arg)
{
	int fd = object_open_id(OBJECT_BTF, held.id, O_RDONLY);

	close(fd);
	return fd >= 0 && !strcmp((char *)held.base, "held");
}

static enum kill_outcome pin_outcome(bool pinned_is_new)
{
	bool pinned = !object_unpin("held");
	bool ok = peek_held(NULL) && !area_count("fs") && area_count("btf") == 1 && all_works();

	return verdict(ok, pinned == pinned_is_new);
}

static enum kill_outcome check_pin(void *arg)
{
	return pin_outcome(true);
}

static enum kill_outcome check_unpin(void *arg)
{
	return pin_outcome(false);
}

/* unpin that drops the last reference: link -> prog -> map, pinned by the link */
static void setup_chain(void *arg)
{
	struct object obj[3];
	int fd[3];

	if (held_fd >= 0) {
		close(held_fd);
		object_unmap(&held);
		held_fd = -1;
		object_collect_all();
	}
	fd[0] = area_object(OBJECT_LINK, 1, &obj[0]);
	fd[1] = area_object(OBJECT_PROG, 1, &obj[1]);
	fd[2] = area_object(OBJECT_MAP, 1, &obj[2]);
	REQUIRE(!object_ref(OBJECT_LINK, obj[0].id, fd[1]));
	REQUIRE(!object_ref(OBJECT_PROG, obj[1].id, fd[2]));
	REQUIRE(!object_pin(fd[0], "chain"));
	for (int i = 0; i < 3; i++) {
		object_unmap(&obj[i]);
		close(fd[i]);
	}
	object_collect_all();
	REQUIRE(area_count_all() == 5);
}

static void op_unpin_chain(void *arg)
{
	if (object_unpin("chain"))
		_exit(1);
}

static enum kill_outcome check_chain(void *arg)
{
	int fd = object_open_pin("chain", O_RDWR);
	bool pinned = fd >= 0, ok = true;

	if (pinned) {
		close(fd);
		object_collect_all();
		ok = area_count_all() == 5;
		if (!ok)
			kill_why("still pinned, and part of the chain is gone");
		object_unpin("chain");
	}
	return verdict(nothing_left() && all_works() && ok, !pinned);
}

/* A sweep by another process, while the survivor holds one object of several */
static void setup_litter(void *arg)
{
	setup_held(arg);
	pid_t pid = area_fork();

	if (!pid) {
		struct object obj, owner;
		int fd = area_object(OBJECT_MAP, 1, &obj), owner_fd;

		REQUIRE(!object_create(OBJECT_PROG, 1, 1, &owner, &owner_fd));
		REQUIRE(!object_publish_unready(&owner, owner_fd));
		REQUIRE(!object_ref(OBJECT_PROG, owner.id, fd));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void op_sweep(void *arg)
{
	object_collect_all();
}

static enum kill_outcome check_litter(void *arg)
{
	bool done = !area_count("map") && !area_count("ref");
	bool ok = peek_held(NULL);

	object_collect_all();
	ok = ok && area_count_all() == 1 && area_count("btf") == 1 && all_works();
	return verdict(ok, done);
}

/* open by id: the reference goes with the process */
static void op_open(void *arg)
{
	struct object obj;
	int fd = object_open_id(OBJECT_BTF, held.id, O_RDWR);

	if (fd < 0 || object_map(fd, &obj))
		_exit(1);
	object_unmap(&obj);
	close(fd);
	object_collect(OBJECT_BTF, held.id);
	*op_ended = 1;
}

static enum kill_outcome check_open(void *arg)
{
	object_collect_all();
	return verdict(peek_held(NULL) && area_count_all() == 1 && all_works(), *op_ended);
}

static const struct kill_case cases[] = {
	{"make", NULL, setup_nothing, NULL, op_make, NULL, check_nothing},
	{"make-and-drop", NULL, setup_nothing, NULL, op_make_and_drop, NULL, check_nothing},
	{"make-refer-pin", NULL, setup_held, NULL, op_make_pinned, peek_held, check_made_pinned},
	{"pin", NULL, setup_held, NULL, op_pin, peek_held, check_pin},
	{"unpin", NULL, setup_pinned, NULL, op_unpin, peek_held, check_unpin},
	{"open-close", NULL, setup_held, NULL, op_open, peek_held, check_open},
	{"sweep", NULL, setup_litter, NULL, op_sweep, peek_held, check_litter},
	{"unpin-last-of-chain", NULL, setup_chain, NULL, op_unpin_chain, NULL, check_chain},
};

int main(int argc, char **argv)
{
	kill_begin = begin;
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
