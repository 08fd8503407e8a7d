/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_TREE_H
#define FAKE_TREE_H

#include <stddef.h>

#include "fake.h"

/**
 * tree_create() - what sysfs, /dev and the device's memory are
 * @root: an empty directory
 * @config: the machine
 *
 * Return: 0 or a negative errno; something may be there even so.
 */
int tree_create(const char *root, const struct fake_config *config);

/**
 * tree_file() - make a file and the directories to it
 * @root: a directory
 * @path: below it
 * @data: what to put in
 * @len: of @data in bytes
 *
 * Return: an open fd, or a negative errno.
 */
int tree_file(const char *root, const char *path, const void *data,
	      size_t len);

#endif
