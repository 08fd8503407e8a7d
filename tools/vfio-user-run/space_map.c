// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping and unmapping in an I/O address space.
 *
 * A map is of the program's memory or of a file. Memory is turned into pieces
 * of files (memory.c) when the first device needs it, and the pieces are
 * forgotten when the last one leaves, as the kernel pins pages: until then
 * nobody asks whether there is any memory.
 *
 * A change is made known to one device after the other. If one refuses, it is
 * taken back from those before, so all have it or none. Taking back doesn't
 * fail: a bridge that can't unmap ends the session, and with it all maps.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "space_internal.h"

/* One map at all devices. */

/* Memory is a regular file's by now; what isn't is a device's. */
static bool has_device_memory(const struct space_map *map)
{
	struct stat st;
	unsigned int i;

	for (i = 0; i < map->nr; i++) {
		if (run_real()->fstat(map->segments[i].fd, &st) ||
		    !S_ISREG(st.st_mode))
			return true;
	}
	return false;
}

int space_find_segments(struct run_space *space, struct space_map *map)
{
	int ret;

	if (map->segments)
		return 0;
	ret = run_memory_resolve(map->vaddr, map->last - map->iova + 1,
				 map->flags & VFIO_USER_DMA_MAP_WRITE,
				 &map->segments, &map->nr);
	if (ret)
		return ret;
	if (space->no_device_memory && has_device_memory(map)) {
		space_map_forget(NULL, map);
		return -EFAULT;
	}
	space->nr_segments += map->nr;
	return 0;
}

static void space_unmap_one(struct run_space *space, struct space_map *map)
{
	struct space_device *sd;

	for (sd = space->devices; sd; sd = sd->next)
		space_device_unmap(sd->dev, map, map->nr);
	space_map_drop(space, map);
}

static int space_fill_map(struct run_space *space, struct space_map *map)
{
	struct space_device *sd, *undo;
	struct run_iommu_info info;
	int ret = 0;

	if (!space->devices)
		return 0;
	ret = space_find_segments(space, map);
	if (ret)
		return ret;
	space_info(space, &info);
	if (info.nr_maps > info.max_maps)
		return -ENOSPC;
	for (sd = space->devices; !ret && sd; sd = ret ? sd : sd->next)
		ret = space_device_map(sd->dev, map);
	for (undo = space->devices; ret && undo != sd; undo = undo->next)
		space_device_unmap(undo->dev, map, map->nr);
	return ret;
}

static int space_check(const struct run_space *space, uint64_t iova,
		       uint64_t last, bool exist_first)
{
	struct run_iommu_info info;
	bool exists = space_map_next(space, iova, last);

	space_info(space, &info);
	if (exist_first && exists)
		return -EEXIST;
	if (exist_first && info.nr_maps >= info.max_maps)
		return -ENOSPC;
	if (!space_info_has(&info, iova, last))
		return -EINVAL;
	return exists ? -EEXIST : 0;
}

/* Mapping. */

static struct space_map *map_new(const struct run_place *place)
{
	struct space_map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->flags = place->flags;
	map->vaddr = place->vaddr;
	map->is_file = place->is_file;
	map->was_writeable = place->flags & VFIO_USER_DMA_MAP_WRITE;
	return map;
}

int space_insert(struct run_space *space, struct space_map *map)
{
	int ret;

	if (!tsearch(map, &space->maps, space_map_compare))
		return -ENOMEM;
	if (map->is_file)
		space->nr_segments += map->nr;
	ret = space_fill_map(space, map);
	if (!ret)
		return 0;
	tdelete(map, &space->maps, space_map_compare);
	space->nr_segments -= map->nr;
	return ret;
}

int space_find_place(struct run_space *space, struct run_place *place,
		     bool exist_first)
{
	uint64_t addr = place->is_file ? place->offset :
			(uintptr_t)place->vaddr;
	struct run_iommu_info info;
	uint64_t mask, last;
	int ret;

	space_info(space, &info);
	mask = space_info_alignment(&info) - 1;
	if (!place->size || place->size & mask)
		return -EINVAL;
	if (place->choose) {
		ret = space_choose(space, addr, place->size, &place->iova);
	} else {
		if (place->iova & mask)
			return -EINVAL;
		if (add_overflows(place->iova, place->size - 1, &last))
			return -EOVERFLOW;
		ret = space_check(space, place->iova, last, exist_first);
	}
	if (ret)
		return ret;
	return addr & mask & (SPACE_PAGE - 1) ? -EINVAL : 0;
}

static int space_map(struct run_space *space, struct run_place *place,
		     bool exist_first)
{
	struct space_map *map = map_new(place);
	int ret = 0;

	if (!map)
		return -ENOMEM;
	if (place->is_file) {
		ret = run_memory_resolve_file(place->fd, place->offset,
					      place->size, &map->segments);
		map->nr = !ret;
	}
	if (ret)
		goto free_map;
	pthread_mutex_lock(&space->lock);
	ret = space_find_place(space, place, exist_first);
	if (!ret) {
		map->iova = place->iova;
		map->last = place->iova + place->size - 1;
		ret = space_insert(space, map);
	}
	pthread_mutex_unlock(&space->lock);
	if (!ret)
		return 0;
	space_map_forget(NULL, map);
free_map:
	free(map);
	return ret;
}

int run_space_map(struct run_space *space, uint64_t iova, void *vaddr,
		  uint64_t size, uint32_t flags)
{
	struct run_place place = {
		.iova = iova,
		.vaddr = vaddr,
		.size = size,
		.flags = flags,
	};

	return space_map(space, &place, true);
}

int run_space_map_file(struct run_space *space, uint64_t iova, int fd,
		       uint64_t offset, uint64_t size, uint32_t flags)
{
	struct run_place place = {
		.iova = iova,
		.is_file = true,
		.fd = fd,
		.offset = offset,
		.size = size,
		.flags = flags,
	};

	return space_map(space, &place, true);
}

int run_space_place(struct run_space *space, struct run_place *place)
{
	uint64_t end;

	/* The kernel looks at the memory's range before anything else. */
	if (!place->is_file) {
		if (add_overflows((uintptr_t)place->vaddr, place->size, &end))
			return -EOVERFLOW;
		if (!place->size || place->size > UINT64_MAX - SPACE_PAGE)
			return -EINVAL;
	} else {
		if (!place->size)
			return -EINVAL;
		if (add_overflows(place->offset, place->size - 1, &end))
			return -EOVERFLOW;
	}
	return space_map(space, place, false);
}

/* Unmapping. */

static int unmap_check(const struct run_space *space, uint64_t first,
		       uint64_t last, int cut)
{
	const struct space_map *map;

	if (cut != 1 && cut >= 0)
		return 0;
	map = space_map_next(space, first, first);
	if (map && map->iova < first)
		return cut;
	map = space_map_next(space, last, last);
	return cut < 0 && map && map->last > last ? cut : 0;
}

int space_unmap_range(struct run_space *space, uint64_t first, uint64_t last,
		      int cut, uint64_t *unmapped)
{
	uint64_t at = first;
	struct space_map *map;

	while ((map = space_map_next(space, at, last))) {
		uint64_t map_last = map->last;
		bool is_cut = map->iova < first || map->last > last;

		if (is_cut && cut == 2)
			return -ENOENT;
		if (!is_cut || cut == 1) {
			*unmapped += map_last - map->iova + 1;
			space_unmap_one(space, map);
		}
		if (map_last >= last)
			break;
		at = map_last + 1;
	}
	return 0;
}

/* All maps of all devices: a message each. */
static void unmap_everything(struct run_space *space, uint64_t *unmapped)
{
	struct space_device *sd;
	struct space_map *map;

	if (!space->maps)
		return;
	for (sd = space->devices; sd; sd = sd->next)
		space_device_unmap_all(sd->dev);
	while ((map = space_map_next(space, 0, UINT64_MAX))) {
		*unmapped += map->last - map->iova + 1;
		space_map_drop(space, map);
	}
}

int run_space_unmap(struct run_space *space, uint64_t first, uint64_t last,
		    int cut, uint64_t *unmapped)
{
	int ret;

	*unmapped = 0;
	pthread_mutex_lock(&space->lock);
	ret = unmap_check(space, first, last, cut);
	if (ret == 1)
		ret = 0;
	else if (!ret && !first && last == UINT64_MAX)
		unmap_everything(space, unmapped);
	else if (!ret)
		ret = space_unmap_range(space, first, last, cut, unmapped);
	pthread_mutex_unlock(&space->lock);
	return ret;
}
