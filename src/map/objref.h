/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps whose values are other objects: ARRAY_OF_MAPS, HASH_OF_MAPS, PROG_ARRAY.
 *
 * A slot is one 64-bit word:
 *
 *   63              32 31           0
 *   | tag             | object's id |         0: empty
 *
 * The tag is given out once per update (area.next_tag), and the word's reference to
 * the object is a hard link of that name (shm/slotref.c). So two words are
 * never equal, a link belongs to one word, and whoever is in doubt about a link looks
 * whether its word stands in the slot.
 *
 * An update, with a claim (sync/claim.h) whose body says what is going on:
 *
 *   claim.new = word     the link is about to be made
 *   link(word)
 *   claim.old = what the slot holds; the slot: old -> word, in one compare-and-swap
 *   unlink(old)
 *   claim.new = claim.old = 0
 *
 * Death anywhere in between: who takes the claim from the dead unlinks each of the
 * two that does not stand in the slot. If the slot holds `new`, the update
 * happened and `old` is what is left over; if it holds `old`, it did not; if it holds
 * neither, others have changed it since, and both are left over. Nobody can
 * bring either of them back, as tags do not repeat. A link that is gone already is
 * no error. So nothing is lost, and no slot shows an object that nothing keeps.
 *
 * Programs get from the word to a copy of the object that is private to the process
 * (an opened map, a verified program) by a cache, keyed by word. A copy does not
 * hold the object: the slot does. When the slot changes, the object may go,
 * and its id with it, at once; a copy that is left in a cache is only memory. What
 * an entry gives way to is freed when no run that may have found it goes on.
 *
 * G7. The compare-and-swap of the slot comes before the stamp, so a run that looks
 * the slot up after the grace period has passed sees the new word, and none that has
 * seen the old one is still going on: lease.c has the proof.
 */
#ifndef SHMAP_MAP_OBJREF_H
#define SHMAP_MAP_OBJREF_H

#include "map/change.h"
#include "map/map.h"
#include "shm/rundir.h"
#include "sync/claim.h"
#include "sync/writers.h"

#define OBJREF_CLAIMS 8
#define OBJREF_CACHED_MAX 8192 /* copies per map and process */

/* In the file, at m->objref_off. */
struct objref_area {
	struct robust_claim claim[OBJREF_CLAIMS];
	uint32_t next_tag;
	uint32_t pad[15];
};

#define OBJREF_AREA_SIZE sizeof(struct objref_area)

/* The bodies of claims. */
#define CLAIM_NEW(c) ((c)->body[0])
#define CLAIM_OLD(c) ((c)->body[1])
#define CLAIM_SLOT(c) ((c)->more[0])

/* What a caller's fd is. Filled and held by objref_host.hold. */
struct objref_target {
	enum object_kind kind;
	uint32_t id;
	struct map *map; /* OBJECT_MAP */
	uint64_t owner;	 /* OBJECT_PROG: objref_owner_make() */
	uint64_t priv[4];
};

/* What the layers above do for the maps. Set once, as the library is loaded. */
struct objref_host {
	/* The object of that kind behind a caller's fd, held until drop(). 0; -EBADF,
	 * -EINVAL. */
	int (*hold)(int fd, struct objref_target *t);
	/* The id of it, if that is known without a look at the fd; else 0. */
	uint32_t (*known)(int fd, enum object_kind kind);
	void (*drop)(struct objref_target *t);
	/* A private copy of the object, which does not hold it: a struct map, a struct
	 * vm_prog (*owner says what it is like). 0 or -errno. */
	int (*open)(enum object_kind kind, uint32_t id, void **copy, uint64_t *owner);
	void (*close)(enum object_kind kind, void *copy);
	/* Around code that opens and closes fds for itself. */
	void (*inside_begin)(void);
	void (*inside_end)(void);
};
void objref_set_host(const struct objref_host *host);

struct objref_ops {
	enum object_kind kind;
	bool template; /* attr.inner says what the objects are like */
	bool users;    /* the slots are emptied when the last user goes */
	bool wait;     /* G7: an update returns when nobody uses the old object */
	/* What the kernel checks before it looks at the fd; NULL: nothing. */
	int (*check)(struct map *m, const void *key, uint64_t flags);
	/* May t stand in a slot of m? 0 or -EINVAL. */
	int (*fits)(struct map *m, const struct objref_target *t);
	/* Stores word in the key's slot; CLAIM_OLD and CLAIM_SLOT first. */
	int (*swap)(struct map *m, const void *key, uint64_t flags, uint64_t word,
		    struct robust_claim *c);
	/* Does the word stand in the slot (or anywhere in the map)? Called for a dead owner's
	 * claim, without a lock. */
	bool (*shows)(struct map *m, uint64_t slot, uint64_t word);
	/* The word in the key's slot, or 0. NULL: not to be had so easily. */
	uint64_t (*holds)(struct map *m, const void *key);
	/* The object in slot `index`, for programs, under a lease; or NULL. */
	void *(*at)(struct map *m, uint32_t index);
	/* CGROUP_ARRAY: the id of the cgroup in slot `index`. 0, -E2BIG, -EAGAIN (empty). */
	int (*cgroup)(struct map *m, uint32_t index, uint64_t *id);
	/* A program is about to use the map: may it? 0 or -EINVAL. */
	int (*adopt)(struct map *m, uint64_t owner);
};

/* map_ops.open and close: the process's part. */
int objref_open(struct map *m);
void objref_close(struct map *m);
/* Are attr.inner's values those of a map that could be there? 0 or -EINVAL. */
int objref_check_inner(const struct map_attr *attr);
/* MAP_CREATE: takes what the inner maps are like from one. 0, -EINVAL, -ENOTSUPP. */
int objref_take_inner(struct map_attr *attr, const struct map *like);
bool objref_inner_fits(const struct map *m, const struct map *inner);

/* map_ops.write and erase: the value is the caller's fd. */
int objref_write(struct map *m, const void *key, const void *value, uint64_t flags);
int objref_erase(struct map *m, const void *key);
/* As generic_update_batch() and generic_delete_batch(), with one grace period. */
int objref_update_batch(struct map *m, struct map_batch *b);
int objref_delete_batch(struct map *m, struct map_batch *b);
int objref_take_batch(struct map *m, struct map_batch *b);
/* Around the taking out of one element, CLAIM_OLD of which says what it was, by
 * htab_lookup_and_delete_batch(). */
int objref_take_begin(struct map *m, struct claim_held *held);
void objref_take_end(struct map *m, struct claim_held *held);
/* After slots were changed by other means: drops the word's reference and collects. */
void objref_dropped(struct map *m, uint64_t word);
/* Waits for the grace period of what has just been taken out of slots. */
void objref_grace(struct map *m);
/* map_ops.recover: finishes what dead owners of claims left. */
int objref_recover(struct map *m);
int objref_validate(struct map *m, char *why, size_t size);

/* Opens what the slot's word names; `at`: where in the cache to look. */
void *objref_lookup_slow(struct map *m, const uint64_t *slot, uint32_t at);

/* The map that the address lies in: m, a copy of one that m holds, or NULL. */
struct map *objref_map_of(struct map *m, const void *address);

/* Frees copies that no run uses any more. Cheap when there are none. */
void objref_reclaim(void);

struct objref_entry {
	uint64_t word;
	void *copy;
	const uint64_t *slot; /* it was found there */
	enum object_kind kind;
	uint32_t stamp;
	struct objref_entry *next; /* of the retired */
};

/*
 * Where a reader finds a copy: `copy` belongs to `word` if that is there both before and after.
 * Who changes a place puts OBJREF_BUSY there first, which no slot ever holds, and nobody else
 * changes it meanwhile. 0, with no copy: nothing yet; so an empty slot is found in it.
 */
struct objref_place {
	uint64_t word;
	void *copy;
	struct objref_entry *entry; /* whose the two are */
	uint64_t pad;
};

#define OBJREF_BUSY (~0ULL)
#define OBJREF_PLACE_SHIFT 5
_Static_assert(sizeof(struct objref_place) == 1U << OBJREF_PLACE_SHIFT, "for native code");

#define OBJREF_WAYS 4

struct objref_local {
	struct objref_place *table; /* of mask + 1; OBJREF_WAYS places for each `at` */
	uint32_t mask;
	uint32_t room;	 /* mask + 1 when there is a table of its own */
	uint32_t places; /* slots that there may be */
};

/* Makes the table if there is none: false: no memory. It stays where it is. */
bool objref_table(const struct map *m);

static inline bool objref_place_has(const struct objref_place *p, uint64_t word, void **copy)
{
	if (unlikely(load_acquire(&p->word) != word))
		return false;
	*copy = load_acquire(&p->copy);
	return likely(load_relaxed(&p->word) == word);
}

/*
 * Program side: the object that the slot holds, or NULL. Valid until the run's lease
 * ends. A word is never given out twice, so an entry of that word is right, whatever
 * became of the slot since.
 */
static inline void *objref_lookup(struct map *m, const uint64_t *slot, uint32_t at)
{
	struct objref_local *l = m->slots;
	uint64_t word = load_acquire(slot);
	/* First: with the table's mask comes the table. */
	uint32_t mask = load_acquire(&l->mask);
	void *copy;

	if (likely(objref_place_has(&load_relaxed(&l->table)[at & mask], word, &copy)))
		return copy;
	return objref_lookup_slow(m, slot, at);
}

/*
 * What the programs of a prog array have in common: type, expected attach type,
 * flags, and the prototype of the function traced. 0: none yet.
 */
#define OBJREF_OWNER_JITED (1ULL << 16)
#define OBJREF_OWNER_FRAGS (1ULL << 17)
#define OBJREF_OWNER_SLEEPABLE (1ULL << 18)

static inline uint64_t objref_owner_make(uint32_t type, uint32_t expected, uint64_t flags,
					 uint32_t proto)
{
	return (type & 0xff) | (expected & 0xff) << 8 | flags | (uint64_t)proto << 32;
}

static inline uint32_t objref_owner_type(uint64_t owner)
{
	return owner & 0xff;
}

/* A map that the slot holds: a program may store to what it finds in it. */
static inline void *objref_map_lookup(struct map *m, const uint64_t *slot, uint32_t at)
{
	struct map *inner = objref_lookup(m, slot, at);

	if (writers_watched() && inner)
		change_later(inner);
	return inner;
}

/* The same, in a hash: the cache has a place for each element, as what is left of their
 * distance is odd. */
static inline void *objref_hash_lookup(struct map *m, const uint64_t *slot)
{
	return objref_map_lookup(m, slot,
				 (uint32_t)((uintptr_t)slot >> __builtin_ctz(m->htab.elem_stride)));
}

#endif
