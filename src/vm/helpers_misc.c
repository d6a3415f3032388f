/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers about time, place, the current task, the traced call, and text. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "sync/lease.h"
#include "vm/helpers.h"

#define H(id, name) [id] = helper_##name,
static const vm_helper_fn table[] = {H(1, map_lookup_elem) HELPERS(H)};
#undef H

vm_helper_fn vm_helper(int32_t id)
{
	return id >= 0 && id < (int32_t)ARRAY_SIZE(table) ? table[id] : NULL;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

HELPER(ktime_get_ns)
{
	return clock_ns(CLOCK_MONOTONIC);
}

HELPER(ktime_get_boot_ns)
{
	return clock_ns(CLOCK_BOOTTIME);
}

HELPER(ktime_get_coarse_ns)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

HELPER(ktime_get_tai_ns)
{
	return clock_ns(CLOCK_TAI);
}

/* The kernel's count starts five minutes before it wraps at 32 bits. The tick
 * rate is not told to user space; distributions have 250. */
#define JIFFIES_HZ 250u
#define JIFFIES_START ((uint64_t)(uint32_t)(-300 * (int)JIFFIES_HZ))

HELPER(jiffies64)
{
	return JIFFIES_START + clock_ns(CLOCK_MONOTONIC_COARSE) / (1000000000u / JIFFIES_HZ);
}

HELPER(get_prandom_u32)
{
	static __thread uint64_t state;
	uint64_t x = state;

	/* splitmix64, seeded once per thread; a forked child shares the parent's
	 * sequence, which a pseudo-random source may. */
	if (unlikely(!x) && getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x))
		x = clock_ns(CLOCK_MONOTONIC);
	x += 0x9e3779b97f4a7c15ull;
	state = x;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (uint32_t)(x >> 32);
}

HELPER(get_smp_processor_id)
{
	int cpu = lease_cpu();

	return cpu < 0 ? 0 : (uint64_t)cpu;
}

HELPER(get_numa_node_id)
{
	unsigned int cpu, node = 0;

	syscall(SYS_getcpu, &cpu, &node, NULL);
	return node;
}

HELPER(get_current_pid_tgid)
{
	const struct vm_env *env = vc->env;

	if (env->pid)
		return (uint64_t)env->tgid << 32 | env->pid;
	if (unlikely(!thread_known()))
		return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
	return (uint64_t)thread_self.pid << 32 | thread_self.tid;
}

/* pid and tgid, if the task's PID namespace is the one of that device and inode number. */
HELPER(get_ns_current_pid_tgid)
{
	struct bpf_pidns_info *info = PTR(c);
	const uint64_t id = helper_get_current_pid_tgid(0, 0, 0, 0, 0, vc);
	char name[48];
	struct stat st;

	memset(info, 0, (uint32_t)d);
	if ((uint32_t)d != sizeof(*info))
		return ERR(-EINVAL);
	snprintf(name, sizeof(name), "/proc/%u/ns/pid", (uint32_t)(id >> 32));
	if (raw_fstatat(AT_FDCWD, name, &st, 0) || st.st_dev != a || st.st_ino != b)
		return ERR(-EINVAL);
	info->pid = (uint32_t)id;
	info->tgid = (uint32_t)(id >> 32);
	return 0;
}

HELPER(get_current_uid_gid)
{
	const struct vm_env *env = vc->env;

	if (env->pid)
		return (uint64_t)env->gid << 32 | env->uid;
	return (uint64_t)getgid() << 32 | getuid();
}

HELPER(get_current_comm)
{
	char name[16] = {0};
	const char *comm = vc->env->comm;
	char *out = PTR(a);
	size_t size = (uint32_t)b, len;

	if (!size)
		return ERR(-EINVAL);
	if (!comm) {
		extern char *program_invocation_short_name;

		strncpy(name, program_invocation_short_name, sizeof(name) - 1);
		comm = name;
	}
	len = strnlen(comm, size - 1);
	memset(out, 0, size);
	memcpy(out, comm, len);
	return 0;
}

HELPER(get_func_ip)
{
	return vc->env->ip;
}

HELPER(get_attach_cookie)
{
	return vc->env->cookie;
}

/* The context of a tracing program: its arguments, then the return value. */
HELPER(get_func_arg)
{
	if ((uint32_t)b >= vc->code->func_args) {
		*(uint64_t *)PTR(c) = 0; /* as in strtol */
		return ERR(-EINVAL);
	}
	*(uint64_t *)PTR(c) = ((const uint64_t *)PTR(a))[(uint32_t)b];
	return 0;
}

HELPER(get_func_ret)
{
	switch (vc->prog->expected_attach_type) {
	case BPF_TRACE_FEXIT:
	case BPF_MODIFY_RETURN:
		*(uint64_t *)PTR(b) = ((const uint64_t *)PTR(a))[vc->code->func_args];
		return 0;
	}
	return ERR(-EOPNOTSUPP);
}

HELPER(get_func_arg_cnt)
{
	return vc->code->func_args;
}

/*
 * A number at the start of len bytes, as the kernel's kstrto family reads it:
 * *value is its magnitude. The bytes read, -EINVAL or -ERANGE.
 */
static long parse_number(const char *buf, size_t len, uint64_t flags, uint64_t *value,
			 bool *negative)
{
	unsigned int base = (unsigned int)flags, digit;
	size_t i = 0, start, end;
	bool overflow = false;

	if (!buf || !len || (base != 0 && base != 8 && base != 10 && base != 16) || flags != base)
		return -EINVAL;
	while (i < len && isspace((unsigned char)buf[i]))
		i++;
	*negative = i < len && buf[i] == '-';
	if (*negative)
		i++;
	/* The kernel looks at 63 characters of the rest. */
	end = len - i > 63 ? i + 63 : len;
	if (i < end && buf[i] == '0' && base != 10 && base != 8) {
		bool hex = i + 1 < end && (buf[i + 1] | 0x20) == 'x';

		if (!base)
			base = hex && i + 2 < end && isxdigit((unsigned char)buf[i + 2]) ? 16 : 8;
		if (base == 16 && hex)
			i += 2;
	}
	if (!base)
		base = 10;
	*value = 0;
	for (start = i; i < end; i++) {
		char ch = buf[i];

		if (ch >= '0' && ch <= '9')
			digit = (unsigned int)(ch - '0');
		else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
			digit = (unsigned int)((ch | 0x20) - 'a') + 10;
		else
			break;
		if (digit >= base)
			break;
		overflow |= __builtin_mul_overflow(*value, (uint64_t)base, value);
		overflow |= __builtin_add_overflow(*value, (uint64_t)digit, value);
	}
	if (overflow)
		return -ERANGE;
	return i == start ? -EINVAL : (long)i;
}

HELPER(strtol)
{
	uint64_t value;
	bool negative;
	long n = parse_number(PTR(a), b, c, &value, &negative);

	/* The verifier counts the result as written: also when there is none, or a
	 * slot of the frame would show what this thread's stack held before. */
	*(int64_t *)PTR(d) = 0;
	if (n < 0)
		return ERR(n);
	if (value > (uint64_t)INT64_MAX + negative)
		return ERR(-ERANGE);
	*(int64_t *)PTR(d) = (int64_t)(negative ? -value : value);
	return (uint64_t)n;
}

HELPER(strtoul)
{
	uint64_t value;
	bool negative;
	long n = parse_number(PTR(a), b, c, &value, &negative);

	*(uint64_t *)PTR(d) = 0;
	if (n < 0)
		return ERR(n);
	if (negative)
		return ERR(-EINVAL);
	*(uint64_t *)PTR(d) = value;
	return (uint64_t)n;
}

HELPER(strncmp)
{
	const unsigned char *s = PTR(a), *t = PTR(c);
	uint32_t i, size = (uint32_t)b;

	for (i = 0; i < size; i++) {
		if (s[i] != t[i])
			return s[i] < t[i] ? ERR(-1) : 1;
		if (!s[i])
			break;
	}
	return 0;
}
