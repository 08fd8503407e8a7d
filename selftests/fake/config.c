// SPDX-License-Identifier: GPL-2.0-only
/* Machines to begin with: what they are shaped like is what vfio-pci shows. */
#include <linux/vfio.h>
#include <string.h>

#include "fixture.h"

#define RW		(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define RW_MMAP		(RW | VFIO_REGION_INFO_FLAG_MMAP)

void fake_config_default(struct fake_config *config)
{
	*config = (struct fake_config){
		.name = "0000:01:00.0",
		.group = 7,
		.has_iommufd = true,
		.has_map_file = true,
		.has_type1 = true,
		.flr = true,
		.bus_reset = true,
		.device_flags = VFIO_DEVICE_FLAGS_PCI,
		.api_version = VFIO_API_VERSION,
		.nr_regions = VFIO_PCI_NUM_REGIONS,
		.regions = {
			[VFIO_PCI_BAR0_REGION_INDEX] = {
				.size = 0x4000,
				.flags = RW_MMAP,
			},
			[VFIO_PCI_BAR2_REGION_INDEX] = {
				.size = 0x4000,
				.flags = RW_MMAP,
				.has_sparse = true,
				.msix_mappable = true,
				.nr_sparse = 2,
				.sparse = {
					{ 0x1000, 0x1000 },
					{ 0x3000, 0x1000 },
				},
			},
			[VFIO_PCI_BAR4_REGION_INDEX] = {
				.size = 0x20,
				.flags = RW,
			},
			[VFIO_PCI_ROM_REGION_INDEX] = {
				.size = 0x1000,
				.flags = VFIO_REGION_INFO_FLAG_READ,
			},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {
				.size = 4096,
				.flags = RW,
			},
			[VFIO_PCI_VGA_REGION_INDEX] = { .absent = true },
		},
		.nr_irqs = VFIO_PCI_NUM_IRQS,
		.irqs = {
			[VFIO_PCI_INTX_IRQ_INDEX] = {
				VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
				VFIO_IRQ_INFO_AUTOMASKED, 1
			},
			[VFIO_PCI_MSI_IRQ_INDEX] = {
				VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
				4
			},
			[VFIO_PCI_MSIX_IRQ_INDEX] = {
				VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
				16
			},
			[VFIO_PCI_ERR_IRQ_INDEX] = {
				VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
				1
			},
			[VFIO_PCI_REQ_IRQ_INDEX] = {
				VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
				1
			},
		},
		.pgsizes = 0x40201000,
		.nr_ranges = 2,
		.ranges = {
			{ 0, 0xfedfffff },
			{ 0xfef00000, 0x7fffffffffull },
		},
		.dma_avail = 65535,
		.mig_len = 1000,
		.log_page = 4096,
	};
}

void fake_config_mdev(struct fake_config *config)
{
	fake_config_default(config);
	strcpy(config->name, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	config->mdev = true;
	config->nr_ranges = 0;
}
