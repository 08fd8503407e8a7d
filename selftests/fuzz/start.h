/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A start of the daemon in a process of its own: what the input says of it, and
 * what it tells of itself.
 */
#ifndef FUZZ_START_H
#define FUZZ_START_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "setting.h"

#define START_FDS	3
#define START_FAILING	3
/* Where sockets are handed over, see sd_listen_fds(3). */
#define START_FIRST_FD	3
/* What the parent keeps open is above these. */
#define START_OWN_FDS	100
/* A version of Landlock that is newer than any: the kernel's own is taken. */
#define START_LANDLOCK	11

/**
 * struct start_failing - a call that fails
 * @name: of the function; NULL for none
 * @nth: which call of it, from 1
 * @err: errno
 * @seen: calls so far
 */
struct start_failing {
	const char *name;
	unsigned int nth;
	int err;
	atomic_uint seen;
};

/**
 * struct start - what the input says of the process
 * @argc: entries of @argv in use
 * @argv: the command line
 * @fds: what is handed over, from fd 3 on; -1: not open
 * @activate: for setting_activate()
 * @nobody: it isn't root
 * @leaks: look for memory that has leaked, if that is possible
 * @held: the kernel doesn't return from some call: time is put forward
 * @landlock: the version of Landlock that the kernel has, at most
 * @failing: what fails
 */
struct start {
	int argc;
	char *argv[SETTING_MAX_ARGS + 1];
	int fds[START_FDS];
	unsigned int activate;
	bool nobody;
	bool leaks;
	bool held;
	int landlock;
	struct start_failing failing[START_FAILING];
};

/**
 * struct start_told - what the process tells, in memory that both have
 * @reported: a sanitizer has found something
 * @unshared: it has a mount namespace of its own
 * @confined: it can't be looked into any more
 * @blocked: it waits for signals that would end it
 * @serving: it waits for clients
 * @returned: its main() has returned
 * @hears: it wants uevents
 * @left_alone: the parent's word: it sends no more signals
 * @uevents: how many it was told
 * @left: fds that main() has left and that it doesn't have to leave
 */
struct start_told {
	atomic_bool reported;
	atomic_bool unshared;
	atomic_bool confined;
	atomic_bool blocked;
	atomic_bool serving;
	atomic_bool returned;
	atomic_bool hears;
	atomic_bool left_alone;
	atomic_uint uevents;
	atomic_uint left;
};

/* Of the process that is being started; set before it is forked. */
extern struct start start;
extern struct start_told *start_told;

/* start_calls.c */

/** start_calls_init() - in the process, before main() */
void start_calls_init(void);

/* start_failing.c */

/**
 * start_fails() - in the process: shall this call fail?
 * @name: of the function, or of the system call
 *
 * Return: true if so, with errno set.
 */
bool start_fails(const char *name);

/** start_failed() - how often has such a call failed? */
unsigned int start_failed(const char *name);

/** start_call_name() - the name of a call that can fail, by any number */
const char *start_call_name(unsigned int number);

/* start_child.c */

/** start_init() - once, before anything is started */
void start_init(void);

/**
 * start_fork() - start the daemon
 *
 * Return: its process, a child.
 */
pid_t start_fork(void);

/** start_ended() - the process has been waited for: take over what it counted */
void start_ended(void);

/** start_wake() - in the process: something has been told */
void start_wake(void);

/**
 * start_wait() - until the process has told something, or has ended
 * @pidfd: the process
 * @ms: not longer than this
 *
 * Return: false if neither.
 */
bool start_wait(int pidfd, int ms);

/** start_tell() - a uevent for the process, or a number in place of one */
void start_tell(const void *uevent, size_t len);

/** start_uevent() - in the process: take one; -1 if there is none */
ssize_t start_uevent(void *buf, size_t len);

/** start_uevent_fd() - in the process: readable if there is one */
int start_uevent_fd(void);

#endif
