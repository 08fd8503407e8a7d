/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What <linux/vfio.h> has of late: the ioctls of a device's own node, what a
 * reset of a bus says of devices that have one, and the feature that makes DMA
 * buffers.
 *
 * Debian 12's headers, of Linux 6.1, have all else that is used here, and are
 * the oldest that this builds with. A kernel that lacks a call answers ENOTTY,
 * which is what decides at run time.
 *
 * A name is the kernel's with ABI_ or abi_ in front of it, so that <linux/vfio.h>
 * can be included as well, whatever a distribution's has. Source: Linux 7.3,
 * include/uapi/linux/vfio.h, which unit/abi_test compares this with.
 */
#ifndef ABI_VFIO_H
#define ABI_VFIO_H

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_VFIO_TYPE		(';')
#define ABI_VFIO_BASE		100

/*
 * Linux 6.6. These structures have grown since. A kernel takes them from MINSZ
 * on, and looks at what is behind that only when a flag says so.
 */
#define ABI_VFIO_DEVICE_BIND_IOMMUFD \
	_IO(ABI_VFIO_TYPE, ABI_VFIO_BASE + 18)
#define ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT \
	_IO(ABI_VFIO_TYPE, ABI_VFIO_BASE + 19)
#define ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT \
	_IO(ABI_VFIO_TYPE, ABI_VFIO_BASE + 20)

#define ABI_VFIO_DEVICE_BIND_FLAG_TOKEN		(1u << 0)	/* Linux 6.17 */

struct abi_vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;			/* Linux 6.17 */
};

#define ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ \
	offsetof(struct abi_vfio_device_bind_iommufd, token_uuid_ptr)

_Static_assert(ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ == 16, "bind_iommufd");
_Static_assert(sizeof(struct abi_vfio_device_bind_iommufd) == 24,
	       "bind_iommufd");

#define ABI_VFIO_DEVICE_ATTACH_PASID		(1u << 0)	/* Linux 6.15 */

struct abi_vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;					/* Linux 6.15 */
};

#define ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ \
	offsetof(struct abi_vfio_device_attach_iommufd_pt, pasid)

_Static_assert(ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ == 12,
	       "attach_iommufd_pt");
_Static_assert(sizeof(struct abi_vfio_device_attach_iommufd_pt) == 16,
	       "attach_iommufd_pt");

#define ABI_VFIO_DEVICE_DETACH_PASID		(1u << 0)	/* Linux 6.15 */

struct abi_vfio_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;					/* Linux 6.15 */
};

#define ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ \
	offsetof(struct abi_vfio_device_detach_iommufd_pt, pasid)

_Static_assert(ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ == 8,
	       "detach_iommufd_pt");
_Static_assert(sizeof(struct abi_vfio_device_detach_iommufd_pt) == 12,
	       "detach_iommufd_pt");

/* Linux 6.6: struct vfio_pci_hot_reset_info's, and its devices' numbers. */
#define ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID		(1u << 0)
#define ABI_VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED	(1u << 1)

#define ABI_VFIO_PCI_DEVID_OWNED		0
#define ABI_VFIO_PCI_DEVID_NOT_OWNED		UINT32_MAX

/* Linux 6.19. @nr_ranges ranges follow the structure. */
#define ABI_VFIO_DEVICE_FEATURE_DMA_BUF		11

struct abi_vfio_device_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
};

_Static_assert(sizeof(struct abi_vfio_device_feature_dma_buf) == 16,
	       "feature_dma_buf");

struct abi_vfio_region_dma_range {
	uint64_t offset;
	uint64_t length;
};

_Static_assert(sizeof(struct abi_vfio_region_dma_range) == 16,
	       "region_dma_range");

#endif
