/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_INTERPOSE_H
#define FAKE_INTERPOSE_H

#include <stdlib.h>
#include <sys/types.h>

/* A buffer overflow: what glibc does about it. */
#define FORTIFY_FAIL	(abort(), 0)

/*
 * Without _FORTIFY_SOURCE, the C library doesn't declare what a program that
 * is compiled with it calls.
 */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t count, off_t pos, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t count, off_t pos,
		      size_t room);
ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room);
ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t len,
			 size_t room);
char *__realpath_chk(const char *path, char *resolved, size_t room);

#endif
