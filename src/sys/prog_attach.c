// SPDX-License-Identifier: BSD-2-Clause
/*
 * What PROG_LOAD's attach fields may say: expected_attach_type by program type,
 * and attach_btf_id, a type in the running kernel's BTF.
 */
#include <string.h>
#include <bpf/btf.h>

#include "base/errors.h"
#include "btf/btf.h"
#include "sys/btf_obj.h"
#include "sys/prog.h"

#define TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45
#define ATTACH_UNIX_CONNECT 49
#define ATTACH_UNIX_GETSOCKNAME 53
#define TRACEPOINT_PREFIX "btf_trace_"

uint32_t prog_fix_attach_type(uint32_t type, uint32_t expected)
{
	if (type == BPF_PROG_TYPE_CGROUP_SOCK && !expected)
		return BPF_CGROUP_INET_SOCK_CREATE;
	if (type == BPF_PROG_TYPE_SK_REUSEPORT && !expected)
		return BPF_SK_REUSEPORT_SELECT;
	return expected;
}

static bool sock_addr_attach(uint32_t a)
{
	switch (a) {
	case BPF_CGROUP_INET4_BIND:
	case BPF_CGROUP_INET6_BIND:
	case BPF_CGROUP_INET4_CONNECT:
	case BPF_CGROUP_INET6_CONNECT:
	case BPF_CGROUP_INET4_GETPEERNAME:
	case BPF_CGROUP_INET6_GETPEERNAME:
	case BPF_CGROUP_INET4_GETSOCKNAME:
	case BPF_CGROUP_INET6_GETSOCKNAME:
	case BPF_CGROUP_UDP4_SENDMSG:
	case BPF_CGROUP_UDP6_SENDMSG:
	case BPF_CGROUP_UDP4_RECVMSG:
	case BPF_CGROUP_UDP6_RECVMSG:
		return true;
	}
	return a >= ATTACH_UNIX_CONNECT && a <= ATTACH_UNIX_GETSOCKNAME;
}

static bool attach_type_fits(uint32_t type, uint32_t a)
{
	switch (type) {
	case BPF_PROG_TYPE_CGROUP_SOCK:
		return a == BPF_CGROUP_INET_SOCK_CREATE || a == BPF_CGROUP_INET_SOCK_RELEASE ||
		       a == BPF_CGROUP_INET4_POST_BIND || a == BPF_CGROUP_INET6_POST_BIND;
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
		return sock_addr_attach(a);
	case BPF_PROG_TYPE_CGROUP_SKB:
		return a == BPF_CGROUP_INET_INGRESS || a == BPF_CGROUP_INET_EGRESS;
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		return a == BPF_CGROUP_SETSOCKOPT || a == BPF_CGROUP_GETSOCKOPT;
	case BPF_PROG_TYPE_SK_LOOKUP:
		return a == BPF_SK_LOOKUP;
	case BPF_PROG_TYPE_SK_REUSEPORT:
		return a == BPF_SK_REUSEPORT_SELECT || a == BPF_SK_REUSEPORT_SELECT_OR_MIGRATE;
	case TYPE_NETFILTER:
		return a == ATTACH_NETFILTER;
	case BPF_PROG_TYPE_SYSCALL:
	case BPF_PROG_TYPE_EXT:
		return !a;
	}
	return true; /* not looked at */
}

int prog_check_load_attach(uint32_t type, uint32_t expected, bool attach_btf, uint32_t btf_id)
{
	if (btf_id) {
		if (btf_id > BTF_TYPE_MAX || !attach_btf)
			return -EINVAL;
		if (type != BPF_PROG_TYPE_TRACING && type != BPF_PROG_TYPE_LSM &&
		    type != BPF_PROG_TYPE_STRUCT_OPS && type != BPF_PROG_TYPE_EXT)
			return -EINVAL;
	}
	if (attach_btf && !btf_id)
		return -EINVAL;
	return attach_type_fits(type, expected) ? 0 : -EINVAL;
}

static bool can_sleep(const struct vm_prog *p)
{
	if (p->type == BPF_PROG_TYPE_TRACING)
		return p->expected_attach_type == BPF_TRACE_FENTRY ||
		       p->expected_attach_type == BPF_TRACE_FEXIT ||
		       p->expected_attach_type == BPF_MODIFY_RETURN;
	return p->type == BPF_PROG_TYPE_KPROBE;
}

static int check_tracepoint(const struct btf *btf, const struct btf_type *t, const char *name,
			    uint32_t id, struct vm_log *log)
{
	if (!btf_is_typedef(t)) {
		vm_logf(log, "attach_btf_id %u is not a typedef\n", id);
		return -EINVAL;
	}
	if (strncmp(name, TRACEPOINT_PREFIX, strlen(TRACEPOINT_PREFIX))) {
		vm_logf(log, "attach_btf_id %u points to wrong type name %s\n", id, name);
		return -EINVAL;
	}
	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_ptr(t))
		return -EINVAL;
	t = btf__type_by_id(btf, t->type);
	return t && btf_is_func_proto(t) ? 0 : -EINVAL;
}

static int check_function(const struct btf *btf, const struct btf_type *t, uint32_t id,
			  struct vm_log *log)
{
	if (!btf_is_func(t)) {
		vm_logf(log, "attach_btf_id %u is not a function\n", id);
		return -EINVAL;
	}
	t = btf__type_by_id(btf, t->type);
	return t && btf_is_func_proto(t) ? 0 : -EINVAL;
}

/* Fills p->attach_func with the target's name in the kernel's BTF. */
static int check_btf_target(struct vm_prog *p, struct vm_log *log)
{
	const struct btf *btf = btf_vmlinux();
	uint32_t id = p->attach_btf_id;
	const struct btf_type *t;
	const char *name;
	int err;

	if (!id) {
		vm_logf(log, "Tracing programs must provide btf_id\n");
		return -EINVAL;
	}
	if (!btf)
		return -EINVAL;
	t = btf__type_by_id(btf, id);
	if (!t) {
		vm_logf(log, "attach_btf_id %u is invalid\n", id);
		return -EINVAL;
	}
	name = btf__name_by_offset(btf, t->name_off);
	if (!name || !name[0] || strlen(name) >= sizeof(p->attach_func)) {
		vm_logf(log, "attach_btf_id %u doesn't have a name\n", id);
		return -EINVAL;
	}
	switch (p->expected_attach_type) {
	case BPF_TRACE_RAW_TP:
		err = check_tracepoint(btf, t, name, id, log);
		break;
	case BPF_TRACE_FENTRY:
	case BPF_TRACE_FEXIT:
	case BPF_MODIFY_RETURN:
		err = check_function(btf, t, id, log);
		break;
	default: /* iterators: this kernel has none */
		err = -EINVAL;
	}
	if (!err)
		strcpy(p->attach_func, name);
	return err;
}

int prog_check_target(struct vm_prog *p, struct vm_log *log)
{
	if (p->type == BPF_PROG_TYPE_SYSCALL) {
		if (p->sleepable)
			return 0;
		vm_logf(log, "Syscall programs can only be sleepable\n");
		return -EINVAL;
	}
	if (p->sleepable && !can_sleep(p)) {
		vm_logf(log, "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops "
			     "programs can be sleepable\n");
		return -EINVAL;
	}
	return p->type == BPF_PROG_TYPE_TRACING ? check_btf_target(p, log) : 0;
}
