/* SPDX-License-Identifier: GPL-2.0-only */
/* What an iommufd can do with an address space beyond what a container can. */
#ifndef SPACE_H
#define SPACE_H

#include "run.h"

/**
 * struct run_iova_range - I/O virtual addresses
 * @first: first byte
 * @last: last byte
 */
struct run_iova_range {
	uint64_t first;
	uint64_t last;
};

/**
 * struct run_place - what is to be mapped where
 * @iova: where; set if @choose
 * @choose: the space chooses, as the kernel would
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_READ, _WRITE
 * @vaddr: the program's memory, unless @is_file
 * @is_file: it is @fd and @offset that are mapped
 * @fd: the file, stays the caller's
 * @offset: in the file, in bytes
 */
struct run_place {
	uint64_t iova;
	bool choose;
	uint64_t size;
	uint32_t flags;
	void *vaddr;
	bool is_file;
	int fd;
	uint64_t offset;
};

/**
 * run_space_place() - IOMMU_IOAS_MAP and IOMMU_IOAS_MAP_FILE
 * @space: the space
 * @place: what and where
 *
 * Return: as run_space_map(), or -EBADF, -ENOSPC when there is no room to
 * choose from; of two errors the one that iommufd gives.
 */
int run_space_place(struct run_space *space, struct run_place *place);

/**
 * run_space_copy() - IOMMU_IOAS_COPY
 * @to: the space to map in; NULL: there is none, which is said last
 * @place: where, and how large
 * @from: the space whose maps are copied, may be the same
 * @iova: first byte in that
 *
 * Return: as run_space_place(); -ENOENT: not all of it is mapped; -EPERM: it is
 * to be writeable and the original isn't.
 */
int run_space_copy(struct run_space *to, struct run_place *place,
		   struct run_space *from, uint64_t iova);

/**
 * run_space_allow() - what run_space_place() may choose from, and no more
 * @space: the space
 * @ranges: sorted; the space owns them from now on; NULL for everything
 * @nr: how many
 *
 * Return: 0, or -EADDRINUSE, and @ranges stay the caller's.
 */
int run_space_allow(struct run_space *space, struct run_iova_range *ranges,
		    unsigned int nr);

/**
 * run_space_refuse_device_memory() - do as iommufd, which can't pin a BAR that
 *                                    the program names by an address
 *
 * Mapping one, or adding the first device when one is mapped, is -EFAULT then.
 */
void run_space_refuse_device_memory(struct run_space *space);

/** run_space_set_huge() - IOMMU_OPTION_HUGE_PAGES; 0 or a negative errno */
int run_space_set_huge(struct run_space *space, bool huge);

/** run_space_is_huge() - what run_space_set_huge() said; true at first */
bool run_space_is_huge(struct run_space *space);

/** run_space_has_memory() - is anything but files mapped? */
bool run_space_has_memory(struct run_space *space);

/** run_space_get() - another reference, for run_space_free() */
void run_space_get(struct run_space *space);

#endif
