/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of vfio/ share among themselves. */
#ifndef VFIO_INTERNAL_H
#define VFIO_INTERNAL_H

#include "vfio.h"

/**
 * vfio_why_set() - say what to do about a failure
 * @why: filled in, unless NULL
 * @fmt: printf format, one line without a newline
 */
void vfio_why_set(struct vfio_why *why, const char *fmt, ...) __printf(2, 3);

/**
 * vfio_open_node() - open a node in /dev for VFIO
 * @path: of the node
 * @why: filled in on error
 *
 * Return: a new fd, close-on-exec, owned by the caller; or a negative errno.
 */
int vfio_open_node(const char *path, struct vfio_why *why);

/**
 * vfio_group_spoiler() - which device makes a group not viable
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

/**
 * vfio_window_map() - a mapping of a client's file to name to the kernel
 * @dev: the device
 * @size: in bytes
 * @fd: the client's file
 * @offset: in the file, in bytes
 * @readable: the device will read it
 * @writeable: the device will write it
 * @window: set to the address
 *
 * Nothing here ever reads or writes through it: a client that truncates its
 * file makes any access a SIGBUS.
 *
 * Return: 0 or a negative errno of mmap(2).
 */
int vfio_window_map(struct vfio_device *dev, uint64_t size, int fd,
		    uint64_t offset, bool readable, bool writeable,
		    void **window);

/**
 * vfio_window_done() - the kernel has seen the mapping, or refused it
 * @dev: the device
 * @iova: I/O virtual address that it is mapped at
 * @size: in bytes
 * @window: from vfio_window_map()
 * @mapped: the kernel has taken it
 *
 * A physical device's pages are pinned by now and the window closes. An
 * emulated one's are pinned when its driver asks, through this very address,
 * so the window stays until vfio_window_unmap().
 *
 * Return: 0; -ENOMEM: it could not be remembered and is closed.
 */
int vfio_window_done(struct vfio_device *dev, uint64_t iova, uint64_t size,
		     void *window, bool mapped);

/**
 * vfio_window_unmap() - close the window of a map that is gone, if it has one
 * @dev: the device
 * @iova: I/O virtual address that it was mapped at
 */
void vfio_window_unmap(struct vfio_device *dev, uint64_t iova);

/**
 * vfio_window_limit() - how many windows can be open at one time
 *
 * Return: a number of mappings that leaves room for the rest of the process
 * below vm.max_map_count.
 */
uint32_t vfio_window_limit(void);

#endif
