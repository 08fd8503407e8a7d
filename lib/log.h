/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "util.h"

/**
 * log_init() - name the program and set how much it says
 * @program: the prefix of every line; must outlive the program's logging
 * @verbose: print log_debug() lines too
 */
void log_init(const char *program, bool verbose);

/**
 * log_err() - one line for the operator about what failed and what to do
 * @fmt: printf format without a newline
 *
 * Goes to stderr in one write(2), so that lines of several threads don't mix.
 */
void log_err(const char *fmt, ...) __printf(1, 2);

/**
 * log_info() - one line for the operator about what happened
 * @fmt: printf format without a newline
 */
void log_info(const char *fmt, ...) __printf(1, 2);

/**
 * log_debug() - one line for whoever debugs, printed only when asked for
 * @fmt: printf format without a newline
 */
void log_debug(const char *fmt, ...) __printf(1, 2);

#endif
