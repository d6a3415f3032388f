/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every helper id, in every program type that there is: who may call it. The helpers of the
 * kernel that are refused here are those of a list.
 */
#include "kt.h"

static const struct {
	const char *name;
	uint32_t type, attach;
} types[] = {
	{"socket_filter", BPF_PROG_TYPE_SOCKET_FILTER, 0},
	{"sched_cls", BPF_PROG_TYPE_SCHED_CLS, 0},
	{"sched_act", BPF_PROG_TYPE_SCHED_ACT, 0},
	{"xdp", BPF_PROG_TYPE_XDP, 0},
	{"cgroup_skb", BPF_PROG_TYPE_CGROUP_SKB, 0},
	{"lwt_in", BPF_PROG_TYPE_LWT_IN, 0},
	{"lwt_out", BPF_PROG_TYPE_LWT_OUT, 0},
	{"lwt_xmit", BPF_PROG_TYPE_LWT_XMIT, 0},
	{"sk_skb", BPF_PROG_TYPE_SK_SKB, 0},
	{"flow_dissector", BPF_PROG_TYPE_FLOW_DISSECTOR, 0},
	{"kprobe", BPF_PROG_TYPE_KPROBE, 0},
	{"tracepoint", BPF_PROG_TYPE_TRACEPOINT, 0},
	{"raw_tracepoint", BPF_PROG_TYPE_RAW_TRACEPOINT, 0},
	{"perf_event", BPF_PROG_TYPE_PERF_EVENT, 0},
	{"syscall", BPF_PROG_TYPE_SYSCALL, 0},
	{"cgroup_sock", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE},
	{"sock_addr", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT},
	{"sock_ops", BPF_PROG_TYPE_SOCK_OPS, 0},
	{"sk_msg", BPF_PROG_TYPE_SK_MSG, 0},
	{"sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP},
	{"sk_reuseport", BPF_PROG_TYPE_SK_REUSEPORT, 0},
	{"cgroup_device", BPF_PROG_TYPE_CGROUP_DEVICE, 0},
	{"cgroup_sysctl", BPF_PROG_TYPE_CGROUP_SYSCTL, 0},
	{"cgroup_sockopt", BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* In docs/compat.md: what a kernel does for them has no meaning outside it. */
static const int refused[] = {
	36,  52,  53,  56,  58,	 59,  69,  70,	71,  72,  73,  74,  75,	 76,  78,
	81,  83,  84,  85,  86,	 99,  100, 101, 102, 103, 104, 109, 110, 111, 116,
	117, 119, 121, 124, 126, 127, 129, 136, 137, 138, 139, 140, 141, 142, 143,
	144, 147, 149, 153, 154, 161, 162, 166, 167, 168, 169, 170, 171, 172, 175,
	176, 178, 179, 180, 186, 187, 191, 193, 194, 196, 204, 205, 206, 207, 212,
};

/*
 * Programs of these types load, but nothing runs them here: the calls that are about their own
 * objects are refused.
 */
static bool never_run(uint32_t type)
{
	switch (type) {
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_SOCK_OPS:
	case BPF_PROG_TYPE_SK_MSG:
	case BPF_PROG_TYPE_SK_LOOKUP:
	case BPF_PROG_TYPE_SK_REUSEPORT:
	case BPF_PROG_TYPE_CGROUP_DEVICE:
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		return true;
	}
	return false;
}

static bool listed(uint32_t type, int id)
{
	/* of programs on packets only */
	if (never_run(type) || id == BPF_FUNC_get_cgroup_classid)
		return true;
	if (type == BPF_PROG_TYPE_SYSCALL &&
	    (id == BPF_FUNC_get_socket_cookie || id == BPF_FUNC_xdp_get_buff_len))
		return true;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (refused[i] == id)
			return true;
	return false;
}

static int load(enum side side, size_t t, int id)
{
	const struct bpf_insn insns[] = {MOV(R0, 0), CALLID(id), MOV(R0, 0), EXIT};
	union sys_attr a;

	prog_attr_init(&a, types[t].type, insns + (id < 0 ? 2 : 0), id < 0 ? 2 : 4);
	a.prog_load.expected_attach_type = types[t].attach;
	a.prog_load.prog_flags = types[t].type == BPF_PROG_TYPE_SYSCALL ? BPF_F_SLEEPABLE : 0;
	a.prog_load.log_level = 1;
	a.prog_load.log_buf = (uintptr_t)kt_log[side];
	a.prog_load.log_size = KT_LOG;
	kt_log[side][0] = 0;
	return (int)side_bpf(side, BPF_PROG_LOAD, &a);
}

/* "cannot use", "invalid", or "" where the call itself was looked at. */
static const char *verdict(const char *log)
{
	if (strstr(log, "cannot use helper"))
		return "cannot use";
	return strstr(log, "invalid func") ? "invalid" : "";
}

int main(void)
{
	uint32_t compared = 0, stricter = 0;

	both_init();
	if (!have_kernel)
		SKIP("there is no kernel to compare with");
	for (size_t t = 0; t < TYPES; t++) {
		int fd[SIDES];

		for (int s = 0; s < SIDES; s++)
			fd[s] = load(s, t, -1);
		for (int s = 0; s < SIDES; s++)
			if (fd[s] >= 0)
				side_close(s, fd[s]);
		if (fd[OURS] < 0 || fd[KERNEL] < 0) {
			printf("%s: not compared (shmap %d, kernel %d)\n", types[t].name, fd[OURS],
			       fd[KERNEL]);
			continue;
		}
		for (int id = 0; id < 216; id++) {
			const char *ours, *theirs;

			for (int s = 0; s < SIDES; s++) {
				fd[s] = load(s, t, id);
				if (fd[s] >= 0)
					side_close(s, fd[s]);
			}
			ours = verdict(kt_log[OURS]);
			theirs = verdict(kt_log[KERNEL]);
			compared++;
			if (!strcmp(ours, theirs))
				continue;
			if (listed(types[t].type, id) && *ours && !*theirs) {
				stricter++;
				continue;
			}
			fprintf(stderr, "helper %d in %s: \"%s\" here, \"%s\" in the kernel\n", id,
				types[t].name, ours, theirs);
			check_failures++;
		}
	}
	printf("%u compared, %u refused here only\n", compared, stricter);
	return check_done();
}
