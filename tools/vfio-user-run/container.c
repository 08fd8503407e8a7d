// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfio/vfio, and the same ioctls on /dev/iommu.
 *
 * A container gets an address space with SET_IOMMU, which needs a group, and
 * loses it with its last group. What can be mapped is known from the devices'
 * bridges. The order in which arguments are checked is the kernel's, because it
 * decides which of two errors a program sees: drivers/vfio/container.c and
 * vfio_iommu_type1.c for a container, drivers/iommu/iommufd/vfio_compat.c for
 * an iommufd. There is no dirty tracking through the container and no updating
 * of virtual addresses; neither is offered in CHECK_EXTENSION and GET_INFO.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"

/* What the kernel has for IOMMU_TYPE1's first version, and for the second */
#define TYPE1_CUT		1
#define TYPE1V2_CUT		(-EINVAL)
#define COMPAT_CUT		2
#define DMA_MAP_FLAGS	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

pthread_rwlock_t run_attach_lock = PTHREAD_RWLOCK_INITIALIZER;

/**
 * struct run_container - /dev/vfio/vfio
 * @file: what is common
 * @groups: that are on it
 * @space: NULL until SET_IOMMU
 * @type: with @space, what SET_IOMMU was given
 */
struct run_container {
	struct run_file file;
	struct run_group *groups;
	struct run_space *space;
	unsigned long type;
};

static struct run_container *to_container(const struct run_file *file)
{
	return container_of(file, struct run_container, file);
}

static int device_leave(struct run_device *dev, void *space)
{
	run_space_remove(space, dev);
	dev->space = NULL;
	return 0;
}

static int device_enter(struct run_device *dev, void *space)
{
	int ret = run_space_add(space, dev);

	if (!ret)
		dev->space = space;
	return ret;
}

struct enter {
	struct run_space *space;
	struct run_device *failed;
};

static int device_try_enter(struct run_device *dev, void *arg)
{
	struct enter *enter = arg;
	int ret = device_enter(dev, enter->space);

	if (ret)
		enter->failed = dev;
	return ret;
}

/* All devices of the group, or none. */
static int group_enter(struct run_group *group, struct run_space *space)
{
	struct enter enter = { .space = space };
	int ret;

	ret = run_group_for_each(group, device_try_enter, &enter, NULL);
	if (ret)
		run_group_for_each(group, device_leave, space, enter.failed);
	return ret;
}

int run_container_attach(struct run_file *file, struct run_group *group)
{
	struct run_container *c = to_container(file);
	int ret = 0;

	/* As real groups and those without an IOMMU can't mix in the kernel */
	if (atomic_load(&file->is_real))
		return -EPERM;
	if (c->space)
		ret = group_enter(group, c->space);
	if (ret)
		return ret;
	group->sibling = c->groups;
	c->groups = group;
	return 0;
}

void run_container_detach(struct run_file *file, struct run_group *group)
{
	struct run_container *c = to_container(file);
	struct run_group **p;

	if (c->space)
		run_group_for_each(group, device_leave, c->space, NULL);
	for (p = &c->groups; *p != group; p = &(*p)->sibling)
		;
	*p = group->sibling;
	if (c->groups || !c->space)
		return;
	run_space_free(c->space);
	c->space = NULL;
}

bool run_container_is_set(const struct run_file *file)
{
	return to_container(file)->space;
}

static bool container_is_type1(unsigned long type)
{
	return type == VFIO_TYPE1_IOMMU || type == VFIO_TYPE1v2_IOMMU;
}

static int container_set_iommu(struct run_container *c, unsigned long type)
{
	struct run_group *group, *undo;
	struct run_space *space;
	int ret;

	if (!c->groups || c->space)
		return -EINVAL;
	if (!container_is_type1(type))
		return -ENODEV;
	space = run_space_new();
	if (!space)
		return -ENOMEM;
	for (group = c->groups; group; group = group->sibling) {
		ret = group_enter(group, space);
		if (ret)
			goto leave;
	}
	c->space = space;
	c->type = type;
	return 0;

leave:
	for (undo = c->groups; undo != group; undo = undo->sibling)
		run_group_for_each(undo, device_leave, space, NULL);
	run_space_free(space);
	return ret;
}

static int container_check_extension(unsigned long what)
{
	switch (what) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	default:
		return 0;
	}
}

/* An entry of the chain, behind what is there; its header is filled in. */
static void *info_add_cap(void *chain, size_t *len, size_t size, uint16_t id)
{
	struct vfio_info_cap_header *header = (void *)((char *)chain + *len);

	memset(header, 0, size);
	header->id = id;
	header->version = 1;
	*len += (size + 7) & ~(size_t)7;
	header->next = sizeof(struct vfio_iommu_type1_info) + *len;
	return header;
}

struct info_chain {
	struct vfio_iommu_type1_info_dma_avail avail;
	uint32_t pad;
	struct vfio_iommu_type1_info_cap_iova_range iova;
	struct vfio_iova_range ranges[ARRAY_SIZE(((struct run_iommu_info *)0)->ranges)];
};

static size_t info_chain(const struct run_iommu_info *info, uint32_t avail,
			 struct info_chain *chain)
{
	struct vfio_iommu_type1_info_cap_iova_range *iova;
	struct vfio_iommu_type1_info_dma_avail *cap;
	struct vfio_info_cap_header *last;
	size_t len = 0;
	unsigned int i;

	cap = info_add_cap(chain, &len, sizeof(*cap),
			   VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	cap->avail = avail;
	last = &cap->header;
	if (info->nr_ranges) {
		iova = info_add_cap(chain, &len, sizeof(*iova) +
				    info->nr_ranges *
				    sizeof(struct vfio_iova_range),
				    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
		iova->nr_iovas = info->nr_ranges;
		for (i = 0; i < info->nr_ranges; i++) {
			iova->iova_ranges[i].start = info->ranges[i].first;
			iova->iova_ranges[i].end = info->ranges[i].last;
		}
		last = &iova->header;
	}
	last->next = 0;
	return len;
}

static int container_get_info(struct run_space *space, bool compat, void *arg)
{
	const size_t minsz = offsetof(struct vfio_iommu_type1_info, cap_offset);
	struct vfio_iommu_type1_info info = { 0 };
	struct run_iommu_info iommu;
	struct info_chain chain;
	size_t size, len;

	if (run_copy_in(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	size = min((size_t)info.argsz, sizeof(info));
	if (!space)
		return -ENODEV;

	run_space_info(space, &iommu);
	len = info_chain(&iommu, compat ? UINT32_MAX :
			 iommu.max_maps - min(iommu.nr_maps, iommu.max_maps),
			 &chain);
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = iommu.pgsizes;
	if (info.argsz >= sizeof(info) + len) {
		info.cap_offset = sizeof(info);
		if (run_copy_out((char *)arg + sizeof(info), &chain, len))
			return -EFAULT;
	}
	if (compat || info.argsz < sizeof(info) + len)
		info.argsz = sizeof(info) + len;
	return run_copy_out(arg, &info, size);
}

static bool info_has_range(const struct run_iommu_info *info, uint64_t first,
			   uint64_t last)
{
	unsigned int i;

	for (i = 0; i < info->nr_ranges; i++) {
		if (first >= info->ranges[i].first &&
		    last <= info->ranges[i].last)
			return true;
	}
	return !info->nr_ranges;
}

/* Least page size, or 1 if nobody says. */
static uint64_t info_page(const struct run_iommu_info *info)
{
	return info->pgsizes ? info->pgsizes & -info->pgsizes : 1;
}

static int container_check_map(struct run_space *space,
			       const struct vfio_iommu_type1_dma_map *map)
{
	struct run_iommu_info info;
	uint64_t last;

	if (!map->size)
		return -EINVAL;
	if (add_overflows(map->iova, map->size - 1, &last) ||
	    add_overflows(map->vaddr, map->size - 1, &last))
		return -EOVERFLOW;
	if (!(map->flags & DMA_MAP_FLAGS))
		return -EINVAL;
	run_space_info(space, &info);
	if ((map->size | map->iova | map->vaddr) & (info_page(&info) - 1))
		return -EINVAL;
	if (!info_has_range(&info, map->iova, map->iova + map->size - 1))
		return -EINVAL;
	return 0;
}

/* iommufd takes any page's part of the virtual address, and needs no flag. */
static int compat_check_map(struct run_space *space,
			    const struct vfio_iommu_type1_dma_map *map)
{
	struct run_iommu_info info;
	uint64_t last;

	if (!map->size)
		return -EINVAL;
	if (add_overflows(map->vaddr, map->size, &last))
		return -EOVERFLOW;
	run_space_info(space, &info);
	if ((map->size | map->iova) & (info_page(&info) - 1))
		return -EINVAL;
	if (add_overflows(map->iova, map->size - 1, &last))
		return -EOVERFLOW;
	if (!info_has_range(&info, map->iova, last))
		return -EINVAL;
	return 0;
}

static int container_map(struct run_space *space, bool compat, void *arg)
{
	struct vfio_iommu_type1_dma_map map;
	uint32_t flags = 0;
	int ret;

	if (run_copy_in(&map, arg, sizeof(map)))
		return -EFAULT;
	if (map.argsz < sizeof(map) || map.flags & ~DMA_MAP_FLAGS)
		return -EINVAL;
	if (!space)
		return -ENODEV;
	ret = compat ? compat_check_map(space, &map) :
		       container_check_map(space, &map);
	if (ret)
		return ret;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		flags |= VFIO_USER_DMA_MAP_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		flags |= VFIO_USER_DMA_MAP_WRITE;
	return run_space_map(space, map.iova, (void *)(uintptr_t)map.vaddr,
			     map.size, flags);
}

static int container_do_unmap(struct run_container *c,
			      struct vfio_iommu_type1_dma_unmap *unmap,
			      uint64_t *unmapped)
{
	int cut = c->type == VFIO_TYPE1_IOMMU ? TYPE1_CUT : TYPE1V2_CUT;
	bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
	uint64_t last = UINT64_MAX;
	struct run_iommu_info info;
	uint64_t page;

	run_space_info(c->space, &info);
	page = info_page(&info);
	if (unmap->iova & (page - 1))
		return -EINVAL;
	if (all) {
		if (unmap->iova || unmap->size)
			return -EINVAL;
	} else {
		if (!unmap->size || unmap->size & (page - 1))
			return -EINVAL;
		if (add_overflows(unmap->iova, unmap->size - 1, &last))
			return -EOVERFLOW;
	}
	return run_space_unmap(c->space, unmap->iova, last, all ? 0 : cut,
			       unmapped);
}

static int container_unmap(struct run_container *c, void *arg)
{
	const size_t size = sizeof(struct vfio_iommu_type1_dma_unmap);
	struct vfio_iommu_type1_dma_unmap unmap;
	uint64_t unmapped = 0;
	int ret;

	if (run_copy_in(&unmap, arg, size))
		return -EFAULT;
	/* Dirty bitmaps need dirty tracking, which the kernel says as EINVAL. */
	if (unmap.argsz < size || unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	ret = container_do_unmap(c, &unmap, &unmapped);
	if (ret)
		return ret;
	unmap.size = unmapped;
	return run_copy_out(arg, &unmap, size);
}

static int compat_unmap(struct run_space *space, void *arg)
{
	const size_t size = sizeof(struct vfio_iommu_type1_dma_unmap);
	struct vfio_iommu_type1_dma_unmap unmap;
	uint64_t unmapped = 0, last = UINT64_MAX;
	int ret;

	if (run_copy_in(&unmap, arg, size))
		return -EFAULT;
	if (unmap.argsz < size || unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	if (!space)
		return -ENODEV;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.iova || unmap.size)
			return -EINVAL;
		ret = run_space_unmap(space, 0, last, 0, &unmapped);
	} else if (!unmap.size) {
		ret = -EINVAL;
	} else if (add_overflows(unmap.iova, unmap.size - 1, &last)) {
		ret = -EOVERFLOW;
	} else {
		ret = run_space_unmap(space, unmap.iova, last, COMPAT_CUT,
				      &unmapped);
	}
	/* Also after an error, as the kernel does. */
	unmap.size = unmapped;
	return run_copy_out(arg, &unmap, size) ? -EFAULT : ret;
}

static int compat_call(struct run_space *space, unsigned long request,
		       void *arg)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container_check_extension((uintptr_t)arg);
	case VFIO_SET_IOMMU:
		if (!container_is_type1((uintptr_t)arg))
			return -EINVAL;
		return space ? 0 : -ENODEV;
	case VFIO_IOMMU_GET_INFO:
		return container_get_info(space, true, arg);
	case VFIO_IOMMU_MAP_DMA:
		return container_map(space, true, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return compat_unmap(space, arg);
	default:
		return -ENOTTY;
	}
}

static int compat_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	struct run_space *space = run_iommufd_compat(file, NULL);
	int ret = compat_call(space, request, arg);

	run_space_free(space);
	return ret;
}

/* With the lock as a reader, so that the groups stay. */
static int container_iommu_ioctl(struct run_container *c, unsigned long request,
				 void *arg)
{
	if (!c->space)
		return -EINVAL;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return container_get_info(c->space, false, arg);
	case VFIO_IOMMU_MAP_DMA:
		return container_map(c->space, false, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return container_unmap(c, arg);
	default:
		return -ENOTTY;
	}
}

int run_container_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	struct run_container *c = to_container(file);
	int ret;

	if (file->kind == RUN_IOMMUFD)
		return compat_ioctl(file, request, arg);
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container_check_extension((uintptr_t)arg);
	case VFIO_SET_IOMMU:
		pthread_rwlock_wrlock(&run_attach_lock);
		ret = container_set_iommu(c, (uintptr_t)arg);
		break;
	default:
		pthread_rwlock_rdlock(&run_attach_lock);
		ret = container_iommu_ioctl(c, request, arg);
	}
	pthread_rwlock_unlock(&run_attach_lock);
	return ret;
}

/* Groups have a reference, so there is none left. */
static void container_release(struct run_file *file)
{
	free(to_container(file));
}

static const struct run_ops container_ops = {
	.ioctl = run_container_ioctl,
	.release = container_release,
};

struct run_file *run_container_new(void)
{
	struct run_container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	run_file_init(&c->file, RUN_CONTAINER, &container_ops);
	return &c->file;
}
