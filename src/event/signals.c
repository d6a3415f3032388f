/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals for the tracer itself.
 *
 * ^C, ^\ and ^Z go from the terminal to the whole foreground group, so the
 * command has them already; the tracer only waits for what the command makes
 * of them. A signal that somebody sends to the tracer alone is passed on. When
 * the command stops and the tracer was asked to stop as well, the tracer stops
 * too: then the shell gets its terminal back.
 *
 * A signal may come just before wait(2), which would then sleep on: so the
 * handler starts an interval timer, which interrupts wait(2) until the
 * tracer's loop has seen the flag.
 */
#include "event/tracer.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/time.h>

volatile int signals_end;
volatile int signals_tty_stop;

static const int signals_caught[] = {SIGINT,  SIGQUIT, SIGTERM, SIGHUP, SIGTSTP,
				     SIGTTIN, SIGTTOU, SIGALRM, SIGCHLD};
#define SIGNALS (sizeof(signals_caught) / sizeof(signals_caught[0]))
static struct sigaction signals_old[SIGNALS];
static sigset_t signals_old_mask;
static volatile pid_t signals_command; /* 0: attached to a process */

static volatile int signals_kicks;

static void signals_kick(bool on)
{
	struct itimerval every = {{0, on ? 20000 : 0}, {0, on ? 20000 : 0}};

	setitimer(ITIMER_REAL, &every, NULL);
}

static void signals_handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	switch (sig) {
	case SIGALRM:
		/* A command that does not stop within ten seconds does not stop. */
		if (!signals_end && ++signals_kicks > 500) {
			signals_tty_stop = 0;
			signals_kick(false);
		}
		break;
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		if (!signals_command)
			break;
		signals_tty_stop = 1;
		signals_kicks = 0;
		signals_kick(true);
		break;
	default:
		if (!signals_command) {
			signals_end = 1;
			signals_kick(true);
		} else if (info->si_code <= 0) {
			/* From a process (the terminal's have SI_KERNEL). */
			kill(signals_command, sig);
		}
	}
	errno = saved;
}

void signals_catch(void)
{
	struct sigaction act = {.sa_sigaction = signals_handler, .sa_flags = SA_SIGINFO};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &signals_old_mask);
	signals_end = 0;
	signals_tty_stop = 0;
	sigfillset(&act.sa_mask);
	for (size_t i = 0; i < SIGNALS; i++) {
		int sig = signals_caught[i];

		sigaction(sig, NULL, &signals_old[i]);
		if (sig == SIGCHLD) {
			/* Ignored, it would make wait(2) lose exit statuses. */
			signal(sig, SIG_DFL);
			continue;
		}
		/* What nohup(1) and background shells ignore stays ignored. */
		if (signals_old[i].sa_handler != SIG_IGN || sig == SIGALRM)
			sigaction(sig, &act, NULL);
	}
}

void signals_open(pid_t command)
{
	sigset_t mask = signals_old_mask;

	signals_command = command;
	sigdelset(&mask, SIGALRM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

void signals_restore(void)
{
	signals_kick(false);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals_caught[i], &signals_old[i], NULL);
	sigprocmask(SIG_SETMASK, &signals_old_mask, NULL);
}

void signals_child(void)
{
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals_caught[i], &signals_old[i], NULL);
	sigprocmask(SIG_SETMASK, &signals_old_mask, NULL);
}

void signals_stop_self(void)
{
	signals_tty_stop = 0;
	signals_kick(false);
	raise(SIGSTOP);
}
