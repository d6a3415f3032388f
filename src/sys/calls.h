/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's system calls under the kernel's names (__x64_sys_NAME). */
#ifndef SHMAP_SYS_CALLS_H
#define SHMAP_SYS_CALLS_H

#define CALLS_MAX 1024

#if defined(__x86_64__)
#define CALL_PREFIX "__x64_sys_"
#elif defined(__aarch64__)
#define CALL_PREFIX "__arm64_sys_"
#endif

/* The number of a call, or -ENOENT; its name, or NULL. */
int call_number(const char *name);
const char *call_name(int number);
/* The call whose entry function has this name, or -ENOENT. */
int call_of_function(const char *function);

#endif
