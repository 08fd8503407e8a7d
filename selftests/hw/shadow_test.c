// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices driven by a client that shares no memory, with --shadow-dma: the same
 * drivers as everywhere, their data by message, their interrupts relayed.
 *
 * The disk's first MiB is left alone; others may want to find it as it was.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "pattern.h"
#include "selftests/drivers/nvme.h"

#define NR_QUEUES	2
#define DEPTH		4
#define MIB		(1ull << 20)
#define CHUNK		(128ull << 10)

/* Seconds: each register write reads all of the client's memory. */
#define BULK_TIMEOUT	120

FIXTURE(shadow)
{
	struct hw hw;
	struct nvme nvme;
	struct access_dma dma;
};

FIXTURE_VARIANT(shadow)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(shadow, twin_iommufd)
{
	.way = {
		.socket = true,
		.shadow = true,
		.twin = true,
		.iommu = VFIO_IOMMU_IOMMUFD,
	},
};

FIXTURE_VARIANT_ADD(shadow, main_iommufd)
{
	.way = {
		.socket = true,
		.shadow = true,
		.iommu = VFIO_IOMMU_IOMMUFD,
	},
};

FIXTURE_VARIANT_ADD(shadow, twin_type1)
{
	.way = {
		.socket = true,
		.shadow = true,
		.twin = true,
		.iommu = VFIO_IOMMU_TYPE1,
	},
};

FIXTURE_VARIANT_ADD(shadow, main_type1)
{
	.way = {
		.socket = true,
		.shadow = true,
		.iommu = VFIO_IOMMU_TYPE1,
	},
};

FIXTURE_SETUP(shadow)
{
	const char *missing = hw_missing("LAB_NVME", variant->way.iommu);

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_NVME", &variant->way));
	ASSERT_EQ(0, nvme_open(&self->nvme, self->hw.access, NR_QUEUES, DEPTH));
	ASSERT_EQ(0, access_dma_alloc(self->hw.access, MIB, &self->dma));
}

FIXTURE_TEARDOWN(shadow)
{
	access_dma_free(self->hw.access, &self->dma);
	nvme_close(&self->nvme);
	EXPECT_EQ(0, hw_close(&self->hw));
}

TEST_F(shadow, nvme_is_identified)
{
	EXPECT_STREQ("QEMU NVMe Ctrl", self->nvme.model);
	EXPECT_STREQ("lab0", self->nvme.serial);
	EXPECT_EQ(512, self->nvme.block_size);
	/* Nothing was shared. */
	EXPECT_LT(0, hw_monitor(&self->hw.daemon, "requests"));
	EXPECT_EQ(hw_monitor(&self->hw.daemon, "session.dma.bytes"),
		  hw_monitor(&self->hw.daemon, "session.dma.shadowed_bytes"));
}

TEST_F_TIMEOUT(shadow, nvme_writes_and_reads_back, BULK_TIMEOUT)
{
	struct nvme *n = &self->nvme;
	uint64_t block = MIB / n->block_size, sum;
	unsigned int round;

	for (round = 0; round < 2; round++) {
		pattern_fill(self->dma.mem, MIB, getpid() + round);
		sum = pattern_sum(self->dma.mem, MIB);
		ASSERT_EQ(0, nvme_transfer(n, 1, true, block, MIB,
					   self->dma.iova, CHUNK));
		memset(self->dma.mem, 0, MIB);
		ASSERT_EQ(0, nvme_transfer(n, 2, false, block, MIB,
					   self->dma.iova, CHUNK));
		EXPECT_EQ(sum, pattern_sum(self->dma.mem, MIB));
	}
}

/* One at a time: each must be in memory when its interrupt comes. */
TEST_F_TIMEOUT(shadow, nvme_data_comes_before_its_interrupt, BULK_TIMEOUT)
{
	struct nvme *n = &self->nvme;
	uint64_t block = MIB / n->block_size, sum;
	unsigned int i;

	for (i = 0; i < 32; i++) {
		pattern_fill(self->dma.mem, 4096, i);
		sum = pattern_sum(self->dma.mem, 4096);
		ASSERT_EQ(0, nvme_io(n, 1, true, block + 8 * i, 8,
				     self->dma.iova));
		memset(self->dma.mem, 0xee, 4096);
		ASSERT_EQ(0, nvme_io(n, 2, false, block + 8 * i, 8,
				     self->dma.iova));
		EXPECT_EQ(sum, pattern_sum(self->dma.mem, 4096));
	}
}

TEST_HARNESS_MAIN
