/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fds are: fd_identify(), and the text that /proc/self/fdinfo/FD has for
 * the kernel's own BPF objects.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/objref.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/info.h"
#include "sys/sys.h"

int fd_identify(int fd, uint32_t *id)
{
	uint32_t found = 0;
	uint64_t *leaf, w = 0;
	struct fd_op op;
	int kind;

	if ((uint32_t)fd < FD_LEAVES << FD_LEAF_BITS) {
		leaf = load_acquire(&fd_leaves[(uint32_t)fd >> FD_LEAF_BITS]);
		w = leaf ? load_acquire(&leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)]) : 0;
	}
	if (w & FD_TAG_OBJECT) {
		kind = w >> 4 & 0xf;
		found = w >> 8;
	} else if (w && !(w & FD_TAG_MASK) && !fd_begin(fd, &op)) {
		/* it may have changed: fd_begin() has looked again */
		kind = OBJECT_MAP;
		found = op.ref->map->obj.id;
		fd_end(&op);
	} else {
		kind = fd_access(fd);
		if (kind >= 0)
			kind = object_identify(fd, &found, NULL, NULL);
	}
	if (kind >= 0 && id)
		*id = found;
	return kind;
}

struct text {
	char *buf;
	size_t size, len;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *fmt, ...)
{
	size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? t->buf + t->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += n;
}

/* The mount id of the file itself. */
static unsigned int mount_id(int fd)
{
	char path[48], text[512];
	unsigned int id = 0;
	const char *line;
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	info = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (info < 0)
		return 0;
	n = raw_read(info, text, sizeof(text) - 1);
	raw_close(info);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "mnt_id:");
	if (line)
		id = strtoul(line + strlen("mnt_id:"), NULL, 10);
	return id;
}

static int add_common(struct text *t, int fd)
{
	int flags = raw_fcntl(fd, F_GETFL, 0), own = raw_fcntl(fd, F_GETFD, 0);
	struct stat st;

	if (flags < 0 || own < 0 || raw_fstat(fd, &st))
		return -EBADF;
	add(t, "pos:\t0\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n",
	    (flags & O_ACCMODE) | (own & FD_CLOEXEC ? O_CLOEXEC : 0), mount_id(fd),
	    (unsigned long long)st.st_ino);
	return 0;
}

/* Lines that the kernel does not have come after its own. */
static void add_stats(struct text *t, struct map *m)
{
	struct map_stats stats = {0};

	if (!m->ops->stats || m->ops->stats(m, &stats))
		return;
	add(t, "entries:\t%llu\nevictions:\t%llu\nfailed:\t%llu\nlost:\t%llu\nchanges:\t%llu\n",
	    (unsigned long long)stats.entries, (unsigned long long)stats.evictions,
	    (unsigned long long)stats.failed, (unsigned long long)stats.lost,
	    (unsigned long long)stats.changes);
}

static int add_map(struct text *t, int fd)
{
	struct fd_op op;
	uint64_t owner;
	struct map *m;
	int err = fd_begin(fd, &op);

	if (err)
		return err;
	m = op.ref->map;
	add(t, "map_type:\t%u\nkey_size:\t%u\nvalue_size:\t%u\nmax_entries:\t%u\n",
	    m->attr.map_type, m->attr.key_size, m->attr.value_size, m->attr.max_entries);
	add(t, "map_flags:\t0x%x\nmap_extra:\t0x%llx\nmemlock:\t%llu\n", m->attr.map_flags,
	    (unsigned long long)m->attr.map_extra,
	    (unsigned long long)(m->ops->memlock ? m->ops->memlock(m) : 0));
	add(t, "map_id:\t%u\nfrozen:\t%u\n", m->obj.id, load_relaxed(&op.ref->shared->frozen));
	owner = load_relaxed(&m->shared->owner);
	if (objref_owner_type(owner))
		add(t, "owner_prog_type:\t%u\nowner_jited:\t%u\n", objref_owner_type(owner),
		    !!(owner & OBJREF_OWNER_JITED));
	add_stats(t, m);
	fd_end(&op);
	return 0;
}

/* An info struct of our own, filled as by OBJ_GET_INFO_BY_FD. */
static long own_info(int fd, void *info, uint32_t len,
		     long (*fn)(int fd, union sys_attr *attr, union sys_attr *uattr))
{
	union sys_attr attr = {.info = {.bpf_fd = fd, .info_len = len, .info = (uintptr_t)info}};

	memset(info, 0, len);
	return fn(fd, &attr, &attr);
}

static void add_tag(struct text *t, const uint8_t tag[8])
{
	int i;

	add(t, "prog_tag:\t");
	for (i = 0; i < 8; i++)
		add(t, "%02x", tag[i]);
	add(t, "\n");
}

static int add_prog(struct text *t, int fd)
{
	struct prog_info info;
	long err = own_info(fd, &info, sizeof(info), sys_prog_info);

	if (err)
		return err;
	add(t, "prog_type:\t%u\nprog_jited:\t%d\n", info.type, !!info.jited_prog_len);
	add_tag(t, info.tag);
	/* whole pages of the kernel's struct bpf_prog (96 bytes) and the instructions */
	add(t, "memlock:\t%u\nprog_id:\t%u\n", (96 + info.xlated_prog_len + 4095) / 4096 * 4096,
	    info.id);
	add(t, "run_time_ns:\t%llu\nrun_cnt:\t%llu\nrecursion_misses:\t%llu\n",
	    (unsigned long long)info.run_time_ns, (unsigned long long)info.run_cnt,
	    (unsigned long long)info.recursion_misses);
	add(t, "verified_insns:\t%u\n", info.verified_insns);
	return 0;
}

static int add_btf(struct text *t, int fd)
{
	struct btf_info info;
	long err = own_info(fd, &info, sizeof(info), sys_btf_info);

	if (!err)
		add(t, "btf_id:\t%u\n", info.id);
	return err;
}

static int add_link(struct text *t, int fd)
{
	static const char *const names[] = {
		"unspec",	"raw_tracepoint", "tracing",   "cgroup",
		"iter",		"netns",	  "xdp",       "perf",
		"kprobe_multi", "struct_ops",	  "netfilter", "tcx",
		"uprobe_multi", "netkit",
	};
	struct link_info info;
	long err = own_info(fd, &info, sizeof(info), sys_link_info);

	if (err)
		return err;
	if (info.type < ARRAY_SIZE(names))
		add(t, "link_type:\t%s\n", names[info.type]);
	else
		add(t, "link_type:\t<%u>\n", info.type);
	add(t, "link_id:\t%u\nprog_id:\t%u\n", info.id, info.prog_id);
	return 0;
}

long fd_fdinfo(int fd, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size};
	int kind = fd_identify(fd, NULL), err;

	if (kind < 0)
		return kind;
	err = add_common(&t, fd);
	if (err)
		return err;
	switch (kind) {
	case OBJECT_MAP:
		err = add_map(&t, fd);
		break;
	case OBJECT_PROG:
		err = add_prog(&t, fd);
		break;
	case OBJECT_BTF:
		err = add_btf(&t, fd);
		break;
	case OBJECT_LINK:
		err = add_link(&t, fd);
		break;
	}
	if (err)
		return err;
	return t.len < size ? (long)t.len : -ENOSPC;
}
