/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap watch: a map's changes, as they happen.
 *
 * A notice says which key has changed, or that something has: then the map is walked and held
 * against what was seen last. So each line is a difference that somebody could see; what was
 * written and overwritten between two looks is not shown.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/bits.h"
#include "cli/cli.h"
#include "cli/dump.h"
#include "shmap.h"
#include "sys/notify.h"

struct seen {
	struct seen *next;
	unsigned long round; /* of the walk that met it last */
	uint8_t data[];	     /* key, at a multiple of 8 the value */
};

struct watching {
	struct dump_map m;
	char name[64];
	bool json;
	long left; /* changes to show; < 0: without end */
	int cpus;  /* 0: one value */
	size_t key_room, value_size;
	uint8_t *key, *next, *value;
	struct seen **seen;
	size_t buckets, count;
	unsigned long round;
	bool no_walk;
	bool walk_only; /* a lookup may find another key's element */
};

static size_t bucket_of(const struct watching *w, const void *key)
{
	const uint8_t *p = key;
	size_t h = 1469598103934665603u;

	for (uint32_t i = 0; i < w->m.key_size; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return (h ^ h >> 29) & (w->buckets - 1);
}

static struct seen **seen_find(struct watching *w, const void *key)
{
	struct seen **p = &w->seen[bucket_of(w, key)];

	while (*p && memcmp((*p)->data, key, w->m.key_size))
		p = &(*p)->next;
	return p;
}

static void line_begin(const char *what)
{
	struct timespec now;
	struct tm tm;
	char text[16] = "";

	clock_gettime(CLOCK_REALTIME, &now);
	if (localtime_r(&now.tv_sec, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%03ld %s", text, now.tv_nsec / 1000000, what);
}

static void json_begin(const char *what)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	printf("{\"time\": %lld.%09ld, \"change\": \"%s\"", (long long)now.tv_sec, now.tv_nsec,
	       what);
}

static void show_value(struct watching *w, const uint8_t *value)
{
	const enum dump_style style = w->json ? DUMP_JSON : DUMP_TEXT;
	const size_t stride = round_up_u64(w->m.value_size, 8);

	if (!w->cpus) {
		if (w->json)
			fputs(", \"value\": ", stdout);
		dump_part(stdout, style, &w->m, false, value);
		return;
	}
	fputs(w->json ? ", \"values\": [" : "(", stdout);
	for (int cpu = 0; cpu < w->cpus; cpu++) {
		printf(w->json ? "%s{\"cpu\": %d, \"value\": " : "%scpu%d ", cpu ? ", " : "", cpu);
		dump_part(stdout, style, &w->m, false, value + (size_t)cpu * stride);
		if (w->json)
			putchar('}');
	}
	putchar(w->json ? ']' : ')');
}

/* One change; value NULL: the element has gone. */
static void show(struct watching *w, const char *what, const void *key, const uint8_t *value)
{
	if (!w->left)
		return;
	if (w->json) {
		json_begin(what);
		fputs(", \"key\": ", stdout);
		dump_part(stdout, DUMP_JSON, &w->m, true, key);
	} else {
		line_begin(what);
		putchar(' ');
		dump_part(stdout, DUMP_TEXT, &w->m, true, key);
		if (value)
			fputs(": ", stdout);
	}
	if (value)
		show_value(w, value);
	puts(w->json ? "}" : "");
	if (w->left > 0)
		w->left--;
}

/* The element of a key as it is now, against what was seen last; gone: a walk has not met it.
 * 0 or -ENOMEM. */
static int look(struct watching *w, const void *key, bool gone, bool tell)
{
	struct seen **p = seen_find(w, key), *s = *p;
	bool there = !(w->walk_only && gone) && !bpf_map_lookup_elem(w->m.fd, key, w->value);

	if (!there) {
		if (s) {
			*p = s->next;
			w->count--;
			if (tell)
				show(w, "delete", key, NULL);
			free(s);
		}
		return 0;
	}
	if (s && !memcmp(s->data + w->key_room, w->value, w->value_size)) {
		s->round = w->round;
		return 0;
	}
	if (!s) {
		s = malloc(sizeof(*s) + w->key_room + w->value_size);
		if (!s)
			return -ENOMEM;
		memcpy(s->data, key, w->m.key_size);
		s->next = NULL;
		*p = s;
		w->count++;
	}
	memcpy(s->data + w->key_room, w->value, w->value_size);
	s->round = w->round;
	if (tell)
		show(w, "update", key, w->value);
	return 0;
}

/* Of a prefix, what follows it is no part of the key. */
static void trim(uint8_t *key, uint32_t size)
{
	uint32_t bits;

	memcpy(&bits, key, 4);
	for (uint32_t i = 4; i < size; i++) {
		uint32_t from = (i - 4) * 8;

		if (bits < from + 8)
			key[i] &= bits <= from ? 0 : (uint8_t)(0xff << (from + 8 - bits));
	}
}

/* All elements. */
static int look_at_all(struct watching *w, bool tell)
{
	const void *prev = NULL;
	int err = 0;

	w->round++;
	while (!err && !bpf_map_get_next_key(w->m.fd, prev, w->next)) {
		memcpy(w->key, w->next, w->m.key_size);
		if (w->walk_only)
			trim(w->key, w->m.key_size);
		prev = w->key;
		err = look(w, w->key, false, tell);
	}
	if (!err && errno != ENOENT && !prev)
		w->no_walk = true;
	/* Those that the walk has not met: gone, or it passed them by. */
	for (size_t i = 0; !err && i < w->buckets; i++)
		for (struct seen *s = w->seen[i], *next; s; s = next) {
			next = s->next;
			if (s->round == w->round)
				continue;
			memcpy(w->key, s->data, w->m.key_size);
			err = look(w, w->key, true, tell);
		}
	return err;
}

/* What a change of a type without keys to walk is: that there was one. */
static void show_plain(struct watching *w, const struct shmap_event *e)
{
	static const char *const kinds[] = {"change", "put", "take", "store", "run", "many"};
	const char *what = kinds[e->kind < 6 ? e->kind : 0];

	if (w->json) {
		json_begin(what);
		printf(", \"changes\": %llu}\n", (unsigned long long)e->changes);
	} else {
		line_begin(what);
		printf(" (%llu)\n", (unsigned long long)e->changes);
	}
	if (w->left > 0)
		w->left--;
}

static int take(struct watching *w, const struct shmap_event *e)
{
	const size_t stride = round_up_u64(w->m.value_size, 8);
	int err = 0;

	if (w->no_walk) {
		show_plain(w, e);
		return 0;
	}
	if (e->key && !w->walk_only) {
		memcpy(w->key, e->key, w->m.key_size);
		return look(w, w->key, false, true);
	}
	if (e->kind == SHMAP_CHANGE_STORE && e->length && w->m.key_size == 4) {
		uint64_t from = e->offset / stride, last = (e->offset + e->length - 1) / stride;

		for (; !err && from <= last && from < w->m.max_entries; from++) {
			uint32_t index = (uint32_t)from;

			err = look(w, &index, false, true);
		}
		return err;
	}
	return look_at_all(w, true);
}

static int watch_begin(struct watching *w, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return cli_error("this is no map");
	snprintf(w->name, sizeof(w->name), "%s", info.name[0] ? info.name : "(no name)");
	w->m = (struct dump_map){
		.fd = fd,
		.name = w->name,
		.type = info.type,
		.key_size = info.key_size,
		.value_size = info.value_size,
		.max_entries = info.max_entries,
		.key_type_id = info.btf_key_type_id,
		.value_type_id = info.btf_value_type_id,
	};
	if (info.btf_id)
		w->m.btf = btf__load_from_kernel_by_id(info.btf_id);
	w->cpus = dump_per_cpu(info.type) ? libbpf_num_possible_cpus() : 0;
	w->key_room = round_up_u64(info.key_size, 8);
	w->value_size =
		w->cpus > 0 ? round_up_u64(info.value_size, 8) * (size_t)w->cpus : info.value_size;
	for (w->buckets = 64; w->buckets < info.max_entries && w->buckets < 1u << 20;)
		w->buckets *= 2;
	w->key = calloc(1, w->key_room + 8);
	w->next = calloc(1, w->key_room + 8);
	w->value = calloc(1, w->value_size + 8);
	w->seen = calloc(w->buckets, sizeof(*w->seen));
	if (!w->key || !w->next || !w->value || !w->seen)
		return cli_error("out of memory");
	w->no_walk = !info.key_size;
	w->walk_only = info.type == BPF_MAP_TYPE_LPM_TRIE;
	return 0;
}

static int watch_loop(struct watching *w, int fd)
{
	struct shmap_event e;
	struct pollfd p = {.events = POLLIN};
	long nfd, got;
	int err = 0;

	nfd = sys_notify_fd(fd, NULL);
	if (nfd < 0)
		return cli_error("%s: it cannot be watched: %s", w->name, strerror((int)-nfd));
	p.fd = (int)nfd;
	/* After it: what changes meanwhile is seen here or noticed. */
	if (!w->no_walk)
		err = look_at_all(w, false);
	fprintf(stderr, "shmap: watching %s (%s, %zu elements)\n", w->name,
		dump_map_type_name(w->m.type), w->count);
	while (!err && w->left) {
		while (!err && w->left && (got = sys_notify_read(p.fd, &e, sizeof(e))) > 0)
			err = take(w, &e);
		if (fflush(stdout))
			return cli_error("standard output: %s", strerror(errno));
		if (!err && w->left)
			poll(&p, 1, -1);
	}
	sys_notify_close(p.fd);
	return err ? cli_error("%s", strerror(-err)) : CLI_OK;
}

static int watch_main(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	struct watching w = {.left = -1};
	char *end;
	int c, fd, err;

	while ((c = getopt_long(argc, argv, "hjn:", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			w.left = strtol(optarg, &end, 10);
			if (!*optarg || *end || w.left < 1)
				return cli_usage(verb,
						 "--count takes a number of changes, not '%s'",
						 optarg);
			break;
		case 'j':
			w.json = true;
			break;
		case 'h':
			return cli_help(verb);
		default:
			return cli_usage(verb, NULL);
		}
	}
	if (argc - optind != 1)
		return cli_usage(verb,
				 "watch takes one map: its id, its name, or where it is pinned");
	err = cli_rundir();
	if (err)
		return err;
	libbpf_set_print(NULL);
	fd = cli_map_open(argv[optind]);
	if (fd < 0)
		return CLI_FAILED;
	err = watch_begin(&w, fd);
	return err ? err : watch_loop(&w, fd);
}

const struct verb verb_watch = {
	.name = "watch",
	.summary = "a map's changes, as they happen",
	.main = watch_main,
	.help = "usage: shmap watch [-j] [-n COUNT] MAP\n"
		"\n"
		"Prints each change of a map as it happens, whoever makes it and however: through\n"
		"bpf(2), by a program, or by a plain store through mmap(2). MAP is an id, a name, "
		"or\n"
		"where the map is pinned. Keys and values are shown by their BTF. What was written "
		"and\n"
		"overwritten between two looks is not shown.\n"
		"\n"
		"  -n, --count COUNT  end after so many changes\n"
		"  -j, --json         one JSON object a line\n"
		"  -h, --help         this text\n"
		"\n"
		"Examples:\n"
		"  shmap watch syscall_counts\n"
		"  shmap watch -n 1 /sys/fs/bpf/demo/config && echo 'the configuration has "
		"changed'\n"
		"  shmap watch --json 7 | jq .key\n",
};
