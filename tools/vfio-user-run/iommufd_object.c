// SPDX-License-Identifier: GPL-2.0-only
/*
 * An iommufd's objects, by number: address spaces (IOAS), devices, page tables.
 *
 * Each object has the lowest number that is free, as in the kernel. There is
 * one page table for an IOAS that has devices, and it goes with the last of
 * them; it exists only as a number, which an attachment answers with.
 *
 * The iommufd's lock is held to look up and to change objects, and while
 * devices come and go; not while something is mapped, for which there is the
 * space's own lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd.h"
#include "space.h"

/* With the lock, as all that deals with objects. */
struct object *iommufd_object_find(struct iommufd *fd, uint32_t id,
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

void iommufd_object_free(struct iommufd *fd, uint32_t id)
{
	if (fd->objects[id].type == OBJECT_IOAS)
		run_space_free(fd->objects[id].space);
	if (fd->compat == id)
		fd->compat = 0;
	memset(&fd->objects[id], 0, sizeof(fd->objects[id]));
	fd->nr--;
}

int iommufd_ioas_new(struct iommufd *fd, uint32_t *id)
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

struct run_space *iommufd_ioas_get(struct iommufd *fd, uint32_t id)
{
	struct run_space *space = NULL;
	struct object *ioas;

	pthread_mutex_lock(&fd->lock);
	ioas = iommufd_object_find(fd, id, OBJECT_IOAS);
	if (ioas) {
		space = ioas->space;
		run_space_get(space);
	}
	pthread_mutex_unlock(&fd->lock);
	return space;
}

struct run_space *run_iommufd_find_ioas(struct run_file *file, uint32_t id)
{
	return iommufd_ioas_get(to_iommufd(file), id);
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
	iommufd_object_free(fd, id);
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
	const struct object *table = iommufd_object_find(fd, pt_id, OBJECT_TABLE);

	*ioas = table ? table->ioas : pt_id;
	if (iommufd_object_find(fd, *ioas, OBJECT_IOAS))
		return 0;
	return iommufd_object_find(fd, pt_id, OBJECT_DEVICE) ? -EINVAL : -ENOENT;
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
	struct object *device = iommufd_object_find(fd, id, OBJECT_DEVICE);
	struct object *from = NULL;
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
			iommufd_object_free(fd, table);
		}
		return ret;
	}
	if (from && !--fd->objects[device->table].users) {
		from->table = 0;
		iommufd_object_free(fd, device->table);
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
	device = iommufd_object_find(fd, id, OBJECT_DEVICE);
	if (device)
		device_detach(fd, device);
	pthread_mutex_unlock(&fd->lock);
}

void run_iommufd_remove_device(struct run_file *file, uint32_t id)
{
	struct iommufd *fd = to_iommufd(file);
	struct object *device;

	pthread_mutex_lock(&fd->lock);
	device = iommufd_object_find(fd, id, OBJECT_DEVICE);
	if (device) {
		device_detach(fd, device);
		iommufd_object_free(fd, id);
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
		ret = iommufd_ioas_new(fd, &fd->compat);
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
