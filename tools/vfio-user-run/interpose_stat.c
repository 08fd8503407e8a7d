// SPDX-License-Identifier: GPL-2.0-only
/*
 * stat(2) and access(2) of our nodes and fds.
 *
 * Programs that were linked with a libc before 2.33 call __xstat and its
 * relatives, whose first argument is the version of struct stat.
 */
#undef _FORTIFY_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "interpose.h"

/* Return: false: it isn't ours. */
static bool stat_path(int dir, const char *path, struct stat *st)
{
	struct run_node node;
	int saved = errno;

	if (!run_node_find(dir, path, &node))
		return false;
	run_node_stat(run_node_rdev(&node), st);
	errno = saved;
	return true;
}

static bool stat_fd(int fd, struct stat *st)
{
	struct run_file *file = run_file_find(fd);
	int saved = errno;

	if (!file)
		return false;
	run_node_stat(file->rdev, st);
	run_file_put(file);
	errno = saved;
	return true;
}

static bool stat_at(int dir, const char *path, struct stat *st, int flags)
{
	if (flags & AT_EMPTY_PATH && (!path || !*path))
		return stat_fd(dir, st);
	return stat_path(dir, path, st);
}

/* struct stat64 is struct stat on machines of 64 bits. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "stat64");

#define STAT(name, params, call, is_ours)				\
INTERPOSED int name params;						\
INTERPOSED int name params						\
{									\
	struct stat own;						\
									\
	if (!(is_ours))							\
		return NEXT(name) call;					\
	return run_result(run_copy_out(st, &own, sizeof(own)));		\
}

STAT(stat, (const char *path, struct stat *st), (path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(stat64, (const char *path, struct stat64 *st), (path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(lstat, (const char *path, struct stat *st), (path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(lstat64, (const char *path, struct stat64 *st), (path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(fstat, (int fd, struct stat *st), (fd, st), stat_fd(fd, &own))
STAT(fstat64, (int fd, struct stat64 *st), (fd, st), stat_fd(fd, &own))
STAT(fstatat, (int dir, const char *path, struct stat *st, int flags),
     (dir, path, st, flags), stat_at(dir, path, &own, flags))
STAT(fstatat64, (int dir, const char *path, struct stat64 *st, int flags),
     (dir, path, st, flags), stat_at(dir, path, &own, flags))
STAT(__xstat, (int ver, const char *path, struct stat *st), (ver, path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(__xstat64, (int ver, const char *path, struct stat64 *st),
     (ver, path, st), stat_path(AT_FDCWD, path, &own))
STAT(__lxstat, (int ver, const char *path, struct stat *st), (ver, path, st),
     stat_path(AT_FDCWD, path, &own))
STAT(__lxstat64, (int ver, const char *path, struct stat64 *st),
     (ver, path, st), stat_path(AT_FDCWD, path, &own))
STAT(__fxstat, (int ver, int fd, struct stat *st), (ver, fd, st),
     stat_fd(fd, &own))
STAT(__fxstat64, (int ver, int fd, struct stat64 *st), (ver, fd, st),
     stat_fd(fd, &own))
STAT(__fxstatat, (int ver, int dir, const char *path, struct stat *st,
		  int flags),
     (ver, dir, path, st, flags), stat_at(dir, path, &own, flags))
STAT(__fxstatat64, (int ver, int dir, const char *path, struct stat64 *st,
		    int flags),
     (ver, dir, path, st, flags), stat_at(dir, path, &own, flags))

static void stat_to_statx(const struct stat *st, struct statx *x)
{
	memset(x, 0, sizeof(*x));
	x->stx_mask = STATX_BASIC_STATS;
	x->stx_blksize = st->st_blksize;
	x->stx_nlink = st->st_nlink;
	x->stx_uid = st->st_uid;
	x->stx_gid = st->st_gid;
	x->stx_mode = st->st_mode;
	x->stx_ino = st->st_ino;
	x->stx_atime.tv_sec = st->st_atim.tv_sec;
	x->stx_mtime.tv_sec = st->st_mtim.tv_sec;
	x->stx_ctime.tv_sec = st->st_ctim.tv_sec;
	x->stx_rdev_major = major(st->st_rdev);
	x->stx_rdev_minor = minor(st->st_rdev);
	x->stx_dev_major = major(st->st_dev);
	x->stx_dev_minor = minor(st->st_dev);
}

INTERPOSED int statx(int dir, const char *path, int flags, unsigned int mask,
		     struct statx *st)
{
	struct statx x;
	struct stat own;

	if (!stat_at(dir, path, &own, flags))
		return NEXT(statx)(dir, path, flags, mask, st);
	stat_to_statx(&own, &x);
	return run_result(run_copy_out(st, &x, sizeof(x)));
}

/* Ours can be read and written by who runs the program, and not executed. */
static int access_result(int mode)
{
	if (mode & ~(R_OK | W_OK | X_OK))
		return run_result(-EINVAL);
	return run_result(mode & X_OK ? -EACCES : 0);
}

#define ACCESS(name)							\
INTERPOSED int name(const char *path, int mode);			\
INTERPOSED int name(const char *path, int mode)				\
{									\
	struct run_node node;						\
									\
	if (!run_node_find(AT_FDCWD, path, &node))			\
		return NEXT(name)(path, mode);				\
	return access_result(mode);					\
}

ACCESS(access)
ACCESS(euidaccess)
ACCESS(eaccess)

INTERPOSED int faccessat(int dir, const char *path, int mode, int flags)
{
	struct run_node node;

	if (!run_node_find(dir, path, &node))
		return NEXT(faccessat)(dir, path, mode, flags);
	return access_result(mode);
}
