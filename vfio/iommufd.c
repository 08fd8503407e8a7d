// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd and the device's own character device: the newer way in.
 *
 * A group has an iommufd of its own, with one address space (container.c). That
 * is a matter of security, not of taste: whoever holds a bound device fd, and
 * with --mmap=on the client does, can attach the device to any address space of
 * the same iommufd. There must never be another one in it. And whoever holds it
 * can detach the device and attach it again, at which the kernel pins all memory
 * once more: what was mapped by its address must still be what is there
 * (window.c).
 *
 * Memory is mapped from its file where the kernel can (IOMMU_IOAS_MAP_FILE,
 * Linux 6.13, shared memory and huge pages only), else through a window.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "internal.h"

/*
 * EPERM is what iommufd_device_bind() says where interrupts aren't isolated, and
 * what iommu_device_claim_dma_owner() says of a group that has another owner.
 * Who holds the device itself was EINVAL or EBUSY, so the owner has another
 * device of the group, if there is one.
 */
static int iommufd_bind_denied(struct vfio_device *dev, struct vfio_why *why)
{
	if (vfio_group_is_alone(dev->group)) {
		vfio_why_set(why, "/dev/vfio/devices/%s cannot be bound: nothing isolates its interrupts from those of others: turn interrupt remapping on, or see allow_unsafe_interrupts in modinfo iommufd",
			     dev->cdev);
		return -EPERM;
	}
	vfio_why_set(why, "/dev/vfio/devices/%s cannot be bound: another process has a device of its group, or nothing isolates its interrupts (see allow_unsafe_interrupts in modinfo iommufd)",
		     dev->cdev);
	return -EBUSY;
}

/* Syscalls: ioctl(ABI_VFIO_DEVICE_BIND_IOMMUFD) */
static int iommufd_bind(struct vfio_device *dev, struct vfio_why *why)
{
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ,
		.iommufd = dev->container->fd,
	};
	char spoiler[256];
	int err;

	if (!ioctl(dev->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return 0;
	err = -errno;

	if ((err == -EBUSY || err == -EPERM) &&
	    vfio_group_spoiler(dev->group, spoiler, sizeof(spoiler))) {
		vfio_why_set(why, "IOMMU group %d is not viable because of %s: bind that device to vfio-pci too, or to no driver",
			     dev->group, spoiler);
		return -EPERM;
	}
	/* A cdev that is bound already answers EINVAL (vfio_df_open()). */
	if (err == -EINVAL || err == -EBUSY) {
		vfio_why_set(why, "/dev/vfio/devices/%s is busy: another process has the device, or another device of its group, open",
			     dev->cdev);
		return -EBUSY;
	}
	if (err == -EPERM)
		return iommufd_bind_denied(dev, why);
	vfio_why_set(why, "/dev/vfio/devices/%s cannot be bound to an iommufd: %s",
		     dev->cdev, strerrordesc_np(-err));
	return err;
}

/* Syscalls: ioctl(ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT) */
static int iommufd_attach(struct vfio_device *dev, struct vfio_why *why)
{
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ,
		.pt_id = dev->container->ioas,
	};
	int err;

	if (!ioctl(dev->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return 0;
	err = -errno;
	vfio_why_set(why, "the device cannot be attached to its I/O address space: %s",
		     strerrordesc_np(-err));
	return err;
}

static int iommufd_open_device(struct vfio_device *dev, struct vfio_why *why)
{
	char path[96];
	int ret;

	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", dev->cdev);
	ret = vfio_open_node(path, why);
	if (ret < 0)
		return ret;
	dev->fd = ret;

	ret = iommufd_bind(dev, why);
	if (ret)
		goto close;
	ret = iommufd_attach(dev, why);
	if (ret)
		goto close;
	return 0;

close:
	close_fd(&dev->fd);
	return ret;
}

static void iommufd_close(struct vfio_container *c)
{
	close_fd(&c->fd);
}

/* Syscalls: ioctl(ABI_IOMMU_IOAS_ALLOC) */
static int iommufd_open(struct vfio_device *dev, struct vfio_why *why)
{
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_container *c = dev->container;
	int err;

	if (dev->noiommu) {
		vfio_why_set(why, "a device without an IOMMU can only be opened with --iommu=type1");
		return -EPERM;
	}
	if (!dev->cdev[0]) {
		vfio_why_set(why, "the device has no node in /dev/vfio/devices: bind it to vfio-pci, on a kernel with CONFIG_VFIO_DEVICE_CDEV, or use --iommu=type1");
		return -ENODEV;
	}
	c->fd = vfio_open_node("/dev/iommu", why);
	if (c->fd < 0)
		return c->fd;
	if (ioctl(c->fd, ABI_IOMMU_IOAS_ALLOC, &alloc)) {
		err = -errno;
		vfio_why_set(why, "no I/O address space can be allocated: %s",
			     strerrordesc_np(-err));
		iommufd_close(c);
		return err;
	}
	c->ioas = alloc.out_ioas_id;
	c->map_file = true;
	c->keep_windows = true;
	return 0;
}

/* Syscalls: ioctl(ABI_IOMMU_IOAS_IOVA_RANGES) */
static int iommufd_info(struct vfio_device *dev, struct vfio_iommu_info *info)
{
	struct abi_iommu_iova_range ranges[VFIO_MAX_IOVA_RANGES];
	struct abi_iommu_ioas_iova_ranges query = {
		.size = sizeof(query),
		.ioas_id = dev->container->ioas,
		.num_iovas = ARRAY_SIZE(ranges),
		.allowed_iovas = (uintptr_t)ranges,
	};
	unsigned int i;

	memset(info, 0, sizeof(*info));
	info->max_maps = dev->container->max_windows;
	/* EMSGSIZE: there are more ranges; those that fit have been told. */
	if (ioctl(dev->container->fd, ABI_IOMMU_IOAS_IOVA_RANGES, &query) &&
	    errno != EMSGSIZE)
		return -errno;

	/* The kernel tells the least size and no other. */
	info->pgsizes = max(query.out_iova_alignment,
			    (uint64_t)sysconf(_SC_PAGESIZE));
	info->nr_ranges = min(query.num_iovas, (uint32_t)VFIO_MAX_IOVA_RANGES);
	for (i = 0; i < info->nr_ranges; i++) {
		info->ranges[i].first = ranges[i].start;
		info->ranges[i].last = ranges[i].last;
	}
	return 0;
}

/* Syscalls: ioctl(ABI_IOMMU_IOAS_UNMAP) */
static int iommufd_unmap(struct vfio_device *dev, uint64_t iova, uint64_t size)
{
	struct abi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = dev->container->ioas,
		.iova = iova,
		.length = size,
	};

	if (ioctl(dev->container->fd, ABI_IOMMU_IOAS_UNMAP, &unmap))
		return -errno;
	vfio_window_close(dev->container, iova);
	return unmap.length == size ? 0 : -EIO;
}

static uint32_t iommufd_map_flags(bool readable, bool writeable)
{
	return ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
	       (readable ? ABI_IOMMU_IOAS_MAP_READABLE : 0) |
	       (writeable ? ABI_IOMMU_IOAS_MAP_WRITEABLE : 0);
}

/* Syscalls: ioctl(ABI_IOMMU_IOAS_MAP) */
static int iommufd_map_window(struct vfio_device *dev, uint64_t iova,
			      uint64_t size, int fd, uint64_t offset,
			      bool readable, bool writeable)
{
	struct abi_iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = iommufd_map_flags(readable, writeable),
		.ioas_id = dev->container->ioas,
		.length = size,
		.iova = iova,
	};
	void *address;
	int ret;

	ret = vfio_window_open(dev->container, iova, size, fd, offset,
			       readable, writeable, &address);
	if (ret)
		return ret;
	map.user_va = (uintptr_t)address;
	if (ioctl(dev->container->fd, ABI_IOMMU_IOAS_MAP, &map)) {
		ret = -errno;
		vfio_window_close(dev->container, iova);
		return ret;
	}
	vfio_window_settle(dev->container, iova);
	return 0;
}

/*
 * What mmap(2) would refuse, IOMMU_IOAS_MAP_FILE doesn't ask about: how the file
 * was opened, its seals, its length. Memory that the client can only read must
 * not become writeable by its device.
 *
 * Syscalls: fcntl(F_GETFL) fcntl(F_GET_SEALS) newfstatat
 */
static int iommufd_check_file(int fd, uint64_t offset, uint64_t size,
			      bool writeable)
{
	int mode = fcntl(fd, F_GETFL);
	struct stat st;
	int seals;

	if (mode < 0 || fstat(fd, &st))
		return -errno;
	if (mode & O_PATH)
		return -EBADF;
	mode &= O_ACCMODE;
	if (mode == O_WRONLY || (writeable && mode != O_RDWR))
		return -EACCES;

	seals = fcntl(fd, F_GET_SEALS);
	if (writeable && seals > 0 &&
	    seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if (S_ISREG(st.st_mode) && !range_within(offset, size, st.st_size))
		return -EFAULT;
	return 0;
}

/* Syscalls: ioctl(ABI_IOMMU_IOAS_MAP_FILE) */
static int iommufd_map_file(struct vfio_device *dev, uint64_t iova,
			    uint64_t size, int fd, uint64_t offset,
			    bool readable, bool writeable)
{
	struct abi_iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = iommufd_map_flags(readable, writeable),
		.ioas_id = dev->container->ioas,
		.fd = fd,
		.start = offset,
		.length = size,
		.iova = iova,
	};

	return ioctl(dev->container->fd, ABI_IOMMU_IOAS_MAP_FILE, &map) ?
	       -errno : 0;
}

/*
 * -EINVAL: it is no part of the device's own BARs that the kernel can map.
 *
 * Syscalls: close
 */
static int iommufd_map_bar(struct vfio_device *dev, uint64_t iova,
			   uint64_t size, int fd, uint64_t offset,
			   bool readable, bool writeable)
{
	int buf = vfio_dmabuf_export(dev, fd, offset, size);
	int ret;

	if (buf < 0)
		return -EINVAL;
	ret = iommufd_map_file(dev, iova, size, buf, 0, readable, writeable);
	close(buf);
	return ret;
}

static int iommufd_map(struct vfio_device *dev, uint64_t iova, uint64_t size,
		       int fd, uint64_t offset, bool readable, bool writeable)
{
	int ret;

	if (dev->container->map_file) {
		ret = iommufd_check_file(fd, offset, size, writeable);
		if (ret)
			return ret;
		ret = iommufd_map_file(dev, iova, size, fd, offset, readable,
				       writeable);
		if (ret == -EINVAL)
			ret = iommufd_map_bar(dev, iova, size, fd, offset,
					      readable, writeable);
		if (ret == -ENOTTY)
			dev->container->map_file = false;
		else if (ret != -EINVAL && ret != -EOPNOTSUPP)
			return ret;
	}
	/* Not a file that the kernel maps as one, or an older kernel. */
	return iommufd_map_window(dev, iova, size, fd, offset, readable,
				  writeable);
}

const struct vfio_iommu_ops vfio_iommufd_ops = {
	.name = "iommufd",
	.open = iommufd_open,
	.close = iommufd_close,
	.open_device = iommufd_open_device,
	.info = iommufd_info,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
};
