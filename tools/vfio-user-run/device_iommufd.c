// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's own node: bound to an iommufd, attached to an address space of it.
 *
 * Binding connects to the bridge. A device is bound once, by one file; that
 * file's end unbinds it. PASIDs are not supported, as with a device that has
 * none.
 */
#include <errno.h>
#include <fcntl.h>

#include "abi/vfio.h"
#include "device.h"

/* A longer structure than we know may only have zeros there. */
static int bind_check_tail(const char *arg, uint32_t size)
{
	size_t at;
	char c;

	if (size > 4096)
		return -E2BIG;
	for (at = sizeof(struct abi_vfio_device_bind_iommufd); at < size;
	     at++) {
		if (run_copy_in(&c, arg + at, 1))
			return -EFAULT;
		if (c)
			return -E2BIG;
	}
	return 0;
}

static int bind_copy_in(struct abi_vfio_device_bind_iommufd *bind, void *arg)
{
	uint32_t size;
	int ret;

	if (run_copy_in(&size, arg, sizeof(size)))
		return -EFAULT;
	if (size < ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ)
		return -EINVAL;
	ret = bind_check_tail(arg, size);
	if (ret)
		return ret;
	*bind = (struct abi_vfio_device_bind_iommufd){ 0 };
	if (run_copy_in(bind, arg, min((size_t)size, sizeof(*bind))))
		return -EFAULT;
	if (bind->iommufd < 0 ||
	    bind->flags & ~ABI_VFIO_DEVICE_BIND_FLAG_TOKEN)
		return -EINVAL;
	return 0;
}

static int bind_connect(struct device_file *df, struct run_file *iommufd,
			void *arg)
{
	struct abi_vfio_device_bind_iommufd *out = arg;
	int ret;

	/* By another file than this */
	if (df->dev->is_bound)
		return -EINVAL;
	ret = run_device_get(df->dev);
	if (ret)
		return ret;
	ret = run_iommufd_add_device(iommufd, df->dev, &df->id);
	if (ret)
		goto put_device;
	ret = run_copy_out(&out->out_devid, &df->id, sizeof(df->id));
	if (ret)
		goto remove_device;
	run_file_get(iommufd);
	df->iommufd = iommufd;
	df->dev->is_bound = true;
	atomic_store(&df->granted, true);
	return 0;

remove_device:
	run_iommufd_remove_device(iommufd, df->id);
put_device:
	run_device_put(df->dev);
	return ret;
}

/* With the lock as the writer. */
static int bind_to(struct device_file *df, struct run_file *file, int fd,
		   void *arg)
{
	/* A group that is open comes first. */
	if (df->dev->in_use && !df->dev->is_bound)
		return -EBUSY;
	if (atomic_load(&df->granted))
		return -EINVAL;
	if (!file)
		return run_real()->fcntl(fd, F_GETFD) < 0 ? -EBADF : -EBADFD;
	if (file->kind != RUN_IOMMUFD)
		return -EBADFD;
	if (atomic_load(&file->is_real)) {
		run_say("an iommufd can't have devices of a bridge and others");
		return -EBADFD;
	}
	return bind_connect(df, file, arg);
}

int device_bind(struct device_file *df, void *arg)
{
	struct abi_vfio_device_bind_iommufd bind;
	struct run_file *file;
	int ret;

	ret = bind_copy_in(&bind, arg);
	if (ret)
		return ret;
	if (df->group)
		return -EINVAL;
	file = run_file_find(bind.iommufd);
	pthread_rwlock_wrlock(&run_attach_lock);
	ret = bind_to(df, file, bind.iommufd, arg);
	pthread_rwlock_unlock(&run_attach_lock);
	run_file_put(file);
	return ret;
}

void device_unbind(struct device_file *df)
{
	pthread_rwlock_wrlock(&run_attach_lock);
	run_iommufd_remove_device(df->iommufd, df->id);
	run_device_put(df->dev);
	df->dev->is_bound = false;
	pthread_rwlock_unlock(&run_attach_lock);
}

int device_attach(struct device_file *df, void *arg)
{
	struct abi_vfio_device_attach_iommufd_pt attach, *out = arg;
	int ret;

	if (run_copy_in(&attach, arg, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ))
		return -EFAULT;
	if (attach.argsz < ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ ||
	    attach.flags & ~ABI_VFIO_DEVICE_ATTACH_PASID)
		return -EINVAL;
	if (attach.flags & ABI_VFIO_DEVICE_ATTACH_PASID)
		return -EOPNOTSUPP;
	ret = run_iommufd_attach(df->iommufd, df->id, &attach.pt_id);
	if (ret)
		return ret;
	if (run_copy_out(&out->pt_id, &attach.pt_id, sizeof(attach.pt_id))) {
		run_iommufd_detach(df->iommufd, df->id);
		return -EFAULT;
	}
	return 0;
}

int device_detach(struct device_file *df, void *arg)
{
	struct abi_vfio_device_detach_iommufd_pt detach;

	if (run_copy_in(&detach, arg, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ))
		return -EFAULT;
	if (detach.argsz < ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT_MINSZ ||
	    detach.flags & ~ABI_VFIO_DEVICE_DETACH_PASID)
		return -EINVAL;
	if (detach.flags & ABI_VFIO_DEVICE_DETACH_PASID)
		return -EOPNOTSUPP;
	run_iommufd_detach(df->iommufd, df->id);
	return 0;
}
