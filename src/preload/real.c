/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>

#include "preload/real.h"

struct real real_functions;

void real_resolve(void)
{
	int saved = errno;

	/* Two threads may both be here: they store the same addresses. */
#define F(ret, name, params)                                                                       \
	store_relaxed(&real_functions.name,                                                        \
		      (__typeof__(real_functions.name))dlsym(RTLD_NEXT, #name));
	REAL_FUNCTIONS(F)
#undef F
	errno = saved;
}

__attribute__((constructor(101))) static void real_constructor(void)
{
	real_resolve();
}
