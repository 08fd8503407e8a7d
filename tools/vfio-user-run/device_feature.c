// SPDX-License-Identifier: GPL-2.0-only
/*
 * FEATURE: what the bridge passes of it.
 *
 * That is asking whether and how the device can migrate. The rest of migration
 * moves data through an fd of the kernel's, or through pointers, that don't go
 * over a socket; those features, and all others, are not there, as with a
 * driver that doesn't know them.
 */
#include <errno.h>
#include <linux/vfio.h>

#include "device.h"

#define FEATURE_METHODS	(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET)

static int feature_migration(struct run_device *dev, uint32_t flags,
			     size_t size, void *data)
{
	struct vfio_user_client *client;
	uint64_t out;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_migration_flags(client, &out);
	ret = run_device_unlock(dev, ret);
	if (ret)
		return ret;
	if (flags & VFIO_DEVICE_FEATURE_SET)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!(flags & VFIO_DEVICE_FEATURE_GET) || size < sizeof(out))
		return -EINVAL;
	return run_copy_out(data, &out, sizeof(out));
}

int device_feature(struct run_device *dev, void *arg)
{
	struct vfio_device_feature feature;

	if (run_copy_in(&feature, arg, sizeof(feature)))
		return -EFAULT;
	if (feature.argsz < sizeof(feature) ||
	    feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | FEATURE_METHODS |
			      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    (feature.flags & FEATURE_METHODS) == FEATURE_METHODS)
		return -EINVAL;
	if ((feature.flags & VFIO_DEVICE_FEATURE_MASK) !=
	    VFIO_DEVICE_FEATURE_MIGRATION)
		return -ENOTTY;
	return feature_migration(dev, feature.flags,
				 feature.argsz - sizeof(feature),
				 (char *)arg + sizeof(feature));
}
