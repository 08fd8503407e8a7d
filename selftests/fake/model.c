// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the device does when it is read or written.
 *
 * The device's file holds what all registers hold, so a mapping of a BAR sees
 * the same. An access is split as vfio-pci splits it, each piece as wide as
 * its address and the rest of the request allow, and each piece is logged.
 */
#include <linux/falloc.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MODEL_COPY		65536

/**
 * struct access - one request, or a piece of it
 * @dev: the device
 * @fd: one of its fds
 * @index: region
 * @offset: in the region
 * @width: of a piece, in bytes
 * @write: to the device
 */
struct access {
	struct device *dev;
	int fd;
	uint32_t index;
	uint64_t offset;
	size_t width;
	bool write;
};

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static uint64_t position(uint32_t index, uint64_t offset)
{
	return ((uint64_t)index << FAKE_REGION_SHIFT) + offset;
}

static uint64_t reg_get(int fd, uint32_t reg)
{
	uint64_t value = 0;

	raw_pread(fd, &value, sizeof(value), position(0, reg));
	return value;
}

static void reg_set(int fd, uint32_t reg, uint64_t value)
{
	raw_pwrite(fd, &value, sizeof(value), position(0, reg));
}

static bool has_registers(void)
{
	return config()->nr_regions && config()->regions[0].size >=
				       FAKE_REGS_SIZE;
}

void model_reset(unsigned int index, int fd, bool with_config)
{
	static const uint8_t signature[] = { 0x55, 0xaa };
	uint8_t space[256];
	uint32_t i;

	for (i = 0; i < config()->nr_regions; i++) {
		if (!config()->regions[i].size ||
		    (i == VFIO_PCI_CONFIG_REGION_INDEX && !with_config))
			continue;
		syscall(SYS_fallocate, fd,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			position(i, 0), config()->regions[i].size);
	}
	if (!index)
		migration_exit();
	if (has_registers())
		reg_set(fd, FAKE_REG_ID, FAKE_ID);
	raw_pwrite(fd, signature, sizeof(signature),
		   position(VFIO_PCI_ROM_REGION_INDEX, 0));
	if (!with_config)
		return;
	fake_config_pci(config(), space, sizeof(space));
	raw_pwrite(fd, space, sizeof(space),
		   position(VFIO_PCI_CONFIG_REGION_INDEX, 0));
}

static uint16_t command(int fd)
{
	uint16_t value = 0;

	raw_pread(fd, &value, sizeof(value),
		  position(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND));
	return value;
}

static void model_log(const struct access *access, const void *data)
{
	struct fake_control *control = fake_control();
	struct fake_access *entry;

	entry = &control->log[control->nr_accesses % FAKE_LOG_LEN];
	*entry = (struct fake_access){
		.index = access->index,
		.width = access->width,
		.offset = access->offset,
		.write = access->write,
	};
	memcpy(&entry->value, data, access->width);
	__atomic_add_fetch(&control->nr_accesses, 1, __ATOMIC_RELEASE);
}

static uint64_t model_dma_run(struct device *dev, int fd)
{
	uint64_t src = reg_get(fd, FAKE_REG_DMA_SRC);
	uint64_t dst = reg_get(fd, FAKE_REG_DMA_DST);
	uint64_t len = reg_get(fd, FAKE_REG_DMA_LEN);
	struct dma_space *space = device_space(dev);
	uint8_t *buf;
	uint64_t status = FAKE_DMA_DONE;

	if (!(command(fd) & PCI_COMMAND_MASTER))
		return FAKE_DMA_NO_MASTER;
	buf = malloc(MODEL_COPY);
	if (!buf || !space)
		status = FAKE_DMA_READ_FAULT;
	while (len && status == FAKE_DMA_DONE) {
		size_t part = min(len, (uint64_t)MODEL_COPY);

		if (dma_copy(space, src, buf, part, false))
			status = FAKE_DMA_READ_FAULT;
		else if (dma_copy(space, dst, buf, part, true))
			status = FAKE_DMA_WRITE_FAULT;
		else if (!dev->index)
			logging_write(dst, part);
		src += part;
		dst += part;
		len -= part;
	}
	free(buf);
	return status;
}

static void model_raise(const struct device *dev, int fd, uint64_t value)
{
	uint32_t index = value >> 32;

	if (index == VFIO_PCI_INTX_IRQ_INDEX &&
	    command(fd) & PCI_COMMAND_INTX_DISABLE)
		return;
	fake_irq_raise_on(fake_control(), dev->index, index, value);
}

static void register_write(const struct access *access, const void *data)
{
	int fd = access->fd;

	switch (access->offset & ~7ull) {
	case FAKE_REG_ID:
	case FAKE_REG_STATUS:
		return;
	}
	raw_pwrite(fd, data, access->width, position(0, access->offset));

	switch (access->offset) {
	case FAKE_REG_DOORBELL:
		if (reg_get(fd, FAKE_REG_DOORBELL) & 1)
			reg_set(fd, FAKE_REG_STATUS,
				model_dma_run(access->dev, fd));
		reg_set(fd, FAKE_REG_DOORBELL, 0);
		break;
	case FAKE_REG_RAISE:
		model_raise(access->dev, fd, reg_get(fd, FAKE_REG_RAISE));
		break;
	}
}

static void config_write(const struct access *access, const void *data)
{
	uint32_t offset = access->offset & ~3ull;
	uint32_t mask = config_mask(config(), offset), old = 0, new;

	raw_pread(access->fd, &old, sizeof(old),
		  position(access->index, offset));
	new = old;
	memcpy((uint8_t *)&new + (access->offset & 3), data, access->width);
	new = (old & ~mask) | (new & mask);
	raw_pwrite(access->fd, &new, sizeof(new),
		   position(access->index, offset));
}

static bool is_msix_table(const struct access *access)
{
	uint32_t nr = config()->irqs[VFIO_PCI_MSIX_IRQ_INDEX].count;

	return access->index == FAKE_MSIX_BAR &&
	       access->offset < nr * PCI_MSIX_ENTRY_SIZE;
}

/* Nobody answers; the kernel does, for the vendor, that it has seen before. */
static bool is_lost(const struct access *access)
{
	return config()->gone &&
	       (access->index != VFIO_PCI_CONFIG_REGION_INDEX ||
		access->offset >= PCI_COMMAND);
}

/* One access of a width that the bus has. */
static void model_access(const struct access *access, void *data)
{
	uint64_t pos = position(access->index, access->offset);

	if (is_lost(access) && access->write)
		;
	else if (is_lost(access))
		memset(data, 0xff, access->width);
	else if (access->index == VFIO_PCI_CONFIG_REGION_INDEX && access->write)
		config_write(access, data);
	else if (is_msix_table(access) && access->write)
		;
	else if (is_msix_table(access))
		memset(data, 0xff, access->width);
	else if (!access->index && has_registers() && access->write &&
		 access->offset < FAKE_REGS_SIZE)
		register_write(access, data);
	else if (access->write)
		raw_pwrite(access->fd, data, access->width, pos);
	else
		raw_pread(access->fd, data, access->width, pos);
	model_log(access, data);
}

/* Where a request may go, as vfio-pci decides it; may shorten @count. */
static ssize_t model_check(const struct access *access, size_t *count)
{
	const struct fake_region *region;
	uint32_t need = access->write ? VFIO_REGION_INFO_FLAG_WRITE :
					VFIO_REGION_INFO_FLAG_READ;

	if (!access->dev->bound || access->index >= config()->nr_regions)
		return -EINVAL;
	region = &config()->regions[access->index];
	if (access->index == VFIO_PCI_CONFIG_REGION_INDEX)
		return range_within(access->offset, *count, region->size) ?
		       0 : -EFAULT;

	if (region->absent || !(region->flags & need) ||
	    access->offset >= region->size)
		return -EINVAL;
	*count = min((uint64_t)*count, region->size - access->offset);
	if ((region->flags & VFIO_REGION_INFO_FLAG_MMAP ||
	     access->index == VFIO_PCI_ROM_REGION_INDEX) &&
	    !(command(access->fd) & PCI_COMMAND_MEMORY))
		return -EIO;
	return 0;
}

static size_t piece(const struct access *access, size_t left)
{
	size_t width = access->index == VFIO_PCI_CONFIG_REGION_INDEX ? 4 : 8;

	while (width > left || access->offset & (width - 1))
		width /= 2;
	return width;
}

static ssize_t model_request(struct access *access, uint8_t *data,
			     size_t count)
{
	ssize_t ret;
	size_t done;

	if (!count)
		return 0;
	device_disturb(access->dev);
	ret = model_check(access, &count);
	if (ret)
		return ret;
	for (done = 0; done < count; done += access->width) {
		access->width = piece(access, count - done);
		model_access(access, data + done);
		access->offset += access->width;
	}
	return done;
}

ssize_t model_read(struct device *dev, int fd, void *buf, size_t count,
		   uint64_t pos)
{
	struct access access = {
		.dev = dev,
		.fd = fd,
		.index = pos >> FAKE_REGION_SHIFT,
		.offset = pos & ((1ull << FAKE_REGION_SHIFT) - 1),
	};

	return model_request(&access, buf, count);
}

ssize_t model_write(struct device *dev, int fd, const void *buf, size_t count,
		    uint64_t pos)
{
	struct access access = {
		.dev = dev,
		.fd = fd,
		.index = pos >> FAKE_REGION_SHIFT,
		.offset = pos & ((1ull << FAKE_REGION_SHIFT) - 1),
		.write = true,
	};

	/* Of a write, the data is only read. */
	return model_request(&access, (uint8_t *)buf, count);
}

uint64_t model_get_state(int fd)
{
	return reg_get(fd, FAKE_REG_SCRATCH);
}

void model_set_state(int fd, uint64_t state)
{
	reg_set(fd, FAKE_REG_SCRATCH, state);
}
