/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_HELD_H
#define PROTOCOL_HELD_H

#include <sys/types.h>

#include "pair.h"

/*
 * A session in which one call of the kernel doesn't return. Which calls there
 * are is not written down anywhere: a session is recorded as the fake sees it,
 * then run again and again, with another of its calls held until the test has
 * seen what it wants to see. As with peer.h, functions return 0 or a negative
 * errno unless they say otherwise.
 */

/* Calls that a session makes, at most. */
#define HELD_MAX_CALLS		FAKE_CALL_LOG_LEN
/* How long a daemon may take to end. */
#define HELD_WAIT_MS		8000
/* What a client maps for its device, in bytes; its memory has twice as much. */
#define HELD_SIZE		0x10000

/**
 * struct held_client - the client of the first device of a pair
 * @peer: its socket
 * @memory: what it maps, a file
 * @unshared: it has memory as well that it doesn't share, and answers for it
 * @doorbell: it asks for the doorbell of BAR0
 */
struct held_client {
	struct peer *peer;
	int memory;
	bool unshared;
	bool doorbell;
};

/**
 * struct recording - the calls of one session
 * @calls: in order
 * @nr: how many
 * @nr_served: how many of them before its client hung up
 */
struct recording {
	struct fake_call_entry calls[HELD_MAX_CALLS];
	unsigned int nr;
	unsigned int nr_served;
};

/** held_serve() - all that a client can do, up to its end: much is left undone */
int held_serve(const struct held_client *client);

/** held_serve_apart() - held_serve() in a process of its own; its pid */
pid_t held_serve_apart(const struct held_client *client);

/** held_ended_well() - wait for that process: has all of it worked? */
bool held_ended_well(pid_t pid);

/** held_leave() - hang up, and wait until the session of @device is gone */
int held_leave(struct peer *peer, const char *device);

/** held_record() - the calls of a whole session of this client's, into @to */
int held_record(const struct held_client *client, struct recording *to);

/** held_find() - the first such ioctl in a recording; -ENOENT if none is */
int held_find(const struct recording *in, enum fake_kind kind,
	      unsigned long request);

/**
 * held_occurrence() - the which-th of its kind in the session a call is
 * @in: the session
 * @at: the call
 * @last: set: no other of its kind follows
 */
unsigned int held_occurrence(const struct recording *in, unsigned int at,
			     bool *last);

/**
 * held_is_an_end() - is it the first or the last of its kind?
 *
 * For tests that would take long with all of them.
 */
bool held_is_an_end(const struct recording *in, unsigned int at);

/** held_status() - does the monitor tell of @nr devices, the first in use? */
bool held_status(const struct peer *peer, unsigned int nr);

/** held_other_is_served() - a whole session of a device that shares nothing */
bool held_other_is_served(struct peer *peer, const char *device, int memory);

#endif
