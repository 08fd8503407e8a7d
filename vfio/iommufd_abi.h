/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's iommufd interface, as far as this program calls it.
 *
 * <linux/iommufd.h> and the VFIO cdev ioctls came with Linux 6.2 to 6.14; the
 * headers of the machine that builds may be older than the kernel of the one
 * that runs, so what is used is declared here. A kernel that lacks a call
 * answers ENOTTY, which is what decides at run time.
 */
#ifndef IOMMUFD_ABI_H
#define IOMMUFD_ABI_H

#include <linux/ioctl.h>
#include <stdint.h>

#define ABI_TYPE		(';')

struct abi_iommu_destroy {
	uint32_t size;
	uint32_t id;
};

struct abi_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

struct abi_iova_range {
	uint64_t start;
	uint64_t last;
};

struct abi_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};

#define ABI_IOAS_MAP_FIXED_IOVA		(1u << 0)
#define ABI_IOAS_MAP_WRITEABLE		(1u << 1)
#define ABI_IOAS_MAP_READABLE		(1u << 2)

struct abi_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

struct abi_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

struct abi_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

#define ABI_IOMMU_DESTROY		_IO(ABI_TYPE, 0x80)
#define ABI_IOMMU_IOAS_ALLOC		_IO(ABI_TYPE, 0x81)
#define ABI_IOMMU_IOAS_IOVA_RANGES	_IO(ABI_TYPE, 0x84)
#define ABI_IOMMU_IOAS_MAP		_IO(ABI_TYPE, 0x85)
#define ABI_IOMMU_IOAS_UNMAP		_IO(ABI_TYPE, 0x86)
#define ABI_IOMMU_IOAS_MAP_FILE		_IO(ABI_TYPE, 0x8f)	/* 6.14 */

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

#define ABI_DEVICE_BIND_IOMMUFD		_IO(ABI_TYPE, 118)
#define ABI_DEVICE_ATTACH_IOMMUFD_PT	_IO(ABI_TYPE, 119)
#define ABI_DEVICE_DETACH_IOMMUFD_PT	_IO(ABI_TYPE, 120)

/* fcntl(2), 6.10: are two fds the same open file? */
#define ABI_F_DUPFD_QUERY		1027

#endif
