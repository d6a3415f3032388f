/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for native code: pages of one region that lies close to the library's
 * own code, so that helpers are called directly. A page is writable while it is
 * filled, and executable afterwards; never both.
 */
#include <linux/membarrier.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "vm/jit_int.h"

#define REGION_SIZE (64UL << 20)
#define REGION_PAGES (REGION_SIZE / SHMAP_PAGE)
/* How far a direct call reaches, and where to look for the region: that many steps to either
 * side of the library. */
#if defined(__aarch64__)
#define REACH ((128 << 20) - SHMAP_PAGE)
#define STEP (4UL << 20)
#define STEPS 16
#else
#define REACH (INT32_MAX - SHMAP_PAGE)
#define STEP (64UL << 20)
#define STEPS 24
#endif
/* In an owner's place while the page is being filled. */
#define TAKEN ((struct jit_image *)1)

static uintptr_t region;		       /* 0: none yet; 1: none to be had */
static struct jit_image *owners[REGION_PAGES]; /* NULL: free */
static uint32_t next_page;
/* Writable pages for programs to come: most need one, and a system call for each would take
 * as long as the making of the code. Under the lock. */
#define RESERVE 16
static uint32_t reserve[RESERVE], reserve_cnt;
static uint32_t lock; /* the pid of who holds it: a forked child may take its parent's */

static void mem_lock(void)
{
	uint32_t pid = (uint32_t)raw_getpid(), held = 0;

	while (!cas_acquire(&lock, &held, pid)) {
		if (held && held != pid && cas_acquire(&lock, &held, pid))
			return;
		held = 0;
		cpu_relax();
	}
}

static void mem_unlock(void)
{
	store_release(&lock, 0);
}

static bool in_reach(uintptr_t at, uintptr_t addr)
{
	const int64_t reach = REACH;
	int64_t first = (int64_t)(addr - at), last = (int64_t)(addr - (at + REGION_SIZE));

	return first > -reach && first < reach && last > -reach && last < reach;
}

/* Under the lock. */
static bool region_find(void)
{
	uintptr_t here = (uintptr_t)&jit_mem_alloc & ~(STEP - 1);
	void *at = NULL;

	if (region)
		return region != 1;
	for (unsigned int i = 0; i <= 2 * STEPS; i++) {
		/* below, above, and where the system likes */
		uintptr_t hint = i == 2 * STEPS ? 0
				 : i & 1	? here + (i / 2 + 2) * STEP
						: here - (i / 2 + 1) * STEP - REGION_SIZE;

		at = raw_mmap((void *)hint, REGION_SIZE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (raw_is_error(at))
			continue;
		if (!hint || in_reach((uintptr_t)at, here))
			break;
		raw_munmap(at, REGION_SIZE);
		at = NULL;
	}
	store_release(&region, !at || raw_is_error(at) ? (uintptr_t)1 : (uintptr_t)at);
	return region != 1;
}

bool jit_mem_near(uintptr_t addr)
{
	uintptr_t at = load_acquire(&region);

	if (!at) {
		mem_lock();
		region_find();
		mem_unlock();
		at = load_acquire(&region);
	}
	return at > 1 && in_reach(at, addr);
}

static bool run_free(uint32_t page, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++)
		if (owners[page + i])
			return false;
	return true;
}

/* Under the lock: the first of that many free pages, or REGION_PAGES. */
static uint32_t find_pages(uint32_t pages)
{
	for (uint32_t page = next_page; page + pages <= REGION_PAGES; page++)
		if (run_free(page, pages))
			return page;
	for (uint32_t page = 0; page < next_page && page + pages <= REGION_PAGES; page++)
		if (run_free(page, pages))
			return page;
	return REGION_PAGES;
}

static void set_owner(uint32_t page, uint32_t pages, struct jit_image *owner)
{
	for (uint32_t i = 0; i < pages; i++)
		store_release(&owners[page + i], owner);
}

/* That many pages that are nobody's, taken; NULL. They have no memory yet. */
static uint8_t *take_pages(uint32_t pages)
{
	uint32_t page = REGION_PAGES;

	mem_lock();
	if (pages && region_find())
		page = find_pages(pages);
	if (page != REGION_PAGES) {
		set_owner(page, pages, TAKEN);
		next_page = page + pages;
	}
	mem_unlock();
	return page == REGION_PAGES ? NULL : (uint8_t *)region + (uint64_t)page * SHMAP_PAGE;
}

static uint32_t page_of(const uint8_t *mem)
{
	return (uint32_t)(((uintptr_t)mem - region) / SHMAP_PAGE);
}

static void give_pages(uint8_t *mem, uint32_t room)
{
	/* Nobody may get the pages before they are empty. */
	raw_mmap(mem, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0);
	set_owner(page_of(mem), room / SHMAP_PAGE, NULL);
}

static bool make_writable(uint8_t *mem, uint32_t room)
{
	return !raw_is_error(raw_mmap(mem, room, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

/* A writable page, or NULL. */
static uint8_t *reserve_take(void)
{
	uint32_t page = REGION_PAGES;

	mem_lock();
	if (reserve_cnt) {
		page = reserve[reserve_cnt - 1];
		/* jit_mem_free() looks at it without the lock */
		store_relaxed(&reserve_cnt, reserve_cnt - 1);
	}
	mem_unlock();
	return page == REGION_PAGES ? NULL : (uint8_t *)region + (uint64_t)page * SHMAP_PAGE;
}

/* False: there are enough. */
static bool reserve_give(const uint8_t *mem)
{
	bool room;

	mem_lock();
	room = reserve_cnt < RESERVE;
	if (room) {
		reserve[reserve_cnt] = page_of(mem);
		/* the place is filled first: a child may be forked in between */
		store_release(&reserve_cnt, reserve_cnt + 1);
	}
	mem_unlock();
	return room;
}

static uint8_t *alloc_page(void)
{
	uint8_t *mem = reserve_take();

	if (mem)
		return mem;
	mem = take_pages(RESERVE);
	if (!mem)
		return NULL;
	if (!make_writable(mem, RESERVE * SHMAP_PAGE)) {
		give_pages(mem, RESERVE * SHMAP_PAGE);
		return NULL;
	}
	for (uint32_t i = 1; i < RESERVE; i++)
		if (!reserve_give(mem + i * SHMAP_PAGE))
			give_pages(mem + i * SHMAP_PAGE, SHMAP_PAGE);
	return mem;
}

uint8_t *jit_mem_alloc(uint32_t len, uint32_t *room)
{
	uint8_t *mem;

	*room = (uint32_t)round_up_u64(len, SHMAP_PAGE);
	mem = *room == SHMAP_PAGE ? alloc_page() : NULL;
	if (mem)
		return mem;
	mem = take_pages(*room / SHMAP_PAGE);
	if (mem && !make_writable(mem, *room)) {
		give_pages(mem, *room);
		return NULL;
	}
	return mem;
}

/*
 * Makes what was written the code that every thread will execute. On x86-64 it is. On arm64 the
 * caches for code are not those for data, and another processor may have fetched what was
 * there before: membarrier(2) has it drop that.
 */
static int show_code(uint8_t *mem, uint32_t room)
{
#if defined(__aarch64__)
	long err;

	__builtin___clear_cache((char *)mem, (char *)mem + room);
	err = raw_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	if (err != -EPERM)
		return (int)err;
	/* the first time in this process */
	err = raw_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0,
			   0);
	if (err)
		return (int)err;
	return (int)raw_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
#else
	return 0;
#endif
}

int jit_mem_seal(uint8_t *mem, uint32_t room, struct jit_image *image)
{
	int err = raw_mprotect(mem, room, PROT_READ | PROT_EXEC);

	if (!err)
		err = show_code(mem, room);
	if (!err)
		set_owner(page_of(mem), room / SHMAP_PAGE, image);
	return err;
}

void jit_mem_free(uint8_t *mem, uint32_t room)
{
	if (room == SHMAP_PAGE && load_relaxed(&reserve_cnt) < RESERVE) {
		set_owner(page_of(mem), 1, TAKEN);
		if (!raw_mprotect(mem, room, PROT_READ | PROT_WRITE) && reserve_give(mem))
			return;
	}
	give_pages(mem, room);
}

struct jit_image *jit_mem_owner(uintptr_t addr)
{
	uintptr_t at = load_acquire(&region);
	struct jit_image *image;

	if (at <= 1 || addr < at || addr >= at + REGION_SIZE)
		return NULL;
	image = load_acquire(&owners[(addr - at) / SHMAP_PAGE]);
	return image == TAKEN ? NULL : image;
}
