/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the test drivers reach a PCI device: by vfio-user messages or by the
 * kernel's VFIO. A driver is written once over this and runs over both, so
 * that what it finds can be compared.
 *
 * Region indexes, interrupt indexes and flags are VFIO's own, from
 * <linux/vfio.h>. Functions return 0 or a negative errno unless they say
 * otherwise. PCI is little endian and so must the host be.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "tools/lib/client.h"
#include "util.h"
#include "vfio/vfio.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little endian host");

struct access;

/**
 * struct access_region - what a region is like
 * @flags: VFIO_REGION_INFO_FLAG_*
 * @size: in bytes; 0 for a region that the device doesn't have
 */
struct access_region {
	uint32_t flags;
	uint64_t size;
};

/**
 * struct access_ops - one way to a device
 * @name: for people
 * @close: end the session and free @a. Mappings of BARs stay until they are
 *         unmapped; DMA mappings and interrupts are gone when the device is.
 * @region: describe a region
 * @read: read from a region without mapping anything. 1, 2, 4 and 8 bytes that
 *        are naturally aligned reach the device as one access. Returns the
 *        bytes read, which may be fewer than asked for.
 * @write: the same, to the device
 * @map: map part of a region into this process. NULL, which isn't an error,
 *       when the region or this part of it can't be mapped.
 * @irq: describe an interrupt index: VFIO_IRQ_INFO_* and the vectors it has
 * @irq_set: VFIO_DEVICE_SET_IRQS. The fds stay the caller's.
 * @dma_map: let the device reach a file's memory. All or nothing; @fd is
 *           needed only during the call.
 * @dma_unmap: exactly what one @dma_map mapped. When it has returned the
 *             device can't reach the memory.
 * @reset: function-level reset, or what the device has instead
 * @messages: commands sent since the beginning; always 0 where none are
 */
struct access_ops {
	const char *name;
	void (*close)(struct access *a);
	int (*region)(struct access *a, uint32_t index,
		      struct access_region *region);
	ssize_t (*read)(struct access *a, uint32_t index, uint64_t offset,
			void *buf, size_t count);
	ssize_t (*write)(struct access *a, uint32_t index, uint64_t offset,
			 const void *buf, size_t count);
	void *(*map)(struct access *a, uint32_t index, uint64_t offset,
		     size_t size);
	int (*irq)(struct access *a, uint32_t index, uint32_t *flags,
		   uint32_t *count);
	int (*irq_set)(struct access *a, uint32_t flags, uint32_t index,
		       uint32_t start, uint32_t count, const void *data);
	int (*dma_map)(struct access *a, uint64_t iova, uint64_t size, int fd,
		       uint64_t offset, uint32_t flags);
	int (*dma_unmap)(struct access *a, uint64_t iova, uint64_t size);
	int (*reset)(struct access *a);
	uint64_t (*messages)(struct access *a);
};

/**
 * struct access - an open device
 * @ops: the way to it
 * @next_iova: where the next access_dma_alloc() maps, in bytes
 */
struct access {
	const struct access_ops *ops;
	uint64_t next_iova;
};

/**
 * access_socket_open() - reach the device behind a vfio-user socket
 * @path: of the socket
 * @opts: as vfio_user_connect() takes them; NULL for the usual
 * @out: the device, to be given to access_close()
 *
 * Return: 0 or what vfio_user_connect() says.
 */
int access_socket_open(const char *path,
		       const struct vfio_user_client_opts *opts,
		       struct access **out);

/**
 * access_shadow_open() - the same, without passing a file of memory
 * @path: of the socket
 * @twin: ask for a second socket for what the server asks
 * @out: the device, to be given to access_close()
 *
 * The server reads and writes the memory by message, which a thread answers.
 *
 * Return: 0, -EPROTO if there is no twin socket though one was asked for, or
 * what vfio_user_connect() says.
 */
int access_shadow_open(const char *path, bool twin, struct access **out);

/** access_socket_client() - the client below, still owned by @a */
struct vfio_user_client *access_socket_client(struct access *a);

/**
 * access_vfio_open() - reach a device through the kernel's VFIO
 * @bdf: PCI address, domain included
 * @kind: which way in
 * @why: filled in on error
 * @out: the device, to be given to access_close()
 *
 * Return: 0 or what vfio_device_open() says.
 */
int access_vfio_open(const char *bdf, enum vfio_iommu_kind kind,
		     struct vfio_why *why, struct access **out);

/**
 * access_close() - end the session
 * @a: may be NULL
 */
void access_close(struct access *a);

/**
 * access_read() - read a little-endian number from a region
 * @a: the device
 * @index: region
 * @offset: in the region, in bytes
 * @width: 1, 2, 4 or 8 bytes
 *
 * Return: the number; all ones when it can't be read, as a PCI bus answers
 * for a device that isn't there.
 */
uint64_t access_read(struct access *a, uint32_t index, uint64_t offset,
		     unsigned int width);

/**
 * access_write() - write a little-endian number to a region
 * @a: the device
 * @index: region
 * @offset: in the region, in bytes
 * @width: 1, 2, 4 or 8 bytes
 * @value: the number
 *
 * Return: 0 or a negative errno; -EIO for a short write.
 */
int access_write(struct access *a, uint32_t index, uint64_t offset,
		 unsigned int width, uint64_t value);

/** access_config_read() - access_read() of the configuration space */
uint32_t access_config_read(struct access *a, uint64_t offset,
			    unsigned int width);

/** access_config_write() - access_write() of the configuration space */
int access_config_write(struct access *a, uint64_t offset, unsigned int width,
			uint32_t value);

/**
 * access_capability() - find a PCI capability
 * @a: the device
 * @id: PCI_CAP_ID_*
 *
 * Return: its offset in the configuration space, 0 if there is none.
 */
unsigned int access_capability(struct access *a, uint8_t id);

/**
 * access_enable() - turn memory decoding and bus mastering on
 * @a: the device
 *
 * Return: 0 or a negative errno; -EIO if the bits don't stick.
 */
int access_enable(struct access *a);

/**
 * struct access_bar - a BAR, mapped if it can be
 * @a: the device
 * @index: region
 * @size: in bytes
 * @mem: where it is mapped; NULL when every access is a message or a system
 *       call
 */
struct access_bar {
	struct access *a;
	uint32_t index;
	uint64_t size;
	void *mem;
};

/**
 * access_bar_open() - get at a BAR
 * @a: the device; must outlive @bar unless @bar is mapped
 * @index: region
 * @bar: filled in
 *
 * Return: 0, -ENXIO if the device has no such BAR, or what the kernel or the
 * server says.
 */
int access_bar_open(struct access *a, uint32_t index, struct access_bar *bar);

/**
 * access_bar_close() - unmap a BAR
 * @bar: an open BAR, or all zeroes
 */
void access_bar_close(struct access_bar *bar);

/** access_bar_read32() - one 32-bit read; all ones if it fails */
uint32_t access_bar_read32(struct access_bar *bar, uint64_t offset);

/** access_bar_write32() - one 32-bit write, after all stores before it */
void access_bar_write32(struct access_bar *bar, uint64_t offset,
			uint32_t value);

/**
 * access_irq_enable() - have vectors signal eventfds
 * @a: the device
 * @index: interrupt index
 * @start: first vector
 * @count: how many
 * @fds: one eventfd each, still the caller's
 *
 * Return: 0 or what the kernel or the server says.
 */
int access_irq_enable(struct access *a, uint32_t index, uint32_t start,
		      uint32_t count, const int *fds);

/** access_irq_disable() - turn an interrupt index off with all its vectors */
int access_irq_disable(struct access *a, uint32_t index);

/** access_irq_mask() - hold one vector back */
int access_irq_mask(struct access *a, uint32_t index, uint32_t vector);

/** access_irq_unmask() - let one vector through, also after an automask */
int access_irq_unmask(struct access *a, uint32_t index, uint32_t vector);

/**
 * access_irq_wait() - wait until an eventfd is signalled
 * @fd: the eventfd, which must not block
 * @timeout_ms: how long, in milliseconds; 0 only looks
 *
 * Return: how often it was signalled since it was last looked at, 0 after
 * the time-out, or a negative errno.
 */
int64_t access_irq_wait(int fd, int timeout_ms);

/**
 * struct access_dma - memory that the device can reach
 * @mem: where this process has it
 * @iova: where the device has it
 * @size: in bytes
 * @fd: the memfd that holds it, owned by this
 */
struct access_dma {
	void *mem;
	uint64_t iova;
	uint64_t size;
	int fd;
};

/**
 * access_dma_alloc() - memory for this process and the device
 * @a: the device
 * @size: in bytes, rounded up to whole pages
 * @dma: filled in; the memory is zero
 *
 * Addresses for the device begin at 1 MiB and aren't used twice in a session:
 * what stays below 256 MiB suits a device with a 28-bit mask.
 *
 * Return: 0, -ENOSPC when there are no addresses left, or a negative errno.
 */
int access_dma_alloc(struct access *a, uint64_t size, struct access_dma *dma);

/**
 * access_dma_free() - unmap and free
 * @a: the device
 * @dma: what access_dma_alloc() filled in, or all zeroes
 */
void access_dma_free(struct access *a, struct access_dma *dma);

/**
 * access_area_mappable() - does a region's capability chain let an area be
 *			    mapped?
 * @caps: the chain, in VFIO's format, on the wire the same as in the kernel;
 *        NULL if there is none
 * @caps_len: its length in bytes
 * @caps_offset: what offsets in the chain count from, in bytes before @caps
 * @offset: of the area in the region, in bytes
 * @size: of the area, in bytes
 *
 * Return: true if there is no sparse-mmap capability or one of its areas
 * holds all of the area.
 */
bool access_area_mappable(const void *caps, uint32_t caps_len,
			  uint32_t caps_offset, uint64_t offset, uint64_t size);

#endif
