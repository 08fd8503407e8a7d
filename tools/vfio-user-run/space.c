// SPDX-License-Identifier: GPL-2.0-only
/*
 * An I/O address space: what is mapped, and the devices that see it.
 *
 * Maps are kept in a balanced tree (tsearch(3)) whose comparison calls two maps
 * equal when they overlap, which those in it never do. A map is of the
 * program's memory or of a file. Memory is turned into pieces of files
 * (memory.c) when the first device needs it, and the pieces are forgotten when
 * the last one leaves, as the kernel pins pages: until then nobody asks whether
 * there is any memory. Each piece is a map of its own at the device's bridge.
 *
 * What a bridge can map it said in its VERSION; that is copied when a device
 * comes, so that looking at it needs no lock of the connection's.
 *
 * A change is made known to one device after the other. If one refuses, it is
 * taken back from those before, so all have it or none. Taking back doesn't
 * fail: a bridge that can't unmap ends the session, and with it all maps.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "space.h"

#define SPACE_PAGE	4096ULL
/* As the kernel does with transparent huge pages. */
#define SPACE_HUGE	(2ULL << 20)

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

static int map_compare(const void *a, const void *b)
{
	const struct space_map *x = a, *y = b;

	if (x->last < y->iova)
		return -1;
	return x->iova > y->last;
}

/* The first map, by address, that overlaps the range. */
static struct space_map *map_next(const struct run_space *space, uint64_t first,
				  uint64_t last)
{
	struct space_map key = { .iova = first, .last = last };
	struct space_map **found, *map = NULL;

	while ((found = tfind(&key, &space->maps, map_compare))) {
		map = *found;
		if (map->iova <= first)
			break;
		key.last = map->iova - 1;
	}
	return map;
}

static void map_forget_segments(struct run_space *space, struct space_map *map)
{
	if (!map->segments)
		return;
	run_segments_free(map->segments, map->nr);
	map->segments = NULL;
	if (space)
		space->nr_segments -= map->nr;
	map->nr = 0;
}

static void map_drop(struct run_space *space, struct space_map *map)
{
	tdelete(map, &space->maps, map_compare);
	map_forget_segments(space, map);
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
	while ((map = map_next(space, 0, UINT64_MAX)))
		map_drop(space, map);
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

static void info_restrict(struct run_iommu_info *info,
			  const struct vfio_user_caps *caps)
{
	info->pgsizes &= caps->pgsizes;
	info->max_maps = min(info->max_maps, caps->max_dma_maps);
	ranges_intersect(info, caps);
}

static void space_info(const struct run_space *space,
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
		info_restrict(info, &sd->caps);
}

static uint64_t info_alignment(const struct run_iommu_info *info)
{
	return info->pgsizes ? info->pgsizes & -info->pgsizes : SPACE_PAGE;
}

static bool info_has(const struct run_iommu_info *info, uint64_t first,
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

/* One map at one device. */

static int device_unmap_some(struct run_device *dev, const struct space_map *map,
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

static int device_map(struct run_device *dev, const struct space_map *map)
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
		device_unmap_some(dev, map, i - 1);
	return ret;
}

static void device_unmap_all(struct run_device *dev)
{
	struct vfio_user_client *client;

	if (!run_device_lock(dev, &client))
		run_device_unlock(dev, vfio_user_dma_unmap_all(client));
}

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

static int map_find_segments(struct run_space *space, struct space_map *map)
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
		map_forget_segments(NULL, map);
		return -EFAULT;
	}
	space->nr_segments += map->nr;
	return 0;
}

static void space_unmap_one(struct run_space *space, struct space_map *map)
{
	struct space_device *sd;

	for (sd = space->devices; sd; sd = sd->next)
		device_unmap_some(sd->dev, map, map->nr);
	map_drop(space, map);
}

static int space_fill_map(struct run_space *space, struct space_map *map)
{
	struct space_device *sd, *undo;
	struct run_iommu_info info;
	int ret = 0;

	if (!space->devices)
		return 0;
	ret = map_find_segments(space, map);
	if (ret)
		return ret;
	space_info(space, &info);
	if (info.nr_maps > info.max_maps)
		return -ENOSPC;
	for (sd = space->devices; !ret && sd; sd = ret ? sd : sd->next)
		ret = device_map(sd->dev, map);
	for (undo = space->devices; ret && undo != sd; undo = undo->next)
		device_unmap_some(undo->dev, map, map->nr);
	return ret;
}

static int space_check(const struct run_space *space, uint64_t iova,
		       uint64_t last, bool exist_first)
{
	struct run_iommu_info info;
	bool exists = map_next(space, iova, last);

	space_info(space, &info);
	if (exist_first && exists)
		return -EEXIST;
	if (exist_first && info.nr_maps >= info.max_maps)
		return -ENOSPC;
	if (!info_has(&info, iova, last))
		return -EINVAL;
	return exists ? -EEXIST : 0;
}

/* Choosing an address: the kernel's rules, so that programs get the same. */

static uint64_t round_up_pow2(uint64_t n)
{
	return n > 1 ? 1ULL << (64 - __builtin_clzll(n - 1)) : 1;
}

/* Move *@first up to where @size bytes fit that end at @last or before. */
static bool hole_fits(uint64_t *first, uint64_t last, uint64_t size,
		      uint64_t align, uint64_t page_offset)
{
	uint64_t at;

	if (add_overflows(*first, align - 1, &at))
		return false;
	at &= ~(align - 1);
	at |= page_offset;
	if (at >= last || last - at < size - 1)
		return false;
	*first = at;
	return true;
}

/* Is there a hole between the maps of a range? */
static bool range_hole(const struct run_space *space, uint64_t first,
		       uint64_t last, uint64_t size, uint64_t align,
		       uint64_t page_offset, uint64_t *iova)
{
	struct space_map *map;

	while (first <= last) {
		map = map_next(space, first, last);
		*iova = first;
		if ((!map || map->iova > first) &&
		    hole_fits(iova, map ? map->iova - 1 : last, size, align,
			      page_offset))
			return true;
		if (!map || map->last == UINT64_MAX)
			return false;
		first = map->last + 1;
	}
	return false;
}

static bool allowed_hole(const struct run_space *space,
			 const struct run_iommu_info *info,
			 struct run_iova_range allowed, uint64_t size,
			 uint64_t align, uint64_t page_offset, uint64_t *iova)
{
	uint64_t start = max(allowed.first, SPACE_PAGE);
	uint64_t end = min(allowed.last, UINT64_MAX - SPACE_PAGE);
	unsigned int i;

	if (start > end || !hole_fits(&start, end, size, align, page_offset))
		return false;
	for (i = 0; i < info->nr_ranges; i++)
		if (range_hole(space, max(start, info->ranges[i].first),
			       min(end, info->ranges[i].last), size, align,
			       page_offset, iova))
			return true;
	return false;
}

static int space_choose(const struct run_space *space, uint64_t addr,
			uint64_t size, uint64_t *iova)
{
	const struct run_iova_range all = { .last = UINT64_MAX };
	uint64_t align, page_offset = addr % SPACE_PAGE;
	struct run_iommu_info info;
	unsigned int i;

	if (size >= UINT64_MAX / 2)
		return -EOVERFLOW;
	space_info(space, &info);
	align = round_up_pow2(size);
	if (addr)
		align = min(align, addr & -addr);
	align = min(align, SPACE_HUGE);
	if (align < info_alignment(&info))
		return -EINVAL;

	for (i = 0; i < space->nr_allowed; i++)
		if (allowed_hole(space, &info, space->allowed[i], size, align,
				 page_offset, iova))
			return 0;
	if (!space->nr_allowed &&
	    allowed_hole(space, &info, all, size, align, page_offset, iova))
		return 0;
	return -ENOSPC;
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

static int space_insert(struct run_space *space, struct space_map *map)
{
	int ret;

	if (!tsearch(map, &space->maps, map_compare))
		return -ENOMEM;
	if (map->is_file)
		space->nr_segments += map->nr;
	ret = space_fill_map(space, map);
	if (!ret)
		return 0;
	tdelete(map, &space->maps, map_compare);
	space->nr_segments -= map->nr;
	return ret;
}

static int space_find_place(struct run_space *space, struct run_place *place,
			    bool exist_first)
{
	uint64_t addr = place->is_file ? place->offset :
			(uintptr_t)place->vaddr;
	struct run_iommu_info info;
	uint64_t mask, last;
	int ret;

	space_info(space, &info);
	mask = info_alignment(&info) - 1;
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
	map_forget_segments(NULL, map);
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
	map = map_next(space, first, first);
	if (map && map->iova < first)
		return cut;
	map = map_next(space, last, last);
	return cut < 0 && map && map->last > last ? cut : 0;
}

static int unmap_range(struct run_space *space, uint64_t first, uint64_t last,
		       int cut, uint64_t *unmapped)
{
	uint64_t at = first;
	struct space_map *map;

	while ((map = map_next(space, at, last))) {
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
		device_unmap_all(sd->dev);
	while ((map = map_next(space, 0, UINT64_MAX))) {
		*unmapped += map->last - map->iova + 1;
		map_drop(space, map);
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
		ret = unmap_range(space, first, last, cut, unmapped);
	pthread_mutex_unlock(&space->lock);
	return ret;
}

/* Devices come and go. */

static int device_check(const struct run_space *space,
			const struct vfio_user_caps *caps)
{
	const struct space_map *map = NULL;
	struct run_iommu_info info;
	uint64_t at = 0, mask;
	unsigned int i;

	space_info(space, &info);
	info_restrict(&info, caps);
	mask = info_alignment(&info) - 1;
	if (mask >= SPACE_PAGE)
		return -EINVAL;
	for (i = 0; i < space->nr_allowed; i++)
		if (!info_has(&info, space->allowed[i].first,
			      space->allowed[i].last))
			return -EADDRINUSE;
	while ((map = map_next(space, at, UINT64_MAX))) {
		if ((map->iova | (map->last + 1)) & mask ||
		    (uintptr_t)map->vaddr & mask ||
		    (map->is_file && map->segments[0].offset & mask) ||
		    !info_has(&info, map->iova, map->last))
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

	while ((map = map_next(space, at, UINT64_MAX))) {
		if (!map->is_file)
			map_forget_segments(space, map);
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

	while (!ret && (map = map_next(space, at, UINT64_MAX))) {
		ret = map_find_segments(space, map);
		if (!ret && space->nr_segments > sd->caps.max_dma_maps)
			ret = -ENOSPC;
		if (!ret)
			ret = device_map(sd->dev, map);
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
	if (ret)
		device_unmap_all(sd->dev);
	return ret;
}

static int space_add(struct run_space *space, struct space_device *sd)
{
	int ret;

	pthread_mutex_lock(&space->lock);
	ret = device_check(space, &sd->caps);
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
			device_unmap_all(dev);
	}
	if (!space->devices)
		space_forget_memory(space);
	pthread_mutex_unlock(&space->lock);
	free(sd);
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
		if (!info_has(&info, ranges[i].first, ranges[i].last))
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
			ret = device_check(space, &any);
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
	while (!has && (map = map_next(space, at, UINT64_MAX))) {
		has = !map->is_file;
		if (map->last == UINT64_MAX)
			break;
		at = map->last + 1;
	}
	pthread_mutex_unlock(&space->lock);
	return has;
}

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
		map_forget_segments(NULL, copy->maps[i]);
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
		struct space_map *map = map_next(from, iova, iova);
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
		unmap_range(to, place->iova, iova - 1, 0, &undone);
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
