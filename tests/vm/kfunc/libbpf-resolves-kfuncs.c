/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmodified libbpf resolves extern __ksym functions against the kernel's BTF, and the
 * object's loops, dynptrs and timers run. libc's names that it calls are defined here.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdarg.h>

#include "base/rawsys.h"
#include "../../sys/prog/both.h"

#define EXPORT __attribute__((visibility("default")))

static long edge(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

EXPORT long syscall(long n, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (n == SYS_bpf)
		return edge(sys_bpf((int)a[0], (void *)a[1], (unsigned int)a[2]));
	return edge(raw_syscall6(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

EXPORT int close(int fd)
{
	int ret;

	fd_forget(fd);
	ret = raw_close(fd);
	fd_collect();
	return (int)edge(ret);
}

static uint32_t run(struct bpf_object *obj, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(obj, name);
	uint8_t pkt[64] = {[12] = 8, [13] = 6};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = pkt, .data_size_in = sizeof(pkt));

	REQUIRE(p);
	REQUIRE(!bpf_prog_test_run_opts(bpf_program__fd(p), &opts));
	return opts.retval;
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	struct bpf_map *timers;
	uint64_t value[3] = {0};
	int key = 5;

	check_private_rundir();
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		SKIP("there is no /sys/kernel/btf/vmlinux");
	obj = bpf_object__open_file(argv[1], NULL);
	REQUIRE(obj);
	if (bpf_object__load(obj)) {
		struct btf *btf = btf__load_vmlinux_btf();

		if (btf__find_by_name_kind(btf, "bpf_strcmp", BTF_KIND_FUNC) < 0)
			SKIP("this kernel's BTF has not all of the functions");
		REQUIRE(!"loaded");
	}
	CHECK_EQ(run(obj, "loops"), 66);
	timers = bpf_object__find_map_by_name(obj, "timers");
	REQUIRE(timers);
	CHECK_EQ(run(obj, "slice"), 0);
	CHECK_EQ(run(obj, "timer"), 0);
	do {
		sched_yield();
		REQUIRE(!bpf_map_lookup_elem(bpf_map__fd(timers), &key, value));
	} while (value[0] < 15);
	CHECK_EQ(value[0], 15);
	CHECK_EQ(value[1], 0);
	CHECK_EQ(run(obj, "timer"), 2); /* it is there already */
	bpf_object__close(obj);
	return check_done();
}
