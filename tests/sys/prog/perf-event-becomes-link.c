// SPDX-License-Identifier: BSD-2-Clause
/*
 * Perf events for programs: which events there are, who may use them, enabling
 * and disabling, and both ways in which an event gets its program.
 */
#include <fcntl.h>
#include <linux/perf_event.h>

#include "both.h"
#include "shm/object.h"
#include "sys/calls.h"
#include "sys/link.h"

static int open_event(uint32_t type, uint64_t config, const void *name, uint64_t offset,
		      bool disabled)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = type,
		.config = config,
		.config1 = (uintptr_t)name,
		.config2 = offset,
		.disabled = disabled,
	};

	return sys_perf_event_open(&attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

static long control(int fd, unsigned long request, unsigned long arg)
{
	long ret = 0;
	int err = sys_perf_ioctl(fd, request, arg, &ret);

	return err ? err : ret;
}

static long create(int prog, int event, uint64_t cookie)
{
	union sys_attr a = {0};

	a.link_create.prog_fd = prog;
	a.link_create.target_fd = event;
	a.link_create.attach_type = BPF_PERF_EVENT;
	a.link_create.perf_event.bpf_cookie = cookie;
	return side_bpf(OURS, BPF_LINK_CREATE, &a);
}

static void names(void)
{
	static const char *const known[] = {
		"syscalls/sys_enter_mmap",     "syscalls/sys_exit_mmap",
		"syscalls/sys_enter_newfstat", "syscalls/sys_enter_openat",
		"raw_syscalls/sys_enter",      "raw_syscalls/sys_exit",
	};
	uint32_t i;

	for (i = 0; i < 6; i++) {
		int id = perf_tracepoint_id(known[i]);

		CHECK(id > 65535); /* none of the kernel's */
		CHECK(perf_tracepoint_name(id) && !strcmp(perf_tracepoint_name(id), known[i]));
	}
	CHECK_EQ(perf_tracepoint_id("syscalls/sys_enter_nothing"), -ENOENT);
	CHECK_EQ(perf_tracepoint_id("sched/sched_switch"), -ENOENT);
	CHECK(!perf_tracepoint_name(0));
	CHECK(!perf_tracepoint_name(-1));
	CHECK(!perf_tracepoint_name(INT32_MAX));
}

static void opening(void)
{
	int id = perf_tracepoint_id("syscalls/sys_enter_mmap"), fd;

	CHECK_EQ(open_event(PERF_TYPE_KPROBE, 0, "no_such_function", 0, false), -ENOENT);
	CHECK_EQ(open_event(PERF_TYPE_KPROBE, 0, NULL, 0, false), -ENOENT);
	CHECK_EQ(open_event(PERF_TYPE_KPROBE, 0, (void *)8, 0, false), -EFAULT);
	CHECK_EQ(open_event(PERF_TYPE_KPROBE, 2, CALL_PREFIX "mmap", 0, false), -EINVAL);
	CHECK_EQ(open_event(PERF_TYPE_KPROBE, 0, CALL_PREFIX "mmap", 4, false), -EINVAL);
	CHECK_EQ(open_event(PERF_TYPE_TRACEPOINT, 1000000 + 2 * 1023, NULL, 0, false), -ENOENT);
	fd = open_event(PERF_TYPE_TRACEPOINT, id, NULL, 0, false);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_EQ(control(fd, PERF_EVENT_IOC_ENABLE, 0), 0);
	CHECK_EQ(control(fd, PERF_EVENT_IOC_RESET, 0), 0);
	CHECK_EQ(control(fd, PERF_EVENT_IOC_PERIOD, 0), -ENOTTY);
	CHECK_EQ(control(fd, PERF_EVENT_IOC_ID, 8), -EFAULT);
	CHECK_EQ(control(1, PERF_EVENT_IOC_ENABLE, 0), 1);   /* not ours */
	CHECK_EQ(control(999, PERF_EVENT_IOC_ENABLE, 0), 1); /* nothing */
	side_close(OURS, fd);
}

static struct link_header only_link(uint32_t *id)
{
	struct link_header h = {0};
	uint32_t next;

	REQUIRE(!object_next_id(OBJECT_LINK, 0, id));
	CHECK_EQ(sys_link_read(*id, &h), 0);
	CHECK_EQ(object_next_id(OBJECT_LINK, *id, &next), -ENOENT);
	return h;
}

static void by_link_create(int kprobe, int tp)
{
	int event = open_event(PERF_TYPE_KPROBE, 1, CALL_PREFIX "openat", 0, true), link;
	struct link_header h;
	uint32_t id;

	REQUIRE(event >= 0);
	CHECK_EQ(create(tp, event, 0), -EINVAL); /* another kind of program */
	link = create(kprobe, event, 99);
	REQUIRE(link >= 0);
	CHECK_EQ(create(kprobe, event, 0), -EEXIST);
	h = only_link(&id);
	CHECK_EQ(h.event, LINK_KRETPROBE);
	CHECK_EQ(h.cookie, 99);
	CHECK_EQ(h.detached, 1); /* the event was opened disabled */
	CHECK_EQ(control(event, PERF_EVENT_IOC_ENABLE, 0), 0);
	CHECK_EQ(only_link(&id).detached, 0);
	CHECK_EQ(control(event, PERF_EVENT_IOC_DISABLE, 0), 0);
	CHECK_EQ(only_link(&id).detached, 1);
	CHECK_EQ(control(event, PERF_EVENT_IOC_ENABLE, 0), 0);
	side_close(OURS, event); /* the link keeps the event */
	CHECK_EQ(only_link(&id).detached, 0);
	side_close(OURS, link);
	CHECK_EQ(object_next_id(OBJECT_LINK, 0, &id), -ENOENT);
}

static void again_after_link(int kprobe)
{
	int event = open_event(PERF_TYPE_KPROBE, 0, CALL_PREFIX "openat", 0, false), link;

	REQUIRE(event >= 0);
	link = create(kprobe, event, 0);
	CHECK(link >= 0);
	side_close(OURS, link);
	link = create(kprobe, event, 0);
	CHECK(link >= 0);
	side_close(OURS, link);
	side_close(OURS, event);
}

static void by_ioctl(int kprobe, int tp)
{
	int event = open_event(PERF_TYPE_TRACEPOINT, perf_tracepoint_id("raw_syscalls/sys_exit"),
			       NULL, 0, false);
	struct link_header h;
	uint32_t id;

	REQUIRE(event >= 0);
	CHECK_EQ(object_next_id(OBJECT_LINK, 0, &id), -ENOENT); /* an event is no link */
	CHECK_EQ(control(event, PERF_EVENT_IOC_SET_BPF, 999), -EBADF);
	CHECK_EQ(control(event, PERF_EVENT_IOC_SET_BPF, kprobe), -EINVAL);
	CHECK_EQ(control(event, PERF_EVENT_IOC_SET_BPF, tp), 0);
	CHECK_EQ(control(event, PERF_EVENT_IOC_SET_BPF, tp), -EEXIST);
	CHECK_EQ(create(tp, event, 0), -EEXIST);
	h = only_link(&id);
	CHECK_EQ(h.event, LINK_TRACEPOINT);
	CHECK(!strcmp(h.name, "raw_syscalls/sys_exit"));
	CHECK_EQ(h.detached, 0);
	CHECK_EQ(control(event, PERF_EVENT_IOC_DISABLE, 0), 0);
	CHECK_EQ(only_link(&id).detached, 1);
	side_close(OURS, event);
	CHECK_EQ(object_next_id(OBJECT_LINK, 0, &id), -ENOENT);
}

/* One process only: an event that nobody here can restrict. */
static void one_process(int kprobe)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_KPROBE,
		.config1 = (uintptr_t)CALL_PREFIX "mmap",
	};
	int event = sys_perf_event_open(&attr, getpid(), -1, -1, 0);

	REQUIRE(event >= 0);
	CHECK_EQ(fcntl(event, F_GETFD), 0);
	CHECK_EQ(create(kprobe, event, 0), -EOPNOTSUPP);
	side_close(OURS, event);
	CHECK_EQ(sys_perf_event_open(&attr, -1, -1, -1, 0), -EINVAL);
	CHECK_EQ(sys_perf_event_open(&attr, -1, 0, -1, 1 << 10), -EINVAL);
}

int main(void)
{
	int kprobe, tp;

	check_private_rundir();
	kprobe = side_load(OURS, BPF_PROG_TYPE_KPROBE, return_0, 2);
	tp = side_load(OURS, BPF_PROG_TYPE_TRACEPOINT, return_0, 2);
	REQUIRE(kprobe >= 0 && tp >= 0);
	names();
	opening();
	by_link_create(kprobe, tp);
	again_after_link(kprobe);
	by_ioctl(kprobe, tp);
	one_process(kprobe);
	side_close(OURS, kprobe);
	side_close(OURS, tp);
	return check_done();
}
