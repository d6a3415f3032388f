/* SPDX-License-Identifier: BSD-2-Clause */
#include "linear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 64
#define CONFIGS_MAX (1U << 16)

struct config {
	uint64_t done; /* open operations, by slot, that have taken place */
	struct linear_state state;
};

struct moment {
	uint64_t time;
	bool returns;
	uint32_t event;
};

/* --- sequential maps --- */

/* An answer that nobody saw fits everything. */
static bool answered(const struct linear_event *e, int ret)
{
	return !e->ret_time || e->ret == ret;
}

bool linear_register(struct linear_state *s, const struct linear_event *e, uint32_t room)
{
	bool there = s->n;

	switch (e->op) {
	case LINEAR_READ:
	case LINEAR_TAKE:
		if (!answered(e, there ? 0 : -ENOENT) ||
		    (there && e->ret_time && e->value != s->value[0]))
			return false;
		if (e->op == LINEAR_TAKE)
			s->n = 0;
		return true;
	case LINEAR_ERASE:
		s->n = 0;
		return answered(e, there ? 0 : -ENOENT);
	case LINEAR_PUT_NEW:
		if (there)
			return answered(e, -EEXIST);
		break;
	case LINEAR_PUT_OLD:
		if (!there)
			return answered(e, -ENOENT);
		break;
	}
	s->n = 1;
	s->value[0] = e->value;
	return answered(e, 0);
}

static bool sequence(struct linear_state *s, const struct linear_event *e, uint32_t room,
		     uint32_t first)
{
	switch (e->op) {
	case LINEAR_READ:
	case LINEAR_TAKE:
		if (!answered(e, s->n ? 0 : -ENOENT))
			return false;
		if (!s->n)
			return true;
		if (e->ret_time && e->value != s->value[first])
			return false;
		if (e->op == LINEAR_READ)
			return true;
		s->n--;
		memmove(&s->value[first], &s->value[first + 1],
			(s->n - first) * sizeof(s->value[0]));
		return true;
	case LINEAR_PUT_OLD: /* when full the oldest gives way */
		if (s->n == room) {
			s->n--;
			memmove(&s->value[0], &s->value[1], s->n * sizeof(s->value[0]));
		}
		break;
	default:
		if (s->n == room)
			return answered(e, -E2BIG);
	}
	s->value[s->n++] = e->value;
	return answered(e, 0);
}

bool linear_queue(struct linear_state *s, const struct linear_event *e, uint32_t room)
{
	return sequence(s, e, room, 0);
}

bool linear_stack(struct linear_state *s, const struct linear_event *e, uint32_t room)
{
	return sequence(s, e, room, s->n ? s->n - 1 : 0);
}

/* --- the checker --- */

static int by_time(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->returns - y->returns; /* at one moment calls come first: they overlap */
}

static bool same_state(const struct linear_state *a, const struct linear_state *b)
{
	return a->n == b->n && !memcmp(a->value, b->value, a->n * sizeof(a->value[0]));
}

/* A set: `at` has its members, `found` their places + 1 by hash, of this round. */
struct configs {
	struct config *at;
	uint32_t n, round;
	struct {
		uint32_t round, place;
	} * found;
};

#define FOUND (2 * CONFIGS_MAX)

static bool configs_make(struct configs *c)
{
	*c = (struct configs){.at = malloc(CONFIGS_MAX * sizeof(*c->at)), .round = 1};
	c->found = calloc(FOUND, sizeof(*c->found));
	return c->at && c->found;
}

static void configs_free(struct configs *c)
{
	free(c->at);
	free(c->found);
}

static void configs_empty(struct configs *c)
{
	c->n = 0;
	c->round++;
}

static uint32_t config_hash(const struct config *one)
{
	uint64_t h = one->done * 0x9e3779b97f4a7c15ull + one->state.n;

	for (uint32_t i = 0; i < one->state.n; i++)
		h = (h ^ h >> 29 ^ (uint64_t)one->state.value[i]) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(h >> 32);
}

static bool add(struct configs *c, const struct config *one)
{
	uint32_t f = config_hash(one) % FOUND;

	for (; c->found[f].round == c->round; f = (f + 1) % FOUND) {
		const struct config *is = &c->at[c->found[f].place];

		if (is->done == one->done && same_state(&is->state, &one->state))
			return true;
	}
	if (c->n == CONFIGS_MAX)
		return false;
	c->found[f].round = c->round;
	c->found[f].place = c->n;
	c->at[c->n++] = *one;
	return true;
}

/* The operation in `slot` returns: what is possible with it done. */
static int settle(struct configs *now, struct configs *after, uint32_t slot, uint64_t open,
		  const struct linear_event **in, linear_step step, uint32_t room)
{
	configs_empty(after);
	for (uint32_t i = 0; i < now->n; i++) { /* grows meanwhile */
		struct config c = now->at[i];

		if (c.done >> slot & 1) {
			c.done &= ~(1ULL << slot);
			if (!add(after, &c))
				return -1;
			continue;
		}
		for (uint64_t left = open & ~c.done; left; left &= left - 1) {
			uint32_t s = (uint32_t)__builtin_ctzll(left);
			struct config next = c;

			next.done |= 1ULL << s;
			if (step(&next.state, in[s], room) && !add(now, &next))
				return -1;
		}
	}
	return 0;
}

long linear_check(const struct linear_event *events, size_t n, linear_step step,
		  const struct linear_state *start, uint32_t room)
{
	struct moment *moments = malloc(2 * n * sizeof(*moments) + 1);
	const struct config first = {.state = *start};
	struct configs now, after;
	bool made = configs_make(&now) & configs_make(&after);
	const struct linear_event *in[SLOTS] = {0};
	uint8_t *slots = malloc(n + 1);
	uint64_t open = 0;
	size_t count = 0;
	long bad = -1;

	if (!moments || !made || !slots) {
		bad = -2;
		goto out;
	}
	add(&now, &first);
	for (size_t i = 0; i < n; i++) {
		moments[count++] = (struct moment){events[i].call, false, (uint32_t)i};
		if (events[i].ret_time)
			moments[count++] = (struct moment){events[i].ret_time, true, (uint32_t)i};
	}
	qsort(moments, count, sizeof(*moments), by_time);
	for (size_t i = 0; i < count; i++) {
		uint32_t e = moments[i].event, slot;
		struct configs swap;

		if (!moments[i].returns) {
			if (!~open) {
				bad = -2;
				goto out;
			}
			slot = (uint32_t)__builtin_ctzll(~open);
			slots[e] = (uint8_t)slot;
			in[slot] = &events[e];
			open |= 1ULL << slot;
			continue;
		}
		slot = slots[e];
		if (settle(&now, &after, slot, open, in, step, room)) {
			bad = -2;
			goto out;
		}
		open &= ~(1ULL << slot);
		swap = now;
		now = after;
		after = swap;
		if (!now.n) {
			bad = (long)e;
			goto out;
		}
	}
out:
	free(moments);
	configs_free(&now);
	configs_free(&after);
	free(slots);
	return bad;
}
