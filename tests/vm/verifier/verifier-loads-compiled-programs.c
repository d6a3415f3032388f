/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects that clang made are loaded by unmodified libbpf through bpf(2) of
 * shmap: every program in them must be accepted. With -k the kernel loads the
 * object first, where it lets us.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/rawsys.h"
#include "btf/btf.h"
#include "check.h"
#include "sys/sys.h"

static bool on_kernel;

static long edge(long ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* libbpf's way into bpf(2), as the preload library takes it. */
__attribute__((visibility("default"))) long syscall(long n, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (n == SYS_bpf && !on_kernel)
		return edge(sys_bpf(a[0], (void *)a[1], a[2]));
	return edge(raw_syscall6(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static int load(const char *path, int *programs)
{
	struct bpf_object *obj = bpf_object__open(path);
	struct bpf_program *p;
	int err;

	REQUIRE(obj);
	*programs = 0;
	bpf_object__for_each_program(p, obj)
		++*programs;
	err = bpf_object__load(obj);
	bpf_object__close(obj);
	return err;
}

int main(int argc, char **argv)
{
	int programs;

	check_private_rundir();
	libbpf_set_print(print);
	if (!btf_vmlinux())
		SKIP("no kernel BTF: libbpf cannot relocate the objects");
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-k")) {
			const char *path = argv[++i];

			on_kernel = true;
			if (!geteuid() && load(path, &programs))
				printf("%s: the kernel does not load it here\n", path);
			on_kernel = false;
			CHECK_EQ(load(path, &programs), 0);
		} else {
			CHECK_EQ(load(argv[i], &programs), 0);
		}
		printf("%s: %d programs\n", argv[i], programs);
	}
	return check_done();
}
