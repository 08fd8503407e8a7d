/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What containers, groups and devices know of each other.
 *
 * Which group is on which container, and which device is open, changes under
 * run_attach_lock as the writer; who uses it holds the lock as a reader
 * meanwhile. It comes before all other locks. No file is put with it held.
 */
#ifndef ATTACH_H
#define ATTACH_H

#include "run.h"

extern pthread_rwlock_t run_attach_lock;

/**
 * struct run_group - an open group
 * @file: it has no twin
 * @number: IOMMU group
 * @iommu: the container or iommufd that it is on, with a reference; or NULL
 * @users: open files of its devices
 * @sibling: next group on the same container
 */
struct run_group {
	struct run_file file;
	int number;
	struct run_file *iommu;
	unsigned int users;
	struct run_group *sibling;
};

/**
 * run_group_for_each() - call a function for each device of a group
 * @group: the group
 * @fn: a result that isn't 0 ends it
 * @arg: for @fn
 * @until: the device to end before; NULL for none
 *
 * Return: the last result of @fn.
 */
int run_group_for_each(const struct run_group *group,
		       int (*fn)(struct run_device *dev, void *arg), void *arg,
		       const struct run_device *until);

/**
 * run_container_attach() - put a group on a container
 * @file: a container
 * @group: on none
 *
 * Return: 0 or a negative errno. With the lock as the writer, as the others.
 */
int run_container_attach(struct run_file *file, struct run_group *group);

/** run_container_detach() - take it off; the container's reference stays */
void run_container_detach(struct run_file *file, struct run_group *group);

/** run_container_is_set() - has it got an IOMMU? */
bool run_container_is_set(const struct run_file *file);

/**
 * run_device_open() - a device's file, of its group's making
 * @dev: connected
 * @group: its group, on a container or iommufd; takes a reference on success
 * @file: set to the file
 *
 * Return: 0 or a negative errno.
 */
int run_device_open(struct run_device *dev, struct run_group *group,
		    struct run_file **file);

#endif
