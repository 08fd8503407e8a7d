// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/iommu: the ioctls, and what isn't about one address space.
 *
 * What a program could do to the hardware's own page tables (HWPT_ALLOC and
 * what needs it) isn't there, because the bridge has no message for it:
 * EOPNOTSUPP.
 *
 * A call is checked in the kernel's order: number, size, bytes beyond what is
 * known, then the handler. Its table says for each how long its structure has
 * to be at least, and how much of it is known.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "iommufd.h"
#include "space.h"

#define MAX_STRUCT	64

int iommufd_respond(const struct call *call)
{
	return run_copy_out(call->user, call->cmd, min(call->size, call->known));
}

static int do_destroy(struct call *call)
{
	const struct abi_iommu_destroy *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	struct object *object;
	int ret = 0;

	pthread_mutex_lock(&fd->lock);
	object = cmd->id < fd->room ? &fd->objects[cmd->id] : NULL;
	if (!object || object->type == OBJECT_NONE)
		ret = -ENOENT;
	else if (object->type != OBJECT_IOAS || object->table)
		ret = -EBUSY;
	else
		iommufd_object_free(fd, cmd->id);
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

/* May this process raise resource limits? The kernel asks it the same. */
static bool has_sys_resource(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	return !syscall(SYS_capget, &header, data) &&
	       data[0].effective & 1u << CAP_SYS_RESOURCE;
}

static int option_rlimit_mode(struct iommufd *fd, struct abi_iommu_option *cmd)
{
	int ret = 0;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	if (cmd->op == ABI_IOMMU_OPTION_OP_SET && !has_sys_resource())
		return -EPERM;
	pthread_mutex_lock(&fd->lock);
	switch (cmd->op) {
	case ABI_IOMMU_OPTION_OP_GET:
		cmd->val64 = fd->is_process_mode;
		break;
	case ABI_IOMMU_OPTION_OP_SET:
		if (fd->nr)
			ret = -EBUSY;
		else if (cmd->val64 > 1)
			ret = -EINVAL;
		else
			fd->is_process_mode = cmd->val64;
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static int option_huge_pages(struct iommufd *fd, struct abi_iommu_option *cmd)
{
	struct run_space *space = iommufd_ioas_get(fd, cmd->object_id);
	int ret = 0;

	if (!space)
		return -ENOENT;
	switch (cmd->op) {
	case ABI_IOMMU_OPTION_OP_GET:
		cmd->val64 = run_space_is_huge(space);
		break;
	case ABI_IOMMU_OPTION_OP_SET:
		ret = cmd->val64 > 1 ? -EINVAL :
		      run_space_set_huge(space, cmd->val64);
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	run_space_free(space);
	return ret;
}

static int do_option(struct call *call)
{
	struct abi_iommu_option *cmd = call->cmd;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case ABI_IOMMU_OPTION_RLIMIT_MODE:
		ret = option_rlimit_mode(call->fd, cmd);
		break;
	case ABI_IOMMU_OPTION_HUGE_PAGES:
		ret = option_huge_pages(call->fd, cmd);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return ret ? ret : iommufd_respond(call);
}

static int do_vfio_ioas(struct call *call)
{
	struct abi_iommu_vfio_ioas *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	int ret = 0;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&fd->lock);
	switch (cmd->op) {
	case ABI_IOMMU_VFIO_IOAS_GET:
		cmd->ioas_id = fd->compat;
		ret = fd->compat ? iommufd_respond(call) : -ENODEV;
		break;
	case ABI_IOMMU_VFIO_IOAS_SET:
		if (iommufd_object_find(fd, cmd->ioas_id, OBJECT_IOAS))
			fd->compat = cmd->ioas_id;
		else
			ret = -ENOENT;
		break;
	case ABI_IOMMU_VFIO_IOAS_CLEAR:
		fd->compat = 0;
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

/* Memory is accounted for where it is mapped for the device: in the daemon. */
static int do_change_process(struct call *call)
{
	const struct abi_iommu_ioas_change_process *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	int ret = 0;
	uint32_t i;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&fd->lock);
	for (i = 1; !ret && i < fd->room; i++)
		if (fd->objects[i].type == OBJECT_IOAS &&
		    run_space_has_memory(fd->objects[i].space))
			ret = -EINVAL;
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static int do_unsupported(struct call *call)
{
	return -EOPNOTSUPP;
}

/**
 * struct command - an ioctl
 * @size: of the structure as it is known here
 * @least: of what the first kernels that had it knew
 * @handler: what does it
 */
struct command {
	uint32_t size;
	uint32_t least;
	int (*handler)(struct call *call);
};

#define COMMAND(request, known, least, fn) \
	[_IOC_NR(ABI_IOMMU_##request) - ABI_IOMMUFD_CMD_BASE] = \
		{ known, least, fn }
#define WHOLE(request, type, fn) \
	COMMAND(request, sizeof(struct abi_iommu_##type), \
		sizeof(struct abi_iommu_##type), fn)

/* By number. Those that aren't supported need no structure but its size. */
static const struct command commands[] = {
	WHOLE(DESTROY, destroy, do_destroy),
	WHOLE(IOAS_ALLOC, ioas_alloc, iommufd_do_ioas_alloc),
	WHOLE(IOAS_ALLOW_IOVAS, ioas_allow_iovas, iommufd_do_ioas_allow_iovas),
	WHOLE(IOAS_COPY, ioas_copy, iommufd_do_ioas_copy),
	WHOLE(IOAS_IOVA_RANGES, ioas_iova_ranges, iommufd_do_ioas_iova_ranges),
	WHOLE(IOAS_MAP, ioas_map, iommufd_do_ioas_map),
	WHOLE(IOAS_UNMAP, ioas_unmap, iommufd_do_ioas_unmap),
	WHOLE(OPTION, option, do_option),
	WHOLE(VFIO_IOAS, vfio_ioas, do_vfio_ioas),
	COMMAND(HWPT_ALLOC, 48, 24, do_unsupported),
	COMMAND(GET_HW_INFO, 40, 32, do_unsupported),
	COMMAND(HWPT_SET_DIRTY_TRACKING, 16, 16, do_unsupported),
	COMMAND(HWPT_GET_DIRTY_BITMAP, 48, 48, do_unsupported),
	COMMAND(HWPT_INVALIDATE, 32, 32, do_unsupported),
	COMMAND(FAULT_QUEUE_ALLOC, 16, 16, do_unsupported),
	WHOLE(IOAS_MAP_FILE, ioas_map_file, iommufd_do_ioas_map_file),
	COMMAND(VIOMMU_ALLOC, 40, 24, do_unsupported),
	COMMAND(VDEVICE_ALLOC, 24, 24, do_unsupported),
	WHOLE(IOAS_CHANGE_PROCESS, ioas_change_process, do_change_process),
	COMMAND(VEVENTQ_ALLOC, 32, 28, do_unsupported),
	COMMAND(HW_QUEUE_ALLOC, 40, 40, do_unsupported),
	COMMAND(IOAS_NOIOMMU_GET_PA, 40, 40, do_unsupported),
};

/* What the program knows and we don't has to be 0. */
static int call_check_rest(const struct call *call)
{
	const uint8_t *user = call->user;
	uint32_t at, i;

	for (at = call->known; at < call->size; at += MAX_STRUCT) {
		uint32_t len = min(call->size - at, (uint32_t)MAX_STRUCT);
		uint8_t rest[MAX_STRUCT];

		if (run_copy_in(rest, user + at, len))
			return -EFAULT;
		for (i = 0; i < len; i++)
			if (rest[i])
				return -E2BIG;
	}
	return 0;
}

static int iommufd_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	unsigned int nr = _IOC_NR(request) - ABI_IOMMUFD_CMD_BASE;
	uint64_t buffer[MAX_STRUCT / 8] = { 0 };
	struct call call = {
		.fd = to_iommufd(file),
		.user = arg,
		.cmd = buffer,
	};
	int ret;

	if (_IOC_NR(request) < ABI_IOMMUFD_CMD_BASE ||
	    nr >= ARRAY_SIZE(commands))
		return run_container_ioctl(file, request, arg);
	if (run_copy_in(&call.size, arg, sizeof(call.size)))
		return -EFAULT;
	if ((uint32_t)request != ABI_IOMMUFD_IO(nr))
		return -ENOTTY;
	if (call.size < commands[nr].least)
		return -EINVAL;
	call.known = commands[nr].size;
	ret = call_check_rest(&call);
	if (ret)
		return ret;
	if (run_copy_in(buffer, arg, min(call.size, call.known)))
		return -EFAULT;
	return commands[nr].handler(&call);
}

static void iommufd_release(struct run_file *file)
{
	struct iommufd *fd = to_iommufd(file);
	uint32_t i;

	for (i = 1; i < fd->room; i++)
		if (fd->objects[i].type == OBJECT_IOAS)
			run_space_free(fd->objects[i].space);
	pthread_mutex_destroy(&fd->lock);
	free(fd->objects);
	free(fd);
}

static const struct run_ops iommufd_ops = {
	.ioctl = iommufd_ioctl,
	.release = iommufd_release,
};

struct run_file *run_iommufd_new(void)
{
	struct iommufd *fd = calloc(1, sizeof(*fd));

	if (!fd)
		return NULL;
	run_file_init(&fd->file, RUN_IOMMUFD, &iommufd_ops);
	pthread_mutex_init(&fd->lock, NULL);
	return &fd->file;
}
