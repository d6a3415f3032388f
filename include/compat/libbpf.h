/* SPDX-License-Identifier: BSD-2-Clause */
/* The samples' own file of that name: bpf(2) by functions. */
#include <shmap_compat.h>
