// SPDX-License-Identifier: BSD-2-Clause
/*
 * RAW_TRACEPOINT_OPEN, LINK_CREATE and what is asked of links.
 */
#include <limits.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/futex.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/info.h"
#include "sys/link.h"
#include "sys/objfd.h"
#include "sys/perf.h"
#include "sys/prog.h"

#define TRACEPOINT_PREFIX "btf_trace_"
#define ATTACH_KPROBE_MULTI 42
#define ATTACH_UPROBE_MULTI 48
#define ATTACH_KPROBE_SESSION 56
#define ATTACH_UPROBE_SESSION 57

void sys_link_changed(void)
{
	uint32_t *word = &rundir_ids()->link_generation;

	fetch_add_seq_cst(word, 1);
	raw_futex(word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ---- programs ---- */

int link_prog_open(int fd, struct link_prog *out)
{
	struct prog_body body;
	struct object obj;
	int err;

	memset(out, 0, sizeof(*out));
	out->fd = objfd_reopen(fd, OBJECT_PROG, O_RDONLY, &out->id);
	if (out->fd < 0)
		return out->fd;
	err = object_map(out->fd, &obj);
	if (!err) {
		err = prog_read_body(&obj, &body);
		object_unmap(&obj);
	}
	if (err) {
		link_prog_close(out);
		return err;
	}
	out->type = body.type;
	out->expected_attach_type = body.expected_attach_type;
	out->attach_btf_id = body.attach_btf_id;
	out->attach_btf_obj_id = body.attach_btf_obj_id;
	memcpy(out->attach_func, body.attach_func, sizeof(out->attach_func));
	return 0;
}

void link_prog_close(struct link_prog *prog)
{
	if (prog->fd >= 0)
		raw_close(prog->fd);
	prog->fd = -1;
}

/* ---- the file ---- */

int link_publish(const struct link_header *h, const struct link_prog *prog, uint32_t *id)
{
	struct objfd_refs refs = {.fds = &prog->fd, .cnt = 1};
	struct link_header *header;
	struct object obj;
	int fd, err;

	err = object_create(OBJECT_LINK, 0, 0, &obj, &fd);
	if (err)
		return err;
	header = (struct link_header *)obj.trailer->body;
	*header = *h;
	header->prog_id = prog->id;
	fd = objfd_publish(&obj, fd, &refs, id);
	if (fd >= 0)
		sys_link_changed();
	return fd;
}

int link_read_header(const struct object *obj, struct link_header *out)
{
	if (obj->kind != OBJECT_LINK)
		return -EINVAL;
	if (uaccess_copy(out, obj->trailer->body, sizeof(*out)))
		return -EFAULT;
	out->name[sizeof(out->name) - 1] = '\0';
	if (out->event > LINK_OTHER || !out->link_type)
		return -EINVAL;
	return 0;
}

int sys_link_read(uint32_t id, struct link_header *out)
{
	struct object obj;
	int err;

	fd_inside_begin();
	err = objfd_map_id(OBJECT_LINK, id, O_RDONLY, &obj);
	if (!err) {
		err = link_read_header(&obj, out);
		object_unmap(&obj);
		/* our look may have been what kept it from being collected */
		object_collect(OBJECT_LINK, id);
	}
	fd_inside_end();
	return err;
}

/* ---- attaching ---- */

static int set_name(struct link_header *h, const char *name)
{
	if (strlen(name) >= sizeof(h->name))
		return -E2BIG;
	strcpy(h->name, name);
	return 0;
}

static int raw_tracepoint_attach(const struct link_prog *prog, const char *name, uint64_t cookie)
{
	struct link_header h = {
		.event = LINK_RAW_TRACEPOINT,
		.link_type = LINK_TYPE_RAW_TRACEPOINT,
		.attach_type = prog->expected_attach_type,
		.cookie = cookie,
	};
	int err = perf_event_exists(LINK_RAW_TRACEPOINT, name);

	if (!err)
		err = set_name(&h, name);
	return err ? err : link_publish(&h, prog, NULL);
}

static int trace_event(uint32_t attach_type, enum link_event *event)
{
	switch (attach_type) {
	case BPF_TRACE_FENTRY:
		*event = LINK_FENTRY;
		return 0;
	case BPF_TRACE_FEXIT:
		*event = LINK_FEXIT;
		return 0;
	case BPF_MODIFY_RETURN:
		*event = LINK_FMOD_RET;
		return 0;
	}
	return -EINVAL;
}

/* A function runs one program once, however often it is attached. */
static bool already_traced(uint32_t prog_id)
{
	struct link_header h;
	uint32_t id = 0;

	while (!object_next_id(OBJECT_LINK, id, &id))
		if (!sys_link_read(id, &h) && h.link_type == LINK_TYPE_TRACING &&
		    h.prog_id == prog_id)
			return true;
	return false;
}

static int tracing_attach(const struct link_prog *prog, uint32_t target_fd, uint32_t target_id,
			  uint64_t cookie)
{
	struct link_header h = {
		.link_type = LINK_TYPE_TRACING,
		.attach_type = prog->expected_attach_type,
		.target_obj_id = prog->attach_btf_obj_id,
		.target_btf_id = prog->attach_btf_id,
		.cookie = cookie,
	};
	enum link_event event;
	int err = trace_event(prog->expected_attach_type, &event);

	if (err)
		return err;
	if (target_fd || target_id) /* only freplace programs take another target */
		return -EINVAL;
	h.event = event;
	err = perf_event_exists(event, prog->attach_func);
	if (!err)
		err = set_name(&h, prog->attach_func);
	if (err)
		return err;
	if (already_traced(prog->id))
		return -EBUSY;
	return link_publish(&h, prog, NULL);
}

static int tp_btf_attach(const struct link_prog *prog, uint64_t cookie)
{
	size_t n = strlen(TRACEPOINT_PREFIX);

	if (strncmp(prog->attach_func, TRACEPOINT_PREFIX, n))
		return -EINVAL;
	return raw_tracepoint_attach(prog, prog->attach_func + n, cookie);
}

long sys_cmd_raw_tracepoint_open(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	const char *user_name = sys_ptr(attr->raw_tracepoint.name);
	uint64_t cookie = attr->raw_tracepoint.cookie;
	struct link_prog prog;
	char name[128];
	int err;

	err = link_prog_open(attr->raw_tracepoint.prog_fd, &prog);
	if (err)
		return err;
	switch (prog.type) {
	case BPF_PROG_TYPE_TRACING:
		if (user_name) /* the target was named when it was loaded */
			err = -EINVAL;
		else if (prog.expected_attach_type == BPF_TRACE_RAW_TP)
			err = tp_btf_attach(&prog, cookie);
		else
			err = tracing_attach(&prog, 0, 0, cookie);
		break;
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		if (uaccess_copy_string(name, user_name, sizeof(name)) == -EFAULT)
			err = -EFAULT;
		else
			err = raw_tracepoint_attach(&prog, name, cookie);
		break;
	default:
		err = -EINVAL;
	}
	link_prog_close(&prog);
	return err;
}

static bool is_probe_attach(uint32_t a)
{
	return a == BPF_PERF_EVENT || a == ATTACH_KPROBE_MULTI || a == ATTACH_KPROBE_SESSION ||
	       a == ATTACH_UPROBE_MULTI || a == ATTACH_UPROBE_SESSION;
}

/* attach_type by program type, before anything else is looked at. */
static int check_attach_type(const struct link_prog *prog, uint32_t a)
{
	switch (prog->type) {
	case BPF_PROG_TYPE_PERF_EVENT:
	case BPF_PROG_TYPE_TRACEPOINT:
		return a == BPF_PERF_EVENT ? 0 : -EINVAL;
	case BPF_PROG_TYPE_KPROBE:
		if (!is_probe_attach(a))
			return -EINVAL;
		/* a program that was loaded for one of the multi forms takes no other */
		if (prog->expected_attach_type && is_probe_attach(prog->expected_attach_type) &&
		    prog->expected_attach_type != BPF_PERF_EVENT && prog->expected_attach_type != a)
			return -EINVAL;
		return 0;
	case BPF_PROG_TYPE_TRACING:
		return a == prog->expected_attach_type ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int perf_link_check(const struct object *event, const struct link_prog *prog,
			   struct perf_body *body)
{
	int err = perf_read(event, body);

	if (!err)
		err = perf_check_prog(&body->link, prog->type);
	if (!err && body->pid != -1)
		err = -EOPNOTSUPP; /* a program for one process only */
	if (!err && perf_in_use(body))
		err = -EEXIST;
	return err;
}

static int perf_link_attach(const union sys_attr *attr, const struct link_prog *prog)
{
	struct perf_body body;
	struct object event;
	uint32_t id;
	int fd, err;

	if (attr->link_create.flags)
		return -EINVAL;
	err = perf_map(attr->link_create.target_fd, &event);
	if (err)
		return err;
	err = perf_link_check(&event, prog, &body);
	if (!err) {
		body.link.link_type = LINK_TYPE_PERF_EVENT;
		body.link.attach_type = BPF_PERF_EVENT;
		body.link.cookie = attr->link_create.perf_event.bpf_cookie;
		body.link.detached = !body.enabled;
		fd = link_publish(&body.link, prog, &id);
		err = fd < 0 ? fd : perf_claim(&event, body.link_id, id);
		if (err && fd >= 0) {
			raw_close(fd);
			object_collect(OBJECT_LINK, id);
		}
	}
	object_unmap(&event);
	return err ? err : fd;
}

long sys_cmd_link_create(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	uint32_t a = attr->link_create.attach_type;
	struct link_prog prog;
	int err;

	err = link_prog_open(attr->link_create.prog_fd, &prog);
	if (err)
		return err;
	err = check_attach_type(&prog, a);
	if (err)
		;
	else if (a == BPF_PERF_EVENT)
		err = perf_link_attach(attr, &prog);
	else if (prog.type == BPF_PROG_TYPE_KPROBE)
		err = -EOPNOTSUPP; /* as a kernel without the multi attachments */
	else if (a == BPF_TRACE_RAW_TP)
		err = tp_btf_attach(&prog, attr->link_create.tracing.cookie);
	else
		err = tracing_attach(&prog, attr->link_create.target_fd,
				     attr->link_create.tracing.target_btf_id,
				     attr->link_create.tracing.cookie);
	link_prog_close(&prog);
	return err;
}

/* None of our links can change its program. */
long sys_cmd_link_update(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	uint32_t flags = attr->link_update.flags, id;
	int err;

	if (flags & ~BPF_F_REPLACE)
		return -EINVAL;
	err = objfd_id(attr->link_update.link_fd, OBJECT_LINK, &id);
	if (!err)
		err = objfd_id(attr->link_update.new_prog_fd, OBJECT_PROG, &id);
	if (!err && flags & BPF_F_REPLACE)
		err = objfd_id(attr->link_update.old_prog_fd, OBJECT_PROG, &id);
	return err ? err : -EINVAL;
}

/* Nor can it be detached but by closing. */
long sys_cmd_link_detach(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	uint32_t id;
	int err = objfd_id(attr->link_detach.link_fd, OBJECT_LINK, &id);

	return err ? err : -EOPNOTSUPP;
}

long sys_cmd_link_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return object_open_id(OBJECT_LINK, attr->id.link_id, O_RDONLY);
}

/* ---- bpf_link_info ---- */

/* The kernel counts the NUL in the length that it reports. */
static int fill_name(uint64_t user, uint32_t *len, const char *name)
{
	uint32_t room = *len, n = strlen(name);

	if (!user != !room)
		return -EINVAL;
	*len = n + 1;
	return user ? objfd_copy_string(sys_ptr(user), room, name, n) : 0;
}

static int fill_perf(const struct link_header *h, struct link_info *info)
{
	if (h->event == LINK_TRACEPOINT) {
		const char *slash = strrchr(h->name, '/');
		int err = fill_name(info->perf_event.tracepoint.tp_name,
				    &info->perf_event.tracepoint.name_len,
				    slash ? slash + 1 : h->name);

		info->perf_event.type = PERF_INFO_TRACEPOINT;
		info->perf_event.tracepoint.cookie = h->cookie;
		return err;
	}
	info->perf_event.type = h->event == LINK_KPROBE ? PERF_INFO_KPROBE : PERF_INFO_KRETPROBE;
	info->perf_event.kprobe.offset = 0;
	info->perf_event.kprobe.addr = 0;
	info->perf_event.kprobe.missed = 0;
	info->perf_event.kprobe.cookie = h->cookie;
	return fill_name(info->perf_event.kprobe.func_name, &info->perf_event.kprobe.name_len,
			 h->name);
}

static int fill_info(const struct object *obj, struct link_info *info)
{
	struct link_header h;
	int err = link_read_header(obj, &h);

	if (err)
		return err;
	info->type = h.link_type;
	info->id = obj->id;
	info->prog_id = h.prog_id;
	switch (h.link_type) {
	case LINK_TYPE_RAW_TRACEPOINT:
		err = fill_name(info->raw_tracepoint.tp_name, &info->raw_tracepoint.tp_name_len,
				h.name);
		info->raw_tracepoint.cookie = h.cookie;
		return err;
	case LINK_TYPE_TRACING:
		info->tracing.attach_type = h.attach_type;
		info->tracing.target_obj_id = h.target_obj_id;
		info->tracing.target_btf_id = h.target_btf_id;
		info->tracing.cookie = h.cookie;
		return 0;
	case LINK_TYPE_PERF_EVENT:
		return fill_perf(&h, info);
	}
	return -EINVAL;
}

long sys_link_info(int fd, union sys_attr *attr, union sys_attr *uattr)
{
	uint32_t len = attr->info.info_len;
	struct link_info info = {0};
	struct object obj;
	int err;

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
	err = fill_info(&obj, &info);
	object_unmap(&obj);
	return err ? err : objfd_info_out(attr, uattr, &info, len);
}
