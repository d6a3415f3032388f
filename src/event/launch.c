/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the command, with its filter, so that its first call is seen. */
#include "event/event.h"
#include "event/tracer.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>

/* 0, -EACCES (there, but not to be executed by us), -EISDIR or -ENOENT. */
static int command_check(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? -EACCES : 0;
}

int event_command_find(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH"), *end;
	int err = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		if (strlen(name) >= size)
			return -ENAMETOOLONG;
		strcpy(path, name);
		return command_check(path);
	}
	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (;; dirs = end + 1) {
		int len, ret;

		end = strchrnul(dirs, ':');
		len = end - dirs;
		ret = snprintf(path, size, "%.*s%s%s", len, dirs, len ? "/" : "./", name);
		if (ret < (int)size) {
			ret = command_check(path);
			if (!ret)
				return 0;
			/* As execvp: a later directory may have one that runs. */
			if (ret == -EACCES)
				err = ret;
		}
		if (!*end)
			return err;
	}
}

/*
 * Without CAP_SYS_ADMIN a filter needs no_new_privs; with it the command keeps
 * its right to run set-user-ID programs.
 */
static int filter_install(const struct sock_filter *filter, unsigned short len)
{
	struct sock_fprog prog = {.len = len, .filter = (struct sock_filter *)filter};

	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return 0;
	if (errno != EACCES)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}

static void __attribute__((noreturn))
launch_child(struct launch *l, int go, const char *path, char *const *argv,
	     const struct sock_filter *filter, unsigned short len)
{
	char byte;

	signals_child();
	/* Nothing to read: the tracer died before it traced us. */
	while (read(go, &byte, 1) != 1)
		if (errno != EINTR)
			_exit(127);
	if (filter) {
		int err = filter_install(filter, len);

		if (err) {
			l->shared->filter_error = -err;
			kill(getpid(), SIGSTOP);
		}
	}
	/* From here to the exec there must be no other system call: the filter
	 * may trace all of them. */
	execve(path, argv, environ);
	l->shared->exec_error = errno;
	_exit(127);
}

int launch_start(struct launch *l, const char *path, char *const *argv,
		 const struct sock_filter *filter, unsigned short len)
{
	int go[2], err;

	l->shared = mmap(NULL, sizeof(*l->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->shared == MAP_FAILED)
		return -errno;
	if (pipe2(go, O_CLOEXEC)) {
		err = -errno;
		goto unmap;
	}
	l->go = go[1];
	l->pid = fork();
	if (!l->pid) {
		close(go[1]);
		launch_child(l, go[0], path, argv, filter, len);
	}
	err = l->pid < 0 ? -errno : 0;
	close(go[0]);
	if (!err)
		return 0;
	close(go[1]);
unmap:
	munmap(l->shared, sizeof(*l->shared));
	return err;
}

void launch_go(struct launch *l)
{
	/* A child that was killed meanwhile is reported by wait(2). */
	if (write(l->go, "", 1) < 0)
		return;
}

void launch_end(struct launch *l)
{
	close(l->go);
	munmap(l->shared, sizeof(*l->shared));
}
