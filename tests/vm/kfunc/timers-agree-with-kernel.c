/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers and work queues: maps that hold them, verdicts, results, and what callbacks do. */
#include <sched.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kt.h"

enum { WQ_INIT, WQ_CALLBACK, WQ_START, NAMES };

static const char *const names[NAMES] = {"bpf_wq_init", "bpf_wq_set_callback_impl", "bpf_wq_start"};

/* the value: { u64 a; struct bpf_timer t; u64 b; struct bpf_wq w; u64 c; } */
#define VALUE 56
#define AT_T 8
#define AT_B 24
#define AT_W 32
#define AT_C 48

static uint32_t id_int, id_value;
enum { T_ARRAY, T_HASH, T_LRU, T_CNT };
static int timer_maps[SIDES][T_CNT];

static void make_btf(void)
{
	struct btf *btf = btf__new_empty();
	int u64, arr, timer, wq, proto, ptr;
	uint32_t size;
	const void *raw;

	id_int = (uint32_t)btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	u64 = btf__add_int(btf, "long", 8, 0);
	arr = btf__add_array(btf, (int)id_int, u64, 2);
	timer = btf__add_struct(btf, "bpf_timer", 16);
	btf__add_field(btf, "__opaque", arr, 0, 0);
	wq = btf__add_struct(btf, "bpf_wq", 16);
	btf__add_field(btf, "__opaque", arr, 0, 0);
	id_value = (uint32_t)btf__add_struct(btf, "value", VALUE);
	btf__add_field(btf, "a", u64, 0, 0);
	btf__add_field(btf, "t", timer, AT_T * 8, 0);
	btf__add_field(btf, "b", u64, AT_B * 8, 0);
	btf__add_field(btf, "w", wq, AT_W * 8, 0);
	btf__add_field(btf, "c", u64, AT_C * 8, 0);
	proto = btf__add_func_proto(btf, (int)id_int);
	kt_funcs[0] = (uint32_t)btf__add_func(btf, "prog", BTF_FUNC_STATIC, proto);
	ptr = btf__add_ptr(btf, 0);
	proto = btf__add_func_proto(btf, (int)id_int);
	btf__add_func_param(btf, "map", ptr);
	btf__add_func_param(btf, "key", ptr);
	btf__add_func_param(btf, "value", ptr);
	kt_funcs[1] = (uint32_t)btf__add_func(btf, "callback", BTF_FUNC_STATIC, proto);
	raw = btf__raw_data(btf, &size);
	for (int s = 0; s < (have_kernel ? SIDES : 1); s++) {
		union sys_attr a = {0};

		a.btf_load.btf = (uintptr_t)raw;
		a.btf_load.btf_size = size;
		kt_btf[s] = (int)side_bpf(s, BPF_BTF_LOAD, &a);
		REQUIRE(kt_btf[s] >= 0);
	}
	btf__free(btf);
}

static int timer_map(enum side side, uint32_t type, uint32_t flags)
{
	union sys_attr a = {0};

	a.map_create.map_type = type;
	a.map_create.key_size = 4;
	a.map_create.value_size = VALUE;
	a.map_create.max_entries = type == BPF_MAP_TYPE_ARRAY ? 1 : 64;
	a.map_create.map_flags = flags;
	a.map_create.btf_fd = (uint32_t)kt_btf[side];
	a.map_create.btf_key_type_id = id_int;
	a.map_create.btf_value_type_id = id_value;
	return (int)side_bpf(side, BPF_MAP_CREATE, &a);
}

static long elem(enum side side, int cmd, int fd, uint32_t key, void *value)
{
	union sys_attr a = {0};

	a.elem.map_fd = (uint32_t)fd;
	a.elem.key = (uintptr_t)&key;
	a.elem.value = (uintptr_t)value;
	return side_bpf(side, cmd, &a);
}

static void maps_as_kernel(void)
{
	static const uint32_t types[] = {
		BPF_MAP_TYPE_ARRAY,	   BPF_MAP_TYPE_HASH,	      BPF_MAP_TYPE_LRU_HASH,
		BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH,  BPF_MAP_TYPE_LRU_PERCPU_HASH,
		BPF_MAP_TYPE_LPM_TRIE,	   BPF_MAP_TYPE_QUEUE,	      BPF_MAP_TYPE_TASK_STORAGE,
	};
	static const uint32_t flags[] = {0, BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG, BPF_F_MMAPABLE};

	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
		for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
			int fd[SIDES];

			for (int s = 0; s < SIDES; s++)
				fd[s] = timer_map(s, types[t], flags[f]);
			if ((fd[0] < 0 ? fd[0] : 0) != (fd[1] < 0 ? fd[1] : 0)) {
				fprintf(stderr, "map type %u flags %#x: here %d, kernel %d\n",
					types[t], flags[f], fd[0], fd[1]);
				check_failures++;
			}
			for (int s = 0; s < SIDES; s++)
				if (fd[s] >= 0)
					side_close(s, fd[s]);
		}
}

/* What is written over a timer is not there, and what is read of it is zero. */
static void values_as_kernel(void)
{
	for (int t = 0; t < T_CNT; t++) {
		uint8_t in[VALUE], out[SIDES][VALUE];
		union sys_attr a;

		memset(in, 0x5a, sizeof(in));
		for (int s = 0; s < SIDES; s++) {
			int fd = timer_maps[s][t];
			uint32_t keys[4] = {0}, count = 1;
			uint8_t values[4 * VALUE];

			CHECK_EQ(elem(s, BPF_MAP_UPDATE_ELEM, fd, 0, in), 0);
			memset(out[s], 0xee, VALUE);
			CHECK_EQ(elem(s, BPF_MAP_LOOKUP_ELEM, fd, 0, out[s]), 0);
			memset(&a, 0, sizeof(a));
			a.elem.map_fd = (uint32_t)fd;
			CHECK_EQ(side_bpf(s, BPF_MAP_FREEZE, &a), -ENOTSUPP);
			memset(&a, 0, sizeof(a));
			a.batch.map_fd = (uint32_t)fd;
			a.batch.keys = (uintptr_t)keys;
			a.batch.values = (uintptr_t)values;
			a.batch.count = count;
			memset(values, 0x77, sizeof(values));
			CHECK_EQ(side_bpf(s, BPF_MAP_UPDATE_BATCH, &a), 0);
			memset(values, 0xee, sizeof(values));
			CHECK_EQ(elem(s, BPF_MAP_LOOKUP_ELEM, fd, 0, values), 0);
			for (int i = 0; i < VALUE; i++)
				CHECK_EQ(values[i], (i >= AT_T && i < AT_B) ||
								    (i >= AT_W && i < AT_C)
							    ? 0
							    : 0x77);
		}
		CHECK(!memcmp(out[0], out[1], VALUE));
		for (int i = AT_T; i < AT_B; i++)
			CHECK_EQ(out[OURS][i], 0);
	}
}

#define T_ARG MAPV(R1, KM_EXTRA, AT_T)
#define INIT(clock) T_ARG, MAP(R2, KM_EXTRA), MOV(R3, clock), CALL(timer_init)
#define SETCB T_ARG, FUNC(R2, 0), CALL(timer_set_callback)
#define START(ns, flags) T_ARG, MOV(R2, ns), MOV(R3, flags), CALL(timer_start)
#define CANCEL T_ARG, CALL(timer_cancel)
#define W_ARG MAPV(R1, KM_EXTRA, AT_W)
#define WINIT(flags) W_ARG, MAP(R2, KM_EXTRA), MOV(R3, flags), KF(WQ_INIT)
#define WSETCB(flags) W_ARG, FUNC(R2, 0), MOV(R3, flags), KF(WQ_CALLBACK)
#define WSTART(flags) W_ARG, MOV(R2, flags), KF(WQ_START)
#define MIX ALU(MUL, R9, 31), ALUR(ADD, R9, R0)
#define BEGIN MOV(R9, 0)
#define END MOVR(R0, R9), EXIT

#define TCASE(name_, type_, flags_, callback_, ...)                                                \
	{                                                                                          \
		.name = name_, .type = type_, .insns = (const struct bpf_insn[]){__VA_ARGS__},     \
		.cnt = sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn),   \
		.flags = flags_, .callback = callback_,                                            \
		.callback_cnt = sizeof(callback_) / sizeof(struct bpf_insn)                        \
	}

/* a += 1 */
static const struct bpf_insn count_up[] = {LD(DW, R1, R3, 0), ALU(ADD, R1, 1), STX(DW, R3, R1, 0), RET(0)};
static const struct bpf_insn reads_nowhere[] = {MOVR(R6, R3), LEA(R1, -8), MOV(R2, 8), MOV(R3, 64), CALL(probe_read_kernel),
	LD(DW, R1, R6, 0), ALU(ADD, R1, 1), STX(DW, R6, R1, 0), RET(0)};
static const struct bpf_insn returns_one[] = {RET(1)};
static const struct bpf_insn returns_key[] = {MOVR(R0, R2), EXIT};
static const struct bpf_insn reads_timer[] = {LD(DW, R1, R3, AT_T), RET(0)};
static const struct bpf_insn writes_key[] = {ST(W, R2, 0, 1), RET(0)};
static const struct bpf_insn beyond_value[] = {LD(DW, R1, R3, VALUE), RET(0)};
static const struct bpf_insn uses_r4[] = {MOVR(R0, R4), EXIT};
/* again until a is 20; the key is seen in c */
static const struct bpf_insn repeats[] = {
	LD(W, R4, R2, 0), ALU(ADD, R4, 7), STX(DW, R3, R4, AT_C), LD(DW, R1, R3, 0), ALU(ADD, R1, 1),
	STX(DW, R3, R1, 0), JMP(JGE, R1, 20, 5), MOVR(R1, R3), ALU(ADD, R1, AT_T), MOV(R2, 1000),
	MOV(R3, 0), CALL(timer_start), RET(0)};
/* b = what cancelling itself gives */
static const struct bpf_insn cancels_itself[] = {
	MOVR(R6, R3), MOVR(R1, R3), ALU(ADD, R1, AT_T), CALL(timer_cancel), STX(DW, R6, R0, AT_B),
	ST(DW, R6, 0, 20), RET(0)};

/* The element with key 0 is written whole, the bytes of its timer too. */
#define FILL(off) ST(DW, FP, off, 0x5a5a5a5a)
#define WRITE                                                                                      \
	FILL(-56), FILL(-48), FILL(-40), FILL(-32), FILL(-24), FILL(-16), FILL(-8),                \
		ST(W, FP, -60, 0), MAP(R1, KM_EXTRA), LEA(R2, -60), LEA(R3, -56), MOV(R4, 0),      \
		CALL(map_update_elem)

static const struct kt_case cases[] = {
	TCASE("init, callback, start", SK, 0, count_up, BEGIN, INIT(1), MIX, SETCB, MIX, START(1 << 30, 0), MIX, CANCEL, MIX, CANCEL, MIX, END),
	TCASE("init twice", SK, 0, count_up, BEGIN, INIT(1), MIX, INIT(1), MIX, SETCB, END),
	TCASE("written by a program", SK, 0, count_up, BEGIN, WRITE, MIX, INIT(1), MIX, SETCB, MIX, CANCEL, MIX, END),
	TCASE("clocks", SK, 0, count_up, BEGIN, INIT(2), MIX, INIT(7), MIX, INIT(0), MIX, SETCB, END),
	TCASE("boot time", SK, 0, count_up, BEGIN, INIT(7), MIX, SETCB, MIX, END),
	TCASE("bad clock", SK, 0, count_up, BEGIN, INIT(100), MIX, SETCB, MIX, START(0, 0), MIX, CANCEL, MIX, END),
	TCASE("start without callback", SK, 0, count_up, BEGIN, INIT(1), MIX, START(0, 0), MIX, CANCEL, MIX, SETCB, MIX, END),
	TCASE("cancel forgets the callback", SK, 0, count_up, BEGIN, INIT(1), MIX, SETCB, MIX, CANCEL, MIX, START(0, 0), MIX, END),
	TCASE("start flags", SK, 0, count_up, BEGIN, INIT(1), SETCB, START(1 << 30, 4), MIX, START(1 << 30, 2), MIX, CANCEL, MIX, END),
	TCASE("started twice", SK, 0, count_up, BEGIN, INIT(1), SETCB, START(1 << 30, 0), MIX, START(1 << 30, 0), MIX, CANCEL, MIX, END),
	TCASE("tc too", TC, 0, count_up, BEGIN, INIT(1), MIX, SETCB, MIX, END),
	TCASE("xdp too", XDP, 0, count_up, BEGIN, INIT(1), MIX, SETCB, MIX, END),
	TCASE("another map", SK, 0, count_up, T_ARG, MAP(R2, KM_ARRAY), MOV(R3, 1), CALL(timer_init), SETCB, RET(0)),
	TCASE("another offset", SK, 0, count_up, MAPV(R1, KM_EXTRA, 0), MAP(R2, KM_EXTRA), MOV(R3, 1), CALL(timer_init), SETCB, RET(0)),
	TCASE("variable offset", SK, 0, count_up, LD(W, R6, R1, 0), ALU(AND, R6, 8), MAPV(R1, KM_EXTRA, 0), ALUR(ADD, R1, R6), MAP(R2, KM_EXTRA), MOV(R3, 1), CALL(timer_init), SETCB, RET(0)),
	TCASE("a map without", SK, 0, count_up, MAPV(R1, KM_ARRAY, 0), MAP(R2, KM_ARRAY), MOV(R3, 1), CALL(timer_init), SETCB, RET(0)),
	TCASE("on the stack", SK, KT_TEXT, count_up, ST(DW, FP, -8, 0), ST(DW, FP, -16, 0), LEA(R1, -16), MAP(R2, KM_EXTRA), MOV(R3, 1), CALL(timer_init), SETCB, RET(0)),
	TCASE("callback is a number", SK, 0, count_up, INIT(1), SETCB, T_ARG, MOV(R2, 5), CALL(timer_set_callback), RET(0)),
	TCASE("callback returns one", SK, 0, returns_one, INIT(1), SETCB, RET(0)),
	TCASE("callback returns the key", SK, 0, returns_key, INIT(1), SETCB, RET(0)),
	TCASE("callback reads the timer", SK, 0, reads_timer, INIT(1), SETCB, RET(0)),
	TCASE("callback writes the key", SK, 0, writes_key, INIT(1), SETCB, RET(0)),
	TCASE("callback reads beyond", SK, KT_TEXT, beyond_value, INIT(1), SETCB, RET(0)),
	TCASE("callback uses R4", SK, 0, uses_r4, INIT(1), SETCB, RET(0)),
	TCASE("timer loaded", SK, 0, count_up, SETCB, T_ARG, LD(DW, R0, R1, 0), EXIT),
	TCASE("timer's last byte stored", SK, 0, count_up, SETCB, T_ARG, ST(B, R1, 15, 0), RET(0)),
	TCASE("work loaded", SK, 0, count_up, SETCB, W_ARG, LD(DW, R0, R1, 8), EXIT),
	TCASE("beside the timer", SK, 0, count_up, BEGIN, SETCB, MIX, T_ARG, ST(B, R1, 16, 3), LD(B, R0, R1, 16), MIX, END),
	TCASE("timer as a key", SK, 0, count_up, SETCB, MAPV(R2, KM_EXTRA, AT_T), MAP(R1, KM_HASH), CALL(map_lookup_elem), RET(0)),
	TCASE("wq: init, callback", SK, 0, count_up, BEGIN, WINIT(0), MIX, WINIT(0), MIX, WSETCB(0), MIX, END),
	TCASE("wq: flags", SK, 0, count_up, BEGIN, WINIT(1), MIX, WINIT(0), MIX, WSETCB(1), MIX, WSTART(1), MIX, END),
	TCASE("wq: not made", SK, 0, count_up, BEGIN, WSETCB(0), MIX, WSTART(0), MIX, END),
	TCASE("wq: no callback", SK, 0, count_up, BEGIN, WINIT(0), MIX, WSTART(0), MIX, WSETCB(0), END),
	TCASE("wq: another offset", SK, 0, count_up, MAPV(R1, KM_EXTRA, 0), MAP(R2, KM_EXTRA), MOV(R3, 0), KF(WQ_INIT), SETCB, RET(0)),
	/* a map without special fields: Linux 6.18 does not survive the question */
	TCASE("wq: another map", SK, KT_OURS, count_up, W_ARG, MAP(R2, KM_ARRAY), MOV(R3, 0), KF(WQ_INIT), SETCB, RET(0)),
	TCASE("wq: a timer", SK, 0, count_up, T_ARG, MAP(R2, KM_EXTRA), MOV(R3, 0), KF(WQ_INIT), SETCB, RET(0)),
	TCASE("wq: callback returns one", SK, 0, returns_one, WINIT(0), WSETCB(0), RET(0)),
};

/* Runs it once, and waits until the value's a is so much; then both sides' values are alike. */
static void run_until(const char *name, const struct bpf_insn *callback, uint32_t callback_cnt,
		      const struct bpf_insn *insns, uint32_t cnt, uint64_t until, int t)
{
	const struct kt_case c = {.name = name,
				  .type = SK,
				  .insns = insns,
				  .cnt = cnt,
				  .callback = callback,
				  .callback_cnt = callback_cnt};
	uint64_t value[SIDES][VALUE / 8];

	for (int s = 0; s < (have_kernel ? SIDES : 1); s++) {
		struct kt_result r;
		int fd;

		memset(value[s], 0, VALUE);
		CHECK_EQ(elem(s, BPF_MAP_UPDATE_ELEM, timer_maps[s][t], 0, value[s]), 0);
		kt_maps[s][KM_EXTRA] = timer_maps[s][t];
		fd = kt_load(s, &c, true);
		if (fd < 0)
			fprintf(stderr, "%s: %s\n", name, kt_fault(kt_log[s]));
		REQUIRE(fd >= 0);
		kt_run(s, fd, &r);
		CHECK_EQ(r.err, 0);
		CHECK_EQ(r.retval, 0);
		do {
			sched_yield();
			REQUIRE(!elem(s, BPF_MAP_LOOKUP_ELEM, timer_maps[s][t], 0, value[s]));
		} while (value[s][0] < until);
		kt_maps[s][KM_EXTRA] = timer_maps[s][T_ARRAY];
		side_close(s, fd);
	}
	if (have_kernel && memcmp(value[OURS], value[KERNEL], VALUE)) {
		fprintf(stderr, "%s: values differ: a %llu %llu, b %lld %lld, c %llu %llu\n", name,
			(unsigned long long)value[0][0], (unsigned long long)value[1][0],
			(long long)value[0][AT_B / 8], (long long)value[1][AT_B / 8],
			(unsigned long long)value[0][AT_C / 8],
			(unsigned long long)value[1][AT_C / 8]);
		check_failures++;
	}
}

#define INSNS(...)                                                                                 \
	(const struct bpf_insn[]){__VA_ARGS__},                                                    \
		sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn)
#define CALLBACK(cb) cb, sizeof(cb) / sizeof(cb[0])
/* The timer of the element with key 0 in R6 */
#define ELEM ST(W, FP, -4, 0), LEA(R2, -4), MAP(R1, KM_EXTRA), CALL(map_lookup_elem), JMP(JNE, R0, 0, 2), RET(9), MOVR(R6, R0), ALU(ADD, R6, AT_T)
#define START_ELEM(ns, flags)                                                                      \
	ELEM, MOVR(R1, R6), MAP(R2, KM_EXTRA), MOV(R3, 1), CALL(timer_init), MOVR(R1, R6),         \
		FUNC(R2, 0), CALL(timer_set_callback), MOVR(R1, R6), MOV(R2, ns), MOV(R3, flags),  \
		CALL(timer_start), EXIT

static void callbacks_run(void)
{
	for (int t = 0; t < T_CNT; t++) {
		run_until("at once", CALLBACK(count_up), INSNS(START_ELEM(0, 0)), 1, t);
		run_until("after a while", CALLBACK(count_up), INSNS(START_ELEM(3000000, 0)), 1, t);
		run_until("at a time that is past", CALLBACK(count_up), INSNS(START_ELEM(1, 1)), 1, t);
		run_until("again and again", CALLBACK(repeats), INSNS(START_ELEM(1000, 0)), 20, t);
		run_until("cancels itself", CALLBACK(cancels_itself), INSNS(START_ELEM(0, 0)), 20, t);
	}
	/* a read that fails, in the thread that runs callbacks */
	run_until("reads nowhere", CALLBACK(reads_nowhere), INSNS(START_ELEM(0, 0)), 1, T_ARRAY);
	run_until("work", CALLBACK(count_up),
		  INSNS(ELEM, ALU(ADD, R6, AT_W - AT_T), MOVR(R1, R6), MAP(R2, KM_EXTRA), MOV(R3, 0),
			KF(WQ_INIT), MOVR(R1, R6), FUNC(R2, 0), MOV(R3, 0), KF(WQ_CALLBACK),
			MOVR(R1, R6), MOV(R2, 0), KF(WQ_START), EXIT),
		  1, T_HASH);
}

/* ---- of several processes, here alone: the kernel's are nobody's ---- */

static int timer_prog(const struct bpf_insn *insns, uint32_t cnt, bool callback)
{
	struct kt_case c = {.name = "of processes", .type = SK, .insns = insns, .cnt = cnt};
	int fd;

	if (callback) {
		c.callback = count_up;
		c.callback_cnt = sizeof(count_up) / sizeof(count_up[0]);
	}
	fd = kt_load(OURS, &c, true);

	if (fd < 0)
		fprintf(stderr, "%s\n", kt_fault(kt_log[OURS]));
	REQUIRE(fd >= 0);
	return fd;
}

static uint32_t run(int fd)
{
	struct kt_result r;

	kt_run(OURS, fd, &r);
	CHECK_EQ(r.err, 0);
	return r.retval;
}

static uint64_t count(int map)
{
	uint64_t value[VALUE / 8];

	REQUIRE(!elem(OURS, BPF_MAP_LOOKUP_ELEM, map, 0, value));
	return value[0];
}

static void count_is(int map, uint64_t n)
{
	while (count(map) < n)
		sched_yield();
	CHECK_EQ(count(map), n);
}

static void join(pid_t pid, int want)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, want);
}

/* A callback was verified for the values of its map. The bytes of another map's timer that say
 * it is that one's as well are nobody's word. */
static void forged(void)
{
	const int maps[] = {timer_maps[OURS][T_ARRAY], timer_map(OURS, BPF_MAP_TYPE_ARRAY, 0)};
	const int was = kt_maps[OURS][KM_RODATA];
	uint8_t *at[2];
	int prog;

	for (int i = 0; i < 2; i++) {
		at[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, maps[i], 0);
		REQUIRE(at[i] != MAP_FAILED);
	}
	kt_maps[OURS][KM_EXTRA] = maps[0];
	kt_maps[OURS][KM_RODATA] = maps[1];
	prog = timer_prog(INSNS(INIT(1), SETCB, MAPV(R1, KM_RODATA, AT_T), MAP(R2, KM_RODATA),
				MOV(R3, 1), CALL(timer_init), MAPV(R1, KM_RODATA, AT_T), MOV(R2, -1),
				MOV(R3, 0), CALL(timer_start), EXIT),
			  true);
	CHECK_EQ(run(prog), (uint32_t)-EINVAL);
	/* its function and program */
	REQUIRE(memcmp(at[0] + AT_T + 8, at[1] + AT_T + 8, 8));
	memcpy(at[1] + AT_T + 8, at[0] + AT_T + 8, 8);
	CHECK_EQ(run(prog), (uint32_t)-EINVAL);
	side_close(OURS, prog);
	side_close(OURS, maps[1]);
	for (int i = 0; i < 2; i++)
		munmap(at[i], 4096);
	kt_maps[OURS][KM_RODATA] = was;
}

static void processes(void)
{
	static uint8_t zero[VALUE];
	const int map = timer_maps[OURS][T_HASH];
	int now, later, cancel, ready[2];
	pid_t pid;
	char c;

	kt_maps[OURS][KM_EXTRA] = map;
	CHECK_EQ(elem(OURS, BPF_MAP_UPDATE_ELEM, map, 0, zero), 0);
	now = timer_prog(INSNS(START_ELEM(0, 0)), true);
	later = timer_prog(INSNS(START_ELEM(-1, 0)), true); /* never */
	cancel = timer_prog(INSNS(ELEM, MOVR(R1, R6), CALL(timer_cancel), EXIT), false);
	/* a child's timers are its own */
	CHECK_EQ(run(now), 0);
	count_is(map, 1);
	if (!(pid = fork())) {
		run(now);
		count_is(map, 2);
		_exit(check_failures != 0);
	}
	join(pid, 0);
	/* what the parent is to run, the child starts anew: the parent has none then */
	CHECK_EQ(run(later), 0);
	if (!(pid = fork())) {
		run(now);
		count_is(map, 3);
		_exit(check_failures != 0);
	}
	join(pid, 0);
	CHECK_EQ(run(cancel), 0);
	/* cancelled by another process */
	CHECK_EQ(run(later), 0);
	if (!(pid = fork())) {
		CHECK_EQ(run(cancel), 1);
		_exit(check_failures != 0);
	}
	join(pid, 0);
	CHECK_EQ(run(cancel), 0);
	/* who was to run it is killed: it is armed, is cancelled, is started again */
	for (int again = 0; again < 2; again++) {
		REQUIRE(!pipe(ready));
		if (!(pid = fork())) {
			run(later);
			REQUIRE(write(ready[1], "x", 1) == 1);
			for (;;)
				pause();
		}
		close(ready[1]);
		CHECK_EQ(read(ready[0], &c, 1), 1);
		kill(pid, SIGKILL);
		join(pid, SIGKILL);
		close(ready[0]);
		if (!again) {
			CHECK_EQ(run(cancel), 1);
			CHECK_EQ(run(cancel), 0);
		}
		CHECK_EQ(run(now), 0);
		count_is(map, 4 + again);
	}
	side_close(OURS, now);
	side_close(OURS, later);
	side_close(OURS, cancel);
	kt_maps[OURS][KM_EXTRA] = timer_maps[OURS][T_ARRAY];
}

int main(int argc, char **argv)
{
	static uint8_t zero[VALUE];

	kt_init(names, NAMES);
	make_btf();
	for (int s = 0; s < (have_kernel ? SIDES : 1); s++) {
		timer_maps[s][T_ARRAY] = timer_map(s, BPF_MAP_TYPE_ARRAY, 0);
		timer_maps[s][T_HASH] = timer_map(s, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
		timer_maps[s][T_LRU] = timer_map(s, BPF_MAP_TYPE_LRU_HASH, 0);
		for (int t = 0; t < T_CNT; t++)
			REQUIRE(timer_maps[s][t] >= 0);
		kt_maps[s][KM_EXTRA] = timer_maps[s][T_ARRAY];
	}
	if (have_kernel) {
		maps_as_kernel();
		values_as_kernel();
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* an update of an array's value ends its timers */
		for (int s = 0; s < (have_kernel ? SIDES : 1); s++)
			CHECK_EQ(elem(s, BPF_MAP_UPDATE_ELEM, kt_maps[s][KM_EXTRA], 0, zero), 0);
		if (argc < 2 || strstr(cases[i].name, argv[1]))
			kt_check(&cases[i], argc > 1);
	}
	callbacks_run();
	forged();
	processes();
	return check_done();
}
