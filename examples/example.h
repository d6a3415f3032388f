/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loaders share: finding the object, loading it, and saying (on
 * standard error) what this machine does not permit. Nothing here knows of
 * shmap.
 */
#ifndef EXAMPLES_EXAMPLE_H
#define EXAMPLES_EXAMPLE_H

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int example_quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN && getenv("EXAMPLE_VERBOSE") ? vfprintf(stderr, fmt, ap) : 0;
}

/* argv[1], or NAME.bpf.o beside the executable. */
static inline const char *example_object(int argc, char **argv, const char *name)
{
	static char path[PATH_MAX + 64];
	char *slash;
	ssize_t n;

	if (argc > 1)
		return argv[1];
	n = readlink("/proc/self/exe", path, PATH_MAX);
	if (n < 0)
		die("/proc/self/exe");
	path[n] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash + 1, 64, "%s.bpf.o", name);
	return path;
}

/*
 * Opens and loads the object. Where its program is not permitted (tracing
 * programs, in many containers), loads the maps alone and says so: *prog is then
 * NULL.
 */
static inline struct bpf_object *example_load(const char *path, struct bpf_program **prog)
{
	struct bpf_object *obj;
	int err;

	libbpf_set_print(example_quiet);
	for (int with_prog = 1; with_prog >= 0; with_prog--) {
		obj = bpf_object__open(path);
		if (!obj)
			die(path);
		*prog = bpf_object__next_program(obj, NULL);
		if (!with_prog)
			bpf_program__set_autoload(*prog, false);
		err = bpf_object__load(obj);
		if (!err) {
			if (!with_prog)
				*prog = NULL;
			return obj;
		}
		if (with_prog)
			fprintf(stderr,
				"%s: the program was not loaded (%s), going on with the maps\n",
				bpf_program__name(*prog), strerror(-err));
		bpf_object__close(obj);
	}
	errno = -err;
	die(path);
	return NULL;
}

static inline struct bpf_link *example_attach(struct bpf_program *prog)
{
	struct bpf_link *link = prog ? bpf_program__attach(prog) : NULL;

	if (prog && !link)
		fprintf(stderr, "%s: not attached: %s\n", bpf_program__name(prog), strerror(errno));
	return link;
}

/* Waits that many seconds; "-": until standard input ends. */
static inline void example_wait(const char *how)
{
	char c;

	if (strcmp(how, "-")) {
		sleep(atoi(how));
		return;
	}
	while (read(STDIN_FILENO, &c, 1) == 1)
		;
}

/* Runs an XDP program once on a packet of len bytes that starts with first. */
static inline int example_run(int prog_fd, unsigned char first, unsigned int len)
{
	unsigned char packet[256] = {first};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = len, .repeat = 1);

	if (bpf_prog_test_run_opts(prog_fd, &opts))
		die("test run");
	return opts.retval;
}

#endif
