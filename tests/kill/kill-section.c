/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's bpf_spin_lock section killed after each of its instructions: whoever looks next, by
 * whichever way, finds the value as it was before the section or as it was left at its end.
 */
#include <sys/socket.h>

#include "base/bits.h"
#include "maps.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define WORDS 4
#define ENTRIES 40 /* more than there are records */

struct value {
	uint32_t lock, pad;
	uint64_t word[WORDS];
};

struct fixture {
	const char *name;
	uint32_t type, flags;
	unsigned int points;
	uint32_t dead; /* so many sections of other elements that nobody looked after */
	struct map *m, *read_only;
	int fd;
};

static struct fixture fixtures[] = {
	{"section-array", BPF_MAP_TYPE_ARRAY, 0, 1000, 0},
	{"section-array-crowded", BPF_MAP_TYPE_ARRAY, 0, 100, 20},
	{"section-hash", BPF_MAP_TYPE_HASH, 0, 1000, 0},
	{"section-hash-crowded", BPF_MAP_TYPE_HASH, 0, 100, 20},
	{"section-no-prealloc", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 200, 0},
	{"section-storage", BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 100, 0},
};

static int sock;
static uint32_t *ended;

static const void *key_of(const struct fixture *f, const uint32_t *n)
{
	return f->type == BPF_MAP_TYPE_SK_STORAGE ? (const void *)&sock : n;
}

static struct value *find(struct fixture *f, uint32_t n)
{
	struct storage_owner o;
	struct value *v;

	REQUIRE(lease_acquire() >= 0);
	if (f->type == BPF_MAP_TYPE_SK_STORAGE) {
		REQUIRE(!storage_owner_by_fd(STORAGE_SOCK, sock, &o));
		v = f->m->ops->storage->get(f->m, &o, NULL, 0, &(struct htab_at){0});
	} else {
		v = f->m->ops->lookup(f->m, &n);
	}
	REQUIRE(v);
	return v;
}

static void section(struct fixture *f, struct value *v, uint64_t to)
{
	void *kept;

	if (f->m->ops->section_begin(f->m, v, (uint32_t)lease_cpu(), &kept))
		_exit(1);
	for (int i = 0; i < WORDS; i++)
		store_relaxed(&v->word[i], to);
	map_section_end(kept);
	lock_release(&v->lock);
}

static void section_of_the_dead(struct fixture *f, uint32_t n)
{
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		struct value *v = find(f, n);
		void *kept;

		f->m->ops->section_begin(f->m, v, (uint32_t)lease_cpu(), &kept);
		v->word[1] = 77;
		kill(getpid(), SIGKILL);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
}

static void setup(void *arg)
{
	struct fixture *f = arg;
	struct map_attr attr = {
		.map_type = f->type,
		.key_size = 4,
		.value_size = sizeof(struct value),
		.max_entries = f->type == BPF_MAP_TYPE_SK_STORAGE ? 0 : ENTRIES,
		.map_flags = f->flags,
		.btf_key_type_id = 1,
		.btf_value_type_id = 2,
		.spin_lock_off = 0,
	};
	struct value v = {0};
	int fd;

	if (f->read_only)
		map_put(f->read_only);
	kill_drop_map(&f->m, f->fd);
	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	for (int i = 0; i < WORDS; i++)
		v.word[i] = 1;
	for (uint32_t n = 0; n < ENTRIES; n++)
		REQUIRE(!f->m->ops->write(f->m, key_of(f, &n), &v, 0));
	fd = object_open_id(OBJECT_MAP, f->m->obj.id, O_RDONLY);
	REQUIRE(fd >= 0 && !map_open(fd, &f->read_only));
	close(fd);
	for (uint32_t n = 0; n < f->dead; n++)
		section_of_the_dead(f, 10 + n);
	store_relaxed(ended, 0);
}

/* Element 0's second section: the first is over. */
static void run(void *arg)
{
	struct fixture *f = arg;
	struct value *v = find(f, 0);

	section(f, v, 2);
	lease_release();
	kill_end(ended, 0, 0);
}

static bool whole(const char *how, uint32_t n, const struct value *v, uint64_t old, uint64_t new)
{
	for (int i = 0; i < WORDS; i++)
		if (v->word[i] != v->word[0] || (v->word[0] != old && v->word[0] != new)) {
			kill_why("%s, element %u: %llu %llu %llu %llu", how, n,
				 (unsigned long long)v->word[0], (unsigned long long)v->word[1],
				 (unsigned long long)v->word[2], (unsigned long long)v->word[3]);
			return false;
		}
	return true;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = arg;
	struct value v = {0}, *p;
	uint32_t n = 0;
	uint64_t is;
	int ret = 0;

	switch (kill_point() % 5) {
	case 0:
		ret = f->m->ops->read(f->m, key_of(f, &n), &v, BPF_F_LOCK);
		break;
	case 1:
		ret = f->m->ops->read(f->m, key_of(f, &n), &v, 0);
		break;
	case 2:
		ret = f->read_only->ops->read(f->read_only, key_of(f, &n), &v, BPF_F_LOCK);
		break;
	case 3: /* the next section */
		p = find(f, 0);
		is = 0;
		{
			void *kept;

			ret = f->m->ops->section_begin(f->m, p, (uint32_t)lease_cpu(), &kept);
			memcpy(&v, p, sizeof(v));
			map_section_end(kept);
			lock_release(&p->lock);
		}
		lease_release();
		break;
	default:
		if (!kill_recovered(f->m, "after recover"))
			return KILL_INVALID;
		ret = f->m->ops->read(f->m, key_of(f, &n), &v, 0);
	}
	if (ret) {
		kill_why("reading: %d", ret);
		return KILL_INVALID;
	}
	if (!whole("after the death", 0, &v, 1, 2))
		return KILL_INVALID;
	is = v.word[0];
	if (load_relaxed(ended) && is != 2) {
		kill_why("the section was over, and is gone");
		return KILL_INVALID;
	}
	/* It stays so, whoever reads; and what other dead left is put back, too. */
	for (n = 0; n < ENTRIES; n++) {
		uint64_t want = n ? 1 : is;

		if (f->type == BPF_MAP_TYPE_SK_STORAGE && n)
			break;
		ret = f->m->ops->read(f->m, key_of(f, &n), &v, BPF_F_LOCK);
		if (ret || !whole("in the end", n, &v, want, want))
			return KILL_INVALID;
	}
	/* Then the map serves as before. */
	p = find(f, 0);
	section(f, p, 3);
	lease_release();
	n = 0;
	if (f->m->ops->read(f->m, key_of(f, &n), &v, BPF_F_LOCK) || !whole("anew", 0, &v, 3, 3) ||
	    !kill_recovered(f->m, "in the end"))
		return KILL_INVALID;
	return is == 2 ? KILL_NEW : KILL_OLD;
}

static void begin(void)
{
	kill_area_begin();
	ended = kill_shared_word();
	sock = socket(AF_UNIX, SOCK_DGRAM, 0);
}

int main(int argc, char **argv)
{
	static struct kill_case cases[ARRAY_SIZE(fixtures)];

	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++)
		cases[i] = (struct kill_case){.name = fixtures[i].name,
					      .arg = &fixtures[i],
					      .setup = setup,
					      .op = run,
					      .check = check,
					      .points = fixtures[i].points};
	kill_begin = begin;
	return kill_main(argc, argv, cases, ARRAY_SIZE(cases));
}
