/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap exec: a program that uses libbpf, with libshmap.so before libc. */
#include "cli/cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "event/event.h"

#define LIBRARY "libshmap.so.0"

/* Beside this program: in a build tree, or installed. */
static bool library_find(char *path, size_t size)
{
	static const char *const places[] = {"/../preload/", "/../lib/" SHMAP_MULTIARCH "/",
					     "/../lib64/", "/../lib/", "/"};
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		if (slash)
			*slash = 0;
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			char real[PATH_MAX];

			if (snprintf(path, size, "%s%s%s", self, places[i], LIBRARY) >= (int)size ||
			    !realpath(path, real))
				continue;
			return snprintf(path, size, "%s", real) < (int)size;
		}
	}
	snprintf(path, size, "%s/%s", SHMAP_LIBDIR, LIBRARY);
	return !access(path, R_OK);
}

/* Would the dynamic linker look at LD_PRELOAD for this file? 0 or CLI_FAILED. */
static int preloadable(const char *name, const char *file, int depth)
{
	unsigned char head[256];
	Elf64_Ehdr eh;
	struct stat st;
	bool interp = false;
	ssize_t n;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == EACCES
			       ? cli_error("%s: it cannot be read, so the linker would not preload "
					   "anything into it; make a copy that you can read",
					   name)
			       : cli_error("%s: %s", file, strerror(errno));
	fstat(fd, &st);
	n = pread(fd, head, sizeof(head) - 1, 0);
	head[n > 0 ? n : 0] = 0;
	if (n > 2 && head[0] == '#' && head[1] == '!') {
		char *p = (char *)head + 2, *end;

		close(fd);
		p += strspn(p, " \t");
		end = p + strcspn(p, " \t\n");
		*end = 0;
		return depth ? preloadable(name, p, depth - 1) : CLI_OK;
	}
	if (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
	    ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid()) ||
	    (geteuid() && getxattr(file, "security.capability", NULL, 0) > 0)) {
		close(fd);
		return cli_error("%s runs with other rights than yours (set-user-ID, set-group-ID "
				 "or capabilities), and the linker preloads nothing into such a "
				 "program; run a copy of it: cp %s . && shmap exec -- ./%s",
				 name, file, strrchr(file, '/') ? strrchr(file, '/') + 1 : file);
	}
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG)) {
		close(fd);
		return CLI_OK; /* the kernel will say what it is not */
	}
	if (eh.e_ident[EI_CLASS] != ELFCLASS64) {
		close(fd);
		return cli_error(
			"%s is a 32-bit program and %s a 64-bit library; build it for 64 bits",
			name, LIBRARY);
	}
	for (int i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		if (pread(fd, &ph, sizeof(ph), eh.e_phoff + i * (off_t)eh.e_phentsize) !=
		    sizeof(ph))
			break;
		interp |= ph.p_type == PT_INTERP;
	}
	close(fd);
	if (interp)
		return CLI_OK;
	return cli_error("%s is linked statically, so nothing can be preloaded into it; link it "
			 "dynamically, or with -lshmap before -lbpf",
			 name);
}

static int exec_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	char path[PATH_MAX], library[PATH_MAX], *preload;
	const char *old = getenv("LD_PRELOAD");
	int opt, err;

	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (opt == 'h')
			return cli_help(verb);
		return cli_usage(verb, NULL);
	}
	argv += optind;
	if (!argv[0])
		return cli_usage(verb, "exec needs a program to run");
	err = event_command_find(argv[0], path, sizeof(path));
	if (err)
		return cli_trace_error(err, argv[0], 0);
	if (!library_find(library, sizeof(library)))
		return cli_error("%s is neither beside shmap nor in %s; install shmap again",
				 LIBRARY, SHMAP_LIBDIR);
	if (strpbrk(library, " :"))
		return cli_error("%s: the linker cannot preload from a path with a space or a "
				 "colon; install shmap elsewhere",
				 library);
	err = preloadable(argv[0], path, 4);
	if (err || (err = cli_rundir()))
		return err;
	if (asprintf(&preload, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0 ||
	    setenv("LD_PRELOAD", preload, 1))
		return cli_error("%s", strerror(ENOMEM));
	execv(path, argv);
	return cli_trace_error(-errno, argv[0], 0);
}

const struct verb verb_exec = {
	.name = "exec",
	.summary = "run a program that uses libbpf, or bpftool, on shmap",
	.main = exec_main,
	.help = "usage: shmap exec -- PROGRAM [ARGUMENTS]\n"
		"\n"
		"Runs PROGRAM with libshmap.so preloaded: its calls of bpf(2), directly or "
		"through\n"
		"libbpf, are served by shmap, and /sys/fs/bpf is the runtime directory's fs/. So "
		"are\n"
		"those of the programs that it starts.\n"
		"\n"
		"PROGRAM must be linked dynamically, for 64 bits, and not be set-user-ID.\n"
		"\n"
		"  -h, --help  this text\n"
		"\n"
		"Exit status: PROGRAM's; 127 when it is not found, 126 when it cannot be "
		"executed,\n"
		"125 when shmap cannot serve it.\n"
		"\n"
		"Examples:\n"
		"  shmap exec -- bpftool map show\n"
		"  shmap exec -- bpftool map dump pinned /sys/fs/bpf/demo/percpu_counter\n"
		"  shmap exec -- ./my_loader --verbose\n",
};
