/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which paths are served by shmap:
 *
 *   /sys/fs/bpf/...                    $SHMAP_DIR/fs/..., unless SHMAP_BPFFS=kernel
 *   /proc/{self,thread-self,PID}/fdinfo/FD   of this process, if FD is ours
 *   /proc/{self,thread-self,PID}/fd/FD       readlink(2): as the kernel names BPF fds
 *   /proc/mounts, .../self/mounts      with the line of a bpffs
 *   tracefs events/.../id, the kprobe and uprobe PMUs in /sys/bus/event_source:
 *                                      what perf_event_open(2) takes here
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/preload.h"
#include "shm/rundir.h"

#define BPFFS "/sys/fs/bpf"

const char *path_bpffs(void)
{
	static char tree[PATH_MAX];
	static uint32_t ready;
	int saved = errno;

	if (!load_acquire(&ready)) {
		/* Threads that race here write the same bytes. */
		if (rundir_open()) {
			errno = saved;
			return NULL;
		}
		snprintf(tree, sizeof(tree), "%s/fs", rundir_path());
		store_release(&ready, 1);
	}
	errno = saved;
	return tree;
}

static bool kernel_bpffs(void)
{
	static uint32_t choice; /* 1: the kernel's, 2: ours */

	if (unlikely(!load_relaxed(&choice))) {
		const char *env = getenv("SHMAP_BPFFS");

		store_relaxed(&choice, env && !strcmp(env, "kernel") ? 1 : 2);
	}
	return load_relaxed(&choice) == 1;
}

/*
 * Removes empty, "." and ".." components of an absolute path; keeps one
 * trailing slash (it makes a difference to some calls). False when too long.
 */
static bool normalise(const char *name, char *out, size_t size)
{
	size_t len = 0;

	while (*name) {
		size_t n;

		while (*name == '/')
			name++;
		n = strcspn(name, "/");
		if (n == 0) {
			if (len + 2 > size)
				return false;
			out[len++] = '/';
			break;
		}
		if (n == 1 && name[0] == '.') {
			/* nothing */
		} else if (n == 2 && name[0] == '.' && name[1] == '.') {
			while (len && out[--len] != '/')
				;
		} else {
			if (len + n + 2 > size)
				return false;
			out[len++] = '/';
			memcpy(out + len, name, n);
			len += n;
		}
		name += n;
	}
	if (!len)
		out[len++] = '/';
	out[len] = '\0';
	return true;
}

/* What follows prefix in path ("" or "/..."), or NULL. */
static const char *below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(path, prefix, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path + n;
}

static bool parse_number(const char **s, int *out)
{
	long n = 0;

	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); (*s)++) {
		n = n * 10 + (**s - '0');
		if (n > INT_MAX)
			return false;
	}
	*out = (int)n;
	return true;
}

/* bpffs keeps names with a dot for itself. */
static bool has_dot(const char *rest)
{
	return strchr(rest, '.') != NULL;
}

static enum path_kind resolve_bpffs(const char *rest, struct path *p)
{
	const char *tree = path_bpffs();

	/* Without a runtime directory the client must not reach the kernel's
	 * bpffs in its place. */
	if (!tree) {
		p->error = EACCES;
		return PATH_ERROR;
	}
	if (has_dot(rest)) {
		p->error = EPERM;
		return PATH_ERROR;
	}
	if ((size_t)snprintf(p->real, sizeof(p->real), "%s%s", tree, rest) >= sizeof(p->real)) {
		p->error = ENAMETOOLONG;
		return PATH_ERROR;
	}
	p->rest = p->real + strlen(tree);
	return PATH_BPFFS;
}

static enum path_kind resolve_proc(const char *rest, struct path *p)
{
	int pid;

	if (!strcmp(rest, "/mounts"))
		return PATH_MOUNTS;
	rest++;
	if (!strncmp(rest, "self/", 5)) {
		rest += 4;
		p->self = true;
	} else if (!strncmp(rest, "thread-self/", 12)) {
		rest += 11;
		p->self = true;
	} else if (parse_number(&rest, &pid)) {
		p->self = pid == getpid();
	} else {
		return PATH_PLAIN;
	}
	if (p->self && !strcmp(rest, "/mounts"))
		return PATH_MOUNTS;
	if (p->self && !strncmp(rest, "/fdinfo/", 8)) {
		rest += 8;
		return parse_number(&rest, &p->fd) && !*rest ? PATH_FDINFO : PATH_PLAIN;
	}
	if (!strncmp(rest, "/fd/", 4)) {
		rest += 4;
		return parse_number(&rest, &p->fd) && !*rest ? PATH_FDLINK : PATH_PLAIN;
	}
	return PATH_PLAIN;
}

/* rest is "/events/CATEGORY/NAME/id" or anything else. */
static enum path_kind resolve_tracefs(const char *rest, struct path *p)
{
	char name[128];
	const char *end;
	int id;

	rest = below(rest, "/events");
	if (!rest || !*rest)
		return PATH_PLAIN;
	end = strrchr(++rest, '/');
	if (!end || strcmp(end, "/id") || (size_t)(end - rest) >= sizeof(name))
		return PATH_PLAIN;
	memcpy(name, rest, end - rest);
	name[end - rest] = '\0';
	id = perf_tracepoint_id(name);
	if (id < 0)
		return PATH_PLAIN;
	snprintf(p->text, sizeof(p->text), "%d\n", id);
	return PATH_TEXT;
}

static enum path_kind resolve_pmu(const char *rest, struct path *p)
{
	static const struct {
		const char *name, *text;
	} files[] = {
		{"/kprobe/format/retprobe", "config:0\n"},
		{"/uprobe/format/retprobe", "config:0\n"},
	};

	if (!strcmp(rest, "/kprobe/type")) {
		snprintf(p->text, sizeof(p->text), "%u\n", PERF_TYPE_KPROBE);
		return PATH_TEXT;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++) {
		if (!strcmp(rest, files[i].name)) {
			snprintf(p->text, sizeof(p->text), "%s", files[i].text);
			return PATH_TEXT;
		}
	}
	return PATH_PLAIN;
}

enum path_kind path_resolve(const char *name, struct path *p)
{
	char clean[PATH_MAX];
	const char *rest;

	p->kind = PATH_PLAIN;
	p->error = 0;
	p->fd = -1;
	p->self = false;
	if (!normalise(name, clean, sizeof(clean)))
		return p->kind;
	if ((rest = below(clean, BPFFS))) {
		if (!kernel_bpffs())
			p->kind = resolve_bpffs(rest, p);
	} else if ((rest = below(clean, "/proc"))) {
		if (*rest)
			p->kind = resolve_proc(rest, p);
	} else if ((rest = below(clean, "/sys/kernel/tracing")) ||
		   (rest = below(clean, "/sys/kernel/debug/tracing"))) {
		p->kind = resolve_tracefs(rest, p);
	} else if ((rest = below(clean, "/sys/bus/event_source/devices"))) {
		p->kind = resolve_pmu(rest, p);
	}
	return p->kind;
}

const char *path_use(const char *name, struct path *p)
{
	switch (path_resolve(name, p)) {
	case PATH_BPFFS:
		return p->real;
	case PATH_ERROR:
		errno = p->error;
		return NULL;
	default:
		return name;
	}
}

bool path_client_name(const char *real, char *out, size_t size)
{
	const char *tree = path_bpffs(), *rest;
	char resolved[PATH_MAX];

	if (!tree)
		return false;
	rest = below(real, tree);
	/* realpath(3) and nftw(3) may have followed a link on the way to it */
	if (!rest && REAL(realpath)(tree, resolved))
		rest = below(real, resolved);
	if (!rest || (size_t)snprintf(out, size, "%s%s", BPFFS, rest) >= size)
		return false;
	return true;
}
