/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers that read memory which may not be there.
 *
 * "Kernel" memory is this process's: contexts and what they point to. "User"
 * memory is the traced process's, through the event source; where there is none
 * (a test run) it is this process's too.
 */
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/helpers.h"

static int read_user(struct vm_context *vc, void *dst, uint64_t addr, size_t len)
{
	if (vc->env->read_user)
		return vc->env->read_user(vc->env, dst, addr, len);
	return uaccess_copy(dst, PTR(addr), len);
}

static uint64_t read_or_zero(int err, void *dst, size_t len)
{
	if (err)
		memset(dst, 0, len);
	return ERR(err);
}

/*
 * A string of the traced process, in pieces that end at page ends, as what
 * follows the NUL may not be mapped.
 */
static long read_user_string(struct vm_context *vc, char *dst, uint64_t addr, size_t size)
{
	size_t done = 0, part;
	const char *nul;

	if (!vc->env->read_user)
		return uaccess_copy_string(dst, PTR(addr), size);
	while (done < size) {
		part = SHMAP_PAGE - ((addr + done) & (SHMAP_PAGE - 1));
		if (part > 256)
			part = 256;
		if (part > size - done)
			part = size - done;
		if (vc->env->read_user(vc->env, dst + done, addr + done, part))
			return -EFAULT;
		nul = memchr(dst + done, 0, part);
		if (nul)
			return nul - dst + 1;
		done += part;
	}
	dst[size - 1] = '\0';
	return -E2BIG;
}

/* The helper's value: the length with the NUL; a full buffer counts as its size. */
static uint64_t string_result(long n, char *dst, size_t size)
{
	if (n == -E2BIG)
		return size;
	if (n < 0)
		memset(dst, 0, size);
	return ERR(n);
}

HELPER(probe_read_kernel)
{
	return read_or_zero(uaccess_copy(PTR(a), PTR(c), (uint32_t)b), PTR(a), (uint32_t)b);
}

HELPER(probe_read_user)
{
	return read_or_zero(read_user(vc, PTR(a), c, (uint32_t)b), PTR(a), (uint32_t)b);
}

HELPER(copy_from_user)
{
	return read_or_zero(read_user(vc, PTR(a), c, (uint32_t)b), PTR(a), (uint32_t)b);
}

HELPER(probe_read_kernel_str)
{
	uint32_t size = (uint32_t)b;

	if (!size)
		return 0;
	return string_result(uaccess_copy_string(PTR(a), PTR(c), size), PTR(a), size);
}

HELPER(probe_read_user_str)
{
	uint32_t size = (uint32_t)b;

	if (!size)
		return 0;
	return string_result(read_user_string(vc, PTR(a), c, size), PTR(a), size);
}

/*
 * The old helpers take either kind of address. What is surely the kernel's
 * here: the run's own stack, and what lies within a page of the context (an
 * event source keeps the registers that a context points to beside it).
 */
static bool near(uint64_t addr, const void *what, size_t before, size_t after)
{
	uint64_t base = (uintptr_t)what;

	return addr >= base - before && addr < base + after;
}

static bool is_kernel(struct vm_context *vc, uint64_t addr)
{
	/* The run's stack: that of native code lies below vc, the interpreter's in vm_run()'s
	 * frame or one below. */
	uint64_t frame = (uintptr_t)__builtin_frame_address(0);

	return !vc->env->read_user || (addr >= frame && addr < (uintptr_t)(vc + 1)) ||
	       near(addr, vc->ctx, SHMAP_PAGE, SHMAP_PAGE);
}

HELPER(probe_read)
{
	if (!is_kernel(vc, c) && !read_user(vc, PTR(a), c, (uint32_t)b))
		return 0;
	return helper_probe_read_kernel(a, b, c, d, e, vc);
}

HELPER(probe_read_str)
{
	long n;

	if (!is_kernel(vc, c) && (uint32_t)b) {
		n = read_user_string(vc, PTR(a), c, (uint32_t)b);
		if (n != -EFAULT)
			return string_result(n, PTR(a), (uint32_t)b);
	}
	return helper_probe_read_kernel_str(a, b, c, d, e, vc);
}

HELPER(probe_write_user)
{
	if (!vc->env->write_user)
		return ERR(-EPERM);
	return ERR(vc->env->write_user(vc->env, a, PTR(b), (uint32_t)c));
}
