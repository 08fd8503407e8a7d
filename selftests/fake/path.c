// SPDX-License-Identifier: GPL-2.0-only
/*
 * The C library's functions about paths, in its stead: the parts of /sys and
 * /dev that VFIO has are looked up below the test's directory. There, sysfs is
 * a tree of plain files and relative links, and a device node is an empty file:
 * its name says what opening it gives, its mode who may.
 *
 * What the C library does within itself isn't seen here: scandir(3), glob(3)
 * and nftw(3) look at the real machine.
 */
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "internal.h"
#include "interpose.h"

static const char * const prefixes[] = {
	"/sys/bus/",
	"/sys/class/block",
	"/sys/class/vfio",
	"/sys/devices/",
	"/sys/kernel/iommu_groups",
	"/sys/module/vfio",
	"/dev/iommu",
	"/dev/vfio",
};

static bool path_is_ours(const char *path)
{
	size_t i;

	if (path[0] != '/')
		return false;
	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(path, prefixes[i], strlen(prefixes[i])))
			return fake_control();
	}
	return false;
}

/* Where a path leads: itself, or into @buf, of PATH_MAX bytes. */
static const char *redirect(const char *path, char *buf)
{
	return path_is_ours(path) ? fake_path(buf, path + 1) : path;
}

/* The same, and ask the rules if the path is ours; NULL with errno set. */
static const char *redirect_call(const char *path, char *buf,
				 enum fake_call call)
{
	if (!path_is_ours(path))
		return path;
	if (libc_result(inject(call)))
		return NULL;
	return fake_path(buf, path + 1);
}

/* A path in our /dev that was given relative to an open directory. */
static bool absolute_node(int dir, const char *path, char *buf)
{
	const char *root = fake_root();
	char link[64];
	ssize_t n;

	if (dir == AT_FDCWD || path[0] == '/' || !root)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, buf, PATH_MAX - 1);
	if (n < 0 || n + strlen(path) + 2 > PATH_MAX)
		return false;
	buf[n] = '\0';
	if (strncmp(buf, root, strlen(root)) ||
	    strncmp(buf + strlen(root), "/dev", 4))
		return false;
	sprintf(buf + n, "/%s", path);
	memmove(buf, buf + strlen(root), strlen(buf + strlen(root)) + 1);
	return true;
}

static int marker_open(const char *node, int flags)
{
	char path[PATH_MAX];
	int fd;

	fd = raw_openat(AT_FDCWD, fake_path(path, node + 1), flags, 0);
	return fd < 0 ? -errno : fd;
}

static bool is_number(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

/* The number that a node's name ends with. */
static uint32_t node_number(const char *path)
{
	return strtoul(path + strcspn(path, "0123456789"), NULL, 10);
}

static int (*node_opener(const char *path))(int fd, uint32_t number)
{
	if (!strcmp(path, "/dev/iommu"))
		return iommufd_open;
	if (!strcmp(path, "/dev/vfio/vfio"))
		return container_open;
	if (!strncmp(path, "/dev/vfio/devices/vfio", 22))
		return device_open_cdev;
	if (!strncmp(path, "/dev/vfio/noiommu-", 18))
		return group_open;
	if (!strncmp(path, "/dev/vfio/", 10) && is_number(path + 10))
		return group_open;
	return NULL;
}

int node_open(const char *path, int flags)
{
	int (*opener)(int fd, uint32_t number) = node_opener(path);
	int fd, ret;

	if (!opener || flags & (O_PATH | O_DIRECTORY))
		return -ENXIO;
	ret = inject(FAKE_OPEN);
	if (ret)
		return ret;
	fd = marker_open(path, flags & (O_ACCMODE | O_CLOEXEC | O_NOFOLLOW));
	if (fd < 0)
		return fd;
	fake_lock();
	ret = opener(fd, node_number(path));
	fake_unlock();
	return ret;
}

static int open_redirected(int dir, const char *path, int flags, mode_t mode)
{
	char buf[PATH_MAX];
	int fd;

	/* Who confines itself to the nodes keeps the machine behind them. */
	if (flags & O_PATH && !strcmp(path, "/dev/vfio") && fake_root())
		return raw_openat(AT_FDCWD, fake_root(), flags, 0);
	if (absolute_node(dir, path, buf) || path_is_ours(path)) {
		fd = node_open(path[0] == '/' ? path : buf, flags);
		if (fd != -ENXIO)
			return libc_result(fd);
	}
	path = redirect_call(path, buf, FAKE_OPEN);
	return path ? raw_openat(dir, path, flags, mode) : -1;
}

/* The mode argument is there only if the flags say so. */
static mode_t open_mode(int flags, va_list args)
{
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		return va_arg(args, mode_t);
	return 0;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return open_redirected(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return open_redirected(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...)
	__attribute__((alias("openat")));

int __open_2(const char *path, int flags)
{
	return open_redirected(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_redirected(dir, path, flags, 0);
}

int __open64_2(const char *path, int flags)
	__attribute__((alias("__open_2")));
int __openat64_2(int dir, const char *path, int flags)
	__attribute__((alias("__openat_2")));

/* A node's marker is shown as the character device that it stands for. */
static void show_node(const char *path, struct stat *st)
{
	const char *root = fake_root();

	if (!root || strncmp(path, root, strlen(root)) ||
	    !node_opener(path + strlen(root)) || !S_ISREG(st->st_mode))
		return;
	st->st_mode = (st->st_mode & ~S_IFMT) | S_IFCHR;
	st->st_rdev = makedev(10, 196);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	char buf[PATH_MAX];
	int ret;

	path = redirect_call(path, buf, FAKE_STAT);
	if (!path)
		return -1;
	ret = syscall(SYS_newfstatat, dir, path, st, flags);
	if (!ret && path == buf)
		show_node(path, st);
	return ret;
}

int raw_fstat(int fd, struct stat *st)
{
	return syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

/* A device's fd isn't a file's; out of a group it has no type at all. */
int fstat(int fd, struct stat *st)
{
	int ret = raw_fstat(fd, st), memory;

	if (ret)
		return ret;
	memory = device_open_memory(st);
	if (memory < 0)
		return 0;
	raw_close(memory);
	st->st_mode &= ~S_IFMT;
	return 0;
}

int stat(const char *path, struct stat *st)
{
	return fstatat(AT_FDCWD, path, st, 0);
}

int lstat(const char *path, struct stat *st)
{
	return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

/* struct stat64 is struct stat, but the compiler doesn't know. */
int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dir, path, (struct stat *)st, flags);
}

int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

int stat64(const char *path, struct stat64 *st)
{
	return fstatat(AT_FDCWD, path, (struct stat *)st, 0);
}

int lstat64(const char *path, struct stat64 *st)
{
	return fstatat(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

int statx(int dir, const char *path, int flags, unsigned int mask,
	  struct statx *st)
{
	char buf[PATH_MAX];

	path = redirect_call(path, buf, FAKE_STAT);
	return path ? syscall(SYS_statx, dir, path, flags, mask, st) : -1;
}

int access(const char *path, int mode)
{
	char buf[PATH_MAX];

	path = redirect_call(path, buf, FAKE_ACCESS);
	return path ? syscall(SYS_faccessat, AT_FDCWD, path, mode) : -1;
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	char buf[PATH_MAX];

	path = redirect_call(path, buf, FAKE_ACCESS);
	return path ? syscall(SYS_faccessat2, dir, path, mode, flags) : -1;
}

int euidaccess(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS);
}

int eaccess(const char *path, int mode) __attribute__((alias("euidaccess")));

/* What another process has open, named as if it were the machine's. */
static ssize_t show_process(const char *path, char *buf, ssize_t n)
{
	const char *root = fake_root();
	ssize_t skip = root ? strlen(root) : 0;

	if (!skip || n <= skip || strncmp(path, "/proc/", 6) ||
	    memcmp(buf, root, skip))
		return n;
	memmove(buf, buf + skip, n - skip);
	return n - skip;
}

ssize_t readlinkat(int dir, const char *path, char *buf, size_t len)
{
	char ours[PATH_MAX];

	path = redirect_call(path, ours, FAKE_READLINK);
	if (!path)
		return -1;
	return show_process(path, buf, syscall(SYS_readlinkat, dir, path, buf,
					       len));
}

ssize_t readlink(const char *path, char *buf, size_t len)
{
	return readlinkat(AT_FDCWD, path, buf, len);
}

ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room)
{
	return readlink(path, buf, len > room ? FORTIFY_FAIL : len);
}

ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t len,
			 size_t room)
{
	return readlinkat(dir, path, buf, len > room ? FORTIFY_FAIL : len);
}

DIR *opendir(const char *path)
{
	char buf[PATH_MAX];
	DIR *dir;
	int fd;

	path = redirect_call(path, buf, FAKE_OPENDIR);
	if (!path)
		return NULL;
	fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		raw_close(fd);
	return dir;
}

FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*next)(const char *path, const char *mode);
	char buf[PATH_MAX];

	if (!next)
		next = dlsym(RTLD_NEXT, "fopen");
	path = redirect_call(path, buf, FAKE_OPEN);
	return path ? next(path, mode) : NULL;
}

FILE *fopen64(const char *path, const char *mode)
	__attribute__((alias("fopen")));

/* Out of the test's directory again, as the caller sees it. */
static char *unredirect(char *path)
{
	const char *root = fake_root();

	if (path && root && !strncmp(path, root, strlen(root)))
		memmove(path, path + strlen(root),
			strlen(path + strlen(root)) + 1);
	return path;
}

char *realpath(const char *path, char *resolved)
{
	static char *(*next)(const char *path, char *resolved);
	char buf[PATH_MAX];

	if (!next)
		next = dlsym(RTLD_NEXT, "realpath");
	if (!path || !path_is_ours(path))
		return next(path, resolved);
	return unredirect(next(redirect(path, buf), resolved));
}

char *__realpath_chk(const char *path, char *resolved, size_t room)
{
	if (room < PATH_MAX)
		abort();
	return realpath(path, resolved);
}

char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}
