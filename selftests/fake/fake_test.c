// SPDX-License-Identifier: GPL-2.0-only
/*
 * The software VFIO itself, in the test's own process: raw VFIO calls by both
 * ways in, and that the answers are the kernel's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "fixture.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		4096ull
#define MEM_SIZE	(16 * PAGE)
#define SYSFS		"/sys/bus/pci/devices/0000:01:00.0"
#define REGION(index)	((off_t)(index) << FAKE_REGION_SHIFT)
#define CONFIG		REGION(VFIO_PCI_CONFIG_REGION_INDEX)

/* What a system call failed with, 0 if it didn't. */
#define ERRNO_OF(call)	({ errno = 0; (call) < 0 ? errno : 0; })

/* An open device and what it was opened through. */
struct opened {
	int container;
	int group;
	int device;
	uint32_t ioas;
};

static const struct opened closed = { -1, -1, -1, 0 };

static int set_up(struct fake_root *root, const struct fake_config *config)
{
	int ret = fake_root_create(root, config);

	return ret ? ret : setenv(FAKE_ROOT_ENV, root->path, 1);
}

static int open_group(struct opened *dev)
{
	const char *name = "0000:01:00.0";

	*dev = closed;
	dev->container = open("/dev/vfio/vfio", O_RDWR);
	dev->group = open("/dev/vfio/7", O_RDWR);
	if (dev->container < 0 || dev->group < 0)
		return -errno;
	if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &dev->container) ||
	    ioctl(dev->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	dev->device = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, name);
	return dev->device < 0 ? -errno : 0;
}

static int open_cdev(struct opened *dev)
{
	struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};

	*dev = closed;
	dev->container = open("/dev/iommu", O_RDWR);
	dev->device = open("/dev/vfio/devices/vfio0", O_RDWR);
	if (dev->container < 0 || dev->device < 0)
		return -errno;
	bind.iommufd = dev->container;
	if (ioctl(dev->device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(dev->container, ABI_IOMMU_IOAS_ALLOC, &alloc))
		return -errno;
	dev->ioas = alloc.out_ioas_id;
	attach.pt_id = dev->ioas;
	if (ioctl(dev->device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return -errno;
	return 0;
}

static void close_all(struct opened *dev)
{
	close_fd(&dev->device);
	close_fd(&dev->group);
	close_fd(&dev->container);
}

static int type1_map(int container, uint64_t iova, uint64_t size, void *vaddr,
		     uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)vaddr,
		.iova = iova,
		.size = size,
	};

	return ERRNO_OF(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
}

static int type1_unmap(int container, uint64_t iova, uint64_t size,
		       uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};
	int err = ERRNO_OF(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));

	*unmapped = unmap.size;
	return err;
}

static int map_file(const struct opened *dev, uint64_t iova, uint64_t size,
		    int fd, uint64_t start, uint32_t flags)
{
	struct abi_iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = flags | ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = dev->ioas,
		.fd = fd,
		.start = start,
		.length = size,
		.iova = iova,
	};

	return ERRNO_OF(ioctl(dev->container, ABI_IOMMU_IOAS_MAP_FILE, &map));
}

static int ioas_map(const struct opened *dev, uint64_t iova, uint64_t size,
		    void *vaddr, uint32_t flags)
{
	struct abi_iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = flags | ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = dev->ioas,
		.user_va = (uintptr_t)vaddr,
		.length = size,
		.iova = iova,
	};

	return ERRNO_OF(ioctl(dev->container, ABI_IOMMU_IOAS_MAP, &map));
}

static int ioas_unmap(const struct opened *dev, uint64_t iova, uint64_t size,
		      uint64_t *unmapped)
{
	struct abi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = dev->ioas,
		.iova = iova,
		.length = size,
	};
	int err = ERRNO_OF(ioctl(dev->container, ABI_IOMMU_IOAS_UNMAP, &unmap));

	*unmapped = unmap.length;
	return err;
}

static uint64_t reg_read(int device, uint32_t reg)
{
	uint64_t value = 0;

	if (pread(device, &value, sizeof(value), reg) != sizeof(value))
		return UINT64_MAX;
	return value;
}

static bool reg_write(int device, uint32_t reg, uint64_t value)
{
	return pwrite(device, &value, sizeof(value), reg) == sizeof(value);
}

static bool bus_master(int device, bool on)
{
	uint16_t command;

	if (pread(device, &command, 2, CONFIG + PCI_COMMAND) != 2)
		return false;
	command &= ~PCI_COMMAND_MASTER;
	command |= on ? PCI_COMMAND_MASTER : 0;
	return pwrite(device, &command, 2, CONFIG + PCI_COMMAND) == 2;
}

/* Have the device copy; its status. */
static uint64_t dma(int device, uint64_t src, uint64_t dst, uint64_t len)
{
	if (!reg_write(device, FAKE_REG_DMA_SRC, src) ||
	    !reg_write(device, FAKE_REG_DMA_DST, dst) ||
	    !reg_write(device, FAKE_REG_DMA_LEN, len) ||
	    !reg_write(device, FAKE_REG_DOORBELL, 1))
		return UINT64_MAX;
	return reg_read(device, FAKE_REG_STATUS);
}

static int set_irqs(int device, uint32_t flags, uint32_t index,
		    uint32_t start, uint32_t count, const void *data,
		    size_t len)
{
	struct {
		struct vfio_irq_set set;
		int32_t data[FAKE_MAX_VECTORS];
	} arg = {
		.set.argsz = sizeof(arg.set) + len,
		.set.flags = flags,
		.set.index = index,
		.set.start = start,
		.set.count = count,
	};

	memcpy(arg.data, data, len);
	return ERRNO_OF(ioctl(device, VFIO_DEVICE_SET_IRQS, &arg));
}

static int set_fds(int device, uint32_t index, uint32_t start, uint32_t count,
		   const int *fds)
{
	return set_irqs(device, VFIO_IRQ_SET_DATA_EVENTFD |
			VFIO_IRQ_SET_ACTION_TRIGGER, index, start, count, fds,
			count * sizeof(*fds));
}

static int irq_call(int device, uint32_t action, uint32_t index,
		    uint32_t start, uint32_t count)
{
	return set_irqs(device, VFIO_IRQ_SET_DATA_NONE | action, index, start,
			count, "", 0);
}

/* How often an eventfd was signalled since the last call. */
static uint64_t signals(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static int new_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

FIXTURE(machine) {
	struct fake_root root;
	struct fake_control *control;
	struct opened dev;
	int mem;
	char *vaddr;
	uint64_t hidden;	/* fds that the fake holds for the mapping */
};

FIXTURE_SETUP(machine)
{
	struct fake_config config;

	fake_config_default(&config);
	ASSERT_EQ(0, set_up(&self->root, &config));
	self->control = self->root.control;
	self->dev = closed;
	self->mem = memfd_create("memory", MFD_CLOEXEC);
	ASSERT_LE(0, self->mem);
	ASSERT_EQ(0, ftruncate(self->mem, MEM_SIZE));
	self->vaddr = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   self->mem, 0);
	ASSERT_NE(MAP_FAILED, self->vaddr);
	self->hidden = self->control->hidden_fds;
}

FIXTURE_TEARDOWN(machine)
{
	close_all(&self->dev);
	munmap(self->vaddr, MEM_SIZE);
	close(self->mem);
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_EQ(0, self->control->mapped);
	EXPECT_EQ(0, self->control->hidden_fds);
	EXPECT_EQ(0, self->control->orphans);
	fake_root_destroy(&self->root);
}

TEST_F(machine, sysfs_is_below_the_root)
{
	char link[PATH_MAX], *real, text[16];
	struct dirent *de;
	struct stat st;
	ssize_t n;
	FILE *file;
	DIR *dir;

	n = readlink(SYSFS "/driver", link, sizeof(link) - 1);
	ASSERT_LT(0, n);
	link[n] = '\0';
	EXPECT_STREQ("vfio-pci", strrchr(link, '/') + 1);
	n = readlink(SYSFS "/iommu_group", link, sizeof(link) - 1);
	ASSERT_LT(0, n);
	link[n] = '\0';
	EXPECT_STREQ("7", strrchr(link, '/') + 1);

	real = realpath(SYSFS, NULL);
	ASSERT_NE(NULL, real);
	EXPECT_STREQ("/sys/devices/pci0000:00/0000:01:00.0", real);
	free(real);

	file = fopen(SYSFS "/vendor", "re");
	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(text, sizeof(text), file));
	EXPECT_STREQ("0x1b36\n", text);
	fclose(file);

	dir = opendir("/sys/kernel/iommu_groups/7/devices");
	ASSERT_NE(NULL, dir);
	while ((de = readdir(dir)) && de->d_name[0] == '.')
		;
	ASSERT_NE(NULL, de);
	EXPECT_STREQ("0000:01:00.0", de->d_name);
	closedir(dir);

	EXPECT_EQ(0, access("/dev/vfio/7", R_OK | W_OK));
	EXPECT_EQ(ENOENT, ERRNO_OF(access("/dev/vfio/8", F_OK)));
	EXPECT_EQ(0, stat("/dev/vfio/vfio", &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0, stat(SYSFS "/config", &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(4096, st.st_size);
}

TEST_F(machine, sysfs_config_is_the_device_s)
{
	uint8_t sysfs[4096], device[4096];
	int fd;

	fd = open(SYSFS "/config", O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(4096, read(fd, sysfs, sizeof(sysfs)));
	close(fd);
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(4096, pread(self->dev.device, device, 4096, CONFIG));
	EXPECT_EQ(0, memcmp(sysfs, device, 4096));
	EXPECT_EQ(0x36, device[0]);
	EXPECT_EQ(0x1b, device[1]);
}

TEST_F(machine, nodes_by_a_directory_s_fd)
{
	int dir, fd;

	dir = open("/dev/vfio", O_RDONLY | O_DIRECTORY);
	ASSERT_LE(0, dir);
	fd = openat(dir, "vfio", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(VFIO_API_VERSION, ioctl(fd, VFIO_GET_API_VERSION));
	close(fd);
	close(dir);
	EXPECT_EQ(1, self->control->opens[FAKE_CONTAINER]);
}

TEST_F(machine, other_paths_are_the_kernel_s)
{
	struct stat st;
	int fd;

	fd = open("/dev/null", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, write(fd, "", 1));
	close(fd);
	EXPECT_EQ(0, stat("/proc/self/stat", &st));
	EXPECT_EQ(0, self->control->calls[FAKE_OPEN]);
	EXPECT_EQ(0, self->control->calls[FAKE_CLOSE]);
}

TEST_F(machine, container_before_the_iommu)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int fd;

	fd = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ioctl(fd, VFIO_GET_API_VERSION));
	EXPECT_EQ(1, ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(0, ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_SET_IOMMU,
					 VFIO_TYPE1v2_IOMMU)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_IOMMU_GET_INFO, &info)));
	close(fd);
}

TEST_F(machine, group_order)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container, group, not_one = self->mem, bad = 9999;

	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/7", O_RDWR);
	ASSERT_LE(0, group);
	EXPECT_EQ(EBUSY, ERRNO_OF(open("/dev/vfio/7", O_RDWR)));

	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, status.flags);
	status.argsz = 4;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_STATUS,
					 &status)));

	EXPECT_EQ(EBADF, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					&bad)));
	EXPECT_EQ(EBADFD, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 &not_one)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 "0000:01:00.0")));
	EXPECT_EQ(0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 &container)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 "0000:01:00.0")));
	EXPECT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 "0000:02:00.0")));
	close(group);
	close(container);
}

TEST_F(machine, group_not_viable)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container, group;

	self->control->config.not_viable = true;
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/7", O_RDWR);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	EXPECT_EQ(0, status.flags);
	EXPECT_EQ(EPERM, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					&container)));
	close(group);
	close(container);
	EXPECT_EQ(-EPERM, open_cdev(&self->dev));
}

TEST_F(machine, type1_info)
{
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_iommu_type1_info_cap_iova_range *ranges;
	struct vfio_iommu_type1_info *info;
	uint32_t buf[64] = { 0 };

	info = (void *)buf;
	ASSERT_EQ(0, open_group(&self->dev));
	info->argsz = sizeof(*info);
	ASSERT_EQ(0, ioctl(self->dev.container, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, info->flags);
	EXPECT_EQ(0x40201000, info->iova_pgsizes);
	EXPECT_EQ(0, info->cap_offset);
	ASSERT_LT(sizeof(*info), info->argsz);
	ASSERT_GE(sizeof(buf), info->argsz);

	ASSERT_EQ(0, ioctl(self->dev.container, VFIO_IOMMU_GET_INFO, info));
	ASSERT_EQ(sizeof(*info), info->cap_offset);
	avail = (void *)((char *)info + info->cap_offset);
	EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, avail->header.id);
	EXPECT_EQ(65535, avail->avail);
	ranges = (void *)((char *)info + avail->header.next);
	EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, ranges->header.id);
	ASSERT_EQ(2, ranges->nr_iovas);
	EXPECT_EQ(0xfedfffff, ranges->iova_ranges[0].end);
	EXPECT_EQ(0xfef00000, ranges->iova_ranges[1].start);
	EXPECT_EQ(0, ranges->header.next);

	info->argsz = 12;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->dev.container,
					 VFIO_IOMMU_GET_INFO, info)));
}

#define READ_WRITE	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

TEST_F(machine, type1_map_errors)
{
	int fd;

	ASSERT_EQ(0, open_group(&self->dev));
	fd = self->dev.container;
	EXPECT_EQ(EINVAL, type1_map(fd, 0, 0, self->vaddr, READ_WRITE));
	EXPECT_EQ(EINVAL, type1_map(fd, 1, PAGE, self->vaddr, READ_WRITE));
	EXPECT_EQ(EINVAL, type1_map(fd, 0, 1, self->vaddr, READ_WRITE));
	EXPECT_EQ(EINVAL, type1_map(fd, 0, PAGE, self->vaddr + 1, READ_WRITE));
	EXPECT_EQ(EINVAL, type1_map(fd, 0, PAGE, self->vaddr, 0));
	EXPECT_EQ(EINVAL, type1_map(fd, 0, PAGE, self->vaddr, 1 << 4));
	EXPECT_EQ(EINVAL, type1_map(fd, -PAGE, 2 * PAGE, self->vaddr,
				    READ_WRITE));
	/* The interrupt window is no memory. */
	EXPECT_EQ(EINVAL, type1_map(fd, 0xfee00000, PAGE, self->vaddr,
				    READ_WRITE));

	EXPECT_EQ(0, type1_map(fd, PAGE, 2 * PAGE, self->vaddr, READ_WRITE));
	EXPECT_EQ(EEXIST, type1_map(fd, PAGE, PAGE, self->vaddr, READ_WRITE));
	EXPECT_EQ(EEXIST, type1_map(fd, 0, 2 * PAGE, self->vaddr, READ_WRITE));
	EXPECT_EQ(EEXIST, type1_map(fd, 2 * PAGE, PAGE, self->vaddr,
				    READ_WRITE));
	EXPECT_EQ(0, type1_map(fd, 3 * PAGE, PAGE, self->vaddr, READ_WRITE));

	self->control->config.dma_avail = 2;
	EXPECT_EQ(ENOSPC, type1_map(fd, 4 * PAGE, PAGE, self->vaddr,
				    READ_WRITE));
	self->control->config.dma_avail = 65535;
	self->control->config.memlock = 4 * PAGE;
	EXPECT_EQ(ENOMEM, type1_map(fd, 4 * PAGE, 2 * PAGE, self->vaddr,
				    READ_WRITE));
	EXPECT_EQ(0, type1_map(fd, 4 * PAGE, PAGE, self->vaddr, READ_WRITE));
	EXPECT_EQ(3, self->control->nr_maps);
	EXPECT_EQ(4 * PAGE, self->control->mapped);
}

TEST_F(machine, type1_map_of_bad_memory)
{
	char *window;
	int fd;

	ASSERT_EQ(0, open_group(&self->dev));
	fd = self->dev.container;

	/* Beyond the end of the file. */
	window = mmap(NULL, 2 * MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      self->mem, 0);
	ASSERT_NE(MAP_FAILED, window);
	EXPECT_EQ(EFAULT, type1_map(fd, 0, 2 * MEM_SIZE, window, READ_WRITE));
	EXPECT_EQ(0, type1_map(fd, 0, MEM_SIZE, window, READ_WRITE));

	/* Not there any more. */
	ASSERT_EQ(0, munmap(window, 2 * MEM_SIZE));
	EXPECT_EQ(EFAULT, type1_map(fd, 2 * MEM_SIZE, PAGE, window,
				    READ_WRITE));

	/* For reading only. */
	window = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->mem, 0);
	ASSERT_NE(MAP_FAILED, window);
	EXPECT_EQ(EFAULT, type1_map(fd, 2 * MEM_SIZE, PAGE, window,
				    READ_WRITE));
	EXPECT_EQ(0, type1_map(fd, 2 * MEM_SIZE, PAGE, window,
			       VFIO_DMA_MAP_FLAG_READ));
	munmap(window, PAGE);
}

TEST_F(machine, type1_unmap)
{
	struct vfio_iommu_type1_dma_unmap all = {
		.argsz = sizeof(all),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	uint64_t n;
	int fd;

	ASSERT_EQ(0, open_group(&self->dev));
	fd = self->dev.container;
	ASSERT_EQ(0, type1_map(fd, 0, 4 * PAGE, self->vaddr, READ_WRITE));
	ASSERT_EQ(0, type1_map(fd, 4 * PAGE, PAGE, self->vaddr, READ_WRITE));
	ASSERT_EQ(0, type1_map(fd, 9 * PAGE, PAGE, self->vaddr, READ_WRITE));

	EXPECT_EQ(EINVAL, type1_unmap(fd, 0, PAGE, &n));
	EXPECT_EQ(EINVAL, type1_unmap(fd, PAGE, 3 * PAGE, &n));
	EXPECT_EQ(EINVAL, type1_unmap(fd, 0, 0, &n));
	EXPECT_EQ(EINVAL, type1_unmap(fd, 1, PAGE, &n));
	EXPECT_EQ(0, type1_unmap(fd, 6 * PAGE, PAGE, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, type1_unmap(fd, 0, 5 * PAGE, &n));
	EXPECT_EQ(5 * PAGE, n);
	EXPECT_EQ(1, self->control->nr_maps);

	ASSERT_EQ(0, ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &all));
	EXPECT_EQ(PAGE, all.size);
	EXPECT_EQ(0, self->control->nr_maps);
}

TEST_F(machine, maps_are_shown_and_outlive_the_window)
{
	const struct fake_map *map = &self->control->maps[0];
	struct stat st;
	char *window;
	uint64_t n;

	ASSERT_EQ(0, open_group(&self->dev));
	window = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      self->mem, 2 * PAGE);
	ASSERT_NE(MAP_FAILED, window);
	ASSERT_EQ(0, type1_map(self->dev.container, 0x10000, 2 * PAGE,
			       window + PAGE, VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, type1_map(self->dev.container, 0x20000, PAGE, window,
			       READ_WRITE));
	munmap(window, 4 * PAGE);

	ASSERT_EQ(0, fstat(self->mem, &st));
	EXPECT_TRUE(map->used);
	EXPECT_EQ(0x10000, map->iova);
	EXPECT_EQ(2 * PAGE, map->size);
	EXPECT_TRUE(map->read);
	EXPECT_FALSE(map->write);
	EXPECT_TRUE(map->from_file);
	EXPECT_EQ(st.st_dev, map->dev);
	EXPECT_EQ(st.st_ino, map->ino);
	EXPECT_EQ(3 * PAGE, map->offset);

	strcpy(self->vaddr + 3 * PAGE, "read by the device");
	ASSERT_TRUE(bus_master(self->dev.device, true));
	EXPECT_EQ(FAKE_DMA_DONE, dma(self->dev.device, 0x10000, 0x20000, 64));
	EXPECT_STREQ("read by the device", self->vaddr + 2 * PAGE);

	EXPECT_EQ(0, type1_unmap(self->dev.container, 0x10000, 2 * PAGE, &n));
	EXPECT_FALSE(map->used);
	EXPECT_EQ(1, self->control->nr_maps);
}

TEST_F(machine, a_window_is_what_munmap_left)
{
	char *window, *replaced;

	ASSERT_EQ(0, open_group(&self->dev));
	window = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      self->mem, 0);
	ASSERT_NE(MAP_FAILED, window);
	ASSERT_EQ(0, munmap(window + PAGE, PAGE));
	EXPECT_EQ(EFAULT, type1_map(self->dev.container, 0, 4 * PAGE, window,
				    READ_WRITE));
	ASSERT_EQ(0, type1_map(self->dev.container, 0, 2 * PAGE,
			       window + 2 * PAGE, READ_WRITE));
	EXPECT_EQ(2 * PAGE, self->control->maps[0].offset);

	/* Something else in its place is no longer the file. */
	replaced = mmap(window + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(window + 2 * PAGE, replaced);
	ASSERT_EQ(0, type1_map(self->dev.container, 0x10000, PAGE, replaced,
			       READ_WRITE));
	EXPECT_FALSE(self->control->maps[1].from_file);
	ASSERT_EQ(0, type1_map(self->dev.container, 0x20000, PAGE,
			       window + 3 * PAGE, READ_WRITE));
	EXPECT_TRUE(self->control->maps[2].from_file);
	munmap(window, 4 * PAGE);
}

TEST_F(machine, dma_is_checked)
{
	char *private;
	uint64_t n;
	int fd;

	ASSERT_EQ(0, open_group(&self->dev));
	fd = self->dev.container;
	private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, private);
	ASSERT_EQ(0, type1_map(fd, 0x10000, PAGE, private,
			       VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, type1_map(fd, 0x20000, PAGE, self->vaddr,
			       VFIO_DMA_MAP_FLAG_WRITE));
	strcpy(private, "private");

	EXPECT_EQ(FAKE_DMA_NO_MASTER, dma(self->dev.device, 0x10000, 0x20000,
					  8));
	ASSERT_TRUE(bus_master(self->dev.device, true));
	EXPECT_EQ(FAKE_DMA_DONE, dma(self->dev.device, 0x10000, 0x20000, 8));
	EXPECT_STREQ("private", self->vaddr);
	EXPECT_EQ(FAKE_DMA_READ_FAULT, dma(self->dev.device, 0x20000, 0x20000,
					   8));
	EXPECT_EQ(FAKE_DMA_WRITE_FAULT, dma(self->dev.device, 0x10000, 0x10000,
					    8));
	EXPECT_EQ(FAKE_DMA_READ_FAULT, dma(self->dev.device, 0x10000, 0x20000,
					   PAGE + 1));
	EXPECT_EQ(0, type1_unmap(fd, 0x10000, PAGE, &n));
	EXPECT_EQ(FAKE_DMA_READ_FAULT, dma(self->dev.device, 0x10000, 0x20000,
					   8));
	munmap(private, PAGE);
}

TEST_F(machine, iommufd_maps)
{
	const uint32_t rw = ABI_IOMMU_IOAS_MAP_READABLE |
			    ABI_IOMMU_IOAS_MAP_WRITEABLE;
	struct opened *dev = &self->dev;
	uint64_t n;

	ASSERT_EQ(0, open_cdev(dev));
	EXPECT_EQ(EOPNOTSUPP, map_file(dev, 0, PAGE, self->mem, 0, 1 << 7));
	EXPECT_EQ(EINVAL, map_file(dev, 0, PAGE, self->mem, 0, 0));
	EXPECT_EQ(EBADF, map_file(dev, 0, PAGE, 9999, 0, rw));
	EXPECT_EQ(EINVAL, map_file(dev, 0, 2 * MEM_SIZE, self->mem, 0, rw));
	EXPECT_EQ(EINVAL, map_file(dev, 0xfee00000, PAGE, self->mem, 0, rw));
	EXPECT_EQ(EINVAL, map_file(dev, 0, PAGE / 2, self->mem, 0, rw));
	EXPECT_EQ(EOVERFLOW, map_file(dev, -PAGE, 2 * PAGE, self->mem, 0, rw));
	EXPECT_EQ(0, map_file(dev, 0, 2 * PAGE, self->mem, PAGE, rw));
	EXPECT_EQ(EEXIST, map_file(dev, PAGE, PAGE, self->mem, 0, rw));
	EXPECT_EQ(PAGE, self->control->maps[0].offset);

	EXPECT_EQ(0, ioas_map(dev, 0x10000, PAGE, self->vaddr, rw));
	strcpy(self->vaddr, "by address");
	ASSERT_TRUE(bus_master(dev->device, true));
	EXPECT_EQ(FAKE_DMA_DONE, dma(dev->device, 0x10000, 0, 16));
	EXPECT_STREQ("by address", self->vaddr + PAGE);

	EXPECT_EQ(ENOENT, ioas_unmap(dev, 0, PAGE, &n));
	EXPECT_EQ(ENOENT, ioas_unmap(dev, 0x20000, PAGE, &n));
	EXPECT_EQ(EINVAL, ioas_unmap(dev, 0, 0, &n));
	EXPECT_EQ(0, ioas_unmap(dev, 0, 2 * PAGE, &n));
	EXPECT_EQ(2 * PAGE, n);
	EXPECT_EQ(0, ioas_unmap(dev, 0, UINT64_MAX, &n));
	EXPECT_EQ(PAGE, n);

	self->control->config.has_map_file = false;
	EXPECT_EQ(ENOTTY, map_file(dev, 0, PAGE, self->mem, 0, rw));
}

TEST_F(machine, map_file_wants_shared_memory)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(EINVAL, map_file(&self->dev, 0, PAGE, fd, 0,
				   ABI_IOMMU_IOAS_MAP_READABLE));
	close(fd);
}

TEST_F(machine, iommufd_ranges_come_with_the_device)
{
	struct abi_iommu_iova_range ranges[4];
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct abi_iommu_ioas_iova_ranges query = {
		.size = sizeof(query),
		.num_iovas = 4,
		.allowed_iovas = (uintptr_t)ranges,
	};

	ASSERT_EQ(0, open_cdev(&self->dev));
	query.ioas_id = self->dev.ioas;
	ASSERT_EQ(0, ioctl(self->dev.container, ABI_IOMMU_IOAS_IOVA_RANGES,
			   &query));
	EXPECT_EQ(2, query.num_iovas);
	EXPECT_EQ(PAGE, query.out_iova_alignment);
	EXPECT_EQ(0xfedfffff, ranges[0].last);

	query.num_iovas = 1;
	EXPECT_EQ(EMSGSIZE, ERRNO_OF(ioctl(self->dev.container,
					   ABI_IOMMU_IOAS_IOVA_RANGES,
					   &query)));
	EXPECT_EQ(2, query.num_iovas);

	ASSERT_EQ(0, ioctl(self->dev.container, ABI_IOMMU_IOAS_ALLOC, &alloc));
	query.ioas_id = alloc.out_ioas_id;
	ASSERT_EQ(0, ioctl(self->dev.container, ABI_IOMMU_IOAS_IOVA_RANGES,
			   &query));
	EXPECT_EQ(1, query.num_iovas);
	EXPECT_EQ(UINT64_MAX, ranges[0].last);
}

TEST_F(machine, iommufd_objects)
{
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct abi_iommu_destroy destroy = { .size = sizeof(destroy) };
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = 999,
	};
	struct abi_vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.container;
	alloc.size = 8;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_ALLOC, &alloc)));
	EXPECT_EQ(ENOENT, ERRNO_OF(ioctl(self->dev.device,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 &attach)));
	destroy.id = self->dev.ioas;
	EXPECT_EQ(EBUSY, ERRNO_OF(ioctl(fd, ABI_IOMMU_DESTROY, &destroy)));
	EXPECT_EQ(0, ioctl(self->dev.device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT,
			   &detach));
	EXPECT_EQ(0, ioctl(fd, ABI_IOMMU_DESTROY, &destroy));
	EXPECT_EQ(ENOENT, ERRNO_OF(ioctl(fd, ABI_IOMMU_DESTROY, &destroy)));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(fd, VFIO_GET_API_VERSION)));
}

TEST_F(machine, cdev_before_it_is_bound)
{
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = self->mem,
	};
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint64_t value;
	int fd;

	fd = open("/dev/vfio/devices/vfio0", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_INFO, &info)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, &value, 8, 0)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(EBADFD, ERRNO_OF(ioctl(fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 &bind)));
	bind.iommufd = 9999;
	EXPECT_EQ(EBADF, ERRNO_OF(ioctl(fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					&bind)));
	bind.iommufd = -1;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 &bind)));
	close(fd);
	EXPECT_EQ(0, self->control->enables);
}

TEST_F(machine, one_holder)
{
	struct opened second;

	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(-EINVAL, open_cdev(&second));
	close_all(&second);
	EXPECT_EQ(-EBUSY, open_group(&second));
	/* Not as late as the device: the group itself isn't given. */
	EXPECT_EQ(-1, second.group);
	close_all(&second);
	close_all(&self->dev);

	ASSERT_EQ(0, open_group(&self->dev));
	EXPECT_EQ(-EBUSY, open_cdev(&second));
	close_all(&second);
	EXPECT_EQ(-EBUSY, open_group(&second));
	close_all(&second);
	close_all(&self->dev);
	ASSERT_EQ(0, open_cdev(&self->dev));
}

/* A process that holds a mapping of BAR0 and no fd, until it is killed. */
static pid_t hold_mapping(int device)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		/* Past the fake: to it, this process is its parent. */
		if (syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_SHARED, device,
			    0) < 0)
			_exit(1);
		syscall(SYS_close_range, 0, ready[1] - 1, 0);
		syscall(SYS_close_range, ready[1] + 1, ~0u, 0);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

TEST_F(machine, a_mapping_elsewhere_holds_the_device)
{
	struct opened second;
	int event = new_eventfd();
	pid_t pid;

	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, map_file(&self->dev, 0, PAGE, self->mem, 0,
			      ABI_IOMMU_IOAS_MAP_READABLE));
	ASSERT_EQ(0, set_fds(self->dev.device, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1,
			     &event));
	pid = hold_mapping(self->dev.device);
	ASSERT_LT(0, pid);
	close_all(&self->dev);

	/* The kernel keeps all of it, too. */
	EXPECT_EQ(1, self->control->orphans);
	EXPECT_EQ(1, self->control->nr_maps);
	EXPECT_EQ(1, fake_irq_raise(self->control, VFIO_PCI_MSIX_IRQ_INDEX, 0));
	EXPECT_EQ(1, signals(event));
	EXPECT_EQ(-EINVAL, open_cdev(&second));
	close_all(&second);
	EXPECT_EQ(-EBUSY, open_group(&second));
	close_all(&second);

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_EQ(0, open_group(&self->dev));
	EXPECT_EQ(0, self->control->orphans);
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_EQ(2, self->control->enables);
	close(event);
}

/* The device's own BAR as DMA memory must not keep it open for ever. */
TEST_F(machine, dma_to_the_device_itself)
{
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, map_file(&self->dev, 0x10000, PAGE, self->dev.device,
			      PAGE, ABI_IOMMU_IOAS_MAP_READABLE |
			      ABI_IOMMU_IOAS_MAP_WRITEABLE));
	ASSERT_TRUE(bus_master(self->dev.device, true));
	ASSERT_TRUE(reg_write(self->dev.device, PAGE, 42));
	EXPECT_EQ(FAKE_DMA_DONE, dma(self->dev.device, 0x10000, 0x10008, 8));
	EXPECT_EQ(42, reg_read(self->dev.device, PAGE + 8));
	close_all(&self->dev);
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_EQ(0, open_cdev(&self->dev));
}

TEST_F(machine, an_fd_elsewhere_holds_the_group)
{
	struct opened second;
	int pair[2];
	char buf[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = buf,
		.msg_controllen = sizeof(buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	ASSERT_EQ(0, open_group(&self->dev));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &self->dev.device, sizeof(int));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close_all(&self->dev);

	/* It is in the socket and in nobody's table. */
	EXPECT_EQ(-EBUSY, open_group(&second));
	close_all(&second);
	EXPECT_EQ(-EBUSY, open_cdev(&second));
	close_all(&second);
	close(pair[0]);
	close(pair[1]);
	EXPECT_EQ(0, open_cdev(&self->dev));
}

TEST_F(machine, duplicates_are_the_device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int copy, moved, at;

	ASSERT_EQ(0, open_cdev(&self->dev));
	copy = fcntl(self->dev.device, F_DUPFD_CLOEXEC, 100);
	ASSERT_LE(100, copy);
	close_fd(&self->dev.device);
	ASSERT_EQ(0, ioctl(copy, VFIO_DEVICE_GET_INFO, &info));
	at = open("/dev/null", O_RDWR);
	moved = dup2(copy, at);
	ASSERT_EQ(at, moved);
	close(copy);
	ASSERT_EQ(0, ioctl(moved, VFIO_DEVICE_GET_INFO, &info));
	self->dev.device = dup(moved);
	ASSERT_LE(0, self->dev.device);

	/* Another file in its place is not the device. */
	copy = open("/dev/null", O_RDWR);
	ASSERT_EQ(moved, dup2(copy, moved));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(moved, VFIO_DEVICE_GET_INFO, &info)));
	close(copy);
	close(moved);
	EXPECT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_INFO, &info));
}

TEST_F(machine, device_info)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, info.flags);
	EXPECT_EQ(9, info.num_regions);
	EXPECT_EQ(5, info.num_irqs);
	info.argsz = 15;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->dev.device,
					 VFIO_DEVICE_GET_INFO, &info)));
}

TEST_F(machine, region_info)
{
	struct vfio_region_info_cap_sparse_mmap *sparse;
	uint32_t buf[64] = { 0 };
	struct vfio_region_info *info = (void *)buf;
	struct vfio_info_cap_header *header;
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	info->argsz = sizeof(*info);
	info->index = VFIO_PCI_BAR2_REGION_INDEX;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info));
	EXPECT_EQ(0x4000, info->size);
	EXPECT_EQ(2ull << 40, info->offset);
	EXPECT_TRUE(info->flags & VFIO_REGION_INFO_FLAG_CAPS);
	EXPECT_EQ(0, info->cap_offset);
	ASSERT_LT(sizeof(*info), info->argsz);
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info));
	ASSERT_EQ(sizeof(*info), info->cap_offset);
	sparse = (void *)((char *)info + info->cap_offset);
	EXPECT_EQ(VFIO_REGION_INFO_CAP_SPARSE_MMAP, sparse->header.id);
	EXPECT_EQ(2, sparse->nr_areas);
	EXPECT_EQ(0x3000, sparse->areas[1].offset);
	header = (void *)((char *)info + sparse->header.next);
	EXPECT_EQ(VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, header->id);

	info->index = VFIO_PCI_BAR1_REGION_INDEX;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info));
	EXPECT_EQ(0, info->size);
	EXPECT_EQ(0, info->flags);
	info->index = VFIO_PCI_VGA_REGION_INDEX;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO,
					 info)));
	info->index = VFIO_PCI_NUM_REGIONS;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO,
					 info)));
	info->index = 0;
	info->argsz = sizeof(*info) - 1;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO,
					 info)));
}

TEST_F(machine, accesses_have_the_width_that_was_asked)
{
	const struct fake_access *access;
	uint64_t value = 0x1122334455667788ull;
	static const size_t widths[] = { 1, 2, 4, 8 };
	size_t i;

	ASSERT_EQ(0, open_cdev(&self->dev));
	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		uint64_t before = self->control->nr_accesses;
		uint64_t mask = UINT64_MAX >> (64 - 8 * widths[i]);

		ASSERT_EQ(widths[i], pwrite(self->dev.device, &value,
					    widths[i], 0x100));
		ASSERT_EQ(before + 1, self->control->nr_accesses);
		access = fake_last_access(&self->root, 0);
		EXPECT_EQ(widths[i], access->width);
		EXPECT_EQ(0x100, access->offset);
		EXPECT_EQ(value & mask, access->value);
		EXPECT_TRUE(access->write);
	}

	ASSERT_EQ(7, pread(self->dev.device, &value, 7, 0x101));
	EXPECT_EQ(4, fake_last_access(&self->root, 0)->width);
	EXPECT_EQ(2, fake_last_access(&self->root, 1)->width);
	EXPECT_EQ(1, fake_last_access(&self->root, 2)->width);
	EXPECT_FALSE(fake_last_access(&self->root, 0)->write);
	ASSERT_EQ(8, pread(self->dev.device, &value, 8, CONFIG));
	EXPECT_EQ(4, fake_last_access(&self->root, 0)->width);
	EXPECT_EQ(4, fake_last_access(&self->root, 0)->offset);
}

TEST_F(machine, accesses_that_fail)
{
	uint8_t buf[64];
	uint16_t command = 0;
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	EXPECT_EQ(8, pread(fd, buf, 16, 0x4000 - 8));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, buf, 1, 0x4000)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, buf, 1, REGION(1))));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, buf, 1, REGION(9))));
	EXPECT_EQ(EFAULT, ERRNO_OF(pread(fd, buf, 8, CONFIG + 4092)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pwrite(fd, buf, 1, REGION(6))));
	EXPECT_EQ(0, pread(fd, buf, 0, 0));

	/* The MSI-X table is the kernel's. */
	EXPECT_EQ(8, pread(fd, buf, 8, REGION(2)));
	EXPECT_EQ(0xff, buf[0]);
	EXPECT_EQ(8, pread(fd, buf, 8, REGION(2) + FAKE_MSIX_PBA));
	EXPECT_EQ(0, buf[0]);

	/* Memory decoding off. */
	ASSERT_EQ(2, pwrite(fd, &command, 2, CONFIG + PCI_COMMAND));
	EXPECT_EQ(EIO, ERRNO_OF(pread(fd, buf, 8, 0)));
	EXPECT_EQ(4, pread(fd, buf, 4, REGION(4)));
}

TEST_F(machine, config_space_has_read_only_bits)
{
	uint32_t ones = UINT32_MAX, value;
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	ASSERT_EQ(4, pwrite(fd, &ones, 4, CONFIG + PCI_VENDOR_ID));
	ASSERT_EQ(4, pread(fd, &value, 4, CONFIG + PCI_VENDOR_ID));
	EXPECT_EQ(FAKE_PRODUCT << 16 | FAKE_VENDOR, value);
	ASSERT_EQ(4, pwrite(fd, &ones, 4, CONFIG + PCI_BASE_ADDRESS_0));
	ASSERT_EQ(4, pread(fd, &value, 4, CONFIG + PCI_BASE_ADDRESS_0));
	EXPECT_EQ(0xffffc000, value);
	ASSERT_EQ(4, pwrite(fd, &ones, 4, CONFIG + PCI_BASE_ADDRESS_4));
	ASSERT_EQ(4, pread(fd, &value, 4, CONFIG + PCI_BASE_ADDRESS_4));
	EXPECT_EQ(0xffffffe1, value);
	ASSERT_EQ(1, pwrite(fd, &ones, 1, CONFIG + PCI_INTERRUPT_LINE));
	ASSERT_EQ(4, pread(fd, &value, 4, CONFIG + PCI_INTERRUPT_LINE));
	EXPECT_EQ(0x01ff, value & 0xffff);
}

static uint64_t read_once(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

TEST_F(machine, a_mapping_shows_the_registers)
{
	uint64_t *bar;
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	bar = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, bar);
	EXPECT_EQ(FAKE_ID, read_once(&bar[FAKE_REG_ID / 8]));
	ASSERT_TRUE(reg_write(fd, FAKE_REG_SCRATCH, 42));
	EXPECT_EQ(42, read_once(&bar[FAKE_REG_SCRATCH / 8]));
	__atomic_store_n(&bar[0x100], 43, __ATOMIC_SEQ_CST);
	EXPECT_EQ(43, reg_read(fd, 0x800));
	ASSERT_TRUE(reg_write(fd, FAKE_REG_ID, 0));
	EXPECT_EQ(FAKE_ID, reg_read(fd, FAKE_REG_ID));
	munmap(bar, 0x4000);

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 0x8000, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
				   REGION(4)));
}

TEST_F(machine, resets)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	ASSERT_TRUE(bus_master(fd, true));
	ASSERT_TRUE(reg_write(fd, FAKE_REG_SCRATCH, 42));
	ASSERT_TRUE(reg_write(fd, 0x2000, 42));
	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_RESET));
	EXPECT_EQ(0, reg_read(fd, FAKE_REG_SCRATCH));
	EXPECT_EQ(0, reg_read(fd, 0x2000));
	EXPECT_EQ(FAKE_ID, reg_read(fd, FAKE_REG_ID));
	EXPECT_EQ(1, self->control->resets);
	/* The kernel restores the configuration space. */
	EXPECT_EQ(FAKE_DMA_DONE, dma(fd, 0, 0, 0));

	self->control->config.flr = false;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_RESET)));
	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &reset));
	EXPECT_EQ(1, self->control->hot_resets);
	reset.count = 1;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
					 &reset)));

	/* Opening it anew resets all. */
	ASSERT_TRUE(reg_write(fd, FAKE_REG_SCRATCH, 42));
	close_all(&self->dev);
	ASSERT_EQ(0, open_group(&self->dev));
	EXPECT_EQ(0, reg_read(self->dev.device, FAKE_REG_SCRATCH));
	EXPECT_EQ(FAKE_DMA_NO_MASTER, dma(self->dev.device, 0, 0, 0));
	EXPECT_EQ(2, self->control->enables);
}

/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO with room for some devices. */
struct bus_info {
	struct vfio_pci_hot_reset_info info;
	struct vfio_pci_dependent_device devices[2];
};

TEST_F(machine, what_a_bus_reset_touches)
{
	struct vfio_pci_hot_reset_info small = { .argsz = sizeof(small) };
	struct bus_info bus = { .info.argsz = sizeof(bus) };
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t group;
	} arg = { .reset.argsz = sizeof(arg), .reset.count = 1 };
	int fd;

	self->control->config.nr_others = 1;
	self->control->config.others[0] = (struct fake_other){
		.group = 7,
		.bus = 1,
		.devfn = 1,
	};
	ASSERT_EQ(0, open_group(&self->dev));
	fd = self->dev.device;
	EXPECT_EQ(ENOSPC, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
					 &small)));
	EXPECT_EQ(2, small.count);
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &bus));
	EXPECT_EQ(2, bus.info.count);
	EXPECT_EQ(0, bus.info.flags);
	EXPECT_EQ(7, bus.info.devices[0].group_id);
	EXPECT_EQ(1, bus.info.devices[0].bus);
	EXPECT_EQ(1, bus.info.devices[1].devfn);

	arg.group = self->dev.group;
	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &arg));
	arg.group = self->dev.container;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
					 &arg)));
	arg.group = self->dev.group;
	self->control->config.others[0].group = 8;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
					 &arg)));
	self->control->config.bus_reset = false;
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
					 &bus)));
	close_all(&self->dev);

	self->control->config.bus_reset = true;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
			   &bus));
	/* By device number, not all of them ours. */
	EXPECT_EQ(1, bus.info.flags);
	EXPECT_EQ(UINT32_MAX, bus.info.devices[1].group_id);
	self->control->config.others[0].owned = true;
	ASSERT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
			   &bus));
	EXPECT_EQ(3, bus.info.flags);
	EXPECT_EQ(0, bus.info.devices[1].group_id);
}

#define GET		VFIO_DEVICE_FEATURE_GET
#define SET		VFIO_DEVICE_FEATURE_SET
#define PROBE		VFIO_DEVICE_FEATURE_PROBE
#define MIGRATION	VFIO_DEVICE_FEATURE_MIGRATION
#define MIG_STATE	VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
#define SLEEP		VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
#define WAKE		VFIO_DEVICE_FEATURE_LOW_POWER_EXIT
#define LOG_START	VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define LOG_STOP	VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
#define LOG_REPORT	VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT

/* Migration states, and what of them a device has. */
enum {
	ERROR,
	STOP,
	RUNNING,
	STOP_COPY,
	RESUMING,
	RUNNING_P2P,
	PRE_COPY,
	PRE_COPY_P2P,
	NR_STATES,
};

#define HAS_PRE_COPY	4u

/* VFIO_DEVICE_FEATURE; what it fails with. */
static int feature(int device, uint32_t flags, void *data, size_t len)
{
	struct {
		struct vfio_device_feature feature;
		uint64_t data[16];
	} arg = {
		.feature.argsz = sizeof(arg.feature) + len,
		.feature.flags = flags,
	};
	int err;

	memcpy(arg.data, data, len);
	err = ERRNO_OF(ioctl(device, VFIO_DEVICE_FEATURE, &arg));
	memcpy(data, arg.data, len);
	return err;
}

/* Go to a state; the errno, and in @fd what came with it. */
static int set_state(int device, uint32_t state, int *fd)
{
	struct vfio_device_feature_mig_state set = { state, 99 };
	int err = feature(device, SET | MIG_STATE, &set, sizeof(set));

	*fd = set.data_fd;
	return err;
}

static uint32_t get_state(int device)
{
	struct vfio_device_feature_mig_state get = { 99, 99 };

	if (feature(device, GET | MIG_STATE, &get, sizeof(get)) ||
	    get.data_fd != -1)
		return NR_STATES;
	return get.device_state;
}

TEST_F(machine, features_are_checked)
{
	struct vfio_device_feature arg = { .argsz = sizeof(arg) };
	uint64_t data[4] = { 0 };

	self->control->config.migration = VFIO_MIGRATION_STOP_COPY;
	self->control->config.logging = true;
	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, PROBE | 0, data, 0));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, PROBE | 0xffff, data, 0));
	EXPECT_EQ(EINVAL, feature(self->dev.device, PROBE << 1 | GET |
				  MIGRATION, data, 8));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | SET, data, 8));
	EXPECT_EQ(EINVAL, feature(self->dev.device, MIGRATION, data, 8));
	EXPECT_EQ(EINVAL, feature(self->dev.device, SET | MIGRATION, data, 8));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | MIGRATION, data, 7));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | MIG_STATE, data, 7));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | LOG_START, data,
				  24));
	EXPECT_EQ(EINVAL, feature(self->dev.device, SET | LOG_START, data,
				  23));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | LOG_STOP, data, 0));
	EXPECT_EQ(EINVAL, feature(self->dev.device, SET | LOG_REPORT, data,
				  32));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | LOG_REPORT, data,
				  31));

	EXPECT_EQ(0, feature(self->dev.device, PROBE | MIGRATION, data, 0));
	EXPECT_EQ(0, feature(self->dev.device, PROBE | GET | MIGRATION, data,
			     0));
	EXPECT_EQ(EINVAL, feature(self->dev.device, PROBE | GET | SET |
				  MIGRATION, data, 0));
	EXPECT_EQ(0, feature(self->dev.device, PROBE | GET | SET | MIG_STATE,
			     data, 0));
	EXPECT_EQ(0, feature(self->dev.device, PROBE | SET | LOG_START, data,
			     0));
	EXPECT_EQ(0, feature(self->dev.device, GET | MIGRATION, data, 8));
	EXPECT_EQ(VFIO_MIGRATION_STOP_COPY, data[0]);
	arg.argsz--;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->dev.device, VFIO_DEVICE_FEATURE,
					 &arg)));
}

TEST_F(machine, features_that_it_does_not_have)
{
	uint64_t data[4] = { 0 };

	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, GET | MIGRATION, data, 8));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, PROBE | MIG_STATE, data,
				  0));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, SET | LOG_START, data,
				  24));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, SET | LOG_STOP, data, 0));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, GET | LOG_REPORT, data,
				  32));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->dev.device, 0x1234)));
}

/* From anywhere to anywhere, as far as there are such states. */
static bool can_go(uint32_t kind, uint32_t from, uint32_t to)
{
	static const uint32_t needs[NR_STATES] = { 8, 1, 1, 1, 1, 3, 5, 7 };

	if ((needs[to] & kind) != needs[to])
		return false;
	if (from == STOP_COPY && (to == PRE_COPY || to == PRE_COPY_P2P))
		return false;
	/* Nothing was written that it could stop resuming with. */
	return from != RESUMING || to == RESUMING;
}

TEST_F(machine, migration_states)
{
	uint32_t kind, from, to, want;
	int device, err, fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	device = self->dev.device;
	for (kind = 1; kind < 8; kind += 2) {
		self->control->config.migration = kind;
		for (from = 0; from < NR_STATES * NR_STATES; from++) {
			to = from % NR_STATES;
			ASSERT_EQ(0, ioctl(device, VFIO_DEVICE_RESET));
			ASSERT_EQ(RUNNING, get_state(device));
			if (set_state(device, from / NR_STATES, &fd))
				continue;
			close_fd(&fd);
			err = set_state(device, to, &fd);
			close_fd(&fd);
			want = can_go(kind, from / NR_STATES, to) ? 0 : EINVAL;
			ASSERT_EQ(want, err);
			if (err)
				continue;
			EXPECT_EQ(to, get_state(device));
		}
	}
	EXPECT_EQ(EINVAL, set_state(device, NR_STATES, &fd));
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(EINVAL, set_state(device, UINT32_MAX, &fd));
}

TEST_F(machine, migration_moves_the_device)
{
	uint8_t data[2000];
	int fd, other;

	self->control->config.migration = VFIO_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_TRUE(reg_write(self->dev.device, FAKE_REG_SCRATCH, 4711));
	ASSERT_EQ(0, set_state(self->dev.device, STOP_COPY, &fd));
	ASSERT_LE(0, fd);
	EXPECT_EQ(100, read(fd, data, 100));
	EXPECT_EQ(900, read(fd, data + 100, 1000));
	EXPECT_EQ(0, read(fd, data, 1));
	EXPECT_EQ(EBADF, ERRNO_OF(write(fd, data, 1)));
	EXPECT_EQ(0, set_state(self->dev.device, STOP_COPY, &other));
	EXPECT_EQ(-1, other);

	ASSERT_EQ(0, set_state(self->dev.device, RESUMING, &other));
	ASSERT_LE(0, other);
	EXPECT_EQ(ENODEV, ERRNO_OF(read(fd, data, 1)));
	EXPECT_EQ(EBADF, ERRNO_OF(read(other, data, 1)));
	ASSERT_TRUE(reg_write(self->dev.device, FAKE_REG_SCRATCH, 1));
	EXPECT_EQ(999, write(other, data, 999));
	EXPECT_EQ(EINVAL, set_state(self->dev.device, STOP, &fd));
	EXPECT_EQ(RESUMING, get_state(self->dev.device));
	EXPECT_EQ(ENOMEM, ERRNO_OF(write(other, data, 2)));
	EXPECT_EQ(1, write(other, data + 999, 1));
	EXPECT_EQ(0, set_state(self->dev.device, RUNNING, &fd));
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(4711, reg_read(self->dev.device, FAKE_REG_SCRATCH));
	EXPECT_EQ(ENODEV, ERRNO_OF(write(other, data, 1)));
	close(other);
}

TEST_F(machine, migration_checks_what_it_resumes)
{
	static const int wrong[] = { 0, 8, 16, 991 };
	uint8_t data[2000];
	int fd, i;

	self->control->config.migration = VFIO_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, set_state(self->dev.device, STOP_COPY, &fd));
	ASSERT_EQ(1000, read(fd, data, 1000));
	close(fd);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_RESET));
		ASSERT_EQ(0, set_state(self->dev.device, RESUMING, &fd));
		data[wrong[i]] ^= 1;
		EXPECT_EQ(1000, write(fd, data, 1000));
		data[wrong[i]] ^= 1;
		close(fd);
		EXPECT_EQ(EINVAL, set_state(self->dev.device, STOP, &fd));
	}
}

TEST_F(machine, migration_before_it_stops)
{
	uint8_t data[2000];
	int fd, other;

	self->control->config.migration = VFIO_MIGRATION_STOP_COPY |
					  HAS_PRE_COPY;
	self->control->config.mig_initial = 300;
	self->control->config.mig_enomsg = true;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, set_state(self->dev.device, PRE_COPY, &fd));
	ASSERT_LE(0, fd);
	EXPECT_EQ(300, read(fd, data, 1000));
	EXPECT_EQ(ENOMSG, ERRNO_OF(read(fd, data, 1000)));
	ASSERT_TRUE(reg_write(self->dev.device, FAKE_REG_SCRATCH, 42));
	ASSERT_EQ(0, set_state(self->dev.device, STOP_COPY, &other));
	EXPECT_EQ(-1, other);
	EXPECT_EQ(700, read(fd, data + 300, 1000));
	EXPECT_EQ(0, read(fd, data, 1000));
	EXPECT_EQ(42, data[992]);

	/* A driver may say the same of both ends. */
	close(fd);
	ASSERT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_RESET));
	self->control->config.mig_enomsg = false;
	ASSERT_EQ(0, set_state(self->dev.device, PRE_COPY, &fd));
	EXPECT_EQ(300, read(fd, data, 1000));
	EXPECT_EQ(0, read(fd, data, 1000));
	close(fd);
}

TEST_F(machine, streams_can_be_made_to_fail)
{
	const struct fake_rule shorter = { .call = FAKE_READ, .limit = 10 };
	const struct fake_rule fails = { .call = FAKE_WRITE, .err = EIO };
	uint8_t data[2000];
	int fd;

	self->control->config.migration = VFIO_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, open_cdev(&self->dev));
	fake_rule_set(&self->root, 0, &shorter);
	fake_rule_set(&self->root, 1, &fails);
	ASSERT_EQ(0, set_state(self->dev.device, STOP_COPY, &fd));
	EXPECT_EQ(10, read(fd, data, 1000));
	close(fd);
	ASSERT_EQ(0, set_state(self->dev.device, RESUMING, &fd));
	EXPECT_EQ(EIO, ERRNO_OF(write(fd, data, 10)));
	EXPECT_EQ(2, self->control->opens[FAKE_STREAM]);
	close(fd);
}

/* What a device has logged, as one word. */
static int log_report(int device, uint64_t iova, uint64_t length,
		      uint64_t page_size, uint64_t *bits)
{
	struct vfio_device_feature_dma_logging_report report = {
		.iova = iova,
		.length = length,
		.page_size = page_size,
		.bitmap = (uintptr_t)bits,
	};

	*bits = 0;
	return feature(device, GET | LOG_REPORT, &report, sizeof(report));
}

static int log_start(int device, uint64_t *page_size, uint32_t nr,
		     const struct vfio_device_feature_dma_logging_range *range)
{
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = *page_size,
		.num_ranges = nr,
		.ranges = (uintptr_t)range,
	};
	int err = feature(device, SET | LOG_START, &control, sizeof(control));

	*page_size = control.page_size;
	return err;
}

TEST_F(machine, dma_logging)
{
	const struct vfio_device_feature_dma_logging_range range = {
		0x100000, 8 * PAGE
	};
	uint64_t bits, page = 2 * PAGE;

	self->control->config.logging = true;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, map_file(&self->dev, 0x100000, MEM_SIZE, self->mem, 0,
			      ABI_IOMMU_IOAS_MAP_READABLE |
			      ABI_IOMMU_IOAS_MAP_WRITEABLE));
	ASSERT_TRUE(bus_master(self->dev.device, true));
	EXPECT_EQ(EINVAL, log_report(self->dev.device, 0x100000, 8 * PAGE,
				     PAGE, &bits));
	ASSERT_EQ(0, log_start(self->dev.device, &page, 1, &range));
	EXPECT_EQ(PAGE, page);
	EXPECT_EQ(1, self->control->nr_log_ranges);
	EXPECT_EQ(EINVAL, log_start(self->dev.device, &page, 1, &range));

	/* Page 2, pages 4 and 5, and one outside of the range. */
	dma(self->dev.device, 0x100000, 0x102010, 8);
	dma(self->dev.device, 0x100000, 0x104ffc, 8);
	dma(self->dev.device, 0x100000, 0x108000, 8);
	EXPECT_EQ(0, log_report(self->dev.device, 0x100000, 2 * PAGE, PAGE,
				&bits));
	EXPECT_EQ(0, bits);
	EXPECT_EQ(0, log_report(self->dev.device, 0x100000, MEM_SIZE, PAGE,
				&bits));
	EXPECT_EQ(0x34, bits);
	EXPECT_EQ(0, log_report(self->dev.device, 0x100000, MEM_SIZE, PAGE,
				&bits));
	EXPECT_EQ(0, bits);
	dma(self->dev.device, 0x100000, 0x105000, 8);
	EXPECT_EQ(0, log_report(self->dev.device, 0x100000, MEM_SIZE, 2 * PAGE,
				&bits));
	EXPECT_EQ(4, bits);

	EXPECT_EQ(0, feature(self->dev.device, SET | LOG_STOP, &page, 0));
	EXPECT_EQ(0, feature(self->dev.device, SET | LOG_STOP, &page, 0));
	EXPECT_EQ(0, self->control->nr_log_ranges);
	EXPECT_EQ(EINVAL, log_report(self->dev.device, 0x100000, PAGE, PAGE,
				     &bits));
}

TEST_F(machine, dma_logging_is_checked)
{
	struct vfio_device_feature_dma_logging_range range[2] = {
		{ 0x100000, 8 * PAGE }, { 0x107000, PAGE },
	};
	uint64_t bits, page = PAGE;

	self->control->config.logging = true;
	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(EINVAL, log_start(self->dev.device, &page, 0, range));
	EXPECT_EQ(E2BIG, log_start(self->dev.device, &page, 257, range));
	EXPECT_EQ(EINVAL, log_start(self->dev.device, &page, 2, range));
	range[0].iova++;
	EXPECT_EQ(EINVAL, log_start(self->dev.device, &page, 1, range));
	range[0].iova = -PAGE;
	EXPECT_EQ(EOVERFLOW, log_start(self->dev.device, &page, 1, range));
	EXPECT_EQ(0, log_start(self->dev.device, &page, 1, &range[1]));

	EXPECT_EQ(EINVAL, log_report(self->dev.device, 0, PAGE, 2048, &bits));
	EXPECT_EQ(EINVAL, log_report(self->dev.device, 0, PAGE, 3 * PAGE,
				     &bits));
	EXPECT_EQ(EOVERFLOW, log_report(self->dev.device, -PAGE, PAGE, PAGE,
					&bits));
}

TEST_F(machine, low_power)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint64_t none = 0;

	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, SET | SLEEP, &none, 0));
	EXPECT_EQ(ENOTTY, feature(self->dev.device, PROBE | WAKE, &none, 0));
	self->control->config.low_power = true;
	EXPECT_EQ(0, feature(self->dev.device, PROBE | SET | SLEEP, &none, 0));
	EXPECT_EQ(EINVAL, feature(self->dev.device, GET | SLEEP, &none, 0));
	EXPECT_FALSE(self->control->asleep);

	EXPECT_EQ(0, feature(self->dev.device, SET | SLEEP, &none, 0));
	EXPECT_TRUE(self->control->asleep);
	EXPECT_EQ(EINVAL, feature(self->dev.device, SET | SLEEP, &none, 0));
	EXPECT_EQ(1, self->control->sleeps);
	EXPECT_EQ(0, self->control->disturbed);
	EXPECT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(1, self->control->disturbed);
	EXPECT_EQ(0, feature(self->dev.device, SET | WAKE, &none, 0));
	EXPECT_FALSE(self->control->asleep);
	EXPECT_EQ(0, feature(self->dev.device, SET | WAKE, &none, 0));
	EXPECT_EQ(0, ioctl(self->dev.device, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(1, self->control->disturbed);

	/* Who closes it wakes it. */
	EXPECT_EQ(0, feature(self->dev.device, SET | SLEEP, &none, 0));
	EXPECT_EQ(2, self->control->sleeps);
	close_all(&self->dev);
	EXPECT_FALSE(self->control->asleep);
}

static int ioeventfd(int device, uint64_t offset, uint32_t flags,
		     uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.offset = offset,
		.data = data,
		.fd = fd,
	};

	return ERRNO_OF(ioctl(device, VFIO_DEVICE_IOEVENTFD, &arg));
}

TEST_F(machine, ioeventfds_are_checked)
{
	const off_t bar2 = REGION(FAKE_MSIX_BAR);
	int event = new_eventfd(), i;
	struct vfio_device_ioeventfd small = {
		.argsz = sizeof(small) - 1,
		.flags = 4,
		.offset = 0x100,
		.fd = event,
	};

	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->dev.device,
					 VFIO_DEVICE_IOEVENTFD, &small)));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x100, 0, 0, event));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x100, 3, 0, event));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x100, 16, 0, event));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x100, 4, 0, -2));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, CONFIG, 4, 0, event));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x3ffe, 4, 0, event));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, bar2 + 0xff, 1, 0,
				    event));
	EXPECT_EQ(EBADF, ioeventfd(self->dev.device, 0x100, 4, 0, 9999));
	EXPECT_EQ(EINVAL, ioeventfd(self->dev.device, 0x100, 4, 0, self->mem));
	EXPECT_EQ(ENODEV, ioeventfd(self->dev.device, 0x100, 4, 0, -1));

	EXPECT_EQ(0, ioeventfd(self->dev.device, bar2 + 0x100, 1, 0, event));
	EXPECT_EQ(EEXIST, ioeventfd(self->dev.device, bar2 + 0x100, 1, 0,
				    event));
	for (i = 1; i < FAKE_MAX_DOORBELLS; i++)
		EXPECT_EQ(0, ioeventfd(self->dev.device, 0x100, 4, i, event));
	EXPECT_EQ(ENOSPC, ioeventfd(self->dev.device, 0x100, 4, i, event));
	EXPECT_EQ(FAKE_MAX_DOORBELLS, self->control->nr_doorbells);
	EXPECT_EQ(0, ioeventfd(self->dev.device, 0x100, 4, 5, -1));
	EXPECT_EQ(FAKE_MAX_DOORBELLS - 1, self->control->nr_doorbells);
	EXPECT_EQ(ENODEV, ioeventfd(self->dev.device, 0x100, 4, 5, -1));
	close_all(&self->dev);
	EXPECT_EQ(0, self->control->nr_doorbells);
	close(event);
}

TEST_F(machine, ioeventfds_write)
{
	const uint16_t off = 0, memory = PCI_COMMAND_MEMORY;
	int event = new_eventfd(), device;
	const struct fake_access *last;
	uint32_t value;

	ASSERT_EQ(0, open_cdev(&self->dev));
	device = self->dev.device;
	EXPECT_EQ(0, ioeventfd(device, 0x104, 4, 0x12345678, event));
	EXPECT_EQ(0, fake_doorbells_poll(&self->root));
	EXPECT_EQ(0, fake_eventfd_signal(event));
	EXPECT_EQ(0, fake_eventfd_signal(event));
	EXPECT_EQ(1, fake_doorbells_poll(&self->root));
	EXPECT_EQ(0, fake_doorbells_poll(&self->root));
	last = fake_last_access(&self->root, 0);
	ASSERT_NE(NULL, last);
	EXPECT_EQ(0x104, last->offset);
	EXPECT_EQ(4, last->width);
	EXPECT_TRUE(last->write);
	EXPECT_EQ(0x12345678, last->value);
	EXPECT_EQ(4, pread(device, &value, 4, 0x104));
	EXPECT_EQ(0x12345678, value);

	/* Nothing is written to a BAR that doesn't decode. */
	value = 0;
	EXPECT_EQ(4, pwrite(device, &value, 4, 0x104));
	EXPECT_EQ(2, pwrite(device, &off, 2, CONFIG + PCI_COMMAND));
	EXPECT_EQ(0, fake_eventfd_signal(event));
	EXPECT_EQ(1, fake_doorbells_poll(&self->root));
	EXPECT_EQ(2, pwrite(device, &memory, 2, CONFIG + PCI_COMMAND));
	EXPECT_EQ(4, pread(device, &value, 4, 0x104));
	EXPECT_EQ(0, value);
	close(event);
}

#define TRIGGER		VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK		VFIO_IRQ_SET_ACTION_MASK
#define UNMASK		VFIO_IRQ_SET_ACTION_UNMASK
#define INTX		VFIO_PCI_INTX_IRQ_INDEX
#define MSI		VFIO_PCI_MSI_IRQ_INDEX
#define MSIX		VFIO_PCI_MSIX_IRQ_INDEX

TEST_F(machine, irq_info)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = MSIX };
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_EQ(16, info.count);
	EXPECT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, info.flags);
	info.index = INTX;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
		  VFIO_IRQ_INFO_AUTOMASKED, info.flags);
	info.index = VFIO_PCI_NUM_IRQS;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO,
					 &info)));
	self->control->config.irqs[VFIO_PCI_ERR_IRQ_INDEX].count = 0;
	self->control->config.irqs[VFIO_PCI_ERR_IRQ_INDEX].flags = 0;
	info.index = VFIO_PCI_ERR_IRQ_INDEX;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO,
					 &info)));
}

TEST_F(machine, set_irqs_is_checked)
{
	const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | TRIGGER;
	int event = new_eventfd(), bad = 9999, fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	EXPECT_EQ(EINVAL, set_irqs(fd, flags, 5, 0, 1, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags, MSIX, 16, 1, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags, MSIX, 15, 2, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags, MSIX, UINT32_MAX, 1, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags, MSIX, 0, 1, &event, 3));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags | VFIO_IRQ_SET_DATA_NONE, MSIX, 0,
				   1, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, TRIGGER, MSIX, 0, 1, &event, 4));
	EXPECT_EQ(EINVAL, set_irqs(fd, flags | 1 << 6, MSIX, 0, 1, &event, 4));
	EXPECT_EQ(ENOTTY, set_irqs(fd, VFIO_IRQ_SET_DATA_EVENTFD, MSIX, 0, 1,
				   &event, 4));
	EXPECT_EQ(ENOTTY, irq_call(fd, MASK, MSIX, 0, 1));
	EXPECT_EQ(EINVAL, set_fds(fd, MSIX, 0, 1, &self->mem));
	EXPECT_EQ(EBADF, set_fds(fd, MSIX, 0, 1, &bad));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
	close(event);
}

TEST_F(machine, msix_vectors)
{
	int events[4], none = -1, fd, i;

	for (i = 0; i < 4; i++)
		events[i] = new_eventfd();
	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	ASSERT_EQ(0, set_fds(fd, MSIX, 0, 4, events));

	EXPECT_EQ(1, fake_irq_raise(self->control, MSIX, 3));
	EXPECT_EQ(1, signals(events[3]));
	EXPECT_TRUE(reg_write(fd, FAKE_REG_RAISE, (uint64_t)MSIX << 32 | 2));
	EXPECT_EQ(1, signals(events[2]));
	EXPECT_EQ(0, signals(events[1]));

	/* One at a time, and never more than at first. */
	EXPECT_EQ(EINVAL, set_fds(fd, MSI, 0, 1, events));
	EXPECT_EQ(EINVAL, set_fds(fd, INTX, 0, 1, events));
	EXPECT_EQ(EINVAL, set_fds(fd, MSIX, 4, 1, events));
	EXPECT_EQ(EINVAL, set_fds(fd, MSIX, 3, 2, events));

	/* Loopback. */
	EXPECT_EQ(0, irq_call(fd, TRIGGER, MSIX, 0, 2));
	EXPECT_EQ(1, signals(events[0]));
	EXPECT_EQ(1, signals(events[1]));
	EXPECT_EQ(0, set_irqs(fd, VFIO_IRQ_SET_DATA_BOOL | TRIGGER, MSIX, 0, 4,
			      "\0\1\0\1", 4));
	EXPECT_EQ(0, signals(events[0]));
	EXPECT_EQ(1, signals(events[1]));
	EXPECT_EQ(1, signals(events[3]));

	/* -1 takes an eventfd away, and the vector stays. */
	EXPECT_EQ(0, set_fds(fd, MSIX, 1, 1, &none));
	EXPECT_EQ(0, fake_irq_raise(self->control, MSIX, 1));
	EXPECT_EQ(0, set_fds(fd, MSIX, 1, 1, &events[1]));
	EXPECT_EQ(1, fake_irq_raise(self->control, MSIX, 1));

	/* Closing one's own eventfd changes nothing. */
	EXPECT_EQ(self->hidden + 4, self->control->hidden_fds);
	for (i = 0; i < 4; i++)
		close(events[i]);
	EXPECT_EQ(1, fake_irq_raise(self->control, MSIX, 0));

	EXPECT_EQ(0, irq_call(fd, TRIGGER, MSIX, 0, 0));
	EXPECT_EQ(self->hidden, self->control->hidden_fds);
	EXPECT_EQ(0, fake_irq_raise(self->control, MSIX, 0));
	EXPECT_EQ(EINVAL, irq_call(fd, TRIGGER, MSIX, 0, 0));
}

TEST_F(machine, msix_that_can_grow)
{
	int event = new_eventfd();

	self->control->config.irqs[MSIX].flags = VFIO_IRQ_INFO_EVENTFD;
	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, set_fds(self->dev.device, MSIX, 0, 1, &event));
	EXPECT_EQ(0, set_fds(self->dev.device, MSIX, 15, 1, &event));
	EXPECT_EQ(1, fake_irq_raise(self->control, MSIX, 15));
	close(event);
}

TEST_F(machine, set_irqs_undoes_what_failed)
{
	int events[2], fds[3], fd;

	events[0] = new_eventfd();
	events[1] = new_eventfd();
	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	fds[0] = events[0];
	fds[1] = events[1];
	fds[2] = self->mem;
	EXPECT_EQ(EINVAL, set_fds(fd, MSIX, 0, 3, fds));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
	EXPECT_EQ(self->hidden, self->control->hidden_fds);
	EXPECT_EQ(0, set_fds(fd, MSI, 0, 2, fds));
	close(events[0]);
	close(events[1]);
}

TEST_F(machine, intx_masks_itself)
{
	struct fake_control *control = self->control;
	int event = new_eventfd(), fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	EXPECT_EQ(EINVAL, irq_call(fd, UNMASK, INTX, 0, 1));
	ASSERT_EQ(0, set_fds(fd, INTX, 0, 1, &event));
	EXPECT_EQ(1, fake_irq_raise(control, INTX, 0));
	EXPECT_EQ(1, signals(event));
	EXPECT_TRUE(control->irq.masked);

	/* Raised again while masked, it waits. */
	EXPECT_EQ(0, fake_irq_raise(control, INTX, 0));
	EXPECT_EQ(0, signals(event));
	EXPECT_EQ(0, irq_call(fd, UNMASK, INTX, 0, 1));
	EXPECT_EQ(1, signals(event));
	EXPECT_EQ(0, irq_call(fd, UNMASK, INTX, 0, 1));
	EXPECT_EQ(0, signals(event));
	EXPECT_FALSE(control->irq.masked);

	EXPECT_EQ(0, irq_call(fd, MASK, INTX, 0, 1));
	EXPECT_EQ(0, fake_irq_raise(control, INTX, 0));
	EXPECT_EQ(EINVAL, irq_call(fd, MASK, INTX, 0, 0));
	EXPECT_EQ(0, irq_call(fd, TRIGGER, INTX, 0, 0));
	EXPECT_EQ(0, fake_irq_raise(control, INTX, 0));
	EXPECT_EQ(0, signals(event));
	close(event);
}

TEST_F(machine, intx_by_an_unmask_eventfd)
{
	int event = new_eventfd(), unmask = new_eventfd(), fd;
	const uint64_t one = 1;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	ASSERT_EQ(0, set_fds(fd, INTX, 0, 1, &event));
	EXPECT_EQ(ENOTTY, set_irqs(fd, VFIO_IRQ_SET_DATA_EVENTFD | MASK, INTX,
				   0, 1, &unmask, 4));
	ASSERT_EQ(0, set_irqs(fd, VFIO_IRQ_SET_DATA_EVENTFD | UNMASK, INTX, 0,
			      1, &unmask, 4));
	EXPECT_EQ(1, fake_irq_raise(self->control, INTX, 0));
	EXPECT_EQ(0, fake_irq_raise(self->control, INTX, 0));
	EXPECT_EQ(0, fake_irq_poll(self->control));
	ASSERT_EQ(sizeof(one), write(unmask, &one, sizeof(one)));
	EXPECT_EQ(1, fake_irq_poll(self->control));
	EXPECT_EQ(2, signals(event));
	close(event);
	close(unmask);
}

TEST_F(machine, err_and_req)
{
	const uint32_t err = VFIO_PCI_ERR_IRQ_INDEX;
	const uint32_t req = VFIO_PCI_REQ_IRQ_INDEX;
	int event = new_eventfd(), none = -1, fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	EXPECT_EQ(EINVAL, irq_call(fd, TRIGGER, req, 0, 1));
	ASSERT_EQ(0, set_fds(fd, req, 0, 1, &event));
	ASSERT_EQ(0, set_fds(fd, err, 0, 1, &event));
	EXPECT_EQ(1, fake_irq_raise(self->control, req, 0));
	EXPECT_EQ(1, fake_irq_raise(self->control, err, 0));
	EXPECT_EQ(0, irq_call(fd, TRIGGER, req, 0, 1));
	EXPECT_EQ(3, signals(event));
	EXPECT_EQ(0, irq_call(fd, TRIGGER, req, 0, 0));
	EXPECT_EQ(0, set_fds(fd, err, 0, 1, &none));
	EXPECT_EQ(0, fake_irq_raise(self->control, req, 0));
	EXPECT_EQ(0, fake_irq_raise(self->control, err, 0));
	EXPECT_EQ(ENOTTY, irq_call(fd, MASK, req, 0, 1));
	close(event);
}

TEST_F(machine, rules_fail_and_shorten)
{
	struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_GET_INFO,
		.nth = 2,
		.err = EIO,
	};
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint64_t value, *counted;
	int fd;

	ASSERT_EQ(0, open_cdev(&self->dev));
	fd = self->dev.device;
	counted = &self->control->ioctls[FAKE_DEVICE][_IOC_NR(rule.request)];
	fake_rule_set(&self->root, 3, &rule);
	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(EIO, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_INFO, &info)));
	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(3, *counted);

	fake_rule_set(&self->root, 0, &(struct fake_rule){
		.call = FAKE_PREAD,
		.limit = 3,
	});
	EXPECT_EQ(3, pread(fd, &value, 8, 0));
	fake_rule_set(&self->root, 1, &(struct fake_rule){
		.call = FAKE_OPEN,
		.nth = 1,
		.err = EACCES,
	});
	EXPECT_EQ(EACCES, ERRNO_OF(open("/dev/iommu", O_RDWR)));
	fake_rule_set(&self->root, 2, &(struct fake_rule){
		.call = FAKE_MMAP,
		.err = ENOMEM,
	});
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
				   self->mem, 0));
	EXPECT_EQ(ENOMEM, errno);
	fake_rules_clear(&self->root);
	EXPECT_EQ(8, pread(fd, &value, 8, 0));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

TEST_F(machine, rules_delay)
{
	const struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = FAKE_CONTAINER,
		.request = VFIO_GET_API_VERSION,
		.delay_ms = 30,
	};
	uint64_t start;
	int fd = open("/dev/vfio/vfio", O_RDWR);

	ASSERT_LE(0, fd);
	fake_rule_set(&self->root, 0, &rule);
	start = now_ns();
	EXPECT_EQ(0, ioctl(fd, VFIO_GET_API_VERSION));
	EXPECT_LE(30000000, now_ns() - start);
	close(fd);
}

#define MANY_MAPS	60000

/* Time for some maps and unmaps, far above the rest of what is mapped. */
static uint64_t time_maps(const struct opened *dev, int mem)
{
	uint64_t start = now_ns(), n;
	int i;

	for (i = 0; i < 1000; i++) {
		if (map_file(dev, (MANY_MAPS + 2ull) * PAGE, PAGE, mem, 0,
			     ABI_IOMMU_IOAS_MAP_READABLE) ||
		    ioas_unmap(dev, (MANY_MAPS + 2ull) * PAGE, PAGE, &n))
			return UINT64_MAX;
	}
	return now_ns() - start;
}

TEST_F(machine, sixty_thousand_maps)
{
	uint64_t i, few, many;

	ASSERT_EQ(0, open_cdev(&self->dev));
	self->control->config.memlock = 0;
	ASSERT_EQ(0, map_file(&self->dev, 0, PAGE, self->mem, 0,
			      ABI_IOMMU_IOAS_MAP_READABLE));
	few = time_maps(&self->dev, self->mem);
	ASSERT_NE(UINT64_MAX, few);
	for (i = 1; i < MANY_MAPS; i++) {
		/* In an order that is not the address's. */
		uint64_t page = i * 7919 % MANY_MAPS;

		ASSERT_EQ(0, map_file(&self->dev, page * PAGE, PAGE, self->mem,
				      0, ABI_IOMMU_IOAS_MAP_READABLE));
	}
	EXPECT_EQ(MANY_MAPS, self->control->nr_maps);
	EXPECT_EQ(EEXIST, map_file(&self->dev, 4242 * PAGE, PAGE, self->mem, 0,
				   ABI_IOMMU_IOAS_MAP_READABLE));
	many = time_maps(&self->dev, self->mem);
	ASSERT_NE(UINT64_MAX, many);
	TH_LOG("map and unmap: %llu ns with one, %llu ns with %d others",
	       (unsigned long long)few / 1000, (unsigned long long)many / 1000,
	       MANY_MAPS);
	/* One fd stands for all of them. */
	EXPECT_EQ(1, self->control->hidden_fds);
	EXPECT_GT(20 * few, many);
}

TEST_F(machine, without_iommufd_or_type1)
{
	struct fake_config config;
	struct fake_root root;
	char path[PATH_MAX];
	struct stat st;

	fake_config_default(&config);
	config.has_iommufd = false;
	strcpy(config.spoiler, "e1000e");
	ASSERT_EQ(0, fake_root_create(&root, &config));
	snprintf(path, sizeof(path), "%s/dev/iommu", root.path);
	EXPECT_EQ(ENOENT, ERRNO_OF(stat(path, &st)));
	snprintf(path, sizeof(path), "%s/dev/vfio/7", root.path);
	EXPECT_EQ(0, stat(path, &st));
	snprintf(path, sizeof(path),
		 "%s/sys/kernel/iommu_groups/7/devices/0000:01:00.1/driver",
		 root.path);
	EXPECT_EQ(0, stat(path, &st));
	fake_root_destroy(&root);
	EXPECT_EQ(ENOENT, ERRNO_OF(stat(root.path, &st)));
}

TEST_F(machine, a_full_eventfd_blocks_nobody)
{
	int event = eventfd(0, EFD_CLOEXEC);
	const uint64_t most = UINT64_MAX - 1;

	ASSERT_EQ(0, open_cdev(&self->dev));
	ASSERT_EQ(0, set_fds(self->dev.device, MSIX, 0, 1, &event));
	ASSERT_EQ(sizeof(most), write(event, &most, sizeof(most)));
	EXPECT_EQ(1, fake_irq_raise(self->control, MSIX, 0));
	EXPECT_EQ(0, irq_call(self->dev.device, TRIGGER, MSIX, 0, 1));
	EXPECT_EQ(most, signals(event));
	close(event);
}

static void *write_for_ever(void *arg)
{
	const uint64_t one = 1;
	int fd = *(int *)arg;

	while (write(fd, &one, sizeof(one)) == sizeof(one))
		;
	return NULL;
}

/* read(2) and write(2) are where a thread can be cancelled. */
TEST_F(machine, a_write_can_be_cancelled)
{
	int event = eventfd(0, EFD_CLOEXEC);
	const uint64_t most = UINT64_MAX - 1;
	pthread_t thread;
	void *result;

	ASSERT_EQ(sizeof(most), write(event, &most, sizeof(most)));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_for_ever, &event));
	ASSERT_EQ(0, pthread_cancel(thread));
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(PTHREAD_CANCELED, result);
	close(event);
}

/* What a daemon does, as far as a test that watches it cares. */
static void be_a_daemon(int event, int ready)
{
	struct opened dev;

	if (open_cdev(&dev) || set_fds(dev.device, MSIX, 0, 1, &event) ||
	    write(ready, "", 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

TEST(a_daemon_seen_from_its_test)
{
	int event = eventfd(0, EFD_CLOEXEC), ready[2];
	struct fake_config config;
	struct fake_root root;
	struct opened dev;
	uint64_t count = 0;
	pid_t pid;
	char c;

	fake_config_default(&config);
	ASSERT_EQ(0, set_up(&root, &config));
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_a_daemon(event, ready[1]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);

	EXPECT_EQ(1, fake_irq_raise(root.control, MSIX, 0));
	EXPECT_EQ(sizeof(count), read(event, &count, sizeof(count)));
	EXPECT_EQ(1, count);
	EXPECT_EQ(1, root.control->hidden_fds);
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));

	/* What was killed can be opened, and starts from nothing. */
	ASSERT_EQ(0, open_cdev(&dev));
	EXPECT_EQ(FAKE_NO_INDEX, root.control->irq.index);
	EXPECT_EQ(0, root.control->hidden_fds);
	close_all(&dev);
	close(event);
	fake_root_destroy(&root);
}

TEST(noiommu)
{
	struct fake_config config;
	struct fake_root root;
	int container, group, device;
	uint64_t n;

	fake_config_default(&config);
	config.noiommu = true;
	config.has_iommufd = false;
	ASSERT_EQ(0, set_up(&root, &config));
	container = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, container);
	EXPECT_EQ(ENOENT, ERRNO_OF(open("/dev/vfio/7", O_RDWR)));
	group = open("/dev/vfio/noiommu-7", O_RDWR);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	EXPECT_EQ(0, ioctl(container, VFIO_CHECK_EXTENSION,
			   VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, ioctl(container, VFIO_CHECK_EXTENSION,
			   VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(container, VFIO_SET_IOMMU,
					 VFIO_TYPE1v2_IOMMU)));
	ASSERT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(ENOTTY, type1_unmap(container, 0, PAGE, &n));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
	ASSERT_LE(0, device);
	EXPECT_EQ(FAKE_ID, reg_read(device, FAKE_REG_ID));
	close(device);
	close(group);
	close(container);
	fake_root_destroy(&root);
}

/* The memory of a mediated device's maps is looked up when it is used. */
TEST(mdev)
{
	struct fake_config config;
	struct fake_root root;
	struct opened dev;
	char *window;
	int mem;

	fake_config_mdev(&config);
	ASSERT_EQ(0, set_up(&root, &config));
	ASSERT_EQ(0, access("/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001/mdev_type",
			    F_OK));
	ASSERT_EQ(0, open_cdev(&dev));
	mem = memfd_create("memory", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(mem, PAGE));
	window = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
	ASSERT_NE(MAP_FAILED, window);
	ASSERT_EQ(0, ioas_map(&dev, 0x10000, PAGE, window,
			      ABI_IOMMU_IOAS_MAP_READABLE |
			      ABI_IOMMU_IOAS_MAP_WRITEABLE));
	ASSERT_TRUE(bus_master(dev.device, true));
	EXPECT_EQ(FAKE_DMA_DONE, dma(dev.device, 0x10000, 0x10800, 8));
	munmap(window, PAGE);
	EXPECT_EQ(FAKE_DMA_READ_FAULT, dma(dev.device, 0x10000, 0x10800, 8));
	EXPECT_EQ(ENOTTY, ioeventfd(dev.device, 0x100, 4, 0, -1));
	close(mem);
	close_all(&dev);
	fake_root_destroy(&root);
}

/* A second device of the same group, on the same bus. */
#define COUPLE_NAME	"0000:01:01.0"

FIXTURE(couple) {
	struct fake_root root;
	struct fake_control *control;
	struct opened dev;
	int other;	/* the second device */
};

FIXTURE_VARIANT(couple)
{
	uint32_t group;
};

FIXTURE_VARIANT_ADD(couple, same_group)
{
	.group = 7,
};

FIXTURE_VARIANT_ADD(couple, other_group)
{
	.group = 8,
};

FIXTURE_SETUP(couple)
{
	struct fake_config config;

	fake_config_default(&config);
	config.nr_more = 1;
	config.more[0] = (struct fake_more){ COUPLE_NAME, variant->group, 1 };
	ASSERT_EQ(0, set_up(&self->root, &config));
	self->control = self->root.control;
	self->dev = closed;
	self->other = -1;
}

FIXTURE_TEARDOWN(couple)
{
	close_fd(&self->other);
	close_all(&self->dev);
	EXPECT_EQ(0, self->control->hidden_fds);
	EXPECT_EQ(0, self->control->orphans);
	fake_root_destroy(&self->root);
}

static int bind_to(int device, int iommufd)
{
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};

	return ERRNO_OF(ioctl(device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind));
}

static int attach_to(int device, uint32_t ioas)
{
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = ioas,
	};

	return ERRNO_OF(ioctl(device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			      &attach));
}

static int reset_bus_with(int device, int group, uint32_t count)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t groups[2];
	} arg = {
		.reset.argsz = sizeof(arg),
		.reset.count = count,
		.groups = { group, group },
	};

	return ERRNO_OF(ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &arg));
}

static int reset_bus(const struct opened *dev)
{
	return reset_bus_with(dev->device, dev->group, dev->group >= 0);
}

TEST_F(couple, group_gives_its_own_devices)
{
	bool same = variant->group == 7;

	ASSERT_EQ(0, open_group(&self->dev));
	self->other = ioctl(self->dev.group, VFIO_GROUP_GET_DEVICE_FD,
			    COUPLE_NAME);
	ASSERT_EQ(same, self->other >= 0);
	if (!same)
		return;

	/* Registers of its own. */
	EXPECT_TRUE(reg_write(self->dev.device, FAKE_REG_SCRATCH, 1));
	EXPECT_TRUE(reg_write(self->other, FAKE_REG_SCRATCH, 2));
	EXPECT_EQ(1, reg_read(self->dev.device, FAKE_REG_SCRATCH));
	EXPECT_EQ(2, reg_read(self->other, FAKE_REG_SCRATCH));
	EXPECT_EQ(2, self->control->enables);
}

TEST_F(couple, group_has_one_owner_and_one_address_space)
{
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	bool same = variant->group == 7;
	int stranger;

	ASSERT_EQ(0, open_cdev(&self->dev));
	self->other = open("/dev/vfio/devices/vfio1", O_RDWR);
	stranger = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, stranger);
	EXPECT_EQ(same ? EPERM : 0, bind_to(self->other, stranger));
	close(stranger);
	close_fd(&self->other);

	self->other = open("/dev/vfio/devices/vfio1", O_RDWR);
	ASSERT_EQ(0, bind_to(self->other, self->dev.container));
	ASSERT_EQ(0, ioctl(self->dev.container, ABI_IOMMU_IOAS_ALLOC, &alloc));
	EXPECT_EQ(same ? EINVAL : 0,
		  attach_to(self->other, alloc.out_ioas_id));
	EXPECT_EQ(0, attach_to(self->other, self->dev.ioas));

	/* What is left alone may go where it likes. */
	close_fd(&self->dev.device);
	EXPECT_EQ(0, attach_to(self->other, alloc.out_ioas_id));
}

TEST_F(couple, bus_is_reset_by_who_owns_all_of_it)
{
	bool same = variant->group == 7;

	ASSERT_EQ(0, open_group(&self->dev));
	EXPECT_EQ(same ? 0 : EINVAL, reset_bus(&self->dev));
	close_all(&self->dev);
	ASSERT_EQ(0, open_cdev(&self->dev));
	EXPECT_EQ(same ? 0 : EINVAL, reset_bus(&self->dev));

	self->other = open("/dev/vfio/devices/vfio1", O_RDWR);
	ASSERT_EQ(0, bind_to(self->other, self->dev.container));
	EXPECT_TRUE(reg_write(self->other, FAKE_REG_SCRATCH, 2));
	EXPECT_EQ(0, reset_bus(&self->dev));
	EXPECT_EQ(0, reg_read(self->other, FAKE_REG_SCRATCH));
	EXPECT_EQ(same ? 3 : 1, self->control->hot_resets);
}

/* Alone on its bus; the other is on the next. */
TEST_F(couple, bus_is_reset_with_the_fd_of_its_group)
{
	bool same = variant->group == 7;
	int group;

	strcpy(self->control->config.more[0].name, "0000:02:01.0");
	ASSERT_EQ(0, open_group(&self->dev));
	group = open(same ? "/dev/vfio/vfio" : "/dev/vfio/8", O_RDWR);
	ASSERT_LE(0, group);
	EXPECT_EQ(EINVAL, reset_bus_with(self->dev.device, group, 1));
	EXPECT_EQ(EINVAL, reset_bus_with(self->dev.device, self->dev.group, 0));
	EXPECT_EQ(EINVAL, reset_bus_with(self->dev.device, self->dev.group, 2));
	EXPECT_EQ(EBADF, reset_bus_with(self->dev.device, 9999, 1));
	EXPECT_EQ(0, self->control->hot_resets);
	EXPECT_EQ(0, reset_bus_with(self->dev.device, self->dev.group, 1));
	EXPECT_EQ(1, self->control->hot_resets);
	close(group);
}

TEST_HARNESS_MAIN
