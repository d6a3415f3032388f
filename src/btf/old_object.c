/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ELF side: finding the old definitions, writing the new file. What changes is appended;
 * nothing of the old file moves.
 */
#include "btf/old_object.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "btf/old_maps.h"

#define OBJECT_MAX (256UL << 20)

/* A file that grows at its end. */
struct file {
	uint8_t *data;
	size_t size;
};

/* What the converter looks at of an object. Offsets are checked; pointers go into data. */
struct elf {
	const uint8_t *data;
	size_t size;
	Elf64_Ehdr eh;
	const Elf64_Shdr *sh;
	uint32_t cnt;
	const char *names;
	size_t names_size;
	uint32_t symtab; /* section index; 0: none */
	const Elf64_Sym *syms;
	uint32_t sym_cnt;
	const char *strings;
	size_t strings_size;
};

int old_object_fail(char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, OLD_OBJECT_WHY, fmt, args);
	va_end(args);
	return -EINVAL;
}

void *old_object_read(const char *path, size_t *size)
{
	struct stat st;
	uint8_t *data = NULL;
	size_t got = 0;
	long n = 0;
	int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	if (raw_fstat(fd, &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size > OBJECT_MAX)
		n = -EINVAL;
	else
		data = malloc(st.st_size + 1);
	while (data && got < (size_t)st.st_size) {
		n = raw_pread(fd, data + got, st.st_size - got, got);
		if (n <= 0)
			break;
		got += n;
	}
	raw_close(fd);
	if (!data || n < 0) {
		free(data);
		errno = n < 0 ? -n : ENOMEM;
		return NULL;
	}
	*size = got;
	return data;
}

/* ---- reading ---- */

static bool section_inside(const struct elf *e, const Elf64_Shdr *sh)
{
	return sh->sh_offset <= e->size && sh->sh_size <= e->size - sh->sh_offset;
}

/* The string at off of a table, if it ends inside. */
static const char *string_at(const char *table, size_t size, size_t off)
{
	return off < size && memchr(table + off, 0, size - off) ? table + off : NULL;
}

static const char *section_name(const struct elf *e, uint32_t i)
{
	const char *name = string_at(e->names, e->names_size, e->sh[i].sh_name);

	return name ? name : "";
}

static bool elf_read_symbols(struct elf *e)
{
	const Elf64_Shdr *sh;
	uint32_t i;

	for (i = 1; i < e->cnt && e->sh[i].sh_type != SHT_SYMTAB; i++)
		;
	if (i == e->cnt)
		return true;
	sh = &e->sh[i];
	if (sh->sh_offset % 8 || !section_inside(e, sh) || sh->sh_link >= e->cnt ||
	    !section_inside(e, &e->sh[sh->sh_link]))
		return false;
	e->symtab = i;
	e->syms = (const Elf64_Sym *)(e->data + sh->sh_offset);
	e->sym_cnt = sh->sh_size / sizeof(Elf64_Sym);
	e->strings = (const char *)e->data + e->sh[sh->sh_link].sh_offset;
	e->strings_size = e->sh[sh->sh_link].sh_size;
	return true;
}

static bool elf_read(struct elf *e, const void *data, size_t size)
{
	static const uint8_t native =
		__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	const Elf64_Shdr *names;

	memset(e, 0, sizeof(*e));
	e->data = data;
	e->size = size;
	if (size < sizeof(e->eh))
		return false;
	memcpy(&e->eh, data, sizeof(e->eh));
	if (memcmp(e->eh.e_ident, ELFMAG, SELFMAG) || e->eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->eh.e_ident[EI_DATA] != native || e->eh.e_machine != EM_BPF ||
	    e->eh.e_type != ET_REL || e->eh.e_shentsize != sizeof(Elf64_Shdr))
		return false;
	if (e->eh.e_shoff % 8 || e->eh.e_shoff > size ||
	    e->eh.e_shnum > (size - e->eh.e_shoff) / sizeof(Elf64_Shdr) ||
	    e->eh.e_shstrndx >= e->eh.e_shnum)
		return false;
	e->sh = (const Elf64_Shdr *)(e->data + e->eh.e_shoff);
	e->cnt = e->eh.e_shnum;
	names = &e->sh[e->eh.e_shstrndx];
	if (!section_inside(e, names))
		return false;
	e->names = (const char *)e->data + names->sh_offset;
	e->names_size = names->sh_size;
	return elf_read_symbols(e);
}

static bool is_maps_section(const struct elf *e, uint32_t i)
{
	const char *name = section_name(e, i);

	return e->sh[i].sh_type == SHT_PROGBITS &&
	       (!strcmp(name, "maps") || !strncmp(name, "maps/", 5));
}

static uint32_t find_section(const struct elf *e, const char *name)
{
	for (uint32_t i = 1; i < e->cnt; i++)
		if (!strcmp(section_name(e, i), name))
			return i;
	return 0;
}

/* ---- the definitions ---- */

static bool is_map_symbol(const struct elf *e, const Elf64_Sym *sym)
{
	uint8_t type = ELF64_ST_TYPE(sym->st_info);

	return sym->st_shndx < e->cnt && is_maps_section(e, sym->st_shndx) &&
	       (type == STT_OBJECT || type == STT_NOTYPE) && sym->st_name;
}

/* The loaders numbered maps by their place in the file. */
static int by_place(const void *a, const void *b)
{
	const struct old_map *x = a, *y = b;

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static int find_maps(const struct elf *e, struct old_maps *maps, char *why)
{
	for (uint32_t i = 0; i < e->sym_cnt; i++) {
		const Elf64_Sym *sym = &e->syms[i];
		struct old_map *m;
		const Elf64_Shdr *sh;

		if (!is_map_symbol(e, sym))
			continue;
		if (maps->cnt == OLD_MAPS_MAX)
			return old_object_fail(why, "more than %d maps", OLD_MAPS_MAX);
		m = &maps->map[maps->cnt++];
		m->section = sym->st_shndx;
		m->symbol = i;
		m->from = sym->st_value;
		m->size = sym->st_size;
		m->name = string_at(e->strings, e->strings_size, sym->st_name);
		sh = &e->sh[m->section];
		if (!m->name || !section_inside(e, sh) || m->from >= sh->sh_size)
			return old_object_fail(why,
					       "a symbol of the section '%s' lies outside of it",
					       section_name(e, m->section));
	}
	if (!maps->cnt)
		return old_object_fail(
			why, "a section 'maps' without a map: its variables have no symbols");
	qsort(maps->map, maps->cnt, sizeof(maps->map[0]), by_place);
	for (uint32_t i = 0; i < maps->cnt; i++) {
		struct old_map *m = &maps->map[i], *next = m + 1;
		uint64_t end = e->sh[m->section].sh_size;
		uint64_t room;

		if (i + 1 < maps->cnt && next->section == m->section)
			end = next->from;
		room = end - m->from;
		if (!m->size || m->size > room)
			m->size = room;
		m->def = e->data + e->sh[m->section].sh_offset + m->from;
		m->to = maps->size;
		maps->size += (m->size + 7) & ~7U;
	}
	return 0;
}

/* ---- writing ---- */

/* Appends, aligned to 8. The offset, or 0. */
static size_t append(struct file *f, const void *data, size_t size)
{
	size_t at = (f->size + 7) & ~7UL;
	uint8_t *p = realloc(f->data, at + size + 1);

	if (!p)
		return 0;
	memset(p + f->size, 0, at - f->size);
	if (data)
		memcpy(p + at, data, size);
	else
		memset(p + at, 0, size);
	f->data = p;
	f->size = at + size;
	return at;
}

/* Appends a table of section names that has two more; where they are in it. */
static int write_names(struct file *f, const struct elf *e, Elf64_Shdr *sh, uint32_t *maps,
		       uint32_t *btf)
{
	static const char more[] = "\0.maps\0.BTF"; /* ends an unterminated one before it */
	size_t at = append(f, NULL, e->names_size + sizeof(more));

	if (!at)
		return -ENOMEM;
	memcpy(f->data + at, e->names, e->names_size);
	memcpy(f->data + at + e->names_size, more, sizeof(more));
	*maps = e->names_size + 1;
	*btf = e->names_size + 7;
	sh[e->eh.e_shstrndx].sh_offset = at;
	sh[e->eh.e_shstrndx].sh_size = e->names_size + sizeof(more);
	return 0;
}

/* Each map's symbol gets its place in the new section. */
static int write_symbols(struct file *f, const struct elf *e, Elf64_Shdr *sh,
			 const struct old_maps *maps)
{
	uint32_t first = maps->map[0].section;
	size_t at = append(f, e->syms, e->sh[e->symtab].sh_size);
	Elf64_Sym *syms;

	if (!at)
		return -ENOMEM;
	syms = (Elf64_Sym *)(f->data + at);
	for (uint32_t i = 0; i < maps->cnt; i++) {
		const struct old_map *m = &maps->map[i];

		syms[m->symbol].st_shndx = first;
		syms[m->symbol].st_value = m->to;
		/* libbpf looks for variables among the global ones */
		syms[m->symbol].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	}
	sh[e->symtab].sh_offset = at;
	return 0;
}

static const struct old_map *map_at(const struct old_maps *maps, uint32_t section, uint64_t from)
{
	for (uint32_t i = 0; i < maps->cnt; i++)
		if (maps->map[i].section == section && maps->map[i].from == from)
			return &maps->map[i];
	return NULL;
}

/*
 * A reference to a static map goes by its section's symbol and the offset in the
 * instruction; libbpf wants the map's own symbol. In place, in the copy of the file.
 */
static void name_static_maps(struct file *f, const struct elf *e, const struct old_maps *maps)
{
	for (uint32_t s = 1; s < e->cnt; s++) {
		const Elf64_Shdr *sh = &e->sh[s], *target;
		uint64_t cnt = sh->sh_size / sizeof(Elf64_Rel);
		Elf64_Rel *rel;

		if (sh->sh_type != SHT_REL || sh->sh_info >= e->cnt || sh->sh_link != e->symtab ||
		    sh->sh_offset % 8 || !section_inside(e, sh))
			continue;
		target = &e->sh[sh->sh_info];
		if (!(target->sh_flags & SHF_EXECINSTR) || !section_inside(e, target))
			continue;
		rel = (Elf64_Rel *)(f->data + sh->sh_offset);
		for (uint64_t i = 0; i < cnt; i++) {
			uint32_t index = ELF64_R_SYM(rel[i].r_info);
			const Elf64_Sym *sym = index < e->sym_cnt ? &e->syms[index] : NULL;
			struct bpf_insn insn;
			const struct old_map *m;
			uint8_t *code;

			if (!sym || ELF64_ST_TYPE(sym->st_info) != STT_SECTION ||
			    sym->st_shndx >= e->cnt || !is_maps_section(e, sym->st_shndx) ||
			    target->sh_size < sizeof(insn) ||
			    rel[i].r_offset > target->sh_size - sizeof(insn))
				continue;
			code = f->data + target->sh_offset + rel[i].r_offset;
			memcpy(&insn, code, sizeof(insn));
			m = map_at(maps, sym->st_shndx, (uint32_t)insn.imm);
			if (!m)
				continue;
			insn.imm = 0;
			memcpy(code, &insn, sizeof(insn));
			rel[i].r_info =
				ELF64_R_INFO((uint64_t)m->symbol, ELF64_R_TYPE(rel[i].r_info));
		}
	}
}

static int write_maps(struct file *f, Elf64_Shdr *sh, const struct old_maps *maps)
{
	size_t at = append(f, NULL, maps->size);

	if (!at)
		return -ENOMEM;
	for (uint32_t i = 0; i < maps->cnt; i++)
		memcpy(f->data + at + maps->map[i].to, maps->map[i].def, maps->map[i].size);
	sh->sh_offset = at;
	sh->sh_size = maps->size;
	sh->sh_addralign = 8;
	return 0;
}

/* What has been read from them is all there is in them: libbpf passes over string tables
 * without a word, and over other sections with a line on standard error. */
static void hide_sections(const struct elf *e, Elf64_Shdr *sh, uint32_t keep)
{
	for (uint32_t i = 1; i < e->cnt; i++)
		if (i != keep &&
		    (is_maps_section(e, i) || !strncmp(section_name(e, i), ".maps.", 6)))
			sh[i].sh_type = SHT_STRTAB;
}

static int write_object(struct file *f, const struct elf *e, const struct old_maps *maps,
			const void *btf, uint32_t btf_size)
{
	uint32_t first = maps->map[0].section, at_btf = find_section(e, ".BTF");
	uint32_t cnt = e->cnt + !at_btf, maps_name, btf_name;
	Elf64_Shdr *sh = calloc(cnt, sizeof(*sh));
	Elf64_Ehdr eh = e->eh;
	size_t at;
	int err = -ENOMEM;

	if (!sh || !append(f, e->data, 0))
		goto out;
	memcpy(sh, e->sh, e->cnt * sizeof(*sh));
	if (!at_btf) {
		at_btf = e->cnt;
		sh[at_btf].sh_type = SHT_PROGBITS;
		sh[at_btf].sh_addralign = 8;
	}
	err = write_names(f, e, sh, &maps_name, &btf_name);
	if (!err)
		err = write_symbols(f, e, sh, maps);
	if (!err)
		err = write_maps(f, &sh[first], maps);
	if (err)
		goto out;
	hide_sections(e, sh, first);
	sh[first].sh_name = maps_name;
	sh[at_btf].sh_name = btf_name;
	sh[at_btf].sh_offset = append(f, btf, btf_size);
	sh[at_btf].sh_size = btf_size;
	name_static_maps(f, e, maps);
	at = append(f, sh, cnt * sizeof(*sh));
	err = sh[at_btf].sh_offset && at ? 0 : -ENOMEM;
	eh.e_shoff = at;
	eh.e_shnum = cnt;
	memcpy(f->data, &eh, sizeof(eh));
out:
	free(sh);
	return err;
}

static int convert(const struct elf *e, struct old_maps *maps, struct file *f, char *why)
{
	uint32_t at = find_section(e, ".BTF"), size = 0, both = find_section(e, ".maps");
	const void *old = NULL;
	void *btf = NULL;
	uint32_t btf_size;
	int err;

	if (both && e->sh[both].sh_size)
		return old_object_fail(
			why, "it has maps in the section 'maps', as until libbpf 0.8, and others "
			     "in '.maps'; define all of them in one way");
	err = find_maps(e, maps, why);
	if (err)
		return err;
	if (at && section_inside(e, &e->sh[at])) {
		old = e->data + e->sh[at].sh_offset;
		size = e->sh[at].sh_size;
	}
	err = old_maps_btf(maps, old, size, &btf, &btf_size, why);
	if (err)
		return err;
	f->data = malloc(e->size);
	if (f->data) {
		memcpy(f->data, e->data, e->size);
		f->size = e->size;
		err = write_object(f, e, maps, btf, btf_size);
	} else {
		err = -ENOMEM;
	}
	free(btf);
	if (err)
		old_object_fail(why, "no memory");
	return err;
}

int old_object_convert(const void *data, size_t size, void **out, size_t *out_size, char *why)
{
	struct file f = {0};
	struct old_maps *maps;
	struct elf e;
	uint32_t i;
	int err;

	if (!elf_read(&e, data, size))
		return 0;
	for (i = 1; i < e.cnt && !is_maps_section(&e, i); i++)
		;
	if (i == e.cnt)
		return 0;
	maps = calloc(1, sizeof(*maps));
	if (!maps) {
		old_object_fail(why, "no memory");
		return -ENOMEM;
	}
	err = convert(&e, maps, &f, why);
	free(maps);
	if (err) {
		free(f.data);
		return err;
	}
	*out = f.data;
	*out_size = f.size;
	return 1;
}

bool old_section_type(const char *section, uint32_t *prog_type, uint32_t *attach_type)
{
	static const struct {
		const char *prefix;
		uint32_t prog_type, attach_type;
	} types[] = {
		{"socket", BPF_PROG_TYPE_SOCKET_FILTER},  {"classifier", BPF_PROG_TYPE_SCHED_CLS},
		{"tc", BPF_PROG_TYPE_SCHED_CLS},	  {"action", BPF_PROG_TYPE_SCHED_ACT},
		{"xdp", BPF_PROG_TYPE_XDP, BPF_XDP},	  {"perf_event", BPF_PROG_TYPE_PERF_EVENT},
		{"cgroup/skb", BPF_PROG_TYPE_CGROUP_SKB}, {"cgroup_skb", BPF_PROG_TYPE_CGROUP_SKB},
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strncmp(section, types[i].prefix, strlen(types[i].prefix))) {
			*prog_type = types[i].prog_type;
			*attach_type = types[i].attach_type;
			return true;
		}
	return false;
}
