/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "util.h"

/*
 * The kernel's VFIO, as a device that one session opens, uses and closes.
 * Nothing here knows about sockets or messages. Functions return 0 or a
 * negative errno and are not thread-safe for one device, except where they
 * say so. For different devices they are, also for devices of one group.
 */

/* Which way into the kernel. */
enum vfio_iommu_kind {
	VFIO_IOMMU_AUTO,
	VFIO_IOMMU_IOMMUFD,
	VFIO_IOMMU_TYPE1,
};

#define VFIO_MAX_REGIONS	64
#define VFIO_MAX_IRQS		32
#define VFIO_MAX_IOVA_RANGES	64

/* Most DMA maps that a device takes, whatever the kernel would allow. */
#define VFIO_MAX_DMA_MAPS	65535

/**
 * struct vfio_why - one line for the operator about a failure
 * @text: what was tried, on what, the errno, and what to do; empty if there
 *        is nothing to say beyond the errno that came back
 */
struct vfio_why {
	char text[512];
};

/**
 * struct vfio_region - one region, as the kernel describes it
 * @error: negative errno with which the kernel refused to describe it (a VGA
 *         region that isn't there, for instance), or 0
 * @flags: VFIO_REGION_INFO_FLAG_*
 * @size: in bytes
 * @offset: on the device fd, in bytes
 * @caps: the kernel's capability chain, as it came, offsets counted from the
 *        start of struct vfio_region_info; NULL if there is none
 * @caps_len: its length in bytes
 * @caps_offset: what the kernel's cap_offset said, in bytes; @caps begins there
 */
struct vfio_region {
	int error;
	uint32_t flags;
	uint64_t size;
	uint64_t offset;
	void *caps;
	uint32_t caps_len;
	uint32_t caps_offset;
};

/**
 * struct vfio_irq - one interrupt index, as the kernel describes it
 * @error: negative errno with which the kernel refused to describe it (ERR of
 *         a device that isn't PCI Express, for instance), or 0
 * @flags: VFIO_IRQ_INFO_*
 * @count: number of sub-indexes
 */
struct vfio_irq {
	int error;
	uint32_t flags;
	uint32_t count;
};

/**
 * struct vfio_iommu_info - what the IOMMU can do for this device
 * @pgsizes: page sizes that can be mapped, or'ed together, in bytes
 * @max_maps: maps that can exist at one time
 * @nr_ranges: entries of @ranges in use; 0 when the kernel doesn't say
 * @ranges: I/O virtual addresses that can be mapped, both ends included
 */
struct vfio_iommu_info {
	uint64_t pgsizes;
	uint32_t max_maps;
	unsigned int nr_ranges;
	struct {
		uint64_t first;
		uint64_t last;
	} ranges[VFIO_MAX_IOVA_RANGES];
};

struct vfio_container;
struct vfio_device;

/**
 * struct vfio_iommu_ops - one way into the kernel
 * @name: for people, and for --iommu=
 * @open: open the container of @dev, which is its first user. -EBUSY if
 *        somebody holds the group. On error nothing is left open and @why says
 *        what to do.
 * @close: close all that @open opened. No device is open any more.
 * @open_device: open @dev in its container, whose address space becomes the
 *               device's. Sets the device fd. -EBUSY if somebody holds the
 *               device. On error nothing is left open and @why says what to do.
 * @info: fill in what the IOMMU can do
 * @map: let the device reach @size bytes of @fd at @offset by the address
 *       @iova. Needs @fd only during the call. All or nothing.
 * @unmap: exactly what one @map mapped. When it returns the device can't
 *         reach the memory.
 */
struct vfio_iommu_ops {
	const char *name;
	int (*open)(struct vfio_device *dev, struct vfio_why *why);
	void (*close)(struct vfio_container *c);
	int (*open_device)(struct vfio_device *dev, struct vfio_why *why);
	int (*info)(struct vfio_device *dev, struct vfio_iommu_info *info);
	int (*map)(struct vfio_device *dev, uint64_t iova, uint64_t size,
		   int fd, uint64_t offset, bool readable, bool writeable);
	int (*unmap)(struct vfio_device *dev, uint64_t iova, uint64_t size);
};

extern const struct vfio_iommu_ops vfio_iommufd_ops;
extern const struct vfio_iommu_ops vfio_type1_ops;

/**
 * struct vfio_address - where a PCI device is
 * @segment: PCI domain
 * @bus: bus number
 * @devfn: slot and function
 */
struct vfio_address {
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};

/**
 * struct vfio_device - an open device
 * @name: as the kernel knows it: PCI address or mdev UUID
 * @sysfs: its directory in /sys
 * @group: IOMMU group number, negative if it has none
 * @cdev: name in /dev/vfio/devices, empty if it has none
 * @noiommu: no IOMMU confines it, and the operator said that that's all right
 * @emulated: a mediated device: no IOMMU stands behind it
 * @ops: the way in
 * @fd: the device fd
 * @container: what it shares with the other devices of its group
 * @joined: another device of the group was open before it
 * @flags: VFIO_DEVICE_FLAGS_*
 * @nr_regions: entries of @regions in use
 * @nr_irqs: entries of @irqs in use
 * @regions: by index
 * @irqs: by index
 * @can_hot_reset: no function-level reset, but the bus can be reset because
 *                 every device on it is ours
 * @touched: with @can_hot_reset, what that resets, this device among them
 * @nr_touched: entries of @touched
 */
struct vfio_device {
	char name[64];
	char sysfs[256];
	int group;
	char cdev[32];
	bool noiommu;
	bool emulated;
	const struct vfio_iommu_ops *ops;
	int fd;
	struct vfio_container *container;
	bool joined;
	uint32_t flags;
	uint32_t nr_regions;
	uint32_t nr_irqs;
	struct vfio_region regions[VFIO_MAX_REGIONS];
	struct vfio_irq irqs[VFIO_MAX_IRQS];
	bool can_hot_reset;
	struct vfio_address *touched;
	uint32_t nr_touched;
};

/* Open it even though no IOMMU confines it. */
#define VFIO_OPEN_UNSAFE_NOIOMMU	(1u << 0)
/* Other devices of its group may be open in this process, and share with it. */
#define VFIO_OPEN_SHARE			(1u << 1)

/**
 * vfio_device_open() - open a device and read what the kernel says of it
 * @dev: filled in
 * @name: PCI address or mdev UUID, what VFIO_GROUP_GET_DEVICE_FD takes
 * @sysfs: its directory in /sys
 * @kind: which way in; VFIO_IOMMU_AUTO takes iommufd if the device and the
 *        kernel have it, else type1
 * @flags: VFIO_OPEN_*
 * @why: filled in on error
 *
 * The device is reset, if it can be, by this: a physical one by the kernel, a
 * mediated one by asking its driver. The first device of a group to be opened
 * opens what the group shares; the next ones join it.
 *
 * Return: 0; -EBUSY: somebody has it open; -ENODEV: it isn't bound to a VFIO
 * driver, or is gone from the bus; what the kernel says to a reset that is asked
 * of it here; -EPERM: it has no IOMMU, or its group isn't viable; or what the
 * kernel says.
 */
int vfio_device_open(struct vfio_device *dev, const char *name,
		     const char *sysfs, enum vfio_iommu_kind kind,
		     unsigned int flags, struct vfio_why *why);

/**
 * vfio_check() - what stands in the way of vfio_device_open()
 * @name: as there
 * @sysfs: as there
 * @kind: as there
 * @flags: as there
 * @bound: a VFIO driver has the device; without one, it has no nodes yet
 * @say: called with a line about each obstacle, and what to do about it
 * @arg: for @say
 *
 * Opens nothing.
 *
 * Return: the way in that would be taken.
 */
enum vfio_iommu_kind vfio_check(const char *name, const char *sysfs,
				enum vfio_iommu_kind kind, unsigned int flags,
				bool bound,
				void (*say)(const char *text, void *arg),
				void *arg);

/**
 * vfio_device_close() - close everything; the counterpart of vfio_device_open()
 * @dev: an open device
 */
void vfio_device_close(struct vfio_device *dev);

/**
 * vfio_device_quiesce() - stop a device that nobody drives any more
 * @dev: an open device
 *
 * Bus mastering off, then every interrupt index disabled, as far as that goes.
 *
 * Return: 0; -ENODEV if its configuration reads all ones; or the first error, and
 * then only closing it makes sure of it.
 */
int vfio_device_quiesce(struct vfio_device *dev);

/**
 * vfio_device_is_node() - is an fd of this device's node?
 * @dev: a device that was opened by its node, as with iommufd
 * @fd: any
 */
bool vfio_device_is_node(const struct vfio_device *dev, int fd);

/**
 * vfio_device_is_gone() - does its configuration read all ones?
 * @dev: an open device
 *
 * That is what reads of a device give that isn't on the bus any more, or whose
 * link is down.
 */
bool vfio_device_is_gone(struct vfio_device *dev);

/**
 * vfio_device_reset() - function-level reset, or else the bus
 * @dev: an open device
 *
 * Return: 0, -ENOTTY if the device can't be reset, or what the kernel says.
 */
int vfio_device_reset(struct vfio_device *dev);

/**
 * vfio_device_reset_touches() - does vfio_device_reset() reset another one?
 * @dev: an open device
 * @name: PCI address of the other
 */
bool vfio_device_reset_touches(const struct vfio_device *dev,
			       const char *name);

/**
 * vfio_read_group() - a device's IOMMU group
 * @sysfs: its directory in /sys
 *
 * Return: the number, -ENOENT if it has none, or another negative errno.
 */
int vfio_read_group(const char *sysfs);

/**
 * vfio_region_read() - read from the device, without mapping anything
 * @dev: an open device
 * @index: region, below nr_regions
 * @offset: in the region, in bytes; the caller has checked the range
 * @buf: where the data goes
 * @count: bytes. 1, 2, 4 or 8 that are naturally aligned are one access of
 *         that width.
 *
 * Return: bytes read, fewer than @count if the kernel says so, or a negative
 * errno.
 */
ssize_t vfio_region_read(struct vfio_device *dev, uint32_t index,
			 uint64_t offset, void *buf, size_t count);

/** vfio_region_write() - as vfio_region_read(), to the device */
ssize_t vfio_region_write(struct vfio_device *dev, uint32_t index,
			  uint64_t offset, const void *buf, size_t count);

/**
 * vfio_irq_set() - VFIO_DEVICE_SET_IRQS
 * @dev: an open device
 * @flags: VFIO_IRQ_SET_DATA_* | VFIO_IRQ_SET_ACTION_*
 * @index: interrupt index, below nr_irqs
 * @start: first sub-index; the caller has checked the range
 * @count: sub-indexes
 * @data: as the flags say: count bytes, or count ints; NULL for none
 *
 * Return: 0 or what the kernel says.
 */
int vfio_irq_set(struct vfio_device *dev, uint32_t flags, uint32_t index,
		 uint32_t start, uint32_t count, const void *data);

/**
 * vfio_feature() - VFIO_DEVICE_FEATURE
 * @dev: an open device
 * @flags: feature index | VFIO_DEVICE_FEATURE_GET, _SET or _PROBE
 * @data: the feature's structure, in and out; NULL for none
 * @len: its length in bytes
 *
 * Return: 0 or what the kernel says: -ENOTTY when the device doesn't have the
 * feature.
 */
int vfio_feature(struct vfio_device *dev, uint32_t flags, void *data,
		 size_t len);

/**
 * vfio_device_sleep() - let the kernel put the device to sleep
 * @dev: an open device
 *
 * It sleeps as soon as nothing is asked of it. Accesses by system call wake it
 * for as long as they take; touching a mapping of it is SIGBUS.
 *
 * Return: 0; -ENOTTY: the kernel (before Linux 6.1) or its driver has no such
 * thing; -EINVAL: it is so already; or what the kernel says.
 */
int vfio_device_sleep(struct vfio_device *dev);

/**
 * vfio_device_wake() - the counterpart of vfio_device_sleep()
 * @dev: an open device
 *
 * Return: 0 or what the kernel says: it doesn't wake.
 */
int vfio_device_wake(struct vfio_device *dev);

/**
 * vfio_ioeventfd() - let the kernel write to the device when an eventfd fires
 * @dev: an open device
 * @index: region, below nr_regions
 * @offset: in the region, in bytes
 * @width: of the write, 1, 2, 4 or 8 bytes
 * @data: what is written
 * @fd: the eventfd, still the caller's; -1 to stop it
 *
 * Return: 0 or what the kernel says.
 */
int vfio_ioeventfd(struct vfio_device *dev, uint32_t index, uint64_t offset,
		   uint32_t width, uint64_t data, int fd);

#endif
