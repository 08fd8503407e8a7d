// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user status: what a running daemon says of itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "tool.h"

static int print_text(const char *path, const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json) {
		log_err("%s doesn't answer in JSON (%s): is it vfio-bridge's --monitor socket?",
			path, error.text);
		return TOOL_FAILED;
	}
	tool_print_json(json, 0);
	json_decref(json);
	return TOOL_OK;
}

static int status_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	bool raw = false;
	char *text;
	int opt, ret;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?')
			return TOOL_USAGE;
		raw = true;
	}
	if (!tool_operands(argc, argv, 1, 1))
		return TOOL_USAGE;

	ret = monitor_fetch(argv[optind], &text);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		return tool_fail(ret, "%s: start vfio-bridge with --monitor",
				 argv[optind]);
	if (ret)
		return tool_fail(ret, "can't read %s", argv[optind]);

	if (raw) {
		fputs(text, stdout);
		ret = TOOL_OK;
	} else {
		ret = print_text(argv[optind], text);
	}
	free(text);
	return ret;
}

const struct subcommand cmd_status = {
	.name = "status",
	.args = "MONITOR-SOCKET [--json]",
	.summary = "Print what a running daemon says of itself",
	.help =
"  MONITOR-SOCKET  what vfio-bridge was given as --monitor\n"
"  --json          print the daemon's JSON as it is\n",
	.run = status_run,
};
