/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The build id of the file that an address of a traced process is mapped from:
 * /proc/PID/maps says which file, and where its beginning is mapped; the ELF header
 * and the notes are read from there, in the process's memory.
 */
#include "event/build_id.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHDRS_MAX 64
#define NOTES_MAX 4096
#define NAME_GNU "GNU"

struct region {
	uint64_t start, end, offset;
	unsigned long inode;
	char dev[16];
};

static bool parse_region(const char *line, struct region *r)
{
	unsigned long long start, end, offset;
	char perms[8];

	if (sscanf(line, "%llx-%llx %7s %llx %15s %lu", &start, &end, perms, &offset, r->dev,
		   &r->inode) != 6)
		return false;
	r->start = start;
	r->end = end;
	r->offset = offset;
	return r->inode;
}

/* The region of ip, and where the file's first byte is mapped (0: nowhere). 0 or -ENOENT. */
static int find_region(int tid, uint64_t ip, struct region *found, uint64_t *base)
{
	struct region r, first = {0};
	char path[32], *line = NULL;
	size_t size = 0;
	int err = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	f = fopen(path, "re");
	while (f && err && getline(&line, &size, f) > 0) {
		if (!parse_region(line, &r))
			continue;
		/* regions of one file stand together, its beginning first */
		if (!r.offset)
			first = r;
		if (ip < r.start || ip >= r.end)
			continue;
		*found = r;
		*base = first.inode == r.inode && !strcmp(first.dev, r.dev) ? first.start : 0;
		err = 0;
	}
	free(line);
	if (f)
		fclose(f);
	return err;
}

/* Looks for the note in one segment. 0 or -ENOENT. */
static int find_note(const uint8_t *p, size_t size, uint8_t id[20])
{
	while (size >= sizeof(Elf64_Nhdr)) {
		size_t name, desc;
		Elf64_Nhdr n;

		memcpy(&n, p, sizeof(n));
		name = ((size_t)n.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)n.n_descsz + 3) & ~(size_t)3;
		if (size - sizeof(n) < name || size - sizeof(n) - name < desc)
			break;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == sizeof(NAME_GNU) &&
		    !memcmp(p + sizeof(n), NAME_GNU, sizeof(NAME_GNU)) && n.n_descsz &&
		    n.n_descsz <= 20) {
			memset(id, 0, 20);
			memcpy(id, p + sizeof(n) + name, n.n_descsz);
			return 0;
		}
		p += sizeof(n) + name + desc;
		size -= sizeof(n) + name + desc;
	}
	return -ENOENT;
}

int build_id_find(const struct vm_env *env, int tid, uint64_t ip, uint8_t id[20], uint64_t *offset)
{
	uint8_t notes[NOTES_MAX];
	struct region r = {0};
	Elf64_Ehdr head;
	Elf64_Phdr ph;
	uint64_t base = 0;
	int err = find_region(tid, ip, &r, &base);

	if (err || !base || env->read_user(env, &head, base, sizeof(head)))
		return -ENOENT;
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64)
		return -ENOENT;
	for (unsigned int i = 0; i < head.e_phnum && i < PHDRS_MAX; i++) {
		if (env->read_user(env, &ph, base + head.e_phoff + i * sizeof(ph), sizeof(ph)))
			return -ENOENT;
		if (ph.p_type != PT_NOTE || ph.p_filesz > sizeof(notes) ||
		    env->read_user(env, notes, base + ph.p_offset, ph.p_filesz))
			continue;
		if (!find_note(notes, ph.p_filesz, id)) {
			*offset = ip - r.start + r.offset;
			return 0;
		}
	}
	return -ENOENT;
}
