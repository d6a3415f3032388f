/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands killed at their instructions: afterwards they have happened or not,
 * and what the dead process held is free.
 */
#include <signal.h>

#include "../../kill/harness.h"
#include "both.h"

#define PIN "/sys/fs/bpf/pin"

static const uint32_t zero;
static int map = -1;
static int *ended; /* shared: the operation came to its end */

static long pin(void)
{
	return CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map, .pathname = P(PIN)});
}

static void unpin(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/fs/pin", getenv("SHMAP_DIR"));
	unlink(path);
}

/* The survivor closes its map: then there is no map at all. */
static bool nothing_left(void)
{
	union sys_attr attr = {0};

	close_fd(map);
	map = -1;
	return bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)) == -ENOENT;
}

/* The map is as it was made; *frozen: it takes no update. */
static bool map_works(bool *frozen)
{
	uint64_t v = 0;
	long err;

	if (lookup(map, &zero, &v, 0) || v != 7)
		return false;
	err = update(map, &zero, &v, 0);
	*frozen = err == -EPERM;
	return !err || *frozen;
}

static enum kill_outcome verdict(bool ok, bool done)
{
	return !ok ? KILL_INVALID : done ? KILL_NEW : KILL_OLD;
}

static void setup_map(void *arg)
{
	uint64_t v = 7;

	*ended = 0;
	map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
	REQUIRE(!update(map, &zero, &v, 0));
}

static void op_create(void *arg)
{
	hash_new();
	*ended = 1;
}

static void op_create_and_close(void *arg)
{
	close_fd(hash_new());
	*ended = 1;
}

static void op_use(void *arg)
{
	uint64_t v;
	int fd = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = map_id(map)});

	lookup(fd, &zero, &v, 0);
	close_fd(fd);
	*ended = 1;
}

static void op_mmap(void *arg)
{
	int own = fd_mmap_open(map, PROT_READ | PROT_WRITE);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);

	close_fd(own);
	munmap(p, 4096);
	*ended = 1;
}

/* Whatever the dead process had of it, the map can be frozen and goes. */
static enum kill_outcome check_untouched(void *arg)
{
	bool frozen, ok;

	ok = map_works(&frozen) && !frozen && !freeze(map);
	return verdict(nothing_left() && ok, *ended);
}

static void op_freeze(void *arg)
{
	freeze(map);
}

static enum kill_outcome check_frozen(void *arg)
{
	bool frozen, ok;

	ok = map_works(&frozen) && freeze(map) == (frozen ? -EPERM : 0);
	return verdict(nothing_left() && ok, frozen);
}

static void op_pin(void *arg)
{
	pin();
}

static enum kill_outcome check_pinned(void *arg)
{
	long fd = CALL(BPF_OBJ_GET, .obj = {.pathname = P(PIN)});
	uint64_t v = 0;
	bool ok;

	ok = fd == -ENOENT || (fd >= 0 && !lookup(fd, &zero, &v, 0) && v == 7);
	close_fd(fd);
	ok = ok && pin() == (fd >= 0 ? -EEXIST : 0);
	unpin();
	return verdict(nothing_left() && ok, fd >= 0);
}

static const struct kill_case cases[] = {
	{"create", NULL, setup_map, NULL, op_create, NULL, check_untouched, 120},
	{"create-and-close", NULL, setup_map, NULL, op_create_and_close, NULL, check_untouched,
	 120},
	{"open-use-close", NULL, setup_map, NULL, op_use, NULL, check_untouched, 120},
	{"mmap", NULL, setup_map, NULL, op_mmap, NULL, check_untouched, 120},
	{"freeze", NULL, setup_map, NULL, op_freeze, NULL, check_frozen, 120},
	{"pin", NULL, setup_map, NULL, op_pin, NULL, check_pinned, 120},
};

int main(int argc, char **argv)
{
	check_private_rundir();
	ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ended != MAP_FAILED);
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
