/* SPDX-License-Identifier: BSD-2-Clause */
/* From a section's name, as libbpf knows them, to an event. */
#include "cli/bpfobj.h"

#include <errno.h>
#include <string.h>

#include "event/arch.h"

static const struct {
	const char *prefix;
	enum link_event event;
	bool syscall; /* what follows is a system call, not a function */
} sections[] = {
	{"fentry/", LINK_FENTRY},
	{"fentry.s/", LINK_FENTRY},
	{"fexit/", LINK_FEXIT},
	{"fexit.s/", LINK_FEXIT},
	{"fmod_ret/", LINK_FMOD_RET},
	{"fmod_ret.s/", LINK_FMOD_RET},
	{"kprobe/", LINK_KPROBE},
	{"kretprobe/", LINK_KRETPROBE},
	{"ksyscall/", LINK_KPROBE, true},
	{"kretsyscall/", LINK_KRETPROBE, true},
	{"tp_btf/", LINK_RAW_TRACEPOINT},
	{"raw_tp/", LINK_RAW_TRACEPOINT},
	{"raw_tracepoint/", LINK_RAW_TRACEPOINT},
	{"tracepoint/", LINK_TRACEPOINT},
	{"tp/", LINK_TRACEPOINT},
};

int section_event(const char *section, enum link_event *event, char *name, char *why, size_t size)
{
	if (*section == '?')
		section++;
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		size_t len = strlen(sections[i].prefix);

		if (strncmp(section, sections[i].prefix, len))
			continue;
		*event = sections[i].event;
		snprintf(name, 160, "%s%s", sections[i].syscall ? CALL_PREFIX : "", section + len);
		if (strchr(name, '+')) {
			snprintf(why, size, "an offset into a function needs the kernel");
			return -ENOENT;
		}
		/* "kprobe/sys_read", from when the function had that name */
		if (!strncmp(name, "sys_", 4) &&
		    (*event == LINK_KPROBE || *event == LINK_KRETPROBE))
			snprintf(name, 160, CALL_PREFIX "%s", section + len + 4);
		return event_target_check(*event, name, why, size);
	}
	snprintf(why, size, "system calls do not run programs of this section");
	return -ENOENT;
}
