// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's configuration space: what it holds after a reset, which is what
 * sysfs shows as well, and which of its bits can be written. Express, MSI and
 * MSI-X capabilities, as far as the configured interrupts and resets call for
 * them.
 */
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>

#include "internal.h"

#define CONFIG_EXP		0x40
#define CONFIG_MSI		0x80
#define CONFIG_MSIX		0x98

/* The BARs' addresses don't matter, only that they have one. */
#define CONFIG_BAR_MEMORY	0xfe000000u
#define CONFIG_BAR_IO		0xc000u

static void put(uint8_t *buf, uint32_t offset, uint32_t value, size_t width)
{
	memcpy(buf + offset, &value, width);
}

static bool bar_is_io(const struct fake_region *region)
{
	return !(region->flags & VFIO_REGION_INFO_FLAG_MMAP);
}

static void config_bars(const struct fake_config *config, uint8_t *buf)
{
	uint32_t i, value;

	for (i = 0; i <= VFIO_PCI_BAR5_REGION_INDEX; i++) {
		const struct fake_region *region = &config->regions[i];

		if (!region->size)
			continue;
		value = bar_is_io(region) ?
			(CONFIG_BAR_IO + i * 0x100) | PCI_BASE_ADDRESS_SPACE_IO :
			CONFIG_BAR_MEMORY + i * 0x100000;
		put(buf, PCI_BASE_ADDRESS_0 + 4 * i, value, 4);
	}
}

static uint32_t log2_of(uint32_t value)
{
	return value ? 31 - __builtin_clz(value) : 0;
}

static void config_capabilities(const struct fake_config *config, uint8_t *buf)
{
	uint32_t msi = config->irqs[VFIO_PCI_MSI_IRQ_INDEX].count;
	uint32_t msix = config->irqs[VFIO_PCI_MSIX_IRQ_INDEX].count;
	uint8_t *next = buf + PCI_CAPABILITY_LIST;

	put(buf, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	*next = CONFIG_EXP;
	next = buf + CONFIG_EXP + PCI_CAP_LIST_NEXT;
	put(buf, CONFIG_EXP, PCI_CAP_ID_EXP, 1);
	put(buf, CONFIG_EXP + PCI_EXP_FLAGS, 2, 2);
	put(buf, CONFIG_EXP + PCI_EXP_DEVCAP,
	    PCI_EXP_DEVCAP_RBER | (config->flr ? PCI_EXP_DEVCAP_FLR : 0), 4);

	if (msi) {
		*next = CONFIG_MSI;
		next = buf + CONFIG_MSI + PCI_CAP_LIST_NEXT;
		put(buf, CONFIG_MSI, PCI_CAP_ID_MSI, 1);
		put(buf, CONFIG_MSI + PCI_MSI_FLAGS,
		    PCI_MSI_FLAGS_64BIT | log2_of(msi) << 1, 2);
	}
	if (msix) {
		*next = CONFIG_MSIX;
		put(buf, CONFIG_MSIX, PCI_CAP_ID_MSIX, 1);
		put(buf, CONFIG_MSIX + PCI_MSIX_FLAGS, msix - 1, 2);
		put(buf, CONFIG_MSIX + PCI_MSIX_TABLE, FAKE_MSIX_BAR, 4);
		put(buf, CONFIG_MSIX + PCI_MSIX_PBA,
		    FAKE_MSIX_PBA | FAKE_MSIX_BAR, 4);
	}
}

void fake_config_pci(const struct fake_config *config, uint8_t *buf,
		     size_t len)
{
	memset(buf, 0, len);
	put(buf, PCI_VENDOR_ID, FAKE_VENDOR, 2);
	put(buf, PCI_DEVICE_ID, FAKE_PRODUCT, 2);
	put(buf, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
	put(buf, PCI_CLASS_REVISION, FAKE_CLASS << 8 | 1, 4);
	put(buf, PCI_SUBSYSTEM_VENDOR_ID, FAKE_VENDOR, 2);
	put(buf, PCI_SUBSYSTEM_ID, FAKE_PRODUCT, 2);
	if (config->irqs[VFIO_PCI_INTX_IRQ_INDEX].count)
		put(buf, PCI_INTERRUPT_PIN, 1, 1);
	config_bars(config, buf);
	config_capabilities(config, buf);
}

static uint32_t bar_mask(const struct fake_region *region)
{
	uint32_t mask = -(uint32_t)region->size;

	if (!region->size)
		return 0;
	return mask & (bar_is_io(region) ? PCI_BASE_ADDRESS_IO_MASK :
					   PCI_BASE_ADDRESS_MEM_MASK);
}

uint32_t config_mask(const struct fake_config *config, uint32_t offset)
{
	switch (offset) {
	case PCI_COMMAND:
		return PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
		       PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		       PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
	case PCI_CACHE_LINE_SIZE:
		return 0xffff;
	case PCI_BASE_ADDRESS_0 ... PCI_BASE_ADDRESS_5:
		return bar_mask(&config->regions[(offset -
				PCI_BASE_ADDRESS_0) / 4]);
	case PCI_INTERRUPT_LINE:
		return 0xff;
	case CONFIG_EXP + PCI_EXP_DEVCTL:
		return 0x7fff;
	case CONFIG_MSI:
		return (PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE) << 16;
	case CONFIG_MSI + PCI_MSI_ADDRESS_LO:
		return ~3u;
	case CONFIG_MSI + PCI_MSI_ADDRESS_HI:
		return ~0u;
	case CONFIG_MSI + PCI_MSI_DATA_64:
		return 0xffff;
	default:
		return 0;
	}
}
