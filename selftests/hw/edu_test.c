// SPDX-License-Identifier: GPL-2.0-only
/*
 * The educational device: registers, DMA both ways, INTx, MSI.
 *
 * INTx is the one interrupt that stays raised until the device is told, and
 * that the kernel therefore masks each time it signals it. The test needs
 * both halves of that: no second signal while it is masked, and one more
 * after unmasking for as long as the device still has it raised.
 */
#include <string.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/edu.h"

#define SIGNAL_MS	5000	/* for a signal that must come */
#define SILENCE_MS	100	/* for one that mustn't */

FIXTURE(edu)
{
	struct hw hw;
	struct edu edu;
	struct access_dma dma;
};

FIXTURE_VARIANT(edu)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(edu, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(edu, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(edu, vfio_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(edu, vfio_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(edu, shadow_iommufd)
{
	.way = {
		.socket = true,
		.shadow = true,
		.twin = true,
		.iommu = VFIO_IOMMU_IOMMUFD,
	},
};

FIXTURE_VARIANT_ADD(edu, shadow_type1)
{
	.way = {
		.socket = true,
		.shadow = true,
		.iommu = VFIO_IOMMU_TYPE1,
	},
};

FIXTURE_SETUP(edu)
{
	const char *missing = hw_missing("LAB_EDU", variant->way.iommu);

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_EDU", &variant->way));
	ASSERT_EQ(0, edu_open(&self->edu, self->hw.access));
	ASSERT_EQ(0, access_dma_alloc(self->hw.access, 4 * EDU_BUFFER_SIZE,
				      &self->dma));
}

FIXTURE_TEARDOWN(edu)
{
	edu_close(&self->edu);
	access_dma_free(self->hw.access, &self->dma);
	EXPECT_EQ(0, hw_close(&self->hw));
}

TEST_F(edu, registers)
{
	uint32_t result;

	EXPECT_TRUE(edu_alive(&self->edu, 0x12345678));
	EXPECT_TRUE(edu_alive(&self->edu, 0));
	ASSERT_EQ(0, edu_factorial(&self->edu, 5, &result));
	EXPECT_EQ(120, result);
	ASSERT_EQ(0, edu_factorial(&self->edu, 12, &result));
	EXPECT_EQ(479001600, result);
}

/* Out of memory into the device, and into other memory again. */
TEST_F(edu, dma_both_ways)
{
	uint8_t *from = self->dma.mem, *to = from + 2 * EDU_BUFFER_SIZE;
	uint64_t iova = self->dma.iova;
	unsigned int i;

	ASSERT_LE(iova + self->dma.size - 1, EDU_DMA_MASK);
	for (i = 0; i < EDU_BUFFER_SIZE; i++)
		from[i] = i * 7 + i / 256;
	/* One byte less: the device refuses to fill its buffer to the end. */
	ASSERT_EQ(0, edu_dma(&self->edu, iova, 0, EDU_BUFFER_SIZE - 1, false));
	ASSERT_EQ(0, edu_dma(&self->edu, iova + 2 * EDU_BUFFER_SIZE, 0,
			     EDU_BUFFER_SIZE - 1, true));
	EXPECT_EQ(0, memcmp(from, to, EDU_BUFFER_SIZE - 1));
	EXPECT_EQ(0, to[EDU_BUFFER_SIZE - 1]);

	/* Part of the buffer to an odd address: nothing beside it changes. */
	memset(to, 0xee, 2 * EDU_BUFFER_SIZE);
	ASSERT_EQ(0, edu_dma(&self->edu, iova + 2 * EDU_BUFFER_SIZE + 4001, 100,
			     300, true));
	EXPECT_EQ(0, memcmp(from + 100, to + 4001, 300));
	EXPECT_EQ(0xee, to[4000]);
	EXPECT_EQ(0xee, to[4301]);
}

TEST_F(edu, dma_interrupt)
{
	memset(self->dma.mem, 0x5a, 64);
	ASSERT_EQ(0, edu_irq_setup(&self->edu, VFIO_PCI_MSI_IRQ_INDEX));
	edu_dma_start(&self->edu, self->dma.iova, 0, 64, false, true);
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	EXPECT_EQ(EDU_IRQ_DMA, edu_irq_status(&self->edu));
	edu_ack(&self->edu, EDU_IRQ_DMA);
	edu_dma_start(&self->edu, self->dma.iova + 4096, 0, 64, true, true);
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	edu_ack(&self->edu, EDU_IRQ_DMA);
	EXPECT_EQ(0, memcmp(self->dma.mem, self->dma.mem + 4096, 64));
}

TEST_F(edu, intx_automask)
{
	struct access *a = self->hw.access;
	uint32_t flags, count;

	ASSERT_EQ(0, a->ops->irq(a, VFIO_PCI_INTX_IRQ_INDEX, &flags, &count));
	EXPECT_EQ(1, count);
	EXPECT_TRUE(flags & VFIO_IRQ_INFO_AUTOMASKED);
	EXPECT_TRUE(flags & VFIO_IRQ_INFO_MASKABLE);
	ASSERT_EQ(0, edu_irq_setup(&self->edu, VFIO_PCI_INTX_IRQ_INDEX));

	edu_raise(&self->edu, 0x10);
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	/* Masked by the kernel: raised all the while, signalled no more. */
	edu_raise(&self->edu, 0x20);
	EXPECT_EQ(0, access_irq_wait(self->edu.irq, SILENCE_MS));
	/* Unmasked while still raised: signalled, and masked again. */
	ASSERT_EQ(0, access_irq_unmask(a, VFIO_PCI_INTX_IRQ_INDEX, 0));
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	EXPECT_EQ(0x30, edu_irq_status(&self->edu));
	/* Taken back before it is unmasked: quiet. */
	edu_ack(&self->edu, 0x30);
	ASSERT_EQ(0, access_irq_unmask(a, VFIO_PCI_INTX_IRQ_INDEX, 0));
	EXPECT_EQ(0, access_irq_wait(self->edu.irq, SILENCE_MS));
	/* And the next one comes through. */
	edu_raise(&self->edu, 0x40);
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	edu_ack(&self->edu, 0x40);
}

TEST_F(edu, intx_mask)
{
	struct access *a = self->hw.access;

	ASSERT_EQ(0, edu_irq_setup(&self->edu, VFIO_PCI_INTX_IRQ_INDEX));
	ASSERT_EQ(0, access_irq_mask(a, VFIO_PCI_INTX_IRQ_INDEX, 0));
	edu_raise(&self->edu, 0x1);
	EXPECT_EQ(0, access_irq_wait(self->edu.irq, SILENCE_MS));
	ASSERT_EQ(0, access_irq_unmask(a, VFIO_PCI_INTX_IRQ_INDEX, 0));
	EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
	edu_ack(&self->edu, 0x1);
}

TEST_F(edu, msi)
{
	unsigned int i;

	ASSERT_EQ(0, edu_irq_setup(&self->edu, VFIO_PCI_MSI_IRQ_INDEX));
	for (i = 0; i < 8; i++) {
		edu_raise(&self->edu, 1u << i);
		EXPECT_EQ(1, access_irq_wait(self->edu.irq, SIGNAL_MS));
		EXPECT_EQ(1u << i, edu_irq_status(&self->edu));
		edu_ack(&self->edu, 1u << i);
	}
	ASSERT_EQ(0, access_irq_disable(self->hw.access,
					VFIO_PCI_MSI_IRQ_INDEX));
	edu_raise(&self->edu, 1);
	EXPECT_EQ(0, access_irq_wait(self->edu.irq, SILENCE_MS));
	edu_ack(&self->edu, 1);
}

TEST_HARNESS_MAIN
