/* SPDX-License-Identifier: BSD-2-Clause */
/* What a validator found wrong: the first thing, as text. */
#ifndef SHMAP_MAP_COMPLAINT_H
#define SHMAP_MAP_COMPLAINT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct complaint {
	char *why; /* of `size` bytes; or NULL and 0 */
	size_t size;
	bool bad;
};

static inline void __attribute__((format(printf, 2, 3)))
complain(struct complaint *c, const char *fmt, ...)
{
	va_list ap;

	if (c->bad)
		return; /* the first one tells most */
	c->bad = true;
	va_start(ap, fmt);
	vsnprintf(c->why, c->size, fmt, ap);
	va_end(ap);
}

#endif
