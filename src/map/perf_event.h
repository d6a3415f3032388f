/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A perf event that programs write records to: PERF_COUNT_SW_BPF_OUTPUT of one
 * CPU, what libbpf's perf_buffer opens per CPU. An object of kind perf:
 *
 *   offset 0          struct perf_event_mmap_page, as the kernel lays it out
 *   offset 4096       2^n data pages; n is known at the first mmap(2)
 *   (a hole, so that any n fits)
 *   trailer's body    struct perf_event_state
 *
 * The client maps the first 1 + 2^n pages of the file, reads records up to
 * data_head and moves data_tail, as it does with the kernel's.
 *
 * A record is written behind data_head, and exists from the store of data_head
 * on. Who writes holds the CPU's lease (a program runs there) and the robust
 * lock; a death before that store leaves nothing, a death after it a record
 * that is there. The count of lost records is told by a LOST record under the
 * same store: `told` is the redo record of that (perf_event.c).
 *
 * Waking: a wake-up leaves EPOLLIN in `poll`, which one poll(2) takes, as in the
 * kernel; who sleeps is rung for by a touch of the file, which inotify sees.
 */
#ifndef SHMAP_MAP_PERF_EVENT_H
#define SHMAP_MAP_PERF_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "shm/object.h"

#define PERF_EVENT_PAGES_MAX 65536u /* data pages of one ring: 256 MiB */
#define PERF_EVENT_DATA_SIZE ((PERF_EVENT_PAGES_MAX + 1) * (uint64_t)SHMAP_PAGE)

/* Shared. What the client cannot reach but through us. */
struct perf_event_state {
	/* fixed at creation */
	uint32_t cpu;
	uint32_t raw;		/* PERF_SAMPLE_RAW: the records carry the data */
	uint32_t wakeup_events; /* 0: by watermark only */
	uint32_t watermark;	/* bytes; 0: half of the ring */
	uint64_t opened_ns;	/* CLOCK_MONOTONIC */
	uint64_t read_format;
	/* under the lock, but for poll and the looks at enabled and pages */
	uint32_t lock;
	uint32_t enabled;
	uint32_t paused;
	uint32_t pages;	    /* data pages; 0: nobody has mapped the ring */
	uint32_t overwrite; /* mapped without PROT_WRITE: nobody moves data_tail */
	uint32_t events;    /* since the last wake-up by wakeup_events */
	uint64_t woken;	    /* position of the last wake-up by watermark */
	uint64_t lost;	    /* records that found no room, ever */
	uint64_t reported;  /* of those, told by LOST records */
	struct {
		uint64_t head, lost; /* reported is `lost` once data_head is `head` */
	} told;
	/* waking */
	uint32_t poll;	  /* EPOLLIN that nobody has been told of yet */
	uint32_t waiters; /* somebody sleeps, or is about to: ring */
};

/* This process's view of one. */
struct perf_event {
	struct object obj;
	struct perf_event_state *state;
};

/* Data to be written as one record. */
struct perf_part {
	const void *data;
	uint64_t size;
};

/* Makes an event for `like`'s fixed fields. The fd, or -errno. *id may be NULL. */
int perf_event_create(const struct perf_event_state *like, uint32_t *id);

/* Maps the event behind fd: 0; -EBADF when it is none. */
int perf_event_open_fd(int fd, struct perf_event *ev);
/* Maps the event of that id, writable: 0 or -ENOENT... */
int perf_event_open_id(uint32_t id, struct perf_event *ev);
void perf_event_close(struct perf_event *ev);

/*
 * bpf_perf_event_output() to an event that was found, on the CPU `cpu` that the
 * caller has the lease of: 0; -EOPNOTSUPP, -ENOSPC; -E2BIG for what a record's 16-bit
 * size does not hold; -EBUSY.
 */
int perf_event_output(struct perf_event *ev, int cpu, const struct perf_part *parts,
		      unsigned int count);

/*
 * For mmap(2): gives the ring 1 + pages pages of memory. `alone`: nobody has it mapped
 * now, so that its size may change and what is in it goes. 0; -EINVAL (another size),
 * -ENOMEM, -EBUSY.
 */
int perf_event_set_pages(struct perf_event *ev, int fd, uint32_t pages, bool overwrite, bool alone);

/* PERF_EVENT_IOC_*ABLE, _PAUSE_OUTPUT. 0 or -EBUSY, -EINVAL (no ring to pause). */
int perf_event_enable(struct perf_event *ev, bool enabled);
int perf_event_pause(struct perf_event *ev, bool paused);

/* poll(2): EPOLLIN once per wake-up, EPOLLHUP without a ring. Takes the EPOLLIN. */
uint32_t perf_event_poll(struct perf_event *ev);
/* As it, but leaves it. */
uint32_t perf_event_ready(const struct perf_event *ev);
/* Before the last look of who goes to sleep; wakes all who do. false: could not. */
void perf_event_sleep(struct perf_event *ev);
bool perf_event_ring(struct perf_event *ev);

/* Nanoseconds that the event has been there. */
uint64_t perf_event_age(const struct perf_event *ev);

#endif
