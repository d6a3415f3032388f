// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tracing programs: what attach_btf_id may name, what the log says of it, how such
 * a program is attached, and the object that stands for the kernel's BTF.
 */
#include <bpf/btf.h>

#include "both.h"
#include "btf/btf.h"
#include "shm/object.h"
#include "sys/calls.h"
#include "sys/info.h"
#include "sys/link.h"

static char log_buf[65536];

static uint32_t type_id(const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(btf_vmlinux(), name, kind);

	REQUIRE(id > 0);
	return id;
}

static void attr_init(union sys_attr *a, uint32_t attach, uint32_t id)
{
	prog_attr_init(a, BPF_PROG_TYPE_TRACING, return_0, 2);
	a->prog_load.expected_attach_type = attach;
	a->prog_load.attach_btf_id = id;
	a->prog_load.log_buf = (uintptr_t)log_buf;
	a->prog_load.log_size = sizeof(log_buf);
	a->prog_load.log_level = 1;
	memset(log_buf, 0, 64);
}

static void refused(union sys_attr *a, int want, const char *line, int at)
{
	long ret = side_bpf(OURS, BPF_PROG_LOAD, a);

	if (ret != want || !strstr(log_buf, line)) {
		fprintf(stderr, "line %d: %ld, not %d: %.80s\n", at, ret, want, log_buf);
		check_failures++;
	}
}

#define REFUSED(attach, id, want, line)                                                            \
	do {                                                                                       \
		attr_init(&a, attach, id);                                                         \
		refused(&a, want, line, __LINE__);                                                 \
	} while (0)

static int load(uint32_t attach, uint32_t id)
{
	union sys_attr a;
	int fd;

	attr_init(&a, attach, id);
	fd = side_bpf(OURS, BPF_PROG_LOAD, &a);
	if (fd < 0)
		fprintf(stderr, "%s\n", log_buf);
	REQUIRE(fd >= 0);
	return fd;
}

static void load_rules(uint32_t mmap_id)
{
	uint32_t task = type_id("task_struct", BTF_KIND_STRUCT);
	uint32_t pid_t_id = type_id("pid_t", BTF_KIND_TYPEDEF);
	char line[128];
	union sys_attr a;

	REFUSED(BPF_TRACE_FENTRY, 0, -EINVAL, "Tracing programs must provide btf_id");
	snprintf(line, sizeof(line), "attach_btf_id %u is not a function", task);
	REFUSED(BPF_TRACE_FENTRY, task, -EINVAL, line);
	REFUSED(BPF_TRACE_FEXIT, task, -EINVAL, line);
	snprintf(line, sizeof(line), "attach_btf_id %u is not a typedef", task);
	REFUSED(BPF_TRACE_RAW_TP, task, -EINVAL, line);
	snprintf(line, sizeof(line), "attach_btf_id %u points to wrong type name pid_t", pid_t_id);
	REFUSED(BPF_TRACE_RAW_TP, pid_t_id, -EINVAL, line);
	REFUSED(BPF_TRACE_FENTRY, 0xfffff, -EINVAL, "attach_btf_id 1048575 is invalid");
	REFUSED(BPF_TRACE_FENTRY, 0x100000, -EINVAL, "");
	REFUSED(BPF_TRACE_ITER, mmap_id, -EINVAL, "");
	REFUSED(99, mmap_id, -EINVAL, "");
	attr_init(&a, BPF_TRACE_RAW_TP, type_id("btf_trace_sys_enter", BTF_KIND_TYPEDEF));
	a.prog_load.prog_flags = BPF_F_SLEEPABLE;
	refused(&a, -EINVAL, "programs can be sleepable", __LINE__);
}

/* attach_btf_obj_fd: the kernel's BTF, a program's, a program, nothing. */
static void btf_fd_rules(uint32_t mmap_id, int prog)
{
	struct btf *own = btf__new_empty();
	union sys_attr a = {0};
	struct prog_info info = {0};
	struct btf_info btf_info = {0};
	uint32_t len = sizeof(info), vmlinux_size;
	char name[16] = "";
	int fd, again, user;

	CHECK_EQ(side_info(OURS, prog, &info, &len), 0);
	CHECK_EQ(info.attach_btf_id, mmap_id);
	CHECK(info.attach_btf_obj_id > 0);
	a.id.btf_id = info.attach_btf_obj_id;
	fd = side_bpf(OURS, BPF_BTF_GET_FD_BY_ID, &a);
	REQUIRE(fd >= 0);
	btf_info.name = (uintptr_t)name;
	btf_info.name_len = sizeof(name);
	len = sizeof(btf_info);
	CHECK_EQ(side_info(OURS, fd, &btf_info, &len), 0);
	CHECK(!strcmp(name, "vmlinux"));
	CHECK_EQ(btf_info.kernel_btf, 1);
	btf__raw_data(btf_vmlinux(), &vmlinux_size);
	CHECK_EQ(btf_info.btf_size, vmlinux_size);
	btf_info.btf_size = 0;
	btf_info.name_len = 4;
	CHECK_EQ(side_info(OURS, fd, &btf_info, &len), -ENOSPC);
	CHECK(!strcmp(name, "vml"));

	attr_init(&a, BPF_TRACE_FENTRY, mmap_id);
	a.prog_load.attach_btf_obj_fd = fd;
	again = side_bpf(OURS, BPF_PROG_LOAD, &a);
	CHECK(again >= 0);
	memset(&info, 0, sizeof(info));
	len = sizeof(info);
	CHECK_EQ(side_info(OURS, again, &info, &len), 0);
	CHECK_EQ(info.attach_btf_obj_id, btf_info.id); /* one object for all */
	side_close(OURS, again);
	a.prog_load.attach_btf_id = 0;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_LOAD, &a), -EINVAL);
	side_close(OURS, fd);

	a.prog_load.attach_btf_id = mmap_id;
	a.prog_load.attach_btf_obj_fd = 999;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_LOAD, &a), -EINVAL);
	a.prog_load.attach_prog_fd = prog;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_LOAD, &a), -EINVAL);
	REQUIRE(btf__add_int(own, "int", 4, BTF_INT_SIGNED) > 0);
	memset(&a, 0, sizeof(a));
	a.btf_load.btf = (uintptr_t)btf__raw_data(own, &a.btf_load.btf_size);
	user = side_bpf(OURS, BPF_BTF_LOAD, &a);
	REQUIRE(user >= 0);
	attr_init(&a, BPF_TRACE_FENTRY, mmap_id);
	a.prog_load.attach_btf_obj_fd = user;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_LOAD, &a), -ENOTSUPP);
	side_close(OURS, user);
	btf__free(own);
}

static long open_link(int prog, const char *name)
{
	union sys_attr a = {0};

	a.raw_tracepoint.prog_fd = prog;
	a.raw_tracepoint.name = (uintptr_t)name;
	return side_bpf(OURS, BPF_RAW_TRACEPOINT_OPEN, &a);
}

static void attach_rules(uint32_t mmap_id, int prog)
{
	int other = load(BPF_TRACE_FEXIT, type_id("vfs_read", BTF_KIND_FUNC));
	int tp = load(BPF_TRACE_RAW_TP, type_id("btf_trace_sys_exit", BTF_KIND_TYPEDEF));
	int foreign = load(BPF_TRACE_RAW_TP, type_id("btf_trace_sched_switch", BTF_KIND_TYPEDEF));
	struct link_info info = {0};
	uint32_t len = sizeof(info);
	union sys_attr a = {0};
	int link;

	CHECK_EQ(open_link(prog, "sys_enter"), -EINVAL);
	CHECK_EQ(open_link(other, NULL), -ENOENT); /* no event that user space sees */
	CHECK_EQ(open_link(foreign, NULL), -ENOENT);
	link = open_link(prog, NULL);
	CHECK(link >= 0);
	CHECK_EQ(open_link(prog, NULL), -EBUSY);
	side_close(OURS, link);

	a.link_create.prog_fd = prog;
	a.link_create.attach_type = BPF_TRACE_FEXIT;
	CHECK_EQ(side_bpf(OURS, BPF_LINK_CREATE, &a), -EINVAL);
	a.link_create.attach_type = BPF_TRACE_FENTRY;
	a.link_create.target_fd = tp;
	CHECK_EQ(side_bpf(OURS, BPF_LINK_CREATE, &a), -EINVAL);
	a.link_create.target_fd = 0;
	a.link_create.tracing.target_btf_id = 5;
	CHECK_EQ(side_bpf(OURS, BPF_LINK_CREATE, &a), -EINVAL);
	a.link_create.tracing.target_btf_id = 0;
	a.link_create.tracing.cookie = 31;
	link = side_bpf(OURS, BPF_LINK_CREATE, &a);
	CHECK(link >= 0);
	CHECK_EQ(side_info(OURS, link, &info, &len), 0);
	CHECK_EQ(info.type, LINK_TYPE_TRACING);
	CHECK_EQ(info.tracing.attach_type, BPF_TRACE_FENTRY);
	CHECK_EQ(info.tracing.target_btf_id, mmap_id);
	CHECK(info.tracing.target_obj_id > 0);
	CHECK_EQ(info.tracing.cookie, 31);
	side_close(OURS, link);

	link = open_link(tp, NULL);
	CHECK(link >= 0);
	side_close(OURS, open_link(tp, NULL)); /* a tracepoint takes it twice */
	side_close(OURS, link);
	side_close(OURS, other);
	side_close(OURS, tp);
	side_close(OURS, foreign);
}

/* No program runs: there are no functions of the kernel's to call. */
static void test_run_rules(int prog)
{
	int tp = load(BPF_TRACE_RAW_TP, type_id("btf_trace_sys_exit", BTF_KIND_TYPEDEF));
	union sys_attr a = {0};

	a.test.prog_fd = prog;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_TEST_RUN, &a), 0);
	a.test.cpu = 1;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_TEST_RUN, &a), -EINVAL);
	a.test.cpu = 0;
	a.test.prog_fd = tp;
	CHECK_EQ(side_bpf(OURS, BPF_PROG_TEST_RUN, &a), -EFAULT);
	side_close(OURS, tp);
}

int main(void)
{
	uint32_t mmap_id, id;
	int prog;

	if (!btf_vmlinux())
		SKIP("the kernel has no BTF that names functions");
	check_private_rundir();
	mmap_id = type_id(CALL_PREFIX "mmap", BTF_KIND_FUNC);
	prog = load(BPF_TRACE_FENTRY, mmap_id);
	load_rules(mmap_id);
	btf_fd_rules(mmap_id, prog);
	attach_rules(mmap_id, prog);
	test_run_rules(prog);
	side_close(OURS, prog);
	CHECK_EQ(object_next_id(OBJECT_BTF, 0, &id), -ENOENT);
	return check_done();
}
