// SPDX-License-Identifier: GPL-2.0-only
/*
 * The logging of what a device writes to memory. The kernel takes ranges and
 * bitmaps by pointer; on the socket they are in the messages.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* As many ranges as the kernel takes, LOG_MAX_RANGES */
#define LOGGING_MAX_RANGES	256
#define LOGGING_MIN_PAGE	4096
/* Bytes of a bitmap that one message carries */
#define LOGGING_MAX_BITMAP	(512u << 10)

static int logging_call(struct run_device *dev, uint32_t flags, const void *in,
			size_t in_len, void *out, size_t out_len)
{
	struct vfio_user_client *client;
	ssize_t ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_feature(client, flags, in, in_len, out, out_len);
	ret = run_device_unlock(dev, ret);
	return ret < 0 ? ret : 0;
}

/* What the ranges must be like is said by the kernel, behind the bridge. */
int device_logging_start(struct run_device *dev, uint32_t flags, void *data)
{
	struct vfio_device_feature_dma_logging_control control;
	struct vfio_user_feature_logging_start *start;
	size_t ranges, size;
	int ret = -EFAULT;

	if (run_copy_in(&control, data, sizeof(control)))
		return -EFAULT;
	if (!control.num_ranges)
		return -EINVAL;
	if (control.num_ranges > LOGGING_MAX_RANGES)
		return -E2BIG;
	ranges = control.num_ranges * sizeof(start->ranges[0]);
	size = sizeof(*start) + ranges;
	start = calloc(1, size);
	if (!start)
		return -ENOMEM;
	start->page_size = control.page_size;
	start->num_ranges = control.num_ranges;
	if (run_copy_in(start->ranges, (void *)(uintptr_t)control.ranges,
			ranges))
		goto free;
	ret = logging_call(dev, flags, start, size, start, size);
	control.page_size = start->page_size;
	if (!ret)
		ret = run_copy_out(data, &control, sizeof(control));
free:
	free(start);
	return ret;
}

int device_logging_stop(struct run_device *dev, uint32_t flags, void *data)
{
	return logging_call(dev, flags, NULL, 0, NULL, 0);
}

/* What is set in the program's bitmap stays set. */
static int logging_merge(const struct vfio_user_feature_logging_report *wire,
			 size_t len, void *user)
{
	uint8_t *old = malloc(len);
	int ret = -EFAULT;
	size_t i;

	if (!old)
		return -ENOMEM;
	if (!run_copy_in(old, user, len)) {
		for (i = 0; i < len; i++)
			old[i] |= wire->bitmap[i];
		ret = run_copy_out(user, old, len);
	}
	free(old);
	return ret;
}

int device_logging_report(struct run_device *dev, uint32_t flags, void *data)
{
	struct vfio_device_feature_dma_logging_report report;
	struct vfio_user_feature_logging_report *wire;
	uint64_t end, len;
	int ret;

	if (run_copy_in(&report, data, sizeof(report)))
		return -EFAULT;
	if (report.page_size < LOGGING_MIN_PAGE || !report.length ||
	    report.page_size & (report.page_size - 1))
		return -EINVAL;
	if (add_overflows(report.iova, report.length, &end))
		return -EOVERFLOW;
	len = ((report.length - 1) / report.page_size / 64 + 1) * 8;
	if (len > LOGGING_MAX_BITMAP)
		return -E2BIG;
	wire = calloc(1, sizeof(*wire) + len);
	if (!wire)
		return -ENOMEM;
	wire->iova = report.iova;
	wire->length = report.length;
	wire->page_size = report.page_size;
	ret = logging_call(dev, flags, wire, sizeof(*wire), wire,
			   sizeof(*wire) + len);
	if (!ret)
		ret = logging_merge(wire, len,
				    (void *)(uintptr_t)report.bitmap);
	free(wire);
	return ret;
}
