/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands for the current task's struct task_struct: helpers_storage.c. */
#ifndef SHMAP_VM_TASK_IMAGE_H
#define SHMAP_VM_TASK_IMAGE_H

#include <stdint.h>

/* The id of struct task_struct in the kernel's BTF; 0: there is no such BTF, and no image. */
uint32_t task_image_btf_id(void);

#endif
