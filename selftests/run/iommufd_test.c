// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /dev/iommu answers, on the kernel and by vfio-user-run: which numbers
 * objects get, which addresses are chosen, which of two errors wins. Most of it
 * needs no device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "kselftest_harness.h"
#include "plain.h"

#define NOWHERE		((void *)0x1000)
#define PAGE		4096ul
#define HUGE		(2ul << 20)
#define IOVA		0x10000000ull
#define ALL		UINT64_MAX
#define CHOOSE_RW	(ABI_IOMMU_IOAS_MAP_READABLE | \
			 ABI_IOMMU_IOAS_MAP_WRITEABLE)
#define FIXED_RW	(ABI_IOMMU_IOAS_MAP_FIXED_IOVA | CHOOSE_RW)
#define WINDOW		0xfee00000ull
#define NOT_THERE	77

static uint8_t *memory;

/* Each sets what was returned there, and gives the errno, or 0. */

static int alloc(int fd, uint32_t *id)
{
	struct abi_iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_ALLOC, &cmd));

	*id = cmd.out_ioas_id;
	return err;
}

static int destroy(int fd, uint32_t id)
{
	struct abi_iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ERRNO_OF(ioctl(fd, ABI_IOMMU_DESTROY, &cmd));
}

static int map(int fd, uint32_t id, uint32_t flags, void *at, uint64_t length,
	       uint64_t *iova)
{
	struct abi_iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.ioas_id = id,
		.user_va = (uintptr_t)at,
		.length = length,
		.iova = *iova,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_MAP, &cmd));

	*iova = cmd.iova;
	return err;
}

static int map_at(int fd, uint32_t id, void *at, uint64_t length, uint64_t iova)
{
	return map(fd, id, FIXED_RW, at, length, &iova);
}

static int map_file(int fd, uint32_t id, int file, uint64_t start,
		    uint64_t length, uint64_t iova)
{
	struct abi_iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = FIXED_RW,
		.ioas_id = id,
		.fd = file,
		.start = start,
		.length = length,
		.iova = iova,
	};

	return ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_MAP_FILE, &cmd));
}

static int copy(int fd, uint32_t to, uint32_t from, uint32_t flags,
		uint64_t length, uint64_t *to_iova, uint64_t from_iova)
{
	struct abi_iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = flags,
		.dst_ioas_id = to,
		.src_ioas_id = from,
		.length = length,
		.dst_iova = *to_iova,
		.src_iova = from_iova,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_COPY, &cmd));

	*to_iova = cmd.dst_iova;
	return err;
}

static int unmap(int fd, uint32_t id, uint64_t iova, uint64_t length,
		 uint64_t *unmapped)
{
	struct abi_iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = id,
		.iova = iova,
		.length = length,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_UNMAP, &cmd));

	*unmapped = cmd.length;
	return err;
}

static int option(int fd, uint32_t which, uint16_t op, uint32_t id,
		  uint64_t *value)
{
	struct abi_iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = which,
		.op = op,
		.object_id = id,
		.val64 = *value,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_OPTION, &cmd));

	*value = cmd.val64;
	return err;
}

static int vfio_ioas(int fd, uint16_t op, uint32_t *id)
{
	struct abi_iommu_vfio_ioas cmd = {
		.size = sizeof(cmd),
		.ioas_id = *id,
		.op = op,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_VFIO_IOAS, &cmd));

	*id = cmd.ioas_id;
	return err;
}

static int ranges(int fd, uint32_t id, struct abi_iommu_iova_range *to,
		  uint32_t *nr, uint64_t *alignment)
{
	struct abi_iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = id,
		.num_iovas = *nr,
		.allowed_iovas = (uintptr_t)to,
	};
	int err = ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_IOVA_RANGES, &cmd));

	*nr = cmd.num_iovas;
	*alignment = cmd.out_iova_alignment;
	return err;
}

static int allow(int fd, uint32_t id, const void *from, uint32_t nr)
{
	struct abi_iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd),
		.ioas_id = id,
		.num_iovas = nr,
		.allowed_iovas = (uintptr_t)from,
	};

	return ERRNO_OF(ioctl(fd, ABI_IOMMU_IOAS_ALLOW_IOVAS, &cmd));
}

FIXTURE(ioas)
{
	int fd;
	uint32_t id;
};

FIXTURE_SETUP(ioas)
{
	self->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "/dev/iommu: %s", strerror(errno));
	ASSERT_EQ(0, alloc(self->fd, &self->id));
	memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	/* At a multiple of the huge page size: that decides what is chosen. */
	memory += HUGE - (uintptr_t)memory % HUGE;
}

FIXTURE_TEARDOWN(ioas)
{
	close(self->fd);
}

TEST_F(ioas, unknown_calls)
{
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->fd, _IO(ABI_IOMMUFD_TYPE, 0x50),
					 NULL)));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->fd, _IO(ABI_IOMMUFD_TYPE, 0xf0),
					 &self->id)));
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(self->fd,
					 _IOR(ABI_IOMMUFD_TYPE, 0x81, int),
					 &self->id)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd,
					 _IOR(ABI_IOMMUFD_TYPE, 0x81, int),
					 NOWHERE)));
	EXPECT_EQ(EFAULT, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_IOAS_ALLOC,
					 NOWHERE)));
	EXPECT_EQ(VFIO_API_VERSION, ioctl(self->fd, VFIO_GET_API_VERSION));
}

TEST_F(ioas, sizes)
{
	struct {
		struct abi_iommu_destroy cmd;
		uint32_t more[64];
	} big = { .cmd = { .size = 4, .id = self->id } };

	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_DESTROY, &big)));
	big.cmd.size = 0;
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_DESTROY, &big)));
	big.cmd.size = sizeof(big);
	big.more[63] = 1;
	EXPECT_EQ(E2BIG, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_DESTROY, &big)));
	big.more[63] = 0;
	EXPECT_EQ(0, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_DESTROY, &big)));
	/* What isn't known is looked at before the rest. */
	big.more[0] = 1;
	EXPECT_EQ(E2BIG, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_DESTROY, &big)));
}

TEST_F(ioas, numbers)
{
	struct abi_iommu_ioas_alloc cmd = { .size = sizeof(cmd), .flags = 1 };
	uint32_t second, third;

	EXPECT_EQ(1, self->id);
	ASSERT_EQ(0, alloc(self->fd, &second));
	EXPECT_EQ(2, second);
	EXPECT_EQ(ENOENT, destroy(self->fd, 0));
	EXPECT_EQ(ENOENT, destroy(self->fd, NOT_THERE));
	EXPECT_EQ(ENOENT, destroy(self->fd, UINT32_MAX));
	EXPECT_EQ(0, destroy(self->fd, self->id));
	EXPECT_EQ(ENOENT, destroy(self->fd, self->id));
	ASSERT_EQ(0, alloc(self->fd, &third));
	EXPECT_EQ(1, third);
	EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_IOAS_ALLOC,
					     &cmd)));
}

TEST_F(ioas, iova_ranges)
{
	struct abi_iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = NOT_THERE,
		.reserved = 1,
	};
	struct abi_iommu_iova_range range[2];
	uint64_t alignment;
	uint32_t nr = 2;

	EXPECT_EQ(0, ranges(self->fd, self->id, range, &nr, &alignment));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(1, alignment);
	EXPECT_EQ(0, range[0].start);
	EXPECT_EQ(ALL, range[0].last);
	nr = 0;
	EXPECT_EQ(EMSGSIZE, ranges(self->fd, self->id, NULL, &nr, &alignment));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(EFAULT, ranges(self->fd, self->id, NOWHERE, &nr, &alignment));
	EXPECT_EQ(ENOENT, ranges(self->fd, NOT_THERE, range, &nr, &alignment));
	EXPECT_EQ(EOPNOTSUPP,
		  ERRNO_OF(ioctl(self->fd, ABI_IOMMU_IOAS_IOVA_RANGES, &cmd)));
}

TEST_F(ioas, map_errors)
{
	uint64_t iova = IOVA, none = ALL;

	/* From the strongest to the weakest, with all the weaker ones due. */
	EXPECT_EQ(EOPNOTSUPP, map(self->fd, NOT_THERE, 8, memory, ALL, &none));
	EXPECT_EQ(EOVERFLOW, map(self->fd, NOT_THERE, 0, memory, ALL, &iova));
	EXPECT_EQ(EOVERFLOW, map(self->fd, NOT_THERE, 0, memory, 0, &none));
	EXPECT_EQ(EINVAL, map(self->fd, NOT_THERE,
			      ABI_IOMMU_IOAS_MAP_FIXED_IOVA, memory, 0,
			      &iova));
	EXPECT_EQ(ENOENT, map(self->fd, NOT_THERE, FIXED_RW, memory, 0, &iova));
	EXPECT_EQ(EOVERFLOW, map_at(self->fd, self->id, (void *)-PAGE,
				    2 * PAGE, ALL - 1));
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory, 0, IOVA));
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, NULL, ALL - 1, IOVA));
	EXPECT_EQ(EOVERFLOW, map_at(self->fd, self->id, memory, PAGE, ALL - 1));

	/* Without a device nobody looks at the memory, or at alignment. */
	EXPECT_EQ(0, map_at(self->fd, self->id, NOWHERE, PAGE, IOVA));
	EXPECT_EQ(0, map_at(self->fd, self->id, memory + 1, 3, IOVA + PAGE));
	EXPECT_EQ(EEXIST, map_at(self->fd, self->id, memory, 1, IOVA + PAGE));
	EXPECT_EQ(EEXIST, map_at(self->fd, self->id, memory, 2 * PAGE,
				 IOVA - PAGE));
	EXPECT_EQ(0, map_at(self->fd, self->id, memory, 1, IOVA + PAGE + 3));
}

TEST_F(ioas, chosen_addresses)
{
	uint64_t iova = 0;

	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, PAGE, &iova));
	EXPECT_EQ(PAGE, iova);
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, HUGE, &iova));
	EXPECT_EQ(HUGE, iova);
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory + PAGE,
			 2 * PAGE, &iova));
	EXPECT_EQ(2 * PAGE, iova);
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, 3 * PAGE,
			 &iova));
	EXPECT_EQ(4 * PAGE, iova);
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory + 5, 7, &iova));
	EXPECT_EQ(7 * PAGE + 5, iova);
	EXPECT_EQ(EOVERFLOW, map(self->fd, self->id, CHOOSE_RW, NULL, ALL / 2,
				 &iova));
}

TEST_F(ioas, allowed_addresses)
{
	struct abi_iommu_iova_range all[] = {
		{ 0x40000, 0x41fff }, { 0x20000, 0x20fff },
	};
	struct abi_iommu_iova_range none = { 5, 5 };
	struct abi_iommu_iova_range twice[] = { { 0, 9 }, { 9, 20 } };
	uint64_t iova = 0;

	EXPECT_EQ(ENOENT, allow(self->fd, NOT_THERE, all, 2));
	EXPECT_EQ(EFAULT, allow(self->fd, self->id, NOWHERE, 1));
	EXPECT_EQ(EINVAL, allow(self->fd, self->id, &none, 1));
	EXPECT_EQ(EINVAL, allow(self->fd, self->id, twice, 2));
	ASSERT_EQ(0, allow(self->fd, self->id, all, 2));
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, PAGE, &iova));
	EXPECT_EQ(0x20000, iova);
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, PAGE, &iova));
	EXPECT_EQ(0x40000, iova);
	EXPECT_EQ(ENOSPC, map(self->fd, self->id, CHOOSE_RW, memory, 2 * PAGE,
			      &iova));
	/* Who says where isn't bound to it. */
	EXPECT_EQ(0, map_at(self->fd, self->id, memory, PAGE, IOVA));
	EXPECT_EQ(0, allow(self->fd, self->id, NULL, 0));
	EXPECT_EQ(0, map(self->fd, self->id, CHOOSE_RW, memory, PAGE, &iova));
	EXPECT_EQ(PAGE, iova);
}

TEST_F(ioas, unmap_errors)
{
	uint64_t n;

	EXPECT_EQ(ENOENT, unmap(self->fd, NOT_THERE, 0, 0, &n));
	EXPECT_EQ(EINVAL, unmap(self->fd, self->id, 0, 0, &n));
	EXPECT_EQ(EOVERFLOW, unmap(self->fd, self->id, 1, ALL, &n));
	EXPECT_EQ(EOVERFLOW, unmap(self->fd, self->id, ALL, 1, &n));
	EXPECT_EQ(EOVERFLOW, unmap(self->fd, self->id, ALL - 1, 3, &n));
	EXPECT_EQ(ENOENT, unmap(self->fd, self->id, IOVA, PAGE, &n));
	EXPECT_EQ(0, unmap(self->fd, self->id, 0, ALL, &n));
	EXPECT_EQ(0, n);
}

TEST_F(ioas, unmap_takes_whole_maps)
{
	uint64_t n, i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, map_at(self->fd, self->id, memory, 2 * PAGE,
				    IOVA + i * 2 * PAGE));
	EXPECT_EQ(ENOENT, unmap(self->fd, self->id, IOVA, PAGE, &n));
	EXPECT_EQ(PAGE, n);
	EXPECT_EQ(ENOENT, unmap(self->fd, self->id, IOVA + PAGE, 3 * PAGE, &n));
	/* The first was whole, so it is gone; the second wasn't. */
	EXPECT_EQ(ENOENT, unmap(self->fd, self->id, IOVA, 3 * PAGE, &n));
	EXPECT_EQ(0, map_at(self->fd, self->id, memory, 2 * PAGE, IOVA));
	EXPECT_EQ(EEXIST, map_at(self->fd, self->id, memory, PAGE,
				 IOVA + 2 * PAGE));
	EXPECT_EQ(0, unmap(self->fd, self->id, IOVA - PAGE, 5 * PAGE, &n));
	EXPECT_EQ(4 * PAGE, n);
	EXPECT_EQ(0, unmap(self->fd, self->id, 0, ALL, &n));
	EXPECT_EQ(4 * PAGE, n);
}

TEST_F(ioas, files)
{
	int file = memfd_create("m", MFD_CLOEXEC);
	uint64_t n;

	ASSERT_EQ(0, ftruncate(file, 4 * PAGE));
	EXPECT_EQ(EINVAL, map_file(self->fd, self->id, -1, 0, 0, ALL - 1));
	EXPECT_EQ(EOVERFLOW, map_file(self->fd, self->id, -1, ALL, 2, IOVA));
	EXPECT_EQ(EBADF, map_file(self->fd, self->id, -1, 0, PAGE, ALL - 1));
	EXPECT_EQ(EOVERFLOW, map_file(self->fd, self->id, file, 0, PAGE,
				      ALL - 1));
	EXPECT_EQ(0, map_file(self->fd, self->id, file, PAGE, PAGE, IOVA));
	EXPECT_EQ(EEXIST, map_file(self->fd, self->id, file, 0, PAGE, IOVA));
	close(file);
	EXPECT_EQ(0, unmap(self->fd, self->id, IOVA, PAGE, &n));
	EXPECT_EQ(PAGE, n);
}

TEST_F(ioas, copies)
{
	uint64_t at = IOVA, n, iova = IOVA + HUGE;
	uint32_t other;

	ASSERT_EQ(0, alloc(self->fd, &other));
	ASSERT_EQ(0, map_at(self->fd, self->id, memory, 2 * PAGE, IOVA));
	ASSERT_EQ(0, map(self->fd, self->id, ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
			 ABI_IOMMU_IOAS_MAP_READABLE, memory, 2 * PAGE, &iova));
	ASSERT_EQ(0, map_at(self->fd, self->id, memory + HUGE / 2, 2 * PAGE,
			    IOVA + 2 * PAGE));

	EXPECT_EQ(EINVAL, copy(self->fd, other, self->id, FIXED_RW, 0, &at,
			       IOVA));
	EXPECT_EQ(ENOENT, copy(self->fd, other, NOT_THERE, FIXED_RW, 0, &at,
			       IOVA));
	EXPECT_EQ(ENOENT, copy(self->fd, NOT_THERE, self->id, FIXED_RW, PAGE,
			       &at, IOVA));
	EXPECT_EQ(ENOENT, copy(self->fd, other, self->id, FIXED_RW, 5 * PAGE,
			       &at, IOVA));
	EXPECT_EQ(EPERM, copy(self->fd, other, self->id, FIXED_RW, PAGE, &at,
			      IOVA + HUGE));
	EXPECT_EQ(ENOENT, unmap(self->fd, other, IOVA, HUGE, &n));

	/* A piece of each of two maps, which stay two. */
	EXPECT_EQ(0, copy(self->fd, other, self->id, FIXED_RW, 2 * PAGE, &at,
			  IOVA + PAGE));
	EXPECT_EQ(EEXIST, copy(self->fd, other, self->id, FIXED_RW, PAGE, &at,
			       IOVA));
	EXPECT_EQ(0, unmap(self->fd, other, IOVA, PAGE, &n));
	EXPECT_EQ(PAGE, n);
	EXPECT_EQ(0, copy(self->fd, other, self->id, CHOOSE_RW, PAGE, &at,
			  IOVA));
	EXPECT_EQ(PAGE, at);
	EXPECT_EQ(0, unmap(self->fd, other, 0, ALL, &n));
	EXPECT_EQ(2 * PAGE, n);
}

TEST_F(ioas, options)
{
	struct abi_iommu_option cmd = { .size = sizeof(cmd), .reserved = 1 };
	uint64_t value = 5, alignment;
	struct abi_iommu_iova_range range;
	uint32_t nr = 1;

	EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(ioctl(self->fd, ABI_IOMMU_OPTION,
					     &cmd)));
	EXPECT_EQ(EOPNOTSUPP, option(self->fd, 9, 0, 0, &value));
	EXPECT_EQ(EOPNOTSUPP, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
				     ABI_IOMMU_OPTION_OP_GET, 1, &value));
	EXPECT_EQ(EOPNOTSUPP, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE, 7,
				     0, &value));
	EXPECT_EQ(0, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
			    ABI_IOMMU_OPTION_OP_GET, 0, &value));
	EXPECT_EQ(0, value);

	EXPECT_EQ(ENOENT, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
				 ABI_IOMMU_OPTION_OP_GET, NOT_THERE, &value));
	EXPECT_EQ(EOPNOTSUPP, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES, 7,
				     self->id, &value));
	EXPECT_EQ(0, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
			    ABI_IOMMU_OPTION_OP_GET, self->id, &value));
	EXPECT_EQ(1, value);
	value = 2;
	EXPECT_EQ(EINVAL, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
				 ABI_IOMMU_OPTION_OP_SET, self->id, &value));
	value = 0;
	EXPECT_EQ(0, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
			    ABI_IOMMU_OPTION_OP_SET, self->id, &value));
	EXPECT_EQ(0, ranges(self->fd, self->id, &range, &nr, &alignment));
	EXPECT_EQ(PAGE, alignment);
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory, 3, IOVA));
	value = 1;
	EXPECT_EQ(0, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
			    ABI_IOMMU_OPTION_OP_SET, self->id, &value));
	EXPECT_EQ(0, map_at(self->fd, self->id, memory, 3, IOVA));
	value = 0;
	EXPECT_EQ(EADDRINUSE, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
				     ABI_IOMMU_OPTION_OP_SET, self->id,
				     &value));
}

static bool has_sys_resource(void)
{
	unsigned long long effective = 0;
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "CapEff: %llx", &effective);
	if (f)
		fclose(f);
	return effective & 1ull << CAP_SYS_RESOURCE;
}

TEST_F(ioas, accounting)
{
	int err = has_sys_resource() ? 0 : EPERM;
	uint64_t value = 1;

	EXPECT_EQ(err ?: EBUSY, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
				       ABI_IOMMU_OPTION_OP_SET, 0, &value));
	EXPECT_EQ(0, destroy(self->fd, self->id));
	EXPECT_EQ(err, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
			      ABI_IOMMU_OPTION_OP_SET, 0, &value));
	value = 2;
	EXPECT_EQ(err ?: EINVAL, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
					ABI_IOMMU_OPTION_OP_SET, 0, &value));
	EXPECT_EQ(0, option(self->fd, ABI_IOMMU_OPTION_RLIMIT_MODE,
			    ABI_IOMMU_OPTION_OP_GET, 0, &value));
	EXPECT_EQ(!err, value);
}

TEST_F(ioas, for_containers)
{
	struct vfio_iommu_type1_dma_map dma = {
		.argsz = sizeof(dma),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGE,
	};
	uint32_t id = NOT_THERE;

	EXPECT_EQ(ENODEV, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(ENODEV, ERRNO_OF(ioctl(self->fd, VFIO_IOMMU_MAP_DMA, &dma)));
	EXPECT_EQ(ENOENT, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_SET, &id));
	EXPECT_EQ(EOPNOTSUPP, vfio_ioas(self->fd, 9, &id));
	EXPECT_EQ(0, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_SET, &self->id));
	EXPECT_EQ(0, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(self->id, id);
	EXPECT_EQ(0, ERRNO_OF(ioctl(self->fd, VFIO_IOMMU_MAP_DMA, &dma)));
	EXPECT_EQ(EEXIST, map_at(self->fd, self->id, memory, 1, IOVA + 9));
	EXPECT_EQ(0, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_CLEAR, &id));
	EXPECT_EQ(ENODEV, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(0, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_SET, &self->id));
	EXPECT_EQ(0, destroy(self->fd, self->id));
	EXPECT_EQ(ENODEV, vfio_ioas(self->fd, ABI_IOMMU_VFIO_IOAS_GET, &id));
}

FIXTURE(attached)
{
	struct plain p;
	int fd;
	int device;
	uint32_t id;
	uint32_t dev_id;
};

FIXTURE_SETUP(attached)
{
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ,
	};
	const char *why = plain_init(&self->p);

	self->device = -1;
	self->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "/dev/iommu: %s", strerror(errno));
	if (why || !self->p.cdev_path[0])
		SKIP(return, "%s", why ?: "the device has no node of its own");
	self->device = open(self->p.cdev_path, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->device, 0);
	bind.iommufd = self->fd;
	ASSERT_EQ(0, ERRNO_OF(ioctl(self->device, ABI_VFIO_DEVICE_BIND_IOMMUFD,
				    &bind)));
	self->dev_id = bind.out_devid;
	ASSERT_EQ(0, alloc(self->fd, &self->id));
	memory = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
}

FIXTURE_TEARDOWN(attached)
{
	if (self->device >= 0)
		close(self->device);
	if (self->fd >= 0)
		close(self->fd);
}

static int attach(int device, uint32_t *id)
{
	struct abi_vfio_device_attach_iommufd_pt cmd = {
		.argsz = ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ,
		.pt_id = *id,
	};
	int err = ERRNO_OF(ioctl(device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
				 &cmd));

	*id = cmd.pt_id;
	return err;
}

static int detach(int device)
{
	struct abi_vfio_device_detach_iommufd_pt cmd = {
		.argsz = ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ,
	};

	return ERRNO_OF(ioctl(device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd));
}

TEST_F(attached, objects_in_use)
{
	uint32_t pt = self->id, other, again;

	EXPECT_EQ(EBUSY, destroy(self->fd, self->dev_id));
	ASSERT_EQ(0, attach(self->device, &pt));
	EXPECT_NE(self->id, pt);
	EXPECT_NE(self->dev_id, pt);
	EXPECT_EQ(EBUSY, destroy(self->fd, self->id));
	EXPECT_EQ(EBUSY, destroy(self->fd, pt));

	/* To another, and back by the page table's number. */
	ASSERT_EQ(0, alloc(self->fd, &other));
	EXPECT_EQ(pt + 1, other);
	again = other;
	EXPECT_EQ(0, attach(self->device, &again));
	EXPECT_NE(other, again);
	EXPECT_EQ(ENOENT, destroy(self->fd, pt));
	EXPECT_EQ(EBUSY, destroy(self->fd, other));
	EXPECT_EQ(0, destroy(self->fd, self->id));
	pt = again;
	EXPECT_EQ(0, attach(self->device, &pt));
	EXPECT_EQ(again, pt);
	EXPECT_EQ(0, detach(self->device));
	EXPECT_EQ(0, destroy(self->fd, other));
}

TEST_F(attached, attach_errors)
{
	uint32_t pt = NOT_THERE;
	uint64_t n;

	EXPECT_EQ(ENOENT, attach(self->device, &pt));
	pt = self->dev_id;
	EXPECT_EQ(EINVAL, attach(self->device, &pt));
	pt = self->id;
	ASSERT_EQ(0, map_at(self->fd, self->id, memory, PAGE, WINDOW));
	EXPECT_EQ(EADDRINUSE, attach(self->device, &pt));
	ASSERT_EQ(0, unmap(self->fd, self->id, 0, ALL, &n));
	ASSERT_EQ(0, map_at(self->fd, self->id, memory, 3, IOVA));
	EXPECT_EQ(EADDRINUSE, attach(self->device, &pt));
	ASSERT_EQ(0, unmap(self->fd, self->id, 0, ALL, &n));
	ASSERT_EQ(0, map_at(self->fd, self->id, memory, PAGE, IOVA));
	ASSERT_EQ(0, map_at(self->fd, self->id, NOWHERE, PAGE, IOVA + PAGE));
	EXPECT_EQ(EFAULT, attach(self->device, &pt));
	ASSERT_EQ(0, unmap(self->fd, self->id, IOVA + PAGE, PAGE, &n));
	EXPECT_EQ(0, attach(self->device, &pt));
}

TEST_F(attached, ranges_and_maps)
{
	struct abi_iommu_iova_range window = { WINDOW, WINDOW + 4095 };
	struct abi_iommu_iova_range range[64];
	uint64_t alignment, n, value = 0;
	uint32_t pt = self->id, nr = 64, i;

	ASSERT_EQ(0, attach(self->device, &pt));
	ASSERT_EQ(0, ranges(self->fd, self->id, range, &nr, &alignment));
	EXPECT_EQ(PAGE, alignment);
	EXPECT_GT(nr, 1);
	for (i = 0; i < nr; i++)
		EXPECT_TRUE(range[i].last < WINDOW ||
			    range[i].start > WINDOW);
	EXPECT_EQ(EADDRINUSE, allow(self->fd, self->id, &window, 1));

	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory, 3, IOVA));
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory, PAGE, IOVA + 1));
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory + 1, PAGE, IOVA));
	EXPECT_EQ(EINVAL, map_at(self->fd, self->id, memory, PAGE, WINDOW));
	EXPECT_EQ(EFAULT, map_at(self->fd, self->id, NOWHERE, PAGE, IOVA));
	EXPECT_EQ(0, map_at(self->fd, self->id, memory, 4 * PAGE, IOVA));
	EXPECT_EQ(EEXIST, map_at(self->fd, self->id, memory, PAGE,
				 IOVA + PAGE));
	EXPECT_EQ(EINVAL, option(self->fd, ABI_IOMMU_OPTION_HUGE_PAGES,
				 ABI_IOMMU_OPTION_OP_SET, self->id, &value));
	EXPECT_EQ(0, unmap(self->fd, self->id, 0, ALL, &n));
	EXPECT_EQ(4 * PAGE, n);
}

TEST_HARNESS_MAIN
