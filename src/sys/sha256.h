/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 of memory that may not be there; the hashing is libmd's. */
#ifndef SHMAP_SYS_SHA256_H
#define SHMAP_SYS_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

/* Of n bytes at data, read with uaccess_copy(). 0 or -EFAULT. */
int sha256(uint8_t digest[SHA256_SIZE], const void *data, size_t n);

#endif
