// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paths: which of them are ours.
 *
 * /dev/vfio/vfio and /dev/iommu are, as soon as there is a device of ours;
 * /dev/vfio/GROUP and /dev/vfio/devices/vfioN are if the launcher was told of a
 * device there. A path is compared after "//", "/./" and "/../" are taken out
 * of it, and a relative one after the directory's own path was put in front.
 * Symbolic links are not followed. No directory lists our nodes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "interpose.h"

/* The numbers of the miscellaneous devices; the rest is given out at run time. */
#define MISC_MAJOR	10
#define VFIO_MINOR	196
#define OTHER_MAJOR	511

/* Below this the kernel lets nobody map anything (vm.mmap_min_addr). */
#define NODE_LOWEST	4096

static atomic_bool node_saw_other;
static atomic_bool node_saw_ours;

/* Put the directory's path in front; NULL if it has none, or that is too long. */
static const char *node_absolute(int dir, const char *path, char *buf,
				 size_t size)
{
	char link[64];
	ssize_t n;

	if (path[0] == '/')
		return path;
	snprintf(link, sizeof(link), dir == AT_FDCWD ? "/proc/self/cwd" :
		 "/proc/self/fd/%d", dir);
	n = readlink(link, buf, size);
	if (n <= 0 || n + 1 + strlen(path) >= size || buf[0] != '/')
		return NULL;
	buf[n] = '/';
	strcpy(buf + n + 1, path);
	return buf;
}

/* One component of a path at @p, of @len bytes, onto what is in @out. */
static char *node_component(char *out, char *end, const char *p, size_t len)
{
	if (!len || (len == 1 && p[0] == '.'))
		return end;
	if (len == 2 && p[0] == '.' && p[1] == '.') {
		while (end > out && *--end != '/')
			;
		return end;
	}
	*end++ = '/';
	memcpy(end, p, len);
	return end + len;
}

/* @out has room for what is in @path, and one more. */
static void node_normalise(const char *path, char *out)
{
	char *end = out;

	while (*path) {
		size_t len = strcspn(path, "/");

		end = node_component(out, end, path, len);
		path += len + (path[len] == '/');
	}
	*end = '\0';
}

static bool node_match_group(const char *name, struct run_node *node)
{
	struct run_device *devices;
	unsigned int i, nr;
	char number[16];

	devices = run_devices(&nr);
	for (i = 0; i < nr; i++) {
		snprintf(number, sizeof(number), "%d", devices[i].group);
		if (devices[i].group < 0 || strcmp(number, name))
			continue;
		node->kind = RUN_GROUP;
		node->group = devices[i].group;
		return true;
	}
	return false;
}

static bool node_match_cdev(const char *name, struct run_node *node)
{
	struct run_device *devices;
	unsigned int i, nr;

	devices = run_devices(&nr);
	for (i = 0; i < nr; i++) {
		if (!devices[i].cdev[0] || strcmp(devices[i].cdev, name))
			continue;
		node->kind = RUN_DEVICE;
		node->dev = &devices[i];
		return true;
	}
	return false;
}

static bool node_match(const char *path, struct run_node *node)
{
	unsigned int nr;

	run_devices(&nr);
	if (!nr)
		return false;
	if (!strcmp(path, "/dev/iommu")) {
		node->kind = RUN_IOMMUFD;
		return true;
	}
	if (!strcmp(path, "/dev/vfio/vfio")) {
		node->kind = RUN_CONTAINER;
		return true;
	}
	if (!strncmp(path, "/dev/vfio/devices/", 18))
		return node_match_cdev(path + 18, node);
	if (!strncmp(path, "/dev/vfio/", 10))
		return node_match_group(path + 10, node);
	return false;
}

/*
 * What no program has memory at is the kernel's to refuse. Whether there is any
 * elsewhere isn't asked: this is called for each path that a program names, and
 * a system call more, which its sandbox may not know, is worth less than that.
 */
static bool node_can_read(const char *path)
{
	return (intptr_t)path >= NODE_LOWEST;
}

bool run_node_is_empty(const char *path)
{
	return !path || (node_can_read(path) && !*path);
}

/* Most paths aren't worth more than this. */
static bool node_is_candidate(const char *path)
{
	const char *name;

	if (!node_can_read(path))
		return false;
	if (path[0] == '/' && strncmp(path, "/dev", 4) && path[1] != '/' &&
	    path[1] != '.')
		return false;
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	return !strcmp(name, "vfio") || !strcmp(name, "iommu") ||
	       strspn(name, "0123456789") == strlen(name) ||
	       !strncmp(name, "vfio", 4);
}

static bool node_resolve(int dir, const char *path, char *out, size_t size)
{
	char buf[PATH_MAX];
	int saved = errno;

	if (!node_is_candidate(path))
		return false;
	path = node_absolute(dir, path, buf, sizeof(buf));
	errno = saved;
	if (!path || strlen(path) + 2 > size)
		return false;
	node_normalise(path, out);
	return true;
}

bool run_node_find(int dir, const char *path, struct run_node *node)
{
	char out[PATH_MAX];

	return node_resolve(dir, path, out, sizeof(out)) &&
	       node_match(out, node);
}

void run_node_saw_other(int dir, const char *path)
{
	char out[PATH_MAX];

	if (node_resolve(dir, path, out, sizeof(out)) &&
	    !strncmp(out, "/dev/vfio/", 10))
		atomic_store(&node_saw_other, true);
}

bool run_node_others(void)
{
	return atomic_load(&node_saw_other) && !atomic_load(&node_saw_ours);
}

/* As sysfs has it; @minor where it has nothing. */
static dev_t node_number(const char *class, const char *name, unsigned int major,
			 unsigned int minor)
{
	char path[128], text[32] = "";
	unsigned int a, b;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/%s/%s/dev", class, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) > 0 &&
		    sscanf(text, "%u:%u", &a, &b) == 2) {
			major = a;
			minor = b;
		}
		close(fd);
	}
	return makedev(major, minor);
}

dev_t run_node_rdev(const struct run_node *node)
{
	char name[16];

	switch (node->kind) {
	case RUN_CONTAINER:
		return makedev(MISC_MAJOR, VFIO_MINOR);
	case RUN_IOMMUFD:
		return node_number("misc", "iommu", MISC_MAJOR, 127);
	case RUN_GROUP:
		snprintf(name, sizeof(name), "%d", node->group);
		return node_number("vfio", name, OTHER_MAJOR, node->group);
	default:
		return node_number("vfio-dev", node->dev->cdev, OTHER_MAJOR - 1,
				   atoi(node->dev->cdev + 4));
	}
}

void run_node_stat(dev_t rdev, struct stat *st)
{
	if (run_real()->stat("/dev", st))
		memset(st, 0, sizeof(*st));
	st->st_ino = rdev ? rdev : 1;
	st->st_nlink = 1;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_rdev = rdev;
	st->st_size = 0;
	st->st_blocks = 0;
	st->st_blksize = 4096;
	st->st_mode = 0600 | (rdev ? S_IFCHR : 0);
	if (rdev == makedev(MISC_MAJOR, VFIO_MINOR))
		st->st_mode |= 0066;
}

static int node_file(const struct run_node *node, struct run_file **file)
{
	switch (node->kind) {
	case RUN_GROUP:
		return run_group_new(node->group, file);
	case RUN_CONTAINER:
		*file = run_container_new();
		break;
	case RUN_IOMMUFD:
		*file = run_iommufd_new();
		break;
	default:
		*file = run_device_new_cdev(node->dev);
	}
	return *file ? 0 : -ENOMEM;
}

/* The same node of the kernel's, for devices that aren't ours. */
static int node_twin(const char *path, int flags)
{
	int saved = errno;
	int fd = run_real()->open(path, (flags & O_ACCMODE) | O_CLOEXEC);

	errno = saved;
	return fd < 0 ? -1 : run_fd_hide(fd);
}

int run_node_open(const struct run_node *node, const char *path, int flags)
{
	struct run_file *file = NULL;
	int ret;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	ret = node_file(node, &file);
	if (ret)
		return ret;
	file->rdev = run_node_rdev(node);
	if (node->kind == RUN_CONTAINER || node->kind == RUN_IOMMUFD)
		file->twin = node_twin(path, flags);
	else
		atomic_store(&node_saw_ours, true);
	return run_file_install(file, flags & O_CLOEXEC, -1);
}
