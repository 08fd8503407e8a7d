// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the ioctls of VFIO answer, the errors above all: which of two that are
 * due a program gets, and what is left untouched then.
 *
 * It is written for plain VFIO and run both on the kernel and by vfio-user-run,
 * with the same expectations: that they are the kernel's is shown by the first,
 * that ours are the same by the second.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "plain.h"

/* Nothing is mapped there. */
#define NOWHERE		((void *)0x1000)
#define PAGE		4096u
#define IOVA		0x10000000ull
#define REGION(index)	((off_t)(index) << 40)
#define RW		(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
/* Where x86 has its interrupts: no IOMMU maps it. */
#define WINDOW		0xfee00000ull

FIXTURE(nodes)
{
	struct plain p;
};

FIXTURE_SETUP(nodes)
{
	const char *why = plain_init(&self->p);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(nodes)
{
	plain_exit(&self->p);
}

static void expect_node(struct __test_metadata *_metadata, const char *path,
			int fd)
{
	struct stat by_path, by_fd;

	ASSERT_EQ(0, stat(path, &by_path));
	ASSERT_EQ(0, fstat(fd, &by_fd));
	EXPECT_TRUE(S_ISCHR(by_path.st_mode));
	EXPECT_TRUE(S_ISCHR(by_fd.st_mode));
	EXPECT_EQ(by_path.st_rdev, by_fd.st_rdev);
	EXPECT_NE(0, by_fd.st_rdev);
	EXPECT_EQ(0, access(path, R_OK | W_OK));
	EXPECT_EQ(0, ERRNO_OF(faccessat(AT_FDCWD, path, R_OK, 0)));
}

TEST_F(nodes, are_character_devices)
{
	self->p.container = open("/dev/vfio/vfio", O_RDWR);
	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_LE(0, self->p.container);
	ASSERT_LE(0, self->p.group);
	expect_node(_metadata, "/dev/vfio/vfio", self->p.container);
	expect_node(_metadata, self->p.group_path, self->p.group);
}

TEST_F(nodes, open_as_devices_do)
{
	int fd;

	EXPECT_EQ(ENOTDIR, ERRNO_OF(open("/dev/vfio/vfio", O_DIRECTORY)));
	EXPECT_EQ(EEXIST, ERRNO_OF(open("/dev/vfio/vfio",
					O_RDWR | O_CREAT | O_EXCL, 0600)));
	EXPECT_EQ(ENOENT, ERRNO_OF(open("/dev/vfio/999999", O_RDWR)));
	fd = open("/dev/../dev//vfio/./vfio", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
	fd = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	close(fd);
	EXPECT_EQ(EBADF, ERRNO_OF(ioctl(fd, VFIO_GET_API_VERSION)));
}

/* Whatever the kernel says of them, the program goes on. */
TEST_F(nodes, names_at_bad_pointers)
{
	static const intptr_t at[] = { 1, 8, -4096, -1 };
	const char *bad;
	struct statx stx;
	struct stat st;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		bad = (char *)at[i];
		EXPECT_EQ(EFAULT, ERRNO_OF(open(bad, O_RDWR)));
		EXPECT_EQ(EFAULT, ERRNO_OF(openat(AT_FDCWD, bad, O_RDWR)));
		EXPECT_EQ(EFAULT, ERRNO_OF(access(bad, R_OK)));
		EXPECT_EQ(EFAULT, ERRNO_OF(stat(bad, &st)));
		EXPECT_EQ(EFAULT, ERRNO_OF(lstat(bad, &st)));
		EXPECT_EQ(EFAULT, ERRNO_OF(statx(AT_FDCWD, bad, AT_EMPTY_PATH,
						 0, &stx)));
	}
}

TEST_F(nodes, can_not_be_read_or_mapped)
{
	char c = 0;

	self->p.container = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, self->p.container);
	EXPECT_EQ(EINVAL, ERRNO_OF(read(self->p.container, &c, 1)));
	EXPECT_EQ(EINVAL, ERRNO_OF(write(self->p.container, &c, 1)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(self->p.container, &c, 1, 0)));
	EXPECT_EQ(ENODEV, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    self->p.container, 0)));
}

TEST_F(nodes, container_without_group)
{
	int fd = open("/dev/vfio/vfio", O_RDWR);
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };

	self->p.container = fd;
	ASSERT_LE(0, fd);
	EXPECT_EQ(VFIO_API_VERSION, ioctl(fd, VFIO_GET_API_VERSION));
	EXPECT_EQ(1, ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU));
	EXPECT_EQ(1, ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL));
	EXPECT_EQ(0, ioctl(fd, VFIO_CHECK_EXTENSION, 999));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_SET_IOMMU,
					 VFIO_TYPE1v2_IOMMU)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_IOMMU_MAP_DMA, &map)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_IOMMU_GET_INFO, NOWHERE)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_INFO, &map)));
}

TEST_F(nodes, group_is_exclusive)
{
	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_LE(0, self->p.group);
	EXPECT_EQ(EBUSY, ERRNO_OF(open(self->p.group_path, O_RDWR)));
	ASSERT_EQ(0, close(self->p.group));
	self->p.group = open(self->p.group_path, O_RDWR);
	EXPECT_LE(0, self->p.group);
}

TEST_F(nodes, group_status)
{
	struct vfio_group_status status = { .argsz = sizeof(status) - 1,
					    .flags = 0xff };
	int fd = open(self->p.group_path, O_RDWR);

	self->p.group = fd;
	ASSERT_LE(0, fd);
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_GROUP_GET_STATUS, &status)));
	EXPECT_EQ(0xff, status.flags);
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(fd, VFIO_GROUP_GET_STATUS, NOWHERE)));
	status.argsz = 100;
	ASSERT_EQ(0, ioctl(fd, VFIO_GROUP_GET_STATUS, &status));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE, status.flags);
	EXPECT_EQ(100, status.argsz);
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(fd, VFIO_GET_API_VERSION)));
}

TEST_F(nodes, group_needs_container)
{
	int group = open(self->p.group_path, O_RDWR);
	int container = open("/dev/vfio/vfio", O_RDWR);
	int other = memfd_create("other", 0);
	int none = -1;

	self->p.group = group;
	self->p.container = container;
	ASSERT_LE(0, group);
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 self->p.bdf)));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 "ffff:00:00.0")));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 NOWHERE)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 NOWHERE)));
	EXPECT_EQ(EBADF, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					&none)));
	EXPECT_EQ(EBADFD, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 &other)));
	EXPECT_EQ(EBADFD, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 &group)));
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	/* That there is one comes before what is wrong with the new one. */
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					 &other)));
	EXPECT_EQ(EBADF, ERRNO_OF(ioctl(group, VFIO_GROUP_SET_CONTAINER,
					&none)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
					 self->p.bdf)));
	EXPECT_EQ(0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)));
	close(other);
}

TEST_F(nodes, set_iommu)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int group = open(self->p.group_path, O_RDWR);
	int fd = open("/dev/vfio/vfio", O_RDWR);

	self->p.group = group;
	self->p.container = fd;
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd));
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
		  status.flags);
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(fd, VFIO_SET_IOMMU, 999)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_IOMMU_GET_INFO, NOWHERE)));
	ASSERT_EQ(0, ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_SET_IOMMU,
					 VFIO_TYPE1_IOMMU)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(fd, VFIO_IOMMU_GET_INFO, NOWHERE)));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_INFO, NOWHERE)));
	/* Without its last group the container is as it was in the beginning. */
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_IOMMU_GET_INFO, NOWHERE)));
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd));
	EXPECT_EQ(0, ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
}

FIXTURE(device)
{
	struct plain p;
	int container;
	int fd;
	void *memory;
};

FIXTURE_VARIANT(device)
{
	unsigned long type;
};

FIXTURE_VARIANT_ADD(device, v2)
{
	.type = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_SETUP(device)
{
	const char *why = plain_init(&self->p);

	self->memory = MAP_FAILED;
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, plain_open(&self->p, variant->type));
	self->container = self->p.container;
	self->fd = self->p.device;
	self->memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
}

FIXTURE_TEARDOWN(device)
{
	plain_exit(&self->p);
	if (self->memory != MAP_FAILED)
		munmap(self->memory, 16 * PAGE);
}

static int map(int container, void *memory, uint64_t iova, uint64_t size,
	       uint32_t flags)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = size,
	};

	return ERRNO_OF(ioctl(container, VFIO_IOMMU_MAP_DMA, &arg));
}

TEST_F(device, iommu_info)
{
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_iommu_type1_info *info;
	char buf[4096] = { 0 };
	uint32_t needed;

	info = (void *)buf;
	info->argsz = offsetof(struct vfio_iommu_type1_info, cap_offset) - 1;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->container, VFIO_IOMMU_GET_INFO,
					 info)));
	EXPECT_EQ(0, info->flags);
	info->argsz = offsetof(struct vfio_iommu_type1_info, cap_offset);
	info->cap_offset = 0x5a5a5a5a;
	ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(0x5a5a5a5a, info->cap_offset);
	EXPECT_EQ(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, info->flags);
	EXPECT_NE(0, info->iova_pgsizes & PAGE);
	needed = info->argsz;
	EXPECT_LT(sizeof(*info), needed);
	EXPECT_GT(sizeof(buf), needed);

	info->argsz = sizeof(buf);
	ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(sizeof(buf), info->argsz);
	EXPECT_EQ(sizeof(*info), info->cap_offset);
	EXPECT_NE(NULL, plain_cap(buf, info->cap_offset,
				  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE));
	avail = plain_cap(buf, info->cap_offset,
			  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	ASSERT_NE(NULL, avail);
	EXPECT_LT(0, avail->avail);
	EXPECT_GE(65535, avail->avail);
	needed = avail->avail;
	ASSERT_EQ(0, map(self->container, self->memory, IOVA, PAGE, RW));
	ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(needed - 1, avail->avail);
}

TEST_F(device, map_errors)
{
	struct vfio_iommu_type1_dma_map arg = { .argsz = sizeof(arg) - 1 };
	int c = self->container;
	char *m = self->memory;

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(c, VFIO_IOMMU_MAP_DMA, &arg)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(c, VFIO_IOMMU_MAP_DMA, NOWHERE)));
	EXPECT_EQ(EINVAL, map(c, m, IOVA, PAGE, RW | 1u << 7));
	EXPECT_EQ(EINVAL, map(c, m, IOVA, 0, RW));
	EXPECT_EQ(EINVAL, map(c, m, IOVA, PAGE, 0));
	/* Wrapping around comes before the flags and the alignment. */
	EXPECT_EQ(plain_overflow(), map(c, m, UINT64_MAX, PAGE, 0));
	EXPECT_EQ(plain_overflow(), map(c, (void *)-1, IOVA + 1, PAGE, 0));
	EXPECT_EQ(EINVAL, map(c, m, IOVA + 1, PAGE, RW));
	EXPECT_EQ(EINVAL, map(c, m, IOVA, PAGE + 1, RW));
	EXPECT_EQ(EINVAL, map(c, m + 1, IOVA, PAGE, RW));
	EXPECT_EQ(EINVAL, map(c, m, WINDOW, PAGE, RW));
	EXPECT_EQ(EINVAL, map(c, m, WINDOW - PAGE, 4 * PAGE, RW));
}

TEST_F(device, map_of_bad_memory)
{
	int c = self->container;
	char *m = self->memory;

	ASSERT_EQ(0, munmap(m + PAGE, PAGE));
	EXPECT_EQ(EFAULT, map(c, m + PAGE, IOVA, PAGE, RW));
	EXPECT_EQ(EFAULT, map(c, m, IOVA, 4 * PAGE, RW));
	ASSERT_EQ(0, mprotect(m + 2 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(EFAULT, map(c, m + 2 * PAGE, IOVA, PAGE, RW));
	/* None of these has left anything there. */
	EXPECT_EQ(0, map(c, m, IOVA, PAGE, RW));
}

TEST_F(device, maps_do_not_overlap)
{
	int c = self->container;
	char *m = self->memory;

	ASSERT_EQ(0, map(c, m, IOVA, 4 * PAGE, RW));
	EXPECT_EQ(EEXIST, map(c, m, IOVA, 4 * PAGE, RW));
	EXPECT_EQ(EEXIST, map(c, m, IOVA + 3 * PAGE, PAGE, RW));
	EXPECT_EQ(EEXIST, map(c, m, IOVA - PAGE, 2 * PAGE, RW));
	/* That there is one comes before what the memory is. */
	EXPECT_EQ(EEXIST, map(c, NOWHERE, IOVA, PAGE, RW));
	EXPECT_EQ(0, map(c, m, IOVA + 4 * PAGE, PAGE, RW));
	EXPECT_EQ(0, map(c, m, IOVA - PAGE, PAGE, VFIO_DMA_MAP_FLAG_READ));
}

static int unmap(int container, uint64_t iova, uint64_t size, uint32_t flags,
		 uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.iova = iova,
		.size = size,
	};
	int err = ERRNO_OF(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg));

	*unmapped = arg.size;
	return err;
}

TEST_F(device, unmap_errors)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg) - 1 };
	int c = self->container;
	uint64_t n;

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(c, VFIO_IOMMU_UNMAP_DMA, &arg)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(c, VFIO_IOMMU_UNMAP_DMA, NOWHERE)));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, PAGE, 1u << 7, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, 0, 0, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA + 1, PAGE, 0, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, PAGE + 1, 0, &n));
	EXPECT_EQ(PAGE + 1, n);
	/* Here the alignment comes first. */
	EXPECT_EQ(EINVAL, unmap(c, UINT64_MAX, PAGE, 0, &n));
	EXPECT_EQ(plain_overflow(), unmap(c, -(uint64_t)PAGE, 2 * PAGE, 0, &n));
	EXPECT_EQ(2 * PAGE, n);
	EXPECT_EQ(EINVAL, unmap(c, IOVA, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n));
	EXPECT_EQ(EINVAL, unmap(c, 0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL, &n));
	EXPECT_EQ(0, unmap(c, IOVA, PAGE, 0, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, unmap(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n));
	EXPECT_EQ(0, n);
}

TEST_F(device, unmap_takes_whole_maps)
{
	int c = self->container;
	char *m = self->memory;
	uint64_t n;

	ASSERT_EQ(0, map(c, m, IOVA, 4 * PAGE, RW));
	ASSERT_EQ(0, map(c, m + 4 * PAGE, IOVA + 8 * PAGE, 2 * PAGE, RW));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, PAGE, 0, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA + PAGE, PAGE, 0, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA - PAGE, 2 * PAGE, 0, &n));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, 9 * PAGE, 0, &n));
	EXPECT_EQ(9 * PAGE, n);
	EXPECT_EQ(EEXIST, map(c, m, IOVA, PAGE, RW));
	EXPECT_EQ(0, unmap(c, IOVA - PAGE, 64 * PAGE, 0, &n));
	EXPECT_EQ(6 * PAGE, n);
	ASSERT_EQ(0, map(c, m, IOVA, 4 * PAGE, RW));
	ASSERT_EQ(0, map(c, m + 4 * PAGE, IOVA + 8 * PAGE, 2 * PAGE, RW));
	EXPECT_EQ(0, unmap(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n));
	EXPECT_EQ(6 * PAGE, n);
}

TEST_F(device, info)
{
	struct vfio_device_info info = {
		.argsz = offsetof(struct vfio_device_info, cap_offset) - 1,
	};

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 &info)));
	EXPECT_EQ(0, info.num_regions);
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 NOWHERE)));
	info.argsz++;
	info.cap_offset = 0x5a5a5a5a;
	ASSERT_EQ(0, ioctl(self->fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(0x5a5a5a5a, info.cap_offset);
	EXPECT_NE(0, info.flags & VFIO_DEVICE_FLAGS_PCI);
	EXPECT_NE(0, info.flags & VFIO_DEVICE_FLAGS_RESET);
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);
	EXPECT_EQ(VFIO_PCI_NUM_IRQS, info.num_irqs);
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->fd, VFIO_GET_API_VERSION)));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->fd, VFIO_GROUP_GET_STATUS,
					 NOWHERE)));
}

TEST_F(device, structures_must_be_there_to_their_ends)
{
	char *end = (char *)self->memory + PAGE;
	struct vfio_device_info *info = (void *)(end - 8);
	const uint32_t argsz = sizeof(*info);

	ASSERT_EQ(0, munmap(end, PAGE));
	memcpy(info, &argsz, sizeof(argsz));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 info)));
	info = (void *)(end - argsz);
	memcpy(info, &argsz, sizeof(argsz));
	EXPECT_EQ(0, ioctl(self->fd, VFIO_DEVICE_GET_INFO, info));
	/* What can be read and not written is found out in the end. */
	ASSERT_EQ(0, mprotect(self->memory, PAGE, PROT_READ));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 info)));
}

TEST_F(device, region_info)
{
	struct vfio_region_info info = { .argsz = sizeof(info) - 1 };
	unsigned int i;

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_REGION_INFO,
					 &info)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_REGION_INFO,
					 NOWHERE)));
	for (i = 0; i <= VFIO_PCI_CONFIG_REGION_INDEX; i++) {
		info = (struct vfio_region_info){
			.argsz = sizeof(info),
			.index = i,
			.cap_offset = 0x5a5a5a5a,
		};
		ASSERT_EQ(0, ioctl(self->fd, VFIO_DEVICE_GET_REGION_INFO,
				   &info));
		EXPECT_EQ(REGION(i), info.offset);
		/* Nobody has written to it where there is no chain. */
		EXPECT_EQ(info.flags & VFIO_REGION_INFO_FLAG_CAPS ?
			  0 : 0x5a5a5a5a, info.cap_offset);
		EXPECT_EQ(!!(info.flags & VFIO_REGION_INFO_FLAG_CAPS),
			  info.argsz > sizeof(info));
	}
	info.argsz = sizeof(info);
	info.index = 1000;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_REGION_INFO,
					 &info)));
}

TEST_F(device, region_capabilities)
{
	struct vfio_region_info *info;
	unsigned int i, found = 0;
	char buf[4096];

	info = (void *)buf;
	for (i = 0; i < VFIO_PCI_ROM_REGION_INDEX; i++) {
		memset(buf, 0, sizeof(buf));
		info->argsz = sizeof(buf);
		info->index = i;
		ASSERT_EQ(0, ioctl(self->fd, VFIO_DEVICE_GET_REGION_INFO,
				   info));
		EXPECT_EQ(sizeof(buf), info->argsz);
		if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
			continue;
		EXPECT_EQ(sizeof(*info), info->cap_offset);
		if (plain_cap(buf, info->cap_offset,
			      VFIO_REGION_INFO_CAP_MSIX_MAPPABLE))
			found++;
	}
	EXPECT_EQ(1, found);
}

TEST_F(device, irq_info)
{
	struct vfio_irq_info info = { .argsz = sizeof(info) - 1 };

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_IRQ_INFO,
					 &info)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_IRQ_INFO,
					 NOWHERE)));
	info.argsz = sizeof(info);
	info.index = VFIO_PCI_NUM_IRQS;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_IRQ_INFO,
					 &info)));
	info.index = VFIO_PCI_MSIX_IRQ_INDEX;
	ASSERT_EQ(0, ioctl(self->fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_NE(0, info.flags & VFIO_IRQ_INFO_EVENTFD);
	EXPECT_LT(1, info.count);
}

struct irq_set {
	struct vfio_irq_set set;
	int32_t fds[2];
};

static int set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, int32_t eventfd)
{
	struct irq_set arg = {
		.set = {
			.argsz = sizeof(arg),
			.flags = flags,
			.index = index,
			.start = start,
			.count = count,
		},
		.fds = { eventfd, -1 },
	};

	return ERRNO_OF(ioctl(fd, VFIO_DEVICE_SET_IRQS, &arg));
}

#define MSIX		VFIO_PCI_MSIX_IRQ_INDEX
#define NONE		VFIO_IRQ_SET_DATA_NONE
#define EVENTFD		VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER		VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK		VFIO_IRQ_SET_ACTION_MASK

TEST_F(device, set_irqs_errors)
{
	struct irq_set arg = { .set.argsz = sizeof(arg.set) - 1 };
	int fd = self->fd, other = memfd_create("other", 0);

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_SET_IRQS, &arg)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(fd, VFIO_DEVICE_SET_IRQS, NOWHERE)));
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | TRIGGER, VFIO_PCI_NUM_IRQS, 0, 1,
				   -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, 1u << 9, MSIX, 0, 1, -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | TRIGGER, MSIX, 100000, 0, -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | TRIGGER, MSIX, 0, 100000, -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | TRIGGER, MSIX, 1, UINT32_MAX,
				   -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, TRIGGER, MSIX, 0, 1, -1));
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | EVENTFD | TRIGGER, MSIX, 0, 1,
				   -1));
	/* More eventfds than fit in what argsz says */
	EXPECT_EQ(EINVAL, set_irqs(fd, EVENTFD | TRIGGER, MSIX, 0, 3, -1));
	EXPECT_EQ(ENOTTY, set_irqs(fd, NONE, MSIX, 0, 1, -1));
	EXPECT_EQ(ENOTTY, set_irqs(fd, NONE | TRIGGER | MASK, MSIX, 0, 1, -1));
	EXPECT_EQ(ENOTTY, set_irqs(fd, NONE | MASK, MSIX, 0, 1, -1));
	EXPECT_EQ(EBADF, set_irqs(fd, EVENTFD | TRIGGER, MSIX, 0, 1, 12345));
	EXPECT_EQ(EINVAL, set_irqs(fd, EVENTFD | TRIGGER, MSIX, 0, 1, other));
	EXPECT_EQ(EINVAL, set_irqs(fd, EVENTFD | TRIGGER, MSIX, 0, 1, fd));
	/* Nothing is enabled that could be triggered. */
	EXPECT_EQ(EINVAL, set_irqs(fd, NONE | TRIGGER, MSIX, 0, 1, -1));
	close(other);
}

static bool is_signalled(int eventfd, int ms)
{
	struct pollfd pfd = { .fd = eventfd, .events = POLLIN };
	uint64_t n;

	return poll(&pfd, 1, ms) == 1 && read(eventfd, &n, sizeof(n)) > 0;
}

TEST_F(device, triggers_interrupts)
{
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);
	struct irq_set arg = {
		.set = {
			.argsz = sizeof(arg),
			.flags = EVENTFD | TRIGGER,
			.index = MSIX,
			.count = 2,
		},
		.fds = { a, b },
	};

	ASSERT_EQ(0, ioctl(self->fd, VFIO_DEVICE_SET_IRQS, &arg));
	EXPECT_EQ(0, set_irqs(self->fd, NONE | TRIGGER, MSIX, 1, 1, -1));
	EXPECT_TRUE(is_signalled(b, 5000));
	EXPECT_FALSE(is_signalled(a, 0));
	EXPECT_EQ(0, set_irqs(self->fd, NONE | TRIGGER, MSIX, 0, 2, -1));
	EXPECT_TRUE(is_signalled(a, 5000));
	EXPECT_TRUE(is_signalled(b, 5000));
	EXPECT_EQ(0, set_irqs(self->fd, NONE | TRIGGER, MSIX, 0, 0, -1));
	EXPECT_EQ(EINVAL, set_irqs(self->fd, NONE | TRIGGER, MSIX, 0, 1, -1));
	EXPECT_FALSE(is_signalled(a, 0));
	close(a);
	close(b);
}

TEST_F(device, reads_and_writes)
{
	off_t config = REGION(VFIO_PCI_CONFIG_REGION_INDEX);
	struct vfio_region_info bar = { .argsz = sizeof(bar) };
	uint32_t value = 0x5a5a5a5a;
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	int fd = self->fd;

	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar));
	ASSERT_EQ(4, pread(fd, &value, 4, config));
	EXPECT_NE(0x5a5a5a5a, value);
	EXPECT_EQ(0, pread(fd, &value, 0, config));
	EXPECT_EQ(0, pread(fd, NOWHERE, 0, REGION(100)));
	EXPECT_EQ(EFAULT, ERRNO_OF(pread(fd, NOWHERE, 4, config)));
	EXPECT_EQ(EFAULT, ERRNO_OF(pwrite(fd, NOWHERE, 4, config)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, &value, 4, -1)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, &value, 4, REGION(100))));
	EXPECT_EQ(EFAULT, ERRNO_OF(pread(fd, &value, 4, config + info.size)));
	EXPECT_EQ(EFAULT, ERRNO_OF(pread(fd, &value, 4,
					 config + info.size - 2)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(fd, &value, 4,
					 REGION(0) + bar.size)));
	/* An access that begins in a BAR ends with it. */
	EXPECT_EQ(2, pread(fd, &value, 4, REGION(0) + bar.size - 2));
	EXPECT_EQ(EINVAL, ERRNO_OF(pwrite(fd, &value, 4,
					  REGION(VFIO_PCI_ROM_REGION_INDEX))));
	EXPECT_EQ(ESPIPE, ERRNO_OF(lseek(fd, 0, SEEK_SET)));
}

TEST_F(device, reads_and_writes_vectors)
{
	off_t config = REGION(VFIO_PCI_CONFIG_REGION_INDEX);
	uint16_t ids[2] = { 0 }, all[2] = { 0 };
	struct iovec iov[] = { { &ids[0], 2 }, { &ids[1], 2 } };
	struct iovec half[] = { { &ids[0], 2 }, { NOWHERE, 2 } };
	struct iovec huge[] = { { &ids[0], 2 }, { &ids[1], SIZE_MAX } };
	/* The compiler isn't to know what they are. */
	int too_few = atoi("-1"), too_many = sysconf(_SC_IOV_MAX) + 1;
	int fd = self->fd;

	ASSERT_EQ(4, pread(fd, all, 4, config));
	EXPECT_EQ(4, preadv(fd, iov, 2, config));
	EXPECT_EQ(all[0], ids[0]);
	EXPECT_EQ(all[1], ids[1]);
	EXPECT_EQ(0, preadv(fd, NOWHERE, 0, config));
	EXPECT_EQ(2, preadv(fd, half, 2, config));
	EXPECT_EQ(EFAULT, ERRNO_OF(preadv(fd, NOWHERE, 2, config)));
	EXPECT_EQ(EFAULT, ERRNO_OF(pwritev(fd, NOWHERE, 1, config)));
	EXPECT_EQ(EFAULT, ERRNO_OF(readv(fd, NOWHERE, 1)));
	EXPECT_EQ(EFAULT, ERRNO_OF(writev(fd, NOWHERE, 1)));
	EXPECT_EQ(EINVAL, ERRNO_OF(preadv(fd, huge, 2, config)));
	EXPECT_EQ(EINVAL, ERRNO_OF(preadv(fd, iov, too_few, config)));
	EXPECT_EQ(EINVAL, ERRNO_OF(preadv(fd, iov, too_many, config)));
}

TEST_F(device, knows_one_flag_of_reads_and_writes)
{
	off_t config = REGION(VFIO_PCI_CONFIG_REGION_INDEX);
	struct iovec iov[] = { { NULL, 2 }, { NOWHERE, 0 } };
	int fd = self->fd;
	uint16_t id;

	iov[0].iov_base = &id;
	EXPECT_EQ(2, preadv2(fd, iov, 1, config, RWF_HIPRI));
	EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(preadv2(fd, iov, 1, config,
					       RWF_NOWAIT)));
	EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(pwritev2(fd, iov, 1, config,
						RWF_HIPRI | RWF_SYNC)));
	EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(preadv2(fd, iov, 1, -1, 1 << 30)));
	/* Nothing to do, nothing to say */
	EXPECT_EQ(0, preadv2(fd, &iov[1], 1, config, RWF_NOWAIT));
	EXPECT_EQ(EFAULT, ERRNO_OF(preadv2(fd, NOWHERE, 2, config,
					   RWF_NOWAIT)));
}

TEST_F(device, maps_regions)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar) };
	uint16_t command = PCI_COMMAND_MEMORY;
	int fd = self->fd;
	uint32_t *map;
	uint32_t value;

	ASSERT_EQ(2, pwrite(fd, &command, 2, PCI_COMMAND +
			    REGION(VFIO_PCI_CONFIG_REGION_INDEX)));
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar));
	ASSERT_NE(0, bar.flags & VFIO_REGION_INFO_FLAG_MMAP);
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE,
					    fd, bar.offset)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, bar.size + PAGE, PROT_READ,
					    MAP_SHARED, fd, bar.offset)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    fd, bar.offset + bar.size)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    fd, bar.offset + 1)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd,
					    bar.offset)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    fd, REGION(VFIO_PCI_CONFIG_REGION_INDEX))));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    fd, REGION(100))));
	map = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   bar.offset);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(4, pread(fd, &value, 4, bar.offset + 8));
	EXPECT_EQ(value, map[2]);
	EXPECT_EQ(0, munmap(map, bar.size));
}

TEST_F(device, features)
{
	struct vfio_device_feature arg = { .argsz = sizeof(arg) - 1 };
	int fd = self->fd;

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, NOWHERE)));
	arg.argsz = sizeof(arg);
	arg.flags = 1u << 30;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg)));
	arg.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | 0x7777;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg)));
	arg.flags |= VFIO_DEVICE_FEATURE_PROBE;
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg)));
	arg.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION;
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg)));
}

TEST_F(device, resets)
{
	struct vfio_pci_hot_reset_info info = { .argsz = sizeof(info) - 1 };
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) - 1 };
	struct vfio_device_ioeventfd io = { .argsz = sizeof(io) - 1 };
	int fd = self->fd;

	EXPECT_EQ(0, ioctl(fd, VFIO_DEVICE_RESET));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
					 &info)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
					 &reset)));
	reset.argsz++;
	/* By way of a group there must be groups in it. */
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
					 &reset)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io)));
	io.argsz++;
	io.fd = -2;
	io.flags = VFIO_DEVICE_IOEVENTFD_32;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io)));
}

TEST_F(device, outlives_its_group)
{
	uint32_t value;

	ASSERT_EQ(0, close(self->p.container));
	ASSERT_EQ(0, close(self->p.group));
	self->p.container = -1;
	self->p.group = -1;
	EXPECT_EQ(4, pread(self->fd, &value, 4,
			   REGION(VFIO_PCI_CONFIG_REGION_INDEX)));
	EXPECT_EQ(EBUSY, ERRNO_OF(open(self->p.group_path, O_RDWR)));
	ASSERT_EQ(0, close(self->p.device));
	self->p.device = -1;
	self->p.group = open(self->p.group_path, O_RDWR);
	EXPECT_LE(0, self->p.group);
}

TEST_F(device, keeps_its_group_on_the_container)
{
	EXPECT_EQ(EBUSY, ERRNO_OF(ioctl(self->p.group,
					VFIO_GROUP_UNSET_CONTAINER)));
	ASSERT_EQ(0, close(self->p.device));
	self->p.device = -1;
	EXPECT_EQ(0, ioctl(self->p.group, VFIO_GROUP_UNSET_CONTAINER));
}

TEST_F(device, is_reset_with_its_last_file)
{
	off_t at = REGION(VFIO_PCI_CONFIG_REGION_INDEX) + PCI_INTERRUPT_LINE;
	uint8_t value = 0x5a;
	int second;

	second = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD, self->p.bdf);
	ASSERT_LE(0, second);
	EXPECT_EQ(FD_CLOEXEC, fcntl(second, F_GETFD));
	ASSERT_EQ(0, map(self->container, self->memory, IOVA, PAGE, RW));
	ASSERT_EQ(0, close(self->p.device));
	ASSERT_EQ(1, pwrite(second, &value, 1, at));
	ASSERT_EQ(0, close(second));
	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	ASSERT_LE(0, self->p.device);
	ASSERT_EQ(1, pread(self->p.device, &value, 1, at));
	EXPECT_NE(0x5a, value);
	/* What is mapped stays, for it is the container's. */
	EXPECT_EQ(EEXIST, map(self->container, self->memory, IOVA, PAGE, RW));
}

TEST_F(device, has_as_many_numbers_as_one_likes)
{
	off_t config = REGION(VFIO_PCI_CONFIG_REGION_INDEX);
	int other = memfd_create("other", 0);
	int a, b, c;
	uint32_t v;

	a = dup(self->p.device);
	b = fcntl(self->p.device, F_DUPFD_CLOEXEC, 200);
	c = dup2(self->p.device, 150);
	ASSERT_LE(0, a);
	ASSERT_LE(200, b);
	ASSERT_EQ(150, c);
	EXPECT_EQ(0, fcntl(a, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(b, F_GETFD));
	ASSERT_EQ(0, close(self->p.device));
	self->p.device = -1;
	EXPECT_EQ(4, pread(a, &v, 4, config));
	EXPECT_EQ(0, close(a));
	EXPECT_EQ(4, pread(b, &v, 4, config));
	EXPECT_EQ(b, dup2(other, b));
	/* It isn't a device any more. */
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(b, VFIO_DEVICE_RESET)));
	EXPECT_EQ(4, pread(c, &v, 4, config));
	EXPECT_EQ(0, close_range(150, 210, 0));
	EXPECT_EQ(EBADF, ERRNO_OF(pread(c, &v, 4, config)));
	close(other);
}

FIXTURE(old)
{
	struct plain p;
	void *memory;
};

FIXTURE_SETUP(old)
{
	const char *why = plain_init(&self->p);

	self->memory = MAP_FAILED;
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, plain_open(&self->p, VFIO_TYPE1_IOMMU));
	self->memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
}

FIXTURE_TEARDOWN(old)
{
	plain_exit(&self->p);
	if (self->memory != MAP_FAILED)
		munmap(self->memory, 16 * PAGE);
}

TEST_F(old, unmaps_what_begins_in_the_range)
{
	int c = self->p.container;
	char *m = self->memory;
	uint64_t n;

	ASSERT_EQ(0, map(c, m, IOVA, 4 * PAGE, RW));
	ASSERT_EQ(0, map(c, m + 4 * PAGE, IOVA + 4 * PAGE, 4 * PAGE, RW));
	EXPECT_EQ(0, unmap(c, IOVA + PAGE, 16 * PAGE, 0, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, unmap(c, IOVA, PAGE, 0, &n));
	EXPECT_EQ(4 * PAGE, n);
	EXPECT_EQ(0, unmap(c, IOVA, 5 * PAGE, 0, &n));
	EXPECT_EQ(4 * PAGE, n);
}

TEST_HARNESS_MAIN
