/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local storage: each operation killed after each of its instructions. The survivor, who
 * has had the map open all the time and knows the owners, finds the value of each as it
 * was before or as it is afterwards, and can do everything with the map.
 */
#include <sys/socket.h>

#include "base/bits.h"
#include "maps.h"
#include "map/storage.h"
#include "sync/lease.h"

/* Each case several hundred instructions, of which most are the hash table's: the other
 * kill tests have those all. SHMAP_TEST_KILLS=0: every one. */
#define POINTS 100
#define OWNERS 12
#define OLD 3  /* has a value to begin with */
#define NEW 11 /* has none */
#define WORDS 3
#define ABSENT (~0ULL)

enum action { CREATE, REPLACE, LOCKED, ERASE, READ, PROG_CREATE, PROG_GET, PROG_DROP };

struct fixture {
	const char *name;
	enum action action;
	int32_t lock_off; /* -1, or 0: before the words */
	struct map *m;
	int fd;
};

static struct fixture fixtures[] = {
	{"storage-create", CREATE, -1},
	{"storage-replace", REPLACE, -1},
	{"storage-erase", ERASE, -1},
	{"storage-read", READ, -1},
	{"storage-program-create", PROG_CREATE, -1},
	{"storage-program-get", PROG_GET, -1},
	{"storage-program-delete", PROG_DROP, -1},
	{"storage-lock-create", CREATE, 0},
	{"storage-lock-replace", REPLACE, 0},
	{"storage-lock-write", LOCKED, 0},
	{"storage-lock-program-create", PROG_CREATE, 0},
};

static int socks[OWNERS];

static uint32_t first(const struct fixture *f)
{
	return f->lock_off < 0 ? 0 : 1;
}

static void fill(const struct fixture *f, uint64_t *v, uint64_t with)
{
	memset(v, 0, (WORDS + 1) * sizeof(*v));
	for (uint32_t i = 0; i < WORDS; i++)
		v[first(f) + i] = with;
}

static uint64_t version(int owner, int n)
{
	return ((uint64_t)owner << 8 | (unsigned int)n) * 0x0101010101010101ull;
}

static int write_one(struct fixture *f, int owner, int n, uint64_t flags)
{
	uint64_t v[WORDS + 1];

	fill(f, v, version(owner, n));
	return f->m->ops->write(f->m, &socks[owner], v, flags);
}

static void setup(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	struct map_attr attr = {
		.map_type = BPF_MAP_TYPE_SK_STORAGE,
		.key_size = 4,
		.value_size = (WORDS + first(f)) * 8,
		.map_flags = BPF_F_NO_PREALLOC,
		.btf_key_type_id = 1,
		.btf_value_type_id = 2,
		.spin_lock_off = f->lock_off,
	};

	kill_drop_map(&f->m, f->fd);
	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	for (int i = 0; i < OWNERS; i++)
		if (i != NEW)
			REQUIRE(!write_one(f, i, 1, BPF_NOEXIST));
}

static long in_program(struct fixture *f, int owner, bool create)
{
	struct storage_owner o;
	uint64_t v[WORDS + 1];
	void *p = NULL;
	long err = storage_owner_by_fd(STORAGE_SOCK, socks[owner], &o);

	if (err || lease_acquire() < 0)
		return -EBUSY;
	fill(f, v, version(owner, 2));
	if (f->action == PROG_DROP)
		err = f->m->ops->storage->drop(f->m, &o);
	else
		p = f->m->ops->storage->get(f->m, &o, v,
					    create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0,
					    &(struct htab_at){0});
	lease_release();
	return f->action == PROG_DROP ? err : p ? 0 : -ENOMEM;
}

static void run(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	uint64_t v[WORDS + 1];
	long err = 0;

	switch (f->action) {
	case CREATE:
		err = write_one(f, NEW, 2, BPF_NOEXIST);
		break;
	case REPLACE:
		err = write_one(f, OLD, 2, BPF_EXIST);
		break;
	case LOCKED:
		err = write_one(f, OLD, 2, BPF_F_LOCK);
		break;
	case ERASE:
		err = f->m->ops->erase(f->m, &socks[OLD]);
		break;
	case READ:
		err = f->m->ops->read(f->m, &socks[OLD], v, 0);
		break;
	case PROG_CREATE:
		err = in_program(f, NEW, true);
		break;
	case PROG_GET:
	case PROG_DROP:
		err = in_program(f, OLD, false);
		break;
	}
	if (err)
		_exit(1);
}

/* The version of an owner's value; ABSENT: none; 0: something is wrong. */
static uint64_t look(struct fixture *f, int owner)
{
	uint64_t v[WORDS + 1] = {0};
	int err = f->m->ops->read(f->m, &socks[owner], v, 0);

	if (err == -ENOENT)
		return ABSENT;
	for (uint32_t i = 0; i < WORDS; i++)
		if (err || v[first(f) + i] != v[first(f)]) {
			kill_why("owner %d: %d, %llx", owner, err, (unsigned long long)v[0]);
			return 0;
		}
	return v[first(f)];
}

static bool looks(struct fixture *f, bool *done)
{
	for (int i = 0; i < OWNERS; i++) {
		uint64_t v = look(f, i);
		bool old = i == NEW ? v == ABSENT : v == version(i, 1), new = false;

		if (i == NEW && (f->action == CREATE || f->action == PROG_CREATE))
			new = v == version(i, 2);
		if (i == OLD && (f->action == REPLACE || f->action == LOCKED))
			new = v == version(i, 2);
		if (i == OLD && (f->action == ERASE || f->action == PROG_DROP))
			new = v == ABSENT;
		if (!old && !new) {
			kill_why("owner %d has %llx", i, (unsigned long long)v);
			return false;
		}
		*done |= new;
	}
	return true;
}

static bool peek(void *arg)
{
	bool done = false;

	/* a BPF_F_LOCK writer changes in place: its reader is not asked */
	return ((struct fixture *)arg)->action == LOCKED || looks((struct fixture *)arg, &done);
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	struct map_stats stats;
	bool done = f->action == READ || f->action == PROG_GET; /* nothing to be seen */

	if (kill_point() % 3 == 0 && !kill_recovered(f->m, "after recover"))
		return KILL_INVALID;
	if (kill_point() % 3 == 1 && write_one(f, 0, 1, BPF_EXIST))
		return KILL_INVALID;
	if (!looks(f, &done))
		return KILL_INVALID;
	for (int i = 0; i < OWNERS; i++) {
		int err = f->m->ops->erase(f->m, &socks[i]);

		if (err && err != -ENOENT) {
			kill_why("erasing %d: %d", i, err);
			return KILL_INVALID;
		}
	}
	for (int i = 0; i < OWNERS; i++)
		if (write_one(f, i, 1, BPF_NOEXIST) || write_one(f, i, 3, 0) ||
		    look(f, i) != version(i, 3)) {
			kill_why("owner %d in the end", i);
			return KILL_INVALID;
		}
	if (!kill_recovered(f->m, "in the end"))
		return KILL_INVALID;
	if (f->m->ops->stats(f->m, &stats) || stats.entries != OWNERS) {
		kill_why("%llu entries", (unsigned long long)stats.entries);
		return KILL_INVALID;
	}
	return done ? KILL_NEW : KILL_OLD;
}

static void begin(void)
{
	kill_area_begin();
	for (int i = 0; i < OWNERS; i++)
		socks[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
}

int main(int argc, char **argv)
{
	static struct kill_case cases[ARRAY_SIZE(fixtures)];

	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++)
		cases[i] = (struct kill_case){.name = fixtures[i].name,
					      .arg = &fixtures[i],
					      .setup = setup,
					      .op = run,
					      .peek = peek,
					      .check = check,
					      .points = POINTS};
	kill_begin = begin;
	return kill_main(argc, argv, cases, ARRAY_SIZE(cases));
}
