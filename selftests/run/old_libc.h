/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before anything else, this makes of a program one that was linked
 * with a libc before 2.33: it asks for stat(2) and its like by the names that
 * they had then, and for those functions that have moved into libc, or have
 * changed, by their first versions.
 */
#ifndef RUN_OLD_LIBC_H
#define RUN_OLD_LIBC_H

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define OLD(name, version)						\
	__asm__(".symver " #name "," #name "@GLIBC_" #version)

/* The test itself calls the names that don't end in 64. */
int __xstat64(int ver, const char *path, struct stat *st);
int __lxstat64(int ver, const char *path, struct stat *st);
int __fxstat64(int ver, int fd, struct stat *st);
int __fxstatat64(int ver, int dir, const char *path, struct stat *st,
		 int flags);

OLD(__xstat, 2.2.5);
OLD(__xstat64, 2.2.5);
OLD(__lxstat, 2.2.5);
OLD(__lxstat64, 2.2.5);
OLD(__fxstat, 2.2.5);
OLD(__fxstat64, 2.2.5);
OLD(__fxstatat, 2.4);
OLD(__fxstatat64, 2.4);
OLD(fcntl, 2.2.5);
OLD(pthread_create, 2.2.5);
OLD(pthread_join, 2.2.5);
OLD(dlsym, 2.2.5);

#define stat(path, st)			__xstat64(1, path, st)
#define lstat(path, st)			__lxstat64(1, path, st)
#define fstat(fd, st)			__fxstat64(1, fd, st)
#define fstatat(dir, path, st, flags)	__fxstatat64(1, dir, path, st, flags)

#endif
