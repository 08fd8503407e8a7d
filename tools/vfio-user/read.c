// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user read: bytes of a region.
 *
 * With --width every access is one message of that width, which the server
 * turns into one access on the device; the dump then shows values of that
 * width. Without it as much is asked for at once as fits.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "tool.h"

#define LINE_BYTES	16
/* Read and printed at one time, in bytes; a multiple of every width. */
#define CHUNK_BYTES	65536

struct read_args {
	uint32_t region;
	uint64_t offset;
	uint64_t count;
	unsigned int width;
	bool raw;
};

static uint64_t value_at(const uint8_t *p, unsigned int width)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (width) {
	case 2:
		memcpy(&v16, p, sizeof(v16));
		return v16;
	case 4:
		memcpy(&v32, p, sizeof(v32));
		return v32;
	case 8:
		memcpy(&v64, p, sizeof(v64));
		return v64;
	default:
		return *p;
	}
}

static void print_line(uint64_t offset, const uint8_t *line, unsigned int n,
		       unsigned int width)
{
	unsigned int i;

	printf("%08llx:", (unsigned long long)offset);
	for (i = 0; i < n; i += width)
		printf(" %0*llx", 2 * width,
		       (unsigned long long)value_at(line + i, width));
	for (; i < LINE_BYTES; i += width)
		printf(" %*s", 2 * width, "");
	printf("  ");
	for (i = 0; i < n; i++)
		putchar(isascii(line[i]) && isprint(line[i]) ? line[i] : '.');
	putchar('\n');
}

static void print_chunk(const struct read_args *args, uint64_t offset,
			const uint8_t *buf, size_t len)
{
	size_t i;

	if (args->raw) {
		fwrite(buf, 1, len, stdout);
		return;
	}
	for (i = 0; i < len; i += LINE_BYTES)
		print_line(offset + i, buf + i,
			   min(len - i, (size_t)LINE_BYTES),
			   args->width ? args->width : 1);
}

/* Fill @buf; returns how much of it was read, with *@err saying why not all. */
static size_t read_chunk(struct vfio_user_client *c,
			 const struct read_args *args, uint64_t offset,
			 uint8_t *buf, size_t len, int *err)
{
	size_t done = 0, step = args->width ? args->width : len;
	ssize_t n;

	*err = 0;
	while (done < len) {
		n = vfio_user_region_read(c, args->region, offset + done,
					  buf + done, min(step, len - done));
		if (n <= 0) {
			*err = n;
			break;
		}
		done += n;
		if (args->width && n < args->width)
			break;
	}
	return done;
}

static int read_all(struct vfio_user_client *c, const struct read_args *args)
{
	static uint8_t buf[CHUNK_BYTES];
	uint64_t done = 0;
	int err;

	while (done < args->count) {
		size_t len = sizeof(buf), n;

		if (args->count - done < len)
			len = args->count - done;
		n = read_chunk(c, args, args->offset + done, buf, len, &err);
		print_chunk(args, args->offset + done, buf, n);
		done += n;
		if (err)
			return tool_fail(err, "can't read at %#llx",
				(unsigned long long)(args->offset + done));
		if (n < len) {
			log_err("the device gave only %llu bytes of %llu",
				(unsigned long long)done,
				(unsigned long long)args->count);
			return TOOL_FAILED;
		}
	}
	return TOOL_OK;
}

static bool read_parse(int argc, char **argv, struct read_args *args)
{
	static const struct option options[] = {
		{ "width", required_argument, NULL, 'w' },
		{ "raw", no_argument, NULL, 'r' },
		{ }
	};
	int opt;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?' ||
		    (opt == 'w' && !tool_width(optarg, &args->width)))
			return false;
		if (opt == 'r')
			args->raw = true;
	}
	if (!tool_operands(argc, argv, 3, 4) ||
	    !tool_region(argv[optind + 1], &args->region) ||
	    !tool_size("offset", argv[optind + 2], &args->offset))
		return false;

	args->count = args->width ? args->width : 4;
	if (argc - optind == 4 &&
	    !tool_size("count", argv[optind + 3], &args->count))
		return false;
	if (args->width && (args->count % args->width ||
			    args->offset % args->width)) {
		log_err("offset and count must be multiples of the width, %u",
			args->width);
		return false;
	}
	return true;
}

static int read_run(int argc, char **argv)
{
	struct read_args args = { 0 };
	struct vfio_user_client *c;
	int ret;

	if (!read_parse(argc, argv, &args))
		return TOOL_USAGE;
	if (tool_connect(argv[optind], &c))
		return TOOL_FAILED;
	ret = tool_check_range(c, args.region, args.offset, args.count,
			       VFIO_USER_REGION_FLAG_READ);
	if (!ret)
		ret = read_all(c, &args);
	vfio_user_disconnect(c);
	return ret;
}

const struct subcommand cmd_read = {
	.name = "read",
	.args = "SOCKET REGION OFFSET [COUNT] [--width=1|2|4|8] [--raw]",
	.summary = "Print bytes of a region",
	.help =
"  SOCKET   the server's UNIX socket\n"
"  REGION   bar0 to bar5, rom, config, vga, or a number\n"
"  OFFSET   of the first byte; may end in K, M or G\n"
"  COUNT    bytes; may end in K, M or G; 4 or one width if not given\n"
"  --width  make every access this wide, in bytes, and print values\n"
"  --raw    write the bytes to stdout as they are\n",
	.run = read_run,
};
