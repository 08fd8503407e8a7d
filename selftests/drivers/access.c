// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the test drivers need of a device, whichever way leads to it.
 *
 * The two backends (access_socket.c, access_vfio.c) know how to read, write,
 * map, arm and reset; everything made from these is here, once: numbers
 * instead of bytes, BARs that are used through a mapping where there is one,
 * and memory for the device. Such memory is a memfd, because a file is what
 * can be handed over a socket. I/O addresses are given out upwards and never
 * again, so that a stray access of the device hits nothing instead of
 * something newer.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include "access.h"

#define ACCESS_FIRST_IOVA	0x100000ull
/* The interrupt controller's doorbell on x86; nothing can be mapped there. */
#define ACCESS_LAST_IOVA	0xfee00000ull

#define PCI_NR_CAPABILITIES	48

void access_close(struct access *a)
{
	if (a)
		a->ops->close(a);
}

uint64_t access_read(struct access *a, uint32_t index, uint64_t offset,
		     unsigned int width)
{
	uint64_t value = 0;

	if (a->ops->read(a, index, offset, &value, width) != width)
		return ~0ull >> (64 - 8 * width);
	return value;
}

int access_write(struct access *a, uint32_t index, uint64_t offset,
		 unsigned int width, uint64_t value)
{
	ssize_t ret = a->ops->write(a, index, offset, &value, width);

	if (ret < 0)
		return ret;
	return ret == width ? 0 : -EIO;
}

uint32_t access_config_read(struct access *a, uint64_t offset,
			    unsigned int width)
{
	return access_read(a, VFIO_PCI_CONFIG_REGION_INDEX, offset, width);
}

int access_config_write(struct access *a, uint64_t offset, unsigned int width,
			uint32_t value)
{
	return access_write(a, VFIO_PCI_CONFIG_REGION_INDEX, offset, width,
			    value);
}

unsigned int access_capability(struct access *a, uint8_t id)
{
	unsigned int pos, left = PCI_NR_CAPABILITIES;

	if (!(access_config_read(a, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	pos = access_config_read(a, PCI_CAPABILITY_LIST, 1) & ~3;
	while (pos && left--) {
		if (access_config_read(a, pos + PCI_CAP_LIST_ID, 1) == id)
			return pos;
		pos = access_config_read(a, pos + PCI_CAP_LIST_NEXT, 1) & ~3;
	}
	return 0;
}

int access_enable(struct access *a)
{
	const uint16_t want = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint16_t command = access_config_read(a, PCI_COMMAND, 2);
	int ret;

	ret = access_config_write(a, PCI_COMMAND, 2, command | want);
	if (ret)
		return ret;
	command = access_config_read(a, PCI_COMMAND, 2);
	return (command & want) == want ? 0 : -EIO;
}

int access_bar_open(struct access *a, uint32_t index, struct access_bar *bar)
{
	struct access_region region;
	int ret;

	ret = a->ops->region(a, index, &region);
	if (ret)
		return ret;
	if (!region.size)
		return -ENXIO;
	bar->a = a;
	bar->index = index;
	bar->size = region.size;
	bar->mem = a->ops->map(a, index, 0, region.size);
	return 0;
}

void access_bar_close(struct access_bar *bar)
{
	if (bar->mem)
		munmap(bar->mem, bar->size);
	memset(bar, 0, sizeof(*bar));
}

uint32_t access_bar_read32(struct access_bar *bar, uint64_t offset)
{
	if (bar->mem)
		return __atomic_load_n((uint32_t *)(bar->mem + offset),
				       __ATOMIC_RELAXED);
	return access_read(bar->a, bar->index, offset, 4);
}

void access_bar_write32(struct access_bar *bar, uint64_t offset, uint32_t value)
{
	/* What the device is told about must be in memory before it is told. */
	__sync_synchronize();
	if (bar->mem)
		__atomic_store_n((uint32_t *)(bar->mem + offset), value,
				 __ATOMIC_RELAXED);
	else
		access_write(bar->a, bar->index, offset, 4, value);
}

int access_irq_enable(struct access *a, uint32_t index, uint32_t start,
		      uint32_t count, const int *fds)
{
	return a->ops->irq_set(a, VFIO_IRQ_SET_DATA_EVENTFD |
			       VFIO_IRQ_SET_ACTION_TRIGGER,
			       index, start, count, fds);
}

int access_irq_disable(struct access *a, uint32_t index)
{
	return a->ops->irq_set(a, VFIO_IRQ_SET_DATA_NONE |
			       VFIO_IRQ_SET_ACTION_TRIGGER,
			       index, 0, 0, NULL);
}

int access_irq_mask(struct access *a, uint32_t index, uint32_t vector)
{
	return a->ops->irq_set(a, VFIO_IRQ_SET_DATA_NONE |
			       VFIO_IRQ_SET_ACTION_MASK,
			       index, vector, 1, NULL);
}

int access_irq_unmask(struct access *a, uint32_t index, uint32_t vector)
{
	return a->ops->irq_set(a, VFIO_IRQ_SET_DATA_NONE |
			       VFIO_IRQ_SET_ACTION_UNMASK,
			       index, vector, 1, NULL);
}

int64_t access_irq_wait(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t times;
	int ret;

	ret = poll(&pfd, 1, timeout_ms);
	if (ret < 0)
		return -errno;
	if (!ret)
		return 0;
	if (read(fd, &times, sizeof(times)) != sizeof(times))
		return errno == EAGAIN ? 0 : -errno;
	return times;
}

int access_dma_alloc(struct access *a, uint64_t size, struct access_dma *dma)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	int ret;

	size = (size + page - 1) & ~(page - 1);
	if (!a->next_iova)
		a->next_iova = ACCESS_FIRST_IOVA;
	if (size > ACCESS_LAST_IOVA - a->next_iova)
		return -ENOSPC;
	dma->fd = memfd_create("dma", MFD_CLOEXEC);
	if (dma->fd < 0)
		return -errno;
	if (ftruncate(dma->fd, size)) {
		ret = -errno;
		goto err_close;
	}
	dma->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			dma->fd, 0);
	if (dma->mem == MAP_FAILED) {
		ret = -errno;
		goto err_close;
	}
	ret = a->ops->dma_map(a, a->next_iova, size, dma->fd, 0,
			      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	if (ret)
		goto err_unmap;
	dma->iova = a->next_iova;
	dma->size = size;
	a->next_iova += size;
	return 0;

err_unmap:
	munmap(dma->mem, size);
err_close:
	close(dma->fd);
	memset(dma, 0, sizeof(*dma));
	return ret;
}

void access_dma_free(struct access *a, struct access_dma *dma)
{
	if (!dma->size)
		return;
	a->ops->dma_unmap(a, dma->iova, dma->size);
	munmap(dma->mem, dma->size);
	close(dma->fd);
	memset(dma, 0, sizeof(*dma));
}

static bool area_listed(const struct vfio_user_cap_sparse_mmap *sparse,
			uint32_t room, uint64_t offset, uint64_t size)
{
	uint32_t i;

	if (room < sizeof(*sparse))
		return false;
	room = (room - sizeof(*sparse)) / sizeof(sparse->areas[0]);
	for (i = 0; i < sparse->nr_areas && i < room; i++) {
		const struct vfio_user_sparse_area *area = &sparse->areas[i];

		if (offset >= area->offset &&
		    range_within(offset - area->offset, size, area->size))
			return true;
	}
	return false;
}

bool access_area_mappable(const void *caps, uint32_t caps_len,
			  uint32_t caps_offset, uint64_t offset, uint64_t size)
{
	const struct vfio_user_cap_header *header;
	uint32_t pos = 0, next;

	while (caps && range_within(pos, sizeof(*header), caps_len)) {
		header = caps + pos;
		if (header->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			return area_listed((const void *)header, caps_len - pos,
					   offset, size);
		next = header->next;
		if (next < caps_offset || next - caps_offset <= pos)
			break;
		pos = next - caps_offset;
	}
	return true;
}
