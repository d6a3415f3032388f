// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_LOAD refuses and accepts what the kernel does, with its errno: each row
 * changes a good attr and says what comes of it. The kernel is asked as well
 * where it may be.
 */
#include <sys/mman.h>

#include "both.h"

#define LOG_SIZE 4096

static char log_buf[LOG_SIZE];
static int fds[4];
static struct bpf_insn call_bad[] = {
	{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 1},
	{.code = BPF_JMP | BPF_EXIT},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K},
	{.code = BPF_JMP | BPF_EXIT},
};

static void none(union sys_attr *a)
{
}

#define ROW(fn, body)                                                                              \
	static void fn(union sys_attr *a)                                                          \
	{                                                                                          \
		body;                                                                              \
	}

ROW(no_insns, a->prog_load.insn_cnt = 0)
ROW(many_insns, a->prog_load.insn_cnt = 1000001)
ROW(insns_fault, a->prog_load.insns = 8)

/* The first page of them is there. */
static void insns_long_fault(union sys_attr *a)
{
	uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);

	REQUIRE(page != MAP_FAILED && !mprotect(page + 4096, 4096, PROT_NONE));
	a->prog_load.insns = (uintptr_t)page;
	a->prog_load.insn_cnt = 1000000;
}

ROW(license_fault, a->prog_load.license = 0)
ROW(type_0, a->prog_load.prog_type = 0)
ROW(type_33, a->prog_load.prog_type = 33)
ROW(type_33_license, a->prog_load.prog_type = 33; a->prog_load.license = 0)
ROW(type_ext, a->prog_load.prog_type = BPF_PROG_TYPE_SYSCALL)
ROW(kern_version, a->prog_load.kern_version = 77)
ROW(flag_100, a->prog_load.prog_flags = 0x100)
ROW(flag_top, a->prog_load.prog_flags = 0x80000000)
ROW(flag_strict, a->prog_load.prog_flags = BPF_F_STRICT_ALIGNMENT)
ROW(flag_token, a->prog_load.prog_flags = 0x10000; a->prog_load.prog_token_fd = -1)
ROW(token_unflagged, a->prog_load.prog_token_fd = 77)
ROW(name_bad, memcpy(a->prog_load.prog_name, "a-b", 3))
ROW(name_long, memset(a->prog_load.prog_name, 'a', 16))
ROW(name_15, memset(a->prog_load.prog_name, 'a', 15))
ROW(name_dots, memcpy(a->prog_load.prog_name, "_a.b_9", 6))
ROW(name_junk, memcpy(a->prog_load.prog_name, "a\0-", 3))
ROW(ifindex, a->prog_load.prog_ifindex = 1)
ROW(attach_type_any, a->prog_load.expected_attach_type = 99)
ROW(attach_id, a->prog_load.attach_btf_id = 1)
ROW(attach_fd, a->prog_load.attach_prog_fd = 1)
ROW(btf_fd_unused, a->prog_load.prog_btf_fd = 99)
ROW(func_info_no_btf, a->prog_load.prog_btf_fd = 999; a->prog_load.func_info_cnt = 1)
ROW(func_info_no_btf_size, a->prog_load.func_info_cnt = 1; a->prog_load.prog_btf_fd = 1)
ROW(line_info_no_btf, a->prog_load.prog_btf_fd = 999; a->prog_load.line_info_cnt = 1)
ROW(fd_array_null, a->prog_load.fd_array_cnt = 1)
ROW(fd_array_unused, a->prog_load.fd_array = 8)
ROW(fd_array_bad, a->prog_load.fd_array_cnt = 1; fds[0] = 999;
    a->prog_load.fd_array = (uintptr_t)fds)
ROW(fd_array_other, a->prog_load.fd_array_cnt = 1; fds[0] = 1;
    a->prog_load.fd_array = (uintptr_t)fds)
ROW(fd_array_big, a->prog_load.fd_array_cnt = 0x40000000; a->prog_load.fd_array = (uintptr_t)fds)
ROW(relo_alone, a->prog_load.core_relo_cnt = 1)
ROW(signature, a->prog_load.signature = 8)
ROW(signature_size, a->prog_load.signature_size = 8)
ROW(keyring, a->prog_load.keyring_id = 8)
ROW(sleepable, a->prog_load.prog_flags = BPF_F_SLEEPABLE)
ROW(log_level_0, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_size = LOG_SIZE)
ROW(log_level_1, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_size = LOG_SIZE;
    a->prog_load.log_level = 1)
ROW(log_level_16, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_size = LOG_SIZE;
    a->prog_load.log_level = 16)
ROW(log_no_size, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_level = 1)
ROW(log_no_buf, a->prog_load.log_size = LOG_SIZE; a->prog_load.log_level = 1)
ROW(log_neither, a->prog_load.log_level = 1)
ROW(log_huge, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_size = 0x40000000;
    a->prog_load.log_level = 1)
ROW(log_fault, a->prog_load.log_buf = 8; a->prog_load.log_size = 64; a->prog_load.log_level = 1)
ROW(log_short, a->prog_load.log_buf = (uintptr_t)log_buf; a->prog_load.log_size = 4;
    a->prog_load.log_level = 1)
ROW(cgroup_skb_2, a->prog_load.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
    a->prog_load.expected_attach_type = 2)
ROW(sock_addr_0, a->prog_load.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR)
ROW(syscall_attach, a->prog_load.prog_type = BPF_PROG_TYPE_SYSCALL;
    a->prog_load.prog_flags = BPF_F_SLEEPABLE; a->prog_load.expected_attach_type = 1)
ROW(syscall_ok, a->prog_load.prog_type = BPF_PROG_TYPE_SYSCALL;
    a->prog_load.prog_flags = BPF_F_SLEEPABLE)
ROW(kprobe, a->prog_load.prog_type = BPF_PROG_TYPE_KPROBE)
ROW(tracepoint, a->prog_load.prog_type = BPF_PROG_TYPE_TRACEPOINT)
ROW(raw_tp, a->prog_load.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT)
ROW(xdp, a->prog_load.prog_type = BPF_PROG_TYPE_XDP)
ROW(cls, a->prog_load.prog_type = BPF_PROG_TYPE_SCHED_CLS)
ROW(calls, a->prog_load.insns = (uintptr_t)call_bad; a->prog_load.insn_cnt = 4)

static const struct {
	const char *name;
	void (*change)(union sys_attr *a);
	int want; /* 0: a program */
} rows[] = {
	{"good", none, 0},
	{"no instructions", no_insns, -E2BIG},
	{"a million and one instructions", many_insns, -E2BIG},
	{"instructions fault", insns_fault, -EFAULT},
	{"a million instructions fault", insns_long_fault, -EFAULT},
	{"license faults", license_fault, -EFAULT},
	{"type 0", type_0, -EINVAL},
	{"type 33", type_33, -EINVAL},
	{"type after license", type_33_license, -EFAULT},
	{"syscall must sleep", type_ext, -EINVAL},
	{"kern_version is not looked at", kern_version, 0},
	{"flag 0x100", flag_100, -EINVAL},
	{"flag 0x80000000", flag_top, -EINVAL},
	{"strict alignment", flag_strict, 0},
	{"token", flag_token, -EBADF},
	{"token without its flag", token_unflagged, 0},
	{"name with -", name_bad, -EINVAL},
	{"name of 16", name_long, -EINVAL},
	{"name of 15", name_15, 0},
	{"name with dots", name_dots, 0},
	{"bytes after the name", name_junk, 0},
	{"ifindex", ifindex, -EINVAL},
	{"expected_attach_type of a socket filter", attach_type_any, 0},
	{"attach_btf_id of a socket filter", attach_id, -EINVAL},
	{"attach_prog_fd of a socket filter", attach_fd, -EINVAL},
	{"BTF fd without records", btf_fd_unused, 0},
	{"func_info without BTF", func_info_no_btf, -EBADF},
	{"func_info with another fd", func_info_no_btf_size, -EINVAL},
	{"line_info without BTF", line_info_no_btf, -EBADF},
	{"fd_array NULL", fd_array_null, -EFAULT},
	{"fd_array without a count", fd_array_unused, 0},
	{"fd_array with a closed fd", fd_array_bad, -EBADF},
	{"fd_array with another fd", fd_array_other, -EINVAL},
	{"fd_array overflows", fd_array_big, -EINVAL},
	{"relocations without records", relo_alone, 0},
	{"signature", signature, -EOPNOTSUPP},
	{"signature size alone", signature_size, 0},
	{"keyring alone", keyring, 0},
	{"sleepable socket filter", sleepable, -EINVAL},
	{"log without level", log_level_0, -EINVAL},
	{"log of level 1", log_level_1, 0},
	{"log of level 16", log_level_16, -EINVAL},
	{"log without size", log_no_size, -EINVAL},
	{"log without buffer", log_no_buf, -EINVAL},
	{"log level alone", log_neither, 0},
	{"log of a gigabyte", log_huge, -EINVAL},
	{"log faults", log_fault, -EFAULT},
	{"log too short", log_short, -ENOSPC},
	{"cgroup_skb at 2", cgroup_skb_2, -EINVAL},
	{"cgroup_sock_addr at 0", sock_addr_0, -EINVAL},
	{"syscall with an attach type", syscall_attach, -EINVAL},
	{"syscall", syscall_ok, 0},
	{"kprobe", kprobe, 0},
	{"tracepoint", tracepoint, 0},
	{"raw tracepoint", raw_tp, 0},
	{"xdp", xdp, 0},
	{"sched_cls", cls, 0},
	{"function calls", calls, 0},
};

static void ask(enum side side, unsigned int i)
{
	union sys_attr a;
	long ret;

	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
	rows[i].change(&a);
	ret = side_bpf(side, BPF_PROG_LOAD, &a);
	if (ret >= 0) {
		side_close(side, ret);
		ret = 0;
	}
	if (ret != rows[i].want) {
		fprintf(stderr, "%s: %s gives %ld, not %d\n", side_name[side], rows[i].name, ret,
			rows[i].want);
		check_failures++;
	}
}

/* Every size of the attr: shorter ones are zero-extended. */
static void ask_sizes(enum side side)
{
	union sys_attr a;
	unsigned int size;
	long ret;

	for (size = 48; size <= sizeof(a); size += 4) {
		prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
		ret = side_bpf_size(side, BPF_PROG_LOAD, &a, size);
		CHECK(ret >= 0);
		if (ret >= 0)
			side_close(side, ret);
	}
}

/* log_true_size is written when the caller's attr has it, and not otherwise. */
static void ask_true_size(enum side side)
{
	union sys_attr a;
	int size, fd;

	for (size = 136; size <= 144; size += 4) {
		prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
		a.prog_load.log_level = 2;
		a.prog_load.log_buf = (uintptr_t)log_buf;
		a.prog_load.log_size = LOG_SIZE;
		a.prog_load.log_true_size = 12345;
		fd = side_bpf_size(side, BPF_PROG_LOAD, &a, size);
		REQUIRE(fd >= 0);
		side_close(side, fd);
		if (size < 144)
			CHECK_EQ(a.prog_load.log_true_size, 12345);
		else
			CHECK_EQ(a.prog_load.log_true_size, strlen(log_buf) + 1);
	}
}

int main(void)
{
	unsigned int i;
	int side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			ask(side, i);
		ask_sizes(side);
		ask_true_size(side);
	}
	return check_done();
}
