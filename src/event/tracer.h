/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracer: follows a command or a process with ptrace(2) and hands every
 * system call that somebody wants to a callback. It knows nothing of programs.
 *
 * A launched command carries a seccomp filter that stops only the wanted
 * calls: one stop per call, a second one where the exit is wanted, none for
 * all others. A process that runs already, and a command whose filter lacks
 * what is wanted later, are traced by PTRACE_SYSCALL: two stops for each call.
 */
#ifndef SHMAP_EVENT_TRACER_H
#define SHMAP_EVENT_TRACER_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/filter.h>

#include "event/arch.h"
#include "event/syscalls.h"

struct tracer_want {
	struct syscall_set enter, exit;
	bool abi; /* the callback looks at the ABI (costs a call per event) */
};

/* One thread of the traced command. */
struct tracee {
	pid_t tid;
	pid_t tgid;	      /* 0 until tracee_tgid() */
	bool fresh;	      /* its first stop is still to come */
	bool entered;	      /* between the entry that we saw and its exit */
	enum syscall_abi abi; /* of that call */
	long nr;	      /* of that call */
	unsigned int report;  /* where its report stands, plus 1, or 0 */
	int comm_fd;	      /* /proc/TID/comm, or -1 */
	uint64_t start;	      /* vm_env.start */
	struct tracee *next;  /* in its hash bucket */
};

struct syscall_event {
	struct tracee *tracee;
	bool exit;
	enum syscall_abi abi;
	long nr;     /* at the exit too: the number at the entry */
	bool orphan; /* the exit of a call that this thread never entered: fork's child */
	struct arch_regs *regs;
};

struct tracer_config {
	pid_t pid;	   /* a running process, or 0 */
	char *const *argv; /* the command otherwise */
	const char *path;  /* its file */
	struct tracer_want want;
	void (*deliver)(void *arg, const struct syscall_event *ev);
	/* For wants that change: *generation is a futex word in shared memory;
	 * refresh() is called after it changed. */
	uint32_t *generation;
	void (*refresh)(void *arg, struct tracer_want *want);
	void *arg;
};

/*
 * Runs until every traced thread has ended (or, for a running process, SIGINT,
 * SIGTERM or SIGHUP has come). *status is wait(2)'s for the command, 0 for a
 * process. 0; -errno of a failed exec (nothing was run); -EPERM and others when
 * tracing is not possible.
 */
int tracer_run(const struct tracer_config *cfg, int *status);

/* --- inside the tracer --- */

struct tracee_table {
	struct tracee **bucket;
	unsigned int size, used; /* size: a power of two */
};

int tracee_table_init(struct tracee_table *t);
void tracee_table_free(struct tracee_table *t);
struct tracee *tracee_find(struct tracee_table *t, pid_t tid);
struct tracee *tracee_add(struct tracee_table *t, pid_t tid); /* NULL: no memory */
void tracee_remove(struct tracee_table *t, pid_t tid);
void tracee_each(struct tracee_table *t, void (*fn)(struct tracee *));
pid_t tracee_tgid(struct tracee *t);

/* Where the tracer runs; see near.c. */
#define NEAR_CPUS CPU_SETSIZE

struct near {
	cpu_set_t old; /* where it may run */
	size_t size;
	int cpu;	   /* where it was bound to, or -1 */
	unsigned int left; /* stops until the next look */
	bool moves;
};

void near_start(struct near *n);
void near_look(struct near *n, struct tracee *t);
void near_end(struct near *n);

/* The filter that traces set: *len instructions to free(), or NULL. */
struct sock_filter *filter_build(const struct syscall_set *set, unsigned short *len);

struct launch {
	pid_t pid;
	int go; /* write end: one byte lets the child go on */
	struct launch_shared *shared;
};

struct launch_shared { /* with the child, until its exec */
	int exec_error;
	int filter_error; /* then the child stops itself before its exec */
};

/* Forks; the child waits for launch_go(), installs filter and executes. */
int launch_start(struct launch *l, const char *path, char *const *argv,
		 const struct sock_filter *filter, unsigned short len);
void launch_go(struct launch *l);
void launch_end(struct launch *l);

/*
 * The doorbell: a child that stops itself with SIGSTOP after each change of
 * *generation, which wakes the tracer's wait(2) without a race.
 */
pid_t doorbell_start(uint32_t *generation);
void doorbell_stop(pid_t pid);

/* Signals that reach the tracer itself while it waits; see signals.c. */
void signals_catch(void);	  /* from here on all signals are held back... */
void signals_open(pid_t command); /* ...until here; 0: no command, attached to a process */
void signals_restore(void);
void signals_child(void);	      /* in the forked child: as it was before signals_catch() */
extern volatile int signals_end;      /* a process that we attached to shall be let go */
extern volatile int signals_tty_stop; /* a terminal's stop signal reached us, too */
extern volatile int signals_tty_late; /* ... a fifth of a second ago */
void signals_stop_self(void);	      /* stops as the shell expects it; returns when continued */

#endif
