/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls without libc.
 *
 * The preload layer defines close, open, mmap, readlink, syscall and others in
 * front of libc's; a call of ours to such a name would come back to us. So
 * everything below that layer enters the kernel here. All return the result or
 * -errno, leave errno alone, are async-signal-safe and are no cancellation
 * points (a thread cannot be cancelled in the middle of a map operation).
 */
#ifndef SHMAP_BASE_RAWSYS_H
#define SHMAP_BASE_RAWSYS_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

struct statfs;
struct rlimit;
struct pollfd;

#if defined(__x86_64__)
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "shmap runs on x86-64 and aarch64"
#endif

#define raw_syscall0(nr) raw_syscall6((nr), 0, 0, 0, 0, 0, 0)
#define raw_syscall1(nr, a) raw_syscall6((nr), (long)(a), 0, 0, 0, 0, 0)
#define raw_syscall2(nr, a, b) raw_syscall6((nr), (long)(a), (long)(b), 0, 0, 0, 0)
#define raw_syscall3(nr, a, b, c) raw_syscall6((nr), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define raw_syscall4(nr, a, b, c, d)                                                               \
	raw_syscall6((nr), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define raw_syscall5(nr, a, b, c, d, e)                                                            \
	raw_syscall6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* files */
static inline int raw_openat(int dir, const char *path, int flags, mode_t mode)
{
	return (int)raw_syscall4(SYS_openat, dir, path, flags, mode);
}

static inline int raw_close(int fd)
{
	return (int)raw_syscall1(SYS_close, fd);
}

static inline int raw_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	return (int)raw_syscall3(SYS_close_range, first, last, flags);
}

static inline int raw_dup(int fd)
{
	return (int)raw_syscall1(SYS_dup, fd);
}

static inline int raw_dup3(int fd, int to, int flags)
{
	return (int)raw_syscall3(SYS_dup3, fd, to, flags);
}

static inline int raw_fcntl(int fd, int cmd, long arg)
{
	return (int)raw_syscall3(SYS_fcntl, fd, cmd, arg);
}

static inline int raw_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return (int)raw_syscall3(SYS_ioctl, fd, request, arg);
}

static inline int raw_flock(int fd, int op)
{
	return (int)raw_syscall2(SYS_flock, fd, op);
}

/* libc's struct stat is the kernel's on both architectures. */
static inline int raw_fstat(int fd, struct stat *st)
{
	return (int)raw_syscall2(SYS_fstat, fd, st);
}

static inline int raw_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return (int)raw_syscall4(SYS_newfstatat, dir, path, st, flags);
}

static inline int raw_fstatfs(int fd, struct statfs *st)
{
	return (int)raw_syscall2(SYS_fstatfs, fd, st);
}

static inline int raw_statfs(const char *path, struct statfs *st)
{
	return (int)raw_syscall2(SYS_statfs, path, st);
}

static inline int raw_faccessat(int dir, const char *path, int mode)
{
	return (int)raw_syscall3(SYS_faccessat, dir, path, mode);
}

static inline int raw_fchmod(int fd, mode_t mode)
{
	return (int)raw_syscall2(SYS_fchmod, fd, mode);
}

static inline int raw_ftruncate(int fd, off_t size)
{
	return (int)raw_syscall2(SYS_ftruncate, fd, size);
}

static inline int raw_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return (int)raw_syscall4(SYS_fallocate, fd, mode, offset, len);
}

static inline ssize_t raw_read(int fd, void *buf, size_t n)
{
	return raw_syscall3(SYS_read, fd, buf, n);
}

static inline ssize_t raw_write(int fd, const void *buf, size_t n)
{
	return raw_syscall3(SYS_write, fd, buf, n);
}

static inline ssize_t raw_pread(int fd, void *buf, size_t n, off_t offset)
{
	return raw_syscall4(SYS_pread64, fd, buf, n, offset);
}

static inline ssize_t raw_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	return raw_syscall4(SYS_pwrite64, fd, buf, n, offset);
}

/* names */
static inline int raw_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return (int)raw_syscall5(SYS_linkat, from_dir, from, to_dir, to, flags);
}

static inline int raw_unlinkat(int dir, const char *path, int flags)
{
	return (int)raw_syscall3(SYS_unlinkat, dir, path, flags);
}

static inline int raw_mkdirat(int dir, const char *path, mode_t mode)
{
	return (int)raw_syscall3(SYS_mkdirat, dir, path, mode);
}

static inline int raw_renameat2(int from_dir, const char *from, int to_dir, const char *to,
				unsigned int flags)
{
	return (int)raw_syscall5(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static inline ssize_t raw_readlinkat(int dir, const char *path, char *buf, size_t size)
{
	return raw_syscall4(SYS_readlinkat, dir, path, buf, size);
}

static inline ssize_t raw_getdents64(int fd, void *buf, size_t size)
{
	return raw_syscall3(SYS_getdents64, fd, buf, size);
}

static inline ssize_t raw_getcwd(char *buf, size_t size)
{
	return raw_syscall2(SYS_getcwd, buf, size);
}

/* memory; raw_mmap() returns an address or -errno: test with raw_is_error() */
static inline int raw_is_error(const void *p)
{
	return (uintptr_t)p > (uintptr_t)-4096L;
}

#if defined(__SANITIZE_THREAD__)
/* The thread sanitizer must see that an address is new memory, or it compares
 * what two mappings did with the same address; not the fd, whose number may
 * mean something else when it is used at the same time. So: libc's mmap for the
 * address, the kernel's for what stands there. */
#include <errno.h>
#include <sys/mman.h>

static inline void *raw_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	int saved = errno;
	int seen =
		flags & MAP_ANONYMOUS ? flags : MAP_PRIVATE | MAP_ANONYMOUS | (flags & MAP_FIXED);
	void *p = mmap(addr, len, prot, seen, -1, 0), *q = p;

	if (p == MAP_FAILED)
		q = (void *)(long)-errno;
	else if (!(flags & MAP_ANONYMOUS))
		q = (void *)raw_syscall6(SYS_mmap, (long)p, (long)len, prot, flags | MAP_FIXED, fd,
					 offset);
	if (p != q && p != MAP_FAILED)
		munmap(p, len);
	errno = saved;
	return q;
}

static inline int raw_munmap(void *addr, size_t len)
{
	int saved = errno, ret = munmap(addr, len) ? -errno : 0;

	errno = saved;
	return ret;
}
#else
static inline void *raw_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)raw_syscall6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset);
}

static inline int raw_munmap(void *addr, size_t len)
{
	return (int)raw_syscall2(SYS_munmap, addr, len);
}
#endif

static inline int raw_mprotect(void *addr, size_t len, int prot)
{
	return (int)raw_syscall3(SYS_mprotect, addr, len, prot);
}

static inline int raw_madvise(void *addr, size_t len, int advice)
{
	return (int)raw_syscall3(SYS_madvise, addr, len, advice);
}

/* processes, threads, time */
static inline pid_t raw_getpid(void)
{
	return (pid_t)raw_syscall0(SYS_getpid);
}

static inline pid_t raw_gettid(void)
{
	return (pid_t)raw_syscall0(SYS_gettid);
}

static inline uid_t raw_geteuid(void)
{
	return (uid_t)raw_syscall0(SYS_geteuid);
}

static inline int raw_tgkill(pid_t tgid, pid_t tid, int sig)
{
	return (int)raw_syscall3(SYS_tgkill, tgid, tid, sig);
}

static inline int raw_prlimit(pid_t pid, int resource, const void *new_limit, void *old_limit)
{
	return (int)raw_syscall4(SYS_prlimit64, pid, resource, new_limit, old_limit);
}

static inline int raw_sched_yield(void)
{
	return (int)raw_syscall0(SYS_sched_yield);
}

static inline int raw_getcpu(unsigned int *cpu)
{
	return (int)raw_syscall3(SYS_getcpu, cpu, NULL, NULL);
}

static inline int raw_nanosleep(const struct timespec *ts, struct timespec *left)
{
	return (int)raw_syscall2(SYS_nanosleep, ts, left);
}

static inline int raw_clock_gettime(clockid_t clock, struct timespec *ts)
{
	return (int)raw_syscall2(SYS_clock_gettime, clock, ts);
}

/* sigset points to the kernel's 8-byte signal set; how is SIG_BLOCK, ... */
static inline int raw_sigprocmask(int how, const uint64_t *set, uint64_t *old)
{
	return (int)raw_syscall4(SYS_rt_sigprocmask, how, set, old, 8);
}

static inline int raw_ppoll(struct pollfd *fds, unsigned int n, const struct timespec *timeout)
{
	return (int)raw_syscall5(SYS_ppoll, fds, n, timeout, NULL, 0);
}

static inline long raw_futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout,
			     uint32_t *word2, uint32_t val3)
{
	return raw_syscall6(SYS_futex, (long)word, op, val, (long)timeout, (long)word2, val3);
}

#endif
