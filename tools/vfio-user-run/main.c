// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user-run: run a VFIO program on devices behind vfio-user sockets.
 *
 * The program is run with a library preloaded that answers for the nodes of
 * VFIO (interpose.c and the files around it). The launcher finds out the names
 * of these nodes, tells the library in the environment, looks whether the
 * program can be run this way at all, and becomes the program.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "log.h"
#include "run.h"

/* Where the library is installed, which the Makefile knows better. */
#ifndef RUN_LIBRARY
#define RUN_LIBRARY	"/usr/local/lib/vfio-user-run/libvfio-user-run.so"
#endif

#define EXIT_USAGE	125
#define EXIT_CANT_RUN	126
#define EXIT_NOT_FOUND	127

/* What the options say of the devices, a line each */
static char *devices;

static void print_help(void)
{
	printf("usage: vfio-user-run [--device BDF=SOCKET]... [--debug] [--] PROGRAM [ARGUMENT]...\n"
	       "\n"
	       "Run a program that was written for /dev/vfio on devices behind vfio-user\n"
	       "sockets, unchanged.\n"
	       "\n"
	       "  --device BDF=SOCKET[,group=N][,cdev=vfioN]\n"
	       "             answer for the PCI device BDF, or the mediated device of that\n"
	       "             UUID, by means of the vfio-bridge at SOCKET; as /dev/vfio/N and\n"
	       "             /dev/vfio/devices/vfioN, if sysfs doesn't say which\n"
	       "  --debug    print each call that is answered, with its result; the same as\n"
	       "             VFIO_USER_RUN_DEBUG=1 in the environment\n"
	       "  --help     this text\n"
	       "\n"
	       "Exit codes: the program's, or 125 wrong usage, 126 the program can't be run\n"
	       "this way, 127 it can't be found.\n");
}

/* "1:00.0" and "01:00.0" are in domain 0, as with other tools. */
static void device_name(const char *text, size_t len, char *name, size_t size)
{
	unsigned int domain, bus, dev, fn;
	char copy[64];

	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (sscanf(copy, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) == 4)
		snprintf(name, size, "%04x:%02x:%02x.%x", domain, bus, dev, fn);
	else if (sscanf(copy, "%x:%x.%x", &bus, &dev, &fn) == 3)
		snprintf(name, size, "0000:%02x:%02x.%x", bus, dev, fn);
	else
		snprintf(name, size, "%s", copy);
}

/**
 * struct device_option - a --device
 * @name: PCI address or UUID
 * @socket: absolute path
 * @group: -1 if there is none
 * @cdev: "" if there is none
 */
struct device_option {
	char name[64];
	char socket[PATH_MAX];
	int group;
	char cdev[32];
};

/* Cut ",group=N" and ",cdev=vfioN" off the end of @text. */
static int device_suffixes(struct device_option *d, char *text)
{
	char *comma, *end;

	while ((comma = strrchr(text, ','))) {
		if (!strncmp(comma, ",group=", 7)) {
			d->group = strtoul(comma + 7, &end, 10);
			if (!comma[7] || *end)
				return -EINVAL;
		} else if (!strncmp(comma, ",cdev=", 6)) {
			if (strncmp(comma + 6, "vfio", 4) ||
			    strlen(comma + 6) >= sizeof(d->cdev))
				return -EINVAL;
			strcpy(d->cdev, comma + 6);
		} else {
			break;
		}
		*comma = '\0';
	}
	return 0;
}

static int device_socket(struct device_option *d, const char *path)
{
	char cwd[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(d->socket, sizeof(d->socket), "%s", path);
	else if (getcwd(cwd, sizeof(cwd)))
		n = snprintf(d->socket, sizeof(d->socket), "%s/%s", cwd, path);
	else
		return -errno;
	if (n >= sizeof(((struct run_device *)0)->socket))
		return -ENAMETOOLONG;
	return strchr(d->socket, '\n') ? -EINVAL : 0;
}

static int device_parse(struct device_option *d, char *text)
{
	char *socket = strchr(text, '=');
	int ret;

	*d = (struct device_option){ .group = -1 };
	if (!socket || socket == text || !socket[1])
		return -EINVAL;
	*socket++ = '\0';
	device_name(text, strlen(text), d->name, sizeof(d->name));
	ret = device_suffixes(d, socket);
	if (!ret)
		ret = device_socket(d, socket);
	if (ret)
		return ret;
	if (d->group < 0)
		d->group = sysfs_group(d->name);
	if (!d->cdev[0])
		sysfs_cdev(d->name, d->cdev, sizeof(d->cdev));
	return d->group < 0 && !d->cdev[0] ? -ENODEV : 0;
}

static int device_add(const struct device_option *d)
{
	char *old = devices;
	char group[24] = "", cdev[48] = "";
	int n;

	if (d->group >= 0)
		snprintf(group, sizeof(group), ",group=%d", d->group);
	if (d->cdev[0])
		snprintf(cdev, sizeof(cdev), ",cdev=%s", d->cdev);
	n = asprintf(&devices, "%s%s=%s%s%s\n", old ? old : "", d->name,
		     d->socket, group, cdev);
	free(old);
	return n < 0 ? -ENOMEM : 0;
}

static int option_device(const char *text)
{
	struct device_option d;
	char *copy = strdup(text);
	int ret = -ENOMEM;

	if (copy)
		ret = device_parse(&d, copy);
	if (ret == -ENODEV)
		log_err("--device=%s: sysfs has neither an IOMMU group nor a node for %s; say them: BDF=SOCKET,group=N or BDF=SOCKET,cdev=vfioN",
			text, d.name);
	else if (ret)
		log_err("--device=%s: not BDF=SOCKET[,group=N][,cdev=vfioN]: %s",
			text, strerrordesc_np(-ret));
	else
		ret = device_add(&d);
	free(copy);
	return ret;
}

/* Beside the launcher, as in the build tree, or where it is installed. */
static int library_find(char path[PATH_MAX])
{
	static const char name[] = "libvfio-user-run.so";
	char exe[PATH_MAX];
	ssize_t n;

	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0)
		return -ENOENT;
	exe[n] = '\0';
	*(strrchr(exe, '/') + 1) = '\0';
	if (snprintf(path, PATH_MAX, "%s%s", exe, name) < PATH_MAX &&
	    !access(path, R_OK))
		return 0;
	if (snprintf(path, PATH_MAX, "%s../lib/vfio-user-run/%s", exe,
		     name) < PATH_MAX && !access(path, R_OK))
		return 0;
	snprintf(path, PATH_MAX, "%s", RUN_LIBRARY);
	return access(path, R_OK) ? -errno : 0;
}

/* Put @value before or after what the variable has, with @sep between. */
static int env_add(const char *name, const char *value, const char *sep,
		   bool first)
{
	const char *old = getenv(name);
	char *text;
	int ret;

	if (!old || !*old)
		return setenv(name, value, 1);
	if (asprintf(&text, "%s%s%s", first ? value : old, sep,
		     first ? old : value) < 0)
		return -1;
	ret = setenv(name, text, 1);
	free(text);
	return ret;
}

/*
 * AddressSanitizer wants to be the first library, and says so by ending the
 * program, unless it is told not to look. Second it works as well: our
 * functions call the next definition, which is its.
 */
static int environment(const char *library)
{
	if (env_add("LD_PRELOAD", library, ":", true) ||
	    env_add("ASAN_OPTIONS", "verify_asan_link_order=0", ":", false))
		return -errno;
	if (devices)
		return setenv(RUN_ENV_DEVICES, devices, 1) ? -errno : 0;
	return unsetenv(RUN_ENV_DEVICES) ? -errno : 0;
}

static int run(char **argv)
{
	char path[PATH_MAX], library[PATH_MAX];
	const char *why;
	int ret;

	ret = program_find(argv[0], path);
	if (ret) {
		log_err("%s: %s", argv[0], strerrordesc_np(-ret));
		return ret == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANT_RUN;
	}
	why = program_check(path);
	if (why) {
		log_err("%s %s", path, why);
		return EXIT_CANT_RUN;
	}
	ret = library_find(library);
	if (ret) {
		log_err("%s: %s", library, strerrordesc_np(-ret));
		return EXIT_USAGE;
	}
	if (strpbrk(library, ": ")) {
		log_err("%s: a path with a colon or a blank can't be preloaded",
			library);
		return EXIT_USAGE;
	}
	ret = environment(library);
	if (ret) {
		log_err("cannot set the environment: %s",
			strerrordesc_np(-ret));
		return EXIT_USAGE;
	}
	execvp(argv[0], argv);
	ret = errno;
	log_err("%s: %s", path, strerrordesc_np(ret));
	return ret == ENOENT ? EXIT_NOT_FOUND : EXIT_CANT_RUN;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "debug", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL }
	};
	int opt;

	log_init("vfio-user-run", false);
	/* Where the program's name begins its arguments do, too. */
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			if (option_device(optarg))
				return EXIT_USAGE;
			break;
		case 'v':
			setenv(RUN_ENV_DEBUG, "1", 1);
			break;
		case 'h':
			print_help();
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		log_err("no program; see 'vfio-user-run --help'");
		return EXIT_USAGE;
	}
	return run(argv + optind);
}
