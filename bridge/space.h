/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BRIDGE_SPACE_H
#define BRIDGE_SPACE_H

#include "bridge.h"

/*
 * How long a map waits, in milliseconds, for another, in its way, to be taken
 * away, or for the client that has the group to map the same file.
 */
#define SPACE_CONFLICT_MS	1000

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

/* A device's bit, as in struct space_map's users. */
static inline uint64_t space_bit_of(const struct bridge *b)
{
	return UINT64_C(1) << b->index;
}

static inline uint64_t space_bit(const struct session *s)
{
	return space_bit_of(s->bridge);
}

/* The caller of each of the following holds the lock. */

/* group.c */

/**
 * group_wait() - wait until something has changed, for a moment at most
 * @sp: the space; its lock is given up meanwhile
 *
 * Who waits looks itself whether it still should: whether its session ends, and
 * what time it is.
 */
void group_wait(struct space *sp);

/**
 * group_next() - go through the members of a group
 * @sp: the space
 * @self: is left out; may be NULL
 * @i: 0 at first
 *
 * Return: a member that has a session or is retained; NULL after the last.
 */
struct bridge *group_next(const struct space *sp, const struct bridge *self,
			  unsigned int *i);

/**
 * group_refuse() - one line about a refusal: who is in the way, and why
 * @s: the session that is refused something
 * @other: who is in the way, a member
 * @fmt: why
 */
void __printf(3, 4) group_refuse(const struct session *s,
				 const struct bridge *other,
				 const char *fmt, ...);

/* holder.c */

/**
 * holder_is_same() - is it the client that has the group, or becomes it now?
 * @s: the session, a member; this is its thread
 *
 * Who isn't any more than it was when it last asked is told so at once.
 */
bool holder_is_same(struct session *s);

/**
 * holder_devices() - the devices of the client that has the group
 * @sp: the space
 *
 * Return: a bit each, by index of the bridge; 0 if nobody has it.
 */
uint64_t holder_devices(const struct space *sp);

/**
 * holder_check_file() - is it the memory of the client that has the group?
 * @s: the session; this is its thread
 * @map: what it wants to map
 *
 * Gives up the lock to wait: what the client has sent on another socket may not
 * have been heard yet.
 *
 * Return: 0; -EACCES, which the log says: it isn't, and the session is closing;
 * -ECONNABORTED: the session ends for another reason.
 */
int holder_check_file(struct session *s, const struct space_map *map);

/**
 * holder_show() - the session's map is there: what does that show?
 * @s: the session; this is its thread
 * @map: the map; counted
 */
void holder_show(struct session *s, const struct space_map *map);

/* space.c */

/**
 * space_is_one_file() - are these one file?
 * @a: a file
 * @b: another
 *
 * The number of a file that is gone may be another's, born later. Whether it can
 * be written to doesn't matter here.
 */
bool space_is_one_file(const struct space_file *a, const struct space_file *b);

/** space_same_file() - the same of what two maps map, registers included */
bool space_same_file(const struct space_map *a, const struct space_map *b);

#endif
