/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entry of bpf(2): what is checked of every command, in the kernel's order.
 */
#include <linux/bpf.h>
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/objref.h"
#include "shm/object.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/sys.h"

int sys_check_tail(const void *user, size_t known, size_t size)
{
	uint8_t buf[256];
	size_t n, i;

	if (size > SHMAP_PAGE)
		return -E2BIG;
	for (; known < size; known += n) {
		n = size - known < sizeof(buf) ? size - known : sizeof(buf);
		/* A piece that is not all there may still hold the answer. */
		if (uaccess_copy(buf, uaccess_at(user, known), n)) {
			if (uaccess_copy(buf, uaccess_at(user, known), 1))
				return -EFAULT;
			n = 1;
		}
		for (i = 0; i < n; i++)
			if (buf[i])
				return -E2BIG;
	}
	return 0;
}

/* Commands whose result is a new fd, of which nothing is known yet. */
static bool makes_fd(int cmd)
{
	switch (cmd) {
	case BPF_OBJ_GET:
	case BPF_RAW_TRACEPOINT_OPEN:
	case BPF_BTF_LOAD:
	case BPF_LINK_CREATE:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
		return true;
	default: /* MAP_CREATE and PROG_LOAD say themselves what they made */
		return false;
	}
}

/* Commands that open no fds for themselves. */
static bool on_elements(int cmd)
{
	switch (cmd) {
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_LOOKUP_BATCH:
	case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
	case BPF_PROG_TEST_RUN:
		return true;
	default:
		return false;
	}
}

static void note_fd(int fd)
{
	uint32_t id;
	int kind = object_identify(fd, &id, NULL, NULL);

	if (kind >= 0 && id)
		fd_install_object(fd, kind, id);
}

static const uint8_t zeros[sizeof(union sys_attr)];

long sys_bpf(int cmd, void *uattr, unsigned int size)
{
	const struct sys_command *c;
	union sys_attr attr;
	long ret;

	ret = uaccess_init();
	if (!ret)
		ret = sys_check_tail(uattr, sizeof(attr), size);
	if (ret)
		return ret;
	if (size > sizeof(attr))
		size = sizeof(attr);
	memset(&attr, 0, sizeof(attr));
	if (uaccess_copy(&attr, uattr, size))
		return -EFAULT;
	c = sys_command_find(cmd);
	if (!c)
		return -EINVAL;
	/* what is beyond size is zero already */
	if (size > c->end && memcmp((uint8_t *)&attr + c->end, zeros, size - c->end))
		return -EINVAL;
	if (on_elements(cmd))
		return c->fn(&attr, uattr, size);
	fd_reclaim();
	/* not in close(2): it frees memory */
	objref_reclaim();
	fd_inside_begin();
	ret = c->fn(&attr, uattr, size);
	if (ret >= 0 && makes_fd(cmd))
		note_fd(ret);
	fd_inside_end();
	return ret;
}
