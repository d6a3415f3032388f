/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads each program of ring-verdicts.bpf.c by itself; a line for each. */
#include <stdarg.h>
#include <bpf/libbpf.h>

#include "bpf.h"

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return getenv("VERBOSE") ? vfprintf(stderr, fmt, ap) : 0;
}

int main(void)
{
	const char *dir = getenv("TEST_FILES");
	char path[256];

	snprintf(path, sizeof(path), "%s/ring-verdicts.bpf.o", dir ? dir : ".");
	libbpf_set_print(quiet);
	for (int i = 0;; i++) {
		struct bpf_object *obj = bpf_object__open(path);
		struct bpf_program *p = NULL;

		REQUIRE(obj);
		for (int k = 0; k <= i; k++)
			p = bpf_object__next_program(obj, p);
		if (!p) {
			printf("%d programs\n", i);
			return i < 30;
		}
		bpf_program__set_autoload(p, true);
		printf("%s: %s\n", bpf_program__name(p),
		       bpf_object__load(obj) ? "refused" : "accepted");
		bpf_object__close(obj);
	}
}
