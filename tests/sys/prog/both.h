/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same command on shmap and on the kernel. Where the kernel lets nobody
 * (bpf(2) gives EPERM), only shmap is asked, and the test says so.
 */
#ifndef SHMAP_TESTS_SYS_BOTH_H
#define SHMAP_TESTS_SYS_BOTH_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/errors.h"
#include "check.h"
#include "sys/attr.h"
#include "sys/sys.h"

enum side { OURS, KERNEL, SIDES };

static const char *const side_name[SIDES] = {"shmap", "kernel"};
static bool have_kernel;

static inline long side_bpf_size(enum side side, int cmd, union sys_attr *attr, unsigned int size)
{
	long ret;

	if (side == OURS)
		return sys_bpf(cmd, attr, size);
	ret = syscall(SYS_bpf, cmd, attr, size);
	return ret < 0 ? -errno : ret;
}

static inline long side_bpf(enum side side, int cmd, union sys_attr *attr)
{
	return side_bpf_size(side, cmd, attr, sizeof(*attr));
}

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LD_MAP(d, src, fd, off)                                                                    \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, src, 0, fd), INSN(0, 0, 0, 0, off)

static struct bpf_insn return_0[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K},
	{.code = BPF_JMP | BPF_EXIT},
};

static inline void prog_attr_init(union sys_attr *a, uint32_t type, const struct bpf_insn *insns,
				  uint32_t cnt)
{
	memset(a, 0, sizeof(*a));
	a->prog_load.prog_type = type;
	a->prog_load.insn_cnt = cnt;
	a->prog_load.insns = (uintptr_t)insns;
	a->prog_load.license = (uintptr_t) "GPL";
}

static inline int side_load(enum side side, uint32_t type, const struct bpf_insn *insns,
			    uint32_t cnt)
{
	union sys_attr a;

	prog_attr_init(&a, type, insns, cnt);
	return side_bpf(side, BPF_PROG_LOAD, &a);
}

static inline int side_map(enum side side, uint32_t type, uint32_t key, uint32_t value,
			   uint32_t max)
{
	union sys_attr a = {0};

	a.map_create.map_type = type;
	a.map_create.key_size = key;
	a.map_create.value_size = value;
	a.map_create.max_entries = max;
	return side_bpf(side, BPF_MAP_CREATE, &a);
}

static inline long side_info(enum side side, int fd, void *info, uint32_t *len)
{
	union sys_attr a = {0};
	long ret;

	a.info.bpf_fd = fd;
	a.info.info_len = *len;
	a.info.info = (uintptr_t)info;
	ret = side_bpf(side, BPF_OBJ_GET_INFO_BY_FD, &a);
	*len = a.info.info_len;
	return ret;
}

/* As the preload library closes: the fd table hears of it first. (Not by libc's
 * name, as fds of ours are not made by one: TSan pairs them.) */
static inline void side_close(enum side side, int fd)
{
	if (side == OURS)
		fd_forget(fd);
	syscall(SYS_close, fd);
	if (side == OURS)
		fd_collect();
}

/* Sets have_kernel. */
static inline void both_init(void)
{
	int fd;

	check_private_rundir();
	fd = side_load(KERNEL, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
	have_kernel = fd >= 0;
	if (have_kernel)
		close(fd);
	else
		printf("bpf(2) is not permitted here (%d): only shmap is asked\n", fd);
}

#endif
