/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The links of the runtime directory as targets, for a tracer that serves
 * loaders elsewhere. A link that goes takes its program's reference along.
 */
#include "event/targets.h"

#include <stdlib.h>
#include <string.h>

#include "shm/object.h"

static bool links_known(const struct links *l, uint32_t id)
{
	for (unsigned int i = 0; i < l->count; i++)
		if (l->target[i].link_id == id)
			return true;
	return false;
}

/* A link that cannot be served is named once. */
static void links_refuse(struct links *l, uint32_t id, const char *name, const char *why)
{
	uint32_t *more;

	for (unsigned int i = 0; i < l->refused_count; i++)
		if (l->refused[i] == id)
			return;
	more = realloc(l->refused, (l->refused_count + 1) * sizeof(*more));
	if (!more)
		return;
	l->refused = more;
	l->refused[l->refused_count++] = id;
	if (l->report)
		l->report(l->arg, name, why);
}

static void links_add(struct links *l, uint32_t id, const struct link_header *h)
{
	struct vm_prog *prog;
	struct target t;
	char why[256];
	int err;

	if (target_parse(h->event, h->name, &t, why, sizeof(why))) {
		links_refuse(l, id, h->name, why);
		return;
	}
	if (l->count == l->room) {
		unsigned int room = l->room ? l->room * 2 : 16;
		struct target *more = realloc(l->target, room * sizeof(*more));

		if (!more)
			return;
		l->target = more;
		l->room = room;
	}
	err = sys_prog_open(h->prog_id, &prog);
	if (err) {
		/* -ENOENT: it went between two looks, and so will the link. */
		if (err != -ENOENT)
			links_refuse(l, id, h->name, "its program cannot be opened");
		return;
	}
	if (target_set_prog(&t, prog)) {
		sys_prog_put(prog);
		links_refuse(l, id, h->name, "its program is not one for this event's context");
		return;
	}
	t.link_id = id;
	t.cookie = h->cookie;
	l->target[l->count++] = t;
}

void links_refresh(struct links *l)
{
	struct link_header h;
	uint32_t id = 0;

	/* This removes the links of loaders that died, on its way. */
	while (!object_next_id(OBJECT_LINK, id, &id)) {
		if (links_known(l, id) || sys_link_read(id, &h) || h.detached)
			continue;
		h.name[sizeof(h.name) - 1] = 0;
		links_add(l, id, &h);
	}
	for (unsigned int i = 0; i < l->count;) {
		if (sys_link_read(l->target[i].link_id, &h) || h.detached) {
			sys_prog_put(l->target[i].prog);
			memmove(&l->target[i], &l->target[i + 1],
				(--l->count - i) * sizeof(*l->target));
		} else {
			i++;
		}
	}
	targets_sort(l->target, l->count);
}

void links_free(struct links *l)
{
	for (unsigned int i = 0; i < l->count; i++)
		sys_prog_put(l->target[i].prog);
	free(l->target);
	free(l->refused);
}
