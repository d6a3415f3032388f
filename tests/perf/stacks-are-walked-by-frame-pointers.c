/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_get_stackid() and bpf_get_stack() of a traced process with a known stack: which
 * frames, with what is skipped, cut and wrong; ids, collisions and their
 * two flags; build ids. And what cannot be had.
 */
#include <sys/mman.h>

#include "../vm/interp/prog.h"
#include "map/stack_trace.h"
#include "sync/lease.h"

#define BASE 0x7000000000ull
#define FRAMES 6

static uint64_t memory[64]; /* the traced process's stack, at BASE */
static bool no_regs;

static int read_user(const struct vm_env *env, void *dst, uint64_t addr, size_t len)
{
	if (addr < BASE || addr + len > BASE + sizeof(memory))
		return -EFAULT;
	memcpy(dst, (uint8_t *)memory + (addr - BASE), len);
	return 0;
}

static int user_regs(const struct vm_env *env, uint64_t *ip, uint64_t *fp)
{
	*ip = 0x401000;
	*fp = BASE;
	return no_regs ? -ESRCH : 0;
}

/* Only the first file has one. */
static int build_id(const struct vm_env *env, uint64_t ip, uint8_t id[20], uint64_t *offset)
{
	if (ip >= 0x401003)
		return -ENOENT;
	memset(id, 0xab, 20);
	*offset = ip - 0x400000;
	return 0;
}

static struct vm_env env = {
	.pid = 1,
	.tgid = 1,
	.comm = "",
	.read_user = read_user,
	.user_regs = user_regs,
	.build_id = build_id,
};
static struct map *map;
static uint64_t out[64];

static long run(const struct vm_env *e, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_KPROBE, insns, cnt);
	uint64_t ctx[21] = {0}, ret = 0;

	p->gpl_compatible = true;
	p->maps = calloc(1, sizeof(p->maps[0]));
	p->map_ids = calloc(1, sizeof(p->map_ids[0]));
	p->maps[0] = map;
	p->map_cnt = 1;
	map_get(map);
	CHECK_EQ(vm_run(p, ctx, e, &ret), 0);
	vm_prog_free(p);
	return (long)ret;
}

static long stackid(const struct vm_env *e, uint64_t flags)
{
	struct bpf_insn code[] = {LD_MAP(2, 0), LD_IMM64(3, flags), CALL(BPF_FUNC_get_stackid),
				  EXIT()};

	return run(e, code, sizeof(code) / sizeof(code[0]));
}

static long stack(const struct vm_env *e, uint32_t size, uint64_t flags)
{
	struct bpf_insn code[] = {LD_IMM64(2, (uintptr_t)out), MOV64_K(3, size), LD_IMM64(4, flags),
				  CALL(BPF_FUNC_get_stack), EXIT()};

	memset(out, 0xff, sizeof(out));
	return run(e, code, sizeof(code) / sizeof(code[0]));
}

static struct map *make(uint32_t value_size, uint32_t max, uint32_t flags)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_STACK_TRACE,
				.key_size = 4,
				.value_size = value_size,
				.max_entries = max,
				.map_flags = flags,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus()};
	struct map *m;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	return m;
}

static bool has(uint32_t id, const uint64_t *want, uint32_t n)
{
	uint64_t value[FRAMES * 4] = {0};

	memset(value, 0xff, sizeof(value));
	if (map->ops->read(map, &id, value, 0))
		return false;
	for (uint32_t i = 0; i < map->attr.value_size / 8; i++)
		if (value[i] != (i < n ? want[i] : 0))
			return false;
	return true;
}

/* A chain of frames; the last one's return address ends up in the dark. */
static void chain(uint64_t salt)
{
	for (int i = 0; i < FRAMES - 1; i++) {
		memory[4 * i] = i < FRAMES - 2 ? BASE + 32 * (i + 1) : 0x10;
		memory[4 * i + 1] = 0x401001 + i + (i ? salt : 0);
	}
}

int main(void)
{
	static const uint64_t ips[FRAMES] = {0x401000, 0x401001, 0x401002,
					     0x401003, 0x401004, 0x401005};
	const uint64_t user = BPF_F_USER_STACK;
	struct {
		int32_t status;
		uint8_t id[20];
		uint64_t offset;
	} * b;
	uint64_t salt;
	long id;

	check_private_rundir();
	REQUIRE(!uaccess_init() && !lease_open() && lease_acquire() >= 0);
	map = make(FRAMES * 8, 16, 0);
	chain(0);
	id = stackid(&env, user);
	CHECK(id >= 0 && id < 16);
	CHECK(has(id, ips, FRAMES));
	CHECK_EQ(stackid(&env, user), id);
	CHECK_EQ(stackid(&env, user | BPF_F_FAST_STACK_CMP), id);
	/* skipped frames are not kept; what is behind takes their place */
	id = stackid(&env, user | 2);
	CHECK(has(id, ips + 2, FRAMES - 2));
	CHECK_EQ(stackid(&env, user | FRAMES), -EFAULT);
	CHECK_EQ(stackid(&env, user | 255), -EFAULT);
	CHECK_EQ(stackid(&env, user | 1ull << 12), -EINVAL);
	CHECK_EQ(stackid(&env, user | BPF_F_USER_BUILD_ID), -EINVAL);
	/* there is no kernel stack, no stack without registers, none in a test run */
	CHECK_EQ(stackid(&env, 0), -EFAULT);
	no_regs = true;
	CHECK_EQ(stackid(&env, user), -EFAULT);
	no_regs = false;
	CHECK_EQ(stackid(&(struct vm_env){0}, user), -EFAULT);

	CHECK_EQ(stack(&env, FRAMES * 8 + 16, user), FRAMES * 8);
	CHECK(!memcmp(out, ips, sizeof(ips)) && !out[FRAMES] && !out[FRAMES + 1] &&
	      out[FRAMES + 2] == ~0ull);
	CHECK_EQ(stack(&env, 16, user), 16);
	CHECK(out[1] == ips[1] && out[2] == ~0ull);
	CHECK_EQ(stack(&env, 16, user | 3), 16);
	CHECK(out[0] == ips[3]);
	CHECK_EQ(stack(&env, 16, user | FRAMES), 0);
	CHECK_EQ(stack(&env, 16, user | (FRAMES + 1)), -EFAULT);
	CHECK(!out[0] && !out[1]);
	CHECK_EQ(stack(&env, 15, user), -EINVAL);
	CHECK_EQ(stack(&env, 16, user | 1ull << 13), -EINVAL);
	CHECK_EQ(stack(&env, 32, BPF_F_USER_BUILD_ID), -EINVAL);
	CHECK_EQ(stack(&env, 16, 0), -EFAULT);
	CHECK_EQ(stack(&env, 96, user | BPF_F_USER_BUILD_ID | 1), 96);
	b = (void *)out;
	CHECK(b[0].status == BPF_STACK_BUILD_ID_VALID && b[0].offset == 0x1001 &&
	      b[0].id[19] == 0xab);
	CHECK(b[2].status == BPF_STACK_BUILD_ID_IP && b[2].offset == 0x401003 && !b[2].id[0]);

	/* a frame chain that turns in a circle ends with the room for it */
	memory[4] = BASE;
	CHECK_EQ(stack(&env, 64, user), 64);
	chain(0);
	map_put(map);

	/* one bucket: the second stack collides, replaces, or passes for the first */
	map = make(FRAMES * 8, 1, 0);
	CHECK_EQ(stackid(&env, user), 0);
	chain(100);
	CHECK_EQ(stackid(&env, user), -EEXIST);
	CHECK(has(0, ips, FRAMES));
	/* the new one needs an element beside the old: as in the kernel */
	CHECK_EQ(stackid(&env, user | BPF_F_REUSE_STACKID), -ENOMEM);
	map_put(map);
	map = make(FRAMES * 8, 64, 0);
	chain(0);
	id = stackid(&env, user);
	/* of some hundred stacks, one has the first one's bucket */
	for (salt = 100; salt < 2000; salt++) {
		uint32_t other;

		chain(salt);
		other = stackid(&env, user | BPF_F_REUSE_STACKID);
		if (other == id)
			break;
		map->ops->erase(map, &other);
	}
	CHECK(salt < 2000 && !has(id, ips, FRAMES));
	map_put(map);

	map = make(FRAMES * 32, 4, BPF_F_STACK_BUILD_ID);
	chain(0);
	id = stackid(&env, user);
	CHECK(id >= 0);
	CHECK(!map->ops->read(map, &(uint32_t){id}, out, 0));
	b = (void *)out;
	CHECK(b[0].status == BPF_STACK_BUILD_ID_VALID && b[0].offset == 0x1000);
	CHECK(b[5].status == BPF_STACK_BUILD_ID_IP && b[5].offset == 0x401005);
	CHECK_EQ(stackid(&env, user), id);
	map_put(map);
	lease_release();
	return check_done();
}
