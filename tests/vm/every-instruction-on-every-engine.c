/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 9669's instructions give the RFC's results on each engine that there is. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rfc9669.h"
#include "base/errors.h"
#include "sys/sys.h"

typedef long (*bpf_fn)(int cmd, void *attr, unsigned int size);

static long kernel_bpf(int cmd, void *attr, unsigned int size)
{
	long ret = syscall(SYS_bpf, cmd, attr, size);

	return ret < 0 ? -errno : ret;
}

static int load_by(bpf_fn bpf, uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uintptr_t)insns,
		.insn_cnt = cnt,
		.license = (uintptr_t) "GPL",
	};

	return (int)bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int64_t run_by(bpf_fn bpf, int fd, const void *in, void *out, uint32_t size)
{
	union bpf_attr attr = {0};
	long err;

	attr.test.prog_fd = fd;
	attr.test.data_in = (uintptr_t)in;
	attr.test.data_out = (uintptr_t)out;
	attr.test.data_size_in = attr.test.data_size_out = size;
	err = bpf(BPF_PROG_TEST_RUN, &attr, sizeof(attr));
	return err ? err : attr.test.retval;
}

static int our_load(uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	return load_by(sys_bpf, type, insns, cnt);
}

static int64_t our_run(int fd, const void *in, void *out, uint32_t size)
{
	return run_by(sys_bpf, fd, in, out, size);
}

static void our_close(int fd)
{
	fd_forget(fd);
	syscall(SYS_close, fd);
	fd_collect();
}

static int kernel_load(uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	return load_by(kernel_bpf, type, insns, cnt);
}

static int64_t kernel_run(int fd, const void *in, void *out, uint32_t size)
{
	return run_by(kernel_bpf, fd, in, out, size);
}

static void kernel_close(int fd)
{
	syscall(SYS_close, fd);
}

/* Which engine of ours runs is decided by the environment, when a process first runs one. */
static const struct {
	struct rfc_engine engine;
	const char *variable, *value;
	bool kernel;
} engines[] = {
	{{"interpreter", our_load, our_run, our_close}, "SHMAP_JIT", "0"},
	{{"native code", our_load, our_run, our_close}, "SHMAP_JIT", "1"},
	{{"the kernel", kernel_load, kernel_run, kernel_close}, .kernel = true},
};

static const struct rfc_engine *const kernel = &engines[2].engine;

/* Are there load-acquire and store-release? */
static bool has_ordered(const struct rfc_engine *e)
{
	return !rfc_try(e, RFC_I(BPF_STX | BPF_ATOMIC | BPF_DW, 2, 10, -8, RFC_LOAD_ACQ));
}

static bool has_kernel(void)
{
	return !rfc_try(kernel, RFC_I(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0));
}

static int run_engine(size_t i)
{
	const struct rfc_engine *e = &engines[i].engine;
	bool ordered;

	if (engines[i].kernel && !has_kernel()) {
		printf("%s: bpf(2) is not permitted here\n", e->name);
		return 0;
	}
	if (engines[i].variable)
		setenv(engines[i].variable, engines[i].value, 1);
	ordered = has_ordered(e);
	rfc_run_all(e, ordered);
	printf("%s: %llu runs%s\n", e->name, (unsigned long long)rfc_runs,
	       ordered ? "" : "; no load-acquire and store-release");
	if (!i && has_kernel())
		rfc_same_verdicts(e, kernel);
	fflush(stdout);
	return check_done();
}

int main(void)
{
	int status;

	check_private_rundir();
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		fflush(stdout);
		if (!fork())
			_exit(run_engine(i));
		CHECK(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status));
	}
	return check_done();
}
