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
};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* In docs/compat.md: what a kernel does for them has no meaning outside it. */
static const int refused[] = {
	9,   10,  11,  13,  17,	 18,  19,  20,	21,  23,  24,  28,  29,	 30,  31,  32,	34,  36,
	38,  39,  40,  41,  43,	 44,  46,  47,	48,  50,  51,  52,  53,	 54,  26,  58,	59,  65,
	66,  68,  69,  70,  71,	 72,  73,  74,	75,  76,  78,  79,  81,	 83,  84,  85,	86,  96,
	97,  98,  99,  100, 101, 102, 103, 104, 109, 110, 111, 116, 117, 119, 122, 124, 126, 127,
	128, 129, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 149, 151, 152, 153, 154, 155,
	161, 163, 166, 167, 168, 175, 176, 178, 179, 180, 186, 187, 56,	 121, 147, 162, 169, 170,
	171, 172, 188, 189, 190, 191, 192, 193, 194, 196, 204, 205, 206, 207, 212,
};

static bool listed(int id)
{
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
			if (listed(id) && *ours && !*theirs) {
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
