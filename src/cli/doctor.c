/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap doctor: what works here, and what to do about what does not. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>

#include "event/event.h"
#include "shm/rundir.h"

static bool essential_missing;

enum finding { WORKS, LACKING, BROKEN }; /* BROKEN: shmap cannot do without */

static void __attribute__((format(printf, 3, 4)))
say(enum finding f, const char *what, const char *fmt, ...)
{
	static const char *const mark[] = {"ok  ", "-   ", "FAIL"};
	va_list args;

	printf("%s  %-18s ", mark[f], what);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	if (f == BROKEN)
		essential_missing = true;
}

static void check_rundir(void)
{
	struct statfs fs;

	if (rundir_open()) {
		const char *why = rundir_error();

		say(BROKEN, "runtime directory", "%s",
		    why && *why ? why : "cannot be opened; set SHMAP_DIR");
		return;
	}
	say(WORKS, "runtime directory", "%s", rundir_path());
	if (statfs(rundir_path(), &fs)) {
		say(BROKEN, "tmpfs", "%s: %s", rundir_path(), strerror(errno));
		return;
	}
	if (fs.f_type != TMPFS_MAGIC) {
		say(BROKEN, "tmpfs",
		    "%s is on another file system; set SHMAP_DIR to a directory "
		    "on a tmpfs",
		    rundir_path());
		return;
	}
	{
		unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_bsize >> 20;

		say(mib < 16 ? LACKING : WORKS, "tmpfs", "%llu MiB free of %llu%s", mib,
		    (unsigned long long)fs.f_blocks * fs.f_bsize >> 20,
		    mib < 64 ? "; maps are as big as that: docker run --shm-size, or mount -o "
			       "remount,size="
			     : "");
	}
}

static void check_rseq(void)
{
	if (__rseq_size)
		say(WORKS, "rseq", "the current CPU costs one load");
	else
		say(LACKING, "rseq",
		    "not registered by libc: leases ask getcpu(2) for the CPU, "
		    "which is slower; glibc 2.35 and Linux 4.18 have it");
}

static void check_robust_list(void)
{
	void *head = NULL;
	size_t len = 0;

	if (!syscall(SYS_get_robust_list, 0, &head, &len) && head)
		say(WORKS, "robust list", "locks survive the death of their holders");
	else
		say(BROKEN, "robust list",
		    "get_robust_list(2) does not work: %s; the sandbox must "
		    "permit it",
		    strerror(errno ? errno : ENOENT));
}

static void check_membarrier(void)
{
	long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (have > 0 && (have & MEMBARRIER_CMD_GLOBAL_EXPEDITED))
		say(WORKS, "membarrier", "expedited");
	else
		say(LACKING, "membarrier", "not permitted; readers use fences of their own");
}

/* A child that the parent seizes, with a filter that traces getppid. */
static int probe_child(int go)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
	char byte;

	if (read(go, &byte, 1) != 1)
		return 3;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return 2;
	syscall(SYS_getppid);
	return 0;
}

static int yama_scope(void)
{
	int scope = -1;
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

	if (f) {
		if (fscanf(f, "%d", &scope) != 1)
			scope = -1;
		fclose(f);
	}
	return scope;
}

static void check_tracing(void)
{
	int go[2], status, err = 0, scope = yama_scope();
	bool seen = false;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		return;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(probe_child(go[0]));
	}
	close(go[0]);
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL))
		err = errno;
	if (!err && write(go[1], "", 1) != 1)
		err = errno;
	close(go[1]);
	while (pid > 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		seen |= status >> 16 == PTRACE_EVENT_SECCOMP;
		ptrace(PTRACE_CONT, pid, 0, 0);
	}
	if (err) {
		say(BROKEN, "ptrace", "not permitted (%s)%s", strerror(err),
		    scope == 3 ? "; kernel.yama.ptrace_scope is 3: it takes a reboot with less"
			       : "; in a container: docker run --cap-add SYS_PTRACE, or another "
				 "seccomp profile");
		return;
	}
	say(WORKS, "ptrace", "commands can be traced");
	if (scope > 0)
		say(LACKING, "yama",
		    "kernel.yama.ptrace_scope is %d: -p PID works for your own children only "
		    "(sysctl kernel.yama.ptrace_scope=0)",
		    scope);
	if (seen)
		say(WORKS, "seccomp", "untraced system calls cost nothing");
	else
		say(LACKING, "seccomp",
		    "no filter can be installed: every system call of a traced "
		    "command stops twice, which is slow");
}

static void check_userfaultfd(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0) {
		close(fd);
		say(WORKS, "userfaultfd", "raw stores through mmap can be watched");
	} else {
		say(LACKING, "userfaultfd", "%s; raw stores through mmap cannot be watched",
		    strerror(errno));
	}
}

static void check_btf(void)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		say(WORKS, "kernel BTF", "fentry, tp_btf and CO-RE objects load");
	else
		say(LACKING, "kernel BTF",
		    "/sys/kernel/btf/vmlinux: %s; use kprobe/, ksyscall/, "
		    "tracepoint/ or raw_tp/ sections",
		    strerror(errno));
}

/* The kernel's own bpf(2): wanted only for comparing with it. */
static void check_kernel_bpf(void)
{
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	fd = cli_kernel_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd >= 0)
		close(fd);
	say(fd >= 0 ? WORKS : LACKING, "kernel BPF",
	    fd >= 0 ? "permitted: tests compare with the kernel"
		    : "not permitted: tests do not compare with the kernel (shmap needs none)");
}

static void check_program(const char *name, const char *what, const char *install)
{
	char path[PATH_MAX];

	if (!event_command_find(name, path, sizeof(path))) {
		say(WORKS, name, "%s", path);
		return;
	}
	snprintf(path, sizeof(path), "/usr/sbin/%s", name);
	if (!access(path, X_OK))
		say(WORKS, name, "%s (not in PATH)", path);
	else
		say(LACKING, name, "not found; it %s: apt-get install %s", what, install);
}

static int doctor_main(const struct verb *verb, int argc, char **argv)
{
	if (argc > 1)
		return !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")
			       ? cli_help(verb)
			       : cli_usage(verb, "doctor takes no arguments");
	check_rundir();
	check_robust_list();
	check_rseq();
	check_membarrier();
	check_tracing();
	check_userfaultfd();
	check_btf();
	check_kernel_bpf();
	check_program("bpftool", "shows maps and programs", "bpftool");
	check_program("clang", "compiles BPF objects", "clang");
	if (!essential_missing)
		return CLI_OK;
	puts("\nWhat is marked FAIL must work before shmap does.");
	return 1;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "what works on this machine, and what to do about the rest",
	.main = doctor_main,
	.help = "usage: shmap doctor\n"
		"\n"
		"Tries what shmap needs of this machine, and says for each thing whether it works\n"
		"(ok), is missed but not needed (-), or must be mended first (FAIL), and how.\n"
		"\n"
		"Exit status: 0, or 1 when something must be mended.\n"
		"\n"
		"Example:\n"
		"  shmap doctor\n",
};
