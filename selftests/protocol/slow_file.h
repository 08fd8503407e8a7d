/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_SLOW_FILE_H
#define PROTOCOL_SLOW_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * A file of a file system that answers when the test likes: FUSE, as anybody may
 * mount it. All of it is one file, in the process's own mount namespace. Functions
 * return 0 or a negative errno unless they say otherwise.
 */

#define SLOW_FILE_SIZE		0x10000
#define SLOW_FILE_MAX_HELD	64

/**
 * struct slow_file_state - what the server and its users share
 * @hold: requests are kept, not answered
 * @nr_held: how many are
 */
struct slow_file_state {
	atomic_bool hold;
	atomic_uint nr_held;
};

/**
 * struct slow_file - the file
 * @path: where it is mounted
 * @server: the process that answers, 0 if there is none
 * @state: shared with it
 */
struct slow_file {
	char path[64];
	pid_t server;
	struct slow_file_state *state;
};

/**
 * slow_file_mount() - mount it, and answer for the time being
 * @s: filled in
 *
 * The process must have one thread only, and has a mount namespace, and if it
 * isn't root's a user namespace, of its own afterwards. Its end is the server's.
 *
 * Return: 0 or a negative errno, if this system lets nobody do that.
 */
int slow_file_mount(struct slow_file *s);

/** slow_file_open() - an fd of it; @flags as for open(2) */
int slow_file_open(const struct slow_file *s, int flags);

/** slow_file_hold() - answer nothing any more */
void slow_file_hold(struct slow_file *s);

/** slow_file_wait_held() - wait until @count requests are held, or -ETIMEDOUT */
int slow_file_wait_held(struct slow_file *s, unsigned int count);

/** slow_file_release() - answer what is held, and what comes from now on */
void slow_file_release(struct slow_file *s);

/** slow_file_unmount() - the end of it, for all who have it open, too */
void slow_file_unmount(struct slow_file *s);

#endif
