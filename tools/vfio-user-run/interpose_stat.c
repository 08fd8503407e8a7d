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
	if (flags & AT_EMPTY_PATH && run_node_is_empty(path))
		return stat_fd(dir, st);
	return stat_path(dir, path, st);
}

static int stat_result(struct stat *st, const struct stat *own)
{
	return run_result(run_copy_out(st, own, sizeof(*own)));
}

INTERPOSED int stat(const char *path, struct stat *st)
{
	struct stat own;

	if (!stat_path(AT_FDCWD, path, &own))
		return NEXT(stat)(path, st);
	return stat_result(st, &own);
}

INTERPOSED int lstat(const char *path, struct stat *st)
{
	struct stat own;

	if (!stat_path(AT_FDCWD, path, &own))
		return NEXT(lstat)(path, st);
	return stat_result(st, &own);
}

INTERPOSED int fstat(int fd, struct stat *st)
{
	struct stat own;

	if (!stat_fd(fd, &own))
		return NEXT(fstat)(fd, st);
	return stat_result(st, &own);
}

INTERPOSED int fstatat(int dir, const char *path, struct stat *st,
		       int flags)
{
	struct stat own;

	if (!stat_at(dir, path, &own, flags))
		return NEXT(fstatat)(dir, path, st, flags);
	return stat_result(st, &own);
}

INTERPOSED int __xstat(int ver, const char *path, struct stat *st)
{
	struct stat own;

	if (!stat_path(AT_FDCWD, path, &own))
		return NEXT(__xstat)(ver, path, st);
	return stat_result(st, &own);
}

INTERPOSED int __lxstat(int ver, const char *path, struct stat *st)
{
	struct stat own;

	if (!stat_path(AT_FDCWD, path, &own))
		return NEXT(__lxstat)(ver, path, st);
	return stat_result(st, &own);
}

INTERPOSED int __fxstat(int ver, int fd, struct stat *st)
{
	struct stat own;

	if (!stat_fd(fd, &own))
		return NEXT(__fxstat)(ver, fd, st);
	return stat_result(st, &own);
}

INTERPOSED int __fxstatat(int ver, int dir, const char *path, struct stat *st,
			  int flags)
{
	struct stat own;

	if (!stat_at(dir, path, &own, flags))
		return NEXT(__fxstatat)(ver, dir, path, st, flags);
	return stat_result(st, &own);
}

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

INTERPOSED int access(const char *path, int mode)
{
	struct run_node node;

	if (!run_node_find(AT_FDCWD, path, &node))
		return NEXT(access)(path, mode);
	return access_result(mode);
}

INTERPOSED int euidaccess(const char *path, int mode)
{
	struct run_node node;

	if (!run_node_find(AT_FDCWD, path, &node))
		return NEXT(euidaccess)(path, mode);
	return access_result(mode);
}

INTERPOSED int faccessat(int dir, const char *path, int mode, int flags)
{
	struct run_node node;

	if (!run_node_find(dir, path, &node))
		return NEXT(faccessat)(dir, path, mode, flags);
	return access_result(mode);
}
