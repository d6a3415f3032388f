/* SPDX-License-Identifier: BSD-2-Clause */
/* Dynptrs when the program runs: helpers and kfuncs. */
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/dynptr.h"
#include "vm/kfuncs.h"

#define SKB_STORE_FLAGS (BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH)
#define COPY_CHUNK 256

static bool is_packet(const struct dynptr *p)
{
	return p->kind == DYNPTR_SKB || p->kind == DYNPTR_XDP;
}

/* The run's packet with its fragments; helpers may move it. */
static uint32_t packet_len(const struct vm_context *vc)
{
	const struct vm_env *env = vc->env;

	return (uint32_t)((env->pkt_last ? env->pkt_last : env->pkt_end) - env->pkt);
}

/* len bytes at `offset` of the packet, in one piece; NULL: they are not there. linear:
 * before the fragments, where programs have pointers to. */
static uint8_t *packet_at(const struct vm_context *vc, uint32_t offset, uint32_t len, bool linear)
{
	const struct vm_env *env = vc->env;
	const uint64_t size =
		linear ? (uint64_t)(env->pkt_end - env->pkt) : (uint64_t)packet_len(vc);

	return env->pkt && (uint64_t)offset + len <= size ? env->pkt + offset : NULL;
}

/* Does the dynptr have [offset, offset + len)? */
static bool dynptr_has(const struct dynptr *p, uint32_t offset, uint32_t len)
{
	return len <= p->size && offset <= p->size - len;
}

/* The memory at `offset` of what dynptr_has(); NULL: the packet has become shorter. */
static uint8_t *dynptr_at(const struct vm_context *vc, const struct dynptr *p, uint32_t offset,
			  uint32_t len)
{
	if (is_packet(p))
		return packet_at(vc, p->offset + offset, len, false);
	return p->data + offset;
}

static int dynptr_get(const struct vm_context *vc, void *dst, const struct dynptr *p,
		      uint32_t offset, uint32_t len)
{
	const uint8_t *at;

	if (!p->data)
		return -EINVAL;
	if (!dynptr_has(p, offset, len))
		return -E2BIG;
	at = dynptr_at(vc, p, offset, len);
	if (!at)
		return -EFAULT;
	memmove(dst, at, len);
	return 0;
}

static int dynptr_put(const struct vm_context *vc, const struct dynptr *p, uint32_t offset,
		      const void *src, uint32_t len, uint64_t flags)
{
	uint8_t *at;

	if (!p->data || p->rdonly)
		return -EINVAL;
	if (!dynptr_has(p, offset, len))
		return -E2BIG;
	if (flags & ~(uint64_t)(p->kind == DYNPTR_SKB ? SKB_STORE_FLAGS : 0))
		return -EINVAL;
	at = dynptr_at(vc, p, offset, len);
	if (!at)
		return -EFAULT;
	memmove(at, src, len);
	return 0;
}

HELPER(dynptr_from_mem)
{
	struct dynptr *p = PTR(d);

	*p = (struct dynptr){0};
	if ((uint32_t)b > DYNPTR_SIZE_MAX)
		return ERR(-E2BIG);
	if (c)
		return ERR(-EINVAL);
	p->data = PTR(a);
	p->size = (uint32_t)b;
	p->kind = DYNPTR_LOCAL;
	return 0;
}

HELPER(dynptr_read)
{
	return e ? ERR(-EINVAL) : ERR(dynptr_get(vc, PTR(a), PTR(c), (uint32_t)d, (uint32_t)b));
}

HELPER(dynptr_write)
{
	return ERR(dynptr_put(vc, PTR(a), (uint32_t)b, PTR(c), (uint32_t)d, e));
}

HELPER(dynptr_data)
{
	const struct dynptr *p = PTR(a);

	if (!p->data || !dynptr_has(p, (uint32_t)b, (uint32_t)c) || p->rdonly || is_packet(p))
		return 0;
	return (uintptr_t)(p->data + (uint32_t)b);
}

/* ---- kfuncs ---- */

static uint64_t from_packet(struct vm_context *vc, uint64_t ctx, uint64_t flags, struct dynptr *p,
			    enum dynptr_kind kind)
{
	const uint32_t type = vc->prog->type;

	*p = (struct dynptr){0};
	if (flags)
		return INT(-EINVAL);
	p->data = PTR(ctx);
	p->size = packet_len(vc);
	p->kind = kind;
	p->rdonly = type == BPF_PROG_TYPE_SOCKET_FILTER;
	return 0;
}

KFUNC(dynptr_from_skb)
{
	return from_packet(vc, a, b, PTR(c), DYNPTR_SKB);
}

KFUNC(dynptr_from_xdp)
{
	return from_packet(vc, a, b, PTR(c), DYNPTR_XDP);
}

KFUNC(dynptr_slice)
{
	const struct dynptr *p = PTR(a);
	const uint32_t offset = (uint32_t)b, len = (uint32_t)d;
	uint8_t *at;

	if (!p->data || !dynptr_has(p, offset, len))
		return 0;
	if (!is_packet(p))
		return (uintptr_t)(p->data + offset);
	at = packet_at(vc, p->offset + offset, len, true);
	if (at)
		return (uintptr_t)at;
	at = packet_at(vc, p->offset + offset, len, false);
	if (!at || !c)
		return 0;
	memmove(PTR(c), at, len);
	return c;
}

KFUNC(dynptr_slice_rdwr)
{
	const struct dynptr *p = PTR(a);

	return !p->data || p->rdonly ? 0 : kfunc_dynptr_slice(a, b, c, d, e, vc);
}

KFUNC(dynptr_adjust)
{
	struct dynptr *p = PTR(a);
	const uint32_t start = (uint32_t)b, end = (uint32_t)c;

	if (!p->data || start > end)
		return INT(-EINVAL);
	if (start > p->size || end > p->size)
		return INT(-ERANGE);
	if (is_packet(p))
		p->offset += start;
	else
		p->data += start;
	p->size = end - start;
	return 0;
}

KFUNC(dynptr_is_null)
{
	return !((const struct dynptr *)PTR(a))->data;
}

KFUNC(dynptr_is_rdonly)
{
	const struct dynptr *p = PTR(a);

	return p->data && p->rdonly;
}

KFUNC(dynptr_size)
{
	const struct dynptr *p = PTR(a);

	return p->data ? p->size : INT(-EINVAL);
}

KFUNC(dynptr_clone)
{
	const struct dynptr *p = PTR(a);
	struct dynptr *clone = PTR(b);

	*clone = p->data ? *p : (struct dynptr){0};
	return p->data ? 0 : INT(-EINVAL);
}

KFUNC(dynptr_copy)
{
	const struct dynptr *dst = PTR(a), *src = PTR(c);
	const uint32_t to = (uint32_t)b, from = (uint32_t)d, len = (uint32_t)e;
	uint8_t *out, *in;

	if (!src->data || !dst->data || dst->rdonly)
		return INT(-EINVAL);
	if (!dynptr_has(dst, to, len) || !dynptr_has(src, from, len))
		return INT(-E2BIG);
	out = dynptr_at(vc, dst, to, len);
	in = dynptr_at(vc, src, from, len);
	if (!out || !in)
		return INT(-EFAULT);
	memmove(out, in, len);
	return 0;
}

KFUNC(dynptr_memset)
{
	const struct dynptr *p = PTR(a);
	uint8_t *at;

	if (!p->data || p->rdonly)
		return INT(-EINVAL);
	if (!dynptr_has(p, (uint32_t)b, (uint32_t)c))
		return INT(-E2BIG);
	at = dynptr_at(vc, p, (uint32_t)b, (uint32_t)c);
	if (!at)
		return INT(-EFAULT);
	memset(at, (uint8_t)d, (uint32_t)c);
	return 0;
}

/* Reads like the helper `read`, a chunk after the other. */
static uint64_t read_into(struct vm_context *vc, const struct dynptr *p, uint32_t offset,
			  uint32_t size, uint64_t from, vm_helper_fn read)
{
	uint8_t chunk[COPY_CHUNK];
	uint32_t done = 0, n;
	int err;

	if (!p->data || p->rdonly)
		return INT(-EINVAL);
	if (!dynptr_has(p, offset, size))
		return INT(-E2BIG);
	for (; done < size; done += n) {
		n = size - done < COPY_CHUNK ? size - done : COPY_CHUNK;
		err = (int)read((uintptr_t)chunk, n, from + done, 0, 0, vc);
		if (!err)
			err = dynptr_put(vc, p, offset + done, chunk, n, 0);
		if (err)
			return INT(err);
	}
	return 0;
}

KFUNC(probe_read_kernel_dynptr)
{
	return read_into(vc, PTR(a), (uint32_t)b, (uint32_t)c, d, helper_probe_read_kernel);
}

KFUNC(probe_read_user_dynptr)
{
	return read_into(vc, PTR(a), (uint32_t)b, (uint32_t)c, d, helper_probe_read_user);
}

/* The same for a string: the length with its NUL, at most size, where the last is a NUL. */
static uint64_t read_string_into(struct vm_context *vc, const struct dynptr *p, uint32_t offset,
				 uint32_t size, uint64_t from, vm_helper_fn read)
{
	char chunk[COPY_CHUNK + 1];
	uint32_t done = 0, n;
	int64_t got;
	int err;

	if (!p->data || p->rdonly)
		return INT(-EINVAL);
	if (!dynptr_has(p, offset, size))
		return INT(-E2BIG);
	while (done < size) {
		n = size - done < COPY_CHUNK ? size - done : COPY_CHUNK;
		/* one more than is taken, so that a full chunk is whole */
		got = (int64_t)read((uintptr_t)chunk, n + 1, from + done, 0, 0, vc);
		if (got < 0)
			return INT(got);
		if ((uint32_t)got > n) {
			got = n;
			if (done + n == size)
				chunk[n - 1] = '\0';
		}
		err = dynptr_put(vc, p, offset + done, chunk, (uint32_t)got, 0);
		if (err)
			return INT(err);
		done += (uint32_t)got;
		if (!chunk[got - 1])
			break;
	}
	return done;
}

KFUNC(probe_read_kernel_str_dynptr)
{
	return read_string_into(vc, PTR(a), (uint32_t)b, (uint32_t)c, d,
				helper_probe_read_kernel_str);
}

KFUNC(probe_read_user_str_dynptr)
{
	return read_string_into(vc, PTR(a), (uint32_t)b, (uint32_t)c, d,
				helper_probe_read_user_str);
}
