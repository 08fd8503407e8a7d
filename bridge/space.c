// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU groups of which several devices are ours, and what their sessions share.
 *
 * The devices of a group have one address space: what one of them can reach, the
 * others can reach as well. So only one client at a time may have devices of a
 * group, on as many sockets as it likes. What makes sessions the same client's:
 *
 * - the same uid, as the kernel says of their sockets. Another is refused at
 *   VERSION, as long as a session has a device of the group, or one is retained;
 * - the same memory. While other sessions have maps, the first file that a
 *   session maps must be one that is mapped already. A user's other VMM is told
 *   apart by that. As long as it has it mapped, it maps what it likes.
 *
 * Only the first of the two keeps anybody out who means harm: a device reaches
 * what the others have mapped before its own client has mapped anything. The
 * second is for mistakes.
 *
 * Maps are shared, too. A VMM announces the same memory for each of its devices,
 * and the kernel takes it once: maps that are alike are counted, by a bit for
 * each device that wants it, and the kernel's goes with the last of them. A map
 * that overlaps another one and isn't like it is refused, but not at once. A VMM
 * whose memory changes takes the old map from all of its devices before it gives
 * them the new one, on different sockets; what was said on the others may not
 * have been heard yet.
 *
 * The lock is held while maps are looked up, never while the kernel maps or
 * unmaps, which takes long. A map for which that goes on is busy, and who wants
 * the same one waits for it. The lock of a session may be taken within it.
 *
 * If the kernel doesn't unmap, nobody knows what the devices can reach until all
 * of them are closed. All sessions of the space end then, and nobody gets in
 * before the last has gone.
 *
 * A group of which only one device is ours has no space, and costs none of this.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge.h"
#include "log.h"

/* How long a map waits for another, in its way, to be taken away. */
#define SPACE_CONFLICT_MS	1000
/* How long a client waits for sessions that end, in milliseconds. */
#define SPACE_JOIN_MS		(BRIDGE_CLIENT_TIMEOUT * 1000)
/* How often those who wait look whether they still should. */
#define SPACE_STEP_MS		50

/**
 * struct space_map - a map that the kernel has, or is about to have
 * @iova: first I/O virtual address
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_READ and _WRITE
 * @dev: of the file
 * @ino: of the file
 * @offset: in the file, in bytes
 * @users: by index of the bridge, a bit
 * @busy: the kernel is at it
 */
struct space_map {
	uint64_t iova;
	uint64_t size;
	uint32_t flags;
	dev_t dev;
	ino_t ino;
	uint64_t offset;
	uint64_t users;
	bool busy;
};

/**
 * struct space - what the devices of one group share
 * @daemon: whose
 * @group: IOMMU group
 * @lock: protects what follows, and the members
 * @changed: something has gone, or isn't busy any more
 * @maps: of struct space_map, see tsearch(3); none overlap
 * @nr_maps: how many
 * @max_maps: how many there may be; 0 until a device is open
 * @broken: the kernel didn't unmap
 * @last: who got a device last
 */
struct space {
	struct daemon *daemon;
	int group;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void *maps;
	uint32_t nr_maps;
	uint32_t max_maps;
	bool broken;
	struct ucred last;
};

static struct space *space_new(struct daemon *d, int group)
{
	struct space *sp = calloc(1, sizeof(*sp));
	pthread_condattr_t attr;

	if (!sp)
		return NULL;
	sp->daemon = d;
	sp->group = group;
	pthread_mutex_init(&sp->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sp->changed, &attr);
	pthread_condattr_destroy(&attr);
	return sp;
}

int space_start(struct daemon *d)
{
	struct bridge *a, *b, *end = d->bridges + d->nr_bridges;

	for (a = d->bridges; a < end; a++) {
		for (b = a + 1; b < end; b++) {
			if (a->group < 0 || b->group != a->group || b->space)
				continue;
			if (!a->space)
				a->space = space_new(d, a->group);
			if (!a->space)
				return -ENOMEM;
			b->space = a->space;
			log_info("%s shares IOMMU group %d with %s: only clients of the same user and the same memory can have them at one time",
				 b->device.name, b->group, a->device.name);
		}
	}
	return 0;
}

void space_stop(struct daemon *d)
{
	struct bridge *a, *b, *end = d->bridges + d->nr_bridges;

	for (a = d->bridges; a < end; a++) {
		struct space *sp = a->space;

		if (!sp)
			continue;
		for (b = a; b < end; b++) {
			if (b->space == sp)
				b->space = NULL;
		}
		pthread_cond_destroy(&sp->changed);
		pthread_mutex_destroy(&sp->lock);
		free(sp);
	}
}

/* Syscalls: clock_gettime */
static int64_t space_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* With the lock: wait until something has changed, for a step at most. */
static void space_wait(struct space *sp)
{
	int64_t until = space_now() + SPACE_STEP_MS;
	struct timespec ts = {
		.tv_sec = until / 1000,
		.tv_nsec = until % 1000 * 1000000,
	};

	pthread_cond_clockwait(&sp->changed, &sp->lock, CLOCK_MONOTONIC, &ts);
}

/* With the lock: the next other member from *@i on; NULL if there is none. */
static struct bridge *space_next(const struct space *sp,
				 const struct bridge *self, unsigned int *i)
{
	struct daemon *d = sp->daemon;

	while (*i < d->nr_bridges) {
		struct bridge *b = &d->bridges[(*i)++];

		if (b != self && b->space == sp && b->member.in)
			return b;
	}
	return NULL;
}

/* One line about a refusal: who is in the way, and why. */
static void __printf(3, 4) space_refuse(const struct session *s,
					const struct bridge *other,
					const char *fmt, ...)
{
	const struct bridge *b = s->bridge;
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_err("%s: pid %d of uid %d refused: %s (it shares IOMMU group %d with %s, which %s pid %d of uid %d)",
		b->device.name, s->peer.pid, s->peer.uid, why, b->group,
		other->device.name,
		other->member.session ? "serves" : "is retained for",
		other->member.pid, other->member.uid);
}

static const char space_broken[] =
	"memory was not unmapped, and not all who could reach it are gone";

/* With the lock: a member that keeps this client out, or NULL. */
static struct bridge *space_obstacle(const struct session *s, const char **why)
{
	const struct bridge *self = s->bridge;
	struct bridge *other;
	unsigned int i = 0;

	while ((other = space_next(self->space, self, &i))) {
		if (self->space->broken)
			*why = space_broken;
		else if (other->member.uid != s->peer.uid)
			*why = "it is another user's";
		else if (self->opts->shadow_max)
			*why = "with --shadow-dma only one device of a group can be used at a time";
		else
			continue;
		return other;
	}
	return NULL;
}

static void space_enter(struct session *s)
{
	struct space_member *m = &s->bridge->member;

	*m = (struct space_member){
		.in = true,
		.uid = s->peer.uid,
		.pid = s->peer.pid,
		.session = s,
	};
}

int space_join(struct session *s)
{
	struct space *sp = s->bridge->space;
	int64_t limit = space_now() + SPACE_JOIN_MS;
	const char *why = space_broken;
	struct bridge *other;
	int ret = 0;

	if (!sp)
		return 0;
	pthread_mutex_lock(&sp->lock);
	while ((other = space_obstacle(s, &why))) {
		/* As good as gone is worth waiting for. */
		if (!other->member.session || space_now() >= limit ||
		    !session_is_ending(other->member.session) ||
		    session_is_ending(s))
			break;
		space_wait(sp);
	}
	/* Nobody but itself, retained: it is to be closed, as all were. */
	if (!other && sp->broken)
		other = s->bridge;
	if (other) {
		space_refuse(s, other, "%s", why);
		ret = -EBUSY;
	} else {
		space_enter(s);
	}
	pthread_mutex_unlock(&sp->lock);
	return ret;
}

void space_opened(struct session *s)
{
	struct space *sp = s->bridge->space;

	if (!sp)
		return;
	pthread_mutex_lock(&sp->lock);
	/* The kernel says how many more; that is, in all, what it said first. */
	if (!sp->max_maps)
		sp->max_maps = s->iommu.max_maps;
	s->iommu.max_maps = sp->max_maps;
	sp->last = s->peer;
	pthread_mutex_unlock(&sp->lock);
}

struct ucred space_last_peer(struct bridge *b)
{
	struct ucred last;

	if (!b->space)
		return b->last_peer;
	pthread_mutex_lock(&b->space->lock);
	last = b->space->last;
	pthread_mutex_unlock(&b->space->lock);
	return last;
}

bool space_keep(struct bridge *b)
{
	struct space *sp = b->space;
	bool keep;

	if (!sp)
		return true;
	pthread_mutex_lock(&sp->lock);
	b->member.session = NULL;
	keep = !sp->broken;
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
	return keep;
}

void space_leave(struct bridge *b)
{
	struct space *sp = b->space;
	unsigned int i = 0;

	if (!sp)
		return;
	pthread_mutex_lock(&sp->lock);
	b->member = (struct space_member){ 0 };
	/* Nobody has a device: the next one begins with a container of its own. */
	if (!space_next(sp, NULL, &i)) {
		sp->broken = false;
		sp->max_maps = 0;
	}
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
}

static uint64_t space_bit(const struct session *s)
{
	return UINT64_C(1) << s->bridge->index;
}

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

static bool space_alike(const struct space_map *a, const struct space_map *b)
{
	return a->iova == b->iova && a->size == b->size &&
	       a->flags == b->flags && a->dev == b->dev && a->ino == b->ino &&
	       a->offset == b->offset;
}

/**
 * struct space_search - looking for a session's file among those of others
 * @like: a map of the session
 * @other: a map of others, if there is one
 * @same_file: there is one of the same file
 */
struct space_search {
	const struct space_map *like;
	const struct space_map *other;
	bool same_file;
};

static void space_visit(const void *node, VISIT visit, void *closure)
{
	const struct space_map *map = *(const struct space_map *const *)node;
	struct space_search *search = closure;

	if ((visit != postorder && visit != leaf) ||
	    !(map->users & ~search->like->users))
		return;
	search->other = map;
	search->same_file |= map->dev == search->like->dev &&
			     map->ino == search->like->ino;
}

static const struct bridge *space_user(const struct space *sp,
				       const struct space_map *map,
				       uint64_t but)
{
	return &sp->daemon->bridges[__builtin_ctzll(map->users & ~but)];
}

/* With the lock: is it the memory of the client that has the others? */
static int space_check_file(struct session *s, const struct space_map *map)
{
	struct space *sp = s->bridge->space;
	struct space_search search = { .like = map };

	if (s->bridge->member.maps)
		return 0;
	twalk_r(sp->maps, space_visit, &search);
	if (search.other && !search.same_file) {
		space_refuse(s, space_user(sp, search.other, map->users),
			     "it is of the same user, but shares other memory");
		return -EACCES;
	}
	return 0;
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

	if (mode < 0 || fstat(fd, &st))
		return -errno;
	/* As the kernel, which isn't asked where another has mapped it. */
	if (mode & O_PATH)
		return -EBADF;
	if ((mode & O_ACCMODE) == O_WRONLY ||
	    (request->flags & VFIO_USER_DMA_MAP_WRITE &&
	     (mode & O_ACCMODE) != O_RDWR))
		return -EACCES;
	*map = (struct space_map){
		.iova = request->address,
		.size = request->size,
		.flags = request->flags & (VFIO_USER_DMA_MAP_READ |
					   VFIO_USER_DMA_MAP_WRITE),
		.dev = st.st_dev,
		.ino = st.st_ino,
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
	int64_t limit = space_now() + SPACE_CONFLICT_MS;
	struct space_map *found;

	while ((found = space_find(sp, map->iova, map->size))) {
		if (sp->broken || session_is_ending(s))
			return -ECONNABORTED;
		if (!found->busy && space_alike(found, map))
			break;
		if (!found->busy && space_now() >= limit) {
			space_refuse(s, space_user(sp, found, 0),
				     "what it maps at %#llx overlaps another map and is not the same",
				     (unsigned long long)map->iova);
			return -EEXIST;
		}
		space_wait(sp);
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
	ret = sp->broken ? -ECONNABORTED : space_check_file(s, map);
	if (!ret)
		ret = space_make_way(s, map, &old);
	if (!ret && old)
		old->users |= space_bit(s);
	else if (!ret)
		ret = space_insert(sp, map, new);
	if (!ret)
		s->bridge->member.maps++;
	pthread_mutex_unlock(&sp->lock);
	return ret;
}

int space_map(struct session *s, const struct vfio_user_dma_map *request,
	      int fd)
{
	struct space *sp = s->bridge->space;
	struct space_map map, *new;
	int ret;

	ret = space_describe(s, request, fd, &map);
	if (ret)
		return ret;
	ret = space_claim(s, &map, &new);
	if (ret || !new)
		return ret;

	ret = s->dev.ops->map(&s->dev, map.iova, map.size, fd, map.offset,
			      map.flags & VFIO_USER_DMA_MAP_READ,
			      map.flags & VFIO_USER_DMA_MAP_WRITE);
	pthread_mutex_lock(&sp->lock);
	new->busy = false;
	if (ret) {
		space_remove(sp, new);
		s->bridge->member.maps--;
	}
	pthread_cond_broadcast(&sp->changed);
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
	while ((b = space_next(sp, self, &i))) {
		if (!b->member.session) {
			retained |= UINT64_C(1) << b->index;
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

/* With the lock: why a reset must not touch this one; NULL if it may. */
static const char *space_reset_obstacle(const struct session *s,
					const struct bridge *other)
{
	if (!other->member.session)
		return "a reset of the bus would touch a retained device";
	if (!other->member.maps || !s->bridge->member.maps)
		return "a reset of the bus would touch a device of what may be another client";
	return NULL;
}

int space_check_reset(struct session *s)
{
	struct space *sp = s->bridge->space;
	const char *why = NULL;
	struct bridge *other;
	unsigned int i = 0;

	if (!sp || s->dev.flags & VFIO_DEVICE_FLAGS_RESET)
		return 0;
	pthread_mutex_lock(&sp->lock);
	while (!why && (other = space_next(sp, s->bridge, &i))) {
		if (!vfio_device_reset_touches(&s->dev, other->device.name))
			continue;
		why = space_reset_obstacle(s, other);
		if (why)
			space_refuse(s, other, "%s", why);
	}
	pthread_mutex_unlock(&sp->lock);
	return why ? -EBUSY : 0;
}
