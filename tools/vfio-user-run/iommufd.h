/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that make /dev/iommu share among themselves: iommufd.c,
 * iommufd_ioas.c, iommufd_object.c.
 */
#ifndef IOMMUFD_H
#define IOMMUFD_H

#include "abi/iommufd.h"
#include "run.h"

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

static inline struct iommufd *to_iommufd(struct run_file *file)
{
	return container_of(file, struct iommufd, file);
}

/* iommufd_object.c */

/** iommufd_object_find() - with the lock; NULL if there is none of this type */
struct object *iommufd_object_find(struct iommufd *fd, uint32_t id,
				   enum object_type type);

/** iommufd_object_free() - with the lock; the number is free again */
void iommufd_object_free(struct iommufd *fd, uint32_t id);

/** iommufd_ioas_new() - with the lock; 0 and a number, or a negative errno */
int iommufd_ioas_new(struct iommufd *fd, uint32_t *id);

/**
 * iommufd_ioas_get() - an IOAS by its number, without the lock
 *
 * Return: a reference, for run_space_free(); NULL if there is none.
 */
struct run_space *iommufd_ioas_get(struct iommufd *fd, uint32_t id);

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

/* iommufd.c */

/** iommufd_respond() - copy a structure back, as much as both know of it */
int iommufd_respond(const struct call *call);

/* iommufd_ioas.c: handlers, of the ioctls that they are called like */

int iommufd_do_ioas_alloc(struct call *call);
int iommufd_do_ioas_allow_iovas(struct call *call);
int iommufd_do_ioas_copy(struct call *call);
int iommufd_do_ioas_iova_ranges(struct call *call);
int iommufd_do_ioas_map(struct call *call);
int iommufd_do_ioas_map_file(struct call *call);
int iommufd_do_ioas_unmap(struct call *call);

#endif
