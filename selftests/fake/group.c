// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfio/GROUP. Only one process has a group open at one time: the lock of
 * the marker file says so, and the device's own file when only the device's fd
 * is left of an earlier opening.
 */
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/**
 * struct group - an open group
 * @file: what its fds refer to
 * @number: which group
 * @container: which it is in, or NULL
 * @nr_devices: how many of its devices are open
 */
struct group {
	struct fake_file file;
	uint32_t number;
	struct container *container;
	unsigned int nr_devices;
};

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static long group_status(struct group *group, struct vfio_group_status *status)
{
	if (status->argsz < sizeof(*status))
		return -EINVAL;

	status->flags = 0;
	if (group->container)
		status->flags = VFIO_GROUP_FLAGS_CONTAINER_SET |
				VFIO_GROUP_FLAGS_VIABLE;
	else if (!config()->not_viable)
		status->flags = VFIO_GROUP_FLAGS_VIABLE;
	return 0;
}

static long group_set_container(struct group *group, const int *arg)
{
	struct fake_file *file = file_of(*arg, FAKE_CONTAINER);

	if (raw_fcntl(*arg, F_GETFD, 0) < 0)
		return -EBADF;
	if (group->container)
		return -EINVAL;
	if (!file)
		return -EBADFD;
	if (config()->not_viable)
		return -EPERM;
	group->container = container_attach(file);
	return 0;
}

static long group_unset_container(struct group *group)
{
	if (!group->container)
		return -EINVAL;
	if (group->nr_devices)
		return -EBUSY;
	container_detach(group->container);
	group->container = NULL;
	return 0;
}

static long group_get_device(struct group *group, const char *name)
{
	int index = machine_find(name);

	if (index < 0 || machine_group(index) != group->number)
		return -ENODEV;
	if (!group->container || !container_ready(group->container))
		return -EINVAL;
	return device_get_fd(&group->file, index);
}

static long group_ioctl(struct fake_file *file, int fd, unsigned long request,
			void *arg)
{
	struct group *group = container_of(file, struct group, file);

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		return group_status(group, arg);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(group, arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(group);
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device(group, arg);
	default:
		return -ENOTTY;
	}
}

static void group_release(struct fake_file *file)
{
	struct group *group = container_of(file, struct group, file);

	if (group->container)
		container_detach(group->container);
	free(group);
}

static const struct fake_ops group_ops = {
	.kind = FAKE_GROUP,
	.ioctl = group_ioctl,
	.release = group_release,
};

int group_open(int fd, uint32_t number)
{
	struct group *group;
	int err = -EBUSY;

	if (raw_flock(fd) || device_held(number))
		goto close;
	err = -ENOMEM;
	group = calloc(1, sizeof(*group));
	if (!group)
		goto close;
	group->file = (struct fake_file){ &group_ops, 1 };
	group->number = number;
	return file_install(fd, &group->file);

close:
	raw_close(fd);
	return err;
}

bool group_is_open(uint32_t number)
{
	char path[PATH_MAX], node[64];
	bool is_open;
	int fd;

	snprintf(node, sizeof(node), "dev/vfio/%s%u",
		 config()->noiommu ? "noiommu-" : "", number);
	fd = raw_openat(AT_FDCWD, fake_path(path, node), O_RDONLY | O_CLOEXEC,
			0);
	if (fd < 0)
		return false;
	is_open = raw_flock(fd);
	raw_close(fd);
	return is_open;
}

uint32_t group_number(struct fake_file *group)
{
	return container_of(group, struct group, file)->number;
}

struct container *group_container(struct fake_file *group)
{
	return container_of(group, struct group, file)->container;
}

void group_use(struct fake_file *file, bool use)
{
	struct group *group = container_of(file, struct group, file);

	if (use) {
		file_get(file);
		group->nr_devices++;
	} else {
		group->nr_devices--;
		file_put(file);
	}
}
