// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user bind, vfio-user unbind: which kernel driver holds a PCI device.
 *
 * The two are one operation, because releasing a device is letting the kernel
 * choose its driver again. This needs root; nothing here talks to a server.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pci/device.h"
#include "tool.h"

#define DRIVER_LEN	128

static int resolve(const char *arg, struct pci_name *name)
{
	int ret = pci_resolve(arg, name);

	if (!ret && !name->mdev)
		return TOOL_OK;
	if (!ret)
		log_err("%s is a mediated device: it has its driver already",
			arg);
	else if (ret == -EINVAL)
		log_err("%s is no PCI address: write it as lspci does, for instance 0000:01:00.0",
			arg);
	else if (ret == -ENODEV)
		log_err("there is no device %s: 'lspci -D' lists them", arg);
	else
		return tool_fail(ret, "can't find %s", arg);
	return ret == -ENODEV ? TOOL_FAILED : TOOL_USAGE;
}

static int bind_fail(int err, const char *device, const char *driver)
{
	switch (err) {
	case -ENOENT:
		log_err("no driver %s is loaded: try 'modprobe %s'", driver,
			driver);
		return TOOL_FAILED;
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return tool_fail(err, "can't bind %s: be root, with /sys writeable",
				 device);
	case -EBUSY:
		return tool_fail(err, "%s is in use or went to another driver: end what uses it",
				 device);
	default:
		return tool_fail(err, "can't bind %s to %s; the kernel's log may say why",
				 device, *driver ? driver : "its own driver");
	}
}

static const char *or_none(const char *driver)
{
	return *driver ? driver : "no driver";
}

/* Bind to @driver, or to what the kernel chooses if it is "". */
static int rebind(const char *arg, const char *driver)
{
	char before[DRIVER_LEN], after[DRIVER_LEN];
	struct pci_name name;
	int ret;

	ret = resolve(arg, &name);
	if (ret)
		return ret;
	ret = pci_driver(name.sysfs, before, sizeof(before));
	if (ret)
		return tool_fail(ret, "can't tell the driver of %s", name.name);
	printf("%s: was held by %s\n", name.name, or_none(before));
	fflush(stdout);

	if (*driver && !strcmp(before, driver))
		return TOOL_OK;
	ret = pci_bind(name.sysfs, driver);
	if (ret)
		return bind_fail(ret, name.name, driver);
	ret = pci_driver(name.sysfs, after, sizeof(after));
	if (ret)
		return tool_fail(ret, "can't tell the driver of %s", name.name);
	printf("%s: is held by %s\n", name.name, or_none(after));
	return TOOL_OK;
}

static int bind_run(int argc, char **argv)
{
	static const struct option options[] = { { } };
	const char *driver = "vfio-pci";

	if (tool_getopt(argc, argv, options) != -1 ||
	    !tool_operands(argc, argv, 1, 2))
		return TOOL_USAGE;
	if (argc - optind == 2)
		driver = argv[optind + 1];
	if (!*driver || strchr(driver, '/') || *driver == '.') {
		log_err("'%s' is no driver's name: 'ls /sys/bus/pci/drivers' lists them",
			driver);
		return TOOL_USAGE;
	}
	return rebind(argv[optind], driver);
}

static int unbind_run(int argc, char **argv)
{
	static const struct option options[] = { { } };

	if (tool_getopt(argc, argv, options) != -1 ||
	    !tool_operands(argc, argv, 1, 1))
		return TOOL_USAGE;
	return rebind(argv[optind], "");
}

const struct subcommand cmd_bind = {
	.name = "bind",
	.args = "DEVICE [DRIVER]",
	.summary = "Give a PCI device to a driver, so that it can be served",
	.help =
"  DEVICE  address of a PCI device, [domain:]bus:device.function\n"
"  DRIVER  vfio-pci if not given\n"
"\n"
"Prints which driver held the device and which one does now. Needs root.\n"
"No other device is touched.\n",
	.run = bind_run,
};

const struct subcommand cmd_unbind = {
	.name = "unbind",
	.args = "DEVICE",
	.summary = "Give a PCI device back to the driver the kernel chooses",
	.help =
"  DEVICE  address of a PCI device, [domain:]bus:device.function\n"
"\n"
"Prints which driver held the device and which one does now. Needs root.\n",
	.run = unbind_run,
};
