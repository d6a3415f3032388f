/* SPDX-License-Identifier: BSD-2-Clause */
/* Running programs on a system call, with the kernel's contexts. */
#include "event/targets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/uio.h>

#include "event/build_id.h"
#include "sync/lease.h"

struct run {
	const struct syscall_event *ev;
	struct vm_env env;
	char comm[16];
	bool have_comm, have_uid;
};

static int run_read_user(const struct vm_env *env, void *dst, uint64_t addr, size_t len)
{
	const struct run *run = env->priv;
	struct iovec to = {dst, len}, from = {(void *)(uintptr_t)addr, len};

	if (!len)
		return 0;
	return process_vm_readv(run->ev->tracee->tid, &to, 1, &from, 1, 0) == (ssize_t)len
		       ? 0
		       : -EFAULT;
}

static int run_write_user(const struct vm_env *env, uint64_t addr, const void *src, size_t len)
{
	const struct run *run = env->priv;
	struct iovec from = {(void *)src, len}, to = {(void *)(uintptr_t)addr, len};

	if (!len)
		return 0;
	return process_vm_writev(run->ev->tracee->tid, &from, 1, &to, 1, 0) == (ssize_t)len
		       ? 0
		       : -EFAULT;
}

/* Frames of 32-bit code have another form: its stack is the one address. */
static int run_user_regs(const struct vm_env *env, uint64_t *ip, uint64_t *fp)
{
	const struct run *run = env->priv;

	*ip = arch_ip(run->ev->regs);
	*fp = run->ev->abi == SYSCALL_COMPAT ? 0 : arch_fp(run->ev->regs);
	return 0;
}

static int run_build_id(const struct vm_env *env, uint64_t ip, uint8_t id[20], uint64_t *offset)
{
	const struct run *run = env->priv;

	return build_id_find(env, run->ev->tracee->tid, ip, id, offset);
}

/* The name may change at any time (prctl, exec): read anew for each event. */
static void run_need_comm(struct run *run)
{
	struct tracee *t = run->ev->tracee;
	char path[32];
	ssize_t n = -1;

	run->have_comm = true;
	run->env.comm = run->comm;
	if (t->comm_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/comm", t->tid);
		t->comm_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (t->comm_fd >= 0)
		n = pread(t->comm_fd, run->comm, sizeof(run->comm), 0);
	if (n < 1)
		n = 1;
	memset(run->comm + n - 1, 0, sizeof(run->comm) - (n - 1));
}

static void run_need_uid(struct run *run)
{
	char path[32], buf[1024], *line;
	ssize_t n = -1;
	int fd;

	run->have_uid = true;
	snprintf(path, sizeof(path), "/proc/%d/status", run->ev->tracee->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = 0;
	line = strstr(buf, "\nUid:");
	if (line)
		run->env.uid = strtoul(line + 5, NULL, 10);
	line = strstr(buf, "\nGid:");
	if (line)
		run->env.gid = strtoul(line + 5, NULL, 10);
}

static bool target_wants(const struct target *t, const struct syscall_event *ev)
{
	if (t->exit != ev->exit)
		return false;
	if (t->all)
		return true;
	/*
	 * The exit tracepoint of one call goes by the number in the registers
	 * at the exit: rt_sigreturn restores them (-1), execveat sets
	 * execve's. Function exits go by the function that was entered.
	 */
	if (t->form == TARGET_TP_EXIT)
		return ev->abi == SYSCALL_NATIVE && t->nr == arch_syscall_nr(ev->regs);
	return ev->abi == SYSCALL_NATIVE && t->nr == ev->nr && !ev->orphan;
}

/*
 * Everything that contexts hold and point to, side by side: bpf_probe_read(),
 * which does not say whose memory it means, looks here near the context.
 */
struct context {
	uint64_t words[10];		/* [0], [1]: a trampoline's words before the arguments */
	struct arch_regs frame;		/* of the function's own call */
	struct arch_regs regs, in_call; /* the thread's, now and as the function sees them */
};

/* Fills the context of t's form. */
static void *context_fill(const struct target *t, const struct syscall_event *ev, struct context *c)
{
	uint64_t *words = c->words, *ctx = words + 2;
	struct arch_regs *frame = &c->frame, *in_call = &c->in_call;

	memset(words, 0, sizeof(c->words));

	switch (t->form) {
	case TARGET_RAW_ENTER:
		words[1] = 2;
		ctx[0] = (uintptr_t)&c->regs;
		ctx[1] = arch_syscall_nr(ev->regs);
		return ctx;
	case TARGET_RAW_EXIT:
		words[1] = 2;
		ctx[0] = (uintptr_t)&c->regs;
		ctx[1] = arch_syscall_ret(ev->regs);
		return ctx;
	case TARGET_TP_ENTER:
		/* struct trace_event_raw_sys_enter; its common part is overlaid */
		ctx[0] = (uintptr_t)&c->regs;
		ctx[1] = t->all ? arch_syscall_nr(ev->regs) : t->nr;
		arch_syscall_args(ev->regs, ev->abi, ctx + 2);
		return ctx;
	case TARGET_TP_EXIT:
		ctx[0] = (uintptr_t)&c->regs;
		ctx[1] = arch_syscall_nr(ev->regs);
		ctx[2] = arch_syscall_ret(ev->regs);
		return ctx;
	case TARGET_FENTRY:
	case TARGET_FEXIT:
		words[1] = 1;
		ctx[0] = (uintptr_t)in_call;
		ctx[1] = arch_syscall_ret(ev->regs);
		return ctx;
	case TARGET_KPROBE:
		memset(frame, 0, sizeof(*frame));
		arch_regs_call(frame, (uintptr_t)in_call);
		return frame;
	case TARGET_KRETPROBE:
		memset(frame, 0, sizeof(*frame));
		arch_regs_return(frame, arch_syscall_ret(ev->regs));
		return frame;
	}
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void targets_run(const struct target *targets, unsigned int count, const struct syscall_event *ev,
		 struct event_stats *stats)
{
	/* Programs only read their contexts; each gets its own all the same. */
	struct context context;
	struct run run;
	bool timed = sys_stats_enabled();

	run.ev = ev;
	run.have_comm = run.have_uid = false;
	memset(&run.env, 0, sizeof(run.env));
	run.env.pid = ev->tracee->tid;
	run.env.tgid = tracee_tgid(ev->tracee);
	run.env.comm = "";
	run.env.start = &ev->tracee->start;
	run.env.read_user = run_read_user;
	run.env.write_user = run_write_user;
	run.env.user_regs = run_user_regs;
	run.env.build_id = run_build_id;
	run.env.priv = &run;
	context.regs = context.in_call = *ev->regs;
	arch_regs_in_call(&context.in_call);
	stats->events++;
	for (unsigned int i = 0; i < count; i++) {
		const struct target *t = &targets[i];
		uint64_t ret, from = 0;
		void *ctx;

		if (!target_wants(t, ev))
			continue;
		if (t->needs_comm && !run.have_comm)
			run_need_comm(&run);
		if (t->needs_uid && !run.have_uid)
			run_need_uid(&run);
		run.env.cookie = t->cookie;
		run.env.ctx_size = target_ctx_size(t);
		ctx = context_fill(t, ev, &context);
		if (lease_acquire() < 0) {
			stats->missed++;
			sys_prog_account(t->prog, 0, true);
			continue;
		}
		if (timed)
			from = now_ns();
		if (!vm_run(t->prog, ctx, &run.env, &ret))
			stats->runs++;
		else
			stats->faults++;
		if (timed)
			sys_prog_account(t->prog, now_ns() - from, false);
		lease_release();
	}
}
