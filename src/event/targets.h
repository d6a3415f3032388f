/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program asks for, and running it: from the name of an event to the
 * context that the kernel would pass.
 */
#ifndef SHMAP_EVENT_TARGETS_H
#define SHMAP_EVENT_TARGETS_H

#include "event/event.h"
#include "event/tracer.h"

/* How the context looks, in the order in which the kernel runs them in a call. */
enum target_form {
	TARGET_RAW_ENTER, /* raw_tp, tp_btf sys_enter: regs, id */
	TARGET_TP_ENTER,  /* tracepoint, raw_syscalls/ and syscalls/: struct */
	TARGET_KPROBE,	  /* struct pt_regs */
	TARGET_FENTRY,	  /* regs */
	TARGET_FEXIT,	  /* regs, ret */
	TARGET_KRETPROBE, /* struct pt_regs */
	TARGET_RAW_EXIT,  /* regs, ret */
	TARGET_TP_EXIT,	  /* struct */
};

struct target {
	enum target_form form;
	bool exit;
	bool all; /* every call of every ABI */
	long nr;  /* otherwise: this one, native */
	bool needs_uid, needs_comm;
	uint64_t cookie;
	uint32_t link_id; /* 0: given by the caller, not followed */
	struct vm_prog *prog;
};

/* Parses an event's name. 0 or -ENOENT, with a sentence in why. */
int target_parse(enum link_event event, const char *name, struct target *out, char *why,
		 size_t size);
/*
 * Looks at what the program asks of its environment. 0, or -EINVAL when it is of
 * another type than the event's, or touches more of the context than there is.
 */
/* Bytes of context that an event of this form has. */
uint32_t target_ctx_size(const struct target *t);
int target_set_prog(struct target *t, struct vm_prog *prog);
/* Puts targets into the kernel's order; equal ones keep theirs. */
void targets_sort(struct target *targets, unsigned int count);
/* Adds what they ask of the tracer. */
void targets_want(const struct target *targets, unsigned int count, struct tracer_want *want);
/* Runs those that want ev. */
void targets_run(const struct target *targets, unsigned int count, const struct syscall_event *ev,
		 struct event_stats *stats);

/* What `shmap trace` serves: the links of the runtime directory. */
struct links {
	struct target *target;
	unsigned int count, room;
	uint32_t *refused; /* ids that cannot be served: said once */
	unsigned int refused_count;
	void (*report)(void *arg, const char *name, const char *why);
	void *arg;
};

void links_refresh(struct links *l);
void links_free(struct links *l);

#endif
