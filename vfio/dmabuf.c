// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's own BAR as memory for DMA, with iommufd.
 *
 * A client may map the BAR that it got the device's fd for: type1 takes such a
 * mapping by its address, iommufd doesn't. There the kernel makes a DMA buffer
 * of a part of a BAR (Linux 6.19), which IOMMU_IOAS_MAP_FILE then maps. The
 * buffer is gone when the device is reset or its memory decoding is turned off:
 * what is mapped of it reaches nothing from then on.
 *
 * Which device an fd is of is seen from the number of its node.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "abi/vfio.h"
#include "internal.h"

/* Syscalls: newfstatat */
bool vfio_device_is_node(const struct vfio_device *dev, int fd)
{
	struct stat theirs, ours;

	return !fstat(fd, &theirs) && !fstat(dev->fd, &ours) &&
	       S_ISCHR(theirs.st_mode) && S_ISCHR(ours.st_mode) &&
	       theirs.st_rdev == ours.st_rdev;
}

/* The BAR that has all of a range of the device's fd, or NULL. */
static const struct vfio_region *find_bar(const struct vfio_device *dev,
					  uint64_t offset, uint64_t size)
{
	const struct vfio_region *r = dev->regions;
	const struct vfio_region *end = r + min(dev->nr_regions,
				(uint32_t)VFIO_PCI_BAR5_REGION_INDEX + 1);

	for (; r < end; r++) {
		if (offset >= r->offset &&
		    range_within(offset - r->offset, size, r->size))
			return r;
	}
	return NULL;
}

/* Syscalls: ioctl(VFIO_DEVICE_FEATURE) */
int vfio_dmabuf_export(struct vfio_device *dev, int fd, uint64_t offset,
		       uint64_t size)
{
	struct {
		struct vfio_device_feature feature;
		struct abi_vfio_device_feature_dma_buf buf;
		struct abi_vfio_region_dma_range range;
	} arg = {
		.feature.argsz = sizeof(arg),
		.feature.flags = VFIO_DEVICE_FEATURE_GET |
				 ABI_VFIO_DEVICE_FEATURE_DMA_BUF,
		.buf.open_flags = O_RDWR | O_CLOEXEC,
		.buf.nr_ranges = 1,
		.range.length = size,
	};
	const struct vfio_region *bar;
	int ret;

	if (!vfio_device_is_node(dev, fd))
		return -ENOENT;
	bar = find_bar(dev, offset, size);
	if (!bar)
		return -ENOENT;
	arg.buf.region_index = bar - dev->regions;
	arg.range.offset = offset - bar->offset;
	ret = ioctl(dev->fd, VFIO_DEVICE_FEATURE, &arg);
	return ret < 0 ? -errno : ret;
}
