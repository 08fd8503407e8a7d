// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user: look at a device behind a vfio-user socket, and poke it.
 *
 * A subcommand is a row of the table and a file of its own that holds a
 * struct subcommand: its synopsis, its help and its function. What they share
 * is in common.c (arguments, errors, names), json.c and monitor.c.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "tool.h"

static const struct subcommand * const subcommands[] = {
	&cmd_info,
	&cmd_lspci,
	&cmd_read,
	&cmd_write,
	&cmd_irq,
	&cmd_dma,
	&cmd_migrate,
	&cmd_reset,
	&cmd_status,
	&cmd_bind,
	&cmd_unbind,
};

static void print_help(void)
{
	unsigned int i;

	printf("usage: vfio-user [--verbose] SUBCOMMAND [ARGUMENTS]\n"
	       "\n"
	       "Look at a device behind a vfio-user socket, and poke it.\n"
	       "\n");
	for (i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf("  %-8s %s\n", subcommands[i]->name,
		       subcommands[i]->summary);
	printf("\n"
	       "  --verbose  say more about what a server does wrong\n"
	       "  --help     this text; 'vfio-user SUBCOMMAND --help' for more\n"
	       "\n"
	       "Numbers are decimal, or hexadecimal after 0x.\n"
	       "Exit codes: 0 it worked, 1 it failed, 2 wrong usage.\n");
}

static int print_subcommand_help(const struct subcommand *cmd)
{
	printf("usage: vfio-user %s %s\n\n%s.\n\n%s\n"
	       "Exit codes: 0 it worked, 1 it failed, 2 wrong usage.\n",
	       cmd->name, cmd->args, cmd->summary, cmd->help);
	return TOOL_OK;
}

static const struct subcommand *find_subcommand(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(subcommands); i++) {
		if (!strcmp(name, subcommands[i]->name))
			return subcommands[i];
	}
	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const struct subcommand *cmd;
	bool verbose = false;

	log_init("vfio-user", false);
	for (argc--, argv++; argc && argv[0][0] == '-'; argc--, argv++) {
		if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
			print_help();
			return TOOL_OK;
		}
		if (strcmp(argv[0], "--verbose")) {
			log_err("%s: no such option; see 'vfio-user --help'",
				argv[0]);
			return TOOL_USAGE;
		}
		verbose = true;
	}
	log_init("vfio-user", verbose);

	if (!argc) {
		log_err("no subcommand; see 'vfio-user --help'");
		return TOOL_USAGE;
	}
	cmd = find_subcommand(argv[0]);
	if (!cmd) {
		log_err("%s: no such subcommand; see 'vfio-user --help'",
			argv[0]);
		return TOOL_USAGE;
	}
	if (asks_for_help(argc, argv))
		return print_subcommand_help(cmd);
	return cmd->run(argc, argv);
}
