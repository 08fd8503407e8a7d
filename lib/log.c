// SPDX-License-Identifier: GPL-2.0-only
/*
 * Logging: a line a fact, on stderr.
 *
 * A line is formatted into a buffer on the stack and written with one
 * write(2), so that the lines of several threads, and of several processes on
 * one terminal, stay whole. A line that is too long is cut, never split.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define LOG_LINE	1024

static const char *log_program = "vfio";
static bool log_verbose;

void log_init(const char *program, bool verbose)
{
	log_program = program;
	log_verbose = verbose;
}

/* Syscalls: write */
static void log_line(const char *fmt, va_list args)
{
	int saved = errno;
	char line[LOG_LINE];
	ssize_t ret;
	int len, n;

	len = snprintf(line, sizeof(line) - 1, "%s: ", log_program);
	len = min(len, LOG_LINE - 2);
	n = vsnprintf(line + len, sizeof(line) - 1 - len, fmt, args);
	if (n > 0)
		len = min(len + n, LOG_LINE - 2);
	line[len++] = '\n';
	/* Nobody can be told that stderr is closed. */
	ret = write(STDERR_FILENO, line, len);
	(void)ret;
	errno = saved;
}

void log_err(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(fmt, args);
	va_end(args);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(fmt, args);
	va_end(args);
}

void log_debug(const char *fmt, ...)
{
	va_list args;

	if (!log_verbose)
		return;

	va_start(args, fmt);
	log_line(fmt, args);
	va_end(args);
}
