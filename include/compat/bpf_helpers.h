/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf's helpers, and what they had until 1.0. */
#ifndef SHMAP_COMPAT_BPF_HELPERS_H
#define SHMAP_COMPAT_BPF_HELPERS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <shmap_compat.h>

#endif
