/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/sha256.h"

#include <sha2.h>

#include "base/errors.h"
#include "base/uaccess.h"

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "one digest");

int sha256(uint8_t digest[SHA256_SIZE], const void *data, size_t n)
{
	const uint8_t *p = data;
	uint8_t piece[512];
	SHA2_CTX ctx;
	size_t len;

	SHA256Init(&ctx);
	for (; n; n -= len, p += len) {
		len = n < sizeof(piece) ? n : sizeof(piece);
		if (uaccess_copy(piece, p, len))
			return -EFAULT;
		SHA256Update(&ctx, piece, len);
	}
	SHA256Final(digest, &ctx);
	return 0;
}
