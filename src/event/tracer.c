/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracer's loop: one stop of one thread after the other.
 *
 * What a stop can be, and what it means for a system call (linux 4.8 and later:
 * the filter runs after the entry stop):
 *
 *   PTRACE_EVENT_SECCOMP   entry of a call that the filter traces
 *   SIGTRAP | 0x80         entry or exit, of a thread resumed by PTRACE_SYSCALL
 *   PTRACE_EVENT_EXEC      inside execve; the thread may have a new TID
 *   PTRACE_EVENT_FORK...   inside fork and clone
 *   PTRACE_EVENT_STOP      group stop; first stop of a new thread; interruption
 *   any other signal       to be delivered as if nobody looked on
 *
 * When the tracer is killed, a launched command dies with it
 * (PTRACE_O_EXITKILL): its filter would turn every traced call into ENOSYS. A
 * process that we attached to has no filter; the kernel lets it go unharmed.
 */
#include "event/tracer.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/bits.h"

#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |  \
	 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP)

struct report {
	pid_t tid; /* 0: superseded */
	int status;
};

struct tracer {
	const struct tracer_config *cfg;
	struct tracer_want want;
	struct syscall_set filtered; /* what the command's filter traces */
	bool every_call;	     /* by PTRACE_SYSCALL: the filter is not enough */
	bool started;		     /* false: a child without filter, before its execve */
	bool execing;		     /* the command's execve has not succeeded yet: a thread that
				      * is there (a sanitizer's runtime has one) is none of its */
	bool no_filter;		     /* it could not be installed */
	bool leader_stopped;	     /* by a terminal's stop signal */
	bool other_stopped;	     /* so is one of its children or threads */
	pid_t leader;		     /* the command, or 0 */
	pid_t doorbell;		     /* or 0 */
	struct launch launch;
	struct tracee_table tracees;
	struct report *reports; /* of wait(2), not yet served */
	unsigned int report_cnt, report_room;
	struct near near;
};

/* Lets a stopped thread go on. It may have been killed meanwhile: then wait(2) tells. */
static void tracee_resume(struct tracer *tr, struct tracee *t, int sig)
{
	ptrace(tr->every_call || t->entered ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, 0,
	       (unsigned long)sig);
}

/* The number and ABI of the call that the thread is stopped in; op says where.
 * 0 when the thread is gone or in no call. */
static uint8_t call_info(pid_t tid, long *nr, enum syscall_abi *abi)
{
	struct ptrace_syscall_info info;

	memset(&info, 0, sizeof(info));
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0)
		return PTRACE_SYSCALL_INFO_NONE;
	/* entry.nr and seccomp.nr share their place */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
		*nr = (int)info.entry.nr;
		*abi = arch_abi(info.arch, info.entry.nr);
	}
	return info.op;
}

static void deliver(struct tracer *tr, struct tracee *t, bool exit, struct arch_regs *regs)
{
	struct syscall_event ev = {
		.tracee = t,
		.exit = exit,
		.abi = t->abi,
		.nr = t->nr,
		.regs = regs,
	};

	tr->cfg->deliver(tr->cfg->arg, &ev);
	if (unlikely(!--tr->near.left))
		near_look(&tr->near, t);
}

/* The entry of a call whose number and ABI stand in t. */
static void call_entered(struct tracer *tr, struct tracee *t, struct arch_regs *regs)
{
	if (unlikely(!tr->started)) {
		if (t->nr != SYS_execve)
			return;
		tr->started = true;
	}
	t->entered = syscall_set_has(&tr->want.exit, t->abi, t->nr);
	if (syscall_set_has(&tr->want.enter, t->abi, t->nr)) {
		if (!regs->have && arch_read_regs(t->tid, regs))
			return;
		deliver(tr, t, false, regs);
	}
}

static void stop_seccomp(struct tracer *tr, struct tracee *t)
{
	struct arch_regs regs;

	/* A thread that PTRACE_SYSCALL resumed has had its entry stop just before. */
	if (!t->entered) {
		regs.have = false;
		if (tr->filtered.all && tr->want.abi) {
			if (!call_info(t->tid, &t->nr, &t->abi))
				return;
		} else {
			if (arch_read_regs(t->tid, &regs))
				return;
			t->nr = arch_syscall_nr(&regs);
			/* A filter by number traces native calls only, and
			 * nobody asks for the ABI otherwise. */
			t->abi = SYSCALL_NATIVE;
		}
		call_entered(tr, t, &regs);
	}
	tracee_resume(tr, t, 0);
}

static void stop_syscall(struct tracer *tr, struct tracee *t)
{
	struct arch_regs regs = {.have = false};
	uint8_t op = PTRACE_SYSCALL_INFO_EXIT;
	long nr;
	enum syscall_abi abi;

	/* Without every_call a stop is the exit that we asked for. */
	if (tr->every_call || !t->entered) {
		op = call_info(t->tid, &nr, &abi);
		if (op == PTRACE_SYSCALL_INFO_ENTRY) {
			t->nr = nr;
			t->abi = abi;
			call_entered(tr, t, &regs);
			/* Until the exit, whatever is wanted: the filter's
			 * stop for this same call may come next. */
			t->entered = tr->started;
		}
	}
	if (op == PTRACE_SYSCALL_INFO_EXIT && t->entered) {
		t->entered = false;
		if (tr->started && syscall_set_has(&tr->want.exit, t->abi, t->nr) &&
		    !arch_read_regs(t->tid, &regs))
			deliver(tr, t, true, &regs);
	}
	tracee_resume(tr, t, 0);
}

/*
 * fork's child leaves the call that its parent entered: the kernel's sys_exit
 * tracepoints see that, its function exits do not.
 */
static void child_left_fork(struct tracer *tr, struct tracee *t)
{
	struct syscall_event ev = {.tracee = t, .exit = true, .orphan = true};
	struct arch_regs regs;
	struct ptrace_syscall_info info;

	if (tr->execing || syscall_set_empty(&tr->want.exit) || arch_read_regs(t->tid, &regs))
		return;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0)
		return;
	ev.nr = arch_syscall_nr(&regs);
	ev.abi = arch_abi(info.arch, ev.nr);
	ev.regs = &regs;
	if (syscall_set_has(&tr->want.exit, ev.abi, ev.nr))
		tr->cfg->deliver(tr->cfg->arg, &ev);
}

static void stop_exec(struct tracer *tr, struct tracee *t)
{
	unsigned long old;
	struct tracee *was;

	tr->execing = false;
	/* The thread that called execve has taken the leader's TID over. */
	if (!ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &old) && (pid_t)old != t->tid) {
		was = tracee_find(&tr->tracees, old);
		if (was) {
			t->entered = was->entered;
			t->nr = was->nr;
			t->abi = was->abi;
			tracee_remove(&tr->tracees, old);
		}
	}
	t->tgid = t->tid;
	t->fresh = false;
	tracee_resume(tr, t, 0);
}

static bool sig_stops(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* PTRACE_EVENT_STOP */
static void stop_stop(struct tracer *tr, struct tracee *t, int sig)
{
	if (t->fresh) {
		t->fresh = false;
		child_left_fork(tr, t);
	}
	if (sig_stops(sig)) {
		if (sig != SIGSTOP && t->tid == tr->leader)
			tr->leader_stopped = true;
		else if (sig != SIGSTOP)
			tr->other_stopped = true;
		/* It stays stopped, and SIGCONT still reaches it. */
		ptrace(PTRACE_LISTEN, t->tid, 0, 0);
		return;
	}
	if (t->tid == tr->leader)
		tr->leader_stopped = false;
	else
		tr->other_stopped = false;
	tracee_resume(tr, t, 0);
}

static void stop_signal(struct tracer *tr, struct tracee *t, int sig)
{
	if (unlikely(tr->leader && sig == SIGSTOP && !tr->no_filter &&
		     tr->launch.shared->filter_error)) {
		/* No filter here: trace every call, from the exec that comes next. */
		tr->no_filter = tr->every_call = true;
		tr->started = false;
		sig = 0;
	}
	tracee_resume(tr, t, sig);
}

static void tracee_stopped(struct tracer *tr, pid_t tid, int status)
{
	struct tracee *t = tracee_find(&tr->tracees, tid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (unlikely(!t)) {
		t = tracee_add(&tr->tracees, tid);
		if (!t) {
			/* No memory to follow it: it must not hang. */
			ptrace(PTRACE_DETACH, tid, 0, 0);
			return;
		}
		t->fresh = event == PTRACE_EVENT_STOP;
	}
	if (event == PTRACE_EVENT_SECCOMP)
		stop_seccomp(tr, t);
	else if (sig == (SIGTRAP | 0x80))
		stop_syscall(tr, t);
	else if (event == PTRACE_EVENT_STOP)
		stop_stop(tr, t, sig);
	else if (event == PTRACE_EVENT_EXEC)
		stop_exec(tr, t);
	else if (event)
		tracee_resume(tr, t, 0); /* FORK, VFORK, CLONE: the child comes by itself */
	else
		stop_signal(tr, t, sig);
}

static void tracee_interrupt(struct tracee *t)
{
	ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
}

/* What is wanted has changed. */
static void tracer_refresh(struct tracer *tr)
{
	struct syscall_set all;
	bool every_call;

	memset(&tr->want, 0, sizeof(tr->want));
	tr->cfg->refresh(tr->cfg->arg, &tr->want);
	all = tr->want.enter;
	syscall_set_merge(&all, &tr->want.exit);
	every_call = !tr->leader || tr->no_filter || !syscall_set_covers(&tr->filtered, &all);
	if (every_call && !tr->every_call)
		tracee_each(&tr->tracees, tracee_interrupt);
	tr->every_call = every_call;
}

/*
 * Stops the tracer when the terminal asked for it and the command has stopped; or
 * when, after a while, only a child has: a command inside vfork(2) cannot stop before
 * its child goes on.
 */
static void tracer_stop(struct tracer *tr)
{
	if (likely(!signals_tty_stop) ||
	    (!tr->leader_stopped && !(signals_tty_late && tr->other_stopped)))
		return;
	signals_stop_self();
	tr->leader_stopped = false;
	tr->other_stopped = false;
}

static int tracer_wait(struct tracer *tr, int *status)
{
	int flags = __WALL | (tr->doorbell ? WUNTRACED : 0);

	for (;;) {
		pid_t tid = waitpid(-1, status, flags);

		if (tid > 0)
			return tid;
		if (errno != EINTR)
			return -errno;
		if (signals_end)
			return -EINTR;
		tracer_stop(tr);
	}
}

/*
 * wait(2) looks at the threads in one order, always: those at its front, when
 * they stop without end, would keep the others waiting for ever. So everything
 * that has stopped is taken first, and then served, each once. 0 or -errno.
 */
static int tracer_collect(struct tracer *tr)
{
	int status, tid = tracer_wait(tr, &status);

	tr->report_cnt = 0;
	if (tid < 0)
		return tid;
	do {
		struct tracee *t = tracee_find(&tr->tracees, tid);

		/*
		 * A second report of one TID: it was killed, or another thread
		 * took it over by execve. The stop before is no more.
		 */
		if (t && t->report)
			tr->reports[t->report - 1].tid = 0;
		tr->reports[tr->report_cnt++] = (struct report){tid, status};
		if (t)
			t->report = tr->report_cnt;
		/* Of a single thread there is nothing more to come. */
		if (tr->tracees.used == 1)
			break;
		if (tr->report_cnt == tr->report_room) {
			void *more =
				realloc(tr->reports, 2 * tr->report_room * sizeof(*tr->reports));

			if (!more)
				break;
			tr->reports = more;
			tr->report_room *= 2;
		}
		tid = waitpid(-1, &status, __WALL | WNOHANG | (tr->doorbell ? WUNTRACED : 0));
	} while (tid > 0);
	return 0;
}

static void tracer_serve(struct tracer *tr, pid_t tid, int status, int *result)
{
	if (unlikely(tid == tr->doorbell)) {
		if (WIFSTOPPED(status)) {
			kill(tid, SIGCONT);
			tracer_refresh(tr);
		} else {
			tr->doorbell = 0;
		}
		return;
	}
	if (WIFSTOPPED(status)) {
		tracee_stopped(tr, tid, status);
		return;
	}
	tracee_remove(&tr->tracees, tid);
	if (tid == tr->leader) {
		*result = status;
		/* Asked to end from now on, we wait no more for what it left. */
		signals_open(0);
	}
}

/* Until all threads have ended: 0, or -EINTR when asked to let them go. */
static int tracer_loop(struct tracer *tr, int *result)
{
	while (tr->tracees.used) {
		int err = tracer_collect(tr);

		if (err)
			return err == -ECHILD ? 0 : err;
		for (unsigned int i = 0; i < tr->report_cnt; i++) {
			struct report *r = &tr->reports[i];
			struct tracee *t;

			if (!r->tid)
				continue;
			t = tracee_find(&tr->tracees, r->tid);
			if (t)
				t->report = 0;
			tracer_serve(tr, r->tid, r->status, result);
		}
		tracer_stop(tr);
	}
	return 0;
}

/* --- a running process --- */

static int attach_thread(struct tracer *tr, pid_t tid)
{
	struct tracee *t;

	if (tracee_find(&tr->tracees, tid))
		return 0;
	if (ptrace(PTRACE_SEIZE, tid, 0, OPTIONS))
		/* Ended meanwhile, or attached already as a thread's child. */
		return errno == ESRCH || tr->tracees.used ? 0 : -errno;
	t = tracee_add(&tr->tracees, tid);
	if (!t)
		return -ENOMEM;
	tracee_interrupt(t);
	return 1;
}

/* Threads may be born while we look: again until nothing is new. */
static int attach_process(struct tracer *tr, pid_t pid)
{
	char path[32];
	int found;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	do {
		DIR *dir = opendir(path);
		struct dirent *d;

		if (!dir)
			return tr->tracees.used ? 0 : errno == ENOENT ? -ESRCH : -errno;
		found = 0;
		while ((d = readdir(dir))) {
			pid_t tid = atoi(d->d_name);
			int ret = tid > 0 ? attach_thread(tr, tid) : 0;

			if (ret < 0) {
				closedir(dir);
				return ret;
			}
			found += ret;
		}
		closedir(dir);
	} while (found);
	return tr->tracees.used ? 0 : -ESRCH;
}

/* Every thread has to stop once more before it can be let go. */
static void detach_all(struct tracer *tr)
{
	tracee_each(&tr->tracees, tracee_interrupt);
	while (tr->tracees.used) {
		int status, event, sig;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (tid == tr->doorbell)
			continue;
		if (WIFSTOPPED(status)) {
			event = status >> 16;
			sig = WSTOPSIG(status);
			/* A signal on its way is delivered; other stops carry none. */
			if (event || sig == (SIGTRAP | 0x80))
				sig = 0;
			ptrace(PTRACE_DETACH, tid, 0, (unsigned long)sig);
		}
		tracee_remove(&tr->tracees, tid);
	}
}

/* --- start and end --- */

static int tracer_launch(struct tracer *tr)
{
	struct sock_filter *filter;
	unsigned short len = 0;
	struct tracee *t;
	int err;

	tr->filtered = tr->want.enter;
	syscall_set_merge(&tr->filtered, &tr->want.exit);
	filter = filter_build(&tr->filtered, &len);
	if (!filter && !syscall_set_empty(&tr->filtered))
		return -ENOMEM;
	err = launch_start(&tr->launch, tr->cfg->path, tr->cfg->argv, filter, len);
	free(filter);
	if (err)
		return err;
	t = tracee_add(&tr->tracees, tr->launch.pid);
	if (!t || ptrace(PTRACE_SEIZE, tr->launch.pid, 0, OPTIONS | PTRACE_O_EXITKILL)) {
		err = t ? -errno : -ENOMEM;
		kill(tr->launch.pid, SIGKILL);
		while (waitpid(tr->launch.pid, NULL, 0) < 0 && errno == EINTR)
			;
		launch_end(&tr->launch);
		return err;
	}
	t->tgid = t->tid;
	tr->leader = tr->launch.pid;
	tr->execing = true;
	return 0;
}

int tracer_run(const struct tracer_config *cfg, int *status)
{
	struct tracer tr = {.cfg = cfg, .want = cfg->want, .started = true};
	int err;

	*status = 0;
	err = tracee_table_init(&tr.tracees);
	if (err)
		return err;
	tr.report_room = 64;
	tr.reports = malloc(tr.report_room * sizeof(*tr.reports));
	if (!tr.reports) {
		err = -ENOMEM;
		goto free;
	}
	if (cfg->generation) {
		tr.doorbell = doorbell_start(cfg->generation);
		if (tr.doorbell < 0) {
			err = tr.doorbell;
			goto free;
		}
		/* What changed before the doorbell listened. */
		memset(&tr.want, 0, sizeof(tr.want));
		cfg->refresh(cfg->arg, &tr.want);
	}
	signals_catch();
	if (cfg->pid) {
		tr.every_call = true;
		signals_open(0);
		err = attach_process(&tr, cfg->pid);
	} else {
		err = tracer_launch(&tr);
		/* With a filter, the first call that it stops is the exec. */
		signals_open(tr.leader);
		if (!err)
			launch_go(&tr.launch);
	}
	near_start(&tr.near);
	if (!err)
		err = tracer_loop(&tr, status);
	near_end(&tr.near);
	if (cfg->pid && tr.tracees.used)
		detach_all(&tr);
	if (err == -EINTR)
		err = 0;
	signals_restore();
	if (tr.leader) {
		if (!err && tr.launch.shared->exec_error)
			err = -tr.launch.shared->exec_error;
		launch_end(&tr.launch);
	}
	if (tr.doorbell > 0)
		doorbell_stop(tr.doorbell);
free:
	free(tr.reports);
	tracee_table_free(&tr.tracees);
	return err;
}
