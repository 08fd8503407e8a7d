// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/iommu: objects by number, and the ioctls on them.
 *
 * Each object has the lowest number that is free, as in the kernel: address
 * spaces (IOAS), devices that are bound, and page tables. There is one page
 * table for an IOAS that has devices, and it goes with the last of them; it
 * exists only as a number, which an attachment answers with. What a program
 * could do to the hardware's own page tables (HWPT_ALLOC and what needs it)
 * isn't there, because the bridge has no message for it: EOPNOTSUPP.
 *
 * A call is checked in the kernel's order: number, size, bytes beyond what is
 * known, then the handler. Its table says for each how long its structure has
 * to be at least, and how much of it is known.
 *
 * The iommufd's lock is held to look up and to change objects, and while
 * devices come and go; not while something is mapped, for which there is the
 * space's own lock.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "iommufd_abi.h"
#include "space.h"

enum object_type {
	OBJECT_NONE,
	OBJECT_IOAS,
	OBJECT_TABLE,
	OBJECT_DEVICE,
};

/**
 * struct object - what stands behind a number
 * @type: which of these
 * @space: of an IOAS, with a reference
 * @table: of an IOAS: its page table's number, or 0. Of a device: that of the
 *         one that it is attached to, or 0
 * @ioas: of a page table: its IOAS's number
 * @users: of a page table: devices
 * @dev: of a device
 */
struct object {
	enum object_type type;
	struct run_space *space;
	uint32_t table;
	uint32_t ioas;
	unsigned int users;
	struct run_device *dev;
};

/**
 * struct iommufd - an open /dev/iommu
 * @file: what is common
 * @lock: protects the rest
 * @objects: by number; the first isn't used
 * @room: entries in @objects
 * @nr: of them are there
 * @compat: number of the IOAS for the container's ioctls, or 0
 * @is_process_mode: how memory was to be accounted for
 */
struct iommufd {
	struct run_file file;
	pthread_mutex_t lock;
	struct object *objects;
	uint32_t room;
	unsigned int nr;
	uint32_t compat;
	bool is_process_mode;
};

#define MAP_FLAGS	(IOFD_MAP_FIXED_IOVA | IOFD_MAP_WRITEABLE | \
			 IOFD_MAP_READABLE)
#define MAP_ACCESS	(IOFD_MAP_WRITEABLE | IOFD_MAP_READABLE)
#define MAX_STRUCT	64

static struct iommufd *to_iommufd(struct run_file *file)
{
	return container_of(file, struct iommufd, file);
}

/* With the lock, as all that deals with objects. */
static struct object *object_find(struct iommufd *fd, uint32_t id,
				  enum object_type type)
{
	if (id >= fd->room || fd->objects[id].type != type)
		return NULL;
	return &fd->objects[id];
}

static int object_new(struct iommufd *fd, enum object_type type, uint32_t *id)
{
	struct object *more;
	uint32_t i = 1;

	while (i < fd->room && fd->objects[i].type != OBJECT_NONE)
		i++;
	if (i >= fd->room) {
		more = realloc(fd->objects, (i + 16) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + fd->room, 0, (i + 16 - fd->room) * sizeof(*more));
		fd->objects = more;
		fd->room = i + 16;
	}
	fd->objects[i].type = type;
	fd->nr++;
	*id = i;
	return 0;
}

static void object_free(struct iommufd *fd, uint32_t id)
{
	if (fd->objects[id].type == OBJECT_IOAS)
		run_space_free(fd->objects[id].space);
	if (fd->compat == id)
		fd->compat = 0;
	memset(&fd->objects[id], 0, sizeof(fd->objects[id]));
	fd->nr--;
}

static int ioas_new(struct iommufd *fd, uint32_t *id)
{
	struct run_space *space = run_space_new();
	int ret;

	if (!space)
		return -ENOMEM;
	run_space_refuse_device_memory(space);
	ret = object_new(fd, OBJECT_IOAS, id);
	if (ret)
		run_space_free(space);
	else
		fd->objects[*id].space = space;
	return ret;
}

static struct run_space *ioas_get(struct iommufd *fd, uint32_t id)
{
	struct run_space *space = NULL;
	struct object *ioas;

	pthread_mutex_lock(&fd->lock);
	ioas = object_find(fd, id, OBJECT_IOAS);
	if (ioas) {
		space = ioas->space;
		run_space_get(space);
	}
	pthread_mutex_unlock(&fd->lock);
	return space;
}

struct run_space *run_iommufd_find_ioas(struct run_file *file, uint32_t id)
{
	return ioas_get(to_iommufd(file), id);
}

/* Devices. */

int run_iommufd_add_device(struct run_file *file, struct run_device *dev,
			   uint32_t *id)
{
	struct iommufd *fd = to_iommufd(file);
	int ret;

	pthread_mutex_lock(&fd->lock);
	ret = object_new(fd, OBJECT_DEVICE, id);
	if (!ret)
		fd->objects[*id].dev = dev;
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static void device_detach(struct iommufd *fd, struct object *device)
{
	struct object *table, *ioas;
	uint32_t id = device->table;

	if (!id)
		return;
	table = &fd->objects[id];
	ioas = &fd->objects[table->ioas];
	run_space_remove(ioas->space, device->dev);
	device->dev->space = NULL;
	device->table = 0;
	if (--table->users)
		return;
	ioas->table = 0;
	object_free(fd, id);
}

static int device_enter(struct object *device, struct object *ioas)
{
	int ret = run_space_add(ioas->space, device->dev);

	if (!ret)
		device->dev->space = ioas->space;
	return ret;
}

/* Which IOAS is meant, by its own number or its page table's? */
static int attach_find(struct iommufd *fd, uint32_t pt_id, uint32_t *ioas)
{
	const struct object *table = object_find(fd, pt_id, OBJECT_TABLE);

	*ioas = table ? table->ioas : pt_id;
	if (object_find(fd, *ioas, OBJECT_IOAS))
		return 0;
	return object_find(fd, pt_id, OBJECT_DEVICE) ? -EINVAL : -ENOENT;
}

static int attach_table(struct iommufd *fd, uint32_t ioas, uint32_t *table)
{
	int ret;

	*table = fd->objects[ioas].table;
	if (*table)
		return 0;
	ret = object_new(fd, OBJECT_TABLE, table);
	if (ret)
		return ret;
	fd->objects[*table].ioas = ioas;
	fd->objects[ioas].table = *table;
	return 0;
}

/* A device is in one space at a time: out of one, into the other, or back. */
static int device_attach(struct iommufd *fd, uint32_t id, uint32_t *pt_id)
{
	struct object *device = object_find(fd, id, OBJECT_DEVICE), *from = NULL;
	uint32_t ioas, table;
	int ret;

	if (!device)
		return -ENOENT;
	ret = attach_find(fd, *pt_id, &ioas);
	if (!ret)
		ret = attach_table(fd, ioas, &table);
	if (ret)
		return ret;
	/* The objects may be somewhere else by now. */
	device = &fd->objects[id];
	*pt_id = table;
	if (device->table == table)
		return 0;
	if (device->table) {
		from = &fd->objects[fd->objects[device->table].ioas];
		run_space_remove(from->space, device->dev);
	}
	fd->objects[table].users++;
	ret = device_enter(device, &fd->objects[ioas]);
	if (ret) {
		if (from && device_enter(device, from))
			run_say("%s can't be attached to where it was",
				device->dev->bdf);
		if (!--fd->objects[table].users) {
			fd->objects[ioas].table = 0;
			object_free(fd, table);
		}
		return ret;
	}
	if (from && !--fd->objects[device->table].users) {
		from->table = 0;
		object_free(fd, device->table);
	}
	device->table = table;
	return 0;
}

int run_iommufd_attach(struct run_file *file, uint32_t id, uint32_t *pt_id)
{
	struct iommufd *fd = to_iommufd(file);
	int ret;

	pthread_mutex_lock(&fd->lock);
	ret = device_attach(fd, id, pt_id);
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

void run_iommufd_detach(struct run_file *file, uint32_t id)
{
	struct iommufd *fd = to_iommufd(file);
	struct object *device;

	pthread_mutex_lock(&fd->lock);
	device = object_find(fd, id, OBJECT_DEVICE);
	if (device)
		device_detach(fd, device);
	pthread_mutex_unlock(&fd->lock);
}

void run_iommufd_remove_device(struct run_file *file, uint32_t id)
{
	struct iommufd *fd = to_iommufd(file);
	struct object *device;

	pthread_mutex_lock(&fd->lock);
	device = object_find(fd, id, OBJECT_DEVICE);
	if (device) {
		device_detach(fd, device);
		object_free(fd, id);
	}
	pthread_mutex_unlock(&fd->lock);
}

/* The container's ioctls have an IOAS of their own. */

int run_iommufd_compat_create(struct run_file *file)
{
	struct iommufd *fd = to_iommufd(file);
	int ret = 0;

	pthread_mutex_lock(&fd->lock);
	if (!fd->compat)
		ret = ioas_new(fd, &fd->compat);
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

struct run_space *run_iommufd_compat(struct run_file *file, uint32_t *id)
{
	struct iommufd *fd = to_iommufd(file);
	struct run_space *space = NULL;

	pthread_mutex_lock(&fd->lock);
	if (fd->compat) {
		space = fd->objects[fd->compat].space;
		run_space_get(space);
		if (id)
			*id = fd->compat;
	}
	pthread_mutex_unlock(&fd->lock);
	return space;
}

/**
 * struct call - an ioctl on its way
 * @fd: on which
 * @user: the program's structure
 * @size: its length, as the program says
 * @known: length of ours
 * @cmd: ours
 */
struct call {
	struct iommufd *fd;
	void *user;
	uint32_t size;
	uint32_t known;
	void *cmd;
};

static int respond(const struct call *call)
{
	return run_copy_out(call->user, call->cmd, min(call->size, call->known));
}

static int do_destroy(struct call *call)
{
	const struct iofd_destroy *cmd = call->cmd;
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
		object_free(fd, cmd->id);
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static int do_ioas_alloc(struct call *call)
{
	struct iofd_ioas_alloc *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	int ret;

	if (cmd->flags)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&fd->lock);
	ret = ioas_new(fd, &cmd->out_ioas_id);
	if (!ret) {
		ret = respond(call);
		if (ret)
			object_free(fd, cmd->out_ioas_id);
	}
	pthread_mutex_unlock(&fd->lock);
	return ret;
}

static int ranges_out(struct iofd_ioas_iova_ranges *cmd, uint32_t room,
		      const struct run_iommu_info *info)
{
	struct iofd_iova_range *user =
		(struct iofd_iova_range *)(uintptr_t)cmd->allowed_iovas;
	uint32_t i;

	for (i = 0; i < min(room, info->nr_ranges); i++) {
		struct iofd_iova_range range = {
			.start = info->ranges[i].first,
			.last = info->ranges[i].last,
		};

		if (run_copy_out(&user[i], &range, sizeof(range)))
			return -EFAULT;
	}
	return 0;
}

static int do_ioas_iova_ranges(struct call *call)
{
	struct iofd_ioas_iova_ranges *cmd = call->cmd;
	uint32_t room = cmd->num_iovas;
	struct run_iommu_info info;
	struct run_space *space;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	space = ioas_get(call->fd, cmd->ioas_id);
	if (!space)
		return -ENOENT;
	run_space_info(space, &info);
	run_space_free(space);

	ret = ranges_out(cmd, room, &info);
	if (ret)
		return ret;
	cmd->num_iovas = info.nr_ranges;
	cmd->out_iova_alignment = info.pgsizes & -info.pgsizes;
	ret = respond(call);
	if (ret)
		return ret;
	return info.nr_ranges > room ? -EMSGSIZE : 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct run_iova_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* The kernel reads one after the other, so the first that is wrong decides. */
static int ranges_in(const struct iofd_ioas_allow_iovas *cmd,
		     struct run_iova_range **ranges)
{
	const struct iofd_iova_range *user =
		(struct iofd_iova_range *)(uintptr_t)cmd->allowed_iovas;
	uint32_t i, j, room = 0;

	for (i = 0; i < cmd->num_iovas; i++) {
		struct run_iova_range *more;
		struct iofd_iova_range one;

		if (run_copy_in(&one, &user[i], sizeof(one)))
			return -EFAULT;
		if (one.start >= one.last)
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (one.start <= (*ranges)[j].last &&
			    one.last >= (*ranges)[j].first)
				return -EINVAL;
		if (i == room) {
			room = room ? room * 2 : 8;
			more = realloc(*ranges, room * sizeof(*more));
			if (!more)
				return -ENOMEM;
			*ranges = more;
		}
		(*ranges)[i].first = one.start;
		(*ranges)[i].last = one.last;
	}
	return 0;
}

static int do_ioas_allow_iovas(struct call *call)
{
	const struct iofd_ioas_allow_iovas *cmd = call->cmd;
	struct run_iova_range *ranges = NULL;
	struct run_space *space;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	space = ioas_get(call->fd, cmd->ioas_id);
	if (!space)
		return -ENOENT;
	ret = ranges_in(cmd, &ranges);
	if (!ret && ranges)
		qsort(ranges, cmd->num_iovas, sizeof(*ranges), range_compare);
	if (!ret)
		ret = run_space_allow(space, ranges, cmd->num_iovas);
	if (ret)
		free(ranges);
	run_space_free(space);
	return ret;
}

static int map_check(uint32_t flags, uint64_t iova, uint64_t length)
{
	if (iova == UINT64_MAX || length == UINT64_MAX)
		return -EOVERFLOW;
	return flags & MAP_ACCESS ? 0 : -EINVAL;
}

static uint32_t map_flags(uint32_t flags)
{
	return (flags & IOFD_MAP_READABLE ? VFIO_USER_DMA_MAP_READ : 0) |
	       (flags & IOFD_MAP_WRITEABLE ? VFIO_USER_DMA_MAP_WRITE : 0);
}

static int map_place(const struct call *call, uint32_t id,
		     struct run_place *place, uint64_t *iova)
{
	struct run_space *space = ioas_get(call->fd, id);
	int ret;

	if (!space)
		return -ENOENT;
	place->iova = *iova;
	ret = run_space_place(space, place);
	run_space_free(space);
	if (ret)
		return ret;
	*iova = place->iova;
	return respond(call);
}

static int do_ioas_map(struct call *call)
{
	struct iofd_ioas_map *cmd = call->cmd;
	struct run_place place = {
		.choose = !(cmd->flags & IOFD_MAP_FIXED_IOVA),
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
		.vaddr = (void *)(uintptr_t)cmd->user_va,
	};
	int ret;

	if (cmd->flags & ~MAP_FLAGS || cmd->reserved)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->iova, cmd->length);
	return ret ? ret : map_place(call, cmd->ioas_id, &place, &cmd->iova);
}

static int do_ioas_map_file(struct call *call)
{
	struct iofd_ioas_map_file *cmd = call->cmd;
	struct run_place place = {
		.choose = !(cmd->flags & IOFD_MAP_FIXED_IOVA),
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
		.is_file = true,
		.fd = cmd->fd,
		.offset = cmd->start,
	};
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->iova, cmd->length);
	return ret ? ret : map_place(call, cmd->ioas_id, &place, &cmd->iova);
}

static int copy_spaces(struct run_space *from, struct iofd_ioas_copy *cmd,
		       const struct call *call)
{
	struct run_place place = {
		.choose = !(cmd->flags & IOFD_MAP_FIXED_IOVA),
		.iova = cmd->dst_iova,
		.size = cmd->length,
		.flags = map_flags(cmd->flags),
	};
	struct run_space *to = ioas_get(call->fd, cmd->dst_ioas_id);
	int ret;

	ret = run_space_copy(to, &place, from, cmd->src_iova);
	run_space_free(to);
	cmd->dst_iova = place.iova;
	return ret;
}

static int do_ioas_copy(struct call *call)
{
	struct iofd_ioas_copy *cmd = call->cmd;
	struct run_space *from;
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	ret = map_check(cmd->flags, cmd->src_iova, cmd->length);
	if (ret != -EOVERFLOW && cmd->dst_iova == UINT64_MAX)
		ret = -EOVERFLOW;
	if (ret)
		return ret;
	from = ioas_get(call->fd, cmd->src_ioas_id);
	if (!from)
		return -ENOENT;
	ret = copy_spaces(from, cmd, call);
	run_space_free(from);
	return ret ? ret : respond(call);
}

static int unmap_space(struct run_space *space, struct iofd_ioas_unmap *cmd)
{
	uint64_t unmapped, last;
	int ret;

	if (!cmd->iova && cmd->length == UINT64_MAX) {
		ret = run_space_unmap(space, 0, UINT64_MAX, 2, &unmapped);
	} else {
		if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
			return -EOVERFLOW;
		if (!cmd->length)
			return -EINVAL;
		if (add_overflows(cmd->iova, cmd->length - 1, &last))
			return -EOVERFLOW;
		ret = run_space_unmap(space, cmd->iova, last, 2, &unmapped);
		if (!ret && !unmapped)
			ret = -ENOENT;
	}
	cmd->length = unmapped;
	return ret;
}

static int do_ioas_unmap(struct call *call)
{
	struct iofd_ioas_unmap *cmd = call->cmd;
	struct run_space *space = ioas_get(call->fd, cmd->ioas_id);
	int ret;

	if (!space)
		return -ENOENT;
	ret = unmap_space(space, cmd);
	run_space_free(space);
	return ret ? ret : respond(call);
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

static int option_rlimit_mode(struct iommufd *fd, struct iofd_option *cmd)
{
	int ret = 0;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	if (cmd->op == IOFD_OPTION_SET && !has_sys_resource())
		return -EPERM;
	pthread_mutex_lock(&fd->lock);
	switch (cmd->op) {
	case IOFD_OPTION_GET:
		cmd->val64 = fd->is_process_mode;
		break;
	case IOFD_OPTION_SET:
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

static int option_huge_pages(struct iommufd *fd, struct iofd_option *cmd)
{
	struct run_space *space = ioas_get(fd, cmd->object_id);
	int ret = 0;

	if (!space)
		return -ENOENT;
	switch (cmd->op) {
	case IOFD_OPTION_GET:
		cmd->val64 = run_space_is_huge(space);
		break;
	case IOFD_OPTION_SET:
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
	struct iofd_option *cmd = call->cmd;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case IOFD_OPTION_RLIMIT_MODE:
		ret = option_rlimit_mode(call->fd, cmd);
		break;
	case IOFD_OPTION_HUGE_PAGES:
		ret = option_huge_pages(call->fd, cmd);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return ret ? ret : respond(call);
}

static int do_vfio_ioas(struct call *call)
{
	struct iofd_vfio_ioas *cmd = call->cmd;
	struct iommufd *fd = call->fd;
	int ret = 0;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&fd->lock);
	switch (cmd->op) {
	case IOFD_VFIO_IOAS_GET:
		cmd->ioas_id = fd->compat;
		ret = fd->compat ? respond(call) : -ENODEV;
		break;
	case IOFD_VFIO_IOAS_SET:
		if (object_find(fd, cmd->ioas_id, OBJECT_IOAS))
			fd->compat = cmd->ioas_id;
		else
			ret = -ENOENT;
		break;
	case IOFD_VFIO_IOAS_CLEAR:
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
	const struct iofd_change_process *cmd = call->cmd;
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

#define WHOLE(type, fn)		{ sizeof(struct type), sizeof(struct type), fn }

/* By number. Those that aren't supported need no structure but its size. */
static const struct command commands[] = {
	[0x00] = WHOLE(iofd_destroy, do_destroy),
	[0x01] = WHOLE(iofd_ioas_alloc, do_ioas_alloc),
	[0x02] = WHOLE(iofd_ioas_allow_iovas, do_ioas_allow_iovas),
	[0x03] = WHOLE(iofd_ioas_copy, do_ioas_copy),
	[0x04] = WHOLE(iofd_ioas_iova_ranges, do_ioas_iova_ranges),
	[0x05] = WHOLE(iofd_ioas_map, do_ioas_map),
	[0x06] = WHOLE(iofd_ioas_unmap, do_ioas_unmap),
	[0x07] = WHOLE(iofd_option, do_option),
	[0x08] = WHOLE(iofd_vfio_ioas, do_vfio_ioas),
	[0x09] = { 48, 24, do_unsupported },	/* HWPT_ALLOC */
	[0x0a] = { 40, 32, do_unsupported },	/* GET_HW_INFO */
	[0x0b] = { 16, 16, do_unsupported },	/* HWPT_SET_DIRTY_TRACKING */
	[0x0c] = { 48, 48, do_unsupported },	/* HWPT_GET_DIRTY_BITMAP */
	[0x0d] = { 32, 32, do_unsupported },	/* HWPT_INVALIDATE */
	[0x0e] = { 16, 16, do_unsupported },	/* FAULT_QUEUE_ALLOC */
	[0x0f] = WHOLE(iofd_ioas_map_file, do_ioas_map_file),
	[0x10] = { 40, 24, do_unsupported },	/* VIOMMU_ALLOC */
	[0x11] = { 24, 24, do_unsupported },	/* VDEVICE_ALLOC */
	[0x12] = WHOLE(iofd_change_process, do_change_process),
	[0x13] = { 32, 28, do_unsupported },	/* VEVENTQ_ALLOC */
	[0x14] = { 40, 40, do_unsupported },	/* HW_QUEUE_ALLOC */
	[0x15] = { 40, 40, do_unsupported },	/* IOAS_NOIOMMU_GET_PA */
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
	unsigned int nr = _IOC_NR(request) - IOFD_BASE;
	uint64_t buffer[MAX_STRUCT / 8] = { 0 };
	struct call call = {
		.fd = to_iommufd(file),
		.user = arg,
		.cmd = buffer,
	};
	int ret;

	if (_IOC_NR(request) < IOFD_BASE || nr >= ARRAY_SIZE(commands))
		return run_container_ioctl(file, request, arg);
	if (run_copy_in(&call.size, arg, sizeof(call.size)))
		return -EFAULT;
	if ((uint32_t)request != IOFD_IOCTL(nr + IOFD_BASE))
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
