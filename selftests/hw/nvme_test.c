// SPDX-License-Identifier: GPL-2.0-only
/*
 * An NVMe controller: data by its own DMA, MSI-X, and DMA where nothing is.
 *
 * The disk's first MiB is left alone; others may want to find it as it was.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "pattern.h"
#include "selftests/drivers/nvme.h"

#define NR_QUEUES	4
#define DEPTH		32
#define MIB		(1ull << 20)
#define BULK		(64 * MIB)
#define CHUNK		(128ull << 10)
#define FIRST_BYTE	MIB

/* Far from what access_dma_alloc() gives out. */
#define NOWHERE		0xd0000000ull

/* Seconds in which the kernel logs a fault for sure, if there are any. */
#define FAULT_SECONDS	12

/* Seconds: 64 MiB through an emulated machine, with room to spare. */
#define BULK_TIMEOUT	120

FIXTURE(nvme)
{
	struct hw hw;
	struct nvme nvme;
	struct access_dma dma;
};

FIXTURE_VARIANT(nvme)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(nvme, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(nvme, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(nvme, vfio_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(nvme, vfio_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_SETUP(nvme)
{
	const char *missing = hw_missing("LAB_NVME", variant->way.iommu);

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_NVME", &variant->way));
	ASSERT_EQ(0, nvme_open(&self->nvme, self->hw.access, NR_QUEUES, DEPTH));
	ASSERT_EQ(0, access_dma_alloc(self->hw.access, CHUNK, &self->dma));
}

FIXTURE_TEARDOWN(nvme)
{
	access_dma_free(self->hw.access, &self->dma);
	nvme_close(&self->nvme);
	EXPECT_EQ(0, hw_close(&self->hw));
}

/* A block that is free to be written. */
static uint64_t block_at(const struct nvme *n, uint64_t byte)
{
	return (FIRST_BYTE + byte) / n->block_size;
}

TEST_F(nvme, identify_data)
{
	EXPECT_STREQ("QEMU NVMe Ctrl", self->nvme.model);
	EXPECT_STREQ("lab0", self->nvme.serial);
	EXPECT_NE('\0', self->nvme.firmware[0]);
	EXPECT_EQ(512, self->nvme.block_size);
	EXPECT_LE((FIRST_BYTE + BULK) / 512, self->nvme.nr_blocks);
	EXPECT_LE(CHUNK, self->nvme.max_transfer);
}

TEST_F_TIMEOUT(nvme, write_and_read_back, BULK_TIMEOUT)
{
	struct nvme *n = &self->nvme;
	struct access_dma bulk = {};
	uint64_t sum;

	ASSERT_EQ(0, access_dma_alloc(self->hw.access, BULK, &bulk));
	pattern_fill(bulk.mem, BULK, self->hw.daemon.keeper_pid + 1);
	sum = pattern_sum(bulk.mem, BULK);
	ASSERT_EQ(0, nvme_transfer(n, 1, true, block_at(n, 0), BULK, bulk.iova,
				   CHUNK));
	memset(bulk.mem, 0, BULK);
	ASSERT_EQ(0, nvme_transfer(n, 2, false, block_at(n, 0), BULK, bulk.iova,
				   CHUNK));
	EXPECT_EQ(sum, pattern_sum(bulk.mem, BULK));
	access_dma_free(self->hw.access, &bulk);
}

/* One block, less than a page, two pages, and lists of pages. */
TEST_F(nvme, transfer_sizes)
{
	static const uint32_t sizes[] = { 512, 4096, 4608, 8192, 12288, 65536 };
	struct nvme *n = &self->nvme;
	uint8_t *mem = self->dma.mem;
	unsigned int i;
	uint64_t sum;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		pattern_fill(self->dma.mem, sizes[i], i);
		sum = pattern_sum(self->dma.mem, sizes[i]);
		ASSERT_EQ(0, nvme_io(n, 1, true, block_at(n, 0),
				     sizes[i] / n->block_size, self->dma.iova));
		memset(mem, 0xee, CHUNK);
		ASSERT_EQ(0, nvme_io(n, 1, false, block_at(n, 0),
				     sizes[i] / n->block_size, self->dma.iova));
		EXPECT_EQ(sum, pattern_sum(self->dma.mem, sizes[i]));
		EXPECT_EQ(0xee, mem[sizes[i]]);
	}
}

/* A queue's commands signal its own eventfd, and no other. */
TEST_F(nvme, msix_each_queue)
{
	struct nvme *n = &self->nvme;
	unsigned int i, q;
	uint64_t before;

	EXPECT_LT(0, n->queues[0].signals);
	for (q = 1; q <= NR_QUEUES; q++) {
		before = n->queues[q].signals;
		ASSERT_EQ(0, nvme_io(n, q, false, 0, 1, self->dma.iova));
		EXPECT_EQ(before + 1, n->queues[q].signals);
		for (i = 0; i <= NR_QUEUES; i++)
			EXPECT_EQ(0, access_irq_wait(n->queues[i].irq, 0));
	}
}

/*
 * One block to where nothing is mapped: the controller may say that it
 * failed, or it may not notice; the IOMMU must have stopped it. The kernel
 * doesn't log every fault, so this tries for a while.
 */
static bool stopped(struct nvme *n, struct hw *hw)
{
	time_t end = time(NULL) + FAULT_SECONDS;
	int ret;

	hw_faulted(hw, NOWHERE);
	do {
		ret = nvme_io(n, 1, false, block_at(n, 0), 1, NOWHERE);
		if (ret)
			return ret == -EIO;
		usleep(100000);
		if (hw_faulted(hw, NOWHERE))
			return true;
	} while (time(NULL) < end);
	return false;
}

static bool works(struct nvme *n, struct access_dma *dma)
{
	uint64_t sum;

	pattern_fill(dma->mem, CHUNK, 3);
	sum = pattern_sum(dma->mem, CHUNK);
	if (nvme_io(n, 1, true, block_at(n, 0), CHUNK / 512, dma->iova))
		return false;
	memset(dma->mem, 0, CHUNK);
	if (nvme_io(n, 1, false, block_at(n, 0), CHUNK / 512, dma->iova))
		return false;
	return pattern_sum(dma->mem, CHUNK) == sum;
}

TEST_F(nvme, unmapped_dma_faults)
{
	struct nvme *n = &self->nvme;

	EXPECT_TRUE(stopped(n, &self->hw));
	EXPECT_TRUE(works(n, &self->dma));
	nvme_close(n);
	ASSERT_EQ(0, self->hw.access->ops->reset(self->hw.access));
	ASSERT_EQ(0, nvme_open(n, self->hw.access, NR_QUEUES, DEPTH));
	EXPECT_TRUE(works(n, &self->dma));
}

/* What was mapped and is no more: the memory stays as it was. */
TEST_F(nvme, dma_after_unmap_faults)
{
	struct nvme *n = &self->nvme;
	struct access *a = self->hw.access;
	uint8_t *mem = self->dma.mem;
	unsigned int round;

	memset(mem, 0xaa, CHUNK);
	ASSERT_EQ(0, nvme_io(n, 1, true, block_at(n, 0), CHUNK / 512,
			     self->dma.iova));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, a->ops->dma_map(a, NOWHERE, CHUNK, self->dma.fd, 0,
					     VFIO_DMA_MAP_FLAG_READ |
					     VFIO_DMA_MAP_FLAG_WRITE));
		memset(mem, 0xee, CHUNK);
		ASSERT_EQ(0, nvme_io(n, 1, false, block_at(n, 0), CHUNK / 512,
				     NOWHERE));
		EXPECT_EQ(0xaa, mem[0]);
		EXPECT_EQ(0xaa, mem[CHUNK - 1]);
		ASSERT_EQ(0, a->ops->dma_unmap(a, NOWHERE, CHUNK));
		memset(mem, 0xee, CHUNK);
		EXPECT_TRUE(stopped(n, &self->hw));
		EXPECT_EQ(0xee, mem[0]);
		EXPECT_EQ(0xee, mem[511]);
	}
	EXPECT_TRUE(works(n, &self->dma));
}

/* What is mapped for reading only can't be written by the device. */
TEST_F(nvme, readonly_map)
{
	struct nvme *n = &self->nvme;
	struct access *a = self->hw.access;
	uint8_t *mem = self->dma.mem;
	int ret;

	ASSERT_EQ(0, a->ops->dma_map(a, NOWHERE, CHUNK, self->dma.fd, 0,
				     VFIO_DMA_MAP_FLAG_READ));
	memset(mem, 0xee, CHUNK);
	hw_faulted(&self->hw, NOWHERE);
	EXPECT_EQ(0, nvme_io(n, 1, true, block_at(n, 0), 1, NOWHERE));
	EXPECT_FALSE(hw_faulted(&self->hw, NOWHERE));
	memset(mem, 0xdd, CHUNK);
	/* The controller may not notice. */
	ret = nvme_io(n, 1, false, block_at(n, 0), 1, NOWHERE);
	EXPECT_TRUE(!ret || ret == -EIO);
	EXPECT_EQ(0xdd, mem[0]);
	ASSERT_EQ(0, nvme_io(n, 1, false, block_at(n, 0), 1, self->dma.iova));
	EXPECT_EQ(0xee, mem[0]);
	EXPECT_EQ(0, a->ops->dma_unmap(a, NOWHERE, CHUNK));
}

/* Neither a message nor anything else that the daemon would have to do. */
TEST_F(nvme, thousand_reads_take_no_message)
{
	struct nvme *n = &self->nvme;
	uint64_t sent = self->hw.access->ops->messages(self->hw.access);
	struct hw_counts counts;
	int64_t received = 0;
	uint64_t cpu_ns = 0;
	unsigned int i;

	if (variant->way.socket) {
		received = hw_monitor(&self->hw.daemon, "messages");
		ASSERT_LT(0, received);
		ASSERT_EQ(0, hw_daemon_rest(&self->hw.daemon, &cpu_ns));
	}
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, nvme_io(n, 1 + i % NR_QUEUES, false, i, 1,
				     self->dma.iova));
	EXPECT_EQ(sent, self->hw.access->ops->messages(self->hw.access));
	if (!variant->way.socket)
		return;
	ASSERT_EQ(0, hw_daemon_counts(&self->hw.daemon, &counts));
	EXPECT_EQ(cpu_ns, counts.cpu_ns);
	EXPECT_EQ(received, hw_monitor(&self->hw.daemon, "messages"));
}

/*
 * A queue that the controller can't read any more makes it give up. This comes
 * last, because of the many faults that the kernel then logs no others after.
 */
TEST_F(nvme, unmapped_queue_is_fatal)
{
	struct nvme *n = &self->nvme;
	struct access *a = self->hw.access;
	struct access_dma *mem = &n->queues[1].mem;
	unsigned int tries = 1000;

	ASSERT_EQ(0, a->ops->dma_unmap(a, mem->iova, mem->size));
	ASSERT_LE(0, nvme_submit(n, 1, false, 0, 1, self->dma.iova));
	while (!nvme_fatal(n) && tries--)
		usleep(1000);
	EXPECT_TRUE(nvme_fatal(n));
	nvme_close(n);
	ASSERT_EQ(0, a->ops->reset(a));
	ASSERT_EQ(0, nvme_open(n, a, NR_QUEUES, DEPTH));
	EXPECT_TRUE(works(n, &self->dma));
	/* And the next session finds a controller that works. */
	nvme_close(n);
	access_dma_free(a, &self->dma);
	ASSERT_EQ(0, hw_reopen(&self->hw));
	ASSERT_EQ(0, nvme_open(n, self->hw.access, NR_QUEUES, DEPTH));
	ASSERT_EQ(0, access_dma_alloc(self->hw.access, CHUNK, &self->dma));
	EXPECT_TRUE(works(n, &self->dma));
}

TEST_HARNESS_MAIN
