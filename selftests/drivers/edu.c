// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for QEMU's educational PCI device.
 *
 * It computes factorials in a thread of its own, copies between 4 KiB that it
 * keeps and memory, some 100 ms after it was told to, and raises INTx or MSI
 * when asked. Small as it is, it has each kind of thing that a PCI device
 * does, and a copy that is late on purpose: the client that asked for it may
 * be gone by then.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include "edu.h"

#define EDU_ID			0x00
#define EDU_LIVENESS		0x04
#define EDU_FACTORIAL		0x08
#define EDU_STATUS		0x20
#define EDU_STATUS_COMPUTING	0x01u
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_RAISE		0x60
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_START		0x1u
#define EDU_DMA_TO_MEMORY	0x2u
#define EDU_DMA_RAISE_IRQ	0x4u

/* Where DMA addresses the device's own buffer. */
#define EDU_BUFFER		0x40000

#define EDU_TIMEOUT_MS		10000

int edu_open(struct edu *edu, struct access *a)
{
	int ret;

	edu->irq = -1;
	edu->a = a;
	ret = access_enable(a);
	if (ret)
		return ret;
	ret = access_bar_open(a, VFIO_PCI_BAR0_REGION_INDEX, &edu->bar);
	if (ret)
		return ret;
	/* 0xMMmm00ed: major and minor version */
	if ((access_bar_read32(&edu->bar, EDU_ID) & 0xffff) != 0x00ed) {
		access_bar_close(&edu->bar);
		return -ENODEV;
	}
	edu_ack(edu, ~0u);
	return 0;
}

void edu_close(struct edu *edu)
{
	if (!edu->a)
		return;
	if (edu->irq >= 0)
		access_irq_disable(edu->a, edu->irq_index);
	close_fd(&edu->irq);
	access_bar_close(&edu->bar);
	edu->a = NULL;
}

bool edu_alive(struct edu *edu, uint32_t value)
{
	access_bar_write32(&edu->bar, EDU_LIVENESS, value);
	return access_bar_read32(&edu->bar, EDU_LIVENESS) == ~value;
}

/* Wait until none of @bits is set in a register. */
static int wait_clear(struct edu *edu, uint32_t offset, uint32_t bits)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	int left = EDU_TIMEOUT_MS;

	while (access_bar_read32(&edu->bar, offset) & bits) {
		if (!left--)
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
	}
	return 0;
}

int edu_factorial(struct edu *edu, uint32_t n, uint32_t *result)
{
	int ret;

	access_bar_write32(&edu->bar, EDU_FACTORIAL, n);
	ret = wait_clear(edu, EDU_STATUS, EDU_STATUS_COMPUTING);
	if (ret)
		return ret;
	*result = access_bar_read32(&edu->bar, EDU_FACTORIAL);
	return 0;
}

void edu_dma_start(struct edu *edu, uint64_t iova, uint32_t offset,
		   uint32_t count, bool to_memory, bool irq)
{
	uint32_t buffer = EDU_BUFFER + offset;
	uint32_t command = EDU_DMA_START;

	if (to_memory)
		command |= EDU_DMA_TO_MEMORY;
	if (irq)
		command |= EDU_DMA_RAISE_IRQ;
	access_bar_write32(&edu->bar, EDU_DMA_SRC, to_memory ? buffer : iova);
	access_bar_write32(&edu->bar, EDU_DMA_DST, to_memory ? iova : buffer);
	access_bar_write32(&edu->bar, EDU_DMA_COUNT, count);
	access_bar_write32(&edu->bar, EDU_DMA_COMMAND, command);
}

int edu_dma(struct edu *edu, uint64_t iova, uint32_t offset, uint32_t count,
	    bool to_memory)
{
	edu_dma_start(edu, iova, offset, count, to_memory, false);
	return wait_clear(edu, EDU_DMA_COMMAND, EDU_DMA_START);
}

int edu_irq_setup(struct edu *edu, uint32_t index)
{
	int ret;

	edu->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (edu->irq < 0)
		return -errno;
	ret = access_irq_enable(edu->a, index, 0, 1, &edu->irq);
	if (ret)
		close_fd(&edu->irq);
	edu->irq_index = index;
	return ret;
}

void edu_raise(struct edu *edu, uint32_t bits)
{
	access_bar_write32(&edu->bar, EDU_IRQ_RAISE, bits);
}

uint32_t edu_irq_status(struct edu *edu)
{
	return access_bar_read32(&edu->bar, EDU_IRQ_STATUS);
}

void edu_ack(struct edu *edu, uint32_t bits)
{
	access_bar_write32(&edu->bar, EDU_IRQ_ACK, bits);
}
