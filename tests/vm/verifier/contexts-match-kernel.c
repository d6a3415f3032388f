// SPDX-License-Identifier: BSD-2-Clause
/*
 * For each program type that the kernel loads: every offset and size of its context, and of
 * the sockets and flow keys that it leads to, read, sign-extended, stored and stored
 * from an immediate: the kernel's verdict.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "vt.h"
#include "vm/verifier.h"
#include "vm/vm.h"

enum access { READ, READ_SX, STORE, STORE_IMM, ACCESSES };
static const char *const access_name[] = {"read", "sign-extended", "stored", "stored imm"};

struct subject {
	const char *name;
	uint32_t type, attach;
	int size;   /* of what is looked at */
	int via;    /* offset of a pointer in the context to what is looked at, or -1 */
	int helper; /* that makes another of it, or 0 */
	bool or_null;
};

#define CTX(n, t, a, s)                                                                            \
	{                                                                                          \
		n, BPF_PROG_TYPE_##t, a, s, -1, 0, false                                           \
	}
#define SK(n, t, a, via, h)                                                                        \
	{                                                                                          \
		n, BPF_PROG_TYPE_##t, a, sizeof(struct bpf_sock), via, h, true                     \
	}

#define SKB_SIZE 192
#define SKB_SK 168
#define SKB_FLOW_KEYS 144

static const struct subject subjects[] = {
	CTX("socket_filter", SOCKET_FILTER, 0, SKB_SIZE),
	CTX("sched_cls", SCHED_CLS, 0, SKB_SIZE),
	CTX("sched_act", SCHED_ACT, 0, SKB_SIZE),
	CTX("cgroup_skb ingress", CGROUP_SKB, BPF_CGROUP_INET_INGRESS, SKB_SIZE),
	CTX("cgroup_skb egress", CGROUP_SKB, BPF_CGROUP_INET_EGRESS, SKB_SIZE),
	CTX("lwt_in", LWT_IN, 0, SKB_SIZE),
	CTX("lwt_out", LWT_OUT, 0, SKB_SIZE),
	CTX("lwt_xmit", LWT_XMIT, 0, SKB_SIZE),
	CTX("lwt_seg6local", LWT_SEG6LOCAL, 0, SKB_SIZE),
	CTX("sk_skb", SK_SKB, 0, SKB_SIZE),
	CTX("flow_dissector", FLOW_DISSECTOR, 0, SKB_SIZE),
	CTX("xdp", XDP, 0, sizeof(struct xdp_md)),
	CTX("xdp devmap", XDP, BPF_XDP_DEVMAP, sizeof(struct xdp_md)),
	CTX("xdp cpumap", XDP, BPF_XDP_CPUMAP, sizeof(struct xdp_md)),
	CTX("kprobe", KPROBE, 0, 168),
	CTX("tracepoint", TRACEPOINT, 0, 64),
	CTX("perf_event", PERF_EVENT, 0, 184),
	CTX("raw_tracepoint", RAW_TRACEPOINT, 0, 96),
	CTX("syscall", SYSCALL, 0, 32),
	CTX("cgroup_sock create", CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, 80),
	CTX("cgroup_sock release", CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, 80),
	CTX("cgroup_sock bind4", CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, 80),
	CTX("cgroup_sock bind6", CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND, 80),
	CTX("sock_addr bind4", CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, 72),
	CTX("sock_addr bind6", CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_BIND, 72),
	CTX("sock_addr connect4", CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 72),
	CTX("sock_addr sendmsg4", CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, 72),
	CTX("sock_addr sendmsg6", CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG, 72),
	CTX("sock_addr recvmsg6", CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_RECVMSG, 72),
	CTX("sock_addr getpeername4", CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME, 72),
	CTX("sock_addr unix", CGROUP_SOCK_ADDR, 49, 72),
	CTX("sock_ops", SOCK_OPS, 0, 224),
	CTX("sk_msg", SK_MSG, 0, 80),
	CTX("sk_lookup", SK_LOOKUP, BPF_SK_LOOKUP, 72),
	CTX("sk_reuseport", SK_REUSEPORT, 0, 56),
	CTX("cgroup_device", CGROUP_DEVICE, 0, 12),
	CTX("cgroup_sysctl", CGROUP_SYSCTL, 0, 8),
	CTX("cgroup_sockopt get", CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT, 40),
	CTX("cgroup_sockopt set", CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT, 40),
	SK("socket_filter's sk", SOCKET_FILTER, 0, SKB_SK, 0),
	SK("sched_cls's sk", SCHED_CLS, 0, SKB_SK, 0),
	SK("sched_cls's full sk", SCHED_CLS, 0, SKB_SK, BPF_FUNC_sk_fullsock),
	SK("cgroup_skb's full sk", CGROUP_SKB, 0, SKB_SK, BPF_FUNC_sk_fullsock),
	{"sched_cls's tcp sk", BPF_PROG_TYPE_SCHED_CLS, 0, sizeof(struct bpf_tcp_sock), SKB_SK,
	 BPF_FUNC_tcp_sock, true},
	{"flow keys", BPF_PROG_TYPE_FLOW_DISSECTOR, 0, sizeof(struct bpf_flow_keys), SKB_FLOW_KEYS,
	 0, false},
};

static long kernel_verdict(const struct subject *s, const struct bpf_insn *insns, uint32_t cnt)
{
	union bpf_attr a = {0};
	long fd;

	a.prog_type = s->type;
	a.expected_attach_type = s->attach;
	a.insns = (uintptr_t)insns;
	a.insn_cnt = cnt;
	a.license = (uintptr_t) "GPL";
	a.prog_flags = s->type == BPF_PROG_TYPE_SYSCALL ? BPF_F_SLEEPABLE : 0;
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static long our_verdict(const struct subject *s, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p = calloc(1, sizeof(*p));
	struct vm_log log = {0};
	long err;

	REQUIRE(p);
	p->type = s->type;
	p->expected_attach_type = s->attach;
	p->gpl_compatible = true;
	p->sleepable = s->type == BPF_PROG_TYPE_SYSCALL;
	p->insn_cnt = cnt;
	p->insns = malloc(cnt * sizeof(*insns));
	REQUIRE(p->insns);
	memcpy(p->insns, insns, cnt * sizeof(*insns));
	err = vm_verify(p, &log);
	vm_prog_free(p);
	return err;
}

#define SIZE_CODE(n) ((n) == 1 ? BPF_B : (n) == 2 ? BPF_H : (n) == 4 ? BPF_W : BPF_DW)

/* R1: what is looked at. */
static uint32_t make(const struct subject *s, enum access how, int off, int size,
		     struct bpf_insn *insns)
{
	const struct bpf_insn tail[] = {MOV(R0, 1), EXIT};
	const struct bpf_insn access[ACCESSES] = {
		[READ] = I(BPF_LDX | BPF_MEM | SIZE_CODE(size), R2, R1, off, 0),
		[READ_SX] = I(BPF_LDX | 0x80 | SIZE_CODE(size), R2, R1, off, 0),
		[STORE] = I(BPF_STX | BPF_MEM | SIZE_CODE(size), R1, R3, off, 0),
		[STORE_IMM] = I(BPF_ST | BPF_MEM | SIZE_CODE(size), R1, 0, off, 1),
	};
	uint32_t n = 0;

	if (s->via >= 0) {
		insns[n++] = (struct bpf_insn)LD(DW, R1, R1, s->via);
		if (s->or_null) {
			insns[n++] = (struct bpf_insn)JMP(JNE, R1, 0, 2);
			insns[n++] = tail[0];
			insns[n++] = tail[1];
		}
	}
	if (s->helper) {
		insns[n++] = (struct bpf_insn)CALLID(s->helper);
		insns[n++] = (struct bpf_insn)JMP(JNE, R0, 0, 2);
		insns[n++] = tail[0];
		insns[n++] = tail[1];
		insns[n++] = (struct bpf_insn)MOVR(R1, R0);
	}
	insns[n++] = (struct bpf_insn)MOV(R3, 1);
	insns[n++] = access[how];
	insns[n++] = tail[0];
	insns[n++] = tail[1];
	return n;
}

static uint32_t refused, accepted;

/* docs/compat.md: what is refused here on purpose, and mistakes of the kernel's own. */
static bool expected(const struct subject *s, int off, long kernel, long ours)
{
	if (s->type == BPF_PROG_TYPE_TRACEPOINT && off < 0)
		return !kernel && ours == -EACCES;   /* before the record */
	return kernel == -EFAULT && ours == -EACCES; /* its verifier's own bug */
}

static void compare(const struct subject *s)
{
	static const int sizes[] = {1, 2, 4, 8};
	struct bpf_insn insns[16];
	uint32_t n;

	for (int off = -8; off < s->size + 16; off++)
		for (uint32_t i = 0; i < 4; i++)
			for (int how = READ; how < ACCESSES; how++) {
				long kernel, ours;

				if (how == READ_SX && sizes[i] == 8)
					continue;
				n = make(s, how, off, sizes[i], insns);
				kernel = kernel_verdict(s, insns, n);
				ours = our_verdict(s, insns, n);
				kernel ? refused++ : accepted++;
				if (kernel == ours || expected(s, off, kernel, ours))
					continue;
				fprintf(stderr, "%s: %d bytes at %d %s: kernel %ld, ours %ld\n",
					s->name, sizes[i], off, access_name[how], kernel, ours);
				check_failures++;
			}
}

int main(void)
{
	const struct bpf_insn nothing[] = {MOV(R0, 1), EXIT};
	uint32_t skipped = 0;

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		long err = kernel_verdict(&subjects[i], nothing, 2);

		if (err) {
			printf("%s: the kernel says %s\n", subjects[i].name, strerror(-err));
			skipped++;
			continue;
		}
		compare(&subjects[i]);
	}
	if (skipped == sizeof(subjects) / sizeof(subjects[0])) {
		printf("the kernel loads no programs here\n");
		return 77;
	}
	printf("%u accesses refused, %u accepted\n", refused, accepted);
	return check_done();
}
