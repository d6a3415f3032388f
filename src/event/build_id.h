/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_EVENT_BUILD_ID_H
#define SHMAP_EVENT_BUILD_ID_H

#include <errno.h>
#include <stdint.h>

#include "vm/vm.h"

/* struct vm_env.build_id for the process of thread tid, whose memory env reads. 0 or -ENOENT. */
int build_id_find(const struct vm_env *env, int tid, uint64_t ip, uint8_t id[20], uint64_t *offset);

#endif
