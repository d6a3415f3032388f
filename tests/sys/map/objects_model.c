/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps of objects against a naive model: several outer maps, inner maps and programs that
 * come and go, random updates and deletes by this process and by forked ones. Each slot shows
 * what the model says, and exactly those objects live that an fd or a slot holds.
 *
 *   SHMAP_TEST_OPS, SHMAP_TEST_SEED
 */
#include "both.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/bits.h"

#define OUTERS 4
#define SLOTS 6u
#define OBJECTS 12

struct thing {
	uint32_t id; /* 0: there is none */
	int fd;	     /* -1: closed */
	bool prog;
};

static struct thing objects[OBJECTS];
static struct {
	uint32_t type;
	int fd;
	uint32_t id[SLOTS]; /* what each slot shows */
} outers[OUTERS];
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static bool outer_takes(int o, const struct thing *x)
{
	return x->prog == (outers[o].type == BPF_MAP_TYPE_PROG_ARRAY);
}

static bool in_slot(const struct thing *x)
{
	for (int o = 0; o < OUTERS; o++)
		for (uint32_t k = 0; k < SLOTS && outers[o].fd >= 0; k++)
			if (outers[o].id[k] == x->id && outer_takes(o, x))
				return true;
	return false;
}

static bool lives(const struct thing *x)
{
	union sys_attr a = {.id = {.start_id = x->id - 1}};
	int cmd = x->prog ? BPF_PROG_GET_NEXT_ID : BPF_MAP_GET_NEXT_ID;

	return !bpf(cmd, &a, sizeof(a.id)) && a.id.next_id == x->id;
}

static int new_prog(void)
{
	struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
				   {.code = BPF_JMP | BPF_EXIT}};

	return (int)CALL(BPF_PROG_LOAD, .prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
						      .insns = P(insns),
						      .insn_cnt = 2,
						      .license = P("GPL")});
}

static void object_make(struct thing *x)
{
	x->prog = rnd(2);
	x->fd = x->prog ? new_prog() : map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0);
	REQUIRE(x->fd >= 0 && fd_identify(x->fd, &x->id) >= 0);
}

static void outer_make(int o)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
					 BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_HASH_OF_MAPS};
	int like = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0);

	memset(outers[o].id, 0, sizeof(outers[o].id));
	outers[o].type = types[o];
	outers[o].fd = (int)CALL(BPF_MAP_CREATE,
				 .map_create = {.map_type = types[o],
						.key_size = 4,
						.value_size = 4,
						.max_entries = SLOTS,
						.map_flags = o == 3 ? BPF_F_NO_PREALLOC : 0,
						.inner_map_fd = (uint32_t)like});
	REQUIRE(outers[o].fd >= 0);
	close_fd(like);
}

/* By this process, or by one that is over when it is done. */
static long by_somebody(long (*fn)(int fd, uint32_t key, int value), int fd, uint32_t key,
			int value)
{
	int status;
	pid_t pid;

	if (rnd(8))
		return fn(fd, key, value);
	pid = fork();
	if (!pid)
		_exit(-(int)fn(fd, key, value));
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static long do_update(int fd, uint32_t key, int value)
{
	return update(fd, &key, &value, 0);
}

static long do_delete(int fd, uint32_t key, int value)
{
	return delete (fd, &key);
}

static void step(void)
{
	int o = (int)rnd(OUTERS);
	uint32_t key = rnd(SLOTS);
	struct thing *x = &objects[rnd(OBJECTS)];
	long ret, want;

	switch (rnd(8)) {
	case 0: /* an object comes, or its fd goes */
		if (!x->id)
			object_make(x);
		else if (x->fd >= 0 && rnd(2)) {
			close_fd(x->fd);
			x->fd = -1;
		}
		return;
	case 1:
		if (rnd(6))
			return;
		close_fd(outers[o].fd);
		outers[o].fd = -1;
		memset(outers[o].id, 0, sizeof(outers[o].id));
		outer_make(o);
		return;
	case 2:
		ret = by_somebody(do_delete, outers[o].fd, key, 0);
		CHECK_EQ(ret, outers[o].id[key] ? 0 : -ENOENT);
		outers[o].id[key] = 0;
		return;
	default:
		if (!x->id || x->fd < 0)
			return;
		want = outer_takes(o, x) ? 0 : -EINVAL;
		ret = by_somebody(do_update, outers[o].fd, key, x->fd);
		CHECK_EQ(ret, want);
		if (!ret)
			outers[o].id[key] = x->id;
	}
}

static void compare(void)
{
	for (int o = 0; o < OUTERS; o++)
		for (uint32_t k = 0; k < SLOTS; k++) {
			uint32_t id = 0;
			long ret = lookup(outers[o].fd, &k, &id, 0);

			CHECK_EQ(ret, outers[o].id[k] ? 0 : -ENOENT);
			CHECK_EQ(id, outers[o].id[k]);
		}
	for (int i = 0; i < OBJECTS; i++) {
		struct thing *x = &objects[i];
		bool held = x->id && (x->fd >= 0 || in_slot(x));

		if (!x->id)
			continue;
		CHECK_EQ(lives(x), held);
		if (!held)
			*x = (struct thing){.fd = -1};
	}
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *seed = getenv("SHMAP_TEST_SEED");
	unsigned long n = ops ? strtoul(ops, NULL, 0) : 4000;

	check_private_rundir();
	rng = (seed ? strtoull(seed, NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < OBJECTS; i++)
		objects[i].fd = -1;
	for (int o = 0; o < OUTERS; o++)
		outer_make(o);
	for (unsigned long i = 0; i < n && !check_failures; i++) {
		step();
		compare();
	}
	printf("%lu operations\n", n);
	return check_done();
}
