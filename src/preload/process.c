/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals, limits, mounts. */
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>

#include "base/uaccess.h"
#include "preload/preload.h"

/* SIGSEGV and SIGBUS are shared with uaccess_copy(). */
static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (is_fault(sig))
		return edge(uaccess_sigaction(sig, act, old));
	return REAL(sigaction)(sig, act, old);
}

EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return sigaction(sig, act, old);
}

static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	if (edge(uaccess_sigaction(sig, &act, &old)))
		return SIG_ERR;
	return old.sa_handler; /* one union with sa_sigaction */
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return is_fault(sig) ? set_handler(sig, handler, SA_RESTART) : REAL(signal)(sig, handler);
}

EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

/*
 * Clients raise RLIMIT_MEMLOCK for kernels that charge maps to it; nothing is
 * charged here, so that being refused is no failure. Other limits, and what
 * the limit then reads, are the kernel's business.
 */
static bool harmless(int resource, const void *limit, int ret)
{
	return ret < 0 && errno == EPERM && resource == RLIMIT_MEMLOCK && limit;
}

#define SETRLIMIT(name, type)                                                                      \
	EXPORT int name(__rlimit_resource_t resource, const struct type *limit)                    \
	{                                                                                          \
		int saved = errno, ret = REAL(name)(resource, limit);                              \
                                                                                                   \
		if (!harmless(resource, limit, ret))                                               \
			return ret;                                                                \
		errno = saved;                                                                     \
		return 0;                                                                          \
	}

SETRLIMIT(setrlimit, rlimit)
SETRLIMIT(setrlimit64, rlimit64)

#define PRLIMIT(name, type)                                                                        \
	EXPORT int name(pid_t pid, enum __rlimit_resource resource, const struct type *limit,      \
			struct type *old)                                                          \
	{                                                                                          \
		int saved = errno, ret = REAL(name)(pid, resource, limit, old);                    \
                                                                                                   \
		if (!harmless(resource, limit, ret) || (pid && pid != getpid()))                   \
			return ret;                                                                \
		errno = saved;                                                                     \
		return old ? REAL(name)(pid, resource, NULL, old) : 0;                             \
	}

PRLIMIT(prlimit, rlimit)
PRLIMIT(prlimit64, rlimit64)

/* The pin tree is there already. */
EXPORT int mount(const char *source, const char *target, const char *type, unsigned long flags,
		 const void *data)
{
	struct path p;

	if (path_special(target) && path_resolve(target, &p) == PATH_BPFFS)
		return p.rest[0] ? fail(EPERM) : 0;
	return REAL(mount)(source, target, type, flags, data);
}
