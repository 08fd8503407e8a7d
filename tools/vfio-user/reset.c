// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user reset: reset the device.
 */
#include <errno.h>

#include "tool.h"

static int reset_run(int argc, char **argv)
{
	static const struct option options[] = { { } };
	struct vfio_user_client *c;
	int ret;

	if (tool_getopt(argc, argv, options) != -1 ||
	    !tool_operands(argc, argv, 1, 1))
		return TOOL_USAGE;
	if (tool_connect(argv[optind], &c))
		return TOOL_FAILED;

	ret = vfio_user_reset(c);
	if (ret == -ENOTTY || ret == -EOPNOTSUPP)
		ret = tool_fail(ret, "the device has no reset, nor has its bus");
	else if (ret)
		ret = tool_fail(ret, "can't reset the device");
	vfio_user_disconnect(c);
	return ret;
}

const struct subcommand cmd_reset = {
	.name = "reset",
	.args = "SOCKET",
	.summary = "Reset the device",
	.help =
"  SOCKET  the server's UNIX socket\n",
	.run = reset_run,
};
