// SPDX-License-Identifier: BSD-2-Clause
/*
 * A slot holds a program that nobody uses; who takes it out owns it. `numbers`
 * has a bit for each fd number (modulo 64) that some slot may be for.
 *
 * That a run through fd n runs the program that n means does not rest on what
 * follows: take compares the file's identity, which stays unique while the
 * slot holds the file. (It does not hold one that was loaded here and never
 * opened: there tmpfs, whose inode numbers count up, must do.) Claim: no slot
 * for n is left when a close of n is over, so that a program goes with its last
 * fd.
 *  - a user notes `generation` first, and only while `closing` is 0; it fills the
 *    slot later and then looks at `generation` again. When that has changed, it
 *    empties the slot.
 *  - a close counts both up before it looks at `numbers` and empties the slots,
 *    and counts `closing` down when it is over.
 * So a user that noted before the close either is seen by it, or sees it (store,
 * fence, load on both sides); and nobody notes, or takes from a slot, during
 * one. `numbers` is cleared during a close only, when no user that will keep
 * its slot can be setting a bit.
 */
#include "base/atomic.h"
#include "base/bits.h"
#include "base/rawsys.h"
#include "sys/prog.h"
#include "sys/prog_cache.h"
#include "sys/sys.h"

#define SLOTS 8
#define NOT_KEPT UINT64_MAX

static struct vm_prog *slots[SLOTS];
static uint64_t numbers;
static uint64_t generation;
static uint32_t closing;

static int *cached_fd(struct vm_prog *p)
{
	return &container_of(p, struct sys_prog, vm)->cached_fd;
}

static bool means(int fd, struct vm_prog *p)
{
	const struct object *obj = &container_of(p, struct sys_prog, vm)->obj;
	struct stat st;

	return !raw_fstat(fd, &st) && st.st_dev == obj->dev && st.st_ino == obj->ino;
}

/* Puts p into a free slot; NULL, or what must be put away. */
static struct vm_prog *slot_fill(struct vm_prog *p, uint64_t noted)
{
	struct vm_prog *none;
	uint32_t i;

	fetch_or_seq_cst(&numbers, 1ULL << (*cached_fd(p) & 63));
	for (i = 0; i < SLOTS; i++) {
		none = NULL;
		if (cas_seq_cst(&slots[i], &none, p))
			break;
	}
	if (i == SLOTS)
		return p;
	/* partner: prog_cache_closing() */
	fence_seq_cst();
	if (load_seq_cst(&generation) == noted)
		return NULL;
	return exchange_seq_cst(&slots[i], NULL);
}

static struct vm_prog *slot_take(int fd, uint64_t noted)
{
	struct vm_prog *p;
	uint32_t i;

	if (!(load_relaxed(&numbers) >> (fd & 63) & 1))
		return NULL;
	for (i = 0; i < SLOTS; i++) {
		if (!load_relaxed(&slots[i]))
			continue;
		p = exchange_seq_cst(&slots[i], NULL);
		if (p && *cached_fd(p) == fd)
			return p;
		if (p)
			sys_prog_put(slot_fill(p, noted));
	}
	return NULL;
}

int prog_cache_take(int fd, struct prog_use *use)
{
	int err;

	use->fd = fd;
	use->generation = load_seq_cst(&generation);
	if (load_seq_cst(&closing))
		use->generation = NOT_KEPT;
	if (use->generation != NOT_KEPT) {
		use->p = slot_take(fd, use->generation);
		if (use->p && means(fd, use->p))
			return 0;
		sys_prog_put(use->p);
	}
	err = sys_prog_open_fd(fd, &use->p);
	if (!err)
		*cached_fd(use->p) = fd;
	return err;
}

void prog_cache_give(struct prog_use *use)
{
	if (use->generation != NOT_KEPT && load_seq_cst(&generation) == use->generation)
		use->p = slot_fill(use->p, use->generation);
	sys_prog_put(use->p);
}

uint64_t prog_cache_note(void)
{
	const uint64_t noted = load_seq_cst(&generation);

	return load_seq_cst(&closing) ? NOT_KEPT : noted;
}

void prog_cache_keep(int fd, struct vm_prog *p, uint64_t noted)
{
	*cached_fd(p) = fd;
	if (noted != NOT_KEPT && load_seq_cst(&generation) == noted)
		p = slot_fill(p, noted);
	sys_prog_put(p);
}

void prog_cache_closing(unsigned int first, unsigned int last)
{
	uint32_t i;

	fetch_add_seq_cst(&generation, 1);
	fetch_add_seq_cst(&closing, 1);
	/* partner: slot_fill() */
	fence_seq_cst();
	if (!load_relaxed(&numbers))
		return;
	if (first == last && !(load_relaxed(&numbers) >> (first & 63) & 1))
		return;
	exchange_seq_cst(&numbers, 0);
	for (i = 0; i < SLOTS; i++)
		sys_prog_put(exchange_seq_cst(&slots[i], NULL));
}

void prog_cache_closed(void)
{
	fetch_add_seq_cst(&closing, (uint32_t)-1);
}
