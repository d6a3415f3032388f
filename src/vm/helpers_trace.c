/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_trace_printk and its like: one line each, in the kernel's form, appended
 * to the file trace_pipe of the runtime directory by one write(2), so that
 * lines of several processes do not mix. A program is never held up by it: a
 * text that cannot be written (tmpfs is full) is lost, as the kernel's ring
 * loses texts. The file starts anew when it has grown beyond TRACE_MAX.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "shm/rundir.h"
#include "sync/lease.h"
#include "vm/helpers.h"

#define TRACE_MAX (16 << 20)
#define TRACE_TEXT 1024 /* as the kernel's buffer */
#define TRACE_ARGS 12

static int trace_fd = -1;

void vm_set_trace_fd(int fd)
{
	store_seq_cst(&trace_fd, fd);
}

static int trace_open(void)
{
	int fd = load_acquire(&trace_fd), none = -1;

	if (likely(fd >= 0))
		return fd;
	if (rundir_open())
		return -1;
	fd = openat(rundir_fd(), "trace_pipe",
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (cas_seq_cst(&trace_fd, &none, fd))
		return fd;
	close(fd); /* another thread was first */
	return none;
}

static void trace_line(struct vm_context *vc, const char *text, size_t len)
{
	char line[TRACE_TEXT + 128];
	char comm[16] = "";
	struct timespec ts = {0};
	struct stat st;
	uint32_t pid;
	int fd, n, saved = errno, cpu = lease_cpu();

	fd = trace_open();
	if (fd < 0)
		goto out;
	helper_get_current_comm((uintptr_t)comm, sizeof(comm), 0, 0, 0, vc);
	pid = (uint32_t)helper_get_current_pid_tgid(0, 0, 0, 0, 0, vc);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	while (len && text[len - 1] == '\n')
		len--;
	n = snprintf(line, sizeof(line),
		     "%16s-%-7u [%03d] ..... %5lld.%06ld: bpf_trace_printk: ", comm, pid,
		     cpu < 0 ? 0 : cpu, (long long)ts.tv_sec, ts.tv_nsec / 1000);
	if (len > sizeof(line) - (size_t)n - 1)
		len = sizeof(line) - (size_t)n - 1;
	memcpy(line + n, text, len);
	line[(size_t)n + len] = '\n';
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > TRACE_MAX && ftruncate(fd, 0))
		goto out;
	if (write(fd, line, (size_t)n + len + 1) < 0)
		goto out;
out:
	errno = saved;
}

void trace_fault(struct vm_context *vc, int err)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "shmap: program %.16s ended by error %d",
			 vc->prog->name, -err);

	trace_line(vc, text, (size_t)n);
}

static uint64_t trace_print(struct vm_context *vc, const char *fmt, size_t fmt_size,
			    const uint64_t *args, uint32_t arg_cnt)
{
	char text[TRACE_TEXT], on_stack[TRACE_TEXT];
	char *copy = fmt_size <= sizeof(on_stack) ? on_stack : malloc(fmt_size);
	long n;

	if (!copy)
		return ERR(-ENOMEM);
	/* The format may lie in a map that others write to: what is checked and what is
	 * printed must be the same bytes. */
	memcpy(copy, fmt, fmt_size);
	n = fmt_print(vc, text, sizeof(text), copy, fmt_size, args, arg_cnt);
	if (n >= 0)
		trace_line(vc, text, strlen(text));
	if (copy != on_stack)
		free(copy);
	return ERR(n);
}

HELPER(trace_printk)
{
	uint64_t args[3] = {c, d, e};

	return trace_print(vc, PTR(a), (uint32_t)b, args, 3);
}

static bool args_valid(const void *args, uint32_t len)
{
	return !(len & 7) && len <= TRACE_ARGS * 8 && (!len || args);
}

HELPER(trace_vprintk)
{
	if (!args_valid(PTR(c), (uint32_t)d))
		return ERR(-EINVAL);
	return trace_print(vc, PTR(a), (uint32_t)b, PTR(c), (uint32_t)d / 8);
}

HELPER(snprintf)
{
	const char *fmt = PTR(c);
	long n;

	if (!args_valid(PTR(d), (uint32_t)e))
		return ERR(-EINVAL);
	n = fmt_print(vc, PTR(a), (uint32_t)b, fmt, strlen(fmt) + 1, PTR(d), (uint32_t)e / 8);
	return n < 0 ? ERR(n) : ERR(n + 1);
}
