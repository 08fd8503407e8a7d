// SPDX-License-Identifier: GPL-2.0-only
/*
 * Group and container: the older way into the kernel's VFIO.
 *
 * A container has one group, and all devices of that group which are open come
 * out of it (container.c). The group can be opened once at a time, and stays open
 * in the kernel as long as anybody holds a device fd that came from it, so EBUSY
 * on opening it is how an old client that kept its BAR mapped shows itself.
 *
 * Memory that is mapped is a file's; of what isn't a file, only the BARs of the
 * device itself.
 *
 * type1v2: an unmap must name exactly what was mapped and never splits a map.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/fcntl.h"
#include "internal.h"

/* No kernel answers VFIO_IOMMU_GET_INFO with more than this, in bytes. */
#define TYPE1_MAX_INFO		65536

/* Syscalls: ioctl(VFIO_GROUP_GET_STATUS) */
static int type1_check_group(struct vfio_container *c, struct vfio_why *why)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char spoiler[256];

	if (ioctl(c->group_fd, VFIO_GROUP_GET_STATUS, &status))
		return -errno;
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;

	if (vfio_group_spoiler(c->group, spoiler, sizeof(spoiler)))
		vfio_why_set(why, "IOMMU group %d is not viable because of %s: bind that device to vfio-pci too, or to no driver",
			     c->group, spoiler);
	else
		vfio_why_set(why, "IOMMU group %d is not viable: bind every device in /sys/kernel/iommu_groups/%d/devices to vfio-pci or to no driver",
			     c->group, c->group);
	return -EPERM;
}

static int type1_open_group(struct vfio_container *c, struct vfio_why *why)
{
	char path[64];

	if (c->group < 0) {
		vfio_why_set(why, "no IOMMU protects this device: turn the IOMMU on in the firmware and, on Intel, boot with intel_iommu=on");
		return -EPERM;
	}
	snprintf(path, sizeof(path), "/dev/vfio/%s%d",
		 c->noiommu ? "noiommu-" : "", c->group);
	c->group_fd = vfio_open_node(path, why);
	return c->group_fd < 0 ? c->group_fd : 0;
}

/*
 * Syscalls: ioctl(VFIO_CHECK_EXTENSION) ioctl(VFIO_GROUP_SET_CONTAINER)
 * Syscalls: ioctl(VFIO_SET_IOMMU)
 */
static int type1_attach(struct vfio_container *c, struct vfio_why *why)
{
	int type = c->noiommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;

	if (ioctl(c->fd, VFIO_CHECK_EXTENSION, type) <= 0) {
		vfio_why_set(why, "the kernel has no type1v2 IOMMU driver: modprobe vfio_iommu_type1");
		return -EOPNOTSUPP;
	}
	if (ioctl(c->group_fd, VFIO_GROUP_SET_CONTAINER, &c->fd)) {
		vfio_why_set(why, "IOMMU group %d cannot be put into a container: %s",
			     c->group, strerrordesc_np(errno));
		return -errno;
	}
	if (ioctl(c->fd, VFIO_SET_IOMMU, type)) {
		const char *hint = "";
		int err = -errno;

		if (err == -EPERM)
			hint = " (no interrupt remapping? see modinfo vfio_iommu_type1)";
		vfio_why_set(why, "the IOMMU of group %d cannot be set up: %s%s",
			     c->group, strerrordesc_np(-err), hint);
		return err;
	}
	return 0;
}

/* Syscalls: ioctl(VFIO_GROUP_GET_DEVICE_FD) */
static int type1_open_device(struct vfio_device *dev, struct vfio_why *why)
{
	int fd = ioctl(dev->container->group_fd, VFIO_GROUP_GET_DEVICE_FD,
		       dev->name);
	int err;

	if (fd >= 0) {
		dev->fd = fd;
		return 0;
	}
	err = -errno;
	vfio_why_set(why, "the kernel gives no device fd from group %d: %s%s",
		     dev->group, strerrordesc_np(-err), err == -ENODEV ?
		     "; bind it to vfio-pci" : "");
	return err;
}

static void type1_close(struct vfio_container *c)
{
	close_fd(&c->group_fd);
	close_fd(&c->fd);
}

/* Syscalls: ioctl(VFIO_GET_API_VERSION) */
static int type1_open(struct vfio_device *dev, struct vfio_why *why)
{
	struct vfio_container *c = dev->container;
	int ret;

	c->fd = vfio_open_node("/dev/vfio/vfio", why);
	if (c->fd < 0)
		return c->fd;

	ret = -EOPNOTSUPP;
	if (ioctl(c->fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
		vfio_why_set(why, "/dev/vfio/vfio speaks an unknown version of VFIO's interface");
		goto close;
	}
	ret = type1_open_group(c, why);
	if (ret)
		goto close;
	ret = type1_check_group(c, why);
	if (ret)
		goto close;
	ret = type1_attach(c, why);
	if (ret)
		goto close;
	c->keep_windows = c->emulated;
	return 0;

close:
	type1_close(c);
	return ret;
}

static void type1_ranges(const struct vfio_info_cap_header *header,
			 size_t room, struct vfio_iommu_info *info)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap =
		(const void *)header;
	unsigned int i;

	if (room < sizeof(*cap) || cap->nr_iovas >
	    (room - sizeof(*cap)) / sizeof(cap->iova_ranges[0]))
		return;
	for (i = 0; i < cap->nr_iovas && i < VFIO_MAX_IOVA_RANGES; i++) {
		info->ranges[i].first = cap->iova_ranges[i].start;
		info->ranges[i].last = cap->iova_ranges[i].end;
	}
	info->nr_ranges = i;
}

static void type1_capabilities(const struct vfio_iommu_type1_info *raw,
			       struct vfio_iommu_info *info)
{
	uint32_t offset = raw->cap_offset;

	while (offset >= sizeof(*raw) && offset < raw->argsz &&
	       raw->argsz - offset >= sizeof(struct vfio_info_cap_header)) {
		const struct vfio_info_cap_header *header =
			(const void *)((const char *)raw + offset);
		size_t room = raw->argsz - offset;

		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			type1_ranges(header, room, info);
		if (header->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
		    room >= sizeof(struct vfio_iommu_type1_info_dma_avail)) {
			const struct vfio_iommu_type1_info_dma_avail *avail =
				(const void *)header;

			info->max_maps = min(info->max_maps, avail->avail);
		}
		if (header->next <= offset)
			break;
		offset = header->next;
	}
}

/* Syscalls: ioctl(VFIO_IOMMU_GET_INFO) */
static int type1_info(struct vfio_device *dev, struct vfio_iommu_info *info)
{
	const struct vfio_container *c = dev->container;
	struct vfio_iommu_type1_info *raw;
	int ret = 0;

	memset(info, 0, sizeof(*info));
	info->max_maps = c->keep_windows ? c->max_windows : VFIO_MAX_DMA_MAPS;
	info->pgsizes = sysconf(_SC_PAGESIZE);
	if (dev->noiommu)
		return 0;

	raw = calloc(1, TYPE1_MAX_INFO);
	if (!raw)
		return -ENOMEM;
	raw->argsz = TYPE1_MAX_INFO;
	if (ioctl(c->fd, VFIO_IOMMU_GET_INFO, raw)) {
		ret = -errno;
		goto free;
	}
	if (raw->flags & VFIO_IOMMU_INFO_PGSIZES)
		info->pgsizes = raw->iova_pgsizes;
	if (raw->flags & VFIO_IOMMU_INFO_CAPS && raw->argsz <= TYPE1_MAX_INFO)
		type1_capabilities(raw, info);
free:
	free(raw);
	return ret;
}

/* Syscalls: ioctl(VFIO_IOMMU_UNMAP_DMA) */
static int type1_unmap(struct vfio_device *dev, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (ioctl(dev->container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -errno;
	vfio_window_close(dev->container, iova);
	return unmap.size == size ? 0 : -EIO;
}

/*
 * Are both the same open file? Older kernels than 6.10 have only kcmp(2) to ask.
 *
 * Syscalls: fcntl(ABI_F_DUPFD_QUERY) kcmp
 */
static bool type1_is_same_file(int a, int b)
{
	int ret = fcntl(a, ABI_F_DUPFD_QUERY, b);

	if (ret < 0 && errno == EINVAL)
		ret = !syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
	return ret == 1;
}

/*
 * The kernel pins whatever a mapping shows, registers of a device included, and
 * these stay mapped when that device is closed and somebody else's. Only the
 * device's own are sure to be unmapped before: by the end of its session.
 *
 * Syscalls: newfstatat
 */
static int type1_check_file(const struct vfio_device *dev, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return S_ISREG(st.st_mode) || type1_is_same_file(fd, dev->fd) ?
		0 : -EACCES;
}

/* Syscalls: ioctl(VFIO_IOMMU_MAP_DMA) */
static int type1_map(struct vfio_device *dev, uint64_t iova, uint64_t size,
		     int fd, uint64_t offset, bool readable, bool writeable)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (readable ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (writeable ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.iova = iova,
		.size = size,
	};
	void *address;
	int ret;

	/* Nothing translates here: an address of the client means nothing. */
	if (dev->noiommu)
		return -EOPNOTSUPP;
	ret = type1_check_file(dev, fd);
	if (ret)
		return ret;

	ret = vfio_window_open(dev->container, iova, size, fd, offset,
			       readable, writeable, &address);
	if (ret)
		return ret;
	map.vaddr = (uintptr_t)address;
	if (ioctl(dev->container->fd, VFIO_IOMMU_MAP_DMA, &map)) {
		ret = -errno;
		vfio_window_close(dev->container, iova);
		return ret;
	}
	vfio_window_settle(dev->container, iova);
	return 0;
}

const struct vfio_iommu_ops vfio_type1_ops = {
	.name = "type1",
	.open = type1_open,
	.close = type1_close,
	.open_device = type1_open_device,
	.info = type1_info,
	.map = type1_map,
	.unmap = type1_unmap,
};
