// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time, for the parts of a fuzzer that wait: what would be waited for in vain
 * takes a moment, and the clock is put forward by the rest.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "clock.h"
#include "hooks.h"

#define NS		1000000000ll
/* How long somebody may take to do something after all, in nanoseconds. */
#define MOMENT		1000000ll

static atomic_llong forward, step, patience = MOMENT;

static int64_t to_ns(const struct timespec *ts)
{
	return ts->tv_sec * NS + ts->tv_nsec;
}

static void from_ns(int64_t ns, struct timespec *ts)
{
	ts->tv_sec = ns / NS;
	ts->tv_nsec = ns % NS;
}

void clock_begin(unsigned int ms)
{
	struct timespec now;

	step = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	forward = NS - now.tv_nsec + ms * 1000000ll;
}

void clock_forward(unsigned int ms)
{
	forward += ms * 1000000ll;
}

void clock_step(unsigned int ms)
{
	step = ms * 1000000ll;
}

void clock_patience(unsigned int ms)
{
	patience = ms * 1000000ll;
}

int fuzz_clock_gettime(clockid_t clock, struct timespec *now)
{
	int ret = clock_gettime(clock, now);

	from_ns(to_ns(now) + atomic_fetch_add(&forward, step), now);
	return ret;
}

/* A moment from now, as the kernel has it. */
static struct timespec moment_from_now(clockid_t clock)
{
	struct timespec now, moment;

	clock_gettime(clock, &now);
	from_ns(to_ns(&now) + patience, &moment);
	return moment;
}

/* It was waited for in vain. */
static void pass(const struct timespec *moment, const struct timespec *until)
{
	if (to_ns(until) > to_ns(moment) + forward)
		forward = to_ns(until) - to_ns(moment);
}

int fuzz_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				clockid_t clock, const struct timespec *until)
{
	const struct timespec moment = moment_from_now(clock);
	int ret = pthread_cond_clockwait(cond, lock, clock, &moment);

	if (ret == ETIMEDOUT)
		pass(&moment, until);
	return ret;
}

int fuzz_pthread_clockjoin_np(pthread_t thread, void **value, clockid_t clock,
			      const struct timespec *until)
{
	const struct timespec moment = moment_from_now(clock);
	int ret = pthread_clockjoin_np(thread, value, clock, &moment);

	if (ret == ETIMEDOUT)
		pass(&moment, until);
	return ret;
}
