/* SPDX-License-Identifier: GPL-2.0-only */
/* What the launcher's files share. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <limits.h>

#include "util.h"

/* sysfs.c */

/**
 * sysfs_group() - the IOMMU group of a device
 * @name: PCI address, or a mediated device's UUID
 *
 * Return: its number, or -1 if sysfs has none.
 */
int sysfs_group(const char *name);

/**
 * sysfs_cdev() - the name of a device's own node
 * @name: PCI address, or a mediated device's UUID
 * @cdev: set to "vfioN", or "" if it has none
 * @size: room in @cdev, in bytes
 */
void sysfs_cdev(const char *name, char *cdev, size_t size);

/* program.c */

/**
 * program_find() - where execvp(3) would find a program
 * @name: as it was given
 * @path: set to where it is
 *
 * Return: 0 or a negative errno.
 */
int program_find(const char *name, char path[PATH_MAX]);

/**
 * program_check() - can a library be preloaded into a program?
 * @path: of the program
 *
 * Return: NULL, or why it can't be: what to say after the program's name.
 */
const char *program_check(const char *path);

#endif
