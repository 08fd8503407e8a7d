// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfio/vfio: a container, with a type1v2 address space once the IOMMU is
 * set. It lives as long as an fd or a group refers to it; the address space
 * goes with the last group.
 */
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/**
 * struct container - a container
 * @file: what its fds refer to
 * @space: its address space
 * @nr_groups: how many are in it
 * @iommu: what VFIO_SET_IOMMU chose, 0 before that
 */
struct container {
	struct fake_file file;
	struct dma_space space;
	unsigned int nr_groups;
	unsigned long iommu;
};

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static uint64_t least_page(void)
{
	return config()->pgsizes & -config()->pgsizes;
}

static bool container_has(const struct container *container,
			  unsigned long extension)
{
	bool noiommu = config()->noiommu;

	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return !container->nr_groups || !noiommu;
	case VFIO_DMA_CC_IOMMU:
		return container->iommu && !noiommu;
	case VFIO_NOIOMMU_IOMMU:
		return noiommu;
	default:
		return false;
	}
}

static long container_set_iommu(struct container *container,
				unsigned long iommu)
{
	if (!container->nr_groups || container->iommu)
		return -EINVAL;
	if (!container_has(container, iommu) || iommu == VFIO_UNMAP_ALL)
		return -ENODEV;
	container->iommu = iommu;
	return 0;
}

static void iova_ranges_add(struct chain *chain)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint32_t i, nr = config()->nr_ranges;

	cap = chain_add(chain, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
			sizeof(*cap) + nr * sizeof(cap->iova_ranges[0]));
	cap->nr_iovas = nr;
	for (i = 0; i < nr; i++) {
		cap->iova_ranges[i].start = config()->ranges[i].first;
		cap->iova_ranges[i].end = config()->ranges[i].last;
	}
}

static long container_info(struct container *container,
			   struct vfio_iommu_type1_info *info)
{
	struct chain chain = { .base = sizeof(*info) };
	struct vfio_iommu_type1_info_dma_avail *avail;
	uint32_t cap_offset, argsz = info->argsz;

	if (argsz < offsetof(struct vfio_iommu_type1_info, cap_offset))
		return -EINVAL;

	avail = chain_add(&chain, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
			  sizeof(*avail));
	avail->avail = config()->dma_avail - container->space.nr;
	if (config()->nr_ranges)
		iova_ranges_add(&chain);

	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = config()->pgsizes;
	chain_put(&chain, info, &info->argsz, &cap_offset);
	if (argsz >= offsetof(struct vfio_iommu_type1_info, cap_offset) +
		     sizeof(info->cap_offset))
		info->cap_offset = cap_offset;
	return 0;
}

static long type1_check_map(struct container *container,
			    const struct vfio_iommu_type1_dma_map *map)
{
	uint64_t last, vlast;

	if (map->argsz < sizeof(*map) || !map->flags ||
	    map->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE))
		return -EINVAL;
	if (!map->size ||
	    (map->size | map->iova | map->vaddr) & (least_page() - 1))
		return -EINVAL;
	if (add_overflows(map->iova, map->size - 1, &last) ||
	    add_overflows(map->vaddr, map->size - 1, &vlast))
		return -EINVAL;
	if (dma_overlaps(&container->space, map->iova, last))
		return -EEXIST;
	if (container->space.nr >= config()->dma_avail)
		return -ENOSPC;
	return dma_in_range(map->iova, last) ? 0 : -EINVAL;
}

static long type1_map(struct container *container,
		      const struct vfio_iommu_type1_dma_map *map)
{
	bool write = map->flags & VFIO_DMA_MAP_FLAG_WRITE;
	struct dma_source source = { .offset = map->vaddr };
	long ret;

	ret = type1_check_map(container, map);
	if (ret)
		return ret;

	/* For a mediated device, nothing is pinned before it is used. */
	if (!config()->mdev) {
		ret = window_pin(map->vaddr, map->size, write, &source);
		if (ret)
			return ret;
	}
	ret = dma_map(&container->space, map->iova, map->size,
		      map->flags & VFIO_DMA_MAP_FLAG_READ, write, &source);
	if (ret)
		backing_put(source.backing);
	return ret;
}

static long type1_unmap(struct container *container,
			struct vfio_iommu_type1_dma_unmap *unmap)
{
	uint64_t last;

	if (unmap->argsz < sizeof(*unmap) ||
	    unmap->flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap->iova || unmap->size)
			return -EINVAL;
		unmap->size = dma_unmap(&container->space, 0, UINT64_MAX);
		return 0;
	}

	if (!unmap->size || (unmap->iova | unmap->size) & (least_page() - 1) ||
	    add_overflows(unmap->iova, unmap->size - 1, &last))
		return -EINVAL;
	if (dma_cut(&container->space, unmap->iova, last))
		return -EINVAL;
	unmap->size = dma_unmap(&container->space, unmap->iova, last);
	return 0;
}

static long container_ioctl(struct fake_file *file, int fd,
			    unsigned long request, void *arg)
{
	struct container *container =
		container_of(file, struct container, file);

	switch (request) {
	case VFIO_GET_API_VERSION:
		return config()->api_version;
	case VFIO_CHECK_EXTENSION:
		return container_has(container, (unsigned long)arg);
	case VFIO_SET_IOMMU:
		return container_set_iommu(container, (unsigned long)arg);
	}
	if (!container->iommu)
		return -EINVAL;
	if (container->iommu == VFIO_NOIOMMU_IOMMU)
		return -ENOTTY;

	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return container_info(container, arg);
	case VFIO_IOMMU_MAP_DMA:
		return type1_map(container, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return type1_unmap(container, arg);
	default:
		return -ENOTTY;
	}
}

static void container_release(struct fake_file *file)
{
	free(container_of(file, struct container, file));
}

static const struct fake_ops container_ops = {
	.kind = FAKE_CONTAINER,
	.ioctl = container_ioctl,
	.release = container_release,
};

int container_open(int fd, uint32_t number)
{
	struct container *container = calloc(1, sizeof(*container));

	if (!container) {
		raw_close(fd);
		return -ENOMEM;
	}
	container->file = (struct fake_file){ &container_ops, 1 };
	return file_install(fd, &container->file);
}

struct container *container_attach(struct fake_file *file)
{
	struct container *container =
		container_of(file, struct container, file);

	file_get(file);
	container->nr_groups++;
	return container;
}

void container_detach(struct container *container)
{
	if (!--container->nr_groups) {
		dma_unmap(&container->space, 0, UINT64_MAX);
		container->iommu = 0;
	}
	file_put(&container->file);
}

bool container_ready(const struct container *container)
{
	return container->iommu;
}

struct dma_space *container_space(struct container *container)
{
	if (!container->iommu || container->iommu == VFIO_NOIOMMU_IOMMU)
		return NULL;
	return &container->space;
}
