// SPDX-License-Identifier: BSD-2-Clause
/*
 * RAW_TRACEPOINT_OPEN, LINK_CREATE, LINK_UPDATE, LINK_DETACH and bpf_link_info:
 * refusals and answers, asked of the kernel too where it has the same events.
 */
#include "both.h"
#include "shm/rundir.h"
#include "sys/info.h"
#include "sys/link.h"

struct fds {
	int raw_tp, filter, xdp, tp, kprobe, map;
};

static long open_tp(enum side side, int prog, const char *name)
{
	union sys_attr a = {0};

	a.raw_tracepoint.prog_fd = prog;
	a.raw_tracepoint.name = (uintptr_t)name;
	return side_bpf(side, BPF_RAW_TRACEPOINT_OPEN, &a);
}

static long create(enum side side, int prog, int target, uint32_t type, uint32_t flags)
{
	union sys_attr a = {0};

	a.link_create.prog_fd = prog;
	a.link_create.target_fd = target;
	a.link_create.attach_type = type;
	a.link_create.flags = flags;
	return side_bpf(side, BPF_LINK_CREATE, &a);
}

static void open_rules(enum side side, const struct fds *f)
{
	CHECK_EQ(open_tp(side, 999, "sys_enter"), -EBADF);
	CHECK_EQ(open_tp(side, f->map, "sys_enter"), -EINVAL);
	CHECK_EQ(open_tp(side, 1, "sys_enter"), -EINVAL);
	CHECK_EQ(open_tp(side, f->filter, "sys_enter"), -EINVAL);
	CHECK_EQ(open_tp(side, f->tp, "sys_enter"), -EINVAL);
	CHECK_EQ(open_tp(side, f->raw_tp, "no_such_event"), -ENOENT);
	CHECK_EQ(open_tp(side, f->raw_tp, ""), -ENOENT);
	CHECK_EQ(open_tp(side, f->raw_tp, NULL), -EFAULT);
	CHECK_EQ(open_tp(side, f->raw_tp, (void *)8), -EFAULT);
}

static void create_rules(enum side side, const struct fds *f)
{
	static const uint32_t multi[] = {42, 48, 56};
	uint32_t i;

	CHECK_EQ(create(side, 999, 0, BPF_PERF_EVENT, 0), -EBADF);
	CHECK_EQ(create(side, f->map, 0, BPF_PERF_EVENT, 0), -EINVAL);
	CHECK_EQ(create(side, f->filter, 0, BPF_PERF_EVENT, 0), -EINVAL);
	CHECK_EQ(create(side, f->tp, -1, BPF_PERF_EVENT, 0), -EBADF);
	CHECK_EQ(create(side, f->tp, -1, BPF_PERF_EVENT, 1), -EINVAL);
	CHECK_EQ(create(side, f->tp, f->map, BPF_PERF_EVENT, 0), -EBADF);
	CHECK_EQ(create(side, f->tp, -1, BPF_TRACE_FENTRY, 0), -EINVAL);
	CHECK_EQ(create(side, f->kprobe, -1, BPF_PERF_EVENT, 0), -EBADF);
	CHECK_EQ(create(side, f->kprobe, -1, BPF_TRACE_FENTRY, 0), -EINVAL);
	CHECK_EQ(create(side, f->raw_tp, 0, BPF_TRACE_RAW_TP, 0), -EINVAL);
	CHECK_EQ(create(side, f->xdp, 12345, 37, 0), -EINVAL);
	for (i = 0; i < 3; i++)
		CHECK(create(side, f->kprobe, 0, multi[i], 0) < 0);
}

static void use_rules(enum side side, const struct fds *f, int link)
{
	union sys_attr a = {0};

	a.link_detach.link_fd = link;
	CHECK_EQ(side_bpf(side, BPF_LINK_DETACH, &a), -EOPNOTSUPP);
	a.link_detach.link_fd = f->map;
	CHECK_EQ(side_bpf(side, BPF_LINK_DETACH, &a), -EINVAL);
	a.link_detach.link_fd = 999;
	CHECK_EQ(side_bpf(side, BPF_LINK_DETACH, &a), -EBADF);
	memset(&a, 0, sizeof(a));
	a.link_update.link_fd = link;
	a.link_update.new_prog_fd = f->raw_tp;
	CHECK_EQ(side_bpf(side, BPF_LINK_UPDATE, &a), -EINVAL);
	a.link_update.link_fd = 999;
	CHECK_EQ(side_bpf(side, BPF_LINK_UPDATE, &a), -EBADF);
	a.link_update.link_fd = link;
	a.link_update.new_prog_fd = 999;
	CHECK_EQ(side_bpf(side, BPF_LINK_UPDATE, &a), -EBADF);
	a.link_update.flags = 2;
	CHECK_EQ(side_bpf(side, BPF_LINK_UPDATE, &a), -EINVAL);
	memset(&a, 0, sizeof(a));
	a.id.link_id = 0x7ffffff0;
	CHECK_EQ(side_bpf(side, BPF_LINK_GET_FD_BY_ID, &a), -ENOENT);
	a.id.open_flags = 1;
	CHECK_EQ(side_bpf(side, BPF_LINK_GET_FD_BY_ID, &a), -EINVAL);
}

static void information(enum side side, const struct fds *f, int link)
{
	struct prog_info prog = {0};
	struct link_info info = {0};
	uint32_t len = sizeof(prog);
	char name[16];

	CHECK_EQ(side_info(side, f->raw_tp, &prog, &len), 0);
	len = sizeof(info);
	CHECK_EQ(side_info(side, link, &info, &len), 0);
	CHECK_EQ(len, sizeof(info));
	CHECK_EQ(info.type, LINK_TYPE_RAW_TRACEPOINT);
	CHECK_EQ(info.prog_id, prog.id);
	CHECK(info.id > 0);
	CHECK_EQ(info.raw_tracepoint.tp_name_len, sizeof("sys_enter"));
	CHECK_EQ(info.raw_tracepoint.cookie, 5);
	memset(&info, 0, sizeof(info));
	info.raw_tracepoint.tp_name = (uintptr_t)name;
	CHECK_EQ(side_info(side, link, &info, &len), -EINVAL);
	info.raw_tracepoint.tp_name_len = 4;
	CHECK_EQ(side_info(side, link, &info, &len), -ENOSPC);
	CHECK(!strcmp(name, "sys"));
	info.raw_tracepoint.tp_name_len = sizeof(name);
	CHECK_EQ(side_info(side, link, &info, &len), 0);
	CHECK(!strcmp(name, "sys_enter"));
	info.raw_tracepoint.tp_name = 8;
	CHECK_EQ(side_info(side, link, &info, &len), -EFAULT);
}

static void attached(enum side side, const struct fds *f)
{
	union sys_attr a = {0};
	int link, second;

	a.raw_tracepoint.prog_fd = f->raw_tp;
	a.raw_tracepoint.name = (uintptr_t) "sys_enter";
	a.raw_tracepoint.cookie = 5;
	link = side_bpf(side, BPF_RAW_TRACEPOINT_OPEN, &a);
	if (side == KERNEL && link < 0) {
		printf("the kernel attaches nothing here (%d)\n", link);
		return;
	}
	REQUIRE(link >= 0);
	second = side_bpf(side, BPF_RAW_TRACEPOINT_OPEN, &a);
	CHECK(second >= 0);
	side_close(side, second);
	information(side, f, link);
	use_rules(side, f, link);
	side_close(side, link);
}

/* A link lives as long as its fd or another that was opened by its id. */
static void lifetime(const struct fds *f)
{
	uint32_t generation = rundir_ids()->link_generation, id;
	int link = open_tp(OURS, f->raw_tp, "sys_exit"), again;
	struct link_header h;
	union sys_attr a = {0};

	REQUIRE(link >= 0);
	CHECK(rundir_ids()->link_generation != generation);
	CHECK_EQ(object_next_id(OBJECT_LINK, 0, &id), 0);
	a.id.link_id = id;
	again = side_bpf(OURS, BPF_LINK_GET_FD_BY_ID, &a);
	CHECK(again >= 0);
	side_close(OURS, link);
	CHECK_EQ(sys_link_read(id, &h), 0);
	CHECK(!strcmp(h.name, "sys_exit"));
	generation = rundir_ids()->link_generation;
	side_close(OURS, again);
	CHECK(rundir_ids()->link_generation != generation);
	CHECK_EQ(sys_link_read(id, &h), -ENOENT);
}

int main(void)
{
	int side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		struct fds f = {
			.raw_tp = side_load(side, BPF_PROG_TYPE_RAW_TRACEPOINT, return_0, 2),
			.filter = side_load(side, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2),
			.xdp = side_load(side, BPF_PROG_TYPE_XDP, return_0, 2),
			.tp = side_load(side, BPF_PROG_TYPE_TRACEPOINT, return_0, 2),
			.kprobe = side_load(side, BPF_PROG_TYPE_KPROBE, return_0, 2),
			.map = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 4, 1),
		};

		REQUIRE(f.raw_tp >= 0 && f.filter >= 0 && f.xdp >= 0);
		REQUIRE(f.tp >= 0 && f.kprobe >= 0 && f.map >= 0);
		open_rules(side, &f);
		create_rules(side, &f);
		attached(side, &f);
		if (side == OURS)
			lifetime(&f);
		side_close(side, f.raw_tp);
		side_close(side, f.filter);
		side_close(side, f.xdp);
		side_close(side, f.tp);
		side_close(side, f.kprobe);
		side_close(side, f.map);
	}
	return check_done();
}
