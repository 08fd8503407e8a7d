// SPDX-License-Identifier: GPL-2.0-only
/*
 * The address space of an IOMMU group of which several devices are ours.
 *
 * Maps are shared. A VMM announces the same memory for each of its devices, and
 * the kernel takes it once: maps that are alike are counted, by a bit for
 * each device that wants it, and the kernel's goes with the last of them. A map
 * that overlaps another one and isn't like it is refused, but not at once. A VMM
 * whose memory changes takes the old map from all of its devices before it gives
 * them the new one, on different sockets; what was said on the others may not
 * have been heard yet. Who may map what is a question for holder.c, first.
 *
 * The lock is held while maps are looked up, never while the kernel maps or
 * unmaps, which takes long. A map for which that goes on is busy, and who wants
 * the same one waits for it. The lock of a session may be taken within it.
 *
 * If the kernel doesn't unmap, nobody knows what the devices can reach until all
 * of them are closed. All sessions of the space end then, and nobody gets in
 * before the last has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "space.h"

/* Nobody else's, and of no use to show anything. */
#define SPACE_NO_FILE(s)	((struct space_file){ .ino = (s)->bridge->index })

static int space_compare(const void *a, const void *b)
{
	const struct space_map *x = a, *y = b;

	if (x->iova + (x->size - 1) < y->iova)
		return -1;
	return x->iova > y->iova + (y->size - 1);
}

/* With the lock: a map that overlaps the range, or NULL. */
static struct space_map *space_find(struct space *sp, uint64_t iova,
				    uint64_t size)
{
	struct space_map key = { .iova = iova, .size = size };
	struct space_map **found = tfind(&key, &sp->maps, space_compare);

	return found ? *found : NULL;
}

bool space_is_one_file(const struct space_file *a,
		       const struct space_file *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->born == b->born &&
	       a->born_nsec == b->born_nsec;
}

bool space_same_file(const struct space_map *a, const struct space_map *b)
{
	return a->is_file == b->is_file &&
	       space_is_one_file(&a->file, &b->file);
}

static bool space_alike(const struct space_map *a, const struct space_map *b)
{
	return a->iova == b->iova && a->size == b->size &&
	       a->flags == b->flags && space_same_file(a, b) &&
	       a->offset == b->offset;
}

static const struct bridge *space_user(const struct space *sp,
				       const struct space_map *map)
{
	return &sp->daemon->bridges[__builtin_ctzll(map->users)];
}

/*
 * Registers of the session's own device, which nobody has to show. With type1
 * nothing else is mapped that isn't a regular file.
 */
static bool space_is_own(const struct session *s, const struct stat *st,
			 int fd)
{
	if (s->dev.ops == &vfio_type1_ops)
		return !S_ISREG(st->st_mode);
	return vfio_device_is_node(&s->dev, fd);
}

/* Syscalls: statx */
static struct space_file space_file(const struct session *s,
				    const struct stat *st, int fd,
				    bool writeable)
{
	struct space_file file = {
		.dev = st->st_dev,
		.ino = st->st_ino,
		.writeable = writeable,
	};
	struct statx born;

	if (!S_ISREG(st->st_mode) && !S_ISCHR(st->st_mode))
		return SPACE_NO_FILE(s);
	/* Not each file system knows; that of huge pages doesn't. */
	if (!statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &born) &&
	    born.stx_mask & STATX_BTIME) {
		file.born = born.stx_btime.tv_sec;
		file.born_nsec = born.stx_btime.tv_nsec;
	}
	return file;
}

/*
 * What the client says of its map, and what its file is.
 *
 * Syscalls: fcntl(F_GETFL) newfstatat
 */
static int space_describe(const struct session *s,
			  const struct vfio_user_dma_map *request, int fd,
			  struct space_map *map)
{
	int mode = fcntl(fd, F_GETFL);
	struct stat st;
	bool own;

	if (mode < 0 || fstat(fd, &st))
		return -errno;
	/* As the kernel, which isn't asked where another has mapped it. */
	if (mode & O_PATH)
		return -EBADF;
	mode &= O_ACCMODE;
	if (mode == O_WRONLY ||
	    (request->flags & VFIO_USER_DMA_MAP_WRITE && mode != O_RDWR))
		return -EACCES;
	own = space_is_own(s, &st, fd);
	*map = (struct space_map){
		.is_file = !own,
		.iova = request->address,
		.size = request->size,
		.flags = request->flags & (VFIO_USER_DMA_MAP_READ |
					   VFIO_USER_DMA_MAP_WRITE),
		.file = own ? SPACE_NO_FILE(s) :
			space_file(s, &st, fd, mode == O_RDWR),
		.offset = request->offset,
		.users = space_bit(s),
		.busy = true,
	};
	return 0;
}

/*
 * With the lock, given up meanwhile: wait until nothing is in the way of @map,
 * or what is there is just like it, which is then set in @old.
 */
static int space_make_way(struct session *s, const struct space_map *map,
			  struct space_map **old)
{
	struct space *sp = s->bridge->space;
	int64_t limit = clock_ms() + SPACE_CONFLICT_MS;
	struct space_map *found;

	while ((found = space_find(sp, map->iova, map->size))) {
		if (sp->broken || session_is_ending(s))
			return -ECONNABORTED;
		if (!found->busy && space_alike(found, map))
			break;
		if (!found->busy && clock_ms() >= limit) {
			group_refuse(s, space_user(sp, found),
				     "what it maps at %#llx overlaps another map and is not the same",
				     (unsigned long long)map->iova);
			return -EEXIST;
		}
		group_wait(sp);
	}
	*old = found;
	return 0;
}

/* With the lock: enter a new map, which is busy. */
static int space_insert(struct space *sp, const struct space_map *map,
			struct space_map **new)
{
	if (sp->nr_maps >= sp->max_maps)
		return -ENOSPC;
	*new = malloc(sizeof(**new));
	if (!*new)
		return -ENOMEM;
	**new = *map;
	if (!tsearch(*new, &sp->maps, space_compare)) {
		free(*new);
		return -ENOMEM;
	}
	sp->nr_maps++;
	return 0;
}

/* With the lock. */
static void space_remove(struct space *sp, struct space_map *map)
{
	tdelete(map, &sp->maps, space_compare);
	sp->nr_maps--;
	sp->changes++;
	free(map);
	pthread_cond_broadcast(&sp->changed);
}

/* Count one more user, or enter a new map for the kernel: that is *@new then. */
static int space_claim(struct session *s, const struct space_map *map,
		       struct space_map **new)
{
	struct space *sp = s->bridge->space;
	struct space_map *old = NULL;
	int ret;

	*new = NULL;
	pthread_mutex_lock(&sp->lock);
	ret = sp->broken || sp->stale ? -ECONNABORTED :
		holder_check_file(s, map);
	if (!ret)
		ret = space_make_way(s, map, &old);
	if (!ret && old)
		old->users |= space_bit(s);
	else if (!ret)
		ret = space_insert(sp, map, new);
	if (!ret && old)
		holder_show(s, map);
	pthread_mutex_unlock(&sp->lock);
	return ret;
}

int space_map(struct session *s, const struct vfio_user_dma_map *request,
	      int fd)
{
	struct space *sp = s->bridge->space;
	struct space_map map, *new;
	bool was_same = s->bridge->member.same;
	int ret;

	ret = space_describe(s, request, fd, &map);
	if (ret)
		return ret;
	ret = space_claim(s, &map, &new);
	if (!ret && !new)
		return 0;
	if (ret)
		goto forget;

	ret = s->dev.ops->map(&s->dev, map.iova, map.size, fd, map.offset,
			      map.flags & VFIO_USER_DMA_MAP_READ,
			      map.flags & VFIO_USER_DMA_MAP_WRITE);
	pthread_mutex_lock(&sp->lock);
	new->busy = false;
	if (ret)
		space_remove(sp, new);
	else
		holder_show(s, &map);
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
	if (!ret)
		return 0;
forget:
	/* What failed has shown nothing. */
	pthread_mutex_lock(&sp->lock);
	s->bridge->member.same = was_same;
	sp->changes++;
	pthread_mutex_unlock(&sp->lock);
	return ret;
}

/*
 * With the lock: end all sessions but this one, which ends itself; says which
 * devices are retained, by bit.
 */
static uint64_t space_break(const struct bridge *self)
{
	struct space *sp = self->space;
	uint64_t retained = 0;
	struct bridge *b;
	unsigned int i = 0;

	sp->broken = true;
	while ((b = group_next(sp, self, &i))) {
		if (!b->member.session) {
			retained |= space_bit_of(b);
			continue;
		}
		b->member.session->unsure = true;
		session_stop(b->member.session);
	}
	return retained;
}

static void space_drop(struct daemon *d, uint64_t retained)
{
	for (; retained; retained &= retained - 1)
		device_drop_retained(&d->bridges[__builtin_ctzll(retained)]);
}

/* Count one user less; true if that was the last, and the map is busy now. */
static bool space_disclaim(struct session *s, struct space_map *map)
{
	s->bridge->member.maps--;
	s->bridge->space->changes++;
	map->users &= ~space_bit(s);
	if (map->users)
		return false;
	map->users = space_bit(s);
	map->busy = true;
	return true;
}

int space_unmap(struct session *s, uint64_t iova, uint64_t size)
{
	struct space *sp = s->bridge->space;
	uint64_t retained = 0;
	struct space_map *map;
	bool last;
	int ret;

	pthread_mutex_lock(&sp->lock);
	map = space_find(sp, iova, size);
	last = space_disclaim(s, map);
	pthread_mutex_unlock(&sp->lock);
	if (!last)
		return 0;

	ret = s->dev.ops->unmap(&s->dev, iova, size);
	pthread_mutex_lock(&sp->lock);
	space_remove(sp, map);
	if (ret)
		retained = space_break(s->bridge);
	pthread_mutex_unlock(&sp->lock);
	space_drop(sp->daemon, retained);
	return ret;
}
