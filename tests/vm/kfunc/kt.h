/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One program on shmap and on the kernel: both load it or both refuse it for the same
 * fault; both runs return the same, and leave the same in the packet and in an array.
 */
#ifndef SHMAP_TESTS_VM_KFUNC_KT_H
#define SHMAP_TESTS_VM_KFUNC_KT_H

#include <bpf/btf.h>
#include <stdio.h>

#include "../../sys/prog/both.h"
#undef LD_MAP
#undef INSN
#undef EXIT
#include "../verifier/vt.h"

#define SK BPF_PROG_TYPE_SOCKET_FILTER
#define TC BPF_PROG_TYPE_SCHED_CLS
#define XDP BPF_PROG_TYPE_XDP

#define ADDK(d, i) ALU(ADD, d, i)
#define LEA(d, off) MOVR(d, FP), ALU(ADD, d, off)
#define RET(i) MOV(R0, i), EXIT
#define FN(rel) FUNC(R2, rel)

/* Maps of a case, by index. */
enum { KM_ARRAY, KM_HASH, KM_RING, KM_RODATA, KM_EXTRA, KM_CNT };

#define KT_TEXT 1    /* the fault is told in other words */
#define KT_STRICT 2  /* refused here, accepted by the kernel: in docs/compat.md */
#define KT_VALUE 4   /* what the runs return may differ */
#define KT_OURS 16   /* refused here; the kernel is not asked */
#define KT_OWN_ERR 8 /* both refuse, with another errno */

#define KT_LOG (1 << 20)
#define KT_ARRAY 256

static int kt_maps[SIDES][KM_CNT];
static const char *const *kt_names;
static uint32_t kt_ids[64];
static char kt_log[SIDES][KT_LOG];
static uint8_t kt_rodata[64];
/* The BTF of programs and maps that have one. */
static int kt_btf[SIDES] = {-1, -1};
static uint32_t kt_funcs[2]; /* of the program, of its callback */

static inline int kt_map(enum side side, uint32_t type, uint32_t key, uint32_t value, uint32_t max,
			 uint32_t flags)
{
	union sys_attr a = {0};
	int fd;

	a.map_create.map_type = type;
	a.map_create.key_size = key;
	a.map_create.value_size = value;
	a.map_create.max_entries = max;
	a.map_create.map_flags = flags;
	fd = (int)side_bpf(side, BPF_MAP_CREATE, &a);
	REQUIRE(fd >= 0);
	return fd;
}

static inline void kt_update(enum side side, int fd, const void *value)
{
	union sys_attr a = {0};
	uint32_t key = 0;

	a.elem.map_fd = (uint32_t)fd;
	a.elem.key = (uintptr_t)&key;
	a.elem.value = (uintptr_t)value;
	REQUIRE(!side_bpf(side, BPF_MAP_UPDATE_ELEM, &a));
}

static inline void kt_lookup(enum side side, int fd, void *value)
{
	union sys_attr a = {0};
	uint32_t key = 0;

	a.elem.map_fd = (uint32_t)fd;
	a.elem.key = (uintptr_t)&key;
	a.elem.value = (uintptr_t)value;
	REQUIRE(!side_bpf(side, BPF_MAP_LOOKUP_ELEM, &a));
}

/* names: the kfuncs that KF() numbers. */
static inline void kt_init(const char *const *names, uint32_t cnt)
{
	struct btf *btf = btf__load_vmlinux_btf();
	union sys_attr a;

	both_init();
	if (!btf)
		SKIP("there is no /sys/kernel/btf/vmlinux");
	kt_names = names;
	for (uint32_t i = 0; i < cnt; i++) {
		int id = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC);

		kt_ids[i] = id > 0 ? (uint32_t)id : 0;
		if (id <= 0)
			SKIP("this kernel has no %s", names[i]);
	}
	btf__free(btf);
	for (int i = 0; i < 32; i++)
		kt_rodata[i] = (uint8_t)i;
	strcpy((char *)kt_rodata + 32, "Hello, world");
	strcpy((char *)kt_rodata + 48, "hELLO, w");
	for (int s = 0; s < (have_kernel ? SIDES : 1); s++) {
		kt_maps[s][KM_ARRAY] = kt_map(s, BPF_MAP_TYPE_ARRAY, 4, KT_ARRAY, 1, 0);
		kt_maps[s][KM_HASH] = kt_map(s, BPF_MAP_TYPE_HASH, 8, 16, 8, 0);
		kt_maps[s][KM_RING] = kt_map(s, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
		kt_maps[s][KM_RODATA] = kt_map(s, BPF_MAP_TYPE_ARRAY, 4, 64, 1, BPF_F_RDONLY_PROG);
		kt_update(s, kt_maps[s][KM_RODATA], kt_rodata);
		memset(&a, 0, sizeof(a));
		a.elem.map_fd = (uint32_t)kt_maps[s][KM_RODATA];
		REQUIRE(!side_bpf(s, BPF_MAP_FREEZE, &a));
	}
}

/* A kfunc by its place in the list. */
#define KF(index) I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, index)

struct kt_case {
	const char *name;
	uint32_t type;
	const struct bpf_insn *insns;
	uint32_t cnt;
	uint32_t flags;
	const struct bpf_insn *callback; /* a function behind them: what BPF_PSEUDO_FUNC means */
	uint32_t callback_cnt;
};

#define KCASE(name_, type_, flags_, ...)                                                           \
	{                                                                                          \
		.name = name_, .type = type_, .insns = (const struct bpf_insn[]){__VA_ARGS__},     \
		.cnt = sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn),   \
		.flags = flags_                                                                    \
	}

static inline int kt_load(enum side side, const struct kt_case *c, bool gpl)
{
	const uint32_t cnt = c->cnt + c->callback_cnt;
	const struct bpf_func_info funcs[2] = {{0, kt_funcs[0]}, {c->cnt, kt_funcs[1]}};
	struct bpf_insn insns[512];
	union sys_attr a;

	REQUIRE(cnt <= 512);
	memcpy(insns, c->insns, c->cnt * sizeof(insns[0]));
	if (c->callback_cnt)
		memcpy(insns + c->cnt, c->callback, c->callback_cnt * sizeof(insns[0]));
	for (uint32_t i = 0; i < cnt; i++) {
		if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW)) {
			if (insns[i].src_reg == BPF_PSEUDO_MAP_FD ||
			    insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
				insns[i].imm = kt_maps[side][insns[i].imm];
			if (insns[i].src_reg == BPF_PSEUDO_FUNC)
				insns[i].imm = (int32_t)(c->cnt - i - 1);
			i++;
		} else if (insns[i].code == (BPF_JMP | BPF_CALL) &&
			   insns[i].src_reg == BPF_PSEUDO_KFUNC_CALL && insns[i].imm >= 0 &&
			   insns[i].imm < 64) {
			insns[i].imm = (int32_t)kt_ids[insns[i].imm];
		}
	}
	prog_attr_init(&a, c->type, insns, cnt);
	if (!gpl)
		a.prog_load.license = (uintptr_t) "none";
	a.prog_load.log_level = 2;
	a.prog_load.log_buf = (uintptr_t)kt_log[side];
	a.prog_load.log_size = KT_LOG;
	if (c->callback_cnt) {
		a.prog_load.prog_btf_fd = (uint32_t)kt_btf[side];
		a.prog_load.func_info = (uintptr_t)funcs;
		a.prog_load.func_info_cnt = 2;
		a.prog_load.func_info_rec_size = sizeof(funcs[0]);
	}
	kt_log[side][0] = 0;
	return (int)side_bpf(side, BPF_PROG_LOAD, &a);
}

/* The line before the statistics. */
static inline char *kt_fault(char *log)
{
	char *end = strstr(log, "processed "), *line;

	if (!end)
		end = log + strlen(log);
	while (end > log && end[-1] == '\n')
		*--end = 0;
	*end = 0;
	line = strrchr(log, '\n');
	return line ? line + 1 : log;
}

struct kt_result {
	long err;
	uint32_t retval;
	uint8_t pkt[256], array[KT_ARRAY];
};

static inline void kt_run(enum side side, int fd, struct kt_result *r)
{
	uint8_t in[128], zero[KT_ARRAY] = {0};
	union sys_attr a = {0};

	for (int i = 0; i < 128; i++)
		in[i] = (uint8_t)(i * 3 + 1);
	in[12] = 8;
	in[13] = 0;
	memset(r, 0, sizeof(*r));
	kt_update(side, kt_maps[side][KM_ARRAY], zero);
	a.test.prog_fd = (uint32_t)fd;
	a.test.data_in = (uintptr_t)in;
	a.test.data_size_in = sizeof(in);
	a.test.data_out = (uintptr_t)r->pkt;
	a.test.data_size_out = sizeof(r->pkt);
	r->err = side_bpf(side, BPF_PROG_TEST_RUN, &a);
	r->retval = a.test.retval;
	kt_lookup(side, kt_maps[side][KM_ARRAY], r->array);
}

/* Both sides; prints and counts what differs. */
static inline void kt_check(const struct kt_case *c, bool verbose)
{
	struct kt_result r[SIDES];
	int fd[SIDES] = {-1, -1};
	const char *fault[SIDES];

	for (int s = 0; s < (have_kernel && !(c->flags & KT_OURS) ? SIDES : 1); s++) {
		fd[s] = kt_load(s, c, true);
		if (verbose)
			printf("%s: %s says %d\n%s\n", c->name, side_name[s], fd[s], kt_log[s]);
		fault[s] = kt_fault(kt_log[s]);
		if (fd[s] >= 0)
			kt_run(s, fd[s], &r[s]);
	}
	if (verbose && fd[OURS] >= 0)
		printf("returns %#x\n", r[OURS].retval);
	if (c->flags & KT_OURS) {
		CHECK(fd[OURS] < 0);
	} else if (have_kernel && c->flags & KT_STRICT) {
		if (fd[OURS] >= 0 || fd[KERNEL] < 0) {
			fprintf(stderr, "%s: listed as stricter, but shmap %d, kernel %d\n%s\n",
				c->name, fd[OURS], fd[KERNEL], fault[OURS]);
			check_failures++;
		}
	} else if (have_kernel &&
		   ((fd[OURS] < 0) != (fd[KERNEL] < 0) ||
		    (fd[OURS] < 0 && fd[OURS] != fd[KERNEL] && !(c->flags & KT_OWN_ERR)))) {
		fprintf(stderr, "%s: shmap %d, kernel %d\n\there:   %s\n\tkernel: %s\n", c->name,
			fd[OURS], fd[KERNEL], fault[OURS], fault[KERNEL]);
		check_failures++;
	} else if (have_kernel && fd[OURS] < 0) {
		if (!(c->flags & KT_TEXT) && strcmp(fault[OURS], fault[KERNEL])) {
			fprintf(stderr, "%s: another fault\n\there:   %s\n\tkernel: %s\n", c->name,
				fault[OURS], fault[KERNEL]);
			check_failures++;
		}
	} else if (have_kernel && fd[OURS] >= 0) {
		if (r[0].err != r[1].err ||
		    (!(c->flags & KT_VALUE) && r[0].retval != r[1].retval) ||
		    memcmp(r[0].pkt, r[1].pkt, sizeof(r[0].pkt)) ||
		    memcmp(r[0].array, r[1].array, KT_ARRAY)) {
			fprintf(stderr,
				"%s: here %ld returns %#x, kernel %ld returns %#x; packets %s, "
				"arrays %s\n",
				c->name, r[0].err, r[0].retval, r[1].err, r[1].retval,
				memcmp(r[0].pkt, r[1].pkt, sizeof(r[0].pkt)) ? "differ" : "same",
				memcmp(r[0].array, r[1].array, KT_ARRAY) ? "differ" : "same");
			check_failures++;
		}
	}
	for (int s = 0; s < SIDES; s++)
		if (fd[s] >= 0)
			side_close(s, fd[s]);
}

static inline int kt_main(int argc, char **argv, const struct kt_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (argc < 2 || strstr(cases[i].name, argv[1]))
			kt_check(&cases[i], argc > 1);
	printf("%zu programs%s\n", n, have_kernel ? ", compared with the kernel" : "");
	return check_done();
}

#endif
