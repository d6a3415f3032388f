/* SPDX-License-Identifier: BSD-2-Clause */
/* PROG_TEST_RUN: what its parts share. */
#ifndef SHMAP_SYS_TESTRUN_H
#define SHMAP_SYS_TESTRUN_H

#include <stdint.h>

#include "sys/attr.h"
#include "vm/vm.h"

/* One command's run. */
struct test_run {
	const union sys_attr *attr;
	union sys_attr *uattr;
	struct vm_prog *p;
	uint32_t retval;
	uint32_t duration; /* ns per run */
	int cpu;	   /* the only CPU to run on, or -1 */
};

/* Runs the program `repeat` times (0: once): 0 or -errno. */
int test_run_repeated(struct test_run *t, void *ctx, const struct vm_env *env, uint32_t repeat);
/* data_out, data_size_out, retval, duration. The last `frags` of the bytes are those of
 * fragments. 0, -ENOSPC (the beginning was copied), -EFAULT. */
int test_finish_data(const struct test_run *t, const void *data, uint32_t size, uint32_t frags);
/* ctx_in into ctx (zero-extended): 0, -E2BIG for a non-zero tail, -EFAULT. */
int test_copy_ctx_in(const union sys_attr *attr, void *ctx, uint32_t size);
int test_finish_ctx(const struct test_run *t, const void *ctx, uint32_t size);

/* testrun_packet.c */
int test_skb(struct test_run *t);
int test_xdp(struct test_run *t);
/* What a sk storage map holds for the socket of a run goes. */
void test_close_sock(const struct vm_prog *p, const struct storage_owner *sock);

#endif
