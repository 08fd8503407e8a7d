// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_IOAS_COPY: mapping again what another I/O address space has.
 *
 * The pieces are taken from the one with its lock held, and put into the other
 * with that one's: they may be the same, and two copies may go opposite ways.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "space_internal.h"

/**
 * struct copy - pieces of maps on their way to another space
 * @maps: without an address yet
 * @nr: how many
 */
struct copy {
	struct space_map **maps;
	unsigned int nr;
};

static void copy_free(struct copy *copy)
{
	unsigned int i;

	for (i = 0; i < copy->nr; i++) {
		space_map_forget(NULL, copy->maps[i]);
		free(copy->maps[i]);
	}
	free(copy->maps);
}

static int copy_add(struct copy *copy, const struct space_map *from,
		    uint64_t first, uint64_t last)
{
	uint64_t delta = first - from->iova;
	struct space_map *map, **maps;
	int ret;

	maps = realloc(copy->maps, (copy->nr + 1) * sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	copy->maps = maps;
	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->was_writeable = from->was_writeable;
	map->is_file = from->is_file;
	/* Relative to the first, which has no address yet. */
	map->last = last - first;
	if (from->is_file) {
		ret = run_memory_resolve_file(from->segments[0].fd,
					      from->segments[0].offset + delta,
					      last - first + 1, &map->segments);
		if (ret) {
			free(map);
			return ret;
		}
		map->nr = 1;
	} else {
		map->vaddr = from->vaddr + delta;
	}
	maps[copy->nr++] = map;
	return 0;
}

static int copy_take(struct copy *copy, struct run_space *from, uint64_t iova,
		     uint64_t last)
{
	int ret = 0;

	pthread_mutex_lock(&from->lock);
	while (!ret) {
		struct space_map *map = space_map_next(from, iova, iova);
		uint64_t end;

		if (!map) {
			ret = -ENOENT;
			break;
		}
		end = min(map->last, last);
		ret = copy_add(copy, map, iova, end);
		if (end == last)
			break;
		iova = end + 1;
	}
	pthread_mutex_unlock(&from->lock);
	return ret;
}

static int copy_put_one(struct run_space *to, struct space_map *map,
			const struct run_place *place, uint64_t *iova)
{
	int ret;

	if (place->flags & VFIO_USER_DMA_MAP_WRITE && !map->was_writeable)
		return -EPERM;
	map->flags = place->flags;
	map->iova = *iova;
	map->last += *iova;
	ret = space_insert(to, map);
	if (!ret)
		*iova = map->last + 1;
	return ret;
}

static int copy_put(struct copy *copy, struct run_space *to,
		    struct run_place *place)
{
	uint64_t iova, undone = 0;
	unsigned int i;
	int ret;

	place->is_file = copy->maps[0]->is_file;
	place->vaddr = copy->maps[0]->vaddr;
	if (place->is_file)
		place->offset = copy->maps[0]->segments[0].offset;
	pthread_mutex_lock(&to->lock);
	ret = space_find_place(to, place, false);
	iova = place->iova;
	for (i = 0; !ret && i < copy->nr; i++)
		ret = copy_put_one(to, copy->maps[i], place, &iova);
	if (!ret) {
		/* They are the space's now. */
		copy->nr = 0;
	} else if (i > 1) {
		space_unmap_range(to, place->iova, iova - 1, 0, &undone);
		memmove(copy->maps, copy->maps + i - 1,
			(copy->nr - i + 1) * sizeof(*copy->maps));
		copy->nr -= i - 1;
	}
	pthread_mutex_unlock(&to->lock);
	return ret;
}

int run_space_copy(struct run_space *to, struct run_place *place,
		   struct run_space *from, uint64_t iova)
{
	struct copy copy = { 0 };
	uint64_t last;
	int ret;

	if (!place->size)
		return -EINVAL;
	if (add_overflows(iova, place->size - 1, &last))
		return -EOVERFLOW;
	ret = copy_take(&copy, from, iova, last);
	if (!ret)
		ret = to ? copy_put(&copy, to, place) : -ENOENT;
	copy_free(&copy);
	return ret;
}
