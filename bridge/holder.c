// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client that has an IOMMU group of which several devices are ours.
 *
 * The devices of a group have one address space: what one of them can reach, the
 * others can reach as well. So all power over them, and all that is mapped for
 * them, is one client's at any time. Sessions of one uid (group.c lets no other
 * in) are the same client's if they have the same memory. Whoever is first to
 * map a file, or to get power over a device, is the client that the group is for.
 * Any other session has to show that it is the same, by a file for each of those
 * that the client has mapped: it could then have mapped all of that memory
 * itself. A file is known by its number and by when it was made, since a number
 * is used again. Registers of the session's own device, which nobody else has,
 * need not be shown; a DMA buffer needs to be, and can't.
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
 * What a session has shown is looked at when it maps something and when it asks
 * for power. An answer of no is good until something changes for the group:
 * a map, a member; space->changes counts those.
 */
#include <errno.h>
#include <search.h>

#include "space.h"

uint64_t holder_devices(const struct space *sp)
{
	uint64_t bits = 0;
	struct bridge *b;
	unsigned int i = 0;

	while ((b = group_next(sp, NULL, &i))) {
		if (b->member.same)
			bits |= space_bit_of(b);
	}
	return bits;
}

/* Has the session shown the file of @map, with as much right to it? */
static bool holder_has_shown(const struct group_member *m,
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
 * struct holder_search - going through the maps of files
 * @others: whose, by bit
 * @client: those of them that have the group
 * @member: is it the same? NULL if that isn't the question
 * @map: is there one of the same file?
 * @any: one is the client's
 * @missing: one is of a file that @member hasn't shown
 * @found: one is of the same file as @map
 */
struct holder_search {
	uint64_t others;
	uint64_t client;
	const struct group_member *member;
	const struct space_map *map;
	bool any;
	bool missing;
	bool found;
};

static void holder_visit(const void *node, VISIT visit, void *closure)
{
	const struct space_map *map = *(const struct space_map *const *)node;
	struct holder_search *search = closure;

	if ((visit != postorder && visit != leaf) || !map->is_file ||
	    !(map->users & search->others))
		return;
	search->any |= map->users & search->client;
	search->missing |= search->member &&
			   !holder_has_shown(search->member, map);
	search->found |= search->map && space_same_file(map, search->map);
}

bool holder_is_same(struct session *s)
{
	struct group_member *m = &s->bridge->member;
	struct space *sp = s->bridge->space;
	struct holder_search search = {
		.others = ~space_bit(s),
		.client = holder_devices(sp),
		.member = m,
	};

	if (m->same || sp->broken || sp->stale || m->looked == sp->changes)
		return m->same;
	m->looked = sp->changes;
	twalk_r(sp->maps, holder_visit, &search);
	m->same = !search.missing && (search.any || !search.client);
	return m->same;
}

/* With the lock: one that the session isn't the same as, or NULL. */
static struct bridge *holder_find(const struct session *s)
{
	struct bridge *b, *holder = NULL;
	unsigned int i = 0;

	while ((b = group_next(s->bridge->space, s->bridge, &i))) {
		if (b->member.same)
			return b;
		if (b->member.maps)
			holder = b;
	}
	return holder;
}

/* With the lock. */
static void holder_refuse_power(struct session *s)
{
	struct group_member *m = &s->bridge->member;
	const struct bridge *holder = holder_find(s);

	if (m->told || !holder)
		return;
	m->told = true;
	group_refuse(s, holder,
		     "it is of the same user, but has not mapped the memory of the client that has the group: until then it can only look");
}

int holder_check_power(struct session *s)
{
	struct space *sp = s->bridge->space;
	bool same;

	if (!sp)
		return 0;
	pthread_mutex_lock(&sp->lock);
	same = holder_is_same(s);
	if (!same)
		holder_refuse_power(s);
	pthread_mutex_unlock(&sp->lock);
	return same ? 0 : -EACCES;
}

bool holder_give_fd(struct session *s)
{
	struct space *sp = s->bridge->space;
	bool same;

	if (!sp)
		return true;
	pthread_mutex_lock(&sp->lock);
	same = holder_is_same(s);
	if (same)
		sp->given = true;
	pthread_mutex_unlock(&sp->lock);
	return same;
}

/* With the lock: is this a file of the client's that has the group? */
static bool holder_knows(struct space *sp, const struct space_map *map)
{
	uint64_t client = holder_devices(sp);
	struct holder_search search = {
		/* It may be gone, and what others had mapped of it left. */
		.others = client ? client : UINT64_MAX,
		.map = map,
	};

	if (map->is_file)
		twalk_r(sp->maps, holder_visit, &search);
	return search.found;
}

int holder_check_file(struct session *s, const struct space_map *map)
{
	struct space *sp = s->bridge->space;
	int64_t limit = clock_ms() + SPACE_CONFLICT_MS;
	const struct bridge *holder;

	while (!holder_is_same(s) && !holder_knows(sp, map)) {
		if (sp->broken || sp->stale || session_is_ending(s))
			return -ECONNABORTED;
		holder = holder_find(s);
		if (holder && clock_ms() >= limit) {
			group_refuse(s, holder, "it is of the same user, but shares other memory: session ended");
			s->closing = true;
			return -EACCES;
		}
		group_wait(sp);
	}
	return 0;
}

void holder_show(struct session *s, const struct space_map *map)
{
	struct group_member *m = &s->bridge->member;
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
	holder_is_same(s);
}
