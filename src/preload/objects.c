/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbpf's opening calls, for objects with the map definitions that libbpf 1.0 dropped: it
 * gets the same object with today's.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "btf/old_object.h"
#include "preload/preload.h"

#define NAME_MAX_LEN 64

/* As libbpf names an object that it opens by its path. */
static void object_name(const char *path, char *name)
{
	const char *base = strrchr(path, '/');
	size_t n = strcspn(base ? base + 1 : path, ".");

	if (n >= NAME_MAX_LEN)
		n = NAME_MAX_LEN - 1;
	memcpy(name, base ? base + 1 : path, n);
	name[n] = 0;
}

/* The caller's options, and the name of the file's object where they have none. */
static void copy_options(struct bpf_object_open_opts *to, const struct bpf_object_open_opts *from,
			 const char *name)
{
	memset(to, 0, sizeof(*to));
	if (from)
		memcpy(to, from, from->sz < sizeof(*to) ? from->sz : sizeof(*to));
	to->sz = sizeof(*to);
	if (!to->object_name)
		to->object_name = name;
}

/* Programs in sections that libbpf 0.x knew by the beginning of their names. */
static void set_types(struct bpf_object *obj)
{
	struct bpf_program *p;
	uint32_t type, attach;

	bpf_object__for_each_program(p, obj)
	{
		if (bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC &&
		    old_section_type(bpf_program__section_name(p), &type, &attach)) {
			bpf_program__set_type(p, type);
			bpf_program__set_expected_attach_type(p, attach);
		}
	}
}

/* The object of an old file; false: it is none, and libbpf's own function is to be called.
 * *ret is NULL, with errno, when it cannot be opened. */
static bool open_old(const void *data, size_t size, const struct bpf_object_open_opts *opts,
		     const char *name, struct bpf_object **ret)
{
	struct bpf_object_open_opts own;
	char why[OLD_OBJECT_WHY];
	void *converted;
	size_t converted_size;
	int err = old_object_convert(data, size, &converted, &converted_size, why);

	if (!err || !REAL(bpf_object__open_mem))
		return false;
	*ret = NULL;
	if (err < 0) {
		fprintf(stderr, "shmap: %s: %s\n", name ? name : "a BPF object", why);
		errno = -err;
		return true;
	}
	copy_options(&own, opts, name);
	*ret = REAL(bpf_object__open_mem)(converted, converted_size, &own);
	if (*ret)
		set_types(*ret);
	err = errno;
	free(converted);
	errno = err;
	return true;
}

static bool open_old_file(const char *path, const struct bpf_object_open_opts *opts,
			  struct bpf_object **ret)
{
	char name[NAME_MAX_LEN];
	size_t size;
	void *data = path ? old_object_read(path, &size) : NULL;
	bool old;
	int saved;

	if (!data)
		return false; /* libbpf says why */
	object_name(path, name);
	old = open_old(data, size, opts, name, ret);
	saved = errno;
	free(data);
	errno = saved;
	return old;
}

EXPORT struct bpf_object *bpf_object__open_file(const char *path,
						const struct bpf_object_open_opts *opts)
{
	struct bpf_object *obj;

	return open_old_file(path, opts, &obj) ? obj : REAL(bpf_object__open_file)(path, opts);
}

EXPORT struct bpf_object *bpf_object__open(const char *path)
{
	struct bpf_object *obj;

	return open_old_file(path, NULL, &obj) ? obj : REAL(bpf_object__open)(path);
}

EXPORT struct bpf_object *bpf_object__open_mem(const void *data, size_t size,
					       const struct bpf_object_open_opts *opts)
{
	struct bpf_object *obj;

	if (data && open_old(data, size, opts, NULL, &obj))
		return obj;
	return REAL(bpf_object__open_mem)(data, size, opts);
}
