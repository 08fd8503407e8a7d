// SPDX-License-Identifier: GPL-2.0-only
/*
 * Choosing an address in an I/O address space.
 *
 * By the kernel's rules, so that programs get the same: the lowest hole that is
 * large enough, in what iommufd was allowed to choose from and all devices can
 * reach, aligned as well as the size and the memory's address are, up to a huge
 * page. The first and the last page are never chosen.
 */
#include <errno.h>

#include "space_internal.h"

/* As the kernel does with transparent huge pages. */
#define SPACE_HUGE	(2ULL << 20)

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
		map = space_map_next(space, first, last);
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

int space_choose(const struct run_space *space, uint64_t addr,
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
	if (align < space_info_alignment(&info))
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
