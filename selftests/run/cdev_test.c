// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device by its own node and iommufd, and a group on an iommufd: what is
 * answered, on the kernel and by vfio-user-run alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "kselftest_harness.h"
#include "plain.h"

#define NOWHERE		((void *)0x1000)
#define PAGE		4096u
#define IOVA		0x10000000ull
#define CONFIG		((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)
#define RW		(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

FIXTURE(cdev)
{
	struct plain p;
	int iommufd;
	int fd;
	void *memory;
};

FIXTURE_SETUP(cdev)
{
	const char *why = plain_init(&self->p);

	self->iommufd = -1;
	self->fd = -1;
	self->memory = MAP_FAILED;
	if (!why && !self->p.cdev_path[0])
		why = "the kernel has no nodes for devices";
	if (why)
		SKIP(return, "%s", why);
	self->iommufd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->iommufd);
	self->fd = open(self->p.cdev_path, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
}

FIXTURE_TEARDOWN(cdev)
{
	plain_exit(&self->p);
	if (self->fd >= 0)
		close(self->fd);
	if (self->iommufd >= 0)
		close(self->iommufd);
	if (self->memory != MAP_FAILED)
		munmap(self->memory, 8 * PAGE);
}

static int bind_to(int fd, int iommufd, uint32_t *id)
{
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind));

	if (id)
		*id = bind.out_devid;
	/* It is the program's number, and stays that. */
	return err || bind.iommufd == iommufd ? err : EPROTO;
}

static int attach(int fd, uint32_t *id)
{
	struct abi_vfio_device_attach_iommufd_pt arg = {
		.argsz = sizeof(arg),
		.pt_id = *id,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg));

	*id = arg.pt_id;
	return err;
}

static uint32_t ioas_alloc(int iommufd)
{
	struct abi_iommu_ioas_alloc arg = { .size = sizeof(arg) };

	return ioctl(iommufd, ABI_IOMMU_IOAS_ALLOC, &arg) ? 0 : arg.out_ioas_id;
}

TEST_F(cdev, does_nothing_before_it_is_bound)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t value;

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 &info)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, VFIO_DEVICE_GET_INFO,
					 NOWHERE)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 NOWHERE)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, 12345)));
	EXPECT_EQ(EINVAL, ERRNO_OF(pread(self->fd, &value, 4, CONFIG)));
	EXPECT_EQ(EINVAL, MAP_ERRNO_OF(mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					    self->fd, 0)));
}

TEST_F(cdev, bind_errors)
{
	struct {
		struct abi_vfio_device_bind_iommufd bind;
		uint64_t tail;
	} arg = {
		.bind.argsz = ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ - 1,
		.tail = 1,
	};
	int other = memfd_create("other", 0);

	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 NOWHERE)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 &arg)));
	arg.bind.argsz = sizeof(arg);
	arg.bind.iommufd = -1;
	EXPECT_EQ(E2BIG, ERRNO_OF(ioctl(self->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					&arg)));
	arg.tail = 0;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 &arg)));
	arg.bind.flags = 1u << 8;
	arg.bind.iommufd = self->iommufd;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
					 &arg)));
	EXPECT_EQ(EBADF, bind_to(self->fd, 12345, NULL));
	EXPECT_EQ(EBADFD, bind_to(self->fd, other, NULL));
	EXPECT_EQ(EBADFD, bind_to(self->fd, self->fd, NULL));
	EXPECT_EQ(0, bind_to(self->fd, self->iommufd, NULL));
	close(other);
}

TEST_F(cdev, is_bound_once)
{
	int second = open(self->p.cdev_path, O_RDWR);
	uint32_t id = 0, value;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, bind_to(self->fd, self->iommufd, &id));
	EXPECT_NE(0, id);
	EXPECT_EQ(EINVAL, bind_to(self->fd, self->iommufd, NULL));
	EXPECT_EQ(EINVAL, bind_to(second, self->iommufd, NULL));
	EXPECT_EQ(EBADF, bind_to(second, 12345, NULL));
	EXPECT_EQ(EBUSY, ERRNO_OF(open(self->p.group_path, O_RDWR)));
	EXPECT_EQ(4, pread(self->fd, &value, 4, CONFIG));
	ASSERT_EQ(0, close(self->fd));
	self->fd = second;
	EXPECT_EQ(0, bind_to(self->fd, self->iommufd, NULL));
	EXPECT_EQ(4, pread(self->fd, &value, 4, CONFIG));
}

TEST_F(cdev, is_not_bound_while_its_group_is_open)
{
	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_LE(0, self->p.group);
	EXPECT_EQ(EBUSY, bind_to(self->fd, self->iommufd, NULL));
	EXPECT_EQ(EBUSY, bind_to(self->fd, 12345, NULL));
	ASSERT_EQ(0, close(self->p.group));
	self->p.group = -1;
	EXPECT_EQ(0, bind_to(self->fd, self->iommufd, NULL));
}

TEST_F(cdev, attach_errors)
{
	struct abi_vfio_device_attach_iommufd_pt arg = {
		.argsz = ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ - 1,
	};
	struct abi_vfio_device_detach_iommufd_pt off = {
		.argsz = ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ - 1,
	};
	uint32_t id;

	ASSERT_EQ(0, bind_to(self->fd, self->iommufd, &id));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 NOWHERE)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 &arg)));
	arg.argsz = sizeof(arg);
	arg.flags = 1u << 8;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 &arg)));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd,
					 ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT,
					 &off)));
	/* A device is not an address space. */
	EXPECT_EQ(EINVAL, attach(self->fd, &id));
	id = 12345;
	EXPECT_EQ(ENOENT, attach(self->fd, &id));
}

TEST_F(cdev, attaches_and_detaches)
{
	struct abi_vfio_device_detach_iommufd_pt off = { .argsz = sizeof(off) };
	uint32_t first, second, id;
	struct abi_iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
			 ABI_IOMMU_IOAS_MAP_READABLE |
			 ABI_IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)self->memory,
		.length = PAGE,
		.iova = IOVA,
	};

	ASSERT_EQ(0, bind_to(self->fd, self->iommufd, NULL));
	first = ioas_alloc(self->iommufd);
	second = ioas_alloc(self->iommufd);
	ASSERT_NE(0, first);
	ASSERT_NE(0, second);
	EXPECT_EQ(0, ioctl(self->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &off));
	id = first;
	ASSERT_EQ(0, attach(self->fd, &id));
	/* A page table was made in it. */
	EXPECT_NE(first, id);
	map.ioas_id = first;
	EXPECT_EQ(0, ioctl(self->iommufd, ABI_IOMMU_IOAS_MAP, &map));
	id = second;
	EXPECT_EQ(0, attach(self->fd, &id));
	map.ioas_id = second;
	EXPECT_EQ(0, ioctl(self->iommufd, ABI_IOMMU_IOAS_MAP, &map));
	EXPECT_EQ(EEXIST, ERRNO_OF(ioctl(self->iommufd, ABI_IOMMU_IOAS_MAP,
					 &map)));
	EXPECT_EQ(0, ioctl(self->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &off));
	EXPECT_EQ(0, ioctl(self->fd, VFIO_DEVICE_RESET));
}

TEST_F(cdev, outlives_its_iommufd)
{
	uint32_t value;

	ASSERT_EQ(0, bind_to(self->fd, self->iommufd, NULL));
	ASSERT_EQ(0, close(self->iommufd));
	self->iommufd = -1;
	EXPECT_EQ(4, pread(self->fd, &value, 4, CONFIG));
}

static int map(int fd, void *memory, uint64_t iova, uint64_t size,
	       uint32_t flags)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = size,
	};

	return ERRNO_OF(ioctl(fd, VFIO_IOMMU_MAP_DMA, &arg));
}

static int unmap(int fd, uint64_t iova, uint64_t size, uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = iova,
		.size = size,
	};
	int err = ERRNO_OF(ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &arg));

	*unmapped = arg.size;
	return err;
}

TEST_F(cdev, iommufd_is_a_container)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int c = self->iommufd;
	uint64_t n;

	EXPECT_EQ(VFIO_API_VERSION, ioctl(c, VFIO_GET_API_VERSION));
	EXPECT_EQ(1, ioctl(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, ioctl(c, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL));
	EXPECT_EQ(0, ioctl(c, VFIO_CHECK_EXTENSION, 999));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(c, VFIO_SET_IOMMU, 999)));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(c, VFIO_SET_IOMMU,
					 VFIO_TYPE1v2_IOMMU)));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(c, VFIO_IOMMU_GET_INFO, &info)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(c, VFIO_IOMMU_GET_INFO, NOWHERE)));
	EXPECT_EQ(ENODEV, map(c, self->memory, IOVA, PAGE, RW));
	EXPECT_EQ(EINVAL, map(c, self->memory, IOVA, PAGE, 1u << 7));
	EXPECT_EQ(ENODEV, unmap(c, IOVA, PAGE, &n));

	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_LE(0, self->p.group);
	ASSERT_EQ(0, ioctl(self->p.group, VFIO_GROUP_SET_CONTAINER, &c));
	EXPECT_EQ(0, ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(0, ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	ASSERT_LE(0, self->p.device);
	ASSERT_EQ(0, ioctl(c, VFIO_IOMMU_GET_INFO, &info));
	EXPECT_LT(sizeof(info), info.argsz);
	EXPECT_NE(0, info.iova_pgsizes & PAGE);
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->p.device,
					 ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
					 NOWHERE)));
	EXPECT_EQ(EINVAL, bind_to(self->p.device, c, NULL));
}

TEST_F(cdev, iommufd_maps_as_a_container)
{
	int c = self->iommufd;
	uint64_t n;

	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_EQ(0, ioctl(self->p.group, VFIO_GROUP_SET_CONTAINER, &c));
	ASSERT_EQ(0, ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	ASSERT_LE(0, self->p.device);
	EXPECT_EQ(EINVAL, map(c, self->memory, IOVA, 0, RW));
	EXPECT_EQ(EINVAL, map(c, self->memory, IOVA + 1, PAGE, RW));
	EXPECT_EQ(EINVAL, map(c, self->memory, 0xfee00000, PAGE, RW));
	ASSERT_EQ(0, map(c, self->memory, IOVA, 4 * PAGE, RW));
	ASSERT_EQ(0, map(c, self->memory, IOVA + 8 * PAGE, PAGE, RW));
	EXPECT_EQ(EEXIST, map(c, self->memory, IOVA + PAGE, PAGE, RW));
	EXPECT_EQ(EINVAL, unmap(c, IOVA, 0, &n));
	EXPECT_EQ(EOVERFLOW, unmap(c, -(uint64_t)PAGE, 2 * PAGE, &n));
	EXPECT_EQ(ENOENT, unmap(c, IOVA, PAGE, &n));
	EXPECT_EQ(0, n);
	/* What lies before the map that is cut is gone. */
	EXPECT_EQ(ENOENT, unmap(c, IOVA + PAGE, 16 * PAGE, &n));
	EXPECT_EQ(0, unmap(c, IOVA, 16 * PAGE, &n));
	EXPECT_EQ(5 * PAGE, n);
}

/* A group may change its iommufd while its device is open, which stays. */
TEST_F(cdev, group_changes_its_iommufd)
{
	struct abi_iommu_vfio_ioas ioas = { .size = sizeof(ioas) };
	struct abi_iommu_destroy destroy = { .size = sizeof(destroy) };
	int a = self->iommufd, b, first;

	b = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, b);
	self->p.group = open(self->p.group_path, O_RDWR);
	ASSERT_EQ(0, ioctl(self->p.group, VFIO_GROUP_SET_CONTAINER, &a));
	first = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD, self->p.bdf);
	ASSERT_LE(0, first);
	ASSERT_EQ(0, ioctl(self->p.group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(0, ioctl(self->p.group, VFIO_GROUP_SET_CONTAINER, &b));
	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	ASSERT_LE(0, self->p.device);
	ASSERT_EQ(0, ioctl(a, ABI_IOMMU_VFIO_IOAS, &ioas));
	destroy.id = ioas.ioas_id;
	EXPECT_EQ(EBUSY, ERRNO_OF(ioctl(a, ABI_IOMMU_DESTROY, &destroy)));

	/* It leaves the one that it is on with its last fd. */
	EXPECT_EQ(0, close(first));
	EXPECT_EQ(EBUSY, ERRNO_OF(ioctl(a, ABI_IOMMU_DESTROY, &destroy)));
	EXPECT_EQ(0, close(self->p.device));
	EXPECT_EQ(0, ioctl(a, ABI_IOMMU_DESTROY, &destroy));

	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	EXPECT_LE(0, self->p.device);
	EXPECT_EQ(0, map(b, self->memory, IOVA, PAGE, RW));
	close(b);
}

TEST_HARNESS_MAIN
