// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFIO device: opened by one of two ways in, then the same for both.
 *
 * Everything that the kernel says of the device's regions and interrupts is
 * asked once, on opening, and kept: it doesn't change while the device is
 * open. Accesses go through pread(2) and pwrite(2) on the device fd and never
 * through a mapping, because a BAR whose memory decoding is off answers a
 * mapping with SIGBUS and a system call with an error.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/vfio.h"
#include "internal.h"

/* A region's capability chain is never longer than this, in bytes. */
#define VFIO_MAX_REGION_INFO	65536

/* Syscalls: readlink */
int vfio_read_group(const char *sysfs)
{
	char path[320], link[256];
	const char *number;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/iommu_group", sysfs);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = '\0';
	number = strrchr(link, '/');
	return atoi(number ? number + 1 : link);
}

/*
 * The directory of a device that was plugged in again isn't the one that the
 * daemon's sandbox has left to it. What is in it can be asked for all the same.
 *
 * Syscalls: access close getdents64 newfstatat openat
 */
static void vfio_guess_cdev(const char *sysfs, char *buf, size_t len)
{
	DIR *dir = opendir("/dev/vfio/devices");
	struct dirent *de;
	char path[384];

	if (!dir)
		return;
	while ((de = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/vfio-dev/%.32s", sysfs,
			 de->d_name);
		if (de->d_name[0] != '.' && strlen(de->d_name) < len &&
		    !access(path, F_OK))
			strcpy(buf, de->d_name);
	}
	closedir(dir);
}

/*
 * The name that the device has in /dev/vfio/devices: an entry of vfio-dev/.
 *
 * Syscalls: close getdents64 newfstatat openat
 */
static void vfio_read_cdev(const char *sysfs, char *buf, size_t len)
{
	struct dirent *de;
	char path[320];
	DIR *dir;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "%s/vfio-dev", sysfs);
	dir = opendir(path);
	if (!dir) {
		if (errno == EACCES)
			vfio_guess_cdev(sysfs, buf, len);
		return;
	}
	while ((de = readdir(dir))) {
		if (strlen(de->d_name) < len && strstr(de->d_name, "vfio"))
			strcpy(buf, de->d_name);
	}
	closedir(dir);
}

/* Syscalls: access */
static bool vfio_is_noiommu(int group)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", group);
	return !access(path, F_OK);
}

/* Syscalls: access */
static bool vfio_has_iommufd(const struct vfio_device *dev)
{
	char path[96];

	if (!dev->cdev[0] || dev->noiommu)
		return false;
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", dev->cdev);
	return !access(path, R_OK | W_OK) && !access("/dev/iommu", R_OK | W_OK);
}

enum vfio_iommu_kind vfio_choose(const struct vfio_device *dev,
				 enum vfio_iommu_kind kind)
{
	if (kind != VFIO_IOMMU_AUTO)
		return kind;
	return vfio_has_iommufd(dev) ? VFIO_IOMMU_IOMMUFD : VFIO_IOMMU_TYPE1;
}

/* Syscalls: access */
int vfio_identify(struct vfio_device *dev, const char *name,
		  const char *sysfs, unsigned int flags, struct vfio_why *why)
{
	char path[320];

	memset(dev, 0, sizeof(*dev));
	dev->fd = -1;
	if (strlen(name) >= sizeof(dev->name) ||
	    strlen(sysfs) >= sizeof(dev->sysfs))
		return -ENAMETOOLONG;
	strcpy(dev->name, name);
	strcpy(dev->sysfs, sysfs);

	dev->group = vfio_read_group(sysfs);
	/* A group that isn't known of is shared without anybody's knowing. */
	if (dev->group < 0 && dev->group != -ENOENT) {
		vfio_why_set(why, "its IOMMU group cannot be read: %s",
			     strerrordesc_np(-dev->group));
		return dev->group;
	}
	vfio_read_cdev(sysfs, dev->cdev, sizeof(dev->cdev));
	snprintf(path, sizeof(path), "%s/mdev_type", sysfs);
	dev->emulated = !access(path, F_OK);

	if (!strncmp(dev->cdev, "noiommu-", strlen("noiommu-")) ||
	    (dev->group >= 0 && vfio_is_noiommu(dev->group))) {
		if (!(flags & VFIO_OPEN_UNSAFE_NOIOMMU)) {
			vfio_why_set(why, "no IOMMU confines this device: it could read and write all of the machine's memory; --unsafe-noiommu allows that");
			return -EPERM;
		}
		dev->noiommu = true;
	}
	return 0;
}

/* Syscalls: ioctl(VFIO_DEVICE_GET_REGION_INFO) */
static int vfio_read_region(struct vfio_device *dev, uint32_t index)
{
	struct vfio_region *region = &dev->regions[index];
	struct vfio_region_info *info;
	uint32_t argsz = sizeof(*info);
	int ret = 0;

	info = calloc(1, VFIO_MAX_REGION_INFO);
	if (!info)
		return -ENOMEM;
	do {
		memset(info, 0, sizeof(*info));
		info->argsz = argsz;
		info->index = index;
		if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info)) {
			region->error = -errno;
			goto free;
		}
		if (info->argsz <= argsz)
			break;
		argsz = info->argsz;
	} while (argsz <= VFIO_MAX_REGION_INFO);

	region->flags = info->flags & ~VFIO_REGION_INFO_FLAG_CAPS;
	region->size = info->size;
	region->offset = info->offset;
	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS) ||
	    info->cap_offset < sizeof(*info) || info->cap_offset >= argsz ||
	    argsz > VFIO_MAX_REGION_INFO)
		goto free;

	region->caps_offset = info->cap_offset;
	region->caps_len = argsz - info->cap_offset;
	region->caps = malloc(region->caps_len);
	if (region->caps)
		memcpy(region->caps, (char *)info + info->cap_offset,
		       region->caps_len);
	else
		ret = -ENOMEM;
free:
	free(info);
	return ret;
}

/* Syscalls: ioctl(VFIO_DEVICE_GET_IRQ_INFO) */
static void vfio_read_irq(struct vfio_device *dev, uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info)) {
		dev->irqs[index].error = -errno;
		return;
	}
	dev->irqs[index].flags = info.flags;
	dev->irqs[index].count = info.count;
}

/*
 * Which devices a reset of the bus would touch; to be freed. NULL if none.
 *
 * Syscalls: ioctl(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO)
 */
static struct vfio_pci_hot_reset_info *vfio_hot_reset_info(struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info;
	const size_t size = sizeof(*info) +
		256 * sizeof(struct vfio_pci_dependent_device);

	info = calloc(1, size);
	if (!info)
		return NULL;
	info->argsz = size;
	if (!ioctl(dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info))
		return info;

	free(info);
	return NULL;
}

/*
 * Is all that a reset of the bus touches in our group, or owned by our iommufd?
 * With iommufd the kernel says so itself.
 */
static bool vfio_owns_bus(const struct vfio_device *dev,
			  const struct vfio_pci_hot_reset_info *info)
{
	bool owned = dev->container->group_fd >= 0;
	uint32_t i;

	if (info->flags & ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID)
		return info->flags & ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	for (i = 0; i < info->count; i++)
		owned &= info->devices[i].group_id == (uint32_t)dev->group;
	return owned;
}

/* May the bus be reset? Only if nobody else's device is on it. */
static int vfio_read_bus(struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info;
	uint32_t i;
	int ret = 0;

	if (!(dev->flags & VFIO_DEVICE_FLAGS_PCI))
		return 0;
	info = vfio_hot_reset_info(dev);
	if (!info || !info->count || !vfio_owns_bus(dev, info))
		goto free;

	ret = -ENOMEM;
	dev->touched = calloc(info->count, sizeof(*dev->touched));
	if (!dev->touched)
		goto free;
	for (i = 0; i < info->count; i++)
		dev->touched[i] = (struct vfio_address){
			.segment = info->devices[i].segment,
			.bus = info->devices[i].bus,
			.devfn = info->devices[i].devfn,
		};
	dev->nr_touched = info->count;
	dev->can_hot_reset = true;
	ret = 0;
free:
	free(info);
	return ret;
}

/* Syscalls: ioctl(VFIO_DEVICE_GET_INFO) */
static int vfio_read_info(struct vfio_device *dev, struct vfio_why *why)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t i;
	int ret;

	if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info)) {
		ret = -errno;
		vfio_why_set(why, "the kernel does not describe the device: %s",
			     strerrordesc_np(-ret));
		return ret;
	}
	dev->flags = info.flags;
	dev->nr_regions = min(info.num_regions, (uint32_t)VFIO_MAX_REGIONS);
	dev->nr_irqs = min(info.num_irqs, (uint32_t)VFIO_MAX_IRQS);
	for (i = 0; i < dev->nr_regions; i++) {
		ret = vfio_read_region(dev, i);
		if (ret)
			return ret;
	}
	for (i = 0; i < dev->nr_irqs; i++)
		vfio_read_irq(dev, i);

	return dev->flags & VFIO_DEVICE_FLAGS_RESET ? 0 : vfio_read_bus(dev);
}

/*
 * The kernel resets a physical device on opening. A mediated one is as the last
 * user left it, in the middle of a migration for instance, unless its driver is
 * asked; and a driver may be able to reset it without saying so. Nor is a device
 * reset that a former user still holds; out of a group that stayed open, the
 * kernel gives it all the same, and doesn't say which of the two it was. One that
 * says that it can be reset, and isn't, is nobody's to have.
 *
 * Syscalls: ioctl(VFIO_DEVICE_RESET)
 */
static int vfio_reset_stale(struct vfio_device *dev, struct vfio_why *why)
{
	bool stale = dev->joined && dev->container->group_fd >= 0 &&
		     dev->flags & VFIO_DEVICE_FLAGS_RESET;
	int err;

	if (!dev->emulated && !stale)
		return 0;
	if (!ioctl(dev->fd, VFIO_DEVICE_RESET)) {
		dev->flags |= VFIO_DEVICE_FLAGS_RESET;
		return 0;
	}
	err = -errno;
	if (!(dev->flags & VFIO_DEVICE_FLAGS_RESET))
		return 0;
	vfio_why_set(why, "it cannot be reset, so what the last client left in it would be the next one's: %s",
		     strerrordesc_np(-err));
	return err;
}

/* The class: the kernel makes up the vendor of a device that was there once. */
bool vfio_device_is_gone(struct vfio_device *dev)
{
	uint32_t class;

	return dev->flags & VFIO_DEVICE_FLAGS_PCI &&
	       dev->nr_regions > VFIO_PCI_CONFIG_REGION_INDEX &&
	       vfio_region_read(dev, VFIO_PCI_CONFIG_REGION_INDEX,
				PCI_CLASS_REVISION, &class, sizeof(class)) ==
	       sizeof(class) && class == UINT32_MAX;
}

static int vfio_check_present(struct vfio_device *dev, struct vfio_why *why)
{
	if (!vfio_device_is_gone(dev))
		return 0;
	vfio_why_set(why, "its configuration reads all ones: it is gone from the bus, or does not answer there");
	return -ENODEV;
}

int vfio_device_open(struct vfio_device *dev, const char *name,
		     const char *sysfs, enum vfio_iommu_kind kind,
		     unsigned int flags, struct vfio_why *why)
{
	int ret;

	vfio_why_set(why, "%s", "");
	ret = vfio_identify(dev, name, sysfs, flags, why);
	if (ret)
		return ret;

	kind = vfio_choose(dev, kind);
	dev->ops = kind == VFIO_IOMMU_IOMMUFD ? &vfio_iommufd_ops :
						&vfio_type1_ops;
	ret = vfio_container_get(dev, flags & VFIO_OPEN_SHARE, why);
	if (ret)
		return ret;
	ret = dev->ops->open_device(dev, why);
	if (ret)
		goto put;
	ret = vfio_read_info(dev, why);
	if (!ret)
		ret = vfio_check_present(dev, why);
	if (!ret)
		ret = vfio_reset_stale(dev, why);
	if (ret)
		goto close;
	return 0;

put:
	vfio_container_put(dev);
	return ret;
close:
	vfio_device_close(dev);
	return ret;
}

void vfio_device_close(struct vfio_device *dev)
{
	uint32_t i;

	close_fd(&dev->fd);
	vfio_container_put(dev);
	free(dev->touched);
	dev->touched = NULL;
	for (i = 0; i < dev->nr_regions; i++) {
		free(dev->regions[i].caps);
		dev->regions[i].caps = NULL;
	}
}

/* -ENODEV if nothing is there; writing ones back would not make it better. */
static int vfio_stop_bus_master(struct vfio_device *dev)
{
	uint16_t command;
	ssize_t n;

	if (!(dev->flags & VFIO_DEVICE_FLAGS_PCI) ||
	    dev->nr_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return 0;
	n = vfio_region_read(dev, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND,
			     &command, sizeof(command));
	if (n == sizeof(command)) {
		/* That bit is the kernel's own. */
		if ((command | PCI_COMMAND_INTX_DISABLE) == UINT16_MAX)
			return -ENODEV;
		command &= ~PCI_COMMAND_MASTER;
		n = vfio_region_write(dev, VFIO_PCI_CONFIG_REGION_INDEX,
				      PCI_COMMAND, &command, sizeof(command));
	}
	return n == sizeof(command) ? 0 : n < 0 ? n : -EIO;
}

int vfio_device_quiesce(struct vfio_device *dev)
{
	int err, ret = vfio_stop_bus_master(dev);
	uint32_t i;

	for (i = 0; i < dev->nr_irqs; i++) {
		if (!dev->irqs[i].count)
			continue;
		err = vfio_irq_set(dev, VFIO_IRQ_SET_DATA_NONE |
				   VFIO_IRQ_SET_ACTION_TRIGGER, i, 0, 0, NULL);
		/* So drivers say that there is nothing to disable. */
		if (err != -EINVAL && err != -ENOTTY && !ret)
			ret = err;
	}
	return ret;
}

/* Syscalls: ioctl(VFIO_DEVICE_PCI_HOT_RESET) */
static int vfio_hot_reset(struct vfio_device *dev)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t group_fd;
	} arg = {
		.reset.argsz = sizeof(arg),
		.reset.count = dev->container->group_fd >= 0 ? 1 : 0,
		.group_fd = dev->container->group_fd,
	};

	return ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg) ? -errno : 0;
}

/* Syscalls: ioctl(VFIO_DEVICE_RESET) */
int vfio_device_reset(struct vfio_device *dev)
{
	if (dev->flags & VFIO_DEVICE_FLAGS_RESET)
		return ioctl(dev->fd, VFIO_DEVICE_RESET) ? -errno : 0;
	if (dev->can_hot_reset)
		return vfio_hot_reset(dev);
	return -ENOTTY;
}

bool vfio_device_reset_touches(const struct vfio_device *dev, const char *name)
{
	unsigned int segment, bus, slot, function;
	uint32_t i;

	if (dev->flags & VFIO_DEVICE_FLAGS_RESET ||
	    sscanf(name, "%x:%x:%x.%x", &segment, &bus, &slot, &function) != 4)
		return false;
	for (i = 0; i < dev->nr_touched; i++) {
		const struct vfio_address *at = &dev->touched[i];

		if (at->segment == segment && at->bus == bus &&
		    at->devfn == (slot << 3 | function))
			return true;
	}
	return false;
}

/* Syscalls: pread64 */
ssize_t vfio_region_read(struct vfio_device *dev, uint32_t index,
			 uint64_t offset, void *buf, size_t count)
{
	ssize_t n = pread(dev->fd, buf, count,
			  dev->regions[index].offset + offset);

	return n < 0 ? -errno : n;
}

/* Syscalls: pwrite64 */
ssize_t vfio_region_write(struct vfio_device *dev, uint32_t index,
			  uint64_t offset, const void *buf, size_t count)
{
	ssize_t n = pwrite(dev->fd, buf, count,
			   dev->regions[index].offset + offset);

	return n < 0 ? -errno : n;
}

/* Syscalls: ioctl(VFIO_DEVICE_SET_IRQS) */
int vfio_irq_set(struct vfio_device *dev, uint32_t flags, uint32_t index,
		 uint32_t start, uint32_t count, const void *data)
{
	size_t len = 0;
	struct vfio_irq_set *set;
	int ret;

	if (flags & VFIO_IRQ_SET_DATA_BOOL)
		len = count;
	else if (flags & VFIO_IRQ_SET_DATA_EVENTFD)
		len = count * sizeof(int32_t);

	set = malloc(sizeof(*set) + len);
	if (!set)
		return -ENOMEM;
	*set = (struct vfio_irq_set){
		.argsz = sizeof(*set) + len,
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	if (len)
		memcpy(set->data, data, len);
	/* More than 0 is how many vectors there are, too few for what was asked. */
	ret = ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set);
	if (ret)
		ret = ret < 0 ? -errno : -ENOSPC;
	free(set);
	return ret;
}
