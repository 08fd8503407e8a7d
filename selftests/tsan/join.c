// SPDX-License-Identifier: GPL-2.0-only
/*
 * pthread_clockjoin_np(3) by a function that ThreadSanitizer knows. It would not
 * learn otherwise that a thread is over, and what that did would race with all
 * that comes after.
 */
#include <pthread.h>
#include <stdint.h>
#include <time.h>

int __wrap_pthread_clockjoin_np(pthread_t thread, void **value,
				clockid_t clock, const struct timespec *until);

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int __wrap_pthread_clockjoin_np(pthread_t thread, void **value,
				clockid_t clock, const struct timespec *until)
{
	int64_t limit = now_ns(CLOCK_REALTIME) - now_ns(clock) +
			until->tv_sec * INT64_C(1000000000) + until->tv_nsec;
	const struct timespec at = {
		.tv_sec = limit / 1000000000,
		.tv_nsec = limit % 1000000000,
	};

	return pthread_timedjoin_np(thread, value, &at);
}
