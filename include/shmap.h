/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap: the BPF map subsystem in user space.
 *
 * Maps and programs are used through <bpf/bpf.h>, <bpf/libbpf.h> and bpf(2):
 * a program linked with -lshmap -lbpf, or started by `shmap exec`, is served by
 * shmap; the same program without it, by the kernel. This header holds what
 * the kernel does not have.
 *
 * Environment:
 *   SHMAP_DIR     the runtime directory; default /dev/shm/shmap-UID. Processes
 *                 with the same one share maps, programs and pins.
 *   SHMAP_BPFFS   "kernel": paths below /sys/fs/bpf are the kernel's, not the
 *                 pins in the runtime directory.
 */
#ifndef SHMAP_H
#define SHMAP_H

#ifdef __cplusplus
extern "C" {
#endif

#define SHMAP_VERSION_MAJOR 0
#define SHMAP_VERSION_MINOR 1
#define SHMAP_VERSION_PATCH 0
#define SHMAP_VERSION "0.1.0"

/*
 * The version of the library that serves this process, "MAJOR.MINOR.PATCH".
 * Declared weak, so that a program can ask whether it is there at all:
 *
 *	if (shmap_version)
 *		printf("on shmap %s\n", shmap_version());
 */
const char *shmap_version(void)
#ifndef SHMAP_BUILD
	__attribute__((weak))
#endif
	;

#ifdef __cplusplus
}
#endif

#endif
