// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mount namespace of the daemon's own, in which little is mounted: VFIO's
 * nodes, sysfs for reading, and the directories of its sockets.
 *
 * Landlock refuses to open other files; here they don't exist, on kernels
 * without Landlock as well, and neither does /proc. It takes CAP_SYS_ADMIN. A
 * user namespace would give that to anybody, but in it other users have no
 * names: SO_PEERCRED would tell the same uid for all clients that aren't our
 * own user's. So whoever starts the daemon without that capability goes without.
 *
 * The new root is a tmpfs that is put together on top of /sys, which surely
 * exists. What shall be in it is taken hold of before, as copies of mounts that
 * are not attached anywhere (open_tree(2)). Everything keeps its path.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridge/sandbox.h"
#include "util.h"

#define ROOT		"/sys"
#define ROOT_FLAGS	(MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define MAX_MOUNTS	(SANDBOX_MAX_PATHS + 3)

/**
 * struct graft - a part of the old tree that the new one has
 * @path: in both
 * @tree: a copy of what is mounted there
 */
struct graft {
	char path[PATH_MAX];
	int tree;
};

/**
 * struct grafts - all of them, in the order in which they are mounted
 * @nr: entries of @of in use
 * @of: a part each
 */
struct grafts {
	unsigned int nr;
	struct graft of[MAX_MOUNTS];
};

/*
 * Create what @path is to be mounted on: a directory, or a file.
 *
 * Syscalls at start: close mkdir openat
 */
static int namespace_make(const char *path, bool file)
{
	char at[PATH_MAX + sizeof(ROOT)], *slash = at + sizeof(ROOT) - 1;
	int fd;

	snprintf(at, sizeof(at), ROOT "%s", path);
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(at, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (!file)
		return mkdir(at, 0755) && errno != EEXIST ? -errno : 0;
	fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool namespace_has(const struct grafts *all, const char *path)
{
	unsigned int i;

	for (i = 0; i < all->nr; i++) {
		if (!strcmp(all->of[i].path, path))
			return true;
	}
	return false;
}

/*
 * Take hold of @path, without what may be mounted below. What isn't there is
 * left out, and so is the root, in whose place the new one comes.
 *
 * Syscalls at start: close mount_setattr open_tree readlink
 */
static int namespace_take(struct grafts *all, const char *path, uint64_t attr)
{
	struct mount_attr set = { .attr_set = attr | MOUNT_ATTR_NOSUID |
						MOUNT_ATTR_NOEXEC };
	struct graft *g = &all->of[all->nr];
	int ret;

	if (!realpath(path, g->path))
		return errno == ENOENT ? 0 : -errno;
	if (!strcmp(g->path, "/") || namespace_has(all, g->path))
		return 0;
	g->tree = open_tree(AT_FDCWD, g->path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (g->tree < 0)
		return -errno;
	if (!mount_setattr(g->tree, "", AT_EMPTY_PATH, &set, sizeof(set))) {
		all->nr++;
		return 0;
	}
	ret = -errno;
	close(g->tree);
	return ret;
}

static int namespace_take_socket(struct grafts *all, const char *path)
{
	char dir[PATH_MAX], *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	return namespace_take(all, slash ? dir : ".", MOUNT_ATTR_NODEV);
}

static int namespace_take_all(const struct sandbox *sb, struct grafts *all)
{
	unsigned int i;
	int ret = 0;

	/* First what the others may be mounted in. */
	for (i = 0; !ret && i < sb->nr_sockets; i++)
		ret = namespace_take_socket(all, sb->sockets[i]);
	if (!ret)
		ret = namespace_take(all, "/sys",
				     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	if (!ret)
		ret = namespace_take(all, "/dev/vfio", 0);
	if (!ret)
		ret = namespace_take(all, "/dev/iommu", 0);
	return ret;
}

/* Syscalls at start: move_mount newfstatat */
static int namespace_attach(const struct graft *g)
{
	char at[PATH_MAX + sizeof(ROOT)];
	struct stat st;
	int ret;

	if (fstat(g->tree, &st))
		return -errno;
	ret = namespace_make(g->path, !S_ISDIR(st.st_mode));
	if (ret)
		return ret;
	snprintf(at, sizeof(at), ROOT "%s", g->path);
	return move_mount(g->tree, "", AT_FDCWD, at,
			  MOVE_MOUNT_F_EMPTY_PATH) ? -errno : 0;
}

/* Syscalls at start: mount */
static int namespace_build(const struct grafts *all, const char *cwd)
{
	unsigned int i;
	int ret = 0;

	if (mount("vfio-bridge", ROOT, "tmpfs", ROOT_FLAGS, "mode=0755"))
		return -errno;
	for (i = 0; !ret && i < all->nr; i++)
		ret = namespace_attach(&all->of[i]);
	/* What was given relative to it shall be found. */
	if (!ret)
		ret = namespace_make(cwd, false);
	if (!ret && mount(NULL, ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY |
			  ROOT_FLAGS, NULL))
		ret = -errno;
	return ret;
}

/*
 * The old root ends up on top of the new one, and goes.
 *
 * Syscalls at start: chdir pivot_root umount2
 */
static int namespace_switch(const char *cwd)
{
	if (chdir(ROOT) || syscall(SYS_pivot_root, ".", ".") ||
	    umount2(".", MNT_DETACH) || chdir(cwd))
		return -errno;
	return 0;
}

/* Syscalls at start: getcwd */
static int namespace_move(const struct sandbox *sb, struct grafts *all)
{
	char cwd[PATH_MAX];
	int ret;

	if (!getcwd(cwd, sizeof(cwd)))
		strcpy(cwd, "/");
	ret = namespace_take_all(sb, all);
	if (!ret)
		ret = namespace_build(all, cwd);
	return ret ? ret : namespace_switch(cwd);
}

/* Syscalls at start: close mount unshare */
int namespace_enter(const struct sandbox *sb)
{
	struct grafts *all;
	int ret;

	if (unshare(CLONE_NEWNS))
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	all = calloc(1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	ret = namespace_move(sb, all);
	while (all->nr)
		close(all->of[--all->nr].tree);
	free(all);
	return ret;
}
