// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of an iommufd's address spaces (IOAS): mapping and its rules.
 *
 * The space does it (space.h); here the program's structure is checked, in the
 * kernel's order, and answered. The space is referenced meanwhile, so that one
 * that is destroyed stays until the call is over.
 */
#include <errno.h>
#include <stdlib.h>

#include "iommufd.h"
#include "space.h"

#define MAP_ACCESS	(ABI_IOMMU_IOAS_MAP_WRITEABLE | \
			 ABI_IOMMU_IOAS_MAP_READABLE)
#define MAP_FLAGS	(ABI_IOMMU_IOAS_MAP_FIXED_IOVA | MAP_ACCESS)

int iommufd_do_ioas_alloc(struct call *call)
{
	struct abi_iommu_ioas_alloc *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	int ret;

	if (cmd->flags)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&fd->lock);
	ret = iommufd_ioas_new(fd, &cmd->out_ioas_id);
	if (!ret) {
		ret = iommufd_respond(call);
		if (ret)
			iommufd_object_free(fd, cmd->out_ioas_id);
	}
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static int ranges_out(struct abi_iommu_ioas_iova_ranges *cmd, uint32_t room,
		      const struct run_iommu_info *info)
{
	struct abi_iommu_iova_range *user =
		(struct abi_iommu_iova_range *)(uintptr_t)cmd->allowed_iovas;
	uint32_t i;

	for (i = 0; i < min(room, info->nr_ranges); i++) {
		struct abi_iommu_iova_range range = {
			.start = info->ranges[i].first,
			.last = info->ranges[i].last,
		};

		if (run_copy_out(&user[i], &range, sizeof(range)))
			return -EFAULT;
	}
	return 0;
}

int iommufd_do_ioas_iova_ranges(struct call *call)
{
	struct abi_iommu_ioas_iova_ranges *cmd = call->cmd;
	uint32_t room = cmd->num_iovas;
	struct run_iommu_info info;
	struct run_space *space;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	space = iommufd_ioas_get(call->fd, cmd->ioas_id);
	if (!space)
		return -ENOENT;
	run_space_info(space, &info);
	run_space_free(space);

	ret = ranges_out(cmd, room, &info);
	if (ret)
		return ret;
	cmd->num_iovas = info.nr_ranges;
	cmd->out_iova_alignment = info.pgsizes & -info.pgsizes;
	ret = iommufd_respond(call);
	if (ret)
		return ret;
	return info.nr_ranges > room ? -EMSGSIZE : 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct run_iova_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* The kernel reads one after the other, so the first that is wrong decides. */
static int ranges_in(const struct abi_iommu_ioas_allow_iovas *cmd,
		     struct run_iova_range **ranges)
{
	const struct abi_iommu_iova_range *user =
		(struct abi_iommu_iova_range *)(uintptr_t)cmd->allowed_iovas;
	uint32_t i, j, room = 0;

	for (i = 0; i < cmd->num_iovas; i++) {
		struct run_iova_range *more;
		struct abi_iommu_iova_range one;

		if (run_copy_in(&one, &user[i], sizeof(one)))
			return -EFAULT;
		if (one.start >= one.last)
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (one.start <= (*ranges)[j].last &&
			    one.last >= (*ranges)[j].first)
				return -EINVAL;
		if (i == room) {
			room = room ? room * 2 : 8;
			more = realloc(*ranges, room * sizeof(*more));
			if (!more)
				return -ENOMEM;
			*ranges = more;
		}
		(*ranges)[i].first = one.start;
		(*ranges)[i].last = one.last;
	}
	return 0;
}

int iommufd_do_ioas_allow_iovas(struct call *call)
{
	const struct abi_iommu_ioas_allow_iovas *cmd = call->cmd;
	struct run_iova_range *ranges = NULL;
	struct run_space *space;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	space = iommufd_ioas_get(call->fd, cmd->ioas_id);
	if (!space)
		return -ENOENT;
	ret = ranges_in(cmd, &ranges);
	if (!ret && ranges)
		qsort(ranges, cmd->num_iovas, sizeof(*ranges), range_compare);
	if (!ret)
		ret = run_space_allow(space, ranges, cmd->num_iovas);
	if (ret)
		free(ranges);
	run_space_free(space);
	return ret;
}

static int map_check(uint32_t flags, uint64_t iova, uint64_t length)
{
	if (iova == UINT64_MAX || length == UINT64_MAX)
		return -EOVERFLOW;
	return flags & MAP_ACCESS ? 0 : -EINVAL;
}

static uint32_t map_flags(uint32_t flags)
{
	return (flags & ABI_IOMMU_IOAS_MAP_READABLE ?
			VFIO_USER_DMA_MAP_READ : 0) |
	       (flags & ABI_IOMMU_IOAS_MAP_WRITEABLE ?
			VFIO_USER_DMA_MAP_WRITE : 0);
}

static int map_place(const struct call *call, uint32_t id,
		     struct run_place *place, uint64_t *iova)
{
	struct run_space *space = iommufd_ioas_get(call->fd, id);
	int ret;

	if (!space)
		return -ENOENT;
	place->iova = *iova;
	ret = run_space_place(space, place);
	run_space_free(space);
	if (ret)
		return ret;
	*iova = place->iova;
	return iommufd_respond(call);
}

int iommufd_do_ioas_map(struct call *call)
{
	struct abi_iommu_ioas_map *cmd = call->cmd;
	struct run_place place = {
		.choose = !(cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA),
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
		.vaddr = (void *)(uintptr_t)cmd->user_va,
	};
	int ret;

	if (cmd->flags & ~MAP_FLAGS || cmd->reserved)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->iova, cmd->length);
	return ret ? ret : map_place(call, cmd->ioas_id, &place, &cmd->iova);
}

int iommufd_do_ioas_map_file(struct call *call)
{
	struct abi_iommu_ioas_map_file *cmd = call->cmd;
	struct run_place place = {
		.choose = !(cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA),
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
		.is_file = true,
		.fd = cmd->fd,
		.offset = cmd->start,
	};
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->iova, cmd->length);
	return ret ? ret : map_place(call, cmd->ioas_id, &place, &cmd->iova);
}

static int copy_spaces(struct run_space *from, struct abi_iommu_ioas_copy *cmd,
		       const struct call *call)
{
	struct run_place place = {
		.choose = !(cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA),
		.iova = cmd->dst_iova,
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
	};
	struct run_space *to = iommufd_ioas_get(call->fd, cmd->dst_ioas_id);
	int ret;

	ret = run_space_copy(to, &place, from, cmd->src_iova);
	run_space_free(to);
	cmd->dst_iova = place.iova;
	return ret;
}

int iommufd_do_ioas_copy(struct call *call)
{
	struct abi_iommu_ioas_copy *cmd = call->cmd;
	struct run_space *from;
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->src_iova, cmd->length);
	if (ret != -EOVERFLOW && cmd->dst_iova == UINT64_MAX)
		ret = -EOVERFLOW;
	if (ret)
		return ret;
	from = iommufd_ioas_get(call->fd, cmd->src_ioas_id);
	if (!from)
		return -ENOENT;
	ret = copy_spaces(from, cmd, call);
	run_space_free(from);
	return ret ? ret : iommufd_respond(call);
}

static int unmap_space(struct run_space *space,
		       struct abi_iommu_ioas_unmap *cmd)
{
	uint64_t unmapped, last;
	int ret;

	if (!cmd->iova && cmd->length == UINT64_MAX) {
		ret = run_space_unmap(space, 0, UINT64_MAX, 2, &unmapped);
	} else {
		if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
			return -EOVERFLOW;
		if (!cmd->length)
			return -EINVAL;
		if (add_overflows(cmd->iova, cmd->length - 1, &last))
			return -EOVERFLOW;
		ret = run_space_unmap(space, cmd->iova, last, 2, &unmapped);
		if (!ret && !unmapped)
			ret = -ENOENT;
	}
	cmd->length = unmapped;
	return ret;
}

int iommufd_do_ioas_unmap(struct call *call)
{
	struct abi_iommu_ioas_unmap *cmd = call->cmd;
	struct run_space *space = iommufd_ioas_get(call->fd, cmd->ioas_id);
	int ret;

	if (!space)
		return -ENOENT;
	ret = unmap_space(space, cmd);
	run_space_free(space);
	return ret ? ret : iommufd_respond(call);
}
