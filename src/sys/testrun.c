// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_TEST_RUN: runs a program on data of the caller's, under a CPU lease.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sys/check.h"
#include "sys/prog.h"
#include "sys/prog_cache.h"
#include "sys/sys.h"
#include "sys/testrun.h"
#include "vm/verifier.h"

#define CONTEXT_ARGS_MAX (12 * sizeof(uint64_t)) /* MAX_BPF_FUNC_ARGS */
#define RUNS_PER_LEASE 256
#define LEASE_TRIES 1000

static uint64_t now_ns(void)
{
	struct timespec ts;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * A lease, on t->cpu where that is asked for: the thread moves there first, as leases
 * go by the CPU that it runs on. 0, -EBUSY, or -ENXIO when it cannot run there.
 */
static int run_acquire(const struct test_run *t)
{
	uint64_t mask[LEASE_CPUS_MAX / 64] = {0};
	int i, err;

	if (t->cpu < 0) {
		err = lease_acquire();
		return err < 0 ? err : 0;
	}
	mask[t->cpu / 64] = 1ULL << (t->cpu % 64);
	if (raw_syscall3(SYS_sched_setaffinity, 0, sizeof(mask), mask) < 0)
		return -ENXIO;
	for (i = 0; i < LEASE_TRIES; i++) {
		err = lease_acquire();
		if (err < 0 || err == t->cpu)
			return err < 0 ? err : 0;
		lease_release();
		raw_sched_yield();
	}
	return -EBUSY;
}

/*
 * Runs the program `repeat` times. Each lease covers a bounded number of runs,
 * so that grace periods go on beside a long test.
 */
int test_run_repeated(struct test_run *t, void *ctx, const struct vm_env *env, uint32_t repeat)
{
	uint32_t left = repeat ? repeat : 1, runs = left, n;
	bool stats = sys_stats_enabled();
	uint64_t ret = 0, spent = 0, begin, ns;
	int err = 0;

	while (left && !err) {
		err = run_acquire(t);
		if (err) {
			sys_prog_account(t->p, 0, true);
			return err;
		}
		/* It may have moved, or been moved, meanwhile. */
		if (env->cgroup)
			*env->cgroup = (struct storage_owner){0};
		n = left < RUNS_PER_LEASE && !stats ? left : stats ? 1 : RUNS_PER_LEASE;
		left -= n;
		begin = now_ns();
		for (err = 0; n && !err; n--)
			err = vm_run(t->p, ctx, env, &ret);
		ns = now_ns() - begin;
		lease_release();
		spent += ns;
		if (stats)
			sys_prog_account(t->p, ns, false);
	}
	t->retval = ret;
	spent /= runs;
	t->duration = spent > UINT32_MAX ? UINT32_MAX : spent;
	return err;
}

static int put_u32(uint32_t *user, uint32_t v)
{
	return uaccess_copy(user, &v, sizeof(v)) ? -EFAULT : 0;
}

int test_finish_data(const struct test_run *t, const void *data, uint32_t size, uint32_t frags)
{
	const union sys_attr *attr = t->attr;
	uint8_t *out = sys_ptr(attr->test.data_out);
	uint32_t n = size;
	int err = 0, fault = -EFAULT;

	/* a size of 0 is no limit: older callers did not fill it */
	if (attr->test.data_size_out && n > attr->test.data_size_out) {
		n = attr->test.data_size_out;
		err = fault = -ENOSPC; /* also when the shorter copy fails, as in the kernel */
	}
	if (out && n < frags)
		return -ENOSPC;
	/* What room is short of is the end of the linear part, not of the fragments. */
	if ((out && (uaccess_copy(out, data, n - frags) ||
		     uaccess_copy(uaccess_at(out, n - frags), (const uint8_t *)data + size - frags,
				  frags))) ||
	    put_u32(sys_field(t->uattr, test.data_size_out), size) ||
	    put_u32(sys_field(t->uattr, test.retval), t->retval) ||
	    put_u32(sys_field(t->uattr, test.duration), t->duration))
		return fault;
	return err;
}

int test_copy_ctx_in(const union sys_attr *attr, void *ctx, uint32_t size)
{
	uint32_t given = attr->test.ctx_size_in;
	const void *in = sys_ptr(attr->test.ctx_in);
	int err;

	if (!in)
		return 0;
	err = sys_check_tail(in, size, given);
	return err ? err : uaccess_copy(ctx, in, given < size ? given : size);
}

int test_finish_ctx(const struct test_run *t, const void *ctx, uint32_t size)
{
	const union sys_attr *attr = t->attr;
	void *out = sys_ptr(attr->test.ctx_out);
	uint32_t n = size;
	int err = 0, fault = -EFAULT;

	if (!out)
		return 0;
	if (n > attr->test.ctx_size_out) {
		n = attr->test.ctx_size_out;
		err = fault = -ENOSPC;
	}
	if (uaccess_copy(out, ctx, n) || put_u32(sys_field(t->uattr, test.ctx_size_out), size))
		return fault;
	return err;
}

/* ---- contexts ---- */

/* Private memory of at least `room` bytes with the caller's context. */
static int copy_ctx(const union sys_attr *attr, uint32_t room, uint8_t **out)
{
	uint32_t size = attr->test.ctx_size_in;
	uint8_t *ctx = calloc(1, (size > room ? size : room) + sizeof(uint64_t));

	if (!ctx)
		return -ENOMEM;
	if (uaccess_copy(ctx, sys_ptr(attr->test.ctx_in), size)) {
		free(ctx);
		return -EFAULT;
	}
	*out = ctx;
	return 0;
}

static uint32_t max_ctx_off(const struct vm_prog *p)
{
	return p->aux ? p->aux[0].max_ctx_off : 0;
}

static int test_raw_tracepoint(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint64_t home[LEASE_CPUS_MAX / 64] = {0};
	uint8_t *ctx;
	int err;

	if (attr->test.data_in || attr->test.data_out || attr->test.ctx_out ||
	    attr->test.duration || attr->test.repeat || attr->test.batch_size)
		return -EINVAL;
	if (attr->test.ctx_size_in < max_ctx_off(t->p) || attr->test.ctx_size_in > CONTEXT_ARGS_MAX)
		return -EINVAL;
	if (attr->test.flags & BPF_F_TEST_RUN_ON_CPU) {
		if (attr->test.cpu >= lease_possible_cpus())
			return -ENXIO;
		t->cpu = attr->test.cpu;
	} else if (attr->test.cpu) {
		return -EINVAL;
	}
	err = copy_ctx(attr, CONTEXT_ARGS_MAX, &ctx);
	if (err)
		return err;
	if (t->cpu >= 0)
		raw_syscall3(SYS_sched_getaffinity, 0, sizeof(home), home);
	err = test_run_repeated(t, ctx, &(struct vm_env){0}, 1);
	if (t->cpu >= 0)
		raw_syscall3(SYS_sched_setaffinity, 0, sizeof(home), home);
	free(ctx);
	return err ? err : put_u32(sys_field(t->uattr, test.retval), t->retval);
}

static int test_syscall(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint8_t *ctx;
	int err;

	if (attr->test.data_in || attr->test.data_out || attr->test.ctx_out ||
	    attr->test.duration || attr->test.repeat || attr->test.flags || attr->test.batch_size)
		return -EINVAL;
	if (attr->test.ctx_size_in < max_ctx_off(t->p) || attr->test.ctx_size_in > UINT16_MAX)
		return -EINVAL;
	err = copy_ctx(attr, 0, &ctx);
	if (err)
		return err;
	err = test_run_repeated(t, ctx, &(struct vm_env){.ctx_size = attr->test.ctx_size_in}, 1);
	if (!err)
		err = put_u32(sys_field(t->uattr, test.retval), t->retval);
	/* the context comes back where it came from */
	if (!err && uaccess_copy(sys_ptr(attr->test.ctx_in), ctx, attr->test.ctx_size_in))
		err = -EFAULT;
	free(ctx);
	return err;
}

/*
 * The kernel calls functions of its own that fentry and fexit programs can be
 * attached to, and reports what those return; no program runs here.
 */
static int test_tracing(struct test_run *t)
{
	const union sys_attr *attr = t->attr;

	if (attr->test.flags || attr->test.cpu || attr->test.batch_size)
		return -EINVAL;
	switch (t->p->expected_attach_type) {
	case BPF_TRACE_FENTRY:
	case BPF_TRACE_FEXIT:
		return put_u32(sys_field(t->uattr, test.retval), 0);
	}
	return -EFAULT;
}

static int test_by_type(struct test_run *t)
{
	switch (t->p->type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_LWT_IN:
	case BPF_PROG_TYPE_LWT_OUT:
	case BPF_PROG_TYPE_LWT_XMIT:
	case BPF_PROG_TYPE_LWT_SEG6LOCAL:
		return test_skb(t);
	case BPF_PROG_TYPE_XDP:
		return test_xdp(t);
	case BPF_PROG_TYPE_FLOW_DISSECTOR:
		return test_flow_dissector(t);
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		return test_raw_tracepoint(t);
	case BPF_PROG_TYPE_SYSCALL:
		return test_syscall(t);
	case BPF_PROG_TYPE_TRACING:
		return test_tracing(t);
	}
	return -ENOTSUPP;
}

long sys_cmd_prog_test_run(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct test_run t = {.attr = attr, .uattr = uattr, .cpu = -1};
	struct prog_use use;
	int err;

	if (!attr->test.ctx_size_in != !attr->test.ctx_in ||
	    !attr->test.ctx_size_out != !attr->test.ctx_out)
		return -EINVAL;
	err = prog_cache_take(attr->test.prog_fd, &use);
	if (err)
		return err;
	t.p = use.p;
	err = test_by_type(&t);
	prog_cache_give(&use);
	return err;
}
