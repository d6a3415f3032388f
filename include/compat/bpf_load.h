/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader of the kernel's samples: load_bpf_file(), map_fd[], prog_fd[]. */
#include <shmap_compat.h>
