// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is wrong with a group or a node, in words.
 *
 * The kernel answers EPERM, EBUSY or ENOENT; an operator needs the name of the
 * device, the driver or the permission that stands in the way. Everything here
 * is read from sysfs after something has failed, to explain it. Nothing is
 * decided by it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

void vfio_why_set(struct vfio_why *why, const char *fmt, ...)
{
	va_list args;

	if (!why)
		return;
	va_start(args, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
}

/* Syscalls: geteuid newfstatat */
void vfio_why_permission(const char *path, struct vfio_why *why)
{
	struct stat st;

	if (stat(path, &st)) {
		vfio_why_set(why, "no permission to open %s", path);
		return;
	}
	vfio_why_set(why, "no permission to open %s as uid %u: it belongs to uid %u, gid %u, mode %03o; chown it to the daemon's user, or write a udev rule that does",
		     path, geteuid(), st.st_uid, st.st_gid, st.st_mode & 0777);
}

/* Syscalls: openat */
int vfio_open_node(const char *path, struct vfio_why *why)
{
	int err;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;

	err = -errno;
	switch (err) {
	case -EACCES:
		vfio_why_permission(path, why);
		break;
	case -ENOENT:
		vfio_why_set(why, "%s does not exist: is the device bound to vfio-pci, and is that module loaded (modprobe vfio-pci)?",
			     path);
		break;
	case -EBUSY:
		vfio_why_set(why, "%s is busy: another process has the device, or another device of its group, open",
			     path);
		break;
	default:
		vfio_why_set(why, "cannot open %s: %s", path,
			     strerrordesc_np(-err));
	}
	return err;
}

/* Drivers that a device in a group of VFIO devices may have. */
static bool vfio_driver_is_harmless(const char *driver)
{
	return !strncmp(driver, "vfio", 4) || strstr(driver, "_vfio_") ||
	       strstr(driver, "-vfio-") || !strcmp(driver, "pci-stub") ||
	       !strcmp(driver, "pcieport");
}

/*
 * The driver that a device of a group has, if it is one that spoils the group.
 *
 * Syscalls: readlink
 */
static bool vfio_read_spoiler(int group, const char *device, char *driver,
			      size_t len)
{
	char path[384], link[256];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path),
		 "/sys/kernel/iommu_groups/%d/devices/%.128s/driver",
		 group, device);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	name = strrchr(link, '/') ? strrchr(link, '/') + 1 : link;
	if (vfio_driver_is_harmless(name))
		return false;
	snprintf(driver, len, "%s", name);
	return true;
}

/* Syscalls: close getdents64 newfstatat openat */
void vfio_group_spoilers(int group,
			 void (*say)(const char *device, const char *driver,
				     void *arg), void *arg)
{
	char path[128], driver[256];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices",
		 group);
	dir = opendir(path);
	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (de->d_name[0] != '.' &&
		    vfio_read_spoiler(group, de->d_name, driver,
				      sizeof(driver)))
			say(de->d_name, driver, arg);
	}
	closedir(dir);
}

/* Syscalls: close getdents64 newfstatat openat */
bool vfio_group_is_alone(int group)
{
	unsigned int nr = 0;
	struct dirent *de;
	char path[128];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices",
		 group);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((de = readdir(dir)))
		nr += de->d_name[0] != '.';
	closedir(dir);
	return nr == 1;
}

/**
 * struct vfio_spoiler - room for one of them
 * @buf: "" until there is one
 * @len: of @buf in bytes
 */
struct vfio_spoiler {
	char *buf;
	size_t len;
};

static void vfio_note_spoiler(const char *device, const char *driver,
			      void *arg)
{
	const struct vfio_spoiler *spoiler = arg;

	if (!spoiler->buf[0])
		snprintf(spoiler->buf, spoiler->len, "%s (driver %s)", device,
			 driver);
}

bool vfio_group_spoiler(int group, char *buf, size_t len)
{
	struct vfio_spoiler spoiler = { buf, len };

	buf[0] = '\0';
	vfio_group_spoilers(group, vfio_note_spoiler, &spoiler);
	return buf[0];
}
