// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is like: GET_INFO and GET_REGION_INFO.
 *
 * The bridge passes what the kernel says, so what is left is to lay it out as
 * the kernel does. A region's chain of capabilities has the same layout on the
 * socket as in the ioctl; offsets are vfio-pci's, by index.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

int device_get_info(struct run_device *dev, void *arg)
{
	const size_t minsz = offsetof(struct vfio_device_info, cap_offset);
	struct vfio_user_device_info wire;
	struct vfio_user_client *client;
	/* The kernel's has 4 bytes more than old headers: all are cleared. */
	struct {
		struct vfio_device_info info;
		uint32_t pad;
	} out = { 0 };
	int ret;

	if (run_copy_in(&out, arg, minsz))
		return -EFAULT;
	if (out.info.argsz < minsz)
		return -EINVAL;
	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = run_device_unlock(dev, vfio_user_device_info(client, &wire));
	if (ret)
		return ret;
	out.info.flags = wire.flags;
	out.info.num_regions = wire.num_regions;
	out.info.num_irqs = wire.num_irqs;
	return run_copy_out(arg, &out, min((size_t)out.info.argsz, (size_t)24));
}

/* @info is to be freed. */
static int region_describe(struct run_device *dev, uint32_t index,
			   struct vfio_user_region_info **info, int *fd)
{
	struct vfio_user_client *client;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_region_info(client, index, info, fd);
	return run_device_unlock(dev, ret);
}

int device_region(struct run_device *dev, uint32_t index,
		  struct vfio_user_region_info *info, int *fd)
{
	struct vfio_user_region_info *wire;
	int ret;

	ret = region_describe(dev, index, &wire, fd);
	if (ret)
		return ret;
	*info = *wire;
	free(wire);
	return 0;
}

int device_get_region_info(struct run_device *dev, void *arg)
{
	struct vfio_user_region_info *wire;
	struct vfio_region_info info;
	int ret;

	_Static_assert(sizeof(info) == sizeof(*wire), "the chain's place");
	if (run_copy_in(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	ret = region_describe(dev, info.index, &wire, NULL);
	if (ret)
		return ret;

	info.flags = wire->flags;
	info.size = wire->size;
	info.offset = (uint64_t)info.index << DEVICE_REGION_SHIFT;
	if (wire->flags & VFIO_USER_REGION_FLAG_CAPS) {
		info.cap_offset = 0;
		if (info.argsz < wire->argsz) {
			info.argsz = wire->argsz;
		} else {
			info.cap_offset = wire->cap_offset;
			ret = run_copy_out((char *)arg + sizeof(info), wire + 1,
					   wire->argsz - sizeof(*wire));
		}
	}
	free(wire);
	return ret ? ret : run_copy_out(arg, &info, sizeof(info));
}
