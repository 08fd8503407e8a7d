/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of /dev/iommu, as far as they are called or answered here.
 *
 * <linux/iommufd.h> is of the machine that builds: Debian 12's headers, of Linux
 * 6.1, have none, and later ones lack what came after them. The machine that
 * runs may have a newer kernel, or programs that were built for one. Hence our
 * own copy. A kernel that lacks a call answers ENOTTY, which is what decides at
 * run time.
 *
 * A name is the kernel's with ABI_ or abi_ in front of it, so that both can be
 * included, whatever a distribution's header has. Source: Linux 7.3,
 * include/uapi/linux/iommufd.h, which unit/abi_test compares this with. Where
 * nothing else is said, Linux 6.2 brought it.
 */
#ifndef ABI_IOMMUFD_H
#define ABI_IOMMUFD_H

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_IOMMUFD_TYPE	(';')
#define ABI_IOMMUFD_CMD_BASE	0x80
#define ABI_IOMMUFD_IO(nr)	_IO(ABI_IOMMUFD_TYPE, ABI_IOMMUFD_CMD_BASE + (nr))

#define ABI_IOMMU_DESTROY			ABI_IOMMUFD_IO(0x00)
#define ABI_IOMMU_IOAS_ALLOC			ABI_IOMMUFD_IO(0x01)
#define ABI_IOMMU_IOAS_ALLOW_IOVAS		ABI_IOMMUFD_IO(0x02)
#define ABI_IOMMU_IOAS_COPY			ABI_IOMMUFD_IO(0x03)
#define ABI_IOMMU_IOAS_IOVA_RANGES		ABI_IOMMUFD_IO(0x04)
#define ABI_IOMMU_IOAS_MAP			ABI_IOMMUFD_IO(0x05)
#define ABI_IOMMU_IOAS_UNMAP			ABI_IOMMUFD_IO(0x06)
#define ABI_IOMMU_OPTION			ABI_IOMMUFD_IO(0x07)
#define ABI_IOMMU_VFIO_IOAS			ABI_IOMMUFD_IO(0x08)
/* Linux 6.6 */
#define ABI_IOMMU_HWPT_ALLOC			ABI_IOMMUFD_IO(0x09)
#define ABI_IOMMU_GET_HW_INFO			ABI_IOMMUFD_IO(0x0a)
/* Linux 6.7 to 6.11 */
#define ABI_IOMMU_HWPT_SET_DIRTY_TRACKING	ABI_IOMMUFD_IO(0x0b)
#define ABI_IOMMU_HWPT_GET_DIRTY_BITMAP		ABI_IOMMUFD_IO(0x0c)
#define ABI_IOMMU_HWPT_INVALIDATE		ABI_IOMMUFD_IO(0x0d)
#define ABI_IOMMU_FAULT_QUEUE_ALLOC		ABI_IOMMUFD_IO(0x0e)
/* Linux 6.13 */
#define ABI_IOMMU_IOAS_MAP_FILE			ABI_IOMMUFD_IO(0x0f)
#define ABI_IOMMU_VIOMMU_ALLOC			ABI_IOMMUFD_IO(0x10)
#define ABI_IOMMU_VDEVICE_ALLOC			ABI_IOMMUFD_IO(0x11)
#define ABI_IOMMU_IOAS_CHANGE_PROCESS		ABI_IOMMUFD_IO(0x12)
/* Linux 6.15 to 7.3 */
#define ABI_IOMMU_VEVENTQ_ALLOC			ABI_IOMMUFD_IO(0x13)
#define ABI_IOMMU_HW_QUEUE_ALLOC		ABI_IOMMUFD_IO(0x14)
#define ABI_IOMMU_IOAS_NOIOMMU_GET_PA		ABI_IOMMUFD_IO(0x15)

struct abi_iommu_destroy {
	uint32_t size;
	uint32_t id;
};

_Static_assert(sizeof(struct abi_iommu_destroy) == 8, "destroy");

struct abi_iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

_Static_assert(sizeof(struct abi_iommu_ioas_alloc) == 12, "ioas_alloc");

struct abi_iommu_iova_range {
	uint64_t start;
	uint64_t last;
};

_Static_assert(sizeof(struct abi_iommu_iova_range) == 16, "iova_range");

struct abi_iommu_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};

_Static_assert(offsetof(struct abi_iommu_ioas_iova_ranges, allowed_iovas) == 16,
	       "ioas_iova_ranges.allowed_iovas");
_Static_assert(sizeof(struct abi_iommu_ioas_iova_ranges) == 32,
	       "ioas_iova_ranges");

struct abi_iommu_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
};

_Static_assert(sizeof(struct abi_iommu_ioas_allow_iovas) == 24,
	       "ioas_allow_iovas");

#define ABI_IOMMU_IOAS_MAP_FIXED_IOVA	(1u << 0)
#define ABI_IOMMU_IOAS_MAP_WRITEABLE	(1u << 1)
#define ABI_IOMMU_IOAS_MAP_READABLE	(1u << 2)

struct abi_iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

_Static_assert(offsetof(struct abi_iommu_ioas_map, user_va) == 16,
	       "ioas_map.user_va");
_Static_assert(sizeof(struct abi_iommu_ioas_map) == 40, "ioas_map");

struct abi_iommu_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

_Static_assert(offsetof(struct abi_iommu_ioas_map_file, start) == 16,
	       "ioas_map_file.start");
_Static_assert(sizeof(struct abi_iommu_ioas_map_file) == 40, "ioas_map_file");

struct abi_iommu_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova;
	uint64_t src_iova;
};

_Static_assert(offsetof(struct abi_iommu_ioas_copy, length) == 16,
	       "ioas_copy.length");
_Static_assert(sizeof(struct abi_iommu_ioas_copy) == 40, "ioas_copy");

struct abi_iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

_Static_assert(offsetof(struct abi_iommu_ioas_unmap, iova) == 8,
	       "ioas_unmap.iova");
_Static_assert(sizeof(struct abi_iommu_ioas_unmap) == 24, "ioas_unmap");

#define ABI_IOMMU_OPTION_RLIMIT_MODE	0
#define ABI_IOMMU_OPTION_HUGE_PAGES	1

#define ABI_IOMMU_OPTION_OP_SET		0
#define ABI_IOMMU_OPTION_OP_GET		1

struct abi_iommu_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};

_Static_assert(offsetof(struct abi_iommu_option, object_id) == 12,
	       "option.object_id");
_Static_assert(sizeof(struct abi_iommu_option) == 24, "option");

#define ABI_IOMMU_VFIO_IOAS_GET		0
#define ABI_IOMMU_VFIO_IOAS_SET		1
#define ABI_IOMMU_VFIO_IOAS_CLEAR	2

struct abi_iommu_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};

_Static_assert(sizeof(struct abi_iommu_vfio_ioas) == 12, "vfio_ioas");

struct abi_iommu_ioas_change_process {
	uint32_t size;
	uint32_t reserved;
};

_Static_assert(sizeof(struct abi_iommu_ioas_change_process) == 8,
	       "ioas_change_process");

#endif
