/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lookup that native code does by itself, in an array or a per-CPU array, leaves the repair
 * after a writer's death to the map: the lock's word is looked at, and afterwards clean. A key
 * behind the last has no value.
 */
#include <linux/futex.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "prog.h"
#include "sync/lease.h"
#include "vm/jit.h"

#define ENTRIES 5
#define VALUE 24

static struct map *map_new(uint32_t type)
{
	struct map_attr attr = {.map_type = type,
				.key_size = 4,
				.value_size = VALUE,
				.max_entries = ENTRIES,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus(),
				.name = "t"};
	struct map *m;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	close(fd);
	return m;
}

/* The program's value of a key, or 77 when there is none; cpu: where it ran. */
static uint64_t value_of(struct map *m, uint32_t key, enum vm_engine engine, uint32_t *cpu)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, (int32_t)key),
		MOV64_X(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		LD_MAP(1, 0),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
		MOV64_K(0, 77),
		EXIT(),
		INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 0, 16, 0),
		EXIT(),
	};
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, ARRAY_SIZE(insns));
	struct vm_log log = {0};
	uint64_t ret = 0;

	p->maps = calloc(1, sizeof(*p->maps));
	REQUIRE(p->maps);
	p->maps[0] = m;
	map_get(m);
	p->map_cnt = 1;
	p->engine = engine;
	CHECK_EQ(vm_verify(p, &log), 0);
	REQUIRE(lease_acquire() >= 0);
	*cpu = lease_cpu();
	CHECK_EQ(vm_run(p, NULL, NULL, &ret), 0);
	lease_release();
	if (VM_HAVE_JIT)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	vm_prog_free(p);
	return ret;
}

static uint32_t *word(struct map *m, uint64_t off)
{
	return (uint32_t *)((uint8_t *)m->obj.base + off);
}

static void look(struct map *m, enum vm_engine engine)
{
	struct map_inline in = {0};
	uint64_t off;
	uint32_t cpu;

	m->ops->inlined(m, &in);
	CHECK(in.max == ENTRIES && in.guard_off);
	for (uint32_t key = 0; key < ENTRIES; key++) {
		CHECK_EQ(value_of(m, key, engine, &cpu), 100 + key);
		off = in.guard_off + (key & in.guard_mask) * in.guard_stride;
		store_release(word(m, off), FUTEX_OWNER_DIED);
		CHECK_EQ(value_of(m, key, engine, &cpu), 100 + key);
		CHECK_EQ(load_acquire(word(m, off)), 0);
		if (!in.cpu_guard_off)
			continue;
		for (uint32_t c = 0; c < in.cpus; c++)
			store_release(word(m, in.cpu_guard_off + c * in.cpu_guard_stride),
				      FUTEX_OWNER_DIED);
		CHECK_EQ(value_of(m, key, engine, &cpu), 100 + key);
		CHECK_EQ(load_acquire(word(m, in.cpu_guard_off + cpu * in.cpu_guard_stride)), 0);
	}
	CHECK_EQ(value_of(m, ENTRIES, engine, &cpu), 77);
	CHECK_EQ(value_of(m, UINT32_MAX, engine, &cpu), 77);
}

int main(void)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY};

	check_private_rundir();
	uaccess_init();
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct map *m = map_new(types[i]);
		static uint64_t value[VALUE / 8 * LEASE_CPUS_MAX];

		for (uint32_t key = 0; key < ENTRIES; key++) {
			for (unsigned int w = 0; w < ARRAY_SIZE(value); w++)
				value[w] = 100 + key;
			CHECK_EQ(m->ops->write(m, &key, value, 0), 0);
		}
		look(m, VM_ENGINE_INTERP);
		look(m, VM_ENGINE_JIT);
		map_put(m);
	}
	return check_done();
}
