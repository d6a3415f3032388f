/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "shm/rundir.h"

const struct verb *const verbs[] = {
	&verb_run,    &verb_exec, &verb_trace,	 &verb_top, &verb_watch,
	&verb_doctor, &verb_help, &verb_version, NULL,
};

static bool progress_shown;

static void cli_say(const char *fmt, va_list args)
{
	cli_progress(NULL);
	fputs("shmap: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

int cli_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	cli_say(fmt, args);
	va_end(args);
	return CLI_FAILED;
}

void cli_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	cli_say(fmt, args);
	va_end(args);
}

int cli_usage(const struct verb *verb, const char *fmt, ...)
{
	va_list args;

	if (fmt) {
		va_start(args, fmt);
		cli_say(fmt, args);
		va_end(args);
	}
	fprintf(stderr, "Try 'shmap %s --help'.\n", verb->name);
	return CLI_USAGE;
}

int cli_help(const struct verb *verb)
{
	fputs(verb->help, stdout);
	return fflush(stdout) ? cli_error("standard output: %s", strerror(errno)) : CLI_OK;
}

void cli_progress(const char *fmt, ...)
{
	va_list args;

	if (!fmt) {
		if (progress_shown)
			fputs("\r\033[K", stderr);
		progress_shown = false;
		return;
	}
	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[Kshmap: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fflush(stderr);
	progress_shown = true;
}

int cli_rundir(void)
{
	int err = rundir_open();
	const char *why;

	if (!err)
		return 0;
	why = rundir_error();
	if (why && *why)
		return cli_error("%s", why);
	return cli_error("the runtime directory cannot be opened: %s (set SHMAP_DIR to a directory "
			 "of yours on a tmpfs)",
			 strerror(-err));
}

int cli_trace_error(int err, const char *argv0, int pid)
{
	if (pid && err == -ESRCH)
		return cli_error("there is no process %d", pid);
	if (pid && err == -EPERM)
		return cli_error(
			"process %d cannot be traced: it is another user's, or another "
			"tracer has it, or ptrace is restricted here ('shmap doctor' says)",
			pid);
	if (!pid && err == -ENOENT) {
		cli_error("%s: command not found", argv0);
		return CLI_NOT_FOUND;
	}
	if (!pid && err == -EACCES) {
		cli_error("%s: it cannot be executed: permission denied", argv0);
		return CLI_NOT_EXECUTABLE;
	}
	if (!pid && err == -EISDIR) {
		cli_error("%s: it is a directory, not a command", argv0);
		return CLI_NOT_EXECUTABLE;
	}
	if (!pid && err == -ENOEXEC) {
		cli_error("%s: it is not a program for this machine (a script needs #! in its "
			  "first line)",
			  argv0);
		return CLI_NOT_EXECUTABLE;
	}
	if (err == -EPERM)
		return cli_error("ptrace is not permitted here: 'shmap doctor' says what to do");
	if (!pid) {
		cli_error("%s: %s", argv0, strerror(-err));
		return CLI_NOT_EXECUTABLE;
	}
	return cli_error("process %d: %s", pid, strerror(-err));
}

int cli_wait_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const struct verb *verb_find(const char *name)
{
	for (int i = 0; verbs[i]; i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	static char name[32];

	if (argc < 2) {
		cli_help(&verb_help);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		verb = &verb_help;
	else if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"))
		verb = &verb_version;
	else
		verb = verb_find(argv[1]);
	if (!verb) {
		fprintf(stderr, "shmap: there is no verb '%s'; 'shmap --help' lists them\n",
			argv[1]);
		return CLI_USAGE;
	}
	if (argv[1][0] == '-')
		argc = 2;
	/* what getopt(3) complains as */
	snprintf(name, sizeof(name), "shmap %s", verb->name);
	argv[1] = name;
	return verb->main(verb, argc - 1, argv + 1);
}
