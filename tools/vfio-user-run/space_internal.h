/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that make an I/O address space share among themselves:
 * space.c, space_copy.c, space_device.c, space_hole.c, space_map.c.
 *
 * All of these functions are called with the space's lock held, but
 * space_map_forget() without a space, and those that have only a device.
 */
#ifndef SPACE_INTERNAL_H
#define SPACE_INTERNAL_H

#include "space.h"

#define SPACE_PAGE	4096ULL

/**
 * struct space_map - a map
 * @iova: first byte
 * @last: last byte
 * @flags: VFIO_USER_DMA_MAP_READ, _WRITE
 * @vaddr: the memory, unless @is_file
 * @is_file: @segments are what was asked for
 * @was_writeable: the device could write to it when it was mapped first, of
 *                 which it may be a copy
 * @segments: the files; NULL if nobody needed them yet
 * @nr: entries in @segments
 */
struct space_map {
	uint64_t iova;
	uint64_t last;
	uint32_t flags;
	uint8_t *vaddr;
	bool is_file;
	bool was_writeable;
	struct run_segment *segments;
	unsigned int nr;
};

/**
 * struct space_device - a device that is in a space
 * @dev: the device
 * @caps: what its server said of itself
 * @next: in the same space
 */
struct space_device {
	struct run_device *dev;
	struct vfio_user_caps caps;
	struct space_device *next;
};

/**
 * struct run_space - an I/O address space
 * @refs: who has it
 * @lock: protects the rest
 * @maps: the tree, of struct space_map
 * @nr_segments: pieces of files that are mapped
 * @devices: those in it
 * @allowed: what may be chosen from, sorted
 * @nr_allowed: entries in @allowed; 0: everything
 * @is_small: no page is larger than SPACE_PAGE
 * @no_device_memory: run_space_refuse_device_memory()
 */
struct run_space {
	atomic_uint refs;
	pthread_mutex_t lock;
	void *maps;
	unsigned int nr_segments;
	struct space_device *devices;
	struct run_iova_range *allowed;
	unsigned int nr_allowed;
	bool is_small;
	bool no_device_memory;
};

/* space.c */

/** space_map_compare() - the tree's order, for tsearch(3) */
int space_map_compare(const void *a, const void *b);

/** space_map_next() - the first map, by address, that overlaps the range */
struct space_map *space_map_next(const struct run_space *space, uint64_t first,
				 uint64_t last);

/**
 * space_map_forget() - close the files of a map
 * @space: where they were counted; NULL: nowhere
 * @map: the map
 */
void space_map_forget(struct run_space *space, struct space_map *map);

/** space_map_drop() - out of the tree, and free it */
void space_map_drop(struct run_space *space, struct space_map *map);

/** space_info() - run_space_info() with the lock */
void space_info(const struct run_space *space, struct run_iommu_info *info);

/** space_info_restrict() - to what one more device can do */
void space_info_restrict(struct run_iommu_info *info,
			 const struct vfio_user_caps *caps);

/** space_info_alignment() - of addresses and sizes, in bytes */
uint64_t space_info_alignment(const struct run_iommu_info *info);

/** space_info_has() - is all of a range in one that can be mapped? */
bool space_info_has(const struct run_iommu_info *info, uint64_t first,
		    uint64_t last);

/* space_device.c */

/**
 * space_device_unmap() - unmap pieces of a map at one device
 * @dev: the device
 * @map: the map, whose files are known
 * @nr: how many, from its first on
 *
 * Return: 0 or a negative errno; the session has ended then.
 */
int space_device_unmap(struct run_device *dev, const struct space_map *map,
		       unsigned int nr);

/** space_device_map() - a map at one device, all or nothing: 0 or -errno */
int space_device_map(struct run_device *dev, const struct space_map *map);

/** space_device_unmap_all() - whatever one device has mapped */
void space_device_unmap_all(struct run_device *dev);

/**
 * space_device_check() - could a device that can do this see what is mapped?
 *
 * Return: 0, -EINVAL for the size of its pages, -EADDRINUSE for a map.
 */
int space_device_check(const struct run_space *space,
		       const struct vfio_user_caps *caps);

/* space_hole.c */

/**
 * space_choose() - an address
 * @space: where
 * @addr: of the memory, or the offset in the file
 * @size: in bytes
 * @iova: set to the address
 *
 * Return: 0, -EOVERFLOW, -EINVAL when it can't be aligned, or -ENOSPC.
 */
int space_choose(const struct run_space *space, uint64_t addr, uint64_t size,
		 uint64_t *iova);

/* space_map.c */

/** space_find_segments() - turn a map into files: 0 or -errno */
int space_find_segments(struct run_space *space, struct space_map *map);

/**
 * space_insert() - map at all devices, and into the tree
 *
 * Return: 0, and the space owns @map; else a negative errno.
 */
int space_insert(struct run_space *space, struct space_map *map);

/**
 * space_find_place() - check where something is to be mapped, or choose
 * @space: where
 * @place: what; @place->iova is set if it is to be chosen
 * @exist_first: of two errors, that of something mapped there: as type1
 *
 * Return: 0 or a negative errno.
 */
int space_find_place(struct run_space *space, struct run_place *place,
		     bool exist_first);

/** space_unmap_range() - run_space_unmap() with the lock, unchecked */
int space_unmap_range(struct run_space *space, uint64_t first, uint64_t last,
		      int cut, uint64_t *unmapped);

#endif
