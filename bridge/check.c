// SPDX-License-Identifier: GPL-2.0-only
/*
 * --check: can it be exported, and if not, what stands in the way?
 *
 * Says for each device all that is found, with what to do about it, in words for
 * people, on stdout. Nothing is opened of VFIO's, no device is reset, and a
 * socket that a daemon listens on isn't connected to: it is safe on a machine at
 * work. What only shows when the device is opened is not found: a kernel that
 * refuses it, or a doorbell that can't be had.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"

/**
 * struct check - what has been found of one device
 * @text: lines
 * @obstacles: how many of them stand in the way
 */
struct check {
	FILE *text;
	unsigned int obstacles;
};

/* Syscalls at start: newfstatat write */
static void check_say(const char *text, void *arg)
{
	struct check *c = arg;

	fprintf(c->text, "  - %s\n", text);
	c->obstacles++;
}

static void __printf(2, 3) check_obstacle(struct check *c, const char *fmt,
					  ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check_say(text, c);
}

/* Syscalls at start: newfstatat write */
static void __printf(2, 3) check_note(struct check *c, const char *fmt, ...)
{
	va_list args;

	fputs("  note: ", c->text);
	va_start(args, fmt);
	vfprintf(c->text, fmt, args);
	va_end(args);
	fputc('\n', c->text);
}

/*
 * Does somebody listen there? Asked of the kernel, not of whoever it is.
 *
 * Syscalls at start: close lseek newfstatat openat read
 */
static bool check_listens(const char *path)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512], found[256];
	unsigned int flags;
	bool listens = false;

	while (f && !listens && fgets(line, sizeof(line), f))
		listens = sscanf(line, "%*s %*x %*x %x %*x %*x %*u %255s",
				 &flags, found) == 2 &&
			  flags & 0x10000 && !strcmp(found, path);
	if (f)
		fclose(f);
	return listens;
}

/* Syscalls at start: access faccessat2 geteuid */
static void check_directory(struct check *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)] = ".";

	if (slash)
		snprintf(dir, sizeof(dir), "%.*s",
			 max((int)(slash - path), 1), path);
	if (access(dir, F_OK))
		check_obstacle(c, "%s: the directory %s does not exist: create it",
			       path, dir);
	else if (eaccess(dir, W_OK | X_OK))
		check_obstacle(c, "%s: uid %u may not create a socket in %s: choose another directory, or change its owner",
			       path, geteuid(), dir);
}

/* Syscalls at start: newfstatat */
static void check_socket(struct check *c, const char *path)
{
	struct sockaddr_un addr;
	struct stat st;

	if (!path)
		return;
	if (strlen(path) >= sizeof(addr.sun_path)) {
		check_obstacle(c, "%s: the path is longer than %zu bytes: choose a shorter one",
			       path, sizeof(addr.sun_path) - 1);
		return;
	}
	check_directory(c, path);
	if (lstat(path, &st))
		return;
	if (!S_ISSOCK(st.st_mode))
		check_obstacle(c, "%s: it exists and is not a socket: remove it, or choose another path",
			       path);
	else if (check_listens(path))
		check_obstacle(c, "%s: another process listens there: end it, or choose another path",
			       path);
}

/*
 * Does a VFIO driver have it?
 *
 * Syscalls at start: access
 */
static bool check_driver(struct check *c, const struct pci_name *device)
{
	char driver[64];

	if (pci_driver(device->sysfs, driver, sizeof(driver)) ||
	    device->mdev || strstr(driver, "vfio"))
		return true;
	check_obstacle(c, "%s%s has it, not vfio-pci: 'vfio-user bind %s' binds it, as root",
		       driver[0] ? "driver " : "no driver", driver,
		       device->name);
	if (access("/sys/bus/pci/drivers/vfio-pci", F_OK))
		check_obstacle(c, "the driver vfio-pci is not loaded: modprobe vfio-pci");
	pci_check_usage(device->sysfs, check_say, c);
	return false;
}

/* Syscalls at start: geteuid prlimit64 */
static void check_memlock(struct check *c)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_MEMLOCK, &limit) &&
	    limit.rlim_cur != RLIM_INFINITY && geteuid())
		check_note(c, "the memlock limit is %llu bytes: clients can map that much in all; raise it to the client's memory and some (ulimit -l, LimitMEMLOCK=)",
			   (unsigned long long)limit.rlim_cur);
}

/* Others of the command line that are in its group. */
static void check_neighbours(struct check *c, const struct daemon *d,
			     const struct bridge *b)
{
	int group = vfio_read_group(b->device.sysfs);
	const struct bridge *other;

	for (other = d->bridges; other < d->bridges + d->nr_bridges; other++) {
		if (other != b && other->device.sysfs[0] && group >= 0 &&
		    vfio_read_group(other->device.sysfs) == group)
			check_note(c, "it shares IOMMU group %d with %s: only clients of the same user and the same memory can have them at one time",
				   group, other->device.name);
	}
}

static const char *check_kind_name(enum vfio_iommu_kind kind)
{
	return kind == VFIO_IOMMU_IOMMUFD ? vfio_iommufd_ops.name :
					    vfio_type1_ops.name;
}

static enum vfio_iommu_kind check_device(struct check *c,
					 const struct daemon *d,
					 const struct bridge *b)
{
	unsigned int flags = d->opts->unsafe_noiommu ?
		VFIO_OPEN_UNSAFE_NOIOMMU : 0;
	bool bound = check_driver(c, &b->device);
	enum vfio_iommu_kind kind;

	kind = vfio_check(b->device.name, b->device.sysfs, d->opts->iommu,
			  flags, bound, check_say, c);
	if (!b->device.mdev && !pci_can_reset(b->device.sysfs))
		check_note(c, "it has no reset of its own: its bus is reset, if that can be and touches no device of others");
	if (!b->device.mdev)
		check_memlock(c);
	check_neighbours(c, d, b);
	return kind;
}

/* The name that was given, if it means nothing. */
static void check_resolve(struct check *c, struct bridge *b)
{
	int ret = pci_resolve(b->own->device, &b->device);

	if (ret == -EINVAL)
		check_obstacle(c, "that is no device: give a PCI address such as 0000:01:00.0, or a mediated device's UUID");
	else if (ret)
		check_obstacle(c, "there is no such device (%s)",
			       pci_list_hint(&b->device));
	if (ret)
		b->device.sysfs[0] = '\0';
}

/* Syscalls at start: close lseek newfstatat write */
static bool check_one(const struct daemon *d, struct bridge *b)
{
	enum vfio_iommu_kind kind = d->opts->iommu;
	struct check c = { 0 };
	char what[256] = "", *text = NULL;
	size_t len;

	c.text = open_memstream(&text, &len);
	if (!c.text)
		return false;
	check_resolve(&c, b);
	if (!c.obstacles) {
		pci_describe(b->device.sysfs, what, sizeof(what));
		kind = check_device(&c, d, b);
	}
	check_socket(&c, b->own->socket_path);
	fclose(c.text);

	printf("%s%s%s\n", b->own->device, what[0] ? ": " : "", what);
	if (c.obstacles)
		printf("  cannot be exported:\n");
	else
		printf("  can be exported, through %s\n",
		       check_kind_name(kind));
	fputs(text, stdout);
	free(text);
	return !c.obstacles;
}

static bool check_monitor(const struct options *opts)
{
	struct check c = { .text = stdout };

	check_socket(&c, opts->monitor_path);
	return !c.obstacles;
}

static void check_init(struct daemon *d, const struct options *opts)
{
	unsigned int i;

	d->opts = opts;
	d->nr_bridges = opts->nr_devices;
	for (i = 0; i < d->nr_bridges; i++) {
		struct bridge *b = &d->bridges[i];

		b->own = &opts->devices[i];
		/* What is wrong with it is said when it is its turn. */
		if (pci_resolve(b->own->device, &b->device))
			b->device.sysfs[0] = '\0';
	}
}

static int check_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/*
 * Without --device: those that a VFIO driver has.
 *
 * Syscalls at start: close getdents64 newfstatat openat sysinfo
 */
static void check_find(struct options *opts)
{
	static char names[MAX_DEVICES][PCI_NAME_LEN];
	DIR *dir = opendir("/sys/bus/pci/devices");
	char sysfs[PCI_SYSFS_LEN], driver[64];
	unsigned int i, nr = 0;
	struct dirent *de;

	while (dir && nr < MAX_DEVICES && (de = readdir(dir))) {
		snprintf(sysfs, sizeof(sysfs), "/sys/bus/pci/devices/%.63s",
			 de->d_name);
		if (!pci_driver(sysfs, driver, sizeof(driver)) &&
		    strstr(driver, "vfio"))
			snprintf(names[nr++], PCI_NAME_LEN, "%.63s",
				 de->d_name);
	}
	if (dir)
		closedir(dir);

	qsort(names, nr, sizeof(names[0]), check_compare);
	for (i = 0; i < nr; i++) {
		opts->devices[i].device = names[i];
		opts->devices[i].fd = -1;
	}
	opts->nr_devices = nr;
}

/* Syscalls at start: newfstatat write */
int check_run(struct options *opts)
{
	static struct daemon d;
	bool all = true;
	unsigned int i;

	if (!opts->nr_devices)
		check_find(opts);
	if (!opts->nr_devices) {
		printf("no device is bound to vfio-pci: 'vfio-user bind BDF' binds one, as root; --check --device=BDF says what stands in its way\n");
		return BRIDGE_EXIT_DEVICE;
	}
	check_init(&d, opts);
	for (i = 0; i < d.nr_bridges; i++)
		all &= check_one(&d, &d.bridges[i]);
	all &= check_monitor(opts);
	return all ? BRIDGE_EXIT_OK : BRIDGE_EXIT_DEVICE;
}
