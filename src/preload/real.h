/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libc's own functions behind the ones that this library defines.
 *
 * They are found with dlsym(RTLD_NEXT) in the constructor, or by the first
 * call before it: dlsym() may allocate, so that a signal handler must not be
 * the first to need one.
 */
#ifndef SHMAP_PRELOAD_REAL_H
#define SHMAP_PRELOAD_REAL_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <utmp.h>

#include "base/atomic.h"
#include "base/bits.h"

struct bpf_object;
struct bpf_object_open_opts;

/* clang-format off */
#define REAL_FUNCTIONS(F)                                                                          \
	/* libbpf's; NULL in programs without it */                                                \
	F(struct bpf_object *, bpf_object__open, (const char *))                                   \
	F(struct bpf_object *, bpf_object__open_file,                                              \
	  (const char *, const struct bpf_object_open_opts *))                                     \
	F(struct bpf_object *, bpf_object__open_mem,                                               \
	  (const void *, size_t, const struct bpf_object_open_opts *))                             \
	/* closing and replacing fds */                                                            \
	F(int, close, (int))                                                                       \
	F(int, dup2, (int, int))                                                                   \
	F(int, dup3, (int, int, int))                                                              \
	F(int, close_range, (unsigned int, unsigned int, int))                                     \
	F(void, closefrom, (int))                                                                  \
	F(int, fclose, (FILE *))                                                                   \
	F(int, pclose, (FILE *))                                                                   \
	F(int, closedir, (DIR *))                                                                  \
	F(FILE *, freopen, (const char *, const char *, FILE *))                                   \
	F(FILE *, freopen64, (const char *, const char *, FILE *))                                 \
	F(FILE *, fdopen, (int, const char *))                                                     \
	F(int, daemon, (int, int))                                                                 \
	F(int, login_tty, (int))                                                                   \
	/* reading and writing */                                                                  \
	F(ssize_t, read, (int, void *, size_t))                                                    \
	F(ssize_t, __read_chk, (int, void *, size_t, size_t))                                      \
	F(ssize_t, pread, (int, void *, size_t, off_t))                                            \
	F(ssize_t, pread64, (int, void *, size_t, off64_t))                                        \
	F(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t))                              \
	F(ssize_t, __pread64_chk, (int, void *, size_t, off64_t, size_t))                          \
	F(ssize_t, readv, (int, const struct iovec *, int))                                        \
	F(ssize_t, preadv, (int, const struct iovec *, int, off_t))                                \
	F(ssize_t, preadv64, (int, const struct iovec *, int, off64_t))                            \
	F(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                          \
	F(ssize_t, preadv64v2, (int, const struct iovec *, int, off64_t, int))                     \
	F(ssize_t, write, (int, const void *, size_t))                                             \
	F(ssize_t, pwrite, (int, const void *, size_t, off_t))                                     \
	F(ssize_t, pwrite64, (int, const void *, size_t, off64_t))                                 \
	F(ssize_t, writev, (int, const struct iovec *, int))                                       \
	F(ssize_t, pwritev, (int, const struct iovec *, int, off_t))                               \
	F(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t))                           \
	F(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                         \
	F(ssize_t, pwritev64v2, (int, const struct iovec *, int, off64_t, int))                    \
	F(int, vdprintf, (int, const char *, va_list))                                             \
	F(int, __vdprintf_chk, (int, int, const char *, va_list))                                  \
	F(off_t, lseek, (int, off_t, int))                                                         \
	F(off64_t, lseek64, (int, off64_t, int))                                                   \
	F(int, ftruncate, (int, off_t))                                                            \
	F(int, ftruncate64, (int, off64_t))                                                        \
	F(int, fallocate, (int, int, off_t, off_t))                                                \
	F(int, fallocate64, (int, int, off64_t, off64_t))                                          \
	F(int, posix_fallocate, (int, off_t, off_t))                                               \
	F(int, posix_fallocate64, (int, off64_t, off64_t))                                         \
	F(ssize_t, sendfile, (int, int, off_t *, size_t))                                          \
	F(ssize_t, sendfile64, (int, int, off64_t *, size_t))                                      \
	F(ssize_t, copy_file_range, (int, off64_t *, int, off64_t *, size_t, unsigned int))        \
	F(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned int))                 \
	F(int, flock, (int, int))                                                                  \
	F(int, fchmod, (int, mode_t))                                                              \
	F(int, fchown, (int, uid_t, gid_t))                                                        \
	F(int, ioctl, (int, unsigned long, ...))                                                   \
	/* waiting, mapping */                                                                     \
	F(int, poll, (struct pollfd *, nfds_t, int))                                               \
	F(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	F(int, epoll_ctl, (int, int, int, struct epoll_event *))                                   \
	F(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
	F(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                      \
	F(int, pselect,                                                                            \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
	F(void *, mmap, (void *, size_t, int, int, int, off_t))                                    \
	F(void *, mmap64, (void *, size_t, int, int, int, off64_t))                                \
	/* paths */                                                                                \
	F(int, open, (const char *, int, ...))                                                     \
	F(int, open64, (const char *, int, ...))                                                   \
	F(int, openat, (int, const char *, int, ...))                                              \
	F(int, openat64, (int, const char *, int, ...))                                            \
	F(FILE *, fopen, (const char *, const char *))                                             \
	F(FILE *, fopen64, (const char *, const char *))                                           \
	F(FILE *, setmntent, (const char *, const char *))                                         \
	F(int, stat, (const char *, struct stat *))                                                \
	F(int, stat64, (const char *, struct stat64 *))                                            \
	F(int, lstat, (const char *, struct stat *))                                               \
	F(int, lstat64, (const char *, struct stat64 *))                                           \
	F(int, fstatat, (int, const char *, struct stat *, int))                                   \
	F(int, fstatat64, (int, const char *, struct stat64 *, int))                               \
	F(int, statx, (int, const char *, int, unsigned int, struct statx *))                      \
	F(int, access, (const char *, int))                                                        \
	F(int, euidaccess, (const char *, int))                                                    \
	F(int, faccessat, (int, const char *, int, int))                                           \
	F(int, mkdir, (const char *, mode_t))                                                      \
	F(int, mkdirat, (int, const char *, mode_t))                                               \
	F(int, rmdir, (const char *))                                                              \
	F(int, unlink, (const char *))                                                             \
	F(int, unlinkat, (int, const char *, int))                                                 \
	F(int, remove, (const char *))                                                             \
	F(int, rename, (const char *, const char *))                                               \
	F(int, renameat, (int, const char *, int, const char *))                                   \
	F(int, renameat2, (int, const char *, int, const char *, unsigned int))                    \
	F(int, link, (const char *, const char *))                                                 \
	F(int, linkat, (int, const char *, int, const char *, int))                                \
	F(int, symlink, (const char *, const char *))                                              \
	F(int, symlinkat, (const char *, int, const char *))                                       \
	F(int, chmod, (const char *, mode_t))                                                      \
	F(int, fchmodat, (int, const char *, mode_t, int))                                         \
	F(int, chown, (const char *, uid_t, gid_t))                                                \
	F(int, lchown, (const char *, uid_t, gid_t))                                               \
	F(int, fchownat, (int, const char *, uid_t, gid_t, int))                                   \
	F(int, truncate, (const char *, off_t))                                                    \
	F(int, truncate64, (const char *, off64_t))                                                \
	F(int, chdir, (const char *))                                                              \
	F(ssize_t, getxattr, (const char *, const char *, void *, size_t))                         \
	F(ssize_t, lgetxattr, (const char *, const char *, void *, size_t))                        \
	F(ssize_t, listxattr, (const char *, char *, size_t))                                      \
	F(ssize_t, llistxattr, (const char *, char *, size_t))                                     \
	F(int, inotify_add_watch, (int, const char *, uint32_t))                                   \
	F(DIR *, opendir, (const char *))                                                          \
	F(int, nftw, (const char *, __nftw_func_t, int, int))                                      \
	F(int, nftw64, (const char *, __nftw64_func_t, int, int))                                  \
	F(char *, realpath, (const char *, char *))                                                \
	F(char *, __realpath_chk, (const char *, char *, size_t))                                  \
	F(int, statfs, (const char *, struct statfs *))                                            \
	F(int, statfs64, (const char *, struct statfs64 *))                                        \
	F(int, fstatfs, (int, struct statfs *))                                                    \
	F(int, fstatfs64, (int, struct statfs64 *))                                                \
	F(ssize_t, readlink, (const char *, char *, size_t))                                       \
	F(ssize_t, readlinkat, (int, const char *, char *, size_t))                                \
	F(ssize_t, __readlink_chk, (const char *, char *, size_t, size_t))                         \
	F(ssize_t, __readlinkat_chk, (int, const char *, char *, size_t, size_t))                  \
	F(int, mount, (const char *, const char *, const char *, unsigned long, const void *))     \
	/* process */                                                                              \
	F(int, sigaction, (int, const struct sigaction *, struct sigaction *))                     \
	F(sighandler_t, signal, (int, sighandler_t))                                               \
	F(int, setrlimit, (__rlimit_resource_t, const struct rlimit *))                            \
	F(int, setrlimit64, (__rlimit_resource_t, const struct rlimit64 *))                        \
	F(int, prlimit, (pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *))   \
	F(int, prlimit64, (pid_t, enum __rlimit_resource, const struct rlimit64 *,                 \
			   struct rlimit64 *))
/* clang-format on */

struct real {
#define F(ret, name, params) ret(*name) params;
	REAL_FUNCTIONS(F)
#undef F
};

extern struct real real_functions;
void real_resolve(void);

#define REAL(name)                                                                                 \
	(likely(!!load_relaxed(&real_functions.name)) ? real_functions.name                        \
						      : (real_resolve(), real_functions.name))

#endif
