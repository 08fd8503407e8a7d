/* SPDX-License-Identifier: GPL-2.0-only */
/* Small helpers in the kernel's manner, for every room. */
#ifndef UTIL_H
#define UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define __maybe_unused		__attribute__((unused))
#define __printf(fmt, args)	__attribute__((format(printf, fmt, args)))

#define min(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
	_a < _b ? _a : _b; })
#define max(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
	_a > _b ? _a : _b; })

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/**
 * add_overflows() - does @a + @b not fit in 64 bits?
 * @a: first term
 * @b: second term
 * @sum: where the sum goes; meaningless if it doesn't fit
 *
 * Return: true on overflow.
 */
static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
	return __builtin_add_overflow(a, b, sum);
}

/**
 * range_within() - is [offset, offset + count) inside [0, size)?
 * @offset: first byte
 * @count: length in bytes
 * @size: length in bytes of what it must lie in
 *
 * Return: true if it is; a range that wraps around is not.
 */
static inline bool range_within(uint64_t offset, uint64_t count, uint64_t size)
{
	uint64_t end;

	return !add_overflows(offset, count, &end) && end <= size;
}

/**
 * close_fd() - close *@fd unless it is -1, and make it -1
 * @fd: a file descriptor, owned by the caller
 *
 * Syscalls: close
 */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#endif
