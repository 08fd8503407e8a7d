// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user write: one value into a region, by one access of its width.
 */
#include <string.h>

#include "log.h"
#include "tool.h"

struct write_args {
	uint32_t region;
	uint64_t offset;
	uint64_t value;
	unsigned int width;
};

/* The value as the device sees it: @width bytes in this machine's order. */
static void to_bytes(uint64_t value, unsigned int width, uint8_t *bytes)
{
	const uint8_t v8 = value;
	const uint16_t v16 = value;
	const uint32_t v32 = value;

	switch (width) {
	case 1:
		memcpy(bytes, &v8, sizeof(v8));
		break;
	case 2:
		memcpy(bytes, &v16, sizeof(v16));
		break;
	case 4:
		memcpy(bytes, &v32, sizeof(v32));
		break;
	default:
		memcpy(bytes, &value, sizeof(value));
		break;
	}
}

static int write_value(struct vfio_user_client *c,
		       const struct write_args *args)
{
	uint8_t bytes[sizeof(args->value)];
	ssize_t n;

	to_bytes(args->value, args->width, bytes);
	n = vfio_user_region_write(c, args->region, args->offset, bytes,
				   args->width);
	if (n < 0)
		return tool_fail(n, "can't write at %#llx",
				 (unsigned long long)args->offset);
	if (n < args->width) {
		log_err("the device took only %zd bytes of %u", n, args->width);
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

static bool write_parse(int argc, char **argv, struct write_args *args)
{
	static const struct option options[] = {
		{ "width", required_argument, NULL, 'w' },
		{ }
	};
	int opt;

	args->width = 4;
	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?' || !tool_width(optarg, &args->width))
			return false;
	}
	if (!tool_operands(argc, argv, 4, 4) ||
	    !tool_region(argv[optind + 1], &args->region) ||
	    !tool_size("offset", argv[optind + 2], &args->offset) ||
	    !tool_number("value", argv[optind + 3], &args->value))
		return false;

	if (args->width < 8 && args->value >> 8 * args->width) {
		log_err("value %s needs more than %u bytes: use a larger --width",
			argv[optind + 3], args->width);
		return false;
	}
	if (args->offset % args->width) {
		log_err("the offset must be a multiple of the width, %u",
			args->width);
		return false;
	}
	return true;
}

static int write_run(int argc, char **argv)
{
	struct vfio_user_client *c;
	struct write_args args;
	int ret;

	if (!write_parse(argc, argv, &args))
		return TOOL_USAGE;
	if (tool_connect(argv[optind], &c))
		return TOOL_FAILED;
	ret = tool_check_range(c, args.region, args.offset, args.width,
			       VFIO_USER_REGION_FLAG_WRITE);
	if (!ret)
		ret = write_value(c, &args);
	vfio_user_disconnect(c);
	return ret;
}

const struct subcommand cmd_write = {
	.name = "write",
	.args = "SOCKET REGION OFFSET VALUE [--width=1|2|4|8]",
	.summary = "Write a value into a region",
	.help =
"  SOCKET   the server's UNIX socket\n"
"  REGION   bar0 to bar5, rom, config, vga, or a number\n"
"  OFFSET   of the first byte; may end in K, M or G\n"
"  VALUE    what to write\n"
"  --width  of the access, in bytes; 4 if not given\n"
"\n"
"The session ends with this command, and the server may reset the device then:\n"
"vfio-bridge does, unless its --on-disconnect says otherwise.\n",
	.run = write_run,
};
