/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of vfio/ share among themselves. */
#ifndef VFIO_INTERNAL_H
#define VFIO_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "vfio.h"

/**
 * struct vfio_container - what the open devices of one group share
 * @entry: in the list of all
 * @ops: the way in
 * @group: IOMMU group number, -1 if the device has none
 * @noiommu: no IOMMU confines its devices
 * @emulated: its device is a mediated one
 * @shared: others may join
 * @refs: who knows of it, under the list's lock
 * @users: open devices, under @lock; it is open while there are any
 * @lock: of opening and closing, and of the windows
 * @fd: /dev/vfio/vfio or /dev/iommu
 * @group_fd: /dev/vfio/GROUP, -1 with iommufd
 * @ioas: I/O address space, with iommufd
 * @map_file: the kernel has IOMMU_IOAS_MAP_FILE
 * @keep_windows: what @ops->map maps into this process must stay, see window.c
 * @windows: what @ops->map has mapped into this process
 * @nr_windows: how many of @windows, and such as are being made
 * @max_windows: how many there may be
 */
struct vfio_container {
	LIST_ENTRY(vfio_container) entry;
	const struct vfio_iommu_ops *ops;
	int group;
	bool noiommu;
	bool emulated;
	bool shared;
	unsigned int refs;
	unsigned int users;
	pthread_mutex_t lock;
	int fd;
	int group_fd;
	uint32_t ioas;
	atomic_bool map_file;
	bool keep_windows;
	void *windows;
	uint32_t nr_windows;
	uint32_t max_windows;
};

/**
 * vfio_container_get() - open the container of a device's group, or join it
 * @dev: the device, identified; its container is set
 * @share: other devices of the group may be in it
 * @why: filled in on error
 *
 * Return: 0; -EBUSY: another device of this process has the group, and one of
 * the two doesn't share; -ENOMEM; or what opening it says.
 */
int vfio_container_get(struct vfio_device *dev, bool share,
		       struct vfio_why *why);

/** vfio_container_put() - leave it; the last one out closes it */
void vfio_container_put(struct vfio_device *dev);

/**
 * vfio_why_set() - say what to do about a failure
 * @why: filled in, unless NULL
 * @fmt: printf format, one line without a newline
 */
void vfio_why_set(struct vfio_why *why, const char *fmt, ...) __printf(2, 3);

/**
 * vfio_why_permission() - say who may open a node
 * @path: of the node
 * @why: filled in
 */
void vfio_why_permission(const char *path, struct vfio_why *why);

/**
 * vfio_identify() - what sysfs says of a device
 * @dev: filled in, not open
 * @name: PCI address or mdev UUID
 * @sysfs: its directory in /sys
 * @flags: VFIO_OPEN_*
 * @why: filled in on error
 *
 * Return: 0; -EPERM: nothing confines it, and that wasn't said to be all right;
 * or -ENAMETOOLONG.
 */
int vfio_identify(struct vfio_device *dev, const char *name,
		  const char *sysfs, unsigned int flags, struct vfio_why *why);

/** vfio_choose() - which way in to take, if any will do */
enum vfio_iommu_kind vfio_choose(const struct vfio_device *dev,
				 enum vfio_iommu_kind kind);

/**
 * vfio_open_node() - open a node in /dev for VFIO
 * @path: of the node
 * @why: filled in on error
 *
 * Return: a new fd, close-on-exec, owned by the caller; or a negative errno.
 */
int vfio_open_node(const char *path, struct vfio_why *why);

/**
 * vfio_group_spoilers() - which devices make a group not viable
 * @group: IOMMU group number
 * @say: called with each, and its driver
 * @arg: for @say
 */
void vfio_group_spoilers(int group,
			 void (*say)(const char *device, const char *driver,
				     void *arg), void *arg);

/**
 * vfio_group_spoiler() - one of them
 * @group: IOMMU group number
 * @buf: "0000:00:1f.3 (snd_hda_intel)", or "" if there is none
 * @len: of @buf in bytes
 *
 * A group is viable when each of its devices is bound to a VFIO driver, to
 * none, or to a driver that does no DMA of its own (iommu_group_claim_dma_owner()
 * in the kernel; pci-stub and pcieport set driver_managed_dma).
 *
 * Return: true if a device spoils it.
 */
bool vfio_group_spoiler(int group, char *buf, size_t len);

/** vfio_group_is_alone() - has this IOMMU group one device, for certain? */
bool vfio_group_is_alone(int group);

/**
 * vfio_window_open() - a mapping of a client's file to name to the kernel
 * @c: the container
 * @iova: I/O virtual address that it will be mapped at; no other window's
 * @size: in bytes
 * @fd: the client's file
 * @offset: in the file, in bytes
 * @readable: the device will read it
 * @writeable: the device will write it
 * @address: set to its address in this process
 *
 * Nothing here ever reads or writes through it: a client that truncates its
 * file makes any access a SIGBUS.
 *
 * Return: 0; -ENOSPC: there are as many as there may be; or a negative errno
 * of mmap(2).
 */
int vfio_window_open(struct vfio_container *c, uint64_t iova, uint64_t size,
		     int fd, uint64_t offset, bool readable, bool writeable,
		     void **address);

/**
 * vfio_window_settle() - the kernel has mapped what the window shows
 * @c: the container
 * @iova: I/O virtual address of the window
 *
 * Closes it, unless the kernel may look at it again.
 */
void vfio_window_settle(struct vfio_container *c, uint64_t iova);

/**
 * vfio_window_close() - close the window of a map that is gone, if it has one
 * @c: the container
 * @iova: I/O virtual address of the window
 *
 * Not to be called while the kernel may still have the map: what is mapped in
 * its place next would be what the device reaches.
 */
void vfio_window_close(struct vfio_container *c, uint64_t iova);

/**
 * vfio_window_forget_all() - it is closed: keep no record of its windows
 * @c: the container, locked
 *
 * There are some only if the kernel has refused to unmap. They stay mapped:
 * as long as anybody holds the device, the kernel may look at them.
 */
void vfio_window_forget_all(struct vfio_container *c);

/**
 * vfio_dmabuf_export() - a DMA buffer of a part of a device's BAR
 * @dev: an open device
 * @fd: of a device, any
 * @offset: in that fd, in bytes
 * @size: in bytes
 *
 * Return: a new fd of the buffer, owned by the caller; -ENOENT: @fd is not
 * @dev's, or the range isn't in a BAR of it; or what the kernel says, which is
 * ENOTTY when it has no such buffers.
 */
int vfio_dmabuf_export(struct vfio_device *dev, int fd, uint64_t offset,
		       uint64_t size);

/**
 * vfio_window_limit() - how many windows can be open at one time
 *
 * Return: a number of mappings that leaves room for the rest of the process
 * below vm.max_map_count.
 */
uint32_t vfio_window_limit(void);

#endif
