// SPDX-License-Identifier: GPL-2.0-only
/* The time that waits are measured with. */
#include <time.h>

#include "bridge.h"

/* Syscalls: clock_gettime */
int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}
