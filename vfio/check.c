// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands in the way of a device, found without opening anything.
 *
 * Sysfs, the nodes' permissions and /proc are looked at, and each obstacle is
 * said, not just the first as when opening fails. Which way in would be taken is
 * decided by the code that decides it for opening. What only the kernel knows,
 * it says when the device is opened.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/**
 * struct vfio_check - looking at one device
 * @dev: it, identified and not open
 * @say: told of each obstacle
 * @arg: for @say
 */
struct vfio_check {
	struct vfio_device dev;
	void (*say)(const char *text, void *arg);
	void *arg;
};

static void __printf(2, 3) vfio_say(const struct vfio_check *c,
				    const char *fmt, ...)
{
	struct vfio_why why;
	va_list args;

	va_start(args, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, args);
	va_end(args);
	c->say(why.text, c->arg);
}

/* Syscalls at start: close getdents64 newfstatat openat */
static bool vfio_has_groups(void)
{
	DIR *dir = opendir("/sys/kernel/iommu_groups");
	struct dirent *de;
	bool has = false;

	if (!dir)
		return false;
	while (!has && (de = readdir(dir)))
		has = de->d_name[0] != '.';
	closedir(dir);
	return has;
}

static void vfio_check_iommu(const struct vfio_check *c)
{
	if (c->dev.group >= 0 || c->dev.noiommu)
		return;
	if (vfio_has_groups())
		vfio_say(c, "no IOMMU confines this device, while others of this machine are: it cannot be exported safely");
	else
		vfio_say(c, "the machine has no IOMMU that is on: turn it on in the firmware and, on Intel, boot with intel_iommu=on");
}

static void vfio_say_spoiler(const char *device, const char *driver, void *arg)
{
	const struct vfio_check *c = arg;

	if (strcmp(device, c->dev.name))
		vfio_say(c, "IOMMU group %d is not viable because of %s (driver %s): bind that device to vfio-pci too, or to no driver",
			 c->dev.group, device, driver);
}

/* Syscalls at start: access faccessat2 */
static void vfio_check_node(const struct vfio_check *c, const char *path,
			    const char *missing)
{
	struct vfio_why why;

	if (access(path, F_OK)) {
		vfio_say(c, "%s does not exist: %s", path, missing);
	} else if (eaccess(path, R_OK | W_OK)) {
		vfio_why_permission(path, &why);
		c->say(why.text, c->arg);
	}
}

static bool vfio_is_number(const char *s)
{
	return s[0] && !s[strspn(s, "0123456789")];
}

/*
 * Does a process have this node open?
 *
 * Syscalls at start: close getdents64 newfstatat openat readlink
 */
static bool vfio_holds(const char *pid, const char *node)
{
	char path[320], link[320];
	struct dirent *de;
	bool holds = false;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!holds && (de = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%.16s/fd/%.16s", pid,
			 de->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[max(n, (ssize_t)0)] = '\0';
		holds = !strcmp(link, node);
	}
	closedir(dir);
	return holds;
}

/* Syscalls at start: close lseek newfstatat openat read */
static void vfio_say_holder(const struct vfio_check *c, const char *pid,
			    const char *node)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(name, sizeof(name), f))
			name[0] = '\0';
		fclose(f);
	}
	name[strcspn(name, "\n")] = '\0';
	vfio_say(c, "process %s (%s) has %s open: end it", pid, name, node);
}

/*
 * As far as this user may look.
 *
 * Syscalls at start: close getdents64 newfstatat openat
 */
static void vfio_check_holders(const struct vfio_check *c, const char *node)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;

	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (vfio_is_number(de->d_name) && vfio_holds(de->d_name, node))
			vfio_say_holder(c, de->d_name, node);
	}
	closedir(dir);
}

static void vfio_check_iommufd(const struct vfio_check *c)
{
	char path[96];

	vfio_check_node(c, "/dev/iommu",
			"modprobe iommufd, or use --iommu=type1 if this kernel has none (CONFIG_IOMMUFD)");
	if (c->dev.noiommu)
		vfio_say(c, "a device without an IOMMU can only be opened with --iommu=type1");
	if (!c->dev.cdev[0]) {
		vfio_say(c, "the device has no node in /dev/vfio/devices: the kernel needs CONFIG_VFIO_DEVICE_CDEV; use --iommu=type1");
		return;
	}
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", c->dev.cdev);
	vfio_check_node(c, path, "is /dev a devtmpfs, and may this process see it?");
	vfio_check_holders(c, path);
}

/* Syscalls: access */
static void vfio_check_type1(const struct vfio_check *c)
{
	char path[64];

	vfio_check_node(c, "/dev/vfio/vfio",
			"modprobe vfio, or use --iommu=iommufd if this kernel has no containers (CONFIG_VFIO_CONTAINER)");
	if (!c->dev.noiommu && access("/sys/module/vfio_iommu_type1", F_OK))
		vfio_say(c, "the kernel has no type1v2 IOMMU driver: modprobe vfio_iommu_type1");
	if (c->dev.group < 0)
		return;
	snprintf(path, sizeof(path), "/dev/vfio/%s%d",
		 c->dev.noiommu ? "noiommu-" : "", c->dev.group);
	vfio_check_node(c, path, "is /dev a devtmpfs, and may this process see it?");
	vfio_check_holders(c, path);
}

/* Syscalls at start: access */
enum vfio_iommu_kind vfio_check(const char *name, const char *sysfs,
				enum vfio_iommu_kind kind, unsigned int flags,
				bool bound,
				void (*say)(const char *text, void *arg),
				void *arg)
{
	struct vfio_check c = { .say = say, .arg = arg };
	struct vfio_why why;

	vfio_why_set(&why, "%s", "");
	if (vfio_identify(&c.dev, name, sysfs, flags, &why))
		say(why.text, arg);
	vfio_check_iommu(&c);
	if (c.dev.group >= 0)
		vfio_group_spoilers(c.dev.group, vfio_say_spoiler, &c);
	if (!bound) {
		if (access("/dev/vfio/vfio", F_OK) && access("/dev/iommu", F_OK))
			vfio_say(&c, "neither /dev/vfio/vfio nor /dev/iommu exists: modprobe vfio-pci");
		return kind;
	}

	kind = vfio_choose(&c.dev, kind);
	if (kind == VFIO_IOMMU_IOMMUFD)
		vfio_check_iommufd(&c);
	else
		vfio_check_type1(&c);
	return kind;
}
