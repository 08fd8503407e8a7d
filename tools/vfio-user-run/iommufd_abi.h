/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of /dev/iommu, as Linux 7.3 has them. <linux/iommufd.h> came with
 * Linux 6.2; the headers of the machine that builds may be older than the
 * programs that are run. The names are not the kernel's, so that both can be
 * included.
 */
#ifndef IOMMUFD_ABI_H
#define IOMMUFD_ABI_H

#include <linux/ioctl.h>
#include <stdint.h>

#define IOFD_BASE		0x80
#define IOFD_IOCTL(nr)		_IO(';', nr)

#define IOFD_DESTROY		IOFD_IOCTL(0x80)
#define IOFD_IOAS_ALLOC		IOFD_IOCTL(0x81)
#define IOFD_IOAS_ALLOW_IOVAS	IOFD_IOCTL(0x82)
#define IOFD_IOAS_COPY		IOFD_IOCTL(0x83)
#define IOFD_IOAS_IOVA_RANGES	IOFD_IOCTL(0x84)
#define IOFD_IOAS_MAP		IOFD_IOCTL(0x85)
#define IOFD_IOAS_UNMAP		IOFD_IOCTL(0x86)
#define IOFD_OPTION		IOFD_IOCTL(0x87)
#define IOFD_VFIO_IOAS		IOFD_IOCTL(0x88)
#define IOFD_HWPT_ALLOC		IOFD_IOCTL(0x89)
#define IOFD_GET_HW_INFO	IOFD_IOCTL(0x8a)
#define IOFD_IOAS_MAP_FILE	IOFD_IOCTL(0x8f)
#define IOFD_CHANGE_PROCESS	IOFD_IOCTL(0x92)

struct iofd_destroy {
	uint32_t size;
	uint32_t id;
};

struct iofd_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

struct iofd_iova_range {
	uint64_t start;
	uint64_t last;
};

struct iofd_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};

struct iofd_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
};

#define IOFD_MAP_FIXED_IOVA	(1u << 0)
#define IOFD_MAP_WRITEABLE	(1u << 1)
#define IOFD_MAP_READABLE	(1u << 2)

struct iofd_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

struct iofd_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

struct iofd_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova;
	uint64_t src_iova;
};

struct iofd_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

#define IOFD_OPTION_RLIMIT_MODE	0
#define IOFD_OPTION_HUGE_PAGES	1

#define IOFD_OPTION_SET		0
#define IOFD_OPTION_GET		1

struct iofd_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};

#define IOFD_VFIO_IOAS_GET	0
#define IOFD_VFIO_IOAS_SET	1
#define IOFD_VFIO_IOAS_CLEAR	2

struct iofd_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};

struct iofd_change_process {
	uint32_t size;
	uint32_t reserved;
};

#endif
