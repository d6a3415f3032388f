/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/bpfobj.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/errors.h"
#include "btf/old_object.h"
#include "cli/cli.h"
#include "cli/dump.h"
#include "shm/object.h"
#include "sys/sys.h"

/* What libbpf had to say; shown only when something fails. */
static char *said;
static size_t said_len;
static FILE *said_file;

static int libbpf_says(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level == LIBBPF_DEBUG || !said_file)
		return 0;
	return vfprintf(said_file, fmt, args);
}

/* A damaged object's names may hold anything. */
static const char *printable(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++)
		buf[n++] = *s >= 0x20 && *s < 0x7f ? *s : '?';
	buf[n] = 0;
	return buf;
}

static void listen_to_libbpf(void)
{
	if (said_file)
		return;
	said_file = open_memstream(&said, &said_len);
	libbpf_set_print(libbpf_says);
}

static void show_said(void)
{
	if (!said_file || fflush(said_file) || !said_len)
		return;
	fputs("what libbpf said:\n", stderr);
	for (char *line = said, *end; *line; line = end) {
		fputs("  ", stderr);
		for (end = line; *end && *end != '\n'; end++)
			putc((*end >= 0x20 && *end < 0x7f) || *end == '\t' ? *end : '?', stderr);
		putc('\n', stderr);
		if (*end)
			end++;
	}
}

/* What can be said about a file better than libbpf does. 0 or CLI_FAILED. */
static int file_check(const char *path)
{
	Elf64_Ehdr eh;
	struct stat st;
	uint64_t end;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return cli_error("%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return cli_error("%s is not a file; name the object that clang -target bpf made",
				 path);
	}
	n = pread(fd, &eh, sizeof(eh), 0);
	close(fd);
	if (n < SELFMAG || memcmp(eh.e_ident, ELFMAG, SELFMAG))
		return cli_error(
			"%s is not an ELF object; name the one that clang -target bpf made", path);
	if (n < (ssize_t)sizeof(eh))
		return cli_error("%s is truncated: %lld bytes; compile it again", path,
				 (long long)st.st_size);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return cli_error("%s is big-endian and this machine little-endian; compile it with "
				 "-target bpfel",
				 path);
#else
	if (eh.e_ident[EI_DATA] != ELFDATA2MSB)
		return cli_error("%s is little-endian and this machine big-endian; compile it with "
				 "-target bpfeb",
				 path);
#endif
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_BPF)
		return cli_error("%s is an ELF file, but not for BPF; compile it with clang "
				 "-target bpf",
				 path);
	end = eh.e_shoff + (uint64_t)eh.e_shnum * eh.e_shentsize;
	if (eh.e_shoff > (uint64_t)st.st_size || end > (uint64_t)st.st_size)
		return cli_error(
			"%s is truncated: its section table ends at byte %llu, the file at "
			"%lld; compile it again",
			path, (unsigned long long)end, (long long)st.st_size);
	return 0;
}

/* Is p of the kind that is wanted? Else why says what it is missing. */
static bool program_fits(const struct bpfobj *o, const struct bpf_program *p, char *why,
			 size_t size)
{
	enum link_event event;
	char name[256];

	if (o->want.use == BPFOBJ_SYSCALLS)
		return !section_event(bpf_program__section_name(p), &event, name, why, size);
	snprintf(why, size, "packets do not run programs of this section");
	return packet_prog_type(bpf_program__type(p));
}

/* Does p run, and is it not only called by others? */
static bool program_runs(const struct bpfobj *o, const struct bpf_program *p)
{
	return !o->want.program || !strcmp(o->want.program, bpf_program__name(p));
}

/* Decides what becomes of each program. */
static int judge_programs(struct bpfobj *o)
{
	struct bpf_program *p;
	unsigned int all = 0, served = 0, named = 0;

	bpf_object__for_each_program(p, o->bpf)
	{
		const char *section = bpf_program__section_name(p);
		char name[256], why[256], shown[160], prog[160];
		uint32_t type, attach;

		all++;
		if (bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC &&
		    old_section_type(section, &type, &attach)) {
			bpf_program__set_type(p, type);
			bpf_program__set_expected_attach_type(p, attach);
		}
		printable(section, shown, sizeof(shown));
		printable(bpf_program__name(p), prog, sizeof(prog));
		if (bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC)
			return cli_error("%s: program %s is in the section '%s', which libbpf does "
					 "not know; see libbpf's list of section names",
					 o->path, prog, shown);
		if (program_fits(o, p, why, sizeof(why))) {
			served++;
			named += program_runs(o, p);
			continue;
		}
		bpf_program__set_autoload(p, false);
		cli_warn("program %s (section '%s') is not attached: %s", prog, shown,
			 printable(why, name, sizeof(name)));
	}
	if (!all)
		return cli_error("%s has no programs", o->path);
	if (!served && o->want.use == BPFOBJ_PACKETS)
		return cli_error("%s has no program that takes packets (sections socket, tc, "
				 "classifier, action, xdp, cgroup_skb)",
				 o->path);
	if (!served)
		return cli_error("%s has no program that a system call could run", o->path);
	if (!named)
		return cli_error("%s has no program %s that could run here; 'bpftool gen skeleton "
				 "%s' lists its programs",
				 o->path, o->want.program, o->path);
	return 0;
}

/* libbpf's name for the object in a file: it begins the names of .bss and its like. */
static void object_name(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');

	snprintf(name, size, "%s", base ? base + 1 : path);
	*strchrnul(name, '.') = 0;
}

/* Opens the file, an old one as what it would be today. 0, or CLI_FAILED. */
static int open_object(struct bpfobj *o)
{
	char why[OLD_OBJECT_WHY], name[64];
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	void *file, *converted = NULL;
	size_t size;
	int ret;

	file = old_object_read(o->path, &size);
	if (!file)
		return cli_error("%s: %s", o->path, strerror(errno));
	ret = old_object_convert(file, size, &converted, &size, why);
	object_name(o->path, name, sizeof(name));
	if (ret == 1)
		o->bpf = bpf_object__open_mem(converted, size, &opts);
	else if (!ret)
		o->bpf = bpf_object__open_file(o->path, NULL);
	free(converted);
	free(file);
	if (ret < 0)
		return cli_error("%s: %s", o->path, why);
	if (o->bpf)
		return 0;
	cli_error("%s is damaged: libbpf cannot read it (%s); compile it again", o->path,
		  strerror(errno));
	show_said();
	return CLI_FAILED;
}

int bpfobj_open(struct bpfobj *o, const char *path, const struct bpfobj_want *want)
{
	int err = file_check(path);

	memset(o, 0, sizeof(*o));
	o->path = path;
	o->want = *want;
	if (err)
		return err;
	listen_to_libbpf();
	err = open_object(o);
	return err ? err : judge_programs(o);
}

static int open_program(struct bpf_program *p, struct vm_prog **out)
{
	struct bpf_prog_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
		return -errno;
	return sys_prog_open(info.id, out);
}

static const char *load_error(int err)
{
	switch (err) {
	case -ESRCH:
		return "the kernel's BTF lacks a function that it attaches to, as it lacks those "
		       "of "
		       "calls without arguments (getpid); use ksyscall/NAME or a tracepoint";
	case -ENOMEM:
	case -ENOSPC:
		return "no room for its maps; free some of the tmpfs of the runtime directory, or "
		       "enlarge it ('shmap doctor' shows it)";
	case -ENOTSUPP:
		return "Operation not supported";
	case -EINVAL:
	case -EACCES:
		return "the verifier refused a program, or bpf(2) what it asks for";
	default:
		return strerror(-err);
	}
}

/* Puts the maps that are pinned at fs/REUSE/NAME in the place of the object's. */
static int reuse_maps(struct bpfobj *o)
{
	unsigned int found = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, o->bpf)
	{
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);
		char path[600];
		int fd, err;

		if (bpf_map__is_internal(map))
			continue;
		if (snprintf(path, sizeof(path), "/sys/fs/bpf/%s/%s", o->want.reuse,
			     bpf_map__name(map)) >= (int)sizeof(path))
			return cli_error("--reuse %s: the name is too long", o->want.reuse);
		fd = bpf_obj_get(path);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return cli_error("--reuse %s: %s: %s", o->want.reuse, bpf_map__name(map),
					 strerror(errno));
		found++;
		err = bpf_obj_get_info_by_fd(fd, &info, &len);
		if (!err &&
		    (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		     info.value_size != bpf_map__value_size(map)))
			err = cli_error(
				"--reuse %s: the map %s there has another type, key size or "
				"value size than the object's",
				o->want.reuse, bpf_map__name(map));
		else if (err || bpf_map__reuse_fd(map, fd))
			err = cli_error("--reuse %s: %s: %s", o->want.reuse, bpf_map__name(map),
					strerror(errno));
		close(fd);
		if (err)
			return err;
	}
	if (!found)
		return cli_error(
			"--reuse %s: no map of %s is pinned there; 'shmap exec -- bpftool map' "
			"lists what there is",
			o->want.reuse, o->path);
	return 0;
}

static int open_target(struct bpfobj *o, struct bpf_program *p)
{
	struct event_target *t = &o->targets[o->target_cnt];
	char name[160], why[256];
	int err;

	if (section_event(bpf_program__section_name(p), &t->event, name, why, sizeof(why)))
		return 0;
	err = open_program(p, &t->prog);
	if (err)
		return err;
	o->target_cnt++;
	t->name = strdup(name);
	return t->name ? 0 : -ENOMEM;
}

static int open_packet_prog(struct bpfobj *o, struct bpf_program *p)
{
	struct packet_prog *pp = &o->packet_progs[o->packet_prog_cnt];
	int err;

	if (!packet_prog_type(bpf_program__type(p)))
		return 0;
	err = open_program(p, &pp->prog);
	if (err)
		return err;
	pp->name = bpf_program__name(p);
	o->packet_prog_cnt++;
	return 0;
}

int bpfobj_load(struct bpfobj *o)
{
	struct bpf_program *p;
	unsigned int n = 0;
	int err;

	bpf_object__for_each_program(p, o->bpf)
	{
		n++;
	}
	if (o->want.reuse) {
		err = reuse_maps(o);
		if (err)
			return err;
	}
	cli_progress("loading %s (%u programs)...", o->path, n);
	err = bpf_object__load(o->bpf);
	cli_progress(NULL);
	if (err) {
		err = cli_error("%s cannot be loaded: %s", o->path, load_error(err));
		show_said();
		return err;
	}
	o->targets = calloc(n, sizeof(*o->targets));
	o->packet_progs = calloc(n, sizeof(*o->packet_progs));
	if (!o->targets || !o->packet_progs)
		return cli_error("%s", strerror(ENOMEM));
	bpf_object__for_each_program(p, o->bpf)
	{
		if (!bpf_program__autoload(p) || !program_runs(o, p))
			continue;
		err = o->want.use == BPFOBJ_PACKETS ? open_packet_prog(o, p) : open_target(o, p);
		if (err)
			return cli_error("program %s of %s cannot be opened: %s",
					 bpf_program__name(p), o->path, strerror(-err));
	}
	packet_progs_sort(o->packet_progs, o->packet_prog_cnt);
	return 0;
}

void bpfobj_close(struct bpfobj *o)
{
	for (unsigned int i = 0; i < o->target_cnt; i++) {
		sys_prog_put(o->targets[i].prog);
		free((char *)o->targets[i].name);
	}
	for (unsigned int i = 0; i < o->packet_prog_cnt; i++)
		sys_prog_put(o->packet_progs[i].prog);
	free(o->targets);
	free(o->packet_progs);
	bpf_object__close(o->bpf);
	memset(o, 0, sizeof(*o));
}

/* DIR/NAME below fs/; a dot is not allowed in a pin's name. */
static bool pin_path(const struct bpf_map *map, const char *dir, char *path, size_t size)
{
	size_t at = strlen(dir) + 1;

	if (snprintf(path, size, "%s/%s", dir, bpf_map__name(map)) >= (int)size)
		return false;
	for (char *p = path + at; *p; p++)
		if (*p == '.')
			*p = '_';
	return true;
}

int bpfobj_pin(struct bpfobj *o, const char *dir)
{
	struct bpf_map *map;
	char path[512];
	const char *bad = strstr(dir, "..");

	if (!*dir || *dir == '/' || bad || strlen(dir) > 200)
		return cli_error(
			"--pin %s: name a folder below the runtime directory's fs/, such as "
			"'demo'",
			dir);
	for (const char *p = dir; (p = strchrnul(p, '/'));) {
		snprintf(path, sizeof(path), "%.*s", (int)(p - dir), dir);
		if (mkdirat(rundir_fs_fd(), path, 0700) && errno != EEXIST)
			return cli_error("--pin %s: %s", dir, strerror(errno));
		if (!*p++)
			break;
	}
	bpf_object__for_each_map(map, o->bpf)
	{
		int err;

		if (bpf_map__fd(map) < 0)
			continue;
		if (!pin_path(map, dir, path, sizeof(path)))
			return cli_error("--pin %s: the name is too long", dir);
		/* The pin of an earlier run gives way; who holds that map keeps it. */
		if (unlinkat(rundir_fs_fd(), path, 0) && errno != ENOENT)
			return cli_error("--pin %s: %s: %s", dir, path, strerror(errno));
		err = object_pin(bpf_map__fd(map), path);
		if (err)
			return cli_error("--pin %s: %s: %s", dir, path, strerror(-err));
	}
	object_collect_all();
	return 0;
}

void bpfobj_unpin(struct bpfobj *o, const char *dir)
{
	struct bpf_map *map;
	char path[512];

	bpf_object__for_each_map(map, o->bpf)
	{
		if (pin_path(map, dir, path, sizeof(path)))
			unlinkat(rundir_fs_fd(), path, 0);
	}
	unlinkat(rundir_fs_fd(), dir, AT_REMOVEDIR);
}

int bpfobj_report(struct bpfobj *o, FILE *out, bool json)
{
	struct bpf_map *map;
	bool first = true;
	int ret = 0;

	if (json)
		putc('{', out);
	bpf_object__for_each_map(map, o->bpf)
	{
		struct dump_map m = {
			.fd = bpf_map__fd(map),
			.name = bpf_map__name(map),
			.type = bpf_map__type(map),
			.key_size = bpf_map__key_size(map),
			.value_size = bpf_map__value_size(map),
			.max_entries = bpf_map__max_entries(map),
			.btf = bpf_object__btf(o->bpf),
			.key_type_id = bpf_map__btf_key_type_id(map),
			.value_type_id = bpf_map__btf_value_type_id(map),
		};
		int err;

		if (m.fd < 0)
			continue;
		if (json) {
			fputs(first ? "\n  " : ",\n  ", out);
			dump_string(out, m.name);
			fputs(": ", out);
		}
		first = false;
		err = dump_map(out, json ? DUMP_JSON : DUMP_TEXT, &m);
		if (err)
			ret = cli_error("the map %s cannot be printed: %s", m.name, strerror(-err));
	}
	if (o->report_more)
		o->report_more(o, out, json);
	if (json)
		fputs("\n}\n", out);
	if (fflush(out) || ferror(out))
		ret = cli_error("the report cannot be written: %s", strerror(errno));
	return ret;
}
