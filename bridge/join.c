// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for a thread that a client may have brought to a halt.
 *
 * A client chooses the fds that it sends, and what they do when they are
 * written to or closed for the last time: an eventfd whose counter is full
 * blocks a write, a TCP socket with SO_LINGER a close. Such waits end with a
 * signal. One signal may come just before the wait, so it is sent again and
 * again.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "bridge.h"

/* Between two tries, in nanoseconds. */
#define JOIN_INTERVAL_NS	10000000

/* Syscalls: clock_gettime */
static void join_next(struct timespec *until)
{
	clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_nsec += JOIN_INTERVAL_NS;
	if (until->tv_nsec >= 1000000000) {
		until->tv_nsec -= 1000000000;
		until->tv_sec++;
	}
}

/* Syscalls: clock_gettime */
int join_interrupting(pthread_t thread, unsigned int seconds)
{
	struct timespec now, until;
	time_t limit;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &now);
	limit = now.tv_sec + seconds;
	do {
		pthread_kill(thread, WATCH_SIGNAL);
		join_next(&until);
		ret = pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC,
					   &until);
	} while (ret == ETIMEDOUT && until.tv_sec < limit);
	return -ret;
}
