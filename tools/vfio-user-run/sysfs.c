// SPDX-License-Identifier: GPL-2.0-only
/* The numbers under which the kernel's nodes of a device are known. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"

static const char * const sysfs_buses[] = {
	"/sys/bus/pci/devices",
	"/sys/bus/mdev/devices",
};

int sysfs_group(const char *name)
{
	char path[PATH_MAX], link[PATH_MAX];
	const char *number;
	unsigned int i;
	ssize_t n;

	for (i = 0; i < ARRAY_SIZE(sysfs_buses); i++) {
		snprintf(path, sizeof(path), "%s/%s/iommu_group",
			 sysfs_buses[i], name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		number = strrchr(link, '/');
		return atoi(number ? number + 1 : link);
	}
	return -1;
}

static void cdev_look(const char *path, char *cdev, size_t size)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "vfio", 4) &&
		    strlen(entry->d_name) < size)
			strcpy(cdev, entry->d_name);
	}
	closedir(dir);
}

void sysfs_cdev(const char *name, char *cdev, size_t size)
{
	char path[PATH_MAX];
	unsigned int i;

	cdev[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(sysfs_buses) && !cdev[0]; i++) {
		snprintf(path, sizeof(path), "%s/%s/vfio-dev", sysfs_buses[i],
			 name);
		cdev_look(path, cdev, size);
	}
}
