/* SPDX-License-Identifier: BSD-2-Clause */
/* The door: programs on one side, the tracer on the other. */
#include "event/event.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "event/targets.h"
#include "shm/object.h"
#include "shm/rundir.h"

struct source {
	struct links links; /* also holds the caller's targets, link_id 0 */
	struct event_stats *stats;
};

static void source_deliver(void *arg, const struct syscall_event *ev)
{
	struct source *s = arg;

	targets_run(s->links.target, s->links.count, ev, s->stats);
}

static void source_refresh(void *arg, struct tracer_want *want)
{
	struct source *s = arg;

	links_refresh(&s->links);
	targets_want(s->links.target, s->links.count, want);
}

int event_trace(const struct event_options *opt, int *status, struct event_stats *stats)
{
	struct event_stats ignored;
	struct source s = {
		.links = {.report = opt->report, .arg = opt->report_arg},
		.stats = stats ? stats : &ignored,
	};
	struct tracer_config cfg = {
		.pid = opt->pid,
		.argv = opt->argv,
		.deliver = source_deliver,
		.arg = &s,
	};
	char path[PATH_MAX], why[256];
	int err;

	memset(s.stats, 0, sizeof(*s.stats));
	if (!opt->pid) {
		err = event_command_find(opt->argv[0], path, sizeof(path));
		if (err)
			return err;
		cfg.path = path;
	}
	if (opt->follow_links) {
		err = rundir_open();
		if (err)
			return err;
		cfg.generation = &rundir_ids()->link_generation;
		cfg.refresh = source_refresh;
		err = tracer_run(&cfg, status);
		links_free(&s.links);
		/* Loaders that ended meanwhile left this to whoever comes. */
		object_collect_all();
		return err;
	}
	s.links.target = calloc(opt->target_cnt + 1, sizeof(*s.links.target));
	if (!s.links.target)
		return -ENOMEM;
	for (unsigned int i = 0; i < opt->target_cnt; i++) {
		const struct event_target *t = &opt->targets[i];

		err = target_parse(t->event, t->name, &s.links.target[i], why, sizeof(why));
		if (err)
			goto free;
		err = target_set_prog(&s.links.target[i], t->prog);
		if (err)
			goto free;
		s.links.target[i].cookie = t->cookie;
	}
	s.links.count = opt->target_cnt;
	targets_sort(s.links.target, s.links.count);
	targets_want(s.links.target, s.links.count, &cfg.want);
	err = tracer_run(&cfg, status);
free:
	free(s.links.target); /* the programs are the caller's */
	return err;
}
