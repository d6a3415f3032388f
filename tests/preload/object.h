/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF objects that the tests of this folder load. */
#ifndef SHMAP_TESTS_PRELOAD_OBJECT_H
#define SHMAP_TESTS_PRELOAD_OBJECT_H

#include <stdarg.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

#include "bpf.h"

static int object_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

/* NAME.bpf.o, loaded; the fd of its program `run` in *prog. */
static inline struct bpf_object *object_load(const char *name, int *prog)
{
	const char *dir = getenv("TEST_FILES");
	struct bpf_object *obj;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.bpf.o", dir ? dir : ".", name);
	libbpf_set_print(object_print);
	obj = bpf_object__open(path);
	REQUIRE(obj);
	REQUIRE(!bpf_object__load(obj));
	*prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "run"));
	REQUIRE(*prog >= 0);
	return obj;
}

/* A run of the program on the command, which it changes: its result. */
static inline int object_run(int prog, void *command, uint32_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = command, .data_size_in = size,
		    .data_out = command, .data_size_out = size);

	REQUIRE(!bpf_prog_test_run_opts(prog, &opts));
	return (int)opts.retval;
}

#endif
