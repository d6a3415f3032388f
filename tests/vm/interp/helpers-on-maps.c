/* SPDX-License-Identifier: BSD-2-Clause */
/* The map helpers, their callbacks and locks, on real maps; the first run of a
 * program in several threads at once. */
#include <pthread.h>

#include "base/errors.h"
#include "map/map.h"
#include "prog.h"
#include "sync/lease.h"
#include "sync/lock.h"

static struct map *map_new(uint32_t type, uint32_t value_size, uint32_t max, int32_t lock_off)
{
	struct map_attr attr = {.map_type = type,
				.key_size = 4,
				.value_size = value_size,
				.max_entries = max,
				.spin_lock_off = lock_off,
				.name = "t"};
	struct map *m;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	close(fd);
	return m;
}

static struct vm_prog *with_map(const struct bpf_insn *insns, uint32_t cnt, struct map *m)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, cnt);

	p->maps = calloc(1, sizeof(*p->maps));
	REQUIRE(p->maps);
	p->maps[0] = m;
	map_get(m);
	p->map_cnt = 1;
	return p;
}

static uint64_t run_on(struct map *m, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = with_map(insns, cnt, m);
	uint64_t ret = 0;

	REQUIRE(lease_acquire() >= 0);
	CHECK_EQ(vm_run(p, NULL, NULL, &ret), 0);
	lease_release();
	vm_prog_free(p);
	return ret;
}
#define ON(m, ...)                                                                                 \
	run_on(m, (struct bpf_insn[]){__VA_ARGS__},                                                \
	       sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn))

#define ST(size, off, imm) INSN(BPF_ST | (size) | BPF_MEM, 10, 0, off, imm)
#define FP(d, off) MOV64_X(d, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, off)
#define LDX(size, d, s, off) INSN(BPF_LDX | (size) | BPF_MEM, d, s, off, 0)
#define JEQ(d, imm, off) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, off, imm)

static long update(struct map *m, int key, int value, int flags)
{
	return (long)ON(m, ST(BPF_W, -4, key), ST(BPF_DW, -16, value), LD_MAP(1, 0), FP(2, -4),
			FP(3, -16), MOV64_K(4, flags), CALL(BPF_FUNC_map_update_elem), EXIT());
}

static long lookup(struct map *m, int key)
{
	return (long)ON(m, ST(BPF_W, -4, key), LD_MAP(1, 0), FP(2, -4),
			CALL(BPF_FUNC_map_lookup_elem), JEQ(0, 0, 2), LDX(BPF_DW, 0, 0, 0), EXIT(),
			MOV64_K(0, -1), EXIT());
}

static long erase(struct map *m, int key)
{
	return (long)ON(m, ST(BPF_W, -4, key), LD_MAP(1, 0), FP(2, -4),
			CALL(BPF_FUNC_map_delete_elem), EXIT());
}

/* sum of the values; the callback adds *value to *ctx and stops at key `stop` */
static long for_each(struct map *m, int stop, long *sum)
{
	long visited = (long)ON(
		m, ST(BPF_DW, -8, 0), LD_MAP(1, 0), LD_FUNC(2, 13), FP(3, -8), MOV64_K(4, 0),
		MOV64_K(6, 77), CALL(BPF_FUNC_for_each_map_elem),
		/* R0 = visited + (sum << 32) + (R6 - 77) */
		LDX(BPF_DW, 1, 10, -8), INSN(BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 32),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6, 0, 0),
		INSN(BPF_ALU64 | BPF_SUB | BPF_K, 0, 0, 0, 77), EXIT(), MOV64_K(0, 0),
		/* 17: cb(map, key, value, ctx) */
		LDX(BPF_DW, 5, 3, 0), LDX(BPF_DW, 6, 4, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 6, 5, 0, 0),
		INSN(BPF_STX | BPF_DW | BPF_MEM, 4, 6, 0, 0), MOV64_K(0, 0), LDX(BPF_W, 5, 2, 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 1, stop), MOV64_K(0, 1), EXIT());

	*sum = visited >> 32;
	return visited & 0xffffffff;
}

static void test_array(void)
{
	struct map *m = map_new(BPF_MAP_TYPE_ARRAY, 8, 5, -1);
	long sum;
	int i;

	for (i = 0; i < 5; i++)
		CHECK_EQ(update(m, i, 10 + i, BPF_ANY), 0);
	CHECK_EQ(update(m, 5, 0, BPF_ANY), -E2BIG);
	CHECK_EQ(update(m, 0, 0, BPF_NOEXIST), -EEXIST);
	CHECK_EQ(lookup(m, 3), 13);
	CHECK_EQ(lookup(m, 5), -1);
	CHECK_EQ(erase(m, 0), -EINVAL);
	CHECK_EQ(for_each(m, 99, &sum), 5);
	CHECK_EQ(sum, 60);
	CHECK_EQ(for_each(m, 2, &sum), 3);
	CHECK_EQ(sum, 33);
	/* for_each flags; queues only */
	CHECK_EQ((long)ON(m, LD_MAP(1, 0), LD_FUNC(2, 5), MOV64_K(3, 0), MOV64_K(4, 1),
			  CALL(BPF_FUNC_for_each_map_elem), EXIT(), MOV64_K(0, 0), EXIT()),
		 -EINVAL);
	CHECK_EQ((long)ON(m, LD_MAP(1, 0), FP(2, -8), CALL(BPF_FUNC_map_pop_elem), EXIT()),
		 -ENOTSUPP);
	map_put(m);
	/* a map's memory by address, and an atomic on it */
	m = map_new(BPF_MAP_TYPE_ARRAY, 16, 1, -1);
	CHECK_EQ((long)ON(m, INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, 0),
			  INSN(0, 0, 0, 0, 8), MOV64_K(2, 5),
			  INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 1, 2, 0, BPF_ADD | BPF_FETCH),
			  INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 1, 2, 0, BPF_XOR | BPF_FETCH),
			  LDX(BPF_DW, 0, 1, 0), INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0),
			  EXIT()),
		 10);
	map_put(m);
}

static void test_hash(void)
{
	struct map *m = map_new(BPF_MAP_TYPE_HASH, 8, 4, -1);
	long sum;
	int i;

	CHECK_EQ(lookup(m, 7), -1);
	CHECK_EQ(update(m, 7, 1, BPF_EXIST), -ENOENT);
	for (i = 0; i < 4; i++)
		CHECK_EQ(update(m, i, 100 * i, BPF_NOEXIST), 0);
	CHECK_EQ(update(m, 4, 0, BPF_ANY), -E2BIG);
	CHECK_EQ(lookup(m, 3), 300);
	CHECK_EQ(for_each(m, 99, &sum), 4);
	CHECK_EQ(sum, 600);
	CHECK_EQ(erase(m, 3), 0);
	CHECK_EQ(erase(m, 3), -ENOENT);
	CHECK_EQ(lookup(m, 3), -1);
	map_put(m);
}

static void test_percpu(void)
{
	struct map *m = map_new(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 2, -1);
	uint32_t cpus = lease_possible_cpus(), cpu;
	long sum = 0;

	CHECK_EQ(update(m, 1, 5, BPF_ANY), 0);
	/* this CPU's by lookup_percpu is the one that was written */
	for (cpu = 0; cpu < cpus; cpu++)
		sum += (long)ON(m, ST(BPF_W, -4, 1), LD_MAP(1, 0), FP(2, -4),
				MOV64_K(3, (int32_t)cpu), CALL(BPF_FUNC_map_lookup_percpu_elem),
				JEQ(0, 0, 1), LDX(BPF_DW, 0, 0, 0), EXIT());
	CHECK_EQ(sum, 5);
	CHECK_EQ(ON(m, ST(BPF_W, -4, 1), LD_MAP(1, 0), FP(2, -4), MOV64_K(3, (int32_t)cpus),
		    CALL(BPF_FUNC_map_lookup_percpu_elem), EXIT()),
		 0);
	REQUIRE(lease_acquire() >= 0);
	cpu = (uint32_t)lease_cpu();
	lease_release();
	CHECK(cpu < cpus);
	CHECK(ON(m, CALL(BPF_FUNC_get_smp_processor_id), EXIT()) < cpus);
	map_put(m);
}

/* Threads whose first runs race, each adding under the element's lock. */
#define THREADS 4
#define RUNS 20000

static struct vm_prog *shared;

static void *adder(void *arg)
{
	uint64_t ret;
	int i, err;

	for (i = 0; i < RUNS; i++) {
		while (lease_acquire() < 0)
			sched_yield();
		err = vm_run(shared, NULL, NULL, &ret);
		lease_release();
		if (err)
			return (void *)(long)err;
	}
	return NULL;
}

static void test_spin_lock(void)
{
	struct map *m = map_new(BPF_MAP_TYPE_ARRAY, 16, 1, 0);
	struct bpf_insn insns[] = {
		ST(BPF_W, -4, 0),
		LD_MAP(1, 0),
		FP(2, -4),
		CALL(BPF_FUNC_map_lookup_elem),
		JEQ(0, 0, 7),
		MOV64_X(6, 0),
		MOV64_X(1, 6),
		CALL(BPF_FUNC_spin_lock),
		LDX(BPF_DW, 7, 6, 8),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, 1),
		INSN(BPF_STX | BPF_DW | BPF_MEM, 6, 7, 8, 0),
		MOV64_X(1, 6),
		CALL(BPF_FUNC_spin_unlock),
		MOV64_K(0, 0),
		EXIT(),
	};
	pthread_t t[THREADS];
	void *ret;
	int i;

	insns[6].off = 9;
	shared = with_map(insns, sizeof(insns) / sizeof(insns[0]), m);
	for (i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&t[i], NULL, adder, NULL));
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &ret);
		CHECK_EQ((long)ret, 0);
	}
	CHECK_EQ((long)ON(m, ST(BPF_W, -4, 0), LD_MAP(1, 0), FP(2, -4),
			  CALL(BPF_FUNC_map_lookup_elem), LDX(BPF_DW, 0, 0, 8), EXIT()),
		 THREADS * RUNS);
	vm_prog_free(shared);
	map_put(m);
}

int main(void)
{
	check_private_rundir();
	uaccess_init();
	test_array();
	test_hash();
	test_percpu();
	test_spin_lock();
	return check_done();
}
