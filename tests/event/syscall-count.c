/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts a command's system calls with the tracer and no program: prints
 * "NAME ENTRIES EXITS" lines.
 *
 * syscall-count [-e NAME,...] [-x] [-p PID] [-o FILE] [COMMAND...]
 *   -e  only these (default: all)      -x  exits, too      -o  not to stdout
 *   -S  where no filter can be installed    -T  where ptrace is not permitted
 */
#include <limits.h>
#include <stddef.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "../check.h"
#include "event/event.h"
#include "event/tracer.h"

static unsigned long entries[SYSCALLS_MAX], exits[SYSCALLS_MAX], orphans, foreign, total;

static void count(void *arg, const struct syscall_event *ev)
{
	total++;
	if (ev->abi != SYSCALL_NATIVE || ev->nr < 0 || ev->nr >= SYSCALLS_MAX)
		foreign++;
	else if (ev->orphan)
		orphans++;
	else if (ev->exit)
		exits[ev->nr]++;
	else
		entries[ev->nr]++;
}

/* From here on the call fails with err, in this process and its children. */
static void forbid(unsigned int nr, unsigned int err)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

int main(int argc, char **argv)
{
	struct tracer_config cfg = {.deliver = count};
	char path[PATH_MAX];
	FILE *out = stdout;
	bool named = false, with_exits = false;
	int opt, err, status;

	while ((opt = getopt(argc, argv, "+e:xp:o:ST")) > 0) {
		if (opt == 'e') {
			named = true;
			for (char *s = strtok(optarg, ","); s; s = strtok(NULL, ",")) {
				REQUIRE(call_number(s) >= 0);
				syscall_set_add(&cfg.want.enter, call_number(s));
			}
		} else if (opt == 'x') {
			with_exits = true;
		} else if (opt == 'S') {
			forbid(SYS_seccomp, EINVAL);
		} else if (opt == 'T') {
			forbid(SYS_ptrace, EPERM);
		} else if (opt == 'p') {
			cfg.pid = atoi(optarg);
		} else if (opt == 'o') {
			out = fopen(optarg, "we");
			REQUIRE(out);
		} else {
			return 2;
		}
	}
	cfg.want.enter.all = cfg.want.abi = !named;
	if (with_exits)
		cfg.want.exit = cfg.want.enter;
	if (!cfg.pid) {
		REQUIRE(argv[optind]);
		cfg.argv = argv + optind;
		cfg.path = path;
		err = event_command_find(argv[optind], path, sizeof(path));
		if (err) {
			fprintf(stderr, "%s: %s\n", argv[optind], strerror(-err));
			return 127;
		}
	}
	err = tracer_run(&cfg, &status);
	if (err) {
		fprintf(stderr, "tracer_run: %s\n", strerror(-err));
		return 125;
	}
	for (long nr = 0; nr < SYSCALLS_MAX; nr++)
		if (entries[nr] || exits[nr])
			fprintf(out, "%s %lu %lu\n", call_name((int)nr), entries[nr], exits[nr]);
	if (orphans)
		fprintf(out, "+orphans 0 %lu\n", orphans);
	if (foreign)
		fprintf(out, "+foreign %lu 0\n", foreign);
	fprintf(out, "+total %lu 0\n", total);
	fclose(out);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
