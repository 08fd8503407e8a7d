/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_KINDS_H
#define PROTOCOL_KINDS_H

/*
 * What an fd can be, and what the kernel says of it where memory is expected and
 * where an eventfd is; and what the daemon never asks it about (bridge/screen.c).
 */

#include <stdbool.h>

#define KINDS_MAX	32
/* How much can be mapped of one that can be mapped, in bytes. */
#define KINDS_SIZE	0x1000

/**
 * struct kind - something that an fd can be of
 * @name: for people
 * @fd: one
 * @map: what mapping it says, which is 0 or an errno as mmap(2) has them
 * @event: what giving it in place of an eventfd says
 * @away: the daemon keeps away from it
 */
struct kind {
	const char *name;
	int fd;
	int map;
	int event;
	bool away;
};

/**
 * kinds_open() - one fd of each kind
 * @kinds: room for KINDS_MAX; filled in. An @fd is the caller's, and negative if
 *         there is none of that kind here.
 *
 * Return: how many.
 */
unsigned int kinds_open(struct kind *kinds);

/* Who is asked to map: mmap(2) alone, or after what vfio/ looks at first. */
enum kinds_way {
	KINDS_MMAP,
	KINDS_MAP_FILE,	/* is it as long as that? */
	KINDS_TYPE1,	/* is it a file? */
};

/**
 * kinds_map() - what mapping KINDS_SIZE bytes says
 * @kind: of which kind
 * @way: who is asked
 * @daemon: by way of a daemon
 *
 * Return: 0 or a negative errno.
 */
int kinds_map(const struct kind *kind, enum kinds_way way, bool daemon);

/** kinds_event() - what giving it in place of an eventfd says, likewise */
int kinds_event(const struct kind *kind, bool daemon);

#endif
