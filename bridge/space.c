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
 * - the same memory. Whoever is first to map a file, or to get power over a
 *   device, is the client that the group is for. Any other session has to show
 *   that it is the same, by a file for each of those that the client has mapped:
 *   it could then have mapped all of that memory itself. A file is known by its
 *   number and by when it was made, since a number is used again. Registers of
 *   the session's own device, which nobody else has, need not be shown; a DMA
 *   buffer needs to be, and can't.
 *
 * Until it has, a session has no power over its device: none that could make it
 * do DMA. It isn't given the device's fd; it writes to no region, neither by
 * message nor by doorbell, since bus mastering is a bit in configuration space,
 * and some devices have a way there from a BAR, or from a capability; it sets no
 * feature. Bus mastering is off then: the kernel clears it when a device is
 * opened, and the end of each session clears it. It may read, set up interrupts,
 * which are DMA and don't get out without bus mastering, and reset its device,
 * if that resets no other. And it may map what the client has mapped, which
 * gives it nothing but the proof. What else it maps ends its session.
 *
 * So at any time, whatever came in which order, all that is mapped for the group
 * and all power over its devices are of sessions that are the same; and what
 * these do later, unmapping all included, doesn't change who they are. Nobody
 * can show anything while they have nothing mapped.
 *
 * A session may end and its client keep the device's fd, unseen. As long as it
 * has another session in the group, that is all the same to anybody else. When
 * the last of them is gone, the address space must not become another's: the
 * sessions that have shown nothing are ended, and nobody gets in before all are
 * gone. Then the container is closed, and whoever has an fd left keeps the
 * kernel from giving out the group again. What is retained is its client's
 * until it is closed, and who takes it over counts as that client: this is what
 * retaining is for.
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

/* Nobody else's, and of no use to show anything. */
#define SPACE_NO_FILE(s)	((struct space_file){ .ino = (s)->bridge->index })

/**
 * struct space_map - a map that the kernel has, or is about to have
 * @iova: first I/O virtual address
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_READ and _WRITE
 * @is_file: not registers of the session's own device
 * @file: which, and whether the session whose map it was may write to it
 * @offset: in the file, in bytes
 * @users: by index of the bridge, a bit
 * @busy: the kernel is at it
 */
struct space_map {
	uint64_t iova;
	uint64_t size;
	uint32_t flags;
	bool is_file;
	struct space_file file;
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
 * @changes: counts what may make a session the same
 * @broken: the kernel didn't unmap
 * @given: somebody got the fd of a device
 * @stale: and may have it still, but has no device any more
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
	uint64_t changes;
	bool broken;
	bool given;
	bool stale;
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
	sp->changes = 1;
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
			log_info("%s shares IOMMU group %d with %s: only clients of the same user and the same memory can use them at one time",
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
static const char space_stale[] =
	"its last client is gone and may have kept the fd of a device";

/* With the lock: a member that keeps this client out, or NULL. */
static struct bridge *space_obstacle(const struct session *s, const char **why)
{
	const struct bridge *self = s->bridge;
	struct bridge *other;
	unsigned int i = 0;

	while ((other = space_next(self->space, self, &i))) {
		if (self->space->broken)
			*why = space_broken;
		else if (self->space->stale)
			*why = space_stale;
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

/* With the lock: is somebody who has the group about to be gone? */
static bool space_is_ending(const struct session *s)
{
	struct bridge *other;
	unsigned int i = 0;

	while ((other = space_next(s->bridge->space, s->bridge, &i))) {
		if (other->member.same && other->member.session &&
		    session_is_ending(other->member.session))
			return true;
	}
	return false;
}

/* With the lock: is there anything in the way that is worth waiting for? */
static bool space_should_wait(const struct session *s,
			      const struct bridge *obstacle)
{
	if (obstacle)
		return obstacle->member.session &&
		       session_is_ending(obstacle->member.session);
	/* A client that has begun anew is not the same as it was. */
	return space_is_ending(s);
}

/* What was retained is still whose it was. */
static void space_enter(struct session *s)
{
	struct space_member *m = &s->bridge->member;

	*m = (struct space_member){
		.in = true,
		.same = m->in && m->same,
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
	do {
		other = space_obstacle(s, &why);
		if (!space_should_wait(s, other) || space_now() >= limit ||
		    session_is_ending(s))
			break;
		space_wait(sp);
	} while (true);
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

static uint64_t space_bit_of(const struct bridge *b)
{
	return UINT64_C(1) << b->index;
}

/* With the lock: by bit, the devices of the client that has the group. */
static uint64_t space_client(const struct space *sp)
{
	uint64_t bits = 0;
	struct bridge *b;
	unsigned int i = 0;

	while ((b = space_next(sp, NULL, &i))) {
		if (b->member.same)
			bits |= space_bit_of(b);
	}
	return bits;
}

/* With the lock: end all sessions. None of them is retained. */
static void space_expire(struct space *sp)
{
	struct bridge *b;
	unsigned int i = 0;

	sp->stale = true;
	while ((b = space_next(sp, NULL, &i))) {
		if (!b->member.session)
			continue;
		log_info("%s: session of pid %d ended: %s", b->device.name,
			 b->member.pid, space_stale);
		session_stop(b->member.session);
	}
}

void space_leave(struct bridge *b)
{
	struct space *sp = b->space;
	unsigned int i = 0;

	if (!sp)
		return;
	pthread_mutex_lock(&sp->lock);
	b->member = (struct space_member){ 0 };
	sp->changes++;
	/* Nobody has a device: the next one begins with a container of its own. */
	if (!space_next(sp, NULL, &i)) {
		sp->broken = false;
		sp->given = false;
		sp->stale = false;
		sp->max_maps = 0;
	} else if (sp->given && !sp->stale && !space_client(sp)) {
		space_expire(sp);
	}
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
}

static uint64_t space_bit(const struct session *s)
{
	return space_bit_of(s->bridge);
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

/* The number of a file that is gone may be another's, born later. */
static bool space_is_one_file(const struct space_file *a,
			      const struct space_file *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->born == b->born &&
	       a->born_nsec == b->born_nsec;
}

static bool space_same_file(const struct space_map *a,
			    const struct space_map *b)
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
				       const struct space_map *map,
				       uint64_t but)
{
	return &sp->daemon->bridges[__builtin_ctzll(map->users & ~but)];
}

/* Has the session shown the file of @map, with as much right to it? */
static bool space_has_shown(const struct space_member *m,
			    const struct space_map *map)
{
	unsigned int i;

	for (i = 0; i < m->nr_shown; i++) {
		const struct space_file *f = &m->shown[i];

		if (space_is_one_file(f, &map->file))
			return f->writeable ||
			       !(map->flags & VFIO_USER_DMA_MAP_WRITE);
	}
	return false;
}

/**
 * struct space_search - going through the maps of files
 * @others: whose, by bit
 * @client: those of them that have the group
 * @member: is it the same? NULL if that isn't the question
 * @map: is there one of the same file?
 * @any: one is the client's
 * @missing: one is of a file that @member hasn't shown
 * @found: one is of the same file as @map
 */
struct space_search {
	uint64_t others;
	uint64_t client;
	const struct space_member *member;
	const struct space_map *map;
	bool any;
	bool missing;
	bool found;
};

static void space_visit(const void *node, VISIT visit, void *closure)
{
	const struct space_map *map = *(const struct space_map *const *)node;
	struct space_search *search = closure;

	if ((visit != postorder && visit != leaf) || !map->is_file ||
	    !(map->users & search->others))
		return;
	search->any |= map->users & search->client;
	search->missing |= search->member &&
			   !space_has_shown(search->member, map);
	search->found |= search->map && space_same_file(map, search->map);
}

/*
 * With the lock: is it the client that has the group, or becomes it now? Who
 * isn't any more than it was when it last asked is told so at once.
 */
static bool space_is_same(struct session *s)
{
	struct space_member *m = &s->bridge->member;
	struct space *sp = s->bridge->space;
	struct space_search search = {
		.others = ~space_bit(s),
		.client = space_client(sp),
		.member = m,
	};

	if (m->same || sp->broken || sp->stale || m->looked == sp->changes)
		return m->same;
	m->looked = sp->changes;
	twalk_r(sp->maps, space_visit, &search);
	m->same = !search.missing && (search.any || !search.client);
	return m->same;
}

bool space_keep(struct session *s)
{
	struct bridge *b = s->bridge;
	struct space *sp = b->space;
	bool keep;

	if (!sp)
		return true;
	pthread_mutex_lock(&sp->lock);
	/* Of one that has shown nothing there is nothing to keep. */
	keep = space_is_same(s) && !sp->broken && !sp->stale;
	b->member.session = NULL;
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
	return keep;
}

/* With the lock: one that the session isn't the same as, or NULL. */
static struct bridge *space_holder(const struct session *s)
{
	struct bridge *b, *holder = NULL;
	unsigned int i = 0;

	while ((b = space_next(s->bridge->space, s->bridge, &i))) {
		if (b->member.same)
			return b;
		if (b->member.maps)
			holder = b;
	}
	return holder;
}

/* With the lock. */
static void space_refuse_power(struct session *s)
{
	struct space_member *m = &s->bridge->member;
	const struct bridge *holder = space_holder(s);

	if (m->told || !holder)
		return;
	m->told = true;
	space_refuse(s, holder,
		     "it is of the same user, but has not mapped the memory of the client that has the group: until then it can only look");
}

int space_check_power(struct session *s)
{
	struct space *sp = s->bridge->space;
	bool same;

	if (!sp)
		return 0;
	pthread_mutex_lock(&sp->lock);
	same = space_is_same(s);
	if (!same)
		space_refuse_power(s);
	pthread_mutex_unlock(&sp->lock);
	return same ? 0 : -EACCES;
}

bool space_give_fd(struct session *s)
{
	struct space *sp = s->bridge->space;
	bool same;

	if (!sp)
		return true;
	pthread_mutex_lock(&sp->lock);
	same = space_is_same(s);
	if (same)
		sp->given = true;
	pthread_mutex_unlock(&sp->lock);
	return same;
}

/* With the lock: is this a file of the client's that has the group? */
static bool space_knows(struct space *sp, const struct space_map *map)
{
	uint64_t client = space_client(sp);
	struct space_search search = {
		/* It may be gone, and what others had mapped of it left. */
		.others = client ? client : UINT64_MAX,
		.map = map,
	};

	if (map->is_file)
		twalk_r(sp->maps, space_visit, &search);
	return search.found;
}

/*
 * With the lock, given up meanwhile: is it the memory of the client that has the
 * group? What that has sent on another socket may not have been heard yet.
 */
static int space_check_file(struct session *s, const struct space_map *map)
{
	struct space *sp = s->bridge->space;
	int64_t limit = space_now() + SPACE_CONFLICT_MS;
	const struct bridge *holder;

	while (!space_is_same(s) && !space_knows(sp, map)) {
		if (sp->broken || sp->stale || session_is_ending(s))
			return -ECONNABORTED;
		holder = space_holder(s);
		if (holder && space_now() >= limit) {
			space_refuse(s, holder, "it is of the same user, but shares other memory: session ended");
			s->closing = true;
			return -EACCES;
		}
		space_wait(sp);
	}
	return 0;
}

/* With the lock: the session's map is there. What does that show? */
static void space_show(struct session *s, const struct space_map *map)
{
	struct space_member *m = &s->bridge->member;
	unsigned int i;

	m->maps++;
	s->bridge->space->changes++;
	if (m->same || !map->is_file)
		return;
	for (i = 0; i < m->nr_shown; i++) {
		if (space_is_one_file(&m->shown[i], &map->file))
			break;
	}
	if (i == ARRAY_SIZE(m->shown))
		return;
	if (i == m->nr_shown)
		m->shown[m->nr_shown++] = map->file;
	m->shown[i].writeable |= map->file.writeable;
	/* Now, and not when it is asked: the client may unmap it meanwhile. */
	space_is_same(s);
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
		space_check_file(s, map);
	if (!ret)
		ret = space_make_way(s, map, &old);
	if (!ret && old)
		old->users |= space_bit(s);
	else if (!ret)
		ret = space_insert(sp, map, new);
	if (!ret && old)
		space_show(s, map);
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
		space_show(s, &map);
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

/* With the lock: why a reset must not touch this one; NULL if it may. */
static const char *space_reset_obstacle(const struct session *s,
					const struct bridge *other)
{
	if (!other->member.session)
		return "a reset of the bus would touch a retained device";
	if (!other->member.same || !s->bridge->member.same)
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
