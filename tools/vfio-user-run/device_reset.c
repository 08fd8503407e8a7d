// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets, and what the bridge has no message for.
 *
 * RESET is the bridge's, which resets the bus where the function can't be reset
 * alone and nobody else is on it. A program can't reset a bus by itself: which
 * other devices that would touch, and who owns them, is the bridge's to know. It
 * is told what the kernel tells where there is neither a slot nor a bus to
 * reset.
 */
#include <errno.h>
#include <linux/vfio.h>

#include "device.h"

int device_reset(struct run_device *dev)
{
	struct vfio_user_device_info info;
	struct vfio_user_client *client;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_device_info(client, &info);
	if (!ret && !(info.flags & VFIO_USER_DEVICE_FLAG_RESET))
		ret = -EINVAL;
	if (!ret)
		ret = vfio_user_reset(client);
	return run_device_unlock(dev, ret);
}

int device_hot_reset_info(void *arg)
{
	struct vfio_pci_hot_reset_info info;

	if (run_copy_in(&info, arg, sizeof(info)))
		return -EFAULT;
	return info.argsz < sizeof(info) ? -EINVAL : -ENODEV;
}

int device_hot_reset(const struct device_file *df, void *arg)
{
	struct vfio_pci_hot_reset reset;

	if (run_copy_in(&reset, arg, sizeof(reset)))
		return -EFAULT;
	if (reset.argsz < sizeof(reset) || reset.flags)
		return -EINVAL;
	/* Groups are listed if there are any, and only then. */
	if (!reset.count == !!df->group)
		return -EINVAL;
	return -ENODEV;
}

/* Doorbells are the bridge's configuration, not its client's. */
int device_ioeventfd(void *arg)
{
	struct vfio_device_ioeventfd io;
	uint32_t size;

	if (run_copy_in(&io, arg, sizeof(io)))
		return -EFAULT;
	if (io.argsz < sizeof(io))
		return -EINVAL;
	size = io.flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
	if (io.flags != size || !size || size & (size - 1) || io.fd < -1)
		return -EINVAL;
	return -ENOTTY;
}
