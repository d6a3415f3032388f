/* SPDX-License-Identifier: BSD-2-Clause */
/* What BPF_BTF_LOAD checks: the header, the sections, and then stage by stage. */
#include "btf/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include "base/errors.h"
#include "btf/btf.h"

void check_log(struct check *c, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!c->log || c->log_len >= c->log_size)
		return;
	va_start(args, fmt);
	n = vsnprintf(c->log + c->log_len, c->log_size - c->log_len, fmt, args);
	va_end(args);
	if (n > 0)
		c->log_len += (size_t)n;
}

int check_bad(struct check *c, uint32_t id, const char *why)
{
	static const char *const kinds[] = {
		"UNKNOWN", "INT",     "PTR",	  "ARRAY",    "STRUCT",	  "UNION",  "ENUM",
		"FWD",	   "TYPEDEF", "VOLATILE", "CONST",    "RESTRICT", "FUNC",   "FUNC_PROTO",
		"VAR",	   "DATASEC", "FLOAT",	  "DECL_TAG", "TYPE_TAG", "ENUM64",
	};
	const struct btf_type *t = check_type(c, id);
	const char *name = t && t->name_off ? check_string(c, t->name_off) : NULL;

	check_log(c, "[%u] %s %s %s\n", id, t ? kinds[KIND(t)] : "type", name ? name : "(anon)",
		  why);
	return -EINVAL;
}

static int check_sections(struct check *c)
{
	const struct {
		uint32_t off, len;
	} type = {c->hdr.type_off, c->hdr.type_len}, str = {c->hdr.str_off, c->hdr.str_len};
	bool swapped = type.off != str.off ? (int32_t)(type.off - str.off) > 0
					   : (int32_t)(type.len - str.len) > 0;
	uint32_t off[2] = {type.off, str.off}, len[2] = {type.len, str.len};
	uint32_t expected = c->size - c->hdr.hdr_len, total = 0, i, at;

	for (i = 0; i < 2; i++) {
		at = swapped ? 1 - i : i;
		if (expected < off[at] || total != off[at]) {
			check_log(c, "Invalid section offset, gap or overlap\n");
			return -EINVAL;
		}
		if (expected - total < len[at]) {
			check_log(c, "Total section length too long\n");
			return -EINVAL;
		}
		total += len[at];
	}
	if (total != expected) {
		check_log(c, "Unsupported section found\n");
		return -EINVAL;
	}
	return 0;
}

static int check_header(struct check *c)
{
	uint32_t len, i;

	if (c->size < offsetof(struct btf_header, hdr_len) + sizeof(len)) {
		check_log(c, "hdr_len not found\n");
		return -EINVAL;
	}
	memcpy(&len, c->data + offsetof(struct btf_header, hdr_len), sizeof(len));
	if (c->size < len) {
		check_log(c, "btf_header not found\n");
		return -EINVAL;
	}
	for (i = sizeof(c->hdr); i < len; i++) {
		if (c->data[i]) {
			check_log(c, "Unsupported btf_header\n");
			return -E2BIG;
		}
	}
	memcpy(&c->hdr, c->data, len < sizeof(c->hdr) ? len : sizeof(c->hdr));
	/* A header that ends before its own length says so here. */
	if (c->hdr.magic != BTF_MAGIC) {
		check_log(c, "Invalid magic\n");
		return -EINVAL;
	}
	if (c->hdr.version != BTF_VERSION || c->hdr.flags) {
		check_log(c, "Unsupported version or flags\n");
		return -ENOTSUPP;
	}
	if (c->size == c->hdr.hdr_len) {
		check_log(c, "No data\n");
		return -EINVAL;
	}
	return check_sections(c);
}

static int check_strings(struct check *c)
{
	uint32_t len = c->hdr.str_len;

	if (c->hdr.hdr_len + (uint64_t)c->hdr.str_off + len != c->size) {
		check_log(c, "String section is not at the end\n");
		return -EINVAL;
	}
	c->strings = (const char *)c->data + c->hdr.hdr_len + c->hdr.str_off;
	if (!len || len - 1 > BTF_MAX_NAME_OFFSET || c->strings[len - 1] || c->strings[0]) {
		check_log(c, "Invalid string section\n");
		return -EINVAL;
	}
	return 0;
}

static int check_types(struct check *c)
{
	if (c->hdr.type_off & 3) {
		check_log(c, "Unaligned type_off\n");
		return -EINVAL;
	}
	if (!c->hdr.type_len) {
		check_log(c, "No type found\n");
		return -EINVAL;
	}
	c->type_data = malloc(c->hdr.type_len);
	if (!c->type_data)
		return -ENOMEM;
	memcpy(c->type_data, c->data + c->hdr.hdr_len + c->hdr.type_off, c->hdr.type_len);
	return check_metas(c);
}

/* libbpf's view of the checked blob; a longer header is cut to what it knows. */
static int parse(const struct check *c, struct btf **out)
{
	struct btf_header hdr = c->hdr;
	struct btf *btf;
	uint8_t *copy;

	if (hdr.hdr_len == sizeof(hdr)) {
		btf = btf__new(c->data, c->size);
	} else {
		copy = malloc(c->size);
		if (!copy)
			return -ENOMEM;
		hdr.hdr_len = sizeof(hdr);
		memcpy(copy, &hdr, sizeof(hdr));
		memcpy(copy + sizeof(hdr), c->data + c->hdr.hdr_len, c->size - c->hdr.hdr_len);
		btf = btf__new(copy, (uint32_t)sizeof(hdr) + c->size - c->hdr.hdr_len);
		free(copy);
	}
	if (!btf)
		return errno ? -errno : -EINVAL;
	*out = btf;
	return 0;
}

int btf_check(const void *data, uint32_t size, struct btf **out, char *log, size_t log_size)
{
	struct check c = {.data = data, .size = size, .log = log, .log_size = log_size};
	struct btf *btf;
	int err;

	if (log && log_size)
		log[0] = '\0';
	if (size > CHECK_MAX_SIZE)
		return -E2BIG;
	err = check_header(&c);
	if (!err)
		err = check_strings(&c);
	if (!err)
		err = check_types(&c);
	if (!err)
		err = check_references(&c);
	if (!err)
		err = check_type_tags(&c);
	if (!err)
		err = parse(&c, &btf);
	if (!err) {
		err = btf_check_fields(btf);
		if (err) {
			check_log(&c, "Invalid special fields\n");
			btf__free(btf);
		} else {
			*out = btf;
		}
	}
	free(c.type_data);
	free(c.types);
	free(c.state);
	free(c.resolved_id);
	free(c.resolved_size);
	return err;
}
