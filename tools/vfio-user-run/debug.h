/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines for VFIO_USER_RUN_DEBUG. */
#ifndef DEBUG_H
#define DEBUG_H

#include "run.h"

/* As much of a name as is printed */
#define DEBUG_NAME	64

/** struct debug_line - a line that grows, and ends where there is no more room */
struct debug_line {
	size_t len;
	char text[1024];
};

/** run_debug_us() - the time, in microseconds; 0 when nobody wants to know */
uint64_t run_debug_us(void);

/**
 * run_debug_call() - print a call that isn't an ioctl, if somebody wants to know
 * @ret: what it returns, or a negative errno
 * @start: run_debug_us() before it
 * @fmt: the call and its arguments
 */
void run_debug_call(int64_t ret, uint64_t start, const char *fmt, ...)
	__printf(3, 4);

#endif
