// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time, for the parts of a fuzzer that wait: what would be waited for in vain
 * takes a moment, and the clock is put forward by the rest.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "hooks.h"

#define NS		1000000000ll
/* How long somebody may take to do something after all, in nanoseconds. */
#define MOMENT		1000000ll

static atomic_llong forward;

static int64_t to_ns(const struct timespec *ts)
{
	return ts->tv_sec * NS + ts->tv_nsec;
}

static void from_ns(int64_t ns, struct timespec *ts)
{
	ts->tv_sec = ns / NS;
	ts->tv_nsec = ns % NS;
}

int fuzz_clock_gettime(clockid_t clock, struct timespec *now)
{
	int ret = clock_gettime(clock, now);

	from_ns(to_ns(now) + forward, now);
	return ret;
}

int fuzz_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				clockid_t clock, const struct timespec *until)
{
	struct timespec now, moment;
	int ret;

	clock_gettime(clock, &now);
	from_ns(to_ns(&now) + MOMENT, &moment);
	ret = pthread_cond_clockwait(cond, lock, clock, &moment);
	if (ret == ETIMEDOUT && to_ns(until) > to_ns(&moment) + forward)
		forward = to_ns(until) - to_ns(&moment);
	return ret;
}
