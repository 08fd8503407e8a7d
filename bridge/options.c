// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line.
 *
 * Follows the conventions that the vhost-user specification set for backend
 * programs: --socket-path or --fd, --print-capabilities, stay in the
 * foreground, end on SIGTERM.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "log.h"

/* Memory that is shadowed at most, unless the operator says how much. */
#define OPTIONS_SHADOW_MAX	(UINT64_C(256) << 20)

enum {
	OPT_DEVICE = 256,
	OPT_SOCKET_PATH,
	OPT_FD,
	OPT_MONITOR,
	OPT_IOMMU,
	OPT_MMAP,
	OPT_ON_DISCONNECT,
	OPT_UNSAFE_NOIOMMU,
	OPT_IOEVENTFD,
	OPT_SHADOW_DMA,
	OPT_PRINT_CAPABILITIES,
};

static const struct option options_long[] = {
	{ "device",		required_argument, NULL, OPT_DEVICE },
	{ "socket-path",	required_argument, NULL, OPT_SOCKET_PATH },
	{ "fd",			required_argument, NULL, OPT_FD },
	{ "monitor",		required_argument, NULL, OPT_MONITOR },
	{ "iommu",		required_argument, NULL, OPT_IOMMU },
	{ "mmap",		required_argument, NULL, OPT_MMAP },
	{ "on-disconnect",	required_argument, NULL, OPT_ON_DISCONNECT },
	{ "unsafe-noiommu",	no_argument,	   NULL, OPT_UNSAFE_NOIOMMU },
	{ "ioeventfd",		required_argument, NULL, OPT_IOEVENTFD },
	{ "shadow-dma",		optional_argument, NULL, OPT_SHADOW_DMA },
	{ "print-capabilities",	no_argument,	   NULL, OPT_PRINT_CAPABILITIES },
	{ "verbose",		no_argument,	   NULL, 'v' },
	{ "help",		no_argument,	   NULL, 'h' },
	{ }
};

static const char options_help[] =
"Usage: vfio-bridge --device=DEVICE --socket-path=PATH|--fd=N [OPTION]...\n"
"Offer a device that is bound to vfio-pci on a UNIX socket, by vfio-user.\n"
"\n"
"  --device=DEVICE         PCI address (0000:01:00.0) or mediated device's UUID\n"
"  --socket-path=PATH      listen on PATH; a dead socket there is replaced\n"
"  --fd=N                  serve file descriptor N, listening or connected\n"
"  --monitor=PATH          answer 'vfio-user status PATH'\n"
"  --iommu=auto|iommufd|type1\n"
"                          way into the kernel (auto: iommufd where there is one)\n"
"  --mmap=on|off           may clients map the device's regions? (on)\n"
"  --on-disconnect=reset|retain|exit\n"
"                          when a client goes: close and reset the device, keep\n"
"                          it open for the same user, or end (reset)\n"
"  --unsafe-noiommu        export a device that no IOMMU confines\n"
"  --ioeventfd=REGION:OFFSET:WIDTH[:DATA]\n"
"                          offer a doorbell as an eventfd: WIDTH (1, 2, 4, 8) bytes\n"
"                          of DATA (0) are written when it fires; may be repeated\n"
"  --shadow-dma[=MAX]      let the device reach memory that clients don't share: up\n"
"                          to MAX bytes (256M) are copied by message; turns --mmap\n"
"                          off, and is slow\n"
"  --print-capabilities    print what this backend can do, as JSON\n"
"  -v, --verbose           log every command\n"
"  -h, --help              this text\n"
"\n"
"Exit codes: 0 ended by a signal or with its client, 1 failed, 2 bad options,\n"
"3 the device can't be exported, 4 the socket can't be made.\n";

static const char options_capabilities[] =
"{\n"
"  \"type\": \"vfio-user\",\n"
"  \"features\": [\"mmap\", \"ioeventfd\", \"on-disconnect\", \"monitor\", \"shadow-dma\"]\n"
"}\n";

static int options_choice(const char *name, const char *value,
			  const char *const *choices)
{
	int i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(value, choices[i]))
			return i;
	}
	log_err("--%s=%s: choose one of those that --help lists", name, value);
	return -1;
}

static int options_fd(const char *value)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(value, &end, 10);
	if (errno || end == value || *end || fd < 0 || fd > INT_MAX) {
		log_err("--fd=%s: give the number of an open socket", value);
		return -1;
	}
	return fd;
}

/* A number as C writes them, at *@at, which becomes what follows it. */
static bool options_number(const char **at, uint64_t *value)
{
	char *end;

	/* strtoull() takes blanks and signs, too. */
	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 0);
	*at = end;
	return !errno;
}

/* REGION:OFFSET:WIDTH[:DATA] */
static bool options_parse_doorbell(const char *value, struct doorbell *d)
{
	uint64_t part[4] = { 0 }, width;
	unsigned int n = 0;

	do {
		if (n == ARRAY_SIZE(part) || !options_number(&value, &part[n]))
			return false;
		n++;
	} while (*value++ == ':');
	width = part[2];
	if (n < 3 || value[-1] || part[0] >= VFIO_MAX_REGIONS ||
	    !width || width > 8 || width & (width - 1) ||
	    part[1] & (width - 1) ||
	    (width < 8 && part[3] >> (8 * width)))
		return false;
	*d = (struct doorbell){ part[0], part[1], width, n == 4, part[3] };
	return true;
}

/* The kernel takes one eventfd for a write. */
static bool options_has_doorbell(const struct options *opts,
				 const struct doorbell *d)
{
	const struct doorbell *old = opts->doorbells;

	for (; old < opts->doorbells + opts->nr_doorbells; old++) {
		if (old->region == d->region && old->offset == d->offset &&
		    old->width == d->width && old->data == d->data)
			return true;
	}
	return false;
}

static int options_doorbell(struct options *opts, const char *value)
{
	struct doorbell d;

	if (opts->nr_doorbells == MAX_DOORBELLS) {
		log_err("--ioeventfd=%s: %d is the most there can be", value,
			MAX_DOORBELLS);
		return -1;
	}
	if (!options_parse_doorbell(value, &d)) {
		log_err("--ioeventfd=%s: give REGION:OFFSET:WIDTH[:DATA], for instance 0:0x1000:4, WIDTH 1, 2, 4 or 8, OFFSET a multiple of it, DATA no wider",
			value);
		return -1;
	}
	if (options_has_doorbell(opts, &d)) {
		log_err("--ioeventfd=%s: there is one for this write already",
			value);
		return -1;
	}
	opts->doorbells[opts->nr_doorbells++] = d;
	return 0;
}

/* A number of bytes, with K, M or G behind it; 0 if it isn't one. */
static uint64_t options_size(const char *value)
{
	static const char units[] = "KMG";
	unsigned long long n;
	const char *unit;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 0);
	if (errno || end == value || strchr(value, '-'))
		return 0;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unit - units + 1);

		if (n > UINT64_MAX >> shift)
			return 0;
		n <<= shift;
		end++;
	}
	return *end ? 0 : n;
}

static int options_shadow(struct options *opts, const char *value)
{
	opts->shadow_max = value ? options_size(value) : OPTIONS_SHADOW_MAX;
	if (opts->shadow_max)
		return 0;
	log_err("--shadow-dma=%s: give a number of bytes, for instance 64M",
		value);
	return -1;
}

/* Sets one option; false if its value is wrong, which has been reported. */
static bool options_set(struct options *opts, int opt, const char *value)
{
	static const char *const iommus[] = { "auto", "iommufd", "type1", NULL };
	static const char *const on_off[] = { "off", "on", NULL };
	static const char *const ends[] = { "reset", "retain", "exit", NULL };
	int n = 0;

	switch (opt) {
	case OPT_DEVICE:
		opts->device = value;
		break;
	case OPT_SOCKET_PATH:
		opts->socket_path = value;
		break;
	case OPT_FD:
		n = options_fd(value);
		opts->fd = n;
		break;
	case OPT_MONITOR:
		opts->monitor_path = value;
		break;
	case OPT_IOMMU:
		n = options_choice("iommu", value, iommus);
		opts->iommu = n;
		break;
	case OPT_MMAP:
		n = options_choice("mmap", value, on_off);
		opts->mmap = n == 1;
		opts->mmap_asked = opts->mmap;
		break;
	case OPT_ON_DISCONNECT:
		n = options_choice("on-disconnect", value, ends);
		opts->on_disconnect = n;
		break;
	case OPT_UNSAFE_NOIOMMU:
		opts->unsafe_noiommu = true;
		break;
	case OPT_IOEVENTFD:
		n = options_doorbell(opts, value);
		break;
	case OPT_SHADOW_DMA:
		n = options_shadow(opts, value);
		break;
	case 'v':
		opts->verbose = true;
		break;
	}
	return n >= 0;
}

static int options_check(const struct options *opts)
{
	if (!opts->device)
		log_err("which device? Give --device=DEVICE (see --help)");
	else if (!opts->socket_path == (opts->fd < 0))
		log_err("give --socket-path=PATH or --fd=N, one of the two");
	else if (opts->shadow_max && (opts->mmap_asked || opts->nr_doorbells))
		log_err("--shadow-dma does not go with --mmap=on or --ioeventfd: it has to see every access to a register");
	else
		return -1;
	return BRIDGE_EXIT_USAGE;
}

int options_parse(struct options *opts, int argc, char **argv)
{
	int opt;

	*opts = (struct options){
		.fd = -1,
		.iommu = VFIO_IOMMU_AUTO,
		.mmap = true,
		.on_disconnect = ON_DISCONNECT_RESET,
	};

	while ((opt = getopt_long(argc, argv, "vh", options_long, NULL)) != -1) {
		if (opt == 'h') {
			fputs(options_help, stdout);
			return BRIDGE_EXIT_OK;
		}
		if (opt == OPT_PRINT_CAPABILITIES) {
			fputs(options_capabilities, stdout);
			return BRIDGE_EXIT_OK;
		}
		if (opt == '?' || !options_set(opts, opt, optarg))
			return BRIDGE_EXIT_USAGE;
	}
	if (optind < argc) {
		log_err("%s: what is this? See --help", argv[optind]);
		return BRIDGE_EXIT_USAGE;
	}
	if (opts->shadow_max)
		opts->mmap = false;
	return options_check(opts);
}
