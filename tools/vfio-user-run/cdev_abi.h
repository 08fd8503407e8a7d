/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of a device's own node. They came with Linux 6.6; the headers of
 * the machine that builds may be older than the programs that are run.
 */
#ifndef CDEV_ABI_H
#define CDEV_ABI_H

#include <linux/ioctl.h>
#include <stdint.h>

struct cdev_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};

struct cdev_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;
};

struct cdev_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;
};

#define CDEV_BIND_FLAG_TOKEN	(1u << 0)
#define CDEV_FLAG_PASID		(1u << 0)

#define CDEV_BIND_IOMMUFD	_IO(';', 118)
#define CDEV_ATTACH_IOMMUFD_PT	_IO(';', 119)
#define CDEV_DETACH_IOMMUFD_PT	_IO(';', 120)

#endif
