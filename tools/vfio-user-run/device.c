// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's fd: from its group, or from its own node.
 *
 * Reads, writes and ioctls are one message each, or a few. A region that can be
 * mapped is mapped from the fd that the bridge sends with its description; from
 * then on the program reaches the device without us.
 *
 * Several files of a group's device are one device, as in the kernel, which
 * resets the device when the last of them goes. We keep it from doing anything
 * then; it is reset, by connecting anew, when it is opened again.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/vfio.h"
#include "device.h"

/* Most bytes of one access that are copied at a time */
#define DEVICE_CHUNK	65536

static int device_call(struct device_file *df, unsigned long request, void *arg)
{
	struct run_device *dev = df->dev;

	switch (request) {
	case VFIO_DEVICE_FEATURE:
		return device_feature(dev, arg);
	case VFIO_DEVICE_GET_INFO:
		return device_get_info(dev, arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return device_get_region_info(dev, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return device_get_irq_info(dev, arg);
	case VFIO_DEVICE_SET_IRQS:
		return device_set_irqs(dev, arg);
	case VFIO_DEVICE_RESET:
		return device_reset(dev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return device_hot_reset_info(arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return device_hot_reset(df, arg);
	case VFIO_DEVICE_IOEVENTFD:
		return device_ioeventfd(arg);
	default:
		return -ENOTTY;
	}
}

static int device_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	struct device_file *df = to_device_file(file);

	if (request == ABI_VFIO_DEVICE_BIND_IOMMUFD)
		return device_bind(df, arg);
	if (!atomic_load(&df->granted))
		return -EINVAL;
	if (!df->group && request == ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT)
		return device_attach(df, arg);
	if (!df->group && request == ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT)
		return device_detach(df, arg);
	return device_call(df, request, arg);
}

static ssize_t device_read(struct run_device *dev, uint32_t index, uint64_t pos,
			   void *buf, size_t count)
{
	struct vfio_user_client *client;
	ssize_t ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_region_read(client, index, pos, buf, count);
	return run_device_unlock(dev, ret);
}

static ssize_t device_write(struct run_device *dev, uint32_t index,
			    uint64_t pos, const void *buf, size_t count)
{
	struct vfio_user_client *client;
	ssize_t ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_region_write(client, index, pos, buf, count);
	return run_device_unlock(dev, ret);
}

/*
 * Of a region that ends before the access does the kernel takes what there is.
 * Of configuration space it says EFAULT. The bridge refuses both alike.
 *
 * Return: bytes to try again with, or a negative errno.
 */
static ssize_t device_clip(struct run_device *dev, uint32_t index, uint64_t pos,
			   size_t count)
{
	struct vfio_user_region_info info;

	if (device_region(dev, index, &info, NULL) ||
	    range_within(pos, count, info.size))
		return -EINVAL;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return -EFAULT;
	return pos < info.size ? (ssize_t)(info.size - pos) : -EINVAL;
}

static ssize_t device_move(struct run_device *dev, off_t offset, void *buf,
			   size_t count, bool is_write)
{
	uint32_t index = (uint64_t)offset >> DEVICE_REGION_SHIFT;
	uint64_t pos = offset & DEVICE_REGION_MASK;
	ssize_t n;

	n = is_write ? device_write(dev, index, pos, buf, count) :
		       device_read(dev, index, pos, buf, count);
	if (n != -EINVAL)
		return n;
	n = device_clip(dev, index, pos, count);
	if (n < 0)
		return n;
	return is_write ? device_write(dev, index, pos, buf, n) :
			  device_read(dev, index, pos, buf, n);
}

/* Of one chunk, through @bounce, because @user may be a bad pointer. */
static ssize_t device_copy(struct run_device *dev, off_t offset, void *user,
			   size_t count, bool is_write, void *bounce)
{
	ssize_t n;

	if (is_write && run_copy_in(bounce, user, count))
		return -EFAULT;
	n = device_move(dev, offset, bounce, count, is_write);
	if (n > 0 && !is_write && run_copy_out(user, bounce, n))
		return -EFAULT;
	return n;
}

static ssize_t device_access(struct run_file *file, void *buf, size_t count,
			     off_t offset, bool is_write)
{
	struct device_file *df = to_device_file(file);
	size_t done = 0;
	void *bounce;
	ssize_t n;

	if (!atomic_load(&df->granted) || offset < 0)
		return -EINVAL;
	if (!count)
		return 0;
	bounce = malloc(min(count, (size_t)DEVICE_CHUNK));
	if (!bounce)
		return -ENOMEM;
	do {
		n = device_copy(df->dev, offset + done, (char *)buf + done,
				min(count - done, (size_t)DEVICE_CHUNK),
				is_write, bounce);
		done += n > 0 ? n : 0;
	} while (n > 0 && done < count);
	free(bounce);
	return done ? done : n;
}

static ssize_t device_pread(struct run_file *file, void *buf, size_t count,
			    off_t offset)
{
	return device_access(file, buf, count, offset, false);
}

static ssize_t device_pwrite(struct run_file *file, const void *buf,
			     size_t count, off_t offset)
{
	return device_access(file, (void *)buf, count, offset, true);
}

static bool device_can_map(const struct vfio_user_region_info *info,
			   uint64_t pos, size_t len, int flags)
{
	const uint64_t page = sysconf(_SC_PAGESIZE);

	/* MAP_SHARED_VALIDATE has both bits. */
	return flags & MAP_SHARED &&
	       range_within(pos, len, (info->size + page - 1) & ~(page - 1));
}

/*
 * All else that can be wrong with the arguments is left to the kernel, which
 * knows the same device by the bridge's fd.
 */
static void *device_mmap(struct run_file *file, void *addr, size_t len,
			 int prot, int flags, off_t offset)
{
	struct device_file *df = to_device_file(file);
	struct vfio_user_region_info info;
	uint64_t pos = offset & DEVICE_REGION_MASK;
	void *map;
	int fd, ret;

	if (!atomic_load(&df->granted))
		return (void *)(intptr_t)-EINVAL;
	ret = device_region(df->dev, (uint64_t)offset >> DEVICE_REGION_SHIFT,
			    &info, &fd);
	if (ret)
		return (void *)(intptr_t)ret;
	if (fd < 0)
		return (void *)(intptr_t)-EINVAL;
	if (!device_can_map(&info, pos, len, flags)) {
		close(fd);
		return (void *)(intptr_t)-EINVAL;
	}
	map = run_real()->mmap(addr, len, prot, flags, fd, info.offset + pos);
	if (map == MAP_FAILED)
		map = (void *)(intptr_t)-errno;
	else
		run_memory_mapped(map, len, fd, info.offset + pos);
	close(fd);
	return map;
}

/* No interrupts and no DMA of its own any more */
static void device_quiesce(struct run_device *dev)
{
	struct vfio_user_client *client;
	uint16_t command;
	uint32_t i;

	if (run_device_lock(dev, &client))
		return;
	for (i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		vfio_user_irq_set(client, VFIO_USER_IRQ_SET_DATA_NONE |
				  VFIO_USER_IRQ_SET_ACTION_TRIGGER, i, 0, 0,
				  NULL);
	if (vfio_user_region_read(client, VFIO_PCI_CONFIG_REGION_INDEX,
				  PCI_COMMAND, &command, sizeof(command)) ==
	    sizeof(command)) {
		command &= ~PCI_COMMAND_MASTER;
		vfio_user_region_write(client, VFIO_PCI_CONFIG_REGION_INDEX,
				       PCI_COMMAND, &command, sizeof(command));
	}
	dev->is_stale = true;
	run_device_unlock(dev, 0);
}

/* With the lock as the writer; the caller puts what the device was on. */
static struct run_file *device_close(struct device_file *df)
{
	struct run_device *dev = df->dev;
	struct run_file *iommufd = NULL;

	df->group->users--;
	if (--dev->opens)
		return NULL;
	if (dev->iommufd) {
		iommufd = dev->iommufd;
		run_iommufd_remove_device(iommufd, dev->iommufd_id);
		dev->iommufd = NULL;
	}
	device_quiesce(dev);
	return iommufd;
}

static void device_release(struct run_file *file)
{
	struct device_file *df = to_device_file(file);
	struct run_file *iommufd;

	if (df->group) {
		pthread_rwlock_wrlock(&run_attach_lock);
		iommufd = device_close(df);
		pthread_rwlock_unlock(&run_attach_lock);
		run_file_put(iommufd);
		run_file_put(&df->group->file);
	} else if (atomic_load(&df->granted)) {
		device_unbind(df);
	}
	run_file_put(df->iommufd);
	free(df);
}

static const struct run_ops device_ops = {
	.ioctl = device_ioctl,
	.pread = device_pread,
	.pwrite = device_pwrite,
	.mmap = device_mmap,
	.release = device_release,
};

static struct device_file *device_file_new(struct run_device *dev)
{
	struct device_file *df = calloc(1, sizeof(*df));

	if (!df)
		return NULL;
	run_file_init(&df->file, RUN_DEVICE, &device_ops);
	df->dev = dev;
	return df;
}

struct run_file *run_device_new_cdev(struct run_device *dev)
{
	struct device_file *df = device_file_new(dev);

	return df ? &df->file : NULL;
}

/* The first file of a device on an iommufd puts it there. */
static int device_compat_attach(struct run_file *iommufd,
				struct run_device *dev)
{
	struct run_space *space;
	uint32_t pt_id;
	int ret;

	space = run_iommufd_compat(iommufd, &pt_id);
	if (!space)
		return -ENODEV;
	run_space_free(space);
	ret = run_iommufd_add_device(iommufd, dev, &dev->iommufd_id);
	if (ret)
		return ret;
	ret = run_iommufd_attach(iommufd, dev->iommufd_id, &pt_id);
	if (ret) {
		run_iommufd_remove_device(iommufd, dev->iommufd_id);
		return ret;
	}
	run_file_get(iommufd);
	dev->iommufd = iommufd;
	return 0;
}

/* What the first file of a device needs. */
static int device_first_open(struct run_device *dev, struct run_group *group)
{
	int ret;

	if (dev->is_stale) {
		ret = run_device_renew(dev);
		if (ret)
			return ret;
	}
	if (group->iommu->kind == RUN_IOMMUFD)
		return device_compat_attach(group->iommu, dev);
	return 0;
}

int run_device_open(struct run_device *dev, struct run_group *group,
		    struct run_file **file)
{
	struct device_file *df = device_file_new(dev);
	int ret = 0;

	if (!df)
		return -ENOMEM;
	if (!dev->opens)
		ret = device_first_open(dev, group);
	if (ret) {
		free(df);
		return ret;
	}
	run_file_get(&group->file);
	df->group = group;
	group->users++;
	dev->opens++;
	atomic_store(&df->granted, true);
	*file = &df->file;
	return 0;
}
