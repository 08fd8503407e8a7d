// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many lines of the log clients can cause.
 *
 * What a client does wrong is told, with who it was; and a client can do it again,
 * thousands of times a second, until the log has filled a disk or has nothing else
 * in it. So of each kind and device there are only so many lines in a minute, and
 * then one more that says that there are no more. Kinds are apart so that whoever
 * is refused can't hide what is said of who is served.
 *
 * What the daemon says of its own, or once in a session that had the device, isn't
 * counted.
 */
#include "bridge.h"
#include "log.h"

unsigned int lines_count(struct lines *l, int64_t now)
{
	if (!l->nr || now - l->since >= LINES_INTERVAL * 1000) {
		l->since = now;
		l->nr = 0;
	}
	/* One more than there may be is enough to know. */
	return l->nr > LINES_MAX ? l->nr : l->nr++;
}

bool lines_allow(struct bridge *b, enum lines_kind kind)
{
	unsigned int nr;

	pthread_mutex_lock(&b->lines_lock);
	nr = lines_count(&b->lines[kind], clock_ms());
	pthread_mutex_unlock(&b->lines_lock);
	if (nr == LINES_MAX)
		log_info("%s: no more lines like the last, for up to %d s: clients cause too many",
			 b->device.name, LINES_INTERVAL);
	return nr < LINES_MAX;
}
