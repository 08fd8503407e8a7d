// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device: an fd from its group, or /dev/vfio/devices/vfioN bound to an
 * iommufd.
 *
 * A device fd is an open file of the directory mem/, so that reading, writing
 * and mapping it work in any process that gets it. Whoever has the device open
 * holds that open file's lock, which goes when the last duplicate of the fd and
 * the last mapping have gone, in whatever process they are: that is how long a
 * kernel keeps a device open, too. An fd that came from the cdev is marked with
 * another lock, because the kernel answers differently.
 */
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/vfio.h"
#include "internal.h"

static struct device *orphans;

/* By index: bound to an iommufd; and how many are open in this process. */
static struct device *bound[1 + FAKE_MAX_MORE];
static unsigned int nr_open[1 + FAKE_MAX_MORE];

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static int memory_open(unsigned int index)
{
	char path[PATH_MAX], node[80];
	int fd;

	snprintf(node, sizeof(node), "mem/%s", machine_name(index));
	fd = raw_openat(AT_FDCWD, fake_path(path, node), O_RDWR | O_CLOEXEC,
			0);
	return fd < 0 ? -errno : fd;
}

int device_open_memory(const struct stat *st)
{
	struct stat own;
	unsigned int i;
	int fd;

	if (st->st_size != (off_t)config()->nr_regions << FAKE_REGION_SHIFT)
		return -ENOENT;
	for (i = 0; i < machine_nr(); i++) {
		fd = memory_open(i);
		if (fd < 0 || (!raw_fstat(fd, &own) &&
			       own.st_dev == st->st_dev &&
			       own.st_ino == st->st_ino))
			return fd;
		raw_close(fd);
	}
	return -ENOENT;
}

/* Is the device open anywhere? And if so, did that begin with the cdev? */
static bool memory_locked(unsigned int index, bool *cdev)
{
	struct flock mark = { .l_type = F_WRLCK, .l_len = 1 };
	int fd = memory_open(index);
	bool locked;

	if (fd < 0)
		return false;
	locked = raw_flock(fd);
	raw_fcntl(fd, F_OFD_GETLK, (unsigned long)&mark);
	*cdev = mark.l_type != F_UNLCK;
	raw_close(fd);
	return locked;
}

/* The last fd of a device has gone. */
static void device_disable(unsigned int index)
{
	irq_exit(index);
	if (index)
		return;
	fake_control()->asleep = false;
	doorbell_exit();
	migration_exit();
	logging_exit();
}

static void device_free(struct device *dev)
{
	if (dev->bound && !--nr_open[dev->index])
		device_disable(dev->index);
	if (bound[dev->index] == dev)
		bound[dev->index] = NULL;
	if (dev->ioas)
		iommufd_detach(dev->ioas);
	if (dev->iommufd)
		file_put(dev->iommufd);
	if (dev->group)
		group_use(dev->group, false);
	free(dev);
}

/* Close those for good that nobody else holds any more. */
static void orphans_reap(void)
{
	struct device **at = &orphans, *dev;
	bool cdev;

	while ((dev = *at)) {
		if (memory_locked(dev->index, &cdev)) {
			at = &dev->next;
			continue;
		}
		*at = dev->next;
		fake_control()->orphans--;
		device_free(dev);
	}
}

bool device_held(uint32_t group)
{
	bool cdev, held = false;
	unsigned int i;

	orphans_reap();
	for (i = 0; i < machine_nr(); i++)
		held |= machine_group(i) == group && memory_locked(i, &cdev);
	return held;
}

static void device_release(struct fake_file *file)
{
	struct device *dev = container_of(file, struct device, file);
	bool cdev;

	if (!dev->bound || !memory_locked(dev->index, &cdev)) {
		device_free(dev);
		return;
	}
	dev->next = orphans;
	orphans = dev;
	fake_control()->orphans++;
}

static void device_enable(struct device *dev, int fd)
{
	dev->bound = true;
	/* Out of a group, one that is open is given once more as it is. */
	if (nr_open[dev->index]++)
		return;
	fake_control()->enables++;
	model_reset(dev->index, fd, true);
	irq_init(dev->index);
	if (dev->index)
		return;
	doorbell_init();
	logging_exit();
}

/* Of a group, all devices have one owner: those of other processes, too. */
static bool group_is_ours(const struct device *dev,
			  const struct fake_file *iommufd)
{
	unsigned int i;
	bool cdev;

	for (i = 0; i < machine_nr(); i++) {
		if (i == dev->index ||
		    machine_group(i) != machine_group(dev->index))
			continue;
		if (bound[i] ? bound[i]->iommufd != iommufd :
			       memory_locked(i, &cdev))
			return false;
	}
	return true;
}

static long device_check_iommufd(int fd, struct fake_file **iommufd)
{
	if (raw_fcntl(fd, F_GETFD, 0) < 0)
		return -EBADF;
	*iommufd = file_of(fd, FAKE_IOMMUFD);
	return *iommufd ? 0 : -EBADFD;
}

static long device_bind(struct device *dev, int fd,
			struct abi_vfio_device_bind_iommufd *bind)
{
	struct flock mark = { .l_type = F_WRLCK, .l_len = 1 };
	struct fake_file *iommufd;
	bool held, cdev;
	long ret;

	if (bind->argsz < ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ ||
	    bind->flags || bind->iommufd < 0 || dev->group)
		return -EINVAL;
	/* Who isn't held now can be reaped, whoever lets go in between. */
	held = memory_locked(dev->index, &cdev);
	orphans_reap();
	if (group_is_open(machine_group(dev->index)) || (held && !cdev))
		return -EBUSY;
	if (dev->bound)
		return -EINVAL;
	ret = device_check_iommufd(bind->iommufd, &iommufd);
	if (ret)
		return ret;
	if (held || raw_flock(fd))
		return -EINVAL;
	if (config()->not_viable || !group_is_ours(dev, iommufd)) {
		syscall(SYS_flock, fd, LOCK_UN);
		return -EPERM;
	}

	raw_fcntl(fd, F_OFD_SETLK, (unsigned long)&mark);
	file_get(iommufd);
	dev->iommufd = iommufd;
	bound[dev->index] = dev;
	dev->id = iommufd_new_id(iommufd);
	bind->out_devid = dev->id;
	device_enable(dev, fd);
	return 0;
}

/* Of a group, all devices that are attached have one address space. */
static bool group_can_attach(const struct device *dev, const struct ioas *ioas)
{
	unsigned int i;

	for (i = 0; i < machine_nr(); i++) {
		if (i != dev->index && bound[i] && bound[i]->ioas &&
		    machine_group(i) == machine_group(dev->index) &&
		    bound[i]->ioas != ioas)
			return false;
	}
	return true;
}

static long device_attach(struct device *dev,
			  struct abi_vfio_device_attach_iommufd_pt *attach)
{
	struct ioas *ioas;

	if (attach->argsz < ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ ||
	    attach->flags)
		return -EINVAL;
	if (!dev->iommufd)
		return -ENOTTY;
	ioas = iommufd_attach(dev->iommufd, attach->pt_id);
	if (!ioas)
		return -ENOENT;
	if (!group_can_attach(dev, ioas)) {
		iommufd_detach(ioas);
		return -EINVAL;
	}
	if (dev->ioas)
		iommufd_detach(dev->ioas);
	dev->ioas = ioas;

	/* The kernel makes a page table for it, and says its number. */
	if (!config()->mdev)
		attach->pt_id = iommufd_new_id(dev->iommufd);
	return 0;
}

static long
device_detach(struct device *dev,
	      const struct abi_vfio_device_detach_iommufd_pt *detach)
{
	if (detach->argsz < ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ ||
	    detach->flags)
		return -EINVAL;
	if (!dev->iommufd)
		return -ENOTTY;
	if (dev->ioas)
		iommufd_detach(dev->ioas);
	dev->ioas = NULL;
	return 0;
}

static long device_info(struct vfio_device_info *info)
{
	const size_t with_caps = offsetof(struct vfio_device_info, cap_offset) +
				 sizeof(info->cap_offset);

	if (info->argsz < offsetof(struct vfio_device_info, cap_offset))
		return -EINVAL;
	info->flags = config()->device_flags;
	if (config()->flr)
		info->flags |= VFIO_DEVICE_FLAGS_RESET;
	info->num_regions = config()->nr_regions;
	info->num_irqs = config()->nr_irqs;
	if (info->argsz >= with_caps)
		info->cap_offset = 0;
	return 0;
}

static void region_caps(const struct fake_region *region, struct chain *chain)
{
	struct vfio_region_info_cap_sparse_mmap *sparse;
	struct vfio_region_info_cap_type *type;
	uint32_t i;

	if (region->has_type) {
		type = chain_add(chain, VFIO_REGION_INFO_CAP_TYPE,
				 sizeof(*type));
		type->type = region->type;
		type->subtype = region->subtype;
	}
	if (region->has_sparse) {
		sparse = chain_add(chain, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
				   sizeof(*sparse) + region->nr_sparse *
				   sizeof(sparse->areas[0]));
		sparse->nr_areas = region->nr_sparse;
		for (i = 0; i < region->nr_sparse; i++) {
			sparse->areas[i].offset = region->sparse[i].offset;
			sparse->areas[i].size = region->sparse[i].size;
		}
	}
	if (region->msix_mappable)
		chain_add(chain, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
			  sizeof(struct vfio_info_cap_header));
}

static long device_region_info(struct vfio_region_info *info)
{
	struct chain chain = { .base = sizeof(*info) };
	const struct fake_region *region;

	if (info->argsz < sizeof(*info))
		return -EINVAL;
	if (info->index >= config()->nr_regions)
		return -EINVAL;
	region = &config()->regions[info->index];
	if (region->absent)
		return -EINVAL;

	info->flags = region->flags;
	info->size = region->size;
	info->offset = (uint64_t)info->index << FAKE_REGION_SHIFT;
	region_caps(region, &chain);
	if (chain_put(&chain, info, &info->argsz, &info->cap_offset))
		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	return 0;
}

static long device_reset(unsigned int index, int fd)
{
	if (!config()->flr)
		return -EINVAL;
	if (config()->gone)
		return -ENOTTY;
	model_reset(index, fd, false);
	fake_control()->resets++;
	return 0;
}

static long bus_check(const struct device *dev)
{
	if (config()->mdev)
		return -ENOTTY;
	return config()->bus_reset ? 0 : -ENODEV;
}

static bool other_owned(const struct device *dev, uint32_t i)
{
	const struct fake_other *other = &config()->others[i];

	return dev->group ? other->group == machine_group(dev->index) :
			    other->owned;
}

/*
 * A device of ours: bound to the same iommufd, or to none while another of its
 * group is. With a group, what counts is which groups there are.
 */
static bool more_owned(const struct device *dev, unsigned int index)
{
	unsigned int i;
	bool cdev;

	if (dev->group)
		return machine_group(index) == machine_group(dev->index);
	if (bound[index])
		return bound[index]->iommufd == dev->iommufd;
	for (i = 0; i < machine_nr(); i++) {
		if (bound[i] && bound[i]->iommufd == dev->iommufd &&
		    machine_group(i) == machine_group(index))
			return !memory_locked(index, &cdev);
	}
	return false;
}

static bool bus_owned(const struct device *dev)
{
	uint32_t i;

	for (i = 0; i < config()->nr_others; i++) {
		if (!other_owned(dev, i))
			return false;
	}
	for (i = 0; i < machine_nr(); i++) {
		if (machine_same_bus(dev->index, i) && !more_owned(dev, i))
			return false;
	}
	return true;
}

static uint32_t bus_nr(const struct device *dev)
{
	uint32_t i, nr = config()->nr_others;

	for (i = 0; i < machine_nr(); i++)
		nr += machine_same_bus(dev->index, i);
	return nr;
}

/* With iommufd: its number there, or whether it counts as ours without one. */
static uint32_t bus_id(const struct device *dev, unsigned int index)
{
	if (dev->group)
		return machine_group(index);
	if (bound[index] && bound[index]->iommufd == dev->iommufd)
		return bound[index]->id;
	return more_owned(dev, index) ? ABI_VFIO_PCI_DEVID_OWNED :
					ABI_VFIO_PCI_DEVID_NOT_OWNED;
}

static bool bus_describe(const struct device *dev, unsigned int index,
			 struct vfio_pci_dependent_device *entry)
{
	unsigned int segment, bus, slot, function;

	if (sscanf(machine_name(index), "%x:%x:%x.%x", &segment, &bus, &slot,
		   &function) != 4)
		return false;
	*entry = (struct vfio_pci_dependent_device){
		.group_id = bus_id(dev, index),
		.segment = segment,
		.bus = bus,
		.devfn = slot << 3 | function,
	};
	return true;
}

static long device_bus_info(const struct device *dev,
			    struct vfio_pci_hot_reset_info *info)
{
	struct vfio_pci_dependent_device *entry = info->devices;
	uint32_t i, nr = bus_nr(dev);

	if (info->argsz < sizeof(*info))
		return -EINVAL;
	info->flags = 0;
	info->count = nr;
	if (info->argsz < sizeof(*info) + nr * sizeof(*entry))
		return -ENOSPC;

	for (i = 0; i < machine_nr(); i++) {
		if (machine_same_bus(dev->index, i) &&
		    !bus_describe(dev, i, entry++))
			return -ENODEV;
	}
	for (i = 0; i < config()->nr_others; i++) {
		const struct fake_other *other = &config()->others[i];

		*entry++ = (struct vfio_pci_dependent_device){
			.group_id = dev->group ? other->group :
				    other->owned ? ABI_VFIO_PCI_DEVID_OWNED :
						   ABI_VFIO_PCI_DEVID_NOT_OWNED,
			.segment = other->segment,
			.bus = other->bus,
			.devfn = other->devfn,
		};
	}
	if (!dev->group)
		info->flags = ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	if (!dev->group && bus_owned(dev))
		info->flags |= ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	return 0;
}

static long device_bus_check_fds(const struct device *dev,
				 const struct vfio_pci_hot_reset *reset)
{
	bool own = false;
	uint32_t i;

	if (!reset->count || reset->count > bus_nr(dev))
		return -EINVAL;
	for (i = 0; i < reset->count; i++) {
		struct fake_file *group = file_of(reset->group_fds[i],
						  FAKE_GROUP);

		if (raw_fcntl(reset->group_fds[i], F_GETFD, 0) < 0)
			return -EBADF;
		if (!group)
			return -EINVAL;
		own |= group_number(group) == machine_group(dev->index);
	}
	return own ? 0 : -EINVAL;
}

/* All of the bus forgets. */
static void bus_reset(const struct device *dev)
{
	uint32_t i;
	int fd;

	for (i = 0; i < machine_nr(); i++) {
		fd = machine_same_bus(dev->index, i) ? memory_open(i) : -1;
		if (fd < 0)
			continue;
		model_reset(i, fd, false);
		raw_close(fd);
	}
}

static long device_bus_reset(const struct device *dev,
			     const struct vfio_pci_hot_reset *reset)
{
	long ret;

	if (reset->argsz < sizeof(*reset) || reset->flags)
		return -EINVAL;
	if (!dev->group && reset->count)
		return -EINVAL;
	ret = dev->group ? device_bus_check_fds(dev, reset) : 0;
	if (ret)
		return ret;
	if (!bus_owned(dev))
		return -EINVAL;
	bus_reset(dev);
	fake_control()->hot_resets++;
	return 0;
}

/* The kernel wakes it for as long as it takes. */
void device_disturb(const struct device *dev)
{
	struct fake_control *control = fake_control();

	if (!dev->index && control->asleep)
		control->disturbed++;
}

static long device_bound_ioctl(struct device *dev, int fd,
			       unsigned long request, void *arg)
{
	if (request != VFIO_DEVICE_FEATURE)
		device_disturb(dev);
	switch (request) {
	case ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return device_attach(dev, arg);
	case ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return device_detach(dev, arg);
	case VFIO_DEVICE_GET_INFO:
		return device_info(arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return device_region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(arg);
	case VFIO_DEVICE_SET_IRQS:
		return irq_set(dev->index, arg);
	case VFIO_DEVICE_RESET:
		return device_reset(dev->index, fd);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return bus_check(dev) ?: device_bus_info(dev, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return bus_check(dev) ?: device_bus_reset(dev, arg);
	case VFIO_DEVICE_FEATURE:
		return dev->index ? -ENOTTY : feature_call(fd, arg);
	case VFIO_DEVICE_IOEVENTFD:
		return dev->index ? -ENOTTY : doorbell_set(arg);
	default:
		return -ENOTTY;
	}
}

static long device_ioctl(struct fake_file *file, int fd, unsigned long request,
			 void *arg)
{
	struct device *dev = container_of(file, struct device, file);

	if (request == ABI_VFIO_DEVICE_BIND_IOMMUFD)
		return device_bind(dev, fd, arg);
	if (!dev->bound)
		return -EINVAL;
	return device_bound_ioctl(dev, fd, request, arg);
}

static const struct fake_ops device_ops = {
	.kind = FAKE_DEVICE,
	.ioctl = device_ioctl,
	.release = device_release,
};

static struct device *device_new(unsigned int index)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (dev) {
		dev->file = (struct fake_file){ &device_ops, 1 };
		dev->index = index;
	}
	return dev;
}

int device_open_cdev(int marker, uint32_t number)
{
	int index = machine_find_cdev(number), fd;
	struct device *dev;

	/* The marker has shown that the node exists and may be opened. */
	raw_close(marker);
	fd = index < 0 ? index : memory_open(index);
	if (fd < 0)
		return fd;
	dev = device_new(index);
	if (!dev) {
		raw_close(fd);
		return -ENOMEM;
	}
	return file_install(fd, &dev->file);
}

/* Whoever holds it got it out of this group, which has stayed open. */
static bool device_is_open_from(const struct fake_file *group,
				unsigned int index)
{
	const struct device *dev = orphans;

	while (dev && (dev->index != index || dev->group != group))
		dev = dev->next;
	return dev;
}

int device_get_fd(struct fake_file *group, unsigned int index)
{
	bool cdev, held = memory_locked(index, &cdev);
	struct device *dev;
	int fd, err;

	orphans_reap();
	fd = memory_open(index);
	if (fd < 0)
		return fd;
	err = -EBUSY;
	if ((held || raw_flock(fd)) && !device_is_open_from(group, index))
		goto close;
	err = -ENOMEM;
	dev = device_new(index);
	if (!dev)
		goto close;

	group_use(group, true);
	dev->group = group;
	device_enable(dev, fd);
	return file_install(fd, &dev->file);

close:
	raw_close(fd);
	return err;
}

struct dma_space *device_space(const struct device *dev)
{
	if (dev->group)
		return container_space(group_container(dev->group));
	return dev->ioas ? ioas_space(dev->ioas) : NULL;
}

int device_mmap(const struct device *dev, uint64_t offset, size_t len)
{
	uint64_t index = offset >> FAKE_REGION_SHIFT;
	const struct fake_region *region;
	uint64_t size;

	if (!dev->bound || index >= config()->nr_regions)
		return -EINVAL;
	region = &config()->regions[index];
	if (region->absent || !(region->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return -EINVAL;
	size = (region->size + FAKE_PAGE_SIZE - 1) & ~(FAKE_PAGE_SIZE - 1);
	offset &= (1ull << FAKE_REGION_SHIFT) - 1;
	return range_within(offset, len, size) ? 0 : -EINVAL;
}
