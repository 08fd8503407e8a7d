// SPDX-License-Identifier: GPL-2.0-only
/*
 * Landlock: which paths the daemon can still open, and whom it can reach.
 *
 * All that the kernel's version of Landlock can refuse is refused, with these
 * exceptions:
 *
 * - /dev/vfio and /dev/iommu: open, and ask with ioctl(2). The whole directory,
 *   because a device that comes back does so under another name;
 * - the devices' directories in /sys, and /sys/kernel/iommu_groups: read;
 * - the directories of the daemon's sockets: remove files. One can't be
 *   removed any other way, so a socket had better be in a directory of its own.
 *
 * What was opened before stays open. Landlock doesn't look at stat(2),
 * readlink(2) and access(2): that other files exist isn't kept from the daemon,
 * unless it has a mount namespace of its own.
 *
 * The C library has no functions for this, and its headers may be older than
 * the kernel that we run on, so the interface is written down here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridge/sandbox.h"
#include "util.h"

/* What is newer than version 1, each with the version that has it. */
#define FS_REFER		(1ull << 13)	/* 2 */
#define FS_TRUNCATE		(1ull << 14)	/* 3 */
#define NET_TCP			(1ull << 0 | 1ull << 1)	/* 4 */
#define FS_IOCTL_DEV		(1ull << 15)	/* 5 */
#define SCOPE_ABSTRACT_UNIX	(1ull << 0)	/* 6 */
#define SCOPE_SIGNAL		(1ull << 1)	/* 6 */
#define FS_RESOLVE_UNIX		(1ull << 16)	/* 9 */
#define NET_UDP			(1ull << 2 | 1ull << 3)	/* 10 */

/* Version 1: all bits up to MAKE_SYM. */
#define FS_FIRST		((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
/* What a rule about a file can name; the rest is about directories. */
#define FS_FILE			(LANDLOCK_ACCESS_FS_READ_FILE | \
				 LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV)

#define NODES			(FS_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define READ			(LANDLOCK_ACCESS_FS_READ_FILE | \
				 LANDLOCK_ACCESS_FS_READ_DIR)

/* As of version 6. A kernel takes a shorter one, and a longer one of zeroes. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

/* Syscalls at start: landlock_create_ruleset */
static int landlock_create(const struct ruleset_attr *attr, size_t size,
			   uint32_t flags)
{
	return syscall(SYS_landlock_create_ruleset, attr, size, flags);
}

static int landlock_version(void)
{
	return max(landlock_create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION),
		   0);
}

/* Everything that a kernel of this version can refuse. */
static struct ruleset_attr landlock_attr(int version)
{
	return (struct ruleset_attr){
		.handled_access_fs = FS_FIRST |
				     (version >= 2 ? FS_REFER : 0) |
				     (version >= 3 ? FS_TRUNCATE : 0) |
				     (version >= 5 ? FS_IOCTL_DEV : 0) |
				     (version >= 9 ? FS_RESOLVE_UNIX : 0),
		.handled_access_net = (version >= 4 ? NET_TCP : 0) |
				      (version >= 10 ? NET_UDP : 0),
		.scoped = version >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0,
	};
}

/*
 * Allow @access at @path and below. What isn't there needs no rule.
 *
 * Syscalls at start: close landlock_add_rule newfstatat openat
 */
static int landlock_allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule;
	struct stat st;
	int fd, ret = 0;

	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st)) {
		ret = -errno;
		goto close;
	}
	rule.parent_fd = fd;
	rule.allowed_access = S_ISDIR(st.st_mode) ? access : access & FS_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &rule, 0))
		ret = -errno;
close:
	close(fd);
	return ret;
}

/* The directory of a socket. */
static int landlock_allow_unlink(int ruleset, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (!slash)
		strcpy(dir, ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path + 1),
			 path);
	return landlock_allow(ruleset, dir, LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

static int landlock_allow_all(int ruleset, const struct sandbox *sb,
			      uint64_t handled)
{
	unsigned int i;
	int ret;

	ret = landlock_allow(ruleset, "/dev/vfio", NODES & handled);
	if (!ret)
		ret = landlock_allow(ruleset, "/dev/iommu", NODES & handled);
	if (!ret)
		ret = landlock_allow(ruleset, "/sys/kernel/iommu_groups", READ);
	for (i = 0; !ret && i < sb->nr_devices; i++)
		ret = landlock_allow(ruleset, sb->devices[i], READ);
	for (i = 0; !ret && i < sb->nr_sockets; i++)
		ret = landlock_allow_unlink(ruleset, sb->sockets[i]);
	return ret;
}

/* Syscalls at start: close landlock_restrict_self */
int landlock_enter(const struct sandbox *sb)
{
	int version = landlock_version(), ruleset, ret;
	struct ruleset_attr attr = landlock_attr(version);
	size_t size = version >= 6 ? sizeof(attr) : version >= 4 ?
		offsetof(struct ruleset_attr, scoped) :
		offsetof(struct ruleset_attr, handled_access_net);

	if (!version)
		return 0;
	ruleset = landlock_create(&attr, size, 0);
	if (ruleset < 0)
		return -errno;
	ret = landlock_allow_all(ruleset, sb, attr.handled_access_fs);
	if (!ret && syscall(SYS_landlock_restrict_self, ruleset, 0))
		ret = -errno;
	close(ruleset);
	return ret ? ret : version;
}

const char *landlock_missing(int version)
{
	if (version < 1)
		return "anything: not built in, or not among the kernel's lsm=";
	if (version < 5)
		return "ioctl(2) on devices, TCP or signals";
	if (version < 6)
		return "signals or abstract sockets";
	return NULL;
}
