// SPDX-License-Identifier: GPL-2.0-only
/*
 * FEATURE: what the bridge passes of it, which is migration and the logging of
 * DMA. Others aren't there, as with a driver that doesn't know them.
 *
 * Where the kernel takes pointers or gives an fd, the data is in the messages:
 * device_migration.c and device_logging.c.
 */
#include <errno.h>
#include <linux/vfio.h>

#include "device.h"

#define FEATURE_METHODS	(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET)

/**
 * struct feature - a feature of a device
 * @methods: VFIO_DEVICE_FEATURE_GET and _SET, as far as it has them
 * @size: least size of its data, in bytes
 * @call: do it; @data is the program's
 */
struct feature {
	uint32_t methods;
	size_t size;
	int (*call)(struct run_device *dev, uint32_t flags, void *data);
};

static const struct feature features[] = {
	[VFIO_DEVICE_FEATURE_MIGRATION] = {
		VFIO_DEVICE_FEATURE_GET,
		sizeof(struct vfio_device_feature_migration),
		device_migration_flags
	},
	[VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE] = {
		FEATURE_METHODS,
		sizeof(struct vfio_device_feature_mig_state),
		device_migration_state
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_START] = {
		VFIO_DEVICE_FEATURE_SET,
		sizeof(struct vfio_device_feature_dma_logging_control),
		device_logging_start
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP] = {
		VFIO_DEVICE_FEATURE_SET, 0, device_logging_stop
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT] = {
		VFIO_DEVICE_FEATURE_GET,
		sizeof(struct vfio_device_feature_dma_logging_report),
		device_logging_report
	},
};

/* Does the device have it? By any method of the feature's. */
static int feature_probe(struct run_device *dev, uint32_t index)
{
	uint32_t method = features[index].methods & VFIO_DEVICE_FEATURE_GET ?:
			  VFIO_DEVICE_FEATURE_SET;
	struct vfio_user_client *client;
	ssize_t ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_feature(client, index | method |
				VFIO_USER_FEATURE_PROBE, NULL, 0, NULL, 0);
	ret = run_device_unlock(dev, ret);
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = -ENOTTY;
	return ret < 0 ? ret : 0;
}

int device_feature(struct run_device *dev, void *arg)
{
	struct vfio_device_feature feature;
	uint32_t index, methods;
	int ret;

	if (run_copy_in(&feature, arg, sizeof(feature)))
		return -EFAULT;
	if (feature.argsz < sizeof(feature) ||
	    feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | FEATURE_METHODS |
			      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	methods = feature.flags & FEATURE_METHODS;
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    methods == FEATURE_METHODS)
		return -EINVAL;

	index = feature.flags & VFIO_DEVICE_FEATURE_MASK;
	if (index >= ARRAY_SIZE(features) || !features[index].call)
		return -ENOTTY;
	ret = feature_probe(dev, index);
	if (ret)
		return ret;
	if (methods & ~features[index].methods)
		return -EINVAL;
	if (feature.flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!methods || feature.argsz - sizeof(feature) < features[index].size)
		return -EINVAL;
	return features[index].call(dev, feature.flags,
				    (char *)arg + sizeof(feature));
}
