// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the machine itself does with a device: its network interfaces that are
 * up, its disks that are mounted. Taking it away from its driver would end that.
 */
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"

#define PCI_IFF_UP	0x1

/**
 * struct pci_usage - looking at one device
 * @sysfs: its directory
 * @real: the same, without links
 * @say: told of each use
 * @arg: for @say
 */
struct pci_usage {
	const char *sysfs;
	char real[PATH_MAX];
	void (*say)(const char *text, void *arg);
	void *arg;
};

static void __printf(2, 3) pci_say(const struct pci_usage *u, const char *fmt,
				   ...)
{
	char text[768];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	u->say(text, u->arg);
}

/*
 * Does a default route, of IPv4 or IPv6, go through the interface?
 *
 * Syscalls at start: close lseek newfstatat openat read
 */
static bool pci_is_default_route(const char *interface)
{
	char line[512], name[32], target[64];
	bool found = false;
	FILE *f;

	f = fopen("/proc/net/route", "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%31s %63s", name, target) == 2 &&
			!strcmp(name, interface) && !strcmp(target, "00000000");
	if (f)
		fclose(f);
	if (found)
		return true;

	f = fopen("/proc/net/ipv6_route", "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%63s %*s %*s %*s %*s %*s %*s %*s %*s %31s",
			       target, name) == 2 &&
			!strcmp(name, interface) &&
			!strcmp(target, "00000000000000000000000000000000") &&
			!strncmp(line + 33, "00 ", 3);
	if (f)
		fclose(f);
	return found;
}

/* Syscalls at start: close lseek newfstatat openat read */
static void pci_check_interface(const struct pci_usage *u, const char *name)
{
	char path[PCI_SYSFS_LEN + 64];
	unsigned int flags = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/net/%.31s/flags", u->sysfs, name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%x", &flags) != 1)
		flags = 0;
	fclose(f);
	if (pci_is_default_route(name))
		pci_say(u, "its network interface %s carries the default route: binding it to vfio-pci cuts this machine off",
			name);
	else if (flags & PCI_IFF_UP)
		pci_say(u, "its network interface %s is up: binding it to vfio-pci takes it away; 'ip link set %s down' first",
			name, name);
}

/* Syscalls at start: close getdents64 newfstatat openat */
static void pci_check_network(const struct pci_usage *u)
{
	char path[PCI_SYSFS_LEN + 16];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/net", u->sysfs);
	dir = opendir(path);
	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (de->d_name[0] != '.')
			pci_check_interface(u, de->d_name);
	}
	closedir(dir);
}

/*
 * Where a block device is mounted; the first place will do.
 *
 * Syscalls at start: close lseek newfstatat openat read
 */
static bool pci_find_mount(const char *number, char *where, size_t len)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], found[32], point[512];
	bool mounted = false;

	while (f && !mounted && fgets(line, sizeof(line), f)) {
		mounted = sscanf(line, "%*d %*d %31s %*s %511s", found,
				 point) == 2 && !strcmp(found, number);
		if (mounted)
			snprintf(where, len, "%s", point);
	}
	if (f)
		fclose(f);
	return mounted;
}

/* Syscalls at start: close lseek newfstatat openat read */
static bool pci_is_swap(const char *name)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[512], path[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%255s", path) == 1 &&
			!strncmp(path, "/dev/", 5) && !strcmp(path + 5, name);
	if (f)
		fclose(f);
	return found;
}

/*
 * What is built on a block device: of an encrypted disk, a RAID, a volume.
 *
 * Syscalls at start: close getdents64 newfstatat openat
 */
static bool pci_find_holder(const char *name, char *holder, size_t len)
{
	char path[128];
	struct dirent *de;
	DIR *dir;

	holder[0] = '\0';
	snprintf(path, sizeof(path), "/sys/class/block/%.64s/holders", name);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!holder[0] && (de = readdir(dir))) {
		if (de->d_name[0] != '.')
			snprintf(holder, len, "%s", de->d_name);
	}
	closedir(dir);
	return holder[0];
}

/* Syscalls at start: close lseek newfstatat openat read readlink */
static void pci_check_block(const struct pci_usage *u, const char *name)
{
	char path[128], real[PATH_MAX], number[32] = "", where[512];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/block/%.64s", name);
	if (!realpath(path, real) ||
	    strncmp(real, u->real, strlen(u->real)) ||
	    real[strlen(u->real)] != '/')
		return;
	snprintf(path, sizeof(path), "/sys/class/block/%.64s/dev", name);
	f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%31s", number) != 1)
			number[0] = '\0';
		fclose(f);
	}
	if (pci_find_mount(number, where, sizeof(where)))
		pci_say(u, "its disk %s is mounted on %s: unmount it first",
			name, where);
	if (pci_is_swap(name))
		pci_say(u, "its disk %s is swapped to: 'swapoff /dev/%s' first",
			name, name);
	if (pci_find_holder(name, where, sizeof(where)))
		pci_say(u, "its disk %s is part of %s: take that down first",
			name, where);
}

/* Syscalls at start: close getdents64 newfstatat openat */
static void pci_check_disks(const struct pci_usage *u)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *de;

	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (de->d_name[0] != '.')
			pci_check_block(u, de->d_name);
	}
	closedir(dir);
}

/* Syscalls at start: readlink */
void pci_check_usage(const char *sysfs,
		     void (*say)(const char *text, void *arg), void *arg)
{
	struct pci_usage u = { .sysfs = sysfs, .say = say, .arg = arg };

	pci_check_network(&u);
	if (realpath(sysfs, u.real))
		pci_check_disks(&u);
}

/*
 * A reset of the bus takes all that is on it along, and is listed even for a
 * device that has become not the only one there.
 *
 * Syscalls at start: access close lseek newfstatat openat read
 */
bool pci_can_reset(const char *sysfs)
{
	char path[PCI_SYSFS_LEN + 16], method[32];
	bool own = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/reset_method", sysfs);
	f = fopen(path, "re");
	if (f) {
		while (!own && fscanf(f, "%31s", method) == 1)
			own = strcmp(method, "bus");
		fclose(f);
		return own;
	}
	/* Before Linux 5.15, it isn't told how. */
	snprintf(path, sizeof(path), "%s/reset", sysfs);
	return !access(path, F_OK);
}
