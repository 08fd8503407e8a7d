// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel does with memory after it has been mapped: a client that has
 * the device's fd detaches the device and attaches it again, and one maps part
 * of a huge page.
 *
 * At the second attaching the kernel pins all memory once more, by the daemon's
 * addresses for what isn't a file of shared memory. /dev/zero isn't, which is
 * other memory for each who maps it, so that only the device can say what is in
 * there. It is opened before the test is confined.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi/vfio.h"
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/edu.h"

#define AREA		0x10000		/* of the file, and of a map of it */
#define NR_AREAS	3
#define IOVA		0x800000
#define ZERO_IOVA	0x900000
#define MAX_PT_ID	8
#define HUGE		(2ul << 20)
#define NR_HUGE		8
#define ROUNDS		20

#define READ_WRITE	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

FIXTURE(attach)
{
	struct hw hw;
	struct edu edu;
	struct access_dma dma;
	int memory;
	uint8_t *mem;
	int zero;
	int device;
};

FIXTURE_SETUP(attach)
{
	const struct hw_way way = {
		.socket = true,
		.iommu = VFIO_IOMMU_IOMMUFD,
	};
	const char *missing = hw_missing("LAB_EDU", way.iommu);
	struct vfio_user_region_info *info;

	if (missing)
		SKIP(return, "%s", missing);
	self->memory = memfd_create("memory", MFD_CLOEXEC);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, ftruncate(self->memory, NR_AREAS * AREA));
	self->mem = mmap(NULL, NR_AREAS * AREA, PROT_READ | PROT_WRITE,
			 MAP_SHARED, self->memory, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->zero);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_EDU", &way));
	ASSERT_EQ(0, edu_open(&self->edu, self->hw.access));
	ASSERT_EQ(0, access_dma_alloc(self->hw.access, EDU_BUFFER_SIZE,
				      &self->dma));
	ASSERT_EQ(0, vfio_user_region_info(access_socket_client(self->hw.access),
					   VFIO_PCI_BAR0_REGION_INDEX, &info,
					   &self->device));
	free(info);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(attach)
{
	close_fd(&self->zero);
	close_fd(&self->memory);
	close_fd(&self->device);
	edu_close(&self->edu);
	access_dma_free(self->hw.access, &self->dma);
	EXPECT_EQ(0, hw_close(&self->hw));
}

static int map_area(struct access *a, int fd, unsigned int area)
{
	return a->ops->dma_map(a, IOVA + area * AREA, AREA, fd, area * AREA,
			       VFIO_DMA_MAP_FLAG_READ);
}

static int detach(int device)
{
	struct abi_vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return ioctl(device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ?
		-errno : 0;
}

/* To the daemon's address space, which is the only one and has a low number. */
static int attach(int device)
{
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	int ret;

	/* Other numbers are nobody's, or those of other things. */
	do {
		attach.pt_id++;
		ret = ioctl(device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			    &attach) ? -errno : 0;
	} while ((ret == -ENOENT || ret == -EINVAL) &&
		 attach.pt_id < MAX_PT_ID);
	return ret;
}

/* What the device reads is what @mem has; true if so. */
static bool reads(struct edu *edu, struct access_dma *dma, uint64_t iova,
		  const void *mem, size_t len)
{
	memset(dma->mem, 0, EDU_BUFFER_SIZE);
	return !edu_dma(edu, iova, 0, len, false) &&
	       !edu_dma(edu, dma->iova, 0, len, true) &&
	       !memcmp(dma->mem, mem, len);
}

/* The same of an area of the client's file, with new content. */
static bool reads_area(struct edu *edu, struct access_dma *dma, uint8_t *mem,
		       unsigned int area, uint8_t value)
{
	mem += area * AREA;
	memset(mem, ~value, AREA);
	memset(mem + 4096, value, 512);
	return reads(edu, dma, IOVA + area * AREA + 4096 - 512,
		     mem + 4096 - 512, 1536);
}

static const char text[] = "written before the device was detached";

static int map_zero(struct access *a, int zero, unsigned int area)
{
	return a->ops->dma_map(a, ZERO_IOVA + area * AREA, AREA, zero, 0,
			       READ_WRITE);
}

/* By the device, since nobody else has that memory. */
static int writes_text(struct edu *edu, struct access_dma *dma, uint64_t iova)
{
	int ret;

	strcpy(dma->mem, text);
	ret = edu_dma(edu, dma->iova, 0, 256, false);
	return ret ? ret : edu_dma(edu, iova, 0, 256, true);
}

TEST_F(attach, again_reaches_the_same_memory)
{
	struct access *a = self->hw.access;
	unsigned int i;

	for (i = 0; i < NR_AREAS; i++)
		ASSERT_EQ(0, map_area(a, self->memory, i));
	ASSERT_EQ(0, map_zero(a, self->zero, 0));
	for (i = 0; i < NR_AREAS; i++)
		ASSERT_TRUE(reads_area(&self->edu, &self->dma, self->mem, i,
				       i));
	ASSERT_EQ(0, writes_text(&self->edu, &self->dma, ZERO_IOVA));

	ASSERT_EQ(0, detach(self->device));
	ASSERT_EQ(0, attach(self->device));
	for (i = 0; i < NR_AREAS; i++)
		EXPECT_TRUE(reads_area(&self->edu, &self->dma, self->mem, i,
				       i + 10));
	EXPECT_TRUE(reads(&self->edu, &self->dma, ZERO_IOVA, text,
			  sizeof(text)));
}

/*
 * Memory that comes meanwhile is shared: with no page table to fill, the kernel
 * takes any file as one, and only finds out when it attaches the device.
 */
TEST_F(attach, again_reaches_what_is_mapped_by_then)
{
	struct access *a = self->hw.access;
	struct access_dma more = {};
	int tries = 3;

	ASSERT_EQ(0, map_zero(a, self->zero, 0));
	ASSERT_EQ(0, map_zero(a, self->zero, 1));
	ASSERT_EQ(0, writes_text(&self->edu, &self->dma, ZERO_IOVA + AREA));
	ASSERT_EQ(0, detach(self->device));
	ASSERT_EQ(0, a->ops->dma_unmap(a, ZERO_IOVA, AREA));
	ASSERT_EQ(0, access_dma_alloc(a, 4096, &more));
	ASSERT_EQ(0, attach(self->device));
	EXPECT_TRUE(reads(&self->edu, &self->dma, ZERO_IOVA + AREA, text,
			  sizeof(text)));
	memset(more.mem, 0x52, 4096);
	EXPECT_TRUE(reads(&self->edu, &self->dma, more.iova, more.mem, 512));
	access_dma_free(a, &more);

	memset(self->mem, 0x77, AREA);
	do {
		EXPECT_FALSE(reads(&self->edu, &self->dma, ZERO_IOVA, self->mem,
				   256));
	} while (!hw_faulted(&self->hw, ZERO_IOVA) && --tries);
	EXPECT_LT(0, tries);
}

FIXTURE(huge)
{
	struct hw hw;
};

FIXTURE_VARIANT(huge)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(huge, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(huge, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

/* A number from /proc/meminfo, or -1. */
static long mem_number(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "re");
	size_t len = strlen(key);
	char line[128];
	long value = -1;

	while (file && value < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, len) && line[len] == ':')
			value = atol(line + len + 1);
	}
	if (file)
		fclose(file);
	return value;
}

static bool reserve_huge_pages(void)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", "we");

	if (!file)
		return false;
	fprintf(file, "%d\n", NR_HUGE);
	fclose(file);
	return mem_number("HugePages_Free") >= NR_HUGE &&
	       mem_number("Hugepagesize") == HUGE / 1024;
}

FIXTURE_SETUP(huge)
{
	const struct hw_way way = { .socket = true, .iommu = variant->iommu };
	const char *missing = hw_missing("LAB_EDU", variant->iommu);

	if (missing)
		SKIP(return, "%s", missing);
	if (!reserve_huge_pages())
		SKIP(return, "no huge pages to be had");
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_EDU", &way));
}

FIXTURE_TEARDOWN(huge)
{
	EXPECT_EQ(0, hw_close(&self->hw));
}

/* Part of a huge page for the device, and back. */
static int map_and_unmap(struct access *a)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	int ret;

	if (fd < 0 || ftruncate(fd, HUGE))
		return -errno;
	ret = a->ops->dma_map(a, IOVA, 4096, fd, 0, READ_WRITE);
	if (!ret)
		ret = a->ops->dma_unmap(a, IOVA, 4096);
	close(fd);
	return ret;
}

TEST_F(huge, part_of_a_page_leaves_nothing_behind)
{
	struct hw_counts before, after;
	int i;

	/* The daemon has all that it will keep after the first. */
	ASSERT_EQ(0, map_and_unmap(self->hw.access));
	ASSERT_EQ(0, hw_daemon_counts(&self->hw.daemon, &before));
	EXPECT_EQ(NR_HUGE, mem_number("HugePages_Free"));
	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(0, map_and_unmap(self->hw.access));
	ASSERT_EQ(0, hw_daemon_counts(&self->hw.daemon, &after));
	EXPECT_EQ(before.maps, after.maps);
	EXPECT_EQ(before.fds, after.fds);
	EXPECT_EQ(NR_HUGE, mem_number("HugePages_Free"));
	EXPECT_EQ(0, mem_number("HugePages_Rsvd"));
}

TEST_HARNESS_MAIN
