// SPDX-License-Identifier: GPL-2.0-only
/*
 * Giving a device to a driver.
 *
 * driver_override names the one driver that may have the device; then the
 * present driver lets go and the bus is asked to probe it again. Nothing else
 * on the bus is touched, unlike with the driver's new_id file, which binds
 * every device of the same kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device.h"

/* Syscalls at start: close openat write */
static int pci_write(const char *path, const char *value)
{
	size_t len = strlen(value);
	int ret = 0;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, value, len) != (ssize_t)len)
		ret = -errno;
	close(fd);
	return ret;
}

static int pci_unbind(const char *sysfs, const char *name)
{
	char path[PCI_SYSFS_LEN + 32], driver[64];
	int ret;

	ret = pci_driver(sysfs, driver, sizeof(driver));
	if (ret || !driver[0])
		return ret;
	snprintf(path, sizeof(path), "%s/driver/unbind", sysfs);
	return pci_write(path, name);
}

/* Syscalls at start: access */
int pci_bind(const char *sysfs, const char *driver)
{
	const char *name = strrchr(sysfs, '/') ? strrchr(sysfs, '/') + 1 : sysfs;
	char path[PCI_SYSFS_LEN + 32], now[64];
	int ret;

	if (driver[0]) {
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%.64s",
			 driver);
		if (access(path, F_OK))
			return -ENOENT;
	}

	/* A lone newline clears it. */
	snprintf(path, sizeof(path), "%s/driver_override", sysfs);
	ret = pci_write(path, driver[0] ? driver : "\n");
	if (ret)
		return ret;
	ret = pci_unbind(sysfs, name);
	if (ret)
		return ret;
	ret = pci_write("/sys/bus/pci/drivers_probe", name);
	if (ret)
		return ret;

	ret = pci_driver(sysfs, now, sizeof(now));
	if (ret)
		return ret;
	return driver[0] && strcmp(now, driver) ? -EBUSY : 0;
}
