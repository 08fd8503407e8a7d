// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way to a device through the kernel's VFIO, with nothing in between.
 *
 * It stands on vfio/, as the daemon does, and makes no system call of its own
 * but the mmap of a BAR: what a driver measures here is what the daemon's
 * client could reach at best. Being an ordinary VFIO program, it also runs
 * where /dev/vfio is answered by something else than the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "access.h"

struct access_vfio {
	struct access access;
	struct vfio_device dev;
};

static struct vfio_device *dev_of(struct access *a)
{
	return &container_of(a, struct access_vfio, access)->dev;
}

static void direct_close(struct access *a)
{
	struct access_vfio *v = container_of(a, struct access_vfio, access);

	vfio_device_quiesce(&v->dev);
	vfio_device_close(&v->dev);
	free(v);
}

static int direct_region(struct access *a, uint32_t index,
			 struct access_region *region)
{
	struct vfio_device *dev = dev_of(a);

	if (index >= dev->nr_regions)
		return -EINVAL;
	region->flags = dev->regions[index].flags;
	region->size = dev->regions[index].size;
	return 0;
}

static int check_range(struct vfio_device *dev, uint32_t index, uint64_t offset,
		       size_t count)
{
	if (index >= dev->nr_regions ||
	    !range_within(offset, count, dev->regions[index].size))
		return -EINVAL;
	return 0;
}

static ssize_t direct_read(struct access *a, uint32_t index, uint64_t offset,
			   void *buf, size_t count)
{
	int ret = check_range(dev_of(a), index, offset, count);

	if (ret)
		return ret;
	return vfio_region_read(dev_of(a), index, offset, buf, count);
}

static ssize_t direct_write(struct access *a, uint32_t index, uint64_t offset,
			    const void *buf, size_t count)
{
	int ret = check_range(dev_of(a), index, offset, count);

	if (ret)
		return ret;
	return vfio_region_write(dev_of(a), index, offset, buf, count);
}

static void *direct_map(struct access *a, uint32_t index, uint64_t offset,
			size_t size)
{
	struct vfio_device *dev = dev_of(a);
	struct vfio_region *region;
	void *mem;

	if (check_range(dev, index, offset, size))
		return NULL;
	region = &dev->regions[index];
	if (!(region->flags & VFIO_REGION_INFO_FLAG_MMAP) ||
	    !access_area_mappable(region->caps, region->caps_len,
				  region->caps_offset, offset, size))
		return NULL;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd,
		   region->offset + offset);
	return mem == MAP_FAILED ? NULL : mem;
}

static int direct_irq(struct access *a, uint32_t index, uint32_t *flags,
		      uint32_t *count)
{
	struct vfio_device *dev = dev_of(a);

	if (index >= dev->nr_irqs)
		return -EINVAL;
	*flags = dev->irqs[index].flags;
	*count = dev->irqs[index].count;
	return 0;
}

static int direct_irq_set(struct access *a, uint32_t flags, uint32_t index,
			  uint32_t start, uint32_t count, const void *data)
{
	struct vfio_device *dev = dev_of(a);

	if (index >= dev->nr_irqs ||
	    !range_within(start, count, dev->irqs[index].count))
		return -EINVAL;
	return vfio_irq_set(dev, flags, index, start, count, data);
}

static int direct_dma_map(struct access *a, uint64_t iova, uint64_t size,
			  int fd, uint64_t offset, uint32_t flags)
{
	struct vfio_device *dev = dev_of(a);

	return dev->ops->map(dev, iova, size, fd, offset,
			     flags & VFIO_DMA_MAP_FLAG_READ,
			     flags & VFIO_DMA_MAP_FLAG_WRITE);
}

static int direct_dma_unmap(struct access *a, uint64_t iova, uint64_t size)
{
	struct vfio_device *dev = dev_of(a);

	return dev->ops->unmap(dev, iova, size);
}

static int direct_reset(struct access *a)
{
	return vfio_device_reset(dev_of(a));
}

static uint64_t direct_messages(struct access *a)
{
	return 0;
}

static const struct access_ops direct_ops = {
	.name = "vfio",
	.close = direct_close,
	.region = direct_region,
	.read = direct_read,
	.write = direct_write,
	.map = direct_map,
	.irq = direct_irq,
	.irq_set = direct_irq_set,
	.dma_map = direct_dma_map,
	.dma_unmap = direct_dma_unmap,
	.reset = direct_reset,
	.messages = direct_messages,
};

int access_vfio_open(const char *bdf, enum vfio_iommu_kind kind,
		     struct vfio_why *why, struct access **out)
{
	struct access_vfio *v = calloc(1, sizeof(*v));
	char sysfs[sizeof(v->dev.sysfs)];
	int ret;

	if (!v)
		return -ENOMEM;
	snprintf(sysfs, sizeof(sysfs), "/sys/bus/pci/devices/%s", bdf);
	ret = vfio_device_open(&v->dev, bdf, sysfs, kind, false, why);
	if (ret) {
		free(v);
		return ret;
	}
	v->access.ops = &direct_ops;
	*out = &v->access;
	return 0;
}
