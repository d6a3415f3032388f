/* SPDX-License-Identifier: BSD-2-Clause */
/* The helpers that ask the event source (task, memory, traced call), and the
 * trace pipe. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "prog.h"

static char user_memory[8192] __attribute__((aligned(4096)));
#define USER_BASE 0x10000000000ull

/* The traced process has two pages, at USER_BASE. */
static int read_user(const struct vm_env *env, void *dst, uint64_t addr, size_t len)
{
	if (addr < USER_BASE || addr + len > USER_BASE + sizeof(user_memory))
		return -EFAULT;
	memcpy(dst, user_memory + (addr - USER_BASE), len);
	return 0;
}

static int write_user(const struct vm_env *env, uint64_t addr, const void *src, size_t len)
{
	if (addr < USER_BASE || addr + len > USER_BASE + sizeof(user_memory))
		return -EFAULT;
	memcpy(user_memory + (addr - USER_BASE), src, len);
	return 0;
}

static struct vm_env env = {
	.pid = 11,
	.tgid = 10,
	.uid = 1000,
	.gid = 1001,
	.comm = "traced",
	.ip = 0xffffffff81000000,
	.cookie = 42,
	.read_user = read_user,
	.write_user = write_user,
};
static uint64_t ctx[8] = {5, 6, 7, 8, 9, 10, 11, 12};

static uint64_t run(uint32_t type, uint32_t attach, const struct vm_env *e,
		    const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = prog_new(type, insns, cnt);
	uint64_t ret = 0x55;

	p->expected_attach_type = attach;
	CHECK_EQ(vm_run(p, ctx, e, &ret), 0);
	vm_prog_free(p);
	return ret;
}
#define TRACING(attach, ...)                                                                       \
	run(BPF_PROG_TYPE_TRACING, attach, &env, (struct bpf_insn[]){__VA_ARGS__},                 \
	    sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn))
#define PLAIN(e, ...)                                                                              \
	run(BPF_PROG_TYPE_KPROBE, 0, e, (struct bpf_insn[]){__VA_ARGS__},                          \
	    sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn))
#define FP(d, off) MOV64_X(d, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, off)
#define LDX(size, d, s, off) INSN(BPF_LDX | (size) | BPF_MEM, d, s, off, 0)

/* The helper's value; the buffer of 16 bytes that it filled is compared. */
static void probe(int id, int size, uint64_t addr, long want, const char *bytes)
{
	long got = (long)PLAIN(&env, INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -16, -1),
			       INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, -1), FP(1, -16),
			       MOV64_K(2, size), LD_IMM64(3, addr), CALL(id), MOV64_X(6, 0),
			       FP(1, -16), INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 16),
			       LD_IMM64(3, (uintptr_t)bytes), CALL(BPF_FUNC_strncmp),
			       LDX(BPF_DW, 7, 10, -16), INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
			       MOV64_X(0, 6), EXIT(), MOV64_K(0, -1000), EXIT());

	if (got != want) {
		fprintf(stderr, "helper %d size %d: %ld, not %ld (or other bytes)\n", id, size, got,
			want);
		check_failures++;
	}
}

static void test_probes(void)
{
	const uint64_t gone =
		(uintptr_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const char own[] = "kernel";

	strcpy(user_memory, "user text");
	memset(user_memory + 4090, 'x', 6);
	strcpy(user_memory + 4096, "y");
	memset(user_memory + 8188, 'z', 4);
	probe(BPF_FUNC_probe_read_user, 10, USER_BASE, 0, "user text");
	probe(BPF_FUNC_probe_read_user, 8, USER_BASE - 1, -EFAULT, "");
	probe(BPF_FUNC_probe_read_user_str, 16, USER_BASE, 10, "user text");
	probe(BPF_FUNC_probe_read_user_str, 4, USER_BASE, 4, "use");
	probe(BPF_FUNC_probe_read_user_str, 16, USER_BASE + 4090, 8, "xxxxxxy");
	probe(BPF_FUNC_probe_read_user_str, 16, USER_BASE + 8188, -EFAULT, "");
	probe(BPF_FUNC_probe_read_kernel, 7, (uintptr_t)own, 0, "kernel");
	probe(BPF_FUNC_probe_read_kernel, 7, gone, -EFAULT, "");
	probe(BPF_FUNC_probe_read_kernel, 7, 1ull << 63, -EFAULT, "");
	probe(BPF_FUNC_probe_read_kernel_str, 16, (uintptr_t)own, 7, "kernel");
	probe(BPF_FUNC_probe_read_kernel_str, 3, (uintptr_t)own, 3, "ke");
	probe(BPF_FUNC_probe_read_kernel_str, 16, gone, -EFAULT, "");
	/* the old ones: either kind */
	probe(BPF_FUNC_probe_read, 10, USER_BASE, 0, "user text");
	probe(BPF_FUNC_probe_read, 7, (uintptr_t)own, 0, "kernel");
	probe(BPF_FUNC_probe_read, 7, gone, -EFAULT, "");
	probe(BPF_FUNC_probe_read_str, 16, USER_BASE, 10, "user text");
	probe(BPF_FUNC_probe_read_str, 16, (uintptr_t)own, 7, "kernel");
	/* to the traced process, and not where there is none */
	CHECK_EQ(PLAIN(&env, INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0x41),
		       LD_IMM64(1, USER_BASE), FP(2, -8), MOV64_K(3, 2),
		       CALL(BPF_FUNC_probe_write_user), EXIT()),
		 0);
	CHECK(!strcmp(user_memory, "A"));
	CHECK_EQ((long)PLAIN(NULL, LD_IMM64(1, USER_BASE), FP(2, -8), MOV64_K(3, 2),
			     CALL(BPF_FUNC_probe_write_user), EXIT()),
		 -EPERM);
}

static void test_task(void)
{
	CHECK_EQ(PLAIN(&env, CALL(BPF_FUNC_get_current_pid_tgid), EXIT()), 10ull << 32 | 11);
	CHECK_EQ(PLAIN(&env, CALL(BPF_FUNC_get_current_uid_gid), EXIT()), 1001ull << 32 | 1000);
	CHECK_EQ(PLAIN(NULL, CALL(BPF_FUNC_get_current_pid_tgid), EXIT()),
		 (uint64_t)getpid() << 32 | (uint32_t)getpid());
	CHECK_EQ(PLAIN(&env, CALL(BPF_FUNC_get_func_ip), EXIT()), env.ip);
	CHECK_EQ(PLAIN(&env, CALL(BPF_FUNC_get_attach_cookie), EXIT()), 42);
	/* comm, cut to 4 bytes and whole */
	CHECK_EQ(PLAIN(&env, FP(1, -8), MOV64_K(2, 4), CALL(BPF_FUNC_get_current_comm),
		       LDX(BPF_W, 0, 10, -8), EXIT()),
		 0x617274 /* "tra" */);
	CHECK_EQ(PLAIN(&env, FP(1, -8), MOV64_K(2, 8), CALL(BPF_FUNC_get_current_comm),
		       LDX(BPF_DW, 0, 10, -8), EXIT()),
		 0x646563617274ull /* "traced" */);
}

static void test_traced_call(void)
{
	/* without kernel types a traced call is a system call: one argument */
	CHECK_EQ(TRACING(BPF_TRACE_FENTRY, CALL(BPF_FUNC_get_func_arg_cnt), EXIT()), 1);
	CHECK_EQ(TRACING(BPF_TRACE_FENTRY, MOV64_K(2, 0), FP(3, -8), CALL(BPF_FUNC_get_func_arg),
			 LDX(BPF_DW, 0, 10, -8), EXIT()),
		 5);
	CHECK_EQ((long)TRACING(BPF_TRACE_FENTRY, MOV64_K(2, 1), FP(3, -8),
			       CALL(BPF_FUNC_get_func_arg), EXIT()),
		 -EINVAL);
	CHECK_EQ(TRACING(BPF_TRACE_FEXIT, FP(2, -8), CALL(BPF_FUNC_get_func_ret),
			 LDX(BPF_DW, 0, 10, -8), EXIT()),
		 6);
	CHECK_EQ((long)TRACING(BPF_TRACE_FENTRY, FP(2, -8), CALL(BPF_FUNC_get_func_ret), EXIT()),
		 -EOPNOTSUPP);
}

static void test_time(void)
{
	struct timespec ts;
	uint64_t before, now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	before = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	now = PLAIN(&env, CALL(BPF_FUNC_ktime_get_ns), EXIT());
	clock_gettime(CLOCK_MONOTONIC, &ts);
	CHECK(before <= now && now <= (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
	CHECK(PLAIN(&env, CALL(BPF_FUNC_ktime_get_boot_ns), EXIT()) >= now);
	CHECK(PLAIN(&env, CALL(BPF_FUNC_ktime_get_tai_ns), EXIT()) > now);
	CHECK(PLAIN(&env, CALL(BPF_FUNC_jiffies64), EXIT()) != 0);
	CHECK(PLAIN(&env, CALL(BPF_FUNC_get_prandom_u32), EXIT()) <= UINT32_MAX);
}

static void test_trace_pipe(void)
{
	static const char fmt[] = "n=%d s=%s u=%lx\n", bad[] = "%q";
	char line[256] = "";
	int fd[2], n;

	REQUIRE(!pipe(fd));
	vm_set_trace_fd(fd[1]);
	strcpy(user_memory, "path");
	CHECK_EQ(PLAIN(&env, LD_IMM64(1, (uintptr_t)fmt), MOV64_K(2, sizeof(fmt)), MOV64_K(3, -3),
		       LD_IMM64(4, USER_BASE), MOV64_K(5, 255), CALL(BPF_FUNC_trace_printk),
		       EXIT()),
		 sizeof("n=-3 s=path u=ff\n") - 1);
	n = (int)read(fd[0], line, sizeof(line) - 1);
	REQUIRE(n > 0);
	CHECK(strstr(line, "traced-11 "));
	CHECK(strstr(line, ": bpf_trace_printk: n=-3 s=path u=ff\n"));
	CHECK_EQ(line[n - 1], '\n');
	CHECK_EQ((long)PLAIN(&env, LD_IMM64(1, (uintptr_t)bad), MOV64_K(2, sizeof(bad)),
			     CALL(BPF_FUNC_trace_printk), EXIT()),
		 -EINVAL);
	/* no NUL within the size */
	CHECK_EQ((long)PLAIN(&env, LD_IMM64(1, (uintptr_t)fmt), MOV64_K(2, 3),
			     CALL(BPF_FUNC_trace_printk), EXIT()),
		 -EINVAL);
	/* more than three */
	CHECK_EQ(PLAIN(&env, INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -24, 1),
		       INSN(BPF_STX | BPF_DW | BPF_MEM, 10, 10, -16, 0),
		       INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -16, 0),
		       INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 3), LD_IMM64(1, (uintptr_t)fmt),
		       MOV64_K(2, sizeof(fmt)), FP(3, -24), MOV64_K(4, 24),
		       CALL(BPF_FUNC_trace_vprintk), EXIT()),
		 sizeof("n=1 s= u=3\n") - 1);
	CHECK_EQ((long)PLAIN(&env, LD_IMM64(1, (uintptr_t)fmt), MOV64_K(2, sizeof(fmt)), FP(3, -24),
			     MOV64_K(4, 12), CALL(BPF_FUNC_trace_vprintk), EXIT()),
		 -EINVAL);
	vm_set_trace_fd(-1);
}

int main(void)
{
	check_private_rundir();
	uaccess_init();
	test_probes();
	test_task();
	test_traced_call();
	test_time();
	test_trace_pipe();
	return check_done();
}
