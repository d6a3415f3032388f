// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unmodified libbpf loads an object with maps, global data, CO-RE relocations
 * and every kind of section, runs it, attaches it and finds its links again.
 * libc's names that libbpf calls are defined here, as the preload library does.
 */
#include <stdarg.h>
#include <dlfcn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/rawsys.h"
#include "both.h"
#include "shm/object.h"
#include "sys/link.h"

#define EXPORT __attribute__((visibility("default")))

static long edge(long ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

EXPORT long syscall(long n, ...)
{
	long a[6];
	va_list ap;
	int i;

	va_start(ap, n);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (n == SYS_bpf)
		return edge(sys_bpf(a[0], (void *)a[1], a[2]));
	if (n == SYS_perf_event_open)
		return edge(sys_perf_event_open((void *)a[0], a[1], a[2], a[3], a[4]));
	return edge(raw_syscall6(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

EXPORT int close(int fd)
{
	int ret;

	fd_forget(fd);
	ret = raw_close(fd);
	fd_collect();
	return edge(ret);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;
	long ret;
	int err;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	err = sys_perf_ioctl(fd, request, arg, &ret);
	return edge(err == 1 ? raw_ioctl(fd, request, arg) : err ? err : ret);
}

/* The ids that libbpf reads before perf_event_open(2). */
EXPORT FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*next)(const char *, const char *);
	const char *events = strstr(path, "/events/");
	static char text[32];
	char name[128];

	if (events && !strcmp(path + strlen(path) - 3, "/id")) {
		snprintf(name, sizeof(name), "%s", events + 8);
		name[strlen(name) - 3] = '\0';
		snprintf(text, sizeof(text), "%d\n", perf_tracepoint_id(name));
		return fmemopen(text, strlen(text), "r");
	}
	if (strstr(path, "/kprobe/type")) {
		snprintf(text, sizeof(text), "%d\n", PERF_TYPE_KPROBE);
		return fmemopen(text, strlen(text), "r");
	}
	if (strstr(path, "/kprobe/format/retprobe")) {
		snprintf(text, sizeof(text), "config:0\n");
		return fmemopen(text, strlen(text), "r");
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "fopen");
	return next(path, mode);
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_map *rodata;
	uint32_t step = 3;

	REQUIRE(obj);
	rodata = bpf_object__find_map_by_name(obj, ".rodata");
	REQUIRE(rodata);
	CHECK_EQ(bpf_map__set_initial_value(rodata, &step, sizeof(step)), 0);
	REQUIRE(!bpf_object__load(obj));
	return obj;
}

static int prog_fd(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	REQUIRE(prog);
	return bpf_program__fd(prog);
}

static void run(struct bpf_object *obj)
{
	char pkt[100] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = pkt, .data_size_in = sizeof(pkt));
	struct bpf_map *bss = bpf_object__find_map_by_name(obj, ".bss");
	struct bpf_map *seen = bpf_object__find_map_by_name(obj, "seen");
	uint32_t key = sizeof(pkt), zero = 0, cpus = libbpf_num_possible_cpus(), i;
	const uint64_t *total;
	uint64_t value = 0, percpu[cpus], sum = 0;

	CHECK_EQ(bpf_prog_test_run_opts(prog_fd(obj, "on_packet"), &opts), 0);
	CHECK_EQ(opts.retval, 5 + 3);
	CHECK_EQ(bpf_prog_test_run_opts(prog_fd(obj, "on_packet"), &opts), 0);
	CHECK_EQ(opts.retval, 5 + 6);
	CHECK_EQ(bpf_map__lookup_elem(seen, &key, sizeof(key), &value, sizeof(value), 0), 0);
	CHECK_EQ(value, 2);
	/* global data can be mapped */
	total = mmap(NULL, 4096, PROT_READ, MAP_SHARED, bpf_map__fd(bss), 0);
	REQUIRE(total != MAP_FAILED);
	CHECK_EQ(*total, 6);
	munmap((void *)total, 4096);

	LIBBPF_OPTS(bpf_test_run_opts, none);
	CHECK_EQ(bpf_prog_test_run_opts(prog_fd(obj, "on_call"), &none), 0);
	CHECK_EQ(bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, "percpu"), &zero, percpu),
		 0);
	for (i = 0; i < cpus; i++)
		sum += percpu[i];
	CHECK_EQ(sum, 1);
}

struct want {
	const char *prog;
	uint32_t link_type, event;
	const char *name;
};

static const struct want wanted[] = {
	{"on_fentry", LINK_TYPE_TRACING, LINK_FENTRY, "__x64_sys_mmap"},
	{"on_fexit", LINK_TYPE_TRACING, LINK_FEXIT, "__x64_sys_mmap"},
	{"on_tp_btf", LINK_TYPE_RAW_TRACEPOINT, LINK_RAW_TRACEPOINT, "sys_enter"},
	{"on_raw_tp", LINK_TYPE_RAW_TRACEPOINT, LINK_RAW_TRACEPOINT, "sys_exit"},
	{"on_tracepoint", LINK_TYPE_PERF_EVENT, LINK_TRACEPOINT, "syscalls/sys_enter_mmap"},
	{"on_kprobe", LINK_TYPE_PERF_EVENT, LINK_KPROBE, "__x64_sys_mmap"},
	{"on_kretprobe", LINK_TYPE_PERF_EVENT, LINK_KRETPROBE, "__x64_sys_mmap"},
	{"on_ksyscall", LINK_TYPE_PERF_EVENT, LINK_KPROBE, "__x64_sys_getppid"},
};
#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	return info.id;
}

static int count_links(void)
{
	uint32_t id = 0;
	int n = 0;

	while (!bpf_link_get_next_id(id, &id))
		n++;
	return n;
}

static void check_link(struct bpf_object *obj, const struct want *w)
{
	uint32_t prog = prog_id(prog_fd(obj, w->prog)), id = 0, len;
	struct bpf_link_info info;
	struct link_header h;
	char name[128];
	int fd;

	while (!bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		REQUIRE(fd >= 0);
		memset(&info, 0, sizeof(info));
		if (w->link_type == LINK_TYPE_RAW_TRACEPOINT) {
			info.raw_tracepoint.tp_name = (uintptr_t)name;
			info.raw_tracepoint.tp_name_len = sizeof(name);
		}
		len = sizeof(info);
		CHECK_EQ(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		close(fd);
		if (info.prog_id != prog)
			continue;
		CHECK_EQ(info.type, w->link_type);
		CHECK_EQ(info.id, id);
		CHECK_EQ(sys_link_read(id, &h), 0);
		CHECK_EQ(h.event, w->event);
		CHECK_EQ(h.detached, 0);
		CHECK(!strcmp(h.name, w->name));
		if (w->link_type == LINK_TYPE_RAW_TRACEPOINT)
			CHECK(!strcmp(name, w->name));
		if (w->link_type == LINK_TYPE_TRACING)
			CHECK(info.tracing.target_btf_id && info.tracing.target_obj_id);
		if (!strcmp(w->prog, "on_kprobe"))
			CHECK_EQ(h.cookie, 77);
		return;
	}
	fprintf(stderr, "%s has no link\n", w->prog);
	check_failures++;
}

static void attach(struct bpf_object *obj)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .bpf_cookie = 77);
	struct bpf_link *links[WANTED];
	struct bpf_program *prog;
	uint32_t i;

	for (i = 0; i < WANTED; i++) {
		prog = bpf_object__find_program_by_name(obj, wanted[i].prog);
		links[i] = strcmp(wanted[i].prog, "on_kprobe")
				   ? bpf_program__attach(prog)
				   : bpf_program__attach_kprobe_opts(prog, wanted[i].name, &opts);
		CHECK(links[i]);
	}
	CHECK_EQ(count_links(), WANTED);
	for (i = 0; i < WANTED; i++)
		if (links[i])
			check_link(obj, &wanted[i]);
	for (i = 0; i < WANTED; i++)
		bpf_link__destroy(links[i]);
	CHECK_EQ(count_links(), 0);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_DEBUG && !getenv("VERBOSE") ? 0 : vfprintf(stderr, fmt, args);
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	uint32_t id;

	REQUIRE(argc == 2);
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		SKIP("the kernel has no BTF to relocate against");
	check_private_rundir();
	libbpf_set_print(quiet);
	obj = load(argv[1]);
	run(obj);
	attach(obj);
	bpf_object__close(obj);
	object_collect_all();
	CHECK_EQ(object_next_id(OBJECT_PROG, 0, &id), -ENOENT);
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &id), -ENOENT);
	CHECK_EQ(object_next_id(OBJECT_BTF, 0, &id), -ENOENT);
	CHECK_EQ(object_next_id(OBJECT_LINK, 0, &id), -ENOENT);
	return check_done();
}
