/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stand-ins for libbpf and libmd, which these tests do not have for arm64: no BTF can be
 * parsed, and the digest of a program is some number of its bytes that is not SHA-256.
 */
#include <errno.h>
#include <string.h>

#include <bpf/btf.h>
#include <sha2.h>

struct btf *btf__new(const void *data, __u32 size)
{
	errno = EOPNOTSUPP;
	return NULL;
}

struct btf *btf__parse(const char *path, struct btf_ext **ext)
{
	errno = EOPNOTSUPP;
	return NULL;
}

void btf__free(struct btf *btf)
{
}

__u32 btf__type_cnt(const struct btf *btf)
{
	return 0;
}

const struct btf_type *btf__type_by_id(const struct btf *btf, __u32 id)
{
	return NULL;
}

const char *btf__name_by_offset(const struct btf *btf, __u32 offset)
{
	return NULL;
}

const char *btf__str_by_offset(const struct btf *btf, __u32 offset)
{
	return NULL;
}

const void *btf__raw_data(const struct btf *btf, __u32 *size)
{
	return NULL;
}

__s32 btf__find_by_name_kind(const struct btf *btf, const char *name, __u32 kind)
{
	return -ENOENT;
}

__s64 btf__resolve_size(const struct btf *btf, __u32 id)
{
	return -ENOENT;
}

void SHA256Init(SHA2_CTX *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->state.st64[0] = 0xcbf29ce484222325;
}

void SHA256Update(SHA2_CTX *ctx, const uint8_t *data, size_t len)
{
	while (len--)
		ctx->state.st64[0] = (ctx->state.st64[0] ^ *data++) * 0x100000001b3;
}

void SHA256Final(uint8_t digest[SHA256_DIGEST_LENGTH], SHA2_CTX *ctx)
{
	memset(digest, 0, SHA256_DIGEST_LENGTH);
	memcpy(digest, ctx->state.st64, sizeof(uint64_t));
}
