/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs (gen.h) do the same on the kernel, by the interpreter, and as native code,
 * with and without the program's constants in it: R0, the packet, and what is in an array, a
 * per-CPU array and a hash. Where the kernel takes no programs, the interpreter stands for it.
 * SHMAP_TEST_OPS: programs to try; SHMAP_TEST_SEED: where to begin.
 */
#include <sched.h>

#include "gen.h"
#include "map/map.h"
#include "sync/lease.h"
#include "vm/jit.h"

#ifndef PROGRAMS /* where SHMAP_TEST_OPS does not say */
#define PROGRAMS 1500
#endif
#define PKT 128
#define ENTRIES 7 /* of the arrays: not a power of two */
#define KEYS 16
#define VALUE 16 /* bytes */
#define CTX_SLOT (ZERO_SLOT - 8)
#define REG_SLOTS (CTX_SLOT - 80) /* R0 to R9 */
#define KEY_SLOT (REG_SLOTS - 8)

enum { ARRAY, PERCPU, HASH, MAPS };

static const struct {
	uint32_t type, max;
} kinds[MAPS] = {{BPF_MAP_TYPE_ARRAY, ENTRIES},
		 {BPF_MAP_TYPE_PERCPU_ARRAY, ENTRIES},
		 {BPF_MAP_TYPE_HASH, KEYS}};

static struct map *maps[MAPS];
static int kernel_maps[MAPS];
static bool with_kernel;

static void map_make(int i)
{
	struct map_attr attr = {.map_type = kinds[i].type,
				.key_size = 4,
				.value_size = VALUE,
				.max_entries = kinds[i].max,
				.spin_lock_off = -1,
				.possible_cpus = lease_possible_cpus(),
				.name = "t"};
	union bpf_attr k;
	int fd;

	REQUIRE(!map_create(&attr, -1, &maps[i], &fd));
	close(fd);
	if (!with_kernel)
		return;
	memset(&k, 0, sizeof(k));
	k.map_type = kinds[i].type;
	k.key_size = 4;
	k.value_size = VALUE;
	k.max_entries = kinds[i].max;
	kernel_maps[i] = (int)kernel_bpf(BPF_MAP_CREATE, &k);
	REQUIRE(kernel_maps[i] >= 0);
}

static void maps_reset(bool kernel)
{
	static const uint8_t zero[VALUE * LEASE_CPUS_MAX];
	union bpf_attr k;

	for (int i = 0; i < MAPS; i++)
		for (uint32_t key = 0; key < kinds[i].max; key++) {
			memset(&k, 0, sizeof(k));
			k.map_fd = (uint32_t)kernel_maps[i];
			k.key = (uintptr_t)&key;
			k.value = i == HASH ? 0 : (uintptr_t)zero;
			if (i == HASH && kernel)
				kernel_bpf(BPF_MAP_DELETE_ELEM, &k);
			else if (i == HASH)
				maps[i]->ops->erase(maps[i], &key);
			else if (kernel)
				CHECK_EQ(kernel_bpf(BPF_MAP_UPDATE_ELEM, &k), 0);
			else
				CHECK_EQ(maps[i]->ops->write(maps[i], &key, zero, 0), 0);
		}
}

/* All that a program may have changed. */
struct outcome {
	uint64_t r0;
	uint8_t pkt[PKT];
	uint64_t sums[MAPS][KEYS][VALUE / 8]; /* over the CPUs: it may have run on any */
	bool there[MAPS][KEYS];
};

static void look(struct outcome *o, bool kernel)
{
	static uint64_t value[VALUE / 8 * LEASE_CPUS_MAX];
	union bpf_attr k;

	for (int i = 0; i < MAPS; i++)
		for (uint32_t key = 0; key < kinds[i].max; key++) {
			uint32_t cpus = i == PERCPU ? lease_possible_cpus() : 1;
			int err;

			memset(&k, 0, sizeof(k));
			k.map_fd = (uint32_t)kernel_maps[i];
			k.key = (uintptr_t)&key;
			k.value = (uintptr_t)value;
			err = kernel ? (int)kernel_bpf(BPF_MAP_LOOKUP_ELEM, &k)
				     : maps[i]->ops->read(maps[i], &key, value, 0);
			o->there[i][key] = !err;
			for (uint32_t c = 0; !err && c < cpus; c++)
				for (int w = 0; w < VALUE / 8; w++)
					o->sums[i][key][w] += value[c * VALUE / 8 + w];
		}
}

static void emit_map(struct gen *g, uint8_t reg, int map)
{
	struct bpf_insn pair[] = {LD_MAP(reg, map)};

	emit(g, pair[0]);
	emit(g, pair[1]);
}

/* R1 = the packet, of which PKT bytes are there; or the program ends with 99. */
static void emit_packet(struct gen *g)
{
	emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 3, 10, CTX_SLOT, 0));
	emit(g, INSN(BPF_LDX | BPF_W | BPF_MEM, 1, 3, 0, 0));
	emit(g, INSN(BPF_LDX | BPF_W | BPF_MEM, 2, 3, 4, 0));
	emit(g, MOV64_X(3, 1));
	emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, PKT));
	emit(g, INSN(BPF_JMP | BPF_JLE | BPF_X, 3, 2, 2, 0));
	emit(g, MOV64_K(0, 99));
	emit(g, EXIT());
}

/* R0 = the value of a key that depends on what was computed; null: the next n instructions
 * are not for it. */
static void emit_lookup(struct gen *g, int map, int16_t skip)
{
	emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10,
		     (int16_t)(REG_SLOTS + 8 * (int32_t)below(10)), 0));
	emit(g, INSN(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, KEYS - 1));
	emit(g, INSN(BPF_STX | BPF_W | BPF_MEM, 10, 1, KEY_SLOT, 0));
	emit(g, MOV64_X(2, 10));
	emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, KEY_SLOT));
	emit_map(g, 1, map);
	if (map == HASH && below(2)) {
		emit(g, MOV64_X(3, 10));
		emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, REG_SLOTS));
		emit(g, MOV64_K(4, (int32_t)below(3)));
		emit(g, CALL(BPF_FUNC_map_update_elem));
		emit(g, MOV64_X(2, 10));
		emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, KEY_SLOT));
		emit_map(g, 1, map);
		if (!below(3)) {
			emit(g, CALL(BPF_FUNC_map_delete_elem));
			emit(g, MOV64_X(2, 10));
			emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, KEY_SLOT));
			emit_map(g, 1, map);
		}
	}
	emit(g, CALL(BPF_FUNC_map_lookup_elem));
	emit(g, INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, skip, 0));
}

/* One map's value changes by what a register holds. */
static void gen_map(struct gen *g)
{
	int map = (int)below(MAPS);
	int16_t off = (int16_t)(8 * below(VALUE / 8));
	uint32_t how = below(3);

	emit_lookup(g, map, how == 0 ? 2 : how == 1 ? 2 : 4);
	emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 10,
		     (int16_t)(REG_SLOTS + 8 * (int32_t)below(10)), 0));
	if (how == 0) {
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 0, 1, off, 0));
	} else if (how == 1) {
		emit(g, INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 0, 1, off, BPF_ADD));
	} else {
		emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 2, 0, off, 0));
		emit(g, INSN(BPF_ALU64 | BPF_ADD | BPF_X, 2, 1, 0, 0));
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 0, 2, off, 0));
	}
}

static void gen_packet_program(struct gen *g)
{
	uint32_t i, n = 1 + below(4);

	g->cnt = g->pending_cnt = 0;
	emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 1, CTX_SLOT, 0));
	emit(g, INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, KEY_SLOT, 0));
	/* the zero that the verifier does not know, and values that it does not know either */
	emit(g, INSN(BPF_LDX | BPF_W | BPF_MEM, 9, 1, 16, 0));
	emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 9, ZERO_SLOT, 0));
	emit_packet(g);
	for (i = 0; i < 10; i++)
		if (i != 1)
			emit(g,
			     INSN(BPF_LDX | BPF_DW | BPF_MEM, (uint8_t)i, 1, (int16_t)(i * 8), 0));
	emit(g, INSN(BPF_LDX | BPF_W | BPF_MEM, 1, 1, 8, 0));
	for (i = 1; i <= SLOTS; i++)
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, (uint8_t)below(10), (int16_t)(-8 * i),
			     0));
	gen_body(g, 5 + below(20));
	for (i = 0; i < 10; i++)
		emit(g, INSN(BPF_STX | BPF_DW | BPF_MEM, 10, (uint8_t)i,
			     (int16_t)(REG_SLOTS + 8 * (int32_t)i), 0));
	for (i = 0; i < n; i++)
		gen_map(g);
	/* what was computed goes into the packet, in pieces of all sizes */
	emit_packet(g);
	for (i = 0; i < 10; i++) {
		static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
		uint32_t size = below(4);

		emit(g, INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 10,
			     (int16_t)(REG_SLOTS + 8 * (int32_t)i), 0));
		emit(g, INSN(BPF_STX | sizes[size] | BPF_MEM, 1, 0,
			     (int16_t)below(PKT - (1u << size)), 0));
	}
	for (i = 1; i < 10; i++)
		emit(g, i == 1 ? MOV64_K(1, 0) : MOV64_X((uint8_t)i, 0));
	gen_hash(g);
}

static void on_kernel(const struct gen *g, const uint8_t *pkt, struct outcome *o, int fd)
{
	union bpf_attr attr;

	memset(o, 0, sizeof(*o));
	maps_reset(true);
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.data_in = (uintptr_t)pkt;
	attr.test.data_size_in = PKT;
	attr.test.data_out = (uintptr_t)o->pkt;
	attr.test.data_size_out = PKT;
	attr.test.repeat = 1;
	REQUIRE(kernel_bpf(BPF_PROG_TEST_RUN, &attr) == 0);
	o->r0 = attr.test.retval;
	look(o, true);
}

static void on_engine(const struct gen *g, const uint8_t *pkt, struct outcome *o,
		      enum vm_engine engine, bool harden)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_XDP, g->insns, g->cnt);
	struct vm_env env = {.pkt = o->pkt, .pkt_end = o->pkt + PKT};
	struct xdp_md md = {0};
	struct vm_log log = {0};
	int err = 0;

	memset(o, 0, sizeof(*o));
	memcpy(o->pkt, pkt, PKT);
	maps_reset(false);
	p->maps = calloc(MAPS, sizeof(*p->maps));
	REQUIRE(p->maps);
	for (int i = 0; i < MAPS; i++) {
		p->maps[i] = maps[i];
		map_get(maps[i]);
	}
	p->map_cnt = MAPS;
	p->engine = engine;
	p->harden = harden;
	CHECK_EQ(vm_verify(p, &log), 0);
	CHECK(interp_code(p, &err));
	if (VM_HAVE_JIT && p->code)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	REQUIRE(lease_acquire() >= 0);
	CHECK_EQ(vm_run(p, &md, &env, &o->r0), 0);
	lease_release();
	look(o, false);
	vm_prog_free(p);
}

static void compare(const struct gen *g, uint64_t seed, const char *engine,
		    const struct outcome *want, const struct outcome *got)
{
	/* (the kernel hands out 32 bits) */
	if ((uint32_t)want->r0 == (uint32_t)got->r0 && !memcmp(want->pkt, got->pkt, PKT) &&
	    !memcmp(want->sums, got->sums, sizeof(want->sums)) &&
	    !memcmp(want->there, got->there, sizeof(want->there)))
		return;
	fprintf(stderr, "seed %llu, %s: R0 %#llx, wanted %#llx; packet %s, maps %s\n",
		(unsigned long long)seed, engine, (unsigned long long)got->r0,
		(unsigned long long)want->r0, memcmp(want->pkt, got->pkt, PKT) ? "differs" : "same",
		memcmp(want->sums, got->sums, sizeof(want->sums)) ? "differ" : "same");
	for (int i = 0; i < MAPS; i++)
		for (uint32_t key = 0; key < kinds[i].max; key++)
			if (want->there[i][key] != got->there[i][key] ||
			    memcmp(want->sums[i][key], got->sums[i][key], VALUE))
				fprintf(stderr,
					"map %d key %u: %d %#llx %#llx, wanted %d %#llx "
					"%#llx\n",
					i, key, got->there[i][key],
					(unsigned long long)got->sums[i][key][0],
					(unsigned long long)got->sums[i][key][1],
					want->there[i][key],
					(unsigned long long)want->sums[i][key][0],
					(unsigned long long)want->sums[i][key][1]);
	if (!check_failures++)
		dump(g);
}

static int load(struct gen *g, char *log, uint32_t log_size)
{
	static struct gen k;

	k = *g;
	for (uint32_t i = 0; i < k.cnt; i++)
		if (k.insns[i].code == (BPF_LD | BPF_IMM | BPF_DW)) {
			if (k.insns[i].src_reg == BPF_PSEUDO_MAP_FD)
				k.insns[i].imm = kernel_maps[k.insns[i].imm];
			i++;
		}
	return kernel_load(BPF_PROG_TYPE_XDP, k.insns, k.cnt, log, log_size);
}

int main(void)
{
	const char *ops_env = getenv("SHMAP_TEST_OPS"), *seed_env = getenv("SHMAP_TEST_SEED");
	uint64_t seed = seed_env ? strtoull(seed_env, NULL, 0) : 1;
	uint32_t programs = ops_env ? (uint32_t)strtoul(ops_env, NULL, 0) : PROGRAMS, i, refused = 0;
	static char log[1 << 16];
	static struct gen g;
	uint8_t pkt[PKT];

	with_kernel = kernel_there();
	if (!with_kernel)
		printf("bpf(2) does not load programs here: compared with the interpreter\n");
	check_private_rundir();
	uaccess_init();
	for (int m = 0; m < MAPS; m++)
		map_make(m);
	for (i = 0; i < programs && check_failures < 5; i++) {
		struct outcome want, got;
		int fd;

		rng_state = (seed + i) * HASH_K;
		for (int b = 0; b < PKT; b += 8) {
			uint64_t v = interesting();

			memcpy(pkt + b, &v, 8);
		}
		gen_packet_program(&g);
		fd = with_kernel ? load(&g, NULL, 0) : -1;
		if (with_kernel && fd < 0) {
			/* the generator's fault: there must be none */
			if (!refused++) {
				load(&g, log, sizeof(log));
				fprintf(stderr, "seed %llu refused:\n%s\n",
					(unsigned long long)(seed + i),
					log + (strlen(log) > 1000 ? strlen(log) - 1000 : 0));
			}
			continue;
		}
		on_engine(&g, pkt, &got, VM_ENGINE_INTERP, false);
		if (with_kernel) {
			on_kernel(&g, pkt, &want, fd);
			close(fd);
			compare(&g, seed + i, "interpreter", &want, &got);
		} else {
			want = got;
		}
		on_engine(&g, pkt, &got, VM_ENGINE_JIT, false);
		compare(&g, seed + i, "native code", &want, &got);
		on_engine(&g, pkt, &got, VM_ENGINE_JIT, true);
		compare(&g, seed + i, "hardened code", &want, &got);
	}
	printf("%u programs, %u refused by the kernel\n", i, refused);
	CHECK_EQ(refused, 0);
	return check_done();
}
