/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of a device's own node, as far as this program calls them.
 *
 * The headers of the machine that builds may be older than the kernel of the
 * one that runs, so what is used is declared here. A kernel that lacks a call
 * answers ENOTTY, which is what decides at run time.
 */
#ifndef CDEV_ABI_H
#define CDEV_ABI_H

#include <linux/ioctl.h>
#include <stdint.h>

struct abi_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};

struct abi_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};

struct abi_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
};

/* What VFIO_DEVICE_FEATURE takes, with one range, from Linux 6.19 on */
#define ABI_DEVICE_FEATURE_DMA_BUF	11

struct abi_device_feature_dma_buf {
	uint32_t argsz;
	uint32_t flags;
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t buffer_flags;
	uint32_t nr_ranges;
	uint64_t offset;
	uint64_t length;
};

#define ABI_DEVICE_BIND_IOMMUFD		_IO(';', 118)
#define ABI_DEVICE_ATTACH_IOMMUFD_PT	_IO(';', 119)
#define ABI_DEVICE_DETACH_IOMMUFD_PT	_IO(';', 120)

/* fcntl(2), 6.10: are two fds the same open file? */
#define ABI_F_DUPFD_QUERY		1027

#endif
