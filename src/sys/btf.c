// SPDX-License-Identifier: BSD-2-Clause
/*
 * BTF_LOAD and what is asked of BTF objects.
 */
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "base/uapi.h"
#include "sys/btf_obj.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/info.h"
#include "sys/log.h"
#include "sys/objfd.h"

#define VMLINUX_NAME "vmlinux"

static struct btf_body *btf_body(const struct object *obj)
{
	return (struct btf_body *)obj->trailer->body;
}

/* A private copy of the body, checked against the file. */
static int btf_read_body(const struct object *obj, struct btf_body *body)
{
	if (uaccess_copy(body, obj->trailer->body, sizeof(*body)))
		return -EFAULT;
	body->name[sizeof(body->name) - 1] = '\0';
	if (body->size > BTF_SIZE_MAX || body->size > obj->size - OBJECT_TRAILER_SIZE)
		return -EPROTO;
	return 0;
}

static int btf_parse_blob(const void *data, uint32_t size, struct btf **out)
{
	char why[256];

	return btf_check(data, size, out, why, sizeof(why));
}

/* ---- BTF_LOAD ---- */

static int btf_publish(const void *blob, uint32_t size, bool kernel, const char *name)
{
	struct object obj;
	struct btf_body *body;
	int fd, err;

	err = object_create(OBJECT_BTF, size, size, &obj, &fd);
	if (err)
		return err;
	body = btf_body(&obj);
	body->size = size;
	body->kernel_btf = kernel;
	strncpy(body->name, name, sizeof(body->name) - 1);
	memcpy(obj.base, blob, size);
	return objfd_publish(&obj, fd, NULL, NULL);
}

/* The log text of btf_check(), line by line into the caller's log. */
static int btf_check_logged(const void *blob, uint32_t size, struct sys_log *log)
{
	struct btf *btf = NULL;
	char *text = NULL;
	int err;

	if (log->log.level)
		text = calloc(1, SHMAP_PAGE);
	err = btf_check(blob, size, &btf, text, text ? SHMAP_PAGE : 0);
	if (text && text[0])
		vm_logf(&log->log, "%s", text);
	free(text);
	btf__free(btf);
	return err;
}

long sys_cmd_btf_load(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	uint32_t blob_size = attr->btf_load.btf_size, true_size;
	struct sys_log log;
	void *blob;
	int err, log_err;

	if (attr->btf_load.btf_flags & ~SHMAP_F_TOKEN_FD)
		return -EINVAL;
	if (attr->btf_load.btf_flags & SHMAP_F_TOKEN_FD)
		return objfd_token(attr->btf_load.btf_token_fd);
	if (blob_size > BTF_SIZE_MAX)
		return -E2BIG;
	err = sys_log_init(&log, attr->btf_load.btf_log_level, sys_ptr(attr->btf_load.btf_log_buf),
			   attr->btf_load.btf_log_size);
	if (err)
		return err;
	blob = malloc(blob_size ? blob_size : 1);
	if (!blob)
		err = -ENOMEM;
	else if (uaccess_copy(blob, sys_ptr(attr->btf_load.btf), blob_size))
		err = -EFAULT;
	else
		err = btf_check_logged(blob, blob_size, &log);

	log_err = sys_log_finish(&log, &true_size);
	if (size >= offsetof(union sys_attr, btf_load.btf_flags) &&
	    uaccess_copy(sys_field(uattr, btf_load.btf_log_true_size), &true_size,
			 sizeof(true_size)))
		log_err = -EFAULT;
	if (log_err)
		err = log_err;
	if (!err)
		err = btf_publish(blob, blob_size, false, "");
	free(blob);
	return err;
}

/* ---- opening ---- */

void sys_btf_close(struct btf_ref *ref)
{
	if (ref->fd >= 0)
		raw_close(ref->fd);
	btf__free(ref->btf);
	*ref = (struct btf_ref){.fd = -1};
}

/* Parses a private copy of the blob: another process may write to the file. */
static int btf_parse_object(const struct object *obj, struct btf_ref *out)
{
	struct btf_body body;
	void *blob;
	int err = btf_read_body(obj, &body);

	if (err)
		return err;
	out->kernel = body.kernel_btf;
	if (out->kernel)
		return 0;
	blob = malloc(body.size ? body.size : 1);
	if (!blob)
		return -ENOMEM;
	err = uaccess_copy(blob, obj->base, body.size);
	if (!err)
		err = btf_parse_blob(blob, body.size, &out->btf);
	free(blob);
	return err;
}

/* Takes over fd. */
static int btf_open_own(int fd, uint32_t id, struct btf_ref *out)
{
	struct object obj;
	int err;

	*out = (struct btf_ref){.fd = fd, .id = id};
	err = object_map(fd, &obj);
	if (!err) {
		err = btf_parse_object(&obj, out);
		object_unmap(&obj);
	}
	if (err)
		sys_btf_close(out);
	return err;
}

int sys_btf_open_fd(int fd, struct btf_ref *out)
{
	uint32_t id;
	int own = objfd_reopen(fd, OBJECT_BTF, O_RDONLY, &id);

	return own < 0 ? own : btf_open_own(own, id, out);
}

int sys_btf_open(uint32_t id, struct btf_ref *out)
{
	int own = object_open_id(OBJECT_BTF, id, O_RDONLY);

	return own < 0 ? own : btf_open_own(own, id, out);
}

/*
 * Two processes may make one each at the same time: both are good, and
 * each goes when the programs that refer to it have gone.
 */
int sys_btf_open_vmlinux(struct btf_ref *out)
{
	uint32_t id = 0;
	int fd;

	if (!btf_vmlinux())
		return -ENOENT;
	while (!object_next_id(OBJECT_BTF, id, &id)) {
		if (sys_btf_open(id, out))
			continue;
		if (out->kernel)
			return 0;
		sys_btf_close(out);
	}
	fd = btf_publish("", 0, true, VMLINUX_NAME);
	if (fd < 0)
		return fd;
	*out = (struct btf_ref){.fd = fd, .kernel = true};
	return objfd_id(fd, OBJECT_BTF, &out->id);
}

long sys_cmd_btf_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	if (attr->id.open_flags & ~SHMAP_F_TOKEN_FD)
		return -EINVAL;
	if (attr->id.open_flags & SHMAP_F_TOKEN_FD)
		return objfd_token(attr->id.fd_by_id_token_fd);
	return object_open_id(OBJECT_BTF, attr->id.btf_id, O_RDONLY);
}

/* ---- bpf_btf_info ---- */

static int btf_fill_info(const struct object *obj, struct btf_info *info)
{
	uint32_t room = info->btf_size, name_room = info->name_len, name_len;
	void *name = sys_ptr(info->name);
	const void *blob = obj->base;
	struct btf_body body;
	int err = btf_read_body(obj, &body);

	if (err)
		return err;
	if (body.kernel_btf) {
		blob = btf_vmlinux() ? btf__raw_data(btf_vmlinux(), &body.size) : NULL;
		if (!blob)
			return -ENOENT;
	}
	if (room > body.size)
		room = body.size;
	if (uaccess_copy(sys_ptr(info->btf), blob, room))
		return -EFAULT;
	name_len = strlen(body.name);
	info->id = obj->id;
	info->btf_size = body.size;
	info->kernel_btf = body.kernel_btf;
	info->name_len = name_len;
	if (!name != !name_room)
		return -EINVAL;
	return name ? objfd_copy_string(name, name_room, body.name, name_len) : 0;
}

long sys_btf_info(int fd, union sys_attr *attr, union sys_attr *uattr)
{
	uint32_t len = attr->info.info_len;
	struct btf_info info = {0};
	struct object obj;
	int err, out_err;

	err = sys_check_tail(sys_ptr(attr->info.info), sizeof(info), len);
	if (err)
		return err;
	if (len > sizeof(info))
		len = sizeof(info);
	if (uaccess_copy(&info, sys_ptr(attr->info.info), len))
		return -EFAULT;
	err = object_map(fd, &obj);
	if (err)
		return err;
	err = btf_fill_info(&obj, &info);
	object_unmap(&obj);
	/* a name that was cut short is reported beside the rest of the answer */
	if (err && err != -ENOSPC)
		return err;
	out_err = objfd_info_out(attr, uattr, &info, len);
	return out_err ? out_err : err;
}
