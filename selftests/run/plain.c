// SPDX-License-Identifier: GPL-2.0-only
/* A device by plain VFIO. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "plain.h"
#include "util.h"

static bool sysfs_group(const char *bdf, char *group, size_t size)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	snprintf(group, size, "%s", strrchr(link, '/') + 1);
	return true;
}

static void sysfs_cdev(const char *bdf, char *cdev, size_t size)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			snprintf(cdev, size, "/dev/vfio/devices/%.32s",
				 entry->d_name);
	}
	if (dir)
		closedir(dir);
}

const char *plain_init(struct plain *p)
{
	const char *bdf = getenv("TEST_BDF") ?: getenv("LAB_IGB");
	const char *group = getenv("TEST_GROUP"), *cdev = getenv("TEST_CDEV");
	char number[32];

	*p = (struct plain){ .container = -1, .group = -1, .device = -1 };
	if (!bdf)
		return "neither TEST_BDF nor LAB_IGB names a device";
	snprintf(p->bdf, sizeof(p->bdf), "%s", bdf);
	if (!group && !sysfs_group(bdf, number, sizeof(number)))
		return "the device has no IOMMU group";
	snprintf(p->group_path, sizeof(p->group_path), "/dev/vfio/%s",
		 group ?: number);
	if (cdev)
		snprintf(p->cdev_path, sizeof(p->cdev_path),
			 "/dev/vfio/devices/%s", cdev);
	else
		sysfs_cdev(bdf, p->cdev_path, sizeof(p->cdev_path));
	/* Kernels without iommufd have the name and no node. */
	if (access(p->cdev_path, F_OK))
		p->cdev_path[0] = '\0';
	return NULL;
}

int plain_open(struct plain *p, unsigned long type)
{
	p->container = open("/dev/vfio/vfio", O_RDWR);
	p->group = open(p->group_path, O_RDWR);
	if (p->container < 0 || p->group < 0 ||
	    ioctl(p->group, VFIO_GROUP_SET_CONTAINER, &p->container) ||
	    ioctl(p->container, VFIO_SET_IOMMU, type))
		return -errno;
	p->device = ioctl(p->group, VFIO_GROUP_GET_DEVICE_FD, p->bdf);
	return p->device < 0 ? -errno : 0;
}

void plain_exit(struct plain *p)
{
	close_fd(&p->device);
	close_fd(&p->group);
	close_fd(&p->container);
}

void *plain_cap(void *info, uint32_t offset, uint16_t id)
{
	while (offset) {
		struct vfio_info_cap_header *header;

		header = (void *)((char *)info + offset);
		if (header->id == id)
			return header;
		offset = header->next;
	}
	return NULL;
}

int plain_overflow(void)
{
	unsigned int major = 0, minor = 0;
	int err = EOVERFLOW;
	struct utsname uts;

	/* What is preloaded answers, whatever the kernel is. */
	if (getenv("VFIO_USER_RUN_DEVICES") && !getenv("TEST_DIRECT"))
		return err;
	if (uname(&uts) || sscanf(uts.release, "%u.%u", &major, &minor) != 2)
		return -1;
	if (major < 6 || (major == 6 && minor < 19))
		err = EINVAL;
	return err;
}
