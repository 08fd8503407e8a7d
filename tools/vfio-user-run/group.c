// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfio/GROUP: the way to its devices.
 *
 * A group can be open once, because its devices can. Opening it connects to
 * every device of it that the launcher was told of, so that a program learns at
 * the same time as it would from the kernel that somebody else has the device.
 * A device's file keeps its group open, and the group keeps its container.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "interpose.h"

/* How long a device's name may be, with its options: PAGE_SIZE in the kernel */
#define NAME_SIZE	4096

void run_groups_fork(void)
{
	pthread_rwlock_init(&run_attach_lock, NULL);
}

static struct run_group *to_group(struct run_file *file)
{
	return container_of(file, struct run_group, file);
}

int run_group_for_each(const struct run_group *group,
		       int (*fn)(struct run_device *dev, void *arg), void *arg,
		       const struct run_device *until)
{
	struct run_device *devices;
	unsigned int i, nr;
	int ret = 0;

	devices = run_devices(&nr);
	for (i = 0; i < nr && &devices[i] != until && !ret; i++) {
		if (devices[i].group == group->number)
			ret = fn(&devices[i], arg);
	}
	return ret;
}

/* It may be put on a container, an iommufd, or something else altogether. */
static int group_put_on(struct run_group *group, struct run_file *file)
{
	int ret;

	if (group->iommu)
		return -EINVAL;
	if (!file || (file->kind != RUN_CONTAINER && file->kind != RUN_IOMMUFD))
		return -EBADFD;
	if (atomic_load(&file->is_real))
		return -EPERM;
	if (file->kind == RUN_CONTAINER)
		ret = run_container_attach(file, group);
	else
		ret = run_iommufd_compat_create(file);
	if (ret)
		return ret;
	run_file_get(file);
	group->iommu = file;
	return 0;
}

static int group_set_container(struct run_group *group, const void *arg)
{
	struct run_file *file;
	int32_t fd;
	int ret;

	if (run_copy_in(&fd, arg, sizeof(fd)))
		return -EFAULT;
	file = run_file_find(fd);
	if (!file && run_real()->fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	pthread_rwlock_wrlock(&run_attach_lock);
	ret = group_put_on(group, file);
	pthread_rwlock_unlock(&run_attach_lock);
	run_file_put(file);
	return ret;
}

/* With the lock as the writer; the caller puts what it is set to. */
static struct run_file *group_take_off(struct run_group *group)
{
	struct run_file *file = group->iommu;

	if (file && file->kind == RUN_CONTAINER)
		run_container_detach(file, group);
	group->iommu = NULL;
	return file;
}

static int group_unset_container(struct run_group *group)
{
	struct run_file *file = NULL;
	int ret = 0;

	pthread_rwlock_wrlock(&run_attach_lock);
	if (!group->iommu)
		ret = -EINVAL;
	else if (group->iommu->kind == RUN_CONTAINER && group->users)
		ret = -EBUSY;
	else
		file = group_take_off(group);
	pthread_rwlock_unlock(&run_attach_lock);
	run_file_put(file);
	return ret;
}

static int group_get_status(struct run_group *group, void *arg)
{
	struct vfio_group_status status;

	if (run_copy_in(&status, arg, sizeof(status)))
		return -EFAULT;
	if (status.argsz < sizeof(status))
		return -EINVAL;
	pthread_rwlock_rdlock(&run_attach_lock);
	status.flags = VFIO_GROUP_FLAGS_VIABLE;
	if (group->iommu)
		status.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
	pthread_rwlock_unlock(&run_attach_lock);
	return run_copy_out(arg, &status, sizeof(status));
}

static bool name_is_uuid(const char *text)
{
	unsigned int i;

	for (i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' :
		    !text[i] || !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	}
	return true;
}

/*
 * Options follow the name of a PCI device. A VF's token is the business of the
 * bridge, which has the device open; here it only has to be one.
 *
 * Return: 1, 0 or a negative errno: -EINVAL for what can't be an option.
 */
static int name_matches(const struct run_device *dev, const char *name)
{
	static const char token[] = "vf_token=";
	size_t len = strlen(dev->bdf);

	if (strncmp(dev->bdf, name, len))
		return 0;
	name += len;
	if (!*name)
		return 1;
	if (*name != ' ')
		return 0;
	for (; *name; name += strspn(name, " ")) {
		name += strspn(name, " ");
		if (!*name)
			break;
		if (strncmp(name, token, strlen(token)) ||
		    !name_is_uuid(name + strlen(token)))
			return -EINVAL;
		name += strlen(token) + 36;
	}
	return 1;
}

struct lookup {
	const char *name;
	struct run_device *dev;
};

static int lookup_device(struct run_device *dev, void *arg)
{
	struct lookup *lookup = arg;
	int ret = name_matches(dev, lookup->name);

	if (ret > 0)
		lookup->dev = dev;
	return ret;
}

/* As strndup_user() in the kernel. */
static int name_copy_in(char *name, const char *arg)
{
	size_t n;

	for (n = 0; n < NAME_SIZE; n++) {
		if (run_copy_in(&name[n], arg + n, 1))
			return -EFAULT;
		if (!name[n])
			return 0;
	}
	return -EINVAL;
}

static int group_open_device(struct run_group *group, const char *name,
			     struct run_file **file)
{
	struct lookup lookup = { .name = name };
	int ret;

	ret = run_group_for_each(group, lookup_device, &lookup, NULL);
	if (ret < 0)
		return ret;
	if (!lookup.dev)
		return -ENODEV;
	if (!group->iommu || (group->iommu->kind == RUN_CONTAINER &&
			      !run_container_is_set(group->iommu)))
		return -EINVAL;
	return run_device_open(lookup.dev, group, file);
}

static int group_get_device_fd(struct run_group *group, const char *arg)
{
	char name[NAME_SIZE];
	struct run_file *file;
	int ret;

	ret = name_copy_in(name, arg);
	if (ret)
		return ret;
	pthread_rwlock_wrlock(&run_attach_lock);
	ret = group_open_device(group, name, &file);
	pthread_rwlock_unlock(&run_attach_lock);
	return ret ? ret : run_file_install(file, O_CLOEXEC, -1);
}

static int group_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	struct run_group *group = to_group(file);

	switch (request) {
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device_fd(group, arg);
	case VFIO_GROUP_GET_STATUS:
		return group_get_status(group, arg);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(group, arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(group);
	default:
		return -ENOTTY;
	}
}

static int device_put(struct run_device *dev, void *arg)
{
	run_device_put(dev);
	return 0;
}

static void group_release(struct run_file *file)
{
	struct run_group *group = to_group(file);
	struct run_file *iommu;

	pthread_rwlock_wrlock(&run_attach_lock);
	iommu = group_take_off(group);
	run_group_for_each(group, device_put, NULL, NULL);
	pthread_rwlock_unlock(&run_attach_lock);
	run_file_put(iommu);
	free(group);
}

static const struct run_ops group_ops = {
	.ioctl = group_ioctl,
	.release = group_release,
};

static int device_get(struct run_device *dev, void *failed)
{
	int ret = run_device_get(dev);

	if (ret)
		*(struct run_device **)failed = dev;
	return ret;
}

static int group_connect(struct run_group *group)
{
	struct run_device *failed = NULL;
	int ret;

	ret = run_group_for_each(group, device_get, &failed, NULL);
	if (ret)
		run_group_for_each(group, device_put, NULL, failed);
	return ret;
}

int run_group_new(int number, struct run_file **file)
{
	struct run_group *group = calloc(1, sizeof(*group));
	int ret;

	if (!group)
		return -ENOMEM;
	run_file_init(&group->file, RUN_GROUP, &group_ops);
	group->number = number;
	pthread_rwlock_wrlock(&run_attach_lock);
	ret = group_connect(group);
	pthread_rwlock_unlock(&run_attach_lock);
	if (ret) {
		free(group);
		return ret;
	}
	*file = &group->file;
	return 0;
}
