// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU groups of which several devices are ours, and who may have one of them.
 *
 * The kernel gives a group one address space (space.c), so only one client at a
 * time may have devices of a group, on as many sockets as it likes. Sessions of
 * another uid, as the kernel says of their sockets, are refused at VERSION, as
 * long as a session has a device of the group, or one is retained. Those of the
 * same uid get in; whether they are the same client's, and what they may do
 * until that is known, holder.c finds out.
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
 * A group of which only one device is ours has no space, and costs none of this.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "space.h"

/* How long a client waits for sessions that end, in milliseconds. */
#define GROUP_JOIN_MS		(BRIDGE_CLIENT_TIMEOUT * 1000)
/* How often those who wait look whether they still should. */
#define GROUP_STEP_MS		50

static struct space *group_new_space(struct daemon *d)
{
	struct space *sp = calloc(1, sizeof(*sp));
	pthread_condattr_t attr;

	if (!sp)
		return NULL;
	sp->daemon = d;
	sp->changes = 1;
	pthread_mutex_init(&sp->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sp->changed, &attr);
	pthread_condattr_destroy(&attr);
	return sp;
}

int group_start(struct daemon *d)
{
	struct bridge *a, *b, *end = d->bridges + d->nr_bridges;

	for (a = d->bridges; a < end; a++) {
		for (b = a + 1; b < end; b++) {
			if (a->group < 0 || b->group != a->group || b->space)
				continue;
			if (!a->space)
				a->space = group_new_space(d);
			if (!a->space)
				return -ENOMEM;
			b->space = a->space;
			log_info("%s shares IOMMU group %d with %s: only clients of the same user and the same memory can use them at one time",
				 b->device.name, b->group, a->device.name);
		}
	}
	return 0;
}

void group_stop(struct daemon *d)
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

void group_wait(struct space *sp)
{
	int64_t until = clock_ms() + GROUP_STEP_MS;
	struct timespec ts = {
		.tv_sec = until / 1000,
		.tv_nsec = until % 1000 * 1000000,
	};

	pthread_cond_clockwait(&sp->changed, &sp->lock, CLOCK_MONOTONIC, &ts);
}

struct bridge *group_next(const struct space *sp, const struct bridge *self,
			  unsigned int *i)
{
	struct daemon *d = sp->daemon;

	while (*i < d->nr_bridges) {
		struct bridge *b = &d->bridges[(*i)++];

		if (b != self && b->space == sp && b->member.in)
			return b;
	}
	return NULL;
}

void group_refuse(const struct session *s, const struct bridge *other,
		  const char *fmt, ...)
{
	const struct bridge *b = s->bridge;
	char why[256];
	va_list args;

	if (!lines_allow(s->bridge, LINES_CLIENT))
		return;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_err("%s: pid %d of uid %d refused: %s (it shares IOMMU group %d with %s, which %s pid %d of uid %d)",
		b->device.name, s->peer.pid, s->peer.uid, why, b->group,
		other->device.name,
		other->member.session ? "serves" : "is retained for",
		other->member.pid, other->member.uid);
}

static const char group_broken[] =
	"memory was not unmapped, and not all who could reach it are gone";
static const char group_stale[] =
	"its last client is gone and may have kept the fd of a device";

/* With the lock: a member that keeps this client out, or NULL. */
static struct bridge *group_obstacle(const struct session *s, const char **why)
{
	const struct bridge *self = s->bridge;
	struct bridge *other;
	unsigned int i = 0;

	while ((other = group_next(self->space, self, &i))) {
		if (self->space->broken)
			*why = group_broken;
		else if (self->space->stale)
			*why = group_stale;
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
static bool group_is_ending(const struct session *s)
{
	struct bridge *other;
	unsigned int i = 0;

	while ((other = group_next(s->bridge->space, s->bridge, &i))) {
		if (other->member.same && other->member.session &&
		    session_is_ending(other->member.session))
			return true;
	}
	return false;
}

/* With the lock: is there anything in the way that is worth waiting for? */
static bool group_should_wait(const struct session *s,
			      const struct bridge *obstacle)
{
	if (obstacle)
		return obstacle->member.session &&
		       session_is_ending(obstacle->member.session);
	/* A client that has begun anew is not the same as it was. */
	return group_is_ending(s);
}

/* What was retained is still whose it was. */
static void group_enter(struct session *s)
{
	struct group_member *m = &s->bridge->member;

	*m = (struct group_member){
		.in = true,
		.same = m->in && m->same,
		.uid = s->peer.uid,
		.pid = s->peer.pid,
		.session = s,
	};
}

int group_join(struct session *s)
{
	struct space *sp = s->bridge->space;
	int64_t limit = clock_ms() + GROUP_JOIN_MS;
	const char *why = group_broken;
	struct bridge *other;
	int ret = 0;

	if (!sp)
		return 0;
	pthread_mutex_lock(&sp->lock);
	do {
		other = group_obstacle(s, &why);
		if (!group_should_wait(s, other) || clock_ms() >= limit ||
		    session_is_ending(s))
			break;
		group_wait(sp);
	} while (true);
	/* Nobody but itself, retained: it is to be closed, as all were. */
	if (!other && sp->broken)
		other = s->bridge;
	if (other) {
		group_refuse(s, other, "%s", why);
		ret = -EBUSY;
	} else {
		group_enter(s);
	}
	pthread_mutex_unlock(&sp->lock);
	return ret;
}

void group_opened(struct session *s)
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

struct ucred group_last_peer(struct bridge *b)
{
	struct ucred last;

	if (!b->space)
		return b->last_peer;
	pthread_mutex_lock(&b->space->lock);
	last = b->space->last;
	pthread_mutex_unlock(&b->space->lock);
	return last;
}

/* With the lock: end all sessions. None of them is retained. */
static void group_expire(struct space *sp)
{
	struct bridge *b;
	unsigned int i = 0;

	sp->stale = true;
	while ((b = group_next(sp, NULL, &i))) {
		if (!b->member.session)
			continue;
		log_info("%s: session of pid %d ended: %s", b->device.name,
			 b->member.pid, group_stale);
		session_stop(b->member.session);
	}
}

void group_leave(struct bridge *b)
{
	struct space *sp = b->space;
	unsigned int i = 0;

	if (!sp)
		return;
	pthread_mutex_lock(&sp->lock);
	b->member = (struct group_member){ 0 };
	sp->changes++;
	/* Nobody has a device: the next one begins with a container of its own. */
	if (!group_next(sp, NULL, &i)) {
		sp->broken = false;
		sp->given = false;
		sp->stale = false;
		sp->max_maps = 0;
	} else if (sp->given && !sp->stale && !holder_devices(sp)) {
		group_expire(sp);
	}
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
}

bool group_keep(struct session *s)
{
	struct bridge *b = s->bridge;
	struct space *sp = b->space;
	bool keep;

	if (!sp)
		return true;
	pthread_mutex_lock(&sp->lock);
	/* Of one that has shown nothing there is nothing to keep. */
	keep = holder_is_same(s) && !sp->broken && !sp->stale;
	b->member.session = NULL;
	pthread_cond_broadcast(&sp->changed);
	pthread_mutex_unlock(&sp->lock);
	return keep;
}

/* With the lock: why a reset must not touch this one; NULL if it may. */
static const char *group_reset_obstacle(const struct session *s,
					const struct bridge *other)
{
	if (!other->member.session)
		return "a reset of the bus would touch a retained device";
	if (!other->member.same || !s->bridge->member.same)
		return "a reset of the bus would touch a device of what may be another client";
	return NULL;
}

int group_check_reset(struct session *s)
{
	struct space *sp = s->bridge->space;
	const char *why = NULL;
	struct bridge *other;
	unsigned int i = 0;

	if (!sp || s->dev.flags & VFIO_DEVICE_FLAGS_RESET)
		return 0;
	pthread_mutex_lock(&sp->lock);
	while (!why && (other = group_next(sp, s->bridge, &i))) {
		if (!vfio_device_reset_touches(&s->dev, other->device.name))
			continue;
		why = group_reset_obstacle(s, other);
		if (why)
			group_refuse(s, other, "%s", why);
	}
	pthread_mutex_unlock(&sp->lock);
	return why ? -EBUSY : 0;
}
