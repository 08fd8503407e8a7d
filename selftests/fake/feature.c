// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE: what comes before a feature's own checks, in the order
 * in which the kernel does it.
 */
#include <linux/vfio.h>

#include "internal.h"

#define METHODS			(VFIO_DEVICE_FEATURE_GET | \
				 VFIO_DEVICE_FEATURE_SET)

int feature_check(uint32_t flags, size_t len, uint32_t methods, size_t need)
{
	if (flags & METHODS & ~methods)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	return flags & METHODS && len >= need ? 1 : -EINVAL;
}

static long feature_low_power(uint32_t flags, size_t len, bool sleep)
{
	struct fake_control *control = fake_control();
	int ret;

	if (!control->config.low_power)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_SET, 0);
	if (ret != 1)
		return ret;
	if (sleep && control->asleep)
		return -EINVAL;
	control->asleep = sleep;
	control->sleeps += sleep;
	return 0;
}

long feature_call(int fd, void *arg)
{
	struct vfio_device_feature *feature = arg;
	uint32_t flags = feature->flags;
	size_t len;

	if (feature->argsz < sizeof(*feature) ||
	    flags & ~(VFIO_DEVICE_FEATURE_MASK | METHODS |
		      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	if (!(flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    (flags & METHODS) == METHODS)
		return -EINVAL;
	len = feature->argsz - sizeof(*feature);

	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
		return migration_info(flags, feature->data, len);
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		return migration_state(fd, flags, feature->data, len);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return feature_low_power(flags, len, true);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return feature_low_power(flags, len, false);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return logging_start(flags, feature->data, len);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		return logging_stop(flags, len);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return logging_report(flags, feature->data, len);
	default:
		return -ENOTTY;
	}
}
