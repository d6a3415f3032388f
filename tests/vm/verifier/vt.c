/* SPDX-License-Identifier: BSD-2-Clause */
#include "vt.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "map/map.h"
#include "vm/verifier.h"
#include "vm/vm.h"

static const struct {
	const char *name;
	uint32_t type, key, value, entries, flags;
	int lock_off;
	bool freeze;
} specs[M_CNT] = {
	[M_HASH] = {"hash", BPF_MAP_TYPE_HASH, 8, 16, 4, 0, -1},
	[M_ARRAY] = {"array", BPF_MAP_TYPE_ARRAY, 4, 48, 1, 0, -1},
	[M_RODATA] = {"rodata", BPF_MAP_TYPE_ARRAY, 4, 64, 1, BPF_F_RDONLY_PROG, -1, true},
	[M_LOCK] = {"lock", BPF_MAP_TYPE_HASH, 8, 8, 4, 0, 0},
	[M_PERCPU] = {"percpu", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, 0, -1},
	[M_RING] = {"ring", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, -1},
	[M_WRONLY] = {"wronly", BPF_MAP_TYPE_ARRAY, 4, 16, 1, BPF_F_WRONLY_PROG, -1},
	[M_RDONLY] = {"rdonly", BPF_MAP_TYPE_ARRAY, 4, 16, 1, BPF_F_RDONLY_PROG, -1},
	[M_LOCKARRAY] = {"lockarray", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 0},
	[M_PROGS] = {"progs", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0, -1},
};

/* bytes 0..31: 0..31; then "ab\0"; the end is not terminated */
static uint8_t rodata[64];

/* Attributes of maps: no storage. The verifier only asks which calls exist. */
static void *no_lookup(struct map *m, const void *key)
{
	return NULL;
}
static long no_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return -EINVAL;
}
static long no_delete(struct map *m, const void *key)
{
	return -EINVAL;
}
static void *no_percpu(struct map *m, const void *key, uint32_t cpu)
{
	return NULL;
}
static long no_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *),
		    void *arg)
{
	return 0;
}
static void *direct(struct map *m)
{
	return rodata;
}

static const struct map_ops hash_ops = {
	.lookup = no_lookup, .update = no_update, .delete = no_delete, .for_each = no_each};
static const struct map_ops array_ops = {.lookup = no_lookup,
					 .update = no_update,
					 .delete = no_delete,
					 .for_each = no_each,
					 .direct_value = direct};
static const struct map_ops percpu_ops = {.lookup = no_lookup,
					  .update = no_update,
					  .delete = no_delete,
					  .for_each = no_each,
					  .lookup_percpu = no_percpu,
					  .per_cpu = true};
static const uint16_t ring_helpers[] = {BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_reserve,
					BPF_FUNC_ringbuf_query,
					BPF_FUNC_ringbuf_reserve_dynptr, 0};
static const struct map_ops ring_ops = {.helpers = ring_helpers};
static const uint16_t progs_helpers[] = {BPF_FUNC_tail_call, 0};
static const struct map_ops progs_ops = {.helpers = progs_helpers};

static struct map maps[M_CNT];
static struct map *map_ptrs[M_CNT];
static struct map_shared shared[M_CNT];
static int map_fds[M_CNT];
static bool kernel_ok;
static struct btf *btf;
static uint32_t btf_func[2][7]; /* [global][kind] */
static int btf_fd = -1;

static long sys_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static void make_btf(void)
{
	int i32, i64, lock, proto[7], ptr;

	btf = btf__new_empty();
	REQUIRE(btf);
	i32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	i64 = btf__add_int(btf, "long", 8, BTF_INT_SIGNED);
	lock = btf__add_struct(btf, "bpf_spin_lock", 4);
	btf__add_field(btf, "val", i32, 0, 0);
	btf__add_struct(btf, "value", 8);
	btf__add_field(btf, "lock", lock, 0, 0);
	btf__add_field(btf, "count", i32, 32, 0);
	/* kind 0: long f(long, long); 1: long f(int *); 2: long f(void); 3: of the context */
	proto[0] = btf__add_func_proto(btf, i64);
	btf__add_func_param(btf, "a", i64);
	btf__add_func_param(btf, "b", i64);
	ptr = btf__add_ptr(btf, i32);
	proto[1] = btf__add_func_proto(btf, i64);
	btf__add_func_param(btf, "p", ptr);
	proto[2] = btf__add_func_proto(btf, i64);
	ptr = btf__add_struct(btf, "__sk_buff", 4);
	btf__add_field(btf, "len", i32, 0, 0);
	ptr = btf__add_ptr(btf, ptr);
	proto[3] = btf__add_func_proto(btf, i64);
	btf__add_func_param(btf, "skb", ptr);
	ptr = btf__add_struct(btf, "xdp_md", 4);
	btf__add_field(btf, "data", i32, 0, 0);
	ptr = btf__add_ptr(btf, ptr);
	proto[4] = btf__add_func_proto(btf, i64);
	btf__add_func_param(btf, "xdp", ptr);
	proto[5] = btf__add_func_proto(btf, 0);
	btf__add_func_param(btf, "a", i64);
	ptr = btf__add_ptr(btf, i32);
	proto[6] = btf__add_func_proto(btf, i64);
	btf__add_func_param(btf, "p", ptr);
	for (int g = 0; g < 2; g++)
		for (int k = 0; k < 7; k++) {
			char name[16];

			snprintf(name, sizeof(name), "%s%d", g ? "glob" : "stat", k);
			btf_func[g][k] = btf__add_func(
				btf, name, g ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC, proto[k]);
		}
	btf__add_decl_tag(btf, "arg:nonnull", btf_func[1][6], 0);
}

#define BTF_KEY 2   /* long */
#define BTF_VALUE 4 /* struct value */
#define BTF_INT 1

static void make_kernel(void)
{
	union bpf_attr attr;
	uint32_t size, zero = 0;
	const void *raw = btf__raw_data(btf, &size);

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)raw;
	attr.btf_size = size;
	btf_fd = sys_bpf(BPF_BTF_LOAD, &attr);
	if (btf_fd < 0)
		return;
	for (int i = 0; i < M_CNT; i++) {
		memset(&attr, 0, sizeof(attr));
		attr.map_type = specs[i].type;
		attr.key_size = specs[i].key;
		attr.value_size = specs[i].value;
		attr.max_entries = specs[i].entries;
		attr.map_flags = specs[i].flags;
		strcpy(attr.map_name, specs[i].name);
		if (specs[i].lock_off >= 0) {
			attr.btf_fd = btf_fd;
			attr.btf_key_type_id = specs[i].key == 4 ? BTF_INT : BTF_KEY;
			attr.btf_value_type_id = BTF_VALUE;
		}
		map_fds[i] = sys_bpf(BPF_MAP_CREATE, &attr);
		if (map_fds[i] < 0)
			return;
		if (i == M_RODATA) {
			memset(&attr, 0, sizeof(attr));
			attr.map_fd = map_fds[i];
			attr.key = (uintptr_t)&zero;
			attr.value = (uintptr_t)rodata;
			REQUIRE(!sys_bpf(BPF_MAP_UPDATE_ELEM, &attr));
		}
		if (specs[i].freeze) {
			memset(&attr, 0, sizeof(attr));
			attr.map_fd = map_fds[i];
			REQUIRE(!sys_bpf(BPF_MAP_FREEZE, &attr));
		}
	}
	kernel_ok = true;
}

static void init(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	for (int i = 0; i < 32; i++)
		rodata[i] = i;
	strcpy((char *)rodata + 32, "ab");
	memset(rodata + 60, 'x', 4);
	for (int i = 0; i < M_CNT; i++) {
		struct map_attr *a = &maps[i].attr;

		a->map_type = specs[i].type;
		a->key_size = specs[i].key;
		a->value_size = specs[i].value;
		a->max_entries = specs[i].entries;
		a->map_flags = specs[i].flags;
		a->spin_lock_off = specs[i].lock_off;
		strcpy(a->name, specs[i].name);
		maps[i].shared = &shared[i];
		shared[i].frozen = specs[i].freeze;
		maps[i].ops = specs[i].type == BPF_MAP_TYPE_HASH	   ? &hash_ops
			      : specs[i].type == BPF_MAP_TYPE_ARRAY	   ? &array_ops
			      : specs[i].type == BPF_MAP_TYPE_PERCPU_ARRAY ? &percpu_ops
			      : specs[i].type == BPF_MAP_TYPE_PROG_ARRAY   ? &progs_ops
									   : &ring_ops;
		map_ptrs[i] = &maps[i];
	}
	make_btf();
#ifdef VT_NO_KERNEL /* fuzzers: make none of the kernel's maps */
	(void)make_kernel;
#else
	make_kernel();
#endif
}

/* A prog array belongs to the type of the first program that uses it. */
static int progs_fd(uint32_t type)
{
	static int fds[32];
	union bpf_attr attr;

	if (type >= 32 || fds[type])
		return type < 32 ? fds[type] : map_fds[M_PROGS];
	memset(&attr, 0, sizeof(attr));
	attr.map_type = specs[M_PROGS].type;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = specs[M_PROGS].entries;
	strcpy(attr.map_name, specs[M_PROGS].name);
	fds[type] = sys_bpf(BPF_MAP_CREATE, &attr);
	return fds[type];
}

bool vt_kernel_works(void)
{
	init();
	return kernel_ok;
}

static void func_infos(const struct vt_prog *p, struct bpf_func_info *out)
{
	for (uint32_t i = 0; i < p->func_cnt; i++) {
		out[i].insn_off = p->funcs[i].insn;
		out[i].type_id = btf_func[p->funcs[i].global][p->funcs[i].kind];
	}
}

static struct vm_prog last;

const struct vm_aux *vt_aux(void)
{
	return last.aux;
}

uint32_t vt_stack_depth(void)
{
	return last.stack_depth;
}

int vt_ours(const struct vt_prog *p, char *log, uint32_t level)
{
	struct vm_log l = {.buf = log, .size = VT_LOG, .level = level};
	struct bpf_func_info infos[16];

	init();
	free(last.aux);
	memset(&last, 0, sizeof(last));
	last.as_loaded = true;
	last.type = p->type;
	last.expected_attach_type = p->attach_type;
	last.attach_btf_id = p->attach_btf_id;
	last.gpl_compatible = !p->not_gpl;
	last.insns = (struct bpf_insn *)p->insns;
	last.insn_cnt = p->cnt;
	last.maps = map_ptrs;
	last.map_cnt = M_CNT;
	if (p->func_cnt) {
		func_infos(p, infos);
		last.btf = btf;
		last.func_info = infos;
		last.func_info_cnt = p->func_cnt;
		last.func_info_rec_size = sizeof(infos[0]);
	}
	log[0] = 0;
	return vm_verify(&last, &l);
}

int vt_kernel(const struct vt_prog *p, char *log, uint32_t level)
{
	struct bpf_insn *insns;
	struct bpf_func_info infos[16];
	union bpf_attr attr;
	int fd, err;

	init();
	insns = malloc(p->cnt * sizeof(*insns));
	REQUIRE(insns);
	memcpy(insns, p->insns, p->cnt * sizeof(*insns));
	for (uint32_t i = 0; i < p->cnt; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if ((insns[i].src_reg == BPF_PSEUDO_MAP_FD ||
		     insns[i].src_reg == BPF_PSEUDO_MAP_VALUE) &&
		    (uint32_t)insns[i].imm < M_CNT)
			insns[i].imm = insns[i].imm == M_PROGS ? progs_fd(p->type)
								: map_fds[insns[i].imm];
		i++;
	}
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = p->type;
	attr.expected_attach_type = p->attach_type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = p->cnt;
	attr.license = (uintptr_t)(p->not_gpl ? "none" : "GPL");
	attr.log_buf = level ? (uintptr_t)log : 0;
	attr.log_size = level ? VT_LOG : 0;
	attr.log_level = level;
	if (p->func_cnt) {
		func_infos(p, infos);
		attr.prog_btf_fd = btf_fd;
		attr.func_info = (uintptr_t)infos;
		attr.func_info_cnt = p->func_cnt;
		attr.func_info_rec_size = sizeof(infos[0]);
	}
	log[0] = 0;
	fd = sys_bpf(BPF_PROG_LOAD, &attr);
	err = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	free(insns);
	return err;
}
