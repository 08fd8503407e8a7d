// SPDX-License-Identifier: GPL-2.0-only
/*
 * What devices are called: by operators, by sysfs, by pci.ids.
 *
 * Operators name a PCI device by its address, with or without the domain, and
 * a mediated device by its UUID; either may be given as a path in /sys. The
 * kernel's VFIO wants the name in full.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pci/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"

#define UUID_LEN	36

static bool pci_parse_address(const char *arg, char *name, size_t len)
{
	unsigned int domain = 0, bus, device, function;
	int end = 0;

	/* scanf would take a sign, a blank or 0x. */
	if (arg[strspn(arg, "0123456789abcdefABCDEF:.")])
		return false;
	if (sscanf(arg, "%x:%x:%x.%x%n", &domain, &bus, &device, &function,
		   &end) != 4 || arg[end]) {
		domain = 0;
		if (sscanf(arg, "%x:%x.%x%n", &bus, &device, &function,
			   &end) != 3 || arg[end])
			return false;
	}
	if (bus > 0xff || device > 0x1f || function > 7)
		return false;
	snprintf(name, len, "%04x:%02x:%02x.%x", domain, bus, device, function);
	return true;
}

static bool pci_is_uuid(const char *arg)
{
	size_t i;

	if (strlen(arg) != UUID_LEN)
		return false;
	for (i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? arg[i] != '-' : !isxdigit((unsigned char)arg[i]))
			return false;
	}
	return true;
}

/* Syscalls at start: access */
int pci_resolve(const char *arg, struct pci_name *out)
{
	const char *slash = strrchr(arg, '/');
	size_t i;

	memset(out, 0, sizeof(*out));
	if (arg[0] == '/' && (strncmp(arg, "/sys/", 5) || !slash[1]))
		return -EINVAL;
	if (slash)
		arg = slash + 1;

	if (pci_is_uuid(arg)) {
		out->mdev = true;
		/* The kernel writes it so, however it was given. */
		for (i = 0; i < UUID_LEN; i++)
			out->name[i] = tolower((unsigned char)arg[i]);
		snprintf(out->sysfs, sizeof(out->sysfs),
			 "/sys/bus/mdev/devices/%s", out->name);
	} else if (pci_parse_address(arg, out->name, sizeof(out->name))) {
		snprintf(out->sysfs, sizeof(out->sysfs),
			 "/sys/bus/pci/devices/%s", out->name);
	} else {
		return -EINVAL;
	}
	return access(out->sysfs, F_OK) ? -ENODEV : 0;
}

const char *pci_list_hint(const struct pci_name *name)
{
	return name->mdev ? "ls /sys/bus/mdev/devices lists them" :
			    "lspci -D lists them";
}

/* Syscalls: readlink */
int pci_driver(const char *sysfs, char *buf, size_t len)
{
	char path[PCI_SYSFS_LEN + 16], link[256];
	const char *name;
	ssize_t n;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "%s/driver", sysfs);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	name = strrchr(link, '/') ? strrchr(link, '/') + 1 : link;
	if (strlen(name) >= len)
		return -ENAMETOOLONG;
	strcpy(buf, name);
	return 0;
}

/* Syscalls at start: close lseek newfstatat openat read */
static bool pci_read_id(const char *sysfs, const char *attribute,
			unsigned int *value)
{
	char path[PCI_SYSFS_LEN + 32];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sysfs, attribute);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fscanf(f, "%x", value) == 1;
	fclose(f);
	return ok;
}

/* Names that can't be found are no news. */
static void pci_say_nothing(char *fmt, ...)
{
}

/*
 * libpci calls these when it doesn't know an id. Only pci_init() would set
 * them, and it ends the program where there is no PCI bus to scan. udev's
 * database has the same names as pci.ids, and libpci leaks where it isn't
 * installed. It leaks the name of its cache, too, which has what it was told by
 * DNS and is in somebody's home.
 */
static struct pci_access *pci_names_alloc(void)
{
	struct pci_access *access = pci_alloc();

	if (access) {
		access->warning = pci_say_nothing;
		access->debug = pci_say_nothing;
		pci_set_param(access, "hwdb.disable", "1");
		pci_set_param(access, "net.cache_name", "");
	}
	return access;
}

/* Syscalls at start: close lseek newfstatat openat read */
void pci_describe(const char *sysfs, char *buf, size_t len)
{
	unsigned int class, vendor, device;
	char class_name[128], name[256];
	struct pci_access *access;

	buf[0] = '\0';
	if (!pci_read_id(sysfs, "class", &class) ||
	    !pci_read_id(sysfs, "vendor", &vendor) ||
	    !pci_read_id(sysfs, "device", &device))
		return;
	access = pci_names_alloc();
	if (!access)
		return;
	snprintf(buf, len, "%s: %s",
		 pci_lookup_name(access, class_name, sizeof(class_name),
				 PCI_LOOKUP_CLASS, class >> 8),
		 pci_lookup_name(access, name, sizeof(name),
				 PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE,
				 vendor, device));
	pci_cleanup(access);
}
