/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals as nobody looked on: handlers and sigreturn, a SIGTRAP of its own, a
 * child that is stopped and continued, an interrupted sleep, death by a signal.
 * Exits with 0, or with the line that was wrong.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int got[65];

static void handler(int sig, siginfo_t *info, void *context)
{
	got[sig]++;
	if (info->si_signo != sig || info->si_pid != getpid())
		_exit(__LINE__);
}

#define CLAIM(c)                                                                                   \
	do {                                                                                       \
		if (!(c))                                                                          \
			_exit(__LINE__);                                                           \
	} while (0)

static void on_alarm(int sig)
{
	got[sig]++;
}

int main(void)
{
	struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	struct timespec long_sleep = {100, 0};
	int status, ready[2];
	char byte;
	pid_t pid;

	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGTRAP, &act, NULL);
	sigaction(SIGRTMIN, &act, NULL);
	for (int i = 0; i < 20; i++) {
		kill(getpid(), SIGUSR1);
		kill(getpid(), SIGTRAP);
		kill(getpid(), SIGRTMIN);
	}
	CLAIM(got[SIGUSR1] == 20 && got[SIGTRAP] == 20 && got[SIGRTMIN] == 20);

	signal(SIGALRM, on_alarm);
	alarm(1);
	CLAIM(nanosleep(&long_sleep, NULL) == -1 && errno == EINTR);
	CLAIM(got[SIGALRM] == 1);

	/* A child is stopped, stays stopped, is continued, and killed. */
	CLAIM(!pipe(ready));
	pid = fork();
	if (!pid) {
		/* SIGTSTP stops nobody in an orphaned group. */
		setpgid(0, 0);
		CLAIM(write(ready[1], "", 1) == 1);
		for (;;)
			pause();
	}
	CLAIM(read(ready[0], &byte, 1) == 1);
	for (int i = 0; i < 3; i++) {
		kill(pid, i == 1 ? SIGTSTP : SIGSTOP);
		CLAIM(waitpid(pid, &status, WUNTRACED) == pid);
		CLAIM(WIFSTOPPED(status) && WSTOPSIG(status) == (i == 1 ? SIGTSTP : SIGSTOP));
		CLAIM(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
		kill(pid, SIGCONT);
		CLAIM(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	}
	kill(pid, SIGTERM);
	CLAIM(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CLAIM(WTERMSIG(status) == SIGTERM);

	/* One that is killed while stopped. */
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		_exit(0);
	}
	CLAIM(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	kill(pid, SIGKILL);
	CLAIM(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	return 0;
}
