// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "base/errors.h"
#include "sys/calls.h"

static const char *const names[CALLS_MAX] = {
#include "call_names.h"
};

int call_number(const char *name)
{
	int i;

	for (i = 0; i < CALLS_MAX; i++)
		if (names[i] && !strcmp(names[i], name))
			return i;
	return -ENOENT;
}

const char *call_name(int number)
{
	return number >= 0 && number < CALLS_MAX ? names[number] : NULL;
}

int call_of_function(const char *function)
{
	size_t n = strlen(CALL_PREFIX);

	return strncmp(function, CALL_PREFIX, n) ? -ENOENT : call_number(function + n);
}
