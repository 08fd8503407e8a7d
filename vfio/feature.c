// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device features: one ioctl for many small interfaces, low power among them, and
 * ioeventfds.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

/* Syscalls: ioctl(VFIO_DEVICE_FEATURE) */
int vfio_feature(struct vfio_device *dev, uint32_t flags, void *data,
		 size_t len)
{
	struct vfio_device_feature *feature;
	int ret = 0;

	feature = malloc(sizeof(*feature) + len);
	if (!feature)
		return -ENOMEM;
	feature->argsz = sizeof(*feature) + len;
	feature->flags = flags;
	if (len)
		memcpy(feature->data, data, len);
	if (ioctl(dev->fd, VFIO_DEVICE_FEATURE, feature))
		ret = -errno;
	else if (len)
		memcpy(data, feature->data, len);
	free(feature);
	return ret;
}

int vfio_device_sleep(struct vfio_device *dev)
{
	return vfio_feature(dev, VFIO_DEVICE_FEATURE_SET |
			    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0);
}

int vfio_device_wake(struct vfio_device *dev)
{
	return vfio_feature(dev, VFIO_DEVICE_FEATURE_SET |
			    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0);
}

/* Syscalls: ioctl(VFIO_DEVICE_IOEVENTFD) */
int vfio_ioeventfd(struct vfio_device *dev, uint32_t index, uint64_t offset,
		   uint32_t width, uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = width,		/* VFIO_DEVICE_IOEVENTFD_8 is 1, ... */
		.offset = dev->regions[index].offset + offset,
		.data = data,
		.fd = fd,
	};

	return ioctl(dev->fd, VFIO_DEVICE_IOEVENTFD, &arg) ? -errno : 0;
}
