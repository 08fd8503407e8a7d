// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's memory, as the device may reach it.
 *
 * Maps are kept in a balanced tree (tsearch(3)) whose comparison calls two
 * ranges equal when they overlap. Maps that exist never overlap each other, so
 * the order is a strict one, and looking up a range finds a map that it
 * touches, in O(log n).
 *
 * A map that comes with a file is given to the kernel (by way of space.c, if the
 * device's group is shared); nothing of the file is kept here, and its memory is
 * never read or written by this process. A map
 * without a file is only recorded: clients announce memory that they can't
 * share (QEMU does for ROMs) and would give up if that were refused. The device
 * can't reach it, unless --shadow-dma gives it memory of our own instead, see
 * shadow.c.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

struct dma_map {
	uint64_t iova;
	uint64_t size;
	uint32_t flags;
	bool fd;
	struct shadow *shadow;
};

#define DMA_ACCESS_FLAGS	(VFIO_USER_DMA_MAP_READ | VFIO_USER_DMA_MAP_WRITE)
#define DMA_MAP_FLAGS		(DMA_ACCESS_FLAGS | VFIO_USER_DMA_MAP_MMAP | \
				 VFIO_USER_DMA_MAP_FILE_IO)

static int dma_compare(const void *a, const void *b)
{
	const struct dma_map *x = a, *y = b;

	if (x->iova + (x->size - 1) < y->iova)
		return -1;
	return x->iova > y->iova + (y->size - 1);
}

static struct dma_map *dma_find(const struct dma_space *dma, uint64_t iova,
				uint64_t size)
{
	struct dma_map key = { .iova = iova, .size = size };
	struct dma_map **found = tfind(&key, &dma->tree, dma_compare);

	return found ? *found : NULL;
}

/* Is [iova, iova + size) a range that could be mapped at all? */
static bool dma_range_valid(const struct session *s, uint64_t iova,
			    uint64_t size)
{
	/* The lowest bit that is set is the least page size. */
	uint64_t mask = (s->iommu.pgsizes & -s->iommu.pgsizes) - 1;
	uint64_t last;

	return size && !((iova | size) & mask) &&
	       !add_overflows(iova, size - 1, &last);
}

static int dma_check_bytes(const struct session *s, uint64_t size)
{
	uint64_t max = s->bridge->opts->max_dma;

	if (s->dma.bytes <= max && size <= max - s->dma.bytes)
		return 0;
	if (lines_allow(s->bridge, LINES_CLIENT))
		log_err("%s: client pid %d would have %llu bytes mapped for DMA and %llu more: --max-dma=%llu does not allow it",
			s->bridge->device.name, s->peer.pid,
			(unsigned long long)s->dma.bytes,
			(unsigned long long)size, (unsigned long long)max);
	return -ENOMEM;
}

static int dma_check(const struct session *s,
		     const struct vfio_user_dma_map *map)
{
	uint64_t mask = (s->iommu.pgsizes & -s->iommu.pgsizes) - 1;
	uint64_t end;

	if (map->argsz < sizeof(*map) || map->flags & ~DMA_MAP_FLAGS ||
	    !(map->flags & DMA_ACCESS_FLAGS) ||
	    !dma_range_valid(s, map->address, map->size) ||
	    map->offset & mask || add_overflows(map->offset, map->size, &end))
		return -EINVAL;
	if (dma_find(&s->dma, map->address, map->size))
		return -EEXIST;
	if (s->dma.count >= s->iommu.max_maps)
		return -ENOSPC;
	return dma_check_bytes(s, map->size);
}

/* Syscalls: prlimit64 */
static void dma_log_memlock(const struct session *s, uint64_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		log_err("%s: the kernel has no memory to map %llu bytes for DMA",
			s->bridge->device.name, (unsigned long long)size);
	else
		log_err("%s: cannot map %llu bytes for DMA beside the %llu that are mapped: the daemon's memlock limit is %llu, for all that its %s pinned; raise it to the clients' memory and some (ulimit -l, LimitMEMLOCK=)",
			s->bridge->device.name, (unsigned long long)size,
			(unsigned long long)s->dma.bytes,
			(unsigned long long)limit.rlim_cur,
			/* iommufd counts what a user has, in all processes. */
			s->dev.ops == &vfio_iommufd_ops ?
			"user's processes have" : "devices have");
}

static int dma_map_kernel(struct session *s,
			  const struct vfio_user_dma_map *map, int fd)
{
	int ret;

	if (s->bridge->space)
		ret = space_map(s, map, fd);
	else
		ret = s->dev.ops->map(&s->dev, map->address, map->size, fd,
				      map->offset,
				      map->flags & VFIO_USER_DMA_MAP_READ,
				      map->flags & VFIO_USER_DMA_MAP_WRITE);
	if (ret == -ENOMEM && lines_allow(s->bridge, LINES_CLIENT))
		dma_log_memlock(s, map->size);
	return ret;
}

static int dma_unmap_kernel(struct session *s, const struct dma_map *map)
{
	if (!map->fd)
		return 0;
	if (s->bridge->space)
		return space_unmap(s, map->iova, map->size);
	return s->dev.ops->unmap(&s->dev, map->iova, map->size);
}

static void dma_log_without_fd(struct session *s,
			       const struct vfio_user_dma_map *map)
{
	if (s->dma.told_without_fd)
		return;
	s->dma.told_without_fd = true;
	log_info("%s: client pid %d shares no file for memory at %#llx (and maybe more): the device cannot reach it",
		 s->bridge->device.name, s->peer.pid,
		 (unsigned long long)map->address);
}

/*
 * A map without a file: the device reaches memory of ours instead.
 *
 * Syscalls: close
 */
static int dma_map_shadow(struct session *s,
			  const struct vfio_user_dma_map *request,
			  struct dma_map *map)
{
	struct vfio_user_dma_map whole = *request;
	int fd, ret;

	fd = shadow_map(s, request, &map->shadow);
	if (fd < 0)
		return fd;
	whole.offset = 0;
	ret = dma_map_kernel(s, &whole, fd);
	close(fd);
	if (ret)
		shadow_free(map->shadow);
	else
		map->fd = true;
	return ret;
}

/* Count @map in (@sign 1) or out (-1). */
static void dma_account(struct dma_space *dma, const struct dma_map *map,
			int sign)
{
	dma->count += sign;
	if (map->shadow)
		dma->shadowed += sign * map->size;
	if (map->fd)
		dma->bytes += sign * map->size;
	else
		dma->without_fd += sign;
}

static int dma_insert(struct session *s, struct dma_map *map)
{
	void *node;

	pthread_mutex_lock(&s->lock);
	node = tsearch(map, &s->dma.tree, dma_compare);
	if (node)
		dma_account(&s->dma, map, 1);
	pthread_mutex_unlock(&s->lock);
	return node ? 0 : -ENOMEM;
}

static void dma_remove(struct session *s, struct dma_map *map)
{
	pthread_mutex_lock(&s->lock);
	dma_account(&s->dma, map, -1);
	tdelete(map, &s->dma.tree, dma_compare);
	pthread_mutex_unlock(&s->lock);
	free(map);
}

int dma_handle_map(struct session *s, struct msg *m)
{
	const struct vfio_user_dma_map *request = m->payload;
	struct dma_map *map;
	int ret;

	ret = dma_check(s, request);
	if (ret)
		return ret;
	map = malloc(sizeof(*map));
	if (!map)
		return -ENOMEM;
	*map = (struct dma_map){
		.iova = request->address,
		.size = request->size,
		.flags = request->flags & DMA_ACCESS_FLAGS,
		.fd = m->nr_fds,
	};

	if (map->fd)
		ret = dma_map_kernel(s, request, m->fds[0]);
	else if (s->shadow)
		ret = dma_map_shadow(s, request, map);
	else
		dma_log_without_fd(s, request);
	if (ret)
		goto free;
	ret = dma_insert(s, map);
	if (ret)
		goto unmap;
	return session_reply_send(s, m, 0, -1);

unmap:
	dma_unmap_kernel(s, map);
	shadow_free(map->shadow);
free:
	free(map);
	return ret;
}

static int dma_unmap_one(struct session *s, struct dma_map *map)
{
	int ret = dma_unmap_kernel(s, map);

	if (ret) {
		/* What the device can reach now, only closing it makes sure of. */
		log_err("%s: the kernel does not unmap %#llx: %s: session ended",
			s->bridge->device.name, (unsigned long long)map->iova,
			strerrordesc_np(-ret));
		s->unsure = true;
		s->closing = true;
	}
	shadow_retire(map->shadow);
	dma_remove(s, map);
	return ret;
}

int dma_unmap_all(struct session *s)
{
	int err, ret = 0;

	while (s->dma.tree) {
		err = dma_unmap_one(s, *(struct dma_map **)s->dma.tree);
		if (!ret)
			ret = err;
	}
	return ret;
}

static int dma_unmap_exactly(struct session *s, uint64_t iova, uint64_t size)
{
	struct dma_map *map;

	if (!dma_range_valid(s, iova, size))
		return -EINVAL;
	map = dma_find(&s->dma, iova, size);
	if (!map)
		return -ENOENT;
	if (map->iova != iova || map->size != size)
		return -EINVAL;
	return dma_unmap_one(s, map);
}

int dma_handle_unmap(struct session *s, struct msg *m)
{
	const struct vfio_user_dma_unmap request =
		*(const struct vfio_user_dma_unmap *)m->payload;
	struct vfio_user_dma_unmap *reply;
	int ret = 0;

	if (request.flags & VFIO_USER_DMA_UNMAP_GET_DIRTY_BITMAP)
		return -EOPNOTSUPP;
	if (request.argsz < sizeof(request) ||
	    request.flags & ~VFIO_USER_DMA_UNMAP_ALL)
		return -EINVAL;
	if (!(request.flags & VFIO_USER_DMA_UNMAP_ALL))
		ret = dma_unmap_exactly(s, request.address, request.size);
	else if (request.address || request.size)
		ret = -EINVAL;
	else
		ret = dma_unmap_all(s);
	if (!ret)
		ret = shadow_push(s);
	if (ret)
		return ret;

	reply = session_reply(s, m, sizeof(*reply));
	if (!reply)
		return 0;
	*reply = request;
	return session_reply_send(s, m, sizeof(*reply), -1);
}

struct dma_walk {
	void (*fn)(uint64_t iova, uint64_t size, uint32_t flags, bool fd,
		   void *arg);
	void *arg;
};

static void dma_visit(const void *node, VISIT visit, void *closure)
{
	const struct dma_map *map = *(const struct dma_map *const *)node;
	const struct dma_walk *walk = closure;

	if (visit == postorder || visit == leaf)
		walk->fn(map->iova, map->size, map->flags, map->fd, walk->arg);
}

void dma_for_each(const struct dma_space *dma,
		  void (*fn)(uint64_t iova, uint64_t size, uint32_t flags,
			     bool fd, void *arg), void *arg)
{
	struct dma_walk walk = { fn, arg };

	twalk_r(dma->tree, dma_visit, &walk);
}
