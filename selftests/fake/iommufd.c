// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/iommu: I/O address spaces by number. An iommufd lives as long as an fd
 * or a bound device refers to it.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/iommufd.h"
#include "internal.h"

/**
 * struct ioas - an address space
 * @id: its number
 * @space: what is mapped
 * @users: devices that are attached to it
 * @next: in the same iommufd
 */
struct ioas {
	uint32_t id;
	struct dma_space space;
	unsigned int users;
	struct ioas *next;
};

/**
 * struct iommufd - an open /dev/iommu
 * @file: what its fds refer to
 * @last_id: number of the newest object
 * @list: the address spaces
 */
struct iommufd {
	struct fake_file file;
	uint32_t last_id;
	struct ioas *list;
};

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static struct ioas *ioas_find(struct iommufd *iommufd, uint32_t id)
{
	struct ioas *ioas = iommufd->list;

	while (ioas && ioas->id != id)
		ioas = ioas->next;
	return ioas;
}

/* Before a device is attached, an address space has no restrictions. */
static uint64_t ioas_alignment(const struct ioas *ioas)
{
	return ioas->users ? config()->pgsizes & -config()->pgsizes : 1;
}

static long ioas_alloc(struct iommufd *iommufd,
		       struct abi_iommu_ioas_alloc *cmd)
{
	struct ioas *ioas;

	if (cmd->flags)
		return -EOPNOTSUPP;
	ioas = calloc(1, sizeof(*ioas));
	if (!ioas)
		return -ENOMEM;
	ioas->id = ++iommufd->last_id;
	ioas->next = iommufd->list;
	iommufd->list = ioas;
	cmd->out_ioas_id = ioas->id;
	return 0;
}

static long iommufd_destroy(struct iommufd *iommufd,
			    const struct abi_iommu_destroy *cmd)
{
	struct ioas *ioas = ioas_find(iommufd, cmd->id), **at = &iommufd->list;

	if (!ioas)
		return -ENOENT;
	if (ioas->users)
		return -EBUSY;
	while (*at != ioas)
		at = &(*at)->next;
	*at = ioas->next;
	dma_unmap(&ioas->space, 0, UINT64_MAX);
	free(ioas);
	return 0;
}

static long ioas_ranges(struct iommufd *iommufd,
			struct abi_iommu_ioas_iova_ranges *cmd)
{
	struct abi_iommu_iova_range *ranges = (void *)cmd->allowed_iovas;
	struct ioas *ioas = ioas_find(iommufd, cmd->ioas_id);
	bool all = !config()->nr_ranges;
	uint32_t i, room = cmd->num_iovas;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	if (!ioas)
		return -ENOENT;

	all |= !ioas->users;
	cmd->out_iova_alignment = ioas_alignment(ioas);
	cmd->num_iovas = all ? 1 : config()->nr_ranges;
	for (i = 0; i < min(room, cmd->num_iovas); i++) {
		ranges[i].start = all ? 0 : config()->ranges[i].first;
		ranges[i].last = all ? UINT64_MAX : config()->ranges[i].last;
	}
	return cmd->num_iovas > room ? -EMSGSIZE : 0;
}

/* What both ways of mapping check, in the kernel's order. */
static long ioas_check(struct iommufd *iommufd, uint32_t flags, uint32_t id,
		       uint64_t iova, uint64_t length, struct ioas **ioas)
{
	const uint32_t access = ABI_IOMMU_IOAS_MAP_READABLE |
				ABI_IOMMU_IOAS_MAP_WRITEABLE;
	const uint32_t known = ABI_IOMMU_IOAS_MAP_FIXED_IOVA | access;

	if (flags & ~known)
		return -EOPNOTSUPP;
	if (iova == UINT64_MAX || length == UINT64_MAX)
		return -EOVERFLOW;
	if (!(flags & access))
		return -EINVAL;
	*ioas = ioas_find(iommufd, id);
	return *ioas ? 0 : -ENOENT;
}

static long ioas_place(struct ioas *ioas, uint32_t flags, uint64_t length,
		       uint64_t start, uint64_t *iova)
{
	uint64_t align = ioas_alignment(ioas), last;

	if (!length || (length | start) & (align - 1))
		return -EINVAL;
	if (!(flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA))
		return dma_find_room(&ioas->space, length,
				     max(align, (uint64_t)FAKE_PAGE_SIZE),
				     iova);

	if (*iova & (align - 1))
		return -EINVAL;
	if (add_overflows(*iova, length - 1, &last))
		return -EOVERFLOW;
	if (ioas->users && !dma_in_range(*iova, last))
		return -EINVAL;
	return dma_overlaps(&ioas->space, *iova, last) ? -EEXIST : 0;
}

static long ioas_add(struct ioas *ioas, uint32_t flags, uint64_t iova,
		     uint64_t length, struct dma_source *source)
{
	int ret;

	ret = dma_map(&ioas->space, iova, length,
		      flags & ABI_IOMMU_IOAS_MAP_READABLE,
		      flags & ABI_IOMMU_IOAS_MAP_WRITEABLE, source);
	if (ret)
		backing_put(source->backing);
	return ret;
}

static long ioas_map(struct iommufd *iommufd, struct abi_iommu_ioas_map *cmd)
{
	struct dma_source source = { .offset = cmd->user_va };
	struct ioas *ioas;
	long ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	ret = ioas_check(iommufd, cmd->flags, cmd->ioas_id, cmd->iova,
			 cmd->length, &ioas);
	if (ret)
		return ret;
	ret = ioas_place(ioas, cmd->flags, cmd->length, cmd->user_va,
			 &cmd->iova);
	if (ret)
		return ret;

	/* For a mediated device, nothing is pinned before it is used. */
	if (!config()->mdev) {
		ret = window_pin(cmd->user_va, cmd->length,
				 cmd->flags & ABI_IOMMU_IOAS_MAP_WRITEABLE,
				 &source);
		if (ret)
			return ret;
	}
	return ioas_add(ioas, cmd->flags, cmd->iova, cmd->length, &source);
}

static long ioas_map_file(struct iommufd *iommufd,
			  struct abi_iommu_ioas_map_file *cmd)
{
	struct dma_source source = { .offset = cmd->start };
	struct ioas *ioas;
	struct stat st;
	long ret;

	ret = ioas_check(iommufd, cmd->flags, cmd->ioas_id, cmd->iova,
			 cmd->length, &ioas);
	if (ret)
		return ret;
	source.backing = backing_open(cmd->fd, &st);
	if (!source.backing)
		return -errno;
	ret = ioas_place(ioas, cmd->flags, cmd->length, cmd->start,
			 &cmd->iova);
	if (ret)
		goto put;

	/* Only shared memory and huge pages can be pinned by their file. */
	ret = -EINVAL;
	if (!source.backing->shmem ||
	    !range_within(cmd->start, cmd->length, st.st_size))
		goto put;
	return ioas_add(ioas, cmd->flags, cmd->iova, cmd->length, &source);

put:
	backing_put(source.backing);
	return ret;
}

static long ioas_unmap(struct iommufd *iommufd,
		       struct abi_iommu_ioas_unmap *cmd)
{
	struct ioas *ioas = ioas_find(iommufd, cmd->ioas_id);
	uint64_t last;

	if (!ioas)
		return -ENOENT;
	if (!cmd->iova && cmd->length == UINT64_MAX) {
		cmd->length = dma_unmap(&ioas->space, 0, UINT64_MAX);
		return 0;
	}

	if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
		return -EOVERFLOW;
	if (!cmd->length)
		return -EINVAL;
	if (add_overflows(cmd->iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	if (!dma_overlaps(&ioas->space, cmd->iova, last) ||
	    dma_cut(&ioas->space, cmd->iova, last))
		return -ENOENT;
	cmd->length = dma_unmap(&ioas->space, cmd->iova, last);
	return 0;
}

/* Every argument begins with its size, and may be longer if that is zero. */
static long argument_check(const void *arg, uint32_t known)
{
	const uint8_t *bytes = arg;
	uint32_t i, size;

	memcpy(&size, arg, sizeof(size));
	if (size < known)
		return -EINVAL;
	for (i = known; i < size; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	return 0;
}

#define IOMMUFD_CALL(function, type) \
	(argument_check(arg, sizeof(type)) ?: function(iommufd, (type *)arg))

static long iommufd_ioctl(struct fake_file *file, int fd,
			  unsigned long request, void *arg)
{
	struct iommufd *iommufd = container_of(file, struct iommufd, file);

	switch (request) {
	case ABI_IOMMU_DESTROY:
		return IOMMUFD_CALL(iommufd_destroy, struct abi_iommu_destroy);
	case ABI_IOMMU_IOAS_ALLOC:
		return IOMMUFD_CALL(ioas_alloc, struct abi_iommu_ioas_alloc);
	case ABI_IOMMU_IOAS_IOVA_RANGES:
		return IOMMUFD_CALL(ioas_ranges,
				    struct abi_iommu_ioas_iova_ranges);
	case ABI_IOMMU_IOAS_MAP:
		return IOMMUFD_CALL(ioas_map, struct abi_iommu_ioas_map);
	case ABI_IOMMU_IOAS_MAP_FILE:
		if (!config()->has_map_file)
			return -ENOTTY;
		return IOMMUFD_CALL(ioas_map_file,
				    struct abi_iommu_ioas_map_file);
	case ABI_IOMMU_IOAS_UNMAP:
		return IOMMUFD_CALL(ioas_unmap, struct abi_iommu_ioas_unmap);
	default:
		return -ENOTTY;
	}
}

static void iommufd_release(struct fake_file *file)
{
	struct iommufd *iommufd = container_of(file, struct iommufd, file);
	struct ioas *ioas;

	while ((ioas = iommufd->list)) {
		iommufd->list = ioas->next;
		dma_unmap(&ioas->space, 0, UINT64_MAX);
		free(ioas);
	}
	free(iommufd);
}

static const struct fake_ops iommufd_ops = {
	.kind = FAKE_IOMMUFD,
	.ioctl = iommufd_ioctl,
	.release = iommufd_release,
};

int iommufd_open(int fd, uint32_t number)
{
	struct iommufd *iommufd = calloc(1, sizeof(*iommufd));

	if (!iommufd) {
		raw_close(fd);
		return -ENOMEM;
	}
	iommufd->file = (struct fake_file){ &iommufd_ops, 1 };
	return file_install(fd, &iommufd->file);
}

uint32_t iommufd_new_id(struct fake_file *file)
{
	return ++container_of(file, struct iommufd, file)->last_id;
}

struct ioas *iommufd_attach(struct fake_file *file, uint32_t id)
{
	struct ioas *ioas;

	ioas = ioas_find(container_of(file, struct iommufd, file), id);
	if (ioas)
		ioas->users++;
	return ioas;
}

void iommufd_detach(struct ioas *ioas)
{
	ioas->users--;
}

struct dma_space *ioas_space(struct ioas *ioas)
{
	return &ioas->space;
}
