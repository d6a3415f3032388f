/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors are negative errno values inside shmap; errno is set once, at the
 * edge (src/preload/, include/shmap.h). ENOTSUPP is the kernel's 524: libc has
 * no name for it, but bpf(2) returns it and libbpf tells it from EOPNOTSUPP.
 */
#ifndef SHMAP_BASE_ERRORS_H
#define SHMAP_BASE_ERRORS_H

#include <errno.h>

#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

#endif
