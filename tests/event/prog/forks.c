/* SPDX-License-Identifier: BSD-2-Clause */
/* Fifty children, by fork, vfork and execve; each with a fixed number of calls. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The forks' children end together, after the last fork: a SIGCHLD makes a
 * traced fork(2) start again (ERESTARTNOINTR), which would count twice.
 */
int main(void)
{
	int hold[2], status;
	char byte;

	if (pipe(hold))
		return 1;
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid)
			continue;
		close(hold[1]);
		while (read(hold[0], &byte, 1) < 0)
			;
		for (int k = 0; k < 20; k++)
			close(open("/dev/null", O_RDONLY));
		_exit(0);
	}
	for (int i = 0; i < 10; i++) {
		pid_t pid = vfork();

		if (!pid) {
			execl("/bin/true", "true", (char *)0);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	close(hold[1]);
	for (int i = 0; i < 40; i++)
		if (wait(&status) < 0 || status)
			return 1;
	return 0;
}
