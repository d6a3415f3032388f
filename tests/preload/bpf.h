/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests that run on shmap and, as the oracle, on the kernel. */
#ifndef SHMAP_TESTS_PRELOAD_BPF_H
#define SHMAP_TESTS_PRELOAD_BPF_H

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "../check.h"

/* Must be weak: the kernel's build of a test has no libshmap. */
const char *shmap_version(void) __attribute__((weak));

static inline int on_shmap(void)
{
	return shmap_version != NULL;
}

static inline int make_map(enum bpf_map_type type, unsigned int value_size, unsigned int entries,
			   unsigned int flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, "test", 4, value_size, entries, &opts);

	if (fd == -EPERM && !on_shmap())
		SKIP("the kernel does not permit bpf(2) here");
	REQUIRE(fd >= 0);
	return fd;
}

/* A program that returns 2 (XDP_PASS). */
static inline int make_prog(void)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", insns, 2, NULL);

	REQUIRE(fd >= 0);
	return fd;
}

#define CHECK_FAILS(call, error)                                                                   \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long got_ = (long long)(call);                                                \
		if (got_ != -1 || errno != (error)) {                                              \
			fprintf(stderr, "%s:%d: %s is %lld, errno %d, not -1, %d (%s)\n",          \
				__FILE__, __LINE__, #call, got_, errno, (error), #error);          \
			check_failures++;                                                          \
		}                                                                                  \
	} while (0)

#endif
