/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_DEVICE_H
#define PCI_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include "util.h"

#define PCI_NAME_LEN	64
#define PCI_SYSFS_LEN	256

/**
 * struct pci_name - what a device is called and where sysfs has it
 * @name: 0000:bb:dd.f for PCI, the UUID for a mediated device
 * @sysfs: directory in /sys
 * @mdev: it is a mediated device
 */
struct pci_name {
	char name[PCI_NAME_LEN];
	char sysfs[PCI_SYSFS_LEN];
	bool mdev;
};

/**
 * pci_resolve() - find the device that an operator named
 * @arg: [domain:]bus:device.function, a mediated device's UUID, or its path
 *       in /sys
 * @out: filled in
 *
 * Return: 0; -EINVAL if @arg is none of these; -ENODEV if there is no such
 * device.
 */
int pci_resolve(const char *arg, struct pci_name *out);

/**
 * pci_list_hint() - how to see which devices there are
 * @name: one that pci_resolve() has not found
 *
 * Return: a few words.
 */
const char *pci_list_hint(const struct pci_name *name);

/**
 * pci_driver() - which kernel driver holds a device
 * @sysfs: its directory
 * @buf: the driver's name, or "" when there is none
 * @len: of @buf in bytes
 *
 * Return: 0 or -ENAMETOOLONG.
 */
int pci_driver(const char *sysfs, char *buf, size_t len);

/**
 * pci_describe() - class, vendor and device in words, from pci.ids
 * @sysfs: a PCI device's directory
 * @buf: for instance "Non-Volatile memory controller: Red Hat, Inc. QEMU NVM
 *       Express Controller"; "" if sysfs doesn't tell
 * @len: of @buf in bytes
 */
void pci_describe(const char *sysfs, char *buf, size_t len);

/**
 * pci_check_usage() - what the machine itself does with a device
 * @sysfs: a PCI device's directory
 * @say: called with a line about each use: a network interface that is up, a
 *       disk that is mounted; and what to do
 * @arg: for @say
 */
void pci_check_usage(const char *sysfs,
		     void (*say)(const char *text, void *arg), void *arg);

/** pci_can_reset() - can the kernel reset this device, and it alone? */
bool pci_can_reset(const char *sysfs);

/**
 * pci_bind() - give a device to a driver
 * @sysfs: a PCI device's directory
 * @driver: the driver to bind it to; "" to release it and let the kernel
 *          choose again
 *
 * Uses driver_override, so that no other device is bound by the way.
 *
 * Return: 0; -ENOENT if the driver isn't loaded; -EBUSY if something else
 * took the device; or what sysfs says.
 */
int pci_bind(const char *sysfs, const char *driver);

#endif
