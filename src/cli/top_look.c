/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap top: looking at maps. Nothing is asked of who writes to them: what changed is told by
 * comparing two looks, counters by shmap's statistics, who has a map open by /proc.
 */
#include "cli/top.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "cli/dump.h"
#include "map/map.h"
#include "sync/qlock.h"
#include "sys/maplock.h"
#include "sys/sys.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t hash_of(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325ull;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static bool per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Types whose elements bpf(2) can be asked for, one by one, and that stay what they were. */
static bool walkable(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		return true;
	}
	return per_cpu(type);
}

static bool is_number(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static uint64_t number_at(const uint8_t *p, uint32_t size)
{
	uint64_t v = 0;

	/* little-endian, as all machines that shmap runs on */
	memcpy(&v, p, size < 8 ? size : 8);
	return v;
}

static size_t value_room(const struct bpf_map_info *info)
{
	size_t size = (info->value_size + 7) & ~7u;

	return per_cpu(info->type) ? size * (size_t)libbpf_num_possible_cpus() : size;
}

static uint64_t number_of(const struct bpf_map_info *info, const uint8_t *value)
{
	size_t stride = (info->value_size + 7) & ~7u;
	uint64_t sum = 0;

	for (size_t at = 0; at < value_room(info); at += stride)
		sum += number_at(value + at, info->value_size);
	return sum;
}

static int by_key(const void *a, const void *b)
{
	const struct top_elem *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int look_at_elements(int fd, const struct bpf_map_info *info, uint32_t limit,
			    struct top_look *look)
{
	uint32_t room = info->max_entries < limit ? info->max_entries : limit;
	uint8_t *value = malloc(value_room(info) + 8);
	void *prev = NULL;

	look->elem = calloc(room ? room : 1, sizeof(*look->elem));
	look->keys = calloc(room ? room : 1, info->key_size);
	if (!value || !look->elem || !look->keys) {
		free(value);
		return -ENOMEM;
	}
	while (look->n < room) {
		uint8_t *key = look->keys + (size_t)look->n * info->key_size;
		struct top_elem *e = &look->elem[look->n];

		if (bpf_map_get_next_key(fd, prev, key))
			break;
		prev = key;
		e->at = look->n;
		e->key = hash_of(key, info->key_size);
		/* one that went meanwhile counts as gone at the next look */
		if (!bpf_map_lookup_elem(fd, key, value)) {
			e->value = hash_of(value, value_room(info));
			if (is_number(info->value_size))
				e->number = number_of(info, value);
		}
		look->n++;
	}
	look->cut = look->n == room && room < info->max_entries;
	qsort(look->elem, look->n, sizeof(*look->elem), by_key);
	/* A walk begins anew where its key is deleted: what it met twice is one. */
	for (uint32_t i = 0, n = look->n; i < n; i++) {
		if (!i)
			look->n = 0;
		if (!look->n || look->elem[look->n - 1].key != look->elem[i].key)
			look->elem[look->n++] = look->elem[i];
	}
	free(value);
	return 0;
}

static void compare(struct top_map *m, struct top_map *before, double seconds)
{
	uint64_t changed = 0, same = 0, increase = 0;

	for (uint32_t i = 0; i < m->look.n; i++) {
		struct top_elem *e = &m->look.elem[i], *was;

		was = bsearch(e, before->look.elem, before->look.n, sizeof(*e), by_key);
		if (was)
			e->hits = was->hits;
		same += !!was;
		if (was && was->value == e->value)
			continue;
		changed++;
		e->hits++;
		e->increase = 1;
		if (!m->numeric)
			continue;
		/* of a counter; what went down is one change */
		if (e->number > (was ? was->number : 0))
			e->increase = e->number - (was ? was->number : 0);
		increase += e->increase;
	}
	/* those that are gone, where both looks have seen all */
	if (!before->look.cut && !m->look.cut)
		changed += before->look.n - same;
	m->changed = changed / seconds;
	/* (the part of a count that is only near may come in later) */
	if (m->operations > before->operations)
		m->ops = (m->operations - before->operations) / seconds;
	m->increase = increase / seconds;
	m->evicted = (m->evictions - before->evictions) / seconds;
	m->lost_rate = (m->lost - before->lost) / seconds;
	if (!m->walked && m->entries != before->entries)
		m->changed = (m->entries > before->entries ? m->entries - before->entries
							   : before->entries - m->entries) /
			     seconds;
}

static void count_buckets(struct top_map *m)
{
	for (uint32_t i = 0; i < m->look.n; i++) {
		uint64_t v = m->look.elem[i].number;

		m->bucket[v ? 64 - __builtin_clzll(v) : 0]++;
	}
}

struct file_id {
	dev_t dev;
	ino_t ino;
};

/* Who has the files open: the processes that we may look into, but for ourselves. */
static void find_openers(struct top *t, const struct file_id *file)
{
	DIR *proc = opendir("/proc"), *fds;
	struct dirent *p, *d;
	char path[300];

	while (proc && (p = readdir(proc))) {
		pid_t pid = isdigit((unsigned char)p->d_name[0]) ? atoi(p->d_name) : 0;

		if (!pid || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
		fds = opendir(path);
		while (fds && (d = readdir(fds))) {
			struct stat st;

			if (d->d_name[0] == '.' || fstatat(dirfd(fds), d->d_name, &st, 0))
				continue;
			for (unsigned int i = 0; i < t->n; i++) {
				struct top_map *m = &t->map[i];

				if (st.st_ino != file[i].ino || st.st_dev != file[i].dev)
					continue;
				/* its other fds of the same map come in the same walk */
				if (m->openers && m->openers <= TOP_OPENERS &&
				    m->opener[m->openers - 1] == pid)
					continue;
				if (m->openers < TOP_OPENERS)
					m->opener[m->openers] = pid;
				m->openers++;
			}
		}
		if (fds)
			closedir(fds);
	}
	if (proc)
		closedir(proc);
}

static int look_at_map(int fd, struct top_map *m, uint32_t view)
{
	uint32_t len = sizeof(m->info);
	struct map_stats stats = {0};
	struct qlock_info lock = {0};
	int err = 0;

	if (bpf_obj_get_info_by_fd(fd, &m->info, &len))
		return -errno;
	snprintf(m->type, sizeof(m->type), "%s", dump_map_type_name(m->info.type));
	m->counted = !sys_map_stats(fd, &stats);
	if (!sys_map_lock_info(fd, &lock)) {
		m->lock_waits = lock.waits;
		m->lock_owner = lock.owner;
	}
	m->entries = stats.entries;
	m->evictions = stats.evictions;
	m->failed = stats.failed;
	m->lost = stats.lost;
	m->operations = stats.changes;
	m->ops_counted = stats.counts_changes;
	m->walked = walkable(m->info.type);
	m->numeric = m->walked && is_number(m->info.value_size);
	if (m->walked)
		err = look_at_elements(fd, &m->info,
				       view == m->info.id ? TOP_VIEW_ELEMS : TOP_LIST_ELEMS,
				       &m->look);
	if (!err && m->numeric)
		count_buckets(m);
	return err;
}

static void map_free(struct top_map *m)
{
	free(m->look.elem);
	free(m->look.keys);
}

void top_free(struct top *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		map_free(&t->map[i]);
	free(t->map);
	memset(t, 0, sizeof(*t));
}

static struct top_map *add_map(struct top *t)
{
	if (t->n == t->room) {
		unsigned int room = t->room ? 2 * t->room : 16;
		void *map = realloc(t->map, room * sizeof(*t->map));

		if (!map)
			return NULL;
		t->map = map;
		t->room = room;
	}
	memset(&t->map[t->n], 0, sizeof(*t->map));
	return &t->map[t->n++];
}

int top_look(struct top *t, uint32_t view)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, ro, .open_flags = BPF_F_RDONLY);
	struct top next = {.at = now_ns()};
	struct file_id *file = NULL;
	double seconds = (next.at - t->at) / 1e9;
	uint32_t id = 0;
	int err = 0;

	while (!err && !bpf_map_get_next_id(id, &id)) {
		int fd = bpf_map_get_fd_by_id_opts(id, &ro);
		struct top_map *m;
		struct stat st;
		void *files;

		if (fd < 0)
			continue; /* it went meanwhile */
		m = add_map(&next);
		files = realloc(file, next.n * sizeof(*file));
		if (files)
			file = files;
		err = !m || !files ? -ENOMEM : look_at_map(fd, m, view);
		if (!err && !fstat(fd, &st))
			file[next.n - 1] = (struct file_id){st.st_dev, st.st_ino};
		close(fd);
		for (unsigned int i = 0; !err && t->at && i < t->n; i++)
			if (t->map[i].info.id == id)
				compare(m, &t->map[i], seconds);
	}
	if (err) {
		top_free(&next);
	} else {
		find_openers(&next, file);
		top_free(t);
		*t = next;
	}
	free(file);
	return err;
}

/* ---- one element ---- */

static void as_text(char *out, size_t size, const struct btf *btf, uint32_t type, const void *data,
		    uint32_t len)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f;

	out[0] = '\0';
	f = btf && type ? open_memstream(&text, &n) : NULL;
	if (f) {
		bool ok = !dump_type(f, DUMP_TEXT, btf, type, data);

		fclose(f);
		if (ok)
			snprintf(out, size, "%s", text);
		free(text);
		if (ok)
			return;
	}
	if (is_number(len)) {
		snprintf(out, size, "%llu", (unsigned long long)number_at(data, len));
		return;
	}
	for (uint32_t i = 0; i < len && 3 * i + 3 < size; i++)
		snprintf(out + 3 * i, size - 3 * i, "%02x ", ((const uint8_t *)data)[i]);
}

void top_elem_text(const struct top_map *m, const struct top_elem *e, struct top_text *text)
{
	struct btf *btf = m->info.btf_id ? btf__load_from_kernel_by_id(m->info.btf_id) : NULL;
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, ro, .open_flags = BPF_F_RDONLY);
	const uint8_t *key = m->look.keys + (size_t)e->at * m->info.key_size;
	uint8_t *value = calloc(1, value_room(&m->info) + 8);
	int fd = bpf_map_get_fd_by_id_opts(m->info.id, &ro);

	as_text(text->key, sizeof(text->key), btf, m->info.btf_key_type_id, key, m->info.key_size);
	snprintf(text->value, sizeof(text->value), "(gone)");
	if (value && fd >= 0 && !bpf_map_lookup_elem(fd, key, value)) {
		if (m->numeric)
			snprintf(text->value, sizeof(text->value), "%llu",
				 (unsigned long long)number_of(&m->info, value));
		else
			as_text(text->value, sizeof(text->value), btf, m->info.btf_value_type_id,
				value, m->info.value_size);
	}
	if (fd >= 0)
		close(fd);
	free(value);
	btf__free(btf);
}

static bool hotter(const struct top_elem *a, const struct top_elem *b)
{
	if (a->increase != b->increase)
		return a->increase > b->increase;
	if (a->hits != b->hits)
		return a->hits > b->hits;
	return a->at < b->at;
}

unsigned int top_hottest(const struct top_map *m, const struct top_elem **hot, unsigned int count)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < m->look.n; i++) {
		const struct top_elem *e = &m->look.elem[i];
		unsigned int at = n;

		while (at && hotter(e, hot[at - 1]))
			at--;
		if (at == count)
			continue;
		n += n < count;
		memmove(&hot[at + 1], &hot[at], (n - at - 1) * sizeof(*hot));
		hot[at] = e;
	}
	return n;
}

void top_comm(pid_t pid, char *name, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	snprintf(name, size, "?");
	f = fopen(path, "re");
	if (f && fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}
