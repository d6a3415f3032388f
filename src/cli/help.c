/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap help, shmap version */
#include "cli/cli.h"

#include <string.h>
#include <linux/bpf.h>
#include <bpf/libbpf.h>

#include "shm/object.h"

static int help_main(const struct verb *verb, int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
		return cli_help(verb);
	for (int i = 0; verbs[i]; i++)
		if (!strcmp(verbs[i]->name, argv[1]))
			return cli_help(verbs[i]);
	return cli_usage(verb, "there is no verb '%s'", argv[1]);
}

static int version_main(const struct verb *verb, int argc, char **argv)
{
	if (argc > 1)
		return !strcmp(argv[1], "--help") ? cli_help(verb)
						  : cli_usage(verb, "version takes no arguments");
	printf("shmap %s, object layout %d, libbpf %s\n", SHMAP_VERSION, OBJECT_LAYOUT,
	       libbpf_version_string());
	return CLI_OK;
}

const struct verb verb_help = {
	.name = "help",
	.summary = "what shmap can do",
	.main = help_main,
	.help = "shmap: BPF maps and programs in user space, without privilege\n"
		"\n"
		"usage: shmap VERB [ARGUMENTS]\n"
		"\n"
		"  run      run a command, with the programs of a BPF object on its system calls,\n"
		"           or its packet programs over a capture\n"
		"  exec     run a program that uses libbpf, or bpftool, on shmap\n"
		"  trace    run a command as the source of events for loaders elsewhere\n"
		"  top      a live view of the maps: operations, evictions, who has them open\n"
		"  watch    a map's changes, as they happen\n"
		"  doctor   what works on this machine, and what to do about the rest\n"
		"  help     this text, or that of a verb\n"
		"  version  the version\n"
		"\n"
		"Examples:\n"
		"  shmap run --pin demo count_mmap.bpf.o -- ls -R /usr/include\n"
		"  shmap run --pcap traffic.pcap count_protocols.bpf.o\n"
		"  shmap exec -- bpftool map dump name percpu_counter\n"
		"  shmap exec -- ./my_loader &\n"
		"  shmap trace -- make\n"
		"  shmap watch percpu_counter\n"
		"\n"
		"Environment:\n"
		"  SHMAP_DIR  where the maps live (default /dev/shm/shmap-UID)\n"
		"\n"
		"'shmap VERB --help' says more; so do shmap(1) and shmap(7).\n",
};

const struct verb verb_version = {
	.name = "version",
	.summary = "the version",
	.main = version_main,
	.help = "usage: shmap version\n\n"
		"Prints the version of shmap, of its objects' layout, and of libbpf.\n\n"
		"Example:\n  shmap version\n",
};
