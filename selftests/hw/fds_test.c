// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says of fds that aren't what they are taken for, asked
 * directly and by a client of the daemon: the same, word for word, but for what
 * the daemon keeps away from. The software
 * VFIO's fake/fds_test has the same list of what it says.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/protocol/kinds.h"

#define IOVA		0x100000

FIXTURE(fds)
{
	struct hw hw;
	struct kind kinds[KINDS_MAX];
	unsigned int nr;
};

FIXTURE_VARIANT(fds)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(fds, direct_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(fds, direct_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(fds, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(fds, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(fds, shadow_iommufd)
{
	.way = {
		.socket = true,
		.shadow = true,
		.iommu = VFIO_IOMMU_IOMMUFD,
	},
};

FIXTURE_VARIANT_ADD(fds, shadow_type1)
{
	.way = {
		.socket = true,
		.shadow = true,
		.iommu = VFIO_IOMMU_TYPE1,
	},
};

FIXTURE_SETUP(fds)
{
	const char *missing = hw_missing("LAB_IGB", variant->way.iommu);
	unsigned int i;

	if (missing)
		SKIP(return, "%s", missing);
	/* A client has no /dev. */
	self->nr = kinds_open(self->kinds);
	for (i = 0; i < self->nr; i++)
		ASSERT_LE(0, self->kinds[i].fd)
			TH_LOG("%s", self->kinds[i].name);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_IGB", &variant->way));
}

FIXTURE_TEARDOWN(fds)
{
	unsigned int i;

	for (i = 0; i < self->nr; i++)
		close(self->kinds[i].fd);
	EXPECT_EQ(0, hw_close(&self->hw));
}

TEST_F(fds, where_memory_is_expected)
{
	struct access *a = self->hw.access;
	enum kinds_way way = variant->way.iommu == VFIO_IOMMU_TYPE1 ?
			     KINDS_TYPE1 : KINDS_MAP_FILE;
	unsigned int i;
	void *mem;
	int ret;

	if (variant->way.shadow)
		SKIP(return, "this client shares no memory");
	for (i = 0; i < self->nr; i++) {
		const struct kind *kind = &self->kinds[i];

		mem = mmap(NULL, KINDS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   kind->fd, 0);
		EXPECT_EQ(kind->map, mem == MAP_FAILED ? errno : 0)
			TH_LOG("%s", kind->name);
		if (mem != MAP_FAILED)
			munmap(mem, KINDS_SIZE);
		ret = a->ops->dma_map(a, IOVA, KINDS_SIZE, kind->fd, 0,
				      VFIO_DMA_MAP_FLAG_READ |
				      VFIO_DMA_MAP_FLAG_WRITE);
		EXPECT_EQ(kinds_map(kind, way, variant->way.socket), ret)
			TH_LOG("%s", kind->name);
		if (!ret)
			EXPECT_EQ(0, a->ops->dma_unmap(a, IOVA, KINDS_SIZE));
	}
}

TEST_F(fds, where_eventfds_are_expected)
{
	struct access *a = self->hw.access;
	uint32_t index, flags, count, tried = 0;
	unsigned int i;
	int ret;

	for (index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
		if (a->ops->irq(a, index, &flags, &count) || !count)
			continue;
		tried++;
		for (i = 0; i < self->nr; i++) {
			const struct kind *kind = &self->kinds[i];

			ret = access_irq_enable(a, index, 0, 1, &kind->fd);
			EXPECT_EQ(kinds_event(kind, variant->way.socket),
				  ret)
				TH_LOG("%s as %u", kind->name, index);
			if (!ret)
				EXPECT_EQ(0, access_irq_disable(a, index));
		}
	}
	/* MSI-X, MSI, ERR and REQ; the device may have an INTx. */
	EXPECT_LE(4, tried);
}

TEST_HARNESS_MAIN
