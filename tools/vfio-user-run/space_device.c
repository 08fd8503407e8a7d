// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices of an I/O address space: their maps, and how they come and go.
 *
 * Each piece of a map is a map of its own at the device's bridge. A device that
 * comes gets all that is mapped, or doesn't come; one that goes has nothing
 * mapped any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "space_internal.h"

/* One map at one device. */

int space_device_unmap(struct run_device *dev, const struct space_map *map,
		       unsigned int nr)
{
	struct vfio_user_client *client;
	uint64_t iova = map->iova;
	unsigned int i;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	for (i = 0; !ret && i < nr; i++) {
		ret = vfio_user_dma_unmap(client, iova, map->segments[i].size);
		iova += map->segments[i].size;
	}
	if (ret)
		run_say("%s: 0x%llx can't be unmapped: %s", dev->bdf,
			(unsigned long long)map->iova, strerror(-ret));
	return run_device_unlock(dev, ret);
}

int space_device_map(struct run_device *dev, const struct space_map *map)
{
	struct vfio_user_client *client;
	uint64_t iova = map->iova;
	unsigned int i;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	for (i = 0; !ret && i < map->nr; i++) {
		const struct run_segment *seg = &map->segments[i];

		ret = vfio_user_dma_map(client, iova, seg->size, seg->fd,
					seg->offset, map->flags);
		iova += seg->size;
	}
	ret = run_device_unlock(dev, ret);
	if (ret && i > 1)
		space_device_unmap(dev, map, i - 1);
	return ret;
}

void space_device_unmap_all(struct run_device *dev)
{
	struct vfio_user_client *client;

	if (!run_device_lock(dev, &client))
		run_device_unlock(dev, vfio_user_dma_unmap_all(client));
}

/* Devices come and go. */

int space_device_check(const struct run_space *space,
		       const struct vfio_user_caps *caps)
{
	const struct space_map *map = NULL;
	struct run_iommu_info info;
	uint64_t at = 0, mask;
	unsigned int i;

	space_info(space, &info);
	space_info_restrict(&info, caps);
	mask = space_info_alignment(&info) - 1;
	if (mask >= SPACE_PAGE)
		return -EINVAL;
	for (i = 0; i < space->nr_allowed; i++)
		if (!space_info_has(&info, space->allowed[i].first,
				    space->allowed[i].last))
			return -EADDRINUSE;
	while ((map = space_map_next(space, at, UINT64_MAX))) {
		if ((map->iova | (map->last + 1)) & mask ||
		    (uintptr_t)map->vaddr & mask ||
		    (map->is_file && map->segments[0].offset & mask) ||
		    !space_info_has(&info, map->iova, map->last))
			return -EADDRINUSE;
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
	return 0;
}

/* Without a device nobody knows what the memory is. */
static void space_forget_memory(struct run_space *space)
{
	struct space_map *map;
	uint64_t at = 0;

	while ((map = space_map_next(space, at, UINT64_MAX))) {
		if (!map->is_file)
			space_map_forget(space, map);
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
}

static int device_fill(struct run_space *space, struct space_device *sd)
{
	struct space_map *map;
	uint64_t at = 0;
	int ret = 0;

	while (!ret && (map = space_map_next(space, at, UINT64_MAX))) {
		ret = space_find_segments(space, map);
		if (!ret && space->nr_segments > sd->caps.max_dma_maps)
			ret = -ENOSPC;
		if (!ret)
			ret = space_device_map(sd->dev, map);
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
	if (ret)
		space_device_unmap_all(sd->dev);
	return ret;
}

static int space_add(struct run_space *space, struct space_device *sd)
{
	int ret;

	pthread_mutex_lock(&space->lock);
	ret = space_device_check(space, &sd->caps);
	if (!ret)
		ret = device_fill(space, sd);
	if (!ret) {
		sd->next = space->devices;
		space->devices = sd;
	} else if (!space->devices) {
		space_forget_memory(space);
	}
	pthread_mutex_unlock(&space->lock);
	return ret;
}

int run_space_add(struct run_space *space, struct run_device *dev)
{
	struct space_device *sd = calloc(1, sizeof(*sd));
	struct vfio_user_client *client;
	int ret;

	if (!sd)
		return -ENOMEM;
	ret = run_device_lock(dev, &client);
	if (!ret) {
		sd->caps = *vfio_user_server_caps(client);
		sd->dev = dev;
		run_device_unlock(dev, 0);
		ret = space_add(space, sd);
	}
	if (ret)
		free(sd);
	return ret;
}

void run_space_remove(struct run_space *space, struct run_device *dev)
{
	struct space_device **at, *sd;

	pthread_mutex_lock(&space->lock);
	at = &space->devices;
	while (*at && (*at)->dev != dev)
		at = &(*at)->next;
	sd = *at;
	if (sd) {
		*at = sd->next;
		if (space->maps)
			space_device_unmap_all(dev);
	}
	if (!space->devices)
		space_forget_memory(space);
	pthread_mutex_unlock(&space->lock);
	free(sd);
}
