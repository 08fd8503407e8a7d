/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIB_CAPS_H
#define LIB_CAPS_H

#include <stddef.h>
#include <stdint.h>
#include "util.h"

#define VFIO_USER_MAX_IOVA_RANGES	64

/* More JSON than this, in bytes, isn't read: parsed it takes far more memory. */
#define CAPS_MAX_JSON			16384

/**
 * struct vfio_user_caps - what one side of the socket says of itself
 * @max_msg_fds: file descriptors it takes in one message
 * @max_data_xfer_size: bytes it takes in one read or write
 * @max_dma_maps: DMA maps that can exist at one time
 * @pgsizes: page sizes that DMA maps can have, or'ed together, in bytes
 * @write_multiple: it knows REGION_WRITE_MULTI
 * @twin_socket: it knows a second socket for server-to-client commands
 * @twin_fd_index: in a reply with @twin_socket, which of its fds that is;
 *                 -1 if not given
 * @migration_pgsize: 0, or the page size of dirty tracking in bytes ("migration")
 * @knows_iova_ranges: the next two were given, if only as an empty list; from
 *                     a client it means that it wants to be told
 * @nr_iova_ranges: how many of @iova_ranges are meant; 0 if not given
 * @iova_ranges: first and last I/O virtual address of each range that the
 *               IOMMU can map (our extension, "iova_ranges")
 */
struct vfio_user_caps {
	uint32_t max_msg_fds;
	uint64_t max_data_xfer_size;
	uint32_t max_dma_maps;
	uint64_t pgsizes;
	bool write_multiple;
	bool twin_socket;
	int twin_fd_index;
	uint64_t migration_pgsize;
	bool knows_iova_ranges;
	unsigned int nr_iova_ranges;
	struct {
		uint64_t first;
		uint64_t last;
	} iova_ranges[VFIO_USER_MAX_IOVA_RANGES];
};

/**
 * caps_default() - what a side that says nothing is taken to support
 * @caps: filled in
 *
 * Source: the table of capabilities in the specification's VFIO_USER_VERSION.
 */
void caps_default(struct vfio_user_caps *caps);

/**
 * caps_parse() - read the JSON of a VERSION message
 * @data: what follows the two version numbers, straight from the socket
 * @len: its length in bytes; 0 is allowed and means the defaults
 * @caps: filled in, with the defaults for what isn't there
 *
 * The text must be UTF-8, end with its only NUL, and be an object. Unknown
 * capabilities are ignored; a known one of the wrong type or out of range is
 * an error (a number that isn't an integer, max_msg_fds outside 1 to
 * VFIO_USER_MAX_SCM_FDS, max_data_xfer_size 0, max_dma_maps 0, pgsizes 0,
 * iova_ranges that aren't pairs with first <= last). A key that comes twice in
 * one object is an error. On error @caps is undefined.
 *
 * Return: 0, -EINVAL, or -ENOMEM.
 */
int caps_parse(const char *data, size_t len, struct vfio_user_caps *caps);

/**
 * caps_format() - write the JSON of a VERSION message
 * @caps: what to say; 64-bit values above INT64_MAX are said as INT64_MAX,
 *        because JSON readers take numbers as signed. Of pgsizes bit 63 is left
 *        out instead, and of iova_ranges those that begin above INT64_MAX.
 *
 * Return: a NUL-terminated string, one object with a "capabilities" object in
 * it, to be freed by the caller with free(3); NULL when out of memory.
 */
char *caps_format(const struct vfio_user_caps *caps);

#endif
