/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "vm/vm.h"

void vm_logf(struct vm_log *log, const char *fmt, ...)
{
	uint32_t room;
	va_list ap;
	int n;

	if (!log || !log->level || !log->buf)
		return;
	room = log->len < log->size ? log->size - log->len : 0;
	va_start(ap, fmt);
	n = vsnprintf(room ? log->buf + log->len : NULL, room, fmt, ap);
	va_end(ap);
	/* len counts what was not stored too, without ever wrapping round */
	if (n > 0 && log->len + (uint32_t)n >= log->len)
		log->len += n;
}
