/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LRU maps that are full, on the kernel and on shmap. Which elements are left is each
 * side's own; what is compared:
 *
 *  - every insert succeeds, and every key that a side has carries what was last
 *    written to it;
 *  - both hold at most max_entries; shmap exactly that many once so many distinct keys
 *    were inserted, so never fewer than the kernel;
 *  - of the keys that a program looked up before as many new ones came as there are
 *    others, shmap keeps no fewer than the kernel, but for one in ten: an order per
 *    stripe is not one order;
 *  - bpf(2)'s lookups protect on neither side.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"
#include "oracle.h"

#define KEYS_PER_ENTRY 4u
#define SIZE_MAX_HERE 1500u

static int prog_fd[SIDES];
static uint32_t max_entries, next_key, version[SIZE_MAX_HERE * KEYS_PER_ENTRY];
static uint32_t user_value;

/* Looks up the key that the packet has: 1 when it is there. */
static void program_load(void)
{
	static struct bpf_insn code[SIDES][20];
	unsigned int n;

	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		const struct bpf_insn text[] = {
			{BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0}, /* data */
			{BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0}, /* data_end */
			{BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0},
			{BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 16},
			{BPF_JMP | BPF_JGT | BPF_X, 4, 3, 9, 0},
			{BPF_LDX | BPF_MEM | BPF_W, 0, 2, 0, 0},
			{BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0},
			{BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
			{BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4},
			{BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, twin.fd[s][FD_RW]},
			{0, 0, 0, 0, 0},
			{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
			{BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0},
			{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1},
			{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
		};

		n = ARRAY_SIZE(text);
		memcpy(code[s], text, sizeof(text));
		/* a packet that is too short: 0, like a miss */
		code[s][4].off = (int16_t)(n - 5);
		code[s][n] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0};
		code[s][n + 1] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
		attr_of(s)->prog_load.prog_type = BPF_PROG_TYPE_XDP;
		attr_of(s)->prog_load.insn_cnt = n + 2;
		attr_of(s)->prog_load.insns = (uintptr_t)code[s];
		attr_of(s)->prog_load.license = (uintptr_t) "GPL";
		prog_fd[s] = (int)sides[s].bpf(BPF_PROG_LOAD, attr_of(s), 120);
		if (prog_fd[s] < 0)
			differ("%s does not load the program: %d", sides[s].name, prog_fd[s]);
	}
}

static long elem(int s, int cmd, uint32_t key, uint64_t flags)
{
	union sys_attr *a = attr_of(s);

	memset(a, 0, sizeof(*a));
	memcpy(sides[s].mem + AT_KEY, &key, 4);
	a->elem.map_fd = twin.fd[s][FD_RW];
	a->elem.key = (uintptr_t)sides[s].mem + AT_KEY;
	a->elem.value = (uintptr_t)sides[s].mem + AT_VALUE;
	a->elem.flags = flags;
	return sides[s].bpf(cmd, a, offsetof(union sys_attr, elem.flags) + 8);
}

static void write_key(uint32_t key, uint32_t ver, uint64_t flags)
{
	for (int s = 0; s < SIDES && !oracle_failed; s++) {
		uint64_t value = (uint64_t)key << 32 | ver;
		long ret;

		for (uint32_t i = 0; i < user_value; i += 8)
			memcpy(sides[s].mem + AT_VALUE + i, &value, 8);
		ret = elem(s, BPF_MAP_UPDATE_ELEM, key, flags);
		if (ret)
			differ("update of key %u, flags %llu: %ld on %s", key,
			       (unsigned long long)flags, ret, sides[s].name);
	}
	version[key] = ver;
}

/* Is it there, and then as it was written last? */
static bool has(int s, uint32_t key)
{
	uint64_t want = (uint64_t)key << 32 | version[key], got;
	long ret = elem(s, BPF_MAP_LOOKUP_ELEM, key, 0);

	if (ret && ret != -ENOENT)
		differ("lookup of key %u: %ld on %s", key, ret, sides[s].name);
	for (uint32_t i = 0; !ret && i < user_value; i += 8) {
		memcpy(&got, sides[s].mem + AT_VALUE + i, 8);
		if (got != want)
			differ("key %u has another value on %s", key, sides[s].name);
	}
	return !ret;
}

static bool run(int s, uint32_t key)
{
	union sys_attr *a = attr_of(s);

	memset(a, 0, sizeof(*a));
	memset(sides[s].mem + AT_VALUES, 0, 64);
	memcpy(sides[s].mem + AT_VALUES, &key, 4);
	a->test.prog_fd = prog_fd[s];
	a->test.data_in = (uintptr_t)sides[s].mem + AT_VALUES;
	a->test.data_size_in = 64;
	if (sides[s].bpf(BPF_PROG_TEST_RUN, a, sizeof(a->test)))
		differ("the program does not run on %s", sides[s].name);
	return a->test.retval == 1;
}

static bool new_map(uint32_t type)
{
	long ret[SIDES];

	memset(&twin, 0, sizeof(twin));
	for (int s = 0; s < SIDES; s++)
		for (int i = 0; i < FD_MODES; i++)
			twin.fd[s][i] = -1;
	max_entries = one_in(3) ? 1 + rnd(20) : 1 + rnd(SIZE_MAX_HERE);
	twin.type = type;
	twin.max_entries = max_entries;
	twin.flags = one_in(3) ? BPF_F_NO_COMMON_LRU : 0;
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		attr_of(s)->map_create.map_type = type;
		attr_of(s)->map_create.key_size = 4;
		attr_of(s)->map_create.value_size = 8;
		attr_of(s)->map_create.max_entries = max_entries;
		attr_of(s)->map_create.map_flags = twin.flags;
	}
	note("an LRU map of %u, flags %#x", max_entries, twin.flags);
	if (!call_both(BPF_MAP_CREATE, 120, ret, true) || ret[KERNEL] < 0)
		return false;
	for (int s = 0; s < SIDES; s++)
		twin.fd[s][FD_RW] = (int)ret[s];
	twin.live = true;
	user_value = 8 * (type == BPF_MAP_TYPE_LRU_PERCPU_HASH ? sysconf(_SC_NPROCESSORS_CONF) : 1);
	if (twin.flags) {
		uint32_t cpus = sysconf(_SC_NPROCESSORS_CONF);

		max_entries = (max_entries + cpus - 1) / cpus * cpus;
	}
	next_key = 0;
	program_load();
	return !oracle_failed;
}

static void insert(uint32_t n)
{
	for (uint32_t i = 0; i < n && !oracle_failed; i++) {
		write_key(next_key, rnd(1u << 30), one_in(2) ? BPF_NOEXIST : BPF_ANY);
		next_key++;
	}
}

static void counts(uint32_t n[SIDES])
{
	n[KERNEL] = n[SHMAP] = 0;
	for (int s = 0; s < SIDES; s++)
		for (uint32_t key = 0; key < next_key; key++)
			n[s] += has(s, key);
	if (n[KERNEL] > max_entries || n[SHMAP] > max_entries)
		differ("%u elements on the kernel, %u on shmap, of %u", n[KERNEL], n[SHMAP],
		       max_entries);
	if (n[SHMAP] < n[KERNEL] || (next_key >= max_entries && n[SHMAP] != max_entries))
		differ("only %u elements on shmap of %u, %u on the kernel", n[SHMAP], max_entries,
		       n[KERNEL]);
}

/* How many are left of those that were used before the other half gave way. */
static void protects(bool by_program)
{
	uint32_t first = next_key, half = max_entries / 2, used[SIDES] = {0}, n[SIDES] = {0};

	insert(max_entries);
	for (int s = 0; s < SIDES; s++)
		for (uint32_t i = 0; i < max_entries; i += 2)
			used[s] += by_program ? run(s, first + i) : has(s, first + i);
	insert(half);
	for (int s = 0; s < SIDES; s++)
		for (uint32_t i = 0; i < max_entries; i += 2)
			n[s] += has(s, first + i);
	note("%u entries, %s: %u of %u used are left on the kernel, %u of %u on shmap", max_entries,
	     by_program ? "program" : "bpf(2)", n[KERNEL], used[KERNEL], n[SHMAP], used[SHMAP]);
	if (by_program) {
		if (n[SHMAP] + max_entries / 20 < n[KERNEL])
			differ("use protects less");
	} else if (max_entries >= 100 && n[SHMAP] > used[SHMAP] * 7 / 10) {
		differ("bpf(2)'s lookups protect");
	}
}

int evictions_oracle(uint32_t type, unsigned long rounds)
{
	unsigned long i;
	uint32_t n[SIDES];
	cpu_set_t one;

	/* The kernel's lists are a CPU's. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	for (i = 0; i < rounds && !oracle_failed; i++) {
		if (!new_map(type))
			continue;
		insert(rnd(max_entries * 2) + 1);
		counts(n);
		/* updates of what is there; a key that gave way comes back */
		for (uint32_t k = 0; k < max_entries && !oracle_failed; k++)
			write_key(rnd(next_key), rnd(1u << 30), BPF_ANY);
		counts(n);
		for (int s = 0; s < SIDES; s++)
			sides[s].close(prog_fd[s]);
		destroy_both();
		if (oracle_failed || !new_map(type))
			continue;
		protects(one_in(2));
		counts(n);
		for (int s = 0; s < SIDES; s++)
			sides[s].close(prog_fd[s]);
		destroy_both();
	}
	if (!oracle_failed)
		printf("%lu full maps of type %u: as many elements, as much protection\n", 2 * i,
		       type);
	return oracle_failed;
}
