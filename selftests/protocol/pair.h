/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_PAIR_H
#define PROTOCOL_PAIR_H

#include "peer.h"

/*
 * One daemon with two devices, each on a socket, and a client of each. As with
 * peer.h, functions return 0 or a negative errno unless they say otherwise.
 */

#define PAIR_DEVICE_A		"0000:01:00.0"
#define PAIR_DEVICE_B		"0000:01:01.0"

/**
 * struct pair - the daemon and its two clients
 * @a: the first device's; the machine and the daemon are its as well
 * @b: the second's, with a copy of these
 * @own: an option that is of the first device alone, or NULL
 */
struct pair {
	struct peer a;
	struct peer b;
	const char *own;
};

/** pair_config() - two devices of one group on one bus, with one way in */
void pair_config(struct fake_config *config, enum peer_way way);

/** pair_init() - nothing is there yet */
void pair_init(struct pair *pair);

/**
 * pair_start() - make the machine and start the daemon
 * @pair: filled in
 * @config: the machine, with one device more
 * @args: more arguments for the daemon, which follow the devices, with NULL at
 *        the end
 */
int pair_start(struct pair *pair, const struct fake_config *config,
	       const char *const args[]);

/**
 * pair_spawn() - start the daemon on a machine that is there
 * @pair: its machine has been made; the rest is filled in
 * @device_b: name of the second device
 * @args: as for pair_start()
 */
int pair_spawn(struct pair *pair, const char *device_b,
	       const char *const args[]);

/** pair_open() - pair_start(), and greet both clients */
int pair_open(struct pair *pair, enum peer_way way);

/** pair_close() - as peer_close() */
int pair_close(struct pair *pair);

/**
 * pair_as() - VERSION by a process of another user
 * @peer: whose socket
 * @uid: of the process
 *
 * Return: as wire_version(), or -ECHILD.
 */
int pair_as(const struct peer *peer, uid_t uid);

/** pair_wait_left() - wait until a session of this device is gone */
int pair_wait_left(const struct peer *peer, const char *device);

#endif
