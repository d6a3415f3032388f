/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle: the same random sequence of bpf(2) calls is made on the kernel
 * and on shmap, and what they return, errno and every byte that they write is
 * compared. From one seed; the first difference ends the run.
 */
#ifndef SHMAP_TESTS_ORACLE_H
#define SHMAP_TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "sys/attr.h"

/* One of the two that are compared. */
struct side {
	const char *name;
	long (*bpf)(int cmd, void *attr, unsigned int size); /* >= 0 or -errno */
	void (*close)(int fd);
	/* As mmap(2) of a map fd: MAP_FAILED with *err = -errno. */
	void *(*mmap)(int fd, size_t len, int prot, int flags, uint64_t offset, int *err);
	long (*fdinfo)(int fd, char *buf, size_t size);
	/* As poll(2) of one fd without waiting: the events that there are, or -errno. */
	int (*poll)(int fd, short events);
	uint8_t *mem;	    /* struct layout below; then a page without access */
	uint8_t *read_only; /* a page that cannot be written */
	int btf_fd[16];	    /* by lock layout; -1: none */
};

enum { KERNEL, SHMAP, SIDES };
extern struct side sides[SIDES];
extern const struct side kernel_side, shmap_side;

/* Where things lie in each side's memory. */
#define AT_ATTR 0u /* 8 KiB */
#define AT_KEY 8192u
#define AT_NEXT 16384u
#define AT_IN_TOKEN 24576u
#define AT_OUT_TOKEN 32768u
#define AT_VALUE 65536u	  /* 64 KiB */
#define AT_KEYS 131072u	  /* 128 KiB */
#define AT_VALUES 262144u /* 1 MiB */
#define MEM_SIZE (262144u + 1048576u)

#define KEY_MAX 64u	/* larger ones are created, but not used */
#define VALUE_MAX 4096u /* of bpf(2)'s value */
#define ENTRIES_MAX 200u

enum fd_mode { FD_RW, FD_RO, FD_WO, FD_MODES };

/* A map that exists on both sides. */
struct twin {
	bool live, hash, per_cpu, usable, frozen;
	bool keyless, bloom; /* queue, stack, bloom filter */
	bool ring;
	bool objects;		 /* values are fds and ids: objects.c */
	int fd[SIDES][FD_MODES]; /* -1: not opened */
	uint32_t id[SIDES];
	uint32_t type, key_size, value_size, max_entries, flags;
	uint32_t user_value; /* bytes of bpf(2)'s value */
	int32_t lock_off;    /* -1: none */
	uint32_t lock_layout;
	uint32_t key_room; /* keys are made from 0..key_room-1 */
	unsigned long ops;
	void *held[SIDES]; /* a mapping kept for a while */
	size_t held_len;
	uint64_t pushed; /* bloom: which values are in both, by number */
};
extern struct twin twin;
void unmap_held(void);
extern bool oracle_failed;

/* The intended differences: see differences.c. */
enum difference {
	DIFF_HASH_ORDER,
	DIFF_BATCH_ROOM,
	DIFF_FAULT_PREFIX,
	DIFF_IDS,
	DIFF_FALSE_POSITIVE,
	DIFF_LRU_VICTIMS,
	DIFF_OVERWRITE,
	DIFF_COUNT,
};
struct difference_text {
	const char *name, *reason;
};
extern const struct difference_text differences[DIFF_COUNT];
void difference_used(enum difference d);
void differences_print(void);

/* Randomness, all from the seed. */
uint64_t rnd64(void);
uint32_t rnd(uint32_t n); /* 0..n-1 */
bool one_in(uint32_t n);
#define pick(array) ((array)[rnd(ARRAY_SIZE(array))])

/* What is about to be done, for the report. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Reports a difference with the sequence that led to it. */
void differ(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * One call on both sides. attr[s] are prepared in mem at AT_ATTR; ret[s] get
 * the results; the attrs' changes are compared, and the results, where
 * compare_ret says so.
 */
bool call_both(int cmd, unsigned int size, long ret[SIDES], bool compare_ret);
static inline union sys_attr *attr_of(int s)
{
	return (union sys_attr *)(sides[s].mem + AT_ATTR);
}
void attr_clear(void); /* both */
/* Fills [at, at + n) of both memories with the same random bytes / a mark. */
void fill_both(uint32_t at, uint32_t n);
void mark_both(uint32_t at, uint32_t n);
void put_both(uint32_t at, const void *bytes, uint32_t n);
/* Are n bytes at `at` and 32 after them equal on both sides? */
bool same_bytes(uint32_t at, uint32_t n, const char *what);

/* A pointer argument: mostly good, sometimes none of the program's memory. */
enum pointer { PTR_GOOD, PTR_NULL, PTR_UNMAPPED, PTR_KERNEL, PTR_EDGE, PTR_READ_ONLY };
enum pointer random_pointer(bool output);
uint64_t pointer_to(int s, enum pointer p, uint32_t at, uint32_t n);
const char *pointer_name(enum pointer p);

/* The rest of the attr after the command's last field: mostly as it should be. */
unsigned int random_size(unsigned int end);

/* Keys: the same on both sides, into memory at `at`. */
void random_key(uint32_t at);
void random_value(uint32_t at);
/* Is the key at `at` in the map? Asks both, which must agree. */
bool key_exists(uint32_t at);
/* Bloom: the number of the value at `at`, as random_value() made it; is it in both? */
uint32_t value_number(uint32_t at);
bool value_pushed(uint32_t at);
/* May the two filters answer differently? Both with yes or no, of what is in neither. */
bool false_positive(uint32_t at, long kernel, long shmap);

/* objects.c: types whose values are objects. */
bool objects_type(uint32_t type);
void objects_prepare(uint32_t type);
void objects_value(uint32_t at);	     /* an fd of each side */
void objects_template(void);		     /* MAP_CREATE's inner_map_fd */
void objects_names(uint32_t at, uint32_t n); /* ids become what they stand for */

/* The operations. */
void create_both(uint32_t type);
void destroy_both(void);
void btf_load_both(void);
void op_create_malformed(uint32_t type);
void op_elem(void);
void op_walk(void);

/* Local storages: keys are fds of owners, which come and go (owners.c). */
bool is_storage(uint32_t type);
bool is_ring(uint32_t type);
int random_owner(uint32_t type);
void owners_close(void);
void op_batch(void);
void op_other(void);
int programs_oracle(uint32_t type, unsigned long ops);
int evictions_oracle(uint32_t type, unsigned long rounds);

#endif
