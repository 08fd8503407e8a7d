// SPDX-License-Identifier: GPL-2.0-only
/*
 * An I/O address space: what is mapped, and what all of its devices can do.
 *
 * Maps are kept in a balanced tree (tsearch(3)) whose comparison calls two maps
 * equal when they overlap, which those in it never do.
 *
 * What a bridge can map it said in its VERSION; that is copied when a device
 * comes, so that looking at it needs no lock of the connection's. A space can
 * do what all of them can.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "space_internal.h"

int space_map_compare(const void *a, const void *b)
{
	const struct space_map *x = a, *y = b;

	if (x->last < y->iova)
		return -1;
	return x->iova > y->last;
}

/* The first map, by address, that overlaps the range. */
struct space_map *space_map_next(const struct run_space *space, uint64_t first,
				 uint64_t last)
{
	struct space_map key = { .iova = first, .last = last };
	struct space_map **found, *map = NULL;

	while ((found = tfind(&key, &space->maps, space_map_compare))) {
		map = *found;
		if (map->iova <= first)
			break;
		key.last = map->iova - 1;
	}
	return map;
}

void space_map_forget(struct run_space *space, struct space_map *map)
{
	if (!map->segments)
		return;
	run_segments_free(map->segments, map->nr);
	map->segments = NULL;
	if (space)
		space->nr_segments -= map->nr;
	map->nr = 0;
}

void space_map_drop(struct run_space *space, struct space_map *map)
{
	tdelete(map, &space->maps, space_map_compare);
	space_map_forget(space, map);
	free(map);
}

struct run_space *run_space_new(void)
{
	struct run_space *space = calloc(1, sizeof(*space));

	if (!space)
		return NULL;
	space->refs = 1;
	pthread_mutex_init(&space->lock, NULL);
	return space;
}

void run_space_get(struct run_space *space)
{
	atomic_fetch_add(&space->refs, 1);
}

void run_space_free(struct run_space *space)
{
	struct space_map *map;

	if (!space || atomic_fetch_sub(&space->refs, 1) != 1)
		return;
	while ((map = space_map_next(space, 0, UINT64_MAX)))
		space_map_drop(space, map);
	pthread_mutex_destroy(&space->lock);
	free(space->allowed);
	free(space);
}

/* What all can do. */

static void ranges_intersect(struct run_iommu_info *info,
			     const struct vfio_user_caps *caps)
{
	struct run_iommu_info was = *info;
	unsigned int i, j;

	if (!caps->knows_iova_ranges)
		return;
	info->nr_ranges = 0;
	for (i = 0; i < was.nr_ranges; i++) {
		for (j = 0; j < caps->nr_iova_ranges; j++) {
			uint64_t first = max(was.ranges[i].first,
					     caps->iova_ranges[j].first);
			uint64_t last = min(was.ranges[i].last,
					    caps->iova_ranges[j].last);

			if (first > last ||
			    info->nr_ranges == ARRAY_SIZE(info->ranges))
				continue;
			info->ranges[info->nr_ranges].first = first;
			info->ranges[info->nr_ranges].last = last;
			info->nr_ranges++;
		}
	}
}

void space_info_restrict(struct run_iommu_info *info,
			 const struct vfio_user_caps *caps)
{
	info->pgsizes &= caps->pgsizes;
	info->max_maps = min(info->max_maps, caps->max_dma_maps);
	ranges_intersect(info, caps);
}

void space_info(const struct run_space *space,
		struct run_iommu_info *info)
{
	const struct space_device *sd;

	memset(info, 0, sizeof(*info));
	info->pgsizes = space->is_small ? -SPACE_PAGE : UINT64_MAX;
	info->max_maps = UINT32_MAX;
	info->nr_maps = space->nr_segments;
	info->nr_ranges = 1;
	info->ranges[0].last = UINT64_MAX;
	for (sd = space->devices; sd; sd = sd->next)
		space_info_restrict(info, &sd->caps);
}

uint64_t space_info_alignment(const struct run_iommu_info *info)
{
	return info->pgsizes ? info->pgsizes & -info->pgsizes : SPACE_PAGE;
}

bool space_info_has(const struct run_iommu_info *info, uint64_t first,
		    uint64_t last)
{
	unsigned int i;

	for (i = 0; i < info->nr_ranges; i++)
		if (first >= info->ranges[i].first &&
		    last <= info->ranges[i].last)
			return true;
	return false;
}

void run_space_info(struct run_space *space, struct run_iommu_info *info)
{
	pthread_mutex_lock(&space->lock);
	space_info(space, info);
	pthread_mutex_unlock(&space->lock);
}

/* What iommufd has beyond that. */

int run_space_allow(struct run_space *space, struct run_iova_range *ranges,
		    unsigned int nr)
{
	struct run_iommu_info info;
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&space->lock);
	space_info(space, &info);
	for (i = 0; !ret && i < nr; i++)
		if (!space_info_has(&info, ranges[i].first, ranges[i].last))
			ret = -EADDRINUSE;
	if (!ret) {
		free(space->allowed);
		space->allowed = ranges;
		space->nr_allowed = nr;
	}
	pthread_mutex_unlock(&space->lock);
	return ret;
}

void run_space_refuse_device_memory(struct run_space *space)
{
	space->no_device_memory = true;
}

int run_space_set_huge(struct run_space *space, bool huge)
{
	const struct vfio_user_caps any = { .pgsizes = -SPACE_PAGE };
	int ret = 0;

	pthread_mutex_lock(&space->lock);
	if (!huge && !space->is_small) {
		if (space->devices && space->maps)
			ret = -EINVAL;
		else
			ret = space_device_check(space, &any);
	}
	if (!ret)
		space->is_small = !huge;
	pthread_mutex_unlock(&space->lock);
	return ret;
}

bool run_space_is_huge(struct run_space *space)
{
	bool huge;

	pthread_mutex_lock(&space->lock);
	huge = !space->is_small;
	pthread_mutex_unlock(&space->lock);
	return huge;
}

bool run_space_has_memory(struct run_space *space)
{
	struct space_map *map;
	bool has = false;
	uint64_t at = 0;

	pthread_mutex_lock(&space->lock);
	while (!has && (map = space_map_next(space, at, UINT64_MAX))) {
		has = !map->is_file;
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
	pthread_mutex_unlock(&space->lock);
	return has;
}
