// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line.
 *
 * Follows the conventions that the vhost-user specification set for backend
 * programs: --socket-path or --fd, --print-capabilities, stay in the
 * foreground, end on SIGTERM.
 *
 * With several --device, what belongs to one of them follows it. With just one
 * the order is free, so what comes before the first --device is its as well,
 * unless there turns out to be a second.
 */
#include <errno.h>
#include <getopt.h>
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
	OPT_IDLE_LOW_POWER,
	OPT_RELEASE_TIMEOUT,
	OPT_MAX_DMA_MAPS,
	OPT_MAX_DMA,
	OPT_MESSAGE_RATE,
	OPT_SOCKET_MODE,
	OPT_SOCKET_USER,
	OPT_SOCKET_GROUP,
	OPT_ALLOW_UID,
	OPT_ALLOW_GID,
	OPT_UNSAFE_NOIOMMU,
	OPT_IOEVENTFD,
	OPT_SHADOW_DMA,
	OPT_CHECK,
	OPT_NO_SANDBOX,
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
	{ "idle-low-power",	no_argument,	   NULL, OPT_IDLE_LOW_POWER },
	{ "release-timeout",	required_argument, NULL, OPT_RELEASE_TIMEOUT },
	{ "max-dma-maps",	required_argument, NULL, OPT_MAX_DMA_MAPS },
	{ "max-dma",		required_argument, NULL, OPT_MAX_DMA },
	{ "message-rate",	required_argument, NULL, OPT_MESSAGE_RATE },
	{ "socket-mode",	required_argument, NULL, OPT_SOCKET_MODE },
	{ "socket-user",	required_argument, NULL, OPT_SOCKET_USER },
	{ "socket-group",	required_argument, NULL, OPT_SOCKET_GROUP },
	{ "allow-uid",		required_argument, NULL, OPT_ALLOW_UID },
	{ "allow-gid",		required_argument, NULL, OPT_ALLOW_GID },
	{ "unsafe-noiommu",	no_argument,	   NULL, OPT_UNSAFE_NOIOMMU },
	{ "ioeventfd",		required_argument, NULL, OPT_IOEVENTFD },
	{ "shadow-dma",		optional_argument, NULL, OPT_SHADOW_DMA },
	{ "check",		no_argument,	   NULL, OPT_CHECK },
	{ "no-sandbox",		no_argument,	   NULL, OPT_NO_SANDBOX },
	{ "print-capabilities",	no_argument,	   NULL, OPT_PRINT_CAPABILITIES },
	{ "verbose",		no_argument,	   NULL, 'v' },
	{ "help",		no_argument,	   NULL, 'h' },
	{ }
};

/* The kernel takes one eventfd for a write. */
static bool options_has_doorbell(const struct device_options *own,
				 const struct doorbell *d)
{
	const struct doorbell *old = own->doorbells;

	for (; old < own->doorbells + own->nr_doorbells; old++) {
		if (old->region == d->region && old->offset == d->offset &&
		    old->width == d->width && old->data == d->data)
			return true;
	}
	return false;
}

static int options_doorbell(struct device_options *own, const char *value)
{
	struct doorbell d;

	if (own->nr_doorbells == MAX_DOORBELLS) {
		log_err("--ioeventfd=%s: %d is the most there can be", value,
			MAX_DOORBELLS);
		return -1;
	}
	if (!value_doorbell(value, &d)) {
		log_err("--ioeventfd=%s: give REGION:OFFSET:WIDTH[:DATA], for instance 0:0x1000:4, WIDTH 1, 2, 4 or 8, OFFSET a multiple of it, DATA no wider",
			value);
		return -1;
	}
	if (options_has_doorbell(own, &d)) {
		log_err("--ioeventfd=%s: there is one for this write already",
			value);
		return -1;
	}
	own->doorbells[own->nr_doorbells++] = d;
	return 0;
}

static int options_shadow(struct options *opts, const char *value)
{
	opts->shadow_max = value ? value_size(value) : OPTIONS_SHADOW_MAX;
	if (opts->shadow_max)
		return 0;
	log_err("--shadow-dma=%s: give a number of bytes, for instance 64M",
		value);
	return -1;
}

static int options_max_dma(struct options *opts, const char *value)
{
	opts->max_dma = value_size(value);
	if (opts->max_dma)
		return 0;
	log_err("--max-dma=%s: give a number of bytes, for instance 64G",
		value);
	return -1;
}

/*
 * A guest has no more memory than the machine; the rest is for registers of
 * other devices.
 *
 * Syscalls at start: sysinfo
 */
static uint64_t options_usual_max_dma(void)
{
	return 2 * (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* The device that --socket-path and its like are of: the last one named. */
static struct device_options *options_own(struct options *opts)
{
	return &opts->devices[opts->nr_devices ? opts->nr_devices - 1 : 0];
}

static bool options_is_given(const struct device_options *own)
{
	return own->socket_path || own->fd >= 0 || own->nr_doorbells;
}

static int options_device(struct options *opts, const char *value)
{
	struct device_options *own = &opts->devices[opts->nr_devices];

	if (opts->nr_devices == MAX_DEVICES) {
		log_err("--device=%s: %d is the most there can be", value,
			MAX_DEVICES);
		return -1;
	}
	if (opts->nr_devices)
		own->fd = -1;
	own->device = value;
	opts->nr_devices++;
	return 0;
}

/* Sets one option; false if its value is wrong, which has been reported. */
static bool options_set(struct options *opts, int opt, const char *value)
{
	static const char *const iommus[] = { "auto", "iommufd", "type1", NULL };
	static const char *const on_off[] = { "off", "on", NULL };
	static const char *const ends[] = { "reset", "retain", "exit", NULL };
	struct device_options *own = options_own(opts);
	int n = 0;

	switch (opt) {
	case OPT_DEVICE:
		n = options_device(opts, value);
		break;
	case OPT_SOCKET_PATH:
		own->socket_path = value;
		break;
	case OPT_FD:
		n = value_fd(value);
		own->fd = n;
		break;
	case OPT_MONITOR:
		opts->monitor_path = value;
		break;
	case OPT_IOMMU:
		n = value_choice("iommu", value, iommus);
		opts->iommu = n;
		break;
	case OPT_MMAP:
		n = value_choice("mmap", value, on_off);
		opts->mmap = n == 1;
		opts->mmap_asked = opts->mmap;
		break;
	case OPT_ON_DISCONNECT:
		n = value_choice("on-disconnect", value, ends);
		opts->on_disconnect = n;
		break;
	case OPT_IDLE_LOW_POWER:
		opts->idle_low_power = true;
		break;
	case OPT_RELEASE_TIMEOUT:
		n = value_seconds("release-timeout", value);
		opts->release_timeout = n;
		break;
	case OPT_MAX_DMA_MAPS:
		n = value_count("max-dma-maps", value, &opts->max_dma_maps);
		break;
	case OPT_MAX_DMA:
		n = options_max_dma(opts, value);
		break;
	case OPT_MESSAGE_RATE:
		n = value_count("message-rate", value, &opts->message_rate);
		break;
	case OPT_SOCKET_MODE:
		n = access_set_mode(&opts->access, value);
		break;
	case OPT_SOCKET_USER:
		n = access_set_user(&opts->access, value);
		break;
	case OPT_SOCKET_GROUP:
		n = access_set_group(&opts->access, value);
		break;
	case OPT_ALLOW_UID:
		n = access_add_uid(&opts->access, value);
		break;
	case OPT_ALLOW_GID:
		n = access_add_gid(&opts->access, value);
		break;
	case OPT_UNSAFE_NOIOMMU:
		opts->unsafe_noiommu = true;
		break;
	case OPT_IOEVENTFD:
		n = options_doorbell(own, value);
		break;
	case OPT_SHADOW_DMA:
		n = options_shadow(opts, value);
		break;
	case OPT_CHECK:
		opts->check = true;
		break;
	case OPT_NO_SANDBOX:
		opts->no_sandbox = true;
		break;
	case 'v':
		opts->verbose = true;
		break;
	}
	return n >= 0;
}

/* The socket of another device, or the monitor's? */
static bool options_socket_is_taken(const struct options *opts, unsigned int i)
{
	const struct device_options *own = &opts->devices[i], *other;

	for (other = opts->devices; other < own; other++) {
		if (own->fd >= 0 && own->fd == other->fd) {
			log_err("--fd=%d: it is given to %s and to %s; each device has a socket of its own",
				own->fd, other->device, own->device);
			return true;
		}
		if (own->socket_path && other->socket_path &&
		    !strcmp(own->socket_path, other->socket_path)) {
			log_err("--socket-path=%s: it is given to %s and to %s; each device has a socket of its own",
				own->socket_path, other->device, own->device);
			return true;
		}
	}
	if (!own->socket_path || !opts->monitor_path ||
	    strcmp(own->socket_path, opts->monitor_path))
		return false;
	log_err("--socket-path=%s: that is the monitor's; give each a path of its own",
		own->socket_path);
	return true;
}

/* --check takes sockets, and needs none. */
static bool options_socket_is_right(const struct options *opts, unsigned int i)
{
	const struct device_options *own = &opts->devices[i];

	if (own->socket_path && own->fd >= 0)
		log_err("%s: give --socket-path=PATH or --fd=N, one of the two",
			own->device);
	else if (opts->check || own->socket_path || own->fd >= 0)
		return !options_socket_is_taken(opts, i);
	else if (opts->nr_devices == 1)
		log_err("give --socket-path=PATH or --fd=N, one of the two");
	else
		log_err("%s: on which socket? Give --socket-path=PATH or --fd=N after --device=%s, and before the next --device",
			own->device, own->device);
	return false;
}

static bool options_has_doorbells(const struct options *opts)
{
	unsigned int i;

	for (i = 0; i < opts->nr_devices; i++) {
		if (opts->devices[i].nr_doorbells)
			return true;
	}
	return false;
}

static int options_check(const struct options *opts)
{
	unsigned int i;

	if (!opts->nr_devices && !opts->check) {
		log_err("which device? Give --device=DEVICE (see --help)");
		return BRIDGE_EXIT_USAGE;
	}
	for (i = 0; i < opts->nr_devices; i++) {
		if (!options_socket_is_right(opts, i))
			return BRIDGE_EXIT_USAGE;
	}
	if (opts->shadow_max &&
	    (opts->mmap_asked || options_has_doorbells(opts))) {
		log_err("--shadow-dma does not go with --mmap=on or --ioeventfd: it has to see every access to a register");
		return BRIDGE_EXIT_USAGE;
	}
	return -1;
}

/* Syscalls at start: newfstatat write */
int options_parse(struct options *opts, int argc, char **argv)
{
	bool early = false;
	int opt;

	*opts = (struct options){
		.devices[0].fd = -1,
		.max_dma_maps = UINT32_MAX,
		.max_dma = options_usual_max_dma(),
		.message_rate = BRIDGE_MESSAGE_RATE,
		.access = { .user = -1, .group = -1 },
		.iommu = VFIO_IOMMU_AUTO,
		.mmap = true,
		.on_disconnect = ON_DISCONNECT_RESET,
		.release_timeout = BRIDGE_RELEASE_TIMEOUT,
	};

	while ((opt = getopt_long(argc, argv, "vh", options_long, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_help, stdout);
			return BRIDGE_EXIT_OK;
		}
		if (opt == OPT_PRINT_CAPABILITIES) {
			fputs(usage_capabilities, stdout);
			return BRIDGE_EXIT_OK;
		}
		if (opt == '?' || !options_set(opts, opt, optarg))
			return BRIDGE_EXIT_USAGE;
		if (!opts->nr_devices)
			early = options_is_given(&opts->devices[0]);
	}
	if (early && opts->nr_devices > 1) {
		log_err("of which device is the socket, or the doorbell, before the first --device? With several, give each its own after it");
		return BRIDGE_EXIT_USAGE;
	}
	if (optind < argc) {
		log_err("%s: what is this? See --help", argv[optind]);
		return BRIDGE_EXIT_USAGE;
	}
	if (opts->shadow_max)
		opts->mmap = false;
	if (activation_take(opts))
		return BRIDGE_EXIT_USAGE;
	return options_check(opts);
}
