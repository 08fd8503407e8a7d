// SPDX-License-Identifier: GPL-2.0-only
/*
 * open(2) and ioctl(2), as the program calls them.
 *
 * What isn't ours goes to libc with the same name and the same arguments. Two
 * ioctls of devices that aren't ours take an fd of a container or an iommufd:
 * what the program has there is ours, so they are given the real node that was
 * opened with it. From then on all ioctls on it go to the real node.
 */
#undef _FORTIFY_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "abi/vfio.h"
#include "debug.h"
#include "interpose.h"

int run_usable(const struct run_file *file)
{
	static atomic_bool said;

	if (run_is_owner(file))
		return 0;
	if (!atomic_exchange(&said, true))
		run_say("a child can't use a device that its parent opened: it must open it itself");
	return -EIO;
}

/* Return: an fd or -1, and true; false: it is none of our nodes. */
static bool open_node(int dir, const char *path, int flags, int *fd)
{
	uint64_t start = run_debug_us();
	struct run_node node;
	int ret;

	if (!run_node_find(dir, path, &node))
		return false;
	run_cancel_off();
	ret = run_node_open(&node, path, flags);
	run_debug_call(ret, start, "open(\"%s\", %#x)", path, flags);
	run_cancel_restore();
	*fd = run_result(ret);
	return true;
}

static int open_other(int dir, const char *path, int fd)
{
	if (fd >= 0)
		run_node_saw_other(dir, path);
	return fd;
}

INTERPOSED int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if (open_node(AT_FDCWD, path, flags, &fd))
		return fd;
	return open_other(AT_FDCWD, path, NEXT(open)(path, flags, mode));
}

INTERPOSED int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if (open_node(dir, path, flags, &fd))
		return fd;
	return open_other(dir, path, NEXT(openat)(dir, path, flags, mode));
}

/* With _FORTIFY_SOURCE, for calls without a mode */
INTERPOSED int __open_2(const char *path, int flags)
{
	int fd;

	if (open_node(AT_FDCWD, path, flags, &fd))
		return fd;
	return open_other(AT_FDCWD, path, NEXT(__open_2)(path, flags));
}

INTERPOSED int __openat_2(int dir, const char *path, int flags)
{
	int fd;

	if (open_node(dir, path, flags, &fd))
		return fd;
	return open_other(dir, path, NEXT(__openat_2)(dir, path, flags));
}

INTERPOSED int creat(const char *path, mode_t mode)
{
	int fd;

	if (open_node(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, &fd))
		return fd;
	return open_other(AT_FDCWD, path, NEXT(creat)(path, mode));
}

/* What is to be looked up in its own way, or isn't known, is the kernel's. */
INTERPOSED int openat2(int dir, const char *path, const struct open_how *how,
		       size_t size)
{
	struct open_how own;
	int fd;

	if (size == sizeof(own) && !run_copy_in(&own, how, size) &&
	    !(own.resolve & ~(uint64_t)(RESOLVE_NO_SYMLINKS |
					RESOLVE_NO_MAGICLINKS)) &&
	    open_node(dir, path, own.flags, &fd))
		return fd;
	return open_other(dir, path,
			  syscall(SYS_openat2, dir, path, how, size));
}

/*
 * Turn an fd that the program has for a container or iommufd into the real
 * node's; itself if it isn't ours.
 */
static int ioctl_twin(int fd)
{
	struct run_file *file = run_file_find(fd);
	int twin = fd;

	if (!file)
		return fd;
	run_cancel_off();
	twin = file->twin;
	if (twin >= 0)
		atomic_store(&file->is_real, true);
	else
		run_say("a device that isn't ours needs the real /dev/vfio/vfio or /dev/iommu, which can't be opened");
	run_file_put(file);
	run_cancel_restore();
	return twin;
}

static int ioctl_real_group(int fd, unsigned long request, void *arg)
{
	int32_t container;

	if (!run_copy_in(&container, arg, sizeof(container))) {
		container = ioctl_twin(container);
		arg = &container;
	}
	return NEXT(ioctl)(fd, request, arg);
}

static int ioctl_real_bind(int fd, unsigned long request, void *arg)
{
	struct abi_vfio_device_bind_iommufd bind = { 0 };
	uint32_t size;
	int32_t iommufd;
	int ret;

	if (run_copy_in(&size, arg, sizeof(size)) || size > sizeof(bind) ||
	    run_copy_in(&bind, arg, size))
		return NEXT(ioctl)(fd, request, arg);
	iommufd = bind.iommufd;
	bind.iommufd = ioctl_twin(iommufd);
	ret = NEXT(ioctl)(fd, request, &bind);
	bind.iommufd = iommufd;
	if (!ret && run_copy_out(arg, &bind, size))
		return run_result(-EFAULT);
	return ret;
}

static bool ioctl_names_ours(unsigned long request, const void *arg)
{
	struct abi_vfio_device_bind_iommufd bind;
	struct run_file *file;
	int32_t fd = -1;

	if (request == VFIO_GROUP_SET_CONTAINER) {
		if (run_copy_in(&fd, arg, sizeof(fd)))
			return false;
	} else if (request == ABI_VFIO_DEVICE_BIND_IOMMUFD) {
		if (run_copy_in(&bind, arg,
				offsetof(struct abi_vfio_device_bind_iommufd,
					 out_devid)))
			return false;
		fd = bind.iommufd;
	}
	file = run_file_find(fd);
	run_file_put(file);
	return file;
}

static int ioctl_other(int fd, unsigned long request, void *arg)
{
	if ((request != VFIO_GROUP_SET_CONTAINER &&
	     request != ABI_VFIO_DEVICE_BIND_IOMMUFD) ||
	    !ioctl_names_ours(request, arg))
		return NEXT(ioctl)(fd, request, arg);
	if (request == ABI_VFIO_DEVICE_BIND_IOMMUFD)
		return ioctl_real_bind(fd, request, arg);
	return ioctl_real_group(fd, request, arg);
}

static int ioctl_ours(struct run_file *file, unsigned long request, void *arg)
{
	int ret = run_usable(file);

	if (ret)
		return ret;
	/* What is made before a device is bound belongs where that will be. */
	if (file->kind == RUN_IOMMUFD && file->twin >= 0 && run_node_others())
		atomic_store(&file->is_real, true);
	if (atomic_load(&file->is_real)) {
		ret = NEXT(ioctl)(file->twin, request, arg);
		return ret < 0 ? -errno : ret;
	}
	return file->ops->ioctl(file, request, arg);
}

INTERPOSED int ioctl(int fd, unsigned long request, ...)
{
	struct run_file *file = run_file_find(fd);
	uint64_t start;
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!file)
		return ioctl_other(fd, request, arg);
	run_cancel_off();
	start = run_debug_us();
	/* The kernel takes 32 bits; who passes an int has sign bits above. */
	request = (uint32_t)request;
	ret = ioctl_ours(file, request, arg);
	if (run_debug())
		run_debug_ioctl(file, fd, request, arg, ret,
				run_debug_us() - start);
	run_file_put(file);
	run_cancel_restore();
	return run_result(ret);
}
