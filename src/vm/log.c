/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/vm.h"

/* Makes room for n bytes and a NUL by giving up the oldest half, or what it
 * takes. */
static void make_room(struct vm_log *log, uint32_t n)
{
	const uint32_t held = log->len - log->dropped;
	uint64_t drop = held / 2;

	if (log->size - held > n)
		return;
	if (log->size - (held - drop) <= n)
		drop = (uint64_t)held + n + 1 - log->size;
	if (drop > held)
		drop = held;
	memmove(log->buf, log->buf + drop, held - drop);
	log->dropped += drop;
}

void vm_logf(struct vm_log *log, const char *fmt, ...)
{
	uint32_t at;
	va_list ap;
	int n;

	if (!log || !log->level || !log->buf || !log->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0 || log->len > UINT32_MAX - (uint32_t)n)
		return;
	if (log->len < log->dropped) /* the log was cut back to before what is held */
		log->dropped = log->len;
	make_room(log, n);
	at = log->len - log->dropped;
	va_start(ap, fmt);
	vsnprintf(log->buf + at, log->size - at, fmt, ap);
	va_end(ap);
	log->len += n;
	if ((uint32_t)n >= log->size - at) /* one message longer than the buffer */
		log->dropped = log->len - (log->size - 1 - at);
}
